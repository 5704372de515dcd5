//! One connection: serves its requests one after the other, and closes so that the client does not lose the last answer.

use super::{
    connections::{Ticket, Waiting},
    incoming::{Incoming, Left, Rest, discard},
    refused::{self, Explained, Heard},
};
use crate::client::Peer;
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
};
use hyper::{
    body::{Frame, Incoming as Unread, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADER_READ: Duration = Duration::from_secs(10);
/// How much, and how long, a client may still send after the last answer.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(3);
const LINGER_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Connection {
    pub router: Router,
    pub address: SocketAddr,
    pub ticket: Ticket,
    /// Running requests are still answered.
    pub stopping: CancellationToken,
    /// Requests are no longer answered.
    pub abandoned: CancellationToken,
}

impl Connection {
    pub async fn run(self, stream: TcpStream) {
        let (evicted, abandoned) = (self.ticket.evicted.clone(), self.abandoned.clone());
        tokio::select! {
            () = self.serve(stream) => {}
            () = evicted.cancelled() => {}
            () = abandoned.cancelled() => {}
        }
    }

    async fn serve(self, stream: TcpStream) {
        let (rest, bodies) = mpsc::channel(1);
        let (left, heard) = (Left::default(), Heard::default());
        let answering = Answering {
            router: self.router.clone(),
            peer: Peer(self.address),
            waiting: self.ticket.waiting.clone(),
            rest,
            left: left.clone(),
            heard: heard.clone(),
        };
        let service = service_fn(move |request| Box::pin(answering.clone().answer(request)));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ)
            .max_buf_size(HEADER_BYTES_MAX);
        let stream = Explained::new(stream, self.ticket.waiting.clone(), heard.clone());
        let mut connection = http.serve_connection(TokioIo::new(stream), service);
        let mut discarding = pin!(discard(bodies, left.clone()));
        let mut ending = false;
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                () = &mut discarding => {}
                () = self.stopping.cancelled(), if !ending => {
                    ending = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        if let Err(error) = &ended {
            tracing::debug!(%error, "a connection ended with an error");
        }
        self.ticket.waiting.begin();
        let mut stream = connection.into_parts().io.into_inner().stream;
        // An idle connection is closed without an answer.
        if ended.as_ref().is_err_and(hyper::Error::is_timeout) && heard.is_set() {
            let answer = refused::answer(StatusCode::REQUEST_TIMEOUT);
            let _ = timeout(LINGER_PAUSE, stream.write_all(&answer)).await;
        }
        if left.is_some() || ended.is_err() {
            linger(stream).await;
        }
    }
}

/// Closes the sending half and reads on for a while. If the connection were closed with unread bytes, the system of the
/// client would discard an answer that the client has not read yet.
async fn linger(mut stream: TcpStream) {
    let rest = async {
        stream.shutdown().await?;
        let (mut buffer, mut bytes) = (vec![0; 16 * 1024], 0);
        while bytes < LINGER_BYTES {
            match timeout(LINGER_PAUSE, stream.read(&mut buffer)).await {
                Ok(Ok(count)) if count > 0 => bytes += count,
                _ => break,
            }
        }
        std::io::Result::Ok(())
    };
    if timeout(LINGER, rest).await.is_err() {
        tracing::debug!("closing a connection whose client continues to send after its last answer");
    }
}

/// The shared state of the requests of a connection.
#[derive(Debug, Clone)]
struct Answering {
    router: Router,
    peer: Peer,
    waiting: Waiting,
    rest: Rest,
    left: Left,
    heard: Heard,
}

impl Answering {
    async fn answer(self, request: Request<Unread>) -> Result<Response<Body>, Infallible> {
        let Self {
            router,
            peer,
            waiting,
            rest,
            left,
            heard,
        } = self;
        heard.set(false);
        let expects = request.headers().contains_key(header::EXPECT);
        let unbounded = declared(request.headers()).is_some_and(|bytes| bytes > super::incoming::BYTES_MAX);
        let (of_request, unread) = (waiting.clone(), left.clone());
        let mut request = request.map(|body| Body::new(Incoming::new(body, expects, of_request, rest, unread)));
        request.extensions_mut().insert(peer);
        let Ok(mut response) = router.oneshot(request).await;
        let slow = response.status() == StatusCode::REQUEST_TIMEOUT;
        if left.is_some() && (expects || unbounded || slow) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(response.map(|body| Body::new(Outgoing { body, waiting })))
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body of an answer. Dropping it means that the connection waits for the next request.
#[derive(Debug)]
struct Outgoing {
    body: Body,
    waiting: Waiting,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.waiting.begin();
    }
}
