//! An executor on a database with one action and its rules. The steps of the pipeline are called one by one.

use attune_common::{
    bus::{Bus, InProcessBus},
    clock,
    config::Config,
    service::{Context, Tasks},
    store::{
        Span, Transaction, enforcement, execution,
        execution_queue::{self, AttemptKey, Claimed, Finished},
        ingest,
    },
    testing::Database,
};
use attune_domain::{
    EventId, ExecutionId, TriggerId,
    execution::{ExecutionStatus, IllegalTransition},
    occurrence::EventSource,
};
use attune_executor::{decide::Decider, rescue::LeaseReaper};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const LEASE: Duration = Duration::from_secs(30);

pub struct TestExecutor {
    pub database: Database,
    pub context: Context,
    pub tasks: Tasks,
    trigger: TriggerId,
    decider: Decider,
    at: DateTime<Utc>,
}

impl TestExecutor {
    /// The action `t.act` and the rules `t.one` and `t.two`, which pass `host` to it. Only `t.one` is enabled.
    pub async fn new(action: Value, rule: Value) -> Self {
        Self::with_leases(action, rule, 30, 5).await
    }

    /// With this lease and this patience of the reaper, in seconds.
    pub async fn with_leases(action: Value, rule: Value, lease: u64, patience: u64) -> Self {
        let database = Database::new().await;
        database
            .execute(
                r#"insert into pack (ref, label) values ('t', 'T');
                insert into runtime (ref, pack_id, label, kind) select 't.native', id, 'N', 'native' from pack;
                insert into trigger (ref, pack_id, label, kind) select 't.tick', id, 'T', 'custom' from pack;
                insert into action (ref, pack_id, runtime_id, label, entry_point)
                    select 't.act', p.id, r.id, 'A', 'noop' from pack p, runtime r;
                insert into rule (ref, pack_id, label, trigger_id, action_id, action_params, enabled, created_at)
                    select name, p.id, name, t.id, a.id, '{"host": "{{ event.payload.host }}"}', name = 't.one', '2020-01-01'
                    from pack p, trigger t, action a, unnest(array['t.one', 't.two']) as name"#,
            )
            .await;
        let bus: Arc<dyn Bus> = Arc::new(InProcessBus::new());
        let mut config = Config::default();
        (config.worker.lease_seconds, config.executor.reap_seconds) = (lease, patience);
        let tasks = Tasks::default();
        let context = Context::new(Arc::new(config), database.pool.clone(), bus, &tasks);
        let trigger = TriggerId(database.count("select id from trigger").await);
        let executor = Self {
            database,
            decider: Decider::new(&context),
            context,
            tasks,
            trigger,
            at: clock::now() - TimeDelta::minutes(1),
        };
        executor.set("action", "t.act", &action).await;
        executor.set("rule", "t.one", &rule).await;
        executor
    }

    /// Changes columns of a definition.
    pub async fn set(&self, table: &str, reference: &str, columns: &Value) {
        for (column, value) in columns.as_object().into_iter().flatten() {
            let value = match value {
                Value::Null => "null".to_owned(),
                Value::Bool(flag) => flag.to_string(),
                policy => format!("'{policy}'"),
            };
            let sql = format!("update {table} set {column} = {value} where ref = '{reference}'");
            self.database.execute(&sql).await;
        }
    }

    /// Writes one event, later than all events before.
    pub async fn fire(&mut self, host: &str) -> EventId {
        self.at += TimeDelta::milliseconds(1);
        let id = EventId::of_timer(self.trigger, self.at);
        let event = ingest::NewEvent {
            id,
            trigger_id: self.trigger,
            trigger_ref: "t.tick".parse().expect("a reference"),
            source: EventSource::Manual,
            payload: json!({"host": host}),
            scheduled_at: None,
            trace_id: id.0,
            definitions: None,
            dedup: None,
        };
        ingest::insert(&self.database.pool, &[event])
            .await
            .expect("the event is written");
        id
    }

    /// Decides all pending events.
    pub async fn decide(&mut self) {
        while self.database.count("select count(*) from event_queue").await > 0 {
            self.decider.round(true).await.expect("events can be claimed");
        }
    }

    /// Fires and decides. Returns the id of the execution, if there is one.
    pub async fn fire_and_decide(&mut self, host: &str) -> Option<ExecutionId> {
        let event = self.fire(host).await;
        self.decide().await;
        let filter = execution::Filter {
            event_id: Some(event),
            ..execution::Filter::default()
        };
        let found = execution::page(&self.database.pool, &filter, &Span::new(100)).await;
        found.expect("executions can be read").first().map(|found| found.id)
    }

    pub async fn claim(&self) -> Vec<Claimed> {
        self.claim_for(LEASE).await
    }

    pub async fn claim_for(&self, lease: Duration) -> Vec<Claimed> {
        execution_queue::claim(&self.database.pool, "default", self.context.instance, 50, lease)
            .await
            .expect("a claim")
            .executions
    }

    /// Claims exactly one.
    pub async fn claim_one(&self) -> Claimed {
        let mut claimed = self.claim().await;
        assert_eq!(claimed.len(), 1, "{claimed:?}");
        claimed.remove(0)
    }

    pub async fn finish(&self, claimed: &Claimed, status: ExecutionStatus) {
        let ended = [ended(claimed, status)];
        let accepted = execution_queue::finish(&self.database.pool, &ended)
            .await
            .expect("a result");
        assert_eq!(accepted.len(), 1, "the result is accepted");
    }

    pub async fn cancel(&self, id: ExecutionId) -> Result<ExecutionStatus, IllegalTransition> {
        let mut tx = Transaction::begin(&self.database.pool).await.expect("a transaction");
        let stopped = execution::cancel(&mut tx, id).await.expect("a cancel");
        tx.commit().await.expect("a commit");
        stopped.expect("the execution is there")
    }

    pub async fn status(&self, id: ExecutionId) -> ExecutionStatus {
        execution::get(&self.database.pool, id)
            .await
            .expect("executions can be read")
            .expect("the execution is there")
            .status
    }

    /// The status and the reason of the last enforcement.
    pub async fn enforcement(&self) -> (String, Option<String>) {
        let rows = enforcement::page(&self.database.pool, &enforcement::Filter::default(), &Span::new(100))
            .await
            .expect("enforcements can be read");
        let last = rows.into_iter().next().expect("an enforcement");
        (last.status.to_string(), last.reason)
    }

    /// Rescues executions without a living worker, five minutes later.
    pub async fn rescue_later(&self) -> usize {
        self.database.move_clock("5 minutes").await;
        let rescued = LeaseReaper::new(&self.context).round(&self.context).await;
        rescued.expect("a round of the reaper")
    }
}

pub fn ended(claimed: &Claimed, status: ExecutionStatus) -> Finished {
    Finished {
        held: held(claimed),
        status,
        result: None,
        error: None,
        exit_code: None,
        life: None,
    }
}

pub fn held(claimed: &Claimed) -> AttemptKey {
    AttemptKey {
        id: claimed.id,
        attempt: claimed.attempt,
    }
}
