//! The names of architectures and host systems, as `lima.yaml`, QEMU and `uname` spell them.

use std::fmt;

/// A guest architecture, by Lima's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    X86_64,
    Aarch64,
    Armv7l,
    Ppc64le,
    Riscv64,
    S390x,
}

impl Arch {
    /// Every architecture that `lima.yaml` may name, in the order in which upstream's message lists them.
    pub const ALL: [Arch; 6] =
        [Arch::X86_64, Arch::Aarch64, Arch::Armv7l, Arch::Ppc64le, Arch::Riscv64, Arch::S390x];

    /// The name in `lima.yaml`, which is also what `uname -m` prints in such a guest.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
            Arch::Armv7l => "armv7l",
            Arch::Ppc64le => "ppc64le",
            Arch::Riscv64 => "riscv64",
            Arch::S390x => "s390x",
        }
    }

    /// Reads Lima's name; any other spelling is not an architecture.
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// The architecture that this binary was built for.
    pub fn native() -> Arch {
        match std::env::consts::ARCH {
            "aarch64" => Arch::Aarch64,
            "arm" => Arch::Armv7l,
            "powerpc64" => Arch::Ppc64le,
            "riscv64" => Arch::Riscv64,
            "s390x" => Arch::S390x,
            _ => Arch::X86_64,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The system on which `limactl` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostOs {
    Linux,
    MacOs,
}

impl HostOs {
    /// The name in `limactl list --json` (`HostOS`), which is Go's.
    pub fn name(self) -> &'static str {
        match self {
            HostOs::Linux => "linux",
            HostOs::MacOs => "darwin",
        }
    }

    /// The system that this binary was built for.
    pub fn native() -> HostOs {
        if cfg!(target_os = "macos") { HostOs::MacOs } else { HostOs::Linux }
    }

    /// Bytes of a unix socket's address, the closing zero included: a path must be shorter (`sun_path` of `sockaddr_un`).
    pub fn unix_path_max(self) -> usize {
        match self {
            HostOs::Linux => 108,
            HostOs::MacOs => 104,
        }
    }
}
