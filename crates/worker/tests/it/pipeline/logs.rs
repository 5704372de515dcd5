//! The output of an action is readable while it runs, in order and without duplicates.

use crate::support::{DEADLINE, TestWorker, ended};
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

/// Writes to both streams in turn, and exits when the file `go` exists.
const SPEAKER: &str = r#"echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three;
    echo $$ > "$D/pid-$ATTUNE_ATTEMPT"; while [ ! -e "$D/go" ]; do sleep 0.05; done; echo four"#;

async fn log(test: &TestWorker, id: ExecutionId) -> Vec<Chunk> {
    execution_log::after(&test.database.pool, id, Place::default())
        .await
        .unwrap()
}

fn pieces_of<'a>(chunks: &'a [Chunk]) -> Vec<(i32, &'a str, &'a str)> {
    let one = |chunk: &'a Chunk| (chunk.attempt, chunk.stream.as_str(), chunk.chunk.as_str());
    chunks.iter().map(one).collect()
}

/// Waits until the log has at least `count` pieces.
async fn pieces(test: &TestWorker, id: ExecutionId, count: usize) -> Vec<Chunk> {
    let enough = async || Some(log(test, id).await).filter(|chunks| chunks.len() >= count);
    eventually("pieces of the log", DEADLINE, enough).await
}

async fn result(test: &TestWorker, id: ExecutionId) -> Value {
    sqlx::query_scalar::<_, Value>("select result from execution where id = $1")
        .bind(id.0)
        .fetch_one(&test.database.pool)
        .await
        .unwrap()
}

fn whole(chunks: &[Chunk], stream: &str) -> String {
    let of_stream = chunks.iter().filter(|chunk| chunk.stream == stream);
    of_stream.map(|chunk| chunk.chunk.as_str()).collect()
}

#[tokio::test]
async fn output_is_readable_while_the_action_runs_and_complete_at_its_end() {
    let test = TestWorker::new().await;
    let id = test.run("speak", SPEAKER, "", 1).await;
    let worker = test.worker();
    let running = pieces(&test, id, 3).await;
    assert!(test.is(id, "status = 'running' and result is null").await);
    assert_eq!(
        pieces_of(&running),
        [(1, "stdout", "one\n"), (1, "stderr", "two\n"), (1, "stdout", "three\n")]
    );
    test.touch("go");
    test.becomes(id, "status = 'succeeded'").await;
    let (end, result) = (log(&test, id).await, result(&test, id).await);
    assert_eq!(pieces_of(&end)[3..], [(1, "stdout", "four\n")]);
    assert_eq!(result["stdout"], whole(&end, "stdout"));
    assert_eq!(result["stderr"], whole(&end, "stderr"));
    // A short action has no rows: its result contains its output.
    let short = test.run("echo", "echo hi", "", 1).await;
    test.becomes(short, "status = 'succeeded'").await;
    assert_eq!(log(&test, short).await.len(), 0);
    worker.signal(Signal::SIGTERM);
    worker.ends_within(DEADLINE).await;
    test.database.close().await;
}

#[tokio::test]
async fn logged_output_survives_the_worker_and_is_never_duplicated() {
    let test = TestWorker::new().await;
    let id = test.run("speak", SPEAKER, "on_lost = 'requeue'", 3).await;
    let first = test.worker();
    pieces(&test, id, 3).await;
    let speaker = test.pid("pid-1").await;
    first.signal(Signal::SIGKILL);
    ended(speaker, DEADLINE).await;
    assert_eq!(log(&test, id).await.len(), 3);
    // Late pieces of the dead worker: repeated ones change nothing, new ones are accepted until the rescue.
    let held = AttemptKey { id, attempt: 1 };
    let piece = |seq| Written {
        held,
        seq,
        stream: "stdout",
        text: "again".to_owned(),
    };
    let pool = &test.database.pool;
    assert_eq!(
        execution_log::append(pool, &[piece(1), piece(4)]).await.unwrap(),
        [(held, 4)]
    );
    test.database
        .execute("update execution_queue set lease_until = '-infinity'")
        .await;
    let rescue = Rescue {
        held,
        to: ExecutionStatus::Scheduled,
        reason: "gone".to_owned(),
    };
    assert_eq!(rescue::resolve(pool, &[rescue], Duration::ZERO).await.unwrap(), [id]);
    assert_eq!(execution_log::append(pool, &[piece(5)]).await.unwrap(), []);
    let _second = test.worker();
    test.pid("pid-2").await;
    pieces(&test, id, 7).await;
    test.touch("go");
    test.becomes(id, "status = 'succeeded' and attempt = 2").await;
    let chunks = log(&test, id).await;
    let lines = |attempt| {
        let of_attempt = chunks.iter().filter(|chunk| chunk.attempt == attempt);
        of_attempt.map(|chunk| chunk.chunk.as_str()).collect::<String>()
    };
    assert_eq!(lines(1), "one\ntwo\nthree\nagain");
    assert_eq!(lines(2), "one\ntwo\nthree\nfour\n");
    test.database.close().await;
}

#[tokio::test]
async fn large_output_is_bounded_during_and_after_the_run() {
    let test = TestWorker::new().await;
    let script = r#"yes 0123456789abcdef | head -c 3000000; echo $$ > "$D/pid"; while [ ! -e "$D/go" ]; do sleep 0.05; done; echo; echo last"#;
    let id = test.run("much", script, "", 1).await;
    let _worker = test.worker();
    test.pid("pid").await;
    let half = 1 << 19;
    let so_far = async || {
        let length: usize = log(&test, id).await.iter().map(|chunk| chunk.chunk.len()).sum();
        (length > half - 100).then_some(length)
    };
    let length = eventually("the beginning", DEADLINE, so_far).await;
    assert!(length <= half, "{length}");
    test.touch("go");
    test.becomes(id, "status = 'succeeded'").await;
    let (chunks, result) = (log(&test, id).await, result(&test, id).await);
    let whole = whole(&chunks, "stdout");
    assert!(whole.len() <= 1 << 20 && whole.ends_with("\nlast\n") && whole.contains(" bytes left out]"));
    assert_eq!(result["stdout"], whole);
    test.database.close().await;
}

/// The result of a retried attempt is not stored, but its output is.
#[tokio::test]
async fn a_retried_attempt_keeps_its_output() {
    let test = TestWorker::new().await;
    let script = r#"echo "try $ATTUNE_ATTEMPT"; echo "bad luck" >&2; [ "$ATTUNE_ATTEMPT" = 2 ]"#;
    let retry = r#"retry = '{"max_attempts": 2, "backoff_seconds": 0}'"#;
    let id = test.run("again", script, retry, 2).await;
    let _worker = test.worker();
    test.becomes(id, "status = 'succeeded' and attempt = 2").await;
    assert_eq!(
        pieces_of(&log(&test, id).await),
        [(1, "stdout", "try 1\n"), (1, "stderr", "bad luck\n")]
    );
    assert_eq!(result(&test, id).await["stdout"], "try 2\n");
    let attempts = attune_common::store::execution_attempt::list(&test.database.pool, id)
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
    test.database.close().await;
}
