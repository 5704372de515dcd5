//! Shared by all definitions.

use crate::{FieldErrors, form::Form, json};
use serde::Serialize;
use serde_json::json;

/// A stored definition.
pub trait Definition: Serialize + Sync {
    const NOUN: &'static str;
    type Draft: Draft;

    fn reference(&self) -> &str;

    /// Unedited since its pack's file was loaded, so that loading the pack may update it.
    fn is_managed(&self) -> bool;

    /// The draft of this definition.
    fn draft(&self) -> Self::Draft;
}

/// The unvalidated input of a definition.
pub trait Draft: Form + Serialize + Clone {
    /// Pairs of fields where the check of the first depends on the second.
    const DEPENDENT: &'static [(&'static str, &'static str)] = &[];

    fn reference(&self) -> &str;

    fn enabled(&self) -> bool;

    fn set_enabled(&mut self, enabled: bool);

    /// Sets a missing label, and replaces the pack by the given one.
    fn complete(&mut self, pack: Option<&str>) -> Option<String>;

    /// Likely mistakes that do not prevent storing: a guessable secret, a name that no event has. `before` is the stored
    /// definition.
    fn doubts(&self, _before: Option<&Self>) -> FieldErrors {
        FieldErrors::new()
    }

    /// The errors of the fields that this draft changes. Unchanged stored fields are not checked again, so that a definition
    /// written by an earlier version or by psql can still be renamed and disabled.
    #[must_use]
    fn judged(&self, before: Option<&Self>, errors: FieldErrors) -> FieldErrors {
        let Some(before) = before else {
            return errors;
        };
        let (before, after) = (json!(before), json!(self));
        let changes = |field: &str| before[field] != after[field];
        errors.of_fields(|field| {
            let depends = |(of, on): &(&str, &str)| *of == field && changes(on);
            changes(field) || depends(&("ref", "pack_ref")) || Self::DEPENDENT.iter().any(depends)
        })
    }

    /// One error for each field, in the order of the fields.
    #[must_use]
    fn in_order(errors: FieldErrors) -> FieldErrors {
        let fields: Vec<&str> = Self::NAMES.iter().map(|name| name.trim_start_matches("r#")).collect();
        errors.distinct().in_order(&fields)
    }

    /// Whether both describe the same definition.
    fn is_same(&self, other: &Self) -> bool {
        json::is_same(&json!(self), &json!(other))
    }
}

/// Makes a stored type a [`Definition`].
macro_rules! definition {
    ($name:ident, $draft:ident, $noun:literal) => {
        impl $crate::definition::draft::Definition for $name {
            const NOUN: &'static str = $noun;
            type Draft = $draft;

            fn reference(&self) -> &str {
                &self.r#ref
            }

            fn is_managed(&self) -> bool {
                self.managed
            }

            fn draft(&self) -> $draft {
                $draft::of(self)
            }
        }
    };
}
pub(super) use definition;

/// Shared by the drafts of everything in a pack.
macro_rules! in_pack {
    () => {
        fn reference(&self) -> &str {
            &self.r#ref
        }

        fn enabled(&self) -> bool {
            self.enabled
        }

        fn set_enabled(&mut self, enabled: bool) {
            self.enabled = enabled;
        }

        fn complete(&mut self, pack: Option<&str>) -> Option<String> {
            if self.r#ref.parse::<$crate::Ref>().is_ok() {
                self.label.get_or_insert_with(|| self.r#ref.clone());
            }
            std::mem::replace(&mut self.pack_ref, pack.map(str::to_owned))
        }
    };
}
pub(super) use in_pack;

/// The message for a reference without a target.
pub fn no_such(noun: &str, named: &str) -> String {
    let named: String = named.chars().take(128).collect();
    format!("there is no {noun} {named}")
}
