//! Identities, for admins.

use crate::{
    answer::{Created, List, One},
    api::Api,
    audit,
    auth::{Caller, check_new_password},
    problem::Problem,
    request::{Changes, Draft, Id, Query, form, query},
};
use attune_common::store::{self, identity};
use attune_domain::{
    FieldErrors, IdentityId,
    identity::{Identity, Role, is_login},
};
use axum::extract::State;
use secrecy::SecretString;
use serde::Serialize;

form! {
    pub struct IdentityForm {
        /// Lower-case letters, digits, `.`, `_`, `@` and `-`.
        login: String,
        display_name: Option<String>,
        #[schema(value_type = String, format = Password, min_length = 12, max_length = 256)]
        password: SecretString,
        role: Role = Role::Viewer,
    }
}

form! {
    #[derive(Serialize)]
    pub struct IdentityChange {
        display_name: String,
        role: Role,
        enabled: bool,
    }
}

form! {
    pub struct IdentityFilter {
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

const READ_ONLY: [&str; 4] = ["id", "login", "created_at", "updated_at"];

pub async fn list(State(api): State<Api>, Query(params): Query<IdentityFilter>) -> Result<List<Identity>, Problem> {
    let limit = query::span(params.limit, None).limit;
    let rows = identity::page(&api.pool, params.cursor.as_deref(), i64::from(limit) + 1).await?;
    Ok(List::of(rows, limit, |row| row.login.clone()))
}

pub async fn get(State(api): State<Api>, Id(id): Id<i64>) -> Result<One<Identity>, Problem> {
    let found = identity::get(&api.pool, IdentityId(id)).await?;
    found.map(One::new).ok_or_else(|| Problem::not_found("identity", id))
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<IdentityForm>,
) -> Result<Created<One<Identity>>, Problem> {
    let Draft { form, mut errors, .. } = body;
    if !is_login(&form.login) {
        errors.add(
            "login",
            "must start with a letter or digit and contain only lower-case letters, digits, `.`, `_`, `@` and `-`, at most 64 characters",
        );
    }
    errors.collect(check_new_password("password", &form.password));
    check_display_name(&mut errors, form.display_name.as_deref());
    errors.into_result()?;
    check_grant(&caller, None, form.role, true)?;
    let hash = api.hashing.hash(form.password).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "failed to hash a password");
        Problem::internal()
    })?;
    let mut tx = api.begin().await?;
    let name = form.display_name.as_deref().unwrap_or(&form.login);
    let id = identity::insert(&mut tx, &form.login, name, &hash, form.role)
        .await
        .map_err(|error| map_conflict(error, &form.login))?;
    let made = identity::get(&mut *tx, id).await?.ok_or_else(Problem::internal)?;
    let object = format!("identity {}", form.login);
    audit::record(&mut tx, &caller, "create", &object, (None, Some(&made))).await?;
    tx.commit().await?;
    let location = format!("/api/v1/identities/{id}");
    Ok(Created {
        location,
        body: One::new(made),
    })
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<i64>,
    changes: Changes,
) -> Result<One<Identity>, Problem> {
    let id = IdentityId(id);
    let before = identity::get(&api.pool, id)
        .await?
        .ok_or_else(|| Problem::not_found("identity", id))?;
    let current = IdentityChange {
        display_name: before.display_name.clone(),
        role: before.role,
        enabled: before.enabled,
    };
    let (form, mut errors) = changes.over(&current, &READ_ONLY)?;
    check_display_name(&mut errors, Some(&form.display_name));
    errors.into_result()?;
    if id == caller.identity_id && (form.role != Role::Admin || !form.enabled) {
        return Err(Problem::conflict(
            "yourself",
            "admins cannot reduce their own rights; another admin can",
        ));
    }
    check_grant(&caller, Some(&before), form.role, form.enabled)?;
    let mut tx = api.begin().await?;
    let has_other_admin = identity::other_admin(&mut tx, id).await?;
    if !has_other_admin && (form.role != Role::Admin || !form.enabled) {
        let detail = format!("{} is the last enabled admin; create another one first", before.login);
        return Err(Problem::conflict("last_admin", detail));
    }
    identity::update(&mut tx, id, &form.display_name, form.role, form.enabled).await?;
    let after = identity::get(&mut *tx, id).await?.ok_or_else(Problem::internal)?;
    audit::record(
        &mut tx,
        &caller,
        "update",
        &format!("identity {}", after.login),
        (Some(&before), Some(&after)),
    )
    .await?;
    tx.commit().await?;
    api.sessions.forget();
    Ok(One::new(after))
}

/// An API token makes no admin: that admin would outlive the token.
fn check_grant(caller: &Caller, before: Option<&Identity>, role: Role, enabled: bool) -> Result<(), Problem> {
    let was_admin = before.is_some_and(|before| before.role == Role::Admin && before.enabled);
    if was_admin || role != Role::Admin || !enabled {
        return Ok(());
    }
    if caller.token_id.is_some() {
        let detail = "an API token cannot make an admin, who would outlive the token; sign in instead";
        return Err(Problem::forbidden(detail));
    }
    caller.check_step_up()
}

fn check_display_name(errors: &mut FieldErrors, display_name: Option<&str>) {
    if display_name.is_some_and(|name| name.is_empty() || name.chars().count() > 200) {
        errors.add("display_name", "must have 1 to 200 characters");
    }
}

fn map_conflict(error: store::Error, login: &str) -> Problem {
    match store::violation(&error) {
        Some(violation) if violation.constraint == "identity_login_unique" => {
            Problem::conflict("exists", format!("identity {login} already exists"))
                .with_errors(FieldErrors::one("login", "is already in use"))
        }
        _ => error.into(),
    }
}
