//! A sensor whose steps the tests call, on a database whose clock they set. Timers are inserted by SQL.

use attune_common::{
    bus::InProcessBus,
    config::Config,
    service::{Context, Tasks},
    store::{PgPool, Transaction, invariants},
    testing::Database,
};
use attune_sensor::{TimerManager, tick};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use std::sync::Arc;

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// The instant at which every test starts.
pub fn start() -> DateTime<Utc> {
    at("2026-01-01T00:00:00Z")
}

#[derive(Debug)]
pub struct Event {
    pub scheduled_at: DateTime<Utc>,
    pub payload: Value,
}

#[derive(Debug, PartialEq)]
pub struct Gap {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub missed: i64,
    pub reason: String,
}

pub struct TestSensor {
    pub database: Database,
}

impl TestSensor {
    pub async fn new() -> Self {
        let sensor = Self {
            database: Database::new().await,
        };
        sensor.set_clock(start()).await;
        sensor
            .database
            .execute("insert into pack (ref, label) values ('test', 'Test')")
            .await;
        sensor
    }

    pub fn timers(&self) -> TimerManager {
        let bus = Arc::new(InProcessBus::new());
        let config = Arc::new(Config::default());
        TimerManager::new(&Context::new(config, self.pool().clone(), bus, &Tasks::default()))
    }

    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// Stops the database's clock at this instant.
    pub async fn set_clock(&self, now: DateTime<Utc>) {
        let now = now.to_rfc3339();
        self.database
            .execute(&format!(
                "create or replace function db_now() returns timestamptz language sql stable parallel safe as $$ select timestamptz '{now}' $$"
            ))
            .await;
    }

    /// Inserts the trigger `test.<name>` by SQL. It is planned at the next tick.
    pub async fn timer(&self, name: &str, config: &Value) {
        sqlx::query(
            "insert into trigger (ref, pack_id, label, kind, config) select $1, id, 'Timer', 'timer', $2 from pack where ref = 'test'",
        )
        .bind(format!("test.{name}"))
        .bind(config)
        .execute(self.pool())
        .await
        .expect("the trigger can be made");
    }

    pub async fn edit(&self, name: &str, config: &Value) {
        sqlx::query("update trigger set config = $2 where ref = $1")
            .bind(format!("test.{name}"))
            .bind(config)
            .execute(self.pool())
            .await
            .expect("the trigger can be changed");
    }

    pub async fn enable(&self, name: &str, enabled: bool) {
        sqlx::query("update trigger set enabled = $2 where ref = $1")
            .bind(format!("test.{name}"))
            .bind(enabled)
            .execute(self.pool())
            .await
            .expect("the trigger can be switched");
    }

    /// Ticks until nothing is left to do. Returns the number of events.
    pub async fn fire_due(&self) -> usize {
        let mut events = 0;
        loop {
            let changed = tick::changed(self.pool()).await.expect("changes are applied");
            let due = tick::due(
                Transaction::begin(self.pool()).await.expect("a transaction begins"),
                None,
            )
            .await
            .expect("due timers fire");
            events += changed.events.len() + due.events.len();
            if changed.timers + due.timers == 0 {
                return events;
            }
        }
    }

    /// Sets the clock and ticks.
    pub async fn fire_due_at(&self, now: DateTime<Utc>) -> usize {
        self.set_clock(now).await;
        self.fire_due().await
    }

    pub async fn events(&self, name: &str) -> Vec<Event> {
        let rows: Vec<(DateTime<Utc>, Value)> =
            sqlx::query_as("select scheduled_at, payload from event where trigger_ref = $1 order by scheduled_at")
                .bind(format!("test.{name}"))
                .fetch_all(self.pool())
                .await
                .expect("events can be read");
        rows.into_iter()
            .map(|(scheduled_at, payload)| Event { scheduled_at, payload })
            .collect()
    }

    pub async fn scheduled(&self, name: &str) -> Vec<DateTime<Utc>> {
        self.events(name).await.iter().map(|event| event.scheduled_at).collect()
    }

    pub async fn gaps(&self, name: &str) -> Vec<Gap> {
        let rows: Vec<(DateTime<Utc>, DateTime<Utc>, i64, String)> = sqlx::query_as(
            "select from_at, to_at, missed, reason from timer_gap g join trigger t on t.id = g.trigger_id where t.ref = $1 order by g.id",
        )
        .bind(format!("test.{name}"))
        .fetch_all(self.pool())
        .await
        .expect("gaps can be read");
        rows.into_iter()
            .map(|(from, to, missed, reason)| Gap {
                from,
                to,
                missed,
                reason,
            })
            .collect()
    }

    /// The next instant, error, and numbers of fired and missed occurrences of its row.
    pub async fn row(&self, name: &str) -> (Option<DateTime<Utc>>, Option<String>, i64, i64) {
        sqlx::query_as("select next_fire_at, last_error, fired, missed from timer m join trigger t on t.id = m.trigger_id where t.ref = $1")
            .bind(format!("test.{name}"))
            .fetch_one(self.pool())
            .await
            .expect("the timer has a row")
    }

    pub async fn next(&self, name: &str) -> Option<DateTime<Utc>> {
        self.row(name).await.0
    }

    /// Checks that each occurrence is accounted for once, and drops the database.
    pub async fn close(self) {
        let mut connection = self.pool().acquire().await.expect("a connection");
        let violations = invariants::violations(&mut connection)
            .await
            .expect("the invariants can be checked");
        drop(connection);
        assert!(violations.is_empty(), "{violations:#?}");
        self.database.close().await;
    }
}

/// `start() + seconds`.
pub fn after(seconds: f64) -> DateTime<Utc> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of days")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    start() + Duration::milliseconds(milliseconds)
}

pub fn gap(from: DateTime<Utc>, to: DateTime<Utc>, missed: i64, reason: &str) -> Gap {
    Gap {
        from,
        to,
        missed,
        reason: reason.to_owned(),
    }
}
