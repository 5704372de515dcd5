use super::*;
use serde_json::json;

const fn version(inode: u64, size: u64) -> Version {
    Version {
        device: 1,
        inode,
        size,
        mtime_ns: 7,
    }
}

fn config(on: &[&str]) -> FileWatchConfig {
    FileWatchConfig::parse(&json!({"path": "/x", "on": on})).expect("valid")
}

const ALL: [&str; 4] = ["created", "modified", "deleted", "moved"];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The stable changes, as `kind path`, and accepts them.
fn take(tracker: &mut Tracker, config: &FileWatchConfig) -> Vec<String> {
    let changes = tracker.changes(config);
    tracker.accept(&changes);
    let text = |change: &Change| match &change.from {
        Some(from) => format!("{} {from} {}", change.kind, change.path),
        None => format!("{} {}", change.kind, change.path),
    };
    changes.iter().map(text).collect()
}

#[test]
fn a_growing_file_is_reported_once_when_it_is_stable() {
    let (config, mut tracker) = (config(&ALL), Tracker::default());
    for (second, size) in [(0, 1), (1, 2), (2, 3), (3, 3), (4, 3)] {
        assert_eq!(take(&mut tracker, &config), [""; 0], "after {second} s");
        tracker.observe("a".to_owned(), Some(version(1, size)), seconds(second));
    }
    assert_eq!(tracker.changes(&config)[0].first_seen, seconds(0));
    assert_eq!(take(&mut tracker, &config), ["created a"]);
    tracker.observe("a".to_owned(), Some(version(1, 3)), seconds(9));
    assert_eq!(tracker.next_check(&config), None);
    assert_eq!(take(&mut tracker, &config), [""; 0]);
}

#[test]
fn modified_and_deleted() {
    let (config, mut tracker) = (config(&ALL), Tracker::new([("a".to_owned(), version(1, 1))]));
    let observe = |tracker: &mut Tracker, found, second| tracker.observe("a".to_owned(), found, seconds(second));
    observe(&mut tracker, Some(version(1, 2)), 0);
    observe(&mut tracker, Some(version(1, 2)), 2);
    assert_eq!(take(&mut tracker, &config), ["modified a"]);
    observe(&mut tracker, None, 3);
    assert_eq!(tracker.due(&config, seconds(4)), [""; 0]);
    assert_eq!(tracker.due(&config, seconds(5)), ["a"]);
    observe(&mut tracker, None, 5);
    assert_eq!(take(&mut tracker, &config), ["deleted a"]);
    assert_eq!(tracker.files(), 0);
}

#[test]
fn a_file_that_vanishes_before_it_is_stable_is_not_reported() {
    let (config, mut tracker) = (config(&ALL), Tracker::default());
    tracker.observe("a".to_owned(), Some(version(1, 1)), seconds(0));
    tracker.observe("a".to_owned(), None, seconds(1));
    assert_eq!(tracker.next_check(&config), None);
    assert_eq!(take(&mut tracker, &config), [""; 0]);
}

#[test]
fn a_file_that_is_replaced_is_not_deleted() {
    let (config, mut tracker) = (config(&ALL), Tracker::new([("a".to_owned(), version(1, 1))]));
    tracker.observe("a".to_owned(), None, seconds(0));
    tracker.observe("a".to_owned(), Some(version(2, 1)), seconds(1));
    tracker.observe("a".to_owned(), Some(version(2, 1)), seconds(3));
    assert_eq!(take(&mut tracker, &config), ["modified a"]);
}

#[test]
fn a_rename_is_moved_or_created_and_deleted() {
    for (on, expected) in [
        (&ALL[..], &["moved a b"][..]),
        (&ALL[..3], &["created b", "deleted a"]),
        (&ALL[1..2], &["created b", "deleted a"]),
    ] {
        let (config, mut tracker) = (config(on), Tracker::new([("a".to_owned(), version(1, 1))]));
        tracker.observe("a".to_owned(), None, seconds(0));
        // It is noticed later that the new name exists.
        tracker.observe("b".to_owned(), Some(version(1, 1)), seconds(1));
        tracker.observe("a".to_owned(), None, seconds(2));
        if on.len() == 4 {
            assert_eq!(take(&mut tracker, &config), [""; 0], "it waits for the new name");
        }
        tracker.observe("b".to_owned(), Some(version(1, 1)), seconds(3));
        let reported: Vec<_> = tracker
            .changes(&config)
            .iter()
            .map(|change| change.is_reported)
            .collect();
        assert_eq!(reported, vec![on.len() > 1; expected.len()], "{on:?}");
        assert_eq!(take(&mut tracker, &config), expected, "{on:?}");
        assert_eq!(tracker.files(), 1);
    }
}

#[test]
fn a_scan_finds_what_is_missing() {
    let mut tracker = Tracker::new([("a".to_owned(), version(1, 1)), ("b".to_owned(), version(2, 1))]);
    tracker.observe("c".to_owned(), Some(version(3, 1)), seconds(0));
    tracker.begin_scan();
    assert!(tracker.is_unchanged("a", &version(1, 1)));
    assert!(!tracker.is_unchanged("c", &version(3, 1)));
    assert_eq!(tracker.not_found(), ["b"]);
    assert_eq!(tracker.pending_new(), ["c"]);
    tracker.begin_scan();
    tracker.keep("a");
    assert!(!tracker.is_unchanged("b", &version(2, 2)), "it has changed");
    assert_eq!(tracker.not_found(), [""; 0]);
}

#[test]
fn another_device_alone_is_not_a_change() {
    let (config, mut tracker) = (config(&ALL), Tracker::new([("a".to_owned(), version(1, 1))]));
    let mounted_again = Version {
        device: 2,
        ..version(1, 1)
    };
    tracker.observe("a".to_owned(), Some(mounted_again), seconds(0));
    assert_eq!(tracker.next_check(&config), None);
}
