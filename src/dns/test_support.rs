//! What the tests of this room have in common: names, plain queries, skeletons of replies, a host on which nothing is special.

use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::hosts_file::HostsFile;
use super::nsswitch::Nsswitch;
use super::resolved::{STUB, State};
use super::static_hosts::StaticHosts;
use super::surroundings::Surroundings;

/// An absolute name.
pub(super) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// A query with recursion desired, without EDNS.
pub(super) fn query(id: u16, text: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(text), kind));
    message.to_vec().unwrap()
}

/// The same from a client that takes `payload` bytes.
pub(super) fn query_with_edns(id: u16, text: &str, kind: RecordType, payload: u16) -> Vec<u8> {
    let mut message = Message::from_vec(&query(id, text, kind)).unwrap();
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message.to_vec().unwrap()
}

/// The skeleton of a nameserver's reply.
pub(super) fn response(query: &[u8], code: ResponseCode) -> Message {
    let query = Message::from_vec(query).unwrap();
    let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.response_code = code;
    reply.queries = query.queries;
    reply
}

/// A host with one nameserver, these `rules` for `hosts:` and this hosts file.
pub(super) fn around(rules: &str, hosts_file: &str) -> Surroundings {
    Surroundings {
        static_hosts: Arc::new(StaticHosts::default()),
        ipv6: true,
        nameservers: vec![([192, 0, 2, 1], 53).into()],
        stub: STUB.into(),
        hosts_file: Arc::new(HostsFile::parse(hosts_file)),
        multi: Arc::new(true),
        rules: Arc::new(Nsswitch::parse(&format!("hosts: {rules}\n"))),
        by_records: false,
        own_name: "me.example".into(),
        resolved: State::Absent,
    }
}
