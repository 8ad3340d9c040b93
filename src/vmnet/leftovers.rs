//! What an earlier run of this network left that this one has no use for: that run was killed between two steps, or was of another mode.
//!
//! What this one does have use for (its bridge, table, switch, devices of machines) each step of coming up finds by itself. Nothing here keeps the
//! network from working, so what cannot be removed is said.

use super::error::Error;
use super::forwarding::Forwarding;
use super::links::Links;
use super::log::Log;
use super::settings::{Network, Settings};
use super::{checks, firewall, gates, segment, state, tools};

/// Removes it. Must be called while the pid file is held, before anything is made.
pub fn clear(settings: &Settings, links: &mut Links, log: Log) {
    let note = |done: Result<(), Error>| done.unwrap_or_else(|error| log.warn(error.told()));
    note(segment::remove_nodes(&settings.port_prefix));
    note(state::remove(&state::unfinished(&settings.files.leases)));
    let shared = match &settings.network {
        Network::Own(own) => own.shared,
        Network::Bridged { .. } => {
            note(clear_own(settings, links, log));
            false
        }
    };
    if !shared {
        note(Forwarding::settle(&settings.files.directory, links, &settings.bridge));
    }
}

/// In the order of an end (see `up.rs`), in which the table is the last to go.
fn clear_own(settings: &Settings, links: &mut Links, log: Log) -> Result<(), Error> {
    let name = &settings.bridge;
    let found = links.find(name).map_err(|source| Error::Kernel { what: "interfaces", source })?;
    let bridge = found.filter(|found| found.alias == checks::alias(settings));
    // Without the program no earlier run has made any rule.
    let has_table = tools::find("nft").is_some() && firewall::is_there(name)?;
    if has_table {
        gates::close(name).into_iter().for_each(|failure| log.warn(failure));
    }
    if let Some(bridge) = bridge {
        let failed = |source| Error::Interface { what: "delete the link", interface: name.clone(), source };
        links.delete(bridge.index).map_err(failed)?;
        log.info(format!("Removed the bridge `{name}`, which this network had in another mode"));
    }
    if has_table { firewall::remove(name) } else { Ok(()) }
}
