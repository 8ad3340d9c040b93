//! Templates: from a locator, as people type it, to one self-contained text.
//!
//! ```text
//! words ── resolve ──▶ locator ── read ──▶ text ── embed ──▶ text without `base` and `file`
//!          github:                store        bases, depth first:
//!          plugins                http(s)        absolute → recurse → merge
//!                                 file, `-`    scripts: `file` → script, content, expression
//!                                 image        combine: entries that mean the same thing
//! ```
//!
//! - *Resolve* (`library`, `github`): schemes that stand for other locators are replaced until nothing changes; a loop is an error.
//! - *Read* (`locator`, `image`, `store`, `web`): what is left says where the text is. A bare image stands for a small template made up for it.
//! - *Embed* (`embed`): locators become absolute (`absolute`), so that a text means the same wherever it lies; bases are merged below the template
//!   (`merge`, `comments`), the closest wins; scripts are read in (`inline`); at the very end entries of a list that mean the same disk, mount or network
//!   become one (`combine`).
//!
//! Invariants:
//! - Merging works on trees (`document`), and an entry that comes from a base brings its comments along; a template that is nothing but one base
//!   is that base, byte for byte. What the merging is not about keeps its bytes.
//! - Null and an absent key are the same, in templates and in bases. Lists are only joined where a chain of mappings leads to them, never
//!   inside the entries of another list.
//! - A text is at most [`MAX_TEXT`] long, all that is read for one template together as well; bases nest [`embed::MAX_DEPTH`] deep. A base that is
//!   reached in two ways counts once; one that is reached from itself is refused.
//! - Nothing here prints, reads the environment or knows an instance. The network is behind [`Web`], so tests bring their own server.

mod absolute;
pub mod builtin;
mod combine;
mod comments;
mod embed;
mod error;
pub mod github;
pub mod image;
mod inline;
mod library;
pub mod locator;
mod merge;
mod store;
mod text;
pub mod web;

pub use embed::{Depth, Embedding};
pub use error::Error;
pub use library::{Library, Template};
pub use locator::Locator;
pub use store::{Listed, Store, removed_advice};
pub use web::{Http, Web};

/// The most bytes that a template may have, alone or with everything embedded.
pub const MAX_TEXT: u64 = 4 << 20;
