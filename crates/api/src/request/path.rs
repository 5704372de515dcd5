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
use std::str::FromStr;

/// A definition: `core.echo`, or its number. Packs have names without a dot.
#[derive(Debug)]
pub struct Name(pub Key);

/// An occurrence.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = parameter(parts, state).await?;
        let key = Key::from(text.as_str());
        match &key {
            Key::Ref(text) if !is_name(text) && text.parse::<Ref>().is_err() => Err(nothing(
                &text.chars().take(128).collect::<String>(),
                "is neither a reference nor a number",
            )),
            _ => Ok(Self(key)),
        }
    }
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = parameter(parts, state).await?;
        let id = text.parse();
        id.map(Self)
            .map_err(|_| nothing(&text.chars().take(64).collect::<String>(), "is not an id"))
    }
}

async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    let parameters = parameters.map_err(|_| nothing("", "is not UTF-8"))?;
    let first = parameters.iter().next().map(|(_, value)| value.to_owned());
    first.ok_or_else(Problem::internal)
}

fn nothing(text: &str, why: &str) -> Problem {
    let problem = Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is nothing called {text:?}"),
    );
    problem.with_errors(FieldErrors::one("ref", why))
}
