//! What all definitions have in common.

use crate::{FieldErrors, form::Form, json};
use serde::Serialize;
use serde_json::json;

/// A stored definition.
pub trait Definition: Serialize + Sync {
    const NOUN: &'static str;
    type Draft: Draft;

    fn reference(&self) -> &str;

    /// Still as its pack's file: loading the pack may update it.
    fn is_managed(&self) -> bool;

    /// The draft that gives this definition.
    fn draft(&self) -> Self::Draft;
}

/// A definition as a person wrote it.
pub trait Draft: Form + Serialize + Clone {
    /// Pairs of fields: the check of the first depends on the second.
    const DEPENDENT: &'static [(&'static str, &'static str)] = &[];

    fn reference(&self) -> &str;

    fn enabled(&self) -> bool;

    fn set_enabled(&mut self, enabled: bool);

    /// Fills in the label, and the name of the pack that it belongs to in the place of the one that it names.
    fn complete(&mut self, pack: Option<&str>) -> Option<String>;

    /// What can be stored and is probably a mistake: a secret that is easily guessed, a name that no event has. `before` is the
    /// stored definition.
    fn doubts(&self, _before: Option<&Self>) -> FieldErrors {
        FieldErrors::new()
    }

    /// Of the errors of this draft those of fields that it changes. What is stored and unchanged is not judged again, so
    /// that a definition which an earlier version or psql wrote can still be renamed and disabled.
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

    /// Do both describe the same definition?
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

/// What the drafts of everything in a pack have in common.
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
