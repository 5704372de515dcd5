//! Results are reported in batches, and kept until the database has answered.
//!
//! A batch is whatever came together while the one before was written: nothing waits when little happens, and under load
//! one flush serves many. While the database is away, results wait in memory and in the [`Spool`]; the disk is touched
//! only then.

use crate::{
    deliver::{deliver, is_refused},
    lease::Leases,
    prepare::Report,
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
    time::{Instant, sleep, sleep_until},
};

const BATCH: usize = 50;
const PAUSE_LEAST: Duration = Duration::from_millis(20);
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// A database that has not answered for so long may be away.
const SLOW: Duration = Duration::from_secs(2);
/// How long a worker that stops waits for a database that is away: when all is on disk, and when something is not.
const FAREWELL: Duration = Duration::from_secs(2);
const LAST_FAREWELL: Duration = Duration::from_secs(10);
const NOT_ON_DISK: &str = "results cannot be put on disk; they wait in memory";

/// Where results are handed in.
#[derive(Debug, Clone)]
pub struct Finisher(mpsc::Sender<Report>);

impl Finisher {
    pub async fn report(&self, report: Report) {
        if self.0.send(report).await.is_err() {
            tracing::error!("a result could not be handed in: the worker's finisher has ended");
        }
    }
}

/// Starts reporting. The second value resolves when every [`Finisher`] is gone and the last result was answered, or waits
/// on disk.
pub fn start(context: &Context, leases: Leases, spool: Spool) -> (Finisher, impl Future<Output = ()> + use<>) {
    let (sender, receiver) = mpsc::channel(BATCH * 4);
    let task = context
        .tracker()
        .spawn(Desk::new(context, leases, spool, receiver).run());
    let ended = async move {
        if let Err(error) = task.await {
            tracing::error!(%error, "the worker's finisher crashed");
        }
    };
    (Finisher(sender), ended)
}

/// Delivers what a predecessor has left on disk, as far as the database answers.
pub async fn deliver_leftovers(context: &Context, mut spool: Spool) -> Result<(), Error> {
    let mut line = DedicatedConnection::for_pool(&context.pool);
    loop {
        let batch = spool.take_leftovers(BATCH).await;
        if batch.is_empty() {
            line.close().await;
            return Ok(());
        }
        match deliver(context, &mut line, &batch).await {
            Ok(unknown) => forget(&mut spool, &batch, &unknown),
            // One that the database will not take stays on disk; the others must not wait for it.
            Err(error) if is_refused(&error) => {
                for report in &batch {
                    let one = std::slice::from_ref(report);
                    match deliver(context, &mut line, one).await {
                        Ok(unknown) => forget(&mut spool, one, &unknown),
                        Err(error) if is_refused(&error) => {
                            tracing::error!(%error, execution_id = %report.held().id, "a result of the run before is refused; it stays in the spool");
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// What was answered need not be kept.
fn forget(spool: &mut Spool, batch: &[Report], unknown: &HashSet<AttemptKey>) {
    for report in batch.iter().filter(|report| !unknown.contains(&report.held())) {
        spool.forget(report.held());
    }
}

struct Desk {
    context: Context,
    leases: Leases,
    line: DedicatedConnection,
    spool: Spool,
    reports: mpsc::Receiver<Report>,
    /// Since when nobody can hand in anything any more.
    closed: Option<Instant>,
    waiting: VecDeque<Report>,
    /// So many of those that wait are told one by one, because the database refused them together.
    single: usize,
    pause: Duration,
}

impl Desk {
    fn new(context: &Context, leases: Leases, spool: Spool, reports: mpsc::Receiver<Report>) -> Self {
        Self {
            context: context.clone(),
            leases,
            line: DedicatedConnection::for_pool(&context.pool),
            spool,
            reports,
            closed: None,
            waiting: VecDeque::new(),
            single: 0,
            pause: PAUSE_LEAST,
        }
    }

    async fn run(mut self) {
        while self.fill().await {
            let size = if self.single > 0 { 1 } else { BATCH };
            let batch: Vec<Report> = self.waiting.drain(..size.min(self.waiting.len())).collect();
            self.single = self.single.saturating_sub(batch.len());
            // A worker that was suspended first kills what may run elsewhere by now.
            self.leases.enforce();
            match self.tell(&batch).await {
                Ok(unknown) => self.answered(&batch, &unknown),
                Err(error) => {
                    self.failed(batch, &error);
                    if !is_refused(&error) && !is_retryable(&error) {
                        self.keep().await;
                    }
                    if self.may_go() {
                        break;
                    }
                    self.wait().await;
                }
            }
        }
        self.line.close().await;
    }

    /// Waits for something to tell. False when there is nothing any more.
    async fn fill(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.waiting.extend(self.spool.take_leftovers(BATCH).await);
        }
        if self.waiting.is_empty() {
            let mut batch = Vec::with_capacity(BATCH);
            self.reports.recv_many(&mut batch, BATCH).await;
            self.waiting.extend(batch);
        }
        !self.waiting.is_empty()
    }

    /// One conversation with the database. What is handed in meanwhile is taken, and when it lasts, put on disk.
    async fn tell(&mut self, batch: &[Report]) -> Result<HashSet<AttemptKey>, Error> {
        let mut telling = pin!(deliver(&self.context, &mut self.line, batch));
        let mut slow = pin!(sleep(SLOW));
        let mut incoming = Vec::new();
        loop {
            tokio::select! {
                biased;
                answer = &mut telling => return answer,
                count = self.reports.recv_many(&mut incoming, BATCH), if self.closed.is_none() => {
                    if count == 0 {
                        self.closed = Some(Instant::now());
                    }
                    self.waiting.extend(incoming.drain(..));
                }
                () = &mut slow => {
                    match self.spool.keep(batch.iter().chain(&self.waiting)).await {
                        Ok(()) if self.closed.is_some_and(|closed| closed.elapsed() > FAREWELL) => {
                            return Err(Error::Io(io::ErrorKind::TimedOut.into()));
                        }
                        Ok(()) => {}
                        Err(error) => tracing::error!(%error, "{NOT_ON_DISK}"),
                    }
                    slow.as_mut().reset(Instant::now() + SLOW);
                }
            }
        }
    }

    fn answered(&mut self, batch: &[Report], unknown: &HashSet<AttemptKey>) {
        self.pause = PAUSE_LEAST;
        for report in batch {
            let held = report.held();
            if let Some((trace_id, ended)) = report.trace {
                telemetry::followed(
                    "finish",
                    trace_id,
                    ended.elapsed(),
                    &[("execution_id", &held.id), ("attempt", &held.attempt)],
                );
            }
            if unknown.contains(&held) {
                self.spool.leave(held);
            } else {
                self.spool.forget(held);
            }
            self.leases.release(held);
        }
    }

    /// Decides what is tried next. A result is never dropped because the database is away.
    fn failed(&mut self, mut batch: Vec<Report>, error: &Error) {
        if (is_locked(error) || is_refused(error)) && batch.len() > 1 {
            tracing::warn!(%error, "one of a batch of results holds up the others; going on one by one");
            self.single += batch.len();
        } else if is_locked(error) {
            tracing::warn!(%error, "somebody else holds the row of an execution that has ended; the others pass");
            self.waiting.extend(batch.drain(..));
        } else if is_refused(error) {
            batch.retain_mut(|report| {
                let held = report.held();
                tracing::error!(%error, execution_id = %held.id, "a result was refused; the execution ends without it");
                // What is on disk is what was refused.
                self.spool.leave(held);
                let stripped = strip(report, error);
                if !stripped {
                    self.leases.abandon(held);
                }
                stripped
            });
        } else if !is_retryable(error) {
            tracing::warn!(%error, results = batch.len() + self.waiting.len(), "results wait for the database");
        }
        for report in batch.into_iter().rev() {
            self.waiting.push_front(report);
        }
    }

    async fn keep(&mut self) {
        if let Err(error) = self.spool.keep(self.waiting.iter()).await {
            tracing::error!(%error, "{NOT_ON_DISK}");
        }
    }

    /// A worker that stops does not wait long for a database that is away.
    fn may_go(&self) -> bool {
        let Some(closed) = self.closed.filter(|_| !self.waiting.is_empty()) else {
            return false;
        };
        let lost = self.waiting.iter().filter(|report| !self.spool.holds(report)).count();
        if lost == 0 && closed.elapsed() > FAREWELL {
            tracing::warn!(
                results = self.waiting.len(),
                "the database is away: results wait on disk for the next worker"
            );
            return true;
        }
        if closed.elapsed() > LAST_FAREWELL {
            tracing::error!(
                lost,
                "neither the database nor the disk takes these results; they are lost"
            );
            return true;
        }
        false
    }

    async fn wait(&mut self) {
        let until = Instant::now() + jittered(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MOST);
        let mut incoming = Vec::new();
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                count = self.reports.recv_many(&mut incoming, BATCH), if self.closed.is_none() => {
                    if count == 0 {
                        self.closed = Some(Instant::now());
                    }
                    self.waiting.extend(incoming.drain(..));
                    self.keep().await;
                }
            }
        }
    }
}

/// Leaves out what the database may have refused. False when nothing is left to leave out.
fn strip(report: &mut Report, error: &Error) -> bool {
    if report.end.result.is_none() && report.again.is_none() && report.end.status == ExecutionStatus::Failed {
        return false;
    }
    report.again = None;
    report.end.status = ExecutionStatus::Failed;
    report.end.result = None;
    report.end.error = Some(format!("its result could not be stored: {error}"));
    true
}
