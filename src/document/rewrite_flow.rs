//! Changes of collections that are written in brackets.

use super::align::{Step, align};
use super::keys::Keys;
use super::node::Node;
use super::print::{Under, flow};
use super::rewrite::{Place, Writer};

impl Writer<'_> {
    pub(super) fn flow_mapping(&mut self, old: &[(Node, Node)], new: &[(Node, Node)]) {
        let (old_keys, new_keys) = (Keys::new(old), Keys::new(new));
        let kept: Vec<usize> = (0..old.len()).filter(|&i| new_keys.find(&old[i].0).is_some()).collect();
        let spans: Vec<(usize, usize)> = old
            .iter()
            .filter_map(|(key, value)| Some((key.birthplace()?.lead, value.birthplace()?.own.end)))
            .collect();
        self.drop_flow(&spans, &kept);
        let mut previous: Option<usize> = None;
        for (key, value) in new {
            match old_keys.find(key) {
                Some(index) => {
                    let Some(origin) = old[index].1.birthplace() else { continue };
                    self.value(&old[index].1, value, Place { origin, under: Under::Key, flow: true });
                    previous = Some(index);
                }
                None => self.insert_flow(format!("{}: {}", flow(key), flow(value)), previous, &spans),
            }
        }
    }

    pub(super) fn flow_sequence(&mut self, old: &[Node], new: &[Node]) {
        let steps = align(old, new);
        let kept: Vec<usize> = steps
            .iter()
            .filter_map(|step| if let Step::Keep(i, _) = step { Some(*i) } else { None })
            .collect();
        let spans: Vec<(usize, usize)> =
            old.iter().filter_map(|item| item.birthplace().map(|o| (o.own.start, o.own.end))).collect();
        self.drop_flow(&spans, &kept);
        let mut previous: Option<usize> = None;
        for step in steps {
            match step {
                Step::Keep(i, j) => {
                    let Some(origin) = old[i].birthplace() else { continue };
                    self.value(&old[i], &new[j], Place { origin, under: Under::Dash, flow: true });
                    previous = Some(i);
                }
                Step::Drop(_) => {}
                Step::Insert(j) => self.insert_flow(flow(&new[j]), previous, &spans),
            }
        }
    }

    /// Takes out what is not in `kept`, which ascends, each with the comma that joined it to a neighbour.
    fn drop_flow(&mut self, spans: &[(usize, usize)], kept: &[usize]) {
        let first_kept = kept.first().copied();
        for index in (0..spans.len()).filter(|index| kept.binary_search(index).is_err()) {
            let range = match first_kept {
                Some(first) if index < first => spans[index].0..spans[index + 1].0,
                _ if index > 0 => spans[index - 1].1..spans[index].1,
                // Nothing is kept; what comes in is put in front of the first.
                _ => spans[index].0..spans[index].1,
            };
            self.splice(range, String::new());
        }
    }

    fn insert_flow(&mut self, text: String, previous: Option<usize>, spans: &[(usize, usize)]) {
        match (previous, spans.first()) {
            (Some(index), _) => self.insert(spans[index].1, format!(", {text}")),
            (None, Some(first)) => self.insert(first.0, format!("{text}, ")),
            (None, None) => {}
        }
    }
}
