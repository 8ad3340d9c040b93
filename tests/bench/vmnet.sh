#!/bin/bash
# Prints what the Linux socket_vmnet carries beside its peers, what it weighs and how often it wakes. Asserts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
	cat <<'END'
Measures socket_vmnet: its stream socket beside passt, its taps beside a tap and a bridge made by hand, and itself when idle.

usage: tests/bench/vmnet.sh [--program PROGRAM] [--seconds N] [--rounds N] [--idle N] [--only WORD,…]

  --program PROGRAM  what to measure (default: a release build of this checkout)
  --seconds N        length of a measurement (default: 3)
  --rounds N         rounds of everything; medians are printed (default: 3)
  --idle N           seconds for which the idle daemon is watched (default: 20)
  --only WORD,…      some of: stream taps idle
  --help             this text

A network namespace is the guest: a real TCP/IP stack without a machine around it. Needs root (all of it runs in a network and with mounts of its
own), iproute2, nftables, iperf3, passt and cc (apt-get install iproute2 nftables iperf3 passt gcc).
END
}

program='' seconds=3 rounds=3 idle=20 only=stream,taps,idle inside=''
while [ $# -gt 0 ]; do
	case $1 in
	--program) program=${2:?--program needs a file} && shift ;;
	--seconds) seconds=${2:?--seconds needs a number} && shift ;;
	--rounds) rounds=${2:?--rounds needs a number} && shift ;;
	--idle) idle=${2:?--idle needs a number} && shift ;;
	--only) only=${2:?--only needs words} && shift ;;
	--inside) inside=${2:?--inside needs a folder} && shift ;;
	--help | -h) usage && exit 0 ;;
	*)
		echo "bench: error: unknown argument \`$1\`; see tests/bench/vmnet.sh --help" >&2
		exit 1
		;;
	esac
	shift
done

if [ -z "$inside" ]; then
	for need in ip nft iperf3 passt cc python3; do
		PATH=$PATH:/usr/sbin:/sbin command -v $need > /dev/null || {
			echo "bench: error: \`$need\` is missing; see tests/bench/vmnet.sh --help" >&2
			exit 1
		}
	done
	if [ -z "$program" ]; then
		cargo build --release --locked --bin socket_vmnet
		program=${CARGO_TARGET_DIR:-target}/release/socket_vmnet
	fi
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	cc -O2 -Wall -pthread -o "$folder/guest" tests/bench/vmnet_guest.c
	# Everything that is started ends with the process namespace.
	unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$folder" --program "$(realpath "$program")" \
		--seconds "$seconds" --rounds "$rounds" --idle "$idle" --only "$only"
	exit
fi

export PATH=$PATH:/usr/sbin:/sbin
mount -t sysfs none /sys
mount -t tmpfs -o mode=755 none /run
mkdir -m 775 /run/lima /run/netns
# passt gives up root's power and looks for its socket's folder as nobody.
mkdir -m 777 /run/open
ip link set lo up
# A host has a way out, and passt wants to see one.
ip link add up0 type veth peer name up1
ip address add 198.51.100.1/24 dev up0
ip link set up0 up && ip link set up1 up
ip route add default via 198.51.100.2
iperf3 --server --daemon --port 5299 > /dev/null

wait_for() { # WHAT COMMAND…
	local what=$1
	shift
	for _ in $(seq 200); do
		if "$@" 2> /dev/null; then return; fi
		sleep 0.05
	done
	echo "bench: error: waited in vain for $what" >&2
	exit 1
}

has_line() { grep -q "$1" "$2"; }

reaches() { # NAMESPACE TO
	ip netns exec "$1" timeout 2 bash -c "< /dev/tcp/$2/5299"
}

start_daemon() { # ARGUMENT…
	"$program" --vmnet-gateway=192.168.105.1 /run/lima/socket_vmnet.b 2> "$inside/daemon.log" &
	daemon=$!
	wait_for "the daemon" has_line Listening "$inside/daemon.log"
}

end_daemon() {
	kill "$daemon"
	wait "$daemon"
}

start_guest() { # NAME ADDRESS/BITS MTU KIND TARGET
	ip netns add "$1"
	"$inside/guest" "$1" t0 "$4" "$5" > "$inside/$1.log" &
	guests+=($!)
	wait_for "the guest $1" has_line ready "$inside/$1.log"
	ip -n "$1" link set lo up
	ip -n "$1" link set t0 mtu "$3" up
	ip -n "$1" address add "$2" dev t0
}

end_guests() { # NAME…
	kill "${guests[@]}"
	wait "${guests[@]}" 2> /dev/null || true
	guests=()
	for name in "$@"; do ip netns delete "$name"; done
}
guests=()

# Gbit/s that arrived.
flow() { # NAMESPACE TO [ARGUMENT…]
	local namespace=$1 to=$2
	shift 2
	ip netns exec "$namespace" iperf3 --client "$to" --port 5299 --time "$seconds" --omit 1 --json "$@" |
		python3 -c 'import json, sys
found = json.load(sys.stdin)
print("%.2f" % (found["end"]["sum_received"]["bits_per_second"] / 1e9) if "error" not in found else found["error"])'
}

record() { # WHAT NAMESPACE TO
	wait_for "a way from $2 to $3" reaches "$2" "$3"
	{
		echo "$1|guest to host|$(flow "$2" "$3")"
		echo "$1|host to guest|$(flow "$2" "$3" --reverse)"
		echo "$1|8 streams to host|$(flow "$2" "$3" --parallel 8)"
	} >> "$inside/results"
}

measure_stream() {
	start_daemon
	start_guest a 192.168.105.2/24 1500 stream /run/lima/socket_vmnet.b
	record "stream socket, MTU 1500" a 192.168.105.1
	end_guests a
	end_daemon
	beside_passt 65520
	# With frames as small as ours, which cost the guest the same.
	beside_passt 1500
}

beside_passt() { # MTU
	passt --foreground --one-off --socket /run/open/passt --address 10.55.0.2 --netmask 24 --gateway 10.55.0.1 --mtu "$1" > /dev/null 2>&1 &
	wait_for "passt" test -S /run/open/passt
	start_guest p 10.55.0.2/24 "$1" stream /run/open/passt
	record "passt, MTU $1" p 10.55.0.1
	end_guests p
	rm -f /run/open/passt
}

measure_taps() {
	start_daemon
	start_guest h 192.168.105.3/24 1500 handed /run/lima/b_tap.sock
	record "tap, handed out" h 192.168.105.1
	end_guests h
	end_daemon
	ip link add by-hand type bridge
	ip address add 192.168.107.1/24 dev by-hand
	ip link set by-hand up
	start_guest m 192.168.107.3/24 1500 own tap-by-hand
	ip link set tap-by-hand master by-hand up
	record "tap and bridge by hand" m 192.168.107.1
	end_guests m
	ip link delete by-hand
}

resident() { sed -n 's/^VmRSS:\s*//p' "/proc/$1/status"; }
wakings() { awk '/ctxt_switches/ { all += $2 } END { print all }' /proc/"$1"/task/*/status; }

measure_idle() {
	start_daemon
	echo "resident, nobody connected: $(resident $daemon)"
	start_guest i 192.168.105.9/24 1500 stream /run/lima/socket_vmnet.b
	wait_for "a way to the host" reaches i 192.168.105.1
	echo "resident, one client of the stream socket: $(resident $daemon)"
	end_guests i
	sleep 1
	local before
	before=$(wakings $daemon)
	sleep "$idle"
	echo "wake-ups of the idle daemon in $idle s: $(($(wakings $daemon) - before))"
	end_daemon
}

case ",$only," in *,idle,*) measure_idle ;; esac
touch "$inside/results"
for _ in $(seq "$rounds"); do
	case ",$only," in *,stream,*) measure_stream ;; esac
	case ",$only," in *,taps,*) measure_taps ;; esac
done
python3 - "$inside/results" << 'END'
import statistics, sys

found = {}
for line in open(sys.argv[1]):
    what, way, value = line.rstrip("\n").split("|")
    found.setdefault(what, {}).setdefault(way, []).append(value)
for what, ways in found.items():
    print(f"{what} (Gbit/s):")
    for way, values in ways.items():
        numbers = [float(value) for value in values if value.replace(".", "").isdigit()]
        median = f"{statistics.median(numbers):.2f}" if numbers else "-"
        print(f"  {way:20} {median}  ({', '.join(values)})")
END
