//! Secrets: set, granted and deleted here, and never returned.

use crate::{
    answer::{List, One},
    api::Api,
    audit,
    auth::Caller,
    known,
    problem::Problem,
    request::{Body, Draft, Name, Query, Texts, form, query},
};
use attune_common::{
    clock,
    secrets::{self, NewSecret, SecretError},
    store::{
        PgConnection,
        known::Noun,
        secret::{self, Secret, Stored},
    },
};
use attune_domain::{FieldErrors, Ref, reference::Key};
use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde_json::Value;

const DESCRIPTION_CHARS_MAX: usize = 10_000;
const GRANTS_MAX: usize = 100;

form! {
    pub struct SecretFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        pack_ref: Option<Texts>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

form! {
    pub struct SecretForm {
        /// Text, a number or an object, of 6 bytes to 64 KiB. It is never returned.
        value: Value,
        description: Option<String>,
        /// Health reports a secret from 14 days before it expires. It still works afterwards.
        expires_at: Option<DateTime<Utc>>,
    }
}

form! {
    pub struct GrantForm {
        /// The pools whose workers can open it.
        pools: Option<Vec<String>>,
        /// The packs and actions that may use it: `github`, `deploy.release`.
        packs: Option<Vec<String>>,
    }
}

pub async fn list(State(api): State<Api>, Query(params): Query<SecretFilter>) -> Result<List<Secret>, Problem> {
    let page = query::page(params.limit, params.cursor)?;
    known::check(&api.pool, &[("pack_ref", Noun::Pack, params.pack_ref.as_ref())]).await?;
    let packs = params.pack_ref.as_ref().map(|any| any.0.as_slice());
    let rows = secret::page(&api.pool, packs, &page).await?;
    Ok(List::of(rows, page.limit, |secret| secret.r#ref.clone()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<One<Secret>, Problem> {
    let reference = reference(&key)?;
    let found = secret::get(&api.pool, reference.as_str()).await?;
    found.map(One::new).ok_or_else(|| not_found(&reference))
}

pub async fn set(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    body: Draft<SecretForm>,
) -> Result<One<Secret>, Problem> {
    let reference = reference(&key)?;
    let Draft { form, mut errors, .. } = body;
    let long = form.description.as_ref().map_or(0, |text| text.chars().count());
    if long > DESCRIPTION_CHARS_MAX {
        errors.add(
            "description",
            format!("must be at most {DESCRIPTION_CHARS_MAX} characters"),
        );
    }
    if form.expires_at.is_some_and(|at| at <= clock::now()) {
        errors.add("expires_at", "must be in the future");
    }
    errors.into_result()?;
    let mut tx = api.begin_definitions().await?;
    let new = NewSecret {
        reference: &reference,
        value: &form.value,
        description: form.description.as_deref(),
        expires_at: form.expires_at,
        set_by: &caller.actor(),
    };
    secrets::set(&mut tx, &api.sealer, &new).await?;
    audit::note(&mut tx, &caller, "set", &format!("secret {reference}")).await?;
    let set = shown(&mut tx, &reference).await?;
    api.commit_definitions(tx).await?;
    Ok(set)
}

pub async fn grant(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    body: Body<GrantForm>,
) -> Result<One<Secret>, Problem> {
    let reference = reference(&key)?;
    let GrantForm { pools, packs } = body.form;
    check_names(pools.as_deref(), packs.as_deref())?;
    let mut tx = api.begin_definitions().await?;
    let before = locked(&mut tx, &reference).await?;
    secrets::grant(&mut tx, &api.sealer, &before, pools.as_deref(), packs.as_deref()).await?;
    audit::note(&mut tx, &caller, "grant", &format!("secret {reference}")).await?;
    let granted = shown(&mut tx, &reference).await?;
    api.commit_definitions(tx).await?;
    Ok(granted)
}

pub async fn delete(State(api): State<Api>, caller: Caller, Name(key): Name) -> Result<StatusCode, Problem> {
    let reference = reference(&key)?;
    let mut tx = api.begin_definitions().await?;
    let stored = locked(&mut tx, &reference).await?;
    secret::delete(&mut tx, stored.id).await?;
    audit::note(&mut tx, &caller, "delete", &format!("secret {reference}")).await?;
    api.commit_definitions(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn shown(tx: &mut PgConnection, reference: &Ref) -> Result<One<Secret>, Problem> {
    let found = secret::get(tx, reference.as_str()).await?;
    found.map(One::new).ok_or_else(Problem::internal)
}

async fn locked(tx: &mut PgConnection, reference: &Ref) -> Result<Stored, Problem> {
    secret::lock(tx, reference.as_str())
        .await?
        .ok_or_else(|| not_found(reference))
}

fn not_found(reference: &Ref) -> Problem {
    Problem::not_found("secret", reference)
}

/// Secrets and values are addressed by their ref only.
pub(super) fn reference(key: &Key) -> Result<Ref, Problem> {
    let reference = key.reference().and_then(|text| text.parse().ok());
    reference.ok_or_else(|| {
        let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", format!("{key} not found"));
        problem.with_errors(FieldErrors::one("ref", "must be a ref such as github.token"))
    })
}

fn check_names(pools: Option<&[String]>, packs: Option<&[String]>) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    if pools.is_none() && packs.is_none() {
        errors.add("pools", "is missing: name the pools, the packs, or both");
    }
    for (field, names) in [("pools", pools), ("packs", packs)] {
        if names.is_some_and(|names| names.len() > GRANTS_MAX) {
            errors.add(field, format!("must have at most {GRANTS_MAX} entries"));
        }
    }
    for (index, name) in packs.unwrap_or_default().iter().enumerate() {
        if !attune_domain::reference::is_name(name) && name.parse::<Ref>().is_err() {
            errors.add(
                format!("packs[{index}]"),
                "must be a pack such as github, or an action such as github.list_issues",
            );
        }
    }
    errors.into_result()
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Invalid(errors) => Self::invalid(errors),
            SecretError::Store(error) => error.into(),
            error @ (SecretError::Seal(_) | SecretError::Pool(_)) => Self::conflict("secret", error.to_string()),
        }
    }
}
