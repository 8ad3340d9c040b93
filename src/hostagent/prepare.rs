//! Everything between the first breath and the VM's start: the claim on the instance, then what the guest and its users will find.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::SystemTime;

use tokio::net::UnixListener;

use super::edits::Edit;
use super::nics::Nics;
use super::remote::{ADDRESS, Remote};
use super::requirements::Requirements;
use super::screen;
use super::values::{GATEWAY, GUEST, Start, dot_ssh, seed_values};
use super::{Error, Request};
use crate::config::file_format::FileFormat;
use crate::config::managed::ManagedNetworks;
use crate::config::resolved::{Provision, ProvisionMode};
use crate::config::{Config, name, version};
use crate::dns::{self, StaticHosts};
use crate::home::{self, InstanceDir, lock::Lock};
use crate::process::{clock, identity::Identity};
use crate::{disks, seed, ssh};

/// The ssh port of an instance `default` that a version before 2.0.0 made.
const OLD_DEFAULT_PORT: u16 = 60022;

/// What proves to others that this agent and its VM live. Dropping it removes the pid file and releases the lock.
pub(super) struct Claim {
    pub dir: InstanceDir,
    pidfile: std::path::PathBuf,
    _agent: Lock,
    /// For the VM's process to inherit; taken out when it is started.
    pub vm: std::cell::RefCell<Option<Lock>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Only a hint for other tools: nothing depends on its being gone.
        let _ = home::remove_if_present(&self.pidfile);
    }
}

/// Takes the instance for this process.
pub(super) fn claim(request: &Request) -> Result<Claim, Error> {
    let dir = request.home.instance(&request.name);
    let pidfile = request.pidfile.clone();
    let Some(mut agent) = Lock::try_acquire(&dir.agent_lock())? else {
        let pid = InstanceDir::read_pid(&pidfile).unwrap_or(0);
        return Err(Error::AlreadyRunning { pid, pidfile });
    };
    let holder = serde_json::json!({ "identity": Identity::own(), "version": version::OWN });
    agent.write_content(&format!("{holder}\n"))?;
    let Some(vm) = Lock::try_acquire(&dir.vm_lock())? else {
        return Err(Error::OrphanedVm { name: request.name.clone() });
    };
    home::write_atomic(&pidfile, format!("{}\n", std::process::id()).as_bytes(), 0o644)?;
    Ok(Claim { dir, pidfile, _agent: agent, vm: Some(vm).into() })
}

/// What is ready when the VM may start.
pub(super) struct Prepared {
    pub config: Config,
    pub hostname: String,
    /// Port on the host's loopback that leads to the guest's sshd.
    pub ssh_port: u16,
    /// Whether another port would do as well.
    pub any_port: bool,
    pub requirements: Requirements,
    /// Of the API; taken out when it is served.
    pub listener: Option<UnixListener>,
    /// Serves until it is dropped.
    pub dns: Option<dns::Handle>,
    /// The networks of `networks.yaml`; `None` where the instance is on none of them.
    pub managed: Option<ManagedNetworks>,
    /// What becomes of the NICs.
    pub nics: Nics,
    options: Vec<String>,
    /// Freed when this is dropped, which is after the VM is gone.
    pub disks: disks::Attached,
}

/// Prepares everything. Nothing is left behind by a failure but files that the next start replaces.
pub(super) fn prepare(request: &Request, claim: &Claim) -> Result<Prepared, Error> {
    let (dir, host) = (&claim.dir, &request.host);
    let loaded = request.home.load(dir, host)?;
    let config = loaded.config;
    let hostname = name::hostname(&request.name);
    let on_networks = config.networks.iter().any(|network| network.attachment.network().is_some());
    let managed = on_networks.then(|| request.home.managed_networks(host)).transpose()?;
    let disks = disks::attach(&request.home, dir, &config.additional_disks)?;
    let (ssh_port, any_port) = choose_ssh_port(&config, dir, &request.name)?;
    let (dns, dns_ports) = start_resolver(&config, &request.name)?;
    let instance_id = format!("iid-{}", clock::unix_seconds(SystemTime::now()));
    let start = Start {
        instance_id: &instance_id,
        debug: request.debug,
        dns_ports,
        host_nameservers: request.host_nameservers,
    };
    let values = seed_values(&request.home, host, &request.name, &config, &start)?;
    write_seed(dir, &values)?;
    // A run that was killed leaves them.
    screen::remove(dir);
    let client = ssh::Client::find(host.env("SSH"))?;
    let options = profile(request, &config, dir, client.facts()).options()?;
    write_ssh_config(dir, &hostname, &options, ssh_port)?;
    let remote = Remote::new(client, options.clone(), dir.ssh_socket(), ssh_port);
    let requirements = Requirements {
        remote,
        instance_id,
        plain: config.plain,
        probes: config.probes.clone(),
        params: config.param.clone(),
        edits: edits(&config),
        copies: config.copy_to_host.clone(),
        forward_agent: config.ssh.forward_agent,
    };
    let nics = Nics::new(dir.qmp_socket());
    let listener = Some(listen(&request.socket)?);
    tracing::info!("hostagent socket created at {}", request.socket.display());
    Ok(Prepared {
        config,
        hostname,
        ssh_port,
        any_port,
        requirements,
        listener,
        dns,
        managed,
        nics,
        options,
        disks,
    })
}

impl Prepared {
    /// Takes another free port for ssh, because the one before was taken meanwhile by somebody else.
    pub(super) fn change_port(&mut self, dir: &InstanceDir) -> Result<(), Error> {
        self.ssh_port = free_port()?;
        self.requirements.remote.set_port(self.ssh_port);
        write_ssh_config(dir, &self.hostname, &self.options, self.ssh_port)
    }
}

fn edits(config: &Config) -> Vec<Edit> {
    let edit = |(number, provision): (usize, &Provision)| match &provision.mode {
        ProvisionMode::Yq { expression, format, path, .. } => Some(Edit {
            number,
            path: path.clone(),
            expression: expression.clone(),
            // Other formats were refused before.
            format: FileFormat::of(format, path)?,
        }),
        _ => None,
    };
    config.provision.iter().enumerate().filter_map(edit).collect()
}

fn choose_ssh_port(config: &Config, dir: &InstanceDir, name: &str) -> Result<(u16, bool), Error> {
    if config.ssh.local_port != 0 {
        return Ok((config.ssh.local_port, false));
    }
    let recorded = dir.recorded_version()?.unwrap_or_default();
    if name == "default" && !version::at_least(&recorded, [2, 0, 0]) {
        return Ok((OLD_DEFAULT_PORT, false));
    }
    Ok((free_port()?, true))
}

/// A port that is free now; QEMU will bind it in a moment, and if somebody was quicker, another one is taken.
fn free_port() -> Result<u16, Error> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::NoPort)?;
    Ok(listener.local_addr().map_err(Error::NoPort)?.port())
}

/// The resolver and its UDP and TCP port; none, and zeros, where the guest is not to ask it.
fn start_resolver(config: &Config, name: &str) -> Result<(Option<dns::Handle>, (u16, u16)), Error> {
    if !config.host_resolver.enabled {
        return Ok((None, (0, 0)));
    }
    let hosts = static_hosts(config, name, &[])?;
    let server = dns::Server::bind()?;
    let ports = (server.udp_port(), server.tcp_port());
    let handle = server.start(dns::Settings::new(hosts, config.host_resolver.ipv6))?;
    Ok((Some(handle), ports))
}

/// What the resolver knows by itself: the user's names, which win over those of `neighbours`, then the host and the guest.
pub(super) fn static_hosts(
    config: &Config,
    name: &str,
    neighbours: &[(String, String)],
) -> Result<StaticHosts, dns::StaticHostsError> {
    let own = name::hostname(name);
    let guest = GUEST.to_string();
    let fixed = [
        ("host.lima.internal".to_owned(), GATEWAY.to_string()),
        (format!("{own}.internal"), guest.clone()),
        (own, guest),
    ];
    let is_fixed = |key: &String| {
        let key = key.trim_end_matches('.');
        fixed.iter().any(|(ours, _)| key.eq_ignore_ascii_case(ours))
    };
    let written = config.host_resolver.hosts.iter().filter(|(key, _)| !is_fixed(key));
    let neighbours = neighbours.iter().map(|(name, address)| (name, address));
    let fixed = fixed.iter().map(|(name, address)| (name, address));
    let all = neighbours.chain(written).chain(fixed);
    StaticHosts::new(all.map(|(name, target)| (name.as_str(), target.as_str())))
}

fn profile(request: &Request, config: &Config, dir: &InstanceDir, client: ssh::ClientFacts) -> ssh::Profile {
    let extra = dot_ssh(config, &request.host).map(|path| ssh::dot_ssh_identities(&path));
    ssh::Profile {
        identity: request.home.identity(),
        extra_identities: extra.unwrap_or_default(),
        user: config.user.name.clone(),
        control_path: dir.ssh_socket(),
        forward_agent: config.ssh.forward_agent,
        forward_x11: config.ssh.forward_x11,
        forward_x11_trusted: config.ssh.forward_x11_trusted,
        client,
        has_aes: ssh::host_has_aes(),
    }
}

fn write_ssh_config(dir: &InstanceDir, hostname: &str, options: &[String], port: u16) -> Result<(), Error> {
    let text = ssh::ssh_config(hostname, options, ADDRESS, port)?;
    let path = dir.ssh_config();
    let comment = format!(
        "# How to enter this instance: ssh -F {} {hostname}\n\
         # Written by limactl for people and other programs; limactl itself takes only the port from it.\n\
         # Each start writes it anew.\n",
        path.display()
    );
    Ok(home::write_atomic(&path, (comment + &text).as_bytes(), 0o600)?)
}

fn write_seed(dir: &InstanceDir, values: &seed::Values) -> Result<(), Error> {
    let image = seed::iso::image(seed::VOLUME_ID, &seed::files(values)?)?;
    home::write_atomic(&dir.cidata(), &image, 0o644)?;
    Ok(home::write_atomic(&dir.cloud_config(), seed::cloud_config(values).as_bytes(), 0o444)?)
}

/// Takes the place of a socket that a crash left: the lock that we hold says that nobody serves there.
fn listen(path: &Path) -> Result<UnixListener, Error> {
    home::remove_if_present(path)?;
    UnixListener::bind(path).map_err(|source| Error::Listen { path: path.to_path_buf(), source })
}
