//! Checks a filled-in document and finds every problem. The order is upstream's; unlike upstream, no problem hides a later one.

use std::path::Path;

use super::host::HostFacts;
use super::invalid::{Findings, Invalid, check_digest};
use super::name;
use super::paths;
use super::platform::Arch;
use super::version;
use super::written::*;
use super::{KnownNetwork, PathKind};
use super::{validate_guest, validate_network};

/// What validation knows beside the document.
pub struct Context<'a> {
    pub yaml: &'a LimaYaml,
    pub host: &'a HostFacts,
    pub known_networks: &'a [KnownNetwork],
    pub look: &'a dyn Fn(&Path) -> PathKind,
}

/// The text of a field that may be absent.
pub fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// Every problem of a filled-in document.
pub fn validate(context: &Context) -> Vec<Invalid> {
    let mut found = Findings::default();
    let yaml = context.yaml;
    check_driver(yaml, &mut found);
    check_template(yaml, &mut found);
    check_platform(yaml, &mut found);
    check_images(context, &mut found);
    check_resources(yaml, &mut found);
    check_mounts(context, &mut found);
    check_ssh(yaml, &mut found);
    check_mount_type(yaml, &mut found);
    validate_guest::check_provision(context, &mut found);
    check_archives(context, &mut found);
    validate_guest::check_probes(yaml, &mut found);
    validate_network::check_forwards(context, &mut found);
    validate_guest::check_copies(yaml, &mut found);
    validate_network::check_dns(yaml, &mut found);
    validate_network::check_networks(context, &mut found);
    validate_guest::check_params(yaml, &mut found);
    check_sudo(yaml, &mut found);
    check_devices(yaml, &mut found);
    found.0
}

const DRIVERS: [&str; 3] = ["qemu", "vz", "wsl2"];
const SYSTEMS: [&str; 4] = ["Linux", "Darwin", "FreeBSD", "Windows"];
const MOUNT_TYPES: [&str; 4] = ["reverse-sshfs", "9p", "virtiofs", "wsl2"];
const WINDOWS_SHELLS: [&str; 3] = ["cmd.exe", "powershell.exe", "pwsh.exe"];

fn check_driver(yaml: &LimaYaml, found: &mut Findings) {
    let driver = text(&yaml.vm_type);
    if !DRIVERS.contains(&driver) {
        found.push(Invalid::Driver(driver.to_owned()));
    }
}

fn check_template(yaml: &LimaYaml, found: &mut Findings) {
    let bases = yaml.base.as_ref().is_some_and(|bases| !bases.0.is_empty());
    found.rule(
        bases,
        "base",
        "must be empty for YAML validation: bases are merged when an instance is created",
    );
    let Some(wanted) = &yaml.minimum_lima_version else {
        return;
    };
    match version::parse(wanted) {
        None => found.push(Invalid::MinimumVersionFormat(wanted.clone())),
        Some(numbers) if !version::at_least(version::OWN, numbers) => {
            found.push(Invalid::MinimumVersion { wanted: wanted.clone(), own: version::OWN });
        }
        Some(_) => {}
    }
}

fn check_platform(yaml: &LimaYaml, found: &mut Findings) {
    let os = text(&yaml.os);
    let arch = text(&yaml.arch);
    found.one_of("os", &SYSTEMS, os);
    check_arch("arch", arch, found);
    let shell = yaml.user.as_ref().map(|user| text(&user.shell)).unwrap_or_default();
    if os == "Windows" {
        found.value(
            yaml.vm_type.as_deref() != Some("qemu"),
            "vmType",
            "must be `qemu` for os: Windows",
            text(&yaml.vm_type),
        );
        found.value(
            !matches!(arch, "x86_64" | "aarch64"),
            "arch",
            "must be x86_64 or aarch64 for os: Windows",
            arch,
        );
        let program = shell.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
        found.value(
            !WINDOWS_SHELLS.contains(&program.as_str()),
            "user.shell",
            "must be cmd.exe, powershell.exe or pwsh.exe",
            shell,
        );
    } else {
        found.value(!shell.starts_with('/'), "user.shell", "must be an absolute path", shell);
    }
}

fn check_arch(field: &str, arch: &str, found: &mut Findings) {
    if Arch::from_name(arch).is_none() {
        let allowed = format!("[{}]", Arch::ALL.map(Arch::name).join(" "));
        found.push(Invalid::NotOneOf { field: field.to_owned(), allowed, value: arch.to_owned() });
    }
}

fn check_images(context: &Context, found: &mut Findings) {
    let images = context.yaml.images.as_deref().unwrap_or_default();
    if images.is_empty() {
        found.push(Invalid::Missing { field: "images".to_owned() });
    }
    for (index, image) in images.iter().enumerate() {
        let field = format!("images[{index}]");
        check_file(context, &field, &image.location, &image.arch, &image.digest, found);
        if let Some(kernel) = &image.kernel {
            let field = format!("{field}.kernel");
            check_file(context, &field, &kernel.location, &kernel.arch, &kernel.digest, found);
            check_same_arch(&field, &kernel.arch, &image.arch, found);
        }
        if let Some(initrd) = &image.initrd {
            let field = format!("{field}.initrd");
            check_file(context, &field, &initrd.location, &initrd.arch, &initrd.digest, found);
            check_same_arch(&field, &initrd.arch, &image.arch, found);
        }
    }
}

fn check_same_arch(field: &str, part: &Option<String>, image: &Option<String>, found: &mut Findings) {
    if part != image {
        let (part, image) = (text(part).to_owned(), text(image).to_owned());
        found.push(Invalid::ImagePartArch { field: field.to_owned(), found: part, wanted: image });
    }
}

/// A file somewhere: `location`, `arch` and `digest`. An architecture that was only inherited is reported where it stands.
fn check_file(
    context: &Context,
    field: &str,
    location: &Option<String>,
    arch: &Option<String>,
    digest: &Option<String>,
    found: &mut Findings,
) {
    let location = text(location);
    if !location.contains("://") {
        let home = context.host.home.as_ref().map(|home| home.to_string_lossy());
        let expandable = paths::expand_tilde(location, home.as_deref()).is_some();
        found.rule(location.is_empty(), format!("{field}.location"), "must not be empty");
        found.value(
            !expandable,
            format!("{field}.location"),
            "must be a path whose `~` can be expanded",
            location,
        );
    }
    if arch != &context.yaml.arch {
        check_arch(&format!("{field}.arch"), text(arch), found);
    }
    if let Some(digest) = digest.as_deref().filter(|digest| !digest.is_empty())
        && let Err(cause) = check_digest(digest)
    {
        found.push(Invalid::Digest { field: format!("{field}.digest"), digest: digest.to_owned(), cause });
    }
}

fn check_resources(yaml: &LimaYaml, found: &mut Findings) {
    let cpus = yaml.cpus.unwrap_or_default();
    found.value(
        !(1..=i64::from(u32::MAX)).contains(&cpus),
        "cpus",
        "must be greater than 0",
        &cpus.to_string(),
    );
    found.size("memory", text(&yaml.memory));
    found.size("disk", text(&yaml.disk));
    for (index, disk) in yaml.additional_disks.iter().flatten().enumerate() {
        if let Err(cause) = name::check_identifier(text(&disk.name)) {
            found.push(Invalid::DiskName { index, cause });
        }
    }
}

/// Where nothing may be mounted: the guest could not work any more.
const SYSTEM_DIRECTORIES: [&str; 10] =
    ["/", "/bin", "/dev", "/etc", "/home", "/opt", "/sbin", "/tmp", "/usr", "/var"];

fn check_mounts(context: &Context, found: &mut Findings) {
    let home = context.yaml.user.as_ref().and_then(|user| user.home.as_deref());
    for (index, mount) in context.yaml.mounts.iter().flatten().enumerate() {
        let location = text(&mount.location);
        let field = format!("mounts[{index}].location");
        let absolute = location.starts_with('/');
        found.value(!absolute, &field, "must be an absolute path", location);
        let kind = if absolute { (context.look)(Path::new(location)) } else { PathKind::Absent };
        let not_directory = matches!(kind, PathKind::Other | PathKind::Socket);
        found.value(not_directory, &field, "must refer to a directory", location);
        let point = text(&mount.mount_point);
        let field = format!("mounts[{index}].mountPoint");
        found.value(point.starts_with('~'), &field, "must not start with \"~\"", point);
        let system = SYSTEM_DIRECTORIES.contains(&point);
        found.value(system, &field, "must not be a system path such as /etc or /usr", point);
        let own_home = home.is_some_and(|home| home == point) && !system;
        found.value(own_home, &field, "must not be the guest user's home directory", point);
        let msize = mount.nine_p.as_ref().map(|nine_p| text(&nine_p.msize)).unwrap_or_default();
        found.size(format!("mounts[{index}].9p.msize"), msize);
    }
}

fn check_ssh(yaml: &LimaYaml, found: &mut Findings) {
    let port = yaml.ssh.as_ref().and_then(|ssh| ssh.local_port).unwrap_or_default();
    if port != 0 {
        found.port("ssh.localPort", port);
    }
}

fn check_mount_type(yaml: &LimaYaml, found: &mut Findings) {
    let Some(kind) = &yaml.mount_type else { return };
    found.one_of("mountType", &MOUNT_TYPES, kind);
    let unsupported = yaml.mount_types_unsupported.as_deref().unwrap_or_default();
    if unsupported.contains(kind) {
        let (field, other) = ("mountType".to_owned(), "mountTypesUnsupported".to_owned());
        found.push(Invalid::Relation { field, rule: "must not be one of those in", other });
    }
}

fn check_archives(context: &Context, found: &mut Findings) {
    let Some(containerd) = &context.yaml.containerd else {
        return;
    };
    if containerd.system != Some(true) && containerd.user != Some(true) {
        return;
    }
    for (index, archive) in containerd.archives.iter().flatten().enumerate() {
        let field = format!("containerd.archives[{index}]");
        check_file(context, &field, &archive.location, &archive.arch, &archive.digest, found);
    }
}

fn check_sudo(yaml: &LimaYaml, found: &mut Findings) {
    let Some(sudo) = yaml.user.as_ref().and_then(|user| user.passwordless_sudo) else {
        return;
    };
    let darwin = yaml.os.as_deref() == Some("Darwin");
    let wsl = yaml.vm_type.as_deref() == Some("wsl2");
    let field = "user.passwordlessSudo";
    found.rule(darwin && sudo, field, "must be false for os: Darwin");
    found.rule(wsl && !sudo, field, "must be true for vmType: wsl2");
    let plain = yaml.plain == Some(true);
    found.rule(!darwin && !wsl && !sudo && !plain, field, "can be false only if field `plain` is true");
}

fn check_devices(yaml: &LimaYaml, found: &mut Findings) {
    let arch = text(&yaml.arch);
    if yaml.tpm == Some(true) && !matches!(arch, "x86_64" | "aarch64" | "armv7l" | "riscv64") {
        found.push(Invalid::TpmArch(arch.to_owned()));
    }
    let interface = yaml.audio.as_ref().map(|audio| text(&audio.interface)).unwrap_or_default();
    found.one_of("audio.interface", &["", "hda", "virtio"], interface);
}
