//! What can be wrong about the surroundings, each with one message and a failure: nothing is left running.

use super::support::embedded::start;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

/// Starts `attune up`, which must fail and say all of `words` in one message.
async fn fails(folder: &Path, more: &[&str], words: &[&str]) -> String {
    let mut process = start(folder, "log", more);
    assert_eq!(process.ended(Duration::from_secs(20)).await, 1, "it refuses to start");
    let said = process.said();
    let messages: Vec<&str> = said.lines().filter(|line| line.starts_with("attune: ")).collect();
    assert_eq!(messages.len(), 1, "one message in {said:?}");
    for word in words {
        assert!(messages[0].contains(word), "{word:?} in {:?}", messages[0]);
    }
    said
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = taken.local_addr().expect("it has an address").to_string();
    fails(folder.path(), &["--listen", &address], &[&address, "--listen"]).await;
}

/// Before anything is begun, and before the port, which the other one has as well.
#[tokio::test]
async fn a_folder_in_use_is_named_with_its_process() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder can be made");
    let lock = fs::File::create(data.join("attune.lock")).expect("a file can be made");
    lock.lock().expect("nobody else has it");
    fs::write(data.join("attune.lock"), "4711\n").expect("a file can be written");
    let said = fails(folder.path(), &[], &["data", "in use by the running process 4711"]).await;
    assert!(!said.contains("Starting"), "{said}");
}

#[tokio::test]
async fn a_file_is_no_folder() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("data"), "").expect("a file can be written");
    fails(folder.path(), &[], &["data is a file", "must be a folder"]).await;
}

#[tokio::test]
async fn missing_postgresql_programs_are_named() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fails(
        folder.path(),
        &["--postgres-bin", "/nonexistent"],
        &["/nonexistent", "postgres", "initdb"],
    )
    .await;
}

#[tokio::test]
async fn a_damaged_folder_is_named() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let cluster = folder.path().join("data/postgres");
    fs::create_dir_all(&cluster).expect("a folder can be made");
    fs::write(cluster.join("PG_VERSION"), "none\n").expect("a file can be written");
    fails(folder.path(), &[], &["data/postgres", "damaged"]).await;
}
