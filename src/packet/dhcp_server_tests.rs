//! The conversations of RFC 2131 section 3, message by message.

use proptest::prelude::*;

use super::*;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 105, 1);

fn server() -> Server {
    Server::new(Network {
        server: SERVER,
        mask: Ipv4Addr::new(255, 255, 255, 0),
        pool: Ipv4Addr::new(192, 168, 105, 2)..=Ipv4Addr::new(192, 168, 105, 254),
        router: Some(SERVER),
        mtu: 1500,
        lease: 3600,
    })
}

fn query(kind: QueryKind, number: u8) -> Query {
    Query {
        kind,
        transaction: 0x1234,
        mac: Mac([0x52, 0x55, 0x55, 0, 0, number]),
        client: Ipv4Addr::UNSPECIFIED,
        relay: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested: None,
        server: None,
        host_name: None,
    }
}

#[track_caller]
fn said(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Reply { answer, .. } => answer,
        other => panic!("no answer: {other:?}"),
    }
}

fn bound(server: &mut Server, number: u8) -> Ipv4Addr {
    let offer = said(server.answer(&query(QueryKind::Discover, number), Some(1), &[], 0));
    let request =
        Query { requested: Some(offer.yours), server: Some(SERVER), ..query(QueryKind::Request, number) };
    let ack = said(server.answer(&request, Some(1), &[], 0));
    assert_eq!((ack.kind, ack.yours), (AnswerKind::Ack, offer.yours));
    ack.yours
}

#[test]
fn a_station_is_offered_an_address_and_gets_it_with_all_it_needs() {
    let mut server = server();
    let dns = [Ipv4Addr::new(9, 9, 9, 9)];
    let offer = said(server.answer(&query(QueryKind::Discover, 1), Some(1), &dns, 0));
    assert_eq!(offer.kind, AnswerKind::Offer);
    assert_eq!(offer.server, SERVER);
    let expected = Parameters {
        mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        router: Some(SERVER),
        name_servers: dns.to_vec(),
        mtu: Some(1500),
        broadcast: Some(Ipv4Addr::new(192, 168, 105, 255)),
        lease: Some(3600),
    };
    assert_eq!(offer.parameters, expected);
    let request = Query {
        requested: Some(offer.yours),
        server: Some(SERVER),
        host_name: Some("lima-a".into()),
        ..query(QueryKind::Request, 1)
    };
    let outcome = server.answer(&request, Some(1), &dns, 0);
    assert!(matches!(outcome, Outcome::Reply { bound: true, .. }));
    let lease = server.table.held_by(request.mac, 0).unwrap();
    assert_eq!((lease.address, lease.host_name.as_str(), lease.expires), (offer.yours, "lima-a", 3600));
}

#[test]
fn a_renewal_moves_the_end_and_keeps_the_name() {
    let mut server = server();
    let address = bound(&mut server, 1);
    let renewal = Query { client: address, host_name: Some("x".into()), ..query(QueryKind::Request, 1) };
    assert_eq!(said(server.answer(&renewal, Some(1), &[], 1800)).client, address);
    let renewal = Query { host_name: None, ..renewal };
    said(server.answer(&renewal, Some(1), &[], 3000));
    let lease = server.table.held_by(renewal.mac, 3000).unwrap();
    assert_eq!((lease.expires, lease.host_name.as_str()), (6600, "x"));
}

#[test]
fn a_station_of_another_network_or_with_anothers_address_hears_nak() {
    let mut server = server();
    let address = bound(&mut server, 1);
    let foreign = Query { requested: Some(Ipv4Addr::new(10, 0, 0, 9)), ..query(QueryKind::Request, 2) };
    let nak = said(server.answer(&foreign, Some(1), &[], 0));
    assert_eq!((nak.kind, nak.broadcast, nak.yours), (AnswerKind::Nak, true, Ipv4Addr::UNSPECIFIED));
    let anothers = Query { requested: Some(address), ..query(QueryKind::Request, 2) };
    assert_eq!(said(server.answer(&anothers, Some(1), &[], 0)).kind, AnswerKind::Nak);
    let gateway = Query { client: SERVER, ..query(QueryKind::Request, 3) };
    assert_eq!(said(server.answer(&gateway, Some(1), &[], 0)).kind, AnswerKind::Nak);
}

#[test]
fn a_station_that_the_server_forgot_keeps_a_free_address() {
    let mut server = server();
    let address = Ipv4Addr::new(192, 168, 105, 80);
    let rebooted = Query { requested: Some(address), ..query(QueryKind::Request, 1) };
    assert_eq!(said(server.answer(&rebooted, Some(1), &[], 0)).yours, address);
}

#[test]
fn a_station_that_chose_another_server_frees_the_offer() {
    let mut server = server();
    let offer = said(server.answer(&query(QueryKind::Discover, 1), Some(1), &[], 0));
    let chosen = Query {
        server: Some(Ipv4Addr::new(192, 168, 105, 9)),
        requested: Some(Ipv4Addr::new(192, 168, 105, 70)),
        ..query(QueryKind::Request, 1)
    };
    assert_eq!(server.answer(&chosen, Some(1), &[], 0), Outcome::Silence);
    let other = Query { requested: Some(offer.yours), ..query(QueryKind::Discover, 2) };
    assert_eq!(said(server.answer(&other, Some(1), &[], 0)).yours, offer.yours);
}

#[test]
fn an_inform_is_told_everything_but_an_address() {
    let mut server = server();
    let inform = Query { client: Ipv4Addr::new(192, 168, 105, 9), ..query(QueryKind::Inform, 1) };
    let answer = said(server.answer(&inform, Some(1), &[], 0));
    assert_eq!(
        (answer.kind, answer.yours, answer.parameters.lease),
        (AnswerKind::Ack, Ipv4Addr::UNSPECIFIED, None)
    );
    assert!(server.table.leases().next().is_none());
}

#[test]
fn a_relayed_message_is_not_for_us() {
    let relayed = Query { relay: Ipv4Addr::new(10, 0, 0, 1), ..query(QueryKind::Discover, 1) };
    assert_eq!(server().answer(&relayed, Some(1), &[], 0), Outcome::Silence);
}

proptest! {
    /// Bytes of a guest → no panic, and no address outside of the pool is ever given.
    #[test]
    fn any_bytes_are_survived(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 236..330), 0..20)) {
        let mut server = server();
        for mut bytes in packets {
            bytes[..3].copy_from_slice(&[1, 1, 6]);
            if bytes.len() > 243 {
                let kind = bytes[242] % 9;
                bytes[236..243].copy_from_slice(&[0x63, 0x82, 0x53, 0x63, 53, 1, kind]);
            }
            let Ok(query) = Query::parse(&bytes) else { continue };
            if let Outcome::Reply { answer, .. } = server.answer(&query, Some(1), &[], 0) {
                let pool = Ipv4Addr::new(192, 168, 105, 2)..=Ipv4Addr::new(192, 168, 105, 254);
                prop_assert!(answer.yours.is_unspecified() || pool.contains(&answer.yours));
            }
        }
    }
}
