//! Bare images as locators: what system and architecture they are for, and what an instance of one is called. Pure; all of it is guessing
//! from the name, by upstream's words.

use crate::config::Arch;

const FORMATS: [&str; 5] = [".img", ".qcow2", ".raw", ".iso", ".ipsw"];
const COMPRESSIONS: [&str; 4] = [".gz", ".xz", ".bz2", ".zstd"];

/// Words for systems; the case does not matter.
const SYSTEMS: [(&str, &str); 3] = [("freebsd", "FreeBSD"), ("macos", "Darwin"), (".ipsw", "Darwin")];

const ARCHES: [(&str, Arch); 10] = [
    ("aarch64", Arch::Aarch64),
    ("amd64", Arch::X86_64),
    ("arm64", Arch::Aarch64),
    ("armhf", Arch::Armv7l),
    ("armv7l", Arch::Armv7l),
    ("ppc64el", Arch::Ppc64le),
    ("ppc64le", Arch::Ppc64le),
    ("riscv64", Arch::Riscv64),
    ("s390x", Arch::S390x),
    ("x86_64", Arch::X86_64),
];

/// Words that say nothing about which distribution it is, in the order in which they are taken out.
const GENERIC: [&str; 22] = [
    "base",
    "basic",
    "cloud",
    "cloudimg",
    "cloudinit",
    "current",
    "daily",
    "default",
    "generic",
    "genericcloud",
    "kvm",
    "latest",
    "linux",
    "minimal",
    "openstack",
    "release",
    "restore",
    "server",
    "std",
    "stream",
    "uefi",
    "vm",
];

/// What is guessed of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess {
    pub os: &'static str,
    /// `None` where nothing tells: then it is the host's.
    pub arch: Option<Arch>,
}

/// Whether a locator ends like a disk image.
pub fn is_image(locator: &str) -> bool {
    without_format(locator).is_some()
}

/// The locator without its format and compression; `None` if it is no image's.
fn without_format(locator: &str) -> Option<&str> {
    let bare = COMPRESSIONS.iter().find_map(|suffix| locator.strip_suffix(suffix)).unwrap_or(locator);
    FORMATS.iter().find_map(|suffix| bare.strip_suffix(suffix))
}

/// Guesses from the whole locator.
pub fn guess(locator: &str) -> Guess {
    let lower = locator.to_ascii_lowercase();
    let system = SYSTEMS.iter().find(|(word, _)| has_word(&lower, word));
    let os = system.map_or("Linux", |(_, os)| os);
    let arch = ARCHES.iter().find(|(word, _)| has_word(locator, word)).map(|(_, arch)| *arch);
    Guess { os, arch: arch.or((os == "Darwin").then_some(Arch::Aarch64)) }
}

/// The text of the template that an image stands for. `location` is written as a quoted text.
pub fn template(location: &str, os: &str, arch: Arch) -> String {
    let quoted = serde_json::Value::from(location);
    let arch = arch.name();
    format!("os: \"{os}\"\narch: \"{arch}\"\nimages:\n- location: {quoted}\n  arch: \"{arch}\"\n")
}

/// The name of an instance made of an image: its base name without everything generic, without the architecture if it is `native`.
pub fn instance_name(locator: &str, native: Arch) -> String {
    let file = locator.rsplit('/').next().unwrap_or(locator).to_lowercase();
    let name = without_format(&file).unwrap_or(&file);
    let mut name = name.strip_prefix("nocloud_").unwrap_or(name).to_owned();
    for word in GENERIC {
        name = without_tag(&name, word);
    }
    name = name.replacen("universalmac_", "macos-", 1).replacen("arm64-aarch64", "arm64", 1);
    let arch = guess(locator).arch.unwrap_or(native);
    if arch == native {
        name = without_tag(&name, arch.name());
    }
    name = without_dates(&name);
    if word_ends(&name, "arch".len()) && name.starts_with("arch") {
        name.insert_str("arch".len(), "linux");
    }
    macos_release(&without_doubled_major(&name))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '_' | '.')
}

/// Whether a word that ends at `end` is not the beginning of a longer one.
fn word_ends(text: &str, end: usize) -> bool {
    text.get(end..).is_some_and(|rest| !rest.chars().next().is_some_and(is_word))
}

/// Whether `word` stands in a text with boundaries of words at both ends.
fn has_word(text: &str, word: &str) -> bool {
    let boundary = |at: usize| {
        let before = text[..at].chars().next_back().is_some_and(is_word);
        let after = text[at..].chars().next().is_some_and(is_word);
        before != after
    };
    text.match_indices(word).any(|(at, _)| boundary(at) && boundary(at + word.len()))
}

/// Takes every `-tag`, `_tag` and `.tag` out that ends a word.
fn without_tag(name: &str, tag: &str) -> String {
    cut(name, |rest| rest.starts_with(tag).then_some(tag.len()))
}

/// Takes `-20250101`, with a time or a counter behind it or without, out.
fn without_dates(name: &str) -> String {
    cut(name, |rest| {
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
        if !rest.starts_with("20") || digits(rest) != 8 {
            return None;
        }
        let tail = &rest[8..];
        let counter = tail.strip_prefix(is_separator).map_or(0, digits);
        // The counter belongs to the date if a word ends behind it.
        Some(if counter > 0 && word_ends(tail, 1 + counter) { 9 + counter } else { 8 })
    })
}

/// Removes every separator together with what `length` recognises behind it, where a word ends.
fn cut(name: &str, length: impl Fn(&str) -> Option<usize>) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        match length(behind).filter(|_| is_separator(c)) {
            Some(length) if word_ends(behind, length) => rest = &behind[length..],
            _ => {
                out.push(c);
                rest = behind;
            }
        }
    }
    out
}

/// `rocky-8-8.10` is `rocky-8.10`.
fn without_doubled_major(name: &str) -> String {
    let mut out = name.to_owned();
    for (at, _) in name.match_indices('-') {
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let first = digits(&name[at + 1..]);
        let doubled = format!("-{first}-{first}.");
        if !first.is_empty() && name[at..].starts_with(&doubled) {
            out = out.replacen(&doubled, &format!("-{first}."), 1);
        }
    }
    out
}

/// `macos-15.6.1_24g90` is `macos-15.6.1`.
fn macos_release(name: &str) -> String {
    let Some(rest) = name.strip_prefix("macos-") else {
        return name.to_owned();
    };
    let length = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').count();
    match rest[length..].chars().next() {
        Some('-' | '_') if length > 0 => format!("macos-{}", &rest[..length]),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn images_are_known_by_their_suffix() {
        for locator in ["a.img", "https://h/a.qcow2", "x.raw.xz", "x.iso.bz2", "x.ipsw", "x.img.zstd"] {
            assert!(is_image(locator), "{locator}");
        }
        for locator in ["a.yaml", "a.img.zip", "img", "a.IMG", "a.tar.gz"] {
            assert!(!is_image(locator), "{locator}");
        }
    }

    #[test]
    fn system_and_architecture_are_guessed_from_words() {
        for (locator, os, arch) in [
            ("https://h/FreeBSD-15.0-aarch64.raw.xz", "FreeBSD", Some(Arch::Aarch64)),
            ("/x/thing-riscv64.iso", "Linux", Some(Arch::Riscv64)),
            ("https://h/15.0/amd64/Latest/disk.qcow2", "Linux", Some(Arch::X86_64)),
            ("file:///x/my-custom-macos.img", "Darwin", Some(Arch::Aarch64)),
            ("file:///x/something.ipsw", "Darwin", Some(Arch::Aarch64)),
            ("/x/plain.img", "Linux", None),
            ("/x/my_amd64.img", "Linux", None),
        ] {
            assert_eq!(guess(locator), Guess { os, arch }, "{locator}");
        }
    }

    #[test]
    fn the_name_is_what_is_not_generic() {
        for (locator, name) in [
            ("linux.iso.bz2", "linux"),
            ("linux-linux_cloudimg.base-x86_64.raw", "linux-x86_64"),
            ("nocloud_linux-x86_64.raw", "linux-x86_64"),
            ("linux-20250101.raw", "linux"),
            ("linux-20250101-2000.raw", "linux"),
            ("linux-20250101.0.raw", "linux"),
            ("arch-aarch64.raw", "archlinux-aarch64"),
            ("my-arch-aarch64.raw", "my-arch-aarch64"),
            ("linux_cloudimg.base-s390x.qcow2.gz", "linux"),
            ("rocky-8-8.10.raw", "rocky-8.10"),
            ("rocky-8-9.10.raw", "rocky-8-9.10"),
            ("https://h/FreeBSD-15.0-RELEASE-amd64-BASIC-CLOUDINIT-zfs.raw.xz", "freebsd-15.0-amd64-zfs"),
            (
                "https://h/FreeBSD-16.0-CURRENT-arm64-aarch64-BASIC-CLOUDINIT-ufs.qcow2.xz",
                "freebsd-16.0-arm64-ufs",
            ),
            ("https://h/x/UniversalMac_15.6.1_24G90_Restore.ipsw", "macos-15.6.1"),
            ("file:///somewhere/macOS-26.ipsw", "macos-26"),
            ("https://h/n/ubuntu-24.04-server-cloudimg-amd64.img", "ubuntu-24.04-amd64"),
        ] {
            assert_eq!(instance_name(locator, Arch::S390x), name, "{locator}");
        }
    }

    #[test]
    fn the_made_up_template_is_yaml_whatever_the_name() {
        let text = template("/x/a \"b\".img", "Linux", Arch::X86_64);
        let read: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(read["images"][0]["location"], "/x/a \"b\".img");
        assert_eq!((read["os"].as_str(), read["arch"].as_str()), (Some("Linux"), Some("x86_64")));
    }

    proptest! {
        #[test]
        fn no_name_panics(text in "[a-z0-9._\u{e9}/-]{0,40}(\\.img)?") {
            let _ = (guess(&text), instance_name(&text, Arch::X86_64));
        }
    }
}
