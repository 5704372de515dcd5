//! `attune timer preview`: what a person reads, and what is refused.

use super::support::process::Process;
use std::time::Duration;

/// The exit code and everything that was printed.
async fn preview(arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let command = [&[env!("CARGO_BIN_EXE_attune"), "timer", "preview"], arguments].concat();
    let mut process = Process::start("preview", &command, &[], &folder.path().join("log"));
    let code = process.ended(Duration::from_secs(10)).await;
    (code, process.printed())
}

#[tokio::test]
async fn days_with_a_clock_change_are_marked() {
    let berlin = ["30 2 * * *", "--timezone", "Europe/Berlin", "-n", "2", "--after"];
    let (code, spring) = preview(&[&berlin[..], &["2027-03-27T12:00:00Z"]].concat()).await;
    assert_eq!(code, 0, "{spring}");
    let lines: Vec<&str> = spring.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("2027-03-28T01:00:00Z   Sun 2027-03-28 03:00:00 +02:00   clocks went forward"));
    assert_eq!(lines[1], "2027-03-29T00:30:00Z   Mon 2027-03-29 02:30:00 +02:00");
    let (_, autumn) = preview(&[&berlin[..], &["2027-10-30T12:00:00Z"]].concat()).await;
    assert!(
        autumn
            .lines()
            .next()
            .is_some_and(|line| line.contains("clocks went back")),
        "{autumn}"
    );
}

#[tokio::test]
async fn any_configuration_can_be_previewed() {
    let config = r#"{"type": "interval", "seconds": 90}"#;
    let (code, printed) = preview(&[config, "-n", "2", "--after", "2027-01-01T00:00:00Z"]).await;
    assert_eq!(
        (code, printed.as_str()),
        (0, "2027-01-01T00:01:30Z\n2027-01-01T00:03:00Z\n")
    );
}

#[tokio::test]
async fn an_invalid_configuration_names_the_field() {
    let check = async |arguments: &[&str], words: &[&str]| {
        let (code, printed) = preview(arguments).await;
        assert_eq!(code, 1, "{printed}");
        for word in words {
            assert!(printed.contains(word), "{word:?} in {printed:?}");
        }
    };
    check(&["0 0 30 2 *"], &["expression", "never occurs"]).await;
    check(
        &["61 * * * *", "--timezone", "Mars/X"],
        &["minute `61`", "timezone", "`Mars/X`"],
    )
    .await;
    check(&[r#"{"type": "interval", "seconds": 0}"#], &["seconds", "at least 1"]).await;
    check(&[r#"{"type": "#], &["is not JSON"]).await;
    check(
        &["0 0 * * *", "--timezone", "Mars/X", "--dst-gap", "jump"],
        &["--timezone: ", "--dst-gap: "],
    )
    .await;
    check(
        &[r#"{"type": "interval", "seconds": 1}"#, "--timezone", "Europe/Berlin"],
        &["--timezone: is only allowed with a cron expression"],
    )
    .await;
    // A timer that would be rejected is not shown, for any `--after`.
    let spent = r#"{"type": "one_shot", "fire_at": "2020-01-01T00:00:00Z"}"#;
    check(&[spent, "--after", "2019-01-01"], &["fire_at", "in the past"]).await;
    let over = r#"{"type": "cron", "expression": "0 0 * * *", "end_at": "2020-01-01T00:00:00Z"}"#;
    check(&[over], &["end_at", "has passed"]).await;
}

#[tokio::test]
async fn a_wrong_option_is_named_with_the_right_form() {
    let check = async |arguments: &[&str], words: &[&str]| {
        let (code, printed) = preview(&[&["0 0 * * *"], arguments].concat()).await;
        assert_eq!(code, 2, "{printed}");
        for word in words {
            assert!(printed.contains(word), "{word:?} in {printed:?}");
        }
    };
    check(&["-n", "0"], &["--count", "1..=1000"]).await;
    check(
        &["--after", "tomorrow"],
        &["--after", "2027-01-01T08:00:00Z", "2027-01-01 in the timer"],
    )
    .await;
}

#[tokio::test]
async fn a_day_begins_in_the_timers_zone() {
    let first = async |after: &str| {
        let (code, printed) = preview(&["0 0 * * *", "--timezone", "Europe/Berlin", "-n", "1", "--after", after]).await;
        assert_eq!(code, 0, "{printed}");
        printed[..20].to_owned()
    };
    assert_eq!(
        first("2027-01-01").await,
        "2026-12-31T23:00:00Z",
        "the day itself counts"
    );
    assert_eq!(
        first("2027-01-01T00:00").await,
        "2027-01-01T23:00:00Z",
        "after this instant"
    );
    assert_eq!(first("2027-01-01T00:00:00").await, "2027-01-01T23:00:00Z");
    assert_eq!(first("2026-12-31T22:59:59Z").await, "2026-12-31T23:00:00Z");
}
