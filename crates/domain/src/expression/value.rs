//! Values inside of expressions: from JSON, and back under a budget.
//!
//! The containers are our own objects, because the engine turns a container to text (for `~`) without looking at its size;
//! ours stop at [`TEXT_MAX`], which is more than the fuel allows, so a value that was cut never reaches anybody.

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::Arc,
};

/// How much of a container is ever turned to text by the engine itself; see [`super::FUEL`] for why it is enough.
pub const TEXT_MAX: usize = 256 * 1024;
/// What a value costs beside its text.
const SLOT_BYTES: usize = 8;
const DEPTH_MAX: usize = crate::json::DEPTH_MAX + 16;

/// How many bytes an evaluation may still give.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    left: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self { left: bytes }
    }

    pub fn take(&mut self, bytes: usize) -> Result<(), String> {
        let enough = self.left >= bytes;
        self.left = self.left.saturating_sub(bytes);
        if enough {
            Ok(())
        } else {
            Err("gives a value that is too large".to_owned())
        }
    }
}

/// The names that an expression starts from.
#[derive(Debug)]
pub struct Root {
    event: Value,
    rule: Value,
    parameters: Value,
}

impl Root {
    pub fn new(event: Value, rule_ref: &str, parameters: Value) -> Self {
        let rule = BTreeMap::from([(Box::from("ref"), Value::from(rule_ref))]);
        Self {
            event,
            rule: Value::from_object(Entries(rule)),
            parameters,
        }
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "event" => Some(self.event.clone()),
            "rule" => Some(self.rule.clone()),
            "parameters" => Some(self.parameters.clone()),
            _ => None,
        }
    }
}

struct Items(Vec<Value>);
struct Entries(BTreeMap<Box<str>, Value>);

impl Object for Items {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bounded(&Value::from_dyn_object(self.clone()), f)
    }
}

impl Object for Entries {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|key| Value::from(&**key)).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bounded(&Value::from_dyn_object(self.clone()), f)
    }
}

// The engine's own lists print their items through `Debug`, so a derived one would print without bound.
impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bounded(&Value::from_object(Self(self.0.clone())), f)
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bounded(&Value::from_object(Self(self.0.clone())), f)
    }
}

/// As JSON; where that is too long, so many blanks that the fuel is certainly used up.
fn write_bounded(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match to_json(value, &mut Budget::new(TEXT_MAX)) {
        Ok(json) => write!(f, "{json}"),
        Err(_) => (0..TEXT_MAX / 64).try_for_each(|_| f.write_str(&" ".repeat(64))),
    }
}

pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .unwrap_or_else(|| Value::from(number.as_f64().unwrap_or_default())),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from_object(Items(items.iter().map(from_json).collect())),
        serde_json::Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, item)| (Box::from(key.as_str()), from_json(item)));
            Value::from_object(Entries(entries.collect()))
        }
    }
}

pub fn to_json(value: &Value, budget: &mut Budget) -> Result<serde_json::Value, String> {
    convert(value, budget, 0)
}

fn convert(value: &Value, budget: &mut Budget, depth: usize) -> Result<serde_json::Value, String> {
    budget.take(SLOT_BYTES)?;
    if depth > DEPTH_MAX {
        return Err("gives a value that is nested too deep".to_owned());
    }
    match value.kind() {
        ValueKind::None => Ok(serde_json::Value::Null),
        ValueKind::Bool => Ok(value.is_true().into()),
        ValueKind::Number => number(value),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            budget.take(text.len())?;
            Ok(text.into())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter().map_err(|e| e.to_string())? {
                items.push(convert(&item, budget, depth + 1)?);
            }
            Ok(items.into())
        }
        ValueKind::Map => {
            let mut entries = serde_json::Map::new();
            for key in value.try_iter().map_err(|e| e.to_string())? {
                let item = value.get_item(&key).map_err(|e| e.to_string())?;
                let name = key_text(&key)?;
                budget.take(name.len())?;
                entries.insert(name, convert(&item, budget, depth + 1)?);
            }
            Ok(entries.into())
        }
        ValueKind::Undefined => Err("has no value".to_owned()),
        _ => Err(format!("gives {}, which is not JSON", value.kind())),
    }
}

fn key_text(key: &Value) -> Result<String, String> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number => Ok(number(key)?.to_string()),
        kind => Err(format!("has {kind} as a key: keys are strings")),
    }
}

fn number(value: &Value) -> Result<serde_json::Value, String> {
    if value.is_integer() {
        return i64::try_from(value.clone())
            .map(serde_json::Value::from)
            .or_else(|_| u64::try_from(value.clone()).map(serde_json::Value::from))
            .map_err(|_| "gives a whole number that does not fit 64 bits".to_owned());
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(serde_json::Number::from_f64)
        .map(serde_json::Value::Number)
        .ok_or_else(|| "gives a number that is not finite".to_owned())
}

/// The text of a value inside of a sentence: strings plain, everything else as JSON.
pub fn write_text(value: &Value, out: &mut String, budget: &mut Budget) -> Result<(), String> {
    if let Some(text) = value.as_str() {
        budget.take(text.len())?;
        out.push_str(text);
        return Ok(());
    }
    let json = to_json(value, budget)?;
    write!(out, "{json}").map_err(|e| e.to_string())
}
