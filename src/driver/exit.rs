//! How QEMU ended, and what its last words mean (pure).

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The end of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub status: ExitStatus,
    /// The last lines that QEMU wrote to stderr, oldest first, at most [`Exit::LINES`]; without empty ones.
    pub last_words: Vec<String>,
}

/// A cause that is recognised in QEMU's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownCause {
    PortTaken { address: String },
    KvmDenied,
    KvmBroken,
    DiskLocked { path: String },
    NoSuchFile { path: String },
    NotAllowed { path: String },
    NoMemory,
    NoSpace,
    CpuModel,
    Refused,
}

impl Exit {
    /// Lines that are kept.
    pub const LINES: usize = 20;

    /// Whether QEMU ended by itself and without complaint: the guest powered off, or `quit`.
    pub fn is_clean(&self) -> bool {
        self.status.success()
    }

    /// What went wrong, if it is one of the known things.
    pub fn known_cause(&self) -> Option<KnownCause> {
        if self.is_clean() {
            return None;
        }
        self.last_words.iter().rev().find_map(|line| recognise(line))
    }

    /// What to do next; `None` if nothing better than reading the words is known.
    pub fn hint(&self) -> Option<String> {
        self.known_cause().map(|cause| cause.hint())
    }
}

/// `exit status: 1`, or the signal, and then the cause or QEMU's last line.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => return f.write_str("QEMU has exited"),
            (Some(code), _) => write!(f, "QEMU has exited with status {code}")?,
            (None, signal) => write!(f, "QEMU was killed by signal {}", signal.unwrap_or_default())?,
        }
        if let Some(cause) = self.known_cause() {
            write!(f, ": {cause}")?;
        }
        if let Some(line) = self.last_words.last() {
            write!(f, ": {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for KnownCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KnownCause::PortTaken { address } => write!(f, "`{address}` is already in use on the host"),
            KnownCause::KvmDenied => f.write_str("this user may not use `/dev/kvm`"),
            KnownCause::KvmBroken => f.write_str("KVM does not work on this host"),
            KnownCause::DiskLocked { path } => write!(f, "`{path}` is in use by another process"),
            KnownCause::NoSuchFile { path } => write!(f, "`{path}` does not exist"),
            KnownCause::NotAllowed { path } => write!(f, "`{path}` may not be opened"),
            KnownCause::NoMemory => f.write_str("the host has not enough memory for the guest"),
            KnownCause::NoSpace => f.write_str("the host's disk is full"),
            KnownCause::CpuModel => {
                f.write_str("the CPU model does not exist or needs hardware virtualisation")
            }
            KnownCause::Refused => f.write_str("QEMU does not know an option"),
        }
    }
}

impl KnownCause {
    pub fn hint(&self) -> String {
        match self {
            KnownCause::PortTaken { address } => {
                let port = address.rsplit(':').next().unwrap_or_default();
                let look = if cfg!(target_os = "macos") {
                    format!("lsof -nP -iTCP:{port}")
                } else {
                    format!("ss -ltnp sport = :{port}")
                };
                format!("see who has the port with `{look}`, or set `ssh.localPort: 0` for a free one")
            }
            KnownCause::KvmDenied => {
                "add the user to the group `kvm` and log in again, or set `LIMA_QEMU_ACCEL=tcg`".into()
            }
            KnownCause::KvmBroken => "set `LIMA_QEMU_ACCEL=tcg` to emulate in software".into(),
            KnownCause::DiskLocked { path } => format!("see who has it with `fuser -v {path}`"),
            KnownCause::NoSuchFile { .. } => {
                "restore the file, or delete the instance and create it again".into()
            }
            KnownCause::NotAllowed { path } => format!("look at its owner with `ls -l {path}`"),
            KnownCause::NoMemory => "set a smaller `memory:`, or stop another instance".into(),
            KnownCause::NoSpace => "free some space; `df -h` shows where".into(),
            KnownCause::CpuModel => "change `vmOpts.qemu.cpuType`, or leave it out".into(),
            KnownCause::Refused => {
                "look into `QEMU_SYSTEM_*` for arguments of your own, or install a newer QEMU".into()
            }
        }
    }
}

/// What one line of QEMU's means.
fn recognise(line: &str) -> Option<KnownCause> {
    let has = |words: &str| line.contains(words);
    if has("Could not set up host forwarding rule") {
        return Some(KnownCause::PortTaken { address: forwarded_address(line) });
    }
    if has("KVM kernel module") || has("failed to initialize kvm") {
        let denied = has("Permission denied");
        return Some(if denied { KnownCause::KvmDenied } else { KnownCause::KvmBroken });
    }
    if has("failed to set MSR")
        || has("kvm_init_vcpu")
        || has("KVM internal error")
        || has("kvm_buf_set_msrs")
    {
        return Some(KnownCause::KvmBroken);
    }
    if has("Failed to get \"write\" lock")
        || has("Failed to get shared \"write\" lock")
        || has("using the image")
    {
        return Some(KnownCause::DiskLocked {
            path: bracketed(line).or_else(|| option_file(line)).unwrap_or_default(),
        });
    }
    if has("annot allocate memory") || has("cannot set up guest memory") {
        return Some(KnownCause::NoMemory);
    }
    if has("No space left on device") {
        return Some(KnownCause::NoSpace);
    }
    if has("unable to find CPU model") || has("requires KVM") {
        return Some(KnownCause::CpuModel);
    }
    if let Some(path) =
        between(line, "Could not open '", "'").or_else(|| between(line, "could not open '", "'"))
    {
        return Some(if has("Permission denied") {
            KnownCause::NotAllowed { path }
        } else if has("No such file") {
            KnownCause::NoSuchFile { path }
        } else {
            return None;
        });
    }
    (has("invalid option") || has("Parameter '") || has("is not a valid device model name"))
        .then_some(KnownCause::Refused)
}

/// `127.0.0.1:2222` out of `'tcp:127.0.0.1:2222-:22'`.
fn forwarded_address(line: &str) -> String {
    let rule = between(line, "'", "'").unwrap_or_default();
    let host = rule.split('-').next().unwrap_or_default();
    host.strip_prefix("tcp:").or_else(|| host.strip_prefix("udp:")).unwrap_or(host).to_owned()
}

fn bracketed(line: &str) -> Option<String> {
    between(line, "using the image [", "]")
}

/// The file that a quoted option of QEMU's command line names.
fn option_file(line: &str) -> Option<String> {
    let rest = line.split("file=").nth(1)?;
    Some(rest.split([',', ':']).next()?.to_owned())
}

fn between(line: &str, start: &str, end: &str) -> Option<String> {
    let (_, rest) = line.split_once(start)?;
    let (inner, _) = rest.split_once(end)?;
    Some(inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(raw: i32, words: &[&str]) -> Exit {
        Exit {
            status: ExitStatus::from_raw(raw),
            last_words: words.iter().map(|line| line.to_string()).collect(),
        }
    }

    const FAILED: i32 = 1 << 8;

    #[test]
    fn a_taken_port_is_named() {
        let line = "qemu-system-x86_64: -netdev user,id=net0: Could not set up host forwarding rule 'tcp:127.0.0.1:2222-:22'";
        let exit = exit(FAILED, &[line]);
        assert_eq!(
            exit.to_string(),
            format!("QEMU has exited with status 1: `127.0.0.1:2222` is already in use on the host: {line}")
        );
        assert!(exit.hint().unwrap().contains(":2222`"));
    }

    #[test]
    fn known_words_have_a_cause() {
        use KnownCause::*;
        for (line, cause) in [
            ("Could not access KVM kernel module: Permission denied", KvmDenied),
            ("Could not access KVM kernel module: Device or resource busy", KvmBroken),
            ("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x400", KvmBroken),
            (
                "-drive file=/a/disk,if=none: Failed to get \"write\" lock",
                DiskLocked { path: "/a/disk".into() },
            ),
            ("Is another process using the image [/a/disk]?", DiskLocked { path: "/a/disk".into() }),
            ("cannot set up guest memory 'pc.ram': Cannot allocate memory", NoMemory),
            ("qemu: could not open '/k': No such file or directory", NoSuchFile { path: "/k".into() }),
            ("x: Could not open '/d': Permission denied", NotAllowed { path: "/d".into() }),
            ("unable to find CPU model 'x'", CpuModel),
            ("CPU model 'host' requires KVM or HVF", CpuModel),
            ("-nope: invalid option", Refused),
        ] {
            assert_eq!(exit(FAILED, &[line]).known_cause(), Some(cause), "{line}");
        }
        assert_eq!(exit(FAILED, &["something new"]).known_cause(), None);
    }

    #[test]
    fn a_clean_end_needs_no_cause() {
        let exit = exit(0, &["warning: Could not set up host forwarding rule 'x'"]);
        assert_eq!((exit.known_cause(), exit.to_string()), (None, "QEMU has exited".to_owned()));
    }

    #[test]
    fn a_signal_is_named_with_the_words() {
        assert_eq!(
            exit(6, &["assertion failed"]).to_string(),
            "QEMU was killed by signal 6: assertion failed"
        );
        assert_eq!(exit(9, &[]).to_string(), "QEMU was killed by signal 9");
    }
}
