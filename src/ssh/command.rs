//! The arguments of ssh commands: sessions, and orders to the master of the shared connection. Pure.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `-F /dev/null -o OPTION… [EXTRA…] -p PORT ADDRESS -- REMOTE`. The remote text goes to the guest's shell as it is; an empty one opens a login shell.
pub fn session_args(
    options: &[String],
    extra: &[String],
    address: &str,
    port: u16,
    remote: &str,
) -> Vec<String> {
    let mut args = common(options);
    args.extend_from_slice(extra);
    args.extend(["-p".to_owned(), port.to_string(), address.to_owned()]);
    if !remote.is_empty() {
        args.extend(["--".to_owned(), remote.to_owned()]);
    }
    args
}

/// `-F /dev/null -o OPTION… -O ORDER [FORWARD] -p PORT ADDRESS`.
pub fn master_args(options: &[String], order: &MasterCommand, address: &str, port: u16) -> Vec<String> {
    let mut args = common(options);
    args.extend(["-O".to_owned(), order.name().to_owned()]);
    if let MasterCommand::Forward(forward) | MasterCommand::Cancel(forward) = order {
        args.extend(forward.args());
    }
    args.extend(["-p".to_owned(), port.to_string(), address.to_owned()]);
    args
}

/// What every call of a program of OpenSSH begins with: `-F /dev/null -o OPTION…`.
pub(super) fn common(options: &[String]) -> Vec<String> {
    let mut args = vec!["-F".to_owned(), "/dev/null".to_owned()];
    args.extend(options.iter().flat_map(|option| ["-o".to_owned(), option.clone()]));
    args
}

/// An order to the running master; it fails where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterCommand {
    Check,
    Exit,
    Forward(Forward),
    Cancel(Forward),
}

impl MasterCommand {
    fn name(&self) -> &'static str {
        match self {
            MasterCommand::Check => "check",
            MasterCommand::Exit => "exit",
            MasterCommand::Forward(_) => "forward",
            MasterCommand::Cancel(_) => "cancel",
        }
    }
}

/// A listener on one side whose connections end on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forward {
    /// Listens on the host, connects in the guest.
    Local { listen: Endpoint, connect: Endpoint },
    /// Listens in the guest, connects on the host.
    Remote { listen: Endpoint, connect: Endpoint },
}

impl Forward {
    fn args(&self) -> [String; 2] {
        let (flag, listen, connect) = match self {
            Forward::Local { listen, connect } => ("-L", listen, connect),
            Forward::Remote { listen, connect } => ("-R", listen, connect),
        };
        [flag.to_owned(), format!("{listen}:{connect}")]
    }
}

/// One end of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// As `-L` and `-R` read it: IPv6 in brackets; colons and backslashes of a path escaped.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => {
                let path = path.display().to_string();
                f.write_str(&path.replace('\\', "\\\\").replace(':', "\\:"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ignores_every_configuration_file() {
        let options = ["User=u".to_owned()];
        let args = session_args(&options, &["-t".into()], "127.0.0.1", 2200, "uname -a");
        assert_eq!(args.join(" "), "-F /dev/null -o User=u -t -p 2200 127.0.0.1 -- uname -a");
        let login = session_args(&options, &[], "127.0.0.1", 2200, "");
        assert_eq!(login.last().unwrap(), "127.0.0.1");
    }

    #[test]
    fn orders_to_the_master_name_their_forward() {
        let forward = Forward::Local {
            listen: Endpoint::Tcp("127.0.0.1:8080".parse().unwrap()),
            connect: Endpoint::Tcp("[::1]:80".parse().unwrap()),
        };
        let line = |order| master_args(&[], &order, "127.0.0.1", 1).join(" ");
        assert_eq!(
            line(MasterCommand::Forward(forward.clone())),
            "-F /dev/null -O forward -L 127.0.0.1:8080:[::1]:80 -p 1 127.0.0.1"
        );
        assert_eq!(
            line(MasterCommand::Cancel(forward)),
            "-F /dev/null -O cancel -L 127.0.0.1:8080:[::1]:80 -p 1 127.0.0.1"
        );
        assert_eq!(line(MasterCommand::Exit), "-F /dev/null -O exit -p 1 127.0.0.1");
        let socket = Forward::Remote {
            listen: Endpoint::Unix("/run/a:b.sock".into()),
            connect: Endpoint::Unix("/tmp/c.sock".into()),
        };
        assert_eq!(
            line(MasterCommand::Forward(socket)),
            "-F /dev/null -O forward -R /run/a\\:b.sock:/tmp/c.sock -p 1 127.0.0.1"
        );
    }
}
