#!/bin/bash
# An unattended run for a CI job: from nothing to a command in a fresh virtual machine and back to nothing. No terminal, no
# questions; what limactl says is JSON; the exit code is the command's. Whatever happens, no machine and no file is left.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
	cat <<'END'
Runs a command in a fresh virtual machine that is gone afterwards. Its output and its exit code are the command's.

usage: examples/ci.sh [--limactl PATH] [--log FILE] [--copy DIR] [COMMAND...]

  --limactl PATH  use this limactl; without it, one is built
  --log FILE      where limactl's messages go, one JSON object a line (default: ci.log in the working directory)
  --copy DIR      copy this directory into the guest first; COMMAND runs in the copy
  --help          this text

COMMAND is `uname -a` if it is left out. Exit codes: the command's; 1 where the machine could not be had or taken down.
END
}

main() {
	limactl='' log=$PWD/ci.log copied=''
	while [ $# -gt 0 ]; do
		case $1 in
		--limactl | --log | --copy) [ $# -ge 2 ] || fail "\`$1\` needs a value; see examples/ci.sh --help" ;;&
		--limactl) limactl=$(realpath -- "$2") && shift ;;
		--log) log=$(realpath -m -- "$2") && shift ;;
		--copy) copied=$(realpath -- "$2") && shift ;;
		--help | -h)
			usage
			exit 0
			;;
		--)
			shift
			break
			;;
		-*) fail "unknown argument \`$1\`; see examples/ci.sh --help" ;;
		*) break ;;
		esac
		shift
	done
	[ $# -gt 0 ] || set -- uname -a

	# Nothing here may wait for somebody.
	exec < /dev/null
	: > "$log"
	prepare
	# A home of its own: jobs that run at the same time do not see each other, and one directory is all there is to remove.
	# Short, because sockets below it must fit into 108 bytes.
	LIMA_HOME=$(mktemp -d /tmp/lima-ci.XXXXXX)
	export LIMA_HOME
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM

	say "start"
	quiet start --name=ci "$yaml" || fail "the machine did not start; see $log"
	if [ -n "$copied" ]; then
		quiet copy --recursive "$copied" ci:job || fail "\`$copied\` could not be copied; see $log"
		set -- --workdir "$(quiet shell ci pwd)/job" ci "$@"
	else
		set -- ci "$@"
	fi
	say "run"
	local status=0
	"$limactl" --log-format=json --tty=false shell "$@" || status=$?
	say "the command ended with $status"
	exit "$status"
}

say() { printf 'ci: %s (%d s)\n' "$*" "$SECONDS" >&2; }
fail() {
	printf 'ci: error: %s\n' "$1" >&2
	exit 1
}

# limactl with its messages in the log.
quiet() { "$limactl" --log-format=json --tty=false "$@" 2>> "$log"; }

# Packages, limactl and the guest's image; all of it is kept for the next job.
prepare() {
	# shellcheck disable=SC2034 # both are read by packages.sh
	packages_name=ci assume_yes=yes
	# shellcheck source=examples/packages.sh
	. "$root/examples/packages.sh"
	if [ -n "$limactl" ]; then
		need_packages image run
	else
		need_packages build image run
		need_rust "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")"
		say "build"
		(cd "$root" && "$CARGO" build --release --locked --bin limactl) >&2 || fail "limactl could not be built"
		local target
		target=$(cd "$root" && "$CARGO" metadata --locked --no-deps --format-version 1 |
			sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
		limactl=$target/release/limactl
	fi
	say "image"
	"$root/examples/debian/build.sh" >&2 || fail "the guest image could not be built"
	yaml=$("$root/examples/debian/build.sh" --print direct-yaml)
}

# At every end: the machine is stopped in order, or by force where that fails, and its home goes.
# shellcheck disable=SC2317 # the trap calls it
clean_up() {
	local status=$?
	trap - EXIT
	trap '' INT TERM
	say "clean up"
	local failed=0
	if [ -e "$LIMA_HOME/ci" ]; then
		quiet stop ci || true
		quiet delete --force ci || failed=1
	fi
	rm -rf -- "$LIMA_HOME" || failed=1
	[ "$status" -ne 0 ] || status=$failed
	exit "$status"
}

main "$@"
