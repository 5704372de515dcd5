//! Values inside an expression, and the limits of an evaluation.
//!
//! Values of the event are borrowed, never copied. Values that an evaluation creates are counted by a [`Meter`] before they
//! are created, and shared from then on.

use crate::number::Number;
use serde_json::Value as Json;
use std::{fmt::Write as _, ops::Deref, rc::Rc};

/// The cost of one value in addition to its text.
pub const SLOT_BYTES: usize = 48;
const DEPTH_MAX: usize = crate::json::DEPTH_MAX + 16;
/// The longest string that one operation may create.
pub const TEXT_MAX: usize = 1024 * 1024;
/// How many bytes one evaluation may create in total.
const MADE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Steps of one evaluation: an operation, a visited item, and 64 read or produced bytes are one step each.
pub const FUEL: u64 = 1_000_000;
/// Steps of all expressions of one template together.
const TEMPLATE_FUEL: u64 = 4 * FUEL;
const TOO_MUCH: &str = "takes more steps or memory than allowed";

/// How many bytes an evaluation may still produce, and how many steps it may still take. All expressions of a template share
/// one budget.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    left: usize,
    steps: u64,
    /// Equal values give equal texts.
    is_key: bool,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            steps: TEMPLATE_FUEL,
            is_key: false,
        }
    }

    /// For the text of a key: numbers are written by their value (1.0 as 1), and objects in the order of their names.
    pub fn of_key(bytes: usize) -> Self {
        Self {
            is_key: true,
            ..Self::new(bytes)
        }
    }

    pub fn take(&mut self, bytes: usize) -> Result<(), String> {
        let enough = self.left >= bytes;
        self.left = self.left.saturating_sub(bytes);
        if enough {
            Ok(())
        } else {
            Err("results in a value that is too large".to_owned())
        }
    }
}

/// Counts the steps and the created bytes of one evaluation.
#[derive(Debug)]
pub struct Meter {
    steps: u64,
    bytes: usize,
    is_key: bool,
}

impl Meter {
    /// The meter of one evaluation, within the remaining budget.
    pub fn within(budget: &Budget) -> Self {
        Self {
            steps: FUEL.min(budget.steps),
            bytes: MADE_BYTES_MAX,
            is_key: budget.is_key,
        }
    }

    /// Charges the steps of the evaluation to the budget.
    pub fn charge(&self, budget: &mut Budget) {
        let taken = FUEL.min(budget.steps) - self.steps;
        budget.steps -= taken;
    }

    /// The budget of one text.
    pub fn text_budget(&self) -> Budget {
        Budget {
            is_key: self.is_key,
            ..Budget::new(TEXT_MAX)
        }
    }

    /// A number as a text shows it.
    pub fn written(&self, number: Number) -> Number {
        if self.is_key { number.plain() } else { number }
    }

    pub fn step(&mut self) -> Result<(), String> {
        self.steps(1)
    }

    pub fn steps(&mut self, steps: usize) -> Result<(), String> {
        self.steps = self.steps.checked_sub(steps as u64).ok_or(TOO_MUCH)?;
        Ok(())
    }

    /// Counts bytes that are read.
    pub fn read(&mut self, bytes: usize) -> Result<(), String> {
        self.steps(bytes / 64)
    }

    /// Counts bytes that are produced.
    pub fn make(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(TOO_MUCH)?;
        self.read(bytes)
    }

    /// Counts an item that is visited or produced.
    pub fn item(&mut self) -> Result<(), String> {
        self.make(SLOT_BYTES)?;
        self.step()
    }
}

#[derive(Debug, Clone)]
pub enum Value<'v> {
    Missing(Missing),
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'v>),
    List(List<'v>),
    Object(Object<'v>),
}

/// A value that does not exist. Only `default`, `is defined` and the like accept it; every other use is an error.
#[derive(Debug, Clone, Copy)]
pub enum Missing {
    /// The part of the expression whose member does not exist: where it starts and ends in the source.
    At(usize, usize),
    /// The result of an operation that has none, such as "the first item of an empty list".
    Result(&'static str),
}

#[derive(Debug, Clone)]
pub enum Text<'v> {
    Borrowed(&'v str),
    Made(Rc<str>),
}

#[derive(Debug, Clone)]
pub enum List<'v> {
    Borrowed(&'v [Json]),
    Made(Rc<[Value<'v>]>),
}

#[derive(Debug, Clone)]
pub enum Object<'v> {
    Borrowed(&'v serde_json::Map<String, Json>),
    Made(Rc<[(Text<'v>, Value<'v>)]>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'v> List<'v> {
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub fn get(&self, index: usize) -> Option<Value<'v>> {
        match self {
            Self::Borrowed(items) => items.get(index).map(Value::from_json),
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'v>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'v> Object<'v> {
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(entries) => entries.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    pub fn get(&self, name: &str) -> Option<Value<'v>> {
        match self {
            Self::Borrowed(entries) => entries.get(name).map(Value::from_json),
            Self::Made(entries) => {
                let found = entries.iter().rev().find(|(key, _)| **key == *name);
                found.map(|(_, value)| value.clone())
            }
        }
    }

    pub fn entries(&self) -> Vec<(Text<'v>, Value<'v>)> {
        match self {
            Self::Borrowed(entries) => entries
                .iter()
                .map(|(key, value)| (Text::Borrowed(key), Value::from_json(value)))
                .collect(),
            Self::Made(entries) => entries.to_vec(),
        }
    }
}

impl<'v> Value<'v> {
    pub fn from_json(json: &'v Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => Self::Number(Number::from_json(number)),
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(items) => Self::List(List::Borrowed(items)),
            Json::Object(entries) => Self::Object(Object::Borrowed(entries)),
        }
    }

    /// A value that was parsed from text, whose size was counted already.
    pub fn from_owned(json: Json) -> Self {
        match json {
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::list(items.into_iter().map(Self::from_owned).collect()),
            Json::Object(entries) => Self::object(
                entries
                    .into_iter()
                    .map(|(key, value)| (Text::Made(key.into()), Self::from_owned(value)))
                    .collect(),
            ),
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => Self::Number(Number::from_json(&number)),
        }
    }

    pub fn text(text: String) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(items.into()))
    }

    pub fn object(entries: Vec<(Text<'v>, Self)>) -> Self {
        Self::Object(Object::Made(entries.into()))
    }

    pub fn whole(number: usize) -> Self {
        // A length always fits.
        Self::Number(Number::Whole(i128::try_from(number).unwrap_or(i128::MAX)))
    }

    /// The kind for messages, as in [`crate::json::kind`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing(_) => "a missing value",
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// Whether it counts as true for `and`, `or`, `not` and `if`. Empty is false, as in Jinja.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Number(number) => !number.is_zero(),
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => items.len() > 0,
            Self::Object(entries) => entries.len() > 0,
        }
    }

    pub fn to_json(&self, budget: &mut Budget) -> Result<Json, String> {
        self.convert(budget, 0)
    }

    fn convert(&self, budget: &mut Budget, depth: usize) -> Result<Json, String> {
        budget.take(8)?;
        if depth > DEPTH_MAX {
            return Err("results in a value that is nested too deeply".to_owned());
        }
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Number(number) if budget.is_key => Json::Number(number.plain().to_json()?),
            Self::Number(number) => Json::Number(number.to_json()?),
            Self::Text(text) => {
                budget.take(text.len())?;
                (**text).into()
            }
            Self::List(items) => {
                let items = items.iter().map(|item| item.convert(budget, depth + 1));
                Json::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Object(entries) => {
                let mut map = serde_json::Map::new();
                let mut entries = entries.entries();
                if budget.is_key {
                    #[expect(clippy::unnecessary_sort_by, reason = "a key would borrow from the entry")]
                    entries.sort_by(|(a, _), (b, _)| (**a).cmp(&**b));
                }
                for (key, value) in entries {
                    budget.take(key.len())?;
                    map.insert(key.to_string(), value.convert(budget, depth + 1)?);
                }
                Json::Object(map)
            }
            Self::Missing(_) => return Err("has no value".to_owned()),
        })
    }

    /// The text of a value inside of a sentence: strings plain, everything else as JSON.
    pub fn write_text(&self, out: &mut String, budget: &mut Budget) -> Result<(), String> {
        if let Self::Text(text) = self {
            budget.take(text.len())?;
            out.push_str(text);
            return Ok(());
        }
        let json = self.to_json(budget)?;
        write!(out, "{json}").map_err(|e| e.to_string())
    }

    /// The same, counted by the meter.
    pub fn write_metered(&self, out: &mut String, meter: &mut Meter) -> Result<(), String> {
        let before = out.len();
        self.write_text(out, &mut meter.text_budget())?;
        // The existing text is copied as well.
        meter.make(out.len() - before)
    }
}
