//! The query of a request, read like a body.

use super::form::{self, Form};
use crate::problem::Problem;
use attune_common::{
    clock,
    store::{Page, Span},
};
use attune_domain::{
    FieldErrors, Ref,
    moment::Moment,
    reference::is_name,
    text::{self, BadForm, Charset},
};
use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The longest page of a list; the forms of lists check it.
pub const LIMIT_MAX: u16 = 200;

#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: Form> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = text::pairs(query.as_bytes(), Charset::Utf8).map_err(|bad| match bad {
            BadForm::Fields(errors) => Problem::invalid(errors),
            BadForm::Charset(error) => Problem::field("", format!("the query {error}")),
        })?;
        let (mut values, mut errors) = (Map::new(), FieldErrors::new());
        for (name, value) in pairs {
            if value.contains('\0') {
                errors.add(name.clone(), "must not contain the character U+0000");
            }
            if values.insert(name.clone(), Value::String(value)).is_some() {
                errors.add(name, "must be given once; separate several values with commas");
            }
        }
        Ok(Self(form::read_plain(values, errors)?))
    }
}

/// A page of a list of definitions.
pub fn page(limit: u16, cursor: Option<String>) -> Result<Page, Problem> {
    if cursor
        .as_ref()
        .is_some_and(|cursor| !is_name(cursor) && cursor.parse::<Ref>().is_err())
    {
        return Err(Problem::field("cursor", "must be `pagination.next` of a list"));
    }
    Ok(Page { after: cursor, limit })
}

/// A page of a list of occurrences.
pub fn span(limit: u16, cursor: Option<Uuid>) -> Span {
    Span::new(limit).after(cursor)
}

/// `since` and `until` of a list: `24h` means 24 hours ago.
pub fn past(moment: Option<Moment>) -> Option<DateTime<Utc>> {
    moment.map(|moment| moment.in_past(clock::now()))
}
