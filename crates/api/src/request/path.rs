//! Path parameters: a definition by its ref or number, an occurrence by its id.

use crate::problem::Problem;
use attune_domain::{
    FieldErrors, Ref,
    reference::{Key, is_name},
};
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{StatusCode, request::Parts},
};
use std::{any::TypeId, num::ParseIntError, str::FromStr};

/// A definition: `core.echo`, or its number. The ref of a pack has no dot.
#[derive(Debug)]
pub struct Name(pub Key);

/// An occurrence.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (name, text) = parameter(parts, state).await?;
        let key = Key::from(text.as_str());
        match &key {
            Key::Ref(text) if !is_name(text) && text.parse::<Ref>().is_err() => Err(malformed(
                &name,
                &text.chars().take(128).collect::<String>(),
                "must be a ref such as core.echo, or a number",
            )),
            _ => Ok(Self(key)),
        }
    }
}

impl<S: Send + Sync, T: FromStr<Err: 'static>> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (name, text) = parameter(parts, state).await?;
        let expected = if TypeId::of::<T::Err>() == TypeId::of::<ParseIntError>() {
            "must be a number"
        } else {
            "must be a UUID such as 0190a5e4-7c2b-7000-8000-000000000000"
        };
        let id = text.parse();
        id.map(Self)
            .map_err(|_| malformed(&name, &text.chars().take(64).collect::<String>(), expected))
    }
}

/// The name and the value of the path parameter.
async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<(String, String), Problem> {
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    let parameters = parameters.map_err(|_| malformed("", "", "is not UTF-8"))?;
    let first = parameters
        .iter()
        .next()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    first.ok_or_else(Problem::internal)
}

fn malformed(name: &str, text: &str, why: &str) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", format!("{text:?} not found"));
    problem.with_errors(FieldErrors::one(name, why))
}
