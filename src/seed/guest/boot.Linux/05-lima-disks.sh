#!/bin/sh
# Additional disks: a disk with nothing on it gets a partition and a file system, and everything that can be mounted is mounted.
#
# What is on a disk is asked of the disk itself, never of a label: labels are cut off by every file system at another length. Anything that
# is found there, a file system on the whole disk included, is kept. Runs again within a boot without harm.
#
# udev reads a disk's table anew after each write to the disk, and for a moment the partitions are not there: what cannot be read is not blank.

# shellcheck disable=SC2154 # name, device, format, fstype and fsargs are set by eval
# content DEVICE: sets `found` to the type of what is on it, `nothing`, or `unclear`. Only what is found three times in a row to be nothing is.
content() {
    blank=0
    tries=30
    while [ "$blank" -lt 3 ]; do
        probe "$1"
        case $found in
        nothing) blank=$((blank + 1)) ;;
        unclear) blank=0 ;;
        *) return 0 ;;
        esac
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            found=unclear
            return 0
        fi
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# probe DEVICE: what it looks like now.
probe() {
    found=unclear
    is_readable "$1" || return 0
    reply=$(blkid -p "$1" 2>/dev/null) && code=0 || code=$?
    case $code in
    0) ;;
    # It says the same of a device that it cannot open.
    2)
        if is_readable "$1"; then found=nothing; fi
        return 0
        ;;
    8) return 0 ;;
    # A small blkid has no options, and no output for a blank device.
    *)
        command -v blkid >/dev/null || return 0
        reply=$(blkid "$1" 2>/dev/null) || reply=
        ;;
    esac
    case " $reply" in
    *' TYPE="'*)
        found=${reply#*' TYPE="'}
        found=${found%%'"'*}
        ;;
    *' PTTYPE="'*) found=partitions ;;
    # It knows few types, so the beginning must be blank as well.
    ' ') if is_blank "$1"; then found=nothing; fi ;;
    esac
}

# is_readable DEVICE
is_readable() {
    [ "$(head -c 512 "$1" 2>/dev/null | wc -c)" -eq 512 ]
}

# is_blank DEVICE: whether its first mebibyte can be read and is zeros.
is_blank() {
    [ "$(head -c 1048576 "$1" 2>/dev/null | wc -c)" -eq 1048576 ] &&
        [ "$(head -c 1048576 "$1" | tr -d '\000' | head -c 1 | wc -c)" -eq 0 ]
}

# partition DISK: sets `part` to its first partition; empty if there is none.
partition() {
    part=
    if [ -e "/sys/class/block/${1}1" ]; then part=/dev/${1}1; fi
}

# await DEVICE: the node of a partition comes a moment after the table was written.
await() {
    tries=100
    until [ -b "$1" ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# settle: udev reads a table anew that was just written; until it has, the partitions come and go.
settle() {
    if command -v udevadm >/dev/null; then udevadm settle --timeout=10 || true; fi
}

# divide DISK FSTYPE: one partition over all of it. Without a program for that the file system takes the whole disk.
divide() {
    part=/dev/$1
    command -v sfdisk >/dev/null || return 0
    kind=L
    if [ "$2" = swap ]; then kind=S; fi
    printf 'type=%s\n' "$kind" | sfdisk -q --label gpt "/dev/$1"
    settle
    part=/dev/${1}1
    await "$part"
}

# label FSTYPE: sets `label`, as long as the file system takes it.
label() {
    label=lima-$name
    case $1 in
    xfs) longest=12 ;;
    vfat | fat | msdos) longest=11 ;;
    *) longest=16 ;;
    esac
    label=$(printf '%s' "$label" | cut -c "1-$longest")
}

# make DEVICE FSTYPE FSARGS
make() {
    label "$2"
    log "disk $name: making $2 on $1"
    # shellcheck disable=SC2086 # the arguments are words
    case $2 in
    swap) mkswap $3 -L "$label" "$1" ;;
    vfat | fat | msdos) mkfs.vfat $3 -n "$label" "$1" ;;
    f2fs) mkfs.f2fs $3 -l "$label" "$1" ;;
    *) "mkfs.$2" $3 -L "$label" "$1" ;;
    esac </dev/null
}

number() {
    read -r number <"$1"
}

# grow DISK: gives its only partition what the disk has grown by; sets `grown` if there was something.
grow() {
    grown=
    [ ! -e "/sys/class/block/${1}2" ] || return 0
    number "/sys/class/block/$1/size"; all=$number
    number "/sys/class/block/${1}1/start"; used=$number
    number "/sys/class/block/${1}1/size"; used=$((used + number))
    # Alignment and the second copy of the table leave a little; sectors are of 512 bytes here.
    [ $((all - used)) -gt 8192 ] || return 0
    log "disk $name: growing its partition"
    if command -v sfdisk >/dev/null; then
        printf ', +\n' | sfdisk -q --force --wipe never -N 1 "/dev/$1"
    elif command -v growpart >/dev/null; then
        growpart "/dev/$1" 1
    else
        return 0
    fi
    grown=1
    settle
    await "/dev/${1}1"
}

# fill DEVICE TYPE: gives a mounted file system what its device has grown by.
fill() {
    case $2 in
    ext2 | ext3 | ext4) if command -v resize2fs >/dev/null; then resize2fs "$1"; fi ;;
    xfs) if command -v xfs_growfs >/dev/null; then xfs_growfs "$target"; fi ;;
    btrfs) if command -v btrfs >/dev/null; then btrfs filesystem resize max "$target"; fi ;;
    esac
}

is_mounted() {
    grep -q " $target " /proc/mounts
}

is_swap() {
    grep -q "^$1[[:space:]]" /proc/swaps
}

# use DEVICE TYPE
use() {
    case $2 in
    swap)
        if is_swap "$1"; then return 0; fi
        # Nothing is lost with the content of a swap area.
        if [ -n "$grown" ]; then make "$1" swap "$fsargs"; fi
        swapon "$1"
        ;;
    *_member | crypto_LUKS | partitions) log "disk $name: $2 is left alone" ;;
    *)
        if ! is_mounted; then
            if [ -n "$fstype" ] && [ "$fstype" != "$2" ]; then log "disk $name: has $2, not $fstype"; fi
            mkdir -p "$target"
            mount -t "$2" "$1" "$target" 2>/dev/null || { sleep 1; mount -t "$2" "$1" "$target"; }
        fi
        fill "$1" "$2"
        ;;
    esac
}

# set_up DISK
set_up() {
    grown=
    await "/dev/$1" || { log "disk $name: /dev/$1 is not there"; return 1; }
    partition "$1"
    if [ -n "$part" ]; then
        grow "$1"
        content "$part"
        # Somebody has made this partition, so more is asked of it than of a disk that is new.
        if [ "$found" = nothing ] && ! is_blank "$part"; then found=unclear; fi
    else
        content "/dev/$1"
        if [ "$found" != nothing ]; then part=/dev/$1; fi
    fi
    case $found in
    unclear)
        log "disk $name: what is on it is not clear, so it is left alone"
        return 1
        ;;
    nothing)
        if [ "$format" != true ]; then
            log "disk $name: nothing is on it, and it is not to be formatted"
            return 0
        fi
        if [ -z "$part" ]; then divide "$1" "${fstype:-ext4}"; fi
        make "$part" "${fstype:-ext4}" "$fsargs"
        found=${fstype:-ext4}
        grown=
        ;;
    esac
    use "$part" "$found"
}

index=0
bad=
while [ "$index" -lt "$LIMA_CIDATA_DISKS" ]; do
    # The number holds nothing but digits; the values are not evaluated.
    eval "name=\$LIMA_CIDATA_DISK_${index}_NAME device=\$LIMA_CIDATA_DISK_${index}_DEVICE format=\$LIMA_CIDATA_DISK_${index}_FORMAT"
    eval "fstype=\$LIMA_CIDATA_DISK_${index}_FSTYPE fsargs=\$LIMA_CIDATA_DISK_${index}_FSARGS"
    target=/mnt/lima-$name
    # One disk that cannot be used keeps the others from nothing. The shell that runs this ends at the first failure, so each has its own.
    (set_up "$device") & wait $! || bad="$bad $name"
    index=$((index + 1))
done
if [ -n "$bad" ]; then
    log "disks that are not set up:$bad"
    exit 1
fi
