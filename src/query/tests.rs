//! Expressions, inputs and what comes out. The two tables are what yq itself (v4.53) answers for the same input.

use proptest::prelude::*;

use super::{Error, Fault, Input, Options, Query, json};
use crate::document::{Document, Node};

const INPUT: &str = r#"# head
cpus: 4 # four
memory: "4GiB"
disk: '50GiB'
images:
- location: a-amd64
  arch: x86_64
- location: b-arm64
  arch: aarch64
  variant: full
x: {a: [1,2,3], b: 1, k: 2}
env:
  EDITOR: vi
  B: null
base: &b
  p: 1
  q: [5]
ali: *b
mer:
  <<: *b
  r: 3
empty: {}
none: null
"q k": s
flt: 1.5
neg: -3
bl: true
script: |
  one
  foo two
"#;

/// The results as lines of JSON, joined with ` | `.
fn answer(expression: &str, input: &str) -> Result<String, Error> {
    let options = Options { resolve_aliases: true, ..Options::default() };
    let document = Document::parse(input).unwrap();
    let query = Query::with_options(expression, options)?;
    let input = Input { node: document.root().clone(), document: 0, file: 0, name: String::new() };
    let outputs = query.run_all(vec![input], false)?;
    Ok(outputs.iter().map(|output| json(&output.node, 0)).collect::<Vec<_>>().join(" | "))
}

fn edited(expression: &str, input: &str) -> String {
    let document = Document::parse(input).unwrap();
    let root = Query::parse(expression).unwrap().edit(document.root()).unwrap();
    document.rewrite(&root).unwrap()
}

#[test]
fn expressions_answer_as_yq_does() {
    let wrong: Vec<String> = ANSWERS
        .iter()
        .filter_map(|(expression, wanted)| {
            let found = answer(expression, INPUT).unwrap_or_else(|error| error.to_string());
            (found != *wanted).then(|| format!("{expression}\n  wanted {wanted}\n  found  {found}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn faults_are_told_in_yqs_words() {
    let wrong: Vec<String> = FAULTS
        .iter()
        .filter_map(|(expression, wanted)| {
            let found = answer(expression, INPUT).unwrap_or_else(|error| error.to_string());
            (found.lines().next() != Some(wanted))
                .then(|| format!("{expression}\n  wanted {wanted}\n  found  {found}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn where_yq_is_weak_ours_says_what_was_meant() {
    for (expression, wanted) in [
        // A key `cpus+`, two values, no equality of collections, a flat merge.
        (".cpus+=1 | .cpus", "5"),
        (".cpus -1", "3"),
        (".x.a == [1,2,3]", "true"),
        (".x == {\"b\": 1, \"a\": [1,2,3], \"k\": 2}", "true"),
        // What a mapping has by `<<` is written into the mapping, not into the one it shares.
        (".mer.p = 9 | [.mer.p, .base.p]", "[9,1]"),
        (".mer.q += [6] | [.mer.q, .base.q]", "[[5,6],[5]]"),
        ("\"caf\\u00e9 \\x41\"", "\"café A\""),
        (".cpus //= 9 | .zz //= 9 | [.cpus, .zz]", "[4,9]"),
        (".cpus /= 2 | .cpus", "2"),
        (".cpus %= 3 | .cpus", "1"),
        ("{a: 1, select: 2}", "{\"a\":1,\"select\":2}"),
        (".x.a | first", "1"),
    ] {
        assert_eq!(answer(expression, INPUT).unwrap(), wanted, "{expression}");
    }
}

#[test]
fn the_place_of_a_fault_is_shown() {
    for (expression, wanted) in [
        (
            ".cpus = nosuchfunc(1)",
            "1:9: lexer: invalid input text \"nosuchfunc(1)\"\n  .cpus = nosuchfunc(1)\n          ^",
        ),
        (".cpus =", "'=' expects 2 args but there is 1\n  .cpus =\n         ^"),
        (".a[", "bad expression, could not find matching `]`\n  .a[\n     ^"),
        (".x |\n.images.k", "cannot index array with 'k'\n  .images.k\n         ^"),
    ] {
        let input = INPUT.replace("x: {", "x: {images: [], ");
        assert_eq!(answer(expression, &input).unwrap_err().to_string(), wanted, "{expression}");
    }
}

#[test]
fn what_reaches_outside_is_refused() {
    for (expression, wanted) in [
        (".a = env(HOME)", "env operations have been disabled"),
        (".a = strenv(HOME)", "env operations have been disabled"),
        (".a = (\"${HOME}\" | envsubst)", "env operations have been disabled"),
        (".a = load(\"/etc/hostname\")", "file operations have been disabled"),
        (".a = load_str(\"/etc/hostname\")", "file operations have been disabled"),
        ("system(\"id\")", "system operations are disabled, use --security-enable-system-operator to enable"),
    ] {
        assert_eq!(answer(expression, INPUT).unwrap_err().to_string(), wanted, "{expression}");
    }
}

#[test]
fn the_environment_is_seen_where_it_is_given() {
    let environment = [("N", "3"), ("S", "a: b"), ("E", "")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = Options { allow_env: Some(environment.into()), ..Options::default() };
    let ask = |expression: &str| {
        let found = Query::with_options(expression, options.clone())?.run(&Node::null())?;
        Ok::<_, Error>(json(&found[0], 0))
    };
    for (expression, wanted) in [
        ("env(N) + 1", "4"),
        ("env(S)", r#"{"a":"b"}"#),
        ("strenv(S)", r#""a: b""#),
        ("strenv(NONE)", r#""""#),
        (r#""${N} $N ${NONE:-d} ${E-d} ${E:-d}" | envsubst"#, r#""3 3 d  d""#),
        (r#""${NONE-d}" | envsubst(nu)"#, r#""d""#),
    ] {
        assert_eq!(ask(expression).unwrap(), wanted, "{expression}");
    }
    for (expression, wanted) in [
        ("env(NONE)", "value for env variable 'NONE' not provided in env()"),
        (r#""${NONE}" | envsubst(nu)"#, "variable ${NONE} not set"),
        (r#""${E}" | envsubst(ne)"#, "variable ${E} set but empty"),
    ] {
        let found = ask(expression).unwrap_err().to_string();
        assert_eq!(found.lines().next(), Some(wanted), "{expression}");
    }
}

#[test]
fn an_edit_touches_only_what_it_is_about() {
    for (expression, old, new) in [
        (".memory = \"6GiB\"", "memory: \"4GiB\"", "memory: \"6GiB\""),
        (".disk = \"60GiB\"", "disk: '50GiB'", "disk: '60GiB'"),
        (".cpus += 1", "cpus: 4 # four", "cpus: 5 # four"),
        (".images[1].variant |= upcase", "  variant: full", "  variant: FULL"),
        (".x.b = 9", "x: {a: [1,2,3], b: 1, k: 2}", "x: {a: [1,2,3], b: 9, k: 2}"),
        ("del(.env.B)", "  B: null\n", ""),
        (".images |= map(select(.arch == \"aarch64\"))", "- location: a-amd64\n  arch: x86_64\n", ""),
        (".script |= sub(\"foo\"; \"bar\")", "  foo two", "  bar two"),
    ] {
        assert!(INPUT.contains(old), "{old}");
        assert_eq!(edited(expression, INPUT), INPUT.replacen(old, new, 1), "{expression}");
    }
}

#[test]
fn an_edit_that_changes_nothing_changes_no_byte() {
    for expression in [
        "",
        ".",
        "del(.nothing)",
        ".cpus = 4",
        ".memory = \"4GiB\"",
        ".images |= map(.)",
        ".x.a |= unique",
        ".x |= with_entries(.)",
        ".. |= .",
        "sort_keys(.x)",
        ". * {\"cpus\": 4, \"x\": {\"b\": 1}}",
        ". *= {\"env\": {\"EDITOR\": \"vi\"}}",
        ".images += []",
        ".cpus tag = \"!!int\"",
        ".cpus line_comment = \"four\"",
        ".images[] |= select(.arch == \"nope\")",
        "explode(.x)",
        ".images as $i | .images = $i",
    ] {
        assert_eq!(edited(expression, INPUT), INPUT, "{expression}");
    }
}

#[test]
fn an_edit_has_exactly_one_result() {
    let edit = |expression: &str| Query::parse(expression).unwrap().edit(&Node::null());
    assert_eq!(*edit("1, 2").unwrap_err().fault(), Fault::NotOne { count: 2 });
    assert_eq!(*edit("select(false)").unwrap_err().fault(), Fault::NotOne { count: 0 });
}

#[test]
fn hostile_expressions_end_with_an_error() {
    let doubling = format!("\"x\"{}", " | . + .".repeat(60));
    let trees = format!("[1]{}", " | {\"a\": ., \"b\": .}".repeat(60));
    let nested = "(".repeat(5000);
    let lists = "[".repeat(5000);
    let deep = format!("1{}", " | [.]".repeat(3000));
    let long = " ".repeat(super::MAX_LENGTH + 1);
    let sums = format!("1{}", " + 1".repeat(5000));
    let inner = format!("{}1{}", "\"\\(".repeat(300), ")\"".repeat(300));
    for expression in [
        "\"x\" * 9999999999",
        "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" * 9223372036854775807",
        ".a[99999999999] = 1",
        ".a[9223372036854775807] = 1",
        ".a[-9223372036854775808]",
        "9223372036854775807 + 1",
        "\"eval($x)\" as $x | eval($x)",
        "\"eval($x), eval($x)\" as $x | eval($x)",
        "\"x\" | test(\"(((a{100}){100}){100}){100}\")",
        "-9223372036854775808 % -1",
        &doubling,
        &deep,
        "(\"a\" * 200 | split(\"\")) as $p | setpath($p; 1)",
        &trees,
        &nested,
        &lists,
        &long,
        &sums,
        &inner,
    ] {
        let shown: String = expression.chars().take(60).collect();
        assert!(answer(expression, INPUT).is_err(), "{shown}");
    }
}

#[test]
fn many_flags_joined_by_pipes_are_no_depth() {
    let expression = vec![".cpus += 1"; 2000].join(" | ") + " | .cpus";
    assert_eq!(answer(&expression, INPUT).unwrap(), "2004");
}

#[test]
fn as_deep_as_allowed_is_no_overflow() {
    let depth = super::MAX_DEPTH - 2;
    let expression = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(answer(&expression, "").is_ok());
    let expression = format!("{}.{}", "map_values(".repeat(depth), ")".repeat(depth));
    assert!(answer(&expression, "a: {a: {a: 1}}").is_ok());
}

#[test]
fn a_copy_with_an_alias_still_knows_what_it_stands_for() {
    let input = "base: &b {p: 1}\nlist: [*b, *b]\n";
    assert_eq!(answer("[.list[] | .p]", input).unwrap(), "[1,1]");
    assert_eq!(answer("[.list[]] | .[0].p", input).unwrap(), "1");
    assert_eq!(edited(".c = .list[0].p", input), "base: &b {p: 1}\nlist: [*b, *b]\nc: 1\n");
}

#[test]
fn all_documents_together_are_seen_by_one_operator() {
    let inputs = ["a: 1", "b: 2"].into_iter().enumerate().map(|(number, text)| Input {
        node: Document::parse(text).unwrap().root().clone(),
        document: number,
        file: number,
        name: String::new(),
    });
    let query = Query::parse("select(fi == 0) * select(fi == 1)").unwrap();
    let found = query.run_all(inputs.collect(), true).unwrap();
    assert_eq!(json(&found[0].node, 0), r#"{"a":1,"b":2}"#);
}

/// Values as they stand in an expression and in a document.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1"),
        Just("-2.5"),
        Just("true"),
        Just("null"),
        Just("\"a b\""),
        Just("\"4\""),
        Just("[]"),
        Just("[1, \"x\"]"),
        Just("{\"k\": 1}"),
        Just("\"\\n\""),
        Just("\"# c\"")
    ]
    .prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        Just(".cpus"),
        Just(".memory"),
        Just(".x"),
        Just(".images"),
        Just("[0]"),
        Just("[-1]"),
        Just(".a"),
        Just("[]"),
        Just(".new"),
        Just(".mer"),
        Just(".ali"),
        Just(".p"),
        Just("[1]"),
        Just(".env")
    ];
    proptest::collection::vec(step, 1..4)
        .prop_map(|steps| format!(".{}", steps.concat()).replacen("..", ".", 1))
}

/// Any words and signs of the language in any order.
fn words() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        ".",
        "..",
        "...",
        ".a",
        ".cpus",
        ".x",
        ".images",
        "[",
        "]",
        "[]",
        "(",
        ")",
        "{",
        "}",
        ":",
        ";",
        ",",
        "|",
        "|=",
        "=",
        "+=",
        "*",
        "*n",
        "*d",
        "*+",
        "+",
        "-",
        "/",
        "%",
        "//",
        "==",
        "!=",
        "<",
        ">=",
        "and",
        "or",
        "not",
        "select",
        "map",
        "del",
        "with",
        "path",
        "key",
        "parent",
        "setpath",
        "delpaths",
        "sort_by",
        "group_by",
        "unique",
        "flatten",
        "reverse",
        "first",
        "keys",
        "to_entries",
        "with_entries",
        "tag",
        "style",
        "line_comment",
        "head_comment",
        "anchor",
        "alias",
        "explode",
        "as",
        "$v",
        "ireduce",
        "eval",
        "split",
        "join",
        "sub",
        "test",
        "match",
        "capture",
        "has",
        "contains",
        "pick",
        "omit",
        "pivot",
        "min",
        "max",
        "to_json",
        "from_json",
        "@base64d",
        "@csv",
        "from_csv",
        "length",
        "split_doc",
        "sort_keys",
        "map_values",
        "any_c",
        "root",
        "parents",
        "to_number",
        "\"a\"",
        "\"(a)\"",
        "\"double\"",
        "\"\\(.)\"",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "1.5",
        "true",
        "null",
    ]);
    proptest::collection::vec(word, 1..14).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_expression_panics(expression in words()) {
        if let Ok(query) = Query::parse(&expression) {
            let _ = query.run(Document::parse(INPUT).unwrap().root());
        }
    }

    #[test]
    fn no_text_panics(expression in "\\PC{0,40}") {
        let _ = Query::parse(&expression);
    }

    #[test]
    fn assigning_twice_is_assigning_once(path in path(), value in value()) {
        let once = Query::parse(&format!("{path} = {value}")).unwrap();
        let document = Document::parse(INPUT).unwrap();
        if let Ok(first) = once.edit(document.root()) {
            let second = once.edit(&first).unwrap();
            prop_assert!(second.same(&first));
        }
    }

    #[test]
    fn an_update_to_itself_changes_no_byte(path in path()) {
        let query = Query::parse(&format!("({path} | select(. != null)) |= .")).unwrap();
        let document = Document::parse(INPUT).unwrap();
        if let Ok(root) = query.edit(document.root()) {
            prop_assert_eq!(document.rewrite(&root).unwrap(), INPUT);
        }
    }
}

/// Expression and results.
const ANSWERS: &[(&str, &str)] = &[
    ("((.cpus = 1), (.neg = 2)) | [.cpus, .neg]", "[1,2]"),
    ("(.cpus, .neg) as $x | .flt", "1.5 | 1.5"),
    ("[(.cpus, .neg) as $x | .] | length", "1"),
    ("[.cpus, .cpus]", "[4,4]"),
    (".cpus += .nope | .cpus", "4"),
    ("null * null", "null"),
    (r#"{"a": [1]} *n+ {"a": [2]}"#, r#"{"a":[1]}"#),
    (r#""" | split("x")"#, "[]"),
    (r#".memory = "6GiB" | .memory"#, r#""6GiB""#),
    (r#".video.display = "vnc" | .video"#, r#"{"display":"vnc"}"#),
    (r#".vmOpts.qemu.cpuType.x86_64 = "max" | .vmOpts"#, r#"{"qemu":{"cpuType":{"x86_64":"max"}}}"#),
    (".mounts = [] | .mounts", "[]"),
    (
        r#".portForwards = [{"guestPort": 80, "hostPort": 8080}, {"guestPort": 443}] | .portForwards"#,
        r#"[{"guestPort":80,"hostPort":8080},{"guestPort":443}]"#,
    ),
    (
        ".images[0].writable = true | .images",
        r#"[{"location":"a-amd64","arch":"x86_64","writable":true},{"location":"b-arm64","arch":"aarch64","variant":"full"}]"#,
    ),
    (
        r#".mounts[1].location = "/srv/x" | .mounts[0].location = "/srv/w" | .mounts"#,
        r#"[{"location":"/srv/w"},{"location":"/srv/x"}]"#,
    ),
    (
        r#"del(.images[] | select(.arch == "aarch64")) | .images"#,
        r#"[{"location":"a-amd64","arch":"x86_64"}]"#,
    ),
    (
        "del(.memory, .disk, .x) | keys",
        r#"["cpus","images","env","base","ali","mer","empty","none","q k","flt","neg","bl","script"]"#,
    ),
    ("del(.nothing) | length", "16"),
    (r#".list += "9p" | .list"#, r#""9p""#),
    (".none += 3 | .none", "3"),
    (".none += [1] | .none", "[1]"),
    (r#".env += {"Z": 1} | .env"#, r#"{"EDITOR":"vi","B":null,"Z":1}"#),
    (r#".mounts = [{"location": "/srv/first"}] + .mounts | .mounts"#, r#"[{"location":"/srv/first"}]"#),
    (".cpus += 1 | .cpus", "5"),
    (".cpus *= 2 | .cpus", "8"),
    (".cpus -= 1 | .cpus", "3"),
    (".cpus = 11 % 4 | .cpus", "3"),
    (r#".env.EDITOR = .env.EDITOR + "m" | .env"#, r#"{"EDITOR":"vim","B":null}"#),
    (
        r#".images[].location |= sub("64"; "32") | .images"#,
        r#"[{"location":"a-amd32","arch":"x86_64"},{"location":"b-arm32","arch":"aarch64","variant":"full"}]"#,
    ),
    (
        r#".images[].location |= sub("(a)"; "<$1>") | .images"#,
        r#"[{"location":"<a>-<a>md64","arch":"x86_64"},{"location":"b-<a>rm64","arch":"aarch64","variant":"full"}]"#,
    ),
    (
        r#".images[].location |= sub("(a)", "<${1}x>") | .images"#,
        r#"[{"location":"<ax>-<ax>md64","arch":"x86_64"},{"location":"b-<ax>rm64","arch":"aarch64","variant":"full"}]"#,
    ),
    (".cpus |= . + 2 | .cpus", "6"),
    (
        r#".images = [.images[] | select(.arch == "x86_64")] | .images"#,
        r#"[{"location":"a-amd64","arch":"x86_64"}]"#,
    ),
    (
        r#"(.images[] | select(.location | test("amd64"))).variant = "full" | .images"#,
        r#"[{"location":"a-amd64","arch":"x86_64","variant":"full"},{"location":"b-arm64","arch":"aarch64","variant":"full"}]"#,
    ),
    (
        r#".images |= map(. + {"writable": true}) | .images"#,
        r#"[{"location":"a-amd64","arch":"x86_64","writable":true},{"location":"b-arm64","arch":"aarch64","variant":"full","writable":true}]"#,
    ),
    (".env |= with_entries(.key |= downcase) | .env", r#"{"editor":"vi","b":null}"#),
    (r#".env |= with_entries(.value = "x") | .env"#, r#"{"EDITOR":"x","B":"x"}"#),
    (r#".env | with_entries(select(.key == "E*"))"#, r#"{"EDITOR":"vi"}"#),
    (r#"["9p", "virtiofs", "9p"] | unique"#, r#"["9p","virtiofs"]"#),
    (
        r#"[{"socket": "/a", "interface": "x"}, {"socket": "/b", "interface": "x"}] | unique_by(.interface)"#,
        r#"[{"socket":"/a","interface":"x"}]"#,
    ),
    (r#"(.. | select(tag == "!!bool")) = false | .bl"#, "false"),
    (".cpus as $n | .env.N = ($n | tostring) | .env", r#"{"EDITOR":"vi","B":null,"N":"4"}"#),
    (".images[] as $i | $i.arch", r#""x86_64" | "aarch64""#),
    (".images[] as $i ireduce (0; . + 1)", "2"),
    (".images[] as $i ireduce ({}; .[$i.arch] = $i.location)", r#"{"x86_64":"a-amd64","aarch64":"b-arm64"}"#),
    (".cpus == 4", "true"),
    (r#".cpus == "4""#, "true"),
    (".cpus != 4", "false"),
    (r#".memory == "4*""#, "true"),
    (r#".memory == "?GiB""#, "true"),
    (".images | length", "2"),
    (".images[] | .location, .arch", r#""a-amd64" | "b-arm64" | null"#),
    (".images[-1].arch", r#""aarch64""#),
    (".images[5]", "null"),
    (".images[0:1]", r#"[{"location":"a-amd64","arch":"x86_64"}]"#),
    (".images[:1] | length", "1"),
    (".images[1:] | length", "1"),
    (".x.a[1:2]", "[2]"),
    (r#".["q k"]"#, r#""s""#),
    (".q?", "null"),
    (".images.foo?", ""),
    (".cpus.foo", ""),
    (".cpus.foo.bar", ""),
    (".cpus[0]", ""),
    (".x[]", "[1,2,3] | 1 | 2"),
    (".x.a[]", "1 | 2 | 3"),
    (".none[]", ""),
    (".cpus[]", ""),
    (".x.* ", "[1,2,3] | 1 | 2"),
    (r#".x["*"]"#, "[1,2,3] | 1 | 2"),
    (".ali.p", "1"),
    (".ali.q[0]", "5"),
    (".mer.p", "1"),
    (".mer.r", "3"),
    (".mer | keys", r#"["<<","r"]"#),
    (r#".mer | has("p")"#, "false"),
    (".mer.p = 9 | .mer.p", "9"),
    (".ali.p = 9 | .base.p", "9"),
    (".mer | explode(.)", r#"{"p":1,"q":[5],"r":3}"#),
    (".mer | length", "2"),
    (".mer | to_entries | length", "2"),
    (".mer[]", "1 | [5] | 3"),
    (".x | to_entries", r#"[{"key":"a","value":[1,2,3]},{"key":"b","value":1},{"key":"k","value":2}]"#),
    (".x.a | to_entries", r#"[{"key":0,"value":1},{"key":1,"value":2},{"key":2,"value":3}]"#),
    (".x | to_entries | from_entries", r#"{"a":[1,2,3],"b":1,"k":2}"#),
    (r#".x | pick(["b","zz","a"])"#, r#"{"b":1,"a":[1,2,3]}"#),
    (".x.a | pick([2,0])", "[3,1]"),
    (r#".x | omit(["b"])"#, r#"{"a":[1,2,3],"k":2}"#),
    (".x | keys", r#"["a","b","k"]"#),
    (".x.a | keys", "[0,1,2]"),
    (r#".x | has("a")"#, "true"),
    (".x.a | has(2)", "true"),
    (".x.a | has(3)", "false"),
    (".x.a | contains([1])", "true"),
    (r#".memory | contains("GiB")"#, "true"),
    (r#".x | contains({"b": 1})"#, "true"),
    (".x.a | reverse", "[3,2,1]"),
    (".x.a | first(. > 1)", "2"),
    (".x.a | map(. * 2)", "[2,4,6]"),
    (".x.a | filter(. > 1)", "[2,3]"),
    (".x | map_values(. + 0)", r#"{"a":[1,2,3,0],"b":1,"k":2}"#),
    (".x.a | map_values(. + 1)", "[2,3,4]"),
    (r#".env | map_values("z")"#, r#"{"EDITOR":"z","B":"z"}"#),
    (".x | map(.)", "[[1,2,3],1,2]"),
    (".x.a | min", "1"),
    (".x.a | max", "3"),
    (".x.a | any", "true"),
    ("[false,null] | any", "false"),
    ("[true,1] | all", "true"),
    (".x.a | any_c(. > 2)", "true"),
    (".x.a | all_c(. > 2)", "false"),
    ("[[1,[2]],3] | flatten", "[1,2,3]"),
    ("[[1,[2]],3] | flatten(1)", "[1,[2],3]"),
    ("[3,1,2] | sort", "[1,2,3]"),
    (r#"[{"a":2},{"a":1}] | sort_by(.a)"#, r#"[{"a":1},{"a":2}]"#),
    (
        r#"[{"a":2,"b":1},{"a":1,"b":3},{"a":1,"b":2}] | sort_by(.a, .b)"#,
        r#"[{"a":1,"b":2},{"a":1,"b":3},{"a":2,"b":1}]"#,
    ),
    (r#"[{"a":2},{"a":1},{"a":2}] | group_by(.a)"#, r#"[[{"a":2},{"a":2}],[{"a":1}]]"#),
    (".x | sort_keys(.)", r#"{"a":[1,2,3],"b":1,"k":2}"#),
    ("sort_keys(..) | .x", r#"{"a":[1,2,3],"b":1,"k":2}"#),
    (
        ".images | pivot",
        r#"{"location":["a-amd64","b-arm64"],"arch":["x86_64","aarch64"],"variant":[null,"full"]}"#,
    ),
    ("[[1,2],[3,4]] | pivot", "[[1,3],[2,4]]"),
    (r#".x.a | join("-")"#, r#""1-2-3""#),
    (r#".memory | split("G")"#, r#"["4","iB"]"#),
    (".memory | upcase", r#""4GIB""#),
    (".memory | downcase", r#""4gib""#),
    (r#"" a " | trim"#, r#""a""#),
    (".cpus | to_string", r#""4""#),
    (r#""4" | to_number"#, "4"),
    (r#""0x10" | to_number"#, "16"),
    (".x | to_json", r#""{\n  \"a\": [\n    1,\n    2,\n    3\n  ],\n  \"b\": 1,\n  \"k\": 2\n}\n""#),
    (".x | to_json(0)", r#""{\"a\":[1,2,3],\"b\":1,\"k\":2}""#),
    (".x | @json", r#""{\"a\":[1,2,3],\"b\":1,\"k\":2}""#),
    (r#""{\"a\": 1}" | from_json"#, r#"{"a":1}"#),
    (r#""a: 1" | from_yaml"#, r#"{"a":1}"#),
    (r#""a b/c" | @uri"#, r#""a+b%2Fc""#),
    (r#""a+b%2Fc" | @urid"#, r#""a b/c""#),
    (r#""hi there" | @base64"#, r#""aGkgdGhlcmU=""#),
    (r#""aGk=" | @base64d"#, r#""hi""#),
    (r#""it's" | @sh"#, r#""it\\'s""#),
    (r#"[1,"a"] | @csv"#, r#""1,a""#),
    (r#"[["a","b"],[1,2]] | @tsv"#, r#""a\tb\n1\t2""#),
    (r#""a,b\n1,x" | @csvd"#, r#"[{"a":1,"b":"x"}]"#),
    (".x | @props", r#""a.0 = 1\na.1 = 2\na.2 = 3\nb = 1\nk = 2\n""#),
    (r#""x \(.cpus) y \(.env.EDITOR)""#, r#""x 4 y vi""#),
    (".cpus | tag", r#""!!int""#),
    (".cpus | type", r#""!!int""#),
    (".x | kind", r#""map""#),
    (".none | tag", r#""!!null""#),
    (".memory | style", r#""double""#),
    (".disk | style", r#""single""#),
    (".script | style", r#""literal""#),
    (".base | anchor", r#""b""#),
    (".ali | alias", r#""b""#),
    (".cpus | line_comment", r#""four""#),
    (". | head_comment", r#""head""#),
    (".x.a | path", r#"["x","a"]"#),
    (".x.a[1] | path", r#"["x","a",1]"#),
    (".x.a[1] | key", "1"),
    (".x | key", r#""x""#),
    (".x.a[1] | parent", "[1,2,3]"),
    (".x.a[1] | parent(2) | keys", r#"["a","b","k"]"#),
    (".x.a | parents | length", "2"),
    (".x.a | root | keys | length", "16"),
    (r#".. | select(tag == "!!float")"#, "1.5"),
    ("[..] | length", "37"),
    ("[...] | length", "67"),
    (".x | .. ", r#"{"a":[1,2,3],"b":1,"k":2} | [1,2,3] | 1 | 2 | 3 | 1 | 2"#),
    (r#"setpath(["x","z"]; 5) | .x"#, r#"{"a":[1,2,3],"b":1,"k":2,"z":5}"#),
    (r#"setpath(["n","m",1]; 5) | .n"#, r#"{"m":[null,5]}"#),
    (r#"delpaths([["x","a"],["x","b"]]) | .x"#, r#"{"k":2}"#),
    ("with(.x; .b = 7 | .c = 8) | .x", r#"{"a":[1,2,3],"b":7,"k":2,"c":8}"#),
    (
        "with(.images[]; .z = .arch) | .images",
        r#"[{"location":"a-amd64","arch":"x86_64","z":"x86_64"},{"location":"b-arm64","arch":"aarch64","variant":"full","z":"aarch64"}]"#,
    ),
    (".cpus // 3", "4"),
    (".nope // 3", "3"),
    (r#".none // "d""#, r#""d""#),
    (".bl and false", "false"),
    (".bl or false", "true"),
    (".bl | not", "false"),
    (".none | not", "true"),
    (".cpus > 3", "true"),
    (".cpus >= 4", "true"),
    (".cpus < 4", "false"),
    (".flt > 1", "true"),
    (r#""a" < "b""#, "true"),
    (".none < 3", "false"),
    (".cpus > .none", "false"),
    ("3 + 4 * 2", "11"),
    ("10 - 2 - 3", "11"),
    ("10 / 4", "2.5"),
    ("7 % 3", "1"),
    ("7.5 % 2", "1.5"),
    (".flt + 1", "2.5"),
    (".neg - 1", "-4"),
    (r#""ab" * 3"#, r#""ababab""#),
    (r#"3 * "ab""#, r#""ababab""#),
    (r#"{"a": {"b": 1}} * {"a": {"c": 2}}"#, r#"{"a":{"b":1,"c":2}}"#),
    (r#"{"a": [1]} * {"a": [2]}"#, r#"{"a":[2]}"#),
    (r#"{"a": [1]} *+ {"a": [2]}"#, r#"{"a":[1,2]}"#),
    (r#"{"a": [{"x":1}]} *d {"a": [{"y":2}]}"#, r#"{"a":[{"x":1,"y":2}]}"#),
    (r#"{"a": 1} *n {"a": 2, "b": 3}"#, r#"{"a":1,"b":3}"#),
    (r#"{"a": 1} *? {"a": 2, "b": 3}"#, r#"{"a":2}"#),
    (r#"{"a": {"z": null}} * {"a": {"z": {"q": 1}}}"#, r#"{"a":{"z":{"q":1}}}"#),
    (r#"{"a": 1} * null"#, r#"{"a":1}"#),
    (r#"null * {"a": 1}"#, r#"{"a":1}"#),
    (r#"{"a": {"b": 1}} * {"a": null}"#, r#"{"a":null}"#),
    (r#"{"a": null} *n {"a": 1}"#, r#"{"a":1}"#),
    (r#"{"a": {"b":null}} *n {"a": {"b": {"x": 1}}}"#, r#"{"a":{"b":{"x":1}}}"#),
    ("[1,2] * [3]", "[3]"),
    (r#"{"a": 1} + {"a": 2, "b": 3}"#, r#"{"a":2,"b":3}"#),
    ("[1,2,3,2] - [2]", "[1,3]"),
    (".x.a + [4]", "[1,2,3,4]"),
    (".x.a + 4", "[1,2,3,4]"),
    (r#".x.a + {"k": 1}"#, r#"[1,2,3,{"k":1}]"#),
    ("[[1]] + [[2]]", "[[1],[2]]"),
    (r#"{"k": .x.a[]}"#, r#"{"k":1} | {"k":2} | {"k":3}"#),
    (
        r#"{"k": .x.a[], "l": (1,2)}"#,
        r#"{"k":1,"l":1} | {"k":1,"l":2} | {"k":2,"l":1} | {"k":2,"l":2} | {"k":3,"l":1} | {"k":3,"l":2}"#,
    ),
    ("{.memory: .cpus}", r#"{"4GiB":4}"#),
    ("{(.memory): .cpus}", r#"{"4GiB":4}"#),
    (r#"{"a": 1, "b": 2} | .b"#, "2"),
    ("[.x.a[], 9]", "[1,2,3,9]"),
    ("[.images[].arch]", r#"["x86_64","aarch64"]"#),
    ("[.nope[]]", "[]"),
    ("[]", "[]"),
    ("{}", "{}"),
    ("[1,2,3][1]", "2"),
    ("[1,2,3] | .[1]", "2"),
    (r#"[{"a":1}][0].a"#, "1"),
    (".x.a[0, 2]", "1 | 3"),
    (r#".images[0]["arch"]"#, r#""x86_64""#),
    (".images.[0].arch", r#""x86_64""#),
    (".images | .[0] | .arch", r#""x86_64""#),
    (".cpus, .memory | length", "4 | 4"),
    ("(.cpus, .memory) | length", "1 | 4"),
    (".cpus | . as $v | $v + $v", "8"),
    (". as $d | $d.cpus", "4"),
    (".cpus as $a | .flt as $b | $a + $b", "5.5"),
    (r#"eval(".cp" + "us")"#, "4"),
    (".x ref $y | $y.b = 99 | .x.b", "99"),
    (".x as $y | $y.b = 99 | .x.b", "1"),
    (
        ".images | array_to_map",
        r#"{"0":{"location":"a-amd64","arch":"x86_64"},"1":{"location":"b-arm64","arch":"aarch64","variant":"full"}}"#,
    ),
    (r#"["a",null,"b"] | array_to_map"#, r#"{"0":"a","2":"b"}"#),
    (r#".memory | test("^4")"#, "true"),
    (r#".memory | test("(?i)gib")"#, "true"),
    (
        r#".memory | match("G(i)b?")"#,
        r#"{"string":"Gi","offset":1,"length":2,"captures":[{"string":"i","offset":2,"length":1}]}"#,
    ),
    (r#".memory | match("zz")"#, ""),
    (r#".memory | [match("[A-Z]"; "g")] | length"#, "2"),
    (r#".memory | capture("(?P<n>[0-9]+)(?P<u>.*)")"#, r#"{"n":"4","u":"GiB"}"#),
    (r#""x" | capture("(?P<n>[0-9]+)")"#, ""),
    (".cpus | select(. == 4) | . + 1", "5"),
    (r#".images[] | select(.variant == "full") | .arch"#, r#""aarch64""#),
    (r#".images[] | select(has("variant") | not) | .arch"#, r#""x86_64""#),
    ("[.images[] | select(.nope == null)] | length", "2"),
    (
        r#".images[] | select(.arch == "x*" and .location == "a*")"#,
        r#"{"location":"a-amd64","arch":"x86_64"}"#,
    ),
    (r#"(.images[] | select(.arch == "nope")) = 3 | .images | length"#, "2"),
    (
        r#".images[].arch = "q" | .images"#,
        r#"[{"location":"a-amd64","arch":"q"},{"location":"b-arm64","arch":"q","variant":"full"}]"#,
    ),
    (
        r#".images[0] = {"n": 1} | .images"#,
        r#"[{"n":1},{"location":"b-arm64","arch":"aarch64","variant":"full"}]"#,
    ),
    (".x.a[0] |= . + 10 | .x.a", "[11,2,3]"),
    (".x.a[] += 1 | .x.a", "[2,3,4]"),
    (".x.a |= map(. + 1) | .x.a", "[2,3,4]"),
    (".a.b.c += 1 | .a", r#"{"b":{"c":1}}"#),
    (".a[2] = 1 | .a", "[null,null,1]"),
    (r#".cpus tag = "!!str" | .cpus"#, r#""4""#),
    (r#".memory style = "single" | .memory"#, r#""4GiB""#),
    (".x |= del(.a) | .x", r#"{"b":1,"k":2}"#),
    (".x = (.x | del(.a)) | .x", r#"{"b":1,"k":2}"#),
    ("del(.x.a[1]) | .x", r#"{"a":[1,3],"b":1,"k":2}"#),
    ("del(.x.a[0,2]) | .x", r#"{"a":[2],"b":1,"k":2}"#),
    ("del(.x.a[-1]) | .x", r#"{"a":[1,2],"b":1,"k":2}"#),
    ("del(.x[]) | .x", "{}"),
    ("del(.images[0].arch, .images[1]) | .images", r#"[{"location":"a-amd64"}]"#),
    ("del(..) ", ""),
    (r#".images | map(select(.arch == "x86_64"))"#, r#"[{"location":"a-amd64","arch":"x86_64"}]"#),
    (r#".images | map(.location) | join(",")"#, r#""a-amd64,b-arm64""#),
    (r#".images | .[0] * {"arch": "z"}"#, r#"{"location":"a-amd64","arch":"z"}"#),
    ("document_index", "0"),
    (".x | length", "3"),
    (".script | length", "12"),
    (r#".script | split("\n")"#, r#"["one","foo two",""]"#),
    (r#".script |= sub("foo"; "bar") | .script"#, r#""one\nbar two\n""#),
    (r#".script | sub("o"; "")"#, r#""ne\nf tw\n""#),
    (r#".memory | sub("GiB$", "")"#, r#""4""#),
    (r#""a.b.c" | sub("\."; "-")"#, r#""a-b-c""#),
    (r#""$x" | sub("\$x", "y")"#, r#""y""#),
    ("true and true | not", "false"),
    (".cpus == 4 and .flt == 1.5", "true"),
    (".cpus == 4 | not", "false"),
    (".cpus,.flt", "4 | 1.5"),
    (".x.a.[0]", "1"),
    (".x.a.[]", "1 | 2 | 3"),
    (r#".x | .["a"][0]"#, "1"),
    ("3 - -3", "6"),
    ("1e3", "1e3"),
    ("1.50", "1.50"),
    ("0x1F", "31"),
    (r#""a" + 1"#, r#""a1""#),
    (r#"1 + "a""#, r#""1a""#),
    (r#"true == "true""#, "true"),
    (r#"null == """#, "false"),
    ("~", "null"),
    (".nope | length", "0"),
    (".nope | to_entries", ""),
    (".nope | map(.)", "[]"),
    (".nope | select(.)", ""),
    (r#".nope | has("a")"#, "false"),
    (r#".nope | contains("a")"#, "false"),
    (".nope | length", "0"),
    (".nope > 1", "false"),
    ("1 > .nope", "false"),
    (".x | with_entries(.value += 1)", r#"{"a":[1,2,3,1],"b":2,"k":3}"#),
    (r#".x | with_entries(select(.key == "b"))"#, r#"{"b":1}"#),
    (r#".env * {"EDITOR": "nano"}"#, r#"{"EDITOR":"nano","B":null}"#),
    (r#". * {"env": {"EDITOR": "nano"}} | .env"#, r#"{"EDITOR":"nano","B":null}"#),
    (r#". *n {"cpus": 9, "zz": 1} | .cpus, .zz"#, "4 | null"),
    ("(.cpus, .flt) = 2 | .cpus, .flt", "2 | 2"),
    (".cpus = (.flt, .neg) | .cpus", "-3"),
    (
        ".images[0] as $i | .images[1] = $i | .images",
        r#"[{"location":"a-amd64","arch":"x86_64"},{"location":"a-amd64","arch":"x86_64"}]"#,
    ),
    (r#".networks += [{"lima": "a"}] | .networks |= unique_by(.lima) | .networks"#, r#"[{"lima":"a"}]"#),
    (r#".dns += ["1.1.1.1","2.2.2.2"] | .dns |= unique | .dns"#, r#"["1.1.1.1","2.2.2.2"]"#),
    (
        ".images |= reverse | .cpus = (.cpus + 2) | .env.N = (.images | length | tostring) | .env, .cpus",
        r#"{"EDITOR":"vi","B":null,"N":"2"} | 6"#,
    ),
    (
        r#"(.images[] | select(.location == "*amd*") | .location) = (.images[1].location) | .images"#,
        r#"[{"location":"b-arm64","arch":"x86_64"},{"location":"b-arm64","arch":"aarch64","variant":"full"}]"#,
    ),
    (
        r#".images[0].digest = "sha256:00" | .images[0]"#,
        r#"{"location":"a-amd64","arch":"x86_64","digest":"sha256:00"}"#,
    ),
    (
        r#".env.A = "yes" | .env.B = "null" | .env.C = "1.0" | .env"#,
        r#"{"EDITOR":"vi","B":"null","A":"yes","C":"1.0"}"#,
    ),
    ("[.memory, .param.release, .dd[0].name]", r#"["4GiB",null,null]"#),
    (
        r#".images | .[] |= (.location = "z") | ."#,
        r#"[{"location":"z","arch":"x86_64"},{"location":"z","arch":"aarch64","variant":"full"}]"#,
    ),
    ("(.images | map(.arch)) as $l | $l | length", "2"),
    (".x.a as $l | [$l[] | . * 2]", "[2,4,6]"),
    (r#"[.. | select(tag == "!!str")] | length"#, "10"),
    (".images[1] | [path, key]", r#"[["images",1],1]"#),
    ("[.x.a[] | select(. > 1) | path | .[-1]]", "[1,2]"),
    (".x.a | .[length - 1]", "3"),
    (".x | .a[.b]", "2"),
    (r#".env | .B // "dflt""#, r#""dflt""#),
    (r#".env.["EDITOR"]"#, r#""vi""#),
    (".env.EDITOR |= upcase | .env", r#"{"EDITOR":"VI","B":null}"#),
    (".cpus |= tostring | .cpus", r#""4""#),
    (".cpus |= 7 | .cpus", "7"),
    (".zz |= 7 | .zz", "7"),
    (".zz.yy |= . // 3 | .zz", r#"{"yy":3}"#),
    (".x.a |= [.[] | select(. != 2)] | .x", r#"{"a":[1,3],"b":1,"k":2}"#),
    (".x.a -= [2] | .x", r#"{"a":[1,3],"b":1,"k":2}"#),
    (".images | group_by(.arch) | length", "2"),
    (".images | sort_by(.location) | reverse | .[0].arch", r#""aarch64""#),
    (".images | unique_by(.nope) | length", "1"),
];

/// Expression and the first line of the error.
const FAULTS: &[(&str, &str)] = &[
    (".images as [$a] | $a", "RHS of 'as' operator must be a variable name e.g. $foo"),
    (".images[-5]", "index [-5] out of range, array size is 2"),
    (r#".cpus > "a""#, "!!int not yet supported for comparison"),
    (
        r#".cpus | test("4")"#,
        "cannot match with !!int, can only match strings. Hint: Most often you'll want to use '|=' over '=' for this operation",
    ),
    (r#".memory | ltrimstr("4")"#, r#"1:11: lexer: invalid input text "ltrimstr(\"4\")""#),
    (r#"error("boom")"#, "boom"),
    (r#".cpus | error("n: " + .)"#, "n: 4"),
    (".nope | keys", "cannot get keys of !!null, keys only works for maps and arrays"),
    (".nope | unique", "only arrays are supported for unique"),
    (r#".nope | join(",")"#, "cannot join with !!null, can only join arrays of scalars"),
    (
        r#".nope | test("x")"#,
        "cannot match with !!null, can only match strings. Hint: Most often you'll want to use '|=' over '=' for this operation",
    ),
    (".a ==", "'==' expects 2 args but there is 1"),
    ("== 3", "'==' expects 2 args but there is 1"),
    (".a |", "'|' expects 2 args but there is 1"),
    ("| .a", "'|' expects 2 args but there is 1"),
    (".a as $x", "must use variable with a pipe, e.g. `exp as $x | ...`"),
    (".a[", "bad expression, could not find matching `]`"),
    (".a)", "bad expression, got close brackets without matching opening bracket"),
    (r#"{"a""#, "bad expression, could not find matching `}`"),
    (r#"{"a":"#, "bad expression, could not find matching `}`"),
    ("[1,", "bad expression, could not find matching `]`"),
    (r#""abc"#, r#"1:1: lexer: invalid input text "\"abc""#),
    ("select", "'select' expects 1 arg but received none"),
    ("sort_by()", "'sort_by' expects 1 arg but received none"),
    (".foo bar", r#"1:6: lexer: invalid input text "bar""#),
    (".cpus = ", "'=' expects 2 args but there is 1"),
    ("& ", r#"1:1: lexer: invalid input text "& ""#),
];
