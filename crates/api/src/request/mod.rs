//! Strict extractors for requests: they refuse unknown, repeated and badly typed fields by name, all at once.

pub mod body;
pub mod body_budget;
pub mod conditional;
pub mod content;
pub mod idempotency;
pub mod one_of;
pub mod path;
pub mod query;

pub use attune_domain::{form, form::Form};
pub use body::{Body, Changes, Draft, Items};
pub use conditional::IfMatch;
pub use one_of::{OneOf, Texts};
pub use path::{Id, Name};
pub use query::Query;
