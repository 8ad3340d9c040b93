//! What must happen between `fork` and `exec` in a child: a session of its own, and descriptors at agreed numbers.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Lowest number that a handed-over descriptor gets in the child.
pub const FIRST_PASSED_FD: RawFd = 3;

/// Makes the child the leader of a new session: no controlling terminal, so neither Ctrl-C nor a hang-up of the terminal reaches it.
pub fn new_session(command: &mut Command) {
    // SAFETY: setsid(2) is async-signal-safe, touches no memory of ours and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            // A group leader cannot start a session; a freshly forked child never is one, so an error here is real.
            if libc::setsid() < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        });
    }
}

/// Puts the child into a process group of its own and, on Linux, has the kernel kill it when the *thread* that spawns it ends.
/// Should only be used by a thread that lives as long as the process.
pub fn die_with_parent(command: &mut Command) {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: prctl(2) with PR_SET_PDEATHSIG is a plain system call without memory arguments.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// Hands `fds` to the child as descriptors 3, 4, … in this order, open across `exec`. The parent's copies live as long as `command`.
pub fn pass_fds(command: &mut Command, fds: Vec<OwnedFd>) {
    if fds.is_empty() {
        return;
    }
    // SAFETY: only fcntl(2), dup2(2) and close(2) run, all async-signal-safe; the vectors were allocated before the fork.
    unsafe {
        let mut scratch: Vec<RawFd> = vec![-1; fds.len()];
        command.pre_exec(move || {
            // First out of the way of every target number, then into place: a target may be another descriptor's present number.
            let floor = FIRST_PASSED_FD + fds.len() as RawFd;
            for (slot, fd) in scratch.iter_mut().zip(&fds) {
                *slot = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, floor);
                if *slot < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            for (index, slot) in scratch.iter().enumerate() {
                // dup2 leaves close-on-exec off.
                if libc::dup2(*slot, FIRST_PASSED_FD + index as RawFd) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

/// Takes over a descriptor that a parent left open at a number it named, and makes it close-on-exec.
///
/// `None` if nothing is open there. Must be called at most once for each number.
pub fn adopt_fd(number: RawFd) -> Option<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: fcntl(2) with F_SETFD fails with EBADF for a number that is not open and changes only the flag otherwise.
    if number < FIRST_PASSED_FD || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: the descriptor is open, and the caller promises that nothing else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::process::Stdio;

    #[test]
    fn descriptors_arrive_in_order_whatever_their_numbers_were() {
        let (mut first, second) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        first.write_all(b"x").unwrap();
        let mut keep = second.try_clone().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "printf one >&4; printf two >&3"]).stdin(Stdio::null());
        pass_fds(&mut command, vec![first.try_clone().unwrap().into(), second.into()]);
        assert!(command.status().unwrap().success());
        let mut text = String::new();
        std::io::Seek::rewind(&mut keep).unwrap();
        keep.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
    }

    #[test]
    fn a_new_session_has_no_terminal_and_its_own_group() {
        let mut command = Command::new("sh");
        command.args(["-c", "ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat"]);
        new_session(&mut command);
        let output = command.output().unwrap();
        let own = nix::unistd::getsid(None).unwrap().to_string();
        assert_ne!(String::from_utf8(output.stdout).unwrap().trim(), own);
    }
}
