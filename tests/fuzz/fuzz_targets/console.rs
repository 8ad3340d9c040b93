//! What a guest writes to its console, in pieces → a stage: no panic, bounded memory, and the pieces do not matter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limactl::guest::console::Console;

fuzz_target!(|bytes: &[u8]| {
    let mut whole = Console::default();
    whole.feed(bytes);
    let mut pieces = Console::default();
    for piece in bytes.chunks(7) {
        pieces.feed(piece);
    }
    assert_eq!((whole.stage(), whole.trouble()), (pieces.stage(), pieces.trouble()));
    assert_eq!(whole.failures(), pieces.failures());
    assert!(whole.failures().len() <= 16);
});
