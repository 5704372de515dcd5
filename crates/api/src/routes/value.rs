//! Values: what packs remember.

use super::secret::reference;
use crate::{
    answer::{List, One},
    api::Api,
    audit,
    auth::Caller,
    known,
    problem::Problem,
    request::{Body, Draft, Name, Query, Texts, form, query},
};
use attune_common::store::{
    PgConnection, Transaction,
    known::Noun,
    pack_value::{self, PackValue},
};
use attune_domain::{FieldErrors, Ref};
use axum::{extract::State, http::StatusCode};
use serde_json::{Value, json};

const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Ten years.
const TTL_SECONDS_MAX: i32 = 315_360_000;

form! {
    pub struct ValueFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        pack_ref: Option<Texts>,
        /// Only refs that begin with this.
        prefix: Option<String>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

form! {
    pub struct ValueForm {
        /// Any JSON except null, of at most 64 KiB.
        value: Value,
        /// The value is removed after this time. Default: never.
        ttl_seconds: Option<i32> where (1..=TTL_SECONDS_MAX),
        /// The version that the value must have, 0 if it must not exist. Default: any.
        version: Option<i64> where (0..=i64::MAX),
    }
}

form! {
    pub struct IncrementForm {
        /// What is added; may be negative.
        by: i64 where (i64::MIN..=i64::MAX) = 1,
        /// The value is removed after this time. Default: never.
        ttl_seconds: Option<i32> where (1..=TTL_SECONDS_MAX),
    }
}

form! {
    pub struct DeleteFilter {
        /// The version that the value must have. Default: any.
        version: Option<i64> where (0..=i64::MAX),
    }
}

pub async fn list(State(api): State<Api>, Query(params): Query<ValueFilter>) -> Result<List<PackValue>, Problem> {
    let page = query::page(params.limit, params.cursor)?;
    known::check(&api.pool, &[("pack_ref", Noun::Pack, params.pack_ref.as_ref())]).await?;
    let filter = pack_value::Filter {
        packs: params.pack_ref.as_ref().map(|any| any.0.as_slice()),
        prefix: params.prefix.as_deref(),
    };
    let rows = pack_value::page(&api.pool, &filter, &page).await?;
    Ok(List::of(rows, page.limit, |value| value.r#ref.clone()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<One<PackValue>, Problem> {
    let reference = reference(&key)?;
    let found = pack_value::get(&api.pool, reference.as_str()).await?;
    found
        .map(One::new)
        .ok_or_else(|| Problem::not_found("value", &reference))
}

pub async fn set(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    body: Draft<ValueForm>,
) -> Result<One<PackValue>, Problem> {
    let reference = reference(&key)?;
    let Draft { form, mut errors, .. } = body;
    if form.value.to_string().len() > VALUE_BYTES_MAX {
        errors.add("value", format!("must have at most {VALUE_BYTES_MAX} bytes as JSON"));
    }
    if form.value.is_null() && !errors.has("value") {
        errors.add("value", "is missing");
    }
    check_ttl(form.ttl_seconds, &mut errors);
    errors.into_result()?;
    let (mut tx, before) = begin(&api, &reference).await?;
    check_version(before.as_ref(), form.version)?;
    let set = write(&mut tx, &caller, &reference, &form.value, form.ttl_seconds, "set").await?;
    tx.commit().await?;
    Ok(set)
}

pub async fn increment(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    body: Body<IncrementForm>,
) -> Result<One<PackValue>, Problem> {
    let reference = reference(&key)?;
    let mut errors = FieldErrors::new();
    check_ttl(body.form.ttl_seconds, &mut errors);
    errors.into_result()?;
    let (mut tx, before) = begin(&api, &reference).await?;
    let present = match &before {
        None => 0,
        Some(before) => before
            .value
            .as_i64()
            .ok_or_else(|| Problem::conflict("not_a_number", format!("the value {reference} is not a whole number")))?,
    };
    let next = present.checked_add(body.form.by).ok_or_else(|| {
        Problem::conflict(
            "not_a_number",
            format!("the value {reference} would not fit into 64 bits"),
        )
    })?;
    let set = write(
        &mut tx,
        &caller,
        &reference,
        &json!(next),
        body.form.ttl_seconds,
        "increment",
    )
    .await?;
    tx.commit().await?;
    Ok(set)
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    Query(params): Query<DeleteFilter>,
) -> Result<StatusCode, Problem> {
    let reference = reference(&key)?;
    let (mut tx, before) = begin(&api, &reference).await?;
    if before.is_none() {
        return Err(Problem::not_found("value", &reference));
    }
    check_version(before.as_ref(), params.version)?;
    pack_value::delete(&mut tx, reference.as_str()).await?;
    audit::note(&mut tx, &caller, "delete", &format!("value {reference}")).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes of one value run one at a time.
async fn begin(api: &Api, reference: &Ref) -> Result<(Transaction, Option<PackValue>), Problem> {
    let mut tx = api.begin().await?;
    pack_value::lock(&mut tx, reference.as_str()).await?;
    let before = pack_value::get(&mut *tx, reference.as_str()).await?;
    Ok((tx, before))
}

async fn write(
    tx: &mut PgConnection,
    caller: &Caller,
    reference: &Ref,
    value: &Value,
    ttl_seconds: Option<i32>,
    verb: &str,
) -> Result<One<PackValue>, Problem> {
    let (name, pack) = (reference.as_str(), reference.pack());
    let written = pack_value::set(tx, (name, pack), value, ttl_seconds, &caller.actor()).await?;
    if written.is_none() {
        return Err(Problem::field("ref", format!("there is no pack {pack}")));
    }
    audit::note(tx, caller, verb, &format!("value {reference}")).await?;
    let found = pack_value::get(tx, name).await?;
    found.map(One::new).ok_or_else(Problem::internal)
}

fn check_ttl(ttl_seconds: Option<i32>, errors: &mut FieldErrors) {
    if ttl_seconds.is_some_and(|ttl| !(1..=TTL_SECONDS_MAX).contains(&ttl)) {
        errors.add("ttl_seconds", format!("must be from 1 to {TTL_SECONDS_MAX} (10 years)"));
    }
}

fn check_version(before: Option<&PackValue>, expected: Option<i64>) -> Result<(), Problem> {
    let present = before.map_or(0, |before| before.version);
    match expected {
        Some(expected) if expected != present => {
            let detail = match present {
                0 => format!("the value does not exist; it was expected to have version {expected}"),
                present => format!("the value has version {present}, not {expected}; read it again"),
            };
            Err(Problem::conflict("version", detail))
        }
        _ => Ok(()),
    }
}
