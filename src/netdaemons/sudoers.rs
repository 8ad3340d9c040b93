//! The rules with which sudo lets a group run the commands of `privileged` without a password, and how a file differs from them. Pure.

use super::System;
use super::privileged::{self, RootCommand};
use crate::config::HostOs;
use crate::config::managed::ManagedNetworks;

/// The text of the file. On macOS it is upstream's to the byte, because upstream compares it so. Only networks of [`ManagedNetworks`] get into it:
/// their names, group and interfaces were checked, and `validate` vouches for the paths.
pub fn text(networks: &ManagedNetworks, system: &System) -> String {
    let group = &networks.group;
    let rule = |command: &RootCommand| format!("%{group} ALL=(root:{}) NOPASSWD:NOSETENV:", command.group());
    let directory = privileged::make_directory(networks, system);
    let mut text = format!("{} {}\n", rule(&directory), directory.line());
    for network in &networks.networks {
        let start = privileged::start(networks, network, system);
        let stop = privileged::stop(network, system);
        text += &format!(
            "\n# Manage \"{}\" network daemons\n\n{} \\\n    {}, \\\n    {}\n",
            network.name,
            rule(&start),
            start.line(),
            stop.line()
        );
    }
    text
}

/// How to write the file, for people; `limactl` is how this program is called. On macOS these are upstream's words.
pub fn install_command(limactl: &str, file: &str, os: HostOs) -> String {
    let mode = if os == HostOs::MacOs { "" } else { "-m 440 " };
    format!(
        "{limactl} sudoers >etc_sudoers.d_lima && sudo install -o root {mode}etc_sudoers.d_lima \"{file}\""
    )
}

/// What differs, line by line: `-` what the file has, `+` what belongs there, each with its number. Lines that are in both in the same order
/// are left out.
pub fn differences(file: &str, wanted: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (file.lines().collect(), wanted.lines().collect());
    let common = common_lines(&old, &new);
    let mut told = Vec::new();
    let (mut at, mut to) = (0, 0);
    for (kept_old, kept_new) in common.into_iter().chain(std::iter::once((old.len(), new.len()))) {
        let mut tell = |sign: char, lines: &[&str], from: usize| {
            told.extend(lines.iter().enumerate().map(|(number, line)| {
                let shown = if line.is_empty() { "(an empty line)" } else { line };
                format!("{sign} line {}: {shown}", from + number + 1)
            }));
        };
        tell('-', &old[at..kept_old], at);
        tell('+', &new[to..kept_new], to);
        (at, to) = (kept_old + 1, kept_new + 1);
    }
    if told.is_empty() && file != wanted {
        told.push("the ends of lines differ".to_owned());
    }
    told
}

/// Lines beyond which a file is not compared line by line: it is not one of these.
const MAX_LINES: usize = 2000;

/// Index pairs of a longest common subsequence.
fn common_lines(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        return Vec::new();
    }
    // lengths[i][j]: of the longest common subsequence of old[i..] and new[j..].
    let mut lengths = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i][j] = match old[i] == new[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::managed::{test_defaults, test_mac_defaults};
    use crate::config::networks::new_file;
    use crate::netdaemons::system::{test_linux, test_mac};

    fn of_mac() -> String {
        let text = new_file(&test_mac_defaults());
        let networks = ManagedNetworks::read(&text, &test_mac_defaults(), HostOs::MacOs).unwrap();
        super::text(&networks, &test_mac())
    }

    /// Upstream compares the file byte by byte with a text of this form.
    #[test]
    fn the_text_of_macos_is_upstreams_to_the_byte() {
        let expected = r#"%admin ALL=(root:wheel) NOPASSWD:NOSETENV: /bin/mkdir -m 775 -p /private/var/run/lima

# Manage "bridged" network daemons

%admin ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/socket_vmnet/bin/socket_vmnet --pidfile=/private/var/run/lima/bridged_socket_vmnet.pid --socket-group=admin --vmnet-mode=bridged --vmnet-interface=en0 /private/var/run/lima/socket_vmnet.bridged, \
    /usr/bin/pkill -F /private/var/run/lima/bridged_socket_vmnet.pid

# Manage "host" network daemons

%admin ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/socket_vmnet/bin/socket_vmnet --pidfile=/private/var/run/lima/host_socket_vmnet.pid --socket-group=admin --vmnet-mode=host --vmnet-gateway=192.168.106.1 --vmnet-dhcp-end=192.168.106.254 --vmnet-mask=255.255.255.0 /private/var/run/lima/socket_vmnet.host, \
    /usr/bin/pkill -F /private/var/run/lima/host_socket_vmnet.pid

# Manage "shared" network daemons

%admin ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/socket_vmnet/bin/socket_vmnet --pidfile=/private/var/run/lima/shared_socket_vmnet.pid --socket-group=admin --vmnet-mode=shared --vmnet-gateway=192.168.105.1 --vmnet-dhcp-end=192.168.105.254 --vmnet-mask=255.255.255.0 /private/var/run/lima/socket_vmnet.shared, \
    /usr/bin/pkill -F /private/var/run/lima/shared_socket_vmnet.pid
"#;
        assert_eq!(of_mac(), expected);
    }

    /// Names in the order of bytes, every form of a name, another group and other places; what needs no root, or cannot work, has no rules.
    #[test]
    fn the_text_of_macos_is_upstreams_for_any_networks() {
        let yaml = "
paths: {socketVMNet: /opt/lima-1.2/socket_vmnet, varRun: /private/var/run/my.lima, sudoers: /private/etc/sudoers.d/lima}
group: my.staff_1
networks:
  a_1: {mode: host, gateway: 10.0.1.1, dhcpEnd: 10.0.1.99, netmask: 255.255.255.128}
  a.b: {mode: bridged, interface: bridge100}
  user-v2: {mode: user-v2, gateway: 192.168.104.1, netmask: 255.255.255.0}
  a-b: {mode: shared, gateway: 10.0.2.1}
  Lab: {mode: bridged, interface: en7}
  odd: {mode: wild}
  10: {mode: host, gateway: 10.0.3.1, dhcpEnd: 10.0.3.2, netmask: 255.255.255.0}
";
        let networks = ManagedNetworks::read(yaml, &test_mac_defaults(), HostOs::MacOs).unwrap();
        let expected = r#"%my.staff_1 ALL=(root:wheel) NOPASSWD:NOSETENV: /bin/mkdir -m 775 -p /private/var/run/my.lima

# Manage "10" network daemons

%my.staff_1 ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/lima-1.2/socket_vmnet --pidfile=/private/var/run/my.lima/10_socket_vmnet.pid --socket-group=my.staff_1 --vmnet-mode=host --vmnet-gateway=10.0.3.1 --vmnet-dhcp-end=10.0.3.2 --vmnet-mask=255.255.255.0 /private/var/run/my.lima/socket_vmnet.10, \
    /usr/bin/pkill -F /private/var/run/my.lima/10_socket_vmnet.pid

# Manage "Lab" network daemons

%my.staff_1 ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/lima-1.2/socket_vmnet --pidfile=/private/var/run/my.lima/Lab_socket_vmnet.pid --socket-group=my.staff_1 --vmnet-mode=bridged --vmnet-interface=en7 /private/var/run/my.lima/socket_vmnet.Lab, \
    /usr/bin/pkill -F /private/var/run/my.lima/Lab_socket_vmnet.pid

# Manage "a-b" network daemons

%my.staff_1 ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/lima-1.2/socket_vmnet --pidfile=/private/var/run/my.lima/a-b_socket_vmnet.pid --socket-group=my.staff_1 --vmnet-mode=shared --vmnet-gateway=10.0.2.1 --vmnet-dhcp-end=10.0.2.254 --vmnet-mask=255.255.255.0 /private/var/run/my.lima/socket_vmnet.a-b, \
    /usr/bin/pkill -F /private/var/run/my.lima/a-b_socket_vmnet.pid

# Manage "a.b" network daemons

%my.staff_1 ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/lima-1.2/socket_vmnet --pidfile=/private/var/run/my.lima/a.b_socket_vmnet.pid --socket-group=my.staff_1 --vmnet-mode=bridged --vmnet-interface=bridge100 /private/var/run/my.lima/socket_vmnet.a.b, \
    /usr/bin/pkill -F /private/var/run/my.lima/a.b_socket_vmnet.pid

# Manage "a_1" network daemons

%my.staff_1 ALL=(root:wheel) NOPASSWD:NOSETENV: \
    /opt/lima-1.2/socket_vmnet --pidfile=/private/var/run/my.lima/a_1_socket_vmnet.pid --socket-group=my.staff_1 --vmnet-mode=host --vmnet-gateway=10.0.1.1 --vmnet-dhcp-end=10.0.1.99 --vmnet-mask=255.255.255.128 /private/var/run/my.lima/socket_vmnet.a_1, \
    /usr/bin/pkill -F /private/var/run/my.lima/a_1_socket_vmnet.pid
"#;
        assert_eq!(super::text(&networks, &test_mac()), expected);
        let commands = privileged::all(&networks, &test_mac());
        let sudo = ["sudo", "--user", "root", "--group", "wheel", "--non-interactive"];
        for command in &commands {
            let words = command.words(false);
            assert_eq!(words[..6], sudo);
            assert!(expected.contains(&words[6..].join(" ")), "what is run has its rule: {words:?}");
        }
        assert_eq!(commands.len(), 11);
    }

    #[test]
    fn every_rule_of_linux_runs_as_root_with_root_s_own_group() {
        let networks =
            ManagedNetworks::read(&new_file(&test_defaults()), &test_defaults(), HostOs::Linux).unwrap();
        let text = text(&networks, &test_linux());
        let first = "%sudo ALL=(root:root) NOPASSWD:NOSETENV: /bin/mkdir -m 755 -p /run/lima";
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(text.matches("ALL=(root:root) NOPASSWD:NOSETENV:").count(), 4);
        for command in privileged::all(&networks, &test_linux()) {
            assert!(text.contains(&command.line()), "{}", command.line());
        }
    }

    #[test]
    fn differences_are_told_line_by_line() {
        let wanted = of_mac();
        assert_eq!(differences(&wanted, &wanted), Vec::<String>::new());
        let old =
            wanted.replace("105.254", "105.99").replace("# Manage \"host\"", "# Mine\n# Manage \"host\"");
        let told = differences(&old, &wanted);
        assert_eq!(told.len(), 3, "{told:#?}");
        assert_eq!(told[0], "- line 9: # Mine");
        assert!(told[1].starts_with("- line 19:     /opt/socket_vmnet/bin/socket_vmnet"), "{}", told[1]);
        assert!(told[2].starts_with("+ line 18: ") && told[2].contains("105.254"), "{}", told[2]);
        assert_eq!(differences("a\n\nb\n", "a\nb\n"), ["- line 2: (an empty line)"]);
        assert_eq!(differences("a\r\n", "a\n"), ["the ends of lines differ"]);
        assert_eq!(differences("", "a\n"), ["+ line 1: a"]);
    }
}
