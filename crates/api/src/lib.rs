//! The API: definitions, history and sign-in, for people and programs.
//!
//! One table (`table`) lists the routes and their rights; the handlers are in `routes`, one file per noun, and return
//! domain types. The API evaluates no rules and runs no actions: it writes rows, wakes the services that act on them, and
//! shows the results.

mod answer;
mod api;
mod audit;
pub mod auth;
mod catalog;
mod client;
mod compressed;
mod creation;
mod definitions;
pub mod examples;
mod headers;
mod known;
mod limits;
mod load_shedding;
mod openapi;
mod problem;
mod request;
mod request_id;
mod route;
mod router;
mod routes;
mod schema;
mod server;
mod stream;
mod table;
mod ui;
mod webhook;

pub use api::Api;
pub use audit::fingerprint;
pub use auth::ensure_admin;
pub use route::Route;
pub use router::router;
pub use table::routes;
pub use ui::build as ui_build;
pub use webhook::seal_clear as seal_webhook_keys;

use load_shedding::Backlog;
use webhook::Rejections;

use anyhow::Context as _;
use attune_common::{
    health::Status,
    seal::Sealer,
    security,
    service::{Context, every},
    store, sync,
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

const REPORT_PERIOD: Duration = Duration::from_secs(1);
const LOAD_PERIOD: Duration = Duration::from_secs(2);
const INBOX_PERIOD: Duration = Duration::from_secs(60);
const PURGE_PERIOD: Duration = Duration::from_secs(600);
/// How long before its end a secret counts as expiring.
const EXPIRY_DAYS: i32 = 14;

/// The documentation of the API.
pub fn openapi_document() -> Value {
    openapi::document(&routes())
}

/// Runs the API as a service: refuses weak secrets and listens on the configured address.
pub async fn run(context: Context) -> anyhow::Result<()> {
    security::check(&context.config)?;
    let listen = context.config.api.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("failed to listen on {listen}: set ATTUNE__API__LISTEN to a free address"))?;
    serve(context, listener).await
}

/// Serves on an open listener, whose address the caller knows.
pub async fn serve(context: Context, listener: TcpListener) -> anyhow::Result<()> {
    let api = Api::new(&context)?;
    let address = listener
        .local_addr()
        .context("failed to get the address of the listener")?;
    tracing::info!(%address, "the API is listening");
    let (backlog, rejections) = (api.backlog.clone(), api.webhooks.rejections.clone());
    let expiring = Expiring::default();
    let found = Arc::clone(&expiring);
    every(&context, "api health", REPORT_PERIOD, move |context| {
        report(&context, &backlog, &rejections, &expiring);
        std::future::ready(())
    });
    let backlog = api.backlog.clone();
    every(&context, "api load", LOAD_PERIOD, move |context| {
        let backlog = backlog.clone();
        async move { backlog.measure(&context.pool).await }
    });
    every(&context, "api purge", PURGE_PERIOD, purge);
    every(&context, "api secrets", INBOX_PERIOD, move |context| {
        find_expiring(context, Arc::clone(&found))
    });
    let sealer = Arc::new(Sealer::new(&context.config.security));
    every(&context, "api inbox", INBOX_PERIOD, move |context| {
        let sealer = Arc::clone(&sealer);
        async move {
            // More often than the rest, because unauthenticated senders fill it.
            let done = store::with_default_timeout(store::webhook_inbox::purge(&context.pool)).await;
            purged("webhook_request", done);
            seal_keys(&context, &sealer).await;
        }
    });
    server::serve(&context, listener, router(api, context.clone())).await
}

/// Reports health.
fn report(context: &Context, backlog: &Backlog, rejections: &Rejections, expiring: &Expiring) {
    let refused = backlog.refused();
    let expiring = sync::lock(expiring).clone();
    let status = if refused.is_empty() && expiring.is_empty() {
        Status::Ok
    } else {
        Status::Degraded
    };
    context.health.report(
        "api",
        status,
        json!({
            "requests_per_second_max": context.config.api.requests_per_second,
            "events_oldest_seconds": backlog.seconds(),
            "refused": refused,
            "webhooks_rejected": rejections.totals(),
            "secrets_expiring": expiring,
        }),
    );
}

/// Secrets that expire soon, for the health report.
type Expiring = Arc<Mutex<Vec<Value>>>;

async fn find_expiring(context: Context, expiring: Expiring) {
    match store::with_default_timeout(store::secret::expiring(&context.pool, EXPIRY_DAYS)).await {
        Ok(found) => {
            let found = found
                .into_iter()
                .map(|(secret, at)| json!({"ref": secret, "expires_at": at}));
            *sync::lock(&expiring) = found.collect();
        }
        Err(error) => tracing::debug!(%error, "failed to query expiring secrets; retrying in 60 s"),
    }
}

async fn seal_keys(context: &Context, sealer: &Sealer) {
    match webhook::seal_clear(&context.pool, sealer).await {
        Ok(0) => {}
        Ok(keys) => tracing::info!(keys, "encrypted webhook keys that were stored in clear text"),
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
        "sign_in_link",
        store::with_default_timeout(store::web_session::purge_links(pool)).await,
    );
    purged(
        "idempotency",
        store::with_default_timeout(store::idempotency::purge(pool)).await,
    );
}

fn purged(table: &'static str, done: Result<u64, store::Error>) {
    match done {
        Ok(rows) => metrics::counter!("attune_purged_rows_total", "table" => table).increment(rows),
        Err(error) => tracing::debug!(table, %error, "failed to remove expired rows; retrying"),
    }
}
