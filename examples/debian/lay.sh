#!/bin/bash
# Lays a root file system out: reads a tar archive on standard input, writes an ext4 image of SIZE bytes to standard
# output, which must be a file. It streams because in a user namespace this side may not open the caller's files.
# Usage: lay.sh SIZE. Reads ROOT_UUID and SOURCE_DATE_EPOCH.
set -euo pipefail
size=$1
: "${ROOT_UUID:?}" "${SOURCE_DATE_EPOCH:?}"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/lima-image-lay.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
# Without device nodes: the kernel fills /dev itself, and a user namespace may not make them.
tar --extract --directory="$work/tree" --numeric-owner --same-owner --preserve-permissions \
	--xattrs --xattrs-include='*' --exclude='./dev/*' --file=-

# Features by name, because the defaults of e2fsprogs change, and GRUB must be able to read the result.
cat > "$work/mke2fs.conf" <<'END'
[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	blocksize = 4096
	inode_size = 256
	inode_ratio = 16384
[fs_types]
	ext4 = {
		features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
	}
END
export MKE2FS_CONFIG="$work/mke2fs.conf" E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH
truncate --size="$size" "$work/image"
mke2fs -q -F -t ext4 -L root -U "$ROOT_UUID" -E "hash_seed=$ROOT_UUID" -d "$work/tree" "$work/image" >&2

# mke2fs copies the access and change times of the tree; nothing can set the latter beforehand. It hands inodes out
# one after the other, so the used ones are the first ones; 11 is the first that is not the file system's own.
used=$(dumpe2fs -h "$work/image" 2> /dev/null |
	awk -F: '$1 == "Inode count" { all = $2 } $1 == "Free inodes" { free = $2 } END { print all - free }')
for ((inode = 11; inode <= used; inode++)); do
	printf 'set_inode_field <%d> %s @%d\n' \
		"$inode" atime "$SOURCE_DATE_EPOCH" "$inode" ctime "$SOURCE_DATE_EPOCH"
done > "$work/times"
debugfs -w -f "$work/times" "$work/image" > /dev/null 2>&1

dd if="$work/image" bs=1M conv=sparse status=none
