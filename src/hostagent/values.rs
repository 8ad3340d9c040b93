//! `Config` → the seed's values: what one start tells its guest.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::Error;
use crate::config::{Config, HostFacts, name, proxy};
use crate::home::Home;
use crate::{seed, ssh};

/// Addresses of QEMU's user-mode network: the host, its name server, the guest.
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 2);
const SLIRP_DNS: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 3);
pub(super) const GUEST: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 15);
/// Metric of the first NIC: any other one is preferred, upstream's choice.
const FIRST_NIC_METRIC: u32 = 200;

/// What is different at each start.
pub(super) struct Start<'a> {
    pub instance_id: &'a str,
    pub debug: bool,
    /// UDP and TCP port of the host resolver; zeros where there is none.
    pub dns_ports: (u16, u16),
    /// See [`super::Request::host_nameservers`].
    pub host_nameservers: fn(&HostFacts) -> Vec<IpAddr>,
}

/// The text of `cloud-config.yaml` of an instance that is being created. Makes the ssh key if there is none.
pub fn cloud_config(home: &Home, host: &HostFacts, name: &str, config: &Config) -> Result<String, Error> {
    // The text has no nameservers: they are those of a start.
    let host_nameservers = |_: &HostFacts| Vec::new();
    let start = Start { instance_id: "iid-0", debug: false, dns_ports: (0, 0), host_nameservers };
    Ok(seed::cloud_config(&seed_values(home, host, name, config, &start)?))
}

/// Where the user's own keys are, if the guest is to accept them.
pub(super) fn dot_ssh(config: &Config, host: &HostFacts) -> Option<PathBuf> {
    let home = host.home.as_ref().filter(|_| config.ssh.load_dot_ssh_pub_keys)?;
    Some(home.join(".ssh"))
}

pub(super) fn seed_values(
    home: &Home,
    host: &HostFacts,
    name: &str,
    config: &Config,
    start: &Start,
) -> Result<seed::Values, Error> {
    Ok(seed::Values {
        name: name.to_owned(),
        hostname: name::hostname(name),
        iid: start.instance_id.to_owned(),
        debug: start.debug,
        user: config.user.clone(),
        ssh_public_keys: ssh::public_keys(home, dot_ssh(config, host).as_deref())?,
        nics: nics(config),
        dns: nameservers(config, || (start.host_nameservers)(host)),
        slirp: seed::Slirp { gateway: GATEWAY.into(), dns: SLIRP_DNS.into(), address: Some(GUEST.into()) },
        udp_dns_port: start.dns_ports.0,
        tcp_dns_port: start.dns_ports.1,
        vm_type: config.vm_type.clone(),
        mount_type: String::new(),
        disks: config.additional_disks.clone(),
        plain: config.plain,
        timezone: config.timezone.clone(),
        upgrade_packages: config.upgrade_packages,
        guest_install_prefix: config.guest_install_prefix.clone(),
        env: guest_environment(config, host),
        params: config.param.clone(),
        ca_certs: ca_certificates(config)?,
        provisions: config.provision.clone(),
    })
}

fn nics(config: &Config) -> Vec<seed::Nic> {
    let first = seed::Nic { name: "eth0".into(), mac: config.mac_address.clone(), metric: FIRST_NIC_METRIC };
    let more = config.networks.iter().map(|network| seed::Nic {
        name: network.interface.clone(),
        mac: network.mac_address.clone(),
        metric: network.metric,
    });
    std::iter::once(first).chain(more).collect()
}

/// The guest's nameservers: those that were written, else ours, else the host's. Empty leaves what DHCP says, which is slirp's own.
fn nameservers(config: &Config, hosts: impl FnOnce() -> Vec<IpAddr>) -> Vec<IpAddr> {
    match (config.dns.as_slice(), config.host_resolver.enabled) {
        ([], true) => vec![IpAddr::V4(SLIRP_DNS)],
        ([], false) => hosts(),
        (written, _) => written.to_vec(),
    }
}

/// The guest's environment: `env:` and the host's proxies, where a proxy on the host's loopback becomes one that the guest reaches.
fn guest_environment(config: &Config, host: &HostFacts) -> BTreeMap<String, String> {
    let resolve = |name: &str| -> Vec<IpAddr> {
        use std::net::ToSocketAddrs;
        (name, 0)
            .to_socket_addrs()
            .map(|found| found.map(|address| address.ip()).collect())
            .unwrap_or_default()
    };
    let environment = proxy::environment(&proxy::Sources {
        system: &[],
        env: &config.env,
        process: &host.env,
        propagate: config.propagate_proxy_env,
        gateway: GATEWAY.into(),
        resolve: &resolve,
    });
    for notice in &environment.notices {
        tracing::info!("{notice}");
    }
    environment.variables
}

fn ca_certificates(config: &Config) -> Result<seed::CaCerts, Error> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| Error::CaCertificate { path: path.clone(), source })
    };
    let mut trusted = config.ca_certs.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    trusted.extend(config.ca_certs.certs.iter().cloned());
    Ok(seed::CaCerts { remove_defaults: config.ca_certs.remove_defaults, trusted })
}
