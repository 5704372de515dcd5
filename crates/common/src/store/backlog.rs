//! Waiting and running executions, by pool.

use super::{Error, service_instance::ALIVE_SECONDS};
use sqlx::PgPool;

#[derive(Debug)]
pub struct Backlog {
    pub pool: String,
    /// Executions that can be claimed, now or when they are due.
    pub ready: i64,
    /// Executions that wait for a slot of a concurrency key.
    pub waiting: i64,
    pub running: i64,
    /// When the oldest execution that can be claimed now became ready.
    pub oldest_seconds: f64,
    /// Executions that have been ready for longer than a worker takes to start.
    pub overdue: i64,
    /// Whether a live worker claims from the pool.
    pub served: bool,
}

/// All pools, in one query. Pools without executions are omitted.
pub async fn of_pools(pool: &PgPool) -> Result<Vec<Backlog>, Error> {
    sqlx::query_as!(
        Backlog,
        r#"select pool as "pool!", count(*) filter (where ready) as "ready!", count(*) filter (where waits_for is not null) as "waiting!",
                  count(*) filter (where not ready and waits_for is null) as "running!",
                  coalesce(extract(epoch from db_now() - min(run_at) filter (where ready and run_at <= db_now())), 0)::float8 as "oldest_seconds!",
                  count(*) filter (where ready and run_at <= db_now() - interval '10 seconds') as "overdue!",
                  exists (select from service_instance s where s.kind = 'worker' and s.heartbeat_at > db_now() - make_interval(secs => $1)
                            and s.detail ->> 'pool' = q.pool) as "served!"
           from execution_queue q group by pool order by pool"#,
        ALIVE_SECONDS
    )
    .fetch_all(pool)
    .await
}

/// Stores which pools are unserved. A pool that was not before causes an event of `core.pool_unserved`.
pub async fn record_unserved(pool: &PgPool, unserved: &[(&str, i64)]) -> Result<(), Error> {
    let (pools, executions): (Vec<&str>, Vec<i64>) = unserved.iter().copied().unzip();
    sqlx::query!(
        "with served as (delete from pool_unserved where pool <> all($1))
         insert into pool_unserved (pool, executions) select * from unnest($1::text[], $2::bigint[]) order by 1
         on conflict do nothing",
        &pools as &[&str],
        &executions
    )
    .execute(pool)
    .await
    .map(drop)
}

impl Backlog {
    pub fn none(pool: &str) -> Self {
        Self {
            pool: pool.to_owned(),
            ready: 0,
            waiting: 0,
            running: 0,
            oldest_seconds: 0.0,
            overdue: 0,
            served: true,
        }
    }

    /// There is work and no worker.
    pub fn is_unserved(&self) -> bool {
        self.overdue > 0 && !self.served
    }
}
