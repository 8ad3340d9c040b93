//! Which ssh program is used and what it can do.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::Error;
use crate::process;

/// `ssh -V` prints a line and ends.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// The ssh program: a path and words that come before all arguments. Its abilities are asked for once.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    leading: Vec<String>,
    facts: OnceLock<ClientFacts>,
}

/// What a client can do, as far as option lists depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientFacts {
    /// 0.0.0 where the client does not say.
    pub version: Version,
    pub supports_gssapi: bool,
}

/// OpenSSH X.YpZ, compared as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Client {
    /// The program that `variable` (the text of `$SSH`, split as a shell would) names, else `ssh` in `PATH`. A text that cannot be split
    /// is warned about and ignored.
    pub fn find(variable: Option<&str>) -> Result<Client, Error> {
        let mut words = variable.and_then(split_variable).unwrap_or_default();
        let name = if words.is_empty() { "ssh".to_owned() } else { words.remove(0) };
        let program = process::find(&name).map_err(|_| Error::Missing { program: name })?;
        Ok(Client { program, leading: words, facts: OnceLock::new() })
    }

    /// A command with `args` after the leading words; the caller sets where its output goes.
    pub fn command(&self, args: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.leading).args(args);
        command
    }

    /// The program and the words before all arguments.
    pub fn words(&self) -> (&std::path::Path, &[String]) {
        (&self.program, &self.leading)
    }

    /// Runs the client once (`ssh -o GSSAPIAuthentication=no -V`) at the first call. A client that cannot be run or understood counts as old
    /// and as knowing every option, which is what the real program assumes.
    pub fn facts(&self) -> ClientFacts {
        *self.facts.get_or_init(|| {
            let args = ["-o", "GSSAPIAuthentication=no", "-V"].map(str::to_owned);
            match process::run(&mut self.command(&args), b"", PROBE_DEADLINE) {
                Ok(finished) => ClientFacts::from_words(&finished.stderr),
                Err(error) => {
                    tracing::debug!(%error, "failed to run `ssh -V`");
                    ClientFacts::from_words("")
                }
            }
        })
    }
}

fn split_variable(text: &str) -> Option<Vec<String>> {
    let words = shlex::split(text);
    if words.is_none() {
        tracing::warn!(
            "failed to split the environment variable `SSH` into words, falling back to `ssh` in PATH"
        );
    }
    words.filter(|words| !words.is_empty())
}

impl ClientFacts {
    /// Reads what the probe printed on standard error.
    fn from_words(stderr: &str) -> ClientFacts {
        ClientFacts {
            version: stderr.lines().find_map(Version::parse).unwrap_or(Version(0, 0, 0)),
            supports_gssapi: !stderr.contains("Unsupported option \"gssapiauthentication\""),
        }
    }
}

impl Version {
    /// Reads `OpenSSH_9.2p1 …` or `OpenSSH_for_Windows_9.5p1 …`.
    fn parse(line: &str) -> Option<Version> {
        let rest = line.strip_prefix("OpenSSH")?;
        let rest = rest
            .strip_prefix("_for_Windows_")
            .or_else(|| rest.strip_prefix("_for_Windows "))
            .or_else(|| rest.strip_prefix('_'))?;
        let (major, rest) = leading_number(rest)?;
        let (minor, rest) = leading_number(rest.strip_prefix('.')?)?;
        let patch = rest.strip_prefix('p').and_then(leading_number);
        Some(Version(major, minor, patch.map_or(0, |(number, _)| number)))
    }
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Whether this machine's processor has AES instructions. All of Apple's have.
pub fn host_has_aes() -> bool {
    #[cfg(target_os = "macos")]
    return true;
    #[cfg(all(target_arch = "x86_64", not(target_os = "macos")))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(all(target_arch = "aarch64", not(target_os = "macos")))]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_os = "macos", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_clients_print_them() {
        let parse = Version::parse;
        assert_eq!(parse("OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17"), Some(Version(9, 2, 1)));
        assert_eq!(parse("OpenSSH_for_Windows_9.5p1, LibreSSL 3.8.2"), Some(Version(9, 5, 1)));
        assert_eq!(parse("OpenSSH_10.0"), Some(Version(10, 0, 0)));
        assert_eq!(parse("Dropbear v2022.83"), None);
        assert!(Version(8, 9, 0) < Version(10, 0, 0));
    }

    #[test]
    fn one_probe_tells_version_and_gssapi() {
        let words = "command-line line 0: Unsupported option \"gssapiauthentication\"\nOpenSSH_8.4p1, x\n";
        let facts = ClientFacts::from_words(words);
        assert_eq!(facts, ClientFacts { version: Version(8, 4, 1), supports_gssapi: false });
        assert!(ClientFacts::from_words("OpenSSH_9.2p1").supports_gssapi);
    }

    #[test]
    fn a_missing_client_is_told_with_its_package() {
        let error = Client::find(Some("no-such-ssh-here -v")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "exec: \"no-such-ssh-here\": executable file not found in $PATH (install the package `openssh-client`)"
        );
    }

    #[test]
    fn words_of_the_variable_come_first() {
        let client = Client::find(Some("sh -c 'a b'")).unwrap();
        let command = client.command(&["x".into()]);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args, ["-c", "a b", "x"]);
    }
}
