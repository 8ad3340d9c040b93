//! What a volume is made of. Plain data: the story that starts an instance fills it in, nothing here looks anything up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::resolved::{AdditionalDisk, Provision, User};

/// Everything that one start of one instance tells its guest.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Instance name.
    pub name: String,
    /// `lima-` and the instance name.
    pub hostname: String,
    /// `iid-` and the seconds of the Unix clock: new at every start of the agent, the same when the guest reboots by itself.
    pub iid: String,
    /// The guest's scripts trace what they do.
    pub debug: bool,
    pub user: User,
    /// Lines of `authorized_keys`; at least one.
    pub ssh_public_keys: Vec<String>,
    /// In the order of the devices; the first is `eth0`.
    pub nics: Vec<Nic>,
    /// Nameservers, for the first NIC and for `resolv.conf`; empty leaves what DHCP says.
    pub dns: Vec<IpAddr>,
    pub slirp: Slirp,
    /// Ports of the host's resolver on the host's loopback; 0 means that nothing is redirected there.
    pub udp_dns_port: u16,
    pub tcp_dns_port: u16,
    /// Driver: `qemu`, `vz`, ….
    pub vm_type: String,
    /// `9p`, `virtiofs`, `reverse-sshfs` or empty. Told to scripts; mounts themselves are not made yet.
    pub mount_type: String,
    /// Additional disks, in the order in which the guest sees them behind its boot disk.
    pub disks: Vec<AdditionalDisk>,
    pub plain: bool,
    /// IANA name; empty leaves the guest's zone.
    pub timezone: String,
    pub upgrade_packages: bool,
    pub guest_install_prefix: String,
    /// The guest's environment, definite: proxies merged in, loopback hosts replaced.
    pub env: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    pub ca_certs: CaCerts,
    /// The merged list; an entry's place is its number in the guest.
    pub provisions: Vec<Provision>,
}

/// One network interface of the guest; its address comes by DHCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Name in the guest.
    pub name: String,
    /// `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// Of its default route; the lowest wins.
    pub metric: u32,
}

/// The addresses of the user-mode network that the first NIC is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slirp {
    /// The host, seen from the guest.
    pub gateway: IpAddr,
    /// Where the guest sends its DNS questions.
    pub dns: IpAddr,
    /// The guest's own address; `None` where it is not known beforehand (`user-v2`).
    pub address: Option<IpAddr>,
}

/// Certificates for the guest's trust store; the default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaCerts {
    pub remove_defaults: bool,
    /// PEM texts.
    pub trusted: Vec<String>,
}

impl Values {
    /// Whether a parameter that changes the seed itself is set to `true`.
    pub(super) fn param_is_true(&self, name: &str) -> bool {
        self.params.get(name).is_some_and(|value| value == "true")
    }
}
