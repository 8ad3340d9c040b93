//! Waiting for the end of a process that is not our child: `pidfd_open(2)` on Linux, polling elsewhere.

use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Waits until process `pid` has ended or `timeout` is over; true if it has ended. A zombie counts as ended.
///
/// The caller must know that `pid` is the process it means: a number can be used again.
pub fn wait_for_exit(pid: i32, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    #[cfg(target_os = "linux")]
    match open(pid) {
        Ok(fd) => return poll_until(&fd, deadline),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return true,
        // Kernels before 5.3, or a filter that forbids the call: ask again and again.
        Err(_) => {}
    }
    while kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// What becomes readable when process `pid` has ended, for a task of the runtime in which this is called. The caller must know that the number means
/// the process it means, once it has this.
#[cfg(target_os = "linux")]
pub fn watch(pid: i32) -> std::io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    let fd = open(pid)?;
    // SAFETY: the descriptor is open and owned, and what owns it gives the same one as long as it lives.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(fd) }?)
}

/// A descriptor that becomes readable when process `pid` has ended. The same holds of its number.
#[cfg(target_os = "linux")]
pub fn open(pid: i32) -> std::io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the call takes two integers and returns a new descriptor, which nothing else owns, or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: see above.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(target_os = "linux")]
fn poll_until(fd: &std::os::fd::OwnedFd, deadline: Instant) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if Instant::now() >= deadline => return false,
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}
