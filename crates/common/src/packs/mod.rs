//! Packs: files with definitions and code. They are checked as a whole and loaded in one transaction.
//!
//! ```text
//! pack.yaml   runtimes/*.yaml   triggers/*.yaml   actions/*.yaml   rules/*.yaml
//! ```
//!
//! A file holds one draft of a definition, with the fields, rules and messages of the API, and its name is the definition's
//! name: `actions/echo.yaml` is `core.echo`. Nothing is written unless everything is valid, and rows that a person edited
//! are never overwritten (see [`load`]).

pub mod archive;
mod core;
mod lines;
mod load;
mod pack;
mod parse;
mod read;
mod report;
mod write;

pub use archive::{Archive, Packed, Refused};
pub use core::core;
pub use load::{Loaded, is_loaded, load, load_configured, load_folder, write};
pub use pack::{Files, Pack, Unusable};
pub use report::{Broken, FileChanges, LoadError, Report};

#[cfg(test)]
mod tests;
