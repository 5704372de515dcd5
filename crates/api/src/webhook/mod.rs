//! Webhooks: which trigger an address belongs to, whether a request is genuine, and the inbox of requests.

mod endpoints;
mod handshake;
mod inbox;
mod keys;
mod known;
mod outcome;
mod read;
mod receive;
mod state;

pub use endpoints::Endpoint;
pub use keys::seal_clear;
pub use outcome::{Outcome, wait};
pub use receive::{Receiver, Verdict, rebuild_payload};
pub use state::{Rejections, Webhooks};
