//! One guest, booted twice: made, entered, asked, stopped, started again, deleted.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::promises::Promises;
use super::{names, settings};
use crate::support::{Seen, World, say};

/// All that an instance file can ask of a guest on the default network.
const MORE: &str = r#"
additionalDisks:
- a-disk-with-a-long-name
- name: swp
  fsType: swap
env:
  FRUIT: "an \"apple\" $HOME 'x'"
param:
  colour: dark blue
hostResolver:
  hosts:
    static.example: 10.1.2.3
    alias.example: host.lima.internal
provision:
- mode: boot
  script: |
    echo "boot $(id -u)" > /run/promise-boot
- mode: dependency
  script: |
    #!/bin/sh
    echo "dependency $(id -u)" > /var/tmp/promise-dependency
- mode: system
  script: |
    #!/bin/sh
    echo "system $(id -u) $PARAM_colour" > /var/tmp/promise-system
- mode: user
  script: |
    #!/bin/sh
    echo "user $(id -un) $HOME {{.Param.colour}}" > ~/promise-user
    echo once-more >> ~/promise-boots
- mode: data
  path: /etc/promise-data
  content: |
    colour={{.Param.colour}}
  permissions: "640"
- mode: system
  script: |
    #!/bin/sh
    exit 3
"#;

/// What a probe waits for.
const PROBES: &str = r#"probes:
- description: the system script has run
  script: |
    #!/bin/sh
    test -e /var/tmp/promise-system
"#;

const READY: &str = "READY. Run `limactl shell g` to open the shell.";
const FAILED: &str = "level=warning msg=\"[hostagent] A script failed in the guest: provision.system/00000005 3 (hint: see /var/log/cloud-init-output.log in the guest)\"";
pub(super) fn through_two_boots(folder: &Path) {
    let (world, file) =
        super::world(folder, "debian-direct.yaml", &[MORE, &settings::yaml(), PROBES].concat());
    let agent = settings::SshAgent::start(&world);
    let host = names::Host::new(&world);
    let start = |words: &[&str]| match &host {
        Some(_) => world.with_own_etc(words).env("SSH_AUTH_SOCK", &agent.socket),
        None => world.limactl(words).own_accelerator().env("SSH_AUTH_SOCK", &agent.socket),
    };
    for words in
        [["a-disk-with-a-long-name", "--size=256M", "--format=qcow2"], ["swp", "--size=64M", "--format=raw"]]
    {
        world.limactl(["disk", "create"].iter().chain(&words)).seen().succeeded().done();
    }
    let guest = Guest { world: &world };
    let mut promises = Promises::default();
    let first = start(&["start", "--name=g", &file]).seen();
    assert_eq!(first.status, 0, "{first:#?}");
    told_by_the_start(&mut promises, &world, &first);
    settings::told(&mut promises, &first);
    entered(&mut promises, &guest);
    copied(&mut promises, &guest);
    names::of_this_network(&mut promises, &guest);
    if let Some(host) = &host {
        names::of_the_host(&mut promises, &guest, host);
    }
    set_up(&mut promises, &guest);
    settings::in_the_guest(&mut promises, &guest);
    settings::on_the_host(&mut promises, &world);
    settings::clock(&mut promises, &guest);
    seen_from_outside(&mut promises, &world);
    with_disks(&mut promises, &guest);
    leaves_a_mark_when_it_stops(&guest);
    stopped(&mut promises, &world);
    disks_grown(&mut promises, &world);
    settings::after_the_stop(&mut promises, &world);
    let second = start(&["start", "g"]).seen();
    assert_eq!(second.status, 0, "{second:#?}");
    after_a_second_boot(&mut promises, &guest, &second);
    if let Some(host) = &host {
        promises
            .keep("the redirect leads to the resolver's new ports", || names::after_the_change(&guest, host));
    }
    with_grown_disks(&mut promises, &guest);
    deleted(&mut promises, &world);
    promises.end();
}

/// The guest as a shell sees it.
pub(super) struct Guest<'a> {
    pub(super) world: &'a World,
}

impl Guest<'_> {
    /// What a command prints, without the last line feed; it must succeed.
    #[track_caller]
    pub(super) fn says(&self, script: &str) -> String {
        let seen = self.world.limactl(["shell", "g", "sh", "-c", script]).seen();
        assert_eq!((seen.status, seen.stderr.as_str()), (0, ""), "{script}: {seen:#?}");
        seen.stdout.trim_end_matches('\n').to_owned()
    }
}

fn copied(promises: &mut Promises, guest: &Guest) {
    let world = guest.world;
    promises.keep("files and directories come and go by scp, whatever their names", || {
        let name = "a b%20#?.txt";
        world.write(&format!("dir/{name}"), "text\n");
        world.limactl(["copy", "--backend=scp", "-r", "dir", "g:there"]).run().done();
        assert_eq!(guest.says(&format!("cat 'there/{name}'")), "text");
        world.limactl(["copy", "--backend=scp", &format!("g:there/{name}"), "back"]).run().done();
        assert_eq!(std::fs::read_to_string(world.path("back")).unwrap(), "text\n");
        world.limactl(["copy", "g:/etc/hostname", "."]).run().done();
        assert_eq!(std::fs::read_to_string(world.path("hostname")).unwrap(), "lima-g\n");
        let seen = world.limactl(["copy", "--backend=scp", "g:/nonexistent", "."]).seen().ended_with(1);
        seen.says("/nonexistent").done();
    });
    promises.keep("a directory is worked on in the guest, and the changes come back", || {
        let has_rsync = world.call("which", ["rsync"]).seen().status == 0;
        if !has_rsync || guest.says("command -v rsync || true").is_empty() {
            say("skipped: `shell --sync` with a real guest, because rsync is not in both");
            return;
        }
        world.write("project/it's/old", "old\n");
        let dir = world.path("project/it's").display().to_string();
        let script = "rm old && echo new >new && basename \"$PWD\"";
        let seen = world.limactl(["shell", "--sync", &dir, "g", "sh", "-c", script]).seen().succeeded();
        assert_eq!((seen.stdout.as_str(), seen.stderr.as_str()), ("it's\n", ""));
        assert_eq!(std::fs::read_to_string(format!("{dir}/new")).unwrap(), "new\n");
        assert!(!std::path::Path::new(&format!("{dir}/old")).exists());
        assert_eq!(guest.says(&format!("test -e \"$HOME{dir}\" || echo gone")), "gone");
    });
    promises.keep("a directory of the host that is not mounted leaves a session in the guest's home", || {
        assert_eq!(guest.says("pwd"), guest.says("echo $HOME"));
    });
}

fn told_by_the_start(promises: &mut Promises, world: &World, start: &Seen) {
    promises.keep(
        "READY and the instance's own message, with this run's port, are the last words of a start",
        || {
            let words = format!("level=info msg=\"{READY}\"\n{}", settings::message(world));
            assert!(start.stderr.ends_with(&words), "{words}: {start:#?}");
        },
    );
    promises.keep("each requirement is announced and satisfied, the user's probe under its own name", || {
        for words in [
            "Waiting for the essential requirement 1 of 3: `ssh`",
            "The essential requirement 1 of 3 is satisfied",
            "Waiting for the essential requirement 2 of 3: `user session is ready for ssh`",
            "The essential requirement 3 of 3 is satisfied",
            "Waiting for the optional requirement 1 of 1: `the system script has run`",
            "The optional requirement 1 of 1 is satisfied",
            "The final requirement 1 of 1 is satisfied",
        ] {
            assert!(start.stderr.contains(&format!("[hostagent] {words}")), "{words}: {start:#?}");
        }
    });
    promises.keep("the stages of the boot are told while waiting", || {
        for words in ["the kernel starts", "cloud-init sets the guest up"] {
            assert!(start.stderr.contains(&format!("[hostagent] Guest: {words}")), "{words}: {start:#?}");
        }
    });
    promises.keep("a provision script that failed is warned about by name", || {
        assert_eq!(start.stderr.matches(FAILED).count(), 1, "{start:#?}");
    });
}

fn entered(promises: &mut Promises, guest: &Guest) {
    let world = guest.world;
    promises.keep("a shell runs commands, with their input and exit codes", || {
        world.limactl(["shell", "g", "uname", "-s"]).stdout("Linux\n").run().done();
        world
            .limactl(["shell", "g", "sh", "-c", "cat; echo bad >&2; exit 7"])
            .stdin("in\n")
            .stdout("in\n")
            .stderr("bad\n")
            .status(7)
            .run()
            .done();
        world
            .limactl(["shell", "g", "printf", "%s|", "a b", "$HOME", "it's"])
            .stdout("a b|$HOME|it's|")
            .run()
            .done();
        let seen = world.limactl(["shell", "--workdir=/nonexistent", "g", "pwd"]).seen().ended_with(1);
        seen.says("cd: /nonexistent: No such file or directory").done();
    });
    promises.keep("the user has the name, number, home and shell that the configuration says", || {
        let user = world.json("g")["config"]["user"].clone();
        let text = |key: &str| user[key].as_str().unwrap_or_default().to_owned();
        let expected =
            format!("{} {} {} {} {}", text("name"), user["uid"], text("home"), text("home"), text("shell"));
        assert_eq!(
            guest.says("echo $(id -un) $(id -u) $(pwd) $HOME $(getent passwd $(id -un) | cut -d: -f7)"),
            expected
        );
    });
    promises.keep("the user may do everything without a password", || {
        assert_eq!(guest.says("sudo -n id -u"), "0")
    });
    promises.keep("the architecture and the name are those of the instance", || {
        assert_eq!(guest.says("uname -mn"), format!("lima-g {}", std::env::consts::ARCH));
    });
}

fn set_up(promises: &mut Promises, guest: &Guest) {
    promises.keep("the environment has what `env:` says, whatever is in it", || {
        assert_eq!(guest.says("printenv FRUIT"), "an \"apple\" $HOME 'x'");
        let file = guest.says("cat /etc/environment");
        assert!(file.contains("#LIMA-START\nFRUIT=an \"apple\" $HOME 'x'\n#LIMA-END"), "{file}");
    });
    promises.keep("every mode of provisioning has run as its user, with the parameters", || {
        let user = guest.says("echo $(id -un) $HOME");
        let found = guest
            .says("cat /run/promise-boot /var/tmp/promise-dependency /var/tmp/promise-system ~/promise-user");
        assert_eq!(found, format!("boot 0\ndependency 0\nsystem 0 dark blue\nuser {user} dark blue"));
        assert_eq!(
            guest.says("sudo stat -c '%a %U:%G' /etc/promise-data; sudo cat /etc/promise-data"),
            "640 root:root\ncolour=dark blue"
        );
    });
    promises.keep("the root file system has grown to the size of the disk", || {
        let size: u64 = guest.says("df -B1 --output=size / | tail -n 1").trim().parse().unwrap();
        let disk = guest.world.json("g")["disk"].as_u64().unwrap();
        assert!(size > disk / 10 * 9 && size <= disk, "{size} of {disk}");
    });
    promises.keep("the clock is the host's", || {
        let seconds: i64 = guest.says("date +%s").parse().unwrap();
        let host = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        // An hour is a time zone, a day is a wrong epoch; what the boot and this question took is neither.
        assert!((seconds - host as i64).abs() < 600, "{seconds} in the guest, {host} here");
    });
    promises.keep("nothing is installed in the guest", || {
        assert_eq!(guest.says("ls /usr/local/bin /usr/local/sbin /usr/local/lib/systemd 2>/dev/null | grep -i lima; ps ax | grep -i '[l]ima-guestagent'; true"), "");
    });
}

/// Longer than any file system's label.
const DISK: &str = "a-disk-with-a-long-name";
const SIZES: &str = "df -B1 --output=size /mnt/lima-a-disk-with-a-long-name | tail -n 1; awk '/vdc1/ { print $3 * 1024 }' /proc/swaps";

fn sizes(guest: &Guest) -> Vec<u64> {
    guest.says(SIZES).split_whitespace().map(|size| size.parse().unwrap()).collect()
}

fn with_disks(promises: &mut Promises, guest: &Guest) {
    promises.keep("a new disk gets a file system and is mounted, and another one is swap", || {
        assert_eq!(
            guest
                .says("findmnt -n -o SOURCE,FSTYPE /mnt/lima-a-disk-with-a-long-name")
                .split_whitespace()
                .collect::<Vec<_>>(),
            ["/dev/vdb1", "ext4"]
        );
        let sizes = sizes(guest);
        assert!(
            (200 << 20..256 << 20).contains(&sizes[0]) && (60 << 20..64 << 20).contains(&sizes[1]),
            "{sizes:?}"
        );
        guest.says("echo kept | sudo tee /mnt/lima-a-disk-with-a-long-name/file");
    });
    promises.keep("a disk is shown with the instance that has it", || {
        let json = guest.world.limactl(["disk", "ls", "--json", DISK]).seen().succeeded().stdout;
        assert!(json.contains("\"instance\":\"g\""), "{json}");
    });
    promises.keep("a snapshot that a raw disk forbids is told, and the guest goes on", || {
        let seen = guest.world.limactl(["snapshot", "create", "g", "--tag=one"]).seen().ended_with(1);
        seen.says("is writable but does not support snapshots").done();
        assert_eq!(guest.says("echo alive"), "alive");
    });
}

fn disks_grown(promises: &mut Promises, world: &World) {
    promises.keep("the disks of a stopped instance can be made larger", || {
        world.limactl(["disk", "resize", DISK, "--size=512M"]).seen().succeeded().done();
        world.limactl(["disk", "resize", "swp", "--size=128M"]).seen().succeeded().done();
    });
}

fn with_grown_disks(promises: &mut Promises, guest: &Guest) {
    promises.keep("a disk keeps what is on it, and its file system grows with it", || {
        assert_eq!(guest.says("cat /mnt/lima-a-disk-with-a-long-name/file"), "kept");
        let sizes = sizes(guest);
        assert!(
            (450 << 20..512 << 20).contains(&sizes[0]) && (120 << 20..128 << 20).contains(&sizes[1]),
            "{sizes:?}"
        );
    });
}

fn seen_from_outside(promises: &mut Promises, world: &World) {
    promises.keep("the list has a row and an object of a running instance", || {
        let row = world.limactl(["list", "g"]).seen().succeeded().stdout;
        let cells: Vec<&str> = row.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells[..4], ["g", "Running", "127.0.0.1:<PORT>", "qemu"], "{row}");
        let json = world.json("g");
        for key in ["sshLocalPort", "hostAgentPID", "driverPID", "cpus", "memory", "disk"] {
            assert!(json[key].as_u64().is_some_and(|number| number > 0), "{key}: {json}");
        }
        assert_eq!(json["driverPID"].as_i64(), Some(world.vm_pid("g").into()));
        assert_eq!(json["param"]["colour"], "dark blue");
    });
    promises.keep("the agent's events are booting and running", || {
        let port = world.json("g")["sshLocalPort"].clone();
        let story = [
            serde_json::json!({ "sshLocalPort": port }),
            serde_json::json!({ "running": true, "sshLocalPort": port }),
        ];
        assert_eq!(world.events("g"), story);
    });
    promises.keep("the agent answers at its socket", || {
        let mut stream = UnixStream::connect(world.instance_file("g", "ha.sock")).unwrap();
        stream
            .write_all(b"GET /v1/info HTTP/1.1\r\nHost: lima-hostagent\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let body = format!("\r\n\r\n{{\"sshLocalPort\":{}}}", world.json("g")["sshLocalPort"]);
        assert!(text.ends_with(&body), "{text}");
    });
    promises.keep("any ssh reaches the guest by the configuration that was written", || {
        let config = world.instance_file("g", "ssh.config");
        let output =
            world.command("ssh").arg("-F").arg(config).args(["lima-g", "hostname"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "lima-g\n", "{output:?}");
    });
}

/// A service whose end writes a file: only an orderly shutdown ends services. (The journal's last lines may be lost on the way down.)
fn leaves_a_mark_when_it_stops(guest: &Guest) {
    let service = "sudo systemd-run --quiet --unit=promise-stop --property=RemainAfterExit=yes \
                   --property=ExecStop='/bin/sh -c \"echo in order > /var/lib/promise-stopped\"' /bin/true";
    guest.says(&format!("{service} && systemctl is-active promise-stop"));
}

fn stopped(promises: &mut Promises, world: &World) {
    promises.keep("a stop presses the power button and the guest obeys", || {
        let seen = world.limactl(["stop", "g"]).seen().succeeded();
        let seen = seen.says("[hostagent] Sending QMP system_powerdown command").says_not("forcibly");
        seen.says("[hostagent] QEMU has exited").says("The instance g has shut down").done();
        assert_eq!(world.events("g").last(), Some(&serde_json::json!({ "exiting": true })));
    });
    promises.keep("a stop leaves no process, no socket and no pid file", || {
        world.nothing_runs();
        let left: Vec<String> = world
            .files("g")
            .into_iter()
            .filter(|name| name.ends_with(".sock") || name.ends_with(".pid"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(world.status("g"), "Stopped");
    });
}

fn after_a_second_boot(promises: &mut Promises, guest: &Guest, start: &Seen) {
    promises.keep("a second boot is READY, and its own failures are told", || {
        assert!(start.stderr.contains(READY) && start.stderr.contains(FAILED), "{start:#?}");
    });
    promises.keep("what was written is still there, and provisioning has run again", || {
        assert_eq!(guest.says("cat ~/promise-boots"), "once-more\nonce-more");
        assert_eq!(guest.says("cat /run/promise-boot"), "boot 0");
    });
    promises.keep(
        "the guest was shut down in order: its services were stopped before the power went",
        || {
            assert_eq!(guest.says("cat /var/lib/promise-stopped"), "in order");
        },
    );
    promises.keep("names resolve after a second boot as after the first", || {
        assert_eq!(guest.says("getent ahostsv4 lima-g.internal | head -n 1 | cut -d' ' -f1"), "192.168.5.15");
        assert_eq!(guest.says("grep -c host.lima.internal /etc/hosts"), "1");
    });
}

fn deleted(promises: &mut Promises, world: &World) {
    promises.keep("a deletion leaves no process and no file", || {
        world.limactl(["delete", "-f", "g"]).seen().succeeded().says("Deleted `g` (`<LH>/g`)").done();
        world.nothing_runs();
        assert!(!world.lima_home().join("g").exists());
    });
}
