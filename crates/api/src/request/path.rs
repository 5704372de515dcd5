//! What an address names: a definition by its reference or number, an occurrence by its id.

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

/// A definition: `core.echo`, or its number. Packs have names without a dot.
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
            Key::Ref(text) if !is_name(text) && text.parse::<Ref>().is_err() => Err(nothing(
                &name,
                &text.chars().take(128).collect::<String>(),
                "is neither a reference such as core.echo nor a number",
            )),
            _ => Ok(Self(key)),
        }
    }
}

impl<S: Send + Sync, T: FromStr<Err: 'static>> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (name, text) = parameter(parts, state).await?;
        let wanted = if TypeId::of::<T::Err>() == TypeId::of::<ParseIntError>() {
            "is not an id: a number is expected"
        } else {
            "is not an id: a UUID is expected, such as 0190a5e4-7c2b-7000-8000-000000000000"
        };
        let id = text.parse();
        id.map(Self)
            .map_err(|_| nothing(&name, &text.chars().take(64).collect::<String>(), wanted))
    }
}

/// The parameter's name in the address, and what was given for it.
async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<(String, String), Problem> {
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    let parameters = parameters.map_err(|_| nothing("", "", "is not UTF-8"))?;
    let first = parameters
        .iter()
        .next()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    first.ok_or_else(Problem::internal)
}

fn nothing(name: &str, text: &str, why: &str) -> Problem {
    let problem = Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is nothing called {text:?}"),
    );
    problem.with_errors(FieldErrors::one(name, why))
}
