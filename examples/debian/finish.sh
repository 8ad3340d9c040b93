#!/bin/bash
# Turns the tree that mmdebstrap unpacked ($1) into the root of a cloud image: boot loader, services, nothing of the
# machine that built it. mmdebstrap runs it with the rights of the tree's root; build.sh exports what it reads.
set -euo pipefail
root=$1
: "${ROOT_UUID:?}" "${ESP_SERIAL:?}" "${CONSOLE:?}" "${GRUB_FORMAT:?}" "${EFI_NAME:?}" "${ARCHIVE_OPTIONS?}"

write() { # PATH: standard input becomes that file of the image
	mkdir -p "$root/$(dirname "$1")"
	cat > "$root/$1"
}

# --- disks, locale, identity ---------------------------------------------------------------------------------------
write etc/fstab <<END
UUID=$ROOT_UUID / ext4 rw,discard,errors=remount-ro 0 1
UUID=$ESP_SERIAL /boot/efi vfat noauto,x-systemd.automount,umask=0077 0 0
END
mkdir -p "$root/boot/efi"
echo LANG=C.UTF-8 | write etc/default/locale
: | write etc/machine-id
rm -f "$root/var/lib/dbus/machine-id" "$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n' | write etc/hosts
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# --- services ------------------------------------------------------------------------------------------------------
chroot "$root" systemctl enable --quiet systemd-networkd.service systemd-resolved.service
# What a virtual machine that lives for a build does not need, and an emulated processor pays for at every boot.
chroot "$root" systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer grub-common.service man-db.timer motd-news.timer

# Where the build has a fixed date, Debian's Python compiles modules that are checked by reading their source, each
# time they are loaded. Ordinary ones, checked by date, halve the time that each stage of cloud-init takes to start.
chroot "$root" env -u SOURCE_DATE_EPOCH sh -c \
	'python3 -m compileall -q -f -j 0 --invalidation-mode timestamp /usr/lib/python3*' > /dev/null

# --- boot loader: one EFI program that holds its modules, one menu entry that follows the newest kernel ------------
for name in vmlinuz initrd.img; do
	# Debian keeps these links in the root, Ubuntu in /boot.
	if [ -e "$root/boot/$name" ]; then prefix=/boot; else prefix=; fi
	if ! [ -e "$root$prefix/$name" ]; then
		echo "the kernel package left no $name in / or /boot" >&2
		exit 1
	fi
done
write boot/grub/grub.cfg <<END
# The boot menu until \`update-grub\` writes another, which it does when a kernel is installed.
set timeout=0
menuentry 'Linux' {
	search --no-floppy --fs-uuid --set=root $ROOT_UUID
	linux $prefix/vmlinuz root=UUID=$ROOT_UUID ro console=$CONSOLE
	initrd $prefix/initrd.img
}
END
write etc/default/grub.d/90-guest.cfg <<END
# A guest has a serial line and nobody to choose an entry.
GRUB_TIMEOUT=0
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_TERMINAL=console
GRUB_CMDLINE_LINUX_DEFAULT=
GRUB_CMDLINE_LINUX="console=$CONSOLE"
GRUB_DISABLE_OS_PROBER=true
END
# shellcheck disable=SC2016 # $root is GRUB's
printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\n' "$ROOT_UUID" | write tmp/early.cfg
chroot "$root" grub-mkimage --format="$GRUB_FORMAT" --prefix=/boot/grub --config=/tmp/early.cfg \
	--output="/boot/$EFI_NAME" \
	boot cat configfile echo eval ext2 fat font gfxterm gzio halt linux loadenv ls minicmd normal part_gpt part_msdos \
	probe reboot regexp search search_fs_file search_fs_uuid search_label sleep terminal test true
rm "$root/tmp/early.cfg"

# --- nothing of the builder stays ----------------------------------------------------------------------------------
rm -f "$root"/etc/ssh/ssh_host_*_key*
rm -rf "$root/usr/share/python3/debpython/__pycache__" # differs from build to build; used by package scripts only
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
rm -rf "$root/etc/apt/auth.conf" "$root/etc/apt/auth.conf.d"
mkdir "$root/etc/apt/auth.conf.d"
if [ -n "$ARCHIVE_OPTIONS" ]; then
	# The package archive is the host's, with the same peculiarities.
	printf '%s\n' "$ARCHIVE_OPTIONS" | write etc/apt/apt.conf.d/90archive
fi
rm -f "$root"/var/log/{alternatives,bootstrap,dpkg}.log "$root"/var/log/apt/* "$root/var/lib/systemd/random-seed" \
	"$root/var/cache/ldconfig/aux-cache" "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old \
	"$root"/etc/{passwd,group,shadow,gshadow,subuid,subgid}-
