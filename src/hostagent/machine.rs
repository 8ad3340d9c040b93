//! `Config` → `Machine`: what the driver is told. Pure.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::config::{Config, HostFacts, HostOs};
use crate::disks::AttachedDisk;
use crate::driver::{Disk, DiskFormat, Firmware, HostForward, Machine, Nic, NicBackend, RuntimeFiles, Sound};
use crate::home::InstanceDir;
use crate::image::{self, Boot};

/// The guest's sshd.
const SSH_PORT: u16 = 22;

/// What was prepared for one start.
pub(super) struct Parts<'a> {
    pub hostname: &'a str,
    pub boot: Boot,
    pub disks: &'a [AttachedDisk],
    /// Port on the host's loopback that leads to the guest's sshd.
    pub ssh_port: u16,
    /// Behind the first one.
    pub nics: Vec<Nic>,
}

/// The VM of one start.
pub(super) fn machine(config: &Config, dir: &InstanceDir, host: &HostFacts, parts: Parts<'_>) -> Machine {
    let boot = parts.boot;
    let forward =
        HostForward { host: SocketAddrV4::new(Ipv4Addr::LOCALHOST, parts.ssh_port), guest_port: SSH_PORT };
    let first = Nic {
        number: 0,
        mac: config.mac_address.clone(),
        backend: NicBackend::Slirp { host_forwards: vec![forward] },
    };
    Machine {
        title: parts.hostname.to_owned(),
        arch: config.arch,
        native: config.arch == host.arch,
        cpus: config.cpus,
        memory: config.memory,
        boot_disk: Disk { path: boot.disk, format: format(boot.format) },
        extra_disks: parts
            .disks
            .iter()
            .map(|disk| Disk { path: disk.path.clone(), format: format(disk.format) })
            .collect(),
        iso: boot.iso,
        cidata: Some(dir.cidata()),
        kernel: boot.kernel,
        kernel_cmdline: boot.cmdline,
        initrd: boot.initrd,
        firmware: Firmware { legacy_bios: config.firmware.legacy_bios, code: boot.firmware },
        cpu_type: config.cpu_type.clone(),
        minimum_version: config.qemu_minimum_version.clone(),
        display: display(config),
        sound: sound(config, host.os),
        tpm: config.tpm,
        nics: std::iter::once(first).chain(parts.nics).collect(),
        files: RuntimeFiles::in_dir(dir.path()),
    }
}

/// The display as QEMU is told of it. A screen that others can connect to asks for a password, which is set once the VM stands.
fn display(config: &Config) -> String {
    match config.video_display.as_str() {
        "vnc" => format!("vnc={},password=on", config.vnc_display),
        other => other.to_owned(),
    }
}

fn sound(config: &Config, os: HostOs) -> Option<Sound> {
    let backend = match (config.audio.device.as_str(), os) {
        ("" | "none", _) => return None,
        ("default", HostOs::MacOs) => "coreaudio",
        ("default", HostOs::Linux) => "pa",
        (name, _) => name,
    };
    Some(Sound { backend: backend.to_owned(), virtio: config.audio.interface == "virtio" })
}

fn format(found: image::Format) -> DiskFormat {
    match found {
        image::Format::Qcow2 => DiskFormat::Qcow2,
        _ => DiskFormat::Raw,
    }
}
