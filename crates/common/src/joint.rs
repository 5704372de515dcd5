//! The joint commit: what the executor and the worker of the same process add to the transaction that writes an event.
//!
//! Before events are written, they are offered to the executor. Decisions that arrive within [`DEADLINE`] are committed with the
//! events, together with their enforcements, executions and, if the worker has free slots, the claims. Only the start of the
//! action and the commit of its result then remain. All other events are queued and decided in separate transactions, so the
//! joint commit is an optimization (docs/decisions/0024-joint-commit.md). A process without an executor offers nothing.

mod slots;

pub use slots::{Handover, Slots};

use crate::{
    announce::{self, Enforcements},
    bus::Bus,
    failpoint,
    store::{
        Error, PgConnection, db,
        decision::Decision,
        event_queue::EventRow,
        ingest::NewEvent,
        is_unavailable,
        joint::{self, Work, Written},
    },
    sync, telemetry,
};
use attune_domain::EventId;
use chrono::{DateTime, Utc};
use slots::Reservation;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, RwLock},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};
use uuid::Uuid;

/// How long events wait for the executor before they are written without a decision.
pub const DEADLINE: Duration = Duration::from_millis(1);
/// Events in one offer. The others of a larger batch are queued.
const EVENTS_MAX: usize = 100;
/// After a late answer nothing is offered for a while, twice as long after each further one, so that a slow rule costs little.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Events that are about to be written, and where to send the decisions.
#[derive(Debug)]
pub struct Offer {
    pub events: Vec<EventRow>,
    /// A later answer is discarded.
    pub until: Instant,
    pub answer: oneshot::Sender<Answer>,
}

/// Decisions about some of the events, without limits, as of one version of the definitions.
#[derive(Debug)]
pub struct Answer {
    pub version: i64,
    pub decisions: Vec<Decision>,
}

/// The executor and the worker of this process, as far as they have registered. Clones refer to the same.
#[derive(Debug, Clone, Default)]
pub struct Joint(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    executor: RwLock<Option<mpsc::Sender<Offer>>>,
    worker: RwLock<Option<Slots>>,
    late: Mutex<Late>,
}

/// Late answers in a row, and until when nothing is offered because of them.
#[derive(Debug, Default)]
struct Late {
    count: u32,
    until: Option<Instant>,
}

impl Joint {
    /// Registers the executor: it receives the offers of this process.
    pub fn offers(&self) -> mpsc::Receiver<Offer> {
        // One at a time: an offer that would have to wait goes the usual way.
        let (sender, receiver) = mpsc::channel(1);
        *sync::write(&self.0.executor) = Some(sender);
        receiver
    }

    /// Registers the worker.
    pub fn open(&self, slots: Slots) {
        *sync::write(&self.0.worker) = Some(slots);
    }

    /// Ends the registration of a worker. What is reserved from it is still handed over.
    pub fn close(&self, worker: Uuid) {
        let mut registered = sync::write(&self.0.worker);
        if registered.as_ref().is_some_and(|slots| slots.worker == worker) {
            *registered = None;
        }
    }

    /// Writes events with what is proposed for them. None: nothing was written, and they must go the usual way.
    pub async fn write(
        &self,
        connection: &mut PgConnection,
        events: &[NewEvent],
    ) -> Result<Option<(Written, Pending)>, Error> {
        if self.executor().is_none() {
            return Ok(None);
        }
        // Rules may read when the event was received, and only the database's clock counts.
        let received_at = db::now(&mut *connection).await?;
        let Some((work, pending)) = self.propose(events, received_at).await else {
            return Ok(None);
        };
        failpoint::hit("joint.before_commit").await;
        match joint::insert(connection, events, work).await {
            Ok(written) => {
                failpoint::hit("joint.after_commit").await;
                Ok(Some((written, pending)))
            }
            // What a rule made of an event must not refuse the event.
            Err(error) if error.as_database_error().is_some() && !is_unavailable(&error) => {
                tracing::warn!(%error, "failed to commit events with their decisions; writing the events alone");
                pending.refused();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Offers events to the executor, and reserves slots of the worker for what follows from them.
    pub async fn propose(&self, events: &[NewEvent], received_at: DateTime<Utc>) -> Option<(Work, Pending)> {
        let executor = self.executor()?;
        let offered_at = Instant::now();
        let until = offered_at + DEADLINE;
        let events: Vec<EventRow> = events
            .iter()
            .take(EVENTS_MAX)
            .map(|event| event_row(event, received_at))
            .collect();
        if events.is_empty() {
            return None;
        }
        let traces = events.iter().map(|event| (event.id, event.trace_id)).collect();
        let (answer, answered) = oneshot::channel();
        executor.try_send(Offer { events, until, answer }).ok()?;
        let answered = timeout_at(until.into(), answered).await;
        self.note(answered.is_err());
        let Answer { version, mut decisions } = answered.ok()?.ok()?;
        if decisions.is_empty() {
            return None;
        }
        let reservation = sync::read(&self.0.worker)
            .as_ref()
            .and_then(|slots| slots.reserve(&mut decisions, version));
        let pending = Pending {
            announcement: Enforcements::of(&decisions),
            traces,
            decided_in: offered_at.elapsed(),
            reservation,
        };
        let claimant = pending.reservation.as_ref().map(Reservation::claimant);
        let work = Work {
            version,
            received_at,
            decisions,
            claimant,
        };
        Some((work, pending))
    }

    /// None without an executor, and for a while after late answers.
    fn executor(&self) -> Option<mpsc::Sender<Offer>> {
        let executor = sync::read(&self.0.executor).clone()?;
        let paused = sync::lock(&self.0.late)
            .until
            .is_some_and(|until| Instant::now() < until);
        (!paused && !executor.is_closed()).then_some(executor)
    }

    fn note(&self, is_late: bool) {
        let mut late = sync::lock(&self.0.late);
        if is_late {
            let pause = PAUSE_MIN * 2_u32.pow(late.count.min(10));
            late.until = Some(Instant::now() + pause.min(PAUSE_MAX));
            late.count = late.count.saturating_add(1);
        } else {
            *late = Late::default();
        }
    }
}

fn event_row(event: &NewEvent, received_at: DateTime<Utc>) -> EventRow {
    EventRow {
        id: event.id,
        trigger_id: event.trigger_id,
        trigger_ref: event.trigger_ref.clone(),
        source: event.source,
        payload: event.payload.clone(),
        scheduled_at: event.scheduled_at,
        received_at,
        trace_id: event.trace_id,
        chain: None,
    }
}

/// What is to be done after the commit. Dropped instead, the answer of the commit was lost: the worker finds out what was claimed.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    announcement: Enforcements,
    traces: Vec<(EventId, Uuid)>,
    decided_in: Duration,
    reservation: Option<Reservation>,
}

impl Pending {
    /// Announces what was decided, and hands what was claimed over to the worker.
    pub fn committed(self, bus: &dyn Bus, written: &Written) {
        let decided: HashSet<EventId> = written.decided.iter().copied().collect();
        for (event_id, trace_id) in self.traces.iter().filter(|(event, _)| decided.contains(event)) {
            telemetry::followed("decide", *trace_id, self.decided_in, &[("event_id", event_id)]);
        }
        let mut announcement = self.announcement.only(&written.decided);
        announcement.wake(bus);
        announce::enforcements(bus, announcement);
        // Last, so that the start is announced after what it follows from.
        if let Some(reservation) = self.reservation {
            reservation.start(&written.started);
        }
    }

    /// Nothing was committed.
    pub fn refused(self) {
        if let Some(reservation) = self.reservation {
            reservation.start(&[]);
        }
    }
}
