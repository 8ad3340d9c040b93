//! An expression on the first line and a document below it: no panic, no hang, and an edit that is done again to its own result can be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limactl::document::Document;
use limactl::query::Query;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (expression, document) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(query) = Query::parse(expression) else { return };
    let Ok(document) = Document::parse(document) else { return };
    let _ = query.run(document.root());
    if let Ok(root) = query.edit(document.root())
        && let Ok(rewritten) = document.rewrite(&root)
    {
        let read = Document::parse(&rewritten).expect("a rewritten text can be read");
        assert!(read.root().same(&root));
        let _ = query.edit(read.root());
    }
});
