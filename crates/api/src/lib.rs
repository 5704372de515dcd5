//! The API: definitions, history and sign-in, for people and programs.
//!
//! One table of routes (`router`) says what there is and who may; handlers stand in `routes`, one file per noun, and
//! answer with domain types. It decides nothing about rules and runs no action: it writes rows, wakes whoever should
//! look, and tells what happened.

mod answer;
mod api;
mod audit;
pub mod auth;
mod change;
mod check;
mod client;
mod compressed;
pub mod examples;
mod headers;
mod known;
pub mod openapi;
mod problem;
mod request;
mod request_id;
mod route;
mod router;
mod routes;
mod schema;
mod server;
mod shed;
mod stream;
mod webhook;

pub use api::Api;
pub use audit::fingerprint;
pub use auth::ensure_admin;
pub use route::Route;
pub use router::{router, routes};
pub use webhook::seal_clear as seal_webhook_keys;

use anyhow::Context as _;
use attune_common::{
    health::Status,
    seal::Sealer,
    security,
    service::{Context, every},
    store,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

const REPORT_PERIOD: Duration = Duration::from_secs(1);
const LOAD_PERIOD: Duration = Duration::from_secs(2);
const INBOX_PERIOD: Duration = Duration::from_secs(60);
const PURGE_PERIOD: Duration = Duration::from_secs(600);

/// The API as a service of its own: refuses weak secrets, listens where the configuration says.
pub async fn run(context: Context) -> anyhow::Result<()> {
    security::check(&context.config)?;
    let listen = context.config.api.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("failed to listen on {listen}: set ATTUNE__API__LISTEN to a free address"))?;
    serve(context, listener).await
}

/// Serves on a listener that is open already, so that its address is known.
pub async fn serve(context: Context, listener: TcpListener) -> anyhow::Result<()> {
    let api = Api::new(&context)?;
    let address = listener.local_addr().context("the listener has no address")?;
    tracing::info!(%address, "the API listens");
    let pressure = api.pressure.clone();
    every(&context, "api health", REPORT_PERIOD, move |context| {
        report(&context, &pressure);
        std::future::ready(())
    });
    let pressure = api.pressure.clone();
    every(&context, "api load", LOAD_PERIOD, move |context| {
        let pressure = pressure.clone();
        async move { pressure.look(&context.pool).await }
    });
    every(&context, "api purge", PURGE_PERIOD, purge);
    let sealer = Arc::new(Sealer::new(&context.config.security));
    every(&context, "api inbox", INBOX_PERIOD, move |context| {
        let sealer = Arc::clone(&sealer);
        async move {
            // Purged more often than the rest, because strangers can fill it.
            let done = store::with_default_timeout(store::webhook_inbox::purge(&context.pool)).await;
            purged("webhook_request", done);
            seal_keys(&context, &sealer).await;
        }
    });
    server::serve(&context, listener, router(api, context.clone())).await
}

fn report(context: &Context, pressure: &shed::Pressure) {
    let refused = pressure.refused();
    let status = if refused.is_empty() {
        Status::Ok
    } else {
        Status::Degraded
    };
    context.health.report(
        "api",
        status,
        json!({
            "requests_per_second_max": context.config.api.requests_per_second,
            "events_oldest_seconds": pressure.seconds(),
            "refused": refused,
        }),
    );
}

async fn seal_keys(context: &Context, sealer: &Sealer) {
    match webhook::seal_clear(&context.pool, sealer).await {
        Ok(0) => {}
        Ok(keys) => tracing::info!(keys, "encrypted webhook keys that were written in the clear"),
        Err(error) => tracing::warn!(
            error = format!("{error:#}"),
            "failed to encrypt webhook keys; retrying in 60 s"
        ),
    }
}

async fn purge(context: Context) {
    let pool = &context.pool;
    purged(
        "sign_in_attempt",
        store::with_default_timeout(store::sign_in::purge(pool)).await,
    );
    purged(
        "refresh_token",
        store::with_default_timeout(store::refresh_token::purge(pool)).await,
    );
    purged(
        "idempotency",
        store::with_default_timeout(store::idempotency::purge(pool)).await,
    );
}

fn purged(table: &'static str, done: Result<u64, store::Error>) {
    match done {
        Ok(rows) => metrics::counter!("attune_purged_rows_total", "table" => table).increment(rows),
        Err(error) => tracing::debug!(table, %error, "what has expired could not be removed; it is tried again"),
    }
}
