//! The statements that every execution passes, in an installation of three months with a full queue: they find their rows by key,
//! in one partition, and do not read the other hundred.

use attune_common::{
    store::{
        PgConnection, Transaction, event_queue,
        execution_queue::{self, AttemptKey, Claimed, Finished},
    },
    testing::Database,
};
use attune_domain::execution::ExecutionStatus;
use std::time::Duration;
use uuid::Uuid;

const TERM: Duration = Duration::from_secs(30);
const BATCH: i64 = 50;

/// An SQL expression: an id of about now.
const NEW_ID: &str = "overlay(gen_random_uuid()::text placing left(id_floor(db_now())::text, 13) from 1 for 13)::uuid";

/// A partition for each of the last 90 days, 2,000 finished executions of today, and `pending` events and executions.
async fn old_and_busy(pending: i64) -> Database {
    let database = Database::new().await;
    for (table, days) in [
        ("execution", 2),
        ("execution", 32),
        ("execution", 62),
        ("event", 2),
        ("event", 32),
        ("event", 62),
    ] {
        database
            .execute(&format!(
                "select partition_create('{table}', current_date - n) from generate_series({days}, {days} + 29) n"
            ))
            .await;
    }
    database
        .execute(&format!(
            "insert into execution (id, action_ref, pool, parameters, status, scheduled_at, trace_id)
             select {NEW_ID}, 't.noop', 'default', '{{}}', 'succeeded', db_now(), gen_random_uuid() from generate_series(1, 2000);
             insert into execution (id, action_ref, pool, parameters, status, scheduled_at, trace_id)
             select {NEW_ID}, 't.noop', 'default', '{{}}', 'scheduled', db_now(), gen_random_uuid() from generate_series(1, {pending});
             insert into execution_queue (execution_id, pool, run_at, timeout_seconds)
             select id, pool, scheduled_at, 60 from execution where status = 'scheduled';
             insert into event (id, trigger_id, trigger_ref, source, payload, trace_id)
             select {NEW_ID}, 1, 't.any', 'api', '{{}}', gen_random_uuid() from generate_series(1, {pending});
             insert into event_queue (event_id) select id from event;"
        ))
        .await;
    for table in ["execution", "execution_queue", "event", "event_queue"] {
        database.execute(&format!("analyze {table}")).await;
    }
    database
}

/// Lookups of this session in today's partition of a table, and in all the others.
async fn lookups(connection: &mut PgConnection, table: &str) -> (i64, i64) {
    let sql = format!(
        "select coalesce(sum(scans) filter (where today), 0)::bigint, coalesce(sum(scans) filter (where not today), 0)::bigint
         from (select coalesce(idx_scan, 0) + coalesce(seq_scan, 0) as scans,
                      relname = '{table}_' || to_char(db_now() at time zone 'UTC', 'YYYYMMDD') as today
               from pg_stat_xact_user_tables where relname ~ '^{table}_([0-9]{{8}}|default)$') counted"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Since `before`, today's partition was read once for each row, and the others not at all.
async fn looked_up(connection: &mut PgConnection, table: &str, before: (i64, i64)) {
    let after = lookups(connection, table).await;
    let (today, others) = (after.0 - before.0, after.1 - before.1);
    assert!(
        (1..=BATCH).contains(&today),
        "{table}: {today} lookups for {BATCH} rows"
    );
    assert_eq!(others, 0, "{table}: lookups in the partitions of other days");
}

fn succeeded(claimed: &Claimed) -> Finished {
    let held = AttemptKey {
        id: claimed.id,
        attempt: claimed.attempt,
    };
    Finished {
        held,
        status: ExecutionStatus::Succeeded,
        result: None,
        error: None,
        exit_code: None,
        life: None,
    }
}

#[tokio::test]
async fn a_claim_and_a_result_read_only_their_rows() {
    // Planned once, for any length of the queue.
    for pending in [BATCH, 20_000] {
        let database = old_and_busy(pending).await;
        // In one transaction, so that the counters remain in the session.
        let mut tx = Transaction::begin(&database.pool).await.unwrap();
        let before = lookups(&mut tx, "execution").await;
        let claim = execution_queue::claim(&mut *tx, "default", Uuid::now_v7(), BATCH, TERM)
            .await
            .unwrap();
        assert_eq!(claim.executions.len(), 50);
        looked_up(&mut tx, "execution", before).await;

        let before = lookups(&mut tx, "execution").await;
        let ended: Vec<Finished> = claim.executions.iter().map(succeeded).collect();
        let accepted = execution_queue::finish(&mut *tx, &ended).await.unwrap();
        assert_eq!(accepted.len(), 50);
        looked_up(&mut tx, "execution", before).await;
        tx.commit().await.unwrap();
        database.close().await;
    }
}

#[tokio::test]
async fn events_are_read_with_their_claim() {
    for pending in [BATCH, 20_000] {
        let database = old_and_busy(pending).await;
        let mut tx = Transaction::begin(&database.pool).await.unwrap();
        let before = lookups(&mut tx, "event").await;
        let claimed = event_queue::claim(&mut *tx, BATCH, TERM).await.unwrap();
        assert_eq!(claimed.iter().filter(|claim| claim.event.is_some()).count(), 50);
        looked_up(&mut tx, "event", before).await;
        tx.commit().await.unwrap();
        database.close().await;
    }
}

/// The rows of a table that this session has read, including earlier transactions that are not flushed yet.
async fn rows_read(connection: &mut PgConnection, table: &str) -> i64 {
    let sql = "select coalesce(sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)), 0)::bigint
               from pg_stat_xact_user_tables where relname = $1";
    sqlx::query_scalar(sql).bind(table).fetch_one(connection).await.unwrap()
}

/// The age of the backlog is queried when the queue is long, and must ignore failed events.
#[tokio::test]
async fn the_age_of_the_backlog_reads_a_few_rows() {
    let database = old_and_busy(20_000).await;
    database
        .execute(
            "update event_queue set run_at = db_now() - interval '90 seconds';
             insert into event_queue (event_id, run_at, tries, quarantined_at)
             values ('00000000-0000-7000-8000-000000000001', db_now() - interval '1 hour', 2, null),
                    ('00000000-0000-7000-8000-000000000002', db_now() - interval '1 hour', 0, db_now())",
        )
        .await;
    database.execute("vacuum analyze event_queue").await;
    let mut tx = Transaction::begin(&database.pool).await.unwrap();
    let before = rows_read(&mut tx, "event_queue").await;
    let seconds = event_queue::oldest_seconds(&mut *tx).await.unwrap();
    assert!((90.0..600.0).contains(&seconds), "{seconds}");
    let read = rows_read(&mut tx, "event_queue").await - before;
    assert!((1..1_000).contains(&read), "{read} rows of 20,000 were read");
    tx.commit().await.unwrap();
    database.close().await;
}

/// Old rows are claimed in order, even outside of the expected partitions.
#[tokio::test]
async fn an_old_event_is_claimed_in_its_turn() {
    let database = Database::new().await;
    database
        .execute(&format!(
            "insert into execution (id, action_ref, pool, parameters, status, scheduled_at, trace_id)
             select id, 't.noop', 'default', '{{}}', 'scheduled', db_now(), gen_random_uuid()
             from unnest(array[{NEW_ID}, {NEW_ID}, id_floor(db_now() - interval '3 days'), id_floor(db_now() - interval '50 days')]) id;
             insert into execution_queue (execution_id, pool, run_at, priority, timeout_seconds)
             select id, pool, db_now(), case when id < id_floor(db_now() - interval '40 days') then 1 else 0 end, 60 from execution;
             insert into event (id, trigger_id, trigger_ref, source, payload, trace_id)
             select id, 1, 't.any', 'api', '{{}}', gen_random_uuid() from unnest(array[{NEW_ID}, id_floor(db_now() - interval '50 days')]) id;
             insert into event_queue (event_id) select id from event"
        ))
        .await;
    let oldest = "select count(*) from execution where status = 'running' and attempt = 1 and id < id_floor(db_now() - interval '40 days')";
    for (limit, claimed, running) in [(1, 1, 1), (10, 3, 4), (10, 0, 4)] {
        let claim = execution_queue::claim(&database.pool, "default", Uuid::now_v7(), limit, TERM)
            .await
            .unwrap();
        assert_eq!(claim.executions.len(), claimed);
        assert_eq!(database.count(oldest).await, 1, "the highest priority came first");
        let marked = "select count(*) from execution e join execution_queue q on q.execution_id = e.id
                      where e.status = 'running' and e.attempt = q.attempt and e.worker_id = q.worker_id and not q.ready";
        assert_eq!(database.count(marked).await, running);
    }

    let mut events = event_queue::claim(&database.pool, 10, TERM).await.unwrap();
    let read = |events: &[event_queue::Claimed]| events.iter().filter(|claim| claim.event.is_some()).count();
    assert_eq!((events.len(), read(&events)), (2, 1));
    event_queue::load(&database.pool, &mut events).await.unwrap();
    assert_eq!(read(&events), 2);
    database.close().await;
}
