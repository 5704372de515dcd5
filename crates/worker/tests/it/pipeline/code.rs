//! Packs that carry code: from the database to the process of an action.

use crate::support::{DEADLINE, TestWorker};
use attune_common::{
    packs::{
        self, Pack,
        archive::{Archive, PackFile},
    },
    store::action,
    testing::eventually,
};
use attune_domain::{ExecutionId, execution::ExecutionStatus, reference::Key};
use nix::sys::signal::Signal;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// A pack whose action `demo.run` is a file. Returns its hash.
async fn load(test: &TestWorker, entry: &str, script: &str, more: &[(&str, &[u8])]) -> String {
    load_as(test, "demo", entry, script, more).await
}

async fn load_as(test: &TestWorker, name: &str, entry: &str, script: &str, more: &[(&str, &[u8])]) -> String {
    let mut archive = Archive::default();
    let mut add = |path: &str, bytes: &[u8]| {
        let file = PackFile {
            executable: false,
            bytes: bytes.to_vec(),
        };
        archive.files.insert(path.to_owned(), file);
    };
    add("pack.yaml", format!("{{ref: {name}}}").as_bytes());
    add(
        "runtimes/sh.yaml",
        format!("{{ref: {name}.sh, kind: process, command: [/bin/sh, -c], file_command: [/bin/sh]}}").as_bytes(),
    );
    let action = format!(
        "{{ref: {name}.run, runtime_ref: {name}.sh, entry_point: {entry}, retry: {{max_attempts: 2, backoff_seconds: 0}}}}"
    );
    add("actions/run.yaml", action.as_bytes());
    let script = format!("D={}; {script}", test.directory.path().display());
    add(entry, script.as_bytes());
    for (path, bytes) in more {
        add(path, bytes);
    }
    let pack = Pack::of(&archive).unwrap();
    packs::load(&test.database.pool, &pack).await.unwrap().hash.unwrap()
}

async fn start(test: &TestWorker, name: &str) -> ExecutionId {
    let key = Key::Ref(format!("{name}.run"));
    let action = action::get(&test.database.pool, &key).await.unwrap().unwrap();
    test.start(action.id, 2).await
}

async fn start_once(test: &TestWorker) -> ExecutionId {
    let key = Key::Ref("demo.run".to_owned());
    let action = action::get(&test.database.pool, &key).await.unwrap().unwrap();
    test.start(action.id, 1).await
}

fn unpacked(test: &TestWorker) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(test.file("packs")) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn unfinished(test: &TestWorker) -> bool {
    let is_part = |path: &PathBuf| path.file_name().unwrap().as_encoded_bytes().starts_with(b".part-");
    unpacked(test).iter().any(is_part)
}

async fn printed(test: &TestWorker, id: ExecutionId, expected: &str) {
    test.becomes(id, "status in ('succeeded', 'failed')").await;
    let condition = format!("status = 'succeeded' and result ->> 'stdout' = e'{expected}\\n'");
    assert!(test.is(id, &condition).await, "{expected}");
}

async fn fails_with(test: &TestWorker, id: ExecutionId, part: &str) {
    test.becomes(id, "status in ('succeeded', 'failed')").await;
    let condition = format!("status = 'failed' and error like '%{part}%'");
    assert!(test.is(id, &condition).await, "{part}");
}

#[tokio::test]
async fn an_action_is_a_file_of_its_pack_and_reads_others() {
    let test = TestWorker::new().await;
    let hash = load(
        &test,
        "actions/run.sh",
        r#"cat "$ATTUNE_PACK_DIR/lib/text""#,
        &[("lib/text", b"from the pack\n")],
    )
    .await;
    let id = start(&test, "demo").await;
    assert!(test.is(id, &format!("pack_hash = '{hash}'")).await);
    let _worker = test.worker();
    printed(&test, id, "from the pack").await;
    let folder = test.file("packs").join(&hash);
    assert_eq!(unpacked(&test), [folder.as_path()]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&folder.join("lib")), mode(&folder.join("lib/text"))),
        (0o555, 0o444)
    );
    // An action of a pack without code has none.
    let plain = test.run("uncoded", "echo ${ATTUNE_PACK_DIR-none}", "", 1).await;
    printed(&test, plain, "none").await;
    test.database.close().await;
}

/// Isolated actions can read the files and not change them, whether the worker is root or not.
#[tokio::test]
async fn isolated_actions_read_the_files_and_do_not_change_them() {
    let test = TestWorker::new().await;
    let script = r#"( : >> "$ATTUNE_PACK_DIR/lib/text" ) 2>/dev/null && echo changed; ( : > "$ATTUNE_PACK_DIR/new" ) 2>/dev/null && echo added; cat "$ATTUNE_PACK_DIR/lib/text""#;
    load(&test, "actions/run.sh", script, &[("lib/text", b"as it was\n")]).await;
    // Users of their own must be able to enter it.
    fs::set_permissions(test.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let id = start_once(&test).await;
    let _worker = test.worker_with(&[("ATTUNE__WORKER__RUN_ACTIONS_AS", "isolated")]);
    printed(&test, id, "as it was").await;
    test.database.close().await;
}

/// Also when the pack was loaded again with another file between the attempts.
#[tokio::test]
async fn a_retry_runs_the_code_that_it_began_with() {
    let test = TestWorker::new().await;
    let script = r#"if [ "$ATTUNE_ATTEMPT" = 1 ]; then echo x > "$D/began"; while [ ! -e "$D/go" ]; do sleep 0.05; done; exit 1; fi; echo old"#;
    let old = load(&test, "actions/old.sh", script, &[]).await;
    let id = start(&test, "demo").await;
    let _worker = test.worker();
    test.read("began").await;
    let new = load(&test, "actions/new.sh", "echo new", &[]).await;
    assert_ne!(old, new);
    let next = start(&test, "demo").await;
    printed(&test, next, "new").await;
    test.touch("go");
    printed(&test, id, "old").await;
    assert!(test.is(id, &format!("attempt = 2 and pack_hash = '{old}'")).await);
    test.database.close().await;
}

#[tokio::test]
async fn wrong_content_in_the_database_runs_nothing() {
    let test = TestWorker::new().await;
    let first = load(&test, "actions/run.sh", r#"echo ran > "$D/ran""#, &[]).await;
    let other = load_as(&test, "other", "actions/run.sh", r#"echo ran > "$D/ran""#, &[]).await;
    test.database
        .execute(&format!(
            "update pack_archive set content = (select content from pack_archive where hash = '{other}') where hash = '{first}'"
        ))
        .await;
    let (swapped, missing) = (start_once(&test).await, start_once(&test).await);
    let nothing = format!(
        "update execution set pack_hash = repeat('0', 64) where id = '{}'",
        missing.0
    );
    test.database.execute(&nothing).await;
    let _worker = test.worker();
    fails_with(&test, missing, "are not in the database").await;
    fails_with(
        &test,
        swapped,
        &format!("the content has the sha256 {other} instead of {first}"),
    )
    .await;
    test.database
        .execute(&format!(
            "update pack_archive set content = substr(content, 1, 40) where hash = '{first}'"
        ))
        .await;
    let cut = start_once(&test).await;
    fails_with(&test, cut, "damaged or incomplete").await;
    assert!(!unfinished(&test) && unpacked(&test).is_empty() && !test.file("ran").exists());
    test.database.close().await;
}

/// Enough files that it takes a while.
fn many() -> Vec<(String, Vec<u8>)> {
    (0..3_000).map(|n| (format!("lib/{n}"), vec![0; 100])).collect()
}

#[tokio::test]
async fn a_worker_that_dies_while_it_unpacks_leaves_nothing_behind() {
    let test = TestWorker::new().await;
    let many = many();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    load(&test, "actions/run.sh", r#"ls "$ATTUNE_PACK_DIR/lib" | wc -l"#, &many).await;
    let id = start(&test, "demo").await;
    let worker = test.worker();
    eventually("a folder that is being unpacked", DEADLINE, async || {
        unfinished(&test).then_some(())
    })
    .await;
    worker.signal(Signal::SIGKILL);
    worker.ends_within(DEADLINE).await;
    assert!(unfinished(&test), "it was killed in between");
    drop(worker);
    test.rescued(id, ExecutionStatus::Scheduled).await;
    let _next = test.worker();
    printed(&test, id, "3000").await;
    assert!(!unfinished(&test));
    test.database.close().await;
}

#[tokio::test]
async fn two_workers_share_the_unpacked_files() {
    let test = TestWorker::new().await;
    let many = many();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    let hash = load(&test, "actions/run.sh", r#"ls "$ATTUNE_PACK_DIR/lib" | wc -l"#, &many).await;
    let mut ids = Vec::new();
    for _ in 0..16 {
        ids.push(start(&test, "demo").await);
    }
    let _workers = [test.worker(), test.worker()];
    for id in ids {
        printed(&test, id, "3000").await;
    }
    assert_eq!(unpacked(&test), [test.file("packs").join(hash)]);
    test.database.close().await;
}

/// What is in use stays, although it was used first.
#[tokio::test]
async fn the_longest_unused_files_are_removed() {
    let test = TestWorker::new().await;
    let large = vec![b'x'; 600 << 10];
    let large: [(&str, &[u8]); 1] = [("lib/large", &large)];
    let wait =
        r#"echo x > "$D/began"; while [ ! -e "$D/go" ]; do sleep 0.05; done; wc -c < "$ATTUNE_PACK_DIR/lib/large""#;
    let held = load_as(&test, "held", "actions/run.sh", wait, &large).await;
    let mut hashes = Vec::new();
    for name in ["one", "two"] {
        hashes.push(load_as(&test, name, "actions/run.sh", "echo ran", &large).await);
    }
    let holds = start(&test, "held").await;
    let _worker = test.worker_with(&[("ATTUNE__WORKER__PACK_CACHE_MB", "1")]);
    test.read("began").await;
    for name in ["one", "two"] {
        let id = start(&test, name).await;
        printed(&test, id, "ran").await;
    }
    let folder = |hash: &String| test.file("packs").join(hash);
    assert!(folder(&held).exists() && folder(&hashes[1]).exists());
    assert!(!folder(&hashes[0]).exists(), "it was not in use");
    test.touch("go");
    printed(&test, holds, "614400").await;
    // Fetched again.
    let id = start(&test, "one").await;
    printed(&test, id, "ran").await;
    test.database.close().await;
}

/// A machine that lost power may have empty files.
#[tokio::test]
async fn damaged_files_are_fetched_again() {
    let test = TestWorker::new().await;
    let hash = load(&test, "actions/run.sh", "echo ran", &[]).await;
    let first = start(&test, "demo").await;
    let worker = test.worker();
    printed(&test, first, "ran").await;
    drop(worker);
    let file = test.file("packs").join(&hash).join("actions/run.sh");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "").unwrap();
    let again = start(&test, "demo").await;
    let worker = test.worker();
    printed(&test, again, "ran").await;
    assert_eq!(worker.log_count("the unpacked files of a pack are damaged"), 1);
    test.database.close().await;
}
