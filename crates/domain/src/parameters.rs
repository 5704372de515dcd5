//! The parameters of an action: a JSON schema, its defaults, and the validation of values.
//!
//! `Schema::compile(&schema)` once per action (keep it in an `Arc`: compiling takes
//! 5 µs, validating a small object 0.2 µs), `schema.validate(values)` per
//! execution: fills in the defaults and gives the complete parameters, or every error with its path (`parameters.seconds`).
//!
//! The tricky part: validating may cost far more than the size of a schema suggests. So it is bounded in size and
//! depth, references must stay inside the schema and are counted as if they were expanded (which also refuses
//! recursion), and patterns run on an engine with linear time. Errors never repeat values, which may be secrets.

mod message;
mod shape;

pub use shape::check_schema;

use crate::{
    FieldErrors,
    json::{self, check_json, join_path},
    secret::{self, Hidden, Parameters, Path, Placed},
    template::{Template, is_template},
};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind, paths::LocationSegment};
use serde_json::{Map, Value};
use shape::{SCHEMA_ROOT, build, check_shape, extend, size};

const ROOT: &str = "parameters";
const TEMPLATE_ROOT: &str = "action_params";
const ERRORS_MAX: usize = 20;
const VALUES_BYTES_MAX: usize = 1024 * 1024;

/// A compiled schema of parameters.
#[derive(Debug)]
pub struct Schema {
    definition: Value,
    validator: Validator,
    /// Whether it declares any parameter as secret.
    has_secrets: bool,
}

impl Schema {
    /// `null` and `{}` allow any parameters. Errors have paths such as `parameters_schema.properties.seconds`.
    pub fn compile(schema: &Value) -> Result<Self, FieldErrors> {
        let definition = match schema {
            Value::Null => Value::Object(Map::new()),
            other => other.clone(),
        };
        check_shape(&definition)?;
        let validator = build(&definition)?;
        Ok(Self {
            has_secrets: secret::has_secrets(&definition),
            definition,
            validator,
        })
    }

    /// The schema as written.
    pub fn as_json(&self) -> &Value {
        &self.definition
    }

    /// The complete parameters, or all their errors.
    pub fn validate(&self, values: Value) -> Result<Value, FieldErrors> {
        self.validate_around(values, &[])
    }

    /// The complete parameters with the values of secret parameters taken out, or everything that is wrong with them. What a
    /// marker stands for is not known yet, so only its place is checked.
    pub fn complete(&self, parameters: Parameters) -> Result<Parameters, FieldErrors> {
        let Parameters { values, mut secrets } = parameters;
        let mut values = self.validate_around(values, &secrets)?;
        let mut errors = FieldErrors::new();
        for placed in secrets.iter().filter(|placed| !self.is_secret(&placed.path)) {
            errors.add(placed.path.under(ROOT), not_secret(&placed.hidden));
        }
        errors.into_result()?;
        if !self.has_secrets {
            return Ok(Parameters { values, secrets });
        }
        for path in secret::literals(&self.definition, &values, &secrets) {
            if let Some(value) = path.find_mut(&mut values) {
                let hidden = Hidden::Literal(value.take());
                secrets.push(Placed { path, hidden });
            }
        }
        Ok(Parameters { values, secrets })
    }

    pub fn is_secret(&self, path: &Path) -> bool {
        secret::is_secret(&self.definition, path)
    }

    /// The places of secret parameters in a rule's parameters that have a literal value.
    pub fn literals_in(&self, template: &Value) -> Vec<Path> {
        let mut open = Vec::new();
        add_open(template, &mut Path::default(), &mut open);
        secret::literals(&self.definition, template, &open)
    }

    fn validate_around(&self, values: Value, secrets: &[Placed]) -> Result<Value, FieldErrors> {
        let mut values = match values {
            Value::Null => Value::Object(Map::new()),
            other => other,
        };
        if !values.is_object() {
            let message = format!("must be an object of named values, not {}", json::kind(&values));
            return Err(FieldErrors::one(ROOT, message));
        }
        self.apply_defaults(&mut values);
        if let Err(errors) = check_json(&values) {
            let mut nested = FieldErrors::new();
            nested.nest(ROOT, errors);
            return Err(nested);
        }
        if size(&values) > VALUES_BYTES_MAX {
            return Err(FieldErrors::one(
                ROOT,
                format!("are larger than {VALUES_BYTES_MAX} bytes"),
            ));
        }
        let mut errors = FieldErrors::new();
        let certain = |error: &ValidationError<'_>| !depends_on(secrets, error);
        for error in self.validator.iter_errors(&values).filter(certain).take(ERRORS_MAX) {
            report(&error, ROOT, &mut errors);
        }
        errors.into_result()?;
        Ok(values)
    }

    /// The errors of parameters with templates that do not depend on the results of the templates: a missing or unknown
    /// name, or a literal value that does not match. Paths begin with `action_params`.
    pub fn check_template(&self, template: &Value) -> Result<(), FieldErrors> {
        let mut values = template.clone();
        self.apply_defaults(&mut values);
        let open = is_open(&values);
        let certain = |error: &ValidationError<'_>| {
            if secret::is_sealed(error.instance()) {
                return false;
            }
            if is_open(error.instance()) {
                return matches!(
                    error.kind(),
                    ValidationErrorKind::Required { .. } | ValidationErrorKind::AdditionalProperties { .. }
                );
            }
            // Which of the two counts may depend on a template.
            !open || error.evaluation_path().iter().all(|segment| !is_branch(&segment))
        };
        let mut errors = FieldErrors::new();
        for error in self.validator.iter_errors(&values).filter(certain).take(ERRORS_MAX) {
            report(&error, TEMPLATE_ROOT, &mut errors);
        }
        // What does not compile is reported by the rule itself.
        if let Ok(template) = Template::compile(template) {
            for (path, refs) in template.secrets() {
                if !self.is_secret(path) {
                    errors.add(
                        path.under(TEMPLATE_ROOT),
                        misplaced(refs.first().map(|first| first.as_str())),
                    );
                }
            }
        }
        errors.into_result()
    }

    /// Rejects a default that violates its own schema, because every execution that relies on it would fail. Called when a
    /// schema is saved; schemas saved earlier remain usable with explicit values.
    pub fn check_defaults(&self) -> Result<(), FieldErrors> {
        let properties = self.definition.get("properties").and_then(Value::as_object);
        let mut errors = FieldErrors::new();
        for (name, property) in properties.into_iter().flatten() {
            let Some(default) = property.get("default") else {
                continue;
            };
            let mut alone = Value::Object(Map::from_iter([(name.clone(), default.clone())]));
            self.apply_defaults(&mut alone);
            let own = |error: &ValidationError<'_>| {
                error.instance_path().iter().next().is_some()
                    && !error.evaluation_path().iter().any(|segment| is_branch(&segment))
            };
            if let Some(error) = self.validator.iter_errors(&alone).find(own) {
                let path = join_path(&join_path(SCHEMA_ROOT, "properties"), name);
                errors.add(
                    format!("{path}.default"),
                    format!("violates its own schema: {}", message::message(&error)),
                );
            }
        }
        errors.into_result()
    }

    /// Adds the `default` of every missing property, also inside existing objects.
    pub fn apply_defaults(&self, values: &mut Value) {
        fill(&self.definition, values);
    }
}

/// Whether an error may disappear once the secrets are known: it is about one of them, or about something around it.
fn depends_on(secrets: &[Placed], error: &ValidationError<'_>) -> bool {
    if secrets.is_empty() {
        return false;
    }
    let mut place = Path::default();
    for segment in error.instance_path() {
        match segment {
            LocationSegment::Property(name) => place.push_key(&name),
            LocationSegment::Index(index) => place.push_index(index),
        }
    }
    if secrets.iter().any(|placed| place.starts_with(&placed.path)) {
        return true;
    }
    let is_around = secrets.iter().any(|placed| placed.path.starts_with(&place));
    let about_names = matches!(
        error.kind(),
        ValidationErrorKind::Required { .. } | ValidationErrorKind::AdditionalProperties { .. }
    );
    is_around && (!about_names || error.evaluation_path().iter().any(|segment| is_branch(&segment)))
}

/// Why a secret may not be in this place.
fn not_secret(hidden: &Hidden) -> String {
    let named = match hidden {
        Hidden::Marker(parts) => parts.iter().find_map(|part| match part {
            secret::Part::Secret(reference) => Some(reference.as_str()),
            secret::Part::Text(_) => None,
        }),
        _ => None,
    };
    misplaced(named)
}

fn misplaced(reference: Option<&str>) -> String {
    let what = reference.map_or_else(|| "a sealed value".to_owned(), |named| format!("the secret {named}"));
    format!("must not contain {what}: the parameter is not declared `secret: true`")
}

/// [`Schema::check_template`] with a schema that is not compiled yet. An invalid schema is not an error of the template.
pub fn mismatches(schema: &Value, template: &Value) -> Result<(), FieldErrors> {
    Schema::compile(schema).map_or(Ok(()), |schema| schema.check_template(template))
}

fn fill(schema: &Value, value: &mut Value) {
    let (Some(properties), Some(entries)) = (
        schema.get("properties").and_then(Value::as_object),
        value.as_object_mut(),
    ) else {
        return;
    };
    for (name, property) in properties {
        if !entries.contains_key(name)
            && let Some(default) = property.get("default")
        {
            entries.insert(name.clone(), default.clone());
        }
        if let Some(inner) = entries.get_mut(name) {
            fill(property, inner);
        }
    }
}

/// Whether a part of it is only known once a template is rendered.
fn is_open(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(is_open),
        Value::Object(entries) => secret::is_sealed(value) || entries.values().any(is_open),
        _ => false,
    }
}

/// The texts that are templates, and the sealed literals.
fn add_open(value: &Value, path: &mut Path, open: &mut Vec<Placed>) {
    match value {
        Value::String(text) if !is_template(text) => {}
        Value::Object(entries) if !secret::is_sealed(value) => {
            for (key, item) in entries {
                path.push_key(key);
                add_open(item, path, open);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_index(index);
                add_open(item, path, open);
                path.pop();
            }
        }
        Value::String(_) | Value::Object(_) => open.push(Placed {
            path: path.clone(),
            hidden: Hidden::Marker(Vec::new()),
        }),
        _ => {}
    }
}

fn is_branch(segment: &LocationSegment<'_>) -> bool {
    matches!(segment, LocationSegment::Property(name) if name == "then" || name == "else")
}

fn report(error: &ValidationError<'_>, root: &str, errors: &mut FieldErrors) {
    let path = error
        .instance_path()
        .iter()
        .fold(root.to_owned(), |path, segment| extend(&path, &segment));
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            errors.add(join_path(&path, property.as_str().unwrap_or_default()), "is required");
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected.iter().take(ERRORS_MAX) {
                errors.add(join_path(&path, name), "is not a parameter of this action");
            }
        }
        _ => errors.add(path, message::message(error)),
    }
}

#[cfg(test)]
mod tests;
