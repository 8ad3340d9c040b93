//! Why an instance has no disk.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Part;
use super::format::Format;
use crate::config::packages::{Packaging, Wanted};
use crate::config::{Arch, Bytes};

#[derive(Debug, Error)]
pub enum ImageError {
    /// No candidate was even tried.
    #[error("[{}]", display_all(.0, " "))]
    NoneFits(Vec<Skip>),
    /// Every candidate that fits failed.
    #[error("{}", all_causes(.0))]
    AllFailed(Vec<ImageError>),
    #[error("failed to download `{location}`")]
    Fetch {
        location: String,
        #[source]
        source: FetchError,
    },
    #[error("`{}` cannot be used", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: DiskError,
    },
    #[error("cannot {action} `{}`", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Why a candidate was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Skip {
    #[error("skipped to download: `{location}`: unsupported arch: `{arch}`")]
    Arch { location: String, arch: Arch },
    #[error(
        "skipped to download: `{location}`: variant `{variant}` differs from `{wanted}`, that of the first image"
    )]
    Variant { location: String, variant: String, wanted: String },
}

/// Why a file did not arrive.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error("`{scheme}` images are not supported yet; download the file and give its path")]
    Remote { scheme: String },
    #[error("`file://` needs an absolute path")]
    RelativeUrl,
    #[error("`~USER` is not supported in a path; write the path out")]
    OtherHome,
    #[error("`~` needs the environment variable `HOME`")]
    NoHome,
    #[error("failed to open source {}: open {}", .path.display(), .path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("expected digest `{expected}`, got `{got}`")]
    Digest { expected: String, got: String },
    #[error(
        "`{digest}` is not a digest of the form `sha256:`, `sha384:` or `sha512:` and hexadecimal digits"
    )]
    BadDigest { digest: String },
    #[error("the {} is compressed ({format}), which is not supported yet; unpack it and give the path of the result", part.name())]
    Compressed { part: Part, format: Format },
    #[error("the image is an installation medium ({format}), which is not supported yet; use a disk image")]
    Medium { format: Format },
    #[error("the image has the format {format}; convert it with `qemu-img convert -O qcow2` first")]
    Format { format: Format },
    #[error("no space left in `{}`: {needed} are needed, {free} are free", dir.display())]
    NoSpace { dir: PathBuf, needed: Bytes, free: Bytes },
    #[error("cannot copy to `{}`", to.display())]
    Copy {
        to: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Why a file is not a disk that can be booted from or grown.
#[derive(Debug, Error)]
pub enum DiskError {
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it is empty")]
    Empty,
    #[error("it is not a complete qcow2 image: {0}")]
    BadQcow2(&'static str),
    #[error(
        "it has a backing file (`{0}`), which is not allowed; flatten it with `qemu-img convert -O qcow2`"
    )]
    BackingFile(String),
    #[error(
        "it keeps its data in another file, which is not allowed; flatten it with `qemu-img convert -O qcow2`"
    )]
    ExternalData,
    #[error("its format is {0}, not qcow2 or raw")]
    Format(Format),
    #[error(
        "disk shrinking is not supported: the disk has {actual}, `disk:` says {wanted}; set `disk: {enough}` or more"
    )]
    Shrink { actual: Bytes, wanted: Bytes, enough: String },
    #[error("exec: \"qemu-img\": executable file not found in $PATH")]
    NoQemuImg,
    #[error("failed to run [{command}]: {words}")]
    QemuImg { command: String, words: String },
    #[error("it cannot grow to {wanted}")]
    Grow {
        wanted: Bytes,
        #[source]
        source: std::io::Error,
    },
}

impl ImageError {
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
        let path = path.to_owned();
        move |source| ImageError::File { action, path, source }
    }

    /// What the user can do about it; `None` if the message says all. Looks up how this host installs packages.
    pub fn hint(&self) -> Option<String> {
        let ImageError::Disk { source, path } = self else {
            return None;
        };
        match source {
            DiskError::NoQemuImg => Some(match Packaging::of_this_host() {
                Some(packaging) => format!("run `{}`", packaging.install(Wanted::QemuImg)),
                None => "install `qemu-img` with the package manager of this system".to_owned(),
            }),
            DiskError::QemuImg { words, .. } if words.contains("lock") => {
                Some(format!("see who uses the disk with `fuser -v {}`", path.display()))
            }
            _ => None,
        }
    }
}

fn display_all<T: ToString>(items: &[T], between: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

/// One candidate per line, each with its own chain of causes: they are siblings, so none of them is *the* source.
fn all_causes(errors: &[ImageError]) -> String {
    errors.iter().map(|error| with_causes(error)).collect::<Vec<_>>().join("\n")
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
