//! Whole command lines, one option per line, for each kind of machine.

use super::super::{Firmware, HostForward, RuntimeFiles};
use super::*;
use crate::config::Bytes;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

fn machine(arch: Arch) -> Machine {
    let dir = Path::new("/h/d");
    Machine {
        title: "lima-d".into(),
        arch,
        native: true,
        cpus: 2,
        memory: Bytes::gib(2),
        boot_disk: Disk { path: dir.join("disk"), format: DiskFormat::Qcow2 },
        extra_disks: vec![],
        iso: None,
        cidata: Some(dir.join("cidata.iso")),
        kernel: None,
        kernel_cmdline: None,
        initrd: None,
        firmware: Firmware::default(),
        cpu_type: None,
        minimum_version: None,
        display: "none".into(),
        sound: None,
        tpm: false,
        nics: vec![Nic {
            number: 0,
            mac: "52:55:55:ff:ef:5c".into(),
            backend: NicBackend::Slirp {
                host_forwards: vec![HostForward {
                    host: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 35205),
                    guest_port: 22,
                }],
            },
        }],
        files: RuntimeFiles::in_dir(dir),
    }
}

fn choice(accel: Accel, cpu: &str, firmware: Option<&str>) -> Choice {
    Choice {
        accel,
        cpu: cpu.into(),
        virtio_sound: false,
        reconnect: Reconnect::Never,
        vhost: false,
        firmware: firmware.map(PathBuf::from),
        first_args: vec![],
    }
}

fn kvm() -> Choice {
    choice(Accel::Kvm, "host", Some("/usr/share/OVMF/OVMF_CODE.fd"))
}

/// One option and its value per line.
fn shown(argv: &Argv) -> String {
    let words: Vec<String> = argv.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut lines = String::new();
    for pair in words.chunks(2) {
        lines.push_str(&pair.join(" "));
        lines.push('\n');
    }
    lines
}

const HEAD_KVM: &str = "\
-m 2048
-cpu host
-machine q35,accel=kvm
-smp 2,sockets=1,cores=2,threads=1
-drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd
";
const DISKS: &str = "\
-device qemu-xhci,id=usb-bus
-drive file=/h/d/disk,if=none,discard=on,id=boot-disk
-device virtio-blk-pci,drive=boot-disk,bootindex=1
-boot order=c,splash-time=0,menu=on
-drive id=cdrom0,if=none,format=raw,readonly=on,file=/h/d/cidata.iso
-device virtio-scsi,id=scsi0
-device scsi-cd,bus=scsi0.0,drive=cdrom0
";
const NET_TO_SERIAL: &str = "\
-netdev user,id=net0,net=192.168.5.0/24,dhcpstart=192.168.5.15,hostfwd=tcp:127.0.0.1:35205-:22
-device virtio-net-pci,netdev=net0,mac=52:55:55:ff:ef:5c
-device virtio-rng-pci
-audiodev none,id=snd0
-display none
-vga none
-parallel none
-chardev socket,id=char-serial,path=/h/d/serial.sock,server=on,wait=off,logfile=/h/d/serial.log
-serial chardev:char-serial
";
const TAIL: &str = "\
-chardev socket,id=char-serial-virtio,path=/h/d/serialv.sock,server=on,wait=off,logfile=/h/d/serialv.log
-device virtio-serial-pci,id=virtio-serial0,max_ports=1
-device virtconsole,chardev=char-serial-virtio,id=console0
-chardev socket,id=char-qmp,path=/h/d/qmp.sock,server=on,wait=off
-qmp chardev:char-qmp
-name lima-d
-pidfile /h/d/qemu.pid
";

#[test]
fn the_default_machine_with_kvm() {
    let argv = argv(&machine(Arch::X86_64), &kvm());
    assert_eq!(shown(&argv), [HEAD_KVM, DISKS, NET_TO_SERIAL, TAIL].concat());
    assert_eq!(argv.dropped, []);
}

#[test]
fn software_emulation_of_x86_64() {
    let head = "\
-m 2048
-cpu max
-machine q35,vmport=off
-accel tcg,thread=multi,tb-size=512
-global ICH9-LPC.disable_s3=1
-global ICH9-LPC.disable_s4=1
-smp 2,sockets=1,cores=2,threads=1
-drive if=pflash,format=raw,readonly=on,file=/fw
";
    let argv = argv(&machine(Arch::X86_64), &choice(Accel::Tcg, "max", Some("/fw")));
    assert_eq!(shown(&argv), [head, DISKS, NET_TO_SERIAL, TAIL].concat());
}

#[test]
fn legacy_bios_only_lacks_the_flash() {
    let head = HEAD_KVM.lines().take(4).map(|line| format!("{line}\n")).collect::<String>();
    let argv = argv(&machine(Arch::X86_64), &choice(Accel::Kvm, "host", None));
    assert_eq!(shown(&argv), [&head, DISKS, NET_TO_SERIAL, TAIL].concat());
}

#[test]
fn direct_boot_stands_behind_the_cd_with_the_command_line_verbatim() {
    let mut machine = machine(Arch::X86_64);
    machine.kernel = Some("/h/d/ker,nel".into());
    machine.kernel_cmdline = Some("root=LABEL=a,b console=ttyS0,115200".into());
    machine.initrd = Some("/h/d/initrd".into());
    let kernel = "\
-kernel /h/d/ker,nel
-append root=LABEL=a,b console=ttyS0,115200
-initrd /h/d/initrd
";
    let argv = argv(&machine, &kvm());
    assert_eq!(shown(&argv), [HEAD_KVM, DISKS, kernel, NET_TO_SERIAL, TAIL].concat());
}

#[test]
fn aarch64_has_a_pci_uart_and_names_its_accelerator_in_the_machine() {
    let pci = "\
-chardev socket,id=char-serial-pci,path=/h/d/serialp.sock,server=on,wait=off,logfile=/h/d/serialp.log
-device pci-serial,chardev=char-serial-pci
";
    for (accel, cpu) in [(Accel::Tcg, "max"), (Accel::Kvm, "host"), (Accel::Hvf, "host")] {
        let head = format!(
            "-m 2048\n-cpu {cpu}\n-machine virt,accel={accel}\n-smp 2,sockets=1,cores=2,threads=1\n\
             -drive if=pflash,format=raw,readonly=on,file=/fw\n"
        );
        let argv = argv(&machine(Arch::Aarch64), &choice(accel, cpu, Some("/fw")));
        assert_eq!(shown(&argv), [&head, DISKS, NET_TO_SERIAL, pci, TAIL].concat());
    }
}

#[test]
fn other_architectures_differ_in_board_and_bus() {
    let line = |arch| shown(&argv(&machine(arch), &choice(Accel::Tcg, "max", None)));
    assert!(line(Arch::Riscv64).contains("-machine virt,acpi=off,accel=tcg\n"));
    assert!(line(Arch::Ppc64le).contains("-machine pseries,accel=tcg\n"));
    assert!(line(Arch::Armv7l).contains("-device pci-serial,chardev=char-serial-pci\n"));
    let s390x = line(Arch::S390x);
    for part in [
        "-machine s390-ccw-virtio,accel=tcg\n",
        "-device virtio-blk-ccw,drive=boot-disk,bootindex=1\n",
        "-device virtio-net-ccw,netdev=net0,",
        "max_ports=2\n",
    ] {
        assert!(s390x.contains(part), "{part}");
    }
}

#[test]
fn a_comma_in_a_path_is_doubled_where_it_would_end_the_value() {
    let mut machine = machine(Arch::X86_64);
    let dir = Path::new("/a,b");
    machine.files = RuntimeFiles::in_dir(dir);
    machine.boot_disk.path = dir.join("disk");
    machine.cidata = Some(dir.join("cidata.iso"));
    let text = shown(&argv(&machine, &choice(Accel::Kvm, "host", Some("/f,w"))));
    for line in [
        "-drive if=pflash,format=raw,readonly=on,file=/f,,w\n",
        "-drive file=/a,,b/disk,if=none,discard=on,id=boot-disk\n",
        "-drive id=cdrom0,if=none,format=raw,readonly=on,file=/a,,b/cidata.iso\n",
        "-chardev socket,id=char-serial,path=/a,,b/serial.sock,server=on,wait=off,logfile=/a,,b/serial.log\n",
        "-chardev socket,id=char-qmp,path=/a,,b/qmp.sock,server=on,wait=off\n",
        "-pidfile /a,b/qemu.pid\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_raw_disk_says_so_and_an_installation_medium_comes_first() {
    let mut machine = machine(Arch::X86_64);
    machine.boot_disk.format = DiskFormat::Raw;
    machine.iso = Some("/h/d/iso".into());
    machine.extra_disks = vec![Disk { path: "/d/data".into(), format: DiskFormat::Qcow2 }];
    let disks = "\
-drive file=/h/d/disk,if=virtio,discard=on,format=raw
-boot order=d,splash-time=0,menu=on
-drive file=/h/d/iso,format=raw,media=cdrom,readonly=on
-drive file=/d/data,if=virtio,discard=on
-drive id=cdrom0,";
    assert!(shown(&argv(&machine, &kvm())).contains(disks));
}

#[test]
fn a_display_brings_its_devices() {
    let mut machine = machine(Arch::X86_64);
    machine.display = "gtk".into();
    let devices = "\
-display gtk
-device virtio-vga
-device virtio-keyboard-pci
-device virtio-mouse-pci
-parallel none
";
    assert!(shown(&argv(&machine, &kvm())).contains(devices));
}

/// The NICs of a machine with one of each kind, behind the first.
fn networks(choice: &Choice) -> String {
    let mut machine = machine(Arch::X86_64);
    let mut add = |number: u32, backend| {
        machine.nics.push(Nic { number, mac: format!("52:55:55:00:00:0{number}"), backend });
    };
    add(1, NicBackend::Tap { place: 3 });
    // A number that is left out stays out.
    add(3, NicBackend::Stream { socket: "/run/a,b/socket_vmnet.shared".into() });
    add(4, NicBackend::Connected { place: 0 });
    let text = shown(&argv(&machine, choice));
    let lines = text.lines().skip_while(|line| !line.contains("net0")).skip(2);
    lines.take_while(|line| *line != "-device virtio-rng-pci").map(|line| format!("{line}\n")).collect()
}

#[test]
fn each_kind_of_network_has_its_netdev_in_upstreams_order_and_each_version_its_own_reconnection() {
    for (version, reconnect) in [
        (None, ""),
        (Some(Version(7, 2, 22)), ""),
        (Some(Version(7, 99, 0)), ""),
        (Some(Version(8, 0, 0)), ",reconnect=1"),
        (Some(Version(9, 1, 3)), ",reconnect=1"),
        (Some(Version(9, 2, 0)), ",reconnect-ms=500"),
        (Some(Version(10, 2, 0)), ",reconnect-ms=500"),
    ] {
        let choice = Choice { reconnect: Reconnect::of(version), ..kvm() };
        let expected = format!(
            "\
-netdev tap,id=net1,fd=6
-device virtio-net-pci,netdev=net1,mac=52:55:55:00:00:01
-netdev stream,id=net3,server=off,addr.type=unix,addr.path=/run/a,,b/socket_vmnet.shared{reconnect}
-device virtio-net-pci,netdev=net3,mac=52:55:55:00:00:03
-netdev socket,id=net4,fd=3
-device virtio-net-pci,netdev=net4,mac=52:55:55:00:00:04
"
        );
        assert_eq!(networks(&choice), expected, "{version:?}");
    }
}

#[test]
fn the_kernel_moves_the_frames_of_a_tap_where_it_may() {
    let text = networks(&Choice { vhost: true, ..kvm() });
    assert!(text.starts_with("-netdev tap,id=net1,fd=6,vhost=on\n"), "{text}");
    assert_eq!(text.matches("vhost").count(), 1);
}

#[test]
fn the_users_own_arguments_come_first_and_win_literally() {
    let mut choice = choice(Accel::Tcg, "max", None);
    choice.first_args =
        ["-machine", "q35", "-accel", "tcg", "-M", "x", "-device", "edu"].map(String::from).to_vec();
    let argv = argv(&machine(Arch::X86_64), &choice);
    let head = "\
-machine q35
-accel tcg
-M x
-device edu
-m 2048
-cpu max
-global ICH9-LPC.disable_s3=1
";
    assert!(shown(&argv).starts_with(head), "{}", shown(&argv));
    let dropped =
        |option, ours: &str, theirs: &str| Dropped { option, ours: ours.into(), theirs: theirs.into() };
    assert_eq!(
        argv.dropped,
        [
            dropped("-machine", "q35,vmport=off", "q35"),
            dropped("-accel", "tcg,thread=multi,tb-size=512", "tcg"),
        ]
    );
}

#[test]
fn a_tpm_stands_before_the_network_and_is_another_device_on_other_boards() {
    let mut machine = machine(Arch::X86_64);
    machine.tpm = true;
    let tpm = "\
-chardev socket,id=chrtpm,path=/h/d/swtpm.sock
-tpmdev emulator,id=tpm0,chardev=chrtpm
-device tpm-crb,tpmdev=tpm0
";
    assert_eq!(shown(&argv(&machine, &kvm())), [HEAD_KVM, DISKS, tpm, NET_TO_SERIAL, TAIL].concat());
    machine.arch = Arch::Riscv64;
    assert!(shown(&argv(&machine, &kvm())).contains("-device tpm-tis-device,tpmdev=tpm0\n"));
}

#[test]
fn a_sound_card_is_virtio_only_where_qemu_has_it() {
    let mut machine = machine(Arch::X86_64);
    machine.sound = Some(super::super::Sound { backend: "pa".into(), virtio: true });
    let with = |virtio_sound| shown(&argv(&machine, &Choice { virtio_sound, ..kvm() }));
    assert!(with(true).contains("-audiodev pa,id=snd0\n-device virtio-sound-pci,audiodev=snd0\n-display"));
    let hda = "-audiodev pa,id=snd0\n-device ich9-intel-hda\n-device hda-output,audiodev=snd0\n-display";
    assert!(with(false).contains(hda), "{}", with(false));
}
