//! QEMU's and EDK2's names for an architecture (pure tables).

use crate::config::Arch;

/// The end of the program's name: `qemu-system-<suffix>`.
pub(super) fn suffix(arch: Arch) -> &'static str {
    match arch {
        Arch::Armv7l => "arm",
        Arch::Ppc64le => "ppc64",
        other => other.name(),
    }
}

pub(super) fn program(arch: Arch) -> String {
    format!("qemu-system-{}", suffix(arch))
}

/// The environment variable that overrides program and first arguments.
pub(super) fn override_variable(arch: Arch) -> String {
    format!("QEMU_SYSTEM_{}", suffix(arch).to_ascii_uppercase())
}

/// The architecture in EDK2's file names; `None` has no UEFI flash.
pub(super) fn edk2(arch: Arch) -> Option<&'static str> {
    match arch {
        Arch::X86_64 => Some("x86_64"),
        Arch::Aarch64 => Some("aarch64"),
        Arch::Armv7l => Some("arm"),
        Arch::Riscv64 => Some("riscv"),
        Arch::Ppc64le | Arch::S390x => None,
    }
}

/// The board, without any property.
pub(super) fn board(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "q35",
        Arch::Aarch64 | Arch::Armv7l | Arch::Riscv64 => "virt",
        Arch::Ppc64le => "pseries",
        Arch::S390x => "s390-ccw-virtio",
    }
}

/// Whether `firmware.legacyBIOS` means anything there.
pub(super) fn has_legacy_bios(arch: Arch) -> bool {
    matches!(arch, Arch::X86_64 | Arch::Armv7l)
}

/// Whether ttyS0 is not the board's own UART, so that a PCI one is added.
pub(super) fn has_pci_serial(arch: Arch) -> bool {
    matches!(arch, Arch::Aarch64 | Arch::Armv7l)
}

/// The TPM's device. Validation lets no other architecture have one.
pub(super) fn tpm_device(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "tpm-crb",
        _ => "tpm-tis-device",
    }
}
