//! Start and stop: against stand-ins (shell scripts) for what QEMU may do, and once against the real one.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use super::super::probe::tests::script_at;
use super::super::{
    Disk, DiskFormat, Driver, Firmware, HostForward, KnownCause, Nic, NicBackend, RuntimeFiles,
};
use super::*;
use crate::config::host::test_facts_in;
use crate::config::{Arch, Bytes};

/// What can be started where nothing is needed.
pub(in super::super) fn small_machine(dir: &Path) -> Machine {
    Machine {
        title: "lima-t".into(),
        arch: Arch::X86_64,
        native: true,
        cpus: 1,
        memory: Bytes::mib(64),
        boot_disk: Disk { path: dir.join("disk"), format: DiskFormat::Raw },
        extra_disks: vec![],
        iso: None,
        cidata: None,
        kernel: None,
        kernel_cmdline: None,
        initrd: None,
        firmware: Firmware { legacy_bios: true, code: None },
        cpu_type: None,
        minimum_version: None,
        display: "none".into(),
        sound: None,
        tpm: false,
        nics: vec![],
        files: RuntimeFiles::in_dir(dir),
    }
}

/// A directory with the instance's files, and a host that knows only what `env` says.
struct World {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    machine: Machine,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let machine = small_machine(dir.path());
        fs::write(dir.path().join("disk"), vec![0; 4096]).unwrap();
        let env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        World { dir, env, machine }
    }

    /// A world whose QEMU answers questions as QEMU 7.2 without KVM does, and otherwise is `script`.
    fn with_fake(script: &str) -> World {
        let mut world = World::new();
        let program = world.dir.path().join("fake-qemu");
        let text = format!(
            "case \"$*\" in\n\
             *--version*) echo 'QEMU emulator version 7.2.22 (fake)'; exit;;\n\
             *'-accel help'*) echo 'Accelerators supported in QEMU binary:'; echo tcg; exit;;\n\
             esac\n{script}"
        );
        script_at(&program, &text);
        world.set("QEMU_SYSTEM_X86_64", program.to_str().unwrap());
        world.set("LIMA_QEMU_ACCEL", "tcg");
        world
    }

    fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(key, _)| key != name);
        self.env.push((name.into(), value.into()));
    }

    fn host(&self) -> HostFacts {
        HostFacts { env: self.env.clone(), ..test_facts_in(self.dir.path()) }
    }

    async fn start(&self, inherited: Vec<OwnedFd>) -> Result<Vm, DriverError> {
        Driver::Qemu.start(&self.machine, &self.host(), inherited).await
    }

    async fn refusal(&self) -> DriverError {
        match self.start(vec![]).await {
            Ok(_) => panic!("it started"),
            Err(error) => error,
        }
    }
}

const SOON: Budget = Budget {
    power: Duration::from_millis(300),
    resend: Duration::from_millis(100),
    quit: Duration::from_millis(100),
    kill: Duration::from_secs(20),
};

#[tokio::test]
async fn a_qemu_that_refuses_at_once_leaves_its_last_words() {
    let world = World::with_fake("seq 1 30 >&2; echo 'qemu: -nope: invalid option' >&2; exit 1");
    let mut vm = world.start(vec![]).await.unwrap();
    let exit = vm.wait().await.unwrap();
    assert_eq!((exit.last_words.len(), exit.last_words[0].as_str()), (Exit::LINES, "12"));
    assert_eq!(exit.known_cause(), Some(KnownCause::Refused));
    // Whoever asks again gets the same answer, and stopping what has ended is no error.
    assert_eq!(vm.wait().await.unwrap(), exit);
    assert_eq!(vm.stop(SOON).await.unwrap(), exit);
}

#[tokio::test]
async fn a_lock_that_is_handed_over_is_held_by_qemu_alone() {
    let world = World::with_fake("read line <&3; exec sleep 60");
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut vm = world.start(vec![theirs.into()]).await.unwrap();
    // Our end says end-of-file only if no copy of the other one is open anywhere.
    vm.kill().await.unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(std::io::Read::read(&mut &ours, &mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn a_qemu_that_listens_to_nothing_is_killed_and_its_files_are_removed() {
    let world = World::with_fake("trap '' TERM INT HUP; while :; do sleep 1; done");
    let mut vm = world.start(vec![]).await.unwrap();
    for path in world.machine.files.leftovers() {
        fs::write(path, b"").unwrap();
    }
    let exit = vm.stop(SOON).await.unwrap();
    assert_eq!(exit.to_string(), "QEMU was killed by signal 9");
    assert!(world.machine.files.leftovers().iter().all(|path| !path.exists()));
}

#[tokio::test]
async fn logs_and_sockets_of_an_earlier_start_are_gone_before_qemu_looks() {
    let world = World::with_fake("ls \"${0%/*}\" >&2; exit 1");
    for path in
        [&world.machine.files.serial.log, &world.machine.files.qmp_socket, &world.machine.files.pid_file]
    {
        fs::write(path, b"old").unwrap();
    }
    let exit = world.start(vec![]).await.unwrap().wait().await.unwrap();
    assert_eq!(exit.last_words, ["disk", "fake-qemu"]);
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named_before_anything_starts() {
    let mut world = World::with_fake("exit 1");
    world.machine.minimum_version = Some("8.0.0".into());
    assert!(world.refusal().await.to_string().ends_with("is version 7.2.22, at least 8.0.0 is needed"));
    world.machine.minimum_version = None;
    world.machine.firmware.legacy_bios = false;
    world.machine.arch = Arch::Riscv64;
    let program = world.dir.path().join("fake-qemu");
    world.set("QEMU_SYSTEM_RISCV64", program.to_str().unwrap());
    if !Path::new("/usr/share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd").exists() {
        assert_eq!(world.refusal().await.to_string(), "could not find UEFI firmware for `riscv64`");
    }
    world.machine.arch = Arch::X86_64;
    world.machine.firmware.legacy_bios = true;
    world.set("LIMA_QEMU_ACCEL", "kvm");
    assert!(world.refusal().await.to_string().starts_with("accelerator `kvm` is not supported by"));
    world.set("LIMA_QEMU_ACCEL", "fast");
    assert!(world.refusal().await.to_string().ends_with("got `fast`"));
    world.set("QEMU_SYSTEM_X86_64", "qemu 'x");
    let error = world.refusal().await.to_string();
    assert_eq!(error, "environment variable `QEMU_SYSTEM_X86_64` has an unclosed quote: `qemu 'x`");
    world.set("QEMU_SYSTEM_X86_64", " ");
    world.set("PATH", "/nonexistent");
    let error = world.refusal().await.to_string();
    assert_eq!(error, "exec: \"qemu-system-x86_64\": executable file not found in $PATH");
}

#[tokio::test]
async fn words_of_the_override_come_first() {
    let mut world = World::with_fake("printf '%s ' \"$@\" >&2; exit 1");
    let program = world.dir.path().join("fake-qemu");
    world.set("QEMU_SYSTEM_X86_64", &format!("{} -cpu 'EPYC, v1' -accel tcg", program.display()));
    let exit = world.start(vec![]).await.unwrap().wait().await.unwrap();
    assert!(
        exit.last_words[0].starts_with("-cpu EPYC, v1 -accel tcg -m 64 -machine q35,vmport=off -global ")
    );
}

/// Whether this machine has the real program; says so if not.
fn real_qemu() -> bool {
    let found = which::which("qemu-system-x86_64").is_ok();
    if !found {
        eprintln!("skipped: no qemu-system-x86_64 on this machine");
    }
    found
}

/// A world with the real QEMU, emulating, its processor not started.
fn real_world() -> World {
    let mut world = World::new();
    world.set("QEMU_SYSTEM_X86_64", "qemu-system-x86_64 -S");
    world.set("LIMA_QEMU_ACCEL", "tcg");
    world
}

/// Asks until QEMU listens, or until it is clear that it never will.
async fn status_when_it_listens(vm: &Vm) -> RunState {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match vm.monitor().status().await {
            Ok(state) => return state,
            Err(error) if Instant::now() > deadline => panic!("{error}"),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn the_real_qemu_takes_our_arguments_talks_and_ends() {
    if !real_qemu() {
        return;
    }
    let world = real_world();
    let mut vm = world.start(vec![]).await.unwrap();
    assert_eq!(status_when_it_listens(&vm).await, RunState::Prelaunch);
    assert_eq!(fs::read_to_string(&world.machine.files.pid_file).unwrap().trim(), vm.pid().to_string());
    // A button pressed in a VM that stands still sets it going first; its empty disk never hears it.
    vm.monitor().press_power_button().await.unwrap();
    assert_eq!(vm.monitor().status().await.unwrap(), RunState::Running);
    assert!(vm.monitor().human("info version").await.unwrap().contains('.'));
    let exit = vm.stop(Budget { quit: Duration::from_secs(60), ..SOON }).await.unwrap();
    assert!(exit.is_clean(), "{exit}");
    assert!(world.machine.files.leftovers().iter().all(|path| !path.exists()));
}

#[tokio::test]
async fn the_real_qemus_complaint_about_a_taken_port_is_understood() {
    if !real_qemu() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut world = real_world();
    let host_forwards =
        vec![HostForward { host: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), guest_port: 22 }];
    world.machine.nics.push(Nic {
        number: 0,
        mac: "52:55:55:00:00:01".into(),
        backend: NicBackend::Slirp { host_forwards },
    });
    let exit = world.start(vec![]).await.unwrap().wait().await.unwrap();
    let address = format!("127.0.0.1:{port}");
    assert_eq!(exit.known_cause(), Some(KnownCause::PortTaken { address }), "{exit}");
}

#[tokio::test]
async fn the_real_qemus_complaint_about_a_locked_disk_is_understood() {
    if !real_qemu() {
        return;
    }
    let world = real_world();
    let mut first = world.start(vec![]).await.unwrap();
    status_when_it_listens(&first).await;
    let mut other = real_world();
    other.machine.boot_disk = world.machine.boot_disk.clone();
    let exit = other.start(vec![]).await.unwrap().wait().await.unwrap();
    let path = world.machine.boot_disk.path.display().to_string();
    assert_eq!(exit.known_cause(), Some(KnownCause::DiskLocked { path }), "{exit}");
    first.kill().await.unwrap();
}
