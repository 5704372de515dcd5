//! Policies: how many executions may run at once, and how often they may start.
//!
//! ```text
//! Concurrency::parse(json) → concurrency.gate(rule, &context) → Gates → Ledger::admit(&gates) → Admit
//! ```
//!
//! A *slot* is permission to run under a key; a key belongs to one action or one rule. The caller counts the slots in use,
//! under a lock per key, and passes the counts to the [`Ledger`]. The database frees slots and passes them on
//! (`migrations/0007_slots.sql`), because this happens in the transaction that ends an execution.

mod admit;

pub use admit::{Admit, Gate, Gates, Ledger, RateGate, Slots};

use crate::{
    ActionId, FieldErrors, RuleId,
    event::Context,
    expression::Scope,
    json::{self, join_path},
    secret,
    spelled::spelled,
    template::Template,
    whole,
};
use serde_json::{Map, Value};
use std::{fmt, marker::PhantomData};

const LIMIT_MAX: u32 = 10_000;
pub const WINDOW_SECONDS_MAX: u32 = 86_400;
const KEY_CHARS_MAX: usize = 256;

spelled! {
    /// What happens to an execution whose key is full.
    Overflow {
        /// It waits for a slot; within a key, executions start in the order of their ids.
        Queue = "queue",
        /// It is not created.
        Skip = "skip",
        /// Earlier executions of the key are canceled, and it waits until they have ended.
        CancelPrevious = "cancel_previous",
    }
}

/// The definition that a policy belongs to: an action or a rule.
pub trait Owner: Copy + fmt::Display {
    /// Names the owner in keys.
    const NOUN: &'static str;
    /// The names that the template of a key may use.
    const SCOPE: Scope;

    /// The database finds the limit by this text, so that a changed policy applies to queued executions.
    fn key(self) -> String {
        format!("{}:{self}", Self::NOUN)
    }
}

impl Owner for ActionId {
    const NOUN: &'static str = "action";
    const SCOPE: Scope = Scope::ActionKey;
}

impl Owner for RuleId {
    const NOUN: &'static str = "rule";
    const SCOPE: Scope = Scope::RuleKey;
}

/// How many executions may run at once: `{"limit": 1, "key": "{{ parameters.host }}", "overflow": "queue"}`.
#[derive(Debug)]
pub struct Concurrency<O> {
    limit: u32,
    /// Without one, all executions of the owner share one key.
    key: Option<Template>,
    overflow: Overflow,
    owner: PhantomData<fn() -> O>,
}

impl<O: Owner> Concurrency<O> {
    pub fn parse(value: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let fields = fields("concurrency", value, &["limit", "key", "overflow"], &mut errors);
        if !value.is_object() {
            return Err(errors);
        }
        let limit = number("concurrency.limit", fields.get("limit"), LIMIT_MAX, &mut errors);
        let key = match fields.get("key") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.trim().is_empty() => {
                let template = Template::compile_at("concurrency.key", &fields["key"], O::SCOPE);
                template.map_err(|bad| errors.nest("", bad)).ok()
            }
            Some(_) => {
                errors.add("concurrency.key", "must be a template such as {{ parameters.host }}");
                None
            }
        };
        let overflow = match fields.get("overflow") {
            None | Some(Value::Null) => Overflow::Queue,
            Some(word) => word.as_str().and_then(|word| word.parse().ok()).unwrap_or_else(|| {
                errors.add("concurrency.overflow", "must be queue, skip or cancel_previous");
                Overflow::Queue
            }),
        };
        errors.into_result()?;
        Ok(Self {
            limit,
            key,
            overflow,
            owner: PhantomData,
        })
    }

    /// Names in its key that no event or parameter can have.
    pub fn unknown_references(&self) -> FieldErrors {
        self.key.as_ref().map(Template::unknown_references).unwrap_or_default()
    }

    /// A secret parameter that its key names.
    pub fn secret_in_key(&self, schema: &Value) -> Option<String> {
        let names = self.key.as_ref().map(Template::names).unwrap_or_default();
        names.into_iter().find_map(|name| {
            let [root, name @ ..] = name.as_slice() else {
                return None;
            };
            let mut path = secret::Path::default();
            for key in name {
                path.push_key(key);
            }
            (root == "parameters" && secret::is_secret(schema, &path)).then(|| name.join("."))
        })
    }

    /// The gate of one execution. The error is used as the reason of a failed enforcement.
    pub fn gate(&self, owner: O, context: &Context<'_>) -> Result<Gate, String> {
        let mut key = owner.key();
        if let Some(template) = &self.key {
            let text = template.render_key(context).map_err(|error| error.to_string())?;
            if text.chars().count() > KEY_CHARS_MAX || text.contains('\0') {
                return Err(format!(
                    "concurrency.key: the result is longer than {KEY_CHARS_MAX} characters or contains U+0000"
                ));
            }
            key.push(':');
            key.push_str(&text);
        }
        Ok(Gate {
            key,
            limit: self.limit,
            overflow: self.overflow,
        })
    }
}

/// How many executions may start in a window of time: `{"limit": 10, "window_seconds": 60}`. Further ones are `throttled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub limit: u32,
    pub window_seconds: u32,
}

impl RateLimit {
    pub fn parse(value: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let fields = fields("rate_limit", value, &["limit", "window_seconds"], &mut errors);
        if !value.is_object() {
            return Err(errors);
        }
        let limit = number("rate_limit.limit", fields.get("limit"), LIMIT_MAX, &mut errors);
        let window = fields.get("window_seconds");
        let window_seconds = number("rate_limit.window_seconds", window, WINDOW_SECONDS_MAX, &mut errors);
        errors.into_result().map(|()| Self { limit, window_seconds })
    }

    pub fn gate(self, rule: RuleId) -> RateGate {
        RateGate {
            key: format!("rate:{rule}"),
            rule,
            limit: self.limit,
            window_seconds: self.window_seconds,
        }
    }
}

/// The fields of an object. Adds an error for each unknown field.
pub(crate) fn fields<'v>(
    root: &str,
    value: &'v Value,
    known: &[&str],
    errors: &mut FieldErrors,
) -> std::borrow::Cow<'v, Map<String, Value>> {
    let Value::Object(fields) = value else {
        errors.add(
            root,
            format!("must be an object with {}, not {}", known.join(", "), json::kind(value)),
        );
        return std::borrow::Cow::default();
    };
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        let message = if name.bytes().all(|b| b.is_ascii_digit()) {
            // `{window_seconds: 1,000}` in YAML.
            "unknown field; write numbers without thousands separators".to_owned()
        } else {
            format!("unknown field; expected one of: {}", known.join(", "))
        };
        errors.add(join_path(root, name), message);
    }
    std::borrow::Cow::Borrowed(fields)
}

fn number(path: &str, value: Option<&Value>, most: u32, errors: &mut FieldErrors) -> u32 {
    whole::read(path, value.unwrap_or(&Value::Null), 1..=most).unwrap_or_else(|message| {
        errors.add(path, message);
        1
    })
}

#[cfg(test)]
mod tests;
