//! The system's own name resolution: `getaddrinfo(3)` for one address family, and the number of an interface.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Whether `address` is of this family.
    pub fn has(self, address: &IpAddr) -> bool {
        match self {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }

    /// The other one.
    pub fn other(self) -> Family {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }
}

/// Why the system gave no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The system knows that there is no such name; some systems say the same of a name that has only other addresses.
    #[error("`{name}` is not known")]
    NoName { name: String },
    /// The name exists but has no address of this family.
    #[error("`{name}` has no address of this family")]
    NoAddress { name: String },
    /// The system could not find out; `code` is the value of `getaddrinfo`.
    #[error("cannot look up `{name}`: {text} ({code})")]
    Failed { name: String, code: i32, text: String },
}

/// Whether the C library has the module that nsswitch.conf calls `service`. It stays loaded, as after a lookup with it. A C library without modules
/// has none.
#[cfg(target_os = "linux")]
pub fn has_module(service: &str) -> bool {
    let Ok(file) = CString::new(format!("libnss_{service}.so.2")) else { return false };
    // SAFETY: `file` is a string that ends with a zero byte. What the library does when it is loaded it does in every process that looks names up.
    let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_LAZY) };
    !handle.is_null()
}

/// Asks the system for the addresses of `name` in one family, in the system's order, without doubles.
///
/// Blocks for as long as the system likes (tens of seconds with dead nameservers): only for threads that may wait.
/// Configured search lists apply to a name without a dot. Numeric names are parsed, not looked up.
pub fn addresses(name: &str, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
    let Ok(c_name) = CString::new(name) else {
        return Err(ResolveError::NoName { name: name.to_owned() });
    };
    // SAFETY: an addrinfo of zeros is what the manual asks for as hints: null pointers and no flags.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    // One socket type, so that each address comes once.
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    // SAFETY: the name is a C string, the service may be null, hints and list outlive the call.
    let code = unsafe { libc::getaddrinfo(c_name.as_ptr(), std::ptr::null(), &hints, &mut list) };
    if code != 0 {
        return Err(error(name, code));
    }
    let mut found = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: getaddrinfo succeeded: the list is well formed and ours until freeaddrinfo.
        let info = unsafe { &*entry };
        if let Some(address) = address_of(info)
            && !found.contains(&address)
        {
            found.push(address);
        }
        entry = info.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(list) };
    if found.is_empty() {
        return Err(ResolveError::NoAddress { name: name.to_owned() });
    }
    Ok(found)
}

fn address_of(info: &libc::addrinfo) -> Option<IpAddr> {
    if info.ai_addr.is_null() {
        return None;
    }
    match info.ai_family {
        libc::AF_INET => {
            // SAFETY: an AF_INET entry points to a sockaddr_in; read without assuming its alignment.
            let v4 = unsafe { std::ptr::read_unaligned(info.ai_addr.cast::<libc::sockaddr_in>()) };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: an AF_INET6 entry points to a sockaddr_in6; read without assuming its alignment.
            let v6 = unsafe { std::ptr::read_unaligned(info.ai_addr.cast::<libc::sockaddr_in6>()) };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

fn error(name: &str, code: i32) -> ResolveError {
    let name = name.to_owned();
    if code == libc::EAI_NONAME {
        return ResolveError::NoName { name };
    }
    if code == NO_DATA || code == NO_ADDRESS_OF_FAMILY {
        return ResolveError::NoAddress { name };
    }
    // SAFETY: gai_strerror returns a static C string for every number.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    let text = text.to_string_lossy().into_owned();
    ResolveError::Failed { name, code, text }
}

// `EAI_NODATA` and `EAI_ADDRFAMILY`: GNU values, which the libc crate does not name everywhere; macOS has them at 7 and 1.
#[cfg(not(target_os = "macos"))]
const NO_DATA: i32 = -5;
#[cfg(not(target_os = "macos"))]
const NO_ADDRESS_OF_FAMILY: i32 = -9;
#[cfg(target_os = "macos")]
const NO_DATA: i32 = 7;
#[cfg(target_os = "macos")]
const NO_ADDRESS_OF_FAMILY: i32 = 1;

/// The number of the network interface `name` on this machine; `None` if there is none.
pub fn interface_index(name: &str) -> Option<u32> {
    let c_name = CString::new(name).ok()?;
    // SAFETY: the argument is a C string; the call returns a number, 0 if there is no such interface.
    let index = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_name_has_the_loopback_address() {
        let found = addresses("localhost", Family::V4).unwrap();
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn modules_are_those_that_are_installed() {
        // Part of glibc itself, as a file for old programs.
        assert!(has_module("compat"));
        assert!(!has_module("lima_has_none_of_this_name"));
    }

    #[test]
    fn a_name_with_a_zero_byte_is_not_known() {
        assert!(matches!(addresses("a\0b", Family::V4), Err(ResolveError::NoName { .. })));
    }

    #[test]
    fn an_address_of_the_other_family_is_not_given() {
        assert!(addresses("127.0.0.1", Family::V6).is_err());
        assert_eq!(addresses("127.0.0.1", Family::V4).unwrap(), [IpAddr::from([127, 0, 0, 1])]);
    }

    #[test]
    fn interfaces_have_numbers() {
        assert_eq!(interface_index("no-such-if"), None);
    }
}
