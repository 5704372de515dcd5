//! A sensor whose own clock is wrong: only the database's clock counts, and health reports the skew.

use attune_common::{
    bus::InProcessBus,
    config::Config,
    service::{Context, Tasks},
    testing::{Database, eventually},
};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_skewed_clock_changes_nothing_and_is_reported() {
    let database = Database::new().await;
    database.move_clock("-10 minutes").await;
    database
        .execute(
            r#"insert into pack (ref, label) values ('test', 'Test');
               insert into trigger (ref, pack_id, label, kind, config)
               select 'test.second', id, 'Second', 'timer', '{"type": "interval", "seconds": 1}' from pack"#,
        )
        .await;
    let tasks = Tasks::default();
    let context = Context::new(
        Arc::new(Config::default()),
        database.pool.clone(),
        Arc::new(InProcessBus::new()),
        &tasks,
    );
    context.spawn("sensor", attune_sensor::run(context.clone()));
    let deadline = Duration::from_secs(15);
    eventually("two occurrences fire", deadline, async || {
        (database.count("select count(*) from event").await >= 2).then_some(())
    })
    .await;
    let strange =
        "select count(*) from event where scheduled_at > db_now() or received_at - scheduled_at > interval '5 seconds'";
    assert_eq!(database.count(strange).await, 0, "due by the database's clock");
    assert_eq!(
        database.count("select count(*) from timer_gap").await,
        0,
        "nothing was missed"
    );
    let reported = eventually("health reports the skew", deadline, async || {
        let (_, parts) = context.health.summary();
        let sensor = parts.get("sensor")?;
        let skew = sensor["clock_skew_ms"].as_i64()?;
        Some((skew, sensor["status"].clone()))
    })
    .await;
    assert!((590_000..610_000).contains(&reported.0), "{reported:?}");
    assert_eq!(reported.1, "degraded");
    tasks.finish().await;
    database.close().await;
}
