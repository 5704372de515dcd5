//! Packs as files: `attune pack check`, `attune pack load`, and an `attune up` with a broken pack. Also the password line of
//! its banner.

use super::support::{
    Process,
    surroundings::{environment, program},
};
use attune_common::testing::eventually;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

fn pack(folder: &Path, name: &str, timer: &str) -> PathBuf {
    let pack = folder.join(name);
    fs::create_dir_all(pack.join("triggers")).expect("a folder can be made");
    fs::write(
        pack.join("pack.yaml"),
        format!("ref: {name}\nlabel: {name}\nversion: 0.1.0\n"),
    )
    .expect("a file can be written");
    let trigger = format!("ref: {name}.t\nlabel: T\nkind: timer\nconfig:\n  type: interval\n{timer}");
    fs::write(pack.join("triggers/t.yaml"), trigger).expect("a file can be written");
    pack
}

/// Runs `attune`. Returns its exit code and its output.
async fn attune(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let log = folder.join("attune.log");
    let _ = fs::remove_file(&log);
    let attune = program("attune");
    let mut command = vec![attune.as_str()];
    command.extend(arguments);
    let mut process = Process::start(&arguments.join(" "), &command, &environment(), &log);
    let code = process.ended(Duration::from_secs(60)).await;
    (code, fs::read_to_string(&log).unwrap_or_default())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

async fn printed(process: &Process, what: &str) -> String {
    eventually(what, Duration::from_secs(90), async || {
        Some(process.printed()).filter(|printed| printed.contains(what))
    })
    .await
}

#[tokio::test]
async fn packs_are_checked_and_loaded_as_files() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    let right = pack(folder, "right", "  seconds: 60\n");
    let wrong = pack(folder, "wrong", "  seconds: -1\n  misfire: never\n");
    let (code, out) = attune(folder, &["pack", "check", text(&right)]).await;
    assert_eq!((code, out.contains("the pack right is valid")), (0, true), "{out}");
    let (code, out) = attune(folder, &["pack", "check", text(&right), text(&wrong)]).await;
    assert_eq!(code, 1, "{out}");
    for expected in [
        format!("{}/triggers/t.yaml: config.seconds: ", wrong.display()),
        "(line 6)".to_owned(),
        format!("{}/triggers/t.yaml: config.misfire: ", wrong.display()),
        "(line 7)".to_owned(),
        "1 of 2 packs are invalid".to_owned(),
    ] {
        assert!(out.contains(&expected), "{expected}: {out}");
    }
    assert_eq!(attune(folder, &["pack", "check", "/nowhere"]).await.0, 2);
    assert_eq!(attune(folder, &["pack", "check"]).await.0, 2);
    let nowhere = folder.join("data");
    assert_eq!(
        attune(folder, &["pack", "load", text(&right), "--data-dir", text(&nowhere)])
            .await
            .0,
        2
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn a_broken_pack_does_not_keep_the_others_from_starting() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    let right = pack(folder, "right", "  seconds: 60\n");
    let wrong = pack(folder, "wrong", "  seconds: -1\n");
    let late = pack(folder, "late", "  seconds: 60\n");
    let load = format!("{},{}", wrong.display(), right.display());
    let data = folder.join("data");
    let mut process = up(folder, "1.log", &[("ATTUNE__PACKS__LOAD", load)]);
    let banner = printed(&process, "or restart.").await;
    let password = data.join("admin-password");
    assert!(
        banner.contains(&format!("password in {}", password.display())),
        "{banner}"
    );
    assert!(
        banner.contains("triggers/t.yaml: config.seconds: ") && banner.contains("(line 6)"),
        "{banner}"
    );
    let url = banner
        .lines()
        .find_map(|line| line.trim().strip_prefix("API"))
        .expect("an address")
        .split_whitespace()
        .next()
        .expect("one")
        .to_owned();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let health: Value = eventually("health lists the packs", Duration::from_secs(20), async || {
        let health: Value = http.get(format!("{url}/health")).send().await.ok()?.json().await.ok()?;
        (!health["packs"].is_null()).then_some(health)
    })
    .await;
    assert_eq!(
        (&health["status"], &health["packs"]["status"]),
        (&"degraded".into(), &"degraded".into()),
        "{health}"
    );
    let broken = &health["packs"]["broken"];
    assert_eq!(broken[0]["folder"], text(&wrong), "{broken}");
    assert!(
        broken[0]["errors"][0]
            .as_str()
            .is_some_and(|error| error.starts_with("triggers/t.yaml: config.seconds: ")),
        "{broken}"
    );
    assert_eq!(broken.as_array().map(Vec::len), Some(1));

    let (code, out) = attune(
        folder,
        &["pack", "load", text(&late), text(&right), "--data-dir", text(&data)],
    )
    .await;
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("loaded pack late: 2 created") && out.contains("loaded pack right: 0 created"),
        "{out}"
    );
    let (code, out) = attune(folder, &["pack", "load", text(&wrong), "--data-dir", text(&data)]).await;
    assert_eq!(code, 1, "{out}");

    // Repaired: health reports that it is not loaded yet. Loaded: health is good without a restart.
    let packs = async |what: &str, good: &dyn Fn(&Value) -> bool| {
        eventually(what, Duration::from_secs(20), async || {
            let health: Value = http.get(format!("{url}/health")).send().await.ok()?.json().await.ok()?;
            good(&health["packs"]).then_some(health)
        })
        .await
    };
    pack(folder, "wrong", "  seconds: 60\n");
    packs("a repaired pack", &|packs| {
        packs["broken"][0]["errors"][0]
            .as_str()
            .is_some_and(|error| error.contains("load it with `attune pack load"))
    })
    .await;
    let (code, out) = attune(folder, &["pack", "load", text(&wrong), "--data-dir", text(&data)]).await;
    assert_eq!(code, 0, "{out}");
    let health = packs("a loaded pack", &|packs| packs["status"] == "ok").await;
    assert_eq!(health["packs"]["broken"], Value::Array(Vec::new()), "{health}");

    process.signal(Signal::SIGINT);
    assert_eq!(process.ended(Duration::from_secs(60)).await, 0);
}

/// Starts `attune up` at a host name.
fn up(folder: &Path, log: &str, more: &[(&'static str, String)]) -> Process {
    let (attune, data) = (program("attune"), folder.join("data"));
    let command = [
        attune.as_str(),
        "up",
        "--data-dir",
        text(&data),
        "--listen",
        "localhost:0",
    ];
    let mut environment = environment();
    environment.extend(more.iter().cloned());
    Process::start("attune up", &command, &environment, &folder.join(log))
}

#[tokio::test]
async fn the_banner_names_the_password_file_only_while_it_is_right() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    let file = folder.join("data/admin-password");
    let banner = async |log: &str, more: &[(&'static str, String)]| {
        let mut process = up(folder, log, more);
        let banner = printed(&process, "Ctrl-C stops everything").await;
        process.signal(Signal::SIGINT);
        assert_eq!(process.ended(Duration::from_secs(60)).await, 0);
        banner
    };
    let first = banner("1.log", &[]).await;
    assert!(first.contains(&format!("password in {}", file.display())), "{first}");
    let new = "a long and secret password 7";
    fs::write(folder.join("new"), format!("{new}\n")).expect("a file can be written");
    let (attune, data, input) = (program("attune"), folder.join("data"), folder.join("new"));
    let script = "\"$0\" user passwd admin --data-dir \"$1\" <\"$2\"";
    let command = ["/bin/sh", "-c", script, attune.as_str(), text(&data), text(&input)];
    let mut passwd = Process::start("passwd", &command, &environment(), &folder.join("passwd.log"));
    assert_eq!(passwd.ended(Duration::from_secs(60)).await, 0);
    let changed = banner("2.log", &[]).await;
    assert!(!changed.contains("admin-password"), "{changed}");
    assert!(changed.contains("with the password that was set last"), "{changed}");
    let _ = fs::remove_file(&file);
    let gone = banner("3.log", &[]).await;
    assert!(!gone.contains("admin-password"), "{gone}");
    let given = banner("4.log", &[("ATTUNE_ADMIN_PASSWORD", new.to_owned())]).await;
    assert!(!given.contains("admin-password"), "{given}");
    assert!(given.contains("with the configured password"), "{given}");
    let other = banner(
        "5.log",
        &[("ATTUNE_ADMIN_PASSWORD", "another long password 7".to_owned())],
    )
    .await;
    assert!(other.contains("with the password that was set last"), "{other}");
}
