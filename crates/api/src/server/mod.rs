//! The listening end: connections with limits on what a slow or a greedy client can hold, and a drain at the end.
//!
//! Every connection is accepted at once. When there are too many, one that only waits makes room ([`Connections`]); when
//! all of them work, health is answered all the same. No answer is lost because a client was still sending ([`Incoming`]).

mod connection;
mod connections;
mod incoming;

use crate::problem::{self, Problem};
use attune_common::{health, service::Context};
use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn, map_response},
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

/// How long requests that run may go on after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A client that takes nothing of what it is sent for so long is let go.
const TAKEN_WITHIN_MS: u32 = 10_000;
/// Files of the process that are no connection: the database, the bus, logs, programs of its own.
const OTHER_FILES: u64 = 512;

/// Serves until the process stops, and then until what runs has been answered.
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
                // Out of file descriptors, most likely: a connection has to end first.
                tracing::warn!(%error, "a connection could not be accepted");
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
        tracing::warn!("requests that were still running have been dropped");
        abandoned.cancel();
        running.wait().await;
    }
    Ok(())
}

/// Raises the limit of open files so that so many connections fit, as far as the system allows; how many do.
fn files_for(connections: u32) -> usize {
    let needed = u64::from(connections) + OTHER_FILES;
    let open = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, hard)| {
        let wanted = needed.min(hard);
        if soft >= wanted || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
            soft.max(wanted)
        } else {
            soft
        }
    });
    let fit = open.unwrap_or(needed).saturating_sub(OTHER_FILES).max(64);
    if fit < u64::from(connections) {
        tracing::warn!(
            connections_max = connections,
            fit,
            "the process may not open enough files for api.connections_max: raise its limit of open files (LimitNOFILE, \
             ulimit -n)"
        );
    }
    let connections = usize::try_from(connections).unwrap_or(usize::MAX);
    connections.min(usize::try_from(fit).unwrap_or(usize::MAX))
}

/// What is answered while all places are taken by requests that are worked on.
fn health_only(context: &Context) -> Router {
    async fn full() -> Problem {
        let detail = "too many connections are open: try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
    }
    async fn close(mut response: Response) -> Response {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
    let router = Router::new().fallback(full).layer(from_fn(problem::finish));
    router.merge(health::router(context.clone())).layer(map_response(close))
}

fn prepare(stream: &TcpStream) {
    // Small answers must not wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // Without it one that stopped reading a stream of changes would keep its place for ever. Linux also takes its time for one
    // that reads a little now and then: it starts again only when there is room for all of the packet that waits.
    if let Err(error) = setsockopt(stream, sockopt::TcpUserTimeout, &TAKEN_WITHIN_MS) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
}
