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

impl Algorithm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }
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

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// For the bytes that are to have this digest.
    pub(super) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha384 => Hasher::Sha384(Sha384::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// Fails if the bytes that `hasher` has seen do not have this digest.
    pub(super) fn check(&self, hasher: Hasher) -> Result<(), FetchError> {
        self.expect(hasher.finish())
    }

    /// Fails if `got`, in the same form, is another digest.
    pub(super) fn expect(&self, got: String) -> Result<(), FetchError> {
        if got == self.text {
            return Ok(());
        }
        Err(FetchError::Digest { expected: self.text.clone(), got })
    }

    /// What the bytes of `file` really have, in the same form.
    pub(super) fn of(&self, mut file: impl Read) -> std::io::Result<String> {
        let mut hasher = self.hasher();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// A digest that is being computed.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha384(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// `algorithm:hex`.
    fn finish(self) -> String {
        let (algorithm, digits) = match self {
            Hasher::Sha256(hasher) => (Algorithm::Sha256, hex(&hasher.finalize())),
            Hasher::Sha384(hasher) => (Algorithm::Sha384, hex(&hasher.finalize())),
            Hasher::Sha512(hasher) => (Algorithm::Sha512, hex(&hasher.finalize())),
        };
        format!("{}:{digits}", algorithm.name())
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
