//! Definitions: what people write.
//!
//! Each noun has a file with the type that the store reads and the API answers with, the `Draft` that API bodies and the
//! files of packs are read into, and the checks of a draft. There is one set of rules and messages: whoever takes a draft
//! adds only what its surroundings say, such as whether a referenced definition exists.

mod action;
mod corrupt;
mod draft;
mod pack;
mod rule;
mod runtime;
mod text;
mod trigger;

pub use crate::execution::OnLost;
pub use action::{Action, ActionDraft, OutputFormat};
pub use corrupt::CorruptDefinition;
pub use draft::{Definition, Draft, no_such};
pub use pack::{Pack, PackDraft};
pub use rule::{Rule, RuleDraft, check_owner, check_program, unknown_references};
pub use runtime::{Runtime, RuntimeDraft, RuntimeKind};
pub use trigger::{Before, Present, Trigger, TriggerConfig, TriggerDraft, TriggerKind};

#[cfg(test)]
mod tests;
