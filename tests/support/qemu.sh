#!/bin/sh
# Stands in for qemu-system-*: answers the questions that are asked before a start, and becomes qemu.py for the start itself.
w=$LIMA_TEST_WORLD
echo $$ >>"$w/pids"
case "$*" in
--version)
	: >"$w/reached-qemu-version"
	while [ -e "$w/hold-qemu-version" ]; do sleep 0.02; done
	version=7.2.22
	[ ! -e "$w/qemu-version" ] || read -r version <"$w/qemu-version"
	echo "QEMU emulator version $version (Debian 1:7.2+dfsg-7+deb12u18)"
	echo 'Copyright (c) 2003-2022 Fabrice Bellard and the QEMU Project developers'
	exit 0
	;;
*-accel\ help) printf 'Accelerators supported in QEMU binary:\ntcg\nkvm\n' && exit 0 ;;
*-netdev\ help) printf 'Available netdev backend types:\nsocket\nuser\nstream\ntap\n' && exit 0 ;;
*-machine\ help) printf 'Supported machines are:\nq35  Standard PC\nnone empty machine\n' && exit 0 ;;
*-cpu\ help*) printf 'Available CPUs:\nx86 max\nx86 host\n' && exit 0 ;;
esac
exec /usr/bin/env python3 "$w/bin/qemu.py" "$@"
