//! Events that are committed with their decisions, with an executor and a worker that the test plays.

use attune_common::{
    bus::{InProcessBus, Wake},
    clock,
    config::Config,
    ingest::Ingest,
    joint::{Answer, Handover, Offer, Slots},
    service::{Context, Tasks},
    store::{
        decision::{Decision, NewEnforcement, NewExecution},
        ingest::NewEvent,
    },
    testing::{Database, eventually},
};
use attune_domain::{
    EnforcementId, EventId, ExecutionId, RuleId, TriggerId,
    definition::OnLost,
    occurrence::{EnforcementStatus, EventSource},
    policy::Gates,
};
use futures_util::FutureExt as _;
use serde_json::json;
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};
use tokio::sync::{RwLock, Semaphore, mpsc, watch};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(10);
/// An answer may be late on a busy machine, and then an event goes the usual way.
const TRIES: usize = 100;

struct Process {
    database: Database,
    context: Context,
    tasks: Tasks,
    ingest: Ingest,
    offers: mpsc::Receiver<Offer>,
    version: i64,
}

impl Process {
    async fn new() -> Self {
        let (database, tasks) = (Database::new().await, Tasks::default());
        let bus = Arc::new(InProcessBus::new());
        let context = Context::new(Arc::new(Config::default()), database.pool.clone(), bus, &tasks);
        Self {
            offers: context.joint.offers(),
            ingest: Ingest::start(&context),
            version: database.count("select version from definitions").await,
            context,
            database,
            tasks,
        }
    }

    /// Submits an event, and answers the offer with one execution whose time-out is this. Returns the event, and whether it was
    /// committed with the answer.
    async fn submit(&mut self, version: i64, timeout_seconds: i32) -> (EventId, bool) {
        let event = event();
        let id = event.id;
        let answer = async {
            if let Some(offer) = self.offers.recv().await {
                let decisions = vec![decision(id, timeout_seconds)];
                let _ = offer.answer.send(Answer { version, decisions });
            }
        };
        let submitted = async {
            let accepted = self.ingest.submit(event).await;
            assert_eq!(accepted.expect("it is accepted").event_id, id);
        };
        // Nothing is offered for a while after a late answer.
        let mut submitted = std::pin::pin!(submitted);
        tokio::select! {
            () = &mut submitted => {}
            () = answer => submitted.await,
        }
        let joint = format!(
            "select count(*) from event e join event_decision d on d.event_id = e.id and d.xmin = e.xmin where e.id = '{}'",
            id.0
        );
        (id, self.database.count(&joint).await == 1)
    }

    /// Submits events until one is committed with its decision.
    async fn submit_jointly(&mut self) -> EventId {
        for _ in 0..TRIES {
            if let (id, true) = self.submit(self.version, 60).await {
                return id;
            }
        }
        panic!("no answer was in time");
    }

    /// Offers this many slots of a worker.
    fn offer_slots(&self, slots: usize) -> (Arc<Semaphore>, mpsc::UnboundedReceiver<Handover>) {
        let (handover, handovers) = mpsc::unbounded_channel();
        let free = Arc::new(Semaphore::new(slots));
        self.context.joint.open(Slots {
            worker: Uuid::now_v7(),
            pool: "default".to_owned(),
            lease: Duration::from_secs(30),
            free: Arc::clone(&free),
            renewable: watch::Sender::new(true).subscribe(),
            drained: Arc::new(AtomicBool::new(true)),
            in_flight: Arc::new(RwLock::new(())),
            handover,
        });
        (free, handovers)
    }

    async fn end(self) {
        drop(self.ingest);
        self.tasks.finish().await;
        self.database.close().await;
    }
}

fn event() -> NewEvent {
    let id = EventId::random(clock::now(), rand::random());
    NewEvent {
        id,
        trigger_id: TriggerId(1),
        trigger_ref: "test.hook".parse().unwrap(),
        source: EventSource::Api,
        payload: json!({}),
        scheduled_at: None,
        trace_id: id.0,
        dedup: None,
        definitions: None,
    }
}

fn decision(event_id: EventId, timeout_seconds: i32) -> Decision {
    let id = EnforcementId::of(event_id, RuleId(1));
    let execution = NewExecution {
        id: ExecutionId::of(id),
        action_ref: "test.act".parse().unwrap(),
        pool: "default".to_owned(),
        timeout_seconds,
        on_lost: OnLost::Fail,
        attempts_max: 1,
        retry: None,
        trace_id: event_id.0,
        chain: None,
        pack_hash: None,
        waits_for: None,
        claimed: false,
    };
    let enforcement = NewEnforcement {
        id,
        rule_id: RuleId(1),
        rule_ref: "test.rule".parse().unwrap(),
        rule_version: 1,
        status: EnforcementStatus::Created,
        reason: None,
        parameters: Some(json!({"host": "a"})),
        execution: Some(execution),
        gates: Gates::default(),
    };
    Decision {
        event_id,
        tries: 0,
        rules: 1,
        enforcements: vec![enforcement],
    }
}

#[tokio::test]
async fn an_event_its_decision_and_the_claim_are_one_commit() {
    let mut process = Process::new().await;
    let (free, mut handovers) = process.offer_slots(1);
    let id = process.submit_jointly().await;
    let Some(Some(Handover::Claimed { executions, .. })) = handovers.recv().now_or_never() else {
        panic!("the worker has something to start");
    };
    let [(claimed, _permit)] = &executions[..] else {
        panic!("one execution, not {executions:?}");
    };
    assert_eq!((claimed.event_id, claimed.attempt), (Some(id), 1));
    assert_eq!(free.available_permits(), 0, "the slot is taken");
    let one_commit = format!(
        "select count(*) from event e join execution x on x.event_id = e.id and x.xmin = e.xmin
         join execution_queue q on q.execution_id = x.id and q.xmin = e.xmin
         where e.id = '{}' and x.status = 'running' and x.attempt = 1 and q.attempt = 1 and not q.ready and q.lease_until > db_now()",
        id.0
    );
    assert_eq!(process.database.count(&one_commit).await, 1);

    // Without a free slot, the execution is queued for any worker.
    let second = process.submit_jointly().await;
    let queued = format!(
        "select count(*) from execution x join execution_queue q on q.execution_id = x.id
         where x.event_id = '{}' and x.status = 'scheduled' and q.ready and q.attempt = 0",
        second.0
    );
    assert_eq!(process.database.count(&queued).await, 1);
    drop(executions);
    assert_eq!(free.available_permits(), 1, "the slot is free again");
    process.end().await;
}

#[tokio::test]
async fn an_executor_that_hangs_delays_no_acknowledgement() {
    let mut process = Process::new().await;
    let wakes = process.context.bus.wakes(Wake::Events);
    wakes.recv().now_or_never().expect("the first poll needs no wake");
    let started = Instant::now();
    let (accepted, offer) = tokio::join!(process.ingest.submit(event()), process.offers.recv());
    let took = started.elapsed();
    assert!(accepted.is_ok() && offer.is_some());
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    assert_eq!(process.database.count("select count(*) from event_queue").await, 1);
    tokio::time::timeout(SOON, wakes.recv())
        .await
        .expect("an executor is woken");
    assert!(
        offer.is_some_and(|offer| offer.answer.is_closed()),
        "a later answer changes nothing"
    );
    process.end().await;
}

/// The answer is as of a version that is not current any more: the event is queued, and nothing of the answer is written.
#[tokio::test]
async fn a_decision_of_changed_definitions_is_not_written() {
    let mut process = Process::new().await;
    let wakes = process.context.bus.wakes(Wake::Events);
    wakes.recv().now_or_never().expect("the first poll needs no wake");
    let (free, _handovers) = process.offer_slots(1);
    for _ in 0..10 {
        process.submit(process.version - 1, 60).await;
    }
    assert_eq!(process.database.count("select count(*) from event_queue").await, 10);
    for table in ["event_decision", "enforcement", "execution", "execution_queue"] {
        assert_eq!(
            process.database.count(&format!("select count(*) from {table}")).await,
            0
        );
    }
    assert_eq!(free.available_permits(), 1, "the slot is free again");
    tokio::time::timeout(SOON, wakes.recv())
        .await
        .expect("an executor is woken");
    process.end().await;
}

/// The database refuses what a rule made of the event: the event is accepted nevertheless.
#[tokio::test]
async fn a_refused_decision_does_not_refuse_the_event() {
    let mut process = Process::new().await;
    let (free, mut handovers) = process.offer_slots(1);
    for _ in 0..10 {
        process.submit(process.version, 0).await;
    }
    assert_eq!(process.database.count("select count(*) from event_queue").await, 10);
    assert_eq!(process.database.count("select count(*) from execution").await, 0);
    assert_eq!(free.available_permits(), 1, "the slot is free again");
    assert!(handovers.recv().now_or_never().is_none(), "nothing is lost or claimed");
    process.end().await;
}

/// The connection ends while the commit is on its way: the worker learns that something may be claimed.
#[tokio::test]
async fn a_lost_answer_is_reported_to_the_worker() {
    let mut process = Process::new().await;
    process.submit_jointly().await;
    let (free, mut handovers) = process.offer_slots(1);
    // Inserts wait for this lock; then their session is ended.
    let mut reported = false;
    for _ in 0..TRIES {
        let mut other = attune_common::store::Transaction::begin(&process.database.pool)
            .await
            .unwrap();
        sqlx::query("lock table event_decision in exclusive mode")
            .execute(&mut *other)
            .await
            .unwrap();
        let id = EventId::random(clock::now(), rand::random());
        let submitted = process.ingest.submit(NewEvent { id, ..event() });
        let answer = async {
            if let Some(offer) = process.offers.recv().await {
                let decisions = vec![decision(id, 60)];
                let _ = offer.answer.send(Answer {
                    version: process.version,
                    decisions,
                });
            }
            std::future::pending::<()>().await;
        };
        let end = async {
            let end = "select count(*) from (select pg_terminate_backend(pid) from pg_locks
                       where not granted and database = (select oid from pg_database where datname = current_database())) ended";
            let ended = async || (process.database.count(end).await > 0).then_some(());
            eventually("the insert waits", Duration::from_secs(4), ended).await;
            std::future::pending::<()>().await;
        };
        // Late: it is written without a decision, and does not wait.
        tokio::select! {
            _ = submitted => {}
            () = answer => {}
            () = end => {}
        }
        other.rollback().await.unwrap();
        if let Some(Some(handover)) = handovers.recv().now_or_never() {
            assert!(matches!(handover, Handover::Lost), "{handover:?}");
            reported = true;
            break;
        }
    }
    assert!(reported, "no answer was in time");
    assert_eq!(free.available_permits(), 1, "the slot is free again");
    process.end().await;
}
