//! What the load of a pack did, or why it did nothing.

use crate::store;
use attune_domain::FieldErrors;
use serde::Serialize;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Updated,
    Unchanged,
    /// A person edited it, and the file differs.
    LeftAlone,
}

/// What became of each definition of a pack, by ref.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub pack: String,
    pub created: Vec<String>,
    pub updated: Vec<String>,
    pub unchanged: Vec<String>,
    /// Edited by a person, and different from the file.
    pub left_alone: Vec<String>,
    /// Rules of the pack's actions, of this pack or another, whose parameters these do not take: every event fails.
    pub mismatches: Vec<String>,
    /// What is stored since an earlier load and probably a mistake, with its file. New and changed definitions must not have any.
    pub doubts: FieldErrors,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The pack does not fit this database: a reference has no target, a new timer would never fire.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    #[error("failed to write the definitions")]
    Database(#[from] store::Error),
}

/// A pack that was not loaded. What an earlier load brought stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub folder: PathBuf,
    /// Everything that is wrong with it, each with its file and, where it is known, the line.
    pub errors: Vec<String>,
}

impl Broken {
    pub fn new(folder: &Path, error: &anyhow::Error) -> Self {
        let errors = match error.downcast_ref::<FieldErrors>() {
            Some(errors) => errors
                .iter()
                .map(|error| format!("{}: {}", error.path, error.message))
                .collect(),
            None => vec![format!("{error:#}")],
        };
        Self {
            folder: folder.to_owned(),
            errors,
        }
    }
}

impl Report {
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
            write!(f, "; look again at {}", self.doubts)?;
        }
        Ok(())
    }
}
