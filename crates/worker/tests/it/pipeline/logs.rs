//! What an action writes is there while it runs, in its order, once.

use crate::support::{DEADLINE, Site, ended};
use attune_common::{
    store::{
        execution_log::{self, Chunk, Place, Written},
        execution_queue::AttemptKey,
        rescue::{self, Rescue},
    },
    testing::eventually,
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;

/// Speaks on both streams, one after the other, and ends when the file `go` is there.
const SPEAKER: &str = r#"echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three;
    echo $$ > "$D/pid-$ATTUNE_ATTEMPT"; while [ ! -e "$D/go" ]; do sleep 0.05; done; echo four"#;

async fn log(site: &Site, id: ExecutionId) -> Vec<Chunk> {
    execution_log::after(&site.database.pool, id, Place::default())
        .await
        .unwrap()
}

fn told<'a>(chunks: &'a [Chunk]) -> Vec<(i32, &'a str, &'a str)> {
    let one = |chunk: &'a Chunk| (chunk.attempt, chunk.stream.as_str(), chunk.chunk.as_str());
    chunks.iter().map(one).collect()
}

/// Waits until so many pieces are there.
async fn pieces(site: &Site, id: ExecutionId, count: usize) -> Vec<Chunk> {
    let enough = async || Some(log(site, id).await).filter(|chunks| chunks.len() >= count);
    eventually("pieces of the log", DEADLINE, enough).await
}

async fn result(site: &Site, id: ExecutionId) -> Value {
    sqlx::query_scalar::<_, Value>("select result from execution where id = $1")
        .bind(id.0)
        .fetch_one(&site.database.pool)
        .await
        .unwrap()
}

fn whole(chunks: &[Chunk], stream: &str) -> String {
    let of_stream = chunks.iter().filter(|chunk| chunk.stream == stream);
    of_stream.map(|chunk| chunk.chunk.as_str()).collect()
}

#[tokio::test]
async fn lines_are_there_before_the_action_ends_in_their_order_and_at_its_end_all() {
    let site = Site::new().await;
    let id = site.run("speak", SPEAKER, "", 1).await;
    let worker = site.worker();
    let running = pieces(&site, id, 3).await;
    assert!(site.is(id, "status = 'running' and result is null").await);
    assert_eq!(
        told(&running),
        [(1, "stdout", "one\n"), (1, "stderr", "two\n"), (1, "stdout", "three\n")]
    );
    site.make("go");
    site.becomes(id, "status = 'succeeded'").await;
    let (end, result) = (log(&site, id).await, result(&site, id).await);
    assert_eq!(told(&end)[3..], [(1, "stdout", "four\n")]);
    assert_eq!(result["stdout"], whole(&end, "stdout"));
    assert_eq!(result["stderr"], whole(&end, "stderr"));
    // One that is over soon costs no row: its result says it all.
    let short = site.run("echo", "echo hi", "", 1).await;
    site.becomes(short, "status = 'succeeded'").await;
    assert_eq!(log(&site, short).await.len(), 0);
    worker.signal(Signal::SIGTERM);
    worker.ends_within(DEADLINE).await;
    site.database.close().await;
}

#[tokio::test]
async fn what_was_written_survives_the_worker_and_is_never_doubled() {
    let site = Site::new().await;
    let id = site.run("speak", SPEAKER, "on_lost = 'requeue'", 3).await;
    let first = site.worker();
    pieces(&site, id, 3).await;
    let speaker = site.pid("pid-1").await;
    first.signal(Signal::SIGKILL);
    ended(speaker, DEADLINE).await;
    assert_eq!(log(&site, id).await.len(), 3);
    // The last words of the dead worker, late: the same ones change nothing, others come too late.
    let held = AttemptKey { id, attempt: 1 };
    let piece = |seq| Written {
        held,
        seq,
        stream: "stdout",
        text: "again".to_owned(),
    };
    let pool = &site.database.pool;
    assert_eq!(
        execution_log::append(pool, &[piece(1), piece(4)]).await.unwrap(),
        [(held, 4)]
    );
    site.database
        .execute("update execution_queue set lease_until = '-infinity'")
        .await;
    let rescue = Rescue {
        held,
        to: ExecutionStatus::Scheduled,
        reason: "gone".to_owned(),
    };
    assert_eq!(rescue::resolve(pool, &[rescue], Duration::ZERO).await.unwrap(), [id]);
    assert_eq!(execution_log::append(pool, &[piece(5)]).await.unwrap(), []);
    let _second = site.worker();
    site.pid("pid-2").await;
    pieces(&site, id, 7).await;
    site.make("go");
    site.becomes(id, "status = 'succeeded' and attempt = 2").await;
    let chunks = log(&site, id).await;
    let lines = |attempt| {
        let of_attempt = chunks.iter().filter(|chunk| chunk.attempt == attempt);
        of_attempt.map(|chunk| chunk.chunk.as_str()).collect::<String>()
    };
    assert_eq!(lines(1), "one\ntwo\nthree\nagain");
    assert_eq!(lines(2), "one\ntwo\nthree\nfour\n");
    site.database.close().await;
}

#[tokio::test]
async fn much_output_is_bounded_while_it_comes_and_afterwards() {
    let site = Site::new().await;
    let script = r#"yes 0123456789abcdef | head -c 3000000; echo $$ > "$D/pid"; while [ ! -e "$D/go" ]; do sleep 0.05; done; echo; echo last"#;
    let id = site.run("much", script, "", 1).await;
    let _worker = site.worker();
    site.pid("pid").await;
    let half = 1 << 19;
    let so_far = async || {
        let length: usize = log(&site, id).await.iter().map(|chunk| chunk.chunk.len()).sum();
        (length > half - 100).then_some(length)
    };
    let told = eventually("the beginning", DEADLINE, so_far).await;
    assert!(told <= half, "{told}");
    site.make("go");
    site.becomes(id, "status = 'succeeded'").await;
    let (chunks, result) = (log(&site, id).await, result(&site, id).await);
    let whole = whole(&chunks, "stdout");
    assert!(whole.len() <= 1 << 20 && whole.ends_with("\nlast\n") && whole.contains(" bytes left out]"));
    assert_eq!(result["stdout"], whole);
    site.database.close().await;
}

/// The result of an attempt that is tried again is not kept: what it wrote is.
#[tokio::test]
async fn an_attempt_that_is_tried_again_keeps_its_output() {
    let site = Site::new().await;
    let script = r#"echo "try $ATTUNE_ATTEMPT"; echo "bad luck" >&2; [ "$ATTUNE_ATTEMPT" = 2 ]"#;
    let retry = r#"retry = '{"max_attempts": 2, "backoff_seconds": 0}'"#;
    let id = site.run("again", script, retry, 2).await;
    let _worker = site.worker();
    site.becomes(id, "status = 'succeeded' and attempt = 2").await;
    assert_eq!(
        told(&log(&site, id).await),
        [(1, "stdout", "try 1\n"), (1, "stderr", "bad luck\n")]
    );
    assert_eq!(result(&site, id).await["stdout"], "try 2\n");
    let attempts = attune_common::store::execution_attempt::list(&site.database.pool, id)
        .await
        .unwrap();
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            (
                attempt.attempt,
                attempt.outcome.as_deref(),
                attempt.reason.as_deref(),
                attempt.logged,
            )
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            (1, Some("failed"), Some("exit code 1"), true),
            (2, Some("succeeded"), None, false)
        ]
    );
    assert!(attempts.iter().all(|attempt| {
        let times = (attempt.started_at.unwrap(), attempt.ended_at.unwrap());
        attempt.worker.is_some() && times.0 <= times.1
    }));
    site.database.close().await;
}
