//! A machine of its own for a resolver: private network, mounts and host name; its own `/etc` and `/run`; scripted nameservers.
//!
//! A thread of the test takes itself into new namespaces; whatever it starts, threads and programs, is in there too. The folder `/etc` is
//! the World's own, a few files of the real one copied into it, so every way of replacing a file can be tried. Root can do that; for anyone else the test
//! runs itself again as the root of a user namespace; where that is forbidden it says so in one line.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};

use nix::mount::{MsFlags, mount};

use super::nameserver::Nameserver;
use crate::support::{World, namespaces, until};

/// Where the resolver listens, over UDP and TCP.
pub(crate) const PORT: u16 = 5300;
/// The name of the machine.
pub(crate) const HOST_NAME: &str = "matrixhost";
/// The nameserver that `resolv.conf` names.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What programs need of the real `/etc`.
const COPIED: [&str; 6] = ["passwd", "group", "services", "protocols", "localtime", "ld.so.cache"];

/// What the machine is like.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) resolv_conf: String,
    pub(crate) hosts: String,
    pub(crate) nsswitch: String,
    pub(crate) host_conf: String,
    /// Words for `--host`.
    pub(crate) static_names: Vec<String>,
    pub(crate) ipv6: bool,
    pub(crate) port: u16,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            resolv_conf: format!("nameserver {SERVER}\n"),
            hosts: "127.0.0.1 localhost\n::1 localhost ip6-localhost\n".into(),
            nsswitch: "hosts: files dns\n".into(),
            host_conf: "multi on\n".into(),
            static_names: Vec::new(),
            ipv6: true,
            port: PORT,
        }
    }
}

/// A running resolver on such a machine.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) server: Nameserver,
    pub(crate) address: SocketAddr,
    resolver: Child,
}

/// Runs `test` where namespaces can be made; `name` is the test's own, by which it can be run again.
pub(crate) fn with_namespaces(name: &str, test: impl FnOnce()) {
    if nix::unistd::geteuid().is_root() {
        return test();
    }
    let user_namespace = || {
        let mut command = Command::new("unshare");
        command.arg("--map-root-user");
        command
    };
    let can = user_namespace().args(["-n", "-m", "-u", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        return namespaces::skip(name, "this user cannot make namespaces for networks and mounts");
    }
    let mut again = user_namespace();
    again.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let output = again.output().unwrap();
    eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "it failed as root of a user namespace, see above");
}

/// Runs `test` in a network of its own, with a loopback.
pub(crate) fn apart<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    namespaces::apart(|| {
        run("ip", &["link", "set", "lo", "up"]);
        test()
    })
}

/// Runs a program in the namespaces of this thread.
#[track_caller]
pub(crate) fn run(program: &str, words: &[&str]) {
    let mut command = Command::new(program);
    // Where `ip` is on systems that keep it from ordinary users.
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(words);
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files of the machine, without a resolver; `/etc` and `/run` are now the World's.
pub(crate) fn furnish(setup: &Setup) -> World {
    let world = World::bare();
    for folder in ["etc", "run/systemd/resolve"] {
        fs::create_dir_all(world.path(folder)).unwrap();
    }
    for name in COPIED {
        // Not every system has all of them.
        let _ = fs::copy(format!("/etc/{name}"), world.path("etc").join(name));
    }
    let files = [
        ("resolv.conf", &setup.resolv_conf),
        ("hosts", &setup.hosts),
        ("nsswitch.conf", &setup.nsswitch),
        ("host.conf", &setup.host_conf),
    ];
    for (name, text) in files {
        fs::write(world.path("etc").join(name), text).unwrap();
    }
    nix::unistd::sethostname(HOST_NAME).unwrap();
    for folder in ["etc", "run"] {
        let none = None::<&str>;
        let target = format!("/{folder}");
        mount(Some(&world.path(folder)), target.as_str(), none, MsFlags::MS_BIND, none).unwrap();
    }
    world
}

/// Folders of modules for `nsswitch.conf` that are not installed; in the form of `LD_LIBRARY_PATH`.
pub(crate) fn modules() -> Option<String> {
    let folder = std::env::var("LIMA_TEST_NSS").ok()?;
    let mut found = Vec::new();
    for sub in ["usr/lib", "lib"] {
        let entries = fs::read_dir(format!("{folder}/{sub}")).into_iter().flatten();
        found.extend(entries.filter_map(Result::ok).map(|entry| entry.path().display().to_string()));
    }
    (!found.is_empty()).then(|| found.join(":"))
}

impl Place {
    /// With one nameserver, which `resolv.conf` names.
    pub(crate) fn new(setup: &Setup) -> Place {
        Place::furnished(furnish(setup), Nameserver::start(IpAddr::from(SERVER)), setup)
    }

    /// Starts the resolver in a machine that is ready.
    pub(crate) fn furnished(world: World, server: Nameserver, setup: &Setup) -> Place {
        let port = setup.port.to_string();
        let mut command = world.command(env!("CARGO_BIN_EXE_limactl"));
        command.args(["debug", "dns", &port, &port]);
        if setup.ipv6 {
            command.arg("--ipv6");
        }
        for name in &setup.static_names {
            command.args(["--host", name]);
        }
        if let Some(folders) = modules() {
            command.env("LD_LIBRARY_PATH", folders);
        }
        let log = fs::File::create(world.path("log")).unwrap();
        let mut resolver = command.stderr(log).spawn().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, setup.port));
        let log = world.path("log");
        until("the resolver listens", || {
            if let Some(status) = resolver.try_wait().unwrap() {
                panic!("the resolver ended with {status}: {}", fs::read_to_string(&log).unwrap());
            }
            TcpStream::connect(address).is_ok()
        });
        Place { world, server, address, resolver }
    }

    /// What the resolver wrote to standard error.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.world.path("log")).unwrap()).into_owned()
    }

    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.world.path("etc").join(name)
    }

    /// Resident memory of the resolver.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.resolver.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resolver lives");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Open descriptors of the resolver.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.resolver.id())).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.resolver.kill();
        let _ = self.resolver.wait();
        self.server.end();
    }
}
