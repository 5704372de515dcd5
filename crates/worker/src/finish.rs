//! Writes results in batches, and holds each until the database has answered.
//!
//! A batch is what accumulated while the previous one was written: under light load nothing waits, and under heavy load one
//! commit serves many results. While the database is unavailable, results wait in memory and in the [`Spool`]; the disk is
//! used only then.

use crate::{
    conclude::AttemptResult,
    journal::Journal,
    lease::Leases,
    pace::{COLLECT, Pace},
    result_batch::{self, is_refused},
    spool::Spool,
};
use attune_common::{
    service::{Context, jittered},
    store::{DedicatedConnection, Error, execution_queue::AttemptKey, is_locked, is_retryable},
    telemetry,
};
use attune_domain::execution::ExecutionStatus;
use std::{
    collections::{HashSet, VecDeque},
    io,
    pin::pin,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};

const BATCH: usize = 50;
/// While much is going on, a batch waits a moment for this many results.
const ENOUGH: usize = 16;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A write that takes longer than this may mean that the database is unavailable: the results are spooled.
const SLOW: Duration = Duration::from_secs(2);
/// How long a worker that shuts down waits for an unavailable database when every result is on disk.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// The same when a result is in memory only.
const SHUTDOWN_GRACE_UNSAVED: Duration = Duration::from_secs(10);
const SPOOL_FAILED: &str = "failed to write results to the spool; they wait in memory";

/// Sends results to the writer.
#[derive(Debug, Clone)]
pub struct ResultSender {
    results: mpsc::Sender<AttemptResult>,
    journal: Journal,
}

impl ResultSender {
    /// Must be called before the process of an attempt is requested.
    pub fn mark_started(&self, key: AttemptKey) {
        self.journal.started(key);
    }

    pub async fn send(&self, result: AttemptResult) {
        self.journal.ended(&result);
        if self.results.send(result).await.is_err() {
            tracing::error!("failed to write a result: the result writer has ended");
        }
    }
}

/// Starts the writer. The second value resolves when every [`ResultSender`] is dropped and the last result was answered or is
/// on disk.
pub fn start(
    context: &Context,
    leases: Leases,
    spool: Spool,
    journal: Journal,
) -> (ResultSender, impl Future<Output = ()> + use<>) {
    let (sender, receiver) = mpsc::channel(BATCH * 4);
    let task = context
        .tracker()
        .spawn(ResultWriter::new(context, leases, (spool, journal.clone()), receiver).run());
    let ended = async move {
        if let Err(error) = task.await {
            tracing::error!(%error, "the result writer crashed");
        }
    };
    let sender = ResultSender {
        results: sender,
        journal,
    };
    (sender, ended)
}

/// Writes the results that a predecessor left on disk, until the database fails to answer.
pub async fn write_leftovers(context: &Context, mut spool: Spool) -> Result<(), Error> {
    let mut connection = DedicatedConnection::for_pool(&context.pool);
    loop {
        let batch = spool.take_leftovers(BATCH).await;
        if batch.is_empty() {
            connection.close().await;
            return Ok(());
        }
        match result_batch::write(context, &mut connection, &batch).await {
            Ok(unknown) => remove_written(&mut spool, &batch, &unknown),
            // A result that the database refuses stays on disk and must not block the others.
            Err(error) if is_refused(&error) => {
                for result in &batch {
                    let single = std::slice::from_ref(result);
                    match result_batch::write(context, &mut connection, single).await {
                        Ok(unknown) => remove_written(&mut spool, single, &unknown),
                        Err(error) if is_refused(&error) => {
                            tracing::error!(%error, execution_id = %result.key().id, "the database refuses a result of the previous run; it stays in the spool");
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn remove_written(spool: &mut Spool, batch: &[AttemptResult], unknown: &HashSet<AttemptKey>) {
    for result in batch.iter().filter(|result| !unknown.contains(&result.key())) {
        spool.remove(result.key());
    }
}

struct ResultWriter {
    context: Context,
    leases: Leases,
    connection: DedicatedConnection,
    spool: Spool,
    journal: Journal,
    results: mpsc::Receiver<AttemptResult>,
    /// When the last sender was dropped.
    closed: Option<Instant>,
    waiting: VecDeque<AttemptResult>,
    /// How many of the waiting results are written one at a time, because the database refused them as a batch.
    single: usize,
    pause: Duration,
    pace: Pace,
}

impl ResultWriter {
    fn new(
        context: &Context,
        leases: Leases,
        (spool, journal): (Spool, Journal),
        results: mpsc::Receiver<AttemptResult>,
    ) -> Self {
        Self {
            context: context.clone(),
            leases,
            connection: DedicatedConnection::for_pool(&context.pool),
            spool,
            journal,
            results,
            closed: None,
            waiting: VecDeque::new(),
            single: 0,
            pause: PAUSE_MIN,
            pace: Pace::default(),
        }
    }

    async fn run(mut self) {
        while self.fill().await {
            let size = if self.single > 0 { 1 } else { BATCH };
            self.collect().await;
            let batch: Vec<AttemptResult> = self.waiting.drain(..size.min(self.waiting.len())).collect();
            self.single = self.single.saturating_sub(batch.len());
            self.pace.count(batch.len());
            // After a suspension, first kill the actions that may run elsewhere by now.
            self.leases.enforce();
            match self.write_batch(&batch).await {
                Ok(unknown) => self.on_written(&batch, &unknown),
                Err(error) => {
                    self.on_failed(batch, &error);
                    if !is_refused(&error) && !is_retryable(&error) {
                        self.spool_waiting().await;
                    }
                    if self.may_exit() {
                        break;
                    }
                    self.wait().await;
                }
            }
        }
        self.connection.close().await;
    }

    /// Waits for results. False when no more can arrive.
    async fn fill(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.waiting.extend(self.spool.take_leftovers(BATCH).await);
        }
        if self.waiting.is_empty() {
            let mut batch = Vec::with_capacity(BATCH);
            self.results.recv_many(&mut batch, BATCH).await;
            self.waiting.extend(batch);
        }
        !self.waiting.is_empty()
    }

    /// Waits a moment for more results while many arrive. A result that passes a slot on is written at once.
    async fn collect(&mut self) {
        let until = Instant::now() + COLLECT;
        let passes_on = |result: &AttemptResult| !result.slot_keys.is_empty();
        while self.pace.is_busy()
            && self.closed.is_none()
            && self.single == 0
            && self.waiting.len() < ENOUGH
            && !self.waiting.iter().any(passes_on)
        {
            let mut incoming = Vec::new();
            match timeout_at(until, self.results.recv_many(&mut incoming, BATCH)).await {
                Ok(0) => self.closed = Some(Instant::now()),
                Ok(_) => self.waiting.extend(incoming),
                Err(_) => return,
            }
        }
    }

    /// Writes one batch. Meanwhile results continue to be received, and if the write is slow, they are spooled.
    async fn write_batch(&mut self, batch: &[AttemptResult]) -> Result<HashSet<AttemptKey>, Error> {
        let mut writing = pin!(result_batch::write(&self.context, &mut self.connection, batch));
        let mut slow = pin!(sleep(SLOW));
        let mut incoming = Vec::new();
        loop {
            tokio::select! {
                biased;
                answer = &mut writing => return answer,
                count = self.results.recv_many(&mut incoming, BATCH), if self.closed.is_none() => {
                    if count == 0 {
                        self.closed = Some(Instant::now());
                    }
                    self.waiting.extend(incoming.drain(..));
                }
                () = &mut slow => {
                    match self.spool.store(batch.iter().chain(&self.waiting)).await {
                        Ok(()) if self.closed.is_some_and(|closed| closed.elapsed() > SHUTDOWN_GRACE) => {
                            return Err(Error::Io(io::ErrorKind::TimedOut.into()));
                        }
                        Ok(()) => {}
                        Err(error) => tracing::error!(%error, "{SPOOL_FAILED}"),
                    }
                    slow.as_mut().reset(Instant::now() + SLOW);
                }
            }
        }
    }

    fn on_written(&mut self, batch: &[AttemptResult], unknown: &HashSet<AttemptKey>) {
        self.pause = PAUSE_MIN;
        self.journal.answered(batch.iter().map(AttemptResult::key));
        for result in batch {
            let key = result.key();
            if let Some((trace_id, ended)) = result.trace {
                telemetry::followed(
                    "finish",
                    trace_id,
                    ended.elapsed(),
                    &[("execution_id", &key.id), ("attempt", &key.attempt)],
                );
            }
            if unknown.contains(&key) {
                self.spool.leave_on_disk(key);
            } else {
                self.spool.remove(key);
            }
            self.leases.release(key);
        }
    }

    /// Decides what to try next. A result is never dropped because the database is unavailable.
    fn on_failed(&mut self, mut batch: Vec<AttemptResult>, error: &Error) {
        if (is_locked(error) || is_refused(error)) && batch.len() > 1 {
            tracing::warn!(%error, "one result blocks its batch; writing the batch one by one");
            self.single += batch.len();
        } else if is_locked(error) {
            tracing::warn!(%error, "another session locks the row of a finished execution; writing the others first");
            self.waiting.extend(batch.drain(..));
        } else if is_refused(error) {
            batch.retain_mut(|result| {
                let key = result.key();
                tracing::error!(%error, execution_id = %key.id, "the database refuses a result; finishing the execution without it");
                // The file holds the refused result.
                self.spool.leave_on_disk(key);
                let stripped = strip(result, error);
                if !stripped {
                    self.leases.abandon(key);
                }
                stripped
            });
        } else if !is_retryable(error) {
            tracing::warn!(%error, results = batch.len() + self.waiting.len(), "results wait for the database");
        }
        for result in batch.into_iter().rev() {
            self.waiting.push_front(result);
        }
    }

    async fn spool_waiting(&mut self) {
        if let Err(error) = self.spool.store(self.waiting.iter()).await {
            tracing::error!(%error, "{SPOOL_FAILED}");
        }
    }

    /// A worker that shuts down does not wait long for an unavailable database.
    fn may_exit(&self) -> bool {
        let Some(closed) = self.closed.filter(|_| !self.waiting.is_empty()) else {
            return false;
        };
        let unsaved = self
            .waiting
            .iter()
            .filter(|result| !self.spool.contains(result))
            .count();
        if unsaved == 0 && closed.elapsed() > SHUTDOWN_GRACE {
            tracing::warn!(
                results = self.waiting.len(),
                "the database is unavailable; results wait on disk for the next worker"
            );
            return true;
        }
        if closed.elapsed() > SHUTDOWN_GRACE_UNSAVED {
            tracing::error!(
                lost = unsaved,
                "both the database and the spool are unavailable; results are lost"
            );
            return true;
        }
        false
    }

    async fn wait(&mut self) {
        let until = Instant::now() + jittered(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        let mut incoming = Vec::new();
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                count = self.results.recv_many(&mut incoming, BATCH), if self.closed.is_none() => {
                    if count == 0 {
                        self.closed = Some(Instant::now());
                    }
                    self.waiting.extend(incoming.drain(..));
                    self.spool_waiting().await;
                }
            }
        }
    }
}

/// Removes what the database may have refused. False when nothing is left to remove.
fn strip(result: &mut AttemptResult, error: &Error) -> bool {
    let finished = &mut result.finished;
    if finished.result.is_none() && result.retry.is_none() && finished.status == ExecutionStatus::Failed {
        return false;
    }
    result.retry = None;
    finished.status = ExecutionStatus::Failed;
    finished.result = None;
    finished.error = Some(format!("failed to store the result: {error}"));
    true
}
