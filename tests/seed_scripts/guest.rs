//! A guest that is nothing but namespaces and folders: enough for its boot scripts to run for real.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, one that is skipped says so"
)]

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use limactl::seed::{self, Values};
use nix::pty::openpty;

/// Every shell of this machine that a guest may have as its /bin/sh.
pub(super) fn shells() -> Vec<String> {
    let works = |shell: &&str| {
        let mut words = shell.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(["-c", "true"]).output().is_ok_and(|output| output.status.success())
    };
    ["sh", "dash", "busybox ash", "bash --posix", "mksh"]
        .into_iter()
        .filter(works)
        .map(str::to_owned)
        .collect()
}

/// A guest that is nothing but namespaces and folders.
pub(super) struct Guest {
    world: tempfile::TempDir,
}

pub(super) struct Run {
    pub(super) code: i32,
    pub(super) log: String,
    /// Lines with a stage, in order.
    pub(super) console: Vec<String>,
}

impl Guest {
    /// `None`, after saying why, where namespaces cannot be made.
    pub(super) fn new(values: &Values) -> Option<Guest> {
        let guest = Guest { world: tempfile::tempdir().unwrap() };
        for folder in ["etc", "run", "home/lima.guest", "dev", "out", "fake", "cidata", "hidden"] {
            fs::create_dir_all(guest.path(folder)).unwrap();
        }
        for file in seed::files(values).unwrap() {
            guest.write(&format!("cidata/{}", file.path), &String::from_utf8(file.content).unwrap());
            guest.set_executable(&format!("cidata/{}", file.path));
        }
        guest.write("early.sh", &early_commands(&guest.read("cidata/user-data")));
        // What a login would run; who asks is written down. `-i` would read the user's profile.
        guest.fake(
            "sudo",
            "echo \"$*\" >>/out/sudo\nwhile [ $# -gt 0 ]; do\ncase $1 in\n-u) shift 2 ;;\n-*) shift ;;\n\
             *=*) export \"$1\"; shift ;;\n*) exec \"$@\" ;;\nesac\ndone\n",
        );
        guest.write("world.sh", WORLD);
        if !guest.can("true") {
            eprintln!(
                "skipped: namespaces for mounts and network cannot be made here (root, or unshare --map-auto)"
            );
            return None;
        }
        Some(guest)
    }

    pub(super) fn boot(&self, shell: &str) -> Run {
        self.run("", &format!("{shell} /cidata/boot.sh"), "")
    }

    /// What cloud-init runs before the volume is mounted.
    pub(super) fn early(&self) -> Run {
        self.run("ip link add eth0 type veth peer name other0", "sh /early.sh", "")
    }

    pub(super) fn can(&self, command: &str) -> bool {
        self.run("", command, "").code == 0
    }

    /// Runs three commands in new namespaces; the code is that of the second.
    pub(super) fn run(&self, before: &str, command: &str, after: &str) -> Run {
        let pty = openpty(None, None).unwrap();
        let console = format!("/proc/{}/fd/{}", std::process::id(), pty.slave.as_raw_fd());
        let console = fs::read_link(console).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child"]);
        if !nix::unistd::geteuid().is_root() {
            unshare.args(["--map-root-user", "--map-auto"]);
        }
        unshare.args(["sh", &self.text("world.sh"), &self.text(""), &console.display().to_string()]);
        let output = unshare.args([before, command, after]).output();
        // The reader below ends when nobody has the terminal open any more.
        drop(pty.slave);
        let mut text = Vec::new();
        // A terminal whose other side is closed reads as an error, after what was written.
        let _ = fs::File::from(pty.master).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().map(str::trim_end).filter(|line| line.starts_with("LIMA-BOOT"));
        let console = lines.map(str::to_owned).collect();
        match output {
            Ok(output) => Run {
                code: output.status.code().unwrap_or(-1),
                log: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
                console,
            },
            Err(error) => Run { code: -1, log: error.to_string(), console },
        }
    }

    /// A program of the guest.
    pub(super) fn fake(&self, name: &str, script: &str) {
        self.write(&format!("fake/{name}"), &format!("#!/bin/sh\n{script}"));
        self.set_executable(&format!("fake/{name}"));
    }

    /// Takes programs away from the guest.
    pub(super) fn hide(&self, names: &[&str]) {
        for name in names {
            self.write(&format!("hidden/{name}"), "");
        }
    }

    pub(super) fn user_uid(&self) -> u32 {
        // Where the namespace maps users, the file's owner is not 1000 here; the world writes down what 1000 is.
        fs::metadata(self.path("out/owned-by-user")).unwrap().uid()
    }

    fn set_executable(&self, name: &str) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.world.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(super) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Guest {
    /// Gives the folder back to whoever runs the tests, so that it can be deleted.
    fn drop(&mut self) {
        if !nix::unistd::geteuid().is_root() {
            self.run("", "chown -R 0:0 /etc /run /home /out", "");
        }
    }
}

/// The `bootcmd` list as cloud-init makes it a script: texts as they are, one after the other.
fn early_commands(user_data: &str) -> String {
    let document: serde_yaml::Value = serde_yaml::from_str(user_data).unwrap();
    let commands = document["bootcmd"].as_sequence().unwrap().iter();
    commands.map(|command| format!("{}\n", command.as_str().unwrap())).collect()
}

/// Arguments: folder, terminal, and the three commands. Makes a root of the machine's programs and the folder's files.
const WORLD: &str = r#"
set -eu
world=$1 console=$2
mount --make-rprivate /
mount -t tmpfs world /mnt
mkdir /mnt/root
cd /mnt/root
mkdir -p proc sys tmp usr var/lib/cloud root etc run home dev out fake cidata
for top in bin sbin lib lib64 lib32; do
    if [ -L "/$top" ]; then cp -P "/$top" .; elif [ -d "/$top" ]; then mkdir "$top"; mount --rbind "/$top" "$top"; fi
done
mount --rbind /usr usr
mount -o remount,bind,ro usr 2>/dev/null || true
mount -t proc proc proc
mount -t sysfs -o ro sys sys
for folder in etc run home out fake cidata; do mount --bind "$world/$folder" "$folder"; done
cp "$world/early.sh" early.sh
if ! [ -e etc/passwd ]; then
    printf 'root:x:0:0::/root:/bin/sh\nlima:x:1000:1000::/home/lima.guest:/bin/sh\n' >etc/passwd
    printf 'root:x:0:\nlima:x:1000:\n' >etc/group
    cp -a /etc/alternatives etc/ 2>/dev/null || true
fi
: >out/owned-by-user
chown 1000 out/owned-by-user
for device in null zero urandom; do : >"dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
for device in console ttyS0; do : >"dev/$device"; mount --bind "$console" "dev/$device"; done
# Kernel settings that are not the network namespace's are the machine's.
mount --bind /proc/sys/kernel proc/sys/kernel 2>/dev/null || true
mount -o remount,bind,ro proc/sys/kernel 2>/dev/null || true
if [ -e sys/class/tty/console/active ]; then
    printf 'tty0 ttyS0\n' >tmp/active
    mount --bind tmp/active sys/class/tty/console/active
fi
for program in "$world"/hidden/*; do
    for folder in /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin; do
        # Inside, because a program may be a link to another.
        chroot . /bin/sh -c 'if [ -e "$1" ]; then mount --bind /dev/null "$1"; fi' sh "$folder/${program##*/}"
    done
done
exec chroot . /usr/bin/env -i PATH=/fake:/usr/sbin:/usr/bin:/sbin:/bin LIMA_CIDATA_MNT=/cidata sh -c '
    cd /
    if [ -n "$1" ]; then eval "$1" || exit 99; fi
    eval "$2"
    code=$?
    if [ -n "$3" ]; then eval "$3" || exit 98; fi
    exit $code
' sh "$3" "$4" "$5"
"#;
