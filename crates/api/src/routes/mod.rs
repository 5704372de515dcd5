//! Handlers, one file per noun, with the forms of their requests beside them.

pub mod action;
pub mod attempt;
pub mod audit;
pub mod auth;
pub mod docs;
pub mod dry_run;
pub mod enforcement;
pub mod event;
pub mod execution;
pub mod explain;
pub mod identity;
pub mod log;
pub mod pack;
pub mod queue;
pub mod rotate;
pub mod rule;
pub mod rule_trigger;
pub mod runtime;
pub mod service;
pub mod stream;
pub mod timer;
pub mod token;
pub mod trace;
pub mod trigger;
pub mod webhook;
pub mod webhook_request;
