//! Packs.

use crate::{
    answer::{Created, List, Versioned},
    api::Api,
    auth::Caller,
    change::{self, created, found, keeps_ref, shown, switched, taken},
    check,
    problem::Problem,
    request::{Changes, Draft, IfMatch, Name, Query, form, query},
};
use attune_common::store::pack;
use attune_domain::{FieldErrors, definition::Pack, reference::is_name};
use axum::{extract::State, http::StatusCode};
use serde::Serialize;

form! {
    #[derive(Serialize)]
    pub struct PackForm {
        /// A name: lower-case letters, digits and `_`, beginning with a letter.
        r#ref: String,
        label: Option<String>,
        description: Option<String>,
        version: String = "0.1.0".to_owned(),
        enabled: bool = true,
    }
}

form! {
    pub struct PackFilter {
        enabled: Option<bool>,
        limit: u16 = 50,
        cursor: Option<String>,
    }
}

form! {
    pub struct Removal {
        /// Remove the definitions in the pack along with it.
        cascade: bool = false,
    }
}

const READ_ONLY: [&str; 4] = ["id", "managed", "created_at", "updated_at"];

pub async fn list(State(api): State<Api>, Query(filter): Query<PackFilter>) -> Result<List<Pack>, Problem> {
    let page = query::page(filter.limit, filter.cursor)?;
    let rows = pack::page(&api.pool, filter.enabled, &page).await?;
    Ok(List::of(rows, page.limit, |pack| pack.r#ref.clone()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<Versioned<Pack>, Problem> {
    let row = pack::get(&api.pool, &key).await?;
    found(row, &key).map(shown)
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<PackForm>,
) -> Result<Created<Versioned<Pack>>, Problem> {
    let form = body.form;
    checked(&form, body.errors)?;
    let mut tx = api.begin_definitions().await?;
    let made = pack::insert(&mut tx, &write(&form))
        .await
        .map_err(|error| taken::<Pack>(error, &form.r#ref))?;
    change::commit(&api, tx, &caller, "create", (None, Some(&made))).await?;
    Ok(created(made))
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<Pack>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(pack::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let (form, errors) = changes.over(&as_form(&before), &READ_ONLY)?;
    checked(&form, errors)?;
    keeps_ref(&before, &form.r#ref)?;
    let after = pack::update(&mut tx, before.id, &write(&form)).await?;
    change::commit(&api, tx, &caller, "update", (Some(&before), Some(&after))).await?;
    Ok(shown(after))
}

pub async fn enable(api: State<Api>, caller: Caller, name: Name) -> Result<Versioned<Pack>, Problem> {
    switch(api, caller, name, true).await
}

pub async fn disable(api: State<Api>, caller: Caller, name: Name) -> Result<Versioned<Pack>, Problem> {
    switch(api, caller, name, false).await
}

async fn switch(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    enabled: bool,
) -> Result<Versioned<Pack>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(pack::lock(&mut tx, &key).await?, &key)?;
    pack::set_enabled(&mut tx, before.id, enabled).await?;
    let after = pack::get(&mut *tx, &key).await?.ok_or_else(Problem::internal)?;
    change::commit(&api, tx, &caller, switched(enabled), (Some(&before), Some(&after))).await?;
    Ok(shown(after))
}

/// A pack that holds definitions goes only when asked to take them along; one that others use does not go.
pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    Query(removal): Query<Removal>,
) -> Result<StatusCode, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = found(pack::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let users = pack::users(&mut tx, before.id).await?;
    if !users.is_empty() {
        let advice = "delete or change these first; `cascade` removes only what the pack itself holds";
        return Err(Problem::in_use(&before.r#ref, "is used by", users, advice));
    }
    let contents = pack::contents(&mut tx, before.id).await?;
    if !contents.is_empty() && !removal.cascade {
        let advice = "delete the pack with ?cascade=true, and they go with it";
        return Err(Problem::in_use(&before.r#ref, "holds", contents, advice));
    }
    pack::delete(&mut tx, before.id).await?;
    change::commit(&api, tx, &caller, "delete", (Some(&before), None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn checked(form: &PackForm, mut errors: FieldErrors) -> Result<(), FieldErrors> {
    if !is_name(&form.r#ref) {
        errors.add(
            "ref",
            "must be lower-case letters, digits and `_`, beginning with a letter, at most 64",
        );
    }
    if form.version.is_empty() || form.version.len() > 64 {
        errors.add("version", "must have 1 to 64 characters");
    }
    check::texts(&mut errors, form.label.as_deref(), form.description.as_deref());
    errors.into_result()
}

fn as_form(pack: &Pack) -> PackForm {
    PackForm {
        r#ref: pack.r#ref.clone(),
        label: Some(pack.label.clone()),
        description: pack.description.clone(),
        version: pack.pack_version.clone(),
        enabled: pack.enabled,
    }
}

fn write(form: &PackForm) -> pack::Write<'_> {
    pack::Write {
        r#ref: &form.r#ref,
        label: form.label.as_deref().unwrap_or(&form.r#ref),
        description: form.description.as_deref(),
        pack_version: &form.version,
        enabled: form.enabled,
    }
}
