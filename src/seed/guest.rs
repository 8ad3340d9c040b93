//! What runs in the guest: the scripts of the volume, and the shell texts that `user-data` carries because the volume is not mounted then.

use super::File;

/// Scripts by path on the volume. Numbers give the order, names are upstream's where the effect is.
const SCRIPTS: &[(&str, &str)] = &[
    ("boot.sh", include_str!("guest/boot.sh")),
    ("util/console.sh", CONSOLE),
    (
        "boot.essential.Linux/00-alpine-user-group.sh",
        include_str!("guest/boot.essential.Linux/00-alpine-user-group.sh"),
    ),
    (
        "boot.essential.Linux/01-alpine-ash-as-bash.sh",
        include_str!("guest/boot.essential.Linux/01-alpine-ash-as-bash.sh"),
    ),
    ("boot.essential.Linux/10-alpine-prep.sh", include_str!("guest/boot.essential.Linux/10-alpine-prep.sh")),
    ("boot.Linux/00-reboot-if-required.sh", include_str!("guest/boot.Linux/00-reboot-if-required.sh")),
    ("boot.Linux/00-systemd-user-group.sh", include_str!("guest/boot.Linux/00-systemd-user-group.sh")),
    ("boot.Linux/05-lima-disks.sh", include_str!("guest/boot.Linux/05-lima-disks.sh")),
    ("boot.Linux/05-guest-home.sh", include_str!("guest/boot.Linux/05-guest-home.sh")),
    ("boot.Linux/06-etc-hosts.sh", include_str!("guest/boot.Linux/06-etc-hosts.sh")),
    ("boot.Linux/07-etc-environment.sh", include_str!("guest/boot.Linux/07-etc-environment.sh")),
    ("boot.Linux/09-host-dns-setup.sh", include_str!("guest/boot.Linux/09-host-dns-setup.sh")),
    ("boot.Linux/20-rootless-base.sh", include_str!("guest/boot.Linux/20-rootless-base.sh")),
    ("boot.Linux/26-host-services.sh", include_str!("guest/boot.Linux/26-host-services.sh")),
    ("boot.Linux/30-install-packages.sh", include_str!("guest/boot.Linux/30-install-packages.sh")),
];

const CONSOLE: &str = include_str!("guest/console.sh");

/// Every script of the volume.
pub(super) fn scripts() -> impl Iterator<Item = File> {
    SCRIPTS.iter().map(|(path, content)| File {
        path: (*path).to_owned(),
        content: content.as_bytes().to_vec(),
        executable: true,
    })
}

/// The per-boot hook: mounts the volume, runs `boot.sh`.
pub(super) fn hook(iid: &str) -> String {
    let body = [embedded(CONSOLE), embedded(include_str!("guest/hook.sh"))].concat();
    format!("#!/bin/sh\n# Written by limactl at every start.\nlima_iid={}\n\n{body}", shell_word(iid))
}

/// First of the early commands: says that cloud-init runs, forgets what failed in an earlier boot.
pub(super) fn early(iid: &str) -> String {
    let body = [embedded(CONSOLE), embedded(include_str!("guest/early.sh"))].concat();
    format!("lima_iid={}\n\n{body}", shell_word(iid))
}

/// Early command that makes the guest know its own name.
pub(super) fn own_name(address: &str, hostname: &str) -> String {
    let (address, hostname) = (shell_word(address), shell_word(hostname));
    embedded(include_str!("guest/own_name.sh")) + &format!("lima_own_name {address} {hostname}\n")
}

/// Early command that has the DNS redirect's kernel modules ready, in the background: the kernel would start a `modprobe` for each of them, one
/// after the other, when the redirect is made (2 s under emulation).
pub(super) fn load_redirect_modules() -> String {
    "modprobe -q -a nft_chain_nat nft_compat xt_nat xt_tcpudp >/dev/null 2>&1 &\n".to_owned()
}

/// Early command that gives the interfaces their names; `first` is the one whose address is waited for after a change.
pub(super) fn name_nics<'a>(nics: impl Iterator<Item = (&'a str, &'a str)>, first: &str) -> String {
    let mut out = embedded(include_str!("guest/name_nics.sh"));
    for (name, mac) in nics {
        // The kernel prints addresses in lower case.
        let (name, mac) = (shell_word(name), shell_word(&mac.to_ascii_lowercase()));
        out += &format!("lima_name_nic {name} {mac}\n");
    }
    out + &format!("lima_await_address {}\n", shell_word(first))
}

/// Early command that has names asked by way of the interface `first` alone.
pub(super) fn one_nameserver<'a>(first: &str, others: impl Iterator<Item = &'a str>) -> String {
    let names: String = others.map(|name| format!(" {}", shell_word(name))).collect();
    embedded(include_str!("guest/one_nameserver.sh"))
        + &format!("lima_one_nameserver {}{names}\n", shell_word(first))
}

/// Early command for a provision of mode `boot`: a shell of its own, so that its `exit` or a syntax error ends nothing else.
pub(super) fn boot_provision(index: usize, params: &[(&str, &str)], script: &str) -> String {
    let exports = params.iter().map(|(name, value)| shell_word(&format!("PARAM_{name}={value}")) + " ");
    let exports: String = exports.collect();
    let export = if exports.is_empty() { String::new() } else { format!("env {exports}") };
    let body = shell_word(script);
    format!("{export}/bin/sh -c {body} || lima_early_failed provision.boot/{index:08} $?\n")
}

/// A script as a part of another: without the lines that speak to the linter.
fn embedded(script: &str) -> String {
    let lines = script.lines().filter(|line| !line.trim_start().starts_with("# shellcheck"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A word that a POSIX shell takes literally.
pub(super) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A document of `user-data` with each embedded script cut down to its name, for tests that compare documents.
#[cfg(test)]
pub(super) fn without_embedded(document: &str) -> String {
    let scripts = [
        ("console.sh", CONSOLE),
        ("hook.sh", include_str!("guest/hook.sh")),
        ("early.sh", include_str!("guest/early.sh")),
        ("own_name.sh", include_str!("guest/own_name.sh")),
        ("name_nics.sh", include_str!("guest/name_nics.sh")),
        ("one_nameserver.sh", include_str!("guest/one_nameserver.sh")),
    ];
    let mut out = document.to_owned();
    for (name, script) in scripts {
        for indent in ["    ", "      "] {
            let lines = embedded(script);
            let lines = lines
                .lines()
                .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") });
            out = out.replace(&lines.collect::<String>(), &format!("{indent}(guest/{name})\n"));
        }
    }
    out
}
