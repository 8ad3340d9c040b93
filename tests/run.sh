#!/bin/bash
# Runs all that CI runs, on a fresh Debian or Ubuntu machine: installs what the tests need, checks the form, runs every
# tier, and says at the end what was skipped and why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
	cat <<'END'
Runs every check and test of this project.

usage: tests/run.sh [--fast] [--yes]

  --fast   leave out the real guest (no image is built, no virtual machine is started)
  --yes    install missing packages without asking; so does a run without a terminal
  --help   this text
END
}

main() {
	fast=no
	assume_yes=no
	while [ $# -gt 0 ]; do
		case $1 in
		--fast) fast=yes ;;
		--yes | -y) assume_yes=yes ;;
		--help | -h)
			usage
			exit 0
			;;
		*) fail "unknown argument \`$1\`; see tests/run.sh --help" ;;
		esac
		shift
	done
	skipped=()
	# shellcheck disable=SC2034 # read by packages.sh
	packages_name=tests
	# shellcheck source=examples/packages.sh
	. examples/packages.sh

	step "packages"
	if [ "$fast" = yes ]; then need_packages build test; else need_packages build test image run; fi
	need_rust "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
	say "$("$CARGO" --version) at $CARGO"

	check_form
	fetch_nss_modules
	step "tests without a guest"
	"$CARGO" test --locked --profile ci || fail "a test failed; see above"
	run_compat
	run_guest
	summary
}

step() { printf '\ntests: ==> %s (%d s)\n' "$1" "$SECONDS"; }
say() { printf 'tests: %s\n' "$*"; }
fail() {
	printf 'tests: error: %s\n' "$1" >&2
	exit 1
}
skip() { # WHAT WHY
	skipped+=("$1: $2")
	say "skipped: $1: $2"
}

check_form() {
	step "form"
	if has_cargo_command fmt; then
		"$CARGO" fmt --check || fail "the code is not formatted: run cargo fmt"
	else
		skip "cargo fmt" "this Rust has no rustfmt"
	fi
	if has_cargo_command clippy; then
		"$CARGO" clippy --locked --profile ci --all-targets -- -D warnings || fail "clippy has warnings; see above"
	else
		skip "cargo clippy" "this Rust has no clippy"
	fi
	local scripts
	mapfile -t scripts < <(find examples tests .ci -name '*.sh' -not -path '*/support/*' -o -path .ci/run | LC_ALL=C sort)
	shellcheck --external-sources "${scripts[@]}" || fail "shellcheck has something to say; see above"
}

# Modules that nsswitch.conf can name, for the conformance matrix of the resolver. Unpacked and not installed: their packages
# change how this machine itself resolves names.
fetch_nss_modules() {
	step "modules for nsswitch.conf"
	LIMA_TEST_NSS=${XDG_CACHE_HOME:-$HOME/.cache}/lima-tests/nss
	if ! [ -e "$LIMA_TEST_NSS/complete" ]; then
		mkdir -p "$LIMA_TEST_NSS"
		download_nss_modules || { packages_refresh && download_nss_modules; } ||
			fail "cannot download libnss-myhostname, libnss-mdns and libnss-resolve; see above"
		touch "$LIMA_TEST_NSS/complete"
	fi
	export LIMA_TEST_NSS
	# Root can always make namespaces; others say so where they cannot.
	if [ "$(id -u)" = 0 ]; then export LIMA_TEST_REQUIRE_NETNS=1; fi
	say "in $LIMA_TEST_NSS"
}

download_nss_modules() (
	cd "$LIMA_TEST_NSS" || return
	apt-get download --quiet --quiet libnss-myhostname libnss-mdns libnss-resolve || return
	for package in *.deb; do
		dpkg-deb --extract "$package" . && rm "$package" || return
	done
)

has_cargo_command() { "$CARGO" "$1" --version > /dev/null 2>&1; }

# Cases recorded from the real program, which lie beside the checkout where they are to be had at all.
run_compat() {
	step "recorded cases"
	if ! [ -e ../shared/compat/cli/run ] || ! [ -e ../shared/compat/yaml/run ]; then
		skip "recorded cases" "there is no ../shared/compat beside this checkout"
	elif ! [ -e tests/compat.sh ]; then
		fail "there are recorded cases but no tests/compat.sh to run them"
	else
		bash tests/compat.sh || fail "recorded cases differ; see above"
	fi
}

run_guest() {
	if [ "$fast" = yes ]; then
		skip "the real guest" "--fast was given"
		return
	fi
	step "guest image"
	examples/debian/build.sh || fail "the guest image could not be built"
	step "tests with a guest"
	LIMA_TEST_GUEST=$(examples/debian/build.sh --print dir)
	LIMA_TEST_REQUIRE_GUEST=1
	export LIMA_TEST_GUEST LIMA_TEST_REQUIRE_GUEST
	"$CARGO" test --locked --profile ci --test promises -- guest:: || fail "a test with a guest failed; see above"
}

summary() {
	printf '\n'
	local line
	for line in "${skipped[@]}"; do say "skipped: $line"; done
	say "all passed in $SECONDS s$([ ${#skipped[@]} -eq 0 ] || echo ', but for what was skipped')"
}

main "$@"
