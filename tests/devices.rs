//! A guest's screen, sound and TPM are those that were asked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::World;

fn has(calls: &[Vec<String>], option: &str, value: &str) -> bool {
    calls.iter().any(|call| call.windows(2).any(|pair| pair == [option, value]))
}

#[test]
fn a_screen_by_vnc_has_a_password_that_two_files_tell() {
    let world = World::new();
    world.write("qemu.json", "{\"vnc\": 5903}");
    world.start_with("x", "video: {display: vnc}\n");
    let calls = world.qemu_calls();
    assert!(has(&calls, "-display", "vnc=127.0.0.1:0,to=9,password=on"), "{calls:?}");
    assert!(has(&calls, "-device", "virtio-tablet-pci"), "{calls:?}");
    let read = |name: &str| {
        let path = world.instance_file("x", name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        fs::read_to_string(path).unwrap()
    };
    assert_eq!(read("vncdisplay"), "127.0.0.1:3");
    let password = read("vncpassword");
    assert_eq!(password.len(), 8);
    let monitor = fs::read_to_string(world.path("qmp.log")).unwrap();
    assert!(monitor.contains("change-vnc-password\n") && monitor.contains("query-vnc\n"), "{monitor}");
    assert_eq!(fs::read_to_string(world.path("vnc.password")).unwrap(), password);
    world.limactl(["stop", "x"]).seen().succeeded().done();
    for name in ["vncdisplay", "vncpassword"] {
        assert!(!world.instance_file("x", name).exists(), "{name}");
    }
}

#[test]
fn a_sound_card_has_the_back_end_and_the_kind_that_were_asked_for() {
    let world = World::new();
    world.start_with("x", "audio: {device: alsa}\n");
    let calls = world.qemu_calls();
    assert!(has(&calls, "-audiodev", "alsa,id=snd0"), "{calls:?}");
    assert!(has(&calls, "-device", "hda-output,audiodev=snd0"), "{calls:?}");
}

#[test]
fn a_tpm_is_a_program_beside_the_vm_and_goes_with_it() {
    let world = World::new();
    let text = "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$LIMA_TEST_WORLD/swtpm.argv\"\nfor word; do case $word in type=unixio,path=*) : >\"${word#type=unixio,path=}\" ;; esac; done\nexec sleep 600\n";
    let path = world.write("bin/swtpm", text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    world.start_with("x", "tpm: true\n");
    let state = world.instance_file("x", "swtpm");
    let socket = world.instance_file("x", "swtpm.sock");
    let called = fs::read_to_string(world.path("swtpm.argv")).unwrap();
    let expected = format!(
        "socket\n--tpmstate\ndir={}\n--ctrl\ntype=unixio,path={}\n--tpm2\n--terminate\n--log\nlevel=1\n",
        state.display(),
        socket.display()
    );
    assert_eq!(called, expected);
    assert_eq!(fs::metadata(state).unwrap().permissions().mode() & 0o777, 0o700);
    let calls = world.qemu_calls();
    assert!(has(&calls, "-tpmdev", "emulator,id=tpm0,chardev=chrtpm"), "{calls:?}");
    // The real one ends with its connection; this one has to be told.
    world.limactl(["stop", "x"]).seen().succeeded().done();
    world.nothing_runs();
    assert!(!socket.exists());
}

#[test]
fn a_missing_tpm_program_is_told_with_its_package() {
    let world = World::new();
    let file = world.file_of("x", "tpm: true\n");
    let path = world.path_without("swtpm");
    let seen = world.limactl(["start", &file]).env("PATH", &path).seen().ended_with(1);
    seen.says("swtpm not found in PATH: exec: \\\"swtpm\\\": executable file not found in $PATH (hint: ")
        .done();
    world.nothing_runs();
}
