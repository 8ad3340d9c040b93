//! The poll loop: everything that can wake the daemon is a field of [`Daemon`] or an arm of [`Daemon::turn`].

use std::io::{IoSlice, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::dhcp::Dhcp;
use super::error::Error;
use super::log::{Log, Seldom};
use super::relay;
use super::segment::{Port, Segment};
use super::settings::Settings;
use super::up::{Doors, Up};
use crate::sys::tap::{self, Header, OFFLOAD_SEGMENTS};

/// Clients of the stream socket at a time.
pub const MOST_CLIENTS: usize = 128;
/// Macvtap devices that are lent at a time.
const MOST_LENT: usize = 256;
/// How long "end when unused" waits for the last one to go.
const UNUSED_WITHIN: Duration = Duration::from_secs(5);
/// How long to leave connections waiting where there is no descriptor for them.
const NO_DESCRIPTOR: Duration = Duration::from_millis(100);
/// How often it looks while it waits; news of links come at once.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A relay calls few functions, and its buffers are on the heap.
const RELAY_STACK: usize = 128 * 1024;
/// The byte that comes with a descriptor, for a tap and for a macvtap device.
const TAP: u8 = b'T';
const MACVTAP: u8 = b'M';
/// Stands before the reason why no descriptor comes.
const FAILED: u8 = b'E';

/// Brings a network up, serves it until a signal ends it, and takes it down.
pub fn run(settings: &Settings, group: u32, log: Log) -> Result<(), Error> {
    // From here a signal waits until the loop takes it: no step is left half-done.
    let signals = signals().map_err(|source| Error::Kernel { what: "signals", source })?;
    let mut up = Up::begin(settings, log)?;
    let doors = match up.bring(group) {
        Ok(doors) => doors,
        Err(error) => {
            up.take_down(true);
            return Err(error);
        }
    };
    let mut daemon = match Daemon::new(up, doors, signals, log) {
        Ok(daemon) => daemon,
        Err(unmade) => {
            let (up, source) = *unmade;
            up.take_down(true);
            return Err(Error::Kernel { what: "a pipe", source });
        }
    };
    while daemon.turn() {}
    daemon.up.take_down(false);
    Ok(())
}

/// A connection that was accepted. Without a descriptor left it stays where it is, and the loop must not turn as fast as it can until there is one.
fn accepted<A>(accepted: std::io::Result<(UnixStream, A)>) -> Option<UnixStream> {
    match accepted {
        Ok((socket, _)) => Some(socket),
        Err(error) => {
            if matches!(error.raw_os_error(), Some(nix::libc::EMFILE | nix::libc::ENFILE)) {
                std::thread::sleep(NO_DESCRIPTOR);
            }
            None
        }
    }
}

fn signals() -> std::io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// A macvtap device that a machine has: its end is the end of the connection.
struct Lent {
    connection: UnixStream,
    index: u32,
}

struct Daemon {
    up: Up,
    doors: Doors,
    signals: SignalFd,
    log: Log,
    /// Relays that run.
    clients: usize,
    /// Links of relays that ended, and the pipe that says that there are some.
    ended: mpsc::Receiver<u32>,
    ended_sender: mpsc::Sender<u32>,
    ended_news: PipeReader,
    ended_bell: PipeWriter,
    lent: Vec<Lent>,
    /// Set by SIGUSR1: until when to wait for the last machine.
    unused_until: Option<Instant>,
    refused: Seldom,
    tended: Seldom,
}

/// Everything that can wake the loop.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Links,
    Ended,
    Dhcp,
    /// The connection of a macvtap device, by the number of its link.
    Lent(u32),
    /// The end of a process that had a macvtap device of an earlier run open.
    Orphan(u32),
    Stream,
    Taps,
}

impl Daemon {
    fn new(up: Up, doors: Doors, signals: SignalFd, log: Log) -> Result<Daemon, Box<(Up, std::io::Error)>> {
        let (ended_news, ended_bell) = match std::io::pipe() {
            Ok(pipe) => pipe,
            Err(error) => return Err(Box::new((up, error))),
        };
        let (ended_sender, ended) = mpsc::channel();
        Ok(Daemon {
            up,
            doors,
            signals,
            log,
            clients: 0,
            ended,
            ended_sender,
            ended_news,
            ended_bell,
            lent: Vec::new(),
            unused_until: None,
            refused: Seldom::default(),
            tended: Seldom::default(),
        })
    }

    /// Waits for whatever comes next and does it; false when it is time to end.
    fn turn(&mut self) -> bool {
        let woken = match self.wait() {
            Ok(woken) => woken,
            Err(nix::errno::Errno::EINTR) => return true,
            Err(error) => {
                self.log.error(format!("cannot wait for events: {error}"));
                return false;
            }
        };
        for source in woken {
            match source {
                Source::Signals if self.take_signals() => return false,
                Source::Signals => {}
                Source::Links if self.take_link_news() => return false,
                Source::Links => {}
                Source::Ended => self.take_ended(),
                Source::Dhcp => {
                    if let Some(dhcp) = &mut self.up.dhcp {
                        dhcp.serve(&mut self.up.links);
                    }
                }
                Source::Lent(index) => self.take_hang_up(index),
                Source::Orphan(index) => self.take_orphan(index),
                Source::Stream => self.accept_client(),
                Source::Taps => self.accept_borrower(),
            }
        }
        if let Some(dhcp) = &mut self.up.dhcp {
            dhcp.tick();
        }
        !self.ends_unused()
    }

    fn wait(&self) -> nix::Result<Vec<Source>> {
        let mut sources = vec![
            (Source::Signals, self.signals.as_fd()),
            (Source::Links, self.doors.link_news.as_fd()),
            (Source::Ended, self.ended_news.as_fd()),
        ];
        let dhcp = self.up.dhcp.as_ref().filter(|dhcp| dhcp.is_open());
        sources.extend(dhcp.map(|dhcp| (Source::Dhcp, dhcp.as_fd())));
        sources.extend(self.lent.iter().map(|lent| (Source::Lent(lent.index), lent.connection.as_fd())));
        for orphan in &self.up.orphans {
            sources
                .extend(orphan.holders.iter().map(|holder| (Source::Orphan(orphan.index), holder.as_fd())));
        }
        sources.push((Source::Stream, self.doors.stream.as_fd()));
        sources.push((Source::Taps, self.doors.taps.as_fd()));
        let mut fds: Vec<PollFd> =
            sources.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        poll(&mut fds, self.patience())?;
        let is_ready = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        Ok(sources.iter().zip(&fds).filter(|(_, fd)| is_ready(fd)).map(|((source, _), _)| *source).collect())
    }

    /// Until the next thing is due; for ever if nothing is.
    fn patience(&self) -> PollTimeout {
        let now = Instant::now();
        let dhcp = self.up.dhcp.as_ref().and_then(|dhcp| dhcp.deadline());
        let unused = self.unused_until.map(|until| until.min(now + LOOK_EVERY));
        let Some(next) = [dhcp, unused].into_iter().flatten().min() else {
            return PollTimeout::NONE;
        };
        // Rounded up, so that it is not too early when it is over.
        let millis = next.saturating_duration_since(now).as_millis() + 1;
        PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
    }

    /// True if one of them ends the daemon.
    fn take_signals(&mut self) -> bool {
        while let Ok(Some(info)) = self.signals.read_signal() {
            if info.ssi_signo == Signal::SIGUSR1 as u32 {
                self.log.info("Asked to end when no machine is connected");
                self.unused_until = Some(Instant::now() + UNUSED_WITHIN);
            } else {
                let name = Signal::try_from(info.ssi_signo as i32).map_or("signal", Signal::as_str);
                self.log.info(format!("Ending: {name}"));
                return true;
            }
        }
        false
    }

    /// True if the network itself is gone, which ends the daemon: whoever still wants it starts it anew.
    fn take_link_news(&mut self) -> bool {
        let changes = self.doors.link_news.read();
        let Some(segment) = &self.up.segment else { return false };
        let mut gone = changes.gone;
        if changes.lost
            && let Ok(all) = self.up.links.all()
        {
            let is_there = |index: &u32| all.iter().any(|link| link.index == *index);
            let known = self.up.dhcp.as_ref().map(Dhcp::ports).unwrap_or_default();
            gone.extend(known.into_iter().chain([segment.main_link().0]).filter(|index| !is_there(index)));
        }
        for index in gone {
            let (main, name) = segment.main_link();
            if main == index {
                self.log.error(format!("ending: somebody took the interface `{name}` away"));
                return true;
            }
            if let Some(dhcp) = &mut self.up.dhcp {
                dhcp.port_closed(index);
            }
        }
        if changes.lost || changes.changed.iter().any(|link| segment.is_amiss(link)) {
            for told in segment.tend(&mut self.up.links) {
                if self.tended.now(Instant::now()) {
                    self.log.warn(told);
                }
            }
        }
        false
    }

    fn take_ended(&mut self) {
        let mut bells = [0; 64];
        let _ = self.ended_news.read(&mut bells);
        while let Ok(index) = self.ended.try_recv() {
            self.clients -= 1;
            self.remove_port(index);
        }
    }

    fn take_hang_up(&mut self, index: u32) {
        let mut byte = [0; 64];
        let Some(at) = self.lent.iter().position(|lent| lent.index == index) else { return };
        // What a borrower says is of no interest, only that it is there.
        if matches!(self.lent[at].connection.read(&mut byte), Ok(length) if length > 0) {
            return;
        }
        self.lent.swap_remove(at);
        self.remove_port(index);
    }

    fn take_orphan(&mut self, index: u32) {
        let Some(at) = self.up.orphans.iter().position(|orphan| orphan.index == index) else { return };
        let lives = |holder: &OwnedFd| {
            let mut fd = [PollFd::new(holder.as_fd(), PollFlags::POLLIN)];
            !matches!(poll(&mut fd, PollTimeout::ZERO), Ok(ready) if ready > 0)
        };
        self.up.orphans[at].holders.retain(lives);
        if self.up.orphans[at].holders.is_empty() {
            self.up.orphans.swap_remove(at);
            self.remove_port(index);
        }
    }

    fn remove_port(&mut self, index: u32) {
        if let Some(segment) = self.up.segment.as_ref().filter(|segment| segment.outlives()) {
            segment.remove(&mut self.up.links, index);
        }
    }

    fn accept_client(&mut self) {
        let Some(socket) = accepted(self.doors.stream.accept()) else { return };
        let number = socket.as_raw_fd();
        self.log.info(format!("Accepted a connection (fd {number})"));
        if let Err(error) = self.serve_client(socket) {
            self.refuse(number, &error);
        }
    }

    fn serve_client(&mut self, socket: UnixStream) -> Result<(), Error> {
        if self.clients >= MOST_CLIENTS {
            return Err(Error::Full(MOST_CLIENTS));
        }
        let kernel = |source| Error::Kernel { what: "a thread", source };
        socket.set_nonblocking(true).map_err(kernel)?;
        let bell = self.ended_bell.try_clone().map_err(kernel)?;
        let Some(segment) = &self.up.segment else { return Ok(()) };
        let port = segment.add_port(&mut self.up.links, Header::Virtio)?;
        // The relay does what a network card would. A kernel that does not let it hands out whole frames.
        let _ = tap::set_offloads(&port.fd, OFFLOAD_SEGMENTS);
        let (log, sender, number, index) =
            (self.log, self.ended_sender.clone(), socket.as_raw_fd(), port.index);
        let follows_mac = segment.outlives();
        let spawned =
            std::thread::Builder::new().name(port.name.clone()).stack_size(RELAY_STACK).spawn(move || {
                // A thread that keeps its power is still a relay, so this is no reason to end it.
                if let Err(error) = crate::sys::capabilities::drop_in_thread() {
                    log.warn(format!("a relay keeps its capabilities: {error}"));
                }
                let ended = relay::run(socket, port.fd, follows_mac);
                log.info(format!("Closed the connection (fd {number}): {ended}"));
                let _ = sender.send(index);
                let _ = (&bell).write_all(b"!");
            });
        match spawned {
            Ok(_) => {
                self.clients += 1;
                Ok(())
            }
            Err(source) => {
                self.remove_port(index);
                Err(kernel(source))
            }
        }
    }

    fn accept_borrower(&mut self) {
        let Some(mut connection) = accepted(self.doors.taps.accept()) else { return };
        match self.lend(&connection) {
            Ok(port) => {
                self.log.info(format!("Handed out `{}`", port.name));
                let _ = connection.set_nonblocking(true);
                if self.up.segment.as_ref().is_some_and(Segment::outlives) {
                    self.lent.push(Lent { connection, index: port.index });
                }
            }
            Err(error) => {
                let _ = connection.write_all(&[&[FAILED], error.told().as_bytes()].concat());
                self.refuse(connection.as_raw_fd(), &error);
            }
        }
    }

    /// Sends a new port's descriptor; our own copy is closed when the port that is returned is dropped.
    fn lend(&mut self, connection: &UnixStream) -> Result<Port, Error> {
        if self.lent.len() >= MOST_LENT {
            return Err(Error::Full(MOST_LENT));
        }
        let closed = || Error::Kernel { what: "a port", source: std::io::ErrorKind::NotConnected.into() };
        let segment = self.up.segment.as_ref().ok_or_else(closed)?;
        let byte = [if segment.outlives() { MACVTAP } else { TAP }];
        let port = segment.add_port(&mut self.up.links, Header::Virtio)?;
        let descriptors = [port.fd.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&descriptors)];
        let data = [IoSlice::new(&byte)];
        let sent = sendmsg::<()>(connection.as_raw_fd(), &data, &control, MsgFlags::MSG_NOSIGNAL, None);
        if let Err(error) = sent {
            self.remove_port(port.index);
            return Err(Error::Kernel { what: "a way to hand out a descriptor", source: error.into() });
        }
        Ok(port)
    }

    fn refuse(&mut self, number: i32, error: &Error) {
        if self.refused.now(Instant::now()) {
            self.log.error(format!("cannot serve the connection (fd {number}): {}", error.told()));
        }
    }

    /// Whether SIGUSR1 asked to end, and nobody is here any more.
    fn ends_unused(&mut self) -> bool {
        let Some(until) = self.unused_until else { return false };
        let has_ports = self.up.segment.as_ref().is_some_and(|segment| segment.has_ports(&mut self.up.links));
        if self.clients == 0 && self.lent.is_empty() && !has_ports {
            self.log.info("Ending: no machine is connected");
            return true;
        }
        if Instant::now() >= until {
            let ports = self.up.segment.as_ref().map_or(0, |segment| segment.ports(&mut self.up.links).len());
            self.log.info(format!("Staying: {} connections, {ports} ports in use", self.clients));
            self.unused_until = None;
        }
        false
    }
}
