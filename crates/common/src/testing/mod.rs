//! Support for the tests of all crates: databases, RabbitMQ nodes, and waiting without sleeping.

pub mod database;
pub mod generated;
pub mod guarded;
pub mod postgres;
pub mod proxy;
pub mod rabbitmq;
pub mod statements;

pub use database::Database;
pub use guarded::{Frozen, Guarded};
pub use postgres::PostgresNode;
pub use proxy::{Proxy, Target, Way};
pub use statements::Statements;

use std::time::{Duration, Instant};

/// Polls until `condition` returns a value. Panics with `what` after `within`.
pub async fn eventually<T>(what: &str, within: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
