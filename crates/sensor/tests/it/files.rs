//! File watches on real directories: each change is one event, whatever happens to files, directories and sensors.

use super::test_files::{FILES_MAX, TestFiles};
use attune_common::testing::eventually;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, os::unix::fs::symlink, time::Duration};

const SOON: Duration = Duration::from_secs(20);
/// Longer than any check takes: within it, what must not happen would have happened.
const QUIET: Duration = Duration::from_millis(600);

#[tokio::test]
async fn created_modified_deleted() {
    let files = TestFiles::new().await;
    files.inbox.write("before.csv", "old");
    files.watch("inbox", &files.config(&json!({}))).await;
    files.inbox.write("a.csv", "one");
    files.expect("inbox", &["created a.csv"]).await;
    files.inbox.write("a.csv", "twenty-two");
    files.expect("inbox", &["modified a.csv"]).await;
    files.inbox.remove("a.csv");
    files.inbox.remove("before.csv");
    files.expect("inbox", &["deleted a.csv", "deleted before.csv"]).await;
    let events = files.payloads("inbox").await;
    let created = &events[0];
    assert_eq!(created["path"], json!(files.inbox.path("a.csv")));
    assert_eq!((&created["name"], &created["size"]), (&json!("a.csv"), &json!(3)));
    assert_eq!(created["host"], "alpha");
    assert!(created["mtime"].is_string() && created["first_seen_at"].is_string());
    assert_eq!(events[1]["size"], 10);
    files.close().await;
}

/// Names of unfinished files are excluded, and a file that grows is reported once, with its final size.
#[tokio::test]
async fn a_half_written_file_is_reported_when_it_is_complete() {
    let files = TestFiles::new().await;
    let config = files.config(&json!({"stable_for_seconds": 0.7, "on": ["created", "modified"]}));
    files.watch("inbox", &config).await;
    files.inbox.write("b.csv.part", "x");
    for size in 1..=6 {
        files.inbox.write("a.csv", &"x".repeat(size));
        files.quiet(Duration::from_millis(300)).await;
    }
    fs::rename(files.inbox.path("b.csv.part"), files.inbox.path("b.csv")).expect("a rename");
    files.expect("inbox", &["created a.csv", "created b.csv"]).await;
    let events = files.payloads("inbox").await;
    let a = events.iter().find(|event| event["name"] == "a.csv").expect("its event");
    assert_eq!(a["size"], 6);
    files.close().await;
}

#[tokio::test]
async fn renames_and_truncation() {
    let files = TestFiles::new().await;
    let on = json!(["created", "modified", "deleted", "moved"]);
    files.watch("moves", &files.config(&json!({"on": on}))).await;
    files.watch("plain", &files.config(&json!({}))).await;
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("in.csv"), "outside").expect("a file");
    fs::rename(outside.path().join("in.csv"), files.inbox.path("in.csv")).expect("a rename");
    files.expect("moves", &["created in.csv"]).await;
    files.expect("plain", &["created in.csv"]).await;
    fs::rename(files.inbox.path("in.csv"), files.inbox.path("moved.csv")).expect("a rename");
    files.expect("moves", &["moved moved.csv"]).await;
    files.expect("plain", &["created moved.csv", "deleted in.csv"]).await;
    let moves = files.payloads("moves").await;
    assert_eq!(moves[1]["from"], json!(files.inbox.path("in.csv")));
    files.inbox.write("moved.csv", "");
    files.expect("moves", &["modified moved.csv"]).await;
    assert_eq!(files.payloads("moves").await[2]["size"], 0);
    // Replaced by a rename, as editors and deployments do: the name never stops existing.
    files.inbox.write("next.tmp", "replaced");
    fs::rename(files.inbox.path("next.tmp"), files.inbox.path("moved.csv")).expect("a rename");
    files.expect("moves", &["modified moved.csv"]).await;
    fs::rename(files.inbox.path("moved.csv"), outside.path().join("out.csv")).expect("a rename");
    files.expect("moves", &["deleted moved.csv"]).await;
    files.close().await;
}

#[tokio::test]
async fn existing_files_are_recorded_or_reported() {
    let files = TestFiles::new().await;
    files.inbox.write("old.csv", "x");
    files.inbox.write("old.txt", "x");
    files.watch("ignores", &files.config(&json!({}))).await;
    let report = files.config(&json!({"existing": "report", "patterns": ["*.csv"]}));
    files.watch("reports", &report).await;
    files.expect("reports", &["created old.csv"]).await;
    files.inbox.write("new.csv", "x");
    files.expect("ignores", &["created new.csv"]).await;
    files.expect("reports", &["created new.csv"]).await;
    files.close().await;
}

/// What changed while no sensor ran is found at the next start, also if the sensor was killed.
#[tokio::test]
async fn changes_without_a_sensor_are_found_at_the_next_start() {
    let mut files = TestFiles::new().await;
    for name in ["kept.csv", "changed.csv", "gone.csv"] {
        files.inbox.write(name, "x");
    }
    files.watch("inbox", &files.config(&json!({}))).await;
    files.stop_sensors().await;
    files.inbox.write("changed.csv", "xx");
    files.inbox.write("new.csv", "x");
    files.inbox.remove("gone.csv");
    files.start_sensor("alpha", true);
    files
        .expect(
            "inbox",
            &["created new.csv", "deleted gone.csv", "modified changed.csv"],
        )
        .await;
    files.close().await;
}

#[tokio::test]
async fn the_directory_is_removed_and_created_again() {
    let files = TestFiles::new().await;
    files.inbox.write("a.csv", "x");
    files.inbox.write("b.csv", "x");
    files.watch("inbox", &files.config(&json!({}))).await;
    fs::remove_dir_all(&files.inbox.root).expect("the directory can be removed");
    files.error("inbox", "does not exist").await;
    assert_eq!(
        files.new_events("inbox").await,
        [""; 0],
        "a missing directory is not a deletion of its files"
    );
    fs::create_dir(&files.inbox.root).expect("a directory");
    files.inbox.write("b.csv", "another");
    files.inbox.write("c.csv", "x");
    files
        .expect("inbox", &["created c.csv", "deleted a.csv", "modified b.csv"])
        .await;
    files.inbox.write("d.csv", "x");
    files.expect("inbox", &["created d.csv"]).await;
    files.no_error("inbox").await;
    files.close().await;
}

#[tokio::test]
async fn folders_below_are_watched_if_recursive() {
    let files = TestFiles::new().await;
    let on = json!(["created", "deleted", "moved"]);
    files.watch("flat", &files.config(&json!({}))).await;
    files
        .watch("deep", &files.config(&json!({"recursive": true, "on": on})))
        .await;
    for folder in ["x/y/z", ".git"] {
        fs::create_dir_all(files.inbox.path(folder)).expect("folders");
    }
    // Written at once: the kernel may not watch the new folders yet.
    files.inbox.write("x/y/z/deep.csv", "x");
    files.inbox.write(".git/hidden.csv", "x");
    files.expect("deep", &["created deep.csv"]).await;
    files.inbox.write("x/y/later.csv", "x");
    files.expect("deep", &["created later.csv"]).await;
    fs::rename(files.inbox.path("x/y"), files.inbox.path("w")).expect("a rename");
    files.expect("deep", &["moved deep.csv", "moved later.csv"]).await;
    fs::remove_dir_all(files.inbox.path("w")).expect("the folder can be removed");
    files.expect("deep", &["deleted deep.csv", "deleted later.csv"]).await;
    assert_eq!(files.new_events("flat").await, [""; 0]);
    files.close().await;
}

/// Without notifications, scans find everything.
#[tokio::test]
async fn a_directory_without_notifications() {
    let files = TestFiles::new().await;
    let config = files.config(&json!({"notify": false, "rescan_seconds": 1}));
    files.watch("inbox", &config).await;
    files.inbox.write("a.csv", "x");
    files.expect("inbox", &["created a.csv"]).await;
    files.inbox.write("a.csv", "xx");
    files.expect("inbox", &["modified a.csv"]).await;
    files.inbox.remove("a.csv");
    files.expect("inbox", &["deleted a.csv"]).await;
    files.close().await;
}

#[tokio::test]
async fn ten_thousand_files_at_once() {
    let files = TestFiles::new().await;
    files.watch("single", &files.config(&json!({"on": ["created"]}))).await;
    files
        .watch("batch", &files.config(&json!({"on": ["created"], "batch": true})))
        .await;
    for number in 0..10_000 {
        files.inbox.write(&format!("{number}.csv"), "x");
    }
    for (name, count) in [
        ("single", "count(*)"),
        ("batch", "coalesce(sum(jsonb_array_length(payload -> 'files')), 0)"),
    ] {
        let sql = format!("select ({count})::bigint from event where trigger_ref = 'test.{name}'");
        let all = async || (files.database.count(&sql).await >= 10_000).then_some(());
        eventually(
            &format!("{name}: 10,000 files are reported"),
            Duration::from_secs(60),
            all,
        )
        .await;
        assert_eq!(files.database.count(&sql).await, 10_000, "{name}");
    }
    let distinct = "select count(distinct payload ->> 'path') from event where trigger_ref = 'test.single'";
    assert_eq!(files.database.count(distinct).await, 10_000);
    let batches = "select count(*) from event where trigger_ref = 'test.batch'";
    let batches = files.database.count(batches).await;
    assert!((10..1_000).contains(&batches), "{batches} batches");
    files.close().await;
}

/// More changes than the kernel's queue can hold, from several threads.
#[tokio::test]
async fn a_burst_beyond_the_kernels_queue_loses_nothing() {
    let files = TestFiles::new().await;
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let queue: usize = text.trim().parse().unwrap_or(16_384);
    files.watch("inbox", &files.config(&json!({"on": ["created"]}))).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let inbox = files.inbox.clone();
            std::thread::spawn(move || {
                // Each file is four or more events of the kernel.
                for number in 0..queue / 8 {
                    inbox.write(&format!("{writer}-{number}.csv"), "x");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("it writes");
    }
    let expected = i64::try_from(4 * (queue / 8)).expect("small");
    let count = "select count(*) from event where trigger_ref = 'test.inbox'";
    let all = async || (files.database.count(count).await >= expected).then_some(());
    eventually("every file is reported", Duration::from_secs(60), all).await;
    let distinct = "select count(distinct payload ->> 'path') from event";
    assert_eq!(files.database.count(count).await, files.database.count(distinct).await);
    files.close().await;
}

#[tokio::test]
async fn two_sensors_on_one_host_share_a_position() {
    let mut files = TestFiles::new().await;
    files.start_sensor("alpha", true);
    files.watch("inbox", &files.config(&json!({}))).await;
    for number in 0..50 {
        files.inbox.write(&format!("{number}.csv"), "x");
    }
    files.count("inbox", 50).await;
    // The other takes over without a repetition.
    files.stop_sensor_that_watches().await;
    for number in 50..100 {
        files.inbox.write(&format!("{number}.csv"), "x");
    }
    files.count("inbox", 100).await;
    files.close().await;
}

#[tokio::test]
async fn hosts() {
    let mut files = TestFiles::new().await;
    files.start_sensor("beta", true);
    files.watch_on("any", &files.config(&json!({})), 1).await;
    files.watch_on("all", &files.config(&json!({"host": "all"})), 2).await;
    files
        .watch_on("named", &files.config(&json!({"host": "beta"})), 1)
        .await;
    files.inbox.write("a.csv", "x");
    files.expect("any", &["created a.csv"]).await;
    files.expect("named", &["created a.csv"]).await;
    files.expect("all", &["created a.csv", "created a.csv"]).await;
    let hosts = |events: Vec<Value>| -> BTreeSet<String> {
        let host = |event: &Value| event["host"].as_str().expect("a host").to_owned();
        events.iter().map(host).collect()
    };
    assert_eq!(
        hosts(files.payloads("all").await),
        ["alpha", "beta"].map(str::to_owned).into()
    );
    assert_eq!(hosts(files.payloads("named").await), ["beta".to_owned()].into());
    files.close().await;
}

/// A sensor that may not read the directory leaves it to another one.
#[tokio::test]
async fn another_sensor_watches_what_one_cannot() {
    let mut files = TestFiles::without_sensor().await;
    files.start_sensor("alpha", false);
    files.define("inbox", &files.config(&json!({}))).await;
    files.error("inbox", "sensor.file_roots").await;
    files.start_sensor("beta", true);
    files.is_watched("inbox", 1).await;
    files.no_error("inbox").await;
    files.inbox.write("a.csv", "x");
    files.expect("inbox", &["created a.csv"]).await;
    // It is not an error of the first sensor any more.
    let is_ok = async || (files.health(0)["files"]["status"] == "ok").then_some(());
    eventually("the first sensor is healthy", SOON, is_ok).await;
    files.close().await;
}

/// Each is an error of the trigger and in health; another trigger is not affected.
#[tokio::test]
async fn what_cannot_be_watched_is_reported() {
    let files = TestFiles::new().await;
    let outside = tempfile::tempdir().expect("a folder");
    symlink(outside.path(), files.inbox.path("link")).expect("a link");
    fs::create_dir(files.inbox.path("many")).expect("a folder");
    for number in 0..=FILES_MAX {
        files.inbox.write(&format!("many/{number}.csv"), "x");
    }
    files.inbox.write("file", "x");
    for (name, config, error) in [
        (
            "missing",
            json!({"path": files.inbox.path("missing")}),
            "does not exist",
        ),
        ("file", json!({"path": files.inbox.path("file")}), "is not a directory"),
        (
            "outside",
            json!({"path": outside.path()}),
            "is outside sensor.file_roots",
        ),
        (
            "behind_link",
            json!({"path": files.inbox.path("link")}),
            "is outside sensor.file_roots",
        ),
        (
            "many",
            json!({"path": files.inbox.path("many")}),
            "raise sensor.files_max",
        ),
        ("corrupt", json!({"pth": "/x"}), "config.path"),
    ] {
        files.define(name, &config).await;
        files.error(name, error).await;
    }
    let all = async || (files.health(0)["files"]["in_error"] == 6).then_some(files.health(0));
    let health = eventually("health shows each of them", SOON, all).await;
    assert_eq!(health["files"]["status"], "degraded", "{health}");
    for error in ["does not exist", "raise sensor.files_max", "config.path: is missing"] {
        assert!(
            health["files"]["errors"].to_string().contains(error),
            "{error}: {health}"
        );
    }
    files.watch("good", &files.config(&json!({}))).await;
    files.inbox.write("a.csv", "x");
    files.expect("good", &["created a.csv"]).await;
    files.close().await;
}

#[tokio::test]
async fn symbolic_links_are_followed_on_request_and_inside_the_roots() {
    let files = TestFiles::new().await;
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret.csv"), "x").expect("a file");
    fs::create_dir_all(files.inbox.path(".store/folder")).expect("a folder");
    files.inbox.write(".store/inside.csv", "x");
    files.inbox.write(".store/folder/deep.csv", "x");
    files.watch("plain", &files.config(&json!({"recursive": true}))).await;
    let follows = json!({"recursive": true, "follow_symlinks": true});
    files.watch("follows", &files.config(&follows)).await;
    for (target, name) in [
        (files.inbox.path(".store/inside.csv"), "inside.csv"),
        (files.inbox.path(".store/folder"), "folder"),
        (files.inbox.root.to_str().expect("text").to_owned(), "cycle"),
        (
            outside.path().join("secret.csv").to_str().expect("text").to_owned(),
            "secret.csv",
        ),
    ] {
        symlink(target, files.inbox.path(name)).expect("a link");
    }
    files.inbox.write("real.csv", "x");
    files
        .expect_at_least(
            "follows",
            &["created deep.csv", "created inside.csv", "created real.csv"],
        )
        .await;
    files.expect("plain", &["created real.csv"]).await;
    let paths = files.payloads("follows").await;
    assert!(!paths.iter().any(|event| event["name"] == "secret.csv"), "{paths:?}");
    files.close().await;
}

/// What changes while a trigger is disabled is not reported later; an edit reports nothing twice.
#[tokio::test]
async fn disabled_triggers_and_edits() {
    let files = TestFiles::new().await;
    files.inbox.write("old.txt", "x");
    files
        .watch("inbox", &files.config(&json!({"patterns": ["*.csv"]})))
        .await;
    files.inbox.write("a.csv", "x");
    files.expect("inbox", &["created a.csv"]).await;
    files.enable("inbox", false).await;
    files.is_watched("inbox", 0).await;
    files.inbox.write("while-disabled.csv", "x");
    files.inbox.remove("a.csv");
    files.enable("inbox", true).await;
    files.is_watched("inbox", 1).await;
    files.inbox.write("b.csv", "x");
    files.expect("inbox", &["created b.csv"]).await;
    // Files that the new patterns cover exist already, so they are only recorded.
    files
        .edit("inbox", &files.config(&json!({"patterns": ["*.csv", "*.txt"]})))
        .await;
    files.inbox.write("new.txt", "x");
    files.expect("inbox", &["created new.txt"]).await;
    files.inbox.remove("old.txt");
    files.expect("inbox", &["deleted old.txt"]).await;
    files.close().await;
}

/// Names are bytes: whatever they are, the file is reported once.
#[tokio::test]
async fn unusual_names() {
    use std::os::unix::ffi::OsStrExt as _;
    let files = TestFiles::new().await;
    files.watch("inbox", &files.config(&json!({}))).await;
    for name in ["größe.csv", "a b\n\"c\".csv", "\\x41.csv", "💾.csv"] {
        files.inbox.write(name, "x");
    }
    let latin1 = files.inbox.root.join(std::ffi::OsStr::from_bytes(b"gr\xF6\xDFe.csv"));
    fs::write(&latin1, "x").expect("a file");
    files.count("inbox", 5).await;
    fs::remove_file(&latin1).expect("it can be removed");
    files.count("inbox", 6).await;
    files.quiet(QUIET).await;
    files.count("inbox", 6).await;
    files.close().await;
}

#[tokio::test]
async fn soon_is_enough_for_a_stable_file() {
    let files = TestFiles::new().await;
    files
        .watch("inbox", &files.config(&json!({"stable_for_seconds": 0})))
        .await;
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let written = std::time::Instant::now();
        files.inbox.write(&format!("{number}.csv"), "x");
        files.count_within("inbox", number + 1, SOON).await;
        slowest = slowest.max(written.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    files.close().await;
}
