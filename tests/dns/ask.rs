//! What a client sends, described.

use std::sync::atomic::{AtomicU16, Ordering};

use super::message::{AD, CD, Edns, RD, kind, name};

/// A question, or any bytes; by default over UDP, with recursion desired and without EDNS.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    name: String,
    kind: u16,
    class: u16,
    flags: u16,
    id: Option<u16>,
    pub(crate) tcp: bool,
    pub(crate) edns: Option<Edns>,
}

/// Asks for a name, in which `@` stands for the row's domain, and a type by its name or as `TYPE123`.
pub(crate) fn ask(name: &str, kind_text: &str) -> Ask {
    let kind = kind(kind_text);
    Ask { name: name.to_owned(), kind, class: 1, flags: RD, id: None, tcp: false, edns: None }
}

impl Ask {
    pub(crate) fn tcp(mut self) -> Ask {
        self.tcp = true;
        self
    }

    pub(crate) fn class(mut self, class: u16) -> Ask {
        self.class = class;
        self
    }

    pub(crate) fn id(mut self, id: u16) -> Ask {
        self.id = Some(id);
        self
    }

    /// With an OPT that offers `payload` bytes.
    pub(crate) fn edns(mut self, payload: u16) -> Ask {
        self.edns = Some(Edns { payload, ..Edns::default() });
        self
    }

    pub(crate) fn dnssec(mut self) -> Ask {
        let edns = self.edns.get_or_insert(Edns { payload: 1232, ..Edns::default() });
        edns.dnssec_ok = true;
        self
    }

    pub(crate) fn option(mut self, code: u16, value: &[u8]) -> Ask {
        let edns = self.edns.get_or_insert(Edns { payload: 1232, ..Edns::default() });
        edns.options.push((code, value.to_vec()));
        self
    }

    pub(crate) fn checking_disabled(mut self) -> Ask {
        self.flags |= CD;
        self
    }

    pub(crate) fn authentic(mut self) -> Ask {
        self.flags |= AD;
        self
    }

    pub(crate) fn without_recursion(mut self) -> Ask {
        self.flags &= !RD;
        self
    }

    /// The message, under an id of its own if none was chosen.
    pub(crate) fn bytes(&self, domain: &str) -> Vec<u8> {
        static IDS: AtomicU16 = AtomicU16::new(0x2f11);
        let id = self.id.unwrap_or_else(|| IDS.fetch_add(0x3a7, Ordering::Relaxed));
        let mut bytes = [id.to_be_bytes(), self.flags.to_be_bytes(), [0, 1], [0; 2], [0; 2]].concat();
        bytes.extend_from_slice(&[0, u8::from(self.edns.is_some())]);
        bytes.extend_from_slice(&name(&self.name.replace('@', domain)));
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&self.class.to_be_bytes());
        if let Some(edns) = &self.edns {
            edns.put(&mut bytes);
        }
        bytes
    }
}
