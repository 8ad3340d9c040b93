//! Which QEMU, with which accelerator, CPU model and firmware: everything that is found out before a start.

use std::path::{Path, PathBuf};

use super::accel::{self, Accel, Hardware, Plan, WhyTcg};
use super::probe::{self, Version};
use super::qemu_argv::{Choice, Reconnect};
use super::{DriverError, Machine, NicBackend, firmware, target};
use crate::config::{HostFacts, HostOs};

/// QEMU has a virtio sound card since this version.
const VIRTIO_SOUND_SINCE: Version = Version(8, 2, 0);

/// The program and the arguments that stand before ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) first_args: Vec<String>,
}

/// Finds the program: `QEMU_SYSTEM_*`, which may carry arguments, else the usual name.
pub(super) fn find_program(machine: &Machine, host: &HostFacts) -> Result<Program, DriverError> {
    let variable = target::override_variable(machine.arch);
    let value = host.env(&variable).unwrap_or_default();
    let mut words = shlex::split(value)
        .ok_or_else(|| DriverError::BadOverride { variable: variable.clone(), value: value.to_owned() })?
        .into_iter();
    let name = words.next().unwrap_or_else(|| target::program(machine.arch));
    let first_args: Vec<String> = words.collect();
    if !first_args.is_empty() {
        tracing::warn!(
            "environment variable `{variable}` adds arguments to QEMU, which is meant for debugging only"
        );
    }
    match which::which_in(&name, host.env("PATH"), &host.cwd) {
        Ok(path) => Ok(Program { path, first_args }),
        Err(_) => Err(DriverError::MissingProgram { program: name, arch: machine.arch }),
    }
}

/// Asks the program and the host what this VM can have.
pub(super) async fn choose(
    machine: &Machine,
    host: &HostFacts,
    program: &Program,
) -> Result<Choice, DriverError> {
    let firmware = find_firmware(machine, host, &program.path)?;
    let failed = |question| {
        let program = program.path.clone();
        move |source| DriverError::Probe { program, question, source }
    };
    let (version, accelerators, accel) = tokio::join!(
        probe::version(&program.path),
        probe::accelerators(&program.path),
        choose_accel(machine, host, program),
    );
    let version = version.map_err(failed("version"))?;
    check_version(version, machine, host, &program.path)?;
    let accel = accel?;
    if !accelerators.map_err(failed("accelerators"))?.iter().any(|name| name == accel.name()) {
        return Err(DriverError::NoAccel { program: program.path.clone(), accel: accel.to_string() });
    }
    let own = machine.cpu_type.as_deref();
    let cpu = accel::cpu_model(own, machine.arch, machine.native, accel, host.os);
    let virtio_sound = version.is_some_and(|version| version >= VIRTIO_SOUND_SINCE);
    if !virtio_sound && machine.sound.as_ref().is_some_and(|sound| sound.virtio) {
        tracing::warn!(
            "field `audio.interface` is `virtio`, which needs QEMU {VIRTIO_SOUND_SINCE} or later; using `hda`"
        );
    }
    let reconnect = Reconnect::of(version);
    let vhost = accel == Accel::Kvm && has_tap(machine) && may_use_vhost();
    Ok(Choice {
        accel,
        cpu,
        virtio_sound,
        reconnect,
        vhost,
        firmware,
        first_args: program.first_args.clone(),
    })
}

fn has_tap(machine: &Machine) -> bool {
    machine.nics.iter().any(|nic| matches!(nic.backend, NicBackend::Tap { .. }))
}

/// Only Linux has this device. QEMU would warn about one that it may not open, and go on without.
fn may_use_vhost() -> bool {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/vhost-net").is_ok()
}

/// The accelerator: the user's word, else what the host can do, tried.
async fn choose_accel(machine: &Machine, host: &HostFacts, program: &Program) -> Result<Accel, DriverError> {
    if let Some(accel) = accel::named_in(&program.first_args).or(accel::forced(host)?) {
        return Ok(accel);
    }
    let plan = accel::plan(machine.arch, machine.native, host.os, || Hardware::of_this_host(host.os));
    let why = match plan {
        Plan::Use(accel, None) => return Ok(accel),
        Plan::Use(_, Some(why)) => why,
        Plan::Try(accel) => match probe::survives(&program.path, machine.arch, accel).await {
            Ok(()) => return Ok(accel),
            Err(words) => WhyTcg::QemuFails { accel, words },
        },
    };
    tracing::warn!("QEMU emulates the guest in software (TCG), which is slow: {why}");
    Ok(Accel::Tcg)
}

fn check_version(
    version: Option<Version>,
    machine: &Machine,
    host: &HostFacts,
    program: &Path,
) -> Result<(), DriverError> {
    let Some(version) = version else {
        tracing::warn!("`{}` does not tell its version", program.display());
        return Ok(());
    };
    let (hard, soft) = match (host.os, machine.native, cfg!(target_arch = "aarch64")) {
        (HostOs::MacOs, _, true) => (Version(8, 2, 1), Version(8, 2, 1)),
        (HostOs::MacOs, _, false) => (Version(7, 0, 0), Version(8, 2, 1)),
        (HostOs::Linux, _, _) => (Version(4, 0, 0), Version(6, 2, 0)),
    };
    let minimum = match &machine.minimum_version {
        None => hard,
        Some(value) => Version::parse(value)
            .ok_or_else(|| DriverError::BadMinimumVersion { value: value.clone() })?
            .max(hard),
    };
    if version < minimum {
        let (version, minimum) = (version.to_string(), minimum.to_string());
        return Err(DriverError::TooOld { program: program.to_owned(), version, minimum });
    }
    if version < soft {
        tracing::warn!("QEMU {version} is too old, {soft} or later recommended");
    }
    Ok(())
}

fn find_firmware(
    machine: &Machine,
    host: &HostFacts,
    program: &Path,
) -> Result<Option<PathBuf>, DriverError> {
    let arch = machine.arch;
    if machine.firmware.legacy_bios {
        if target::has_legacy_bios(arch) {
            return Ok(None);
        }
        tracing::warn!("field `firmware.legacyBIOS` is not supported for architecture `{arch}`, ignoring");
    }
    if target::edk2(arch).is_none() || machine.firmware.code.is_some() {
        return Ok(machine.firmware.code.clone());
    }
    let places = firmware::candidates(arch, program, host.home.as_deref());
    match places.into_iter().find(|path| path.exists()) {
        Some(path) => {
            tracing::info!("Using system firmware (`{}`)", path.display());
            Ok(Some(path))
        }
        None => Err(DriverError::NoFirmware { arch }),
    }
}
