//! Daily partitions: created in advance, filled from the default partition, dropped when nothing in them is pending.

use attune_common::testing::Database;
use sqlx::{Decode, Postgres, Type};

/// An SQL expression: the id of an event `days` from now.
fn id(days: i32) -> String {
    format!("id_floor(db_now() + interval '{days} days')")
}

/// An SQL expression: that day.
fn day(days: i32) -> String {
    format!("((db_now() + interval '{days} days') at time zone 'UTC')::date")
}

async fn value<T>(database: &Database, sql: &str) -> T
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + Unpin,
{
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_one(&database.pool)
        .await
        .expect("the test's SQL is right")
}

async fn insert_event(database: &Database, days: i32) {
    database
        .execute(&format!(
            "insert into event (id, trigger_id, trigger_ref, source, payload, trace_id) values ({}, 1, 'core.timer_10s', 'timer', '{{}}', {0})",
            id(days)
        ))
        .await;
}

/// The table that contains the event of that day. Empty if none does.
async fn place(database: &Database, days: i32) -> String {
    let sql = format!(
        "select coalesce((select tableoid::regclass::text from event where id >= id_floor({}) and id < id_floor({})), '')",
        day(days),
        day(days + 1)
    );
    value(database, &sql).await
}

async fn name(database: &Database, days: i32) -> String {
    value(
        database,
        &format!("select 'event_' || to_char({}, 'YYYYMMDD')", day(days)),
    )
    .await
}

async fn create(database: &Database, days: i32) -> bool {
    value(database, &format!("select partition_create('event', {})", day(days))).await
}

#[tokio::test]
async fn a_new_partition_takes_its_rows_from_the_default_partition() {
    let database = Database::new().await;
    insert_event(&database, 20).await;
    insert_event(&database, 21).await;
    assert_eq!(place(&database, 20).await, "event_default");

    assert!(create(&database, 20).await, "it is new");
    assert_eq!(place(&database, 20).await, name(&database, 20).await);
    assert_eq!(
        place(&database, 21).await,
        "event_default",
        "the rows of other days stay"
    );
    assert!(!create(&database, 20).await, "it is there already");
    assert_eq!(value::<i64>(&database, "select count(*) from event").await, 2);
    database.close().await;
}

#[tokio::test]
async fn upkeep_creates_missing_partitions() {
    let database = Database::new().await;
    assert_eq!(
        value::<i32>(&database, "select partition_upkeep()").await,
        0,
        "the migration has made them"
    );
    for days in -1..=7 {
        insert_event(&database, days).await;
        assert_eq!(place(&database, days).await, name(&database, days).await);
    }
    database.move_clock("1 day").await;
    let tables = value::<i64>(&database, "select count(*) from partitioned_table").await;
    assert_eq!(
        i64::from(value::<i32>(&database, "select partition_upkeep()").await),
        tables,
        "one more day of each table"
    );
    assert_eq!(value::<i32>(&database, "select partition_upkeep()").await, 0);
    database.close().await;
}

#[tokio::test]
async fn old_partitions_are_dropped_unless_they_are_pending() {
    let database = Database::new().await;
    let (old, pending, in_default, pending_in_default, kept) = (-40, -41, -50, -51, -29);
    for days in [old, pending, kept] {
        create(&database, days).await;
    }
    for days in [old, pending, in_default, pending_in_default, kept] {
        insert_event(&database, days).await;
    }
    for days in [pending, pending_in_default] {
        let of_day = format!("id >= id_floor({}) and id < id_floor({})", day(days), day(days + 1));
        database
            .execute(&format!(
                "insert into event_queue (event_id) select id from event where {of_day}"
            ))
            .await;
    }

    let dropped: Vec<String> =
        sqlx::query_scalar("select dropped || ' ' || removed from partition_expire() order by 1 desc")
            .fetch_all(&database.pool)
            .await
            .expect("old partitions can be dropped");
    assert_eq!(
        dropped,
        [
            "event_default 1".to_owned(),
            format!("{} 1", name(&database, old).await)
        ]
    );
    assert_eq!(place(&database, old).await, "");
    assert_eq!(place(&database, in_default).await, "");
    assert_eq!(place(&database, pending).await, name(&database, pending).await);
    assert_eq!(place(&database, pending_in_default).await, "event_default");
    assert_eq!(place(&database, kept).await, name(&database, kept).await);

    database.execute("delete from event_queue").await;
    let dropped = value::<i64>(&database, "select count(*) from partition_expire()").await;
    assert_eq!(dropped, 2, "once they are decided, they go too");
    assert_eq!(
        value::<i64>(&database, "select count(*) from partition_expire()").await,
        0
    );
    database.close().await;
}
