//! Watching the events of many instances at once, as their host agents write them down.

use std::collections::BTreeMap;

use serde_json::Value;

use super::follow::Tail;
use super::relay::LogLine;
use super::{Context, Error};
use crate::home::InstanceDir;

/// What came since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// Instances that were not there before, by name.
    pub instances: Vec<String>,
    /// Events as they were written, each with its instance.
    pub events: Vec<(String, Value)>,
}

/// Follows the event files of instances. Files that are made again are followed from their beginning.
pub struct Watcher {
    /// Whether instances that come later are followed too.
    all: bool,
    followed: BTreeMap<String, Followed>,
}

struct Followed {
    events: Tail,
    log: Tail,
}

impl Followed {
    fn from_start(dir: &InstanceDir) -> Followed {
        Followed { events: Tail::new(dir.agent_events(), 0), log: Tail::from_end(dir.agent_log()) }
    }

    fn from_now(dir: &InstanceDir) -> Followed {
        Followed { events: Tail::from_end(dir.agent_events()), ..Followed::from_start(dir) }
    }
}

impl Watcher {
    /// Follows the instances of these names, or all if there are none; with `history` from the beginning of their last run. A name without
    /// an instance is told; it is an error if none is left.
    pub fn new(context: &Context, names: &[String], history: bool) -> Result<Watcher, Error> {
        let existing = instances(context)?;
        let (found, missing): (Vec<&String>, Vec<&String>) = match names.is_empty() {
            true => (existing.iter().collect(), Vec::new()),
            false => names.iter().partition(|name| existing.contains(name)),
        };
        for name in &missing {
            tracing::warn!("No instance matching {name} found.");
        }
        if found.is_empty() && !missing.is_empty() {
            return Err(Error::Unmatched);
        }
        let follow = |name: &String| {
            let dir = context.home.instance(name);
            (name.clone(), if history { Followed::from_start(&dir) } else { Followed::from_now(&dir) })
        };
        Ok(Watcher { all: names.is_empty(), followed: found.into_iter().map(follow).collect() })
    }

    /// The instances that are followed now.
    pub fn names(&self) -> Vec<&str> {
        self.followed.keys().map(String::as_str).collect()
    }

    /// What is new. With `logs` the agents' log lines are shown to the user as well.
    pub fn poll(&mut self, context: &Context, logs: bool) -> News {
        let mut news = News::default();
        if self.all {
            // A home that cannot be read for a moment has no news.
            let existing = instances(context).unwrap_or_default();
            self.followed.retain(|name, _| existing.contains(name));
            for name in existing {
                if !self.followed.contains_key(&name) {
                    self.followed.insert(name.clone(), Followed::from_start(&context.home.instance(&name)));
                    news.instances.push(name);
                }
            }
        }
        for (name, followed) in &mut self.followed {
            let events = followed.events.lines();
            let objects = events.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            news.events.extend(objects.filter(Value::is_object).map(|event| (name.clone(), event)));
            for line in followed.log.lines().iter().filter_map(|line| LogLine::parse(line)) {
                if logs {
                    (context.relay)(&line);
                }
            }
        }
        news
    }
}

/// Names of instances that have their `lima.yaml` already.
fn instances(context: &Context) -> Result<Vec<String>, Error> {
    let mut names = context.home.instance_names()?;
    names.retain(|name| context.home.instance(name).lima_yaml().exists());
    Ok(names)
}
