# shellcheck shell=bash
# What this project needs from a Debian or Ubuntu machine, and how it gets there. Sourced by quickstart.sh and tests/run.sh.
#
#   need_packages SET...   installs what is missing of: build image run test
#   need_rust VERSION      finds or installs a Rust that is at least VERSION; sets CARGO (and RUSTC, RUSTDOC where they have other names)
#
# Both say what is missing and why, ask where a terminal is there to answer (unless assume_yes=yes), and end the script with
# a sentence where something cannot be had. They use `packages_name` as the prefix of what they say. Something is missing when the
# program or file itself is, whatever put it there: a QEMU of one's own making counts.

: "${packages_name:=packages}" "${assume_yes:=no}"

packages_say() { printf '%s: %s\n' "$packages_name" "$*" >&2; }
packages_fail() {
	printf '%s: error: %s\n' "$packages_name" "$1" >&2
	shift
	local hint
	for hint in "$@"; do printf '%s: hint: %s\n' "$packages_name" "$hint" >&2; done
	exit 1
}

# One line per need: set, what to look for (a program, or a file by its pattern), the package that has it, why.
packages_table() {
	local qemu qemu_package firmware firmware_package
	case $(uname -m) in
	aarch64) qemu=qemu-system-aarch64 qemu_package=qemu-system-arm \
		firmware='/usr/share/AAVMF/AAVMF_CODE.fd' firmware_package=qemu-efi-aarch64 ;;
	*) qemu=qemu-system-x86_64 qemu_package=qemu-system-x86 \
		firmware='/usr/share/OVMF/OVMF_CODE*.fd' firmware_package=ovmf ;;
	esac
	cat <<-END
		build cc gcc links limactl
		build /usr/include/stdio.h libc6-dev the C library to link limactl with
		image mmdebstrap mmdebstrap unpacks the guest's packages
		image mke2fs e2fsprogs makes the guest's root file system
		image sfdisk fdisk partitions the guest's disk
		image mkfs.vfat dosfstools makes the guest's EFI partition
		image mcopy mtools fills the guest's EFI partition
		image qemu-img qemu-utils makes the guest's disk
		run $qemu $qemu_package runs the guest
		run $firmware $firmware_package the guest's firmware
		run qemu-img qemu-utils makes the instance's disk
		run ssh openssh-client reaches the guest
		test python3 python3 the stand-ins for QEMU and ssh
		test qemu-img qemu-utils disks in tests
		test ssh-keygen openssh-client keys in tests
		test rsync rsync copies in tests
		test zstd zstd compressed images in tests
		test xz xz-utils compressed images in tests
		test bzip2 bzip2 compressed images in tests
		test openssl openssl a certificate in tests
		test busybox busybox-static small programs of guests in tests
		test dig bind9-dnsutils questions to nameservers in tests
		test iptables iptables a guest's redirect in tests
		test nft nftables a guest's redirect in tests
		test shellcheck shellcheck checks the scripts
		test ip iproute2 networks in tests
		test strace strace ends daemons at every step in tests
		test dig bind9-dnsutils asks the resolver in tests
		test busybox busybox asks the resolver in tests
		test sudo sudo the rules with which it runs the daemons of networks
		test zsh zsh completion in a real shell
		test fish fish completion in a real shell
	END
	if [ "$(id -u)" != 0 ]; then
		echo "image newuidmap uidmap lets you build the guest without being root"
	fi
}

packages_present() { # PROGRAM or /FILE/PATTERN
	case $1 in
	/*) compgen -G "$1" > /dev/null ;;
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$1" > /dev/null ;;
	esac
}

need_packages() { # SET...
	local wanted=" $* " set probe package why missing=() reasons=()
	while read -r set probe package why; do
		case $wanted in
		*" $set "*) ;;
		*) continue ;;
		esac
		packages_present "$probe" && continue
		case " ${missing[*]} " in
		*" $package "*) continue ;;
		esac
		missing+=("$package")
		reasons+=("$package: $why")
	done < <(packages_table)
	[ ${#missing[@]} -eq 0 ] || packages_install "${missing[@]}" -- "${reasons[@]}"
}

# Says and asks, then installs. Arguments: packages, --, one reason for each.
packages_install() {
	local names=() reason
	while [ "$1" != -- ]; do
		names+=("$1")
		shift
	done
	shift
	command -v apt-get > /dev/null || packages_fail "this is not Debian or Ubuntu: install by hand: ${names[*]}"
	packages_say "these packages are missing:"
	for reason in "$@"; do printf '    %s\n' "$reason" >&2; done

	local as_root=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo > /dev/null ||
			packages_fail "neither root nor sudo: cannot install packages" "as root: apt-get install ${names[*]}"
		as_root=(sudo)
		[ -t 0 ] || as_root=(sudo --non-interactive)
	fi
	packages_confirm "install them with ${as_root[*]:+sudo }apt-get?" ||
		packages_fail "not installed: ${names[*]}"
	packages_refresh
	# Another apt (unattended-upgrades, on a machine that has just started) is waited for.
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${names[@]}" > /dev/null < /dev/null ||
		packages_fail "apt-get could not install: ${names[*]}" "see what it says above; then run this again"
}

packages_confirm() { # QUESTION
	[ "$assume_yes" = no ] && [ -t 0 ] || return 0
	local answer
	read -r -p "$packages_name: $1 [Y/n] " answer || return 1
	case $answer in
	'' | [Yy] | [Yy][Ee][Ss]) return 0 ;;
	*) return 1 ;;
	esac
}

# Reads the package archive's lists anew, once per run.
packages_refresh() {
	[ "${packages_fresh:-no}" = no ] || return 0
	packages_fresh=yes
	local as_root=()
	[ "$(id -u)" = 0 ] || as_root=(sudo)
	[ "$(id -u)" = 0 ] || [ -t 0 ] || as_root=(sudo --non-interactive)
	"${as_root[@]}" apt-get update --quiet --quiet -o DPkg::Lock::Timeout=300 < /dev/null ||
		packages_say "apt-get update failed; going on with the lists that are there"
}

# --- Rust ----------------------------------------------------------------------------------------------------------

need_rust() { # VERSION
	local least=$1 found candidate
	# A login shell adds rustup's folder to PATH, sudo and CI often do not.
	PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
	rust_try "$least" cargo rustc rustdoc && return
	found=$(rustc --version 2> /dev/null | cut -d' ' -f2 || true)
	rust_versioned "$least" && return
	packages_say "limactl is built with Rust $least or newer; on PATH is ${found:-none}"

	candidate=$(rust_candidate "$least")
	if [ -z "$candidate" ]; then
		packages_refresh
		candidate=$(rust_candidate "$least")
	fi
	[ -n "$candidate" ] || packages_fail \
		"no Rust $least here: looked on PATH and for the packages cargo, cargo-web and cargo-1.NN with a version of at least $least" \
		"install it with rustup (a package in newer releases, else from the Rust project), then run this again"
	local suffix=${candidate#cargo}
	packages_install "cargo$suffix" "rustc$suffix" -- "cargo$suffix, rustc$suffix: the compiler that builds limactl"
	hash -r
	rust_try "$least" cargo rustc rustdoc || rust_versioned "$least" ||
		packages_fail "the package $candidate was installed but brings no Rust $least on PATH" "see \`cargo --version\`"
}

# Takes these programs if they are new enough.
rust_try() { # LEAST CARGO RUSTC RUSTDOC
	local version
	command -v "$2" > /dev/null && version=$("$3" --version 2> /dev/null | cut -d' ' -f2) || return 1
	rust_enough "$version" "$1" || return 1
	CARGO=$(command -v "$2")
	export CARGO
	# Plain names are what cargo runs anyway; to name them would make it rebuild what was built without.
	[ "$3" = rustc ] || export RUSTC="$3" RUSTDOC="$4"
}

# Ubuntu has several compilers side by side, each as rustc-1.NN: takes the newest that is installed.
rust_versioned() { # LEAST
	local cargo suffix
	while IFS= read -r cargo; do
		suffix=${cargo##*/cargo}
		rust_try "$1" "cargo$suffix" "rustc$suffix" "rustdoc$suffix" && return
	done < <(compgen -G '/usr/bin/cargo-1.[0-9]*' | sort -rV)
	return 1
}

# The first package of the archive that has a new enough cargo with its rustc: the plain one, the one that is kept new
# for browsers, the newest of the versioned ones.
rust_candidate() { # LEAST
	command -v apt-cache > /dev/null || return 0
	local name versioned
	versioned=$(apt-cache pkgnames cargo-1. | grep -E '^cargo-1\.[0-9]+$' | sort -rV || true)
	for name in cargo cargo-web $versioned; do
		if rust_enough "$(packages_candidate "${name/cargo/rustc}")" "$1" &&
			[ -n "$(packages_candidate "$name")" ]; then
			echo "$name"
			return
		fi
	done
}

packages_candidate() { # PACKAGE: the version that apt would install, without epoch; empty if none
	LC_ALL=C apt-cache policy "$1" 2> /dev/null |
		sed -n 's/^  Candidate: \([0-9]*:\)\{0,1\}\([0-9].*\)$/\2/p'
}

rust_enough() { # VERSION LEAST
	[ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "${1%%[+~-]*}" | sort -V | head -n1)" = "$2" ]
}
