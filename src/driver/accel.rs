//! Which accelerator and CPU model a VM gets.
//!
//! Hardware virtualisation is used only where it really works: the processor shows it, the device opens for writing, and a QEMU with it
//! lives ([`super::probe::survives`]). A `/dev/kvm` that merely exists proves nothing: a kernel without hardware support can offer one
//! on which QEMU aborts or the guest hangs. Otherwise TCG, with the reason. `LIMA_QEMU_ACCEL` forces either.

use std::fmt;
use std::io;
use std::path::Path;

use super::DriverError;
use crate::config::{Arch, HostFacts, HostOs};

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    Kvm,
    Hvf,
    /// Emulation in software.
    Tcg,
}

impl Accel {
    /// QEMU's name.
    pub fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Hvf => "hvf",
            Accel::Tcg => "tcg",
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The next step towards an accelerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Decided; the reason is there when it is slower than the user may expect.
    Use(Accel, Option<WhyTcg>),
    /// Fits, as far as can be told without trying.
    Try(Accel),
}

/// Why a VM is emulated in software.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WhyTcg {
    OtherArch(Arch),
    /// The processor shows neither flag: no hardware support, or a VM without nesting.
    NoCpuFlag,
    NoDevice,
    NotPermitted,
    DeviceFails(String),
    /// `sysctl kern.hv_support` is not 1.
    NoHypervisorFramework,
    QemuFails {
        accel: Accel,
        words: String,
    },
}

impl fmt::Display for WhyTcg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhyTcg::OtherArch(arch) => write!(f, "`{arch}` is not this machine's architecture"),
            WhyTcg::NoCpuFlag => f.write_str("the processor shows neither `vmx` nor `svm`"),
            WhyTcg::NoDevice => f.write_str("there is no `/dev/kvm`"),
            WhyTcg::NotPermitted => f.write_str(
                "this user may not open `/dev/kvm` (hint: add the user to the group `kvm` and log in again)",
            ),
            WhyTcg::DeviceFails(error) => write!(f, "`/dev/kvm` cannot be opened: {error}"),
            WhyTcg::NoHypervisorFramework => f.write_str("this Mac has no Hypervisor.framework support"),
            WhyTcg::QemuFails { accel, words } => write!(f, "QEMU does not run with `{accel}` here: {words}"),
        }
    }
}

/// What `LIMA_QEMU_ACCEL` demands; `None` if it is not set.
pub(super) fn forced(host: &HostFacts) -> Result<Option<Accel>, DriverError> {
    match (host.env("LIMA_QEMU_ACCEL"), host.os) {
        (None, _) => Ok(None),
        (Some("tcg"), _) => Ok(Some(Accel::Tcg)),
        (Some("kvm"), HostOs::Linux) => Ok(Some(Accel::Kvm)),
        (Some("hvf"), HostOs::MacOs) => Ok(Some(Accel::Hvf)),
        (Some(value), _) => Err(DriverError::BadAccel { value: value.to_owned() }),
    }
}

/// The accelerator that the user's own arguments ask for (`-accel X` or `-machine …,accel=X`).
pub(super) fn named_in(args: &[String]) -> Option<Accel> {
    let value_of = |option: &str| {
        let place = args.iter().position(|arg| arg == option)?;
        args.get(place + 1).map(String::as_str)
    };
    let in_machine = || value_of("-machine")?.split(',').find_map(|part| part.strip_prefix("accel="));
    let name = value_of("-accel").or_else(in_machine)?;
    match name.split([',', ':']).next()? {
        "kvm" => Some(Accel::Kvm),
        "hvf" => Some(Accel::Hvf),
        "tcg" => Some(Accel::Tcg),
        _ => None,
    }
}

/// Decides from facts (pure). `kvm` is asked only where it matters.
pub(super) fn plan(arch: Arch, native: bool, os: HostOs, hardware: impl FnOnce() -> Hardware) -> Plan {
    if !native {
        return Plan::Use(Accel::Tcg, Some(WhyTcg::OtherArch(arch)));
    }
    let hardware = hardware();
    let slow = |why| Plan::Use(Accel::Tcg, Some(why));
    match (os, hardware) {
        (HostOs::MacOs, Hardware { hv_support: true, .. }) => Plan::Try(Accel::Hvf),
        (HostOs::MacOs, _) => slow(WhyTcg::NoHypervisorFramework),
        (HostOs::Linux, Hardware { cpu_flag: false, .. }) if arch == Arch::X86_64 => slow(WhyTcg::NoCpuFlag),
        (HostOs::Linux, Hardware { device: Ok(()), .. }) => Plan::Try(Accel::Kvm),
        (HostOs::Linux, Hardware { device: Err(error), .. }) => slow(match error.kind() {
            io::ErrorKind::NotFound => WhyTcg::NoDevice,
            io::ErrorKind::PermissionDenied => WhyTcg::NotPermitted,
            _ => WhyTcg::DeviceFails(error.to_string()),
        }),
    }
}

/// What the host's hardware shows of virtualisation.
#[derive(Debug)]
pub(super) struct Hardware {
    /// `vmx` or `svm` among the flags of an x86 processor.
    cpu_flag: bool,
    /// Opening `/dev/kvm` for reading and writing.
    device: io::Result<()>,
    /// `kern.hv_support` of macOS.
    hv_support: bool,
}

impl Hardware {
    /// Looks at this host.
    pub(super) fn of_this_host(os: HostOs) -> Hardware {
        let linux = os == HostOs::Linux;
        Hardware {
            cpu_flag: linux && has_flag(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            device: open_for_writing(Path::new("/dev/kvm")),
            hv_support: !linux && sysctl("kern.hv_support").as_deref() == Some("1"),
        }
    }
}

fn open_for_writing(device: &Path) -> io::Result<()> {
    std::fs::File::options().read(true).write(true).open(device).map(drop)
}

fn has_flag(cpuinfo: &str) -> bool {
    let mut flags = cpuinfo.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "flags").then_some(value)
    });
    flags.any(|flags| flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

/// A value of macOS's `sysctl`; `None` where there is none.
fn sysctl(name: &str) -> Option<String> {
    let output = std::process::Command::new("/usr/sbin/sysctl").args(["-n", name]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The `-cpu` text: the user's, else the host's own model where the accelerator can show it, else everything that QEMU can emulate.
///
/// A model `host` of the user's is replaced under emulation, where QEMU refuses it.
pub(super) fn cpu_model(own: Option<&str>, arch: Arch, native: bool, accel: Accel, os: HostOs) -> String {
    let flags = if os == HostOs::MacOs && arch == Arch::X86_64 { ",-avx512vl,-pdpe1gb" } else { "" };
    match own {
        Some(own) if accel == Accel::Tcg && own.split(',').next() == Some("host") => {
            own.replacen("host", "max", 1)
        }
        Some(own) => own.to_owned(),
        None if native && accel != Accel::Tcg && host_model_works(os) => format!("host{flags}"),
        None => format!("max{flags}"),
    }
}

/// Apple M4 and later have SME, which several versions of QEMU cannot hand to a guest.
fn host_model_works(os: HostOs) -> bool {
    os != HostOs::MacOs || sysctl("hw.optional.arm.FEAT_SME").as_deref() != Some("1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hardware(cpu_flag: bool, device: io::Result<()>, hv_support: bool) -> Hardware {
        Hardware { cpu_flag, device, hv_support }
    }

    fn denied(kind: io::ErrorKind) -> io::Result<()> {
        Err(kind.into())
    }

    #[test]
    fn kvm_needs_the_flag_and_the_device() {
        let plan = |flag, device| plan(Arch::X86_64, true, HostOs::Linux, || hardware(flag, device, false));
        let slow = |why| Plan::Use(Accel::Tcg, Some(why));
        assert_eq!(plan(true, Ok(())), Plan::Try(Accel::Kvm));
        assert_eq!(plan(false, Ok(())), slow(WhyTcg::NoCpuFlag));
        assert_eq!(plan(true, denied(io::ErrorKind::NotFound)), slow(WhyTcg::NoDevice));
        assert_eq!(plan(true, denied(io::ErrorKind::PermissionDenied)), slow(WhyTcg::NotPermitted));
        let busy = io::Error::from_raw_os_error(libc::EBUSY);
        assert!(matches!(plan(true, Err(busy)), Plan::Use(Accel::Tcg, Some(WhyTcg::DeviceFails(_)))));
    }

    #[test]
    fn other_processors_have_no_flag_to_show() {
        let plan = plan(Arch::Aarch64, true, HostOs::Linux, || hardware(false, Ok(()), false));
        assert_eq!(plan, Plan::Try(Accel::Kvm));
    }

    #[test]
    fn macos_asks_its_own_framework() {
        let plan = |hv| {
            plan(Arch::Aarch64, true, HostOs::MacOs, || hardware(false, denied(io::ErrorKind::NotFound), hv))
        };
        assert_eq!(plan(true), Plan::Try(Accel::Hvf));
        assert_eq!(plan(false), Plan::Use(Accel::Tcg, Some(WhyTcg::NoHypervisorFramework)));
    }

    #[test]
    fn a_foreign_architecture_is_emulated_without_a_look_at_the_host() {
        let plan = plan(Arch::Riscv64, false, HostOs::Linux, || unreachable!());
        assert_eq!(plan, Plan::Use(Accel::Tcg, Some(WhyTcg::OtherArch(Arch::Riscv64))));
    }

    #[test]
    fn flags_are_whole_words_of_the_flags_line() {
        assert!(has_flag("processor\t: 0\nflags\t\t: fpu svm sse\n"));
        assert!(has_flag("flags : vmx\n"));
        assert!(!has_flag("flags : fpu vmxx\nvmx flags : vmx\n"));
        assert!(!has_flag("model name : svm\n"));
    }

    #[test]
    fn the_users_arguments_may_name_the_accelerator() {
        let named = |args: &[&str]| named_in(&args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>());
        assert_eq!(named(&["-accel", "tcg,thread=multi"]), Some(Accel::Tcg));
        assert_eq!(named(&["-machine", "q35,accel=kvm:tcg"]), Some(Accel::Kvm));
        assert_eq!(named(&["-machine", "q35"]), None);
        assert_eq!(named(&["-accel"]), None);
        assert_eq!(named(&["-accel", "whpx"]), None);
    }

    #[test]
    fn the_cpu_is_the_hosts_only_where_it_can_be() {
        let linux = |own, native, accel| cpu_model(own, Arch::X86_64, native, accel, HostOs::Linux);
        assert_eq!(linux(None, true, Accel::Kvm), "host");
        assert_eq!(linux(None, true, Accel::Tcg), "max");
        assert_eq!(linux(None, false, Accel::Tcg), "max");
        assert_eq!(linux(Some("EPYC"), true, Accel::Tcg), "EPYC");
        assert_eq!(linux(Some("host,-avx"), true, Accel::Tcg), "max,-avx");
        assert_eq!(linux(Some("host,-avx"), true, Accel::Kvm), "host,-avx");
        assert_eq!(cpu_model(None, Arch::X86_64, false, Accel::Tcg, HostOs::MacOs), "max,-avx512vl,-pdpe1gb");
    }
}
