//! The command line: words → what was written. Nothing is looked up here; `settings.rs` makes it definite.
//!
//! Upstream's grammar (`getopt_long`): `--name=VALUE` or `--name VALUE`, options before or after the socket, `--` ends them. An option that is
//! given twice counts as it was given last.

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Help,
    Version,
    Run(Box<Written>),
}

/// The options as they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub socket: String,
    pub socket_group: Option<String>,
    pub mode: Option<String>,
    pub interface: Option<String>,
    pub gateway: Option<String>,
    pub dhcp_end: Option<String>,
    pub mask: Option<String>,
    pub interface_id: Option<String>,
    pub nat66_prefix: Option<String>,
    pub network_identifier: Option<String>,
    pub disable_dhcp: bool,
    pub pid_file: Option<String>,
}

/// Why the words are not a command line of this program.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("unrecognized option `{0}`")]
    Unknown(String),
    #[error("option `{0}` requires an argument")]
    NoValue(String),
    #[error("option `{0}` doesn't allow an argument")]
    Value(String),
    #[error("the path of the socket is missing")]
    NoSocket,
    #[error("unexpected argument `{0}`: the socket is `{1}` already")]
    TwoSockets(String, String),
    #[error("argument {0} is not UTF-8")]
    NotText(usize),
}

/// Reads the words behind the program's name.
pub fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Asked, UsageError> {
    let mut written = Written::default();
    let mut socket: Option<String> = None;
    let mut options_end = false;
    let mut words = words.into_iter().enumerate();
    let text = |(index, word): (usize, std::ffi::OsString)| {
        word.into_string().map_err(|_| UsageError::NotText(index + 1))
    };
    while let Some(word) = words.next() {
        let word = text(word)?;
        if options_end || !word.starts_with('-') || word == "-" {
            if let Some(first) = socket {
                return Err(UsageError::TwoSockets(word, first));
            }
            socket = Some(word);
            continue;
        }
        if word == "--" {
            options_end = true;
            continue;
        }
        let (name, attached) = split(&word);
        match name {
            "-h" | "--help" => return Ok(Asked::Help),
            "-v" | "--version" => return Ok(Asked::Version),
            "--vmnet-disable-dhcp" if attached.is_some() => return Err(UsageError::Value(name.into())),
            "--vmnet-disable-dhcp" => written.disable_dhcp = true,
            _ => {
                let slot = written.slot(name).ok_or_else(|| UsageError::Unknown(name.into()))?;
                let value = match attached {
                    Some(value) => value.to_owned(),
                    None => text(words.next().ok_or_else(|| UsageError::NoValue(name.into()))?)?,
                };
                *slot = Some(value);
            }
        }
    }
    written.socket = socket.ok_or(UsageError::NoSocket)?;
    Ok(Asked::Run(Box::new(written)))
}

/// `--name=VALUE` and `-pVALUE` → the name and the value.
fn split(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
    }
    match word.char_indices().nth(2) {
        Some((at, _)) => (&word[..at], Some(&word[at..])),
        None => (word, None),
    }
}

impl Written {
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "--socket-group" => &mut self.socket_group,
            "--vmnet-mode" => &mut self.mode,
            "--vmnet-interface" => &mut self.interface,
            "--vmnet-gateway" => &mut self.gateway,
            "--vmnet-dhcp-end" => &mut self.dhcp_end,
            "--vmnet-mask" => &mut self.mask,
            "--vmnet-interface-id" => &mut self.interface_id,
            "--vmnet-nat66-prefix" => &mut self.nat66_prefix,
            "--vmnet-network-identifier" => &mut self.network_identifier,
            "-p" | "--pidfile" => &mut self.pid_file,
            _ => return None,
        })
    }
}

/// What `--help` prints.
pub const HELP: &str = "\
Usage: socket_vmnet [OPTION]... SOCKET
A network of virtual machines, made of the kernel's bridge, for Linux. Needs root.

SOCKET is where virtual machines connect: QEMU's stream protocol, a 4-byte big-endian length before
each frame. Beside it, NAME_tap.sock hands out tap devices, and NAME_leases.json tells who has which
address; NAME is SOCKET's name without \"socket_vmnet.\".

--socket-group=GROUP                group that may connect (default: \"root\")
--vmnet-mode=(host|shared|bridged)  host: the host and the machines reach each other, and nobody else;
                                    shared: also a way out, by NAT (default);
                                    bridged: on the segment of an interface
--vmnet-interface=INTERFACE         the interface or bridge for --vmnet-mode=bridged, e.g. \"eth0\"
--vmnet-gateway=IP                  address of the host (default: 192.168.105.1, for host mode
                                    192.168.106.1); the DHCP range begins after it
--vmnet-dhcp-end=IP                 end of the DHCP range, e.g. \"192.168.105.254\", requires
                                    --vmnet-gateway (default: the gateway's with .254)
--vmnet-mask=MASK                   subnet mask, requires --vmnet-gateway (default: 255.255.255.0)
--vmnet-interface-id=UUID           what the hardware address of the host's side is derived from
                                    (default: the path of SOCKET)
--vmnet-nat66-prefix=PREFIX::       refused: there is no IPv6 behind NAT here
--vmnet-network-identifier=UUID     an isolated network without DHCP, only for --vmnet-mode=host
--vmnet-disable-dhcp                no DHCP
-p, --pidfile=PIDFILE               held with flock as long as the program runs
                                    (default: NAME_socket_vmnet.pid beside SOCKET)
-h, --help                          display this help and exit
-v, --version                       display version information and exit

Signals: SIGTERM, SIGINT and SIGHUP end it and take the network down; SIGUSR1 ends it when no machine is
connected. Exit status: 0 after a signal, 3 if it runs already, 1 after any other error.
The environment variable DEBUG (any value) shows more.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Asked, UsageError> {
        parse(words.iter().map(Into::into))
    }

    fn written(words: &[&str]) -> Written {
        match read(words) {
            Ok(Asked::Run(written)) => *written,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_stand_behind_a_sign_or_a_blank_and_the_socket_anywhere() {
        let expected = Written {
            socket: "/s".into(),
            mode: Some("host".into()),
            pid_file: Some("/p".into()),
            gateway: Some("".into()),
            ..Written::default()
        };
        for words in [
            ["--vmnet-mode=host", "-p/p", "--vmnet-gateway=", "/s"].as_slice(),
            &["/s", "--vmnet-mode", "host", "--pidfile=/p", "--vmnet-gateway", ""],
            &["--vmnet-mode", "shared", "--vmnet-mode", "host", "-p", "/p", "--vmnet-gateway=", "--", "/s"],
        ] {
            assert_eq!(written(words), expected, "{words:?}");
        }
    }

    #[test]
    fn wrong_words_are_named() {
        for (words, error) in [
            (["--vmnet-mod=x", "/s"].as_slice(), "unrecognized option `--vmnet-mod`"),
            (&["/s", "-p"], "option `-p` requires an argument"),
            (&["--vmnet-disable-dhcp=no", "/s"], "option `--vmnet-disable-dhcp` doesn't allow an argument"),
            (&[], "the path of the socket is missing"),
            (&["/s", "/t"], "unexpected argument `/t`: the socket is `/s` already"),
            (&["-é"], "unrecognized option `-é`"),
        ] {
            assert_eq!(read(words).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn every_option_is_in_the_help() {
        for line in HELP.lines().filter(|line| line.starts_with("--")) {
            let name = line.split(['=', ' ']).next().unwrap();
            let known = name == "--vmnet-disable-dhcp" || Written::default().slot(name).is_some();
            assert!(known, "{name}");
        }
        assert_eq!(HELP.lines().filter(|line| line.starts_with("--")).count(), 10);
    }
}
