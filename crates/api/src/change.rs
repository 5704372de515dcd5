//! What changes of packs, triggers, actions and rules have in common.

use crate::{
    answer::{Created, Versioned},
    api::Api,
    audit,
    auth::Caller,
    problem::Problem,
};
use attune_common::store::{self, Transaction};
use attune_domain::{
    definition::{Action, Pack, Rule, Trigger},
    reference::Key,
};
use serde::Serialize;

/// What people write and change.
pub trait Definition: Serialize + Sync {
    const NOUN: &'static str;

    fn reference(&self) -> &str;

    fn version(&self) -> i64;
}

macro_rules! definitions {
    ($($name:ident $noun:literal),*) => {
        $(impl Definition for $name {
            const NOUN: &'static str = $noun;

            fn reference(&self) -> &str {
                &self.r#ref
            }

            fn version(&self) -> i64 {
                self.version
            }
        })*
    };
}
definitions! { Pack "pack", Trigger "trigger", Action "action", Rule "rule" }

/// What the address names, or 404.
pub fn found<T: Definition>(row: Option<T>, key: &Key) -> Result<T, Problem> {
    row.ok_or_else(|| Problem::not_found(T::NOUN, key))
}

/// A reference is for good: others use it.
pub fn keeps_ref<T: Definition>(before: &T, given: &str) -> Result<(), Problem> {
    if given == before.reference() {
        return Ok(());
    }
    let message = format!("cannot be changed: make another {}", T::NOUN);
    Err(Problem::field("ref", message))
}

/// Why a new one could not be written.
pub fn taken<T: Definition>(error: store::Error, reference: &str) -> Problem {
    match store::violation(&error) {
        Some(violation) if violation.constraint == format!("{}_ref_unique", T::NOUN) => {
            Problem::exists(T::NOUN, reference)
        }
        _ => error.into(),
    }
}

/// The verb of a switch.
pub fn switched(enabled: bool) -> &'static str {
    if enabled { "enable" } else { "disable" }
}

/// Where it is.
pub fn location<T: Definition>(made: &T) -> String {
    format!("/api/v1/{}s/{}", T::NOUN, made.reference())
}

pub fn shown<T: Definition>(definition: T) -> Versioned<T> {
    Versioned::new(definition.version(), definition)
}

pub fn created<T: Definition>(made: T) -> Created<Versioned<T>> {
    Created {
        location: location(&made),
        body: shown(made),
    }
}

/// Keeps who did it, commits, and says that definitions changed.
pub async fn commit<T: Definition>(
    api: &Api,
    mut tx: Transaction,
    caller: &Caller,
    verb: &str,
    (before, after): (Option<&T>, Option<&T>),
) -> Result<(), Problem> {
    let reference = after.or(before).map(T::reference).unwrap_or_default();
    let object = format!("{} {reference}", T::NOUN);
    audit::record(&mut tx, caller, verb, &object, (before, after)).await?;
    api.commit_definitions(tx).await
}
