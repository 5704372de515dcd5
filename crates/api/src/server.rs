//! The listening end: connections with limits on what a slow or a greedy client can hold, and a drain at the end.

use crate::auth::Peer;
use anyhow::Context as _;
use attune_common::service::Context;
use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use nix::sys::socket::{setsockopt, sockopt};
use std::{net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADER_READ: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 4096;
/// How long requests that run may go on after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A client that takes nothing of what it is sent for so long is let go.
const TAKEN_WITHIN_MS: u32 = 10_000;

/// Serves until the process stops, and then until what runs has been answered.
pub async fn serve(context: &Context, listener: TcpListener, router: Router) -> anyhow::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ)
        .max_buf_size(HEADER_BYTES_MAX);
    let graceful = GracefulShutdown::new();
    let room = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = room.clone().acquire_owned().await.context("the listener has ended")?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = context.stopping().cancelled() => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: somebody has to go first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = graceful.watch(http.serve_connection(prepared(stream), service(router.clone(), address)));
        context.tracker().spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended with an error");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that were still running have been dropped");
    }
    Ok(())
}

fn prepared(stream: TcpStream) -> TokioIo<TcpStream> {
    // Small answers must not wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // Without it one that stopped reading a stream of changes would keep its place for ever. Linux also takes its time for one
    // that reads a little now and then: it starts again only when there is room for all of the packet that waits.
    if let Err(error) = setsockopt(&stream, sockopt::TcpUserTimeout, &TAKEN_WITHIN_MS) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    TokioIo::new(stream)
}

/// The router for one connection; every request knows where it came from.
fn service(
    router: Router,
    address: SocketAddr,
) -> TowerToHyperService<
    impl tower::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send,
    > + Clone,
> {
    TowerToHyperService::new(router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(address));
        request
    }))
}
