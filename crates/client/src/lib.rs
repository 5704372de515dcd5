//! A client of Attune's API: requests that are retried when the server is busy, lists that are read page by page, and the
//! live stream, which reconnects by itself.
//!
//! It depends on `attune-domain` only, so that other programs can use it.
//!
//! The tricky thing is what may be sent twice: a request is retried only if the server has certainly refused it, or if
//! repeating it has no further effect.

mod client;
mod error;
mod message;
mod page;
mod request;
mod retry;
mod stream;
mod tls;
mod transport;

pub use client::Client;
pub use error::{Error, Problem};
pub use hyper::Method;
pub use message::{Reply, encoded};
pub use page::Pages;
pub use request::Request;
pub use stream::{Change, Changes};
pub use transport::{Exchange, Settings};
