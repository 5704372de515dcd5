//! `quick`, `run` and `logs`.

use super::{LIMIT, Shell, up};
use crate::support::definitions;
use attune_common::testing::eventually;
use nix::sys::signal::Signal;
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};

/// From a fresh `attune up` to the first output in one command, without a sign-in.
#[tokio::test]
async fn quick_creates_follows_and_removes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let up = up(folder.path()).await;
    let shell = Shell::local(folder.path());
    let begun = Instant::now();
    let out = shell.ends(0, "attune quick --every 2s -f -- echo 'hello you'").await;
    assert_eq!(out, "hello you\n");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(shell.ends(0, "attune quick list -q").await, "my.echo\n");

    let url = shell
        .ends(
            0,
            "attune quick --webhook deploy --if 'payload.body.n > 1' -- 'echo got $payload'",
        )
        .await;
    assert!(url.starts_with("http://") && url.contains("/api/v1/webhooks/"), "{url}");
    shell.ends(0, "attune webhook send my.deploy n:=1").await;
    shell.ends(0, "attune webhook send my.deploy n:=2").await;
    let ran = async || {
        let ids = shell
            .ends(0, "attune execution list --rule my.deploy --status succeeded -q")
            .await;
        (ids.lines().count() == 1).then(|| ids.trim().to_owned())
    };
    let id = eventually("the webhook has run the command once", LIMIT, ran).await;
    let log = shell.ends(0, &format!("attune logs {id}")).await;
    assert!(log.starts_with("got {") && log.contains("\"n\":2"), "{log}");

    let yaml = shell
        .ends(
            0,
            "attune quick --cron '30 2 * * *' --timezone Europe/Berlin --print -- ./backup.sh",
        )
        .await;
    assert!(
        yaml.contains("noun: rule") && yaml.contains("timezone: Europe/Berlin") && yaml.contains("ref: my.backup"),
        "{yaml}"
    );
    shell
        .fails(2, "the command is missing", "attune quick --every 2s")
        .await;
    shell
        .fails(6, "trigger_ref", "attune quick --event acme.none -- true")
        .await;
    assert_eq!(
        shell.ends(0, "attune action list --pack my -q").await.lines().count(),
        2,
        "nothing of a failed one stays"
    );

    shell.ends(0, "attune quick rm echo my.deploy").await;
    for noun in ["rule", "trigger", "action"] {
        assert_eq!(
            shell
                .json(&format!(
                    "attune {noun} list -o json | jq '[.[] | select(.pack_ref == \"my\")]'"
                ))
                .await,
            json!([]),
            "{noun}"
        );
    }
    shell.fails(4, "not found", "attune pack get my").await;
    shell
        .fails(4, "no automation echo exists", "attune quick rm echo")
        .await;
    up.interrupt(Duration::from_secs(12)).await;
}

#[tokio::test]
async fn run_exits_with_the_outcome() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let up = up(folder.path()).await;
    let shell = Shell::local(folder.path());
    definitions::pack(&up.api).await;
    definitions::action(&up.api, "fail", "echo before; echo why >&2; exit 3", json!({})).await;
    definitions::action(&up.api, "slow", "echo started; sleep 30", json!({"timeout_seconds": 1})).await;
    definitions::action(&up.api, "long", "echo started; sleep 60", json!({})).await;

    assert_eq!(shell.ends(0, "attune run core.echo message=a=b -f").await, "a=b\n");
    assert_eq!(shell.ends(10, "attune run test.fail -f").await, "before\nwhy\n");
    assert_eq!(shell.ends(3, "attune run test.fail --exit-code-of-action").await, "");
    shell.ends(0, "attune run core.echo --exit-code-of-action").await;
    shell.ends(11, "attune run test.slow --wait").await;
    shell
        .fails(
            124,
            "the time limit of 1 s has expired",
            "attune run test.long --wait --timeout 1s",
        )
        .await;

    let id = shell.ends(0, "attune run core.sleep seconds:=0").await;
    assert_eq!(shell.ends(0, &format!("attune execution wait {id}")).await, "");
    fs::write(folder.path().join("parameters.yaml"), "message: from a file\n").expect("written");
    assert_eq!(
        shell.ends(0, "attune run core.echo @parameters.yaml -f").await,
        "from a file\n"
    );
    assert_eq!(
        shell
            .ends(0, "echo '{\"message\": \"piped\"}' | attune run core.echo - -f")
            .await,
        "piped\n"
    );
    shell
        .fails(6, "parameters.seconds", "attune run core.sleep seconds=soon")
        .await;
    shell.fails(6, "test.none", "attune run test.none").await;

    interrupted(&shell).await;
    up.interrupt(Duration::from_secs(20)).await;
}

/// Ctrl-C ends the command and not the execution, unless that is requested.
async fn interrupted(shell: &Shell<'_>) {
    for (name, option, then) in [
        ("leave", "", "running"),
        ("cancel", "--cancel-on-interrupt", "canceled"),
    ] {
        // `exec`, so that the signal reaches the program.
        let program = crate::support::surroundings::program("attune");
        let mut process = shell.start(name, &format!("exec {program} run test.long -f {option}"));
        let out = format!("{name}.out");
        eventually("the action has started", LIMIT, async || {
            shell.read(&out).contains("started").then_some(())
        })
        .await;
        process.signal(Signal::SIGINT);
        let code = process.ended(LIMIT).await;
        let err = shell.read(&format!("{name}.err"));
        assert_eq!(code, 130, "{err}");
        let id = err
            .split_whitespace()
            .nth(1)
            .expect("the id is on standard error")
            .to_owned();
        let is = async || {
            let status = shell
                .ends(0, &format!("attune execution get {id} -o cols=status"))
                .await;
            status.contains(then).then_some(())
        };
        eventually(then, LIMIT, is).await;
        if then == "running" {
            shell.ends(0, &format!("attune execution cancel {id}")).await;
            shell.ends(12, &format!("attune execution wait {id}")).await;
        }
    }
}
