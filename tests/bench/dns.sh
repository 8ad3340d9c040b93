#!/bin/bash
# Prints the numbers of the host resolver beside those of its peers. Asserts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
	cat <<'END'
Measures `limactl debug dns` beside dnsmasq, and beside asking the nameserver behind both directly.

usage: tests/bench/dns.sh [--limactl PROGRAM] [--rounds N] [--seconds N] [--soak MINUTES] [--only WORD,…]

  --limactl PROGRAM  what to measure (default: a release build of this checkout)
  --rounds N         rounds of everything that alternates; medians of them are printed (default: 5)
  --seconds N        length of a round (default: 3)
  --soak MINUTES     length of the load that looks for leaks (default: 2; the aim is stated for 10)
  --only WORD,…      some of: cached latency tcp misses held soak
  --help             this text

Needs root (dnsmasq does not run in a user namespace): all of it runs in a network of its own. Needs dnsperf, dnsmasq, nsd and cc
(apt-get install dnsperf dnsmasq-base nsd gcc).
END
}

limactl='' rounds=5 seconds=3 soak=2 only=cached,latency,tcp,misses,held,soak
while [ $# -gt 0 ]; do
	case $1 in
	--limactl) limactl=${2:?--limactl needs a program} && shift ;;
	--rounds) rounds=${2:?--rounds needs a number} && shift ;;
	--seconds) seconds=${2:?--seconds needs a number} && shift ;;
	--soak) soak=${2:?--soak needs a number} && shift ;;
	--only) only=${2:?--only needs words} && shift ;;
	--help | -h) usage && exit 0 ;;
	*)
		echo "bench: error: unknown argument \`$1\`; see tests/bench/dns.sh --help" >&2
		exit 1
		;;
	esac
	shift
done

PATH=$PATH:/usr/sbin:/sbin
for program in dnsperf dnsmasq nsd cc; do
	command -v "$program" > /dev/null && continue
	echo "bench: skipped: the host resolver, because $program is not installed (hint: apt-get install dnsperf dnsmasq-base nsd gcc)"
	exit 0
done
apart=(unshare --net --mount --pid --fork --kill-child --mount-proc)
if [ "$(id -u)" != 0 ] || ! "${apart[@]}" true; then
	echo "bench: skipped: the host resolver, because only root can have a network and files of its own for it"
	exit 0
fi

if [ -z "$limactl" ]; then
	cargo build --release --locked
	limactl=${CARGO_TARGET_DIR:-target}/release/limactl
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cc -O2 -o "$folder/dns_ask" tests/bench/dns_ask.c
"${apart[@]}" python3 tests/bench/dns.py "$(realpath "$limactl")" "$folder" "$rounds" "$seconds" "$soak" "$only"
