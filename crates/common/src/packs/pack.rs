//! A pack in memory.

use super::archive::{Packed, Refused, has_extension};
use attune_domain::{
    FieldErrors,
    definition::{ActionDraft, PackDraft, RuleDraft, RuntimeDraft, TriggerDraft},
};
use std::collections::BTreeMap;

/// The folders that hold definitions.
pub(super) const FOLDERS: [&str; 4] = ["runtimes", "triggers", "actions", "rules"];

/// The folders whose YAML files are not definitions.
pub(super) const OTHER_FOLDERS: [&str; 10] = [
    "aliases",
    "docs",
    "etc",
    "examples",
    "files",
    "lib",
    "policies",
    "sensors",
    "templates",
    "tests",
];

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
    /// All of its files. None for the core pack, which is built in.
    pub packed: Option<Packed>,
}

impl Pack {
    /// Whether workers need its files.
    pub fn has_code(&self) -> bool {
        let files = self.packed.iter().flat_map(|packed| &packed.files);
        files.into_iter().any(|file| is_code(&file.path))
    }
}

/// Everything except definitions and what is for people.
fn is_code(path: &str) -> bool {
    let Some((folder, rest)) = path.split_once('/') else {
        let is_document = has_extension(path, "md") || path.starts_with("LICENSE") || path.starts_with("icon.");
        return !(is_document || ["pack.yaml", "config.yaml", "attune.lock"].contains(&path));
    };
    !FOLDERS.contains(&folder) || rest.contains('/') || !has_extension(rest, "yaml")
}

/// Why files are not a pack.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
}
