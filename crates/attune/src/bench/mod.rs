//! `attune bench`: how fast Attune is on this machine, beside what the machine can do at best.
//!
//! It measures the services as `attune up` starts them, on a private PostgreSQL that flushes every commit. Floors are
//! measured in the same run, and everything that is told is a ratio to them. What was expected to happen is counted in the
//! ledger afterwards: a run where nothing started is an error.

mod backlog;
mod committed;
mod drive;
mod floor;
mod footprint;
mod latency;
mod machine;
mod many;
mod options;
mod plot;
mod process;
mod report;
mod result;
mod sensor;
