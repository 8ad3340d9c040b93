//! Named steps in one boot: each is told, all are tried, and one that fails does not hide the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::say;

/// What came out so far.
#[derive(Default)]
pub(super) struct Promises {
    kept: usize,
    broken: Vec<&'static str>,
}

impl Promises {
    /// Tries one; its assertions say what is wrong.
    pub(super) fn keep(&mut self, promise: &'static str, prove: impl FnOnce()) {
        match catch_unwind(AssertUnwindSafe(prove)) {
            Ok(()) => self.kept += 1,
            Err(_) => {
                say(&format!("guest: broken: {promise}"));
                self.broken.push(promise);
            }
        }
    }

    /// Fails if one was broken.
    pub(super) fn end(self) {
        say(&format!("guest: {} promises kept, {} broken", self.kept, self.broken.len()));
        assert!(self.broken.is_empty(), "broken: {:#?}", self.broken);
    }
}
