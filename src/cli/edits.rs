//! The flags that change `lima.yaml`, and what they change. Their order here is the order in which they are applied, whatever the order on the command line.

use clap::{ArgAction, Args};
use thiserror::Error;

use super::go_text;
use crate::config::edits::Edit;

/// Flags of every command that changes the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct EditArgs {
    /// Number of processors
    #[arg(long, value_name = "N", value_parser = go_text::parse_int, allow_hyphen_values = true)]
    pub cpus: Option<i64>,
    /// Memory in GiB
    #[arg(long, value_name = "GIB", value_parser = gib)]
    pub memory: Option<f32>,
    /// Driver: qemu
    #[arg(long, value_name = "NAME")]
    pub vm_type: Option<String>,
    /// Port of ssh on the host's loopback; 0 takes a free one
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub ssh_port: Option<u16>,
    /// Size of the disk in GiB
    #[arg(long, value_name = "GIB", value_parser = gib)]
    pub disk: Option<f32>,
    /// Shell of the guest's user, an absolute path in the guest
    #[arg(long, value_name = "PATH")]
    pub shell: Option<String>,
}

/// Flags that only a new instance can have.
#[derive(Debug, Clone, Default, Args)]
pub struct NewArgs {
    /// Architecture: x86_64, aarch64, armv7l, ppc64le, riscv64, s390x
    #[arg(long, value_name = "NAME")]
    pub arch: Option<String>,
    /// Start without mounts and port forwards
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub plain: Option<bool>,
}

/// A flag whose value was read and cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("error while processing flag `{flag}`: {problem}")]
pub struct EditError {
    flag: &'static str,
    problem: &'static str,
}

impl EditArgs {
    /// The edits for an existing instance.
    pub fn edits(&self) -> Result<Vec<Edit>, EditError> {
        self.edits_with(&NewArgs::default())
    }

    /// The edits for a new instance.
    pub fn edits_with(&self, new: &NewArgs) -> Result<Vec<Edit>, EditError> {
        let edits = [
            self.cpus.map(cpus).transpose()?,
            self.memory.map(Edit::Memory),
            self.vm_type.clone().map(Edit::VmType),
            self.ssh_port.map(Edit::SshPort),
            new.arch.clone().map(Edit::Arch),
            self.disk.map(Edit::Disk),
            new.plain.map(Edit::Plain),
            self.shell.clone().map(Edit::Shell),
        ];
        Ok(edits.into_iter().flatten().collect())
    }
}

impl NewArgs {
    /// Warns of the flags that cannot change the existing instance `name`.
    pub fn warn_not_applicable(&self, name: &str) {
        let arch = self.arch.as_ref().map(|arch| ("arch", arch.clone()));
        let plain = self.plain.map(|plain| ("plain", plain.to_string()));
        for (flag, value) in [arch, plain].into_iter().flatten() {
            tracing::warn!(
                "`--{flag}` is not applicable to an existing instance (Hint: create a new instance with `limactl create --{flag}={value} --name={name}`)"
            );
        }
    }
}

/// Zero passes here and is refused by validation, which knows more.
fn cpus(count: i64) -> Result<Edit, EditError> {
    u32::try_from(count)
        .map(Edit::Cpus)
        .map_err(|_| EditError { flag: "cpus", problem: "invalid value for number of cpus, must be >= 0" })
}

fn gib(text: &str) -> Result<f32, String> {
    go_text::parse_float(text)
}

fn port(text: &str) -> Result<u16, String> {
    let number = go_text::parse_int(text).map_err(|error| error.replace("ParseInt", "ParseUint"))?;
    u16::try_from(number)
        .map_err(|_| format!("strconv.ParseUint: parsing {}: value out of range", go_text::quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_come_in_one_order() {
        let args =
            EditArgs { disk: Some(2.5), cpus: Some(2), shell: Some("/bin/sh".into()), ..EditArgs::default() };
        let new = NewArgs { plain: Some(true), arch: None };
        assert_eq!(
            args.edits_with(&new).unwrap(),
            [Edit::Cpus(2), Edit::Disk(2.5), Edit::Plain(true), Edit::Shell("/bin/sh".into())]
        );
        assert_eq!(args.edits().unwrap().len(), 3);
    }

    #[test]
    fn numbers_out_of_range_are_told() {
        assert_eq!(
            cpus(-1).unwrap_err().to_string(),
            "error while processing flag `cpus`: invalid value for number of cpus, must be >= 0"
        );
        assert_eq!(port("70000").unwrap_err(), "strconv.ParseUint: parsing \"70000\": value out of range");
    }
}
