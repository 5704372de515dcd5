//! Checks shared by all definitions: names, references, texts for people.

use crate::{FieldErrors, Ref, reference::is_name};

const LABEL_CHARS_MAX: usize = 200;
const DESCRIPTION_CHARS_MAX: usize = 10_000;

/// The fields that runtimes, triggers, actions and rules share.
pub(super) fn common(
    reference: &str,
    pack_ref: Option<&str>,
    label: Option<&str>,
    description: Option<&str>,
) -> FieldErrors {
    let mut errors = for_people(label, description);
    match (reference.parse::<Ref>(), pack_ref) {
        (Err(invalid), _) => errors.add("ref", invalid.to_string()),
        (Ok(own), Some(pack)) if own.pack() != pack => {
            errors.add("ref", format!("must begin with the name of its pack: `{pack}.`"));
        }
        _ => {}
    }
    errors
}

/// Texts that people read.
pub(super) fn for_people(label: Option<&str>, description: Option<&str>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if let Some(label) = label {
        not_blank("label", label, &mut errors);
        at_most(
            "label",
            label.chars().count(),
            LABEL_CHARS_MAX,
            "characters",
            &mut errors,
        );
    }
    if let Some(description) = description {
        let length = description.chars().count();
        at_most("description", length, DESCRIPTION_CHARS_MAX, "characters", &mut errors);
    }
    errors
}

pub(super) fn not_blank(field: &str, text: &str, errors: &mut FieldErrors) {
    if text.trim().is_empty() {
        errors.add(field, "must not be blank");
    }
}

pub(super) fn at_most(field: &str, length: usize, max: usize, unit: &str, errors: &mut FieldErrors) {
    if length > max {
        errors.add(field, format!("must have at most {max} {unit}, not {length}"));
    }
}

/// A name without a dot, such as that of a pack or a pool.
pub(super) fn name(field: &str, text: &str, max: usize, errors: &mut FieldErrors) {
    if !is_name(text) || text.len() > max {
        errors.add(
            field,
            format!("must be lower-case letters, digits and `_`, starting with a letter, at most {max} characters"),
        );
    }
}

/// A field that refers to another definition, by reference or by id.
pub(super) fn link(noun: &str, reference: Option<&str>, by_number: bool, errors: &mut FieldErrors) {
    let field = format!("{noun}_ref");
    match reference.map(str::parse::<Ref>) {
        Some(Err(invalid)) => errors.add(field, invalid.to_string()),
        None if !by_number => errors.add(field, format!("is missing: write the reference of the {noun}")),
        _ => {}
    }
}
