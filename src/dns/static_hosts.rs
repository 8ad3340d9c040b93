//! The names that the configuration gives to guests: an address, or another name. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use hickory_proto::rr::{LowerName, Name};

use super::message::Data;

/// A table that cannot be served. Holds what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StaticHostsError {
    #[error("`{text}` is not a host name")]
    NotAName { text: String },
    #[error("the host names {} lead to each other in a circle", quoted(names))]
    Cycle { names: Vec<String> },
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(" → ")
}

/// Exact names, without regard to case; the table never speaks for other names of the same domain.
#[derive(Debug, Clone, Default)]
pub struct StaticHosts {
    targets: HashMap<LowerName, Target>,
    /// Reverse name (`4.3.2.1.in-addr.arpa.`) → the names with this address, sorted.
    pointers: HashMap<LowerName, Vec<Name>>,
}

#[derive(Debug, Clone)]
enum Target {
    Address(IpAddr),
    Alias(Name),
}

/// What the table knows of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Address(IpAddr),
    /// An alias whose end, this name, is not in the table.
    Outside(Name),
    /// A reverse name of addresses in the table.
    Pointers(Vec<Data>),
}

impl StaticHosts {
    /// Builds the table from pairs as they are written (name, address or other name). Of two pairs with one name the later wins.
    ///
    /// Fails on a name or target that is not a host name, and on aliases that lead back to themselves.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, StaticHostsError> {
        let mut targets = HashMap::new();
        let mut pointers: HashMap<LowerName, Vec<Name>> = HashMap::new();
        for (name, value) in entries {
            let target = match value.parse() {
                Ok(address) => Target::Address(address),
                Err(_) => Target::Alias(host_name(value)?),
            };
            targets.insert(LowerName::new(&host_name(name)?), target);
        }
        for (name, target) in &targets {
            if let Target::Address(address) = target {
                pointers.entry(LowerName::new(&Name::from(*address))).or_default().push(name.into());
            }
        }
        pointers.values_mut().for_each(|names| names.sort());
        let table = StaticHosts { targets, pointers };
        table.refuse_cycles()?;
        Ok(table)
    }

    /// What the table says about `name`; `None` if it says nothing.
    pub fn find(&self, name: &Name) -> Option<Known> {
        let name = LowerName::new(name);
        if let Some(names) = self.pointers.get(&name) {
            return Some(Known::Pointers(names.iter().cloned().map(Data::Pointer).collect()));
        }
        let mut target = self.targets.get(&name)?;
        // Ends: no cycle got past `new`.
        loop {
            match target {
                Target::Address(address) => return Some(Known::Address(*address)),
                Target::Alias(other) => match self.targets.get(&LowerName::new(other)) {
                    Some(next) => target = next,
                    None => return Some(Known::Outside(other.clone())),
                },
            }
        }
    }

    fn refuse_cycles(&self) -> Result<(), StaticHostsError> {
        let mut starts: Vec<&LowerName> = self.targets.keys().collect();
        // The same cycle is reported from the same name each time.
        starts.sort();
        for start in starts {
            let mut path = vec![start.clone()];
            while let Some(Target::Alias(next)) = path.last().and_then(|name| self.targets.get(name)) {
                let next = LowerName::new(next);
                let seen = path.iter().position(|name| *name == next);
                path.push(next);
                if let Some(first) = seen {
                    let names = path[first..].iter().map(written).collect();
                    return Err(StaticHostsError::Cycle { names });
                }
            }
        }
        Ok(())
    }
}

/// An absolute name from what a person wrote, with or without a final dot.
fn host_name(text: &str) -> Result<Name, StaticHostsError> {
    let not_a_name = || StaticHostsError::NotAName { text: text.to_owned() };
    let relative = text.strip_suffix('.').unwrap_or(text);
    if relative.is_empty() || relative.ends_with('.') {
        return Err(not_a_name());
    }
    let mut name = Name::from_str_relaxed(relative).map_err(|_| not_a_name())?;
    name.set_fqdn(true);
    Ok(name)
}

fn written(name: &LowerName) -> String {
    name.to_string().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        host_name(text).unwrap()
    }

    #[test]
    fn names_match_exactly_and_without_regard_to_case() {
        let hosts =
            StaticHosts::new([("Db.Corp.example", "10.0.0.1"), ("alias", "DB.corp.EXAMPLE.")]).unwrap();
        assert_eq!(hosts.find(&name("dB.cOrP.example")), Some(Known::Address([10, 0, 0, 1].into())));
        assert_eq!(hosts.find(&name("ALIAS")), Some(Known::Address([10, 0, 0, 1].into())));
        assert_eq!(hosts.find(&name("corp.example")), None);
        assert_eq!(hosts.find(&name("x.db.corp.example")), None);
        assert_eq!(hosts.find(&Name::root()), None);
    }

    #[test]
    fn an_alias_may_lead_outside() {
        let hosts = StaticHosts::new([("a", "b"), ("b", "www.example.org")]).unwrap();
        assert_eq!(hosts.find(&name("a")), Some(Known::Outside(name("www.example.org"))));
    }

    #[test]
    fn addresses_lead_back_to_their_names() {
        let hosts =
            StaticHosts::new([("two", "192.168.5.2"), ("one", "192.168.5.2"), ("six", "fd00::1")]).unwrap();
        let pointers = |names: &[&str]| {
            Some(Known::Pointers(names.iter().map(|text| Data::Pointer(name(text))).collect()))
        };
        assert_eq!(hosts.find(&name("2.5.168.192.in-addr.arpa")), pointers(&["one", "two"]));
        assert_eq!(hosts.find(&Name::from("fd00::1".parse::<IpAddr>().unwrap())), pointers(&["six"]));
        assert_eq!(hosts.find(&name("3.5.168.192.in-addr.arpa")), None);
    }

    #[test]
    fn the_later_pair_wins() {
        let hosts = StaticHosts::new([("host", "1.1.1.1"), ("HOST", "2.2.2.2")]).unwrap();
        assert_eq!(hosts.find(&name("host")), Some(Known::Address([2, 2, 2, 2].into())));
        assert_eq!(hosts.find(&name("1.1.1.1.in-addr.arpa")), None);
    }

    #[test]
    fn cycles_are_refused_by_name() {
        let error = StaticHosts::new([("a", "b"), ("b", "C"), ("c", "a")]).unwrap_err();
        assert_eq!(error.to_string(), "the host names `a` → `b` → `c` → `a` lead to each other in a circle");
        let error = StaticHosts::new([("self", "self")]).unwrap_err();
        assert_eq!(error, StaticHostsError::Cycle { names: vec!["self".into(), "self".into()] });
        let error = StaticHosts::new([("0", "a"), ("a", "b"), ("b", "a")]).unwrap_err();
        assert_eq!(error, StaticHostsError::Cycle { names: vec!["a".into(), "b".into(), "a".into()] });
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in ["", ".", "..", "a..", "a..b", "has space", &"x".repeat(64)] {
            let expected = StaticHostsError::NotAName { text: text.into() };
            assert_eq!(StaticHosts::new([(text, "1.2.3.4")]).unwrap_err(), expected);
        }
    }

    proptest! {
        /// Any small graph of aliases is refused exactly when walking it by hand does not end.
        #[test]
        fn a_table_is_built_exactly_when_every_walk_ends(edges in proptest::collection::vec(0_usize..10, 8)) {
            let pairs: Vec<(String, String)> =
                edges.iter().enumerate().map(|(from, to)| (format!("n{from}"), format!("n{to}"))).collect();
            let ends = (0..edges.len()).all(|start| {
                let mut at = start;
                (0..20).any(|_| match edges.get(at) {
                    Some(&next) => { at = next; false }
                    None => true,
                })
            });
            let built = StaticHosts::new(pairs.iter().map(|(from, to)| (from.as_str(), to.as_str())));
            prop_assert_eq!(built.is_ok(), ends);
        }
    }
}
