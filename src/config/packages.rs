//! Which package of this system brings a program that is missing, for one line of advice.

use super::{Arch, HostOs};

/// A way of installing packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    Apt,
    Dnf,
    Pacman,
    Apk,
    Zypper,
    Brew,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `qemu-system-…`
    QemuSystem(Arch),
    /// `qemu-img`
    QemuImg,
    /// UEFI code for QEMU.
    Uefi(Arch),
    /// `ssh`, `ssh-keygen`, `scp`.
    SshClient,
    /// `swtpm`, a TPM in software.
    Swtpm,
}

impl Packaging {
    /// How this host installs packages; `None` if it is not one of the systems above. Reads `/etc/os-release`.
    pub fn of_this_host() -> Option<Packaging> {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        Packaging::of(HostOs::native(), &release)
    }

    /// The same from the text of `os-release` (pure).
    pub fn of(os: HostOs, os_release: &str) -> Option<Packaging> {
        if os == HostOs::MacOs {
            return Some(Packaging::Brew);
        }
        let value = |key: &str| {
            let found = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let (id, like) = (value("ID"), value("ID_LIKE"));
        std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(|name| match name {
            "debian" | "ubuntu" => Some(Packaging::Apt),
            "fedora" | "rhel" | "centos" => Some(Packaging::Dnf),
            "arch" => Some(Packaging::Pacman),
            "alpine" => Some(Packaging::Apk),
            "suse" | "opensuse" | "opensuse-tumbleweed" | "opensuse-leap" => Some(Packaging::Zypper),
            _ => None,
        })
    }

    /// The command that installs it: `apt-get install qemu-utils`.
    pub fn install(self, wanted: Wanted) -> String {
        format!("{} {}", self.command(), self.package(wanted))
    }

    fn command(self) -> &'static str {
        match self {
            Packaging::Apt => "apt-get install",
            Packaging::Dnf => "dnf install",
            Packaging::Pacman => "pacman -S",
            Packaging::Apk => "apk add",
            Packaging::Zypper => "zypper install",
            Packaging::Brew => "brew install",
        }
    }

    fn package(self, wanted: Wanted) -> &'static str {
        use Packaging::{Apk, Apt, Brew, Dnf, Pacman, Zypper};
        match (wanted, self) {
            (Wanted::QemuSystem(arch), _) => self.qemu_system(arch),
            (Wanted::QemuImg, Apt) => "qemu-utils",
            (Wanted::QemuImg, Dnf | Pacman | Apk) => "qemu-img",
            (Wanted::QemuImg, Zypper) => "qemu-tools",
            (Wanted::QemuImg | Wanted::Uefi(_), Brew) => "qemu",
            (Wanted::Uefi(arch), _) => self.uefi(arch),
            (Wanted::SshClient, Apt) => "openssh-client",
            (Wanted::SshClient, Dnf | Zypper) => "openssh-clients",
            (Wanted::SshClient, Apk) => "openssh-client-default",
            (Wanted::SshClient, Pacman | Brew) => "openssh",
            (Wanted::Swtpm, _) => "swtpm",
        }
    }

    fn qemu_system(self, arch: Arch) -> &'static str {
        let row = match arch {
            Arch::X86_64 => {
                ["qemu-system-x86", "qemu-system-x86-core", "qemu-base", "qemu-system-x86_64", "qemu-x86"]
            }
            Arch::Aarch64 => [
                "qemu-system-arm",
                "qemu-system-aarch64-core",
                "qemu-system-aarch64",
                "qemu-system-aarch64",
                "qemu-arm",
            ],
            Arch::Armv7l => {
                ["qemu-system-arm", "qemu-system-arm-core", "qemu-system-arm", "qemu-system-arm", "qemu-arm"]
            }
            Arch::Ppc64le => [
                "qemu-system-ppc",
                "qemu-system-ppc-core",
                "qemu-system-ppc",
                "qemu-system-ppc64",
                "qemu-ppc",
            ],
            Arch::Riscv64 => [
                "qemu-system-misc",
                "qemu-system-riscv-core",
                "qemu-system-riscv",
                "qemu-system-riscv64",
                "qemu-extra",
            ],
            Arch::S390x => [
                "qemu-system-misc",
                "qemu-system-s390x-core",
                "qemu-system-s390x",
                "qemu-system-s390x",
                "qemu-s390x",
            ],
        };
        self.of_row(row, "qemu")
    }

    fn uefi(self, arch: Arch) -> &'static str {
        let row = match arch {
            Arch::Aarch64 => {
                ["qemu-efi-aarch64", "edk2-aarch64", "edk2-aarch64", "aavmf", "qemu-uefi-aarch64"]
            }
            Arch::Armv7l => ["qemu-efi-arm", "edk2-arm", "edk2-arm", "aavmf", "qemu-uefi-aarch32"],
            Arch::Riscv64 => {
                ["qemu-efi-riscv64", "edk2-riscv64", "edk2-riscv64", "edk2-riscv64", "qemu-uefi-riscv64"]
            }
            _ => ["ovmf", "edk2-ovmf", "edk2-ovmf", "ovmf", "qemu-ovmf-x86_64"],
        };
        self.of_row(row, "qemu")
    }

    /// Picks from names in the order apt, dnf, pacman, apk, zypper.
    fn of_row(self, row: [&'static str; 5], brew: &'static str) -> &'static str {
        match self {
            Packaging::Apt => row[0],
            Packaging::Dnf => row[1],
            Packaging::Pacman => row[2],
            Packaging::Apk => row[3],
            Packaging::Zypper => row[4],
            Packaging::Brew => brew,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_told_by_its_name_or_its_parents() {
        let of = |text| Packaging::of(HostOs::Linux, text);
        assert_eq!(of("NAME=x\nID=debian\n"), Some(Packaging::Apt));
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Packaging::Apt));
        assert_eq!(of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Packaging::Dnf));
        assert_eq!(of("ID=arch\n"), Some(Packaging::Pacman));
        assert_eq!(of("ID=nothing\n"), None);
        assert_eq!(of(""), None);
        assert_eq!(Packaging::of(HostOs::MacOs, ""), Some(Packaging::Brew));
    }

    #[test]
    fn the_advice_is_a_command() {
        let x86 = Wanted::QemuSystem(Arch::X86_64);
        assert_eq!(Packaging::Apt.install(x86), "apt-get install qemu-system-x86");
        assert_eq!(
            Packaging::Apt.install(Wanted::QemuSystem(Arch::Aarch64)),
            "apt-get install qemu-system-arm"
        );
        assert_eq!(Packaging::Dnf.install(x86), "dnf install qemu-system-x86-core");
        assert_eq!(Packaging::Pacman.install(x86), "pacman -S qemu-base");
        assert_eq!(Packaging::Apk.install(x86), "apk add qemu-system-x86_64");
        assert_eq!(Packaging::Brew.install(x86), "brew install qemu");
        assert_eq!(Packaging::Apt.install(Wanted::QemuImg), "apt-get install qemu-utils");
        assert_eq!(Packaging::Apt.install(Wanted::Uefi(Arch::X86_64)), "apt-get install ovmf");
    }
}
