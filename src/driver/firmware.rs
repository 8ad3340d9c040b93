//! Where UEFI code for QEMU may be, per architecture (pure).

use std::path::{Path, PathBuf};

use super::target;
use crate::config::Arch;

/// Places in the order in which they are tried. `program` is QEMU's path as found, symbolic links not resolved, because packages install
/// firmware beside the link.
pub(super) fn candidates(arch: Arch, program: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let Some(name) = target::edk2(arch) else {
        return Vec::new();
    };
    let file = format!("edk2-{name}-code.fd");
    let mut places = Vec::new();
    if let Some(home) = home {
        places.push(home.join(".local/share/qemu").join(&file));
    }
    if let Some(bin) = program.parent() {
        if let Some(prefix) = bin.parent() {
            places.push(prefix.join("share/qemu").join(&file));
        }
        places.push(bin.join("share").join(&file));
    }
    places.extend(system(arch).iter().map(PathBuf::from));
    places
}

fn system(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &[
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
            "/usr/share/OVMF/OVMF_CODE.fd",
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/edk2/ovmf/OVMF_CODE.fd",
            "/usr/share/qemu/ovmf-x86_64.bin",
            "/usr/share/qemu/ovmf-x86_64-4m.bin",
        ],
        Arch::Aarch64 => &[
            "/usr/share/edk2/aarch64/QEMU_CODE.fd",
            "/usr/share/AAVMF/AAVMF_CODE.fd",
            "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
        ],
        Arch::Armv7l => &["/usr/share/edk2/arm/QEMU_CODE.fd", "/usr/share/AAVMF/AAVMF32_CODE.fd"],
        Arch::Riscv64 => {
            &["/usr/share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd", "/usr/share/edk2/riscv/RISCV_VIRT_CODE.fd"]
        }
        Arch::Ppc64le | Arch::S390x => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_file_comes_first_then_the_programs_then_the_systems() {
        let places =
            candidates(Arch::X86_64, Path::new("/opt/q/bin/qemu-system-x86_64"), Some(Path::new("/h")));
        let expected: [&str; 5] = [
            "/h/.local/share/qemu/edk2-x86_64-code.fd",
            "/opt/q/share/qemu/edk2-x86_64-code.fd",
            "/opt/q/bin/share/edk2-x86_64-code.fd",
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
            "/usr/share/OVMF/OVMF_CODE.fd",
        ];
        assert_eq!(places[..5], expected.map(PathBuf::from));
    }

    #[test]
    fn riscv64_has_a_shorter_name_and_s390x_has_no_flash() {
        let program = Path::new("/usr/bin/qemu-system-riscv64");
        let places = candidates(Arch::Riscv64, program, None);
        assert_eq!(places[0], Path::new("/usr/share/qemu/edk2-riscv-code.fd"));
        assert_eq!(candidates(Arch::S390x, program, None), Vec::<PathBuf>::new());
    }
}
