//! `scripts/quickstart.sh --check`, with everything built already: a fake cargo provides the programs.

use super::support::{
    Process,
    surroundings::{environment, free_port, program, repository},
};
use attune_common::testing::eventually;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::Duration,
};

/// The script itself has a limit of two minutes.
const WITHIN: Duration = Duration::from_secs(150);
const CARGO: &str = r#"#!/bin/sh
case $1 in
--version) echo "cargo 1.95.0 (a stand-in)" ;;
metadata) echo "{\"target_directory\": \"$STANDIN_TARGET\"}" ;;
build) ;;
*) exit 1 ;;
esac
"#;

#[tokio::test]
async fn the_quickstart_prints_hello_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    prepare(folder.path());
    let mut first = start(folder.path(), "first", &["--check"]);
    let waiting = async || first.printed().contains("executions that succeed").then_some(());
    eventually("it waits for executions", Duration::from_secs(60), waiting).await;

    let mut second = start(folder.path(), "second", &["--check"]);
    assert_ne!(second.ended(Duration::from_secs(30)).await, 0, "{}", second.printed());
    let printed = second.printed();
    assert!(
        printed.contains("already runs") && printed.contains("--data-dir"),
        "it suggests what to do: {printed}"
    );

    assert_eq!(first.ended(WITHIN).await, 0, "{}", first.printed());
    let printed = first.printed();
    let hellos = printed.lines().filter(|line| line.contains("succeeded  Hello World"));
    assert!(hellos.count() >= 3, "it shows the executions: {printed}");
    let pid = fs::read_to_string(folder.path().join("data/attune.lock")).expect("Attune was there");
    assert!(
        !Path::new("/proc").join(pid.trim()).exists(),
        "Attune has ended: {printed}"
    );
}

#[tokio::test]
async fn an_unknown_option_of_the_quickstart_is_named() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    prepare(folder.path());
    let mut script = start(folder.path(), "log", &["--chek"]);
    assert_eq!(script.ended(Duration::from_secs(30)).await, 1);
    let printed = script.printed();
    assert!(printed.contains("--chek") && printed.contains("--check"), "{printed}");
}

/// The programs that the script finds first.
fn prepare(folder: &Path) {
    let (bin, built) = (folder.join("bin"), folder.join("target/quick"));
    for made in [&bin, &built] {
        fs::create_dir_all(made).expect("a folder can be made");
    }
    let cargo = bin.join("cargo");
    fs::write(&cargo, CARGO).expect("a file can be written");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    symlink(program("attune"), built.join("attune")).expect("a link can be made");
}

fn start(folder: &Path, log: &str, arguments: &[&str]) -> Process {
    let script = repository().join("scripts/quickstart.sh");
    let (data, listen) = (folder.join("data"), format!("127.0.0.1:{}", free_port()));
    let mut command = vec![text(&script), "--data-dir", text(&data), "--listen", &listen];
    command.extend(arguments);
    let mut environment = environment();
    for (name, value) in &mut environment {
        if *name == "PATH" {
            *value = format!("{}:{value}", text(&folder.join("bin")));
        }
    }
    environment.push(("STANDIN_TARGET", text(&folder.join("target")).to_owned()));
    Process::start("scripts/quickstart.sh", &command, &environment, &folder.join(log))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}
