//! The worker's end of the socket to one supervisor.
//!
//! Requests are written where they arise, without waiting, so a request is never half written because its caller went
//! away; what the socket does not take at once the serving task sends on.

use super::{
    scratch::Scratches,
    supervisor::{
        codec::Inbox,
        protocol::{Piece, Refusal, Reply, Report, Request, Start},
    },
};
use nix::sys::socket::{Shutdown, shutdown};
use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    os::fd::AsRawFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{Notify, mpsc, oneshot},
};

const BUFFER_BYTES: usize = 64 << 10;

pub(super) type Answer = Result<Box<Report>, Refusal>;

/// What comes back about one action: what it writes meanwhile, at most as much as its report may hold, and its end.
pub(super) struct Told {
    pub output: mpsc::UnboundedReceiver<Vec<Piece>>,
    pub answer: oneshot::Receiver<Answer>,
}

struct Asker {
    output: mpsc::UnboundedSender<Vec<Piece>>,
    answer: oneshot::Sender<Answer>,
}

pub(super) struct Link {
    socket: UnixStream,
    /// The scratch directories of this supervisor's actions are in here.
    pub scratches: Scratches,
    /// What was received, and the buffer to receive into.
    inbox: Mutex<(Inbox, Vec<u8>)>,
    unsent: Mutex<Vec<u8>>,
    more_to_send: Notify,
    waiting: Mutex<Waiting>,
}

/// Who waits for an answer.
#[derive(Default)]
struct Waiting {
    askers: HashMap<u64, Asker>,
    /// The supervisor is gone, or about to go: it starts nothing more.
    closed: bool,
    /// Processes of it that survived SIGKILL.
    immortal: usize,
}

impl Link {
    pub fn new(socket: UnixStream, scratches: Scratches) -> Self {
        Self {
            socket,
            scratches,
            inbox: Mutex::new((Inbox::default(), vec![0; BUFFER_BYTES])),
            unsent: Mutex::default(),
            more_to_send: Notify::new(),
            waiting: Mutex::default(),
        }
    }

    /// Has an action started; none when the supervisor is gone already, so that nothing can have been started. The
    /// answer is an error when it goes before the action ends.
    pub fn start(&self, start: Start) -> Option<Told> {
        let ((answer, to_answer), (output, to_output)) = (oneshot::channel(), mpsc::unbounded_channel());
        {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return None;
            }
            waiting.askers.insert(start.id, Asker { output, answer });
        }
        self.send(&Request::Start(Box::new(start)));
        Some(Told {
            output: to_output,
            answer: to_answer,
        })
    }

    /// True once the supervisor starts nothing more.
    pub fn is_dead(&self) -> bool {
        lock(&self.waiting).closed
    }

    /// Processes of a dead supervisor that survived SIGKILL.
    pub fn immortal(&self) -> usize {
        lock(&self.waiting).immortal
    }

    /// Gives up all that still wait. Only when nothing that the supervisor started is left, except for `immortal` processes.
    pub fn give_up(&self, immortal: usize) {
        *lock(&self.waiting) = Waiting {
            askers: HashMap::new(),
            closed: true,
            immortal,
        };
    }

    pub fn stop(&self, id: u64, grace: Duration) {
        self.send(&Request::Stop { id, grace });
    }

    pub fn prolong(&self, id: u64, until: Duration) {
        self.send(&Request::Lease { id, until });
    }

    /// Tells the supervisor to kill everything and go.
    pub fn close(&self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
    }

    /// Waits until the supervisor says that it is ready.
    pub async fn ready(&self) -> io::Result<()> {
        loop {
            self.socket.readable().await?;
            if !self.receive()? {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "it ended without a word"));
            }
            match self.next_reply()? {
                Some(Reply::Ready) => return Ok(()),
                Some(other) => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        format!("it began with {other:?}"),
                    ));
                }
                None => {}
            }
        }
    }

    /// Delivers answers until the supervisor is gone. Those that still wait then wait on, until [`Self::give_up`]. Dropped
    /// before its end, it can be called again and goes on where it was.
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
                self.hand_over(reply);
            }
        }
    }

    /// Takes what the socket holds, at most one buffer full. False when the supervisor is gone.
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

    fn hand_over(&self, reply: Reply) {
        let (id, answer) = match reply {
            Reply::Ready => return,
            Reply::Refused { id, error } => (id, Err(error)),
            Reply::Ended(report) => (report.id, Ok(report)),
            Reply::Output { id, pieces } => {
                if let Some(asker) = lock(&self.waiting).askers.get(&id) {
                    let _ = asker.output.send(pieces);
                }
                return;
            }
        };
        if let Some(asker) = lock(&self.waiting).askers.remove(&id) {
            // Whoever asked may have gone; then nobody wants to know.
            let _ = asker.answer.send(answer);
        }
    }

    fn send(&self, request: &Request) {
        let mut unsent = lock(&self.unsent);
        request.encode(&mut unsent);
        // An error here shows itself to the serving task as well, which ends the link.
        if self.flush(&mut unsent).is_ok() && !unsent.is_empty() {
            self.more_to_send.notify_one();
        }
    }

    fn flush(&self, unsent: &mut Vec<u8>) -> io::Result<()> {
        while !unsent.is_empty() {
            match self.socket.try_write(unsent) {
                Ok(length) => drop(unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
