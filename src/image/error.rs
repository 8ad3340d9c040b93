//! Why an instance has no disk.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::cache::Entry;
use super::format::Format;
use super::{Part, room};
use crate::config::packages::{Packaging, Wanted};
use crate::config::{Arch, Bytes};
use crate::http;

#[derive(Debug, Error)]
pub enum ImageError {
    /// No candidate was even tried.
    #[error("{}", why_none_fits(.0))]
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
    #[error("unsupported protocol scheme `{scheme}`; use `http`, `https`, or the path of a file")]
    Scheme { scheme: String },
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("unexpected HTTP status `{status}`")]
    Status { status: String },
    /// The server, or the line to it, failed in the middle, again and again.
    #[error("the download broke off after {received}{}", of_total(.total))]
    Lost {
        received: Bytes,
        total: Option<Bytes>,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use the download cache `{}`", dir.display())]
    Cache {
        dir: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot decompress the {} ({format})", part.name())]
    Unpack {
        part: Part,
        format: Format,
        #[source]
        source: std::io::Error,
    },
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
    #[error("no space left in `{}`: {}{free} are free", dir.display(), are_needed(.needed))]
    NoSpace { dir: PathBuf, needed: Option<Bytes>, free: Bytes },
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
    #[error("its format is {0}, which QEMU cannot boot from; convert it to qcow2 or raw first")]
    Format(Format),
    #[error(
        "it is only a description whose data are in other files, which is not allowed; convert it with `qemu-img convert -O qcow2`"
    )]
    Description,
    #[error("`qemu-img info` does not say what it depends on")]
    NoInfo,
    #[error(
        "disk shrinking is not supported: the disk has {actual}, `disk:` says {wanted}; set `disk: {enough}` or more"
    )]
    Shrink { actual: Bytes, wanted: Bytes, enough: String },
    #[error("exec: \"qemu-img\": executable file not found in $PATH")]
    NoQemuImg,
    #[error("failed to run [{command}]: {words}")]
    QemuImg { command: String, words: String },
    /// The same of an image that came from outside: another one may be better.
    #[error("failed to run [{command}]: {words}")]
    Convert { command: String, words: String },
    #[error("it cannot grow to {wanted}")]
    Grow {
        wanted: Bytes,
        #[source]
        source: std::io::Error,
    },
}

impl FetchError {
    pub(super) fn cache(entry: &Entry, source: std::io::Error) -> FetchError {
        FetchError::in_cache(entry.dir(), source)
    }

    pub(super) fn no_entry(cache: &Path, url: &str, source: std::io::Error) -> FetchError {
        FetchError::in_cache(&super::cache::place(cache, url), source)
    }

    fn in_cache(dir: &Path, source: std::io::Error) -> FetchError {
        if room::is_full(&source) {
            return FetchError::no_space(dir, None);
        }
        FetchError::Cache { dir: dir.to_owned(), source }
    }

    pub(super) fn no_space(dir: &Path, needed: Option<Bytes>) -> FetchError {
        FetchError::NoSpace { dir: dir.to_owned(), needed, free: room::free(dir).unwrap_or(Bytes(0)) }
    }
}

fn of_total(total: &Option<Bytes>) -> String {
    total.map(|total| format!(" of {total}")).unwrap_or_default()
}

fn are_needed(needed: &Option<Bytes>) -> String {
    needed.map(|needed| format!("{needed} are needed, ")).unwrap_or_default()
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
            DiskError::NoQemuImg => Some(install_qemu_img()),
            DiskError::QemuImg { words, .. } if words.contains("lock") => {
                Some(format!("see who uses the disk with `fuser -v {}`", path.display()))
            }
            _ => None,
        }
    }
}

/// How this host gets `qemu-img`.
pub fn install_qemu_img() -> String {
    match Packaging::of_this_host() {
        Some(packaging) => format!("run `{}`", packaging.install(Wanted::QemuImg)),
        None => "install `qemu-img` with the package manager of this system".to_owned(),
    }
}

impl DiskError {
    /// A failure of `qemu-img` over an image that came from outside, as opposed to a disk that we made.
    pub(super) fn of_conversion(self) -> DiskError {
        match self {
            DiskError::QemuImg { command, words } => DiskError::Convert { command, words },
            other => other,
        }
    }
}

fn why_none_fits(skipped: &[Skip]) -> String {
    if skipped.is_empty() {
        return "there is no image to choose from; check `images`, `--image-variant` and `--arch-variant`"
            .to_owned();
    }
    format!("[{}]", display_all(skipped, " "))
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
