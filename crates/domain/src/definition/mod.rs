//! Definitions: packs, runtimes, triggers, actions and rules.
//!
//! Each noun has a file with the type that the store reads and the API returns, the `Draft` into which API bodies and pack
//! files are parsed, and the validation of a draft. There is one set of rules and messages. Callers only add checks that
//! need the database, such as whether a referenced definition exists.

mod action;
mod corrupt;
mod draft;
mod pack;
mod rule;
mod runtime;
mod text;
mod trigger;

pub use crate::execution::OnLost;
pub use action::{Action, ActionDraft, EntryKind, OutputFormat, SecretDelivery};
pub use corrupt::CorruptDefinition;
pub use draft::{Definition, Draft, no_such};
pub use pack::{FileEntry, Pack, PackDraft};
pub use rule::{Rule, RuleDraft, check_owner, check_program, unknown_references};
pub use runtime::{Runtime, RuntimeDraft, RuntimeKind};
pub use trigger::{Before, Present, SYSTEM_TRIGGERS, Trigger, TriggerConfig, TriggerDraft, TriggerKind};

#[cfg(test)]
mod tests;
