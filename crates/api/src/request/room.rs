//! How much of bodies all requests together may hold. A body may be 1 MiB and a client may take its time, so without a
//! common limit some thousand connections would fill the memory.
//!
//! What has arrived counts, not what was announced: who sends nothing holds nothing. A request's share is free again when
//! it has been answered.

use crate::problem::Problem;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Room for the bodies of all requests.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BYTES_MAX)))
    }
}

/// What one request holds.
#[derive(Debug, Clone)]
pub struct Share {
    room: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Share {
    /// Takes room for so many bytes more.
    pub fn take(&self, bytes: usize) -> Result<(), Problem> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = self.room.clone().try_acquire_many_owned(bytes).map_err(|_| full())?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.as_mut() {
            Some(taken) => taken.merge(more),
            None => *taken = Some(more),
        }
        Ok(())
    }
}

fn full() -> Problem {
    let detail = "too many large requests at once: send it again in a moment";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
}

/// Gives each request its share, for as long as it is worked on.
pub async fn give(State(room): State<Room>, mut request: Request, next: Next) -> Response {
    let share = Share {
        room: room.0,
        taken: Arc::default(),
    };
    request.extensions_mut().insert(share.clone());
    // Whoever reads the body drops the request, and goes on to work on what it has read.
    let response = next.run(request).await;
    drop(share);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::body;
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::post};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_share_is_held_until_the_answer() {
        let room = Room::default();
        let held = room.0.clone();
        let work = async move |request: Request| {
            let (parts, body) = request.into_parts();
            let bytes = body::read(&parts, body, 100).await.unwrap();
            drop(parts);
            format!("{} {}", bytes.len(), BYTES_MAX - held.available_permits())
        };
        let router = Router::new()
            .route("/", post(work))
            .layer(from_fn_with_state(room.clone(), give));
        let request = Request::post("/").body(Body::from("0123456789")).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let said = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(said, "10 10", "read, and held");
        assert_eq!(room.0.available_permits(), BYTES_MAX);
    }
}
