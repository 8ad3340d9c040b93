#!/bin/sh
# After an upgrade of all packages: distributions with dnf do not leave the mark by which cloud-init knows that a reboot is needed.

if [ -z "$LIMA_CIDATA_UPGRADE_PACKAGES" ] || ! command -v dnf >/dev/null; then exit 0; fi
if ! command -v needs-restarting >/dev/null; then exit 0; fi

# It fails where a reboot is needed.
if needs-restarting -r; then exit 0; fi
printf 'the guest reboots into what was upgraded\n'
: >"$LIMA_REBOOT_REQUIRED"
systemctl reboot
