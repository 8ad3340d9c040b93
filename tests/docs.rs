//! The documentation is true: what it names exists, and what exists is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::World;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The first words of a table's rows, in backquotes.
fn first_cells(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn every_direct_dependency_is_argued_and_no_other() {
    let manifest = read("Cargo.toml");
    let mut section = "";
    let mut dependencies = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if (section.starts_with("[dependencies")
            || section.starts_with("[dev-dependencies")
            || section.starts_with("[target"))
            && let Some((name, _)) = line.split_once(" = ")
        {
            dependencies.insert(name.to_owned());
        }
    }
    assert_eq!(first_cells(&read("docs/dependencies.md")), dependencies);
}

#[test]
fn the_page_of_templates_lists_what_is_compiled_in() {
    let seen = World::new().limactl(["create", "--list-templates"]).seen().succeeded();
    let names: BTreeSet<String> = seen.stdout.lines().map(str::to_owned).collect();
    let page = read("docs/templates.md");
    let (_, list) = page.split_once("## Compiled in").unwrap();
    assert_eq!(first_cells(list), names);
}

#[test]
fn the_map_has_every_room_and_no_other() {
    let mut rooms: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(root().join("src")).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            rooms.insert(format!("src/{}", entry.file_name().to_string_lossy()));
        }
    }
    let page = read("docs/architecture.md");
    let named: BTreeSet<String> = page
        .split('`')
        .filter(|word| word.starts_with("src/") && !word.ends_with(".rs"))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, rooms);
}

/// `limactl COMMAND` in the code blocks and in the text of the pages.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in page.lines() {
        for (start, _) in line.match_indices("limactl ") {
            let before = line[..start].chars().next_back();
            if !matches!(before, None | Some(' ' | '`' | '(' | '/' | '$')) {
                continue;
            }
            let rest = &line[start + "limactl ".len()..];
            let end = rest.find(['`', '|', ';', '&', '#', ')']).unwrap_or(rest.len());
            found.push(rest[..end].split_whitespace().map(str::to_owned).collect());
        }
    }
    found
}

fn is_command_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}

#[test]
fn commands_in_code_blocks_of_the_pages_exist() {
    let world = World::new();
    let pages = ["README.md", "docs/hacking.md", "docs/internals.md"];
    let mut looked_at = 0;
    for page in pages.into_iter().filter(|page| root().join(page).exists()) {
        for words in commands(&code_blocks(&read(page))) {
            let Some(command) = words.first().filter(|word| is_command_name(word)) else {
                continue;
            };
            // In front, because behind the name of an instance the words of `shell` are another program's.
            let path = words.iter().map(String::as_str).filter(|word| !word.starts_with('-'));
            let seen = world.limactl(std::iter::once("--help").chain(path)).seen();
            assert_eq!(seen.status, 0, "{page}: `limactl {}`: {}", words.join(" "), seen.stderr);
            for flag in
                words.iter().filter_map(|word| word.strip_prefix("--")).filter(|flag| !flag.is_empty())
            {
                let flag = flag.split('=').next().unwrap_or_default();
                let known = seen.stdout.contains(&format!("--{flag}"));
                // Behind the name of an instance, the words of `shell` are another program's.
                assert!(known || command == "shell", "{page}: `limactl {}` has no --{flag}", words.join(" "));
            }
            looked_at += 1;
        }
    }
    if root().join("README.md").exists() {
        assert!(looked_at > 0, "the README shows commands");
    }
}

/// The lines of fenced blocks that a shell would be given: behind `$ ` in a transcript, all of a block without one.
fn code_blocks(page: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside && !line.contains("level=") {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn paths_that_the_pages_name_exist() {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    for page in pages.chain([root().join("README.md")]).filter(|page| page.exists()) {
        let text = fs::read_to_string(&page).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "docs/", "examples/", ".ci/"]
                .iter()
                .any(|folder| word.starts_with(folder));
            let plain = !word.contains([' ', '*', '<', '{', '$', '…']);
            if is_path && plain {
                let path = Path::new(word.trim_end_matches('/'));
                assert!(root().join(path).exists(), "{}: `{word}` does not exist", page.display());
            }
        }
    }
}

#[test]
fn the_tests_list_and_the_folder_agree() {
    let listed: BTreeSet<String> = read("tests/main.rs")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("mod ")?.trim_end_matches(';').to_owned()))
        .collect();
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests")).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_module = path.extension().is_some_and(|kind| kind == "rs") || path.join("mod.rs").exists();
        if is_module && name != "main" {
            files.insert(name);
        }
    }
    assert_eq!(listed, files);
}
