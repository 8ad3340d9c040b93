//! The cloud-init disk of one start: values in, files out, ISO 9660 bytes out.
//!
//! ```text
//! Values ──files()──▶ [File] ──iso::image("cidata", …)──▶ bytes of cidata.iso ──▶ (the story writes them, the driver attaches them)
//!    └────cloud_config()──▶ cloud-config.yaml, for people to read only
//! ```
//!
//! Life cycle, once per start: the host agent makes a new volume with a new instance id, so that cloud-init takes this boot for a first
//! one and applies users, network and files again. cloud-init finds the volume by its label and reads `user-data`, `meta-data` and
//! `network-config`. `user-data` writes a per-boot hook, which mounts the volume at `/mnt/lima-cidata` and runs `boot.sh`; that runs
//! `boot.essential.Linux/`, `boot.Linux/` (not in plain mode) and `provision.*`, and writes `/run/lima-boot-done`.
//!
//! Files of mode `yq` are edited by the host, because nothing is installed in the guest: `boot.sh` puts the text of the file into
//! `/run/lima-yq/<number>.in` (or makes `<number>.none`), the host agent fetches it by ssh, evaluates the expression and brings
//! `<number>.out` or `<number>.err`; `boot.sh` writes the file. Once in each start by the host, not after reboots in between.
//!
//! Before that, `bootcmd` of `user-data` gives the guest's name an address in `/etc/hosts`, names network interfaces that cloud-init could
//! not name, keeps the nameservers of all but the first out of use, and runs provisions of mode `boot`; one that fails is noted in `/run/lima-early-failed` and reported by `boot.sh`.
//!
//! What the guest tells the host:
//!
//! | where | content | when |
//! |---|---|---|
//! | serial console | `LIMA-BOOT <iid> <stage>` on a line of its own: `cloud-init`, `started`, `essential`, `scripts`, `provision`, `done`, `failed <what>` | as each begins |
//! | `/run/lima-ssh-ready` | the instance id | the user's environment is final (not in plain mode) |
//! | `/run/lima-boot-failed` | the instance id, then `<what> <exit code>` per failed step; absent if none failed | before the next |
//! | `/run/lima-boot-done` | the instance id | everything has run, well or not |
//!
//! Invariants: everything here is pure, the same values give the same bytes; no value is ever evaluated by a shell or changes the
//! structure of a YAML document, whatever it contains; a value that a format cannot carry is an error that names it; a step that fails
//! in the guest is recorded by name and never keeps the boot from finishing.
//!
//! Formats: NoCloud data source and network configuration version 2 of cloud-init; ECMA-119 and Rock Ridge (see `iso`).

mod env;
mod guest;
pub mod iso;
#[cfg(test)]
mod iso_reader;
mod iso_record;
mod iso_tree;
#[cfg(test)]
mod tests;
mod user_data;
mod values;
mod yaml;

use thiserror::Error;

use crate::config::resolved::ProvisionMode;

pub use user_data::cloud_config;
pub use values::{CaCerts, Nic, Slirp, Values};

/// Label by which cloud-init finds the volume.
pub const VOLUME_ID: &str = "cidata";

/// One file of the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative path with `/` between its parts; no part is empty, `.` or `..`.
    pub path: String,
    pub content: Vec<u8>,
    /// Mode 0755 instead of 0644.
    pub executable: bool,
}

/// Why a volume cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    #[error("the guest's user must not be `root`")]
    RootUser,
    #[error("the guest's user must not have uid 0")]
    RootUid,
    #[error("`{field}` must not be empty")]
    EmptyField { field: &'static str },
    #[error("no ssh public key for the guest's user")]
    NoSshKey,
    #[error("the value of `{key}` must be one line, without NUL")]
    NotOneLine { key: String },
    #[error("`{name}` cannot be the name of an environment variable (field `env`)")]
    EnvName { name: String },
    #[error(
        "`{name}` cannot be the name of a parameter (field `param`): want a letter, then letters, digits and `_`"
    )]
    ParamName { name: String },
    #[error("volume id `{id}` is longer than 32 bytes")]
    VolumeId { id: String },
    #[error("`{path}` is no path inside a volume")]
    Path { path: String },
    #[error("`{path}` is twice on the volume")]
    DuplicatePath { path: String },
    #[error("`{path}` has a part of more than {limit} bytes")]
    NameTooLong { path: String, limit: usize },
    #[error("`{path}` is deeper than {limit} folders")]
    TooDeep { path: String, limit: usize },
    #[error("`{path}` does not fit a volume of 4 GiB")]
    TooLarge { path: String },
}

/// Every file of the volume, in the order in which upstream lists them: seed, environments, scripts, provisions.
///
/// Fails if the user is root, has an empty home or shell or no key, or if a value cannot be written in its file.
pub fn files(values: &Values) -> Result<Vec<File>, Error> {
    check_user(values)?;
    let mut files = vec![
        plain("user-data", user_data::user_data(values)),
        plain("meta-data", user_data::meta_data(values)),
        plain("network-config", user_data::network_config(values)),
        plain("lima.env", env::lima_env(values)?),
        plain("param.env", env::param_env(values)?),
        plain("etc_environment", env::etc_environment(values)?),
    ];
    files.extend(guest::scripts());
    files.extend(values.provisions.iter().enumerate().filter_map(|(index, provision)| {
        let (folder, content, executable) = match &provision.mode {
            ProvisionMode::System { script } => ("system", script.as_bytes(), true),
            ProvisionMode::User { script } => ("user", script.as_bytes(), true),
            ProvisionMode::Dependency { script, .. } => ("dependency", script.as_bytes(), true),
            ProvisionMode::Data(file) => ("data", file.content.as_slice(), false),
            ProvisionMode::Yq { expression, .. } => ("yq", expression.as_bytes(), false),
            // Part of `user-data`, and the host's business.
            ProvisionMode::Boot { .. } | ProvisionMode::Ansible { .. } => return None,
        };
        Some(File { path: format!("provision.{folder}/{index:08}"), content: content.to_vec(), executable })
    }));
    Ok(files)
}

fn plain(path: &str, content: String) -> File {
    File { path: path.to_owned(), content: content.into_bytes(), executable: false }
}

fn check_user(values: &Values) -> Result<(), Error> {
    let user = &values.user;
    if user.name == "root" {
        return Err(Error::RootUser);
    }
    if user.uid == 0 {
        return Err(Error::RootUid);
    }
    let fields = [("user.name", &user.name), ("user.home", &user.home), ("user.shell", &user.shell)];
    if let Some((field, _)) = fields.into_iter().find(|(_, value)| value.is_empty()) {
        return Err(Error::EmptyField { field });
    }
    if values.ssh_public_keys.is_empty() {
        return Err(Error::NoSshKey);
    }
    Ok(())
}
