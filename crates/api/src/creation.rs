//! Creations that share transactions: manual executions, and events with an `Idempotency-Key`.
//!
//! Requests that arrive while a batch is being written form the next batch. A caller is answered after the commit.

use crate::auth::Caller;
use attune_common::{
    announce,
    bus::Wake,
    failpoint,
    ingest::{IngestError, announce_new, insert},
    service::Context,
    slots,
    store::{
        Error, PgConnection, PgPool, Transaction, audit,
        execution_start::{self, ByHand, Started},
        idempotency::{self, Claim, Key},
        ingest::{Accepted, NewEvent},
        is_unavailable, with_default_timeout,
    },
};
use attune_domain::{ActionId, ExecutionId, execution::ExecutionStatus, policy::Gates};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

const BATCH: usize = 100;
/// How many callers may wait. Further ones are refused at once.
const WAITING_MAX: usize = 2_000;

#[derive(Debug)]
pub struct Creation {
    pub key: Option<Key>,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Event(Box<NewEvent>),
    Execution(Box<Start>),
}

/// A manual start, and what the audit records about it.
#[derive(Debug)]
pub struct Start {
    pub id: ExecutionId,
    pub action_id: ActionId,
    pub parameters: Value,
    pub attempts_max: i32,
    pub rerun_of: Option<ExecutionId>,
    pub trace_id: Uuid,
    pub gates: Gates,
    pub definitions: i64,
    pub caller: Caller,
    pub verb: &'static str,
    pub object: String,
}

#[derive(Debug)]
pub enum Created {
    Event(Accepted),
    Execution(Started),
    /// The key was claimed by an earlier request.
    Claimed(Claim),
}

type Answer = oneshot::Sender<Result<Created, IngestError>>;
type Request = (Creation, Answer);

#[derive(Debug, Clone)]
pub struct Creations(mpsc::Sender<Request>);

impl Creations {
    /// Starts the task that writes. The task ends when every [`Creations`] is dropped.
    pub fn start(context: &Context) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        context.tracker().spawn(run(context.clone(), receiver));
        Self(sender)
    }

    /// Writes a creation. When this returns `Ok`, it is committed.
    pub async fn submit(&self, creation: Creation) -> Result<Created, IngestError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((creation, answer)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => IngestError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => IngestError::Stopping,
        })?;
        answered.await.unwrap_or(Err(IngestError::Stopping))
    }
}

async fn run(context: Context, mut requests: mpsc::Receiver<Request>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while !waiting.is_empty() || requests.recv_many(&mut waiting, BATCH).await > 0 {
        let later = take_repeated_keys(&mut waiting);
        let batch = std::mem::replace(&mut waiting, later);
        if let Err(unavailable) = write(&context, batch).await {
            // Callers that arrived during the write would only wait for the same error.
            while let Ok(request) = requests.try_recv() {
                waiting.push(request);
            }
            for (_, answer) in waiting.drain(..) {
                let _ = answer.send(Err(unavailable.clone()));
            }
        }
    }
}

/// A statement may contain each key once. A second request with the same key goes into the next batch and finds the first
/// one there.
fn take_repeated_keys(waiting: &mut Vec<Request>) -> Vec<Request> {
    let (mut keys, mut dedup) = (Vec::<Key>::new(), HashSet::new());
    let repeated = |(creation, _): &mut Request| {
        if let Some(key) = &creation.key {
            if keys.contains(key) {
                return true;
            }
            keys.push(key.clone());
        }
        match &creation.work {
            Work::Event(event) => {
                let key = event.dedup.as_ref().map(|dedup| (event.trigger_id, dedup.key));
                key.is_some_and(|key| !dedup.insert(key))
            }
            Work::Execution(_) => false,
        }
    };
    waiting.extract_if(.., repeated).collect()
}

/// Writes a batch and answers every caller. Returns an error when the database is unavailable.
async fn write(context: &Context, mut batch: Vec<Request>) -> Result<(), IngestError> {
    // A caller that disconnected was not answered and will retry.
    batch.retain(|(_, answer)| !answer.is_closed());
    if batch.is_empty() {
        return Ok(());
    }
    let (creations, answers): (Vec<Creation>, Vec<Answer>) = batch.into_iter().unzip();
    match with_default_timeout(commit(&context.pool, &creations)).await {
        Ok(created) => {
            announce(context, &creations, &created).await;
            for (answer, created) in answers.into_iter().zip(created) {
                let _ = answer.send(Ok(created));
            }
            Ok(())
        }
        // What the database refuses must not fail the others of its batch.
        Err(error) if creations.len() > 1 && error.as_database_error().is_some() && !is_unavailable(&error) => {
            for request in creations.into_iter().zip(answers) {
                Box::pin(write(context, vec![request])).await?;
            }
            Ok(())
        }
        Err(error) => {
            let unavailable = is_unavailable(&error);
            let error = IngestError::Database(Arc::new(error));
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
            if unavailable { Err(error) } else { Ok(()) }
        }
    }
}

async fn commit(pool: &PgPool, creations: &[Creation]) -> Result<Vec<Created>, Error> {
    let mut tx = Transaction::begin(pool).await?;
    let mut created = claim(&mut tx, creations).await?;
    let (mut events, mut event_places) = (Vec::new(), Vec::new());
    let (mut starts, mut start_places) = (Vec::new(), Vec::new());
    for (place, creation) in creations.iter().enumerate() {
        match &creation.work {
            _ if created[place].is_some() => {}
            Work::Event(event) => {
                events.push(NewEvent::clone(event));
                event_places.push(place);
            }
            Work::Execution(start) => {
                starts.push(start.by_hand());
                start_places.push((place, start));
            }
        }
    }
    if !events.is_empty() {
        let accepted = insert(&mut tx, &events).await?;
        for (place, accepted) in event_places.into_iter().zip(accepted) {
            created[place] = Some(Created::Event(accepted));
        }
    }
    if !starts.is_empty() {
        let started = execution_start::start(&mut tx, &starts).await?;
        let mut entries = Vec::with_capacity(starts.len());
        let actors: Vec<String> = start_places.iter().map(|(_, start)| start.caller.actor()).collect();
        for (((place, start), started), actor) in start_places.into_iter().zip(started).zip(&actors) {
            if let Started::Queued(_) = started {
                entries.push(start.entry(actor));
            }
            created[place] = Some(Created::Execution(started));
        }
        audit::append(&mut tx, &entries).await?;
    }
    let created: Option<Vec<Created>> = created.into_iter().collect();
    let created = created.ok_or_else(|| Error::Protocol("a creation has no outcome".to_owned()))?;
    remember(&mut tx, creations, &created).await?;
    if !events.is_empty() {
        failpoint::hit("event.before_commit").await;
    }
    tx.commit().await?;
    if !events.is_empty() {
        failpoint::hit("event.after_commit").await;
    }
    Ok(created)
}

/// Claims the keys of a batch. What an earlier request has claimed has its outcome.
async fn claim(connection: &mut PgConnection, creations: &[Creation]) -> Result<Vec<Option<Created>>, Error> {
    let keys: Vec<&Key> = creations.iter().filter_map(|creation| creation.key.as_ref()).collect();
    let claims = if keys.is_empty() {
        Vec::new()
    } else {
        idempotency::claim(connection, &keys).await?
    };
    let mut claims = claims.into_iter();
    let outcome = |creation: &Creation| {
        creation.key.as_ref()?;
        let claim = claims.next().filter(|claim| !matches!(claim, Claim::First));
        claim.map(Created::Claimed)
    };
    Ok(creations.iter().map(outcome).collect())
}

/// Stores the answers to the keys that this batch has claimed.
async fn remember(connection: &mut PgConnection, creations: &[Creation], created: &[Created]) -> Result<(), Error> {
    let (mut keys, mut responses) = (Vec::new(), Vec::new());
    for (creation, created) in creations.iter().zip(created) {
        let response = match (&creation.work, created) {
            (_, Created::Event(accepted)) if !accepted.outdated => json!({"event_id": accepted.event_id}),
            (Work::Execution(start), Created::Execution(Started::Queued(_))) => json!({"execution_id": start.id}),
            _ => continue,
        };
        if let Some(key) = &creation.key {
            keys.push(key);
            responses.push(response);
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    idempotency::remember(connection, &keys, &responses).await
}

async fn announce(context: &Context, creations: &[Creation], created: &[Created]) {
    let bus = &*context.bus;
    let mut pools = BTreeSet::new();
    let mut waits = false;
    for (creation, created) in creations.iter().zip(created) {
        match (&creation.work, created) {
            (Work::Event(event), Created::Event(accepted)) => {
                announce_new(bus, std::slice::from_ref(&**event), std::slice::from_ref(accepted));
            }
            (Work::Execution(start), Created::Execution(Started::Queued(queued))) => {
                if queued.status == ExecutionStatus::Waiting {
                    waits = true;
                } else if pools.insert(queued.pool.as_str()) {
                    bus.wake(Wake::executions(queued.pool.as_str()));
                }
                announce::execution(bus, start.id, Some(&queued.action_ref), queued.status);
            }
            _ => {}
        }
    }
    if waits {
        slots::make_room_soon(&context.pool, bus).await;
    }
}

impl Start {
    fn by_hand(&self) -> ByHand<'_> {
        ByHand {
            id: self.id,
            action_id: self.action_id,
            parameters: &self.parameters,
            attempts_max: self.attempts_max,
            rerun_of: self.rerun_of,
            trace_id: self.trace_id,
            gates: &self.gates,
            definitions: Some(self.definitions),
        }
    }

    fn entry<'a>(&'a self, actor: &'a str) -> audit::Entry<'a> {
        audit::Entry {
            actor,
            address: self.caller.address.as_deref(),
            verb: self.verb,
            object: &self.object,
            request_id: Some(&self.caller.request_id),
            ..audit::Entry::default()
        }
    }
}
