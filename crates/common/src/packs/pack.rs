//! A pack in memory.

use attune_domain::definition::{ActionDraft, PackDraft, RuleDraft, RuntimeDraft, TriggerDraft};
use std::collections::BTreeMap;

/// The folders that hold definitions.
pub(super) const FOLDERS: [&str; 4] = ["runtimes", "triggers", "actions", "rules"];

/// The text of each file, by its path inside the pack (`triggers/timer_10s.yaml`).
pub type Files = BTreeMap<String, String>;

/// A validated pack.
///
/// `enabled` applies when a definition is created; afterwards only users change it.
#[derive(Debug, Clone)]
pub struct Pack {
    pub manifest: PackDraft,
    pub runtimes: Vec<RuntimeDraft>,
    pub triggers: Vec<TriggerDraft>,
    pub actions: Vec<ActionDraft>,
    pub rules: Vec<RuleDraft>,
}
