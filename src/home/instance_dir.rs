//! The directory of one instance: the names of its files, which are upstream's.

use std::path::{Path, PathBuf};

use super::{Error, files};
use crate::config::HostOs;

/// Suffixes of files that do not outlive a run of the VM.
const TEMPORARY_SUFFIXES: [&str; 3] = [".pid", ".sock", ".tmp"];

/// Whether a file of that name does not outlive a run of the VM.
pub fn is_temporary(name: &str) -> bool {
    TEMPORARY_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Files whose presence means that the instance has been prepared or started once; defaults depend on it.
const TRACES_OF_EXISTENCE: [&str; 8] = [
    "ha.stdout.log",
    "ha.stderr.log",
    "vz-identifier",
    "image",
    "disk",
    "basedisk",
    "diffdisk",
    "cidata.iso",
];

/// The longest name that OpenSSH makes beside the control socket while it binds it.
const LONGEST_SOCKET: &str = "ssh.sock.1234567890123456";

/// One instance's directory. Only names: nothing here is known to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceDir {
    path: PathBuf,
}

impl InstanceDir {
    pub(super) fn new(path: PathBuf) -> InstanceDir {
        InstanceDir { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Any other file of the instance.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The user's text, never the filled-in form.
    pub fn lima_yaml(&self) -> PathBuf {
        self.file("lima.yaml")
    }

    /// The version that made the instance; some defaults depend on it.
    pub fn lima_version(&self) -> PathBuf {
        self.file("lima-version")
    }

    /// What cloud-init is told about the user, for people to read.
    pub fn cloud_config(&self) -> PathBuf {
        self.file("cloud-config.yaml")
    }

    /// Present if `limactl protect` forbids deleting.
    pub fn protected(&self) -> PathBuf {
        self.file("protected")
    }

    pub fn cidata(&self) -> PathBuf {
        self.file("cidata.iso")
    }

    pub fn disk(&self) -> PathBuf {
        self.file("disk")
    }

    pub fn kernel(&self) -> PathBuf {
        self.file("kernel")
    }

    pub fn kernel_cmdline(&self) -> PathBuf {
        self.file("kernel.cmdline")
    }

    pub fn initrd(&self) -> PathBuf {
        self.file("initrd")
    }

    /// Held by the host agent from its first breath to its last.
    pub fn agent_lock(&self) -> PathBuf {
        self.file("ha.lock")
    }

    pub fn agent_pid(&self) -> PathBuf {
        self.file("ha.pid")
    }

    pub fn agent_socket(&self) -> PathBuf {
        self.file("ha.sock")
    }

    /// Events, one JSON object a line.
    pub fn agent_events(&self) -> PathBuf {
        self.file("ha.stdout.log")
    }

    pub fn agent_log(&self) -> PathBuf {
        self.file("ha.stderr.log")
    }

    /// Held by the VM's process, which inherits the descriptor.
    pub fn vm_lock(&self) -> PathBuf {
        self.file("qemu.lock")
    }

    /// The pid file of the VM's process, `<driver>.pid`.
    pub fn vm_pid(&self, vm_type: &str) -> PathBuf {
        self.file(&format!("{vm_type}.pid"))
    }

    /// Where the screen is, while a VM with VNC runs.
    pub fn vnc_display(&self) -> PathBuf {
        self.file("vncdisplay")
    }

    pub fn vnc_password(&self) -> PathBuf {
        self.file("vncpassword")
    }

    /// The guest as Ansible is told of it.
    pub fn ansible_inventory(&self) -> PathBuf {
        self.file("ansible-inventory.yaml")
    }

    pub fn qmp_socket(&self) -> PathBuf {
        self.file("qmp.sock")
    }

    /// What the guest writes to its first serial port, since the VM was started.
    pub fn serial_log(&self) -> PathBuf {
        self.file("serial.log")
    }

    /// For `ssh -F`; written at each start, and read back for the last port.
    pub fn ssh_config(&self) -> PathBuf {
        self.file("ssh.config")
    }

    /// The control socket of the shared ssh connection.
    pub fn ssh_socket(&self) -> PathBuf {
        self.file("ssh.sock")
    }

    /// Whether the instance has been prepared or started before; `lima.yaml` alone does not count.
    pub fn is_existing(&self) -> bool {
        TRACES_OF_EXISTENCE.iter().any(|name| self.file(name).symlink_metadata().is_ok())
    }

    /// The path of the longest unix socket that is made here, if it does not fit into a socket address of that system.
    pub fn too_long_socket(&self, os: HostOs) -> Option<PathBuf> {
        let longest = self.file(LONGEST_SOCKET);
        (longest.as_os_str().len() >= os.unix_path_max()).then_some(longest)
    }

    /// Files that do not outlive a run (`*.pid`, `*.sock`, `*.tmp`), in name order. A directory that is gone has none.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.path) else {
            return Vec::new();
        };
        let mut found: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()))
            .filter(|entry| is_temporary(&entry.file_name().to_string_lossy()))
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    }

    /// The recorded version, trimmed; `None` where the file is missing, which means older than all that write one.
    pub fn recorded_version(&self) -> Result<Option<String>, Error> {
        Ok(files::read_optional(&self.lima_version())?.map(|text| text.trim().to_owned()))
    }

    /// The number in a pid file: a hint for people and other tools, never a proof. `None` if there is none or it is not a number.
    pub fn read_pid(path: &Path) -> Option<i32> {
        std::fs::read_to_string(path).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
    }

    /// The port of the last start, from `ssh.config`; `None` before the first.
    pub fn last_ssh_port(&self) -> Option<u16> {
        let text = std::fs::read_to_string(self.ssh_config()).ok()?;
        text.lines().find_map(|line| line.trim_start().strip_prefix("Port ")?.trim().parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_socket_decides_whether_a_name_fits() {
        let prefix = "/home/user/.lima/";
        let fits = 107 - prefix.len() - 1 - LONGEST_SOCKET.len();
        let dir = |len| InstanceDir::new(format!("{prefix}{}", "n".repeat(len)).into());
        assert_eq!(dir(fits).too_long_socket(HostOs::Linux), None);
        assert!(dir(fits + 1).too_long_socket(HostOs::Linux).is_some());
        assert!(dir(fits).too_long_socket(HostOs::MacOs).is_some());
    }

    #[test]
    fn only_files_of_one_run_are_temporary() {
        let temp = tempfile::tempdir().unwrap();
        let dir = InstanceDir::new(temp.path().to_path_buf());
        for name in ["ha.pid", "ssh.sock", "x.tmp", "disk", "ha.lock", "lima.yaml"] {
            std::fs::write(dir.file(name), "").unwrap();
        }
        assert_eq!(dir.temporary_files(), ["ha.pid", "ssh.sock", "x.tmp"].map(|name| dir.file(name)));
    }

    #[test]
    fn the_last_port_comes_from_the_ssh_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let dir = InstanceDir::new(temp.path().to_path_buf());
        assert_eq!(dir.last_ssh_port(), None);
        std::fs::write(dir.ssh_config(), "Host lima-x\n  Hostname 127.0.0.1\n  Port 35205\n").unwrap();
        assert_eq!(dir.last_ssh_port(), Some(35205));
    }
}
