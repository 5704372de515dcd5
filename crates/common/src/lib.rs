//! Everything shared that touches the outside: configuration, clock, telemetry, start and stop of services, health,
//! the store (all SQL), the bus (RabbitMQ or in-process), ingest and packs.
//!
//! One owner per outside thing: SQL text stands in [`store`] only, `lapin` in [`bus`] only, the wall clock in [`clock`]
//! only, environment variables in [`config`] only, child processes in [`postgres`] only
//! (and in the worker's runner).

pub mod bus;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod health;
pub mod heartbeat;
pub mod ingest;
pub mod metrics;
pub mod network;
pub mod packs;
pub mod postgres;
pub mod saturating;
pub mod seal;
pub mod security;
pub mod service;
pub mod slots;
pub mod store;
pub mod sync;
pub mod telemetry;
#[cfg(feature = "testing")]
#[expect(clippy::expect_used, reason = "a test that cannot be set up fails")]
pub mod testing;
