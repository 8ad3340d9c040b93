//! Images that are not disks QEMU can grow become qcow2.
//!
//! `qemu-img` opens whatever an image points to, so what a stranger's image says is read first: one file and no other may be in it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::disk;
use super::error::DiskError;
use super::format::Format;
use super::qemu_img;
use crate::config::HostFacts;

/// Replaces the image at `path` by the same in qcow2, by way of `temporary`.
pub(super) fn to_qcow2(
    path: &Path,
    format: Format,
    temporary: &Path,
    host: &HostFacts,
) -> Result<(), DiskError> {
    let Some(name) = format.name_for_qemu() else { return Err(DiskError::Format(format)) };
    if format == Format::Vmdk {
        let file = fs::File::open(path).map_err(DiskError::Read)?;
        if is_description(&disk::read_head(&file).map_err(DiskError::Read)?) {
            return Err(DiskError::Description);
        }
    }
    let source = path.as_os_str();
    let told = qemu_img::run(
        host,
        &["info".as_ref(), "--output=json".as_ref(), "-f".as_ref(), name.as_ref(), source],
    )?;
    stands_alone(&serde_json::from_str(&told).unwrap_or_default(), &path.to_string_lossy())?;
    qemu_img::run(
        host,
        &[
            "convert".as_ref(),
            "-f".as_ref(),
            name.as_ref(),
            "-O".as_ref(),
            "qcow2".as_ref(),
            source,
            temporary.as_os_str(),
        ],
    )?;
    fs::rename(temporary, path).map_err(DiskError::Read)
}

/// Whether a VMDK is text, or has a text inside it that takes the place of its own tables (`capacity` 0): both name other files.
fn is_description(head: &[u8]) -> bool {
    let capacity = head.get(12..20);
    !head.starts_with(b"KDMV") || capacity.is_none_or(|capacity| capacity.iter().all(|byte| *byte == 0))
}

/// Refuses what `qemu-img info` says to depend on another file than `path`.
fn stands_alone(info: &Value, path: &str) -> Result<(), DiskError> {
    if !info["filename"].is_string() {
        return Err(DiskError::NoInfo);
    }
    let other = |name: &Value| name.as_str().filter(|name| *name != path).map(str::to_owned);
    let backing = ["backing-filename", "full-backing-filename"].iter().find_map(|key| other(&info[*key]));
    let children = info["children"].as_array().into_iter().flatten();
    let extents = info["format-specific"]["data"]["extents"].as_array().into_iter().flatten();
    let named =
        children.map(|child| &child["info"]["filename"]).chain(extents.map(|extent| &extent["filename"]));
    match backing.or_else(|| named.into_iter().find_map(other)) {
        Some(name) => Err(DiskError::BackingFile(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_description_of_other_files_is_no_image() {
        let mut sparse = b"KDMV\x01\0\0\0\x03\0\0\0\0\x80\0\0\0\0\0\0".to_vec();
        assert!(!is_description(&sparse));
        sparse[12..20].fill(0);
        assert!(is_description(&sparse));
        assert!(
            is_description(b"# Disk DescriptorFile\n") && is_description(b"COWD") && is_description(b"KDMV")
        );
    }

    #[test]
    fn an_image_in_one_file_stands_alone() {
        let alone = json!({"filename": "/i", "children": [{"name": "file", "info": {"filename": "/i"}}],
            "format-specific": {"data": {"extents": [{"filename": "/i"}]}}});
        assert!(stands_alone(&alone, "/i").is_ok());
        for (pointer, value) in [
            ("/children/0/info/filename", "/etc/shadow"),
            ("/format-specific/data/extents/0/filename", "/etc/shadow"),
        ] {
            let mut tied = alone.clone();
            *tied.pointer_mut(pointer).unwrap() = value.into();
            assert!(matches!(stands_alone(&tied, "/i"), Err(DiskError::BackingFile(name)) if name == value));
        }
        let mut tied = alone;
        tied["backing-filename"] = "/b".into();
        assert!(matches!(stands_alone(&tied, "/i"), Err(DiskError::BackingFile(name)) if name == "/b"));
        assert!(matches!(stands_alone(&Value::Null, "/i"), Err(DiskError::NoInfo)));
    }
}
