//! From words to a text: every kind of place, schemes that stand for others, and what cannot be read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::web::Http;
use super::super::web::tests::Server;
use super::*;
use crate::config::host::test_facts_in;

/// A host whose relative paths and home start in `dir`.
pub(in crate::template) fn host(dir: &Path) -> HostFacts {
    HostFacts { lima_home: dir.join("lh"), ..test_facts_in(dir) }
}

/// What `read` says in a directory where `prepare` was busy: the text, or why there is none.
fn read_in(dir: &Path, typed: &str) -> Result<String, String> {
    let host = host(dir);
    let library = Library::new(&host, Vec::new(), &WEB);
    let template = library.read(typed).map_err(|error| crate::process::words::chain(&error))?;
    Ok(String::from_utf8(template.text).unwrap())
}

/// A network on which nobody answers.
struct Nowhere;
const WEB: Nowhere = Nowhere;

impl Web for Nowhere {
    fn get(
        &self,
        _: &str,
        _: &[(&str, &str)],
        _: u64,
    ) -> Result<super::super::web::Answer, super::super::web::WebError> {
        Err(ureq::Error::HostNotFound.into())
    }
}

fn plugin(dir: &Path, scheme: &str, script: &str) {
    std::fs::create_dir_all(dir.join("bin")).unwrap();
    let path = dir.join("bin").join(format!("limactl-url-{scheme}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn paths_files_and_names_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    std::fs::create_dir_all(dir.join("lh/_templates")).unwrap();
    std::fs::write(dir.join("a.yaml"), "a").unwrap();
    std::fs::write(dir.join("lh/_templates/mine.yaml"), "mine").unwrap();
    assert_eq!(read_in(dir, "a.yaml").as_deref(), Ok("a"));
    assert_eq!(read_in(dir, "./a.yaml").as_deref(), Ok("a"));
    assert_eq!(read_in(dir, &format!("file://{}/a.yaml", dir.display())).as_deref(), Ok("a"));
    assert_eq!(read_in(dir, "template:mine").as_deref(), Ok("mine"));
    assert_eq!(read_in(dir, "template://mine").as_deref(), Ok("mine"));
    assert!(read_in(dir, "template:default").unwrap().contains("minimumLimaVersion"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    std::fs::write(dir.join("empty.yaml"), "").unwrap();
    std::fs::write(dir.join("big.yaml"), vec![b' '; MAX_TEXT as usize + 1]).unwrap();
    let there = dir.display();
    for (typed, words) in [
        ("empty.yaml", "don't know how to interpret `empty.yaml` as a template locator".to_owned()),
        ("nope.yaml", format!("open {there}/nope.yaml: no such file or directory")),
        ("big.yaml", format!("`{there}/big.yaml` is larger than 4 MiB, which no template is")),
        ("template:nope", "template `nope.yaml` not found".to_owned()),
        ("template:", "template `.yaml` not found".to_owned()),
        ("file://x", "file URL `file://x` is not an absolute path".to_owned()),
        ("https://h/a.yaml", "cannot fetch `https://h/a.yaml`: host not found".to_owned()),
        (".", format!("cannot read `{there}`: is a directory")),
    ] {
        assert_eq!(read_in(dir, typed).unwrap_err(), words, "{typed}");
    }
}

#[test]
fn a_page_that_is_not_there_or_too_large_is_no_template() {
    let temp = tempfile::tempdir().unwrap();
    let large = "#".repeat(MAX_TEXT as usize + 1);
    let server =
        Server::new(&[("/a.yaml", 200, "cpus: 1\n"), ("/large.yaml", 200, &large), ("/empty.yaml", 200, "")]);
    let host = host(temp.path());
    let http = Http::default();
    let library = Library::new(&host, Vec::new(), &http);
    let read = |path: &str| {
        let read = library.read(&format!("{}{path}", server.base));
        read.map(|template| template.text).map_err(|error| error.to_string().replace(&server.base, ""))
    };
    assert_eq!(read("/a.yaml").as_deref(), Ok(&b"cpus: 1\n"[..]));
    assert_eq!(
        read("/nope.yaml").unwrap_err(),
        "cannot fetch `/nope.yaml`: the server answers with status 404"
    );
    assert_eq!(read("/large.yaml").unwrap_err(), "`/large.yaml` is larger than 4 MiB, which no template is");
    assert_eq!(
        read("/empty.yaml").unwrap_err(),
        "don't know how to interpret `/empty.yaml` as a template locator"
    );
}

#[test]
fn an_image_stands_for_a_template_made_up_for_it() {
    let temp = tempfile::tempdir().unwrap();
    let text = read_in(temp.path(), "https://h/FreeBSD-15.0-aarch64.raw.xz").unwrap();
    assert_eq!(
        text,
        "os: \"FreeBSD\"\narch: \"aarch64\"\nimages:\n- location: \"https://h/FreeBSD-15.0-aarch64.raw.xz\"\n  arch: \"aarch64\"\n"
    );
    let text = read_in(temp.path(), "./x.img").unwrap();
    assert!(text.contains(&format!("location: \"{}/x.img\"", temp.path().display())), "{text}");
    assert!(text.contains("arch: \"x86_64\""));
    let named = |typed: &str| Locator::parse(typed).unwrap().instance_name(&host(temp.path())).unwrap();
    assert_eq!(named("https://h/ubuntu-24.04-server-cloudimg-amd64.img"), "ubuntu-24.04-amd64");
    assert_eq!(named("https://h/d/My.yaml?token=1/2"), "my");
    assert_eq!(named("template:sub/deep"), "deep");
}

#[test]
fn plugins_answer_for_their_scheme_and_say_why_they_cannot() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    std::fs::write(dir.join("a.yaml"), "a").unwrap();
    plugin(dir, "lab", "echo \"  $1\"");
    plugin(dir, "sad", "echo no such machine >&2; exit 3");
    plugin(dir, "mute", "exit 4");
    plugin(dir, "ping", "echo pong:x");
    plugin(dir, "pong", "echo ping:x");
    assert_eq!(read_in(dir, "lab:a.yaml").as_deref(), Ok("a"));
    assert_eq!(read_in(dir, "LAB:a.yaml").as_deref(), Ok("a"));
    let bin = dir.join("bin");
    let bin = bin.display();
    assert_eq!(
        read_in(dir, "sad:a b").unwrap_err(),
        format!("command `{bin}/limactl-url-sad a b` failed: no such machine")
    );
    assert_eq!(
        read_in(dir, "mute:x").unwrap_err(),
        format!("command `{bin}/limactl-url-mute x` failed: exit status: 4")
    );
    assert_eq!(read_in(dir, "ping:x").unwrap_err(), "custom locator `ping:x` has a redirect loop");
    // Without a plugin it is a path like any other.
    assert_eq!(
        read_in(dir, "nobody:x").unwrap_err(),
        format!(
            "open {}/nobody:x: no such file or directory (hint: if it is no path, its scheme needs the program `limactl-url-nobody`)",
            dir.display()
        )
    );
}

#[test]
fn github_is_resolved_to_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::new(&[
        ("/api/repos/o/o", 200, "{\"default_branch\": \"main\"}"),
        ("/api/repos/o/r", 200, "{\"default_branch\": \"dev\"}"),
        ("/raw/o/o/main/.lima.yaml", 200, "github:o/r/sub/t"),
        ("/raw/o/r/dev/sub/t.yaml", 200, "cpus: 7\n"),
        ("/raw/o/o/main/loop.yaml", 200, "github:o/o/loop"),
    ]);
    let endpoints = Endpoints { api: format!("{}/api", server.base), raw: format!("{}/raw", server.base) };
    let host = host(temp.path());
    let http = Http::default();
    let library = Library::new(&host, Vec::new(), &http).with_endpoints(endpoints);
    let template = library.read("github:o").unwrap();
    assert_eq!(template.text, b"cpus: 7\n");
    assert_eq!(template.locator, Locator::Web(format!("{}/raw/o/r/dev/sub/t.yaml", server.base)));
    assert_eq!(
        library.resolve("github:o//loop").unwrap_err().to_string(),
        "custom locator `github:o//loop` has a redirect loop"
    );
}
