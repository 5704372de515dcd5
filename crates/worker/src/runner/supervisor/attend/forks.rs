//! Actions that are forks of a template: a process that has loaded their program already.
//!
//! A template belongs to one program and, where actions have users, has a user of its own. It gets the descriptors of a run over
//! a socket, forks twice, and the fork becomes a child of this process, which waits for it as for every action. The fork sends
//! its pid over a socket of the run and waits: nothing of the program runs before it is supervised, so a run whose fork fails
//! can still be started in another way. The kernel attests the pid.

use super::{
    super::{
        action::{Action, Ends, Streams, input, pipes},
        action_mark::ActionMark,
        children::child_signal,
        protocol::{Reply, Start, StartError, TEMPLATE_FAILED, TEMPLATE_UNSUITABLE},
    },
    Attendant,
};
use attune_common::clock;
use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixCredentials, recvmsg,
            sendmsg, setsockopt, socketpair, sockopt,
        },
    },
    unistd::{Pid, read, write},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, IoSlice, IoSliceMut},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long a run waits for its fork: the template may still be loading its program.
const FORK_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Forks {
    templates: BTreeMap<u64, Template>,
    /// The runs whose fork has not sent its pid yet.
    waiting: BTreeMap<u64, Fork>,
}

struct Template {
    pid: Pid,
    link: OwnedFd,
    /// Why this program cannot have a template.
    unsuitable: Option<String>,
}

struct Fork {
    start: Box<Start>,
    template: u64,
    streams: Streams,
    mark: ActionMark,
    control: OwnedFd,
    since: Instant,
}

impl Forks {
    /// The descriptors to poll.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let links = self.templates.values().map(|template| template.link.as_fd());
        links
            .chain(self.waiting.values().map(|fork| fork.control.as_fd()))
            .collect()
    }

    pub fn templates(&self) -> impl Iterator<Item = Pid> {
        self.templates.values().map(|template| template.pid)
    }

    pub fn has(&self, pid: Pid) -> bool {
        self.templates().any(|template| template == pid)
    }

    /// When the oldest run has waited too long.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.values().map(|fork| fork.since + FORK_TIMEOUT).min()
    }

    pub fn is_late(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    pub fn kill(&self, id: u64) {
        if let Some(template) = self.templates.get(&id) {
            let _ = kill(template.pid, Signal::SIGKILL);
        }
    }

    /// Cancels a run that is still waiting. Its fork exits when it finds its socket closed.
    pub fn cancel(&mut self, id: u64) -> bool {
        self.waiting.remove(&id).is_some()
    }
}

impl Template {
    /// Reads its message: that it is ready, or why it is not.
    fn receive(&mut self) {
        let mut message = [0; 512];
        let length = read(&self.link, &mut message).unwrap_or(0);
        let reason = message.get(..length).and_then(|message| message.strip_prefix(b"cold "));
        if let Some(reason) = reason {
            self.unsuitable = Some(String::from_utf8_lossy(reason).into_owned());
        }
    }
}

impl Attendant {
    pub(super) fn open_template(&mut self, start: &Start) {
        match open(start) {
            Ok(template) => drop(self.forks.templates.insert(start.id, template)),
            Err(_) => Reply::Closed { id: start.id }.encode(&mut self.outbox),
        }
        // A SIGCHLD that arrived while it was unblocked is lost.
        self.reap();
    }

    pub(super) fn template_ended(&mut self, pid: Pid) {
        let ended = self.forks.templates.iter().find(|(_, template)| template.pid == pid);
        let Some(id) = ended.map(|(id, _)| *id) else { return };
        self.collect_forks();
        self.forks.templates.remove(&id);
        Reply::Closed { id }.encode(&mut self.outbox);
    }

    pub(super) fn fork(&mut self, template: u64, start: Box<Start>) {
        let mark = self.starters.marks.next();
        let found = self.forks.templates.get(&template);
        match found.map(|found| request(&found.link, &start, mark)) {
            Some(Ok((streams, control))) => {
                let fork = Fork {
                    template,
                    streams,
                    mark,
                    control,
                    since: Instant::now(),
                    start,
                };
                self.forks.waiting.insert(fork.start.id, fork);
            }
            Some(Err(error)) => self.fork_failed(start.id, TEMPLATE_FAILED, error.to_string()),
            None => self.fork_failed(start.id, TEMPLATE_FAILED, "its template has ended".to_owned()),
        }
    }

    /// Begins the runs whose forks are ready, and fails those that have waited too long.
    pub(super) fn collect_forks(&mut self) {
        for template in self.forks.templates.values_mut() {
            template.receive();
        }
        let ids: Vec<u64> = self.forks.waiting.keys().copied().collect();
        for id in ids {
            let Some(fork) = self.forks.waiting.get(&id) else {
                continue;
            };
            let found = match sender(&fork.control) {
                Err(Errno::EAGAIN | Errno::EINTR) if fork.since.elapsed() < FORK_TIMEOUT => continue,
                found => found.ok().flatten(),
            };
            if let Some(fork) = self.forks.waiting.remove(&id) {
                self.begin(id, fork, found);
            }
        }
    }

    fn begin(&mut self, id: u64, fork: Fork, pid: Option<Pid>) {
        let Some(pid) = pid else {
            let template = self.forks.templates.get_mut(&fork.template);
            let unsuitable = template.and_then(|template| {
                // It may have sent its reason after the sockets were checked.
                template.receive();
                template.unsuitable.clone()
            });
            return match unsuitable {
                Some(reason) => self.fork_failed(id, TEMPLATE_UNSUITABLE, reason),
                None => self.fork_failed(id, TEMPLATE_FAILED, "its template has ended".to_owned()),
            };
        };
        let stop = self.starting.remove(&id).flatten();
        if fork.start.lease.is_some_and(|lease| lease <= clock::since_boot()) {
            return self.not_started(id);
        }
        if write(&fork.control, b"g").is_err() {
            return self.fork_failed(id, TEMPLATE_FAILED, "its fork has ended".to_owned());
        }
        self.orphans.forget(pid);
        let action = Action::forked(&fork.start, pid, fork.streams, fork.mark);
        self.actions.insert(id, action);
        if let Some(grace) = stop {
            self.stop(id, grace);
        }
    }

    fn fork_failed(&mut self, id: u64, number: i32, text: String) {
        self.starting.remove(&id);
        let error = StartError {
            number: Some(number),
            text,
        };
        Reply::StartFailed { id, error }.encode(&mut self.outbox);
    }
}

#[expect(clippy::disallowed_methods, reason = "templates are started like actions")]
fn open(start: &Start) -> io::Result<Template> {
    let (link, theirs) = pair()?;
    let text = OsStr::from_bytes;
    let mut command = Command::new(text(&start.program));
    if let Some(user) = start.user {
        command.uid(user).gid(user);
    }
    command
        .args(start.arguments.iter().map(|argument| text(argument)))
        .env_clear()
        .envs(start.environment.iter().map(|(name, value)| (text(name), text(value))))
        .current_dir(text(&start.directory))
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mask = child_signal();
    let _ = mask.thread_unblock();
    let child = command.spawn();
    let _ = mask.thread_block();
    Ok(Template {
        pid: Pid::from_raw(child?.id().cast_signed()),
        link,
        unsuitable: None,
    })
}

/// Two connected sockets that keep messages apart. The first does not block.
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    nix::fcntl::fcntl(&theirs, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty()))?;
    Ok((ours, theirs))
}

/// Sends a run to a template. Returns the other ends of its pipes, and of its socket.
fn request(link: &OwnedFd, start: &Start, mark: ActionMark) -> io::Result<(Streams, OwnedFd)> {
    let (streams, ends) = pipes(start)?;
    let (control, theirs) = pair()?;
    setsockopt(&control, sockopt::PassCred, &true)?;
    let description = input(&describe(start, mark))?;
    let Ends {
        stdin,
        stdout,
        stderr,
        result,
    } = &ends;
    let sent = [
        stdin.as_raw_fd(),
        stdout.as_raw_fd(),
        stderr.as_raw_fd(),
        result.as_raw_fd(),
        theirs.as_raw_fd(),
        description.as_raw_fd(),
    ];
    let rights = [ControlMessage::ScmRights(&sent)];
    sendmsg::<()>(
        link.as_raw_fd(),
        &[IoSlice::new(b"run")],
        &rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok((streams, control))
}

/// What the fork has to set up for itself.
fn describe(start: &Start, mark: ActionMark) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let environment: serde_json::Map<String, serde_json::Value> = start
        .environment
        .iter()
        .map(|(name, value)| (text(name), text(value).into()))
        .collect();
    let mut limits = vec![json!(["RLIMIT_RSS", mark.value(), mark.value()])];
    if let Some(own) = &start.limits {
        let mut add = |name: &str, soft: Option<u64>, hard: Option<u64>| {
            limits.extend(soft.zip(hard).map(|(soft, hard)| json!([name, soft, hard])));
        };
        add("RLIMIT_DATA", own.memory_bytes, own.memory_bytes);
        add("RLIMIT_NOFILE", own.files, own.files);
        add(
            "RLIMIT_CPU",
            own.cpu_seconds,
            own.cpu_seconds.map(|seconds| seconds.saturating_add(1)),
        );
        add("RLIMIT_NPROC", own.processes, own.processes);
    }
    let description = json!({"environment": environment, "directory": text(&start.directory), "limits": limits});
    description.to_string().into_bytes()
}

/// The process that has sent a message, as the kernel reports it. None if all of them have closed the socket.
fn sender(control: &OwnedFd) -> nix::Result<Option<Pid>> {
    let mut text = [0; 16];
    let mut space = cmsg_space!(UnixCredentials);
    let mut parts = [IoSliceMut::new(&mut text)];
    let received = recvmsg::<()>(control.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut attested = received.cmsgs()?.filter_map(|message| match message {
        ControlMessageOwned::ScmCredentials(credentials) => Some(Pid::from_raw(credentials.pid())),
        _ => None,
    });
    Ok(attested.next())
}
