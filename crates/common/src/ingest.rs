//! T1': writes the events that people and programs submit. A caller is answered after the commit, never before.
//!
//! Concurrent callers share transactions: all events that arrive while a batch is being written form the next batch, with
//! one statement and one flush. An idle system writes each event at once.

use crate::{
    announce,
    bus::Bus,
    failpoint,
    joint::Pending,
    service::Context,
    store::{
        DedicatedConnection, Error, PgConnection,
        ingest::{self, Accepted, NewEvent},
        is_unavailable,
        joint::Written,
    },
    telemetry,
};
use std::{
    collections::HashSet,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

const BATCH: usize = 100;
/// How many callers may wait. Further ones are refused at once: backpressure instead of an endless queue.
const WAITING_MAX: usize = 2_000;

#[derive(Debug, Clone, thiserror::Error)]
pub enum IngestError {
    #[error("too many concurrent events; retry in a moment")]
    Overloaded,
    #[error("failed to write the event")]
    Database(#[source] Arc<Error>),
    #[error("the service is shutting down; retry")]
    Stopping,
    /// The event was not written: read its trigger again.
    #[error("definitions are changing; retry in a moment")]
    Outdated,
}

/// A database that does not respond within this time counts as unavailable. Callers that are waiting then are refused.
const TIMEOUT: Duration = Duration::from_secs(5);

type Answer = oneshot::Sender<Result<Accepted, IngestError>>;
type Request = (NewEvent, Answer);

/// The entrance for events of people and programs.
#[derive(Debug, Clone)]
pub struct Ingest(mpsc::Sender<Request>);

impl Ingest {
    /// Starts the task that writes. The task ends when every [`Ingest`] is dropped.
    pub fn start(context: &Context) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        context.tracker().spawn(run(context.clone(), receiver));
        Self(sender)
    }

    /// Writes an event. When this returns `Ok`, the event is committed.
    pub async fn submit(&self, event: NewEvent) -> Result<Accepted, IngestError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((event, answer)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => IngestError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => IngestError::Stopping,
        })?;
        let accepted = answered.await.unwrap_or(Err(IngestError::Stopping))?;
        if accepted.outdated {
            return Err(IngestError::Outdated);
        }
        Ok(accepted)
    }
}

/// Writes events in the caller's transaction, for callers that commit something else with them. Pass the result to
/// [`announce_new`] after the commit.
pub async fn insert(connection: &mut PgConnection, events: &[NewEvent]) -> Result<Vec<Accepted>, Error> {
    let accepted = ingest::insert(&mut *connection, events).await?;
    resolve_duplicates(connection, events, accepted).await
}

/// Announces those events of a batch that are new. A duplicate was announced with the first event of its key.
pub fn announce_new(bus: &dyn Bus, events: &[NewEvent], accepted: &[Accepted]) {
    announce::events(bus, new(events, accepted), true);
}

fn new<'e>(events: &'e [NewEvent], accepted: &[Accepted]) -> impl Iterator<Item = &'e NewEvent> {
    let pairs = events.iter().zip(accepted);
    pairs.filter_map(|(event, accepted)| accepted.received_at.is_some().then_some(event))
}

async fn run(context: Context, mut requests: mpsc::Receiver<Request>) {
    let mut connection = DedicatedConnection::for_pool(&context.pool);
    let mut waiting = Vec::with_capacity(BATCH);
    loop {
        if waiting.is_empty() && requests.recv_many(&mut waiting, BATCH).await == 0 {
            return connection.close().await;
        }
        let later = take_repeated_keys(&mut waiting);
        let batch = mem::replace(&mut waiting, later);
        if let Err(unavailable) = write(&context, &mut connection, batch).await {
            // Callers that arrived during the write would only wait for the same error.
            while let Ok(request) = requests.try_recv() {
                waiting.push(request);
            }
            refuse(waiting.drain(..).map(|(_, answer)| answer), &unavailable);
        }
    }
}

/// A statement may contain each key once. A second event with the same key goes into the next batch and finds the first
/// one there.
fn take_repeated_keys(waiting: &mut Vec<Request>) -> Vec<Request> {
    let mut keys = HashSet::new();
    let repeated = |(event, _): &mut Request| {
        let key = event.dedup.as_ref().map(|dedup| (event.trigger_id, dedup.key));
        key.is_some_and(|key| !keys.insert(key))
    };
    waiting.extract_if(.., repeated).collect()
}

/// Writes a batch and answers every caller. Returns an error when the database is unavailable.
async fn write(
    context: &Context,
    connection: &mut DedicatedConnection,
    mut requests: Vec<Request>,
) -> Result<(), IngestError> {
    // A caller that disconnected was not answered and will retry.
    requests.retain(|(_, answer)| !answer.is_closed());
    if requests.is_empty() {
        return Ok(());
    }
    let (events, answers): (Vec<NewEvent>, Vec<_>) = requests.into_iter().unzip();
    let started = Instant::now();
    let insert = async |connection: &mut PgConnection| insert_batch(context, connection, &events).await;
    match connection.with_timeout(TIMEOUT, insert).await {
        Ok((accepted, joint)) => {
            trace(&events, &accepted, started.elapsed());
            let undecided = joint
                .as_ref()
                .is_none_or(|(written, _)| written.left_undecided(&accepted));
            announce::events(&*context.bus, new(&events, &accepted), undecided);
            if let Some((written, pending)) = joint {
                pending.committed(&*context.bus, &written);
            }
            for (answer, accepted) in answers.into_iter().zip(accepted) {
                let _ = answer.send(Ok(accepted));
            }
            Ok(())
        }
        // One event that the database refuses must not fail the others of its batch.
        Err(error) if events.len() > 1 && error.as_database_error().is_some() && !is_unavailable(&error) => {
            let mut each = events.into_iter().zip(answers);
            while let Some(request) = each.next() {
                if let Err(unavailable) = Box::pin(write(context, connection, vec![request])).await {
                    refuse(each.map(|(_, answer)| answer), &unavailable);
                    return Err(unavailable);
                }
            }
            Ok(())
        }
        Err(error) => {
            let unavailable = is_unavailable(&error);
            let error = IngestError::Database(Arc::new(error));
            refuse(answers.into_iter(), &error);
            if unavailable { Err(error) } else { Ok(()) }
        }
    }
}

fn refuse(answers: impl Iterator<Item = Answer>, error: &IngestError) {
    for answer in answers {
        let _ = answer.send(Err(error.clone()));
    }
}

/// Writes the events together with their decisions, as far as these come in time (`joint`), and the others alone.
async fn insert_batch(
    context: &Context,
    connection: &mut PgConnection,
    events: &[NewEvent],
) -> Result<(Vec<Accepted>, Option<(Written, Pending)>), Error> {
    failpoint::hit("ingest.before_commit").await;
    let mut joint = context.joint.write(&mut *connection, events).await?;
    let accepted = match &mut joint {
        Some((written, _)) => mem::take(&mut written.accepted),
        None => ingest::insert(&mut *connection, events).await?,
    };
    failpoint::hit("ingest.after_commit").await;
    let accepted = resolve_duplicates(connection, events, accepted).await?;
    Ok((accepted, joint))
}

/// An event that lost its key to a concurrent transaction gets the id of that transaction's event.
async fn resolve_duplicates(
    connection: &mut PgConnection,
    events: &[NewEvent],
    mut accepted: Vec<Accepted>,
) -> Result<Vec<Accepted>, Error> {
    for (event, accepted) in events.iter().zip(&mut accepted) {
        if accepted.duplicate && accepted.event_id == event.id {
            *accepted = ingest::resolve_duplicate(&mut *connection, event, *accepted).await?;
        }
    }
    Ok(accepted)
}

/// Records a span for each new event, from the start of its batch to the commit.
fn trace(events: &[NewEvent], accepted: &[Accepted], took: Duration) {
    for event in new(events, accepted) {
        telemetry::began(
            "ingest",
            event.trace_id,
            took,
            &[("event_id", &event.id), ("trigger_ref", &event.trigger_ref)],
        );
    }
}
