//! A text that may be YAML: no panic and bounded memory; no change changes no byte; a change that is written reads as what was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limactl::document::{Document, Node, print};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(document) = Document::parse(text) else { return };
    assert_eq!(document.rewrite(&document.root().clone()).ok().as_deref(), Some(text));
    let printed = Document::parse(&print(document.root())).expect("a printed text can be read");
    // A null that is not written is printed as `null`, so it is meanings that are compared.
    assert_eq!(printed.root().resolved().to_json(), document.root().resolved().to_json());
    let _ = document.root().resolved().to_json();
    let mut root = document.root().clone();
    root.set("fuzzed", Node::sequence(vec![Node::text("b"), Node::int(1)]));
    if let Ok(written) = document.rewrite(&root) {
        let read = Document::parse(&written).expect("a rewritten text can be read");
        assert!(read.root().same(&root));
    }
});
