//! One command's page, from the declarations that its help is made of: troff for `man`, Markdown for a website. Pure.
//!
//! Our own sixty lines rather than `clap_mangen`: its pages show clap's usage and clap's grammar, not those of this program, and it has no
//! Markdown.

use clap::{Arg, Command};

use super::help;

/// The command as people type it: `limactl disk create`.
pub fn name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or("limactl")
}

struct Page<'a> {
    name: &'a str,
    summary: String,
    description: String,
    usage: String,
    own: Vec<&'a Arg>,
    global: Vec<&'a Arg>,
    commands: Vec<&'a Command>,
}

impl Page<'_> {
    fn of(command: &Command) -> Page<'_> {
        let about =
            |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
        let is_root = name(command) == "limactl";
        let mut flags: Vec<&Arg> =
            command.get_arguments().filter(|arg| arg.get_long().is_some() && !arg.is_hide_set()).collect();
        flags.sort_by_key(|arg| arg.get_long());
        let (global, own) = flags.into_iter().partition(|arg| arg.is_global_set() && !is_root);
        let mut commands: Vec<&Command> =
            command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
        commands.sort_by_key(|sub| sub.get_name());
        Page {
            name: name(command),
            summary: about(command.get_about()),
            description: about(command.get_long_about().or(command.get_about())),
            usage: help::usage(command),
            own,
            global,
            commands,
        }
    }

    /// The page above this one; empty for the program itself.
    fn parent(&self) -> &str {
        self.name.rsplit_once(' ').map_or("", |(parent, _)| parent)
    }
}

fn page_name(name: &str) -> String {
    name.replace(' ', "-")
}

/// A page of section 1.
pub fn man(command: &Command) -> String {
    let page = Page::of(command);
    let title = page_name(page.name);
    let mut text = format!(
        ".\\\" Made by limactl generate-doc.\n.TH {} 1 \"\" \"Lima {}\" \"User Commands\"\n",
        title.to_uppercase(),
        super::tree::VERSION
    );
    text.push_str(&format!(".SH NAME\n{} \\- {}\n", troff(&title), troff(&page.summary)));
    text.push_str(&format!(".SH SYNOPSIS\n.B {}\n", troff(&page.usage)));
    text.push_str(&format!(".SH DESCRIPTION\n.nf\n{}\n.fi\n", troff(page.description.trim_end())));
    for (title, flags) in [("OPTIONS", &page.own), ("GLOBAL OPTIONS", &page.global)] {
        if !flags.is_empty() {
            text.push_str(&format!(".SH {title}\n"));
        }
        for flag in flags {
            let (name, about) = (help::flag_name(flag), help::flag_help(flag));
            text.push_str(&format!(".TP\n.B {}\n{}\n", troff(name.trim()), troff(&about)));
        }
    }
    if !page.commands.is_empty() {
        text.push_str(".SH COMMANDS\n");
    }
    for sub in &page.commands {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!(".TP\n.B {}\n{}\n", troff(sub.get_name()), troff(&about)));
    }
    let mut related: Vec<String> = page.commands.iter().map(|sub| page_name(name(sub))).collect();
    if !page.parent().is_empty() {
        related.insert(0, page_name(page.parent()));
    }
    if !related.is_empty() {
        let related: Vec<String> = related.iter().map(|name| format!("\\fB{}\\fP(1)", troff(name))).collect();
        text.push_str(&format!(".SH SEE ALSO\n{}\n", related.join(", ")));
    }
    text
}

/// Text that troff takes for text.
fn troff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped.split('\n').map(|line| match line.chars().next() {
        Some('.' | '\'') => format!("\\&{line}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A page for a website.
pub fn docsy(command: &Command) -> String {
    let page = Page::of(command);
    let mut text = format!("---\ntitle: {}\nweight: 3\n---\n", page.name);
    text.push_str(&format!("{}\n\n```\n{}\n```\n", page.summary, page.usage));
    if page.description != page.summary {
        text.push_str(&format!("\n### Synopsis\n\n```\n{}\n```\n", page.description.trim_end()));
    }
    for (title, flags) in [("Options", &page.own), ("Options inherited from parent commands", &page.global)] {
        if flags.is_empty() {
            continue;
        }
        let lines =
            flags.iter().map(|flag| format!("{}   {}\n", help::flag_name(flag), help::flag_help(flag)));
        text.push_str(&format!("\n### {title}\n\n```\n{}```\n", lines.collect::<String>()));
    }
    let parent = Some(page.parent()).filter(|parent| !parent.is_empty());
    let related = parent.into_iter().chain(page.commands.iter().map(|sub| name(sub)));
    let lines: String = related.map(|name| format!("* [{name}](../{}/)\n", name.replace(' ', "_"))).collect();
    if !lines.is_empty() {
        text.push_str(&format!("\n### See also\n\n{lines}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &[&str], render: fn(&Command) -> String) -> String {
        let mut root = super::super::tree::command();
        root.build();
        let mut command = &root;
        for name in path {
            command = command.find_subcommand(name).unwrap();
        }
        render(command)
    }

    #[test]
    fn a_manual_page_has_its_sections() {
        let text = page(&["list"], man);
        for part in [
            ".TH LIMACTL-LIST 1 ",
            ".SH NAME\nlimactl\\-list \\- List instances of Lima\n",
            ".SH SYNOPSIS\n.B limactl list [flags] [INSTANCE]...\n",
            ".TP\n.B \\-f, \\-\\-format FORMAT\n",
            ".SH GLOBAL OPTIONS\n.TP\n.B \\-\\-debug\n",
            ".SH SEE ALSO\n\\fBlimactl\\fP(1)\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(page(&["completion"], man).contains("\\fBlimactl\\-completion\\-bash\\fP(1)"));
    }

    #[test]
    fn a_line_of_text_is_never_a_request() {
        assert_eq!(troff(".x\n'y\na-b\\c"), "\\&.x\n\\&'y\na\\-b\\ec");
    }

    #[test]
    fn a_page_of_the_website_links_to_its_neighbours() {
        let text = page(&["completion"], docsy);
        assert!(text.starts_with("---\ntitle: limactl completion\nweight: 3\n---\n"), "{text}");
        assert!(text.contains(
            "* [limactl](../limactl/)\n* [limactl completion bash](../limactl_completion_bash/)\n"
        ));
    }
}
