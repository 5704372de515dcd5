//! Secrets in parameters: markers that name them, and literals that are encrypted.
//!
//! Stored parameters never contain the value of a secret:
//!
//! - `{"$secret": ["Bearer ", {"ref": "github.token"}]}` is a **marker**: text and refs, which the worker replaces.
//! - `{"$sealed": "v1:…"}` is a **literal** that was encrypted to the key of its action's pool (with `"master"`, also with the
//!   installation's key, so that it can be sealed again).
//!
//! Neither can be forged. [`Parameters`] keeps values and secrets apart until [`Parameters::into_stored`], which escapes each
//! key of the values that is spelled like one of these (`$secret` becomes `$$secret`), and only then puts the secrets into
//! their places. [`Parameters::from_stored`] is the inverse.

mod path;
mod schema;

pub use path::{Path, Step};
pub(crate) use schema::has_secrets;
pub use schema::{is_secret, literals};

use crate::{Ref, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

const SECRET: &str = "$secret";
const SEALED: &str = "$sealed";
const MASTER: &str = "master";

/// A part of the text that a marker stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Secret(Ref),
}

/// An encrypted literal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// For the key of a pool.
    #[serde(rename = "$sealed")]
    pub pool: String,
    /// For the key of the installation, where the writer had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
}

/// What is in the place of a secret.
#[derive(Debug, Clone, PartialEq)]
pub enum Hidden {
    Marker(Vec<Part>),
    Sealed(Sealed),
    /// A value that is not encrypted yet. It is never stored.
    Literal(Value),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub path: Path,
    pub hidden: Hidden,
}

/// Parameters with their secrets taken out: each place has null.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    pub values: Value,
    pub secrets: Vec<Placed>,
}

impl Parameters {
    /// Values without secrets.
    pub fn plain(values: Value) -> Self {
        Self {
            values,
            secrets: Vec::new(),
        }
    }

    /// Takes stored parameters apart. The error names the place of something that only psql can have written.
    pub fn from_stored(stored: &Value) -> Result<Self, String> {
        if !mentions(stored) {
            return Ok(Self::plain(stored.clone()));
        }
        let mut secrets = Vec::new();
        let values = take_apart(stored, &mut Path::default(), &mut secrets)?;
        Ok(Self { values, secrets })
    }

    /// The stored form. A literal that was not sealed is masked.
    pub fn into_stored(self) -> Value {
        let mut stored = self.values;
        if mentions(&stored) {
            stored = escaped(stored);
        }
        for Placed { path, hidden } in self.secrets {
            if let Some(place) = path.escaped().find_mut(&mut stored) {
                *place = hidden.into_json();
            }
        }
        stored
    }

    /// Seals the literals. The path is that of the literal.
    pub fn seal(mut self, seal: &mut Seal<'_>) -> Result<Self, String> {
        for Placed { path, hidden } in &mut self.secrets {
            if let Hidden::Literal(value) = hidden {
                *hidden = Hidden::Sealed(seal(path, value)?);
            }
        }
        Ok(self)
    }

    /// The refs that the markers name.
    pub fn refs(&self) -> impl Iterator<Item = &Ref> {
        let parts = self.secrets.iter().filter_map(|placed| match &placed.hidden {
            Hidden::Marker(parts) => Some(parts),
            _ => None,
        });
        parts.flatten().filter_map(|part| match part {
            Part::Secret(reference) => Some(reference),
            Part::Text(_) => None,
        })
    }
}

/// Encrypts the literal at a path.
pub type Seal<'a> = dyn FnMut(&Path, &Value) -> Result<Sealed, String> + 'a;

/// For decisions that are only shown.
pub fn mask(_: &Path, _: &Value) -> Result<Sealed, String> {
    Ok(Sealed {
        pool: String::new(),
        master: None,
    })
}

impl Hidden {
    fn into_json(self) -> Value {
        match self {
            Self::Marker(parts) => {
                let parts = parts.into_iter().map(|part| match part {
                    Part::Text(text) => Value::String(text),
                    Part::Secret(reference) => json!({"ref": reference}),
                });
                json!({SECRET: parts.collect::<Vec<_>>()})
            }
            Self::Sealed(sealed) => json!(sealed),
            Self::Literal(_) => json!({SEALED: ""}),
        }
    }
}

/// The parameters that a policy may use: without secrets, so that a key that names one fails.
pub fn visible(stored: &Value) -> Cow<'_, Value> {
    if !mentions(stored) {
        return Cow::Borrowed(stored);
    }
    let Ok(Parameters { mut values, secrets }) = Parameters::from_stored(stored) else {
        return Cow::Owned(Value::Null);
    };
    for placed in secrets {
        placed.path.remove_from(&mut values);
    }
    Cow::Owned(values)
}

/// Whether a key is spelled like that of a secret, with or without escapes.
fn is_reserved(key: &str) -> bool {
    key.starts_with('$') && [SECRET, SEALED].contains(&format!("${}", key.trim_start_matches('$')).as_str())
}

fn mentions(value: &Value) -> bool {
    match value {
        Value::Object(entries) => entries.iter().any(|(key, item)| is_reserved(key) || mentions(item)),
        Value::Array(items) => items.iter().any(mentions),
        _ => false,
    }
}

fn escape(key: &str) -> Cow<'_, str> {
    if is_reserved(key) {
        Cow::Owned(format!("${key}"))
    } else {
        Cow::Borrowed(key)
    }
}

fn escaped(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries = entries.into_iter();
            Value::Object(
                entries
                    .map(|(key, item)| (escape(&key).into_owned(), escaped(item)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(escaped).collect()),
        other => other,
    }
}

fn take_apart(stored: &Value, path: &mut Path, secrets: &mut Vec<Placed>) -> Result<Value, String> {
    match stored {
        Value::Object(entries) => {
            if let Some(hidden) = hidden(entries).map_err(|what| format!("{path}: {what}"))? {
                let path = path.clone();
                secrets.push(Placed { path, hidden });
                return Ok(Value::Null);
            }
            let mut values = Map::with_capacity(entries.len());
            for (key, item) in entries {
                let key = if is_reserved(key) { &key[1..] } else { key };
                path.push_key(key);
                values.insert(key.to_owned(), take_apart(item, path, secrets)?);
                path.pop();
            }
            Ok(Value::Object(values))
        }
        Value::Array(items) => {
            let mut values = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                path.push_index(index);
                values.push(take_apart(item, path, secrets)?);
                path.pop();
            }
            Ok(Value::Array(values))
        }
        other => Ok(other.clone()),
    }
}

/// What an object stands for, if it is not a value.
fn hidden(entries: &Map<String, Value>) -> Result<Option<Hidden>, &'static str> {
    if let Some(parts) = entries.get(SECRET) {
        let parts = parts.as_array().filter(|_| entries.len() == 1);
        let parts = parts.and_then(|parts| parts.iter().map(part).collect::<Option<Vec<_>>>());
        return parts.map(Hidden::Marker).map(Some).ok_or("is not a marker of a secret");
    }
    let Some(sealed) = sealed(entries) else {
        return Ok(None);
    };
    sealed.map(Hidden::Sealed).map(Some)
}

fn part(part: &Value) -> Option<Part> {
    match part {
        Value::String(text) => Some(Part::Text(text.clone())),
        Value::Object(entries) if entries.len() == 1 => Some(Part::Secret(entries.get("ref")?.as_str()?.parse().ok()?)),
        _ => None,
    }
}

fn sealed(entries: &Map<String, Value>) -> Option<Result<Sealed, &'static str>> {
    let pool = entries.get(SEALED)?;
    let known = entries.keys().all(|key| [SEALED, MASTER].contains(&key.as_str()));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let sealed = match (text(pool), entries.get(MASTER)) {
        (Some(pool), None) => Some(Sealed { pool, master: None }),
        (Some(pool), Some(master)) => text(master).map(|master| Sealed {
            pool,
            master: Some(master),
        }),
        (None, _) => None,
    };
    Some(sealed.filter(|_| known).ok_or("is not a sealed value"))
}

/// What an object in a rule's `action_params` means: nothing special, a sealed literal, or an error.
pub(crate) fn constant(entries: &Map<String, Value>) -> Result<Option<Sealed>, String> {
    if let Some(sealed) = sealed(entries) {
        return sealed
            .map(Some)
            .map_err(|what| format!("{what}: the key `{SEALED}` is reserved"));
    }
    match entries.keys().find(|key| is_reserved(key)) {
        Some(key) => Err(format!(
            "has the reserved key `{key}`: write `{{{{ secrets.pack.name }}}}` to pass a secret"
        )),
        None => Ok(None),
    }
}

/// Whether it is a sealed literal as it is stored.
pub(crate) fn is_sealed(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|entries| matches!(sealed(entries), Some(Ok(_))))
}

/// The text of an opened value inside of other text: strings plain, other values as JSON.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// The ref in `secrets.pack.name`, which is the only expression over `secrets`.
pub(crate) fn reference(expression: &str) -> Option<Ref> {
    expression.trim().strip_prefix("secrets.")?.parse().ok()
}

/// What is wrong with a value that is to be stored as a secret.
pub fn check_value(value: &Value) -> Result<(), String> {
    let shortest = match value {
        Value::Null | Value::Bool(_) | Value::Array(_) => {
            return Err(format!(
                "must be text, a number or an object, not {}",
                json::kind(value)
            ));
        }
        Value::Object(entries) => {
            if entries.is_empty() {
                return Err("must not be empty".to_owned());
            }
            // Short parts of an object are not redacted on their own.
            entries.values().map(|item| text_of(item).len()).max().unwrap_or(0)
        }
        other => text_of(other).len(),
    };
    if shortest < VALUE_BYTES_MIN {
        return Err(format!(
            "must have at least {VALUE_BYTES_MIN} bytes: a shorter value would be redacted everywhere in the output"
        ));
    }
    Ok(())
}

/// Shorter values occur everywhere in the output of actions.
pub const VALUE_BYTES_MIN: usize = 6;

#[cfg(test)]
mod tests;
