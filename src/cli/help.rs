//! Help texts, laid out as upstream's: what it does, usage, commands, flags. Everything comes from the declarations.

use clap::{Arg, Command};

use super::plugins::Plugin;
use super::words::is_boolean;

/// The commands that most people need, in the order of a first day.
const BASIC: [&str; 8] = ["create", "start", "stop", "shell", "list", "delete", "edit", "restart"];

/// Commands that have nothing to run and are shown as topics.
const TOPICS: [&str; 1] = ["yq-restrictions"];
/// Commands about the program itself, below the others.
const ADDITIONAL: [&str; 2] = ["completion", "help"];

/// Whether `name` is a text to read rather than something to run.
pub fn is_topic(name: &str) -> bool {
    TOPICS.contains(&name)
}

/// Adds the topics to the commands.
pub fn add_topics_to(root: Command) -> Command {
    root.subcommand(
        Command::new(TOPICS[0])
            .hide(true)
            .about("What yq expressions may not do")
            .long_about(YQ_RESTRICTIONS),
    )
}

const YQ_RESTRICTIONS: &str = "What yq expressions may not do

Expressions of --set, --yq, --filter and `limactl template yq` are evaluated inside limactl, by its own reader of yq's
language. They see the document that they are run on and nothing else:

  env, strenv, envsubst              environment variables: \"env operations have been disabled\"
  load, load_str, load_xml, ...      files: \"file operations have been disabled\"
  system                             other programs: \"system operations are disabled\"

A shell puts a variable's value into an expression before limactl sees it:

  limactl create --set \".env.TOKEN = \\\"$TOKEN\\\"\" template:default";

/// The help of the command at `path`; of the program itself, with other programs' commands, if the path is empty or unknown.
pub fn text(root: &Command, path: &[String], plugins: &[Plugin]) -> String {
    let mut command = root;
    for name in path {
        command = command.find_subcommand(name).unwrap_or(command);
    }
    let mut text = about(command);
    if is_topic(command.get_name()) {
        return text;
    }
    text.push_str(&format!("\nUsage:\n  {}\n", usage(command)));
    let aliases: Vec<&str> = command.get_all_aliases().collect();
    if !aliases.is_empty() {
        text.push_str(&format!("\nAliases:\n  {}, {}\n", command.get_name(), aliases.join(", ")));
    }
    text.push_str(&if path.is_empty() { groups(command, plugins) } else { commands(command) });
    let is_global = |arg: &&Arg| arg.is_global_set() && !path.is_empty() && arg.get_long() != Some("help");
    text.push_str(&flags("Flags", command.get_arguments().filter(|arg| !is_global(arg))));
    text.push_str(&flags("Global Flags", command.get_arguments().filter(is_global)));
    if path.is_empty() {
        text.push_str(&topics(command));
    }
    if command.has_subcommands() {
        let name = command.get_bin_name().unwrap_or("limactl");
        text.push_str(&format!("\nUse \"{name} [command] --help\" for more information about a command.\n"));
    }
    text
}

fn about(command: &Command) -> String {
    let long = command.get_long_about().or(command.get_about());
    format!("{}\n", long.map(ToString::to_string).unwrap_or_default())
}

pub fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

fn visible(command: &Command) -> Vec<&Command> {
    let mut visible: Vec<&Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
    visible.sort_by_key(|sub| sub.get_name());
    visible
}

fn commands(command: &Command) -> String {
    section("Available Commands", visible(command).into_iter().map(command_line))
}

/// The groups of the program's own help.
fn groups(root: &Command, plugins: &[Plugin]) -> String {
    let all = visible(root);
    let basic = BASIC.iter().filter_map(|name| root.find_subcommand(name));
    let is_advanced =
        |sub: &&&Command| !BASIC.contains(&sub.get_name()) && !ADDITIONAL.contains(&sub.get_name());
    let advanced = all.iter().filter(is_advanced);
    let additional = all.iter().filter(|sub| ADDITIONAL.contains(&sub.get_name()));
    let help = line("help", "Help about any command");
    // A command of ours wins over another program's.
    let plugins =
        plugins.iter().filter(|plugin| plugin.is_visible() && root.find_subcommand(&plugin.name).is_none());
    section("Basic Commands", basic.map(command_line))
        + &section("Advanced Commands", advanced.map(|sub| command_line(sub)))
        + &section(
            "Available Plugins (Experimental)",
            plugins.map(|plugin| line(&plugin.name, &plugin.description)),
        )
        + &section("Additional Commands", additional.map(|sub| command_line(sub)).chain([help]))
}

fn topics(root: &Command) -> String {
    let topics = TOPICS.iter().filter_map(|name| root.find_subcommand(name));
    section(
        "Additional help topics",
        topics.map(|topic| line(&format!("limactl {}", topic.get_name()), &short(topic))),
    )
}

fn short(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn command_line(command: &Command) -> String {
    line(command.get_name(), &short(command))
}

fn line(name: &str, about: &str) -> String {
    let line = format!("  {name:<15} {about}");
    format!("{}\n", line.trim_end())
}

fn section(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.collect();
    if lines.is_empty() {
        return lines;
    }
    format!("\n{title}:\n{lines}")
}

fn flags<'a>(title: &str, args: impl Iterator<Item = &'a Arg>) -> String {
    let mut shown: Vec<&Arg> = args.filter(|arg| arg.get_long().is_some() && !arg.is_hide_set()).collect();
    shown.sort_by_key(|arg| arg.get_long());
    let names: Vec<String> = shown.iter().map(|arg| flag_name(arg)).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let lines = names.iter().zip(&shown);
    section(title, lines.map(|(name, arg)| format!("{name:<width$}   {}\n", flag_help(arg))))
}

/// `  -f, --force` or `      --name NAME`.
pub fn flag_name(arg: &Arg) -> String {
    let short = arg.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let mut name = format!("  {short}--{}", arg.get_long().unwrap_or_default());
    if !is_boolean(arg) {
        let value = arg.get_value_names().and_then(|names| names.first());
        name.push_str(&format!(" {}", value.map_or("VALUE", |name| name.as_str())));
    }
    name
}

pub fn flag_help(arg: &Arg) -> String {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if let ([default], false) = (arg.get_default_values(), is_boolean(arg)) {
        help.push_str(&format!(" (default {})", default.to_string_lossy()));
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(path: &[&str]) -> String {
        let mut root = super::super::tree::command();
        root.build();
        let path: Vec<String> = path.iter().map(|s| s.to_string()).collect();
        text(&root, &path, &[])
    }

    #[test]
    fn the_root_lists_every_command_that_is_not_hidden() {
        let text = help(&[]);
        for name in ["  create  ", "  validate  ", "  help  ", "  disk  ", "      --log-format FORMAT"] {
            assert!(text.contains(name), "{name}\n{text}");
        }
        assert!(!text.contains("hostagent") && !text.contains("usernet"), "{text}");
        assert!(text.contains("\nAdditional help topics:\n  limactl yq-restrictions "), "{text}");
        assert!(text.contains("\nAdditional Commands:\n  completion "), "{text}");
    }

    #[test]
    fn plugins_have_a_group_of_their_own() {
        let mut root = super::super::tree::command();
        root.build();
        let plugin = |name: &str, description: &str| Plugin {
            name: name.into(),
            path: format!("/x/limactl-{name}").into(),
            description: description.into(),
        };
        let text = text(
            &root,
            &[],
            &[plugin("list", ""), plugin("mcp", "Serve"), plugin("none", ""), plugin("url-x", "")],
        );
        assert!(
            text.contains("\nAvailable Plugins (Experimental):\n  mcp             Serve\n  none\n\n"),
            "{text}"
        );
    }

    #[test]
    fn a_topic_is_only_read() {
        let text = help(&["yq-restrictions"]);
        assert!(text.starts_with("What yq expressions may not do\n\n") && !text.contains("Usage:"), "{text}");
    }

    #[test]
    fn a_command_shows_its_flags_and_the_global_ones_apart() {
        let text = help(&["delete"]);
        assert!(text.contains("\nAliases:\n  delete, remove, rm\n"), "{text}");
        assert!(text.contains("\nFlags:\n  -f, --force "), "{text}");
        assert!(text.contains("\nGlobal Flags:\n      --debug "), "{text}");
        assert!(text.contains("Usage:\n  limactl delete INSTANCE"), "{text}");
    }
}
