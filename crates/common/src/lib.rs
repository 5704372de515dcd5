//! Everything shared that touches the outside: configuration, clock, telemetry, start and stop of services, health, the store
//! (all SQL), the bus (RabbitMQ or in-process), ingest and packs.
//!
//! Each external resource has one owner: SQL only in [`store`], `lapin` only in [`bus`], the wall clock only in [`clock`],
//! environment variables only in [`config`], child processes only in [`postgres`] (and in the worker's runner).

pub mod announce;
pub mod bus;
pub mod clock;
pub mod config;
mod context;
pub mod failpoint;
pub mod health;
pub mod heartbeat;
pub mod hex;
pub mod ingest;
pub mod joint;
pub mod metrics;
pub mod network;
pub mod packs;
pub mod pool_key;
pub mod postgres;
pub mod private_files;
pub mod saturating;
pub mod seal;
pub mod secrets;
pub mod security;
pub mod service;
pub mod slots;
pub mod store;
pub mod sync;
pub mod telemetry;
#[cfg(feature = "testing")]
#[expect(clippy::expect_used, reason = "a test without its environment fails")]
pub mod testing;
