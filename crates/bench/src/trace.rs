//! Follows single executions: actions report their start through a pipe, and the bus announces their end.

use crate::testbed::Testbed;
use anyhow::Context as _;
use attune_common::bus::{FeedFilter, FeedItem, Feeds, Subject};
use attune_domain::ExecutionId;
use nix::{sys::stat::Mode, unistd::mkfifo};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::task::AbortHandle;

const LAST_LINE: &str = "end";

/// The life of one execution.
#[derive(Debug, Clone, Copy)]
pub struct Stamps {
    pub sent: Instant,
    pub accepted: Instant,
    pub started: Instant,
    pub finished: Instant,
}

#[derive(Debug, Default, Clone, Copy)]
struct Partial {
    requested: Option<(Instant, Instant)>,
    started: Option<Instant>,
    finished: Option<(Instant, bool)>,
}

#[derive(Debug, Default)]
struct Seen {
    executions: HashMap<ExecutionId, Partial>,
    /// Messages of the bus that went by unseen.
    missed: u64,
}

pub struct Trace {
    seen: Arc<Mutex<Seen>>,
    pipe: PathBuf,
    writer: File,
    reader: Mutex<Option<JoinHandle<()>>>,
    watcher: AbortHandle,
}

impl Trace {
    pub fn start(testbed: &Testbed) -> anyhow::Result<Arc<Self>> {
        let pipe = testbed.marks().join(format!("started-{:08x}", rand::random::<u32>()));
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(io::Error::from)
            // Every action may be another user.
            .and_then(|()| fs::set_permissions(&pipe, Permissions::from_mode(0o622)))
            .with_context(|| format!("failed to make {}", pipe.display()))?;
        // For reading and writing, so that opening does not block.
        let open = || OpenOptions::new().read(true).write(true).open(&pipe);
        let (reading, writer) = open()
            .and_then(|reading| Ok((reading, open()?)))
            .context("failed to open the pipe")?;
        let seen = Arc::<Mutex<Seen>>::default();
        let reader = {
            let seen = Arc::clone(&seen);
            std::thread::Builder::new()
                .name("started".to_owned())
                .spawn(move || read(reading, &seen))?
        };
        let context = testbed.context()?;
        let feeds = context.bus.feeds(FeedFilter {
            subject: Some(Subject::Execution),
            ..FeedFilter::default()
        });
        let watcher = context.tracker().spawn(watch(feeds, Arc::clone(&seen))).abort_handle();
        Ok(Arc::new(Self {
            seen,
            pipe,
            writer,
            reader: Mutex::new(Some(reader)),
            watcher,
        }))
    }

    /// The script of an action that reports its start and then does its work.
    pub fn script(&self) -> String {
        format!("echo \"$ATTUNE_EXECUTION_ID\" >'{}'; echo hi", self.pipe.display())
    }

    /// Forgets everything.
    pub fn begin(&self) {
        *lock(&self.seen) = Seen::default();
    }

    pub fn accepted(&self, id: ExecutionId, sent: Instant, accepted: Instant) {
        lock(&self.seen).executions.entry(id).or_default().requested = Some((sent, accepted));
    }

    /// Waits for the ends of `count` executions, each of which must have succeeded.
    pub async fn all(&self, count: u64, within: Duration) -> anyhow::Result<Vec<Stamps>> {
        let queried_at = Instant::now();
        loop {
            {
                let seen = lock(&self.seen);
                anyhow::ensure!(seen.missed == 0, "{} messages of the bus went by unseen", seen.missed);
                let failed = seen
                    .executions
                    .values()
                    .any(|one| one.finished.is_some_and(|(_, succeeded)| !succeeded));
                anyhow::ensure!(!failed, "an execution did not succeed");
                let ended: Vec<Stamps> = seen.executions.values().filter_map(Partial::whole).collect();
                if ended.len() as u64 == count {
                    return Ok(ended);
                }
                anyhow::ensure!(
                    queried_at.elapsed() < within,
                    "only {} of {count} executions had started and ended after {within:?}",
                    ended.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn end(&self) -> anyhow::Result<()> {
        self.watcher.abort();
        writeln!(&self.writer, "{LAST_LINE}").context("failed to end the pipe")?;
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            let joined = tokio::task::spawn_blocking(move || reader.join()).await;
            anyhow::ensure!(matches!(joined, Ok(Ok(()))), "the reader of the pipe crashed");
        }
        remove(&self.pipe)
    }
}

impl Partial {
    fn whole(&self) -> Option<Stamps> {
        let (sent, accepted) = self.requested?;
        Some(Stamps {
            sent,
            accepted,
            started: self.started?,
            finished: self.finished?.0,
        })
    }
}

fn remove(pipe: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(pipe).with_context(|| format!("failed to remove {}", pipe.display()))
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(pipe: File, seen: &Mutex<Seen>) {
    for line in BufReader::new(pipe).lines() {
        let at = Instant::now();
        match line {
            Ok(line) if line == LAST_LINE => return,
            Ok(line) => {
                if let Ok(id) = line.parse() {
                    lock(seen).executions.entry(id).or_default().started = Some(at);
                }
            }
            Err(_) => return,
        }
    }
}

async fn watch(mut feeds: Feeds, seen: Arc<Mutex<Seen>>) {
    loop {
        let item = feeds.recv().await;
        let at = Instant::now();
        match item {
            FeedItem::Missed(missed) => lock(&seen).missed += missed,
            FeedItem::Feed(feed) => {
                let ended = match feed.kind.as_str() {
                    "execution.scheduled" | "execution.running" => None,
                    kind => Some(kind == "execution.succeeded"),
                };
                if let (Some(succeeded), Some(id)) = (ended, feed.execution_id) {
                    lock(&seen).executions.entry(id).or_default().finished = Some((at, succeeded));
                }
            }
        }
    }
}
