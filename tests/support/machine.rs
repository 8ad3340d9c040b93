//! [`Machine`]: a World on a network of its own, with the real `socket_vmnet` where networks.yaml has it.

use super::World;
use super::namespaces::{apart, skip};
use super::place::{furnish, install_daemon};

/// The thread that holds it is on it, and so is whatever that thread starts. It belongs to root alone. Its interface `up0` is on a wire that leads nowhere.
pub(crate) struct Machine {
    pub(crate) world: World,
}

const PREPARE: &str = "
mount -t sysfs none /sys
mount -t tmpfs -o mode=755 none /run
mkdir /run/lima
mount -t tmpfs -o mode=755 none /opt
mkdir /opt/socket_vmnet
mount --bind opt /opt/socket_vmnet
ip link set lo up
ip link add up0 type veth peer name up1
ip link set up0 up
ip link set up1 up
echo 0 >/proc/sys/net/ipv4/ip_forward";

/// The beginning of networks.yaml; definitions of networks follow.
const NETWORKS: &str = "paths: {socketVMNet: /opt/socket_vmnet/bin/socket_vmnet, varRun: /run/lima, sudoers: ''}\ngroup: root\nnetworks:\n";

impl Machine {
    /// Runs `test` on a machine with these networks, a line for each; says in one line where that cannot be.
    pub(crate) fn with(promise: &str, networks: &str, test: impl FnOnce(Machine) + Send) {
        if !nix::unistd::geteuid().is_root() {
            return skip(promise, "only root can make bridges and taps");
        }
        apart(|| {
            let machine = Machine { world: World::new() };
            furnish(&machine.world);
            install_daemon(&machine.world);
            machine.world.write("lh/_config/networks.yaml", &format!("{NETWORKS}{networks}"));
            machine.world.tell_guest("several", Some(""));
            machine.sh(PREPARE);
            test(machine);
        });
    }

    /// What a script prints; it must succeed.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.world.command("sh").args(["-ec", script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The text of an instance on `networks`.
    pub(crate) fn file(&self, name: &str, networks: &[&str]) -> String {
        let nics: String = networks.iter().map(|network| format!("- lima: {network}\n")).collect();
        self.world.file_of(name, &format!("networks:\n{nics}"))
    }
}
