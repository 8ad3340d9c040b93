//! Promise: the scripts that a guest runs at boot do what the seed says, twice over, and name what failed.
//!
//! They are run for real, by every POSIX shell found here, in namespaces of their own: mounts, network, processes. `/etc` is a copy, `/run`,
//! `/home` and `/dev` are empty folders of the test, the console is a pseudo terminal, `sudo` and the package manager are stand-ins.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, one that is skipped says so"
)]

mod guest;
mod redirect;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use limactl::config::resolved::{Provision, ProvisionFile, ProvisionMode, User};
use limactl::seed::{self, Nic, Slirp, Values};

use guest::{Guest, shells};

const IID: &str = "iid-1795492740";

/// While udev reads a partition table anew the partitions are not there for a moment. What is taken for blank is formatted.
#[test]
fn a_disk_that_cannot_be_read_is_not_taken_for_a_blank_one() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seed/guest/boot.Linux/05-lima-disks.sh");
    let script = fs::read_to_string(script).unwrap();
    let (functions, _) = script.split_once("\nindex=0\n").unwrap();
    for shell in shells() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["blank", "swap", "away"] {
            fs::File::create(folder.path().join(name)).unwrap().set_len(4 << 20).unwrap();
        }
        let found = "
            PATH=$PATH:/usr/sbin:/sbin
            mkswap swap >/dev/null && mkswap away >/dev/null
            for name in blank swap missing; do content $name; echo $name: $found; done
            (sleep 0.5; mv away comes) & content comes; echo comes: $found";
        let mut words = shell.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["-c", &format!("set -eu\n{functions}\n{found}")]);
        let output = command.current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            said, "blank: nothing\nswap: swap\nmissing: unclear\ncomes: swap\n",
            "{shell}: {output:?}"
        );
    }
}

#[test]
fn a_boot_leaves_the_hosts_entry_the_environment_and_the_markers() {
    for shell in shells() {
        let Some(guest) = Guest::new(&values()) else {
            return;
        };
        guest.write(
            "etc/hosts",
            "127.0.0.1\tlocalhost\n10.0.0.9 old host.lima.internal # stale\n# host.lima.internal\n",
        );
        guest.write("etc/environment", "LANG=C\n#LIMA-START\nOLD=1\n#LIMA-END\nTZ=UTC");
        let run = guest.boot(&shell);
        assert_eq!(run.code, 0, "{shell}: {}", run.log);
        assert_eq!(
            run.console,
            ["started", "essential", "scripts", "provision", "done"]
                .map(|stage| format!("LIMA-BOOT {IID} {stage}")),
        );
        let hosts = "127.0.0.1\tlocalhost\n# host.lima.internal\n192.168.5.2\thost.lima.internal\n";
        assert_eq!(guest.read("etc/hosts"), hosts, "{shell}");
        let environment = "LANG=C\nTZ=UTC\n#LIMA-START\nFOO=b 'r' $(touch /run/evaluated)\n#LIMA-END\n";
        assert_eq!(guest.read("etc/environment"), environment, "{shell}");
        for marker in ["run/lima-ssh-ready", "run/lima-boot-done"] {
            assert_eq!(guest.read(marker), format!("{IID}\n"), "{shell}: {marker}");
        }
        assert!(!guest.path("run/lima-boot-failed").exists());
        assert!(!guest.path("run/evaluated").exists(), "{shell} evaluated a value");
        let profile = guest.read("home/lima.guest/.profile");
        assert_eq!(profile, "# Lima BEGIN\nPATH=\"$PATH:/usr/sbin:/sbin\"\nexport PATH\n# Lima END\n");
        assert_eq!(fs::metadata(guest.path("home/lima.guest/.profile")).unwrap().uid(), guest.user_uid());
        assert_eq!(fs::metadata(guest.path("home/lima.guest")).unwrap().uid(), guest.user_uid());
        assert_eq!(fs::read_link(guest.path("home/lima.linux")).unwrap(), Path::new("lima.guest"));
        assert!(guest.read("etc/sysctl.d/99-lima.conf").contains("ip_unprivileged_port_start = 0"));

        let again = guest.boot(&shell);
        assert_eq!((again.code, again.console), (0, run.console), "{shell}: {}", again.log);
        assert_eq!(guest.read("etc/hosts"), hosts, "{shell}, second run");
        assert_eq!(guest.read("etc/environment"), environment, "{shell}, second run");
        assert_eq!(guest.read("home/lima.guest/.profile"), profile, "{shell}, second run");
    }
}

#[test]
fn files_are_handed_to_the_host_and_written_as_it_answers() {
    for shell in shells() {
        let yq = |path: &str, owner: &str, permissions: &str| ProvisionMode::Yq {
            expression: ".a = 2".to_owned(),
            format: "auto".to_owned(),
            path: path.to_owned(),
            owner: owner.to_owned(),
            permissions: permissions.to_owned(),
        };
        let mut values = values();
        values.provisions = [
            yq("/etc/a b.yaml", "root:root", "640"),
            yq("/home/lima.guest/.config/new.json", "lima:lima", "600"),
            yq("/etc/refused.yaml", "root:root", "644"),
            yq("/etc", "root:root", "644"),
            yq("/etc/last.yaml", "root:root", "644"),
            ProvisionMode::System { script: "#!/bin/sh\ncat '/etc/a b.yaml' >/run/seen\n".to_owned() },
        ]
        .map(|mode| Provision { mode })
        .into();
        let Some(guest) = Guest::new(&values) else { return };
        guest.write("etc/a b.yaml", "a: 1\n");
        guest.write("etc/refused.yaml", "b: 1\n");
        guest.write("etc/last.yaml", "c: 1\n");
        let host = "answer() { while [ ! -e /run/lima-yq/$1.$2 ]; do sleep 0.05; done; printf '%s\\n' \"$4\" >/run/lima-yq/$1.new; mv /run/lima-yq/$1.new /run/lima-yq/$1.$3; }
            { answer 00000000 in out 'a: 2'; answer 00000001 none out '{}'; answer 00000002 in err 'no';
              while [ ! -e /run/lima-yq/00000003.over ]; do sleep 0.05; done; answer 00000004 in out 'c: 2'; } &";
        let command = format!("{shell} /cidata/boot.sh; {shell} /cidata/boot.sh");
        let look = "cat /home/lima.guest/.config/new.json >/out/made; ls -d /run/lima-yq >/out/left 2>/dev/null; \
                    stat -c '%a %U' '/etc/a b.yaml' /home/lima.guest/.config/new.json >/out/modes";
        let run = guest.run(host, &command, look);
        assert_eq!(guest.read("etc/a b.yaml"), "a: 2\n", "{shell}: {}", run.log);
        assert_eq!(guest.read("run/seen"), "a: 2\n", "{shell}: it is done before system scripts");
        assert_eq!(guest.read("out/made"), "{}\n", "{shell}");
        assert_eq!(guest.read("out/modes"), "640 root\n600 lima\n", "{shell}");
        assert_eq!(guest.read("etc/refused.yaml"), "b: 1\n", "{shell}");
        // A host that edits in order is told that it need not wait for the one that the guest refuses.
        assert_eq!(guest.read("etc/last.yaml"), "c: 2\n", "{shell}: {}", run.log);
        assert_eq!(guest.read("out/left"), "", "{shell}");
        assert!(run.log.contains("the host cannot edit the file: no"), "{shell}: {}", run.log);
        // The second run is one after a reboot that the host does not know of.
        assert!(
            run.log.contains("the host has edited these files before this reboot"),
            "{shell}: {}",
            run.log
        );
        let console = |what: &str| run.console.iter().filter(|line| line.ends_with(what)).count();
        assert_eq!(
            (console("failed provision.yq/00000002"), console("failed provision.yq/00000003")),
            (1, 1)
        );
    }
}

#[test]
fn provisions_run_by_mode_and_a_failed_one_is_named() {
    for shell in shells() {
        let order = |what: &str| format!("#!/bin/sh\necho {what} \"$PARAM_k\" \"$FOO\" >>/run/order\n");
        let data = |path: &str, overwrite, owner: &str, content: &str| {
            ProvisionMode::Data(ProvisionFile {
                content: content.as_bytes().to_vec(),
                overwrite,
                owner: owner.to_owned(),
                path: path.to_owned(),
                permissions: "0600".to_owned(),
            })
        };
        let mut values = values();
        values.env = [("FOO".to_owned(), "foo # cut".to_owned())].into();
        values.params = [("k".to_owned(), "v $(touch /run/evaluated) 'w' \"".to_owned())].into();
        values.provisions = [
            ProvisionMode::User { script: order("user") },
            ProvisionMode::System { script: order("system") },
            ProvisionMode::System { script: "#!/bin/sh\nexit 3\n".to_owned() },
            ProvisionMode::System { script: "not a shell's word (\n".to_owned() },
            data("/home/new/folder/a b.conf", true, "lima:lima", "new\n"),
            data("/etc/kept.conf", false, "root:root", "new\n"),
            data("/home", true, "root:root", ""),
            ProvisionMode::Dependency { script: order("dependency"), skip_default_resolution: false },
            ProvisionMode::Boot { script: "echo \"boot $PARAM_k\" >/run/boot-ran; exit 7".to_owned() },
            ProvisionMode::Boot { script: "if true (".to_owned() },
            ProvisionMode::Boot { script: "echo last >>/run/boot-ran\n".to_owned() },
            ProvisionMode::System { script: "echo without an interpreter line >>/run/order".to_owned() },
            ProvisionMode::User { script: "#!/bin/sh\nexit 4\n".to_owned() },
        ]
        .map(|mode| Provision { mode })
        .into();
        let Some(guest) = Guest::new(&values) else { return };
        guest.write("etc/kept.conf", "old\n");
        guest.write("etc/hosts", "::1 localhost\n");
        guest.early();
        let early = guest.early();
        assert_eq!(early.console, [format!("LIMA-BOOT {IID} cloud-init")], "{}", early.log);
        assert_eq!(guest.read("etc/hosts"), "::1 localhost\n192.168.5.15\tlima-default\n");
        assert_eq!(guest.read("run/boot-ran"), format!("boot {}\nlast\n", values.params["k"]));

        let look = "cat '/home/new/folder/a b.conf' >/out/written";
        let run = guest.run("", &format!("{shell} /cidata/boot.sh"), look);
        assert_eq!(run.code, 1, "{shell}: {}", run.log);
        assert_eq!(guest.read("run/lima-boot-done"), format!("{IID}\n"));
        let failed = "provision.boot/00000008 7\nprovision.boot/00000009 2\nprovision.data/00000006 1\n\
                      provision.system/00000002 3\nprovision.system/00000003 2\nprovision.user/00000012 4\n";
        assert_eq!(guest.read("run/lima-boot-failed"), format!("{IID}\n{failed}"), "{shell}: {}", run.log);
        assert!(run.console.contains(&format!("LIMA-BOOT {IID} failed provision.user/00000012")));
        assert_eq!(run.console.last().unwrap(), &format!("LIMA-BOOT {IID} done"));
        let param = &values.params["k"];
        assert_eq!(
            guest.read("run/order"),
            format!(
                "dependency {param} foo\nsystem {param} foo\nwithout an interpreter line\nuser {param} foo\n"
            ),
            "{shell}"
        );
        let written = guest.path("home/new/folder/a b.conf");
        assert_eq!(guest.read("out/written"), "new\n");
        let metadata = fs::metadata(&written).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.uid()), (0o600, guest.user_uid()));
        assert_eq!(guest.read("etc/kept.conf"), "old\n");
        assert!(!guest.path("run/evaluated").exists(), "{shell} evaluated a value");
        assert!(!guest.path("home/lima.guest/.lima-user-script").exists());
        let sudo = guest.read("out/sudo");
        let script = "-n -i -u lima --preserve-env=PARAM_k XDG_RUNTIME_DIR=/run/user/1000 /home/lima.guest/.lima-user-script";
        assert!(sudo.contains(script), "{sudo}");
    }
}

#[test]
fn a_plain_guest_runs_provisions_and_nothing_of_the_boot_scripts() {
    let mut values = values();
    values.plain = true;
    values.provisions = [
        ProvisionMode::System { script: "#!/bin/sh\necho system >>/run/order\n".to_owned() },
        ProvisionMode::Dependency {
            script: "#!/bin/sh\necho dependency >>/run/order\n".to_owned(),
            skip_default_resolution: false,
        },
    ]
    .map(|mode| Provision { mode })
    .into();
    let Some(guest) = Guest::new(&values) else { return };
    guest.write("etc/hosts", "127.0.0.1\tlocalhost\n");
    let run = guest.boot("sh");
    assert_eq!(run.code, 0, "{}", run.log);
    assert_eq!(
        run.console,
        ["started", "essential", "provision", "done"].map(|s| format!("LIMA-BOOT {IID} {s}"))
    );
    assert_eq!(guest.read("run/order"), "system\n");
    assert_eq!(guest.read("etc/hosts"), "127.0.0.1\tlocalhost\n");
    assert!(!guest.path("run/lima-ssh-ready").exists());
}

#[test]
fn an_alpine_guest_gets_what_other_distributions_have() {
    for shell in shells() {
        let Some(guest) = Guest::new(&values()) else {
            return;
        };
        alpine(&guest);
        guest.hide(&["sudo"]);
        fs::remove_file(guest.path("fake/sudo")).unwrap();
        let run = guest.boot(&shell);
        assert_eq!(run.code, 0, "{shell}: {}", run.log);
        let calls = "usermod -p * lima\nrc-service --ifstarted sshd reload\nrc-service --quiet acpid status\n\
                     apk add --no-progress sudo\n";
        assert_eq!(guest.read("out/calls"), calls, "{shell}");
        let sshd = "UsePAM yes\nAllowTcpForwarding yes\nX11Forwarding no\nMatch User x\n";
        assert_eq!(guest.read("etc/ssh/sshd_config"), sshd, "{shell}");
        let repositories = "http://m/alpine/v3.20/main\n#http://m/alpine/v3.20/community\n\
                            http://m/alpine/v3.20/community\n";
        assert_eq!(guest.read("etc/apk/repositories"), repositories, "{shell}");
        assert_eq!(guest.read("etc/sudoers"), "lima ALL=(ALL) NOPASSWD:ALL\nroot ALL=(ALL) NOPASSWD:ALL\n");
    }
}

#[test]
fn an_alpine_guest_whose_stock_user_is_in_the_way_reboots_without_him() {
    let Some(guest) = Guest::new(&values()) else {
        return;
    };
    alpine(&guest);
    guest.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nalpine:x:1000:1000::/home/alpine:/bin/sh\n");
    let run = guest.boot("sh");
    assert_eq!(run.code, 0, "{}", run.log);
    let calls = guest.read("out/calls");
    assert!(calls.starts_with("deluser --remove-home alpine\ncloud-init clean --logs\nreboot\n"), "{calls}");
    assert_eq!(guest.read("run/lima-reboot-required"), format!("{IID}\n"));
    assert!(!guest.path("run/lima-boot-done").exists());
    assert!(!run.console.iter().any(|line| line.ends_with(" scripts")));
}

/// Makes a guest look like Alpine as its cloud image comes; programs that change it write down how they were called.
fn alpine(guest: &Guest) {
    guest.write("etc/alpine-release", "3.20.3\n");
    guest.write("etc/apk/repositories", "http://m/alpine/v3.20/main\n#http://m/alpine/v3.20/community\n");
    guest.write("etc/sudoers", "lima ALL=(ALL) NOPASSWD:ALL\n");
    guest.write("etc/shadow", "root:*::0:::::\nlima:!:19000:0:99999:7:::\n");
    let sshd = "AllowTcpForwarding no\n#UsePAM no\nX11Forwarding no\nMatch User x\n";
    guest.write("etc/ssh/sshd_config", sshd);
    for name in ["deluser", "cloud-init", "reboot", "usermod", "apk", "rc-service", "rc-update"] {
        guest.fake(name, "echo ${0##*/} \"$@\" >>/out/calls\n");
    }
}

#[test]
fn an_interface_that_cloud_init_could_not_name_is_named() {
    let Some(guest) = Guest::new(&values()) else {
        return;
    };
    let link = "ip link add wrong0 address 52:55:55:ff:ef:5c type veth peer name other0 && \
                ip link set wrong0 up && ip addr add 192.168.5.15/24 dev wrong0";
    if !guest.can(link) {
        eprintln!("skipped: no veth interface can be made in a network namespace here");
        return;
    }
    // The address goes with the link; what gives it back in a guest is its network service.
    let early = guest.run(link, "sh /early.sh", "ip -o link show eth0 >/out/link");
    assert_eq!(early.code, 0, "{}", early.log);
    assert!(guest.read("out/link").contains("52:55:55:ff:ef:5c"), "{}", early.log);
}

#[test]
fn names_are_asked_by_the_first_interface_alone_where_cloud_init_cannot_say_so() {
    let mut values = values();
    for name in ["lima0", "up-1"] {
        values.nics.push(Nic { name: name.to_owned(), mac: "52:55:55:00:00:01".to_owned(), metric: 100 });
    }
    let Some(guest) = Guest::new(&values) else { return };
    let early = guest.early();
    assert_eq!(early.code, 0, "{}", early.log);
    assert!(!guest.path("etc/udhcpc/udhcpc.conf").exists(), "this is no Alpine");
    guest.write("etc/alpine-release", "3.20.3\n");
    guest.write("etc/NetworkManager/conf.d/x", "");
    guest.write("etc/udhcpc/udhcpc.conf", "NO_DNS=\"old0\"\nNO_NTP=yes\n");
    for _ in 0..2 {
        let early = guest.early();
        assert_eq!(early.code, 0, "{}", early.log);
        assert_eq!(guest.read("etc/udhcpc/udhcpc.conf"), "NO_NTP=yes\nNO_DNS=\"lima0 up-1\"\n");
        let settings = "[connection-lima]\nmatch-device=interface-name:eth0\nipv4.dns-priority=-10\n";
        assert_eq!(guest.read("etc/NetworkManager/conf.d/90-lima.conf"), settings);
    }
}

#[test]
fn the_shell_linter_has_nothing_to_say() {
    if Command::new("shellcheck").arg("--version").output().is_err() {
        eprintln!("skipped: no shellcheck here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files = seed::files(&values()).unwrap();
    for file in files.iter().filter(|file| file.path.ends_with(".sh")) {
        let path = folder.path().join(file.path.replace('/', "_"));
        fs::write(&path, &file.content).unwrap();
        // 1091: what a script reads in the guest is elsewhere here.
        let output =
            Command::new("shellcheck").args(["-s", "sh", "-e", "SC1091"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn values() -> Values {
    Values {
        name: "default".to_owned(),
        hostname: "lima-default".to_owned(),
        iid: IID.to_owned(),
        debug: false,
        user: User {
            name: "lima".to_owned(),
            comment: "$(touch /run/evaluated) \"'`touch /run/evaluated`".to_owned(),
            home: "/home/lima.guest".to_owned(),
            shell: "/bin/bash".to_owned(),
            uid: 1000,
            passwordless_sudo: true,
        },
        ssh_public_keys: vec!["ssh-ed25519 AAAA test".to_owned()],
        nics: vec![Nic { name: "eth0".to_owned(), mac: "52:55:55:FF:ef:5c".to_owned(), metric: 200 }],
        dns: Vec::new(),
        slirp: Slirp {
            gateway: "192.168.5.2".parse().unwrap(),
            dns: "192.168.5.3".parse().unwrap(),
            address: Some("192.168.5.15".parse().unwrap()),
        },
        udp_dns_port: 0,
        tcp_dns_port: 0,
        vm_type: "qemu".to_owned(),
        mount_type: String::new(),
        disks: Vec::new(),
        plain: false,
        timezone: String::new(),
        upgrade_packages: false,
        guest_install_prefix: "/usr/local".to_owned(),
        env: [("FOO".to_owned(), "b 'r' $(touch /run/evaluated)".to_owned())].into(),
        params: BTreeMap::new(),
        ca_certs: seed::CaCerts::default(),
        provisions: Vec::new(),
    }
}

fn with_dns(udp: u16, tcp: u16) -> Values {
    Values { udp_dns_port: udp, tcp_dns_port: tcp, ..values() }
}
