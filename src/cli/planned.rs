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
    aliased(
        &["cp"],
        command(
            "copy",
            "Copy files between host and guest",
            "SOURCE TARGET...",
            &["backend=", "r,recursive", "v,verbose"],
        ),
    ),
    command("edit", "Change the configuration of an instance or a file", "[INSTANCE|FILE.yaml]", &["start"]),
    command("info", "Show facts about this installation", "", &["yq="]),
    command("tunnel", "Open a tunnel into the guest's network", "INSTANCE", &["socks-port=", "type="]),
    command("sudoers", "Print the sudoers file for managed networks", "[FILE]", &["check"]),
    group(
        "autostart",
        "Start instances at login",
        &[
            command("enable", "Start an instance at login", "INSTANCE", &["condition=", "user="]),
            command("disable", "Do not start an instance at login", "INSTANCE", &[]),
        ],
    ),
    group(
        "network",
        "Look after networks",
        &[
            aliased(&["ls"], command("list", "List networks", "[NAME...]", &["json"])),
            command("create", "Make a network", "NAME", &["gateway=", "interface=", "mode="]),
            aliased(&["remove", "rm"], command("delete", "Delete networks", "NAME...", &["f,force"])),
        ],
    ),
    hidden(command("start-at-login", "Old form of autostart", "[INSTANCE]", &["enabled"])),
    hidden(command(
        "usernet",
        "The daemon of a user-mode network",
        "",
        &["p,pidfile=", "e,endpoint=", "listen-qemu=", "listen=", "subnet=", "mtu=", "leases="],
    )),
    hidden(command("guest-install", "Put the guest agent into a guest", "[INSTANCE]", &[])),
    hidden(group(
        "debug",
        "Tools for developers",
        &[command("dns", "Run the name server", "UDPPORT [TCPPORT]", &["6,ipv6"])],
    )),
];

/// The flags that come later, of commands that are here.
const FLAGS: &[(&str, &[&[&str]])] = &[("shell", &[&["sync="]])];

/// Commands that come later below a command that is here.
const NESTED: &[(&str, Planned)] = &[("template", command("yq", "Ask a template", "TEMPLATE EXPR", &[]))];

/// Adds everything that is planned to the commands that are here.
pub fn add_to(root: Command) -> Command {
    let root = COMMANDS.iter().fold(root, |root, planned| root.subcommand(planned.declare("limactl")));
    let root = NESTED.iter().fold(root, |root, (parent, planned)| {
        root.mut_subcommand(parent, |command| {
            command.subcommand(planned.declare(&format!("limactl {parent}")))
        })
    });
    FLAGS.iter().fold(root, |root, (name, flags)| {
        let names = flags.iter().copied().flatten();
        root.mut_subcommand(name, |command| names.fold(command, |command, spec| command.arg(flag(spec))))
    })
}

/// What of a command line is not there yet, as users call it: the command, or else its first flag of that kind.
pub fn refusal(line: &Sorted) -> Option<String> {
    let is_nested = NESTED.iter().any(|(parent, planned)| line.path == [*parent, planned.name]);
    if is_nested || COMMANDS.iter().any(|command| line.path.first().is_some_and(|word| word == command.name))
    {
        return Some(format!("`limactl {}`", line.path.join(" ")));
    }
    let command = line.path.join(" ");
    let (_, planned) = FLAGS.iter().find(|(name, _)| *name == command)?;
    let is_planned = |flag: &String| planned.iter().copied().flatten().any(|spec| long_name(spec) == flag);
    let flag = line.flags.iter().find(|flag| is_planned(flag))?;
    Some(format!("flag `--{flag}` of `limactl {command}`"))
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
    use crate::cli::words::is_boolean;

    fn refusal_of(path: &str, flags: &[&str]) -> Option<String> {
        refusal(&Sorted {
            path: path.split(' ').map(str::to_owned).collect(),
            flags: flags.iter().map(|flag| flag.to_string()).collect(),
            argv: Vec::new(),
        })
    }

    #[test]
    fn commands_and_flags_are_refused_by_name() {
        assert_eq!(refusal_of("network list", &["json"]), Some("`limactl network list`".into()));
        assert_eq!(refusal_of("template yq", &[]), Some("`limactl template yq`".into()));
        assert_eq!(refusal_of("template copy", &["fill"]), None);
        assert_eq!(refusal_of("create", &["cpus"]), None);
        assert_eq!(refusal_of("list", &["json"]), None);
    }

    #[test]
    fn every_planned_flag_belongs_to_a_command_that_is_here_and_is_no_boolean_by_mistake() {
        let root = super::super::tree::command();
        for (name, flags) in FLAGS {
            let command = root.find_subcommand(name).unwrap();
            for spec in flags.iter().copied().flatten() {
                let arg =
                    command.get_arguments().find(|arg| arg.get_long() == Some(long_name(spec))).unwrap();
                assert_eq!(is_boolean(arg), !spec.ends_with('='), "{name} {spec}");
            }
        }
    }
}
