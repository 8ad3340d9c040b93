//! Why a VM could not be started, or not be ended.

use std::path::PathBuf;

use thiserror::Error;

use super::probe::ProbeError;
use crate::config::Arch;
use crate::config::packages::{Packaging, Wanted};

#[derive(Debug, Error)]
pub enum DriverError {
    #[error("vmType `{name}` is not a registered driver")]
    UnknownDriver { name: String },
    /// The value of `QEMU_SYSTEM_*` cannot be split into words.
    #[error("environment variable `{variable}` has an unclosed quote: `{value}`")]
    BadOverride { variable: String, value: String },
    #[error(
        "environment variable `LIMA_QEMU_ACCEL` must be `kvm` or `tcg` (macOS: `hvf` or `tcg`), got `{value}`"
    )]
    BadAccel { value: String },
    #[error("exec: \"{program}\": executable file not found in $PATH")]
    MissingProgram { program: String, arch: Arch },
    #[error("cannot ask `{program}` for its {question}")]
    Probe {
        program: PathBuf,
        question: &'static str,
        #[source]
        source: ProbeError,
    },
    #[error("QEMU `{}` is version {version}, at least {minimum} is needed", program.display())]
    TooOld { program: PathBuf, version: String, minimum: String },
    #[error("field `vmOpts.qemu.minimumVersion` is not a version: `{value}`")]
    BadMinimumVersion { value: String },
    #[error("accelerator `{accel}` is not supported by `{}`", program.display())]
    NoAccel { program: PathBuf, accel: String },
    #[error("could not find UEFI firmware for `{arch}`")]
    NoFirmware { arch: Arch },
    #[error("cannot remove `{}`, left by an earlier run", path.display())]
    Leftover {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot start `{}`", program.display())]
    Spawn {
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot connect to the network at `{}`", socket.display())]
    Network {
        socket: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Upstream's words.
    #[error("swtpm not found in PATH: exec: \"swtpm\": executable file not found in $PATH")]
    NoTpm,
    #[error("cannot make the directory `{}` for the TPM", path.display())]
    TpmState {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`swtpm` {what}{}", if words.is_empty() { String::new() } else { format!(": {words}") })]
    Tpm { what: &'static str, words: String },
    #[error("QEMU (process {pid}) is still there after SIGKILL")]
    Immortal { pid: u32 },
    #[error("cannot learn how QEMU (process {pid}) ended")]
    Wait {
        pid: u32,
        #[source]
        source: std::io::Error,
    },
}

impl DriverError {
    /// What the user can do about it; `None` if the message says all. Looks up how this host installs packages.
    pub fn hint(&self) -> Option<String> {
        self.hint_for(Packaging::of_this_host())
    }

    fn hint_for(&self, packaging: Option<Packaging>) -> Option<String> {
        let install = |wanted| match packaging {
            Some(packaging) => format!("run `{}`", packaging.install(wanted)),
            None => "install QEMU with the package manager of this system".to_owned(),
        };
        match self {
            DriverError::MissingProgram { program, arch } => {
                // Advice about a program that only the user's own variable names would be a guess.
                (*program == super::target::program(*arch)).then(|| install(Wanted::QemuSystem(*arch)))
            }
            DriverError::NoFirmware { arch: Arch::X86_64 } => {
                Some(format!("{}, or set `firmware.legacyBIOS: true`", install(Wanted::Uefi(Arch::X86_64))))
            }
            DriverError::NoFirmware { arch } => {
                let name = super::target::edk2(*arch).unwrap_or_default();
                Some(format!(
                    "{}, or copy `edk2-{name}-code.fd` to `$HOME/.local/share/qemu/`",
                    install(Wanted::Uefi(*arch))
                ))
            }
            DriverError::NoTpm => Some(match packaging {
                Some(packaging) => format!("run `{}`", packaging.install(Wanted::Swtpm)),
                None => "install swtpm".to_owned(),
            }),
            DriverError::Network { .. } => Some(
                "is its daemon running? `limactl network status` knows those of `networks.yaml`".to_owned(),
            ),
            DriverError::TooOld { .. } => Some("install a newer QEMU".to_owned()),
            DriverError::NoAccel { .. } => {
                Some("set `LIMA_QEMU_ACCEL=tcg` to emulate in software".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = DriverError::MissingProgram { program: "qemu-system-x86_64".into(), arch: Arch::X86_64 };
        assert_eq!(error.to_string(), "exec: \"qemu-system-x86_64\": executable file not found in $PATH");
        assert_eq!(error.hint_for(Some(Packaging::Apt)).unwrap(), "run `apt-get install qemu-system-x86`");
        assert_eq!(error.hint_for(None).unwrap(), "install QEMU with the package manager of this system");
        let own = DriverError::MissingProgram { program: "my-qemu".into(), arch: Arch::X86_64 };
        assert_eq!(own.hint_for(Some(Packaging::Apt)), None);
    }

    #[test]
    fn missing_firmware_has_two_ways_out() {
        let hint = |arch| DriverError::NoFirmware { arch }.hint_for(Some(Packaging::Apt)).unwrap();
        assert_eq!(hint(Arch::X86_64), "run `apt-get install ovmf`, or set `firmware.legacyBIOS: true`");
        assert_eq!(
            hint(Arch::Riscv64),
            "run `apt-get install qemu-efi-riscv64`, or copy `edk2-riscv-code.fd` to `$HOME/.local/share/qemu/`"
        );
    }
}
