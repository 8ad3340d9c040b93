//! Names of instances and disks, and the host name that a guest gets.

use thiserror::Error;

/// Longest identifier, in bytes.
pub const MAX_LENGTH: usize = 76;
const PATTERN: &str = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$";

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentifierError {
    #[error("identifier must not be empty")]
    Empty,
    #[error("identifier `{0}` greater than maximum length ({MAX_LENGTH} characters)")]
    TooLong(String),
    #[error("identifier `{0}` must match {PATTERN}")]
    Pattern(String),
}

/// Why a text cannot name an instance.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("instance name `{name}` is not a valid identifier: {cause}")]
    Identifier { name: String, cause: IdentifierError },
    #[error("instance name `{0}` must not end with .yml or .yaml suffix")]
    YamlSuffix(String),
    #[error("filename `{file}` is invalid: {cause}")]
    File { file: String, cause: IdentifierError },
}

/// Letters and digits in groups, single `.`, `_` or `-` between them.
pub fn check_identifier(text: &str) -> Result<(), IdentifierError> {
    if text.is_empty() {
        return Err(IdentifierError::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(IdentifierError::TooLong(text.to_owned()));
    }
    let well_formed = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_alphanumeric());
    if text.split(['.', '_', '-']).all(well_formed) {
        Ok(())
    } else {
        Err(IdentifierError::Pattern(text.to_owned()))
    }
}

/// Checks the name of an instance: an identifier that cannot be taken for a file name.
pub fn check_instance(name: &str) -> Result<(), NameError> {
    check_identifier(name).map_err(|cause| NameError::Identifier { name: name.to_owned(), cause })?;
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(".yml") || lower.ends_with(".yaml") {
        return Err(NameError::YamlSuffix(name.to_owned()));
    }
    Ok(())
}

/// The instance name that a file stands for: its base name in lower case, without `.yml` and `.yaml`.
pub fn from_file(path: &str) -> Result<String, NameError> {
    let file = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let name = file.strip_suffix(".yml").unwrap_or(&file);
    let name = name.strip_suffix(".yaml").unwrap_or(name);
    check_identifier(name).map_err(|cause| NameError::File { file: name.to_owned(), cause })?;
    Ok(name.to_owned())
}

/// The guest's host name: `lima-` and the instance name, separators turned into `-`.
pub fn hostname(instance: &str) -> String {
    format!("lima-{}", instance.replace(['.', '_'], "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_single_separators_are_identifiers() {
        for name in ["default", "Ubuntu-20.04", "1-2_3.4", "a"] {
            assert_eq!(check_instance(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn other_names_are_refused_with_upstreams_words() {
        let long = "n".repeat(77);
        for (name, message) in [
            (
                "a--b",
                "instance name `a--b` is not a valid identifier: identifier `a--b` must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$",
            ),
            (
                "../x",
                "instance name `../x` is not a valid identifier: identifier `../x` must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$",
            ),
            ("x.yaml", "instance name `x.yaml` must not end with .yml or .yaml suffix"),
            ("x.YML", "instance name `x.YML` must not end with .yml or .yaml suffix"),
            ("", "instance name `` is not a valid identifier: identifier must not be empty"),
            (
                &long,
                &format!(
                    "instance name `{long}` is not a valid identifier: identifier `{long}` greater than maximum length (76 characters)"
                ),
            ),
        ] {
            assert_eq!(check_instance(name).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_file_gives_its_base_name() {
        assert_eq!(from_file("/tmp/UPPER.yaml").unwrap(), "upper");
        assert_eq!(from_file("a.yaml.yml").unwrap(), "a");
        assert_eq!(
            from_file("./My File.yaml").unwrap_err().to_string(),
            "filename `my file` is invalid: identifier `my file` must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$"
        );
    }

    #[test]
    fn separators_become_dashes_in_the_host_name() {
        assert_eq!(hostname("Ubuntu-20.04_x"), "lima-Ubuntu-20-04-x");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,90}") {
            let _ = (check_instance(&text), from_file(&text));
        }
    }
}
