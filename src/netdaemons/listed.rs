//! What sudo says that a user may do (`sudo --list --list`), where the file of rules cannot be read. Pure.
//!
//! `sudo --list COMMAND` proves nothing: it also counts rules that want a password. So the long list is read, and a command is granted only by an
//! entry with the option `!authenticate`, or by one that names every command. The text is sudoers(5)'s: a blank line between entries,
//! commands behind a tab, long ones wrapped, and `\` in front of `=`, `:`, `,` and itself.

use super::privileged::RootCommand;

/// The commands that `listing` does not grant without a password, in order; none if all are granted.
pub fn grants_all<'a>(listing: &str, commands: &'a [RootCommand]) -> Vec<&'a RootCommand> {
    let entries = entries(listing);
    // The last entry that matches decides, as in the file.
    let is_granted = |command: &RootCommand| {
        let decisive =
            entries.iter().rev().find(|entry| entry.fits(command) && entry.mentions(&command.line()));
        decisive.is_some_and(|entry| entry.is_open && entry.names(&command.line()))
    };
    commands.iter().filter(|command| !is_granted(command)).collect()
}

/// One rule.
#[derive(Debug, Default)]
struct Entry {
    users: Vec<String>,
    groups: Vec<String>,
    /// No password is wanted.
    is_open: bool,
    commands: Vec<String>,
}

impl Entry {
    fn fits(&self, command: &RootCommand) -> bool {
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name || known == "ALL");
        // Root's own primary group may always be asked for.
        has(&self.users, "root") && (has(&self.groups, command.group()) || self.groups.is_empty())
    }

    fn mentions(&self, line: &str) -> bool {
        let plain = |command: &String| command.trim_start_matches('!').trim().to_owned();
        self.commands.iter().map(plain).any(|command| command == line || command == "ALL")
    }

    /// The last word on a command wins, as in the file: `!` takes back.
    fn names(&self, line: &str) -> bool {
        let mut granted = false;
        for command in &self.commands {
            match command.strip_prefix('!') {
                Some(refused) if refused.trim() == line || refused.trim() == "ALL" => granted = false,
                None if command == line || command == "ALL" => granted = true,
                _ => {}
            }
        }
        granted
    }
}

fn entries(listing: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_commands = false;
    for line in listing.lines() {
        if line.starts_with("Sudoers entry:")
            || line.starts_with("LDAP Role:")
            || line.starts_with("SSSD Role:")
        {
            entries.push(Entry::default());
            in_commands = false;
            continue;
        }
        let Some(entry) = entries.last_mut() else { continue };
        let list = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect();
        match line.trim().split_once(": ") {
            _ if line.trim() == "Commands:" => in_commands = true,
            _ if in_commands && line.starts_with('\t') => entry.commands.push(unescaped(line.trim())),
            _ if in_commands && line.starts_with(' ') => {
                if let Some(last) = entry.commands.last_mut() {
                    last.push(' ');
                    last.push_str(&unescaped(line.trim()));
                }
            }
            Some(("RunAsUsers", names)) => entry.users = list(names),
            Some(("RunAsGroups", names)) => entry.groups = list(names),
            Some(("Options", options)) => {
                entry.is_open = options.split(',').any(|option| option.trim() == "!authenticate");
            }
            _ => {}
        }
    }
    entries
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.extend(if c == '\\' { rest.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostOs;
    use crate::config::managed::{ManagedNetworks, test_defaults};
    use crate::netdaemons::{privileged, system::test_linux};

    /// As sudo 1.9.13p3 prints it.
    const LISTING: &str = "Matching Defaults entries for tester on vm:
    env_reset, mail_badpass,
    secure_path=/usr/local/sbin\\:/usr/local/bin\\:/usr/sbin\\:/usr/bin\\:/sbin\\:/bin,
    use_pty

User tester may run the following commands on vm:

Sudoers entry:
    RunAsUsers: root
    RunAsGroups: root
    Options: !setenv, !authenticate
    Commands:
\t/bin/mkdir -m 755 -p /run/lima

Sudoers entry:
    RunAsUsers: root
    RunAsGroups: root
    Options: !setenv, !authenticate
    Commands:
\t/opt/socket_vmnet/bin/socket_vmnet --pidfile\\=/run/lima/n_socket_vmnet.pid
        --socket-group\\=sudo --vmnet-mode\\=bridged --vmnet-interface\\=eth0
        /run/lima/socket_vmnet.n
\t/usr/bin/pkill -USR1 -L -F /run/lima/n_socket_vmnet.pid
";

    fn missing(listing: &str) -> Vec<String> {
        let text = "networks: {n: {mode: bridged, interface: eth0}}\ngroup: sudo\n";
        let networks = ManagedNetworks::read(text, &test_defaults(), HostOs::Linux).unwrap();
        let commands = privileged::all(&networks, &test_linux());
        grants_all(listing, &commands).iter().map(|command| command.line()).collect()
    }

    #[test]
    fn rules_without_a_password_are_found_whatever_their_lines_are_broken_to() {
        assert_eq!(missing(LISTING), Vec::<String>::new());
    }

    #[test]
    fn a_rule_that_wants_a_password_grants_nothing() {
        assert_eq!(missing(&LISTING.replace("!authenticate", "authenticate")).len(), 3);
        assert_eq!(missing(&LISTING.replace(", !authenticate", "")).len(), 3);
        assert_eq!(missing("User x is not allowed to run sudo on vm.\n").len(), 3);
    }

    #[test]
    fn another_argument_or_another_user_is_another_command() {
        let other = LISTING.replace("interface\\=eth0", "interface\\=eth1");
        assert_eq!(missing(&other).len(), 1);
        assert_eq!(missing(&LISTING.replace("RunAsUsers: root", "RunAsUsers: backup")).len(), 3);
        assert_eq!(missing(&LISTING.replace("RunAsGroups: root", "RunAsGroups: wheel")).len(), 3);
    }

    #[test]
    fn everything_without_a_password_is_enough_unless_it_is_taken_back() {
        let all = "Sudoers entry: /etc/sudoers.d/x\n    RunAsUsers: ALL\n    Options: !authenticate\n    Commands:\n\tALL\n";
        assert_eq!(missing(all), Vec::<String>::new());
        assert_eq!(missing(&format!("{all}\t!/bin/mkdir -m 755 -p /run/lima\n")).len(), 1);
        let later = all.replace("!authenticate", "authenticate");
        assert_eq!(missing(&format!("{LISTING}\n{later}")).len(), 3, "a later rule wants a password");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[ \\t\\n\\\\=:,!a-zA-Z/]{0,200}") {
            let _ = missing(&text);
            let _ = missing(&format!("Sudoers entry:\n    Commands:\n{text}"));
        }
    }
}
