//! T1': events come in from people and programs. A caller is answered after the commit, never before.
//!
//! Concurrent callers share transactions: whatever came together while the one before was written goes in one statement
//! and one flush. When little happens nobody waits for company.

use crate::{
    bus::{Feed, FeedKind, Wake},
    failpoint,
    service::Context,
    store::{
        DedicatedConnection, Error, PgConnection,
        ingest::{self, Accepted, NewEvent},
        is_unavailable,
    },
    telemetry,
};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

const BATCH: usize = 100;
/// Callers that wait in line. More are told to come again: an honest refusal instead of an endless queue.
const WAITING_MAX: usize = 2_000;

#[derive(Debug, Clone, thiserror::Error)]
pub enum IngestError {
    #[error("too many events at once: try again in a moment")]
    Overloaded,
    #[error("the event could not be written")]
    Database(#[source] Arc<Error>),
    #[error("this service stops: try again in a moment")]
    Stopping,
}

/// A database that does not answer in this time is away. Whoever came meanwhile waits for the next try, and no longer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

type Answer = oneshot::Sender<Result<Accepted, IngestError>>;
type Request = (NewEvent, Answer);

/// Where events are handed in.
#[derive(Debug, Clone)]
pub struct Ingest(mpsc::Sender<Request>);

impl Ingest {
    /// Starts the task that writes. It ends when every [`Ingest`] is gone.
    pub fn start(context: &Context) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        context.tracker().spawn(run(context.clone(), receiver));
        Self(sender)
    }

    /// Writes an event. When this returns `Ok`, it is committed.
    pub async fn submit(&self, event: NewEvent) -> Result<Accepted, IngestError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((event, answer)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => IngestError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => IngestError::Stopping,
        })?;
        answered.await.unwrap_or(Err(IngestError::Stopping))
    }
}

async fn run(context: Context, mut requests: mpsc::Receiver<Request>) {
    let mut line = DedicatedConnection::for_pool(&context.pool);
    let mut waiting = Vec::with_capacity(BATCH);
    loop {
        if waiting.is_empty() && requests.recv_many(&mut waiting, BATCH).await == 0 {
            return line.close().await;
        }
        let later = take_repeated(&mut waiting);
        if let Err(away) = write(&context, &mut line, std::mem::replace(&mut waiting, later)).await {
            // Whoever has come meanwhile hears it too, and does not wait in line for the same.
            while let Ok(request) = requests.try_recv() {
                waiting.push(request);
            }
            refuse(waiting.drain(..).map(|(_, answer)| answer), &away);
        }
    }
}

/// A statement holds each key once: a second event with the same key waits for the next one, and finds the first there.
fn take_repeated(waiting: &mut Vec<Request>) -> Vec<Request> {
    let mut keys = HashSet::new();
    let repeated = |(event, _): &mut Request| {
        let key = event.dedup.as_ref().map(|dedup| (event.trigger_id, dedup.key));
        key.is_some_and(|key| !keys.insert(key))
    };
    waiting.extract_if(.., repeated).collect()
}

/// Answers everybody. An error: the database is away.
async fn write(
    context: &Context,
    line: &mut DedicatedConnection,
    mut requests: Vec<Request>,
) -> Result<(), IngestError> {
    // Who has gone was refused, and sends it again.
    requests.retain(|(_, answer)| !answer.is_closed());
    if requests.is_empty() {
        return Ok(());
    }
    let (events, answers): (Vec<NewEvent>, Vec<_>) = requests.into_iter().unzip();
    let started = Instant::now();
    let insert = async |connection: &mut PgConnection| insert(connection, &events).await;
    match line.with_timeout(ANSWERED_WITHIN, insert).await {
        Ok(accepted) => {
            tell(context, &events, &accepted, started.elapsed());
            for (answer, accepted) in answers.into_iter().zip(accepted) {
                let _ = answer.send(Ok(accepted));
            }
            Ok(())
        }
        // One event that the database refuses must not fail the others of its batch.
        Err(error) if events.len() > 1 && error.as_database_error().is_some() && !is_unavailable(&error) => {
            let mut each = events.into_iter().zip(answers);
            while let Some(request) = each.next() {
                if let Err(away) = Box::pin(write(context, line, vec![request])).await {
                    refuse(each.map(|(_, answer)| answer), &away);
                    return Err(away);
                }
            }
            Ok(())
        }
        Err(error) => {
            let away = is_unavailable(&error);
            let error = IngestError::Database(Arc::new(error));
            refuse(answers.into_iter(), &error);
            if away { Err(error) } else { Ok(()) }
        }
    }
}

fn refuse(answers: impl Iterator<Item = Answer>, error: &IngestError) {
    for answer in answers {
        let _ = answer.send(Err(error.clone()));
    }
}

async fn insert(connection: &mut PgConnection, events: &[NewEvent]) -> Result<Vec<Accepted>, Error> {
    failpoint::hit("ingest.before_commit").await;
    let mut accepted = ingest::insert(&mut *connection, events).await?;
    failpoint::hit("ingest.after_commit").await;
    for (event, accepted) in events.iter().zip(&mut accepted) {
        if accepted.duplicate && accepted.event_id == event.id {
            *accepted = ingest::settle(connection, event, *accepted).await?;
        }
    }
    Ok(accepted)
}

fn tell(context: &Context, events: &[NewEvent], accepted: &[Accepted], took: Duration) {
    let fresh = events.iter().zip(accepted).filter(|(_, accepted)| !accepted.duplicate);
    let mut any = false;
    for (event, _) in fresh {
        any = true;
        metrics::counter!("attune_events_total", "source" => event.source.as_str()).increment(1);
        telemetry::began(
            "ingest",
            event.trace_id,
            took,
            &[("event_id", &event.id), ("trigger_ref", &event.trigger_ref)],
        );
        context.bus.feed(Feed {
            event_id: Some(event.id),
            trigger_ref: event.trigger_ref.parse().ok(),
            ..Feed::new(FeedKind::event_created())
        });
    }
    if any {
        context.bus.wake(Wake::Events);
    }
}
