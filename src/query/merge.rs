//! `*` of mappings and lists: the right side is merged into the left.

use super::arithmetic::{product_fault, scalar_product};
use super::assign::replace;
use super::error::Fault;
use super::eval::Evaluation;
use super::expr::Merge;
use crate::document::{Kind, Node};

impl Evaluation<'_> {
    pub(super) fn product(&self, left: &Node, right: &Node, merge: Merge) -> Result<Node, Fault> {
        let is_collection = |node: &Node| matches!(node.kind(), Kind::Sequence(_) | Kind::Mapping(_));
        if left.is_null() && is_collection(right) {
            return self.copied(right);
        }
        if right.is_null() && is_collection(left) {
            return self.copied(left);
        }
        match (left.kind(), right.kind()) {
            (Kind::Mapping(_), Kind::Mapping(_)) | (Kind::Sequence(_), Kind::Sequence(_)) => {
                let mut merged = self.copied(left)?;
                self.merge_into(&mut merged, right, merge)?;
                Ok(merged)
            }
            _ => scalar_product(self, left, right).unwrap_or_else(|| Err(product_fault(left, right))),
        }
    }

    fn merge_into(&self, target: &mut Node, source: &Node, merge: Merge) -> Result<(), Fault> {
        self.step(0)?;
        match (target.kind(), source.kind()) {
            (Kind::Mapping(_), Kind::Mapping(_)) => self.merge_mapping(target, source, merge),
            (Kind::Sequence(_), Kind::Sequence(items)) if merge.append => {
                let items = items.iter().map(|item| self.copied(item)).collect::<Result<Vec<_>, _>>()?;
                if let Some(own) = target.items_mut().filter(|_| !items.is_empty()) {
                    own.extend(items);
                }
                Ok(())
            }
            (Kind::Sequence(_), Kind::Sequence(items)) if merge.deep => {
                self.merge_items(target, items, merge)
            }
            _ if merge.only_new && !target.is_null() => Ok(()),
            _ => {
                let source = self.copied(source)?;
                replace(target, source, merge.clobber);
                Ok(())
            }
        }
    }

    fn merge_mapping(&self, target: &mut Node, source: &Node, merge: Merge) -> Result<(), Fault> {
        if merge.clobber && source.tag() != target.tag() {
            target.set_tag(source.tag().map(str::to_owned));
        }
        for (key, value) in source.entries() {
            self.step(target.entries().len() / 16)?;
            let found = target.entries().iter().position(|(own, _)| own.same(key));
            let Some(found) = found else {
                if !merge.only_existing {
                    let entry = (self.copied(key)?, self.copied(value)?);
                    if let Some(entries) = target.entries_mut() {
                        entries.push(entry);
                    }
                }
                continue;
            };
            let own = &target.entries()[found].1;
            if own.same(value) || (merge.only_new && !is_mapping(own, value) && !own.is_null()) {
                continue;
            }
            // Worked out on a copy, so that a mapping that did not change keeps the bytes it was read from.
            let mut merged = self.copied(own)?;
            self.merge_into(&mut merged, value, merge)?;
            if !merged.same(own)
                && let Some((_, own)) = target.entries_mut().and_then(|entries| entries.get_mut(found))
            {
                *own = merged;
            }
        }
        Ok(())
    }

    fn merge_items(&self, target: &mut Node, items: &[Node], merge: Merge) -> Result<(), Fault> {
        for (index, item) in items.iter().enumerate() {
            match target.items().get(index) {
                Some(own) => {
                    let mut merged = self.copied(own)?;
                    self.merge_into(&mut merged, item, merge)?;
                    if !merged.same(own)
                        && let Some(own) = target.items_mut().and_then(|own| own.get_mut(index))
                    {
                        *own = merged;
                    }
                }
                None => {
                    let item = self.copied(item)?;
                    if let Some(own) = target.items_mut().filter(|_| !merge.only_existing) {
                        own.push(item);
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_mapping(own: &Node, value: &Node) -> bool {
    matches!((own.kind(), value.kind()), (Kind::Mapping(_), Kind::Mapping(_)))
}
