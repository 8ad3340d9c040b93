//! DHCP messages: what is written is read again, and no bytes panic.

use proptest::prelude::*;

use super::*;

fn any_address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn station() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>()
        .prop_map(|bytes| Mac([bytes[0] & 0xfe | 2, bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]]))
}

prop_compose! {
    fn query()(
        kind in prop::sample::select(vec![QueryKind::Discover, QueryKind::Request, QueryKind::Decline, QueryKind::Release, QueryKind::Inform]),
        transaction in any::<u32>(),
        mac in station(),
        client in any_address(),
        relay in any_address(),
        broadcast in any::<bool>(),
        requested in prop::option::of(any_address()),
        server in prop::option::of(any_address()),
        host_name in prop::option::of("[a-zA-Z0-9._-]{1,60}"),
    ) -> Query {
        Query { kind, transaction, mac, client, relay, broadcast, requested, server, host_name }
    }
}

prop_compose! {
    fn parameters()(
        mask in prop::option::of(any_address()),
        router in prop::option::of(any_address()),
        name_servers in prop::collection::vec(any_address(), 0..=8),
        mtu in prop::option::of(any::<u16>()),
        broadcast in prop::option::of(any_address()),
        lease in prop::option::of(any::<u32>()),
    ) -> Parameters {
        Parameters { mask, router, name_servers, mtu, broadcast, lease }
    }
}

prop_compose! {
    fn answer()(
        kind in prop::sample::select(vec![AnswerKind::Offer, AnswerKind::Ack, AnswerKind::Nak]),
        transaction in any::<u32>(),
        mac in station(),
        client in any_address(),
        broadcast in any::<bool>(),
        yours in any_address(),
        server in any_address(),
        parameters in parameters(),
    ) -> Answer {
        Answer { kind, transaction, mac, client, broadcast, yours, server, parameters }
    }
}

proptest! {
    #[test]
    fn a_query_is_read_as_it_was_written(query in query()) {
        prop_assert_eq!(Query::parse(&query.emit()), Ok(query));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(answer in answer()) {
        prop_assert_eq!(Answer::parse(&answer.emit()), Ok(answer));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = (Query::parse(&bytes), Answer::parse(&bytes));
    }

    #[test]
    fn no_damage_panics(query in query(), at in 0_usize..300, byte in any::<u8>(), end in 0_usize..400) {
        let mut bytes = query.emit();
        bytes[at] = byte;
        bytes.truncate(end);
        let _ = Query::parse(&bytes);
    }
}

#[test]
fn messages_are_never_shorter_than_relays_want() {
    let query = Query {
        kind: QueryKind::Discover,
        transaction: 1,
        mac: Mac([2; 6]),
        client: Ipv4Addr::UNSPECIFIED,
        relay: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested: None,
        server: None,
        host_name: None,
    };
    assert_eq!(query.emit().len(), 300);
    // A BOOTP message is DHCP's without option 53.
    let mut bootp = query.emit();
    bootp[240..243].fill(0);
    assert_eq!(Query::parse(&bootp), Err(Malformed::Type));
    let mut group = query.emit();
    group[28] = 1;
    assert_eq!(Query::parse(&group), Err(Malformed::Foreign));
    // What a host calls itself reaches files and other programs: no quotes, no line ends.
    let mut odd = Query { host_name: Some("a_b".into()), ..query }.emit();
    let at = odd.windows(3).position(|window| window == b"a_b").unwrap();
    odd[at + 1] = b'\n';
    assert_eq!(Query::parse(&odd).unwrap().host_name, None);
}
