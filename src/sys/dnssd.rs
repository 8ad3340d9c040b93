//! The system's resolver of macOS, asked by `dns_sd.h`: any type and class, split DNS, VPNs and mDNS included, without waiting.
//!
//! One connection to mDNSResponder carries all queries; its descriptor becomes readable when there is something for one of them.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{BorrowedFd, RawFd};

use super::dnssd_event::Event;

type Reference = *mut c_void;
type Reply = extern "C" fn(
    reference: Reference,
    flags: u32,
    interface: u32,
    error: i32,
    name: *const c_char,
    kind: u16,
    class: u16,
    length: u16,
    data: *const c_void,
    ttl: u32,
    context: *mut c_void,
);

// Part of libSystem, which every program is linked with.
unsafe extern "C" {
    fn DNSServiceCreateConnection(reference: *mut Reference) -> i32;
    fn DNSServiceQueryRecord(
        reference: *mut Reference,
        flags: u32,
        interface: u32,
        name: *const c_char,
        kind: u16,
        class: u16,
        reply: Reply,
        context: *mut c_void,
    ) -> i32;
    fn DNSServiceRefSockFD(reference: Reference) -> c_int;
    fn DNSServiceProcessResult(reference: Reference) -> i32;
    fn DNSServiceRefDeallocate(reference: Reference);
}

const SHARE_CONNECTION: u32 = 0x4000;
/// CNAME records on the way are told, and that there is no record.
const RETURN_INTERMEDIATES: u32 = 0x1000;
/// The system gives up by itself, and says so.
const TIMEOUT: u32 = 0x1_0000;
const ANY_INTERFACE: u32 = 0;
const NO_ERROR: i32 = 0;
/// `kDNSServiceErr_BadReference`.
const BAD_REFERENCE: i32 = -65541;

/// A connection and the queries on it. Dropping it ends them all.
#[derive(Debug)]
pub struct Connection {
    main: Reference,
    queries: HashMap<u64, Query>,
    /// Made by `Box::into_raw`: callbacks add to it while the connection is borrowed for reading.
    events: *mut Vec<Event>,
}

#[derive(Debug)]
struct Query {
    reference: Reference,
    /// Made by `Box::into_raw`; the system hands it to the callback until the reference is deallocated.
    context: *mut Context,
}

#[derive(Debug)]
struct Context {
    id: u64,
    events: *mut Vec<Event>,
}

// SAFETY: dns_sd binds nothing to a thread, it only forbids two at once in one connection; every call takes `&mut self` or reads a number that
// never changes. All pointers are owned by the connection alone.
unsafe impl Send for Connection {}

impl Connection {
    /// Connects to mDNSResponder. The error is `kDNSServiceErr_…`.
    pub fn open() -> Result<Self, i32> {
        let mut main: Reference = std::ptr::null_mut();
        // SAFETY: the reference is written on success and owned from then on.
        let error = unsafe { DNSServiceCreateConnection(&mut main) };
        if error != NO_ERROR {
            return Err(error);
        }
        let connection = Connection { main, queries: HashMap::new(), events: Box::into_raw(Box::default()) };
        match connection.number() {
            0.. => Ok(connection),
            _ => Err(BAD_REFERENCE),
        }
    }

    fn number(&self) -> RawFd {
        // SAFETY: the reference is ours and not deallocated.
        unsafe { DNSServiceRefSockFD(self.main) }
    }

    /// Readable when [`Connection::process`] has something to do. It is the connection's own: only to be waited on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as the connection, and not -1: `open` looked.
        unsafe { BorrowedFd::borrow_raw(self.number()) }
    }

    /// Begins a query, whose events will have this `id`; one that has it already is ended. `name` is escaped as dns_sd does it; search domains apply
    /// to a single label without final dot.
    pub fn start(&mut self, id: u64, name: &CStr, kind: u16, class: u16) -> Result<(), i32> {
        self.stop(id);
        let context = Box::into_raw(Box::new(Context { id, events: self.events }));
        let mut reference = self.main;
        let flags = SHARE_CONNECTION | RETURN_INTERMEDIATES | TIMEOUT;
        // SAFETY: with the sharing flag the reference goes in as the connection's and comes out as the query's own; name is a C string that
        // is copied; the context lives until after the query's reference is deallocated.
        let error = unsafe {
            let name = name.as_ptr();
            DNSServiceQueryRecord(
                &mut reference,
                flags,
                ANY_INTERFACE,
                name,
                kind,
                class,
                on_reply,
                context.cast(),
            )
        };
        if error != NO_ERROR {
            // SAFETY: it came from `Box::into_raw` above, and no query was made that could use it.
            drop(unsafe { Box::from_raw(context) });
            return Err(error);
        }
        self.queries.insert(id, Query { reference, context });
        Ok(())
    }

    /// Ends a query: no event comes any more. Any `id` may be given.
    pub fn stop(&mut self, id: u64) {
        if let Some(query) = self.queries.remove(&id) {
            query.end();
        }
    }

    /// Reads what has come. Only when the descriptor is readable: else it waits. After an error the connection is of no more use.
    pub fn process(&mut self) -> Result<Vec<Event>, i32> {
        // SAFETY: the reference is ours; the callbacks that it runs write through raw pointers only, to which no reference exists meanwhile.
        let error = unsafe { DNSServiceProcessResult(self.main) };
        // SAFETY: no callback runs outside of the call above, so nobody else uses the list.
        let events = std::mem::take(unsafe { &mut *self.events });
        if error == NO_ERROR { Ok(events) } else { Err(error) }
    }
}

impl Query {
    fn end(self) {
        // SAFETY: a query's reference is deallocated once, before the connection's; after that the system forgets the context, which came from
        // `Box::into_raw`.
        unsafe {
            DNSServiceRefDeallocate(self.reference);
            drop(Box::from_raw(self.context));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for (_, query) in self.queries.drain() {
            query.end();
        }
        // SAFETY: the queries are gone; the list came from `Box::into_raw` and nobody can add to it any more.
        unsafe {
            DNSServiceRefDeallocate(self.main);
            drop(Box::from_raw(self.events));
        }
    }
}

extern "C" fn on_reply(
    _reference: Reference,
    flags: u32,
    _interface: u32,
    error: i32,
    name: *const c_char,
    kind: u16,
    class: u16,
    length: u16,
    data: *const c_void,
    ttl: u32,
    context: *mut c_void,
) {
    let name = match name.is_null() {
        true => Vec::new(),
        // SAFETY: not null, so a C string, for the time of this call.
        false => unsafe { CStr::from_ptr(name) }.to_bytes().to_vec(),
    };
    let data = match data.is_null() {
        true => Vec::new(),
        // SAFETY: not null, so `length` bytes, for the time of this call.
        false => unsafe { std::slice::from_raw_parts(data.cast::<u8>(), usize::from(length)) }.to_vec(),
    };
    // SAFETY: the context of a query that is not deallocated; its list lives as long as the connection, and nobody else has a reference to it
    // while `DNSServiceProcessResult` runs.
    unsafe {
        let Context { id, events } = *context.cast::<Context>();
        (*events).push(Event { id, flags, error, name, kind, class, data, ttl });
    }
}
