//! Faults of the environment: each one ends the start with one message, and nothing is left running.

use super::support::{
    Process,
    embedded::start,
    surroundings::{environment, free_port, program},
};
use attune_common::testing::{Database, eventually};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

/// Starts `attune up`, which must fail with a message that contains all of `words`.
async fn fails(folder: &Path, more: &[&str], words: &[&str]) -> String {
    let mut process = start(folder, "log", more);
    assert_eq!(process.ended(Duration::from_secs(20)).await, 1, "it refuses to start");
    let printed = process.printed();
    let messages: Vec<&str> = printed.lines().filter(|line| line.starts_with("attune: ")).collect();
    assert_eq!(messages.len(), 1, "one message in {printed:?}");
    for word in words {
        assert!(messages[0].contains(word), "{word:?} in {:?}", messages[0]);
    }
    printed
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = taken.local_addr().expect("it has an address").to_string();
    fails(folder.path(), &["--listen", &address], &[&address, "--listen"]).await;
}

/// Checked before anything is started, and before the port, which is also in use.
#[tokio::test]
async fn a_folder_in_use_is_named_with_its_process() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder can be made");
    let lock = fs::File::create(data.join("attune.lock")).expect("a file can be made");
    lock.lock().expect("the lock is free");
    fs::write(data.join("attune.lock"), "4711\n").expect("a file can be written");
    let printed = fails(folder.path(), &[], &["data", "in use by the running process 4711"]).await;
    assert!(!printed.contains("Starting"), "{printed}");
}

#[tokio::test]
async fn a_file_as_data_directory_is_refused() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("data"), "").expect("a file can be written");
    fails(folder.path(), &[], &["data is a file", "must be a directory"]).await;
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

const PATIENCE: Duration = Duration::from_secs(30);

/// The one-line error of a command of `attune` that cannot use this database.
async fn refuses(folder: &Path, arguments: &[&str], url: &str) -> String {
    let command = [&[env!("CARGO_BIN_EXE_attune")], arguments, &["--database-url", url]].concat();
    let log = folder.join(format!("{}.log", rand::random::<u32>()));
    let mut process = Process::start("attune", &command, &environment(), &log);
    // `attune check` returns 1 for violations.
    let code = if arguments == ["check"] { 2 } else { 1 };
    assert_eq!(
        process.ended(PATIENCE).await,
        code,
        "{arguments:?}: {}",
        process.printed()
    );
    let printed = process.printed();
    assert_eq!(printed.lines().count(), 1, "one line: {printed}");
    assert!(!printed.contains("hunter2"), "no password: {printed}");
    printed
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_named_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    let place = format!("127.0.0.1:{}", free_port());
    let nowhere = format!("postgres://ann:hunter2@{place}/attune");
    let data = folder.join("data");
    let up = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().expect("text"),
    ];
    let unreachable =
        format!("attune: failed to connect to the database at {place}: Connection refused (os error 111). Check");
    for command in [&up[..], &["migrate"], &["check"], &["admin", "user", "list"]] {
        let printed = refuses(folder, command, &nowhere).await;
        assert!(printed.starts_with(&unreachable), "{command:?}: {printed}");
    }

    let database = Database::empty().await;
    let server = database.pool.connect_options();
    let elsewhere = |user: &str, name: &str| {
        let socket = server.get_socket().map(|folder| format!("?host={}", folder.display()));
        let (host, port) = (server.get_host(), server.get_port());
        format!(
            "postgres://{user}:hunter2@{host}:{port}/{name}{}",
            socket.unwrap_or_default()
        )
    };
    let printed = refuses(folder, &["migrate"], &elsewhere("attune", "nothing_here")).await;
    assert!(
        printed.contains("database \"nothing_here\" does not exist. Create the database"),
        "{printed}"
    );
    let printed = refuses(folder, &["migrate"], &elsewhere("unknown_role", "postgres")).await;
    assert!(
        printed.contains("role \"unknown_role\" does not exist. Check user"),
        "{printed}"
    );
    database.close().await;
}

#[tokio::test]
async fn services_log_what_they_wait_for() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place = format!("127.0.0.1:{}", free_port());
    let mut environment = environment();
    environment.push((
        "ATTUNE__DATABASE__URL",
        format!("postgres://ann:hunter2@{place}/attune"),
    ));
    environment.push(("ATTUNE__MESSAGE_QUEUE__URL", "amqp://127.0.0.1:1/%2f".to_owned()));
    let log = folder.path().join("log");
    let mut executor = Process::start("attune-executor", &[&program("attune-executor")], &environment, &log);
    let reason = format!("failed to connect to the database at {place}: Connection refused");
    eventually("the reason is logged", PATIENCE, async || {
        let printed = executor.printed();
        (printed.contains("waiting for the database") && printed.contains(&reason)).then_some(())
    })
    .await;
    assert!(
        !executor.printed().contains("hunter2"),
        "no password: {}",
        executor.printed()
    );
    executor.kill().await;
}
