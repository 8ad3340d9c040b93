//! The three documents that cloud-init reads, and the copy of the first for people.
//!
//! Keys, their order and their quoting are upstream's. Every value goes through `yaml`, and through `shell_word` where it becomes part of
//! a shell script, so no value can change what is around it.

use std::net::IpAddr;

use super::guest;
use super::{Nic, Values, yaml};
use crate::config::resolved::ProvisionMode;

/// `user-data`: user, files, per-boot hook, resolver, certificates, early commands.
pub(super) fn user_data(values: &Values) -> String {
    let mut out = head(values);
    out += "write_files:\n";
    out += &format!("  - content: {}\n", yaml::text(&guest::hook(&values.iid), 6));
    out += "    owner: root:root\n";
    out += "    path: /var/lib/cloud/scripts/per-boot/00-lima.boot.sh\n";
    out += "    permissions: '0755'\n";
    if !values.dns.is_empty() {
        out += "manage_resolv_conf: true\nresolv_conf:\n  nameservers:\n";
        out += &addresses(&values.dns, 2);
    }
    out + &tail(values)
}

/// `cloud-config.yaml` of the instance directory: what cloud-init is told, without the parts that only wire up this program. Nothing reads it.
pub fn cloud_config(values: &Values) -> String {
    head(values) + &tail(values)
}

/// `meta-data`: the identity by which cloud-init knows a first boot, and the host name.
pub(super) fn meta_data(values: &Values) -> String {
    let (iid, hostname) = (yaml::scalar(&values.iid), yaml::scalar(&values.hostname));
    format!("instance-id: {iid}\nlocal-hostname: {hostname}\n")
}

/// `network-config`, version 2: each NIC is found by its MAC address, named and configured by DHCP. Names are resolved by way of the first
/// NIC alone: what DHCP says on the others is not taken, or questions would go to servers that know nothing of this guest's names. netplan and
/// systemd-networkd honour `use-dns`; where cloud-init writes for other programs it drops the key, and an early command does it.
pub(super) fn network_config(values: &Values) -> String {
    let optional = values.param_is_true("internal_netplanOptional");
    let mut out = "version: 2\nethernets:\n".to_owned();
    for (index, nic) in values.nics.iter().enumerate() {
        let name = yaml::scalar(&nic.name);
        out += &format!("  {name}:\n    match:\n      macaddress: {}\n", mac(nic));
        out += &format!("    dhcp4: true\n    set-name: {name}\n");
        if optional {
            out += "    optional: true\n";
        }
        out += &format!("    dhcp4-overrides:\n      route-metric: {}\n", nic.metric);
        if index > 0 {
            out += "      use-dns: false\n";
        }
        out += "    dhcp-identifier: mac\n";
        if index == 0 && !values.dns.is_empty() {
            out += "    nameservers:\n      addresses:\n";
            out += &addresses(&values.dns, 6);
        }
    }
    out
}

/// Single-quoted, as upstream writes it; a text that is no address falls back to a scalar that nothing can break out of.
fn mac(nic: &Nic) -> String {
    if nic.mac.chars().all(|c| c.is_ascii_hexdigit() || c == ':') {
        format!("'{}'", nic.mac)
    } else {
        yaml::quoted(&nic.mac)
    }
}

/// IPv6 is quoted: cloud-init's YAML takes eight decimal groups for one number, to the base of sixty.
fn addresses(list: &[IpAddr], indent: usize) -> String {
    let written = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("'{address}'"),
    };
    list.iter().map(|address| format!("{:indent$}- {}\n", "", written(address))).collect()
}

/// Keys up to `users`.
fn head(values: &Values) -> String {
    let mut out = "#cloud-config\ngrowpart:\n  mode: auto\n  devices: ['/']\n".to_owned();
    if values.upgrade_packages {
        out += "package_update: true\npackage_upgrade: true\npackage_reboot_if_required: true\n";
    }
    if !values.timezone.is_empty() {
        out += &format!("timezone: {}\n", yaml::scalar(&values.timezone));
    }
    out + &users(values)
}

/// One user. No `default` entry, so the image's stock user is not made.
fn users(values: &Values) -> String {
    let user = &values.user;
    let mut out = format!("users:\n  - name: {}\n", yaml::scalar(&user.name));
    out += &format!("    uid: \"{}\"\n", user.uid);
    let comment = gecos(&user.comment);
    if !comment.is_empty() {
        out += &format!("    gecos: {}\n", yaml::quoted(&comment));
    }
    out += &format!("    homedir: {}\n", yaml::scalar(&user.home));
    out += &format!("    shell: {}\n", yaml::scalar(&user.shell));
    out += match user.passwordless_sudo {
        true => "    sudo: ALL=(ALL) NOPASSWD:ALL\n    lock_passwd: true\n",
        false => "    sudo: ALL=(ALL) ALL\n    lock_passwd: false\n",
    };
    out += "    ssh-authorized-keys:\n";
    for key in &values.ssh_public_keys {
        out += &format!("      - {}\n", yaml::scalar(key.trim()));
    }
    out
}

/// The part of a comment that `useradd` takes: printable, no `:`, which separates the fields of the password file.
fn gecos(comment: &str) -> String {
    comment.chars().filter(|c| !c.is_control() && *c != ':').collect()
}

/// Keys from `ca_certs`.
fn tail(values: &Values) -> String {
    let mut out = String::new();
    let certs = &values.ca_certs;
    if certs.remove_defaults || !certs.trusted.is_empty() {
        out += "ca_certs:\n";
        out += &format!("  remove_defaults: {}\n", certs.remove_defaults);
        if !certs.trusted.is_empty() {
            out += "  trusted:\n";
        }
        for pem in &certs.trusted {
            out += &format!("    - {}\n", yaml::text(&tidy_lines(pem), 6));
        }
    }
    out += "bootcmd:\n";
    for command in boot_commands(values) {
        out += &format!("  - {}\n", yaml::text(&command, 4));
    }
    out
}

/// A PEM text without blank lines and without blanks around its lines.
fn tidy_lines(pem: &str) -> String {
    let lines = pem.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// What runs early in every boot, before the volume is mounted. cloud-init joins these texts into one script of `/bin/sh`.
fn boot_commands(values: &Values) -> Vec<String> {
    let mut commands = vec![guest::early(&values.iid)];
    if !values.plain {
        // The address that the host's resolver has for it, or Debian's for a machine whose address is not known.
        let address = values.slirp.address.map_or("127.0.1.1".to_owned(), |a| a.to_string());
        commands.push(guest::own_name(&address, &values.hostname));
        if values.udp_dns_port != 0 || values.tcp_dns_port != 0 {
            commands.push(guest::load_redirect_modules());
        }
    }
    if let Some(first) = values.nics.first() {
        let nics = values.nics.iter().map(|nic| (nic.name.as_str(), nic.mac.as_str()));
        commands.push(guest::name_nics(nics, &first.name));
        let others = values.nics.iter().skip(1).map(|nic| nic.name.as_str());
        if others.len() > 0 {
            commands.push(guest::one_nameserver(&first.name, others));
        }
    }
    let params: Vec<_> = values.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    for (index, provision) in values.provisions.iter().enumerate() {
        if let ProvisionMode::Boot { script } = &provision.mode {
            commands.push(guest::boot_provision(index, &params, script));
        }
    }
    commands
}
