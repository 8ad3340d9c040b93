//! The three files of `KEY=VALUE` lines: `lima.env` and `param.env`, which the guest's scripts read, and `etc_environment`, which becomes
//! part of `/etc/environment`. Nothing is quoted: a value reaches to the end of its line, so it must be one line.

use super::{Error, Values};
use crate::config::resolved::ProvisionMode;

/// What the scripts know about the instance, in upstream's order: other people's scripts read this file.
pub(super) fn lima_env(values: &Values) -> Result<String, Error> {
    let mut lines = Lines { prefix: "LIMA_CIDATA_", text: String::new() };
    let user = &values.user;
    let flag = |on: bool| if on { "1" } else { "" };
    lines.push("DEBUG", values.debug)?;
    lines.push("IID", &values.iid)?;
    lines.push("NAME", &values.name)?;
    lines.push("USER", &user.name)?;
    lines.push("UID", user.uid)?;
    lines.push("COMMENT", &user.comment)?;
    lines.push("HOME", &user.home)?;
    lines.push("SHELL", &user.shell)?;
    // Mounts are not made yet: no mount point, none of them.
    lines.push("HOSTHOME_MOUNTPOINT", "")?;
    lines.push("MOUNTS", 0)?;
    lines.push("MOUNTTYPE", &values.mount_type)?;
    disks(values, &mut lines)?;
    data_files(values, &mut lines)?;
    edited_files(values, &mut lines)?;
    lines.push("GUEST_INSTALL_PREFIX", &values.guest_install_prefix)?;
    lines.push("UPGRADE_PACKAGES", flag(values.upgrade_packages))?;
    lines.push("CONTAINERD_USER", "")?;
    lines.push("CONTAINERD_SYSTEM", "")?;
    lines.push("SLIRP_DNS", values.slirp.dns)?;
    lines.push("SLIRP_GATEWAY", values.slirp.gateway)?;
    lines.push("SLIRP_IP_ADDRESS", values.slirp.address.map_or(String::new(), |a| a.to_string()))?;
    lines.push("UDP_DNS_LOCAL_PORT", values.udp_dns_port)?;
    lines.push("TCP_DNS_LOCAL_PORT", values.tcp_dns_port)?;
    lines.push("ROSETTA_ENABLED", false)?;
    lines.push("ROSETTA_BINFMT", false)?;
    lines.push("SKIP_DEFAULT_DEPENDENCY_RESOLUTION", flag(skips_default_packages(values)))?;
    lines.push("VMTYPE", &values.vm_type)?;
    // No agent in the guest, so neither of its ports.
    lines.push("VSOCK_PORT", 0)?;
    lines.push("VIRTIO_PORT", "")?;
    lines.push("PLAIN", flag(values.plain))?;
    lines.push("NO_CLOUD_INIT", "")?;
    lines.push("PASSWORDLESS_SUDO", flag(user.passwordless_sudo))?;
    Ok(lines.text)
}

fn disks(values: &Values, lines: &mut Lines) -> Result<(), Error> {
    lines.push("DISKS", values.disks.len())?;
    for (index, (disk, letter)) in values.disks.iter().zip('b'..='z').enumerate() {
        lines.push(&format!("DISK_{index}_NAME"), &disk.name)?;
        lines.push(&format!("DISK_{index}_DEVICE"), format!("vd{letter}"))?;
        lines.push(&format!("DISK_{index}_FORMAT"), disk.format)?;
        lines.push(&format!("DISK_{index}_FSTYPE"), &disk.fs_type)?;
        lines.push(&format!("DISK_{index}_FSARGS"), disk.fs_args.join(" "))?;
    }
    Ok(())
}

fn data_files(values: &Values, lines: &mut Lines) -> Result<(), Error> {
    for (index, provision) in values.provisions.iter().enumerate() {
        if let ProvisionMode::Data(file) = &provision.mode {
            lines.push(&format!("DATAFILE_{index:08}_OVERWRITE"), file.overwrite)?;
            lines.push(&format!("DATAFILE_{index:08}_OWNER"), &file.owner)?;
            lines.push(&format!("DATAFILE_{index:08}_PATH"), &file.path)?;
            lines.push(&format!("DATAFILE_{index:08}_PERMISSIONS"), &file.permissions)?;
        }
    }
    Ok(())
}

fn edited_files(values: &Values, lines: &mut Lines) -> Result<(), Error> {
    for (index, provision) in values.provisions.iter().enumerate() {
        if let ProvisionMode::Yq { format, path, owner, permissions, .. } = &provision.mode {
            let rows = [("FORMAT", format), ("OWNER", owner), ("PATH", path), ("PERMISSIONS", permissions)];
            for (name, value) in rows {
                lines.push(&format!("YQ_PROVISION_{index:08}_{name}"), value)?;
            }
        }
    }
    Ok(())
}

fn skips_default_packages(values: &Values) -> bool {
    let skips = |mode: &ProvisionMode| {
        matches!(mode, ProvisionMode::Dependency { skip_default_resolution: true, .. })
    };
    values.provisions.iter().any(|provision| skips(&provision.mode))
}

/// The instance's parameters; empty if there are none.
pub(super) fn param_env(values: &Values) -> Result<String, Error> {
    let mut lines = Lines { prefix: "PARAM_", text: String::new() };
    for (name, value) in &values.params {
        check_param_name(name)?;
        lines.push(name, value)?;
    }
    Ok(lines.text)
}

/// Fails unless `name` is a parameter's name.
pub(super) fn check_param_name(name: &str) -> Result<(), Error> {
    let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word && name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(());
    }
    Err(Error::ParamName { name: name.to_owned() })
}

/// The guest's environment between the two lines by which the guest finds the block again, sorted by byte.
pub(super) fn etc_environment(values: &Values) -> Result<String, Error> {
    let mut lines = Lines { prefix: "", text: "#LIMA-START\n".to_owned() };
    for (name, value) in &values.env {
        if name.is_empty() || name.starts_with('#') || name.contains(['=', '\n', '\0']) {
            return Err(Error::EnvName { name: name.clone() });
        }
        lines.push(name, value)?;
    }
    Ok(lines.text + "#LIMA-END\n")
}

/// Text of `<prefix>KEY=VALUE` lines under construction.
struct Lines {
    prefix: &'static str,
    text: String,
}

impl Lines {
    fn push(&mut self, key: &str, value: impl ToString) -> Result<(), Error> {
        let value = value.to_string();
        if value.contains(['\n', '\0']) {
            return Err(Error::NotOneLine { key: format!("{}{key}", self.prefix) });
        }
        self.text.push_str(&format!("{}{key}={value}\n", self.prefix));
        Ok(())
    }
}
