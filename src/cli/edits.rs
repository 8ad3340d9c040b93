//! The flags that change `lima.yaml`, and what they change. Their order here is the order in which they are applied, whatever the order on the command line.

use std::net::IpAddr;

use clap::{ArgAction, Args};
use thiserror::Error;

use super::edit_values::{Csv, IpList, csv, gib, ip_list, port};
use super::go_text;
use crate::config::HostFacts;
use crate::config::edits::{Edit, Mount, Network, PortForward};
use crate::config::paths;

/// Flags of every command that changes the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct EditArgs {
    /// Number of processors
    #[arg(long, value_name = "N", value_parser = go_text::parse_int, allow_hyphen_values = true)]
    pub cpus: Option<i64>,
    /// Name servers for the guest instead of the host resolver, for example 192.0.2.53,192.0.2.54
    #[arg(long, value_name = "IP,…", action = ArgAction::Append, value_parser = ip_list)]
    pub dns: Vec<IpList>,
    /// Memory in GiB
    #[arg(long, value_name = "GIB", value_parser = gib)]
    pub memory: Option<f32>,
    /// Directories of the host to mount besides those of the file; :w makes one writable
    #[arg(long, value_name = "DIR[:w],…", action = ArgAction::Append, value_parser = csv)]
    pub mount: Vec<Csv>,
    /// Directories of the host to mount instead of those of the file
    #[arg(long, value_name = "DIR[:w],…", action = ArgAction::Append, value_parser = csv)]
    pub mount_only: Vec<Csv>,
    /// Mount nothing
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub mount_none: Option<bool>,
    /// How directories are mounted: reverse-sshfs, 9p, virtiofs
    #[arg(long, value_name = "NAME")]
    pub mount_type: Option<String>,
    /// Driver: qemu
    #[arg(long, value_name = "NAME")]
    pub vm_type: Option<String>,
    /// Tell the guest of changes in mounted directories (experimental)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub mount_inotify: Option<bool>,
    /// Make all mounts writable
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub mount_writable: Option<bool>,
    /// Networks besides those of the file: lima:shared, lima:user-v2, …, or vzNAT
    #[arg(long, value_name = "NAME,…", action = ArgAction::Append, value_parser = csv)]
    pub network: Vec<Csv>,
    /// Virtual machines in the guest
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub nested_virt: Option<bool>,
    /// Programs for x86_64 in a guest on Apple silicon
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub rosetta: Option<bool>,
    /// Change the file by an expression of yq, for example '.cpus = 2'
    #[arg(long, value_name = "EXPR", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// Set a parameter that the file defines
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub param: Vec<String>,
    /// A display for the guest
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub video: Option<bool>,
    /// Port of ssh on the host's loopback; 0 takes a free one
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub ssh_port: Option<u16>,
    /// Size of the disk in GiB
    #[arg(long, value_name = "GIB", value_parser = gib)]
    pub disk: Option<f32>,
    /// Shell of the guest's user, an absolute path in the guest
    #[arg(long, value_name = "PATH")]
    pub shell: Option<String>,
}

/// Further flags of `create` and `start`.
#[derive(Debug, Clone, Default, Args)]
pub struct CreateFlags {
    /// Sound device of the host, or none (experimental)
    #[arg(long, value_name = "NAME")]
    pub audio_device: Option<String>,
    /// Sound device of the guest: hda, virtio (experimental)
    #[arg(long, value_name = "NAME")]
    pub audio_interface: Option<String>,
    /// Forward a port of the host to the guest, for example 8080:80 or 8080:80,static=true
    #[arg(long, value_name = "HOST:GUEST", action = ArgAction::Append)]
    pub port_forward: Vec<String>,
    #[command(flatten)]
    pub new: NewArgs,
}

/// Flags that only a new instance can have.
#[derive(Debug, Clone, Default, Args)]
pub struct NewArgs {
    /// Only images of this variant
    #[arg(long, value_name = "NAME")]
    pub image_variant: Option<String>,
    /// Only images of this variant of the architecture
    #[arg(long, value_name = "NAME")]
    pub arch_variant: Option<String>,
    /// Architecture: x86_64, aarch64, armv7l, ppc64le, riscv64, s390x
    #[arg(long, value_name = "NAME")]
    pub arch: Option<String>,
    /// Whose containerd to install: user, system, user+system, none
    #[arg(long, value_name = "MODE")]
    pub containerd: Option<String>,
    /// Start without mounts and port forwards
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub plain: Option<bool>,
}

/// A flag whose value was read and cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("error while processing flag `{flag}`: {problem}")]
pub struct EditError {
    flag: &'static str,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq, Error)]
enum Problem {
    #[error("invalid value for number of cpus, must be >= 0")]
    Cpus,
    #[error("flag `--mount` conflicts with `--mount-only`")]
    MountAndMountOnly,
    #[error("flag `--mount-none` conflicts with `mount`")]
    MountAndMountNone,
    #[error("unexpandable path `{0}`")]
    Path(String),
    #[error("network name must be `vzNAT` or `lima:*`, got `{0}`")]
    Network(String),
    #[error("invalid parameter `{0}`, expected NAME=VALUE")]
    Param(String),
    #[error("`--{0}` must not be empty")]
    Empty(&'static str),
    #[error("expected one of [`user` `system` `user+system` `none`], got `{0}`")]
    Containerd(String),
    #[error("invalid port forward format `{0}`, expected HOST:GUEST or HOST:GUEST,static=true")]
    ForwardWords(String),
    #[error("invalid port forward format `{0}`, expected HOST:GUEST")]
    ForwardPorts(String),
    #[error("invalid parameter `{0}`, expected `static=` followed by a boolean value")]
    ForwardParameter(String),
    #[error("invalid value for static parameter: `{0}`")]
    ForwardStatic(String),
}

impl EditArgs {
    /// The edits for an instance or a file that exists.
    pub fn edits(&self, host: &HostFacts) -> Result<Vec<Edit>, EditError> {
        self.edits_with(&CreateFlags::default(), host)
    }

    /// The edits for an existing instance by `start`; what only a new one can have is warned of.
    pub fn edits_of_existing(
        &self,
        more: &CreateFlags,
        name: &str,
        host: &HostFacts,
    ) -> Result<Vec<Edit>, EditError> {
        more.new.warn_not_applicable(name);
        self.edits_with(&CreateFlags { new: NewArgs::default(), ..more.clone() }, host)
    }

    /// The edits for a new instance.
    pub fn edits_with(&self, more: &CreateFlags, host: &HostFacts) -> Result<Vec<Edit>, EditError> {
        let new = &more.new;
        let mut edits = Vec::new();
        edits.extend(self.cpus.map(cpus).transpose()?);
        edits.extend(self.dns());
        edits.extend(self.memory.map(Edit::Memory));
        edits.extend(self.mounts(host)?);
        edits.extend(self.mount_type.clone().map(Edit::MountType));
        edits.extend(self.vm_type.clone().map(Edit::VmType));
        edits.extend(self.mount_inotify.map(|on| experimental("mount-inotify", Edit::MountInotify(on))));
        edits.extend(self.mount_writable.map(Edit::MountWritable));
        edits.extend(self.networks()?);
        edits.extend(self.nested_virt.map(Edit::NestedVirtualization));
        edits.extend(self.rosetta.map(Edit::Rosetta));
        edits.extend(self.set.iter().cloned().map(Edit::Set));
        for word in &self.param {
            edits.push(param(word)?);
        }
        edits.extend(self.video.map(Edit::Video));
        edits.extend(
            more.audio_device.clone().map(|name| experimental("audio-device", Edit::AudioDevice(name))),
        );
        edits.extend(
            more.audio_interface
                .clone()
                .map(|name| experimental("audio-interface", Edit::AudioInterface(name))),
        );
        edits.extend(self.ssh_port.map(Edit::SshPort));
        edits.extend(filter("image-variant", &new.image_variant, Edit::ImageVariant)?);
        edits.extend(filter("arch-variant", &new.arch_variant, Edit::ArchVariant)?);
        edits.extend(new.arch.clone().map(Edit::Arch));
        edits.extend(new.containerd.as_deref().map(containerd).transpose()?);
        edits.extend(self.disk.map(Edit::Disk));
        edits.extend(new.plain.map(Edit::Plain));
        let forwards: Vec<PortForward> =
            more.port_forward.iter().map(|word| port_forward(word)).collect::<Result<_, _>>()?;
        edits.extend((!forwards.is_empty()).then_some(Edit::PortForwards(forwards)));
        edits.extend(self.shell.clone().map(Edit::Shell));
        Ok(edits)
    }

    fn dns(&self) -> Option<Edit> {
        let servers: Vec<IpAddr> = self.dns.iter().flat_map(|list| list.0.iter().copied()).collect();
        if servers.is_empty() {
            return None;
        }
        tracing::warn!("Disabling the host resolver, because `--dns` names the guest's name servers");
        Some(Edit::Dns(servers))
    }

    fn mounts(&self, host: &HostFacts) -> Result<Option<Edit>, EditError> {
        let words = |flag: &'static str, lists: &[Csv]| -> Result<Vec<Mount>, EditError> {
            lists.iter().flat_map(|list| &list.0).map(|word| mount(flag, word, host)).collect()
        };
        let (added, only) = (words("mount", &self.mount)?, words("mount-only", &self.mount_only)?);
        let wrong = |flag, problem| Err(EditError { flag, problem });
        if !added.is_empty() && !only.is_empty() {
            return wrong("mount", Problem::MountAndMountOnly);
        }
        let none = self.mount_none == Some(true);
        if none && !(added.is_empty() && only.is_empty()) {
            return wrong("mount-none", Problem::MountAndMountNone);
        }
        Ok(match (none, added.is_empty(), only.is_empty()) {
            (true, ..) => Some(Edit::NoMounts),
            (_, false, _) => Some(Edit::AddMounts(added)),
            (_, _, false) => Some(Edit::OnlyMounts(only)),
            _ => None,
        })
    }

    fn networks(&self) -> Result<Option<Edit>, EditError> {
        let networks: Vec<Network> = self
            .network
            .iter()
            .flat_map(|list| &list.0)
            .map(|word| network(word))
            .collect::<Result<_, _>>()?;
        Ok((!networks.is_empty()).then_some(Edit::Networks(networks)))
    }
}

impl NewArgs {
    /// Warns of the flags that cannot change the existing instance `name`.
    fn warn_not_applicable(&self, name: &str) {
        let plain = self.plain.map(|plain| plain.to_string());
        for (flag, value) in [
            ("image-variant", &self.image_variant),
            ("arch-variant", &self.arch_variant),
            ("arch", &self.arch),
            ("containerd", &self.containerd),
            ("plain", &plain),
        ] {
            let Some(value) = value else { continue };
            tracing::warn!(
                "`--{flag}` is not applicable to an existing instance (Hint: create a new instance with `limactl create --{flag}={value} --name={name}`)"
            );
        }
    }
}

fn experimental(flag: &str, edit: Edit) -> Edit {
    tracing::warn!("`--{flag}` is experimental");
    edit
}

/// Zero passes here and is refused by validation, which knows more.
fn cpus(count: i64) -> Result<Edit, EditError> {
    u32::try_from(count).map(Edit::Cpus).map_err(|_| EditError { flag: "cpus", problem: Problem::Cpus })
}

fn mount(flag: &'static str, word: &str, host: &HostFacts) -> Result<Mount, EditError> {
    let (path, writable) = match word.strip_suffix(":w") {
        Some(path) => (path, true),
        None => (word, false),
    };
    let home = host.home.as_ref().map(|home| home.to_string_lossy().into_owned());
    let path = paths::expand_tilde(path, home.as_deref())
        .ok_or_else(|| EditError { flag, problem: Problem::Path(path.to_owned()) })?;
    let path = match path.starts_with('/') {
        true => paths::clean(&path),
        false => paths::clean(&format!("{}/{path}", host.cwd.display())),
    };
    Ok(Mount { path, writable })
}

fn network(word: &str) -> Result<Network, EditError> {
    match word.strip_prefix("lima:") {
        Some(name) => Ok(Network::Lima(name.to_owned())),
        None if word == "vzNAT" => Ok(Network::VzNat),
        None => Err(EditError { flag: "network", problem: Problem::Network(word.to_owned()) }),
    }
}

fn param(word: &str) -> Result<Edit, EditError> {
    let (name, value) = word
        .split_once('=')
        .ok_or_else(|| EditError { flag: "param", problem: Problem::Param(word.to_owned()) })?;
    Ok(Edit::Param { name: name.to_owned(), value: value.to_owned() })
}

fn filter(
    flag: &'static str,
    value: &Option<String>,
    edit: fn(String) -> Edit,
) -> Result<Option<Edit>, EditError> {
    match value.as_deref() {
        Some("") => Err(EditError { flag, problem: Problem::Empty(flag) }),
        value => Ok(value.map(|value| edit(value.to_owned()))),
    }
}

fn containerd(mode: &str) -> Result<Edit, EditError> {
    let (user, system) = match mode {
        "user" => (true, false),
        "system" => (false, true),
        "user+system" | "system+user" => (true, true),
        "none" => (false, false),
        other => {
            return Err(EditError { flag: "containerd", problem: Problem::Containerd(other.to_owned()) });
        }
    };
    Ok(Edit::Containerd { user, system })
}

/// `HOST:GUEST[,static=BOOL]`, blanks around every part allowed.
fn port_forward(word: &str) -> Result<PortForward, EditError> {
    let wrong = |problem| EditError { flag: "port-forward", problem };
    let parts: Vec<&str> = word.split(',').map(str::trim).collect();
    if parts.len() > 2 {
        return Err(wrong(Problem::ForwardWords(word.to_owned())));
    }
    let ports: Vec<&str> = parts[0].split(':').map(str::trim).collect();
    let [host, guest] = ports[..] else {
        return Err(wrong(Problem::ForwardPorts(parts[0].to_owned())));
    };
    let is_static = match parts.get(1) {
        None => false,
        Some(parameter) => {
            let value = parameter
                .strip_prefix("static=")
                .ok_or_else(|| wrong(Problem::ForwardParameter((*parameter).to_owned())))?;
            go_text::parse_bool(value).map_err(|_| wrong(Problem::ForwardStatic(value.to_owned())))?
        }
    };
    Ok(PortForward { host: host.to_owned(), guest: guest.to_owned(), is_static })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::host::test_facts;

    fn edits(args: EditArgs) -> Result<Vec<Edit>, String> {
        args.edits(&test_facts()).map_err(|error| error.to_string())
    }

    fn lists(words: &[&str]) -> Vec<Csv> {
        words.iter().map(|word| csv(word).unwrap()).collect()
    }

    #[test]
    fn edits_come_in_one_order() {
        let args = EditArgs {
            disk: Some(2.5),
            cpus: Some(2),
            set: vec![".cpus = 3".into()],
            shell: Some("/bin/sh".into()),
            ..EditArgs::default()
        };
        let new = NewArgs { plain: Some(true), ..NewArgs::default() };
        let more =
            CreateFlags { port_forward: vec![" 8080 : 80 , static=T".into()], new, ..CreateFlags::default() };
        assert_eq!(
            args.edits_with(&more, &test_facts()).unwrap(),
            [
                Edit::Cpus(2),
                Edit::Set(".cpus = 3".into()),
                Edit::Disk(2.5),
                Edit::Plain(true),
                Edit::PortForwards(vec![PortForward {
                    host: "8080".into(),
                    guest: "80".into(),
                    is_static: true
                }]),
                Edit::Shell("/bin/sh".into()),
            ]
        );
        assert_eq!(args.edits(&test_facts()).unwrap().len(), 4);
    }

    #[test]
    fn mounts_are_absolute_and_read_only_unless_told() {
        let host = test_facts();
        let home = host.home.clone().unwrap_or_default().display().to_string();
        let cwd = host.cwd.display().to_string();
        let found =
            edits(EditArgs { mount: lists(&["~,~/x:w", "sub/./dir", "/a/../b:w"]), ..EditArgs::default() });
        let mount = |path: String, writable| Mount { path, writable };
        let want = vec![
            mount(home.clone(), false),
            mount(format!("{home}/x"), true),
            mount(paths::clean(&format!("{cwd}/sub/dir")), false),
            mount("/b".into(), true),
        ];
        assert_eq!(found, Ok(vec![Edit::AddMounts(want)]));
    }

    #[test]
    fn what_cannot_be_used_is_told_by_flag() {
        let none = EditArgs::default;
        for (args, text) in [
            (EditArgs { cpus: Some(-1), ..none() }, "`cpus`: invalid value for number of cpus, must be >= 0"),
            (
                EditArgs { mount: lists(&["/a"]), mount_none: Some(true), ..none() },
                "`mount-none`: flag `--mount-none` conflicts with `mount`",
            ),
            (
                EditArgs { mount: lists(&["/a"]), mount_only: lists(&["/b"]), ..none() },
                "`mount`: flag `--mount` conflicts with `--mount-only`",
            ),
            (EditArgs { mount: lists(&["~x/y"]), ..none() }, "`mount`: unexpandable path `~x/y`"),
            (
                EditArgs { network: lists(&["foo"]), ..none() },
                "`network`: network name must be `vzNAT` or `lima:*`, got `foo`",
            ),
            (
                EditArgs { param: vec!["x".into()], ..none() },
                "`param`: invalid parameter `x`, expected NAME=VALUE",
            ),
        ] {
            assert_eq!(edits(args), Err(format!("error while processing flag {text}")));
        }
        assert_eq!(edits(EditArgs { mount_none: Some(false), ..none() }), Ok(vec![]));
    }

    #[test]
    fn port_forwards_have_one_grammar() {
        let error = |word| port_forward(word).unwrap_err().to_string();
        let prefix = "error while processing flag `port-forward`: ";
        assert_eq!(
            error("1:2,a,b"),
            format!(
                "{prefix}invalid port forward format `1:2,a,b`, expected HOST:GUEST or HOST:GUEST,static=true"
            )
        );
        assert_eq!(error("8080"), format!("{prefix}invalid port forward format `8080`, expected HOST:GUEST"));
        assert_eq!(
            error("1:2,x=1"),
            format!("{prefix}invalid parameter `x=1`, expected `static=` followed by a boolean value")
        );
        assert_eq!(error("1:2,static=no"), format!("{prefix}invalid value for static parameter: `no`"));
    }
}
