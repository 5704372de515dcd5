//! Policies: how many executions at once, and how often.
//!
//! ```text
//! Concurrency::parse(json) → concurrency.gate("rule:7", &context) → Gates → Ledger::admit(&gates) → Admit
//! ```
//!
//! A *slot* is a place under a key; a key belongs to one action or one rule. Whoever admits counts the slots that are
//! taken, under a lock per key, and asks the [`Ledger`]; what frees and passes on slots is in the database
//! (`migrations/0007_slots.sql`), because it happens in whichever transaction ends an execution.

mod admit;

pub use admit::{Admit, Gate, Gates, Ledger, RateGate, Slots};

use crate::{
    ActionId, FieldErrors, RuleId,
    event::Context,
    expression::Scope,
    json::{self, join_path},
    spelled::spelled,
    template::Template,
};
use serde_json::{Map, Value};
use std::fmt;

const LIMIT_MAX: u32 = 10_000;
pub const WINDOW_SECONDS_MAX: u32 = 86_400;
const KEY_CHARS_MAX: usize = 256;

spelled! {
    /// What happens to an execution whose key is full.
    Overflow {
        /// It waits for a slot; within a key, executions start in the order of their ids.
        Queue = "queue",
        /// There is none.
        Skip = "skip",
        /// What came before is canceled, and it waits for that.
        CancelPrevious = "cancel_previous",
    }
}

/// A definition whose policies cannot be used, because its row was written past the API. What depends on it fails and says so;
/// nothing is taken for absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured {
    definition: String,
    errors: FieldErrors,
}

impl Misconfigured {
    /// `definition`: kind and ref, as in `the action demo.deploy`.
    pub fn new(definition: impl Into<String>, errors: FieldErrors) -> Self {
        Self {
            definition: definition.into(),
            errors,
        }
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is misconfigured: {}; correct that field",
            self.definition, self.errors
        )
    }
}

impl std::error::Error for Misconfigured {}

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Action(ActionId),
    Rule(RuleId),
}

impl Owner {
    fn scope(self) -> Scope {
        match self {
            Self::Action(_) => Scope::ActionKey,
            Self::Rule(_) => Scope::RuleKey,
        }
    }

    /// The database finds the limit by this text, so that a changed policy counts for those that wait.
    fn key(self) -> String {
        match self {
            Self::Action(id) => format!("action:{id}"),
            Self::Rule(id) => format!("rule:{id}"),
        }
    }
}

/// So many at once: `{"limit": 1, "key": "{{ parameters.host }}", "overflow": "queue"}`.
#[derive(Debug)]
pub struct Concurrency {
    owner: Owner,
    limit: u32,
    /// Without one, all executions of the owner share one key.
    key: Option<Template>,
    overflow: Overflow,
}

impl Concurrency {
    pub fn parse(value: &Value, owner: Owner) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let fields = fields("concurrency", value, &["limit", "key", "overflow"], &mut errors);
        if !value.is_object() {
            return Err(errors);
        }
        let limit = number("concurrency.limit", fields.get("limit"), LIMIT_MAX, &mut errors);
        let key = match fields.get("key") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.trim().is_empty() => {
                let template = Template::compile_at("concurrency.key", &fields["key"], owner.scope());
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
            owner,
            limit,
            key,
            overflow,
        })
    }

    /// Names in its key that lead nowhere, whatever comes.
    pub fn unknown_references(&self) -> FieldErrors {
        self.key.as_ref().map(Template::unknown_references).unwrap_or_default()
    }

    /// The gate in front of one execution. The error fits a failed enforcement's reason.
    pub fn gate(&self, context: &Context<'_>) -> Result<Gate, String> {
        let mut key = self.owner.key();
        if let Some(template) = &self.key {
            let value = template.render(context).map_err(|error| error.to_string())?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if text.chars().count() > KEY_CHARS_MAX || text.contains('\0') {
                return Err(format!(
                    "concurrency.key: gives a text that is longer than {KEY_CHARS_MAX} characters, or holds U+0000"
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

/// So many in a span of time: `{"limit": 10, "window_seconds": 60}`. More than that are `throttled`.
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

/// The fields of an object, and what is wrong with their names.
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
        errors.add(
            join_path(root, name),
            format!("is not known: there are {}", known.join(", ")),
        );
    }
    std::borrow::Cow::Borrowed(fields)
}

fn number(path: &str, value: Option<&Value>, most: u32, errors: &mut FieldErrors) -> u32 {
    let number = value
        .and_then(Value::as_u64)
        .and_then(|number| u32::try_from(number).ok());
    number.filter(|number| (1..=most).contains(number)).unwrap_or_else(|| {
        errors.add(path, format!("must be a whole number from 1 to {most}"));
        1
    })
}

#[cfg(test)]
mod tests;
