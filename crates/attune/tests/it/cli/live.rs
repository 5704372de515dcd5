//! The live stream in a pipe.

use super::{LIMIT, Shell};
use crate::support::{
    embedded::{Embedded, start},
    surroundings::free_port,
};
use attune_common::testing::eventually;
use nix::sys::signal::Signal;
use std::{collections::BTreeSet, time::Duration};

/// Changes are printed as they happen, also after a restart of the server, and each once.
#[tokio::test]
async fn the_stream_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let listen = format!("127.0.0.1:{}", free_port());
    let begin = |log: &str| start(folder.path(), log, &["--listen", &listen]);
    let up = Embedded::ready(begin("1.log"), folder.path()).await;
    let shell = Shell::local(folder.path());
    let attune = crate::support::surroundings::program("attune");
    let mut tail = shell.start(
        "tail",
        &format!("exec {attune} events tail --kind execution.succeeded -o jsonl"),
    );
    let mut watch = shell.start("watch", &format!("exec {attune} execution list -w -o cols=id,status"));
    let mut ran = BTreeSet::new();
    // The stream is open when a first change arrives.
    let first = async || {
        ran.insert(shell.ends(0, "attune run core.echo").await.trim().to_owned());
        (!shell.read("tail.out").is_empty() && shell.read("watch.out").contains("succeeded")).then_some(())
    };
    eventually("a change arrives", LIMIT, first).await;
    up.interrupt(Duration::from_secs(12)).await;
    let up = Embedded::ready(begin("2.log"), folder.path()).await;
    let id = shell.ends(0, "attune run core.echo").await.trim().to_owned();
    for (name, process) in [("tail", &tail), ("watch", &watch)] {
        let arrived = async || {
            assert!(process.is_alive(), "{name}: {}", shell.read(&format!("{name}.err")));
            shell.read(&format!("{name}.out")).contains(&id).then_some(())
        };
        eventually("a change after the restart arrives", LIMIT, arrived).await;
    }
    let lines = shell.read("tail.out");
    let distinct: BTreeSet<&str> = lines
        .lines()
        .filter_map(|line| line.split("execution_id").nth(1)?.split('"').nth(2))
        .collect();
    assert_eq!(distinct.len(), lines.lines().count(), "no change twice: {lines}");
    for process in [&mut tail, &mut watch] {
        // Commands that a shell starts in the background ignore SIGINT.
        process.signal(Signal::SIGTERM);
        assert_eq!(process.ended(LIMIT).await, 143);
    }
    up.interrupt(Duration::from_secs(12)).await;
}
