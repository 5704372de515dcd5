//! What actions write, while they run: in the database in batches, and on the bus as a hint for whoever follows.
//!
//! Nothing comes here of an action that is over soon: its result says it all, so it costs no statement. What comes is
//! fenced by the attempt and has numbers, so offering it again changes nothing. Nobody waits for it but the end of the same
//! action, and that not for long: the result holds the output as well, and whoever reads compares the two.

use crate::runner::{Channel, Tap};
use attune_common::{
    bus::{Feed, FeedKind, LogRange},
    service::{Context, jittered},
    store::{
        execution_log::{self, Written},
        execution_queue::AttemptKey,
        is_retryable, is_unavailable, with_timeout,
    },
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};

/// Between two statements.
const EVERY: Duration = Duration::from_millis(250);
const PIECE_BYTES: usize = 32 << 10;
/// Pieces that wait while the database is slow or away, 8 MiB at most. What does not fit is found in the result.
const WAITING_MAX: usize = 256;
/// Pieces in one statement.
const BATCH: usize = 32;
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long the end of an action waits for its last lines.
const PATIENCE: Duration = Duration::from_secs(1);

enum Entry {
    Piece(Written),
    /// Everything before this should be written now.
    Flush(oneshot::Sender<()>),
}

/// Where the logs of a worker's actions begin.
#[derive(Clone)]
pub struct Logs(mpsc::Sender<Entry>);

/// The log of one attempt.
pub struct Log(Arc<Inner>);

struct Inner {
    held: AttemptKey,
    desk: mpsc::Sender<Entry>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    seq: i32,
    /// Bytes of standard output and standard error.
    lengths: [usize; 2],
    /// A piece found no place: without it the rest makes no sense.
    broken: bool,
}

pub fn start(context: &Context) -> Logs {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    context.spawn("logs", write_again_and_again(context.clone(), receiver));
    Logs(sender)
}

impl Logs {
    pub fn open(&self, held: AttemptKey) -> Log {
        Log(Arc::new(Inner {
            held,
            desk: self.0.clone(),
            told: Mutex::default(),
        }))
    }
}

impl Log {
    pub fn tap(&self) -> Tap {
        let inner = Arc::clone(&self.0);
        Arc::new(move |channel, text| inner.tell(channel, text))
    }

    /// The whole output is known: what was not told of it yet follows, if anything was told at all.
    pub async fn complete(&self, stdout: &str, stderr: &str) {
        if self.0.lock().seq > 0 {
            self.rest(stdout, stderr).await;
        }
    }

    /// Nobody will keep this result, because there will be another attempt: its output stays here.
    pub async fn keep(&self, result: Option<&Value>) {
        let stream = |name| result.and_then(|result| result[name].as_str()).unwrap_or_default();
        self.rest(stream("stdout"), stream("stderr")).await;
    }

    async fn rest(&self, stdout: &str, stderr: &str) {
        let [out, err] = self.0.lock().lengths;
        self.0.tell(Channel::Stdout, stdout.get(out..).unwrap_or_default());
        self.0.tell(Channel::Stderr, stderr.get(err..).unwrap_or_default());
        if self.0.lock().seq == 0 {
            return;
        }
        let (written, answer) = oneshot::channel();
        let flushed = async {
            self.0.desk.send(Entry::Flush(written)).await.ok()?;
            answer.await.ok()
        };
        if timeout(PATIENCE, flushed).await.is_err() {
            tracing::debug!(execution_id = %self.0.held.id, "an execution ends before its log is written");
        }
    }
}

impl Inner {
    /// Never waits: what finds no place is left to the result.
    fn tell(&self, channel: Channel, text: &str) {
        let mut told = self.lock();
        let mut rest = text;
        while !rest.is_empty() && !told.broken {
            let end = (1..=PIECE_BYTES.min(rest.len()))
                .rev()
                .find(|end| rest.is_char_boundary(*end));
            let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            let (stream, place) = match channel {
                Channel::Stdout => ("stdout", 0),
                Channel::Stderr => ("stderr", 1),
            };
            let written = Written {
                held: self.held,
                seq: told.seq + 1,
                stream,
                text: piece.to_owned(),
            };
            told.broken = self.desk.try_send(Entry::Piece(written)).is_err();
            told.seq += 1;
            if let Some(length) = told.lengths.get_mut(place) {
                *length += piece.len();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_again_and_again(context: Context, mut entries: mpsc::Receiver<Entry>) -> anyhow::Result<()> {
    let mut next_at = Instant::now();
    while let Some(first) = entries.recv().await {
        let (mut pieces, mut waiting) = (Vec::new(), Vec::new());
        sort(first, &mut pieces, &mut waiting);
        while pieces.len() < BATCH && waiting.is_empty() {
            tokio::select! {
                biased;
                more = entries.recv() => match more {
                    Some(more) => sort(more, &mut pieces, &mut waiting),
                    None => break,
                },
                () = sleep_until(next_at) => break,
            }
        }
        if !pieces.is_empty() {
            next_at = Instant::now() + EVERY;
            write(&context, &pieces, &entries).await;
        }
        // Whoever does not wait any more does not want to know.
        for waiting in waiting {
            let _ = waiting.send(());
        }
    }
    Ok(())
}

fn sort(entry: Entry, pieces: &mut Vec<Written>, waiting: &mut Vec<oneshot::Sender<()>>) {
    match entry {
        Entry::Piece(piece) => pieces.push(piece),
        Entry::Flush(sender) => waiting.push(sender),
    }
}

/// Tries until the database has answered, or this worker goes.
async fn write(context: &Context, pieces: &[Written], entries: &mpsc::Receiver<Entry>) {
    let mut tries = 0;
    let kept = loop {
        match with_timeout(ANSWERED_WITHIN, execution_log::append(&context.pool, pieces)).await {
            // What was written by a try without an answer is not new now, and was not told.
            Ok(_) if tries > 0 => break pieces.iter().map(|piece| (piece.held, piece.seq)).collect(),
            Ok(kept) => break kept,
            Err(error) if is_unavailable(&error) || is_retryable(&error) => {
                if tries == 0 {
                    tracing::warn!(%error, "what actions write waits for the database");
                }
                if entries.is_closed() {
                    return;
                }
                tries += 1;
                sleep(jittered(EVERY)).await;
            }
            // One piece that the database refuses must not take along what others wrote.
            Err(_) if pieces.len() > 1 => {
                for piece in pieces {
                    Box::pin(write(context, std::slice::from_ref(piece), entries)).await;
                }
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a piece of what an action wrote is refused; its result holds it");
                return;
            }
        }
    };
    tell(context, kept);
}

fn tell(context: &Context, kept: Vec<(AttemptKey, i32)>) {
    let mut ranges: BTreeMap<(attune_domain::ExecutionId, i32), (i32, i32)> = BTreeMap::new();
    for (held, seq) in kept {
        let range = ranges.entry((held.id, held.attempt)).or_insert((seq, seq));
        *range = (range.0.min(seq), range.1.max(seq));
    }
    for ((id, attempt), (first, last)) in ranges {
        context.bus.feed(Feed {
            execution_id: Some(id),
            log: Some(LogRange { attempt, first, last }),
            ..Feed::new(FeedKind::execution_log())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attune_common::{bus::InProcessBus, config::Config, service::Tasks, testing::Database};
    use attune_domain::ExecutionId;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_refused_piece_takes_no_other_along() {
        let database = Database::new().await;
        database
            .execute("alter table execution_log add constraint refused check (chunk <> 'bad')")
            .await;
        let mut pieces = Vec::new();
        for (text, number) in ["one", "bad", "two"].into_iter().zip(1..) {
            let held = AttemptKey {
                id: ExecutionId(Uuid::now_v7()),
                attempt: 1,
            };
            let queued = format!(
                "insert into execution_queue (execution_id, pool, run_at, timeout_seconds, ready, attempt) values ('{}', 'p', now(), 1, false, 1)",
                held.id
            );
            database.execute(&queued).await;
            pieces.push(Written {
                held,
                seq: number,
                stream: "stdout",
                text: text.to_owned(),
            });
        }
        let bus = Arc::new(InProcessBus::new());
        let context = Context::new(
            Arc::new(Config::default()),
            database.pool.clone(),
            bus,
            &Tasks::default(),
        );
        let (_desk, entries) = mpsc::channel(1);
        write(&context, &pieces, &entries).await;
        assert_eq!(database.count("select count(*) from execution_log").await, 2);
        drop(context);
        database.close().await;
    }
}
