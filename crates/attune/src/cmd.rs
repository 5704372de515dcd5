//! The commands that use the API and have no noun.

pub mod api;
pub mod bundle;
pub mod context;
pub mod doctor;
pub mod evaluation;
pub mod events;
pub mod follow;
pub mod help;
pub mod input;
pub mod login;
pub mod logs;
pub mod quick;
pub mod run;
pub mod session;
pub mod status;
pub mod why;
pub mod why_not;
