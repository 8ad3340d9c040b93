//! Templates with bases and scripts as one text: order, comments, limits and refusals.

use std::path::Path;

use super::super::library::tests::host;
use super::super::web::Http;
use super::*;
use crate::document::Document;
use serde_json::{Value, json};

/// Embeds the first of some files with `depth`; `template:` names are those below `tpl/`.
fn embed_with(files: &[(&str, &str)], depth: Depth, first: Option<&str>) -> Result<String, String> {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut host = host(dir);
    host.env.push(("LIMA_TEMPLATES_PATH".into(), dir.join("tpl").display().to_string()));
    let http = Http::default();
    let library = Library::new(&host, Vec::new(), &http);
    let embedded = library.read(files[0].0).and_then(|template| {
        let first = first.map(|name| dir.join(name));
        Embedding::new(&library, depth).run(&template, first.as_deref())
    });
    let tidy = |text: String| text.replace(&dir.display().to_string(), "DIR");
    embedded.map(tidy).map_err(|error| tidy(crate::process::words::chain(&error)))
}

fn embed(files: &[(&str, &str)]) -> Result<String, String> {
    embed_with(files, Depth::External, None)
}

fn json_of(text: &str) -> Value {
    Document::parse(text).unwrap().root().to_json()
}

#[test]
fn bases_are_taken_depth_first_and_the_closest_wins() {
    let text = embed(&[
        ("a.yaml", "base: [b.yaml, {url: c.yaml}]\nimages: [{location: /a}]\n"),
        ("b.yaml", "base: sub/d.yaml\nimages: [{location: /b}]\nprovision: [{script: b}]\n"),
        ("c.yaml", "images: [{location: /c}]\nmemory: 5GiB\nprovision: [{script: c}]\n"),
        ("sub/d.yaml", "base: e.yaml\nimages: [{location: /d}]\nmemory: 3GiB\n"),
        ("sub/e.yaml", "images: [{location: /e}]\nmemory: 1GiB\ncpus: 5\n"),
    ]);
    assert_eq!(
        json_of(&text.unwrap()),
        json!({
            "images": [{"location": "/a"}, {"location": "/b"}, {"location": "/d"}, {"location": "/e"}, {"location": "/c"}],
            "provision": [{"script": "c"}, {"script": "b"}], "memory": "3GiB", "cpus": 5,
        })
    );
}

#[test]
fn a_template_that_is_nothing_but_a_base_is_that_base_byte_for_byte() {
    let base = "# odd   \ncpus:   7   # kept\n\n\nimages:\n    - {location: /x}\n...\n";
    for over in ["base: b.yaml", "base:\n- b.yaml\n", "{base: [b.yaml]}", "base: {url: b.yaml}\n"] {
        assert_eq!(embed(&[("a.yaml", over), ("b.yaml", base)]).as_deref(), Ok(base), "{over}");
    }
    let through = [("a.yaml", "base: b.yaml"), ("b.yaml", "base: c.yaml"), ("c.yaml", base)];
    assert_eq!(embed(&through).as_deref(), Ok(base));
}

#[test]
fn comments_of_both_travel_along() {
    let text = embed(&[
        (
            "a.yaml",
            "# comment of a\nbase: b.yaml\ncpus: 3 # three\nprovision:\n# how it begins\n- mode: system\n  file: s.sh # the file\n",
        ),
        ("b.yaml", "# comment of b\nvmType: qemu # always\ncpus: 1\n\n# pictures\nimages:\n# the first\n- location: /x\n"),
        ("s.sh", "#!/bin/sh\necho \"hi\"\n"),
    ])
    .unwrap();
    for comment in [
        "# comment of a",
        "# the file",
        "# three",
        "# how it begins",
        "# comment of b",
        "# always",
        "# pictures",
        "# the first",
    ] {
        assert!(text.contains(comment), "{comment} is lost:\n{text}");
    }
    assert!(text.starts_with("# comment of a\ncpus: 3 # three\nprovision:\n"), "{text}");
    assert_eq!(
        json_of(&text),
        json!({
            "cpus": 3, "provision": [{"mode": "system", "script": "#!/bin/sh\necho \"hi\"\n"}], "vmType": "qemu",
            "images": [{"location": "/x"}],
        })
    );
}

#[test]
fn comments_that_stand_alone_come_along_and_collections_get_the_comment_they_lack() {
    let text = embed(&[
        ("a.yaml", "base: b.yaml\ncpus: 3\nenv:\n  A: a\n"),
        (
            "b.yaml",
            "# licence\n\n# pictures\nimages:\n- location: /x\n\n# a note\n\nmemory: 1GiB\n# what programs see\nenv:\n  B: b\n\
             mounts:\n- location: /y\n\n# - location: /z\n",
        ),
    ]);
    assert_eq!(
        text.as_deref(),
        Ok(
            "cpus: 3\n# what programs see\nenv:\n  A: a\n  B: b\n\n# licence\n\n# pictures\nimages:\n- location: /x\n\n\
            # a note\n\nmemory: 1GiB\nmounts:\n- location: /y\n\n# - location: /z\n"
        )
    );
}

#[test]
fn locators_become_absolute_and_nothing_else_without_embedding() {
    let text = "base: b.yaml # below\nprobes:\n- file: p.sh\nprovision: [{file: {url: s.sh, digest: x}}]\n";
    assert_eq!(
        embed_with(&[("a.yaml", text)], Depth::Locators, None).unwrap(),
        "base: DIR/b.yaml # below\nprobes:\n- file: DIR/p.sh\nprovision: [{file: {url: DIR/s.sh, digest: x}}]\n"
    );
    let text = "mounts: [{location: /a}, {location: /a}]\n";
    assert_eq!(embed_with(&[("a.yaml", text)], Depth::Locators, None).as_deref(), Ok(text));
}

#[test]
fn bases_of_the_store_stay_if_only_the_rest_is_wanted() {
    let files = [
        ("a.yaml", "base: [b.yaml]\nprovision: [{file: template:p.sh}]\n"),
        ("b.yaml", "base: template:t\ncpus: 7\n"),
        ("tpl/t.yaml", "memory: 1GiB\nbase: u\n"),
        ("tpl/u.yaml", "disk: 9GiB\n"),
        ("tpl/p.sh", "true\n"),
    ];
    assert_eq!(
        json_of(&embed(&files).unwrap()),
        json!({"base": ["template:t"], "cpus": 7, "provision": [{"file": "template:p.sh"}]})
    );
    assert_eq!(
        json_of(&embed_with(&files, Depth::All, None).unwrap()),
        json!({"cpus": 7, "memory": "1GiB", "disk": "9GiB", "provision": [{"script": "true\n"}]})
    );
    let mixed = [("a.yaml", "base: [template:t, b.yaml]\n"), ("b.yaml", "cpus: 7\n")];
    assert_eq!(
        embed(&mixed).unwrap_err(),
        "cannot embed template `DIR/b.yaml` after not embedding `template:t`"
    );
}

#[test]
fn the_users_base_comes_before_the_templates_own() {
    let files = [
        ("a.yaml", "base: b.yaml\ncpus: null # as many as there are\nenv: {A: a}\n"),
        ("b.yaml", "cpus: 1\nmemory: 1GiB\nenv: {C: b}\n"),
        ("lh/base.yaml", "cpus: 5\nenv: {A: base, B: base}\n"),
    ];
    assert_eq!(
        json_of(&embed_with(&files, Depth::All, Some("lh/base.yaml")).unwrap()),
        json!({"cpus": 5, "env": {"A": "a", "B": "base", "C": "b"}, "memory": "1GiB"})
    );
    assert_eq!(json_of(&embed_with(&files, Depth::All, Some("lh/none.yaml")).unwrap())["cpus"], 1);
}

#[test]
fn a_base_may_be_reached_in_two_ways_but_not_from_itself() {
    let diamond = [
        ("a.yaml", "base: [b.yaml, c.yaml]\n"),
        ("b.yaml", "base: d.yaml\ncpus: 1\n"),
        ("c.yaml", "base: d.yaml\nmemory: 1GiB\n"),
        ("d.yaml", "disk: 9GiB\n"),
    ];
    assert_eq!(json_of(&embed(&diamond).unwrap()), json!({"cpus": 1, "memory": "1GiB", "disk": "9GiB"}));
    for files in
        [&[("a.yaml", "base: a.yaml\n")][..], &[("a.yaml", "base: b.yaml\n"), ("b.yaml", "base: ./a.yaml\n")]]
    {
        let error = embed(files).unwrap_err();
        assert!(error.starts_with("base template loop detected: template `DIR/"), "{error}");
    }
    let store = [("template:t", ""), ("tpl/t.yaml", "base: t.yaml\n")];
    let error = embed_with(&store, Depth::All, None).unwrap_err();
    assert_eq!(error, "base template loop detected: template `template:t.yaml` already included");
}

#[test]
fn size_and_depth_are_bounded() {
    let names: Vec<(String, String)> =
        (0..60).map(|i| (format!("t{i}.yaml"), format!("base: t{}.yaml\ncpus: 1\n", i + 1))).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|(name, text)| (&**name, &**text)).collect();
    files.push(("t60.yaml", "cpus: 2\n"));
    assert_eq!(embed(&files).unwrap_err(), "the bases of `DIR/t0.yaml` are nested too deep");
    let many = format!("provision:\n{}", "- file: s.sh\n".repeat(MAX_READS + 1));
    let files = [("a.yaml", &*many), ("s.sh", "true\n")];
    assert!(embed(&files).unwrap_err().contains("embedding exceeded the size limit (4194304 bytes)"));
    // Each of thirty files includes the next one twice: a base that is there is not read again.
    let names: Vec<(String, String)> =
        (0..30).map(|i| (format!("t{i}.yaml"), format!("base: [t{0}.yaml, t{0}.yaml]\n", i + 1))).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|(name, text)| (&**name, &**text)).collect();
    files.push(("t30.yaml", "images: [{location: /x}]\n"));
    assert_eq!(embed(&files).as_deref(), Ok("images: [{location: /x}]\n"));
    let large = format!("env: {{A: {}}}\n", "x".repeat(3 << 20));
    let files = [("a.yaml", "base: [b.yaml, c.yaml]\n"), ("b.yaml", &*large), ("c.yaml", &*large)];
    assert!(embed(&files).unwrap_err().contains("embedding exceeded the size limit"));
}

#[test]
fn what_cannot_be_embedded_is_named() {
    let b = |text: &'static str| embed(&[("a.yaml", "base: b.yaml\nmemory: 1GiB\n"), ("b.yaml", text)]);
    assert_eq!(
        embed(&[("a.yaml", "base: nosuch.yaml\n")]).unwrap_err(),
        "open DIR/nosuch.yaml: no such file or directory"
    );
    let error = b("cpus: [1\nmemory: }\n").unwrap_err();
    assert!(error.starts_with("failed to unmarshal YAML (DIR/b.yaml): ["), "{error}");
    assert!(b("cpus: 1\ncpus: 2\n").unwrap_err().contains("\"cpus\" already defined"));
    assert!(b("cpus: many\n").unwrap_err().contains("cannot unmarshal string"));
    assert!(b("- 1\n").unwrap_err().contains("sequence was used where mapping is expected"));
    assert_eq!(
        embed(&[("a.yaml", "provision:\n- file: no.sh\n")]).unwrap_err(),
        "open DIR/no.sh: no such file or directory"
    );
    let digest = format!("base: [{{url: b.yaml, digest: 'sha256:{}'}}]\ncpus: 1\n", "0".repeat(64));
    let error = embed(&[("a.yaml", &digest), ("b.yaml", "cpus: 2\n")]).unwrap_err();
    assert!(error.starts_with("base `DIR/b.yaml` in `a.yaml`: expected digest `sha256:000"), "{error}");
}

#[test]
fn aliases_are_replaced_where_something_is_merged() {
    let text = embed(&[
        ("a.yaml", "base: b.yaml\nenv: &e {A: a}\nparam: *e\n"),
        ("b.yaml", "x: &e {B: b}\nenv: {<<: *e, C: c}\n"),
    ]);
    assert_eq!(
        json_of(&text.unwrap()),
        json!({"env": {"A": "a", "B": "b", "C": "c"}, "param": {"A": "a"}, "x": {"B": "b"}})
    );
}

#[test]
fn relative_names_have_a_place_unless_the_template_is_standard_input() {
    let host = host(Path::new("/cwd"));
    let http = Http::default();
    let library = Library::new(&host, Vec::new(), &http);
    let template =
        Template { typed: "-".into(), locator: Locator::Stdin, text: b"base: rel.yaml\n".to_vec() };
    let error = Embedding::new(&library, Depth::All).run(&template, None).unwrap_err();
    assert_eq!(error.to_string(), "can't use relative paths when reading template from STDIN");
}
