//! The few house rules worth a machine.

use std::fs;
use std::path::{Path, PathBuf};

/// Production lines that a file may have: 400 is the aim, and this is the wall.
const LONGEST: usize = 450;
/// Tables and flat matches, which may be long.
const TABLES: [&str; 0] = [];

/// Every text file of ours below the given folders, with its path from the root.
fn files(folders: &[&str], kinds: &[&str]) -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let skipped = ["target", "corpus", "artifacts", ".git"];
            if !path.file_name().is_some_and(|name| skipped.iter().any(|skip| name == *skip)) {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        } else if kinds.iter().any(|kind| path.extension().is_some_and(|extension| extension == *kind)) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Fails with all that is wrong, not only the first.
#[track_caller]
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_in_its_first_line_what_it_is_for() {
    let says = |name: &str, text: &str| {
        let mut lines = text.lines().filter(|line| !line.starts_with("#!/"));
        let first = lines.next().unwrap_or_default();
        let header = if name.ends_with(".rs") { "//! " } else { "# " };
        first.starts_with(header)
    };
    let all = files(&["src", "tests", "examples", ".ci"], &["rs", "sh", "py"]);
    none(all.into_iter().filter(|(name, text)| !says(name, text)).map(|(name, _)| name).collect());
}

/// Lines before the file's own tests; a file that holds nothing but tests has none.
fn production_lines(name: &str, text: &str) -> usize {
    if name.ends_with("tests.rs") {
        return 0;
    }
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long = |(name, text): &(String, String)| {
        production_lines(name, text) > LONGEST && !TABLES.contains(&name.as_str())
    };
    let all = files(&["src"], &["rs"]);
    none(
        all.iter()
            .filter(|file| long(file))
            .map(|(name, text)| format!("{name}: {}", production_lines(name, text)))
            .collect(),
    );
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_switched_off() {
    // Taken apart, so that this file has none of them.
    let words = [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["#[ig", "nore"],
        ["db", "g!("],
        ["FIX", "ME"],
        ["XX", "X:"],
    ]
    .map(|word| word.concat());
    let mut wrong = Vec::new();
    for (name, text) in files(&["src", "tests", "examples"], &["rs", "sh", "py"]) {
        for word in words.iter().filter(|word| text.contains(word.as_str())) {
            wrong.push(format!("{name}: {word}"));
        }
    }
    none(wrong);
}

#[test]
fn no_room_is_a_drawer() {
    let drawers = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
    let all = files(&["src", "tests"], &["rs"]);
    let is_drawer = |name: &str| {
        Path::new(name).components().any(|part| {
            drawers.iter().any(|drawer| part.as_os_str().to_string_lossy().trim_end_matches(".rs") == *drawer)
        })
    };
    none(all.into_iter().map(|(name, _)| name).filter(|name| is_drawer(name)).collect());
}

#[test]
fn no_path_of_one_machine_is_in_the_repository() {
    let paths = [["/wo", "rk/"], ["/tmp/hel", "pers"], ["/ro", "ot/"]].map(|part| part.concat());
    let mut wrong = Vec::new();
    for (name, text) in
        files(&["src", "tests", "examples", "docs", ".ci"], &["rs", "sh", "py", "md", "toml", "yaml"])
    {
        for path in paths.iter().filter(|path| text.contains(path.as_str())) {
            wrong.push(format!("{name}: {path}"));
        }
    }
    none(wrong);
}

#[test]
fn unsafe_and_printing_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (name, text) in files(&["src"], &["rs"]) {
        let allows =
            |lint: &str| text.contains(&format!("allow({lint}")) || text.contains(&format!("{lint},\n"));
        if allows("unsafe_code") && !name.starts_with("src/sys/") {
            wrong.push(format!("{name}: unsafe"));
        }
        if allows("clippy::print_stdout") && !name.starts_with("src/cli/") {
            wrong.push(format!("{name}: printing"));
        }
        let reads_environment =
            text.lines().take(production_lines(&name, &text)).any(|line| line.contains("env::var"));
        if reads_environment && !name.starts_with("src/cli/") && !name.starts_with("src/bin/") {
            wrong.push(format!("{name}: environment"));
        }
    }
    none(wrong);
}

/// Which rooms a room may use: arrows point down only, and skills never use each other.
#[test]
fn arrows_point_down() {
    const FACTS: &[&str] = &["http", "home", "config", "query", "document", "process", "sys"];
    let stories: &[&str] =
        &[&["driver", "dns", "netdaemons", "ssh", "guest", "image", "seed"], FACTS].concat();
    let allowed: &[(&str, &[&str])] = &[
        ("instance", &[stories, &["hostagent", "disks"]].concat()),
        ("hostagent", &[stories, &["disks"]].concat()),
        // The lowest of the stories.
        ("disks", &[&["image"], FACTS].concat()),
        ("driver", FACTS),
        ("dns", FACTS),
        ("netdaemons", FACTS),
        // Root's own program: what it is made of is all that root trusts.
        ("vmnet", &["packet", "process", "sys"]),
        ("packet", &[]),
        ("ssh", FACTS),
        ("guest", FACTS),
        ("image", FACTS),
        ("seed", FACTS),
        ("http", &["config"]),
        ("template", FACTS),
        ("home", &["config", "query", "document", "process", "sys"]),
        ("config", &["query", "document", "process", "sys"]),
        ("query", &["document"]),
        ("document", &[]),
        ("process", &["sys"]),
        ("sys", &[]),
    ];
    let mut wrong = Vec::new();
    for (name, text) in files(&["src"], &["rs"]) {
        let Some((room, _)) = name.trim_start_matches("src/").split_once('/') else {
            continue;
        };
        let Some((_, may)) = allowed.iter().find(|(from, _)| *from == room) else {
            continue;
        };
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (_, rest) in line.match_indices("crate::").map(|(at, word)| line.split_at(at + word.len())) {
                let used: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if !used.is_empty() && used != room && !may.contains(&used.as_str()) {
                    wrong.push(format!("{name} uses {used}: {}", line.trim()));
                }
            }
        }
    }
    none(wrong);
}
