//! Limits the memory that the bodies of all requests use together. A body may be 1 MiB and a client may send it slowly,
//! so without a common limit a few thousand connections would exhaust the memory.
//!
//! Anonymous clients have a small budget of their own, which a single client cannot exhaust, so that they take nothing
//! from signed-in callers. Received bytes count, not announced ones. A reservation ends when its request is answered.

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

/// Who sends a body; each kind has a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Before sign-in.
    Anonymous,
    /// Knows the address of a webhook.
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
    const fn bytes_max_per_client(self) -> usize {
        match self {
            Self::Anonymous => 2 * MIB,
            Self::Webhook => 8 * MIB,
            Self::SignedIn => self.bytes_max(),
        }
    }
}

/// The budget for the bodies of all requests.
#[derive(Debug, Clone, Default)]
pub struct BodyBudget(Arc<Mutex<Totals>>);

#[derive(Debug, Default)]
struct Totals {
    bytes: [usize; Sender::ALL.len()],
    by_client: HashMap<(Sender, IpAddr), usize>,
}

impl BodyBudget {
    fn take(&self, sender: Sender, client: IpAddr, bytes: usize) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = used.by_client.get(&(sender, client)).copied().unwrap_or_default();
        let fits = used.bytes[sender as usize] + bytes <= sender.bytes_max()
            && of_client + bytes <= sender.bytes_max_per_client();
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

/// The part of the budget that one request uses.
#[derive(Debug, Clone)]
pub struct Reservation(Arc<Used>);

#[derive(Debug)]
struct Used {
    budget: BodyBudget,
    client: IpAddr,
    sender: OnceLock<Sender>,
    bytes: Mutex<usize>,
}

impl Reservation {
    /// Sets the kind of sender. Call it as soon as that is known, before the body is read.
    pub fn set_sender(&self, sender: Sender) {
        if self.0.sender.set(sender).is_err() {
            tracing::debug!("the sender of a request was set twice");
        }
    }

    /// Reserves more bytes.
    pub fn grow(&self, bytes: usize) -> Result<(), Problem> {
        let Used {
            budget,
            client,
            sender,
            bytes: held,
        } = &*self.0;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if !budget.take(*sender.get_or_init(|| Sender::Anonymous), *client, bytes) {
            return Err(exhausted());
        }
        *held += bytes;
        Ok(())
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = self.sender.get().filter(|_| bytes > 0) {
            self.budget.free(*sender, self.client, bytes);
        }
    }
}

fn exhausted() -> Problem {
    let detail = "too many large requests at once; retry";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
}

/// Gives each request a reservation until it is answered.
pub async fn layer(State(budget): State<BodyBudget>, mut request: Request, next: Next) -> Response {
    let client = request.extensions().get::<Client>().copied();
    let reservation = Reservation(Arc::new(Used {
        budget,
        client: client.map_or(IpAddr::from([0, 0, 0, 0]), Client::network),
        sender: OnceLock::new(),
        bytes: Mutex::default(),
    }));
    request.extensions_mut().insert(reservation.clone());
    // The handler drops the request when it has read the body, and then still uses its bytes.
    let response = next.run(request).await;
    drop(reservation);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::body;
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::post};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_reservation_ends_with_the_answer() {
        let budget = BodyBudget::default();
        let observed = budget.clone();
        let work = async move |request: Request| {
            let (parts, body) = request.into_parts();
            let bytes = body::read(&parts, body, 100).await.unwrap();
            drop(parts);
            format!("{} {}", bytes.len(), observed.used())
        };
        let router = Router::new()
            .route("/", post(work))
            .layer(from_fn_with_state(budget.clone(), layer));
        let request = Request::post("/").body(Body::from("0123456789")).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let text = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(text, "10 10", "read and reserved");
        assert_eq!(budget.used(), 0);
    }

    impl BodyBudget {
        fn used(&self) -> usize {
            self.0.lock().unwrap().bytes.iter().sum()
        }
    }

    #[test]
    fn an_anonymous_client_exhausts_neither_its_budget_nor_that_of_others() {
        let budget = BodyBudget::default();
        let client = |n: u8| IpAddr::from([192, 0, 2, n]);
        let takes = |sender, n| (0..1_000).take_while(|_| budget.take(sender, client(n), MIB)).count();
        assert_eq!(takes(Sender::Anonymous, 1), 2);
        assert_eq!(
            (2..10).map(|n| takes(Sender::Anonymous, n)).sum::<usize>(),
            6,
            "the rest of 8 MiB"
        );
        assert_eq!(takes(Sender::Webhook, 1), 8);
        assert_eq!(takes(Sender::SignedIn, 1), 32);
        budget.free(Sender::Anonymous, client(1), 2 * MIB);
        assert_eq!(takes(Sender::Anonymous, 1), 2);
    }
}
