//! The body of a request: notifies its connection when it is complete, and passes on the part that no handler has read.
//!
//! A request is often answered before its body was read: without a token, without a route, if it is too large. Clients
//! such as Python's `http.client` write the complete body before they read the answer, and lose the answer if the
//! connection is closed before that. So the rest is read and discarded, within limits, and the connection stays open.

use super::connections::Waiting;
use hyper::body::{Body, Bytes, Frame, Incoming as Unread, SizeHint};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// How much of a body is discarded.
pub const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The connection of a client that sends more slowly is closed.
const BYTES_PER_SECOND_MIN: u64 = 64 * 1024;
const GRACE: Duration = Duration::from_secs(3);
const WITHIN: Duration = Duration::from_secs(30);

/// The rest of a body, for the connection that discards it.
pub type Rest = mpsc::Sender<Unread>;

#[derive(Debug)]
pub struct Incoming {
    body: Option<Unread>,
    waiting: Waiting,
    rest: Rest,
    left: Left,
    /// The client waits for `100 Continue` before it sends the body. It does not get one for an unread body.
    expects: bool,
}

/// Whether a part of the body was not read.
#[derive(Debug, Clone, Default)]
pub struct Left(Arc<AtomicBool>);

impl Left {
    pub fn is_some(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, left: bool) {
        self.0.store(left, Ordering::Relaxed);
    }
}

impl Incoming {
    pub fn new(body: Unread, expects: bool, waiting: Waiting, rest: Rest, left: Left) -> Self {
        if body.is_end_stream() {
            waiting.end();
        } else {
            waiting.begin();
        }
        Self {
            body: Some(body),
            waiting,
            rest,
            left,
            expects,
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let over = body.is_end_stream() || matches!(polled, Poll::Ready(None | Some(Err(_))));
        if over {
            self.body = None;
            self.waiting.end();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        self.waiting.end();
        self.left.set(true);
        let bounded = body.size_hint().lower() <= BYTES_MAX;
        // Otherwise dropped: the connection stops reading and closes.
        if bounded && !self.expects && self.rest.try_send(body).is_err() {
            tracing::debug!("the rest of a body is not read, because its connection is closed");
        }
    }
}

/// Discards the rests of bodies, one after the other. Never ends.
pub async fn discard(mut bodies: mpsc::Receiver<Unread>, left: Left) {
    while let Some(body) = bodies.recv().await {
        if discarded(body).await {
            left.set(false);
        }
    }
    std::future::pending::<()>().await;
}

/// Reads a body to its end; false if that fails or exceeds a limit.
async fn discarded(mut body: Unread) -> bool {
    let began = Instant::now();
    let mut bytes: u64 = 0;
    loop {
        let allowed = GRACE + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN);
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        match timeout_at(began + allowed.min(WITHIN), frame).await {
            Ok(None) => return true,
            Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Ok(Some(Err(_))) | Err(_) => return false,
        }
        if bytes > BYTES_MAX {
            return false;
        }
    }
}
