//! Packs: folders of definitions, read from YAML, checked as a whole and loaded in one transaction.
//!
//! ```text
//! pack.yaml   runtimes/*.yaml   triggers/*.yaml   actions/*.yaml   rules/*.yaml
//! ```
//!
//! A file holds one definition, and its name is the definition's name: `actions/echo.yaml` is `core.echo`. Nothing is
//! written before everything is known to be right, and what a person edited is never overwritten (see [`load`]).

mod check;
mod core;
mod definition;
mod lines;
mod load;
mod parse;
mod read;
mod surroundings;

pub use core::core;
pub use definition::{Action, Files, Manifest, Pack, Rule, Runtime, Trigger};
pub use load::{Broken, LoadError, Loaded, Report, load, load_configured, load_folder};

#[cfg(test)]
mod tests;
