//! The walk over the tree of an expression: places in, places out.
//!
//! As in yq an operator sees all places of its stage at once: `.[] | (.a, .b)` gives every `a` before the first `b`. Operators with two
//! sides, constructors and variables are worked out place by place, unless the run is `together` (`eval-all`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::error::{At, Fault};
use super::expr::{Assignment, Binary, Expr, Op};
use super::place::Place;
use super::{MAX_DATA_DEPTH, MAX_DEPTH, MAX_MADE, MAX_STEPS, Options};
use crate::document::{Kind, Node, Sort};

pub(super) type Found = Result<Vec<Place>, At>;

/// One run: what it may see, and how much it may still do.
pub(super) struct Evaluation<'a> {
    pub(super) options: &'a Options,
    /// The first input: where aliases in copies are looked up.
    pub(super) home: Option<Place>,
    together: bool,
    steps: Cell<u64>,
    made: Cell<u64>,
    depth: Cell<usize>,
    pub(super) regexes: RefCell<HashMap<String, Rc<regex::Regex>>>,
}

/// The variables in view.
#[derive(Clone, Default)]
pub(super) struct Scope(Option<Rc<Frame>>);

struct Frame {
    name: String,
    value: Place,
    outer: Scope,
}

impl Scope {
    fn with(&self, name: &str, value: Place) -> Scope {
        Scope(Some(Rc::new(Frame { name: name.to_owned(), value, outer: self.clone() })))
    }

    fn get(&self, name: &str) -> Option<&Place> {
        let mut scope = self;
        loop {
            let frame = scope.0.as_deref()?;
            if frame.name == name {
                return Some(&frame.value);
            }
            scope = &frame.outer;
        }
    }
}

/// What an operator is worked out with: the place in the expression for faults, and the variables.
#[derive(Clone, Copy)]
pub(super) struct With<'s> {
    pub(super) at: usize,
    pub(super) scope: &'s Scope,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(options: &'a Options, home: Option<Place>, together: bool) -> Evaluation<'a> {
        Evaluation {
            options,
            home,
            together,
            steps: Cell::new(0),
            made: Cell::new(0),
            depth: Cell::new(0),
            regexes: RefCell::default(),
        }
    }

    pub(super) fn run(&self, expr: &Expr, inputs: &[Place]) -> Found {
        self.eval(expr, inputs, &Scope::default())
    }

    /// Counts steps taken.
    pub(super) fn step(&self, steps: usize) -> Result<(), Fault> {
        self.steps.set(self.steps.get().saturating_add(steps as u64 + 1));
        if self.steps.get() > MAX_STEPS { Err(Fault::TooManySteps) } else { Ok(()) }
    }

    /// Counts nodes and text made.
    pub(super) fn make(&self, units: usize) -> Result<(), Fault> {
        self.made.set(self.made.get().saturating_add(units as u64 + 1));
        if self.made.get() > MAX_MADE { Err(Fault::TooMuchMade) } else { Ok(()) }
    }

    /// A computed value.
    pub(super) fn fresh(&self, node: Node) -> Result<Place, Fault> {
        self.make(node.scalar_text().map_or(0, |text| text.len() / 64))?;
        Ok(Place::fresh(node))
    }

    /// A place's node, as a result.
    pub(super) fn result(&self, place: &Place, resolve_aliases: bool) -> Result<Node, At> {
        if !resolve_aliases {
            return self.copy(place);
        }
        self.spread(place, &place.node()).map_err(|fault| fault.at(0))
    }

    /// A copy of a place's node.
    pub(super) fn copy(&self, place: &Place) -> Result<Node, At> {
        self.copied(&place.node()).map_err(|fault| fault.at(0))
    }

    pub(super) fn copied(&self, node: &Node) -> Result<Node, Fault> {
        self.make(measured(node, 0)?)?;
        Ok(node.clone())
    }

    /// All that an expression finds from some places.
    pub(super) fn eval(&self, expr: &Expr, places: &[Place], scope: &Scope) -> Found {
        self.step(places.len()).map_err(|fault| fault.at(expr.at))?;
        if self.depth.get() >= MAX_DEPTH + MAX_DEPTH / 4 {
            return Err(Fault::TooDeep.at(expr.at));
        }
        self.depth.set(self.depth.get() + 1);
        let found = self.operation(expr, places, scope);
        self.depth.set(self.depth.get() - 1);
        found
    }

    fn operation(&self, expr: &Expr, places: &[Place], scope: &Scope) -> Found {
        let with = With { at: expr.at, scope };
        match &expr.op {
            Op::Itself => Ok(places.to_vec()),
            Op::Literal(node) => {
                self.each(places, with, |_| Ok(vec![self.fresh(node.clone()).map_err(|f| f.at(expr.at))?]))
            }
            Op::Interpolation(pieces) => {
                self.each(places, with, |place| self.interpolated(pieces, place, with))
            }
            Op::Variable(name) => match scope.get(name) {
                Some(value) => self.each(places, with, |_| Ok(vec![value.clone()])),
                None => Err(Fault::NoVariable { name: name.clone() }.at(expr.at)),
            },
            Op::Field { base, name, optional } => {
                let bases = self.eval(base, places, scope)?;
                self.each(&bases, with, |base| {
                    self.field(base, name, *optional).map_err(|fault| fault.at(expr.at))
                })
            }
            Op::Index { base, index, optional } => self.indexed(base, index, *optional, places, with),
            Op::Each { base } => {
                let bases = self.eval(base, places, scope)?;
                self.each(&bases, with, |base| self.children(base).map_err(|fault| fault.at(expr.at)))
            }
            Op::Slice { base, from, to } => self.sliced(base, from.as_deref(), to.as_deref(), places, with),
            Op::Descend { keys } => self
                .each(places, with, |place| self.descended(place, *keys).map_err(|fault| fault.at(expr.at))),
            Op::Pipe(stages) => self.piped(stages, places, scope),
            Op::Union(parts) => {
                let mut union = Union::of(places);
                for part in parts {
                    union.add(self.eval(part, places, scope)?);
                }
                Ok(union.found)
            }
            Op::Bind { .. } => Err(Fault::VariableWithoutPipe.at(expr.at)),
            Op::Reduce { value, name, start, step } => self.grouped(places, |group| {
                let values = self.eval(value, group, scope)?;
                self.reduced(&values, name, start, step, group, scope)
            }),
            Op::Collect(inner) => self.grouped(places, |group| self.collected(inner.as_deref(), group, with)),
            Op::Object(members) => self.each(places, with, |place| self.object(members, place, with)),
            Op::Binary { operator, left, right } => self.binary(*operator, left, right, places, with),
            Op::Assign { how: Assignment::Compound(operator), target, value } => {
                self.compound(*operator, target, value, places, with)
            }
            Op::Assign { how, target, value } => self.assigned(*how, target, value, places, with),
            Op::Attribute(attribute) => {
                self.each(places, with, |place| self.attribute(*attribute, place, with))
            }
            Op::SetAttribute { attribute, relative, target, value } => {
                self.set_attribute((*attribute, *relative), target, value, places, with)
            }
            Op::Call { function, name, arguments } => self.call(*function, name, arguments, places, with),
        }
    }

    /// What is found from each place, in order.
    pub(super) fn each(&self, places: &[Place], with: With<'_>, find: impl Fn(&Place) -> Found) -> Found {
        let mut found = Vec::with_capacity(places.len());
        for place in places {
            self.step(0).map_err(|fault| fault.at(with.at))?;
            found.extend(find(place)?);
        }
        Ok(found)
    }

    /// One place at a time; or all of them where the run is `together`.
    pub(super) fn grouped(&self, places: &[Place], find: impl Fn(&[Place]) -> Found) -> Found {
        if self.together && places.len() > 1 {
            return find(places);
        }
        let mut found = Vec::with_capacity(places.len());
        for place in places {
            found.extend(find(std::slice::from_ref(place))?);
        }
        Ok(found)
    }

    /// What an expression finds from one place.
    pub(super) fn from(&self, expr: &Expr, place: &Place, scope: &Scope) -> Found {
        self.eval(expr, std::slice::from_ref(place), scope)
    }

    fn piped(&self, stages: &[Expr], places: &[Place], scope: &Scope) -> Found {
        let mut current = places.to_vec();
        for (number, stage) in stages.iter().enumerate() {
            let Op::Bind { value, name, by_reference } = &stage.op else {
                current = self.eval(stage, &current, scope)?;
                continue;
            };
            let rest = &stages[number + 1..];
            if rest.is_empty() {
                return Err(Fault::VariableWithoutPipe.at(stage.at));
            }
            return self.grouped(&current, |group| {
                let mut union = Union::of(group);
                for bound in self.eval(value, group, scope)? {
                    let bound = if *by_reference { bound } else { self.detached(&bound, stage.at)? };
                    union.add(self.piped(rest, group, &scope.with(name, bound))?);
                }
                Ok(union.found)
            });
        }
        Ok(current)
    }

    /// A copy that later writes do not reach, and that still knows its path.
    fn detached(&self, place: &Place, at: usize) -> Result<Place, At> {
        place.detached(0, |node| self.copied(node)).map_err(|fault| fault.at(at))
    }

    fn reduced(
        &self,
        values: &[Place],
        name: &str,
        start: &Expr,
        step: &Expr,
        group: &[Place],
        scope: &Scope,
    ) -> Found {
        let mut state = self.eval(start, group, scope)?;
        for value in values {
            let value = self.detached(value, step.at)?;
            state = self.eval(step, &state, &scope.with(name, value))?;
        }
        Ok(state)
    }

    /// Where an alias leads; any other place itself.
    pub(super) fn settled(&self, place: &Place) -> Place {
        let mut place = place.clone();
        // An alias of an alias cannot be written, so this ends soon; the bound is for a tree that was put together so.
        for _ in 0..8 {
            let name = match place.node().kind() {
                Kind::Alias(name) => name.clone(),
                _ => break,
            };
            match self.anchored(&place, &name) {
                Some(found) => place = found,
                None => break,
            }
        }
        place
    }

    /// The node that an alias in a place's document stands for.
    pub(super) fn anchored(&self, place: &Place, name: &str) -> Option<Place> {
        place.anchored(name).or_else(|| self.home.as_ref()?.anchored(name))
    }

    /// Whether a place counts as true: everything but false and null does.
    pub(super) fn truth(&self, place: &Place) -> bool {
        let place = self.settled(place);
        let node = place.node();
        match node.sort() {
            Sort::Null => false,
            Sort::Bool => node.as_bool() == Some(true),
            _ => true,
        }
    }

    fn binary(&self, operator: Binary, left: &Expr, right: &Expr, places: &[Place], with: With<'_>) -> Found {
        self.grouped(places, |group| match operator {
            Binary::And | Binary::Or => self.logic(operator == Binary::And, left, right, group, with),
            Binary::Alternative => self.alternative(left, right, group, with),
            _ => {
                let lefts = self.eval(left, group, with.scope)?;
                let rights = self.eval(right, group, with.scope)?;
                self.crossed(operator, &lefts, &rights, with)
            }
        })
    }
}

/// Results side by side. What was come from counts once, however often it is the result: `(.a = 1), (.b = 2)` is one document.
struct Union<'p> {
    from: &'p [Place],
    has_from: bool,
    found: Vec<Place>,
}

impl Union<'_> {
    fn of(from: &[Place]) -> Union<'_> {
        Union { from, has_from: false, found: Vec::new() }
    }

    fn add(&mut self, more: Vec<Place>) {
        let is_from =
            more.len() == self.from.len() && more.iter().zip(self.from).all(|(a, b)| a.same_place(b));
        if !(is_from && self.has_from) {
            self.found.extend(more);
        }
        self.has_from |= is_from;
    }
}

/// As `size`; fails if the tree is too deep to be walked safely.
fn measured(node: &Node, depth: usize) -> Result<usize, Fault> {
    if depth > MAX_DATA_DEPTH {
        return Err(Fault::DataTooDeep);
    }
    let inner = |node: &Node| measured(node, depth + 1);
    match node.kind() {
        Kind::Sequence(items) => items.iter().try_fold(1, |sum, item| Ok(sum + inner(item)?)),
        Kind::Mapping(entries) => {
            entries.iter().try_fold(1, |sum, (key, value)| Ok(sum + inner(key)? + inner(value)?))
        }
        Kind::Scalar(_) | Kind::Alias(_) => Ok(size(node)),
    }
}

/// Nodes of a tree, and its text in units of 64 bytes.
pub(super) fn size(node: &Node) -> usize {
    match node.kind() {
        Kind::Scalar(scalar) => 1 + scalar.text.len() / 64,
        Kind::Alias(_) => 1,
        Kind::Sequence(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Mapping(entries) => {
            1 + entries.iter().map(|(key, value)| size(key) + size(value)).sum::<usize>()
        }
    }
}
