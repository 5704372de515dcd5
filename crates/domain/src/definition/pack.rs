//! Packs.

use super::{
    draft::{Draft, definition},
    text,
};
use crate::{FieldErrors, PackId, PackRef, form};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const NAME_CHARS_MAX: usize = 64;
const VERSION_CHARS_MAX: usize = 64;

/// A folder of definitions that belong together.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pack {
    pub id: PackId,
    #[schema(value_type = String)]
    pub r#ref: PackRef,
    pub label: String,
    pub description: Option<String>,
    #[serde(rename = "version")]
    pub pack_version: String,
    /// The sha256 of the pack's files in their normal form. Null if it was not loaded from files.
    pub hash: Option<String>,
    /// Its files are more than definitions: its executions run with them.
    pub has_code: bool,
    /// Where its files came from, if that was given: the address and commit of a git repository.
    pub source: Option<String>,
    pub enabled: bool,
    /// Unedited since its file was loaded, so that loading the pack may update it.
    pub managed: bool,
    #[serde(skip)]
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A file of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
    pub path: String,
    pub bytes: u64,
    pub executable: bool,
    pub sha256: String,
}

form! {
    #[derive(Clone, Serialize)]
    #[schema(as = PackForm)]
    pub struct PackDraft {
        /// A name: lower-case letters, digits and `_`, starting with a letter.
        r#ref: String,
        label: Option<String>,
        description: Option<String>,
        version: String = "0.1.0".to_owned(),
        enabled: bool = true,
    }
}

definition!(Pack, PackDraft, "pack");

impl Draft for PackDraft {
    fn reference(&self) -> &str {
        &self.r#ref
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    fn complete(&mut self, _: Option<&str>) -> Option<String> {
        if !self.r#ref.is_empty() {
            self.label.get_or_insert_with(|| self.r#ref.clone());
        }
        None
    }
}

impl PackDraft {
    pub(super) fn of(pack: &Pack) -> Self {
        Self {
            r#ref: pack.r#ref.to_string(),
            label: Some(pack.label.clone()),
            description: pack.description.clone(),
            version: pack.pack_version.clone(),
            enabled: pack.enabled,
        }
    }

    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.r#ref)
    }

    pub fn validate(&self) -> Result<(), FieldErrors> {
        let mut errors = text::for_people(self.label.as_deref(), self.description.as_deref());
        text::name("ref", &self.r#ref, NAME_CHARS_MAX, &mut errors);
        text::not_blank("version", &self.version, &mut errors);
        let length = self.version.chars().count();
        text::at_most("version", length, VERSION_CHARS_MAX, "characters", &mut errors);
        errors.into_result()
    }
}
