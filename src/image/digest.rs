//! Digests as Lima writes them: `sha256:` and hexadecimal digits.

use std::io::Read;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::error::FetchError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// A digest that a file must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest {
    algorithm: Algorithm,
    /// As written, for messages.
    text: String,
}

impl Digest {
    /// Reads `algorithm:hex`; the number of digits must be the algorithm's.
    pub(super) fn parse(text: &str) -> Result<Digest, FetchError> {
        let bad = || FetchError::BadDigest { digest: text.to_owned() };
        let (name, hex) = text.split_once(':').ok_or_else(bad)?;
        let (algorithm, digits) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(bad()),
        };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != digits || !hex.bytes().all(is_hex) {
            return Err(bad());
        }
        Ok(Digest { algorithm, text: text.to_owned() })
    }

    /// What the bytes of `file` really have, in the same form.
    pub(super) fn of(&self, file: impl Read) -> std::io::Result<String> {
        Ok(match self.algorithm {
            Algorithm::Sha256 => format!("sha256:{}", hash::<Sha256>(file)?),
            Algorithm::Sha384 => format!("sha384:{}", hash::<Sha384>(file)?),
            Algorithm::Sha512 => format!("sha512:{}", hash::<Sha512>(file)?),
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

fn hash<D: sha2::Digest>(mut file: impl Read) -> std::io::Result<String> {
    let mut hasher = D::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of `bytes`, in hexadecimal digits.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let zeros =
            |name: &str, digits: usize| Digest::parse(&format!("{name}:{}", "0".repeat(digits))).unwrap();
        assert_eq!(
            zeros("sha256", 64).of(&b"abc"[..]).unwrap(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(
            zeros("sha384", 96)
                .of(&b"abc"[..])
                .unwrap()
                .starts_with("sha384:cb00753f45a35e8bb5a03d699ac65007")
        );
        assert!(
            zeros("sha512", 128)
                .of(&b"abc"[..])
                .unwrap()
                .starts_with("sha512:ddaf35a193617abacc417349ae204131")
        );
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "sha256",
            "sha256:zz",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &format!("sha256:{}", "A".repeat(64)),
        ] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }
}
