//! Instances in a World: their text, their image, and what their files say.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{Run, Seen, World, until};

impl World {
    /// A tiny image, made by the real `qemu-img`.
    pub(crate) fn image(&self) -> PathBuf {
        let path = self.path("image.qcow2");
        if !path.exists() {
            let made = std::process::Command::new("qemu-img")
                .args(["create", "-q", "-f", "qcow2"])
                .args([path.as_os_str(), "16M".as_ref()])
                .status();
            assert!(made.expect("qemu-img is installed (package qemu-utils)").success());
        }
        path
    }

    /// The text of an instance that needs nothing but the image.
    pub(crate) fn yaml(&self) -> String {
        let arch = std::env::consts::ARCH;
        format!(
            "images:\n- location: \"{}\"\n  arch: \"{arch}\"\ncpus: 1\nmemory: 512MiB\ndisk: 32MiB\n",
            self.image().display()
        )
    }

    /// `NAME.yaml` with that text and more.
    pub(crate) fn file_of(&self, name: &str, more: &str) -> String {
        let text = self.yaml() + more;
        self.write(&format!("{name}.yaml"), &text).display().to_string()
    }

    /// A created instance.
    #[track_caller]
    pub(crate) fn create(&self, name: &str) {
        self.create_with(name, "");
    }

    #[track_caller]
    pub(crate) fn create_with(&self, name: &str, more: &str) {
        let file = self.file_of(name, more);
        self.limactl(["create", &file]).seen().succeeded().done();
    }

    /// A running instance.
    #[track_caller]
    pub(crate) fn start(&self, name: &str) {
        self.start_with(name, "");
    }

    #[track_caller]
    pub(crate) fn start_with(&self, name: &str, more: &str) {
        let file = self.file_of(name, more);
        self.limactl(["start", &file]).seen().succeeded().done();
    }

    /// The second column of `list`.
    #[track_caller]
    pub(crate) fn status(&self, name: &str) -> String {
        self.json(name)["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The object that `list --json` prints.
    #[track_caller]
    pub(crate) fn json(&self, name: &str) -> Value {
        let seen = self.limactl(["list", "--json", name]).seen();
        serde_json::from_str(&seen.stdout).unwrap_or_else(|error| panic!("{error}: {seen:#?}"))
    }

    /// A file of the instance.
    pub(crate) fn instance_file(&self, name: &str, file: &str) -> PathBuf {
        self.lima_home().join(name).join(file)
    }

    /// The number of the host agent of `name`, which must run.
    #[track_caller]
    pub(crate) fn agent_pid(&self, name: &str) -> i32 {
        self.pid_in(name, "ha.pid")
    }

    #[track_caller]
    pub(crate) fn vm_pid(&self, name: &str) -> i32 {
        self.pid_in(name, "qemu.pid")
    }

    #[track_caller]
    fn pid_in(&self, name: &str, file: &str) -> i32 {
        let path = self.instance_file(name, file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().parse().expect("a pid file holds a number")
    }

    /// The events of the last run, one status object each.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.instance_file(name, "ha.stdout.log")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON")["status"].take())
            .collect()
    }

    /// Names of the instance's files, sorted.
    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.lima_home().join(name)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// What the stand-in for QEMU was started with, call by call.
    pub(crate) fn qemu_calls(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.path("qemu.argv")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("the stand-in writes JSON")).collect()
    }

    /// What the stand-in for QEMU is to do from now on.
    pub(crate) fn tell_qemu(&self, told: Value) {
        self.write("qemu.json", &told.to_string());
    }

    /// Tells the stand-in for the guest: makes or removes one of its files.
    pub(crate) fn tell_guest(&self, file: &str, text: Option<&str>) {
        let path = self.path("guest").join(file);
        match text {
            Some(text) => fs::write(path, text).expect("the World can be written to"),
            None => fs::remove_file(path).unwrap_or_default(),
        }
    }

    /// Makes `program` wait before it begins, at each call from now on, until [`World::release`].
    pub(crate) fn hold(&self, program: &str) {
        let _ = fs::remove_file(self.path(&format!("reached-{program}")));
        self.write(&format!("hold-{program}"), "");
    }

    pub(crate) fn release(&self, program: &str) {
        fs::remove_file(self.path(&format!("hold-{program}"))).unwrap_or_default();
    }

    /// Waits until something calls `program`.
    #[track_caller]
    pub(crate) fn wait_for(&self, program: &str) {
        let mark = self.path(&format!("reached-{program}"));
        until(&format!("{program} is called"), || mark.exists());
    }

    /// Nothing lives that was started in this World. What is on its way out gets the time it needs.
    #[track_caller]
    pub(crate) fn nothing_runs(&self) {
        until("nothing runs any more", || self.processes().is_empty());
    }

    /// Brings `name`, whatever was done to it, through a whole life, which proves that nothing is in the way.
    #[track_caller]
    pub(crate) fn works_again(&self, name: &str) {
        let start = self.limactl(["start", name]).seen().succeeded();
        assert!(
            start.stderr.ends_with(&format!("READY. Run `limactl shell {name}` to open the shell.\"\n")),
            "{start:#?}"
        );
        self.works_again_from_running(name);
    }

    /// The rest of a life.
    #[track_caller]
    pub(crate) fn works_again_from_running(&self, name: &str) {
        assert_eq!(self.status(name), "Running");
        self.limactl(["stop", name]).seen().succeeded().done();
        assert_eq!(self.status(name), "Stopped");
        self.limactl(["delete", name]).seen().succeeded().done();
        assert_eq!(self.files(name), Vec::<String>::new());
        self.nothing_runs();
    }
}

/// Log lines of level info, one for each message.
pub(crate) fn lines(messages: &[&str]) -> String {
    messages.iter().map(|message| format!("level=info msg={}\n", super::run::quoted(message))).collect()
}

impl Run {
    /// Standard error is these messages at level info, and nothing else.
    pub(crate) fn tells(self, messages: &[&str]) -> Run {
        self.stderr(&lines(messages))
    }
}

impl Seen {
    /// The messages of standard error without their level, in order.
    pub(crate) fn messages(&self) -> Vec<String> {
        let message = |line: &str| {
            line.split_once(" msg=").map_or(line.to_owned(), |(_, text)| text.trim_matches('"').to_owned())
        };
        self.stderr.lines().map(message).collect()
    }
}
