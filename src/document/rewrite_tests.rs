//! What a change of the tree does to the text.

use proptest::prelude::*;

use super::*;

const RICH: &str = "\
# head

# where it boots from
images:
# the first image
- location: \"https://example.com/a.img\"
  arch: \"x86_64\"
- location: https://example.com/b.img  # arm
  arch: aarch64
# after the images

cpus: 4  # four of them
memory: \"4GiB\"
disk: '50GiB'

ssh:
  # fixed port
  localPort: 60022
  forwardAgent: false

provision:
- mode: system
  script: |
    #!/bin/bash
    # a comment inside the script
    echo x # not YAML's

    true
- mode: user
  script: >-
    folded

    twice

portForwards:
- guestPort: 80
- guestPortRange: [3000, 3010]
env: {A: b, \"C D\": 'e'}
# the end
";

/// The text after a change of its tree.
fn after(text: &str, change: impl FnOnce(&mut Node)) -> String {
    let document = Document::parse(text).unwrap();
    let mut root = document.root().clone();
    change(&mut root);
    document.rewrite(&root).unwrap()
}

/// Lines that the change took out and put in: `-old`, `+new`.
fn difference(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same_head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_head;
    let same_tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let gone = old[same_head..old.len() - same_tail].iter().map(|line| format!("-{line}"));
    let come = new[same_head..new.len() - same_tail].iter().map(|line| format!("+{line}"));
    gone.chain(come).collect()
}

fn changed(change: impl FnOnce(&mut Node)) -> Vec<String> {
    difference(RICH, &after(RICH, change))
}

fn inner<'a>(node: &'a mut Node, path: &[&str]) -> &'a mut Node {
    path.iter().fold(node, |node, key| match key.parse::<usize>() {
        Ok(index) => &mut node.items_mut().unwrap()[index],
        Err(_) => node.get_mut(key).unwrap(),
    })
}

#[test]
fn a_scalar_changes_in_its_place() {
    assert_eq!(
        changed(|root| root.set("cpus", Node::int(6))),
        ["-cpus: 4  # four of them", "+cpus: 6  # four of them"]
    );
    assert_eq!(
        changed(|root| inner(root, &["ssh"]).set("localPort", Node::int(0))),
        ["-  localPort: 60022", "+  localPort: 0"]
    );
    assert_eq!(
        changed(|root| *inner(root, &["images", "0", "arch"]) = Node::text("riscv64")),
        ["-  arch: \"x86_64\"", "+  arch: riscv64"]
    );
    assert_eq!(
        changed(|root| inner(root, &["env"]).set("A", Node::text("x, y"))),
        ["-env: {A: b, \"C D\": 'e'}", "+env: {A: 'x, y', \"C D\": 'e'}"]
    );
    assert_eq!(
        changed(|root| *inner(root, &["portForwards", "1", "guestPortRange", "1"]) = Node::int(3011)),
        ["-- guestPortRange: [3000, 3010]", "+- guestPortRange: [3000, 3011]"]
    );
}

#[test]
fn new_keys_go_behind_the_last_and_missing_parents_are_made() {
    assert_eq!(changed(|root| root.set("plain", Node::bool(true))), ["+plain: true"]);
    assert_eq!(
        changed(|root| inner(root, &["ssh"]).set("forwardX11", Node::bool(true))),
        ["+  forwardX11: true"]
    );
    assert_eq!(
        changed(|root| inner(root, &["env"]).set("Z", Node::text("1"))),
        ["-env: {A: b, \"C D\": 'e'}", "+env: {A: b, \"C D\": 'e', Z: \"1\"}"]
    );
    assert_eq!(after("cpus: 2", |root| root.set("plain", Node::bool(true))), "cpus: 2\nplain: true\n");
    assert_eq!(after("# only\n", |root| root.set("a", Node::int(1))), "# only\na: 1\n");
    assert_eq!(after("", |root| root.set("a", Node::sequence(vec![Node::int(1)]))), "a:\n- 1\n");
    assert_eq!(after("ssh:\n", |root| inner(root, &["ssh"]).set("a", Node::int(1))), "ssh:\n  a: 1\n");
    assert_eq!(
        after("ssh: {}  # c\nx: 1\n", |root| inner(root, &["ssh"]).set("a", Node::int(1))),
        "ssh:  # c\n  a: 1\nx: 1\n"
    );
    assert_eq!(after("{a: 1}\n", |root| root.set("b", Node::int(2))), "{a: 1, b: 2}\n");
}

#[test]
fn a_key_goes_with_its_own_comments_and_no_others() {
    assert_eq!(changed(|root| drop(root.remove("cpus"))), ["-cpus: 4  # four of them"]);
    assert_eq!(changed(|root| drop(root.remove("memory"))), ["-memory: \"4GiB\""]);
    assert_eq!(
        changed(|root| drop(inner(root, &["ssh"]).remove("localPort"))),
        ["-  # fixed port", "-  localPort: 60022"]
    );
    assert_eq!(
        changed(|root| drop(root.remove("ssh"))),
        ["-ssh:", "-  # fixed port", "-  localPort: 60022", "-  forwardAgent: false", "-"]
    );
    assert_eq!(
        changed(|root| drop(inner(root, &["env"]).remove("A"))),
        ["-env: {A: b, \"C D\": 'e'}", "+env: {\"C D\": 'e'}"]
    );
    assert_eq!(after("a:\n  b: 1\nc: 2\n", |root| drop(inner(root, &["a"]).remove("b"))), "a: {}\nc: 2\n");
}

#[test]
fn items_come_and_go_with_their_comments() {
    assert_eq!(
        changed(|root| drop(inner(root, &["images"]).items_mut().unwrap().remove(0))),
        ["-# the first image", "-- location: \"https://example.com/a.img\"", "-  arch: \"x86_64\""]
    );
    let new = Node::from_json(&serde_json::json!({"location": "/x", "writable": true}));
    assert_eq!(
        changed(|root| inner(root, &["images"]).items_mut().unwrap().insert(0, new.clone())),
        ["+- location: /x", "+  writable: true"]
    );
    assert_eq!(
        changed(|root| inner(root, &["images"]).items_mut().unwrap().push(new.clone())),
        ["+- location: /x", "+  writable: true"]
    );
    assert_eq!(
        changed(|root| inner(root, &["images"]).items_mut().unwrap().swap(0, 1)),
        [
            "-# the first image",
            "-- location: \"https://example.com/a.img\"",
            "-  arch: \"x86_64\"",
            "-- location: https://example.com/b.img  # arm",
            "-  arch: aarch64",
            "+- location: https://example.com/b.img  # arm",
            "+  arch: aarch64",
            "+# the first image",
            "+- location: \"https://example.com/a.img\"",
            "+  arch: \"x86_64\"",
        ]
    );
}

#[test]
fn entries_of_another_text_bring_their_comments_and_layout() {
    let base = Document::parse("mounts:\n    # home\n    - location: '~'   # yes\n      9p: {msize: 1KiB}\nmessage: |\n    one\n      two\n").unwrap();
    let text = after("cpus: 1\nx:\n  - a\n", |root| {
        for (key, value) in base.root().entries() {
            root.entries_mut().unwrap().push((key.clone(), value.clone()));
        }
    });
    assert_eq!(
        text,
        "cpus: 1\nx:\n  - a\nmounts:\n    # home\n    - location: '~'   # yes\n      9p: {msize: 1KiB}\nmessage: |\n    one\n      two\n"
    );
    let text = after("x:\n- a\n", |root| {
        let item = base.root().get("mounts").unwrap().items()[0].clone();
        inner(root, &["x"]).items_mut().unwrap().push(item);
    });
    assert_eq!(text, "x:\n- a\n# home\n- location: '~'   # yes\n  9p: {msize: 1KiB}\n");
}

#[test]
fn a_block_scalar_takes_the_blanks_behind_its_last_word_along() {
    let from = Document::parse("a: |-\n  x\n  y \n\nb: 1\n").unwrap();
    let to = Document::parse("c: 1\n").unwrap();
    let mut tree = to.root().clone();
    tree.entries_mut().unwrap().push(from.root().entries()[0].clone());
    assert_eq!(to.rewrite(&tree).unwrap(), "c: 1\na: |-\n  x\n  y \n");
}

#[test]
fn block_scalars_are_replaced_whole() {
    assert_eq!(
        changed(|root| *inner(root, &["provision", "0", "script"]) = Node::text("one\ntwo\n")),
        [
            "-    #!/bin/bash",
            "-    # a comment inside the script",
            "-    echo x # not YAML's",
            "-",
            "-    true",
            "+    one",
            "+    two"
        ]
    );
    assert_eq!(
        changed(|root| *inner(root, &["provision", "1", "script"]) = Node::text("x")),
        ["-  script: >-", "-    folded", "-", "-    twice", "+  script: x"]
    );
    assert_eq!(
        after("a: 1  # c\nb: 2\n", |root| root.set("a", Node::text("x\ny"))),
        "a: |-  # c\n  x\n  y\nb: 2\n"
    );
}

#[test]
fn indented_lists_stay_indented() {
    let text = "a:\n    - x: 1\n      y: 2\n    - z\nb:\n    c: 1\n";
    assert_eq!(
        after(text, |root| {
            inner(root, &["a"])
                .items_mut()
                .unwrap()
                .push(Node::from_json(&serde_json::json!({"k": [1], "l": {"m": null}})));
            inner(root, &["b"]).set("d", Node::int(2));
        }),
        "a:\n    - x: 1\n      y: 2\n    - z\n    - k:\n        - 1\n      l:\n        m: null\nb:\n    c: 1\n    d: 2\n"
    );
}

#[test]
fn line_breaks_and_what_follows_the_first_document_stay() {
    assert_eq!(after("a: 1\r\nb: 2\r\n", |root| root.set("c", Node::int(3))), "a: 1\r\nb: 2\r\nc: 3\r\n");
    assert_eq!(after("---\na: 1\n...\n", |root| root.set("a", Node::int(2))), "---\na: 2\n...\n");
    assert_eq!(after("a: 1\n---\na: 1\n", |root| root.set("b", Node::int(2))), "a: 1\nb: 2\n---\na: 1\n");
    assert_eq!(after("\u{feff}a: 1\n", |root| root.set("a", Node::int(2))), "\u{feff}a: 2\n");
}

#[test]
fn anchors_and_aliases_stay() {
    let text = "a: &x\n  k: 1\nb: *x\nc: &y 5  # five\n";
    assert_eq!(after(text, |root| root.set("d", Node::int(1))), format!("{text}d: 1\n"));
    assert_eq!(after(text, |root| inner(root, &["a"]).set("k", Node::int(2))), text.replace("k: 1", "k: 2"));
    let resolved = Document::parse("x: &x {a: 1, b: 2}\nz: {<<: *x, a: 5}\n").unwrap().root().resolved();
    assert_eq!(resolved.to_json(), serde_json::json!({"x": {"a": 1, "b": 2}, "z": {"a": 5, "b": 2}}));
}

#[test]
fn keys_that_are_renamed_keep_their_lines() {
    assert_eq!(
        changed(|root| inner(root, &["ssh"]).entries_mut().unwrap()[0].0 = Node::text("LOCALPORT")),
        ["-  localPort: 60022", "+  LOCALPORT: 60022"]
    );
}

#[test]
fn tags_and_anchors_of_collections_are_written() {
    let text = "a: !foo\n  b: 1\nc: &x [1, 2]\nd: !bar {p: q}\ne:\n- 1\n";
    let root = Document::parse(text).unwrap().root().clone();
    let copy = |key: &str| {
        let value = root.get(key).unwrap().clone();
        Node::mapping(vec![(Node::text("k"), Node::sequence(vec![value.clone()])), (Node::text("l"), value)])
    };
    assert_eq!(print(&copy("a")), "k:\n- !foo\n  b: 1\nl: !foo\n  b: 1\n");
    assert_eq!(print(&copy("c")), "k:\n- &x [1, 2]\nl: &x [1, 2]\n");
    assert_eq!(print(&copy("d")), "k:\n- !bar {p: q}\nl: !bar {p: q}\n");
    assert_eq!(
        after(text, |root| inner(root, &["e"]).set_tag(Some("!own".into()))),
        text.replace("e:\n", "e: !own\n")
    );
    assert_eq!(
        after(text, |root| inner(root, &["d"]).set_tag(Some("!own".into()))),
        text.replace("!bar {p: q}", "!own\n  p: q")
    );
    assert_eq!(after(text, |root| root.set("z", Node::int(1))), format!("{text}z: 1\n"));
}

#[test]
fn comments_that_are_set_are_written() {
    assert_eq!(
        changed(|root| inner(root, &["disk"]).comments_mut().head = Some("space".into())),
        ["+# space"]
    );
    assert_eq!(
        changed(|root| inner(root, &["disk"]).comments_mut().line = Some("space".into())),
        ["-disk: '50GiB'", "+disk: '50GiB'  # space"]
    );
    assert_eq!(
        changed(|root| inner(root, &["cpus"]).comments_mut().line = Some(String::new())),
        ["-cpus: 4  # four of them", "+cpus: 4"]
    );
}

#[test]
fn what_follows_the_content_is_part_of_the_document() {
    for text in ["{a: 1} b\n", "[1]\nc: 2\n", "--\nq{a::\tb\n? \nc}]}\n...\n", "\"a\" b\n"] {
        assert!(Document::parse(text).is_err(), "{text}");
    }
    assert!(Document::parse("a: 1\n---\nb: [\n").is_ok(), "but not the next document");
    assert!(Document::parse("a: 1\n...\n}\n").is_ok());
}

#[test]
fn carriage_returns_alone_are_line_breaks() {
    let text = "k: a \r\r\n a\n";
    for text in [text, "{key:y\rz: 1}\n", "{key: v\rz, k:y\rz: w}\n"] {
        let root = Document::parse(text).unwrap().root().clone();
        assert!(Document::parse(&print(&root)).unwrap().root().same(&root), "{}", print(&root));
    }
    // The line break of the text is the one before a line feed.
    assert_eq!(after(text, |root| root.set("z", Node::int(1))), "k: a \r\r\n a\nz: 1\r\n");
}

#[test]
fn hostile_texts_are_refused_in_little_memory() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let last = format!("*a{}", level - 1);
        laughs += &format!("a{level}: &a{level} [{}]\n", [last.as_str(); 8].join(", "));
    }
    assert_eq!(Document::parse(&laughs).unwrap_err().what, FaultKind::TooManyNodes);
    assert_eq!(Document::parse("a: &a [1, *a]\n").unwrap_err().what, FaultKind::Cycle);
    assert_eq!(Document::parse(&"- ".repeat(500)).unwrap_err().what, FaultKind::TooDeep);
    assert!(Document::parse(&"[".repeat(10_000)).is_err());
}

// ---- properties

fn any_scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}".prop_map(|text| text),
        Just("4".to_owned()),
        Just("true".to_owned()),
        Just("\"quoted # no\"".to_owned()),
        Just("'it''s'".to_owned()),
        Just("{a: 1, 'b': [x, y]}".to_owned()),
        Just("[1, {k: v}]".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("~".to_owned()),
        Just("žluť 🐎".to_owned()),
    ]
}

/// A block document as text: keys unique, comments, blank lines, nesting, block scalars.
fn any_block(depth: u32) -> BoxedStrategy<Vec<String>> {
    let comment = prop_oneof![4 => Just(String::new()), 1 => Just("  # note".to_owned())];
    let leaf = (any_scalar(), comment).prop_map(|(value, comment)| vec![format!(" {value}{comment}")]);
    let literal = prop_oneof![Just("|"), Just("|-"), Just(">"), Just("|+")].prop_map(|header| {
        vec![
            format!(" {header}"),
            "  line one".to_owned(),
            "    more".to_owned(),
            String::new(),
            "  # not a comment".to_owned(),
        ]
    });
    let value = match depth {
        0 => prop_oneof![4 => leaf, 1 => literal, 1 => Just(vec![String::new()])].boxed(),
        _ => {
            let map = any_block(depth - 1).prop_map(|lines| {
                std::iter::once(String::new())
                    .chain(lines.into_iter().map(|line| pad(&line, 2)))
                    .collect::<Vec<_>>()
            });
            let list =
                (prop::collection::vec(any_block(depth - 1), 1..4), prop_oneof![Just(0usize), Just(2)])
                    .prop_map(|(items, indent)| {
                        let mut lines = vec![String::new()];
                        for item in items {
                            for (index, line) in item.into_iter().enumerate() {
                                // Comments and blank lines before the first key stay out of the way of the dash.
                                lines.push(pad(
                                    &format!(
                                        "{}{line}",
                                        if index == 0 {
                                            "- "
                                        } else if line.is_empty() {
                                            ""
                                        } else {
                                            "  "
                                        }
                                    ),
                                    indent,
                                ));
                            }
                        }
                        lines
                    });
            prop_oneof![3 => leaf, 1 => literal, 2 => map, 2 => list].boxed()
        }
    };
    prop::collection::vec(
        (value, prop_oneof![5 => Just(None), 1 => Just(Some("# above")), 1 => Just(Some(""))]),
        1..5,
    )
    .prop_map(|values| {
        let mut lines = Vec::new();
        for (index, (value, above)) in values.into_iter().enumerate() {
            lines.extend(above.filter(|_| index > 0).map(str::to_owned));
            lines.push(format!("k{index}:{}", value[0]));
            lines.extend_from_slice(&value[1..]);
        }
        lines
    })
    .boxed()
}

fn pad(line: &str, step: usize) -> String {
    if line.is_empty() { String::new() } else { format!("{:step$}{line}", "") }
}

/// One change somewhere in a tree, chosen by numbers.
fn mutate(node: &mut Node, choice: &[u8]) {
    let Some((&first, rest)) = choice.split_first() else { return };
    let count = node.entries().len().max(node.items().len());
    if count > 0 && first % 3 == 0 && !rest.is_empty() {
        let index = usize::from(rest[0]) % count;
        let child = match node.kind_mut() {
            Kind::Mapping(entries) => &mut entries[index].1,
            Kind::Sequence(items) => &mut items[index],
            _ => return,
        };
        return mutate(child, &rest[1..]);
    }
    let value = match first % 7 {
        0 => Node::text("changed: yes"),
        1 => Node::int(7),
        2 => Node::from_json(&serde_json::json!({"x": {"y": [1, {"z": null}]}, "w": "a\nb\n"})),
        3 => Node::from_json(&serde_json::json!([])),
        4 => Node::text("one\n\n  two"),
        5 => node.clone(),
        _ => Node::null(),
    };
    let pick = rest.first().copied().unwrap_or(0);
    match node.kind_mut() {
        Kind::Mapping(entries) if pick % 4 == 0 && !entries.is_empty() => {
            entries.remove(usize::from(first) % entries.len());
        }
        Kind::Mapping(entries) if pick % 4 == 1 => entries.push((Node::text("fresh"), value)),
        Kind::Mapping(entries) if pick % 4 == 2 => entries.reverse(),
        Kind::Sequence(items) if pick % 4 == 0 && !items.is_empty() => {
            items.remove(usize::from(first) % items.len());
        }
        Kind::Sequence(items) if pick % 4 == 1 => items.insert(usize::from(first) % (items.len() + 1), value),
        Kind::Sequence(items) if pick % 4 == 2 => items.reverse(),
        _ => *node = value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_change_can_be_written(lines in any_block(3), choices in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..8), 1..4)) {
        let text = lines.join("\n") + "\n";
        let document = Document::parse(&text).unwrap();
        let mut root = document.root().clone();
        for choice in &choices {
            mutate(&mut root, choice);
        }
        let written = document.rewrite(&root);
        prop_assert!(written.is_ok(), "{written:?}\n--- old\n{text}--- wanted\n{}", root.to_json());
    }

    #[test]
    fn no_change_changes_no_byte(lines in any_block(3)) {
        let text = lines.join("\n");
        let document = Document::parse(&text).unwrap();
        prop_assert_eq!(document.rewrite(&document.root().clone()).unwrap(), text);
    }

    #[test]
    fn what_is_printed_reads_as_what_was_meant(lines in any_block(3), choice in prop::collection::vec(any::<u8>(), 1..8)) {
        let document = Document::parse(&(lines.join("\n") + "\n")).unwrap();
        let mut root = document.root().clone();
        mutate(&mut root, &choice);
        let printed = print(&root);
        prop_assert!(Document::parse(&printed).unwrap().root().same(&root), "{printed}");
        let fresh = print(&Node::from_json(&root.to_json()));
        prop_assert_eq!(Document::parse(&fresh).unwrap().root().to_json(), root.to_json(), "{}", fresh);
    }

    #[test]
    fn any_text_is_printed_so_that_it_reads_the_same(text in "[ -~\n\t\r\u{0}\u{85}é#:'\"]{0,30}") {
        let node = Node::mapping(vec![(Node::text("k"), Node::text(text.clone())), (Node::text("f"), Node::sequence(vec![Node::text(text.clone())]))]);
        let printed = print(&node);
        let read = Document::parse(&printed).unwrap();
        prop_assert_eq!(read.root().get("k").and_then(Node::as_text), Some(text.as_str()), "{}", printed);
        prop_assert!(read.root().same(&node), "{}", printed);
        let line = format!("a: {}\n", flow(&node));
        prop_assert!(Document::parse(&line).unwrap().root().get("a").unwrap().same(&node), "{}", line);
    }

    #[test]
    fn no_text_panics(text in "[ -~\n\té]{0,80}") {
        if let Ok(document) = Document::parse(&text) {
            let mut root = document.root().clone();
            root.set("k", Node::int(1));
            let _ = document.rewrite(&root);
        }
    }

    #[test]
    fn no_yaml_like_text_panics(parts in prop::collection::vec("(a: |b: |- |\\[|\\]|\\{|\\}|\n|  |&x |\\*x|<<: |'|\"|\\||>|#|,|\\? |!!str |\\.\\.\\.|---)", 0..30)) {
        if let Ok(document) = Document::parse(&parts.concat()) {
            let mut root = document.root().clone();
            root.set("a", Node::from_json(&serde_json::json!([{"b": 1}])));
            let _ = document.rewrite(&root);
        }
    }
}
