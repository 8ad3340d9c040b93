#!/bin/sh
# A user with a uid of a system account (macOS hosts start at 501) has no journal of its own: lets it read the system's.

[ "$LIMA_CIDATA_UID" -lt 1000 ] || exit 0
[ -d /run/systemd/system ] || exit 0

case " $(id -Gn "$LIMA_CIDATA_USER") " in
*' systemd-journal '*) ;;
*) usermod -a -G systemd-journal "$LIMA_CIDATA_USER" ;;
esac
