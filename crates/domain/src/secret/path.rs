//! Where a secret is in parameters.

use super::escape;
use crate::json::{join_path, push_index};
use serde_json::Value;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The steps from the parameters to a value in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(Vec<Step>);

impl Path {
    pub fn push_key(&mut self, key: &str) {
        self.0.push(Step::Key(key.to_owned()));
    }

    pub fn push_index(&mut self, index: usize) {
        self.0.push(Step::Index(index));
    }

    pub fn pop(&mut self) {
        self.0.pop();
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The same place, or one in it.
    pub fn starts_with(&self, outer: &Self) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// As a JSON pointer (RFC 6901), to which ciphertexts are bound.
    pub fn pointer(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            text.push('/');
            match step {
                Step::Key(key) => text.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => text.push_str(&index.to_string()),
            }
        }
        text
    }

    /// As it is written in errors: `action_params.auth.token`.
    pub fn under(&self, root: &str) -> String {
        let mut text = root.to_owned();
        for step in &self.0 {
            match step {
                Step::Key(key) => text = join_path(&text, key),
                Step::Index(index) => push_index(&mut text, *index),
            }
        }
        text
    }

    pub fn find_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.as_object_mut()?.get_mut(key),
            Step::Index(index) => value.as_array_mut()?.get_mut(*index),
        })
    }

    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.as_object()?.get(key),
            Step::Index(index) => value.as_array()?.get(*index),
        })
    }

    /// Removes an entry of an object. An item of a list becomes null, so that the others keep their places.
    pub fn remove_from(&self, value: &mut Value) {
        let mut outer = self.clone();
        match outer.0.pop() {
            Some(Step::Key(key)) => {
                if let Some(entries) = outer.find_mut(value).and_then(Value::as_object_mut) {
                    entries.shift_remove(&key);
                }
            }
            Some(Step::Index(_)) => {
                if let Some(item) = self.find_mut(value) {
                    *item = Value::Null;
                }
            }
            None => *value = Value::Null,
        }
    }

    /// The same place in stored parameters.
    pub(super) fn escaped(&self) -> Self {
        let escape = |step: &Step| match step {
            Step::Key(key) => Step::Key(escape(key).into_owned()),
            Step::Index(index) => Step::Index(*index),
        };
        Self(self.0.iter().map(escape).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.under("parameters"))
    }
}
