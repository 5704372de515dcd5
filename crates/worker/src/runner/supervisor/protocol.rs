//! The messages between the worker and its supervisor, in length-prefixed frames over one socket.
//!
//! Both ends are the same program, so there is no version and no negotiation. The content is mostly bytes (arguments, output),
//! so the encoding is not JSON.

use super::{
    super::isolation::limits::Limits,
    codec::{Decoder, Encoder, framed, malformed},
};
use attune_common::saturating;
use std::{io, time::Duration};
use zeroize::Zeroize as _;

/// Encodes "no lease": the largest number of microseconds.
const FOREVER: Duration = Duration::from_micros(u64::MAX);

/// Not a number of the operating system.
pub(crate) const TEMPLATE_FAILED: i32 = -1;
/// As [`TEMPLATE_FAILED`], and every template of this program would fail.
pub(crate) const TEMPLATE_UNSUITABLE: i32 = -2;

/// A request from the worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Start(Box<Start>),
    /// SIGTERM to everything the action started, and SIGKILL after `grace`. A second request may shorten `grace`.
    Stop {
        id: u64,
        grace: Duration,
    },
    /// The lease was renewed until then.
    Lease {
        id: u64,
        until: Duration,
    },
    /// Requests a [`Reply::Pong`].
    Ping,
    /// Starts a template: a process that loads a program once and forks for each of its runs. `id` is its number, other ids
    /// than those of actions.
    Open(Box<Start>),
    /// Kills a template. Its runs continue.
    Close {
        id: u64,
    },
}

/// One action, ready to be started: `program` is a path, `environment` is complete.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub id: u64,
    pub execution: String,
    pub program: Vec<u8>,
    pub arguments: Vec<Vec<u8>>,
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    pub directory: Vec<u8>,
    pub input: Vec<u8>,
    pub timeout: Duration,
    pub grace: Duration,
    /// When it must have ended, because another worker may start it then: by the clock that counts suspension, since the boot
    /// of this machine. The supervisor kills it even if the worker is frozen.
    pub lease: Option<Duration>,
    /// The user it runs as. None is the supervisor's own user.
    pub user: Option<u32>,
    /// It holds a slot of a concurrency key, so every process of it must end with it.
    pub holds_slot: bool,
    /// Limits that differ from those it inherits.
    pub limits: Option<Limits>,
    /// The template to fork, instead of starting `program` with its arguments.
    pub template: Option<u64>,
}

impl Start {
    /// Overwrites the input and the environment, which may contain secrets.
    pub fn wipe(&mut self) {
        self.input.zeroize();
        self.environment.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

/// A reply from the supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The supervisor accepts requests.
    Ready,
    /// Nothing was started.
    StartFailed {
        id: u64,
        error: StartError,
    },
    Ended(Box<Report>),
    /// Output of a running action. Never more than the heads of the streams in its report.
    Output {
        id: u64,
        pieces: Vec<Piece>,
    },
    /// The supervisor is not frozen.
    Pong,
    /// A template has ended, or could not be started.
    Closed {
        id: u64,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub channel: Channel,
    pub bytes: Vec<u8>,
}

/// An output stream of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Stdout,
    Stderr,
}

/// Why nothing was started, with the number of the operating system's error if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StartError {
    /// [`TEMPLATE_FAILED`] if a template could not be forked, so that the program can still be started.
    pub number: Option<i32>,
    pub text: String,
}

/// How an action ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub id: u64,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// It timed out before its main process exited.
    pub timed_out: bool,
    /// A `Stop` arrived before its main process exited.
    pub stopped: bool,
    /// Processes that survived SIGKILL (they hang in the kernel).
    pub unkillable: u32,
    pub ran: Duration,
    /// When its main process was started, and when its last process was gone, by the clock that counts suspension.
    pub began: Duration,
    pub ended: Duration,
    pub stdout: Captured,
    pub stderr: Captured,
    /// What it wrote to its descriptor 3.
    pub result: Captured,
}

/// The captured part of a stream: its head, the number of omitted bytes, and its tail.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    pub head: Vec<u8>,
    pub omitted: u64,
    pub tail: Vec<u8>,
}

impl Request {
    /// Appends the request as a frame.
    pub fn encode(&self, into: &mut Vec<u8>) {
        framed(into, |out| match self {
            Self::Start(start) => {
                out.number(0);
                start.encode(out);
            }
            Self::Stop { id, grace } => {
                out.number(1);
                out.number(*id);
                out.duration(*grace);
            }
            Self::Lease { id, until } => {
                out.number(2);
                out.number(*id);
                out.duration(*until);
            }
            Self::Ping => out.number(3),
            Self::Open(start) => {
                out.number(4);
                start.encode(out);
            }
            Self::Close { id } => {
                out.number(5);
                out.number(*id);
            }
        });
    }

    pub fn decode(body: &[u8]) -> io::Result<Self> {
        let mut from = Decoder(body);
        match from.number()? {
            0 => Ok(Self::Start(Box::new(Start::decode(&mut from)?))),
            1 => Ok(Self::Stop {
                id: from.number()?,
                grace: from.duration()?,
            }),
            2 => Ok(Self::Lease {
                id: from.number()?,
                until: from.duration()?,
            }),
            3 => Ok(Self::Ping),
            4 => Ok(Self::Open(Box::new(Start::decode(&mut from)?))),
            5 => Ok(Self::Close { id: from.number()? }),
            kind => Err(malformed(&format!("request of kind {kind}"))),
        }
    }
}

impl Start {
    fn encode(&self, out: &mut Encoder) {
        out.number(self.id);
        out.bytes(self.execution.as_bytes());
        out.bytes(&self.program);
        out.number(self.arguments.len() as u64);
        for argument in &self.arguments {
            out.bytes(argument);
        }
        out.number(self.environment.len() as u64);
        for (name, value) in &self.environment {
            out.bytes(name);
            out.bytes(value);
        }
        out.bytes(&self.directory);
        out.bytes(&self.input);
        out.duration(self.timeout);
        out.duration(self.grace);
        out.duration(self.lease.unwrap_or(Duration::MAX));
        out.number(self.user.map_or(u64::MAX, u64::from));
        out.number(u64::from(self.holds_slot));
        for number in Limits::numbers(self.limits) {
            out.number(number);
        }
        out.number(self.template.unwrap_or(u64::MAX));
    }

    fn decode(from: &mut Decoder) -> io::Result<Self> {
        Ok(Self {
            id: from.number()?,
            execution: from.text()?,
            program: from.bytes()?,
            arguments: from.many(Decoder::bytes)?,
            environment: from.many(|from| Ok((from.bytes()?, from.bytes()?)))?,
            directory: from.bytes()?,
            input: from.bytes()?,
            timeout: from.duration()?,
            grace: from.duration()?,
            lease: Some(from.duration()?).filter(|lease| *lease < FOREVER),
            user: u32::try_from(from.number()?).ok(),
            holds_slot: from.number()? == 1,
            limits: Limits::read(|| from.number())?,
            template: Some(from.number()?).filter(|id| *id != u64::MAX),
        })
    }
}

impl Reply {
    /// Appends the reply as a frame.
    pub fn encode(&self, into: &mut Vec<u8>) {
        framed(into, |out| match self {
            Self::Ready => out.number(0),
            Self::StartFailed { id, error } => {
                out.number(1);
                out.number(*id);
                out.optional(error.number);
                out.bytes(error.text.as_bytes());
            }
            Self::Ended(report) => {
                out.number(2);
                report.encode(out);
            }
            Self::Output { id, pieces } => {
                out.number(3);
                out.number(*id);
                out.number(pieces.len() as u64);
                for piece in pieces {
                    out.number(u64::from(piece.channel == Channel::Stderr));
                    out.bytes(&piece.bytes);
                }
            }
            Self::Pong => out.number(4),
            Self::Closed { id } => {
                out.number(5);
                out.number(*id);
            }
        });
    }

    pub fn decode(body: &[u8]) -> io::Result<Self> {
        let mut from = Decoder(body);
        match from.number()? {
            0 => Ok(Self::Ready),
            1 => Ok(Self::StartFailed {
                id: from.number()?,
                error: StartError {
                    number: from.optional()?,
                    text: from.text()?,
                },
            }),
            2 => Ok(Self::Ended(Box::new(Report::decode(&mut from)?))),
            3 => Ok(Self::Output {
                id: from.number()?,
                pieces: from.many(Piece::decode)?,
            }),
            4 => Ok(Self::Pong),
            5 => Ok(Self::Closed { id: from.number()? }),
            kind => Err(malformed(&format!("reply of kind {kind}"))),
        }
    }
}

impl Piece {
    fn decode(from: &mut Decoder) -> io::Result<Self> {
        let channel = match from.number()? {
            0 => Channel::Stdout,
            _ => Channel::Stderr,
        };
        Ok(Self {
            channel,
            bytes: from.bytes()?,
        })
    }
}

impl Captured {
    fn encode(&self, out: &mut Encoder) {
        out.bytes(&self.head);
        out.number(self.omitted);
        out.bytes(&self.tail);
    }

    fn decode(from: &mut Decoder) -> io::Result<Self> {
        Ok(Self {
            head: from.bytes()?,
            omitted: from.number()?,
            tail: from.bytes()?,
        })
    }
}

impl Report {
    fn encode(&self, out: &mut Encoder) {
        out.number(self.id);
        out.optional(self.code);
        out.optional(self.signal);
        out.number(u64::from(self.timed_out));
        out.number(u64::from(self.stopped));
        out.number(u64::from(self.unkillable));
        out.duration(self.ran);
        out.duration(self.began);
        out.duration(self.ended);
        self.stdout.encode(out);
        self.stderr.encode(out);
        self.result.encode(out);
    }

    fn decode(from: &mut Decoder) -> io::Result<Self> {
        Ok(Self {
            id: from.number()?,
            code: from.optional()?,
            signal: from.optional()?,
            timed_out: from.number()? == 1,
            stopped: from.number()? == 1,
            unkillable: saturating::u32(from.number()?),
            ran: from.duration()?,
            began: from.duration()?,
            ended: from.duration()?,
            stdout: Captured::decode(from)?,
            stderr: Captured::decode(from)?,
            result: Captured::decode(from)?,
        })
    }
}

#[cfg(test)]
mod tests;
