//! Which items of a changed list are which items of the old one.

use super::node::Node;

/// What became of the items, in the new order; dropped items stand where they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Old and new index of an item that stayed, changed or not.
    Keep(usize, usize),
    /// Old index.
    Drop(usize),
    /// New index.
    Insert(usize),
}

/// Lists longer than this are compared position by position: the table below has the product of both lengths.
const MAX_TABLE: usize = 4_000_000;

/// The longest run of items that stayed in order; between them, items are taken for changed ones position by position.
pub fn align(old: &[Node], new: &[Node]) -> Vec<Step> {
    let anchors = if old.len().saturating_mul(new.len()) > MAX_TABLE { Vec::new() } else { common(old, new) };
    let mut steps = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (next_i, next_j) in anchors.into_iter().chain([(old.len(), new.len())]) {
        while i < next_i && j < next_j && is_change(&old[i], &new[j]) {
            steps.push(Step::Keep(i, j));
            (i, j) = (i + 1, j + 1);
        }
        steps.extend((i..next_i).map(Step::Drop));
        steps.extend((j..next_j).map(Step::Insert));
        if next_i < old.len() {
            steps.push(Step::Keep(next_i, next_j));
        }
        (i, j) = (next_i + 1, next_j + 1);
    }
    steps
}

/// A longest common subsequence of items that are the same, or that were read from the same place.
fn common(old: &[Node], new: &[Node]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let mut length = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            length[i * width + j] = match is_same_item(&old[i], &new[j]) {
                true => length[(i + 1) * width + j + 1] + 1,
                false => length[(i + 1) * width + j].max(length[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if is_same_item(&old[i], &new[j]) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if length[(i + 1) * width + j] >= length[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn is_same_item(old: &Node, new: &Node) -> bool {
    match (old.birthplace(), new.birthplace()) {
        (Some(a), Some(b)) if std::sync::Arc::ptr_eq(&a.source, &b.source) => a.is_at(b),
        _ => old.same(new),
    }
}

/// Whether `new` may be `old` changed, and not another item that came in its place.
fn is_change(old: &Node, new: &Node) -> bool {
    new.birthplace().is_none() && old.entries().is_empty() == new.entries().is_empty()
}
