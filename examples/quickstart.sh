#!/bin/bash
# From a fresh Debian or Ubuntu machine to a running virtual machine: packages, limactl, a guest image, the instance
# `default`, a short tour. Needs the distribution's package archive and the crates, nothing else; can be run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
	cat <<'END'
Builds limactl and a guest image, starts the instance `default` and shows it.

usage: examples/quickstart.sh [--yes] [--direct]

  --yes     install missing packages without asking; so does a run without a terminal
  --direct  boot the kernel directly instead of through EFI firmware and GRUB (a few seconds quicker)
  --help    this text

What is there already is kept: packages, the build, the image, the instance.
END
}

main() {
	assume_yes=no
	which_yaml=yaml
	while [ $# -gt 0 ]; do
		case $1 in
		--yes | -y) assume_yes=yes ;;
		--direct) which_yaml=direct-yaml ;;
		--help | -h)
			usage
			exit 0
			;;
		*) fail "unknown argument \`$1\`; see examples/quickstart.sh --help" ;;
		esac
		shift
	done
	# shellcheck disable=SC2034 # read by packages.sh
	packages_name=quickstart
	# shellcheck source=examples/packages.sh
	. examples/packages.sh
	trap 'say "interrupted; run this again to go on"; exit 130' INT

	step 1 "packages"
	need_packages build image run
	need_rust "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
	step 2 "limactl (the first build takes a few minutes)"
	build_limactl
	step 3 "guest image (two minutes the first time)"
	examples/debian/build.sh || fail "the guest image could not be built"
	step 4 "the instance \`default\`"
	start_instance
	step 5 "a short tour"
	tour
}

step() { printf '\nquickstart: ==> %s/5 %s\n' "$1" "$2"; }
say() { printf 'quickstart: %s\n' "$*" >&2; }
fail() {
	printf 'quickstart: error: %s\n' "$1" >&2
	exit 1
}

build_limactl() {
	"$CARGO" build --release --locked --bin limactl || fail "limactl could not be built"
	local target
	target=$("$CARGO" metadata --locked --no-deps --format-version 1 |
		sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
	limactl=$target/release/limactl
	[ -x "$limactl" ] || fail "the build left no \`$limactl\`"
	say "$("$limactl" --version), in \`$limactl\`"
}

start_instance() {
	if "$limactl" list --quiet 2> /dev/null | grep -qx default; then
		say "it exists already: starting it as it is"
		"$limactl" start --tty=false default || fail "the instance \`default\` could not be started"
	else
		"$limactl" start --tty=false --name=default "$(examples/debian/build.sh --print "$which_yaml")" ||
			fail "the instance \`default\` could not be started"
	fi
}

tour() {
	local name
	show "$limactl" list
	show "$limactl" shell default uname -a
	say "the host, by its name in the guest:"
	show "$limactl" shell default getent hosts host.lima.internal
	if name=$(hosts_file_name); then
		say "\`$name\` is only in this machine's /etc/hosts; the guest asks this machine's resolver:"
		show "$limactl" shell default getent hosts "$name"
	else
		say "/etc/hosts has no name but localhost to show; one that you add there is found in the guest at once"
	fi
	cat <<-END

		quickstart: that is all. From here on:
		    $limactl shell default     a shell in the guest
		    $limactl stop default      shut it down; \`start default\` brings it back
		    $limactl delete default    remove it, its disk included
	END
}

show() { # COMMAND...: prints and runs it
	printf '$ %s\n' "$*"
	"$@" || fail "\`$*\` failed"
}

# A name that this machine knows from /etc/hosts alone; one whose address is not a loopback one is the better example.
hosts_file_name() {
	local names
	names=$(awk '
		{ sub(/#.*/, "") }
		NF < 2 { next }
		{
			for (i = 2; i <= NF; i++) {
				if ($i ~ /^(localhost|ip6-|broadcasthost|_)/ || $i ~ /localhost/) continue
				print ($1 ~ /^(127\.|::1$|fe80:|ff0)/ ? 1 : 0), $i
			}
		}' /etc/hosts | sort -s -n -k1,1 | cut -d' ' -f2)
	[ -n "$names" ] && printf '%s\n' "${names%%$'\n'*}"
}

main "$@"
