//! Help texts, laid out as upstream's: what it does, usage, commands, flags. Everything comes from the declarations.

use clap::{Arg, Command};

use super::words::is_boolean;

/// The commands that most people need, in the order of a first day.
const BASIC: [&str; 8] = ["create", "start", "stop", "shell", "list", "delete", "edit", "restart"];

/// The help of the command at `path`; of the program itself if the path is empty or unknown.
pub fn text(root: &Command, path: &[String]) -> String {
    let mut command = root;
    for name in path {
        command = command.find_subcommand(name).unwrap_or(command);
    }
    let mut text = about(command);
    text.push_str(&format!("\nUsage:\n  {}\n", usage(command)));
    let aliases: Vec<&str> = command.get_all_aliases().collect();
    if !aliases.is_empty() {
        text.push_str(&format!("\nAliases:\n  {}, {}\n", command.get_name(), aliases.join(", ")));
    }
    text.push_str(&commands(command, path.is_empty()));
    let is_global = |arg: &&Arg| arg.is_global_set() && !path.is_empty() && arg.get_long() != Some("help");
    text.push_str(&flags("Flags", command.get_arguments().filter(|arg| !is_global(arg))));
    text.push_str(&flags("Global Flags", command.get_arguments().filter(is_global)));
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

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

fn commands(command: &Command, is_root: bool) -> String {
    let mut visible: Vec<&Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
    visible.sort_by_key(|sub| sub.get_name());
    if !is_root {
        return section("Available Commands", visible.into_iter().map(command_line));
    }
    let basic = BASIC.iter().filter_map(|name| command.find_subcommand(name));
    let advanced = visible.into_iter().filter(|sub| !BASIC.contains(&sub.get_name()));
    let help = "  help            Help about any command\n".to_owned();
    section("Basic Commands", basic.map(command_line))
        + &section("Advanced Commands", advanced.map(command_line).chain([help]))
}

fn command_line(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    format!("  {:<15} {about}\n", command.get_name())
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
fn flag_name(arg: &Arg) -> String {
    let short = arg.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let mut name = format!("  {short}--{}", arg.get_long().unwrap_or_default());
    if !is_boolean(arg) {
        let value = arg.get_value_names().and_then(|names| names.first());
        name.push_str(&format!(" {}", value.map_or("VALUE", |name| name.as_str())));
    }
    name
}

fn flag_help(arg: &Arg) -> String {
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
        text(&root, &path)
    }

    #[test]
    fn the_root_lists_every_command_that_is_not_hidden() {
        let text = help(&[]);
        for name in ["  create  ", "  validate  ", "  help  ", "  disk  ", "      --log-format FORMAT"] {
            assert!(text.contains(name), "{name}\n{text}");
        }
        assert!(!text.contains("hostagent") && !text.contains("usernet"), "{text}");
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
