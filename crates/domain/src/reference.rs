//! `pack.name`: the reference of a definition.
//!
//! [`Ref`] checks the form; [`TriggerRef`], [`ActionRef`] and [`RuleRef`] also state what is referred to. A value from the
//! database is not checked again: the domain `definition_ref` of the columns has the same rule, and history has copies.

use serde::{Deserialize, Serialize};
use std::{fmt, ops::Deref, str::FromStr};
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

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a pack: write lower-case letters, digits and `_`, starting with a letter, at most 64 characters"
)]
pub struct InvalidPackRef(String);

macro_rules! typed_refs {
    ($($(#[$doc:meta])* $name:ident($check:expr) or $error:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> Result<String, $error> = $check;
                check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(reference: $name) -> Self {
                reference.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

typed_refs! {
    /// The reference of a pack, which is its name.
    PackRef(pack_name) or InvalidPackRef;
    TriggerRef(definition) or InvalidRef;
    ActionRef(definition) or InvalidRef;
    RuleRef(definition) or InvalidRef;
}

fn pack_name(text: &str) -> Result<String, InvalidPackRef> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(InvalidPackRef(text.chars().take(LENGTH_MAX).collect()))
    }
}

fn definition(text: &str) -> Result<String, InvalidRef> {
    text.parse::<Ref>().map(String::from)
}

/// Addresses a definition by its reference or by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    fn a_typed_reference_is_checked_when_it_is_parsed() {
        let parsed = |json: &str| serde_json::from_str::<TriggerRef>(json);
        let reference = parsed(r#""core.timer_10s""#).expect("a reference");
        assert_eq!(reference, "core.timer_10s");
        let written = serde_json::to_string(&reference).expect("JSON");
        assert_eq!(written, r#""core.timer_10s""#);
        let error = parsed(r#""core""#).expect_err("no pack").to_string();
        assert!(error.contains("is not a reference"), "{error}");
        assert!("core".parse::<PackRef>().is_ok() && "core.echo".parse::<PackRef>().is_err());
    }

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
