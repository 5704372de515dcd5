//! Nouns: lists in every format, and writes.

use super::{Shell, up};
use crate::support::definitions;
use attune_common::testing::eventually;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn lists_have_every_format() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let up = up(folder.path()).await;
    let shell = Shell::local(folder.path());
    for (noun, path) in [
        ("action", "/api/v1/actions"),
        ("trigger", "/api/v1/triggers"),
        ("rule", "/api/v1/rules"),
        ("runtime", "/api/v1/runtimes"),
        ("pack get core", "/api/v1/packs/core"),
        ("action get core.echo", "/api/v1/actions/core.echo"),
        ("event list --source api", "/api/v1/events?source=api"),
        ("enforcement", "/api/v1/enforcements"),
        ("queue", "/api/v1/queue"),
        ("webhook inbox", "/api/v1/webhook-requests"),
        ("token", "/api/v1/tokens"),
    ] {
        let list = if noun.contains(' ') { "" } else { "list" };
        let mut printed = shell.json(&format!("attune {noun} {list} -o json")).await;
        let mut data = up.api.get(path).await;
        for side in [&mut printed, &mut data] {
            for row in side.as_array_mut().into_iter().flatten() {
                for name in ["last_used_at", "last_fired_at", "next_fire_at"] {
                    row[name] = Value::Null;
                }
            }
        }
        if noun == "token" {
            // The admin of the test sees the same token.
            assert_eq!(printed[0]["label"], data[0]["label"]);
        } else {
            assert_eq!(printed, data, "{noun}");
        }
    }
    for noun in [
        "timer",
        "worker",
        "service",
        "pool",
        "retention",
        "execution",
        "webhook",
    ] {
        assert!(
            shell.json(&format!("attune {noun} list -o json")).await.is_array(),
            "{noun}"
        );
    }
    shell.fails(3, "role", "attune audit list").await;

    let names = shell.ends(0, "attune action list -q").await;
    assert!(names.lines().any(|name| name == "core.echo"), "{names}");
    let table = shell.ends(0, "attune action list").await;
    assert!(
        table.starts_with("REF\tSTATE\tRUNTIME") && table.contains("core.echo\tenabled\tcore.shell"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "no colors in a pipe");
    assert!(
        shell
            .ends(0, "attune action list --color always -o cols=ref")
            .await
            .starts_with("ref\n")
    );
    let csv = shell.ends(0, "attune runtime list -o csv").await;
    assert!(
        csv.starts_with("ref,enabled,kind,command") && csv.contains("\"[\"\""),
        "{csv}"
    );
    let lines = shell.ends(0, "attune action list -o jsonl").await;
    assert_eq!(lines.lines().count(), names.lines().count());
    assert_eq!(
        shell.ends(0, "attune action list --limit 1 -q").await.lines().count(),
        1
    );
    let yaml = shell.ends(0, "attune action get core.echo -o yaml").await;
    assert!(
        yaml.contains("ref: core.echo") && !yaml.contains("created_at"),
        "{yaml}"
    );
    // The reader leaves early.
    assert_eq!(
        shell
            .ends(0, "{ attune api GET /api/v1/openapi.json; echo $? >code; } | head -n 1")
            .await,
        "{\n"
    );
    assert_eq!(shell.read("code"), "0\n");
    shell.fails(2, "cols=PATH", "attune action list -o tabel").await;
    shell
        .fails(2, "must be a duration", "attune event list --since noon")
        .await;
    assert_eq!(
        shell.json("attune api GET /api/v1/packs/core").await["data"]["ref"],
        "core"
    );
    up.interrupt(Duration::from_secs(12)).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life of the objects")]
async fn objects_are_created_edited_tested_and_deleted() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let up = up(folder.path()).await;
    let mut shell = Shell::local(folder.path());
    shell.ends(0, "attune pack create test label=Test").await;
    shell.ends(0, "attune trigger create test.order kind=custom").await;
    let condition = r#"condition:='{"path": "payload.total", "operator": "greater_than", "value": 100}'"#;
    let create = format!(
        "attune rule create test.big trigger_ref=test.order action_ref=core.echo action_params.message=big {condition}"
    );
    shell.ends(0, &create).await;
    shell.fails(5, "already exists", &create).await;
    shell
        .fails(
            6,
            "action_ref",
            "attune rule create test.bad trigger_ref=test.order action_ref=core.none",
        )
        .await;

    assert!(
        shell
            .ends(0, "attune rule test test.big --payload '{\"total\": 150}'")
            .await
            .contains("the rule matches")
    );
    let no = shell
        .ends(1, "attune rule test test.big --payload '{\"total\": 50}'")
        .await;
    assert!(no.contains("greater_than 100, but it is 50"), "{no}");
    shell
        .ends(
            0,
            "attune rule get test.big -o yaml >rule.yaml && attune rule test -f rule.yaml --payload '{\"total\": 150}'",
        )
        .await;

    why_not(&shell).await;

    shell.ends(0, "attune rule edit test.big label=Big").await;
    assert_eq!(shell.json("attune rule get test.big -o json").await["label"], "Big");
    edited(&mut shell).await;

    shell
        .ends(
            0,
            "attune timer create test.night --cron '30 2 * * *' --timezone Europe/Berlin",
        )
        .await;
    let next = shell.ends(0, "attune timer next test.night -n 3 -q").await;
    assert_eq!(next.lines().count(), 3, "{next}");
    shell
        .ends(
            0,
            "attune timer create test.zoned --cron '30 2 * * *' --tz Europe/Berlin",
        )
        .await;
    let zoned = shell.json("attune timer get test.zoned -o json").await;
    assert_eq!(zoned["config"]["timezone"], "Europe/Berlin");
    shell
        .fails(
            2,
            "only one of",
            "attune timer create test.two --every 1s --cron '* * * * *'",
        )
        .await;
    shell.ends(0, "attune timer disable test.night").await;
    assert_eq!(
        shell.json("attune timer get test.night -o json").await["enabled"],
        false
    );
    let id = shell.ends(0, "attune timer fire test.night").await;
    shell.ends(0, &format!("attune event get {id}")).await;

    shell.fails(2, "--yes", "attune rule delete test.big").await;
    shell.ends(0, "attune rule delete test.big --yes").await;
    shell.fails(4, "test.big", "attune rule get test.big").await;
    assert!(
        shell
            .ends(0, "attune action schema core.echo")
            .await
            .contains("message\tstring")
    );
    up.interrupt(Duration::from_secs(12)).await;
}

/// Each reason is on the first line.
async fn why_not(shell: &Shell<'_>) {
    let why = shell.ends(1, "attune why --not test.big").await;
    assert!(
        why.starts_with("test.big did not run: the trigger has no event"),
        "{why}"
    );
    let send = async |total: &str| {
        let id = shell
            .ends(0, &format!("attune event send test.order total:={total}"))
            .await;
        let decided = async || {
            let status = shell
                .ends(0, &format!("attune event get {} -o cols=status", id.trim()))
                .await;
            status.contains("decided").then_some(())
        };
        eventually("the event is decided", Duration::from_secs(30), decided).await;
        id.trim().to_owned()
    };
    let small = send("50").await;
    let why = shell.ends(1, "attune why --not test.big").await;
    let first = why.lines().next().unwrap_or_default();
    assert!(
        first.contains(&small) && first.contains("greater_than 100, but it is 50"),
        "{why}"
    );
    let big = send("150").await;
    let ran = async || (shell.run("attune why --not test.big").await.code == 0).then_some(());
    eventually("the rule ran", Duration::from_secs(30), ran).await;
    shell
        .ends(1, &format!("attune why --not test.big --event {small}"))
        .await;
    let why = shell.ends(0, &format!("attune why {big}")).await;
    assert!(why.contains("test.big  matched") && why.contains("core.echo"), "{why}");
    shell.ends(0, "attune rule disable test.big").await;
    send("150").await;
    let why = shell.ends(1, "attune why --not test.big").await;
    assert!(why.lines().next().unwrap_or_default().contains("is disabled"), "{why}");
    shell.ends(0, "attune rule enable test.big").await;
}

/// Edits in an editor, which is a script.
async fn edited(shell: &mut Shell<'_>) {
    let script = |name: &str, text: &str| {
        let file = shell.folder.join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("executable");
        file.to_str().expect("the path is text").to_owned()
    };
    let attune = crate::support::surroundings::program("attune");
    let good = script("good", "sed -i 's/label: .*/label: Edited/' \"$1\"");
    let meanwhile = script(
        "meanwhile",
        &format!("{attune} rule edit test.big label=Meanwhile && sed -i 's/label: .*/label: Mine/' \"$1\""),
    );
    let bad = script("bad", "sed -i 's/action_ref: .*/action_ref: core.none/' \"$1\"");
    let same = script("same", "true");
    shell.fails(2, "set EDITOR", "attune rule edit test.big").await;
    shell.set("EDITOR", &good);
    shell.ends(0, "attune rule edit test.big").await;
    assert_eq!(shell.json("attune rule get test.big -o json").await["label"], "Edited");
    shell.set("EDITOR", &same);
    shell.ends(0, "attune rule edit test.big").await;
    shell.set("EDITOR", &bad);
    shell.fails(6, "action_ref", "attune rule edit test.big").await;
    shell.set("EDITOR", &meanwhile);
    let ran = shell.run("attune rule edit test.big").await;
    assert_eq!(ran.code, 5, "{}", ran.err);
    let file = ran
        .err
        .split("your text is in ")
        .nth(1)
        .and_then(|rest| rest.split(".yaml").next());
    let file = format!("{}.yaml", file.expect("the file is named"));
    assert!(
        fs::read_to_string(&file)
            .expect("the file is kept")
            .contains("label: Mine")
    );
    fs::remove_file(file).expect("removed");
    assert_eq!(
        shell.json("attune rule get test.big -o json").await["label"],
        "Meanwhile"
    );
}

/// Output of an action cannot control a terminal.
#[tokio::test]
async fn hostile_output_is_escaped_on_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let up = up(folder.path()).await;
    let shell = Shell::local(folder.path());
    definitions::pack(&up.api).await;
    definitions::action(&up.api, "hostile", r"printf '\033[2J\033]0;title\007done\n'", json!({})).await;
    let ran = shell.ends(0, "attune run test.hostile -f").await;
    assert!(ran.contains("\u{1b}[2J"), "a pipe gets the bytes as they are");
    let attune = crate::support::surroundings::program("attune");
    let terminal = format!("script -qec '{attune} run test.hostile -f' /dev/null </dev/null");
    let ran = shell.ends(0, &terminal).await;
    assert!(
        ran.contains("done") && ran.contains("\\u{1b}[2J") && !ran.contains("\u{1b}[2J"),
        "{ran:?}"
    );
    let table = shell
        .ends(
            0,
            &format!("script -qec 'NO_COLOR=1 {attune} execution list' /dev/null </dev/null"),
        )
        .await;
    assert!(table.contains("test.hostile") && !table.contains('\u{1b}'), "{table:?}");
    up.interrupt(Duration::from_secs(12)).await;
}
