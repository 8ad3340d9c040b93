//! The option list of every ssh command to a guest, in its one order, and the `ssh.config` made of it. Pure.

use std::path::PathBuf;

use super::{ClientFacts, Error, Version};

/// Ciphers can be put in front of the default list (`^`) since this version.
const CIPHER_PREFIX_SINCE: Version = Version(8, 1, 0);

/// What is needed to enter one guest. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The private key of `LIMA_HOME`.
    pub identity: PathBuf,
    /// The user's own private keys, for `ssh.loadDotSSHPubKeys`; empty otherwise.
    pub extra_identities: Vec<PathBuf>,
    /// The guest's user.
    pub user: String,
    /// The socket of the shared connection.
    pub control_path: PathBuf,
    pub forward_agent: bool,
    pub forward_x11: bool,
    pub forward_x11_trusted: bool,
    pub client: ClientFacts,
    /// Whether the host's processor has AES instructions: decides which cipher comes first.
    pub has_aes: bool,
}

impl Profile {
    /// `Key=Value` for each option. Fails if a value contains a line break, which would smuggle in a line of `ssh.config`.
    pub fn options(&self) -> Result<Vec<String>, Error> {
        let mut options = self.common_options();
        options.push(format!("User={}", self.user));
        options.push("ControlMaster=auto".to_owned());
        options.push(quoted_path("ControlPath", &self.control_path));
        options.push("ControlPersist=yes".to_owned());
        options.extend(self.forwards().map(|name| format!("{name}=yes")));
        refuse_line_breaks(&options)?;
        Ok(options)
    }

    /// Those that are the same for every guest: for one command that enters several.
    pub fn common_options(&self) -> Vec<String> {
        let mut options = vec![quoted_path("IdentityFile", &self.identity)];
        options.extend(self.extra_identities.iter().map(|key| quoted_path("IdentityFile", key)));
        options.extend(
            [
                "StrictHostKeyChecking=no",
                "UserKnownHostsFile=/dev/null",
                "NoHostAuthenticationForLocalhost=yes",
                "PreferredAuthentications=publickey",
                "Compression=no",
                "BatchMode=yes",
                "IdentitiesOnly=yes",
            ]
            .map(str::to_owned),
        );
        if self.client.supports_gssapi {
            options.push("GSSAPIAuthentication=no".to_owned());
        }
        options.extend(self.ciphers().map(str::to_owned));
        options
    }

    /// The fastest cipher first; encryption stays on because a client cannot tell loopback from the world.
    fn ciphers(&self) -> Option<&'static str> {
        if self.client.version < CIPHER_PREFIX_SINCE {
            return None;
        }
        Some(if self.has_aes {
            r#"Ciphers="^aes128-gcm@openssh.com,aes256-gcm@openssh.com""#
        } else {
            r#"Ciphers="^chacha20-poly1305@openssh.com""#
        })
    }

    fn forwards(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.forward_agent, "ForwardAgent"),
            (self.forward_x11, "ForwardX11"),
            (self.forward_x11_trusted, "ForwardX11Trusted"),
        ]
        .into_iter()
        .filter_map(|(wanted, name)| wanted.then_some(name))
    }
}

/// The double quotes are part of the value: ssh reads it as it reads a line of a configuration file.
fn quoted_path(key: &str, path: &std::path::Path) -> String {
    format!("{key}=\"{}\"", path.display())
}

fn refuse_line_breaks(options: &[String]) -> Result<(), Error> {
    match options.iter().find(|option| option.contains(['\r', '\n'])) {
        Some(option) => Err(Error::LineBreak { option: option.clone() }),
        None => Ok(()),
    }
}

/// The text of `ssh.config` for `Host host`: `options` are `Key=Value`, address and port come last.
pub fn ssh_config(host: &str, options: &[String], address: &str, port: u16) -> Result<String, Error> {
    refuse_line_breaks(options)?;
    let mut text = format!("Host {host}\n");
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        text.push_str(&format!("  {key} {value}\n"));
    }
    text.push_str(&format!("  Hostname {address}\n  Port {port}\n"));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            identity: "/lh/_config/user".into(),
            extra_identities: Vec::new(),
            user: "u".into(),
            control_path: "/lh/d/ssh.sock".into(),
            forward_agent: false,
            forward_x11: false,
            forward_x11_trusted: false,
            client: ClientFacts { version: Version(9, 2, 1), supports_gssapi: true },
            has_aes: true,
        }
    }

    #[test]
    fn options_are_those_of_the_real_program_in_its_order() {
        let expected = [
            r#"IdentityFile="/lh/_config/user""#,
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "NoHostAuthenticationForLocalhost=yes",
            "PreferredAuthentications=publickey",
            "Compression=no",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "GSSAPIAuthentication=no",
            r#"Ciphers="^aes128-gcm@openssh.com,aes256-gcm@openssh.com""#,
            "User=u",
            "ControlMaster=auto",
            r#"ControlPath="/lh/d/ssh.sock""#,
            "ControlPersist=yes",
        ];
        assert_eq!(profile().options().unwrap(), expected);
    }

    #[test]
    fn old_or_small_clients_get_what_they_know() {
        let mut old = profile();
        old.client = ClientFacts { version: Version(8, 0, 9), supports_gssapi: false };
        let options = old.options().unwrap();
        assert!(!options.iter().any(|o| o.starts_with("Ciphers") || o.starts_with("GSSAPI")));
        let mut small = profile();
        small.has_aes = false;
        assert!(small.options().unwrap().contains(&r#"Ciphers="^chacha20-poly1305@openssh.com""#.to_owned()));
    }

    #[test]
    fn keys_of_the_user_follow_ours_and_forwards_come_last() {
        let mut profile = profile();
        profile.extra_identities = vec!["/home/u/.ssh/id_rsa".into()];
        (profile.forward_agent, profile.forward_x11, profile.forward_x11_trusted) = (true, true, true);
        let options = profile.options().unwrap();
        assert_eq!(options[1], r#"IdentityFile="/home/u/.ssh/id_rsa""#);
        assert_eq!(
            options[options.len() - 3..],
            ["ForwardAgent=yes", "ForwardX11=yes", "ForwardX11Trusted=yes"]
        );
    }

    #[test]
    fn a_line_break_cannot_smuggle_in_a_directive() {
        let mut profile = profile();
        profile.user = "u\nProxyCommand evil".into();
        assert_eq!(
            profile.options().unwrap_err().to_string(),
            "ssh option `User=u\\nProxyCommand evil` must not contain a line break"
        );
        assert!(ssh_config("h", &["A=b\r".into()], "127.0.0.1", 1).is_err());
    }

    #[test]
    fn the_configuration_has_one_line_an_option_and_ends_with_the_port() {
        let text =
            ssh_config("lima-d", &["User=u".into(), "Ciphers=\"^a=b\"".into()], "127.0.0.1", 39123).unwrap();
        assert_eq!(text, "Host lima-d\n  User u\n  Ciphers \"^a=b\"\n  Hostname 127.0.0.1\n  Port 39123\n");
    }
}
