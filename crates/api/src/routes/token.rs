//! API tokens, for programs. The token itself is shown once.

use crate::{
    answer::{Created, List, One},
    api::Api,
    audit,
    auth::{Caller, Secret},
    problem::Problem,
    request::{Draft, Id, Query, form, query},
};
use attune_common::{clock, store::identity};
use attune_domain::identity::{ApiToken, Role};
use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

form! {
    pub struct TokenForm {
        /// What it is for.
        label: String,
        /// At most your own.
        role: Role = Role::Viewer,
        expires_at: Option<DateTime<Utc>>,
    }
}

form! {
    pub struct TokenFilter {
        limit: u16 = 50,
        cursor: Option<i64>,
    }
}

/// A token that was just made. `token` is never shown again.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewToken {
    id: i64,
    token: String,
    prefix: String,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
}

/// One's own; an admin sees everybody's.
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<TokenFilter>,
) -> Result<List<ApiToken>, Problem> {
    let limit = query::span(asked.limit, None)?.limit;
    let owner = (caller.role != Role::Admin).then_some(caller.identity_id);
    let rows = identity::tokens(&api.pool, owner, asked.cursor, i64::from(limit) + 1).await?;
    Ok(List::of(rows, limit, |row| row.id.to_string()))
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<TokenForm>,
) -> Result<Created<One<NewToken>>, Problem> {
    let Draft { form, mut errors, .. } = body;
    if form.label.is_empty() || form.label.chars().count() > 200 {
        errors.add("label", "must have 1 to 200 characters");
    }
    if !caller.role.covers(form.role) {
        errors.add(
            "role",
            format!("is {}: a token gets at most its owner's, {}", form.role, caller.role),
        );
    }
    if form.expires_at.is_some_and(|at| at <= clock::now()) {
        errors.add("expires_at", "lies in the past");
    }
    errors.into_result()?;
    let secret = Secret::new(Secret::API_TOKEN);
    let mut tx = api.begin().await?;
    let id = identity::insert_token(
        &mut tx,
        caller.identity_id,
        &form.label,
        &secret.prefix,
        &secret.hash,
        form.role,
        form.expires_at,
    )
    .await?;
    audit::note(&mut tx, &caller, "create", &format!("token {id}")).await?;
    tx.commit().await?;
    let made = NewToken {
        id,
        token: secret.text.expose_secret().to_owned(),
        prefix: secret.prefix,
        role: form.role,
        expires_at: form.expires_at,
    };
    let location = format!("/api/v1/tokens/{id}");
    Ok(Created {
        location,
        body: One::new(made),
    })
}

pub async fn revoke(State(api): State<Api>, caller: Caller, Id(id): Id<i64>) -> Result<StatusCode, Problem> {
    let owner = (caller.role != Role::Admin).then_some(caller.identity_id);
    let mut tx = api.begin().await?;
    if !identity::revoke_token(&mut tx, id, owner).await? {
        return Err(Problem::not_found("token", id));
    }
    audit::note(&mut tx, &caller, "revoke", &format!("token {id}")).await?;
    tx.commit().await?;
    api.sessions.forget();
    Ok(StatusCode::NO_CONTENT)
}
