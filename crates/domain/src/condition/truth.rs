//! The result of a node of a condition: true, false or open.

use super::{path::Path, verdict::Clause};
use serde_json::Value;
use std::cell::Cell;

/// What a condition is evaluated against.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub event: &'a Value,
    /// The item of the innermost list.
    item: &'a Value,
    steps: &'a Cell<u32>,
}

impl<'a> Facts<'a> {
    pub fn new(event: &'a Value, steps: &'a Cell<u32>) -> Self {
        Self {
            event,
            item: &Value::Null,
            steps,
        }
    }

    /// How many clauses have been visited with this one.
    pub fn count_step(&self) -> u32 {
        self.steps.set(self.steps.get() + 1);
        self.steps.get()
    }

    pub fn find(&self, path: &Path) -> Option<&'a Value> {
        path.find(if path.in_item { self.item } else { self.event })
    }

    pub fn inside(&self, item: &'a Value) -> Self {
        Self { item, ..*self }
    }
}

pub enum Truth {
    /// For `any_item` with the index of the item.
    True(Option<usize>),
    /// The clause that is false. Its place is completed from the inside out.
    False(Clause),
    Open(Obstacle),
}

/// Why a clause is neither true nor false.
pub struct Obstacle {
    /// Position of the clause in the condition.
    pub at: String,
    /// The path of the clause in the event.
    pub path: String,
    pub message: String,
}

impl Truth {
    /// Puts the place of the parent's part in front.
    pub fn inside(self, part: &str) -> Self {
        match self {
            Self::True(item) => Self::True(item),
            Self::False(clause) => Self::False(Clause {
                at: prefix(part, &clause.at),
                ..clause
            }),
            Self::Open(obstacle) => Self::Open(Obstacle {
                at: prefix(part, &obstacle.at),
                ..obstacle
            }),
        }
    }
}

fn prefix(part: &str, at: &str) -> String {
    if at.is_empty() {
        part.to_owned()
    } else {
        format!("{part}.{at}")
    }
}
