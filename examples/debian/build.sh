#!/bin/bash
# Builds a cloud image of the host's own distribution and release from its package archive: GPT, EFI system partition
# with GRUB, ext4 root, cloud-init. Needs no root, no loop device, and nothing but packages.
set -eEuo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
	cat <<'END'
Builds a guest image from the packages of this machine's own distribution.

usage: build.sh [--output DIR] [--force]
       build.sh [--output DIR] --print NAME

  --output DIR  where the image goes (default: $XDG_CACHE_HOME/lima-debian, else ~/.cache/lima-debian)
  --force       build even if the image there is of the same inputs
  --print NAME  print a path and build nothing; NAME is one of
                dir, image, kernel, initrd, yaml (EFI boot), direct-yaml (direct kernel boot)
  --help        this text

An image is built again when this folder, the release or the package lists (`apt-get update`) have changed.
SOURCE_DATE_EPOCH sets the time stamps; by default they are of the newest package list.
END
}

say() { printf 'image: %s\n' "$*" >&2; }
die() {
	printf 'image: error: %s\n' "$1" >&2
	shift
	for hint in "$@"; do printf 'image: hint: %s\n' "$hint" >&2; done
	exit 1
}

main() {
	output=${XDG_CACHE_HOME:-${HOME:?HOME is not set; give --output DIR}/.cache}/lima-debian
	force=no
	query=
	parse "$@"
	case $output in
	/*) ;;
	*) output=$PWD/$output ;;
	esac
	if [ -n "$query" ]; then
		print_path "$query"
		return
	fi
	identify_host
	require_tools
	mkdir -p "$output" || die "cannot create the folder \`$output\`"
	take_lock
	read_archive
	local key
	key=$(inputs_digest)
	if [ "$force" = no ] && is_current "$key"; then
		say "\`$output\` has the image of these inputs already"
		return
	fi
	build "$key"
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--output | --print)
			if [ -z "${2:-}" ]; then die "the option $1 needs a value" "see build.sh --help"; fi
			if [ "$1" = --output ]; then output=$2; else query=$2; fi
			shift
			;;
		--force) force=yes ;;
		--help | -h)
			usage
			exit 0
			;;
		*) die "unknown argument \`$1\`" "see build.sh --help" ;;
		esac
		shift
	done
}

print_path() {
	case $1 in
	dir) echo "$output" ;;
	image) echo "$output/debian.qcow2" ;;
	kernel) echo "$output/vmlinuz" ;;
	initrd) echo "$output/initrd.img" ;;
	yaml) echo "$output/debian.yaml" ;;
	direct-yaml) echo "$output/debian-direct.yaml" ;;
	*) die "cannot print \`$1\`: it is not dir, image, kernel, initrd, yaml or direct-yaml" ;;
	esac
}

# --- what is built, and from what ----------------------------------------------------------------------------------

# Sets: distribution, release, arch, and per architecture: lima_arch, kernel_package, console and the EFI names.
identify_host() {
	[ -r /etc/os-release ] || die "cannot tell the distribution: /etc/os-release is missing"
	local kernel
	# shellcheck source=/dev/null
	distribution=$(. /etc/os-release && echo "${ID:-}")
	# shellcheck source=/dev/null
	release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	case $distribution in
	debian) archive_origin=Debian kernel=linux-image-cloud-@ ;;
	ubuntu) archive_origin=Ubuntu kernel=linux-image-virtual ;;
	*) die "this is \`$distribution\`: an image can be built on Debian or Ubuntu only, from their own packages" ;;
	esac
	[ -n "$release" ] || die "/etc/os-release names no VERSION_CODENAME"
	arch=$(dpkg --print-architecture)
	case $arch in
	# no_timer_check: under software emulation on a busy host the kernel's test of the PC timer fails now and then, and it
	# panics ("IO-APIC + timer doesn't work"); under KVM it skips the test by itself.
	amd64) lima_arch=x86_64 console="ttyS0,115200 no_timer_check" grub_format=x86_64-efi efi_name=BOOTX64.EFI ;;
	arm64) lima_arch=aarch64 console=ttyAMA0,115200 grub_format=arm64-efi efi_name=BOOTAA64.EFI ;;
	*) die "no image is defined for the architecture \`$arch\`" ;;
	esac
	kernel_package=${kernel//@/$arch}
}

packages() {
	local list=(
		# what starts and runs it
		"$kernel_package" initramfs-tools zstd "grub-efi-$arch-bin" grub2-common
		systemd-sysv udev kmod dbus libpam-systemd e2fsprogs
		# what an instance is reached and set up by
		cloud-init cloud-guest-utils fdisk openssh-server iptables sudo rsync sshfs
		# what a person expects to find
		bind9-dnsutils ca-certificates curl iproute2 iputils-ping less netbase procps tzdata
	)
	case $release in
	bullseye | focal | jammy) ;; # part of the package systemd there
	*) list+=(systemd-resolved) ;;
	esac
	printf '%s\n' "${list[@]}"
}

require_tools() {
	local command package list missing=() why=()
	PATH=$PATH:/usr/sbin:/sbin
	while read -r command package; do
		case " ${missing[*]} " in *" $package "*) continue ;; esac
		command -v "$command" > /dev/null && continue
		missing+=("$package")
		why+=("$package (for \`$command\`)")
	done < <(
		cat <<-END
			mmdebstrap mmdebstrap
			mke2fs e2fsprogs
			debugfs e2fsprogs
			sfdisk fdisk
			mkfs.vfat dosfstools
			mcopy mtools
			qemu-img qemu-utils
		END
		[ "$(id -u)" = 0 ] || echo newuidmap uidmap
	)
	if [ ${#missing[@]} -gt 0 ]; then
		printf -v list '%s, ' "${why[@]}"
		die "these packages are missing: ${list%, }" "sudo apt-get install ${missing[*]}"
	fi
	[ "$(id -u)" = 0 ] || require_user_namespace
}

require_user_namespace() {
	local refusal user
	user=$(id -un)
	if ! grep -q "^\($user\|$(id -u)\):" /etc/subuid || ! grep -q "^\($user\|$(id -u)\):" /etc/subgid; then
		die "the user \`$user\` has no subordinate ids, without which an image cannot be built unprivileged" \
			"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $user" \
			"or build as root"
	fi
	if ! refusal=$(mmdebstrap --unshare-helper /bin/true 2>&1); then
		die "unprivileged user namespaces do not work here: ${refusal##*$'\n'}" \
			"see \`sysctl kernel.unprivileged_userns_clone kernel.apparmor_restrict_unprivileged_userns user.max_user_namespaces\`" \
			"or build as root"
	fi
}

# Sets: sources (lines for apt), indexes (the files of those package lists), archive_options, SOURCE_DATE_EPOCH.
# apt itself reads the host's configuration, so both forms of source files, and the lists say whose packages they are.
read_archive() {
	local table lists=()
	table=$(archive_table)
	if [ -z "$table" ]; then
		# A container image, say: nobody has asked the archive yet. Ask without touching the system's lists.
		say "this system has no package lists: fetching them"
		mkdir -p "$output/.lists/partial"
		lists=(-o "Dir::State::lists=$output/.lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
			-o APT::Sandbox::User=)
		apt-get "${lists[@]}" -qq update >&2 || die "cannot fetch the package lists" "sudo apt-get update"
		table=$(archive_table "${lists[@]}")
	fi
	[ -n "$table" ] || die "apt knows no $archive_origin archive" "check /etc/apt/sources.list.d and run apt-get update"

	sources=
	indexes=()
	local newest=0 suite component uri entry index key date
	while IFS='|' read -r _ suite component uri entry index; do
		key=$(signed_by "$entry")
		sources+="deb ${key:+[signed-by=$key] }$uri $suite $component"$'\n'
		indexes+=("$index")
		date=$(release_date "$index" "$component")
		[ "$date" -le "$newest" ] || newest=$date
	done <<< "$table"
	export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$newest}
	archive_options=$(apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|Max-ValidTime)[ :]' || true)
}

# One line per package list of the distribution's own archive: codename|suite|component|uri|source entry|file.
archive_table() {
	local all own
	# shellcheck disable=SC2016 # the names are apt's
	all=$(apt-get "$@" indextargets --format \
		'$(CODENAME)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(SOURCESENTRY)|$(FILENAME)' \
		'Created-By: Packages' "Origin: $archive_origin" "Architecture: $arch" | LC_ALL=C sort -u)
	# A host with a second release in its sources (pinned) builds of its own; one of a rolling release of all it has.
	own=$(grep -E "^$release(-[a-z-]+)?\|" <<< "$all" || true)
	printf '%s' "${own:-$all}"
}

# The key file of a source entry FILE:NUMBER, if it names one; the number is a line or, in the new form, a paragraph.
signed_by() {
	local file=${1%:*} number=${1##*:} value
	case $file in
	*.sources) value=$(awk -v RS= -v want="$number" 'NR == want' "$file" | grep -v '^#' |
		sed -n 's/^[Ss]igned-[Bb]y:[[:space:]]*//p') ;;
	*) value=$(sed -n "${number}s/.*[[ ]signed-by=\([^] ]*\).*/\1/p" "$file") ;;
	esac
	case $value in
	/*) echo "$value" ;;
	esac
}

# When the archive was published, in seconds: the Date of the release file that came with the package list $1.
release_date() {
	local base=${1%_"${2//\//_}"_binary-*} file date
	for file in "${base}_InRelease" "${base}_Release"; do
		date=$(sed -n '/^Date: /{s///p;q}' "$file" 2> /dev/null) && [ -n "$date" ] && date -d "$date" +%s && return
	done
	stat -c %Y "$1"
}

inputs_digest() {
	{
		echo "$distribution $release $arch $SOURCE_DATE_EPOCH"
		printf '%s' "$sources"
		cat "${indexes[@]}"
		folder_files | while IFS= read -r file; do
			printf '%s\n' "$file"
			cat "$here/$file"
		done
	} | sha256sum | cut -d' ' -f1
}

folder_files() { (cd "$here" && find build.sh finish.sh lay.sh overlay -type f | LC_ALL=C sort); }

# --- where it goes: nothing is taken for an image unless the stamp, written last, is there -------------------------

take_lock() {
	exec 9> "$output/.lock" || die "cannot write to \`$output\`"
	if ! flock --nonblock 9; then
		say "another build is at work in \`$output\`: waiting for it"
		flock 9
	fi
}

is_current() {
	local name
	[ "$(cat "$output/.inputs" 2> /dev/null)" = "$1" ] || return 1
	for name in image kernel initrd yaml direct-yaml; do
		[ -s "$(print_path "$name")" ] || return 1
	done
}

publish() { # KEY
	local new=$work/out
	rm -f "$output/.inputs" "$output/debian.yaml" "$output/debian-direct.yaml"
	mv "$new/debian.qcow2" "$new/vmlinuz" "$new/initrd.img" "$output/"
	mv "$new/debian.yaml" "$new/debian-direct.yaml" "$output/"
	printf '%s\n' "$1" > "$work/inputs"
	mv "$work/inputs" "$output/.inputs"
}

# Runs a command as the root of a tree: root itself, or root of the user namespace that mmdebstrap makes.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else mmdebstrap --unshare-helper "$@"; fi
}

remove_tree() { rm -rf "$1" 2> /dev/null || as_root rm -rf "$1" 2> /dev/null || rm -rf "$1"; }

# --- the build -----------------------------------------------------------------------------------------------------

build() { # KEY
	local key=$1 started=$SECONDS left
	# Left behind by a build that was killed.
	left=$(cat "$output/.work" 2> /dev/null || true)
	case $left in
	*/lima-image.*) remove_tree "$left" ;;
	esac
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/lima-image.XXXXXX")
	printf '%s\n' "$work" > "$output/.work"
	trap 'remove_tree "$work"; rm -f "$output/.work"' EXIT
	trap 'exit 130' INT TERM HUP
	trap 'say "error: \`${BASH_COMMAND%%[[:space:]]*}\` failed in line $LINENO of build.sh; the log is \`$output/build.log\`"' ERR
	chmod 755 "$work" # the root of the namespace is another user
	require_room "$work" 3000
	require_room "$output" 900
	mkdir "$work/out"

	root_uuid=$(uuid_from "$key root")
	esp_serial=$(sha256sum <<< "$key esp" | cut -c1-8)
	say "$distribution $release $arch into \`$output\`"
	unpack_packages
	lay_out_disk
	(cd "$work/out" && cp "$work/boot/vmlinuz" vmlinuz && cp "$work/boot/initrd.img" initrd.img)
	say "converting to qcow2"
	qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/out/debian.qcow2" ||
		die "qemu-img could not convert the image"
	write_instance_files
	publish "$key"
	say "done in $((SECONDS - started)) s: $(du -m "$output/debian.qcow2" | cut -f1) MB"
}

require_room() { # FOLDER MEBIBYTES
	local free
	free=$(df --output=avail -m "$1" | tail -n1)
	[ "$free" -ge "$2" ] || die "\`$1\` has $free MiB free, the build needs $2" \
		"set TMPDIR for the scratch space, --output for the image"
}

uuid_from() {
	local h
	h=$(sha256sum <<< "$1")
	echo "${h:0:8}-${h:8:4}-4${h:13:3}-8${h:17:3}-${h:20:12}"
}

unpack_packages() {
	say "unpacking packages (the log is \`$output/build.log\`)"
	apt-config dump | grep -E '^Acquire::(http|https|ftp|tor|Retries|Queue-Mode|ForceIPv|Check-Valid-Until|Check-Date|Max-ValidTime|Proxy)' \
		> "$work/apt.conf" || true
	printf '%s' "$sources" > "$work/sources.list"
	tar --create --file="$work/overlay.tar" --directory="$here/overlay" --sort=name --owner=0 --group=0 \
		--numeric-owner --mode=u+rwX,go+rX,go-w --mtime="@$SOURCE_DATE_EPOCH" .
	cp "$here/finish.sh" "$here/lay.sh" "$work/" # the caller's home may be closed to the namespace's root
	chmod 755 "$work/finish.sh" "$work/lay.sh"

	local include mode=root hooks=()
	include=$(packages | paste -sd,)
	[ "$(id -u)" = 0 ] || mode=unshare
	hooks+=("--setup-hook=tar-in $work/overlay.tar /")
	local auth
	for auth in /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do
		if [ -f "$auth" ] && [ -r "$auth" ]; then
			hooks+=("--setup-hook=mkdir -p \"\$1\"/etc/apt/auth.conf.d" "--setup-hook=copy-in $auth ${auth%/*}")
		fi
	done
	export ROOT_UUID=$root_uuid ESP_SERIAL=${esp_serial^^} CONSOLE="$console" GRUB_FORMAT=$grub_format \
		EFI_NAME=$efi_name ARCHIVE_OPTIONS=$archive_options
	ESP_SERIAL=${ESP_SERIAL:0:4}-${ESP_SERIAL:4:4}
	TMPDIR=$work mmdebstrap --mode="$mode" --variant=apt --format=tar --architectures="$arch" --include="$include" \
		--aptopt="$work/apt.conf" --dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-include=/usr/share/doc/*/copyright' \
		"${hooks[@]}" --customize-hook="$work/finish.sh" \
		"$release" "$work/root.tar" "$work/sources.list" > "$output/build.log" 2>&1 || {
		tail -n 20 "$output/build.log" >&2
		die "the packages could not be unpacked" "the whole log is \`$output/build.log\`"
	}
}

# A file of the tree, links followed: NAME is looked for in / (Debian) and /boot (Ubuntu).
lay_out_disk() {
	say "laying out the disk"
	local mib=$((1024 * 1024)) esp_mib=62 root_mib=2048 esp_at root_at last_mib
	esp_at=$((1 * mib)) root_at=$(((1 + esp_mib) * mib)) last_mib=$((1 + esp_mib + root_mib + 1))

	mkdir "$work/boot"
	tar --extract --file="$work/root.tar" --directory="$work/boot" --strip-components=2 --no-same-owner \
		--wildcards './boot/vmlinuz*' './boot/initrd.img*' "./boot/$efi_name"
	newest "$work/boot" vmlinuz
	newest "$work/boot" initrd.img

	truncate --size="${last_mib}M" "$work/disk.raw"
	sfdisk --quiet "$work/disk.raw" <<-END
		label: gpt
		label-id: $(uuid_from "$root_uuid disk")
		15: start=1MiB, size=${esp_mib}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=$(uuid_from "$root_uuid esp")
		1: start=$((1 + esp_mib))MiB, size=${root_mib}MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=$(uuid_from "$root_uuid part")
	END

	local esp="$work/disk.raw@@$esp_at"
	mkfs.vfat --invariant -F 32 -s 1 -i "$esp_serial" -n EFI --offset $((esp_at / 512)) "$work/disk.raw" \
		$((esp_mib * 1024)) >> "$output/build.log" 2>&1
	mmd -i "$esp" ::/EFI ::/EFI/BOOT
	mcopy -i "$esp" -m "$work/boot/$efi_name" "::/EFI/BOOT/$efi_name"

	# From the partition's start on; conv=notrunc is lay.sh's own, through the open file.
	{
		dd bs=1M seek=$((root_at / mib)) count=0 status=none
		as_root "$work/lay.sh" $((root_mib * mib)) < "$work/root.tar"
	} 1<> "$work/disk.raw" 2>> "$output/build.log" || {
		tail -n 5 "$output/build.log" >&2
		die "the root file system could not be laid out" "the whole log is \`$output/build.log\`"
	}
	rm "$work/root.tar"
}

# Leaves the file NAME in FOLDER: the newest of NAME-VERSION.
newest() { # FOLDER NAME
	local file
	file=$(find "$1" -type f -name "$2-*" -printf '%f\n' | sort -V | tail -n1)
	[ -n "$file" ] || die "the image has no $2"
	rm -f "$1/$2"
	mv "$1/$file" "$1/$2"
}

# --- the instance files --------------------------------------------------------------------------------------------

write_instance_files() {
	local kernel_digest initrd_digest
	kernel_digest=$(sha256sum "$work/out/vmlinuz" | cut -d' ' -f1)
	initrd_digest=$(sha256sum "$work/out/initrd.img" | cut -d' ' -f1)
	instance_file "EFI boot, through GRUB" > "$work/out/debian.yaml" < /dev/null
	instance_file "direct kernel boot: no firmware, no boot loader" > "$work/out/debian-direct.yaml" <<-END
		  kernel:
		    location: $(yaml_string "$output/vmlinuz")
		    digest: "sha256:$kernel_digest"
		    cmdline: "root=UUID=$root_uuid ro console=$console"
		  initrd:
		    location: $(yaml_string "$output/initrd.img")
		    digest: "sha256:$initrd_digest"
	END
}

instance_file() { # WHAT; standard input: more keys of the image
	cat <<-END
		# An instance of $distribution $release from this machine's own packages; $1.
		# Written by build.sh. The image has no digest: it was made here, and its hash would cost seconds at every creation.
		images:
		- location: $(yaml_string "$output/debian.qcow2")
		  arch: "$lima_arch"
	END
	cat
	cat <<-END
		cpus: 2
		memory: "1GiB"
		disk: "8GiB"
		mounts: []
		containerd:
		  system: false
		  user: false
	END
	if [ "$distribution" = debian ]; then
		printf '# The cloud kernel has no 9p.\nmountTypesUnsupported: ["9p"]\n'
	fi
}

yaml_string() {
	local s=${1//\\/\\\\}
	printf '"%s"' "${s//\"/\\\"}"
}

main "$@"
