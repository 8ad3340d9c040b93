//! Commands of Lima that this version does not have yet. They are known by name, so that using one is refused in one clear line
//! instead of being taken for a mistake, and never ignored.

use clap::{Arg, ArgAction, Command};

use super::words::Sorted;

/// Ends the help of whatever is not there yet.
const NOT_YET: &str = "(not in this version)";

struct Planned {
    name: &'static str,
    about: &'static str,
    /// Words behind the command, all of them required.
    words: &'static str,
    /// `name=` has a value; a letter and a comma in front are the short form.
    flags: &'static [&'static str],
    hidden: bool,
}

const COMMANDS: &[Planned] = &[
    Planned {
        name: "tunnel",
        about: "Open a tunnel into the guest's network",
        words: "INSTANCE",
        flags: &["socks-port=", "type="],
        hidden: false,
    },
    Planned {
        name: "usernet",
        about: "The daemon of a user-mode network",
        words: "",
        flags: &["p,pidfile=", "e,endpoint=", "listen-qemu=", "listen=", "subnet=", "mtu=", "leases="],
        hidden: true,
    },
];

/// Adds everything that is planned to the commands that are here.
pub fn add_to(root: Command) -> Command {
    COMMANDS.iter().fold(root, |root, planned| root.subcommand(planned.declare("limactl")))
}

/// What of a command line is not there yet, as users call it.
pub fn refusal(line: &Sorted) -> Option<String> {
    let is_planned =
        COMMANDS.iter().any(|command| line.path.first().is_some_and(|word| word == command.name));
    is_planned.then(|| format!("`limactl {}`", line.path.join(" ")))
}

impl Planned {
    fn declare(&self, parent: &str) -> Command {
        let usage = format!("{parent} {} {} [flags]", self.name, self.words).replace("  ", " ");
        let command = Command::new(self.name)
            .about(format!("{} {NOT_YET}", self.about))
            .override_usage(usage)
            .hide(self.hidden);
        let words = self.words.split_whitespace().map(|word| Arg::new(word).required(true));
        command.args(words).args(self.flags.iter().map(|spec| flag(spec)))
    }
}

fn flag(spec: &'static str) -> Arg {
    let (short, long) = match spec.split_once(',') {
        Some((short, long)) => (short.chars().next(), long),
        None => (None, spec),
    };
    let long = long.trim_end_matches('=');
    Arg::new(long).long(long).short(short).help(NOT_YET).action(ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(path: &str) -> Option<String> {
        refusal(&Sorted {
            path: path.split(' ').map(str::to_owned).collect(),
            flags: Vec::new(),
            argv: Vec::new(),
        })
    }

    #[test]
    fn commands_are_refused_by_name() {
        assert_eq!(refusal_of("usernet"), Some("`limactl usernet`".into()));
        assert_eq!(refusal_of("template yq"), None);
        assert_eq!(refusal_of("create"), None);
    }
}
