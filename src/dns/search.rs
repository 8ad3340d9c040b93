//! One name's addresses, looked for as the host looks for them: along the rules of `nsswitch.conf`, raw where that says the same. Pure.
//!
//! ```text
//! start ──► walk: hosts file │ nameservers │ systemd-resolved │ getaddrinfo ──► addresses
//!                  └─ nothing found ──► whoever can say why: the negative reply that came, or one that is fetched for it
//! ```
//!
//! A search says what it needs next and is told what came of it; it ends with an [`End`]. `getaddrinfo` tells neither "no such name"
//! from "no such data" nor for how long that holds. So where it finds nothing it is asked for the other family, and the nameservers
//! for their reply, both at once: a name that has any address exists.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;

use super::apple::{Outcome as Recorded, Record, TIMED_OUT};
use super::message::Reply;
use super::nsswitch::{Module, Next, Status, Walk};
use super::surroundings::Surroundings;
use crate::sys::resolve::{Family, ResolveError};

/// Who is asked raw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Nameservers,
    /// systemd-resolved, at its stub.
    Stub,
}

/// What came of asking.
#[derive(Debug)]
pub enum Outcome {
    /// A reply that settles it, positive or not.
    Reply(Reply),
    /// All of them answered that they cannot or will not answer; the last reply.
    Declined(Reply),
    /// Nobody could be reached: no server, no route, closed ports.
    Unreachable,
    /// Nobody answered in time, or with nothing that can be read.
    Silent,
}

/// What a search waits for.
#[derive(Debug, PartialEq, Eq)]
pub enum Need {
    Raw(Target),
    /// The system's resolver for records of the question's type, as macOS has one.
    Records,
    System(Family),
    /// `getaddrinfo` for this family and the nameservers, at once.
    SystemAndRaw(Family),
}

/// How a search ends.
#[derive(Debug)]
pub enum End {
    Addresses(Vec<IpAddr>),
    /// What the system's resolver knows, with the CNAME records that led there.
    Records(Vec<Record>),
    /// A nameserver's reply, as it is.
    Reply(Reply),
    /// A reply of ours without records.
    Code(ResponseCode),
    /// Nobody knows: SERVFAIL.
    Nothing,
}

/// A step of a search.
pub type Turn = Result<End, Need>;

/// An address question under way.
#[derive(Debug)]
pub struct Search {
    /// The name as DNS writes it.
    pub name: Name,
    /// The name as people write it: lower case, no final dot.
    pub text: String,
    family: Family,
    /// The hosts file has the name, if only with the other family; or it is the host's own.
    exists: bool,
    /// Names below `localhost` are nobody else's business (RFC 6761 section 6.3).
    local: bool,
    /// The system was asked: what comes of it holds for no known time.
    asked_system: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// No address question: what the nameservers say is the answer.
    Forwarding,
    /// The system is asked for records.
    Recording,
    /// It has none; the nameservers know why.
    Confirming,
    /// `target`: who is asked raw, or was last; `raw`: the best that came of that.
    Walking { walk: Walk, target: Target, raw: Option<Outcome> },
    /// The system found nothing for `family`; `denied`: it says there is no such name.
    Naming { denied: bool, other: Option<Other>, raw: Option<Outcome> },
    /// Nobody found anything and nobody who could say why was asked. `denied`: the host's rules end with "no such name".
    Code { denied: bool },
}

/// What the system says of the other family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Known,
    Denied,
    Unclear,
}

impl Search {
    /// Begins to look for the addresses of `name`, which reads `text`.
    pub fn start(name: Name, text: String, family: Family, around: &Surroundings) -> (Search, Turn) {
        let local = is_local(&text);
        let exists = around.hosts_file.knows(&text) || around.is_own(&text);
        let (walk, next) = around.walk(&text);
        let stage = Stage::Walking { walk, target: Target::Nameservers, raw: None };
        let mut search = Search { name, text, family, exists, local, asked_system: false, stage };
        let turn = search.follow(next, around);
        (search, turn)
    }

    /// No search at all: the question is put to the nameservers as it is. `exists`: the host knows the name.
    pub fn forward(name: Name, exists: bool) -> (Search, Turn) {
        let stage = Stage::Forwarding;
        let (text, family, local) = (String::new(), Family::V4, false);
        (
            Search { name, text, family, exists, local, asked_system: false, stage },
            Err(Need::Raw(Target::Nameservers)),
        )
    }

    /// No search of ours: the system's resolver is asked for the records, of any type. `exists`: the host knows the name.
    pub fn records(name: Name, exists: bool) -> (Search, Turn) {
        let (mut search, _) = Search::forward(name, exists);
        (search.stage, search.asked_system) = (Stage::Recording, true);
        (search, Err(Need::Records))
    }

    /// Whether the host has said its last word, and what is asked now only explains it.
    pub fn only_explains(&self) -> bool {
        matches!(self.stage, Stage::Code { .. } | Stage::Naming { .. } | Stage::Confirming)
    }

    /// Whether the answer may be kept: it came from nameservers alone.
    pub fn may_be_kept(&self) -> bool {
        !self.asked_system
    }

    /// What came of [`Need::Raw`].
    pub fn raw(&mut self, outcome: Outcome, around: &Surroundings) -> Option<Turn> {
        let family = self.family;
        match &mut self.stage {
            Stage::Forwarding => Some(Ok(self.ended(outcome))),
            Stage::Recording => None,
            Stage::Confirming => Some(Ok(match outcome {
                Outcome::Reply(reply) if !reply.is_positive() => self.ended(Outcome::Reply(reply)),
                // Nobody said that there is no such name.
                _ => End::Code(ResponseCode::NoError),
            })),
            Stage::Walking { walk, raw, target } => {
                let stub = *target == Target::Stub;
                if stub && matches!(outcome, Outcome::Unreachable) {
                    // It runs, so the system can reach it.
                    return Some(Err(self.system_needed()));
                }
                let said = match &outcome {
                    Outcome::Reply(reply) => Some((reply.code().into(), reply.has_address(family))),
                    Outcome::Declined(reply) => Some((reply.code().into(), false)),
                    Outcome::Unreachable | Outcome::Silent => None,
                };
                let status = if stub { Status::of_resolved(said) } else { Status::of_nameservers(said) };
                if status == Status::Success {
                    return Some(match walk.after(status) {
                        Next::Done(_) => Ok(self.ended(outcome)),
                        // The rules want more than what was found.
                        next => self.follow(next, around),
                    });
                }
                // A reply that settles it is not forgotten for one that does not.
                let settled = matches!(raw, Some(Outcome::Reply(_)));
                if !settled || matches!(outcome, Outcome::Reply(_)) {
                    *raw = Some(outcome);
                }
                let next = walk.after(status);
                Some(self.follow(next, around))
            }
            Stage::Naming { other, raw, .. } => {
                *raw = Some(outcome);
                other.is_some().then(|| Ok(self.concluded()))
            }
            Stage::Code { denied } => Some(Ok(match outcome {
                Outcome::Reply(reply) if !reply.is_positive() => self.ended(Outcome::Reply(reply)),
                // The host's rules do not let it find what the nameservers have.
                Outcome::Reply(_) => End::Code(ResponseCode::NoError),
                _ if self.exists => End::Code(ResponseCode::NoError),
                _ if *denied => End::Code(ResponseCode::NXDomain),
                other => self.ended(other),
            })),
        }
    }

    /// What came of asking the system for `family`.
    pub fn system(&mut self, family: Family, result: Result<Vec<IpAddr>, ResolveError>) -> Option<Turn> {
        if let Stage::Naming { other, raw, .. } = &mut self.stage
            && family != self.family
        {
            *other = Some(match result {
                Ok(_) => Other::Known,
                Err(ResolveError::NoName { .. }) => Other::Denied,
                Err(_) => Other::Unclear,
            });
            return raw.is_some().then(|| Ok(self.concluded()));
        }
        let denied = match result {
            Ok(addresses) => return Some(Ok(End::Addresses(addresses))),
            Err(ResolveError::NoName { .. }) => true,
            Err(ResolveError::NoAddress { .. }) => false,
            Err(ResolveError::Failed { .. }) => return Some(Ok(End::Nothing)),
        };
        if self.local {
            return Some(Ok(End::Code(ResponseCode::NoError)));
        }
        self.stage = Stage::Naming { denied, other: None, raw: None };
        Some(Err(Need::SystemAndRaw(self.family.other())))
    }

    /// What came of [`Need::Records`].
    pub fn recorded(&mut self, outcome: Recorded) -> Turn {
        self.stage = match outcome {
            Recorded::Records(records) => return Ok(End::Records(records)),
            Recorded::Failed { code: TIMED_OUT } => return Ok(End::Nothing),
            Recorded::NotFound { .. } => Stage::Confirming,
            // It is not there, or will not: the nameservers are the next best.
            Recorded::Failed { .. } => Stage::Forwarding,
        };
        Err(Need::Raw(Target::Nameservers))
    }

    /// The time is over: the best that is known.
    pub fn expired(&self) -> End {
        match self.stage {
            Stage::Confirming => End::Code(ResponseCode::NoError),
            Stage::Naming { .. } => self.concluded(),
            Stage::Code { .. } if self.exists => End::Code(ResponseCode::NoError),
            Stage::Code { denied: true } => End::Code(ResponseCode::NXDomain),
            _ => End::Nothing,
        }
    }

    fn follow(&mut self, mut next: Next, around: &Surroundings) -> Turn {
        loop {
            let Stage::Walking { walk, target, raw } = &mut self.stage else {
                return Ok(End::Nothing);
            };
            next = match next {
                Next::Ask(Module::Files) => {
                    let listed = around.listed(&self.text, self.family);
                    let status = if listed.is_empty() { Status::NotFound } else { Status::Success };
                    match walk.after(status) {
                        Next::Done(Status::Success) => return Ok(End::Addresses(listed)),
                        next => next,
                    }
                }
                Next::Ask(Module::System) => return Err(self.system_needed()),
                // Not even to find out that nobody knows it.
                Next::Ask(_) | Next::Done(_) if self.local => return Err(self.system_needed()),
                Next::Ask(module @ (Module::Nameservers | Module::Resolved)) => {
                    *target = if module == Module::Resolved { Target::Stub } else { Target::Nameservers };
                    return Err(Need::Raw(*target));
                }
                Next::Done(status) => {
                    return match raw.take() {
                        Some(outcome) => Ok(self.ended(outcome)),
                        None => {
                            self.stage = Stage::Code { denied: status == Status::NotFound };
                            Err(Need::Raw(Target::Nameservers))
                        }
                    };
                }
            };
        }
    }

    fn system_needed(&mut self) -> Need {
        self.asked_system = true;
        Need::System(self.family)
    }

    fn ended(&self, outcome: Outcome) -> End {
        match outcome {
            Outcome::Reply(mut reply) => {
                if self.exists {
                    reply.name_exists();
                }
                End::Reply(reply)
            }
            // What is meant for the host is of no use to the guest, who has no other server to try.
            Outcome::Declined(reply) if reply.code() != ResponseCode::Refused => End::Reply(reply),
            Outcome::Declined(_) | Outcome::Unreachable | Outcome::Silent => End::Nothing,
        }
    }

    fn concluded(&self) -> End {
        let Stage::Naming { denied, other, raw } = &self.stage else {
            return End::Nothing;
        };
        let raw = match raw {
            Some(Outcome::Reply(reply)) => Some(reply),
            _ => None,
        };
        let exists = self.exists || *other == Some(Other::Known);
        let denied = *denied && *other == Some(Other::Denied);
        let code = code_of_nothing(denied, exists, raw.map(Reply::code));
        match raw {
            // Passed on with its SOA, if it says the same as the host.
            Some(reply) if reply.code() == code && !reply.is_positive() => End::Reply(reply.clone()),
            _ => End::Code(code),
        }
    }
}

/// `localhost` and what is below it.
pub fn is_local(text: &str) -> bool {
    text == "localhost" || text.ends_with(".localhost")
}

/// The code of the reply where the host's resolver found no address: only what somebody said.
///
/// `denied`: the host knows no such name, in either family. `exists`: it has addresses of the other family. `raw`: the nameservers'
/// code, if one answered.
fn code_of_nothing(denied: bool, exists: bool, raw: Option<ResponseCode>) -> ResponseCode {
    match raw {
        _ if exists => ResponseCode::NoError,
        Some(ResponseCode::NXDomain) => ResponseCode::NXDomain,
        Some(ResponseCode::NoError) => ResponseCode::NoError,
        _ if denied => ResponseCode::NXDomain,
        _ => ResponseCode::NoError,
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
