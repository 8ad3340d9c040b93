//! QEMU's command line for a [`Machine`] (pure: no I/O).
//!
//! Options and their order are upstream's: the order of devices decides PCI slots and thereby the guest's device names. Deliberate
//! differences: a comma in a path is doubled, as QEMU wants it; a raw disk says so, because QEMU would otherwise guess its format
//! from what the guest wrote into block 0; networks are reached by tap devices where there are any, and by `stream` with reconnection
//! wherever QEMU has it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::accel::Accel;
use super::probe::Version;
use super::target;
use super::{Console, Disk, DiskFormat, HostForward, Machine, Nic, NicBackend};
use crate::config::Arch;
use crate::sys::spawn::FIRST_PASSED_FD;

/// What was found out about the host for this start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub accel: Accel,
    /// `-cpu` text.
    pub cpu: String,
    /// Whether this QEMU has the virtio sound card.
    pub virtio_sound: bool,
    /// How this QEMU comes back to a server of a network that was away.
    pub reconnect: Reconnect,
    /// Whether the kernel moves the frames of tap devices: only together with KVM (QEMU 7.2 crashes otherwise), and where it may be used.
    pub vhost: bool,
    /// UEFI code; `None` leaves the board's own firmware.
    pub firmware: Option<std::path::PathBuf>,
    /// Arguments from `QEMU_SYSTEM_*`, which stand first and win over ours.
    pub first_args: Vec<String>,
}

/// How a QEMU connects again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Not at all: before 8.0.
    Never,
    /// It is told seconds: 8.0 to 9.1.
    Seconds,
    /// It is told milliseconds: since 9.2; 10.2 has forgotten the seconds.
    Milliseconds,
}

impl Reconnect {
    /// What this version can do. An unknown one is taken for an old one.
    pub(super) fn of(version: Option<Version>) -> Reconnect {
        match version {
            Some(version) if version >= Version(9, 2, 0) => Reconnect::Milliseconds,
            Some(version) if version >= Version(8, 0, 0) => Reconnect::Seconds,
            _ => Reconnect::Never,
        }
    }

    fn option(self) -> &'static str {
        match self {
            Reconnect::Never => "",
            Reconnect::Seconds => ",reconnect=1",
            Reconnect::Milliseconds => ",reconnect-ms=500",
        }
    }
}

/// A command line without its word 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Argv {
    pub args: Vec<OsString>,
    /// Options of ours that gave way to one among [`Choice::first_args`].
    pub dropped: Vec<Dropped>,
}

/// One option that was left out because the user's own arguments have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub option: &'static str,
    pub ours: String,
    pub theirs: String,
}

/// Subnet and first address of the user-mode network; the gateway is .2, the name server .3.
const SLIRP: &str = "net=192.168.5.0/24,dhcpstart=192.168.5.15";

/// The arguments that start `machine` as `choice` says.
pub fn argv(machine: &Machine, choice: &Choice) -> Argv {
    let mut line = Line::starting_with(&choice.first_args);
    board(&mut line, machine, choice);
    disks(&mut line, machine);
    direct_boot(&mut line, machine);
    tpm(&mut line, machine);
    for nic in &machine.nics {
        network(&mut line, machine.arch, nic, choice);
    }
    line.add("-device", "virtio-rng-pci");
    sound(&mut line, machine, choice);
    display(&mut line, machine);
    consoles(&mut line, machine);
    let qmp = joined(&["socket,id=char-qmp,path="], &machine.files.qmp_socket, &[",server=on,wait=off"]);
    line.add("-chardev", qmp);
    line.add("-qmp", "chardev:char-qmp");
    line.add("-name", escaped(OsStr::new(&machine.title)));
    line.add("-pidfile", machine.files.pid_file.as_os_str());
    line.argv
}

fn board(line: &mut Line, machine: &Machine, choice: &Choice) {
    line.add_unless_given("-m", machine.memory.as_mib().to_string());
    line.add_unless_given("-cpu", &choice.cpu);
    machine_type(line, machine.arch, choice.accel);
    let cpus = machine.cpus;
    line.add_unless_given("-smp", format!("{cpus},sockets=1,cores={cpus},threads=1"));
    if let Some(code) = &choice.firmware {
        line.add("-drive", joined(&["if=pflash,format=raw,readonly=on,file="], code, &[]));
    }
    line.add("-device", "qemu-xhci,id=usb-bus");
}

fn machine_type(line: &mut Line, arch: Arch, accel: Accel) {
    let board = target::board(arch);
    match (arch, accel) {
        (Arch::X86_64, Accel::Tcg) => {
            line.add_unless_given("-machine", format!("{board},vmport=off"));
            line.add_unless_given("-accel", "tcg,thread=multi,tb-size=512");
            line.add("-global", "ICH9-LPC.disable_s3=1");
            line.add("-global", "ICH9-LPC.disable_s4=1");
        }
        (Arch::Riscv64, _) => line.add_unless_given("-machine", format!("{board},acpi=off,accel={accel}")),
        _ => line.add_unless_given("-machine", format!("{board},accel={accel}")),
    }
}

fn disks(line: &mut Line, machine: &Machine) {
    let boot = &machine.boot_disk;
    match &machine.iso {
        None => {
            line.add("-drive", drive(boot, ",if=none,discard=on,id=boot-disk"));
            let device = match machine.arch {
                Arch::S390x => "virtio-blk-ccw",
                _ => "virtio-blk-pci",
            };
            line.add("-device", format!("{device},drive=boot-disk,bootindex=1"));
            line.add_unless_given("-boot", "order=c,splash-time=0,menu=on");
        }
        // No bootindex: it would win over the order.
        Some(iso) => {
            line.add("-drive", drive(boot, ",if=virtio,discard=on"));
            line.add_unless_given("-boot", "order=d,splash-time=0,menu=on");
            line.add("-drive", joined(&["file="], iso, &[",format=raw,media=cdrom,readonly=on"]));
        }
    }
    for disk in &machine.extra_disks {
        line.add("-drive", drive(disk, ",if=virtio,discard=on"));
    }
    if let Some(cidata) = &machine.cidata {
        line.add("-drive", joined(&["id=cdrom0,if=none,format=raw,readonly=on,file="], cidata, &[]));
        line.add("-device", "virtio-scsi,id=scsi0");
        line.add("-device", "scsi-cd,bus=scsi0.0,drive=cdrom0");
    }
}

fn drive(disk: &Disk, properties: &str) -> OsString {
    let format = match disk.format {
        DiskFormat::Qcow2 => "",
        DiskFormat::Raw => ",format=raw",
    };
    joined(&["file="], &disk.path, &[properties, format])
}

fn direct_boot(line: &mut Line, machine: &Machine) {
    if let Some(kernel) = &machine.kernel {
        line.add_unless_given("-kernel", kernel.as_os_str());
    }
    if let Some(cmdline) = &machine.kernel_cmdline {
        line.add_unless_given("-append", cmdline);
    }
    if let Some(initrd) = &machine.initrd {
        line.add_unless_given("-initrd", initrd.as_os_str());
    }
}

fn network(line: &mut Line, arch: Arch, nic: &Nic, choice: &Choice) {
    let number = nic.number;
    let descriptor = |place: &usize| FIRST_PASSED_FD as usize + place;
    let netdev = match &nic.backend {
        NicBackend::Slirp { host_forwards } => {
            let forward = |to: &HostForward| format!(",hostfwd=tcp:{}-:{}", to.host, to.guest_port);
            let forwards: String = host_forwards.iter().map(forward).collect();
            format!("user,id=net{number},{SLIRP}{forwards}").into()
        }
        NicBackend::Tap { place } => {
            let vhost = if choice.vhost { ",vhost=on" } else { "" };
            format!("tap,id=net{number},fd={}{vhost}", descriptor(place)).into()
        }
        NicBackend::Stream { socket } => {
            let head = format!("stream,id=net{number},server=off,addr.type=unix,addr.path=");
            joined(&[&head], socket, &[choice.reconnect.option()])
        }
        NicBackend::Connected { place } => format!("socket,id=net{number},fd={}", descriptor(place)).into(),
    };
    line.add("-netdev", netdev);
    let device = match arch {
        Arch::S390x => "virtio-net-ccw",
        _ => "virtio-net-pci",
    };
    line.add("-device", format!("{device},netdev=net{number},mac={}", nic.mac));
}

fn tpm(line: &mut Line, machine: &Machine) {
    if !machine.tpm {
        return;
    }
    line.add("-chardev", joined(&["socket,id=chrtpm,path="], &machine.files.tpm_socket, &[]));
    line.add("-tpmdev", "emulator,id=tpm0,chardev=chrtpm");
    line.add("-device", format!("{},tpmdev=tpm0", target::tpm_device(machine.arch)));
}

fn sound(line: &mut Line, machine: &Machine, choice: &Choice) {
    let Some(sound) = &machine.sound else {
        // The back end keeps QEMU from opening one of the host.
        return line.add("-audiodev", "none,id=snd0");
    };
    line.add("-audiodev", format!("{},id=snd0", sound.backend));
    if sound.virtio && choice.virtio_sound {
        line.add("-device", "virtio-sound-pci,audiodev=snd0");
    } else {
        line.add("-device", "ich9-intel-hda");
        line.add("-device", "hda-output,audiodev=snd0");
    }
}

fn display(line: &mut Line, machine: &Machine) {
    let display = machine.display.as_str();
    line.add_unless_given("-display", display);
    if display == "none" {
        line.add("-vga", "none");
    } else {
        let adapter = match machine.arch {
            Arch::X86_64 | Arch::Riscv64 => "virtio-vga",
            _ => "virtio-gpu",
        };
        line.add("-device", adapter);
        line.add("-device", "virtio-keyboard-pci");
        let pointer = if display.starts_with("vnc") { "virtio-tablet-pci" } else { "virtio-mouse-pci" };
        line.add("-device", pointer);
    }
    line.add("-parallel", "none");
}

fn consoles(line: &mut Line, machine: &Machine) {
    let files = &machine.files;
    line.add("-chardev", chardev("char-serial", &files.serial));
    line.add("-serial", "chardev:char-serial");
    if target::has_pci_serial(machine.arch) {
        line.add("-chardev", chardev("char-serial-pci", &files.serial_pci));
        line.add("-device", "pci-serial,chardev=char-serial-pci");
    }
    line.add("-chardev", chardev("char-serial-virtio", &files.serial_virtio));
    // One port, or the guest may see the console twice; s390x keeps port 0 for its own console.
    let ports = if machine.arch == Arch::S390x { 2 } else { 1 };
    line.add("-device", format!("virtio-serial-pci,id=virtio-serial0,max_ports={ports}"));
    line.add("-device", "virtconsole,chardev=char-serial-virtio,id=console0");
}

fn chardev(id: &str, console: &Console) -> OsString {
    let mut text = joined(&["socket,id=", id, ",path="], &console.socket, &[",server=on,wait=off,logfile="]);
    text.push(escaped(console.log.as_os_str()));
    text
}

fn joined(before: &[&str], path: &Path, after: &[&str]) -> OsString {
    let mut text: OsString = before.concat().into();
    text.push(escaped(path.as_os_str()));
    text.push(after.concat());
    text
}

/// Doubles every comma: in an option with properties a single one ends the value.
fn escaped(value: &OsStr) -> OsString {
    let mut bytes = Vec::with_capacity(value.len());
    for &byte in value.as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

/// A command line under construction.
struct Line {
    argv: Argv,
    /// How many of the arguments are the user's.
    given: usize,
}

impl Line {
    fn starting_with(first_args: &[String]) -> Line {
        let args: Vec<OsString> = first_args.iter().map(OsString::from).collect();
        Line { given: args.len(), argv: Argv { args, dropped: Vec::new() } }
    }

    fn add(&mut self, option: &str, value: impl AsRef<OsStr>) {
        self.argv.args.push(option.into());
        self.argv.args.push(value.as_ref().to_owned());
    }

    /// Adds the option unless the user's own arguments have it, by the same letters.
    fn add_unless_given(&mut self, option: &'static str, value: impl AsRef<OsStr>) {
        let value = value.as_ref();
        let given = &self.argv.args[..self.given];
        let Some(position) = given.iter().position(|arg| arg == option) else {
            return self.add(option, value);
        };
        let theirs = given.get(position + 1).map(|arg| arg.to_string_lossy().into_owned());
        self.argv.dropped.push(Dropped {
            option,
            ours: value.to_string_lossy().into_owned(),
            theirs: theirs.unwrap_or_default(),
        });
    }
}

#[cfg(test)]
#[path = "qemu_argv_tests.rs"]
mod tests;
