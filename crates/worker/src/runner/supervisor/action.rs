//! One action: how it is started, its output, and its state until it ends.
//!
//! An action ends when its main process exits. The processes it leaves behind are killed: at once if it exited by itself, and
//! after the rest of the grace period if it was stopped, because its children may still be cleaning up.

use super::{
    action_mark::ActionMark,
    capture::Stream,
    live::Live,
    protocol::{Channel, Piece, Report, Start, StartError},
    role::LIMITED,
};
use attune_common::clock;
use command_fds::{CommandFdExt as _, FdMapping};
use nix::{
    sys::{
        memfd::{MFdFlags, memfd_create},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, PipeWriter},
    os::{
        fd::{AsFd, BorrowedFd, RawFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, fchown},
            process::{CommandExt, ExitStatusExt},
        },
    },
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// How long a killed action is waited for. SIGKILL is final, but a process may hang in the kernel (a dead file server).
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a killed tree is checked again for processes that it forked meanwhile.
const RECHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The output of a young action is not polled: most actions end before the pipe, which holds 64 KiB, could be full, and then
/// a single wake-up, for the end, is enough.
const UNPOLLED: Duration = Duration::from_millis(3);

/// Where an action writes its result. `ATTUNE_RESULT_FD` names it.
pub(super) const RESULT_FD: RawFd = 3;

pub(super) struct Action {
    pub id: u64,
    pub pid: Pid,
    pub execution: String,
    /// The user it runs as, if no other action has the same.
    pub user: Option<u32>,
    /// The mark on its processes, if it has no user of its own.
    pub mark: Option<ActionMark>,
    pub phase: Phase,
    /// Set when the main process has been reaped.
    pub exit: Option<Exit>,
    pub timed_out: bool,
    pub stopped: bool,
    /// When it must have ended, by the clock that counts suspension.
    pub lease: Option<Duration>,
    main: Main,
    started: Instant,
    /// The same instant by the clock that counts suspension.
    began: Duration,
    deadline: Option<Instant>,
    grace: Duration,
    stdout: Stream,
    stderr: Stream,
    result: Stream,
    live: Live,
}

/// The main process.
enum Main {
    Started(Child),
    /// A fork of a template, which this process has adopted.
    Forked,
}

/// What a main process gets: standard input, output and error, and the result.
pub(super) struct Ends {
    pub stdin: File,
    pub stdout: PipeWriter,
    pub stderr: PipeWriter,
    pub result: PipeWriter,
}

/// The other ends.
pub(super) struct Streams {
    stdout: Stream,
    stderr: Stream,
    result: Stream,
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
        recheck_at: Instant,
    },
}

/// The next step for an action.
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
    /// Starts the action's main process as the leader of its own group. Only descriptor 3 is set between fork and exec; limits
    /// and umask are inherited.
    #[expect(clippy::disallowed_methods, reason = "this is where actions are started")]
    pub fn start(request: &Start) -> Result<Self, StartError> {
        let (streams, ends) = pipes(request)?;
        let environment = request.environment.iter();
        let mut argv = argv(request)?.into_iter();
        let mut command = Command::new(argv.next().unwrap_or_default());
        if let Some(user) = request.user {
            // The standard library drops the supplementary groups as well.
            command.uid(user).gid(user);
        }
        command
            .args(argv)
            .args(request.arguments.iter().map(|argument| text(argument)))
            .env_clear()
            .envs(environment.map(|(name, value)| (text(name), text(value))))
            .current_dir(text(&request.directory))
            .stdin(ends.stdin)
            .stdout(ends.stdout)
            .stderr(ends.stderr)
            .process_group(0)
            .fd_mappings(vec![FdMapping {
                parent_fd: ends.result.into(),
                child_fd: RESULT_FD,
            }])
            .map_err(io::Error::other)?;
        let (started, began) = (Instant::now(), clock::since_boot());
        let child = command.spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        Ok(Self::new(request, pid, Main::Started(child), streams, (started, began)))
    }

    /// An action whose main process is a fork of a template.
    pub fn forked(request: &Start, pid: Pid, streams: Streams, mark: ActionMark) -> Self {
        let now = (Instant::now(), clock::since_boot());
        Self {
            // Others have the same.
            user: None,
            mark: Some(mark),
            ..Self::new(request, pid, Main::Forked, streams, now)
        }
    }

    fn new(request: &Start, pid: Pid, main: Main, streams: Streams, (started, began): (Instant, Duration)) -> Self {
        Self {
            id: request.id,
            pid,
            execution: request.execution.clone(),
            user: request.user,
            mark: None,
            phase: Phase::Running,
            exit: None,
            timed_out: false,
            stopped: false,
            lease: request.lease,
            main,
            started,
            began,
            deadline: started.checked_add(request.timeout),
            grace: request.grace,
            stdout: streams.stdout,
            stderr: streams.stderr,
            result: streams.result,
            live: Live::new(started),
        }
    }

    /// The streams to poll for output.
    pub fn streams(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        let polled = now >= self.polled_from();
        [&self.stdout, &self.stderr, &self.result]
            .into_iter()
            .filter(move |_| polled)
            .filter_map(Stream::open)
    }

    fn polled_from(&self) -> Instant {
        self.started + UNPOLLED
    }

    pub fn pump(&mut self, buffer: &mut [u8]) {
        self.read_streams(|stream| {
            stream.pump(buffer);
        });
        self.result.pump(buffer);
    }

    /// The output to send now.
    pub fn output(&mut self, busy: bool, now: Instant) -> Vec<Piece> {
        self.live.take([&self.stdout, &self.stderr], busy, now)
    }

    /// The rest of the output, to send before the [`Self::report`].
    pub fn last_output(&mut self, buffer: &mut [u8]) -> Vec<Piece> {
        self.read_streams(|stream| stream.close(buffer));
        self.result.close(buffer);
        self.live.rest([&self.stdout, &self.stderr])
    }

    fn read_streams(&mut self, mut from: impl FnMut(&mut Stream)) {
        for (channel, stream) in [(Channel::Stdout, &mut self.stdout), (Channel::Stderr, &mut self.stderr)] {
            let before = stream.head().len();
            from(stream);
            self.live.record(channel, stream.head().len() - before);
        }
    }

    /// Takes the exit status of the main process, which must have exited.
    pub fn reap(&mut self) {
        let status = match &mut self.main {
            Main::Started(child) => child.try_wait().ok().flatten(),
            Main::Forked => match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => Some(ExitStatus::from_raw(code << 8)),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(ExitStatus::from_raw(signal as i32)),
                _ => None,
            },
        };
        self.exit = Some(Exit {
            status,
            ran: self.started.elapsed(),
        });
    }

    /// Requests an end within `grace`. An earlier deadline remains in force.
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

    /// The next step. `left` is the number of its processes that outlived its main process.
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
            Phase::Killing { since, .. } if now >= since + KILL_TIMEOUT => Step::Report,
            Phase::Killing { since, recheck_at } if recheck_at <= now => {
                self.phase = Phase::Killing {
                    since,
                    recheck_at: now + RECHECK_INTERVAL,
                };
                Step::Kill
            }
            _ => Step::Wait,
        }
    }

    /// When the next step is due even if no event arrives.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let due = match self.phase {
            Phase::Running => self.deadline,
            Phase::Stopping { kill_at } => Some(kill_at),
            Phase::Killing { recheck_at, .. } => Some(recheck_at),
        };
        let poll = Some(self.polled_from()).filter(|from| *from > now);
        due.into_iter().chain(poll).chain(self.live.due()).min()
    }

    pub fn report(mut self, unkillable: u32) -> Report {
        let exit = self.exit.take();
        let status = exit.as_ref().and_then(|exit| exit.status);
        Report {
            id: self.id,
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            timed_out: self.timed_out,
            stopped: self.stopped,
            unkillable,
            ran: exit.map_or_else(|| self.started.elapsed(), |exit| exit.ran),
            began: self.began,
            ended: clock::since_boot(),
            stdout: self.stdout.take(),
            stderr: self.stderr.take(),
            result: self.result.take(),
        }
    }

    fn kill(&mut self, now: Instant) -> Step {
        self.phase = Phase::Killing {
            since: now,
            recheck_at: now + RECHECK_INTERVAL,
        };
        Step::Kill
    }
}

/// The pipes of an action, and its standard input.
pub(super) fn pipes(request: &Start) -> io::Result<(Streams, Ends)> {
    let (stdout, stdout_end) = io::pipe()?;
    let (stderr, stderr_end) = io::pipe()?;
    let (result, result_end) = io::pipe()?;
    let ends = Ends {
        stdin: input(&request.input)?,
        stdout: stdout_end,
        stderr: stderr_end,
        result: result_end,
    };
    if let Some(user) = request.user {
        // `/dev/stdin`, `/dev/stdout`, `/dev/stderr` and `/dev/fd/3` open the files again, as that user.
        for file in [
            ends.stdin.as_fd(),
            ends.stdout.as_fd(),
            ends.stderr.as_fd(),
            ends.result.as_fd(),
        ] {
            fchown(file, Some(user), Some(user))?;
        }
    }
    let streams = Streams {
        stdout: Stream::new(stdout)?,
        stderr: Stream::new(stderr)?,
        result: Stream::of_result(result)?,
    };
    Ok((streams, ends))
}

/// Standard input as a file in memory: nothing has to be written while the action runs, and an action may ignore it.
pub(super) fn input(bytes: &[u8]) -> io::Result<File> {
    let file = File::from(memfd_create(c"parameters", MFdFlags::MFD_CLOEXEC)?);
    file.write_all_at(bytes, 0)?;
    Ok(file)
}

/// The program, preceded by this program if the action has limits of its own.
fn argv(request: &Start) -> io::Result<Vec<OsString>> {
    let program = text(&request.program).to_owned();
    let Some(limits) = &request.limits else {
        return Ok(vec![program]);
    };
    Ok(vec!["/proc/self/exe".into(), LIMITED.into(), limits.encode()?, program])
}

fn text(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self {
            number: error.raw_os_error(),
            text: error.to_string(),
        }
    }
}
