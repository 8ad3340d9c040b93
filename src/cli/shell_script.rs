//! What the guest's login shell is given by `limactl shell`: change the directory, then become the wanted shell. Pure.

use std::path::{Path, PathBuf};

use crate::ssh;

/// Where the session begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// `--workdir`: it must be there.
    pub workdir: Option<String>,
    /// The directory of the guest that `--sync` fills.
    pub synced: Option<String>,
    /// Where limactl was called, links resolved.
    pub cwd: Option<PathBuf>,
    pub home: Option<PathBuf>,
    /// Directories of the host that the guest has too, links resolved.
    pub mounts: Vec<PathBuf>,
}

impl Places {
    /// Ends before ` ; exec`; `false` where the guest's own home is right.
    fn change_directory(&self) -> String {
        let quote = |path: &Path| ssh::quote(&path.display().to_string());
        if let Some(workdir) = &self.workdir {
            return format!("cd {} || exit 1", ssh::quote(workdir));
        }
        let is_mounted = |path: &&PathBuf| self.mounts.iter().any(|mount| path.starts_with(mount));
        if let Some(cwd) = self.cwd.as_ref().filter(is_mounted) {
            return match &self.home {
                Some(home) => format!("cd {} || cd {}", quote(cwd), quote(home)),
                None => format!("cd {}", quote(cwd)),
            };
        }
        if let Some(synced) = &self.synced {
            return format!("cd {}", ssh::quote(synced));
        }
        match self.home.as_ref().filter(is_mounted) {
            Some(home) => format!("cd {}", quote(home)),
            None => "false".to_owned(),
        }
    }
}

/// The whole text. `env` are `KEY=VALUE` words that the shell begins with; an empty `command` is a login shell.
pub fn script(places: &Places, env: &[String], shell: &str, command: &[String]) -> String {
    let mut script = format!("{} ; exec ", places.change_directory());
    if !env.is_empty() {
        let words: Vec<String> = env.iter().map(|word| ssh::quote(word)).collect();
        script.push_str(&format!("env {} ", words.join(" ")));
    }
    script.push_str(&format!("{} -l", ssh::quote(shell)));
    if !command.is_empty() {
        let line = ssh::join_with_assignments(command);
        script.push_str(&format!(" -c {}", ssh::quote(&line)));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_script_is_upstreams() {
        let nowhere = Places::default();
        assert_eq!(script(&nowhere, &[], "/bin/bash", &[]), "false ; exec /bin/bash -l");
        assert_eq!(
            script(&nowhere, &[], "/bin/bash", &words(&["sh", "-c", "echo $HOME"])),
            r#"false ; exec /bin/bash -l -c 'sh -c '"'"'echo $HOME'"'"''"#
        );
        let there = Places { workdir: Some("/x y".into()), ..Places::default() };
        assert_eq!(
            script(&there, &words(&["K=v w", "A=b"]), "/bin/my sh", &words(&["A=b c", "env"])),
            r#"cd '/x y' || exit 1 ; exec env 'K=v w' A=b '/bin/my sh' -l -c 'A='"'"'b c'"'"' env'"#
        );
    }

    #[test]
    fn the_first_place_that_the_guest_has_is_taken() {
        let cd = |places: &Places| places.change_directory();
        let mut places = Places {
            cwd: Some("/home/me/src/x".into()),
            home: Some("/home/me".into()),
            mounts: vec!["/home/me".into()],
            ..Places::default()
        };
        assert_eq!(cd(&places), "cd /home/me/src/x || cd /home/me");
        places.mounts = vec!["/home/me/src/x".into()];
        assert_eq!(cd(&places), "cd /home/me/src/x || cd /home/me");
        places.mounts = vec!["/home/m".into()];
        assert_eq!(cd(&places), "false");
        places.cwd = Some("/tmp".into());
        places.mounts = vec!["/home".into()];
        assert_eq!(cd(&places), "cd /home/me");
        places.synced = Some("/home/me.guest/tmp/it's".into());
        assert_eq!(cd(&places), r#"cd '/home/me.guest/tmp/it'"'"'s'"#);
        places.mounts = vec!["/".into()];
        places.home = None;
        assert_eq!(cd(&places), "cd /tmp");
        places.workdir = Some("/".into());
        assert_eq!(cd(&places), "cd / || exit 1");
    }
}
