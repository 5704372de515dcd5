//! What waits for workers, pool by pool.

use super::Error;
use sqlx::PgPool;

#[derive(Debug)]
pub struct Backlog {
    pub pool: String,
    /// May be claimed now.
    pub ready: i64,
    pub oldest_seconds: f64,
}

pub async fn of_pools(pool: &PgPool) -> Result<Vec<Backlog>, Error> {
    sqlx::query_as!(
        Backlog,
        r#"select pool as "pool!", count(*) as "ready!",
                  coalesce(extract(epoch from db_now() - min(run_at) filter (where run_at <= db_now())), 0)::float8 as "oldest_seconds!"
           from execution_queue where ready group by pool order by pool"#
    )
    .fetch_all(pool)
    .await
}

impl Backlog {
    pub fn none(pool: &str) -> Self {
        Self {
            pool: pool.to_owned(),
            ready: 0,
            oldest_seconds: 0.0,
        }
    }
}
