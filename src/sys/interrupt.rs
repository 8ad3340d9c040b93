//! Ctrl-C, counted: a handler for SIGINT and SIGTERM that only adds one and wakes whoever waits.

use std::io::{self, PipeReader};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);
static WAKE: AtomicI32 = AtomicI32::new(-1);
static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();

extern "C" fn count(_signal: libc::c_int) {
    COUNT.fetch_add(1, Ordering::SeqCst);
    let fd: RawFd = WAKE.load(Ordering::SeqCst);
    if fd >= 0 {
        // SAFETY: write(2) is async-signal-safe and reads one byte of a static. The pipe does not block; a full one wakes as well.
        unsafe { libc::write(fd, b"!".as_ptr().cast(), 1) };
    }
}

/// From now on SIGINT and SIGTERM no longer end the process; they are counted. May be called again.
pub fn install() -> io::Result<()> {
    let installed = INSTALLED.get_or_init(|| {
        // SAFETY: `count` is async-signal-safe: two atomics and write(2). The zeroed structure is a valid empty mask without flags.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as *const () as usize;
            libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut())
                | libc::sigaction(libc::SIGTERM, &action, std::ptr::null_mut())
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
    });
    installed.map_err(io::Error::from_raw_os_error)
}

/// How many signals have come since [`install`].
pub fn received() -> u32 {
    COUNT.load(Ordering::SeqCst)
}

/// A pipe that has a byte for each signal from now on. There is one at a time: a second call takes over.
pub fn wake_pipe() -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    let fd = writer.as_raw_fd();
    // SAFETY: fcntl(2) on an open descriptor of ours.
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    // The writing end stays open for good: the handler may use it at any time.
    WAKE.store(writer.into_raw_fd(), Ordering::SeqCst);
    Ok(reader)
}

/// Gives SIGINT its usual meaning again and sends it to this process: the shell sees a program that Ctrl-C ended.
pub fn die_of_interrupt() {
    // SAFETY: signal(2) with SIG_DFL and raise(3) take no memory.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
        libc::raise(libc::SIGINT);
    }
}
