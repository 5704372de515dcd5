//! What is delayed starts when it is due, and not at the next poll.

use crate::support::{DEADLINE, Site};
use attune_common::testing::eventually;
use attune_domain::ExecutionId;

/// How long after it was due it was started, at most. Polling alone is 0.5 s late on average.
const SOON_MS: i64 = 250;

async fn late_ms(site: &Site, ids: &[ExecutionId]) -> Vec<i64> {
    let mut late = Vec::new();
    for id in ids {
        let sql = format!(
            "select (1000 * extract(epoch from started_at - scheduled_at))::bigint from execution where id = '{}'",
            id.0
        );
        late.push(site.database.count(&sql).await);
    }
    late.sort_unstable();
    late
}

#[tokio::test]
async fn a_retry_starts_when_it_is_due() {
    let site = Site::new().await;
    let mut ids = Vec::new();
    for (place, seconds) in [0.3, 0.7, 1.2, 1.6, 2.3, 3.1, 3.7, 4.4].into_iter().enumerate() {
        let retry = format!(r#"retry = '{{"max_attempts": 2, "backoff_seconds": {seconds}}}'"#);
        let action = site
            .action(&format!("second_time_{place}"), r#"[ "$ATTUNE_ATTEMPT" = 2 ]"#, &retry)
            .await;
        ids.push(site.start(action, 2).await);
    }
    let _worker = site.worker();
    for id in &ids {
        site.becomes(*id, "status = 'succeeded' and attempt = 2").await;
    }
    let late = late_ms(&site, &ids).await;
    // One of them may be unlucky on a busy machine.
    assert!(late[late.len() - 2] < SOON_MS, "{late:?}");
    site.database.close().await;
}

/// Nobody told the worker: it was delayed with psql.
#[tokio::test]
async fn what_was_delayed_from_outside_starts_when_it_is_due() {
    let site = Site::new().await;
    let action = site.action("noop", ":", "").await;
    let mut ids = Vec::new();
    for milliseconds in [2_600, 3_100, 3_700, 4_300, 5_050, 5_600] {
        let id = site.start(action, 1).await;
        let delay = format!(
            "with q as (update execution_queue set run_at = db_now() + interval '{milliseconds} ms' where execution_id = '{0}' returning run_at)
             update execution set scheduled_at = q.run_at from q where id = '{0}'",
            id.0
        );
        site.database.execute(&delay).await;
        ids.push(id);
    }
    let _worker = site.worker();
    eventually("all to be over", DEADLINE, async || {
        (site
            .database
            .count("select count(*) from execution where status = 'succeeded'")
            .await
            == 6)
            .then_some(())
    })
    .await;
    let late = late_ms(&site, &ids).await;
    assert!(late[late.len() - 2] < SOON_MS, "{late:?}");
    site.database.close().await;
}
