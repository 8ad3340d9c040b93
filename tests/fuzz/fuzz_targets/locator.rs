//! Words → where a template is: no panic, whatever the words and whatever GitHub answers, and nothing leaves the repository that it is in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limactl::config::Arch;
use limactl::template::github::{Endpoints, Hub};
use limactl::template::web::{Answer, WebError};
use limactl::template::{Locator, Web, image};

/// Answers everything with the second half of the input.
struct Says<'a>(&'a [u8]);

impl Web for Says<'_> {
    fn get(&self, url: &str, _: &[(&str, &str)], limit: u64) -> Result<Answer, WebError> {
        let body = match url.starts_with("api/") {
            true => b"{\"default_branch\": \"main\"}".to_vec(),
            false => self.0.iter().copied().take(limit as usize).collect(),
        };
        Ok(Answer { status: 200, body, is_cut: false })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (words, answer) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let Ok(words) = std::str::from_utf8(words) else { return };
    let _ = Locator::parse(words);
    let _ = (image::guess(words), image::instance_name(words, Arch::X86_64));
    let endpoints = Endpoints { api: "api".into(), raw: "raw".into() };
    let hub = Hub { web: &Says(answer), endpoints: &endpoints, token: None };
    if let Ok(found) = hub.resolve(words) {
        let inside = found.strip_prefix("raw/").is_some_and(|path| !path.split('/').any(|part| part == ".."));
        assert!(inside || found.starts_with("github:"), "{found}");
    }
});
