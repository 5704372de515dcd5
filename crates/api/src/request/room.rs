//! How much of bodies all requests together may hold. A body may be 1 MiB and a client may take its time, so without a
//! common limit some thousand connections would fill the memory.
//!
//! Who is not signed in has a small room of its own, so that it takes nothing from those who are, and no client may fill
//! that alone. What has arrived counts, not what was announced. A request's share is free again when it has been answered.

use crate::{client::Client, problem::Problem};
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

const MIB: usize = 1024 * 1024;

/// Who sends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Anybody: sign-in, and what is not read at all.
    Anonymous,
    /// Who knows the address of a webhook.
    Webhook,
    SignedIn,
}

impl Sender {
    const ALL: [Self; 3] = [Self::Anonymous, Self::Webhook, Self::SignedIn];

    /// The bytes of all bodies together.
    const fn bytes_max(self) -> usize {
        match self {
            Self::Anonymous => 8 * MIB,
            Self::Webhook => 24 * MIB,
            Self::SignedIn => 32 * MIB,
        }
    }

    /// The bytes of all bodies of one client.
    const fn of_client_max(self) -> usize {
        match self {
            Self::Anonymous => 2 * MIB,
            Self::Webhook => 8 * MIB,
            Self::SignedIn => self.bytes_max(),
        }
    }
}

/// Room for the bodies of all requests.
#[derive(Debug, Clone, Default)]
pub struct Room(Arc<Mutex<Used>>);

#[derive(Debug, Default)]
struct Used {
    bytes: [usize; Sender::ALL.len()],
    by_client: HashMap<(Sender, IpAddr), usize>,
}

impl Room {
    fn take(&self, sender: Sender, client: IpAddr, bytes: usize) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = used.by_client.get(&(sender, client)).copied().unwrap_or_default();
        let fits =
            used.bytes[sender as usize] + bytes <= sender.bytes_max() && of_client + bytes <= sender.of_client_max();
        if fits {
            used.bytes[sender as usize] += bytes;
            used.by_client.insert((sender, client), of_client + bytes);
        }
        fits
    }

    fn free(&self, sender: Sender, client: IpAddr, bytes: usize) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.bytes[sender as usize] -= bytes;
        let of_client = used.by_client.entry((sender, client)).or_default();
        *of_client -= bytes;
        if *of_client == 0 {
            used.by_client.remove(&(sender, client));
        }
    }
}

/// What one request holds.
#[derive(Debug, Clone)]
pub struct Share(Arc<Held>);

#[derive(Debug)]
struct Held {
    room: Room,
    client: IpAddr,
    sender: OnceLock<Sender>,
    bytes: Mutex<usize>,
}

impl Share {
    /// Says who sends the request, once that is known and before its body is read.
    pub fn is_of(&self, sender: Sender) {
        if self.0.sender.set(sender).is_err() {
            tracing::debug!("the sender of a request is known already");
        }
    }

    /// Takes room for so many bytes more.
    pub fn take(&self, bytes: usize) -> Result<(), Problem> {
        let Held {
            room,
            client,
            sender,
            bytes: held,
        } = &*self.0;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if !room.take(*sender.get_or_init(|| Sender::Anonymous), *client, bytes) {
            return Err(full());
        }
        *held += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = self.sender.get().filter(|_| bytes > 0) {
            self.room.free(*sender, self.client, bytes);
        }
    }
}

fn full() -> Problem {
    let detail = "too many large requests at once: send it again in a moment";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
}

/// Gives each request its share, for as long as it is worked on.
pub async fn give(State(room): State<Room>, mut request: Request, next: Next) -> Response {
    let client = request.extensions().get::<Client>().copied();
    let share = Share(Arc::new(Held {
        room,
        client: client.map_or(IpAddr::from([0, 0, 0, 0]), Client::network),
        sender: OnceLock::new(),
        bytes: Mutex::default(),
    }));
    request.extensions_mut().insert(share.clone());
    // The handler drops the request when it has read the body, and goes on to work on it.
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
        let held = room.clone();
        let work = async move |request: Request| {
            let (parts, body) = request.into_parts();
            let bytes = body::read(&parts, body, 100).await.unwrap();
            drop(parts);
            format!("{} {}", bytes.len(), held.used())
        };
        let router = Router::new()
            .route("/", post(work))
            .layer(from_fn_with_state(room.clone(), give));
        let request = Request::post("/").body(Body::from("0123456789")).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let said = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(said, "10 10", "read, and held");
        assert_eq!(room.used(), 0);
    }

    impl Room {
        fn used(&self) -> usize {
            self.0.lock().unwrap().bytes.iter().sum()
        }
    }

    #[test]
    fn a_client_without_a_sign_in_fills_neither_the_room_nor_that_of_others() {
        let room = Room::default();
        let client = |n: u8| IpAddr::from([192, 0, 2, n]);
        let takes = |sender, n| (0..1_000).take_while(|_| room.take(sender, client(n), MIB)).count();
        assert_eq!(takes(Sender::Anonymous, 1), 2);
        assert_eq!(
            (2..10).map(|n| takes(Sender::Anonymous, n)).sum::<usize>(),
            6,
            "the rest of 8 MiB"
        );
        assert_eq!(takes(Sender::Webhook, 1), 8);
        assert_eq!(takes(Sender::SignedIn, 1), 32);
        room.free(Sender::Anonymous, client(1), 2 * MIB);
        assert_eq!(takes(Sender::Anonymous, 1), 2);
    }
}
