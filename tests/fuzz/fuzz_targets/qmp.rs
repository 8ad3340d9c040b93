//! What a monitor writes → lines and messages: no panic, and a line is never larger than the reader allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limactl::driver::qmp_wire::{Lines, parse};

fuzz_target!(|bytes: &[u8]| {
    let mut lines = Lines::default();
    for piece in bytes.chunks(11) {
        lines.push(piece);
        while let Ok(Some(line)) = lines.next_line() {
            let _ = parse(&line);
        }
    }
});
