//! The report of a pack load, or the reason why nothing was loaded.

use crate::store;
use attune_domain::{FieldErrors, definition::FileEntry};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};
use utoipa::ToSchema;

/// The outcome for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Updated,
    Unchanged,
    /// A person edited it, and the file differs.
    LeftAlone,
}

/// The outcome for each definition of a pack, by ref.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub pack: String,
    /// Of its content. None for the core pack.
    pub hash: Option<String>,
    pub previous_hash: Option<String>,
    pub files: FileChanges,
    pub created: Vec<String>,
    pub updated: Vec<String>,
    pub unchanged: Vec<String>,
    /// Edited by a person, and different from the file.
    pub left_alone: Vec<String>,
    /// Defined by an earlier content of the pack and not by this one, with their nouns. They stay.
    pub gone: Vec<String>,
    /// Rules of the pack's actions, of this pack or another, whose parameters these do not take: every event fails.
    pub mismatches: Vec<String>,
    /// Likely mistakes in unchanged definitions, with their files. New and changed definitions must not have any.
    pub doubts: FieldErrors,
}

/// The paths of files that differ from the pack's previous content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FileChanges {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl FileChanges {
    pub fn between(before: &[FileEntry], after: &[FileEntry]) -> Self {
        let by_path = |files: &'_ [FileEntry]| -> BTreeMap<String, FileEntry> {
            files.iter().map(|file| (file.path.clone(), file.clone())).collect()
        };
        let (before, after) = (by_path(before), by_path(after));
        let mut changes = Self::default();
        for (path, file) in &after {
            match before.get(path) {
                None => changes.added.push(path.clone()),
                Some(old) if old != file => changes.changed.push(path.clone()),
                Some(_) => {}
            }
        }
        changes.removed = before.into_keys().filter(|path| !after.contains_key(path)).collect();
        changes
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The pack is invalid in this database: a reference has no target, or a new timer would never fire.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    #[error("failed to write the definitions")]
    Database(#[from] store::Error),
}

/// A pack that was not loaded. Definitions from an earlier load are unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub folder: PathBuf,
    /// All its errors, each with the file and, if known, the line.
    pub errors: Vec<String>,
    /// The errors name files in the folder. Otherwise the folder itself cannot be read.
    #[serde(skip)]
    located: bool,
}

impl Broken {
    pub fn new(folder: &Path, error: &anyhow::Error) -> Self {
        let found = error.downcast_ref::<FieldErrors>();
        let errors = match found {
            Some(errors) => errors
                .iter()
                .map(|error| format!("{}: {}", error.path, error.message))
                .collect(),
            None => vec![format!("{error:#}")],
        };
        Self {
            folder: folder.to_owned(),
            errors,
            located: found.is_some(),
        }
    }

    /// A pack that was repaired and not loaded since.
    pub fn repaired(folder: &Path) -> Self {
        let advice = format!(
            "the pack is valid now; load it with `attune pack load {}`",
            folder.display()
        );
        Self {
            folder: folder.to_owned(),
            errors: vec![advice],
            located: false,
        }
    }

    /// The errors for a terminal: `packs/demo/actions/a.yaml: label: must be text (line 3)`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|error| {
            if self.located {
                format!("{}/{error}", self.folder.display())
            } else {
                error.clone()
            }
        })
    }
}

impl Report {
    /// Whether loading it changed, or would change, anything.
    pub fn changes(&self) -> bool {
        !self.created.is_empty() || !self.updated.is_empty() || self.hash != self.previous_hash
    }

    pub fn log(&self) {
        tracing::info!(pack = self.pack, "{self}");
        if !self.left_alone.is_empty() {
            let skipped = self.left_alone.join(", ");
            tracing::warn!(
                pack = self.pack,
                skipped,
                "these definitions differ from the pack's files and were left alone, because a person edited them"
            );
        }
    }

    pub(super) fn add(&mut self, reference: &str, outcome: Outcome) {
        let list = match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Updated => &mut self.updated,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::LeftAlone => &mut self.left_alone,
        };
        list.push(reference.to_owned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "loaded pack {}: {} created, {} updated, {} unchanged",
            self.pack,
            self.created.len(),
            self.updated.len(),
            self.unchanged.len()
        )?;
        if !self.left_alone.is_empty() {
            write!(
                f,
                "; left alone because a person edited them: {}",
                self.left_alone.join(", ")
            )?;
        }
        if !self.mismatches.is_empty() {
            write!(f, "; rules that fail at every event: {}", self.mismatches.join("; "))?;
        }
        if !self.doubts.is_empty() {
            write!(f, "; please check {}", self.doubts)?;
        }
        Ok(())
    }
}
