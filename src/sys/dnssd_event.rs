//! What `dns_sd.h` calls back with. Beside `dnssd`, which is for macOS only, because every system tests what is made of it.

/// One call back: a record that came or went, or an error (then name and data may be empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The query that it belongs to.
    pub id: u64,
    /// `kDNSServiceFlags…`.
    pub flags: u32,
    /// `kDNSServiceErr_…`, 0 if none.
    pub error: i32,
    /// The owner, as dns_sd escapes names.
    pub name: Vec<u8>,
    pub kind: u16,
    pub class: u16,
    /// RDATA, names in it not compressed.
    pub data: Vec<u8>,
    /// In seconds.
    pub ttl: u32,
}
