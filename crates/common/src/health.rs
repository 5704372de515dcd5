//! Health: what each part of a service last said of itself, and how old that is.
//!
//! "ok" means working, not connected: a part reports from its own loop, or its loops beat ([`Pulse`]) beside what another
//! task finds out, and what is too old is a failure.
//! `/health/live` never asks the database; `/health/ready` tells whether requests can be served; `/health` tells all.

mod pulse;

pub use pulse::Pulse;

use crate::{
    service::Context,
    store::{self, PgPool},
};
use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use pulse::Pulses;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A part that has not reported for so long does not work.
const STALE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    /// Works, with less than everything: the bus is down, a timer is in error.
    Degraded,
    Failing,
}

/// Where the parts of one process report.
#[derive(Debug, Clone)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    parts: Mutex<BTreeMap<&'static str, Report>>,
    pulses: Pulses,
}

#[derive(Debug, Clone)]
struct Report {
    at: Instant,
    status: Status,
    detail: Value,
}

impl Default for Board {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            parts: Mutex::default(),
            pulses: Pulses::default(),
        }))
    }
}

impl Board {
    /// A part says how it is. To be called at least once a second from the loop that does the part's work.
    pub fn report(&self, part: &'static str, status: Status, mut detail: Value) {
        round(&mut detail);
        let report = Report {
            at: Instant::now(),
            status,
            detail,
        };
        self.lock().insert(part, report);
    }

    /// A loop that does a part's work begins: it beats from now on.
    pub fn pulse(&self, part: &'static str, name: &'static str) -> Pulse {
        self.0.pulses.start(part, name)
    }

    /// What a part last said, with its status.
    pub fn part(&self, part: &str) -> Value {
        let report = self.lock().get(part).cloned();
        self.told(part, report).1
    }

    /// The worst status, and what every part says.
    pub fn summary(&self) -> (Status, Map<String, Value>) {
        let mut parts: BTreeMap<_, _> = self
            .lock()
            .clone()
            .into_iter()
            .map(|(name, report)| (name, Some(report)))
            .collect();
        for part in self.0.pulses.parts() {
            parts.entry(part).or_default();
        }
        let mut worst = Status::Ok;
        let mut all = Map::new();
        for (name, report) in parts {
            let (status, detail) = self.told(name, report);
            worst = worst.max(status);
            all.insert(name.to_owned(), detail);
        }
        (worst, all)
    }

    fn told(&self, part: &str, report: Option<Report>) -> (Status, Value) {
        let pulses = self.0.pulses.of(part);
        let Some(report) = report else {
            let status = pulses.as_ref().map_or(Status::Ok, |(status, _)| *status);
            let loops = pulses.map(|(_, loops)| json!({"status": status, "loops": loops}));
            return (status, loops.unwrap_or_else(|| json!({})));
        };
        let age = report.at.elapsed();
        let mut status = if age > STALE { Status::Failing } else { report.status };
        let mut detail = report.detail;
        if let Value::Object(fields) = &mut detail {
            if let Some((loops_status, loops)) = pulses {
                status = status.max(loops_status);
                fields.insert("loops".to_owned(), loops);
            }
            fields.insert("status".to_owned(), json!(status));
            if age > STALE {
                fields.insert("silent_seconds".to_owned(), json!(age.as_secs()));
            }
        }
        (status, detail)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Report>> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }
}

/// Nobody reads nanoseconds: three digits behind the point are enough.
fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(exact) = number.as_f64() {
                *value = json!((exact * 1000.0).round() / 1000.0);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(fields) => fields.values_mut().for_each(round),
        _ => {}
    }
}

/// Looks at the database and the bus once a second, so that asking for health costs nothing.
pub async fn probe(context: Context) -> anyhow::Result<()> {
    loop {
        crate::metrics::upkeep();
        let asked = Instant::now();
        let answer = tokio::time::timeout(Duration::from_secs(3), store::db::schema_accepted(&context.pool)).await;
        let up = matches!(answer, Ok(Ok(_)));
        let accepted = matches!(answer, Ok(Ok(true)));
        let latency = asked.elapsed().as_secs_f64() * 1000.0;
        let pool = connections(&context.pool);
        let status = if accepted { Status::Ok } else { Status::Failing };
        context.health.report(
            "db",
            status,
            json!({"up": up, "schema_accepted": accepted, "latency_ms": latency, "pool": pool}),
        );
        let bus = context.bus.health();
        let status = if bus.up { Status::Ok } else { Status::Degraded };
        context.health.report(
            "bus",
            status,
            json!({"kind": bus.kind, "up": bus.up, "since_seconds": bus.since.elapsed().as_secs()}),
        );
        tokio::select! {
            () = context.stopping().cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Connections that are open, and how many there may be.
fn connections(pool: &PgPool) -> Value {
    let (size, idle) = (f64::from(pool.size()), u32::try_from(pool.num_idle()).unwrap_or(0));
    let (idle, max) = (f64::from(idle), f64::from(pool.options().get_max_connections()));
    for (state, count) in [("idle", idle), ("used", (size - idle).max(0.0)), ("max", max)] {
        metrics::gauge!("attune_db_pool", "state" => state).set(count);
    }
    json!({"size": size, "idle": idle, "max": max})
}

/// `/health`, `/health/live`, `/health/ready`, and `/metrics`.
pub fn router(context: Context) -> Router {
    Router::new()
        .route("/health", get(full))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context)
}

/// The endpoint of a service that has no other.
pub async fn serve(context: Context, listen: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("failed to listen on {listen} for health"))?;
    let stop = context.stopping().clone();
    axum::serve(listener, router(context))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("the health endpoint failed")
}

async fn full(State(context): State<Context>) -> impl IntoResponse {
    let (status, parts) = context.health.summary();
    let mut body = Map::new();
    body.insert("status".to_owned(), json!(status));
    body.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    body.insert("instance".to_owned(), json!(context.instance));
    body.insert("uptime_seconds".to_owned(), json!(context.health.uptime().as_secs()));
    body.insert("timezone_data".to_owned(), json!(chrono_tz::IANA_TZDB_VERSION));
    body.extend(parts);
    let code = if status == Status::Failing {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (code, Json(Value::Object(body)))
}

async fn metrics() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        crate::metrics::render(),
    )
}

async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn ready(State(context): State<Context>) -> impl IntoResponse {
    let db = context.health.part("db");
    let reason = if context.stopping().is_cancelled() {
        "this service is stopping: it answers what it has begun, and takes nothing new"
    } else if db["up"] != true || !db["silent_seconds"].is_null() {
        // A look that was long ago tells nothing.
        "the database cannot be used"
    } else if db["schema_accepted"] != true {
        "the database's schema is older than this program: run `attune migrate`"
    } else {
        ""
    };
    let bus_up = context.health.part("bus")["up"] == true;
    match (reason.is_empty(), bus_up) {
        (true, true) => (StatusCode::OK, Json(json!({"status": "ok"}))),
        (true, false) => (
            StatusCode::OK,
            Json(json!({"status": "degraded", "reason": "the message queue is down; work is found by polling"})),
        ),
        (false, _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "failing", "reason": reason})),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    /// A task beside the loop goes on reporting; the loop hangs.
    #[test]
    fn a_loop_that_hangs_is_told_with_since_when() {
        let board = Board::default();
        let decide = board.pulse("executor", "decide");
        let rescue = board.pulse("executor", "rescue");
        board.report("executor", Status::Ok, json!({"events": 3}));
        let check = |status: Status, silent: Value| {
            let (worst, parts) = board.summary();
            assert_eq!((worst, &parts["executor"]["status"]), (status, &json!(status)));
            assert_eq!(parts["executor"]["loops"]["decide"]["silent_seconds"], silent);
            assert_eq!(
                parts["executor"]["loops"]["decide"]["since"].is_string(),
                status != Status::Ok
            );
            assert_eq!(board.part("executor")["status"], json!(status));
            assert_eq!(parts["executor"]["loops"]["rescue"], json!({"status": "ok"}));
        };
        check(Status::Ok, Value::Null);
        decide.beat_at(ago(7));
        check(Status::Degraded, json!(7));
        decide.beat_at(ago(20));
        check(Status::Failing, json!(20));
        decide.beat();
        check(Status::Ok, Value::Null);
        drop((decide, rescue));
        assert!(board.part("executor")["loops"].is_null());
    }

    #[tokio::test]
    async fn a_loop_that_waits_beats_and_one_that_works_too_long_does_not() {
        let board = Board::default();
        let claim = board.pulse("worker", "claim");
        let enough = tokio::sync::Notify::new();
        let look = async {
            claim.beat_at(ago(60));
            let beaten = async || (board.summary().0 == Status::Ok).then_some(());
            crate::testing::eventually("a beat", Duration::from_secs(20), beaten).await;
            enough.notify_one();
        };
        tokio::join!(claim.idle(enough.notified()), look);
        claim.beat_at(ago(60));
        assert_eq!(
            board.summary().0,
            Status::Failing,
            "also when the part said nothing else"
        );
    }
}
