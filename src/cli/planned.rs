//! Commands and flags of Lima that this version does not have yet. They are known by name, so that using one is refused in one clear line
//! instead of being taken for a mistake, and never ignored.

use clap::{Arg, ArgAction, Command};

use super::words::Sorted;

/// Ends the help of whatever is not there yet.
const NOT_YET: &str = "(not in this version)";

struct Planned {
    name: &'static str,
    aliases: &'static [&'static str],
    about: &'static str,
    /// Words behind the command, `""` for none. A last word with `...` may be repeated; words in brackets may be left out.
    words: &'static str,
    /// `name` is a boolean, `name=` has a value; a letter and a comma in front are the short form.
    flags: &'static [&'static str],
    commands: &'static [Planned],
    hidden: bool,
}

const fn command(
    name: &'static str,
    about: &'static str,
    words: &'static str,
    flags: &'static [&'static str],
) -> Planned {
    Planned { name, aliases: &[], about, words, flags, commands: &[], hidden: false }
}

const fn group(name: &'static str, about: &'static str, commands: &'static [Planned]) -> Planned {
    Planned { commands, ..command(name, about, "", &[]) }
}

const fn aliased(aliases: &'static [&'static str], planned: Planned) -> Planned {
    Planned { aliases, ..planned }
}

const fn hidden(planned: Planned) -> Planned {
    Planned { hidden: true, ..planned }
}

const COMMANDS: &[Planned] = &[
    command("factory-reset", "Bring an instance back to its first start", "[INSTANCE]", &[]),
    group(
        "disk",
        "Look after additional disks",
        &[
            command("create", "Make a disk", "DISK", &["format=", "size="]),
            aliased(&["ls"], command("list", "List disks", "[DISK...]", &["json"])),
            aliased(&["remove", "rm"], command("delete", "Delete disks", "DISK...", &["f,force"])),
            command("unlock", "Free disks of a crashed instance", "DISK...", &[]),
            command("resize", "Change the size of a disk", "DISK", &["size="]),
            command("import", "Take a file in as a disk", "DISK FILE", &[]),
        ],
    ),
    group(
        "snapshot",
        "Look after snapshots",
        &[
            aliased(&["save"], command("create", "Make a snapshot", "INSTANCE", &["tag="])),
            aliased(&["load"], command("apply", "Go back to a snapshot", "INSTANCE", &["tag="])),
            aliased(&["del"], command("delete", "Delete a snapshot", "INSTANCE", &["tag="])),
            aliased(&["ls"], command("list", "List snapshots", "INSTANCE", &["q,quiet"])),
        ],
    ),
    command("protect", "Keep instances from being deleted by accident", "INSTANCE...", &[]),
    command("unprotect", "Allow instances to be deleted again", "INSTANCE...", &[]),
    command("tunnel", "Open a tunnel into the guest's network", "INSTANCE", &["socks-port=", "type="]),
    command("clone", "Make an instance that is a copy of another", "OLD NEW", &["start"]),
    command("rename", "Give an instance another name", "OLD NEW", &["start"]),
    hidden(command(
        "usernet",
        "The daemon of a user-mode network",
        "",
        &["p,pidfile=", "e,endpoint=", "listen-qemu=", "listen=", "subnet=", "mtu=", "leases="],
    )),
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
        let name = format!("{parent} {}", self.name);
        let usage = format!("{name} {} [flags]", self.words).replace("  ", " ");
        let mut command = Command::new(self.name)
            .aliases(self.aliases)
            .about(format!("{} {NOT_YET}", self.about))
            .override_usage(usage)
            .hide(self.hidden);
        for (index, word) in self.words.split_whitespace().enumerate() {
            let optional = word.starts_with('[');
            let mut positional = Arg::new(format!("word{index}")).required(!optional);
            if word.contains("...") {
                positional = positional.action(ArgAction::Append);
            }
            command = command.arg(positional);
        }
        for spec in self.flags {
            command = command.arg(flag(spec));
        }
        for sub in self.commands {
            command = command.subcommand(sub.declare(&name));
        }
        command
    }
}

fn long_name(spec: &str) -> &str {
    let spec = spec.split_once(',').map_or(spec, |(_, long)| long);
    spec.trim_end_matches('=')
}

fn flag(spec: &'static str) -> Arg {
    let long = long_name(spec);
    let mut arg = Arg::new(long).long(long).help(NOT_YET);
    if let Some((short, _)) = spec.split_once(',') {
        arg = arg.short(short.chars().next());
    }
    arg.action(if spec.ends_with('=') { ArgAction::Append } else { ArgAction::SetTrue })
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
