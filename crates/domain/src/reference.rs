//! `pack.name`: the reference of a definition.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

const LENGTH_MAX: usize = 128;

/// A validated `pack.name`. Further dots belong to the name (`core.hello.timer` is the inline timer of the rule
/// `core.hello`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "core.timer_10s")]
pub struct Ref(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a reference: write `pack.name` with lower-case letters, digits and `_`, each part starting with a letter, at most {LENGTH_MAX} characters"
)]
pub struct InvalidRef(String);

impl Ref {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn pack(&self) -> &str {
        self.0.split_once('.').map_or(self.0.as_str(), |(pack, _)| pack)
    }
}

/// Whether a text is a valid name of a pack, or one part of a reference.
pub fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    text.len() <= 64
        && chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl FromStr for Ref {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.len() <= LENGTH_MAX && text.contains('.') && text.split('.').all(is_name);
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRef(text.chars().take(LENGTH_MAX).collect()))
        }
    }
}

impl TryFrom<String> for Ref {
    type Error = InvalidRef;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Ref> for String {
    fn from(reference: Ref) -> Self {
        reference.0
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Addresses a definition by its reference or by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Id(i64),
    Ref(String),
}

impl Key {
    pub fn id(&self) -> Option<i64> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Ref(_) => None,
        }
    }

    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Id(_) => None,
            Self::Ref(reference) => Some(reference),
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Ref(text.to_owned()), Self::Id)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Ref(reference) => f.write_str(reference),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pack_dot_name() {
        let check = |text: &str, good: bool| assert_eq!(text.parse::<Ref>().is_ok(), good, "{text:?}");
        check("core.echo", true);
        check("core.hello.timer", true);
        check("core", false);
        check("core.", false);
        check(".echo", false);
        check("Core.echo", false);
        check("core.1st", false);
        check("core.echo now", false);
        check(&format!("core.{}", "x".repeat(200)), false);
    }
}
