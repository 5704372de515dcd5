//! The worker: claims executions, runs their actions as child processes, reports how they ended.

pub mod runner;

pub use runner::supervisor;
