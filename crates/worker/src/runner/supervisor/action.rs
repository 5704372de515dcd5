//! One action: how it is started, what it wrote, and where it stands on its way to its end.
//!
//! An action is over when its main process has ended. What it left behind is killed: at once after an end of its own,
//! after the rest of the grace when it was told to stop (its children may still be tidying up).

use super::{
    capture::Stream,
    live::Live,
    protocol::{Channel, Piece, Refusal, Report, Start},
};
use attune_common::clock;
use nix::{
    sys::memfd::{MFdFlags, memfd_create},
    unistd::Pid,
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, fchown},
            process::{CommandExt, ExitStatusExt},
        },
    },
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// SIGKILL is final, but a process may wait in the kernel (a dead file server) longer than anybody should wait for it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How often a tree that was killed is looked at again: what it forked meanwhile is killed then.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A young action's output is not polled for: most are over before the pipe, which holds 64 KiB, could be full, and then
/// one wake-up, for the end, does for everything.
const UNWATCHED: Duration = Duration::from_millis(3);

pub(super) struct Action {
    pub id: u64,
    pub pid: Pid,
    pub execution: String,
    /// As whom it runs, when that is nobody else.
    pub user: Option<u32>,
    pub phase: Phase,
    /// Set when the main process was reaped.
    pub exit: Option<Exit>,
    pub timed_out: bool,
    pub stopped: bool,
    /// When it must be over, by the clock that counts suspension.
    pub lease: Option<Duration>,
    child: Child,
    started: Instant,
    /// The same by the clock that counts suspension.
    began: Duration,
    deadline: Option<Instant>,
    grace: Duration,
    stdout: Stream,
    stderr: Stream,
    live: Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// SIGTERM was sent.
    Stopping {
        kill_at: Instant,
    },
    /// SIGKILL was sent.
    Killing {
        since: Instant,
        look_at: Instant,
    },
}

/// What has to be done with an action now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    Terminate,
    Kill,
    Report,
}

pub(super) struct Exit {
    status: Option<ExitStatus>,
    ran: Duration,
}

impl Action {
    /// Starts the action's main process as the leader of its own group. There is no code of ours between fork and exec;
    /// limits and umask are inherited from here. The program is a path, so without a user of its own the standard library
    /// takes `posix_spawn`.
    #[expect(clippy::disallowed_methods, reason = "this is where actions are started")]
    pub fn start(request: &Start) -> Result<Self, Refusal> {
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        let stdin = input(&request.input)?;
        let environment = request.environment.iter();
        let mut words = start_words(request)?.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        if let Some(user) = request.user {
            // The standard library drops the supplementary groups as well.
            command.uid(user).gid(user);
            // `/dev/stdin` and its like open the files again, as that user.
            for file in [stdin.as_fd(), stdout_end.as_fd(), stderr_end.as_fd()] {
                fchown(file, Some(user), Some(user))?;
            }
        }
        command
            .args(words)
            .args(request.arguments.iter().map(|argument| text(argument)))
            .env_clear()
            .envs(environment.map(|(name, value)| (text(name), text(value))))
            .current_dir(text(&request.directory))
            .stdin(stdin)
            .stdout(stdout_end)
            .stderr(stderr_end)
            .process_group(0);
        let (started, began) = (Instant::now(), clock::since_boot());
        let child = command.spawn()?;
        Ok(Self {
            id: request.id,
            pid: Pid::from_raw(child.id().cast_signed()),
            execution: request.execution.clone(),
            user: request.user,
            phase: Phase::Running,
            exit: None,
            timed_out: false,
            stopped: false,
            lease: request.lease,
            child,
            started,
            began,
            deadline: started.checked_add(request.timeout),
            grace: request.grace,
            stdout: Stream::new(stdout).map_err(io::Error::from)?,
            stderr: Stream::new(stderr).map_err(io::Error::from)?,
            live: Live::new(started),
        })
    }

    /// What to poll for output.
    pub fn streams(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        let watched = now >= self.watched_from();
        [&self.stdout, &self.stderr]
            .into_iter()
            .filter(move |_| watched)
            .filter_map(Stream::open)
    }

    fn watched_from(&self) -> Instant {
        self.started + UNWATCHED
    }

    pub fn pump(&mut self, buffer: &mut [u8]) {
        self.take_in(|stream| {
            stream.pump(buffer);
        });
    }

    /// What is to be told of its output now.
    pub fn output(&mut self, busy: bool, now: Instant) -> Vec<Piece> {
        self.live.take([&self.stdout, &self.stderr], busy, now)
    }

    /// What is left to be told at its end, before the [`Self::report`].
    pub fn last_output(&mut self, buffer: &mut [u8]) -> Vec<Piece> {
        self.take_in(|stream| stream.close(buffer));
        self.live.rest([&self.stdout, &self.stderr])
    }

    fn take_in(&mut self, mut from: impl FnMut(&mut Stream)) {
        for (channel, stream) in [(Channel::Stdout, &mut self.stdout), (Channel::Stderr, &mut self.stderr)] {
            let before = stream.beginning().len();
            from(stream);
            self.live.note(channel, stream.beginning().len() - before);
        }
    }

    /// Takes the main process's exit status; it must have ended.
    pub fn reap(&mut self) {
        let status = self.child.try_wait().ok().flatten();
        self.exit = Some(Exit {
            status,
            ran: self.started.elapsed(),
        });
    }

    /// Asks for an end within `grace`. An earlier end that was asked for stays.
    pub fn stop(&mut self, grace: Duration, now: Instant) -> Step {
        let kill_at = now + grace;
        match self.phase {
            Phase::Running if grace.is_zero() => self.kill(now),
            Phase::Running => {
                self.phase = Phase::Stopping { kill_at };
                Step::Terminate
            }
            Phase::Stopping { kill_at: earlier } => {
                self.phase = Phase::Stopping {
                    kill_at: earlier.min(kill_at),
                };
                Step::Wait
            }
            Phase::Killing { .. } => Step::Wait,
        }
    }

    /// The next step. `left` are processes of this action that outlived its main process.
    pub fn step(&mut self, left: usize, now: Instant) -> Step {
        if self.exit.is_some() && left == 0 {
            return Step::Report;
        }
        match self.phase {
            Phase::Running if self.exit.is_some() => self.kill(now),
            Phase::Running if self.deadline.is_some_and(|deadline| deadline <= now) => {
                self.timed_out = true;
                self.stop(self.grace, now)
            }
            Phase::Stopping { kill_at } if kill_at <= now => self.kill(now),
            Phase::Killing { since, .. } if now >= since + KILL_PATIENCE => Step::Report,
            Phase::Killing { since, look_at } if look_at <= now => {
                self.phase = Phase::Killing {
                    since,
                    look_at: now + LOOK_AGAIN,
                };
                Step::Kill
            }
            _ => Step::Wait,
        }
    }

    /// When there is something to do even if nothing happens.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let due = match self.phase {
            Phase::Running => self.deadline,
            Phase::Stopping { kill_at } => Some(kill_at),
            Phase::Killing { look_at, .. } => Some(look_at),
        };
        let watch = Some(self.watched_from()).filter(|from| *from > now);
        due.into_iter().chain(watch).chain(self.live.due()).min()
    }

    pub fn report(mut self, immortal: u32) -> Report {
        let exit = self.exit.take();
        let status = exit.as_ref().and_then(|exit| exit.status);
        Report {
            id: self.id,
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            timed_out: self.timed_out,
            stopped: self.stopped,
            immortal,
            ran: exit.map_or_else(|| self.started.elapsed(), |exit| exit.ran),
            began: self.began,
            over: clock::since_boot(),
            stdout: self.stdout.take(),
            stderr: self.stderr.take(),
        }
    }

    fn kill(&mut self, now: Instant) -> Step {
        self.phase = Phase::Killing {
            since: now,
            look_at: now + LOOK_AGAIN,
        };
        Step::Kill
    }
}

/// Standard input as a file in memory: no writer has to be served, and an action that never reads it loses nothing.
fn input(bytes: &[u8]) -> io::Result<File> {
    let file = File::from(memfd_create(c"parameters", MFdFlags::MFD_CLOEXEC)?);
    file.write_all_at(bytes, 0)?;
    Ok(file)
}

/// The program, preceded by what sets the action's own limits.
fn start_words(request: &Start) -> io::Result<Vec<OsString>> {
    let program = text(&request.program).to_owned();
    let Some(limits) = &request.limits else {
        return Ok(vec![program]);
    };
    let [role, limits] = limits.words()?;
    Ok(vec!["/proc/self/exe".into(), role, limits, program])
}

fn text(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self {
            number: error.raw_os_error(),
            text: error.to_string(),
        }
    }
}
