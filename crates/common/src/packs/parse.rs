//! Parses the files of a pack and validates it. Every wrong field of every file is reported at once, as
//! `triggers/timer_10s.yaml: config.seconds`.

use super::{
    lines,
    pack::{FOLDERS, Files, Pack},
};
use attune_domain::{
    FieldErrors, Ref,
    definition::{ActionDraft, Draft, PackDraft, RuleDraft, RuntimeDraft, TriggerDraft, no_such},
    form,
    json::{self, Refused},
    reference::is_name,
};
use serde_json::{Map, Value};
use serde_norway::Deserializer;

const MANIFEST: &str = "pack.yaml";
/// Fields that only the API accepts: the id of a definition. It differs between databases.
const NUMBERS: [&str; 4] = ["pack", "runtime", "trigger", "action"];

impl Pack {
    /// Parses and validates the definitions of a pack without other files. `load` makes the checks that need the database.
    pub fn parse(files: &Files) -> Result<Self, FieldErrors> {
        parse(files, FieldErrors::new(), |_| false)
    }

    /// Likely mistakes that do not prevent loading, with their files.
    pub fn doubts(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let mut add = |folder: &str, reference: &str, doubts| place(&path(folder, reference), doubts, &mut errors);
        for trigger in &self.triggers {
            add("triggers", &trigger.r#ref, trigger.doubts(None));
        }
        for action in &self.actions {
            add("actions", &action.r#ref, action.doubts(None));
        }
        for rule in &self.rules {
            add("rules", &rule.r#ref, rule.doubts(None));
        }
        errors
    }
}

/// As [`Pack::parse`], in addition to files that could not be read. `has_file`: whether the pack carries a file with this path.
pub(super) fn parse(
    files: &Files,
    unreadable: FieldErrors,
    has_file: impl Fn(&str) -> bool,
) -> Result<Pack, FieldErrors> {
    let mut errors = FieldErrors::new();
    refuse_strays(files, &mut errors);
    let manifest = if unreadable.has(MANIFEST) {
        None
    } else {
        manifest(files, &mut errors)
    };
    let owner = manifest.as_ref().map(|manifest| manifest.r#ref.as_str());
    let folder = Folder {
        files,
        unreadable: &unreadable,
        owner: owner.filter(|owner| is_name(owner)),
    };
    let runtimes = folder.read("runtimes", &mut errors, |draft: &RuntimeDraft| {
        draft.validate().err().unwrap_or_default()
    });
    let triggers = folder.read("triggers", &mut errors, |draft: &TriggerDraft| {
        draft.validate(None).err().unwrap_or_default()
    });
    let actions = folder.read_and("actions", &mut errors, |draft: &mut ActionDraft| {
        let mut found = draft.validate().err().unwrap_or_default();
        let is_file = draft.may_be_file() && has_file(&draft.entry_point);
        found.collect(draft.decide_entry(is_file));
        folder.check_link("runtime", draft.runtime_ref.as_deref(), &runtimes, &mut found);
        found
    });
    let rules = folder.read("rules", &mut errors, |draft: &RuleDraft| {
        let action = actions
            .iter()
            .find(|action| Some(&action.r#ref) == draft.action_ref.as_ref());
        let schema = action.map(|action| &action.parameters_schema);
        let mut found = draft.validate(schema).err().unwrap_or_default();
        found.nest("", draft.literal_secrets(schema));
        folder.check_link("trigger", draft.trigger_ref.as_deref(), &triggers, &mut found);
        folder.check_link("action", draft.action_ref.as_deref(), &actions, &mut found);
        found
    });
    match manifest {
        Some(manifest) if errors.is_empty() && unreadable.is_empty() => Ok(Pack {
            manifest,
            runtimes,
            triggers,
            actions,
            rules,
            packed: None,
        }),
        _ => {
            errors.nest("", unreadable);
            Err(located(files, errors))
        }
    }
}

fn manifest(files: &Files, errors: &mut FieldErrors) -> Option<PackDraft> {
    let Some(text) = files.get(MANIFEST) else {
        errors.add(MANIFEST, "is missing: it holds the pack's ref, label and version");
        return None;
    };
    let mut found = FieldErrors::new();
    let mut manifest: Option<PackDraft> = one(text, &mut found);
    if let Some(manifest) = &mut manifest {
        manifest.complete(None);
        found.collect(manifest.validate());
    }
    place(MANIFEST, PackDraft::in_order(found), errors);
    manifest
}

/// The files of a pack, and the name of the pack.
struct Folder<'a> {
    files: &'a Files,
    unreadable: &'a FieldErrors,
    owner: Option<&'a str>,
}

impl Folder<'_> {
    fn read<D: Draft>(&self, folder: &str, errors: &mut FieldErrors, check: impl Fn(&D) -> FieldErrors) -> Vec<D> {
        self.read_and(folder, errors, |draft| check(draft))
    }

    fn read_and<D: Draft>(
        &self,
        folder: &str,
        errors: &mut FieldErrors,
        check: impl Fn(&mut D) -> FieldErrors,
    ) -> Vec<D> {
        let mut drafts = Vec::new();
        for (path, text) in self.files {
            let Some(name) = name_in(path, folder) else { continue };
            let mut found = FieldErrors::new();
            if let Some(mut draft) = one::<D>(text, &mut found) {
                if let Some(owner) = self.owner {
                    check_pack(&mut draft, owner, &mut found);
                }
                check_name(name, draft.reference(), &mut found);
                found.nest("", check(&mut draft));
                drafts.push(draft);
            }
            place(path, D::in_order(found), errors);
        }
        drafts
    }

    /// A reference into this pack must have a file. A file with errors of its own counts.
    fn check_link<D: Draft>(&self, noun: &str, reference: Option<&str>, known: &[D], errors: &mut FieldErrors) {
        let Some(reference) = reference else { return };
        let own = reference
            .parse::<Ref>()
            .is_ok_and(|link| Some(link.pack()) == self.owner);
        let file = path(&format!("{noun}s"), reference);
        let is_known = known.iter().any(|draft| draft.reference() == reference)
            || self.files.contains_key(&file)
            || self.unreadable.has(&file)
            || self.unreadable.has(&format!("{noun}s"));
        if own && !is_known {
            errors.add(format!("{noun}_ref"), no_such(noun, reference));
        }
    }
}

/// The errors, each with the line in its file.
fn located(files: &Files, errors: FieldErrors) -> FieldErrors {
    let mut all = FieldErrors::new();
    for error in errors.into_vec() {
        let (file, field) = error.path.split_once(": ").unwrap_or((&error.path, ""));
        let text = files.get(file).map_or("", String::as_str);
        let located = lines::with_lines(text, FieldErrors::one(field, error.message));
        place(file, located, &mut all);
    }
    all
}

/// A definition in the wrong place would be ignored silently.
fn refuse_strays(files: &Files, errors: &mut FieldErrors) {
    for path in files.keys().filter(|path| *path != MANIFEST) {
        let known = path
            .split_once('/')
            .is_some_and(|(folder, _)| FOLDERS.contains(&folder));
        if !known {
            errors.add(
                path,
                format!(
                    "is in the wrong place: definitions are in {MANIFEST} and in {}",
                    FOLDERS.join(", ")
                ),
            );
        } else if path.strip_suffix(".yaml").is_none() {
            errors.add(path, "must end with .yaml");
        }
    }
}

/// A draft, with placeholders for bad fields; `None` if a bad field has no placeholder.
fn one<D: Draft>(text: &str, errors: &mut FieldErrors) -> Option<D> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut fields = match value(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => {
            errors.add("", format!("must be an object, not {}", json::kind(&other)));
            return None;
        }
        Err(Refused::Fields(found)) => {
            errors.nest("", found);
            return None;
        }
        Err(Refused::Syntax(error)) => {
            errors.add("", error);
            return None;
        }
    };
    refuse_numbers::<D>(&mut fields, errors);
    let (draft, found) = errors.collect(form::draft::<D>(fields, Map::new()))?;
    errors.nest("", found);
    Some(draft)
}

fn refuse_numbers<D: Draft>(fields: &mut Map<String, Value>, errors: &mut FieldErrors) {
    for name in NUMBERS.iter().filter(|name| D::NAMES.contains(name)) {
        if fields.shift_remove(*name).is_some_and(|value| !value.is_null()) {
            errors.add(*name, format!("is for the API only: write the reference as {name}_ref"));
        }
    }
}

/// YAML as JSON. Duplicate names and numbers that would be rounded are refused.
fn value(text: &str) -> Result<Value, Refused> {
    let value = json::read(Deserializer::from_str(text))?;
    json::check_doubles(Deserializer::from_str(text), &value).map_err(Refused::Fields)?;
    Ok(value)
}

fn name_in<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".yaml")
}

/// A definition belongs to the pack in whose folder its file is.
fn check_pack(draft: &mut impl Draft, owner: &str, errors: &mut FieldErrors) {
    if let Some(given) = draft.complete(Some(owner)).filter(|given| given != owner) {
        errors.add("pack_ref", format!("must be {owner} or left out, not {given}"));
    }
}

/// The file's name is the definition's name, so that a ref leads to its file, and no two files define the same.
fn check_name(name: &str, reference: &str, errors: &mut FieldErrors) {
    let expected = reference.split_once('.').map_or("", |(_, name)| name);
    if reference.parse::<Ref>().is_ok() && name != expected {
        errors.add(
            "ref",
            format!("{reference} must be in a file of its name, {expected}.yaml"),
        );
    }
}

/// The file of a definition.
pub(super) fn path(folder: &str, reference: &str) -> String {
    let name = reference.split_once('.').map_or("", |(_, name)| name);
    format!("{folder}/{name}.yaml")
}

/// Adds the errors of a file, with its path in front.
pub(super) fn place(path: &str, file: FieldErrors, errors: &mut FieldErrors) {
    for error in file.into_vec() {
        let place = if error.path.is_empty() {
            path.to_owned()
        } else {
            format!("{path}: {}", error.path)
        };
        errors.add(place, error.message);
    }
}
