//! The worker's end of the socket to one supervisor.
//!
//! Requests are written where they originate, without waiting, so that a cancelled caller never leaves half a request. The
//! serving task sends what the socket does not accept at once.

use super::{
    scratch::Scratches,
    supervisor::{
        codec::Inbox,
        protocol::{Piece, Reply, Report, Request, Start, StartError},
    },
    templates::Templates,
};
use attune_common::sync::lock;
use nix::sys::socket::{Shutdown, shutdown};
use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    os::fd::AsRawFd,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{Notify, mpsc, oneshot},
};
use zeroize::Zeroize as _;

const BUFFER_BYTES: usize = 64 << 10;

pub(super) type Answer = Result<Box<Report>, StartError>;

/// The supervisor's replies about one action: its output while it runs, bounded as in its report, and its end.
pub(super) struct Replies {
    pub output: mpsc::UnboundedReceiver<Vec<Piece>>,
    pub answer: oneshot::Receiver<Answer>,
}

/// The other end of [`Replies`].
struct Waiter {
    output: mpsc::UnboundedSender<Vec<Piece>>,
    answer: oneshot::Sender<Answer>,
}

pub(super) struct Link {
    socket: UnixStream,
    /// The scratch directories of this supervisor's actions are in here.
    pub scratches: Scratches,
    pub templates: Templates,
    /// The received bytes, and the buffer to receive into.
    inbox: Mutex<(Inbox, Vec<u8>)>,
    unsent: Mutex<Vec<u8>>,
    more_to_send: Notify,
    waiting: Mutex<Waiting>,
    /// The pings sent since the last reply.
    unanswered: AtomicU32,
}

/// The actions that wait for an answer.
#[derive(Default)]
struct Waiting {
    waiters: HashMap<u64, Waiter>,
    /// The supervisor has exited or is about to: it starts nothing more.
    closed: bool,
    /// The number of its processes that survived SIGKILL.
    unkillable: usize,
}

impl Link {
    pub fn new(socket: UnixStream, scratches: Scratches) -> Self {
        Self {
            socket,
            scratches,
            templates: Templates::default(),
            inbox: Mutex::new((Inbox::default(), vec![0; BUFFER_BYTES])),
            unsent: Mutex::default(),
            more_to_send: Notify::new(),
            waiting: Mutex::default(),
            unanswered: AtomicU32::new(0),
        }
    }

    /// Requests the start of an action. None if the supervisor is gone, so that nothing can have been started. If it dies
    /// before the action ends, receiving the answer fails.
    pub fn start(&self, start: Start) -> Option<Replies> {
        let ((answer, to_answer), (output, to_output)) = (oneshot::channel(), mpsc::unbounded_channel());
        {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return None;
            }
            waiting.waiters.insert(start.id, Waiter { output, answer });
        }
        let request = Request::Start(Box::new(start));
        self.send(&request);
        if let Request::Start(mut start) = request {
            start.wipe();
        }
        Some(Replies {
            output: to_output,
            answer: to_answer,
        })
    }

    /// True once the supervisor starts nothing more.
    pub fn is_dead(&self) -> bool {
        lock(&self.waiting).closed
    }

    /// The number of processes of a dead supervisor that survived SIGKILL.
    pub fn unkillable(&self) -> usize {
        lock(&self.waiting).unkillable
    }

    /// Fails everything that still waits. Call this only when nothing that the supervisor started is left, except for
    /// `unkillable` processes.
    pub fn fail_waiters(&self, unkillable: usize) {
        *lock(&self.waiting) = Waiting {
            waiters: HashMap::new(),
            closed: true,
            unkillable,
        };
    }

    pub fn stop(&self, id: u64, grace: Duration) {
        self.send(&Request::Stop { id, grace });
    }

    /// Requests the start of a template.
    pub fn open(&self, start: Start) {
        self.send(&Request::Open(Box::new(start)));
    }

    /// Ends the templates that were not used for a while, and removes what is left of ended ones.
    pub async fn tidy_templates(&self) {
        for id in self.templates.idle() {
            self.send(&Request::Close { id });
        }
        for scratch in self.templates.ended() {
            self.scratches.wipe(scratch).await;
        }
    }

    pub fn renew_lease(&self, id: u64, until: Duration) {
        self.send(&Request::Lease { id, until });
    }

    /// Requests a sign of life. Returns the number of earlier requests since the last reply.
    pub fn ping(&self) -> u32 {
        self.send(&Request::Ping);
        self.unanswered.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes the supervisor kill everything and exit.
    pub fn close(&self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
    }

    /// Waits until the supervisor is ready.
    pub async fn ready(&self) -> io::Result<()> {
        loop {
            self.socket.readable().await?;
            if !self.receive()? {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "it exited before it was ready",
                ));
            }
            match self.next_reply()? {
                Some(Reply::Ready) => return Ok(()),
                Some(other) => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        format!("unexpected first reply: {other:?}"),
                    ));
                }
                None => {}
            }
        }
    }

    /// Delivers answers until the supervisor is gone. Actions without an answer keep waiting until [`Self::fail_waiters`].
    /// If dropped, it can be called again and continues.
    pub async fn serve(&self) -> io::Result<()> {
        let served = self.deliver().await;
        lock(&self.waiting).closed = true;
        served
    }

    async fn deliver(&self) -> io::Result<()> {
        loop {
            let sending = !lock(&self.unsent).is_empty();
            let interest = if sending {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            let ready = tokio::select! {
                ready = self.socket.ready(interest) => ready?,
                () = self.more_to_send.notified() => continue,
            };
            if ready.is_writable() {
                self.flush(&mut lock(&self.unsent))?;
            }
            if ready.is_readable() && !self.receive()? {
                return Ok(());
            }
            while let Some(reply) = self.next_reply()? {
                self.dispatch(reply);
            }
        }
    }

    /// Reads at most one buffer from the socket. False if the supervisor is gone.
    fn receive(&self) -> io::Result<bool> {
        let mut inbox = lock(&self.inbox);
        let (inbox, buffer) = &mut *inbox;
        match self.socket.try_read(buffer) {
            Ok(0) => Ok(false),
            Ok(length) => {
                inbox.push(buffer.get(..length).unwrap_or_default());
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn next_reply(&self) -> io::Result<Option<Reply>> {
        lock(&self.inbox).0.take()?.map(Reply::decode).transpose()
    }

    fn dispatch(&self, reply: Reply) {
        self.unanswered.store(0, Ordering::Relaxed);
        let (id, answer) = match reply {
            Reply::Ready | Reply::Pong => return,
            Reply::StartFailed { id, error } => (id, Err(error)),
            Reply::Ended(report) => (report.id, Ok(report)),
            Reply::Closed { id } => return self.templates.closed(id),
            Reply::Output { id, pieces } => {
                if let Some(waiter) = lock(&self.waiting).waiters.get(&id) {
                    let _ = waiter.output.send(pieces);
                }
                return;
            }
        };
        if let Some(waiter) = lock(&self.waiting).waiters.remove(&id) {
            // The caller may be gone.
            let _ = waiter.answer.send(answer);
        }
    }

    fn send(&self, request: &Request) {
        let mut unsent = lock(&self.unsent);
        request.encode(&mut unsent);
        // The serving task gets the same error and ends the link.
        if self.flush(&mut unsent).is_ok() && !unsent.is_empty() {
            self.more_to_send.notify_one();
        }
    }

    fn flush(&self, unsent: &mut Vec<u8>) -> io::Result<()> {
        while !unsent.is_empty() {
            match self.socket.try_write(unsent) {
                Ok(length) => {
                    // Requests contain the secrets of actions.
                    unsent.get_mut(..length).unwrap_or_default().zeroize();
                    drop(unsent.drain(..length));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
