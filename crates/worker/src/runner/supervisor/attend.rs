//! The attendant's loop: one `poll` over the worker's socket, SIGCHLD and the actions' output.
//!
//! [`reap`] attributes ended processes to their actions, [`forks`] starts actions as forks of templates.

mod forks;
mod reap;

use super::{
    super::isolation::files::Files,
    action::{Action, Step},
    children::child_signal,
    codec::Inbox,
    orphans::Orphans,
    protocol::{Reply, Report, Request, Start},
    starters::{Started, Starters},
    tree,
};
use attune_common::{clock, saturating};
use forks::Forks;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::Signal,
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
};
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, ErrorKind, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

/// How often started actions are collected from the starter threads.
const COLLECT_INTERVAL: Duration = Duration::from_millis(3);

const BUFFER_BYTES: usize = 64 << 10;

/// How often leases are checked: they count suspension, and `poll` does not.
const LEASE_CHECK: Duration = Duration::from_millis(500);

/// While more than this waits to be sent, no live output is added.
const UNSENT_MAX: usize = 256 << 10;

pub(super) struct Attendant {
    worker: UnixStream,
    inbox: Inbox,
    outbox: Vec<u8>,
    child_ended: SignalFd,
    starters: Starters,
    /// Requested and not started yet, with the grace period if a stop arrived meanwhile.
    starting: HashMap<u64, Option<Duration>>,
    actions: BTreeMap<u64, Action>,
    forks: Forks,
    orphans: Orphans,
    newest: u64,
    buffer: Vec<u8>,
}

/// What is ready after `poll`.
#[derive(Default)]
struct Ready {
    worker: bool,
    child: bool,
    forks: bool,
    output: Vec<u64>,
}

impl Attendant {
    pub fn new(worker: UnixStream, files: Option<Files>) -> io::Result<Self> {
        worker.set_nonblocking(true)?;
        let mask = child_signal();
        mask.thread_set_mask()?;
        let mut outbox = Vec::new();
        Reply::Ready.encode(&mut outbox);
        Ok(Self {
            worker,
            inbox: Inbox::default(),
            outbox,
            child_ended: SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            starters: Starters::new(files)?,
            starting: HashMap::new(),
            actions: BTreeMap::new(),
            forks: Forks::default(),
            orphans: Orphans::default(),
            newest: 0,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Serves until the worker is gone, then kills everything.
    pub fn serve(mut self) -> io::Result<()> {
        let served = self.serve_worker();
        // A thread may still be starting an action: kill again until no such thread is left.
        loop {
            let closed = self.starters.close();
            tree::kill_all_descendants();
            if closed {
                return served;
            }
        }
    }

    fn serve_worker(&mut self) -> io::Result<()> {
        loop {
            self.send()?;
            let ready = self.wait()?;
            if ready.worker && !self.receive()? {
                return Ok(());
            }
            self.take_requests()?;
            for id in ready.output {
                if let Some(action) = self.actions.get_mut(&id) {
                    action.pump(&mut self.buffer);
                }
            }
            self.collect_started();
            if ready.forks {
                self.collect_forks();
            }
            if ready.child {
                while let Ok(Some(_)) = self.child_ended.read_signal() {}
                self.reap();
            }
            self.enforce_leases();
            self.advance();
            self.send_output();
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let now = Instant::now();
        let mut worker_events = PollFlags::POLLIN;
        worker_events.set(PollFlags::POLLOUT, !self.outbox.is_empty());
        let mut polled = vec![
            PollFd::new(self.worker.as_fd(), worker_events),
            PollFd::new(self.child_ended.as_fd(), PollFlags::POLLIN),
        ];
        let forks = self.forks.descriptors();
        let count = forks.len();
        polled.extend(forks.into_iter().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        let mut ids = Vec::new();
        for action in self.actions.values() {
            for stream in action.streams(now) {
                polled.push(PollFd::new(stream, PollFlags::POLLIN));
                ids.push(action.id);
            }
        }
        match poll(&mut polled, self.poll_timeout(now)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut found = polled.iter().map(|one| one.any() != Some(false));
        Ok(Ready {
            worker: found.next() == Some(true),
            child: found.next() == Some(true),
            // All of them are checked.
            forks: found
                .by_ref()
                .take(count)
                .fold(self.forks.is_late(), |any, one| any | one),
            output: ids
                .into_iter()
                .zip(found)
                .filter_map(|(id, ready)| ready.then_some(id))
                .collect(),
        })
    }

    /// The time until the next step is due.
    fn poll_timeout(&self, now: Instant) -> PollTimeout {
        let collect = (!self.starting.is_empty()).then(|| now + COLLECT_INTERVAL);
        let due = self
            .actions
            .values()
            .filter_map(|action| action.due(now))
            .chain(collect)
            .chain(self.forks.due())
            .chain(self.next_lease_check(now))
            .min();
        let Some(due) = due else { return PollTimeout::NONE };
        let wait = due.saturating_duration_since(now);
        // One millisecond more: `poll` rounds down, and waking too early would spin.
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX - 1);
        PollTimeout::try_from(millis + 1).unwrap_or(PollTimeout::MAX)
    }

    /// False if the worker is gone.
    fn receive(&mut self) -> io::Result<bool> {
        loop {
            match (&self.worker).read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.inbox.push(self.buffer.get(..length).unwrap_or_default());
                    if length < self.buffer.len() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match (&self.worker).write(&self.outbox) {
                Ok(length) => drop(self.outbox.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take_requests(&mut self) -> io::Result<()> {
        while let Some(body) = self.inbox.take()? {
            match Request::decode(body)? {
                Request::Start(start) => {
                    self.newest = start.id;
                    self.start(start);
                }
                Request::Stop { id, grace } => self.stop(id, grace),
                Request::Lease { id, until } => {
                    if let Some(action) = self.actions.get_mut(&id) {
                        action.lease = Some(until);
                    }
                }
                Request::Ping => Reply::Pong.encode(&mut self.outbox),
                Request::Open(start) => self.open_template(&start),
                Request::Close { id } => self.forks.kill(id),
            }
        }
        Ok(())
    }

    /// An action whose lease has ended is not started: another worker may have started it.
    fn start(&mut self, start: Box<Start>) {
        if start.lease.is_some_and(|lease| lease <= clock::since_boot()) {
            return self.not_started(start.id);
        }
        self.starting.insert(start.id, None);
        match start.template {
            Some(template) => self.fork(template, start),
            None => self.starters.start(start),
        }
    }

    fn not_started(&mut self, id: u64) {
        let report = Report {
            id,
            stopped: true,
            ..Report::default()
        };
        Reply::Ended(Box::new(report)).encode(&mut self.outbox);
    }

    /// Kills the actions whose lease has ended, in case the worker cannot.
    fn enforce_leases(&mut self) {
        let leased = self
            .actions
            .values()
            .filter_map(|action| Some((action.id, action.lease?)));
        let leased: Vec<(u64, Duration)> = leased.collect();
        if leased.is_empty() {
            return;
        }
        let now = clock::since_boot();
        for (id, _) in leased.into_iter().filter(|(_, lease)| *lease <= now) {
            self.stop(id, Duration::ZERO);
        }
    }

    fn next_lease_check(&self, now: Instant) -> Option<Instant> {
        let next = self.actions.values().filter_map(|action| action.lease).min()?;
        let left = next.saturating_sub(clock::since_boot());
        // An ended lease has been enforced; its action is being killed and rechecked.
        (!left.is_zero()).then(|| now + left.min(LEASE_CHECK))
    }

    /// Sends the output of running actions.
    fn send_output(&mut self) {
        let now = Instant::now();
        for action in self.actions.values_mut() {
            let busy = self.outbox.len() > UNSENT_MAX;
            let pieces = action.output(busy, now);
            if !pieces.is_empty() {
                Reply::Output { id: action.id, pieces }.encode(&mut self.outbox);
            }
        }
    }

    fn collect_started(&mut self) {
        let all: Vec<_> = self.starters.started().collect();
        for Started { id, result } in all {
            let stop = self.starting.remove(&id).flatten();
            match result {
                Ok(action) => drop(self.actions.insert(id, action)),
                Err(error) => Reply::StartFailed { id, error }.encode(&mut self.outbox),
            }
            if let Some(grace) = stop {
                self.stop(id, grace);
            }
        }
    }

    fn stop(&mut self, id: u64, grace: Duration) {
        if self.forks.cancel(id) {
            self.starting.remove(&id);
            return self.not_started(id);
        }
        if let Some(stop) = self.starting.get_mut(&id) {
            *stop = Some(stop.map_or(grace, |earlier| earlier.min(grace)));
        }
        let Some(action) = self.actions.get_mut(&id) else {
            return;
        };
        if action.exit.is_none() && !action.timed_out {
            action.stopped = true;
        }
        let step = action.stop(grace, Instant::now());
        self.perform(id, &step);
    }

    /// Performs the due steps of every action.
    fn advance(&mut self) {
        let now = Instant::now();
        let ids: Vec<u64> = self.actions.keys().copied().collect();
        for id in ids {
            let Some(action) = self.actions.get_mut(&id) else {
                continue;
            };
            let left = if action.exit.is_some() {
                self.orphans.of(id).len()
            } else {
                0
            };
            let step = action.step(left, now);
            self.perform(id, &step);
        }
        tree::signal_each(&self.orphans.abandoned(&self.actions), Signal::SIGKILL);
    }

    fn perform(&mut self, id: u64, step: &Step) {
        match step {
            Step::Wait => {}
            Step::Terminate => self.signal_tree(id, Signal::SIGTERM),
            Step::Kill => self.signal_tree(id, Signal::SIGKILL),
            Step::Report => self.report(id),
        }
    }

    fn signal_tree(&mut self, id: u64, signal: Signal) {
        self.refresh_orphans();
        let Some(action) = self.actions.get(&id) else { return };
        // Taken before the first of them dies: descendants of a dead process have no known owner until the next refresh.
        let processes = tree::snapshot();
        let mut roots = self.orphans.of(id);
        if action.exit.is_none() {
            roots.push(action.pid);
            tree::signal_group(action.pid, signal);
        }
        // The group has received the signal; processes that left it get it one by one.
        let signaled = |pid: &Pid| {
            action.exit.is_none()
                && processes
                    .iter()
                    .any(|process| process.pid == *pid && process.group == action.pid)
        };
        let rest: Vec<Pid> = tree::members(&processes, &roots)
            .into_iter()
            .filter(|pid| !signaled(pid))
            .collect();
        tree::signal_each(&rest, signal);
    }

    fn report(&mut self, id: u64) {
        let Some(mut action) = self.actions.remove(&id) else {
            return;
        };
        let left = self.orphans.of(id).len() + usize::from(action.exit.is_none());
        let unkillable = saturating::u32(left);
        let pieces = action.last_output(&mut self.buffer);
        if !pieces.is_empty() {
            Reply::Output { id, pieces }.encode(&mut self.outbox);
        }
        let report = action.report(unkillable);
        Reply::Ended(Box::new(report)).encode(&mut self.outbox);
    }
}
