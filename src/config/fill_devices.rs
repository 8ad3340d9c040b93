//! The half of filling in defaults that goes through lists: provisioning, probes, forwards, networks and mounts, with their templates.

use std::net::{IpAddr, Ipv4Addr};

use super::defaults::{Filler, default, default_empty};
use super::paths;
use super::written::*;
use super::{Warning, mac};

pub fn fill(yaml: &mut LimaYaml, filler: &mut Filler) {
    fill_provision(yaml.provision.as_deref_mut().unwrap_or_default(), filler);
    fill_probes(yaml.probes.as_deref_mut().unwrap_or_default(), filler);
    for (index, rule) in yaml.port_forwards.iter_mut().flatten().enumerate() {
        fill_forward(index, rule, filler);
    }
    for (index, rule) in yaml.copy_to_host.iter_mut().flatten().enumerate() {
        filler.expand_guest(|| format!("copyToHost[{index}].guest"), &mut rule.guest);
        filler.expand_host(|| format!("copyToHost[{index}].host"), &mut rule.host);
        rule.skip_if_missing = rule.skip_if_missing.filter(|on| *on);
        rule.delete_on_stop = rule.delete_on_stop.filter(|on| *on);
    }
    for (index, network) in yaml.networks.iter_mut().flatten().enumerate() {
        fill_network(index, network, filler);
    }
    yaml.mounts = yaml.mounts.take().map(|mounts| fill_mounts(mounts, filler));
}

fn fill_provision(entries: &mut [Provision], filler: &mut Filler) {
    for (index, entry) in entries.iter_mut().enumerate() {
        default_empty(&mut entry.mode, || "system".to_owned());
        let mode = entry.mode.clone().unwrap_or_default();
        if mode == "data" {
            default(&mut entry.content, Content::default());
            default(&mut entry.overwrite, true);
        }
        if mode == "yq" {
            default(&mut entry.format, "auto".to_owned());
        }
        if mode == "data" || mode == "yq" {
            default(&mut entry.owner, if filler.bsd { "root:wheel" } else { "root:root" }.to_owned());
            default(&mut entry.permissions, "644".to_owned());
        }
        let fields = [
            ("script", &mut entry.script),
            ("expression", &mut entry.expression),
            ("owner", &mut entry.owner),
            ("path", &mut entry.path),
        ];
        for (field, value) in fields {
            filler.expand_guest(|| format!("provision[{index}].{field}"), value);
        }
        if let Some(Content::Text(text)) = &mut entry.content {
            let mut value = Some(std::mem::take(text));
            filler.expand_guest(|| format!("provision[{index}].content"), &mut value);
            *text = value.unwrap_or_default();
        }
        if entry.script.as_deref().is_some_and(|script| script.contains("LIMA_CIDATA")) {
            let message = format!(
                "provisioning scripts should not reference the LIMA_CIDATA variables, field `provision[{index}].script`"
            );
            filler.warnings.push(Warning { message, fields: Vec::new() });
        }
    }
}

fn fill_probes(probes: &mut [Probe], filler: &mut Filler) {
    let total = probes.len();
    for (index, probe) in probes.iter_mut().enumerate() {
        default_empty(&mut probe.mode, || "readiness".to_owned());
        default_empty(&mut probe.description, || format!("user probe {}/{total}", index + 1));
        filler.expand_guest(|| format!("probes[{index}].script"), &mut probe.script);
    }
}

fn fill_forward(index: usize, rule: &mut PortForward, filler: &mut Filler) {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let local = Address(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    default_empty(&mut rule.proto, || "any".to_owned());
    default(&mut rule.guest_ip_must_be_zero, rule.guest_ip == Some(Address(Some(any))));
    default(
        &mut rule.guest_ip,
        if rule.guest_ip_must_be_zero == Some(true) { Address(Some(any)) } else { local },
    );
    default(&mut rule.host_ip, local);
    rule.guest_port = rule.guest_port.filter(|port| *port != 0);
    rule.host_port = rule.host_port.filter(|port| *port != 0);
    let unset = |range: &Option<[i64; 2]>| range.unwrap_or_default() == [0, 0];
    if unset(&rule.guest_port_range) {
        rule.guest_port_range = Some(rule.guest_port.map_or([1, 65535], |port| [port, port]));
    }
    let host_socket = rule.host_socket.as_deref().is_some_and(|path| !path.is_empty());
    if unset(&rule.host_port_range) {
        rule.host_port_range = match rule.host_port {
            _ if host_socket => Some([0, 0]),
            Some(port) => Some([port, port]),
            None => rule.guest_port_range,
        };
    }
    filler.expand_guest(|| format!("portForwards[{index}].guestSocket"), &mut rule.guest_socket);
    filler.expand_host(|| format!("portForwards[{index}].hostSocket"), &mut rule.host_socket);
    rule.guest_socket = rule.guest_socket.take().filter(|path| !path.is_empty());
    rule.host_socket = rule.host_socket.take().filter(|path| !path.is_empty());
    if let Some(path) = rule.host_socket.as_mut().filter(|path| !path.starts_with('/')) {
        *path = paths::clean(&format!("{}/sock/{path}", filler.place.dir.display()));
    }
    for switch in [&mut rule.reverse, &mut rule.ignore, &mut rule.is_static] {
        *switch = switch.filter(|on| *on);
    }
}

fn fill_network(index: usize, network: &mut Network, filler: &Filler) {
    network.lima = network.lima.take().filter(|name| !name.is_empty());
    network.socket = network.socket.take().filter(|path| !path.is_empty());
    default_empty(&mut network.interface, || format!("lima{index}"));
    default_empty(&mut network.mac_address, || {
        mac::derive(filler.machine_id, &format!("{}#{index}", filler.place.file.display()))
    });
    default(&mut network.metric, 100);
}

/// Expands places and unites entries with one mount point: the first keeps its location, later ones change the rest.
fn fill_mounts(mounts: Vec<Mount>, filler: &mut Filler) -> Vec<Mount> {
    let mut out: Vec<Mount> = Vec::new();
    for (index, mut mount) in mounts.into_iter().enumerate() {
        place_mount(index, &mut mount, filler);
        match out.iter_mut().find(|old| old.mount_point == mount.mount_point) {
            Some(old) => change_mount(old, mount),
            None => out.push(mount),
        }
    }
    for mount in &mut out {
        fill_mount(mount);
    }
    out
}

fn place_mount(index: usize, mount: &mut Mount, filler: &mut Filler) {
    filler.expand_host(|| format!("mounts[{index}].location"), &mut mount.location);
    if let Some(location) = mount.location.as_mut().filter(|location| !location.is_empty()) {
        let cleaned = paths::clean(location);
        // `~user` stays for validation to refuse.
        *location = paths::expand_tilde(&cleaned, filler.home.as_deref()).unwrap_or(cleaned);
    }
    filler.expand_guest(|| format!("mounts[{index}].mountPoint"), &mut mount.mount_point);
    if mount.mount_point.is_none() {
        mount.mount_point = mount.location.clone();
    }
}

fn change_mount(old: &mut Mount, new: Mount) {
    old.writable = new.writable.or(old.writable);
    if let Some(new) = new.sshfs {
        let old = old.sshfs.get_or_insert_default();
        old.cache = new.cache.or(old.cache);
        old.follow_symlinks = new.follow_symlinks.or(old.follow_symlinks);
        old.sftp_driver = new.sftp_driver.or(old.sftp_driver.take());
    }
    if let Some(new) = new.nine_p {
        let old = old.nine_p.get_or_insert_default();
        old.security_model = new.security_model.or(old.security_model.take());
        old.protocol_version = new.protocol_version.or(old.protocol_version.take());
        old.msize = new.msize.or(old.msize.take());
        old.cache = new.cache.or(old.cache.take());
    }
    if let Some(new) = new.virtiofs {
        let old = old.virtiofs.get_or_insert_default();
        old.queue_size = new.queue_size.or(old.queue_size);
    }
}

fn fill_mount(mount: &mut Mount) {
    default(&mut mount.writable, false);
    let sshfs = mount.sshfs.get_or_insert_default();
    default(&mut sshfs.cache, true);
    default(&mut sshfs.follow_symlinks, false);
    default(&mut sshfs.sftp_driver, String::new());
    let nine_p = mount.nine_p.get_or_insert_default();
    default(&mut nine_p.security_model, "none".to_owned());
    default(&mut nine_p.protocol_version, "9p2000.L".to_owned());
    default(&mut nine_p.msize, "128KiB".to_owned());
    let cache = if mount.writable == Some(true) { "mmap" } else { "fscache" };
    default(&mut nine_p.cache, cache.to_owned());
    mount.virtiofs = mount.virtiofs.take().filter(|virtiofs| virtiofs.queue_size.is_some());
}
