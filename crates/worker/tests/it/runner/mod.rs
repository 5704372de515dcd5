//! The runner with the real supervisor, which is this crate's own binary.

mod deaths;
mod ends;
mod isolation;
mod outputs;
mod results;
mod starts;
mod supervision;
mod support;
mod trees;
mod users;

pub use support::{all_processes, children};
