//! The files that make a service manager start an instance: systemd's unit of the user, launchd's agent and daemon. Pure.
//!
//! Both carry `LIMA_HOME` and `PATH` where they are not what a service gets by itself: a login shell's settings do not reach it.

/// Directories that the service managers' own `PATH` has; a path with more is written down.
const SYSTEM_DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What a registration depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service<'a> {
    pub instance: &'a str,
    /// This program.
    pub executable: &'a str,
    /// The instance's directory.
    pub dir: &'a str,
    /// Only where it is not `~/.lima`.
    pub lima_home: Option<&'a str>,
    /// The user's own.
    pub path: Option<&'a str>,
}

impl Service<'_> {
    /// Variables that the service manager has to be told.
    fn variables(&self) -> Vec<(&'static str, &str)> {
        let is_own = |path: &&str| path.split(':').any(|part| !SYSTEM_DIRECTORIES.contains(&part));
        let lima_home = self.lima_home.map(|value| ("LIMA_HOME", value));
        let path = self.path.filter(is_own).map(|value| ("PATH", value));
        [lima_home, path].into_iter().flatten().collect()
    }
}

/// The name of the unit; what stands behind `@` is `%i` inside it.
pub fn systemd_unit_name(instance: &str) -> String {
    format!("lima-vm@{instance}.service")
}

/// The unit of the user's systemd.
pub fn systemd_unit(service: &Service) -> String {
    let environment: String = service
        .variables()
        .into_iter()
        .map(|(name, value)| format!("Environment={}\n", systemd_word(&format!("{name}={value}"))))
        .collect();
    // `$` means a variable in a command, and nowhere else.
    let executable = systemd_word(service.executable).replace('$', "$$");
    format!(
        "[Unit]
Description=The virtual machine %i of Lima
Documentation=man:lima(1)

[Service]
{environment}ExecStart={executable} start %i --foreground
WorkingDirectory=%h
Type=simple
TimeoutSec=10
Restart=on-failure

[Install]
WantedBy=default.target
"
    )
}

/// One word of a unit file: quoted unless it is plain; `%` begins a specifier and is doubled.
fn systemd_word(text: &str) -> String {
    let text = text.replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%_-+=:,./@$".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The label of the agent that starts an instance at login.
pub fn launchd_agent_label(instance: &str) -> String {
    format!("io.lima-vm.autostart.{instance}")
}

/// The label of the daemon that starts an instance at boot.
pub fn launchd_daemon_label(instance: &str) -> String {
    format!("io.lima-vm.daemon.{instance}")
}

/// The property list of an agent, or of a daemon that runs as `user`.
pub fn launchd_plist(service: &Service, label: &str, user: Option<&str>) -> String {
    let string = |text: &str| format!("<string>{}</string>", xml(text));
    let words: String = [service.executable, "start", service.instance, "--foreground"]
        .iter()
        .map(|word| format!("\t\t{}\n", string(word)))
        .collect();
    let mut entries = format!("\t<key>Label</key>\n\t{}\n", string(label));
    entries.push_str(&format!("\t<key>ProgramArguments</key>\n\t<array>\n{words}\t</array>\n"));
    let variables: String = service
        .variables()
        .into_iter()
        .map(|(name, value)| format!("\t\t<key>{name}</key>\n\t\t{}\n", string(value)))
        .collect();
    if !variables.is_empty() {
        entries.push_str(&format!("\t<key>EnvironmentVariables</key>\n\t<dict>\n{variables}\t</dict>\n"));
    }
    entries.push_str("\t<key>RunAtLoad</key>\n\t<true/>\n");
    let log = |stream: &str| format!("{}/launchd.{stream}.log", service.dir);
    let mut texts = vec![
        ("StandardErrorPath", log("stderr")),
        ("StandardOutPath", log("stdout")),
        ("WorkingDirectory", service.dir.to_owned()),
        ("ProcessType", "Background".to_owned()),
    ];
    texts.extend(user.map(|user| ("UserName", user.to_owned())));
    for (key, value) in texts {
        entries.push_str(&format!("\t<key>{key}</key>\n\t{}\n", string(&value)));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
{entries}</dict>
</plist>
"
    )
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service<'static> {
        Service {
            instance: "a.b",
            executable: "/usr/local/bin/limactl",
            dir: "/home/me/.lima/a.b",
            lima_home: None,
            path: Some("/usr/local/bin:/usr/bin:/bin"),
        }
    }

    #[test]
    fn a_plain_unit_says_nothing_of_the_environment() {
        assert_eq!(
            systemd_unit(&service()),
            "[Unit]\nDescription=The virtual machine %i of Lima\nDocumentation=man:lima(1)\n\n\
             [Service]\nExecStart=/usr/local/bin/limactl start %i --foreground\nWorkingDirectory=%h\nType=simple\n\
             TimeoutSec=10\nRestart=on-failure\n\n[Install]\nWantedBy=default.target\n"
        );
        assert_eq!(systemd_unit_name("a.b"), "lima-vm@a.b.service");
    }

    #[test]
    fn a_home_and_a_path_of_the_users_own_are_written_down() {
        let own = Service {
            lima_home: Some("/vm s/100%/$x\"y"),
            path: Some("/opt/qemu/bin:/usr/bin"),
            executable: "/my apps/$1/limactl",
            ..service()
        };
        let unit = systemd_unit(&own);
        assert!(unit.contains("\nEnvironment=\"LIMA_HOME=/vm s/100%%/$x\\\"y\"\n"), "{unit}");
        assert!(unit.contains("\nEnvironment=PATH=/opt/qemu/bin:/usr/bin\n"), "{unit}");
        assert!(unit.contains("\nExecStart=\"/my apps/$$1/limactl\" start %i --foreground\n"), "{unit}");
    }

    #[test]
    fn an_agent_starts_at_login_and_a_daemon_runs_as_somebody() {
        let own = Service { lima_home: Some("/a&b"), ..service() };
        let agent = launchd_plist(&own, &launchd_agent_label("a.b"), None);
        for part in [
            "<key>Label</key>\n\t<string>io.lima-vm.autostart.a.b</string>",
            "<array>\n\t\t<string>/usr/local/bin/limactl</string>\n\t\t<string>start</string>\n\t\t<string>a.b</string>\n\t\t<string>--foreground</string>\n\t</array>",
            "<dict>\n\t\t<key>LIMA_HOME</key>\n\t\t<string>/a&amp;b</string>\n\t</dict>",
            "<key>RunAtLoad</key>\n\t<true/>",
            "<key>StandardErrorPath</key>\n\t<string>/home/me/.lima/a.b/launchd.stderr.log</string>",
            "<key>StandardOutPath</key>\n\t<string>/home/me/.lima/a.b/launchd.stdout.log</string>",
            "<key>WorkingDirectory</key>\n\t<string>/home/me/.lima/a.b</string>",
            "<key>ProcessType</key>\n\t<string>Background</string>",
        ] {
            assert!(agent.contains(part), "{part}\n{agent}");
        }
        assert!(!agent.contains("UserName"));
        let daemon = launchd_plist(&service(), &launchd_daemon_label("a.b"), Some("me"));
        assert!(daemon.contains("<string>io.lima-vm.daemon.a.b</string>"), "{daemon}");
        assert!(daemon.contains("<key>UserName</key>\n\t<string>me</string>"), "{daemon}");
        assert!(!daemon.contains("EnvironmentVariables"), "{daemon}");
    }
}
