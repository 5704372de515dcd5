//! The threads that start actions. `posix_spawn` returns when the child has executed its program, which on a busy machine takes
//! several scheduler turns; with several threads, actions do not wait for each other.
//!
//! A child inherits the signal mask of the thread that starts it, and a shell that never receives SIGCHLD does not work. So a
//! thread unblocks SIGCHLD while it starts an action. A SIGCHLD of any child that arrives in that time may be lost; therefore
//! the thread checks for ended children afterwards, and raises SIGCHLD again if there is one.

use super::{
    super::isolation::files::Files,
    action::Action,
    action_mark::{ActionMark, ActionMarks},
    children::{ENDED, child_signal},
    protocol::{Start, StartError},
};
use attune_common::sync::lock;
use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitStatus, waitid},
    },
    unistd::getpid,
};
use std::{
    collections::VecDeque,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

const STACK_BYTES: usize = 128 << 10;

pub(super) struct Starters {
    queue: Arc<Queue>,
    pub marks: Arc<ActionMarks>,
    results: Receiver<Started>,
    threads: Vec<JoinHandle<()>>,
}

pub(super) struct Started {
    pub id: u64,
    pub result: Result<Action, StartError>,
}

#[derive(Default)]
struct Queue {
    /// None after [`Starters::close`].
    waiting: Mutex<Option<VecDeque<Box<Start>>>>,
    changed: Condvar,
}

impl Starters {
    /// SIGCHLD must be blocked already: the threads inherit the mask.
    pub fn new(files: Option<Files>) -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let (sender, results) = channel();
        let (files, marks) = (Arc::new(files), Arc::new(ActionMarks::new()?));
        let queue = Arc::new(Queue::default());
        *lock(&queue.waiting) = Some(VecDeque::new());
        let start_one = |_| {
            let (queue, sender) = (Arc::clone(&queue), sender.clone());
            let (files, marks) = (Arc::clone(&files), Arc::clone(&marks));
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || serve(&queue, &sender, files.as_ref().as_ref(), &marks))
        };
        let threads = (0..(2 * processors).min(16))
            .map(start_one)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            queue,
            marks,
            results,
            threads,
        })
    }

    pub fn start(&self, start: Box<Start>) {
        if let Some(waiting) = &mut *lock(&self.queue.waiting) {
            waiting.push_back(start);
            self.queue.changed.notify_one();
        }
    }

    /// The actions started since the last call.
    pub fn started(&self) -> impl Iterator<Item = Started> {
        self.results.try_iter()
    }

    /// Starts nothing more. True if no thread is still starting an action.
    pub fn close(&self) -> bool {
        lock(&self.queue.waiting).take();
        self.queue.changed.notify_all();
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

fn serve(queue: &Queue, results: &Sender<Started>, files: Option<&Files>, marks: &ActionMarks) {
    while let Some(start) = queue.next() {
        let mask = child_signal();
        let _ = mask.thread_unblock();
        let start_it = || match files {
            Some(files) => enclosed(files, &start),
            None => Action::start(&start),
        };
        let result = if start.user.is_some() {
            start_it()
        } else {
            marks.start(start.holds_slot, start_it).map(|mut action| {
                action.mark = ActionMark::of_process(action.pid);
                action
            })
        };
        let _ = mask.thread_block();
        let failed = result.is_err();
        let started = Started { id: start.id, result };
        if results.send(started).is_err() {
            return;
        }
        // A successful start can wait until the attendant collects it.
        if failed || some_child_has_ended() {
            let _ = kill(getpid(), Signal::SIGCHLD);
        }
    }
}

/// Starts the action in a Landlock domain of its own.
fn enclosed(files: &Files, start: &Start) -> Result<Action, StartError> {
    let scratch = Path::new(OsStr::from_bytes(&start.directory));
    files.enclose(scratch, || Action::start(start))?
}

fn some_child_has_ended() -> bool {
    !matches!(waitid(Id::All, ENDED), Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD))
}

impl Queue {
    fn next(&self) -> Option<Box<Start>> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(start) = waiting.as_mut()?.pop_front() {
                return Some(start);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
