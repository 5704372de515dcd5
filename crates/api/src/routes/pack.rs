//! Packs.

use crate::{
    answer::{Created, List, Versioned},
    api::Api,
    auth::Caller,
    definitions::{self, Editable, links::all_errors, map_conflict, or_not_found},
    problem::Problem,
    request::{Changes, Draft, IfMatch, Name, Query, form, query},
    routes::pack_files::{self, Upload},
};
use attune_common::store::{self, PgConnection, pack};
pub use attune_domain::definition::PackDraft as PackForm;
use attune_domain::{
    FieldErrors,
    definition::{Definition, Draft as _, Pack},
    reference::Key,
};
use axum::{
    extract::{FromRequest as _, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

form! {
    pub struct PackFilter {
        enabled: Option<bool>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

form! {
    pub struct Removal {
        /// Also delete the definitions in the pack.
        cascade: bool = false,
    }
}

pub async fn list(State(api): State<Api>, Query(filter): Query<PackFilter>) -> Result<List<Pack>, Problem> {
    let page = query::page(filter.limit, filter.cursor)?;
    let rows = pack::page(&api.pool, filter.enabled, &page).await?;
    Ok(List::of(rows, page.limit, |pack| pack.r#ref.to_string()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<Versioned<Pack>, Problem> {
    let found = or_not_found(pack::get(&api.pool, &key).await?, &key)?;
    Ok(Versioned::new(found.version, found))
}

/// Creates an empty pack, or applies an archive.
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    Query(options): Query<Upload>,
    request: Request,
) -> Result<Response, Problem> {
    if let Some(format) = pack_files::format_of(request.headers()) {
        let applied = pack_files::apply(&api, &caller, &options, format, request).await?;
        return Ok(applied.into_response());
    }
    for (name, given) in [("dry_run", options.dry_run), ("source", options.source.is_some())] {
        if given {
            let message = "needs an archive as the body, with content-type application/gzip or application/zip";
            return Err(Problem::field(name, message));
        }
    }
    let body = Draft::<PackForm>::from_request(request, &()).await?;
    let made: Created<Versioned<Pack>> = definitions::create(&api, &caller, body).await?;
    Ok(made.into_response())
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<Pack>, Problem> {
    definitions::update(&api, &caller, (&key, seen), changes).await
}

pub async fn enable(State(api): State<Api>, caller: Caller, Name(key): Name) -> Result<Versioned<Pack>, Problem> {
    definitions::switch(&api, &caller, &key, true).await
}

pub async fn disable(State(api): State<Api>, caller: Caller, Name(key): Name) -> Result<Versioned<Pack>, Problem> {
    definitions::switch(&api, &caller, &key, false).await
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    Query(removal): Query<Removal>,
) -> Result<StatusCode, Problem> {
    let delete = async |pack: &Pack, tx: &mut PgConnection| {
        if !removal.cascade {
            refuse_contents(pack, tx).await?;
        }
        pack.delete(tx).await
    };
    definitions::delete_by(&api, &caller, (&key, seen), delete).await
}

/// A pack that contains definitions is deleted only with `cascade`.
async fn refuse_contents(pack: &Pack, tx: &mut PgConnection) -> Result<(), Problem> {
    let contents = pack::contents(tx, pack.id).await?;
    if contents.is_empty() {
        return Ok(());
    }
    let advice = "delete the pack with ?cascade=true, and they are deleted with it";
    Err(Problem::in_use(&pack.r#ref, "holds", contents, advice))
}

impl Editable for Pack {
    type Links = ();

    async fn get(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        pack::get(tx, key).await
    }

    async fn lock(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        pack::lock(tx, key).await
    }

    async fn check(
        _: &Api,
        _: &mut PgConnection,
        draft: &mut PackForm,
        read: FieldErrors,
        before: Option<&Self>,
    ) -> Result<(), Problem> {
        draft.complete(None);
        let found = draft.validate().err().unwrap_or_default();
        let before = before.map(Definition::draft);
        Ok(all_errors(read, draft, before.as_ref(), found).into_result()?)
    }

    async fn insert(_: &Api, tx: &mut PgConnection, draft: &PackForm, (): &()) -> Result<(), Problem> {
        let made = pack::insert(tx, draft).await;
        made.map(drop)
            .map_err(|error| map_conflict::<Self>(error, &draft.r#ref))
    }

    async fn update(&self, _: &Api, tx: &mut PgConnection, draft: &PackForm, (): &()) -> Result<(), Problem> {
        pack::update(tx, self.id, draft).await?;
        Ok(())
    }

    async fn set_enabled(&self, tx: &mut PgConnection, enabled: bool) -> Result<(), store::Error> {
        pack::set_enabled(tx, self.id, enabled).await
    }

    async fn delete(&self, tx: &mut PgConnection) -> Result<(), Problem> {
        let users = pack::users(tx, self.id).await?;
        if !users.is_empty() {
            let advice = "delete or change these first; `cascade` deletes only what the pack itself holds";
            return Err(Problem::in_use(&self.r#ref, "is used by", users, advice));
        }
        pack::delete(tx, self.id).await?;
        Ok(())
    }
}
