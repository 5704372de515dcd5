//! The listening end: limits what a slow or greedy client can occupy, and drains connections at the end.
//!
//! Every connection is accepted immediately. When there are too many, an idle one is evicted ([`Connections`]). When all of
//! them have running requests, health is still answered. No answer is lost because a client is still sending
//! ([`Incoming`]). What the HTTP parser refuses is answered like everything else ([`refused`]).

mod connection;
mod connections;
mod incoming;
mod refused;

use crate::problem::{self, Methods, Problem};
use attune_common::{health, service::Context};
use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn_with_state, map_response},
    response::Response,
};
use connection::Connection;
use connections::{Connections, Place};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{setsockopt, sockopt},
};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The grace period of running requests after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A connection whose client acknowledges nothing for this long is closed.
const SEND_TIMEOUT_MS: u32 = 10_000;
/// Files of the process that are not client connections: the database, the bus, logs, child processes.
const OTHER_FILES: u64 = 512;

/// Serves until the process stops, and then until the running requests are answered.
pub async fn serve(context: &Context, listener: TcpListener, router: Router) -> anyhow::Result<()> {
    let connections = Connections::new(&context.config.api, files_for(context.config.api.connections_max));
    let health = health_only(context);
    let (running, abandoned) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = context.stopping().cancelled() => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Probably out of file descriptors: a connection has to be closed first.
                tracing::warn!(%error, "failed to accept a connection");
                connections.evict();
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (ticket, router) = match connections.admit(address.ip()) {
            Place::Full(ticket) => (ticket, router.clone()),
            Place::HealthOnly(ticket) => (ticket, health.clone()),
            Place::Refused => continue,
        };
        prepare(&stream);
        let connection = Connection {
            router,
            address,
            ticket,
            stopping: context.stopping().clone(),
            abandoned: abandoned.clone(),
        };
        running.spawn(connection.run(stream));
    }
    drop(listener);
    running.close();
    if tokio::time::timeout(DRAIN, running.wait()).await.is_err() {
        tracing::warn!("dropped requests that were still running after the grace period");
        abandoned.cancel();
        running.wait().await;
    }
    Ok(())
}

/// Raises the limit of open files for this many connections, as far as the system allows. Returns how many fit.
fn files_for(connections: u32) -> usize {
    let needed = u64::from(connections) + OTHER_FILES;
    let open = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, hard)| {
        let target = needed.min(hard);
        if soft >= target || setrlimit(Resource::RLIMIT_NOFILE, target, hard).is_ok() {
            soft.max(target)
        } else {
            soft
        }
    });
    let fit = open.unwrap_or(needed).saturating_sub(OTHER_FILES).max(64);
    if fit < u64::from(connections) {
        tracing::warn!(
            connections_max = connections,
            fit,
            "the process cannot open enough files for api.connections_max; raise its limit of open files (LimitNOFILE, \
             ulimit -n)"
        );
    }
    let connections = usize::try_from(connections).unwrap_or(usize::MAX);
    connections.min(usize::try_from(fit).unwrap_or(usize::MAX))
}

/// Answers health, and refuses everything else, while all connections have running requests.
fn health_only(context: &Context) -> Router {
    async fn full() -> Problem {
        let detail = "too many open connections; retry";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
    }
    async fn close(mut response: Response) -> Response {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
    let router = Router::new()
        .fallback(full)
        .layer(from_fn_with_state(Methods::default(), problem::finish));
    router.merge(health::router(context.clone())).layer(map_response(close))
}

fn prepare(stream: &TcpStream) {
    // Small answers must not be delayed.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    // Without it, a client that stops reading a stream would keep its connection forever. Linux restarts the timeout only
    // when there is room for the whole pending packet, so it also applies to a client that reads very slowly.
    if let Err(error) = setsockopt(stream, sockopt::TcpUserTimeout, &SEND_TIMEOUT_MS) {
        tracing::debug!(%error, "failed to set TCP_USER_TIMEOUT");
    }
}
