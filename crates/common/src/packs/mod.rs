//! Packs: folders of definitions, read from YAML, checked as a whole and loaded in one transaction.
//!
//! ```text
//! pack.yaml   runtimes/*.yaml   triggers/*.yaml   actions/*.yaml   rules/*.yaml
//! ```
//!
//! A file holds one draft of a definition, with the fields, rules and messages of the API, and its name is the definition's
//! name: `actions/echo.yaml` is `core.echo`. Nothing is written before everything is known to be right, and what a person
//! edited is never overwritten (see [`load`]).

mod core;
mod lines;
mod load;
mod parse;
mod read;
mod write;

pub use core::core;
pub use load::{Broken, LoadError, Loaded, Report, load, load_configured, load_folder};

use attune_domain::definition::{ActionDraft, PackDraft, RuleDraft, RuntimeDraft, TriggerDraft};
use std::collections::BTreeMap;

/// The text of each file, by its path inside of the pack (`triggers/timer_10s.yaml`).
pub type Files = BTreeMap<String, String>;

/// A whole pack, checked.
///
/// `enabled` counts when a definition is made; afterwards it belongs to the people who run Attune.
#[derive(Debug, Clone)]
pub struct Pack {
    pub manifest: PackDraft,
    pub runtimes: Vec<RuntimeDraft>,
    pub triggers: Vec<TriggerDraft>,
    pub actions: Vec<ActionDraft>,
    pub rules: Vec<RuleDraft>,
}

#[cfg(test)]
mod tests;
