//! The conformance matrix of the host resolver: a guest cannot tell that it is not the host asking.
//!
//! Promises are rows of tables: a name, what the nameserver does, what a client sends, what must come back. `matrix` plays them against
//! `limactl debug dns` on a machine of its own (`place`: private network, mounts and host name), many at once, and tells all that are broken.
//! Promises about the machine itself (servers that change, `nsswitch.conf`) have a machine each (`stages`). To add a promise is to add a row.
//!
//! Whatever can be compared is compared with the source itself: the nameserver asked directly, the C library called in the same place. Nothing measures
//! time: what must not wait is answered *while* something else waits.
//!
//! Needs root, or user namespaces; `ip`, `dig`, busybox; python3 for the C library. `LIMA_TEST_NSS` names a folder with modules for
//! `nsswitch.conf` (mdns, myhostname, resolve) where they are not installed; without them those lines say what such a machine says.

mod addresses;
mod ask;
mod cache;
mod clients;
mod codes;
mod configuration;
mod daemons;
mod hostile;
mod liars;
mod matrix;
mod message;
mod nameserver;
mod place;
mod records;
mod sizes;
mod stages;
mod static_names;
mod streams;

use std::net::Ipv4Addr;

use matrix::{Row, play};
use place::{Place, Setup, apart, with_namespaces};

/// One table on one machine.
fn table(test: &str, name: &str, setup: &Setup, rows: Vec<Row>) {
    with_namespaces(&format!("dns::{test}"), || {
        apart(|| {
            let place = Place::new(setup);
            play(name, &place, rows);
        });
    });
}

#[test]
fn static_names_are_exact_and_hide_nobody() {
    let with_neighbours = |setup: Setup, rows: Vec<Row>| {
        apart(|| {
            let place = Place::new(&setup);
            for (domain, script) in static_names::neighbours() {
                place.server.tell(domain, script);
            }
            play(static_names::TABLE, &place, rows);
        });
    };
    with_namespaces("dns::static_names_are_exact_and_hide_nobody", || {
        let rows = static_names::rows().into_iter().chain(static_names::with_ipv6());
        with_neighbours(static_names::setup(true), rows.collect());
        let rows = static_names::rows().into_iter().chain(static_names::without_ipv6());
        with_neighbours(static_names::setup(false), rows.collect());
    });
}

#[test]
fn static_names_that_go_in_circles_are_refused() {
    let world = crate::support::World::bare();
    let seen = world.limactl(["debug", "dns", "0", "--host", "a=b", "--host", "b=a"]).seen().ended_with(1);
    assert!(seen.stderr.contains('a') && seen.stderr.contains("level=fatal"), "{seen:#?}");
    assert!(!seen.stderr.contains("unknown flag"), "{seen:#?}");
}

#[test]
fn addresses_are_what_the_c_library_says() {
    if place::modules().is_none() {
        crate::support::namespaces::skip(
            "mdns, myhostname and resolve in nsswitch.conf",
            "LIMA_TEST_NSS does not name a folder with them",
        );
    }
    with_namespaces("dns::addresses_are_what_the_c_library_says", || stages::play(addresses::stages()));
}

#[test]
fn records_arrive_bit_for_bit() {
    table("records_arrive_bit_for_bit", records::TABLE, &Setup::default(), records::rows());
}

#[test]
fn codes_are_true() {
    table("codes_are_true", codes::TABLE, &Setup::default(), codes::rows());
}

#[test]
fn a_closed_port_is_a_failure_with_a_reason() {
    let nobody =
        Setup { resolv_conf: format!("nameserver {}\n", Ipv4Addr::new(127, 0, 0, 9)), ..Setup::default() };
    table("a_closed_port_is_a_failure_with_a_reason", "closed", &nobody, codes::closed());
}

#[test]
fn what_does_not_fit_is_cut_by_whole_sets() {
    table("what_does_not_fit_is_cut_by_whole_sets", sizes::TABLE, &sizes::setup(), sizes::rows());
}

#[test]
fn a_tcp_connection_carries_many_questions() {
    table("a_tcp_connection_carries_many_questions", streams::TABLE, &Setup::default(), streams::rows());
}

#[test]
fn greedy_tcp_clients_harm_nobody() {
    table("greedy_tcp_clients_harm_nobody", "greedy", &Setup::default(), streams::greedy());
}

#[test]
fn nameservers_are_followed_and_the_dead_are_passed_over() {
    with_namespaces("dns::nameservers_are_followed_and_the_dead_are_passed_over", || {
        stages::play(stages::stages())
    });
}

#[test]
fn lies_are_not_believed() {
    table("lies_are_not_believed", liars::TABLE, &Setup::default(), liars::rows());
}

#[test]
fn what_is_known_is_not_asked_again() {
    table("what_is_known_is_not_asked_again", cache::TABLE, &Setup::default(), cache::rows());
}

/// A machine where `known.hostile.test` exists.
fn hostile_table(test: &str, nsswitch: &str, rows: Vec<Row>) {
    let hosts = "127.0.0.1 localhost\n10.7.0.1 db.hosts.test\n".into();
    let setup = Setup { hosts, nsswitch: format!("hosts: {nsswitch}\n"), ..Setup::default() };
    with_namespaces(&format!("dns::{test}"), || {
        apart(|| {
            let place = Place::new(&setup);
            place.server.tell("known.hostile.test", hostile::known());
            play(hostile::TABLE, &place, rows);
        });
    });
}

#[test]
fn any_bytes_are_dropped_or_answered_as_the_rfcs_say() {
    hostile_table("any_bytes_are_dropped_or_answered_as_the_rfcs_say", "files dns", hostile::rows());
}

#[test]
fn a_flood_is_survived_in_bounded_memory_and_silence() {
    hostile_table("a_flood_is_survived_in_bounded_memory_and_silence", "files dns", hostile::floods());
}

#[test]
fn a_dead_domain_delays_nobody_else() {
    hostile_table("a_dead_domain_delays_nobody_else", "files dns", vec![hostile::in_flight(10_000)]);
}

/// With a module that only the C library can ask, which blocks.
#[test]
fn a_dead_domain_delays_nobody_else_where_the_c_library_is_asked() {
    let test = "a_dead_domain_delays_nobody_else_where_the_c_library_is_asked";
    hostile_table(test, "files frobnicate dns", vec![hostile::in_flight_of_the_c_library(300)]);
}

#[test]
fn the_cache_is_bounded_in_bytes() {
    hostile_table("the_cache_is_bounded_in_bytes", "files dns", vec![hostile::full_cache()]);
}

#[test]
fn programs_that_people_use_are_served() {
    table("programs_that_people_use_are_served", clients::TABLE, &clients::setup(), clients::rows());
}
