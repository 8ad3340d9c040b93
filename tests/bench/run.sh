#!/bin/bash
# Prints the numbers that matter to users: how soon READY, how soon stopped, how quick a command, how small an idle agent. Asserts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
	cat <<'END'
Prints measurements of limactl on this machine.

usage: tests/bench/run.sh [--limactl PROGRAM] [--guest DIR] [--no-guest] [--idle SECONDS]
       tests/bench/run.sh --dns [OPTION…]

  --limactl PROGRAM  what to measure (default: a release build of this checkout)
  --guest DIR        a folder that examples/debian/build.sh made (default: the one it makes, if it is there)
  --no-guest         only what needs no virtual machine
  --idle SECONDS     how long the idle host agent is watched (default: 60)
  --dns [OPTION…]    the host resolver beside its peers, and nothing else; see tests/bench/dns.sh --help
  --help             this text
END
}

limactl='' guest='' no_guest='' idle=60
while [ $# -gt 0 ]; do
	case $1 in
	--limactl) limactl=${2:?--limactl needs a program} && shift ;;
	--guest) guest=${2:?--guest needs a folder} && shift ;;
	--no-guest) no_guest=yes ;;
	--idle) idle=${2:?--idle needs a number} && shift ;;
	--dns) shift && exec tests/bench/dns.sh "$@" ;;
	--help | -h) usage && exit 0 ;;
	*)
		echo "bench: error: unknown argument \`$1\`; see tests/bench/run.sh --help" >&2
		exit 1
		;;
	esac
	shift
done

if [ -z "$limactl" ]; then
	cargo build --release --locked
	limactl=${CARGO_TARGET_DIR:-target}/release/limactl
fi
if [ -z "$guest" ] && [ -z "$no_guest" ]; then
	guest=$(examples/debian/build.sh --print dir)
	if ! [ -e "$guest/debian-direct.yaml" ]; then
		echo "bench: skipped: all that needs a guest, because $guest has no image (hint: run examples/debian/build.sh)"
		guest=
	fi
fi
[ -z "$no_guest" ] || guest=
python3 tests/bench/download.py "$(realpath "$limactl")"
exec python3 tests/bench/measure.py "$(realpath "$limactl")" "${guest:--}" "$idle"
