//! [`Config`]: everything about one instance, definite. The only view of `lima.yaml` that other rooms get.
//!
//! Defaults are filled in, templates in strings are expanded, every value has been validated. An `Option` here means that absence has a
//! meaning of its own, which its comment states.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::activity::InactiveKey;
use super::{Arch, Bytes};

/// One instance, as its `lima.yaml`, `_config/default.yaml`, `_config/override.yaml` and the host define it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Driver: `qemu`, `vz`, …. Validated to be a name; whether this build has the driver is the driver room's to say.
    pub vm_type: String,
    /// Guest system: `Linux`, `Darwin`, `FreeBSD`, `Windows`.
    pub os: String,
    pub arch: Arch,
    /// Candidates in the order in which they are tried; never empty.
    pub images: Vec<Image>,
    pub cpus: u32,
    pub memory: Bytes,
    pub disk: Bytes,
    /// In the order in which the guest sees them, behind the boot disk.
    pub additional_disks: Vec<AdditionalDisk>,
    pub ssh: Ssh,
    pub firmware: Firmware,
    /// `none` by default; `vnc`, or a text of QEMU's `-display`.
    pub video_display: String,
    /// Where VNC is offered: `host:number` and options, as QEMU's `-display vnc=` has them. Used when the display is `vnc`.
    pub vnc_display: String,
    pub audio: Audio,
    /// A trusted platform module, emulated by the program `swtpm`.
    pub tpm: bool,
    /// Overrides the driver's choice of CPU model; `None` lets the driver choose.
    pub cpu_type: Option<String>,
    /// `vmOpts.qemu.minimumVersion`; `None` accepts any QEMU that the driver supports.
    pub qemu_minimum_version: Option<String>,
    pub provision: Vec<Provision>,
    pub probes: Vec<Probe>,
    /// Files that are fetched from the guest once it is ready, in this order.
    pub copy_to_host: Vec<CopyToHost>,
    pub upgrade_packages: bool,
    pub guest_install_prefix: String,
    /// Text shown after READY, still a template over the instance record; empty shows nothing.
    pub message: String,
    pub env: BTreeMap<String, String>,
    pub param: BTreeMap<String, String>,
    pub host_resolver: HostResolver,
    /// Nameservers for the guest in place of the host resolver; empty unless `hostResolver.enabled` is false.
    pub dns: Vec<IpAddr>,
    pub propagate_proxy_env: bool,
    pub ca_certs: CaCerts,
    pub plain: bool,
    /// IANA name; empty leaves the guest's own zone.
    pub timezone: String,
    pub user: User,
    /// Address of the first NIC: `52:55:55:…`, derived from the machine and the instance directory.
    pub mac_address: String,
    /// NICs beside the first one, in the order in which the guest has them.
    pub networks: Vec<Network>,
    /// Keys that are set and have no effect in this version: one warning each at create and start.
    pub inactive_keys: Vec<InactiveKey>,
    /// Keys that are set and would make this another guest than the one asked for: create and start refuse, naming each.
    pub unsupported: Vec<InactiveKey>,
    /// The filled-in document in upstream's key order, for `list --json` and `validate --fill`.
    pub document: serde_json::Value,
}

/// One candidate for the boot disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Path, `file:` URL or remote URL, as written.
    pub location: String,
    pub arch: Arch,
    /// `algorithm:hex`; `None` skips the check.
    pub digest: Option<String>,
    /// Empty unless written. Only candidates with the pair of the first one that fits the architecture are used.
    pub variant: String,
    pub arch_variant: String,
    /// Direct boot: without a kernel the firmware boots the disk.
    pub kernel: Option<Kernel>,
    pub initrd: Option<FileRef>,
}

/// A kernel for direct boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    pub file: FileRef,
    /// Kernel command line, verbatim; empty passes none.
    pub cmdline: String,
}

/// A disk of `_disks` that the instance has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdditionalDisk {
    pub name: String,
    /// A disk with nothing on it gets a file system.
    pub format: bool,
    /// `ext4`, `swap`, …; empty leaves the choice to the guest.
    pub fs_type: String,
    /// Words for the program that makes the file system.
    pub fs_args: Vec<String>,
}

/// A file somewhere, with its digest if one was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    pub location: String,
    pub digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// Port on the host's loopback; 0 takes a free one at each start.
    pub local_port: u16,
    pub load_dot_ssh_pub_keys: bool,
    pub forward_agent: bool,
    pub forward_x11: bool,
    pub forward_x11_trusted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    pub legacy_bios: bool,
    /// Files for this architecture and driver, tried before the system's firmware.
    pub images: Vec<FileRef>,
}

/// The guest's sound card.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audio {
    /// Back end on the host: a name of QEMU's, or `default` for the host's usual one; empty and `none` have no card.
    pub device: String,
    /// `hda`, `virtio`, or empty for the usual one.
    pub interface: String,
}

/// A file of the guest that is wanted on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyToHost {
    /// Absolute path in the guest.
    pub guest: String,
    /// Absolute path on the host.
    pub host: PathBuf,
    /// A file that is not there is no error.
    pub skip_if_missing: bool,
    /// The copy is removed when the instance is stopped in order.
    pub delete_on_stop: bool,
}

/// One entry of `provision:`. Its number in the guest is its place in the merged list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provision {
    pub mode: ProvisionMode,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProvisionMode {
    System {
        script: String,
    },
    User {
        script: String,
    },
    Boot {
        script: String,
    },
    Dependency {
        script: String,
        skip_default_resolution: bool,
    },
    Data(ProvisionFile),
    /// `yq`: changes a YAML, JSON, … file in the guest by an expression.
    Yq {
        expression: String,
        format: String,
        path: String,
        owner: String,
        permissions: String,
    },
    /// `ansible`: a playbook that runs on the host.
    Ansible {
        playbook: String,
    },
}

/// A file that provisioning writes in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionFile {
    /// Any bytes.
    pub content: Vec<u8>,
    pub overwrite: bool,
    /// `user:group`.
    pub owner: String,
    /// Absolute path in the guest.
    pub path: String,
    /// Octal digits.
    pub permissions: String,
}

/// A readiness probe of the user's: runs in the guest as the guest's user until it succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub description: String,
    /// Starts with `#!`.
    pub script: String,
    /// Shown when the probe never succeeds; may be empty.
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostResolver {
    pub enabled: bool,
    /// Whether AAAA is answered; without it every AAAA question gets an empty answer.
    pub ipv6: bool,
    /// Name → address or other name, as written.
    pub hosts: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaCerts {
    pub remove_defaults: bool,
    /// Paths on the host.
    pub files: Vec<PathBuf>,
    /// PEM texts.
    pub certs: Vec<String>,
}

/// One more NIC, as an entry of `networks` asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Place of the entry in the merged list, from 0. Numbers may have gaps: they are in names and ids that must not move.
    pub index: usize,
    pub attachment: Attachment,
    /// Name in the guest.
    pub interface: String,
    /// `aa:bb:cc:dd:ee:ff`, in lower case.
    pub mac_address: String,
    /// Of the default route, if the network offers one; the lowest wins, and the first NIC has 200.
    pub metric: u32,
}

/// What a NIC is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A network of `networks.yaml`, by its name.
    Lima(String),
    /// A server of QEMU's stream protocol that somebody else runs.
    Socket(PathBuf),
}

impl Attachment {
    /// The name in `networks.yaml`; `None` for a socket.
    pub fn network(&self) -> Option<&str> {
        match self {
            Attachment::Lima(name) => Some(name),
            Attachment::Socket(_) => None,
        }
    }
}

/// The guest's user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub comment: String,
    /// Absolute path in the guest.
    pub home: String,
    pub shell: String,
    pub uid: u32,
    pub passwordless_sudo: bool,
}
