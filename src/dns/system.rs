//! The system's resolver that answers by records, as the loop uses it: only macOS has one; elsewhere every question is refused.

use mio::{Registry, Token};

use super::apple::Outcome;

#[cfg(target_os = "macos")]
pub use macos::Records;

/// No system of this kind has one.
#[cfg(not(target_os = "macos"))]
#[derive(Default)]
pub struct Records {}

#[cfg(not(target_os = "macos"))]
impl Records {
    /// Never: nothing is asked.
    pub fn start(
        &mut self,
        _id: u64,
        _name: &[u8],
        _kind: u16,
        _class: u16,
        _registry: &Registry,
        _token: Token,
    ) -> bool {
        false
    }

    pub fn cancel(&mut self, _id: u64) {}

    pub fn ready(&mut self) -> Vec<(u64, Outcome)> {
        Vec::new()
    }
}

#[cfg(target_os = "macos")]
mod macos {
    use std::os::fd::{AsFd, AsRawFd};

    use mio::Interest;
    use mio::unix::SourceFd;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::super::apple::Queries;
    use super::*;
    use crate::sys::dnssd::Connection;

    /// All questions to mDNSResponder.
    #[derive(Default)]
    pub struct Records {
        queries: Queries<Connection>,
    }

    impl Records {
        /// Asks; `name` is in wire format. `token` is told when [`Records::ready`] has something to do. `false` if it cannot be asked.
        pub fn start(
            &mut self,
            id: u64,
            name: &[u8],
            kind: u16,
            class: u16,
            registry: &Registry,
            token: Token,
        ) -> bool {
            if self.queries.start(id, name, kind, class).is_err() {
                return false;
            }
            let descriptor = self.queries.descriptor().map(|descriptor| descriptor.as_raw_fd());
            // Each time: the connection may be a new one, and to say it again of an old one changes nothing.
            descriptor
                .is_some_and(|fd| registry.register(&mut SourceFd(&fd), token, Interest::READABLE).is_ok())
        }

        pub fn cancel(&mut self, id: u64) {
            self.queries.cancel(id);
        }

        /// What has come.
        pub fn ready(&mut self) -> Vec<(u64, Outcome)> {
            let mut ended = Vec::new();
            // Until there is nothing: only news wake the loop again.
            while self.is_readable() {
                ended.extend(self.queries.process());
            }
            ended
        }

        fn is_readable(&self) -> bool {
            let Some(descriptor) = self.queries.descriptor() else { return false };
            let mut waits = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
            matches!(poll(&mut waits, PollTimeout::ZERO), Ok(1..))
        }
    }
}
