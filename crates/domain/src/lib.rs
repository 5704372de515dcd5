//! The domain: definitions, occurrences, and the decisions about them.
//!
//! Everything here is a pure function of facts and `now`: no async, no I/O, no clock, no randomness.
//! The services load facts, call this crate, and apply the result.

pub mod chain;
pub mod condition;
pub mod dedup;
pub mod definition;
pub mod event;
pub mod execution;
pub mod expression;
pub mod field_error;
pub mod file_watch;
pub mod form;
pub mod id;
pub mod identity;
pub mod json;
pub mod moment;
mod number;
pub mod occurrence;
pub mod on_failure;
pub mod output;
pub mod parameters;
pub mod policy;
pub mod raw;
pub mod reference;
pub mod resources;
pub mod retry;
pub mod rule;
pub mod secret;
pub mod spelled;
pub mod template;
pub mod text;
pub mod timer;
pub mod variables;
pub mod webhook;
pub mod whole;

pub use field_error::{FieldError, FieldErrors};
pub use id::*;
pub use reference::{ActionRef, PackRef, Ref, RuleRef, TriggerRef};
