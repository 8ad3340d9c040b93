//! Turns a [`Machine`] (plain data) into a running VM.
//!
//! Life of a VM: [`Driver::by_name`] → [`Driver::start`] (choose the program, the accelerator and the firmware; spawn) → [`Vm`] →
//! [`Vm::wait`] or [`Vm::stop`] → [`Exit`], which carries the last words of the process. A `Vm` that is dropped leaves its process
//! alone: whoever starts a VM says when it ends.
//!
//! This room does not know what an instance is, takes every path from its caller, and needs no privilege.

mod accel;
mod error;
mod exit;
mod firmware;
mod probe;
pub mod qemu;
pub mod qemu_argv;
mod qemu_choice;
pub mod qmp;
pub mod qmp_wire;
pub mod shutdown;
mod stream;
mod target;
mod tpm;

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::config::{Arch, Bytes, HostFacts};

pub use accel::Accel;
pub use error::DriverError;
pub use exit::{Exit, KnownCause};
pub use qemu::Vm;
pub use shutdown::Budget;
pub use stream::Link;

/// The programs that can run a VM, as far as this build knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Qemu,
}

/// The drivers that there are, as `vmType` names them.
pub const NAMES: [&str; 1] = ["qemu"];

impl Driver {
    /// The driver that `vmType:` names. Fails for every name that this build has no driver for.
    pub fn by_name(name: &str) -> Result<Driver, DriverError> {
        match name {
            "qemu" => Ok(Driver::Qemu),
            _ => Err(DriverError::UnknownDriver { name: name.to_owned() }),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Driver::Qemu => "qemu",
        }
    }

    /// Starts `machine`. Returns as soon as the process exists; a process that refuses its arguments is learnt from [`Vm::wait`].
    ///
    /// `inherited` become descriptors 3, 4, … of the process in this order; no copy stays here. [`NicBackend::Tap`] names its
    /// descriptor by its place in this list. Needs a tokio runtime with I/O and time, whose thread lives as long as this process. Notes
    /// for the user go to `tracing` at levels info and warn, the output of the process at level debug.
    pub async fn start(
        self,
        machine: &Machine,
        host: &HostFacts,
        inherited: Vec<OwnedFd>,
    ) -> Result<Vm, DriverError> {
        match self {
            Driver::Qemu => qemu::start(machine, host, inherited).await,
        }
    }
}

/// Everything about one VM that its driver needs. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Shown as the window title and in process lists: `lima-default`.
    pub title: String,
    pub arch: Arch,
    /// Whether the host's processor can run `arch` itself.
    pub native: bool,
    /// Virtual processors; at least 1.
    pub cpus: u32,
    /// Rounded down to whole mebibytes.
    pub memory: Bytes,
    pub boot_disk: Disk,
    /// In the order in which the guest sees them, behind the boot disk: vdb, vdc, ….
    pub extra_disks: Vec<Disk>,
    /// An installation medium to boot from; `None` boots the disk.
    pub iso: Option<PathBuf>,
    /// The seed, as a read-only CD; `None` attaches none.
    pub cidata: Option<PathBuf>,
    /// Direct boot: without a kernel the firmware boots the disk.
    pub kernel: Option<PathBuf>,
    /// Kernel command line, verbatim; `None` passes none.
    pub kernel_cmdline: Option<String>,
    pub initrd: Option<PathBuf>,
    pub firmware: Firmware,
    /// Overrides the choice of CPU model, whole text.
    pub cpu_type: Option<String>,
    /// Oldest version of the driver's program that the user accepts (`X.Y.Z`); `None` accepts what the driver supports.
    pub minimum_version: Option<String>,
    /// QEMU's `-display` text; `none` has no display.
    pub display: String,
    /// `None` has no sound card.
    pub sound: Option<Sound>,
    /// A TPM, emulated by a program beside the VM.
    pub tpm: bool,
    pub nics: Vec<Nic>,
    pub files: RuntimeFiles,
}

/// A sound card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// QEMU's name of the host's side, options included: `pa`, `alsa`, ….
    pub backend: String,
    /// The virtio card instead of Intel's HD Audio; QEMU has it since 8.2.
    pub virtio: bool,
}

/// What stands before the operating system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firmware {
    /// The program's own BIOS instead of UEFI; honoured on x86_64 and armv7l only.
    pub legacy_bios: bool,
    /// UEFI code to use instead of the system's.
    pub code: Option<PathBuf>,
}

/// A disk that the guest writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub path: PathBuf,
    pub format: DiskFormat,
}

/// What was found in a disk's file, by the caller; the program never guesses for a raw one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    Qcow2,
    Raw,
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Number in the id: `net0` is the first one. Numbers may have gaps.
    pub number: u32,
    /// `52:55:55:01:02:03`.
    pub mac: String,
    pub backend: NicBackend,
}

/// Where a NIC's frames go. A `place` is a place in the list of inherited descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NicBackend {
    /// QEMU's own user-mode network, 192.168.5.0/24.
    Slirp { host_forwards: Vec<HostForward> },
    /// A tap or macvtap device of the kernel.
    Tap { place: usize },
    /// A server that takes frames with a 4-byte big-endian length before them. QEMU connects, and connects again whenever the server was
    /// away, if it is new enough; for an older one the driver connects once, and tells the end of that connection ([`Vm::take_links`]).
    Stream { socket: PathBuf },
    /// A connection to such a server.
    Connected { place: usize },
}

/// A TCP port of the host that leads to a port of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostForward {
    pub host: SocketAddrV4,
    pub guest_port: u16,
}

/// Files that the program makes while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeFiles {
    pub qmp_socket: PathBuf,
    pub pid_file: PathBuf,
    /// The first UART: ttyS0, or ttyAMA0 on ARM.
    pub serial: Console,
    /// The PCI UART that ARM guests have as ttyS0.
    pub serial_pci: Console,
    /// The virtio console, hvc0.
    pub serial_virtio: Console,
    /// Where the TPM listens.
    pub tpm_socket: PathBuf,
    /// What the TPM remembers: a directory, made where a TPM is asked for.
    pub tpm_state: PathBuf,
}

/// A character device of the guest: a socket to talk to, and a log of what it said since this start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    pub socket: PathBuf,
    pub log: PathBuf,
}

impl RuntimeFiles {
    /// The names that Lima gives these files, in `dir`, which must be absolute.
    pub fn in_dir(dir: &std::path::Path) -> RuntimeFiles {
        let console = |name: &str| Console {
            socket: dir.join(format!("{name}.sock")),
            log: dir.join(format!("{name}.log")),
        };
        RuntimeFiles {
            qmp_socket: dir.join("qmp.sock"),
            pid_file: dir.join("qemu.pid"),
            serial: console("serial"),
            serial_pci: console("serialp"),
            serial_virtio: console("serialv"),
            tpm_socket: dir.join("swtpm.sock"),
            tpm_state: dir.join("swtpm"),
        }
    }

    /// What a killed program leaves behind: sockets and pid file. Logs are not among them.
    pub fn leftovers(&self) -> [&std::path::Path; 6] {
        [
            &self.qmp_socket,
            &self.pid_file,
            &self.serial.socket,
            &self.serial_pci.socket,
            &self.serial_virtio.socket,
            &self.tpm_socket,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_qemu_is_a_driver_and_the_error_names_the_other() {
        assert_eq!(Driver::by_name("qemu").unwrap(), Driver::Qemu);
        assert!(NAMES.iter().all(|name| Driver::by_name(name).is_ok_and(|driver| driver.name() == *name)));
        let error = Driver::by_name("vz").unwrap_err();
        assert_eq!(error.to_string(), "vmType `vz` is not a registered driver");
    }
}
