//! How packs, triggers, actions and rules are created and changed. A file in `routes` keeps the filter of its noun and
//! what is special about it, as an [`Editable`].

pub mod links;
pub mod secrets;

use crate::{
    answer::{Created, Versioned},
    api::Api,
    audit,
    auth::Caller,
    problem::Problem,
    request::{self, Changes, IfMatch},
};
use attune_common::store::{self, PgConnection, Transaction};
use attune_domain::{
    FieldErrors,
    definition::{Action, Definition, Draft, Pack, Rule, Trigger},
    reference::Key,
};
use axum::http::StatusCode;

/// Definitions with a version that `If-Match` can require.
pub trait Versioning: Definition {
    fn version(&self) -> i64;
}

macro_rules! versioning {
    ($($name:ident)*) => {
        $(impl Versioning for $name {
            fn version(&self) -> i64 {
                self.version
            }
        })*
    };
}
versioning! { Pack Trigger Action Rule }

/// A definition that the API creates and changes.
pub trait Editable: Versioning + Sized {
    /// What a draft refers to.
    type Links;
    /// Fields that the server writes. They are ignored in bodies, so that what was read can be sent back.
    const READ_ONLY: &'static [&'static str] = &["id", "managed", "created_at", "updated_at"];

    async fn get(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error>;

    /// Reads the row and locks it until the transaction ends.
    async fn lock(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error>;

    /// Completes and checks a draft. `read` holds the errors of its single fields.
    async fn check(
        api: &Api,
        tx: &mut PgConnection,
        draft: &mut Self::Draft,
        read: FieldErrors,
        before: Option<&Self>,
    ) -> Result<Self::Links, Problem>;

    async fn insert(api: &Api, tx: &mut PgConnection, draft: &Self::Draft, links: &Self::Links) -> Result<(), Problem>;

    async fn update(
        &self,
        api: &Api,
        tx: &mut PgConnection,
        draft: &Self::Draft,
        links: &Self::Links,
    ) -> Result<(), Problem>;

    async fn set_enabled(&self, tx: &mut PgConnection, enabled: bool) -> Result<(), store::Error>;

    /// Deletes it, unless others use it.
    async fn delete(&self, tx: &mut PgConnection) -> Result<(), Problem>;

    /// Adds the part of the answer that must be read inside the transaction, because nothing may fail after the commit.
    async fn shown(self, _tx: &mut PgConnection, _before: Option<&Self>) -> Result<Versioned<Self>, Problem> {
        Ok(Versioned::new(self.version(), self))
    }
}

pub async fn create<T: Editable>(
    api: &Api,
    caller: &Caller,
    body: request::Draft<T::Draft>,
) -> Result<Created<Versioned<T>>, Problem> {
    let mut draft = body.form;
    let mut tx = api.begin_definitions().await?;
    let links = T::check(api, &mut tx, &mut draft, body.errors, None).await?;
    T::insert(api, &mut tx, &draft, &links).await?;
    let key = Key::Ref(draft.reference().to_owned());
    let made = T::get(&mut tx, &key).await?.ok_or_else(Problem::internal)?;
    let location = format!("/api/v1/{}s/{}", T::NOUN, made.reference());
    let body = made.shown(&mut tx, None).await?;
    commit(api, tx, caller, "create", (None, Some(&body.data))).await?;
    Ok(Created { location, body })
}

pub async fn update<T: Editable>(
    api: &Api,
    caller: &Caller,
    (key, seen): (&Key, IfMatch),
    changes: Changes,
) -> Result<Versioned<T>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = or_not_found(T::lock(&mut tx, key).await?, key)?;
    seen.check(before.version())?;
    let (mut draft, errors) = changes.over(&before.draft(), T::READ_ONLY)?;
    if draft.reference() != before.reference() && !errors.has("ref") {
        let message = format!("is immutable; create a new {} instead", T::NOUN);
        return Err(Problem::field("ref", message));
    }
    let links = T::check(api, &mut tx, &mut draft, errors, Some(&before)).await?;
    before.update(api, &mut tx, &draft, &links).await?;
    let after = T::get(&mut tx, key).await?.ok_or_else(Problem::internal)?;
    let shown = after.shown(&mut tx, Some(&before)).await?;
    commit(api, tx, caller, "update", (Some(&before), Some(&shown.data))).await?;
    Ok(shown)
}

pub async fn switch<T: Editable>(
    api: &Api,
    caller: &Caller,
    key: &Key,
    enabled: bool,
) -> Result<Versioned<T>, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = or_not_found(T::lock(&mut tx, key).await?, key)?;
    before.set_enabled(&mut tx, enabled).await?;
    let after = T::get(&mut tx, key).await?.ok_or_else(Problem::internal)?;
    let shown = after.shown(&mut tx, Some(&before)).await?;
    let verb = if enabled { "enable" } else { "disable" };
    commit(api, tx, caller, verb, (Some(&before), Some(&shown.data))).await?;
    Ok(shown)
}

pub async fn delete<T: Editable>(api: &Api, caller: &Caller, address: (&Key, IfMatch)) -> Result<StatusCode, Problem> {
    delete_by(api, caller, address, T::delete).await
}

/// The same, where deleting takes more than the definition.
pub async fn delete_by<T: Editable>(
    api: &Api,
    caller: &Caller,
    (key, seen): (&Key, IfMatch),
    delete: impl AsyncFnOnce(&T, &mut PgConnection) -> Result<(), Problem>,
) -> Result<StatusCode, Problem> {
    let mut tx = api.begin_definitions().await?;
    let before = or_not_found(T::lock(&mut tx, key).await?, key)?;
    seen.check(before.version())?;
    delete(&before, &mut tx).await?;
    commit(api, tx, caller, "delete", (Some(&before), None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the address names, or 404.
pub fn or_not_found<T: Definition>(row: Option<T>, key: &Key) -> Result<T, Problem> {
    row.ok_or_else(|| Problem::not_found(T::NOUN, key))
}

/// Why a new one could not be written.
pub fn map_conflict<T: Definition>(error: store::Error, reference: &str) -> Problem {
    match store::violation(&error) {
        Some(violation) if violation.constraint == format!("{}_ref_unique", T::NOUN) => {
            Problem::exists(T::NOUN, reference)
        }
        _ => error.into(),
    }
}

/// Records who did it, commits, and announces that definitions changed.
pub async fn commit<T: Definition>(
    api: &Api,
    mut tx: Transaction,
    caller: &Caller,
    verb: &str,
    (before, after): (Option<&T>, Option<&T>),
) -> Result<(), Problem> {
    let reference = after.or(before).map(T::reference).unwrap_or_default();
    let object = format!("{} {reference}", T::NOUN);
    audit::record(&mut tx, caller, verb, &object, (before, after)).await?;
    api.commit_definitions(tx).await
}
