//! `del`, `delpaths`, `setpath`, and paths as values.

use super::compare::tag;
use super::error::{At, Fault};
use super::eval::{Evaluation, Found, With};
use super::expr::Expr;
use super::place::{Place, Step};
use crate::document::{Node, Sort};

impl Evaluation<'_> {
    pub(super) fn deleted(&self, what: &Expr, places: &[Place], with: With<'_>) -> Found {
        let mut gone = Vec::new();
        for place in places {
            gone.extend(self.from(what, place, with.scope)?);
        }
        self.remove_all(&gone);
        // A whole document that was deleted is no result any more.
        let is_gone = |place: &Place| gone.iter().any(|gone| gone.path.is_empty() && gone.same_place(place));
        Ok(places.iter().filter(|place| !is_gone(place)).cloned().collect())
    }

    /// Removes from the last to the first, so that no removal moves what is still to be removed.
    fn remove_all(&self, gone: &[Place]) {
        let mut gone: Vec<&Place> = gone.iter().collect();
        gone.sort_by(|a, b| b.path.cmp(&a.path));
        gone.dedup_by(|a, b| a.same_place(b));
        gone.into_iter().for_each(|place| {
            place.remove();
        });
    }

    pub(super) fn deleted_paths(&self, paths: &Expr, places: &[Place], with: With<'_>) -> Found {
        for place in places {
            let mut gone = Vec::new();
            for list in self.from(paths, place, with.scope)? {
                let list = list.node();
                for (index, path) in list.items().iter().enumerate() {
                    if path.sort() != Sort::Sequence {
                        return Err(Fault::DelPaths { index, tag: tag(path) }.at(with.at));
                    }
                    gone.push(self.walked(place, path.items()).map_err(|fault| fault.at(with.at))?);
                }
            }
            self.remove_all(&gone);
        }
        Ok(places.to_vec())
    }

    pub(super) fn set_path(&self, path: &Expr, value: &Expr, places: &[Place], with: With<'_>) -> Found {
        for place in places {
            let Some(path) = self.from(path, place, with.scope)?.into_iter().next() else { continue };
            let target = self.walked(place, path.node().items()).map_err(|fault| fault.at(with.at))?;
            for value in self.from(value, place, with.scope)? {
                self.put_value(&target, &value, false).map_err(|fault| fault.at(with.at))?;
            }
        }
        Ok(places.to_vec())
    }

    /// The place at a path of names and numbers.
    fn walked(&self, place: &Place, path: &[Node]) -> Result<Place, Fault> {
        let mut place = place.clone();
        for step in path {
            self.step(place.path.len())?;
            place = self.settled(&place);
            let sort = place.node().sort();
            let Some(name) = step.scalar_text() else {
                return Err(Fault::BadKey { value: super::compare::shown(step) });
            };
            place = match (step.as_int(), sort) {
                (Some(index), Sort::Sequence | Sort::Null) => match self.item_of(&place, index)?.pop() {
                    Some(item) => item,
                    None => place,
                },
                (None, Sort::Sequence) => return Err(Fault::ArrayKey { key: name.to_owned() }),
                _ => place.child(Step::Key(name.into())),
            };
        }
        Ok(place)
    }

    /// `path`: the steps to a place, as a list.
    pub(super) fn path_of(&self, place: &Place) -> Result<Place, Fault> {
        let steps = place.whole_path();
        self.make(steps.len())?;
        self.fresh(Node::sequence(steps.iter().map(step_node).collect()))
    }

    /// `key`: the key of an entry, which can be assigned to, or the number of an item.
    pub(super) fn key_of(&self, place: &Place) -> Found {
        let key = match (place.path.last(), place.whole_path().last()) {
            (Some(Step::Key(_)), _) if place.key_of().is_physical() => place.key_of(),
            (_, Some(step)) => self.fresh(step_node(step)).map_err(|fault| fault.at(0))?,
            (_, None) => return Ok(Vec::new()),
        };
        Ok(vec![key])
    }

    /// `parents`: from the next one out to the whole document.
    pub(super) fn parents_of(&self, place: &Place) -> Vec<Place> {
        std::iter::successors(place.parent(), Place::parent).collect()
    }

    /// `parent(levels)`; below zero counts from the whole document inwards.
    pub(super) fn parent_of(&self, levels: Option<&Expr>, place: &Place, with: With<'_>) -> Found {
        let level = match levels {
            None => 1,
            Some(levels) => self.number(levels, "parent", place, with)?,
        };
        if level == 0 {
            return Ok(vec![place.clone()]);
        }
        let parents = self.parents_of(place);
        let position = if level > 0 { level - 1 } else { parents.len() as i64 + level };
        let found = usize::try_from(position).ok().and_then(|position| parents.get(position));
        match found {
            Some(parent) => Ok(vec![parent.clone()]),
            // The document is its own root.
            None if level < 0 && parents.is_empty() => Ok(vec![place.clone()]),
            None => Ok(Vec::new()),
        }
    }

    /// The whole number that an argument is.
    pub(super) fn number(
        &self,
        argument: &Expr,
        function: &str,
        place: &Place,
        with: With<'_>,
    ) -> Result<i64, At> {
        let found = self.from(argument, place, with.scope)?;
        let first = found.first().cloned().unwrap_or_else(|| Place::fresh(Node::null()));
        let number = first.node().as_int();
        number.ok_or_else(|| {
            let function = function.to_owned();
            Fault::Argument { function, wanted: "a whole number", value: self.shown(&first) }.at(argument.at)
        })
    }
}

fn step_node(step: &Step) -> Node {
    match step {
        Step::Index(index) => Node::plain(index.to_string()),
        Step::Key(name) => Node::text(&**name),
    }
}
