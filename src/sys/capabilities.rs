//! What of root's power a process keeps: `capset(2)`, the bounding set, and no new privileges by `exec`. See capabilities(7).

use std::io;

/// The capabilities that are named here; the number is the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    NetAdmin = 12,
    NetRaw = 13,
    Mknod = 27,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits in two halves.
const VERSION: u32 = 0x2008_0522;

/// Keeps `kept` in the effective, permitted and bounding sets of this thread and of those that it will start, and gives up all others for good:
/// root's programs that it runs get no more either. Must be called while there is one thread.
pub fn keep_only(kept: &[Capability]) -> io::Result<()> {
    // The bounding set first: lowering it needs CAP_SETPCAP.
    for number in 0..64 {
        // SAFETY: prctl(2) with integers only.
        let known = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
        if known < 0 {
            break;
        }
        if known == 1 && !kept.iter().any(|kept| *kept as i32 == number) {
            // SAFETY: see above.
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) })?;
        }
    }
    set(kept)?;
    // SAFETY: see above.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Gives up every capability of this thread alone.
pub fn drop_in_thread() -> io::Result<()> {
    set(&[])
}

fn set(kept: &[Capability]) -> io::Result<()> {
    let mask = kept.iter().fold(0, |mask: u32, capability| mask | 1 << *capability as u32);
    let header = Header { version: VERSION, pid: 0 };
    // All that is named here is in the lower half.
    let data = [Data { effective: mask, permitted: mask, inheritable: 0 }, Data::default()];
    // SAFETY: capset(2) reads one header and, for this version, two structures; both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) };
    check(result as i32)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
