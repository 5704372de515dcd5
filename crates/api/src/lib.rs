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
use attune_common::{health::Status, seal::Sealer, security, service::Context, store};
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;

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
    context.spawn("api upkeep", upkeep(context.clone(), api.pressure.clone()));
    context.spawn("api removals", removals(context.clone()));
    server::serve(&context, listener, router(api, context.clone())).await
}

/// Says that it lives, and looks how far behind the executors are.
async fn upkeep(context: Context, pressure: shed::Pressure) -> anyhow::Result<()> {
    let mut ticks: u64 = 0;
    loop {
        let refused = pressure.refused();
        context.health.report(
            "api",
            if refused.is_empty() {
                Status::Ok
            } else {
                Status::Degraded
            },
            json!({
                "requests_per_second_max": context.config.api.requests_per_second,
                "events_oldest_seconds": pressure.seconds(),
                "refused": refused,
            }),
        );
        if ticks.is_multiple_of(2) {
            pressure.look(&context.pool).await;
        }
        ticks += 1;
        tokio::select! {
            () = context.stopping().cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Removes what has expired. A task of its own: it may wait for the database longer than health does.
async fn removals(context: Context) -> anyhow::Result<()> {
    let sealer = Sealer::new(&context.config.security);
    let again_and_again = async {
        let mut minutes: u64 = 0;
        loop {
            if minutes.is_multiple_of(10) {
                purge(&context).await;
            }
            // More often: what strangers send fills it.
            let done = store::with_default_timeout(store::webhook_inbox::purge(&context.pool)).await;
            purged("webhook_request", done);
            seal_keys(&context, &sealer).await;
            minutes += 1;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    };
    tokio::select! {
        () = context.stopping().cancelled() => Ok(()),
        () = again_and_again => Ok(()),
    }
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

async fn purge(context: &Context) {
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
