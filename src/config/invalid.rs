//! The problems that validation can find. Every one names its field by YAML path, in upstream's words where it has some; scripts match a few
//! labels that are odd (`probe[0]`, `CopyToHost[0]`, `vmnet.mac`, a quote that closes late), so those are kept.

use thiserror::Error;

use super::name::IdentifierError;
use super::places::{self, Step};
use super::quantity::{Bytes, QuantityError};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    #[error("field `{field}` must be set")]
    Missing { field: String },
    /// A rule that says it all.
    #[error("field `{field}` {rule}")]
    Rule { field: String, rule: &'static str },
    /// A rule about a text, with the text.
    #[error("field `{field}` {rule}, but is `{value}`")]
    Value { field: String, rule: &'static str, value: String },
    /// A rule between two fields.
    #[error("field `{field}` {rule} field `{other}`")]
    Relation { field: String, rule: &'static str, other: String },
    #[error("field `{field}` must be one of {allowed}; got `{value}`")]
    NotOneOf { field: String, allowed: String, value: String },
    #[error("field `{field}` has an invalid value: {cause}")]
    Size { field: String, cause: QuantityError },
    #[error("field `{field}` is invalid: {digest}: {cause}")]
    Digest { field: String, digest: String, cause: DigestError },
    #[error("field `minimumLimaVersion` must be a semvar value, got `{0}`: it is not in dotted-tri format")]
    MinimumVersionFormat(String),
    #[error("template requires Lima version `{wanted}`; this is only `{own}`")]
    MinimumVersion { wanted: String, own: &'static str },
    #[error("vmType `{0}` is not a registered driver")]
    Driver(String),
    #[error("{field} has unexpected architecture `{found}`, must be `{wanted}`")]
    ImagePartArch { field: String, found: String, wanted: String },
    #[error("field `additionalDisks[{index}].name is invalid`: {cause}")]
    DiskName { index: usize, cause: IdentifierError },
    #[error("field `{field}` must be only used when mode is {modes}")]
    OnlyInMode { field: String, modes: &'static str },
    #[error("field `{field}` must not be empty when mode is `{mode}`")]
    NeededInMode { field: String, mode: String },
    #[error("field `{field}` refers to an inaccessible path: `{path}` does not exist")]
    Absent { field: String, path: String },
    #[error("field `param` key `{0}` is not used in any provision, probe, copyToHost, or portForward")]
    UnusedParam(String),
    #[error("field `param` key `{0}` must match ^[a-zA-Z][a-zA-Z0-9_]*$")]
    ParamKey(String),
    #[error(
        "field `param` key `{key}` has a value with the character {character:?}, which cannot be printed"
    )]
    ParamValue { key: String, character: char },
    #[error("field `dns` must be empty when field `HostResolver.Enabled` is true")]
    DnsBesideResolver,
    #[error("field `hostResolver.hosts` has the name `{0}`, whose aliases lead back to itself")]
    AliasCycle(String),
    #[error("network `{name}` is not defined (field `{field}`)")]
    UnknownNetwork { field: String, name: String },
    #[error("field `networks[{index}].lima` or  field `networks[{index}].socket must be set")]
    NetworkWithout { index: usize },
    #[error("field `{first}` and field `{second}` are mutually exclusive")]
    Exclusive { first: String, second: String },
    #[error("field `vmnet.mac` invalid: address {0}: invalid MAC address")]
    Mac(String),
    #[error(
        "field `{field}` must be a 48 bit (6 bytes) MAC address; actual length of `{value}` is {length} bytes"
    )]
    MacLength { field: String, value: String, length: usize },
    #[error("field `{field}` must be less than {limit} bytes, but is {length} bytes: `{value}`")]
    TooLong { field: String, limit: usize, length: usize, value: String },
    #[error("field `{field}` value `{value}` has already been used by field `{earlier}`")]
    Repeated { field: String, value: String, earlier: String },
    #[error("field `tpm` is not supported on architecture `{0}`")]
    TpmArch(String),
}

impl Invalid {
    /// The YAML path of what is wrong; empty where that is not known.
    pub fn path(&self) -> Vec<Step> {
        let inside = |list: &[&str]| list.iter().map(|key| Step::Key((*key).to_owned())).collect();
        match self {
            Invalid::Missing { field }
            | Invalid::Rule { field, .. }
            | Invalid::Value { field, .. }
            | Invalid::Relation { field, .. }
            | Invalid::NotOneOf { field, .. }
            | Invalid::Size { field, .. }
            | Invalid::Digest { field, .. }
            | Invalid::ImagePartArch { field, .. }
            | Invalid::OnlyInMode { field, .. }
            | Invalid::NeededInMode { field, .. }
            | Invalid::Absent { field, .. }
            | Invalid::UnknownNetwork { field, .. }
            | Invalid::Exclusive { first: field, .. }
            | Invalid::MacLength { field, .. }
            | Invalid::TooLong { field, .. }
            | Invalid::Repeated { field, .. } => places::steps(field),
            Invalid::MinimumVersionFormat(_) | Invalid::MinimumVersion { .. } => {
                inside(&["minimumLimaVersion"])
            }
            Invalid::Driver(_) => inside(&["vmType"]),
            Invalid::DiskName { index, .. } => places::steps(&format!("additionalDisks[{index}].name")),
            Invalid::UnusedParam(key) | Invalid::ParamKey(key) | Invalid::ParamValue { key, .. } => {
                inside(&["param", key])
            }
            Invalid::DnsBesideResolver => inside(&["dns"]),
            Invalid::AliasCycle(name) => inside(&["hostResolver", "hosts", name]),
            Invalid::NetworkWithout { index } => places::steps(&format!("networks[{index}]")),
            Invalid::TpmArch(_) => inside(&["tpm"]),
            // Which network's is not said; the length's own problem says it.
            Invalid::Mac(_) => Vec::new(),
        }
    }
}

/// Problems, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Invalid>);

impl Findings {
    pub fn push(&mut self, problem: Invalid) {
        self.0.push(problem);
    }

    pub fn rule(&mut self, broken: bool, field: impl Into<String>, rule: &'static str) {
        if broken {
            self.push(Invalid::Rule { field: field.into(), rule });
        }
    }

    pub fn value(&mut self, broken: bool, field: impl Into<String>, rule: &'static str, value: &str) {
        if broken {
            self.push(Invalid::Value { field: field.into(), rule, value: value.to_owned() });
        }
    }

    pub fn one_of(&mut self, field: impl Into<String>, allowed: &[&str], value: &str) {
        if !allowed.contains(&value) {
            let allowed = allowed.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ");
            self.push(Invalid::NotOneOf {
                field: field.into(),
                allowed: format!("[{allowed}]"),
                value: value.to_owned(),
            });
        }
    }

    /// A TCP or UDP port that is not ssh's.
    pub fn port(&mut self, field: &str, port: i64) {
        self.rule(port < 0, field, "must be > 0");
        self.rule(port == 0, field, "must be set");
        self.rule(port == 22, field, "must not be 22");
        self.rule(port > 65535, field, "must be < 65536");
    }

    pub fn size(&mut self, field: impl Into<String>, text: &str) {
        if let Err(cause) = Bytes::parse(text) {
            self.push(Invalid::Size { field: field.into(), cause });
        }
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DigestError {
    #[error("invalid checksum digest format")]
    Format,
    #[error("invalid checksum digest length")]
    Length,
    #[error("unsupported digest algorithm")]
    Algorithm,
}

/// Checks `algorithm:hex`: sha256, sha384 or sha512, and exactly as many lower-case digits as that has.
pub fn check_digest(text: &str) -> Result<(), DigestError> {
    let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Format)?;
    if algorithm.is_empty() || hex.is_empty() {
        return Err(DigestError::Format);
    }
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(DigestError::Algorithm),
    };
    if hex.len() != digits {
        return Err(DigestError::Length);
    }
    let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if hex.bytes().all(lower_hex) { Ok(()) } else { Err(DigestError::Format) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_checked_by_format_algorithm_and_length() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(check_digest(&good), Ok(()));
        assert_eq!(check_digest("sha256:zz"), Err(DigestError::Length));
        assert_eq!(check_digest(&good.to_uppercase().replace("SHA", "sha")), Err(DigestError::Format));
        assert_eq!(check_digest("md5:0123"), Err(DigestError::Algorithm));
        for text in ["", "sha256", "sha256:", ":00"] {
            assert_eq!(check_digest(text), Err(DigestError::Format), "{text}");
        }
    }
}
