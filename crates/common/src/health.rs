//! Health: the latest report of each part of a service, and its age.
//!
//! "ok" means working and not merely connected: a part reports from its own loop, or its loops beat ([`Pulse`]) while another
//! task reports; an old report is a failure. `/health/live` never queries the database, `/health/ready` is for load
//! balancers, and `/health` contains everything.

pub(crate) mod board;
mod listener;
mod pulse;
mod status;

pub use board::Board;
pub use pulse::Pulse;
pub use status::Status;

use crate::{
    context::Context,
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
use listener::LimitedListener;
use serde_json::{Map, Value, json};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Limits of the health endpoint.
const CONNECTIONS_MAX: usize = 64;
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a service probes the database and the bus, so that a request for health costs nothing.
pub const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// Probes the database and the bus once, and reports them.
pub async fn probe(context: Context) {
    crate::metrics::upkeep();
    let started = Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(3), store::db::schema_accepted(&context.pool)).await;
    let up = matches!(answer, Ok(Ok(_)));
    let accepted = matches!(answer, Ok(Ok(true)));
    let latency = started.elapsed().as_secs_f64() * 1000.0;
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
}

/// The open connections, and their maximum.
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

/// Serves health for a service without an HTTP endpoint of its own.
pub async fn serve(context: Context, listen: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("failed to listen on {listen} for health"))?;
    let listener = LimitedListener::new(listener, CONNECTIONS_MAX, CONNECTION_TIMEOUT);
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
    body.insert("timezone_data".to_owned(), json!(attune_domain::timer::ZONE_DATA));
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
        "shutting down: draining in-flight requests"
    } else if db["up"] != true || !db["silent_seconds"].is_null() {
        // An old result is not reliable.
        "the database is unavailable"
    } else if db["schema_accepted"] != true {
        "the database schema is older than this program; run `attune migrate`"
    } else {
        ""
    };
    let bus_up = context.health.part("bus")["up"] == true;
    match (reason.is_empty(), bus_up) {
        (true, true) => (StatusCode::OK, Json(json!({"status": "ok"}))),
        (true, false) => (
            StatusCode::OK,
            Json(json!({"status": "degraded", "reason": "the message queue is down; services find work by polling"})),
        ),
        (false, _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "failing", "reason": reason})),
        ),
    }
}
