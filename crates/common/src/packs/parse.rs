//! From the text of files to a checked pack. Every bad file is reported at once, as `triggers/timer_10s.yaml: config.seconds`.

use super::{Action, Files, Manifest, Pack, Rule, Runtime, Trigger, check, lines, read::FOLDERS};
use attune_domain::{
    FieldErrors, Ref,
    json::{self, Refused},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_norway::Deserializer;

const MANIFEST: &str = "pack.yaml";

impl Pack {
    /// Reads and checks the files of one pack.
    pub fn parse(files: &Files) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        refuse_strays(files, &mut errors);
        let manifest: Option<Manifest> = if let Some(text) = files.get(MANIFEST) {
            one(MANIFEST, text, |_, _| {}, &mut errors)
        } else {
            errors.add(MANIFEST, "is missing: it says the pack's ref, label and version");
            None
        };
        let runtimes: Vec<Runtime> = all(files, "runtimes", &mut errors);
        let triggers: Vec<Trigger> = all(files, "triggers", &mut errors);
        let actions: Vec<Action> = all(files, "actions", &mut errors);
        let rules: Vec<Rule> = all(files, "rules", &mut errors);
        let Some(manifest) = manifest else {
            return Err(located(files, errors));
        };
        let pack = Self {
            manifest,
            runtimes,
            triggers,
            actions,
            rules,
        };
        check::check(&pack, &mut errors);
        located(files, errors).into_result().map(|()| pack)
    }
}

/// The errors, each with its line in its file.
fn located(files: &Files, errors: FieldErrors) -> FieldErrors {
    let mut all = FieldErrors::new();
    for error in errors.into_vec() {
        let (file, field) = error.path.split_once(": ").unwrap_or((&error.path, ""));
        let text = files.get(file).map_or("", String::as_str);
        let located = lines::with_lines(text, FieldErrors::one(field, error.message));
        check::place(file, located, &mut all);
    }
    all
}

/// A definition in the wrong place would never be loaded, and nobody would know why.
fn refuse_strays(files: &Files, errors: &mut FieldErrors) {
    for path in files.keys().filter(|path| *path != MANIFEST) {
        let known = path
            .split_once('/')
            .is_some_and(|(folder, _)| FOLDERS.contains(&folder));
        if !known {
            errors.add(
                path,
                format!(
                    "belongs nowhere: definitions stand in {MANIFEST} and in {}",
                    FOLDERS.join(", ")
                ),
            );
        } else if path.strip_suffix(".yaml").is_none() {
            errors.add(path, "must end with .yaml");
        }
    }
}

fn all<T: DeserializeOwned + Named>(files: &Files, folder: &str, errors: &mut FieldErrors) -> Vec<T> {
    let mut definitions = Vec::new();
    for (path, text) in files {
        let Some(name) = name_in(path, folder) else { continue };
        let Some(definition) = one::<T>(path, text, check_refs, errors) else {
            continue;
        };
        check_name(path, name, definition.reference(), errors);
        definitions.push(definition);
    }
    definitions
}

/// The text is read as a value first, because a reader of types stops at the first error and cannot name the place of some.
fn one<T: DeserializeOwned>(
    path: &str,
    text: &str,
    check: fn(&Value, &mut FieldErrors),
    errors: &mut FieldErrors,
) -> Option<T> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut fields = FieldErrors::new();
    match value(text) {
        Ok(value) => check(&value, &mut fields),
        Err(Refused::Fields(errors)) => fields = errors,
        Err(Refused::Syntax(error)) => fields.add("", error),
    }
    if fields.is_empty() {
        match serde_norway::from_str(text) {
            Ok(definition) => return Some(definition),
            Err(error) => fields.add("", error.to_string()),
        }
    }
    check::place(path, fields, errors);
    None
}

/// YAML as JSON. A name that is given twice and a number that would be rounded are refused.
fn value(text: &str) -> Result<Value, Refused> {
    let value = json::read(Deserializer::from_str(text))?;
    json::check_doubles(Deserializer::from_str(text), &value).map_err(Refused::Fields)?;
    Ok(value)
}

/// Every field that is a reference: `ref`, `runtime_ref` and so on.
fn check_refs(value: &Value, errors: &mut FieldErrors) {
    let fields = value.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| *name == "ref" || name.ends_with("_ref")) {
        if let Some(Err(error)) = value.as_str().map(str::parse::<Ref>) {
            errors.add(name, error.to_string());
        }
    }
}

fn name_in<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".yaml")
}

/// The file's name is the definition's name, so that a ref leads to its file, and no two files define the same.
fn check_name(path: &str, name: &str, reference: &Ref, errors: &mut FieldErrors) {
    let expected = reference.as_str().split_once('.').map_or("", |(_, name)| name);
    if name != expected {
        errors.add(
            format!("{path}: ref"),
            format!("{reference} must stand in a file of its name, {expected}.yaml"),
        );
    }
}

/// What has a ref.
trait Named {
    fn reference(&self) -> &Ref;
}

macro_rules! named {
    ($($kind:ident)*) => {$(
        impl Named for $kind {
            fn reference(&self) -> &Ref {
                &self.r#ref
            }
        }
    )*};
}
named! { Runtime Trigger Action Rule }
