# shellcheck shell=sh
# Per-boot hook of cloud-init: mounts the seed volume and hands over to its boot script. `lima_iid` and `lima_say` stand above it.

LIMA_CIDATA_MNT=/mnt/lima-cidata
export LIMA_CIDATA_MNT
if ! [ -e "$LIMA_CIDATA_MNT/boot.sh" ]; then
    device=/dev/disk/by-label/cidata
    # Without udev there are no links by label.
    [ -e "$device" ] || device=$(blkid -L cidata)
    [ -d "$LIMA_CIDATA_MNT" ] || mkdir -m 700 "$LIMA_CIDATA_MNT"
    # The volume's modes are not relied on: these options make every file executable, for root alone.
    if ! mount -t iso9660 -o ro,mode=0700,dmode=0700,overriderockperm,exec,uid=0 "$device" "$LIMA_CIDATA_MNT"; then
        # shellcheck disable=SC2154 # set above
        lima_say "LIMA-BOOT $lima_iid failed mount-cidata"
        exit 1
    fi
fi
exec "$LIMA_CIDATA_MNT/boot.sh"
