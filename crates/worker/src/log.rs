//! The output of actions while they run: written to the database in batches, and announced on the bus.
//!
//! An action that ends soon writes nothing here: its result contains its output, so it costs no statement. Pieces are fenced
//! by their attempt and numbered, so writing one again changes nothing. Only the end of the same action waits for its log,
//! and not for long: the result contains the output as well, and readers combine the two.

use crate::runner::{Channel, OutputSink};
use attune_common::{
    bus::{Feed, FeedKind, LogRange},
    service::{Context, jittered},
    store::{
        execution_log::{self, Written},
        execution_queue::AttemptKey,
        is_retryable, is_unavailable, with_timeout,
    },
    sync,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};

/// The interval between two statements.
const INTERVAL: Duration = Duration::from_millis(250);
const PIECE_BYTES: usize = 32 << 10;
/// Pieces that wait while the database is slow or unavailable, at most 8 MiB. What does not fit is only in the result.
const QUEUE_MAX: usize = 256;
/// The most pieces in one statement.
const BATCH: usize = 32;
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of an action waits for its last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Entry {
    Piece(Written),
    /// Everything before this must be written now.
    Flush(oneshot::Sender<()>),
}

/// Opens the logs of a worker's actions.
#[derive(Clone)]
pub struct Logs(mpsc::Sender<Entry>);

/// The log of one attempt.
pub struct Log(Arc<Inner>);

struct Inner {
    key: AttemptKey,
    entries: mpsc::Sender<Entry>,
    progress: Mutex<Progress>,
}

/// What was sent of one attempt's output so far.
#[derive(Default)]
struct Progress {
    seq: i32,
    /// Bytes of standard output and standard error.
    lengths: [usize; 2],
    /// The queue was full for one piece: without it the rest is useless.
    broken: bool,
}

pub fn start(context: &Context) -> Logs {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    context.spawn("logs", write_loop(context.clone(), receiver));
    Logs(sender)
}

impl Logs {
    pub fn open(&self, key: AttemptKey) -> Log {
        Log(Arc::new(Inner {
            key,
            entries: self.0.clone(),
            progress: Mutex::default(),
        }))
    }
}

impl Log {
    pub fn output_sink(&self) -> OutputSink {
        let inner = Arc::clone(&self.0);
        Arc::new(move |channel, text| inner.send(channel, text))
    }

    /// Sends the rest of the output at the end of the action, if any of it was sent before.
    pub async fn complete(&self, stdout: &str, stderr: &str) {
        if self.0.lock().seq > 0 {
            self.send_rest(stdout, stderr).await;
        }
    }

    /// Sends the output of an attempt that will be retried, because its result is not stored.
    pub async fn store_output(&self, result: Option<&Value>) {
        let stream = |name| result.and_then(|result| result[name].as_str()).unwrap_or_default();
        self.send_rest(stream("stdout"), stream("stderr")).await;
    }

    async fn send_rest(&self, stdout: &str, stderr: &str) {
        let [out, err] = self.0.lock().lengths;
        self.0.send(Channel::Stdout, stdout.get(out..).unwrap_or_default());
        self.0.send(Channel::Stderr, stderr.get(err..).unwrap_or_default());
        if self.0.lock().seq == 0 {
            return;
        }
        let (written, answer) = oneshot::channel();
        let flushed = async {
            self.0.entries.send(Entry::Flush(written)).await.ok()?;
            answer.await.ok()
        };
        if timeout(FLUSH_TIMEOUT, flushed).await.is_err() {
            tracing::debug!(execution_id = %self.0.key.id, "an execution ends before its log is written");
        }
    }
}

impl Inner {
    /// Never waits: if the queue is full, the output is only in the result.
    fn send(&self, channel: Channel, text: &str) {
        let mut progress = self.lock();
        let mut rest = text;
        while !rest.is_empty() && !progress.broken {
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
                held: self.key,
                seq: progress.seq + 1,
                stream,
                text: piece.to_owned(),
            };
            progress.broken = self.entries.try_send(Entry::Piece(written)).is_err();
            progress.seq += 1;
            if let Some(length) = progress.lengths.get_mut(place) {
                *length += piece.len();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        sync::lock(&self.progress)
    }
}

async fn write_loop(context: Context, mut entries: mpsc::Receiver<Entry>) -> anyhow::Result<()> {
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
            next_at = Instant::now() + INTERVAL;
            write(&context, &pieces, &entries).await;
        }
        // A receiver that has timed out is gone.
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

/// Retries until the database has answered, or this worker has shut down.
async fn write(context: &Context, pieces: &[Written], entries: &mpsc::Receiver<Entry>) {
    let mut tries = 0;
    let written = loop {
        match with_timeout(QUERY_TIMEOUT, execution_log::append(&context.pool, pieces)).await {
            // An earlier try may have been committed without an answer; its pieces were not announced.
            Ok(_) if tries > 0 => break pieces.iter().map(|piece| (piece.held, piece.seq)).collect(),
            Ok(written) => break written,
            Err(error) if is_unavailable(&error) || is_retryable(&error) => {
                if tries == 0 {
                    tracing::warn!(%error, "failed to write the output of actions; retrying");
                }
                if entries.is_closed() {
                    return;
                }
                tries += 1;
                sleep(jittered(INTERVAL)).await;
            }
            // A piece that the database refuses must not prevent the others from being written.
            Err(_) if pieces.len() > 1 => {
                for piece in pieces {
                    Box::pin(write(context, std::slice::from_ref(piece), entries)).await;
                }
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the database refuses a piece of an action's output; it is only in the result");
                return;
            }
        }
    };
    announce(context, written);
}

fn announce(context: &Context, written: Vec<(AttemptKey, i32)>) {
    let mut ranges: BTreeMap<(attune_domain::ExecutionId, i32), (i32, i32)> = BTreeMap::new();
    for (key, seq) in written {
        let range = ranges.entry((key.id, key.attempt)).or_insert((seq, seq));
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
    async fn a_refused_piece_does_not_affect_the_others() {
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
        let (_sender, entries) = mpsc::channel(1);
        write(&context, &pieces, &entries).await;
        assert_eq!(database.count("select count(*) from execution_log").await, 2);
        drop(context);
        database.close().await;
    }
}
