//! A filled-in, validated document → [`Config`]. Validation has run, so nothing is refused here: where a type still needs an answer for
//! the impossible, it is the default.

use std::path::PathBuf;

use super::host::HostFacts;
use super::resolved::*;
use super::written::{self, LimaYaml};
use super::{Arch, Bytes, KnownNetwork, Place, activity, mac, paths};

/// Builds the definite view. `written` is the merged document without defaults.
pub fn resolve(
    yaml: LimaYaml,
    written: &LimaYaml,
    place: &Place,
    host: &HostFacts,
    known_networks: &[KnownNetwork],
) -> Config {
    let (inactive_keys, unsupported) = activity::inactive(written, &yaml, known_networks);
    let document = serde_json::to_value(&yaml).unwrap_or_default();
    let arch = arch_of(yaml.arch.as_deref(), host.arch);
    let resolver = yaml.host_resolver.clone().unwrap_or_default();
    let firmware = yaml.firmware.clone().unwrap_or_default();
    Config {
        vm_type: yaml.vm_type.clone().unwrap_or_default(),
        os: yaml.os.clone().unwrap_or_default(),
        arch,
        images: yaml.images.iter().flatten().map(|image| resolve_image(image, arch)).collect(),
        cpus: yaml.cpus.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1),
        memory: size(&yaml.memory),
        disk: size(&yaml.disk),
        additional_disks: yaml.additional_disks.iter().flatten().map(resolve_disk).collect(),
        ssh: resolve_ssh(yaml.ssh.clone().unwrap_or_default()),
        firmware: Firmware {
            legacy_bios: firmware.legacy_bios.unwrap_or_default(),
            images: firmware
                .images
                .into_iter()
                .flatten()
                .filter(|image| arch_of(image.arch.as_deref(), arch) == arch)
                .filter(|image| {
                    image
                        .vm_type
                        .as_deref()
                        .is_none_or(|name| name.is_empty() || Some(name) == yaml.vm_type.as_deref())
                })
                .map(|image| file(image.location, image.digest))
                .collect(),
        },
        video_display: yaml.video.as_ref().and_then(|video| video.display.clone()).unwrap_or_default(),
        vnc_display: vnc_display(&yaml),
        audio: resolve_audio(yaml.audio.clone().unwrap_or_default()),
        tpm: yaml.tpm.unwrap_or_default(),
        cpu_type: cpu_type(&yaml, arch),
        qemu_minimum_version: qemu_option(&yaml, "minimumVersion")
            .and_then(|value| value.as_str())
            .map(str::to_owned),
        provision: yaml.provision.iter().flatten().filter_map(resolve_provision).collect(),
        probes: yaml.probes.iter().flatten().map(resolve_probe).collect(),
        copy_to_host: yaml.copy_to_host.iter().flatten().map(resolve_copy).collect(),
        upgrade_packages: yaml.upgrade_packages.unwrap_or_default(),
        guest_install_prefix: yaml.guest_install_prefix.clone().unwrap_or_default(),
        message: yaml.message.clone().unwrap_or_default(),
        env: yaml.env.clone().unwrap_or_default(),
        param: yaml.param.clone().unwrap_or_default(),
        host_resolver: HostResolver {
            enabled: resolver.enabled.unwrap_or(true),
            ipv6: resolver.ipv6.unwrap_or_default(),
            hosts: resolver.hosts.unwrap_or_default(),
        },
        dns: yaml.dns.iter().flatten().filter_map(|address| address.0).collect(),
        propagate_proxy_env: yaml.propagate_proxy_env.unwrap_or(true),
        ca_certs: resolve_certs(yaml.ca_certs.clone().unwrap_or_default(), host),
        plain: yaml.plain.unwrap_or_default(),
        timezone: yaml.timezone.clone().unwrap_or_default(),
        user: resolve_user(yaml.user.clone().unwrap_or_default()),
        mac_address: mac::derive(&host.machine_id, &place.dir.to_string_lossy()),
        networks: resolve_networks(yaml.networks.as_deref().unwrap_or_default(), host),
        inactive_keys,
        unsupported,
        document,
    }
}

/// The first free display on the host's loopback, unless another place was written.
fn vnc_display(yaml: &LimaYaml) -> String {
    let written = yaml.video.as_ref().and_then(|video| video.vnc.as_ref()?.display.clone());
    written.filter(|text| !text.is_empty()).unwrap_or_else(|| "127.0.0.1:0,to=9".to_owned())
}

fn resolve_audio(audio: written::Audio) -> Audio {
    Audio { device: audio.device.unwrap_or_default(), interface: audio.interface.unwrap_or_default() }
}

fn resolve_copy(rule: &written::CopyToHost) -> CopyToHost {
    CopyToHost {
        guest: rule.guest.clone().unwrap_or_default(),
        host: rule.host.clone().unwrap_or_default().into(),
        skip_if_missing: rule.skip_if_missing.unwrap_or_default(),
        delete_on_stop: rule.delete_on_stop.unwrap_or_default(),
    }
}

/// An entry that is neither is refused before anything is made of it.
fn resolve_networks(entries: &[written::Network], host: &HostFacts) -> Vec<Network> {
    let resolve = |(index, entry): (usize, &written::Network)| {
        let attachment = match (&entry.lima, &entry.socket) {
            (Some(name), _) => Attachment::Lima(name.clone()),
            (None, Some(path)) => Attachment::Socket(host.cwd.join(path)),
            (None, None) => return None,
        };
        let address = entry.mac_address.clone().unwrap_or_default();
        Some(Network {
            index,
            attachment,
            interface: entry.interface.clone().unwrap_or_default(),
            mac_address: mac::canonical(&address).unwrap_or(address),
            metric: entry.metric.unwrap_or(100),
        })
    };
    entries.iter().enumerate().filter_map(resolve).collect()
}

fn arch_of(name: Option<&str>, fallback: Arch) -> Arch {
    name.and_then(Arch::from_name).unwrap_or(fallback)
}

fn size(text: &Option<String>) -> Bytes {
    text.as_deref().and_then(|text| Bytes::parse(text).ok()).unwrap_or_default()
}

fn file(location: Option<String>, digest: Option<String>) -> FileRef {
    FileRef { location: location.unwrap_or_default(), digest: digest.filter(|digest| !digest.is_empty()) }
}

fn resolve_image(image: &written::Image, arch: Arch) -> Image {
    let image = image.clone();
    let FileRef { location, digest } = file(image.location, image.digest);
    Image {
        location,
        arch: arch_of(image.arch.as_deref(), arch),
        digest,
        variant: image.variant.unwrap_or_default(),
        arch_variant: image.arch_variant.unwrap_or_default(),
        kernel: image.kernel.map(|kernel| Kernel {
            file: file(kernel.location, kernel.digest),
            cmdline: kernel.cmdline.unwrap_or_default(),
        }),
        initrd: image.initrd.map(|initrd| file(initrd.location, initrd.digest)),
    }
}

fn resolve_disk(disk: &written::AdditionalDisk) -> AdditionalDisk {
    AdditionalDisk {
        name: disk.name.clone().unwrap_or_default(),
        format: disk.format.unwrap_or(true),
        fs_type: disk.fs_type.clone().unwrap_or_default(),
        fs_args: disk.fs_args.clone().unwrap_or_default(),
    }
}

fn resolve_ssh(ssh: written::Ssh) -> Ssh {
    Ssh {
        local_port: ssh.local_port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        load_dot_ssh_pub_keys: ssh.load_dot_ssh_pub_keys.unwrap_or_default(),
        forward_agent: ssh.forward_agent.unwrap_or_default(),
        forward_x11: ssh.forward_x11.unwrap_or_default(),
        forward_x11_trusted: ssh.forward_x11_trusted.unwrap_or_default(),
    }
}

fn qemu_option<'a>(yaml: &'a LimaYaml, key: &str) -> Option<&'a serde_json::Value> {
    yaml.vm_opts.as_ref()?.get("qemu")?.get(key)
}

/// `vmOpts.qemu.cpuType` for the guest's architecture, else the deprecated `cpuType`.
fn cpu_type(yaml: &LimaYaml, arch: Arch) -> Option<String> {
    let option = qemu_option(yaml, "cpuType").and_then(|types| types.get(arch.name())?.as_str());
    let deprecated = || yaml.cpu_type.as_ref()?.get(arch.name()).map(String::as_str);
    option
        .filter(|text| !text.is_empty())
        .or_else(deprecated)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn resolve_provision(entry: &written::Provision) -> Option<Provision> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let script = text(&entry.script);
    let mode = match entry.mode.as_deref()? {
        "system" => ProvisionMode::System { script },
        "user" => ProvisionMode::User { script },
        "boot" => ProvisionMode::Boot { script },
        "dependency" => ProvisionMode::Dependency {
            script,
            skip_default_resolution: entry.skip_default_dependency_resolution.unwrap_or_default(),
        },
        "data" => ProvisionMode::Data(ProvisionFile {
            content: entry.content.clone().unwrap_or_default().into_bytes(),
            overwrite: entry.overwrite.unwrap_or(true),
            owner: text(&entry.owner),
            path: text(&entry.path),
            permissions: text(&entry.permissions),
        }),
        "yq" => ProvisionMode::Yq {
            expression: text(&entry.expression),
            format: text(&entry.format),
            path: text(&entry.path),
            owner: text(&entry.owner),
            permissions: text(&entry.permissions),
        },
        "ansible" => ProvisionMode::Ansible { playbook: text(&entry.playbook) },
        _ => return None,
    };
    Some(Provision { mode })
}

fn resolve_probe(probe: &written::Probe) -> Probe {
    Probe {
        description: probe.description.clone().unwrap_or_default(),
        script: probe.script.clone().unwrap_or_default(),
        hint: probe.hint.clone().unwrap_or_default(),
    }
}

/// Relative names are relative to where the process was started, as upstream has it.
fn resolve_certs(certs: written::CaCerts, host: &HostFacts) -> CaCerts {
    let home = host.home.as_ref().map(|home| home.to_string_lossy().into_owned());
    let absolute = |path: String| -> PathBuf {
        let path = paths::expand_tilde(&path, home.as_deref()).unwrap_or(path);
        host.cwd.join(path)
    };
    CaCerts {
        remove_defaults: certs.remove_defaults.unwrap_or_default(),
        files: certs.files.into_iter().flatten().map(absolute).collect(),
        certs: certs.certs.unwrap_or_default(),
    }
}

fn resolve_user(user: written::User) -> User {
    User {
        name: user.name.unwrap_or_default(),
        comment: user.comment.unwrap_or_default(),
        home: user.home.unwrap_or_default(),
        shell: user.shell.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        passwordless_sudo: user.passwordless_sudo.unwrap_or(true),
    }
}
