//! Runtimes. They come with packs; the API only shows them.

use super::{Error, Page};
use attune_domain::{definition::Runtime, reference::Key};
use sqlx::{PgExecutor, PgPool};

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Runtime,
            "select u.id, u.ref, p.ref as pack_ref, u.label, u.description, u.kind, u.command, u.enabled, u.created_at, u.updated_at
             from runtime u join pack p on p.id = u.pack_id " + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, page: &Page) -> Result<Vec<Runtime>, Error> {
    select!(
        "where u.ref > coalesce($1, '') order by u.ref limit $2",
        page.after.as_deref(),
        page.rows()
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, key: &Key) -> Result<Option<Runtime>, Error> {
    select!("where u.ref = $1 or u.id = $2", key.reference(), key.id())
        .fetch_optional(db)
        .await
}
