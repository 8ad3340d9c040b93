//! Fills in what was not written, from facts about the host. Pure.
//!
//! The order is upstream's and it matters, because templates are expanded on the way: system and user first, then what may mention them.
//! Templates see only the parameters of the instance's own file; those of `_config/` are merged last. Nothing fails here: what is
//! wrong is kept for validation to find.

use std::collections::BTreeMap;

use gotmpl::Value;

use super::host::HostFacts;
use super::merge::{Sources, merge};
use super::platform::{Arch, HostOs};
use super::quantity::Bytes;
use super::template::{Variables, text};
use super::written::*;
use super::{Place, Warning, fill_devices, name, version};

/// A merged document before and after its defaults.
#[derive(Debug)]
pub struct Filled {
    /// What was written, merged: tells an explicit value from a default.
    pub written: LimaYaml,
    /// Every key that has a default is set.
    pub yaml: LimaYaml,
    pub warnings: Vec<Warning>,
}

/// Merges the three documents and fills in every default.
pub fn fill(sources: Sources, place: &Place, host: &HostFacts) -> Filled {
    let own_params = sources.file.param.clone().unwrap_or_default();
    let mut yaml = merge(sources);
    let written = yaml.clone();
    let mut warnings = Vec::new();
    fill_platform(&mut yaml, host);
    fill_user(&mut yaml, place, host, &own_params, &mut warnings);
    let mut filler = Filler {
        place,
        guest: guest_variables(&yaml, place, &own_params),
        host: host_variables(place, host, &own_params),
        home: host.home.as_ref().map(|home| home.to_string_lossy().into_owned()),
        machine_id: &host.machine_id,
        arch: yaml.arch.clone().unwrap_or_default(),
        bsd: matches!(yaml.os.as_deref(), Some("Darwin" | "FreeBSD")),
        warnings,
    };
    fill_images(&mut yaml, &filler);
    fill_resources(&mut yaml, host);
    fill_ssh(&mut yaml, place, host, &mut filler.warnings);
    fill_switches(&mut yaml, host);
    fill_containerd(&mut yaml, &filler);
    fill_devices::fill(&mut yaml, &mut filler);
    if yaml.plain == Some(true) {
        make_plain(&mut yaml);
    }
    drop_empty(&mut yaml);
    Filled { written, yaml, warnings: filler.warnings }
}

/// What the parts of filling share.
pub struct Filler<'a> {
    pub place: &'a Place,
    pub guest: Variables,
    pub host: Variables,
    /// The host's home directory.
    pub home: Option<String>,
    pub machine_id: &'a str,
    pub arch: String,
    /// The guest's root group is `wheel`.
    pub bsd: bool,
    pub warnings: Vec<Warning>,
}

impl Filler<'_> {
    pub fn expand_guest(&mut self, field: impl FnOnce() -> String, value: &mut Option<String>) {
        expand(&self.guest, field, value, &mut self.warnings);
    }

    pub fn expand_host(&mut self, field: impl FnOnce() -> String, value: &mut Option<String>) {
        expand(&self.host, field, value, &mut self.warnings);
    }
}

/// Expands a template in place; one that does not parse or run stays as it is, with a warning.
fn expand(
    variables: &Variables,
    field: impl FnOnce() -> String,
    value: &mut Option<String>,
    warnings: &mut Vec<Warning>,
) {
    let Some(template) = value else { return };
    match variables.expand(template) {
        Ok(text) => *template = text,
        Err(error) => warnings.push(Warning {
            message: format!("cannot expand the template in field `{}`, its text is used as it is", field()),
            fields: vec![("error".to_owned(), error)],
        }),
    }
}

/// `value` unless it is unset.
pub fn default<T>(field: &mut Option<T>, value: T) {
    field.get_or_insert(value);
}

/// `value` unless the field is set and not empty.
pub fn default_empty(field: &mut Option<String>, value: impl FnOnce() -> String) {
    if field.as_deref().is_none_or(str::is_empty) {
        *field = Some(value());
    }
}

fn fill_platform(yaml: &mut LimaYaml, host: &HostFacts) {
    let unset = |field: &Option<String>| matches!(field.as_deref(), None | Some("" | "default"));
    if unset(&yaml.os) {
        yaml.os = Some("Linux".to_owned());
    }
    if unset(&yaml.arch) {
        yaml.arch = Some(host.arch.name().to_owned());
    }
    let native = yaml.arch.as_deref() == Some(host.arch.name());
    default(&mut yaml.vm_type, if host.os == HostOs::MacOs && native { "vz" } else { "qemu" }.to_owned());
}

fn fill_user(
    yaml: &mut LimaYaml,
    place: &Place,
    host: &HostFacts,
    params: &BTreeMap<String, String>,
    warnings: &mut Vec<Warning>,
) {
    let mut user = yaml.user.take().unwrap_or_default();
    let os = yaml.os.as_deref().unwrap_or_default();
    let guest = host_user_as_guest(host, place);
    if user.name.is_none() && guest.name != host.user.name && host.user.uid != 0 {
        let message = format!(
            "local user `{}` is not a valid Linux username; using `{}` username instead",
            host.user.name, guest.name
        );
        warnings.push(Warning { message, fields: Vec::new() });
    }
    default(&mut user.name, guest.name);
    default(&mut user.comment, host.user.comment.clone());
    default(&mut user.uid, guest.uid);
    default(&mut user.home, default_home(os, place));
    let shell = match os {
        "FreeBSD" => "/bin/sh",
        "Darwin" => "/bin/zsh",
        "Windows" => "cmd.exe",
        _ => "/bin/bash",
    };
    default(&mut user.shell, shell.to_owned());
    default(&mut user.passwordless_sudo, os != "Darwin");
    let mut home = user.home.take();
    yaml.user = Some(user);
    // The home directory's template sees every variable but itself.
    expand(&guest_variables(yaml, place, params), || "user.home".to_owned(), &mut home, warnings);
    if let Some(user) = &mut yaml.user {
        user.home = home;
    }
}

struct GuestUser {
    name: String,
    uid: u32,
}

/// The name and number that the host's user gets in the guest: its own, unless Linux or cloud images could not have them. Root
/// becomes an ordinary user, as a guest without one cannot be entered.
fn host_user_as_guest(host: &HostFacts, place: &Place) -> GuestUser {
    const FALLBACK: &str = "lima";
    let name = host.user.name.as_str();
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    // The group `admin` has a meaning of its own in cloud images; instances older than 1.0.0 already have such a user.
    let reserved = name == "root" || (name == "admin" && version::at_least(place.version(), [1, 0, 0]));
    let name = if valid && !reserved { name } else { FALLBACK };
    let uid = if host.user.uid == 0 { 1000 } else { host.user.uid };
    GuestUser { name: name.to_owned(), uid }
}

fn default_home(os: &str, place: &Place) -> String {
    let (parent, suffix) = match os {
        "Darwin" => ("/Users", "guest"),
        _ if version::at_least(place.version(), [2, 1, 0]) => ("/home", "guest"),
        _ => ("/home", "linux"),
    };
    format!("{parent}/{{{{.User}}}}.{suffix}")
}

fn guest_variables(yaml: &LimaYaml, place: &Place, params: &BTreeMap<String, String>) -> Variables {
    let user = yaml.user.clone().unwrap_or_default();
    let mut values = vec![
        ("Name", text(&place.name)),
        ("Hostname", text(&name::hostname(&place.name))),
        ("UID", Value::Uint(user.uid.unwrap_or_default().into())),
        ("User", text(user.name.as_deref().unwrap_or_default())),
    ];
    if let Some(home) = &user.home {
        values.push(("Home", text(home)));
    }
    Variables::new(&values, params)
}

fn host_variables(place: &Place, host: &HostFacts, params: &BTreeMap<String, String>) -> Variables {
    let path = |path: &std::path::Path| text(&path.to_string_lossy());
    let mut values = vec![
        ("Dir", path(&place.dir)),
        ("Name", text(&place.name)),
        ("Instance", text(&place.name)),
        ("UID", text(&host.user.uid.to_string())),
        ("User", text(&host.user.name)),
        ("GlobalTempDir", text("/tmp")),
        ("TempDir", path(&host.temp_dir)),
        ("LimaHome", path(&host.lima_home)),
    ];
    if let Some(home) = &host.home {
        values.push(("Home", path(home)));
    }
    Variables::new(&values, params)
}

fn fill_images(yaml: &mut LimaYaml, filler: &Filler) {
    let arch = &filler.arch;
    for image in yaml.images.iter_mut().flatten() {
        default_empty(&mut image.arch, || arch.clone());
        let own = image.arch.clone().unwrap_or_default();
        if let Some(kernel) = &mut image.kernel {
            default_empty(&mut kernel.arch, || own.clone());
        }
        if let Some(initrd) = &mut image.initrd {
            default_empty(&mut initrd.arch, || own.clone());
        }
    }
    let firmware = yaml.firmware.get_or_insert_default();
    default(&mut firmware.legacy_bios, false);
    for image in firmware.images.iter_mut().flatten() {
        default_empty(&mut image.arch, || arch.clone());
    }
}

fn fill_resources(yaml: &mut LimaYaml, host: &HostFacts) {
    if yaml.cpus.unwrap_or_default() == 0 {
        yaml.cpus = Some(host.cpus.clamp(1, 4).into());
    }
    let half = Bytes(host.memory.0 / 2).min(Bytes::gib(4));
    default_empty(&mut yaml.memory, || half.to_string());
    default_empty(&mut yaml.disk, || "100GiB".to_owned());
}

/// A variable of older versions that decides over the field.
const SSH_OVER_VSOCK: &str = "LIMA_SSH_OVER_VSOCK";

fn fill_ssh(yaml: &mut LimaYaml, place: &Place, host: &HostFacts, warnings: &mut Vec<Warning>) {
    let ssh = yaml.ssh.get_or_insert_default();
    // The instance `default` had a fixed port before 2.0.0, and scripts know it.
    let old_default = place.name == "default" && !version::at_least(place.version(), [2, 0, 0]);
    default(&mut ssh.local_port, if old_default { 60022 } else { 0 });
    default(&mut ssh.load_dot_ssh_pub_keys, false);
    default(&mut ssh.forward_agent, false);
    default(&mut ssh.forward_x11, false);
    default(&mut ssh.forward_x11_trusted, false);
    if let Some(value) = host.env(SSH_OVER_VSOCK) {
        let decided = super::go_bool(value);
        ssh.over_vsock = decided.or(ssh.over_vsock);
        let message = match decided {
            Some(_) => format!(
                "environment variable `{SSH_OVER_VSOCK}` is deprecated; set the field `ssh.overVsock` instead"
            ),
            None => {
                format!("environment variable `{SSH_OVER_VSOCK}` is not a boolean and is ignored: `{value}`")
            }
        };
        warnings.push(Warning { message, fields: Vec::new() });
    }
}

fn fill_switches(yaml: &mut LimaYaml, host: &HostFacts) {
    let audio = yaml.audio.get_or_insert_default();
    default(&mut audio.device, String::new());
    default(&mut audio.interface, String::new());
    default_empty(&mut yaml.video.get_or_insert_default().display, || "none".to_owned());
    default(&mut yaml.timezone, host.timezone.clone());
    default(&mut yaml.upgrade_packages, false);
    default(&mut yaml.guest_install_prefix, "/usr/local".to_owned());
    let resolver = yaml.host_resolver.get_or_insert_default();
    default(&mut resolver.enabled, true);
    default(&mut resolver.ipv6, false);
    default(&mut yaml.propagate_proxy_env, true);
    default(&mut yaml.mount_inotify, false);
    default(&mut yaml.ca_certs.get_or_insert_default().remove_defaults, false);
    default(&mut yaml.nested_virtualization, false);
    default(&mut yaml.plain, false);
    default(&mut yaml.tpm, false);
}

/// Upstream's archives of nerdctl: part of the document that `list --json` and `validate --fill` show.
const NERDCTL: &str =
    "https://github.com/containerd/nerdctl/releases/download/v2.3.5/nerdctl-full-2.3.5-linux-";
const NERDCTL_ARCHIVES: [(Arch, &str, &str); 2] = [
    (Arch::X86_64, "amd64", "sha256:b697295c623639734aaab737523c808fd3cc8d3046039fd94fff1744e4c317aa"),
    (Arch::Aarch64, "arm64", "sha256:6e4b687f1d138e750a3c8372abc0f81d3d7490b6359c48c0562fc7dfe98859b2"),
];

/// The document says what upstream's would say; that containerd is not installed by this version is said elsewhere (`activity`).
fn fill_containerd(yaml: &mut LimaYaml, filler: &Filler) {
    let containerd = yaml.containerd.get_or_insert_default();
    default(&mut containerd.system, false);
    let usual = yaml.os.as_deref() == Some("Linux") && matches!(filler.arch.as_str(), "x86_64" | "aarch64");
    default(&mut containerd.user, usual);
    let archives = containerd.archives.get_or_insert_default();
    if archives.is_empty() {
        archives.extend(NERDCTL_ARCHIVES.map(|(arch, suffix, digest)| File {
            location: Some(format!("{NERDCTL}{suffix}.tar.gz")),
            arch: Some(arch.name().to_owned()),
            digest: Some(digest.to_owned()),
        }));
    }
    for archive in archives {
        default_empty(&mut archive.arch, || filler.arch.clone());
    }
}

/// A plain guest keeps only what the host does by itself.
fn make_plain(yaml: &mut LimaYaml) {
    yaml.mounts = None;
    if let Some(forwards) = &mut yaml.port_forwards {
        forwards.retain(|rule| rule.is_static == Some(true));
    }
    let containerd = yaml.containerd.get_or_insert_default();
    containerd.system = Some(false);
    containerd.user = Some(false);
    yaml.timezone = Some(String::new());
}

/// Empty lists and maps count as absent, so that they are not printed.
fn drop_empty(yaml: &mut LimaYaml) {
    macro_rules! drop_empty {
        ($($field:expr),* $(,)?) => {
            $(if $field.as_ref().is_some_and(|value| value.is_empty()) { $field = None; })*
        };
    }
    drop_empty!(
        yaml.vm_opts,
        yaml.cpu_type,
        yaml.additional_disks,
        yaml.mounts,
        yaml.mount_types_unsupported,
        yaml.provision,
        yaml.probes,
        yaml.port_forwards,
        yaml.copy_to_host,
        yaml.message,
        yaml.networks,
        yaml.env,
        yaml.param,
        yaml.dns,
        yaml.os_opts,
    );
    if let Some(firmware) = &mut yaml.firmware {
        drop_empty!(firmware.images);
    }
    if let Some(resolver) = &mut yaml.host_resolver {
        drop_empty!(resolver.hosts);
    }
    if let Some(certs) = &mut yaml.ca_certs {
        drop_empty!(certs.files, certs.certs);
    }
    if let Some(video) = &mut yaml.video {
        video.vnc = video.vnc.take().filter(|vnc| vnc.display.is_some());
    }
    yaml.rosetta = yaml.rosetta.take().filter(|rosetta| *rosetta != Rosetta::default());
}
