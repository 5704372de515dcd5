//! API tokens, for programs. The token itself is shown once.

use crate::{
    answer::{Created, List, One},
    api::Api,
    audit,
    auth::{Caller, Secret},
    problem::Problem,
    request::{Draft, Id, Query, form, query},
};
use attune_common::{
    clock,
    store::{Transaction, api_token, identity},
};
use attune_domain::identity::{ApiToken, Role};
use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

form! {
    pub struct TokenForm {
        /// The purpose of the token.
        label: String,
        /// At most the role of its creator.
        role: Role = Role::Viewer,
        /// Default: never. A token that is created with another token expires no later than that one, which is also the default.
        expires_at: Option<DateTime<Utc>>,
    }
}

form! {
    pub struct TokenFilter {
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<i64>,
    }
}

/// A new token. `token` is never shown again.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewToken {
    id: i64,
    token: String,
    prefix: String,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
}

/// The tokens of the caller; an admin sees all.
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(params): Query<TokenFilter>,
) -> Result<List<ApiToken>, Problem> {
    let limit = query::span(params.limit, None).limit;
    let owner = (caller.role != Role::Admin).then_some(caller.identity_id);
    let rows = api_token::page(&api.pool, owner, params.cursor, i64::from(limit) + 1).await?;
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
            format!(
                "must be at most {}, the role of its creator, not {}",
                caller.role, form.role
            ),
        );
    }
    if form.expires_at.is_some_and(|at| at <= clock::now()) {
        errors.add("expires_at", "must be in the future");
    }
    let mut tx = api.begin().await?;
    let limit = creator_end(&mut tx, &caller).await?;
    if let Some((end, at)) = limit.zip(form.expires_at)
        // With the precision of PostgreSQL.
        && at.timestamp_micros() > end.timestamp_micros()
    {
        let end = end.to_rfc3339_opts(SecondsFormat::Secs, true);
        errors.add(
            "expires_at",
            format!("must be at most {end}, when the token that creates it expires"),
        );
    }
    errors.into_result()?;
    if form.role != Role::Viewer {
        caller.check_step_up()?;
    }
    let secret = Secret::new(Secret::API_TOKEN);
    let expires_at = form.expires_at.or(limit);
    let token = api_token::NewToken {
        owner: caller.identity_id,
        parent: caller.token_id,
        label: &form.label,
        prefix: &secret.prefix,
        hash: &secret.hash,
        role: form.role,
        expires_at,
    };
    let id = api_token::insert(&mut tx, &token).await?;
    audit::note(&mut tx, &caller, "create", &format!("token {id}")).await?;
    tx.commit().await?;
    let made = NewToken {
        id,
        token: secret.text.expose_secret().to_owned(),
        prefix: secret.prefix,
        role: form.role,
        expires_at,
    };
    let location = format!("/api/v1/tokens/{id}");
    Ok(Created {
        location,
        body: One::new(made),
    })
}

/// When the token that creates another one expires. Locks the owner, so that neither the owner nor that token can be
/// disabled before the new one is written.
async fn creator_end(tx: &mut Transaction, caller: &Caller) -> Result<Option<DateTime<Utc>>, Problem> {
    let owner = identity::lock(tx, caller.identity_id).await?;
    if !owner.is_some_and(|owner| owner.enabled) {
        return Err(Problem::unauthorized("the user has been disabled"));
    }
    let Some(id) = caller.token_id else {
        return Ok(None);
    };
    let creator = api_token::live(tx, id).await?;
    let creator = creator.ok_or_else(|| Problem::unauthorized("the token has been revoked or has expired"))?;
    Ok(creator.expires_at)
}

/// Revokes a token and every token that it created. A token revokes only those whose role it covers.
pub async fn revoke(State(api): State<Api>, caller: Caller, Id(id): Id<i64>) -> Result<StatusCode, Problem> {
    let owner = (caller.role != Role::Admin).then_some(caller.identity_id);
    let mut tx = api.begin().await?;
    let found = api_token::get(&mut tx, id, owner).await?;
    let (owner, token) = found.ok_or_else(|| Problem::not_found("token", id))?;
    if caller.token_id.is_some() && !caller.role.covers(token.role) {
        let detail = format!(
            "token {id} has the role {}; a token with the role {} cannot revoke it; sign in instead",
            token.role, caller.role
        );
        return Err(Problem::forbidden(detail));
    }
    identity::lock(&mut tx, owner).await?;
    let mut revoked = api_token::revoke(&mut tx, id).await?;
    revoked.sort_unstable();
    for id in revoked {
        audit::note(&mut tx, &caller, "revoke", &format!("token {id}")).await?;
    }
    tx.commit().await?;
    api.sessions.forget();
    Ok(StatusCode::NO_CONTENT)
}
