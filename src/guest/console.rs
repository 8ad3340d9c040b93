//! What the serial console tells about the boot: the stage that the guest has reached, and what went wrong.
//!
//! The console is written by firmware, boot loader, kernel, systemd and cloud-init, each in its own words, and by our boot scripts in words made for
//! this reader: `LIMA-BOOT <instance-id> <stage>`. Reading is by signs, so a guest that is silent (no `console=`) stays at
//! [`Stage::Firmware`] until ssh tells otherwise. The guest may be hostile: lines are cut, memory is bounded.

/// The word with which our boot scripts start a line.
pub const MARKER: &str = "LIMA-BOOT";

const MAX_LINE: usize = 1024;
const MAX_FAILURES: usize = 16;

/// How far the boot has come. Later stages compare greater; a reset guest starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Firmware,
    BootLoader,
    Kernel,
    /// The guest's service manager runs.
    Services,
    CloudInit,
    BootScripts,
    Done,
}

impl Stage {
    /// What the guest is doing, for people.
    pub fn description(self) -> &'static str {
        match self {
            Stage::Firmware => "the firmware looks for something to boot",
            Stage::BootLoader => "the boot loader runs",
            Stage::Kernel => "the kernel starts",
            Stage::Services => "the guest starts its services",
            Stage::CloudInit => "cloud-init sets the guest up",
            Stage::BootScripts => "the boot scripts and provisioning run",
            Stage::Done => "the boot scripts are done",
        }
    }
}

/// Something on the console that ends the hope of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The firmware found nothing to boot.
    NothingToBoot,
    KernelPanic,
    /// The root file system could not be found or mounted.
    NoRoot,
    /// The service manager gave up and wants an operator.
    EmergencyMode,
}

impl Trouble {
    pub fn description(self) -> &'static str {
        match self {
            Trouble::NothingToBoot => "the firmware found nothing to boot on the disk",
            Trouble::KernelPanic => "the guest's kernel panicked",
            Trouble::NoRoot => "the guest could not mount its root file system",
            Trouble::EmergencyMode => "the guest is in emergency mode",
        }
    }
}

/// The reader. Feed it bytes as they come.
#[derive(Debug, Clone)]
pub struct Console {
    line: Vec<u8>,
    stage: Stage,
    trouble: Option<Trouble>,
    has_address: bool,
    lacks_address: bool,
    failures: Vec<String>,
}

impl Default for Console {
    fn default() -> Console {
        Console {
            line: Vec::new(),
            stage: Stage::Firmware,
            trouble: None,
            has_address: false,
            lacks_address: false,
            failures: Vec::new(),
        }
    }
}

impl Console {
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.read_line(&String::from_utf8_lossy(&line));
            } else if self.line.len() < MAX_LINE {
                self.line.push(*byte);
            }
        }
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// Whether cloud-init reported an IPv4 address other than loopback.
    pub fn has_address(&self) -> bool {
        self.has_address
    }

    /// Whether the guest waits for its network, or cloud-init went on without an address.
    pub fn lacks_address(&self) -> bool {
        self.lacks_address && !self.has_address
    }

    /// What our boot scripts reported as failed.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    fn read_line(&mut self, line: &str) {
        if let Some(trouble) = trouble_in(line) {
            self.trouble = Some(trouble);
        }
        if let Some(stage) = stage_in(line) {
            // A kernel or a firmware that starts anew is a reboot: what was before does not count.
            if stage < self.stage && stage <= Stage::Kernel {
                *self = Console { line: std::mem::take(&mut self.line), ..Console::default() };
            }
            self.stage = self.stage.max(stage);
        }
        self.has_address |= shows_address(line);
        self.lacks_address |= shows_no_address(line);
        if let Some((stage, rest)) = marker_in(line) {
            self.read_marker(stage, rest);
        }
    }

    fn read_marker(&mut self, stage: &str, rest: &str) {
        match stage {
            "done" => self.stage = Stage::Done,
            "cloud-init" => self.stage = self.stage.max(Stage::CloudInit),
            _ => self.stage = self.stage.max(Stage::BootScripts),
        }
        if stage == "failed" && self.failures.len() < MAX_FAILURES {
            self.failures.push(rest.trim().to_owned());
        }
    }
}

/// The stage word and what follows it, of a line that our boot scripts wrote.
fn marker_in(line: &str) -> Option<(&str, &str)> {
    let (_, text) = line.split_once(MARKER)?;
    let (_instance_id, text) = text.trim_start().split_once(' ')?;
    let text = text.trim();
    Some(text.split_once(' ').unwrap_or((text, "")))
}

fn stage_in(line: &str) -> Option<Stage> {
    const SIGNS: [(&str, Stage); 11] = [
        ("SeaBIOS (", Stage::Firmware),
        ("BdsDxe: loading Boot", Stage::Firmware),
        ("BdsDxe: starting Boot", Stage::BootLoader),
        ("Booting from Hard Disk", Stage::BootLoader),
        ("Booting from ROM", Stage::BootLoader),
        ("GNU GRUB", Stage::BootLoader),
        ("Linux version ", Stage::Kernel),
        ("systemd[1]: ", Stage::Services),
        ("OpenRC ", Stage::Services),
        ("INIT: version ", Stage::Services),
        ("Cloud-init v. ", Stage::CloudInit),
    ];
    SIGNS.iter().find(|(sign, _)| line.contains(sign)).map(|(_, stage)| *stage)
}

fn trouble_in(line: &str) -> Option<Trouble> {
    const SIGNS: [(&str, Trouble); 8] = [
        ("No bootable device", Trouble::NothingToBoot),
        ("BdsDxe: No bootable option", Trouble::NothingToBoot),
        ("UEFI Interactive Shell", Trouble::NothingToBoot),
        ("Kernel panic - not syncing: VFS: Unable to mount root", Trouble::NoRoot),
        ("Kernel panic - not syncing", Trouble::KernelPanic),
        ("Gave up waiting for root", Trouble::NoRoot),
        ("You are in emergency mode", Trouble::EmergencyMode),
        ("Cannot open access to console, the root account is locked", Trouble::EmergencyMode),
    ];
    SIGNS.iter().find(|(sign, _)| line.contains(sign)).map(|(_, trouble)| *trouble)
}

/// cloud-init prints a table of interfaces: `| eth0 | True | 192.168.5.15 | 255.255.255.0 | global | 52:… |`.
fn shows_address(line: &str) -> bool {
    line.contains("ci-info: |")
        && line.split('|').map(str::trim).any(|cell| {
            cell.parse::<std::net::Ipv4Addr>().is_ok_and(|address| {
                !address.is_loopback() && !address.is_unspecified() && address.octets()[0] != 255
            })
        })
}

/// systemd says which job it waits for, after some seconds; cloud-init prints `| eth0 | False | . | …` for an interface that is down.
fn shows_no_address(line: &str) -> bool {
    let waits = line.contains("start job is running for") && line.contains("Network");
    waits || line.contains("ci-info: |") && line.split('|').map(str::trim).any(|cell| cell == "False")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(text: &str) -> Console {
        let mut console = Console::default();
        console.feed(text.as_bytes());
        console
    }

    #[test]
    fn the_stages_of_a_boot_follow_its_signs() {
        let mut console = Console::default();
        let mut stages = vec![console.stage()];
        for line in [
            "BdsDxe: starting Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x2,0x0)",
            "[    0.000000] Linux version 6.1.0-40-cloud-amd64 (gcc)",
            "[    4.1] systemd[1]: Detected virtualization qemu.",
            "[   39.1] cloud-init[201]: Cloud-init v. 22.4.2 running 'init-local' at Wed",
            "[   44.0] LIMA-BOOT iid-1 started",
            "LIMA-BOOT iid-1 done\r",
        ] {
            console.feed(format!("{line}\n").as_bytes());
            stages.push(console.stage());
        }
        use Stage::*;
        assert_eq!(stages, [Firmware, BootLoader, Kernel, Services, CloudInit, BootScripts, Done]);
    }

    #[test]
    fn a_reboot_starts_again() {
        let console = after("LIMA-BOOT iid-1 done\n[    0.0] Linux version 6.1\n");
        assert_eq!(console.stage(), Stage::Kernel);
    }

    #[test]
    fn troubles_are_recognised() {
        for (text, trouble) in [
            ("No bootable device.\n", Trouble::NothingToBoot),
            ("[1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on x\n", Trouble::NoRoot),
            ("[1.0] Kernel panic - not syncing: Attempted to kill init!\n", Trouble::KernelPanic),
            ("You are in emergency mode. After logging in\n", Trouble::EmergencyMode),
        ] {
            assert_eq!(after(text).trouble(), Some(trouble));
        }
        assert_eq!(after("all is well\n").trouble(), None);
    }

    #[test]
    fn an_address_is_one_that_is_not_loopback() {
        assert!(!after("ci-info: |   lo   | True |  127.0.0.1 | 255.0.0.0 | host | . |\n").has_address());
        assert!(!after("ci-info: |  eth0  | False |    .    |     .     |   .  | 52: |\n").has_address());
        assert!(
            after("ci-info: |  eth0  | True | 192.168.5.15 | 255.255.255.0 | global | 52: |\n").has_address()
        );
    }

    #[test]
    fn a_network_that_does_not_come_up_is_told_from_one_that_has_not_come_up_yet() {
        const WAITS: &str =
            "[  *** ] A start job is running for Wait for Network to be Configured (9s / 2min)\n";
        assert!(!after("[4.0] systemd[1]: Hello.\n").lacks_address());
        assert!(after(WAITS).lacks_address());
        assert!(after("ci-info: |  eth0  | False |    .    |     .     |   .  | 52: |\n").lacks_address());
        let later =
            format!("{WAITS}ci-info: |  eth0  | True | 192.168.5.15 | 255.255.255.0 | global | 52: |\n");
        assert!(!after(&later).lacks_address());
    }

    #[test]
    fn failed_scripts_are_named() {
        let console = after("LIMA-BOOT iid-1 failed provision.system/00000000 (exit 3)\n");
        assert_eq!(console.failures(), ["provision.system/00000000 (exit 3)"]);
        assert_eq!(console.stage(), Stage::BootScripts);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_read(bytes: Vec<u8>, cut in 0usize..64) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut pieces = Console::default();
            pieces.feed(first);
            pieces.feed(second);
            let mut whole = Console::default();
            whole.feed(&bytes);
            prop_assert_eq!(pieces.stage(), whole.stage());
            prop_assert!(pieces.line.len() <= MAX_LINE);
        }
    }
}
