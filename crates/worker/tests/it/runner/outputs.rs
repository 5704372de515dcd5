//! Output: all of it is read, a bounded part is captured, and remaining writers are not waited for.

use super::support::{TestRunner, exists, pids_in, status_field};
use attune_worker::runner::Outcome;
use std::time::{Duration, Instant};

const CAPTURED: usize = 1 << 20;

#[tokio::test]
async fn the_streams_are_separate() {
    let test = TestRunner::new().await;
    let ended = test.run_shell("echo out; echo err >&2; echo more").await;
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\nmore\n", "err\n"));
    test.stop().await;
}

#[tokio::test]
async fn a_hundred_megabytes_pass_through_bounded_memory() {
    let test = TestRunner::new().await;
    let attendant = test.attendant();
    let ended = test
        .run_shell("echo first; yes 0123456789abcdef | head -c 104857600; echo; echo last")
        .await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{:?}", ended.error);
    assert!(ended.stdout.len() <= CAPTURED && ended.stdout.len() > CAPTURED - 200);
    assert!(ended.stdout.starts_with("first\n0123") && ended.stdout.ends_with("\nlast\n"));
    let (head, rest) = ended.stdout.split_once("\n[").unwrap();
    let (omitted, tail) = rest.split_once(" bytes left out]\n").unwrap();
    let total = "first\n".len() + 104_857_600 + "\nlast\n".len();
    assert_eq!(head.len() + omitted.parse::<usize>().unwrap() + tail.len(), total);
    let peak = status_field(attendant, "VmHWM");
    let kilobytes: usize = peak.strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(kilobytes < 32 << 10, "{peak}");
    test.stop().await;
}

#[tokio::test]
async fn exactly_one_mebibyte_is_captured_completely() {
    let test = TestRunner::new().await;
    let ended = test.run_shell("head -c 1048576 /dev/zero | tr '\\0' x").await;
    assert_eq!(ended.stdout, "x".repeat(CAPTURED));
    test.stop().await;
}

#[tokio::test]
async fn invalid_bytes_are_replaced() {
    let test = TestRunner::new().await;
    let ended = test.run_shell(r"printf 'a\377b\000c'").await;
    assert_eq!(ended.stdout, "a\u{fffd}b\u{fffd}c");
    let ended = test.run_shell("head -c 1048576 /dev/zero").await;
    assert!(ended.stdout.len() <= CAPTURED && !ended.stdout.contains('\0'));
    test.stop().await;
}

#[tokio::test]
async fn an_action_ends_with_its_main_process_even_if_others_hold_its_output() {
    let test = TestRunner::new().await;
    let started = Instant::now();
    let ended = test
        .run_shell(r#"sleep 300 & echo $! > "$ATTUNE_TEST/pids"; echo done"#)
        .await;
    assert_eq!((ended.outcome, ended.stdout.as_str()), (Outcome::Succeeded, "done\n"));
    assert!(started.elapsed() < Duration::from_secs(20));
    let pids = pids_in(&test.file("pids"), 1).await;
    assert!(
        !exists(pids[0]),
        "leftover processes are killed before the end is reported"
    );
    test.stop().await;
}

#[tokio::test]
async fn an_action_may_close_its_output_and_continue() {
    let test = TestRunner::new().await;
    let ended = test.run_shell("echo before; exec >&- 2>&-; sleep 0.1; exit 4").await;
    assert_eq!((ended.exit_code, ended.stdout.as_str()), (Some(4), "before\n"));
    test.stop().await;
}
