//! Snapshots of the output of the command line. After an intended change, `INSTA_UPDATE=always` renews them.

use super::support::{Process, surroundings::environment};
use attune_common::testing::{Database, generated};
use std::{fmt::Write as _, time::Duration};

/// Everything that a command prints, with its exit code.
async fn output(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let command = [&[env!("CARGO_BIN_EXE_attune")], arguments].concat();
    let mut process = Process::start("attune", &command, &environment(), &folder.path().join("log"));
    let code = process.ended(Duration::from_secs(30)).await;
    format!("{}[exit code {code}]\n", process.printed())
}

#[tokio::test]
async fn help_of_every_command() {
    let all = output(&["help", "reference"]).await;
    // Trailing spaces are invisible in reviews.
    let lines: Vec<&str> = all.lines().map(str::trim_end).collect();
    generated::compare("cli.txt", &format!("{}\n", lines.join("\n")));
}

#[tokio::test]
async fn timer_preview() {
    let berlin = [
        "timer",
        "preview",
        "30 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "-n",
        "2",
        "--after",
        "2027-03-27T12:00",
    ];
    let wrong = ["timer", "preview", "61 * * * *", "--dst-gap", "jump"];
    let all = format!("{}\n{}", output(&berlin).await, output(&wrong).await);
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn check_of_an_empty_database() {
    let database = Database::new().await;
    insta::assert_snapshot!(output(&["check", "--database-url", database.url()]).await);
    database.close().await;
}

/// A timer that the command line stops stays stopped, and is started again.
#[tokio::test]
async fn timer_stop_and_start() {
    let database = Database::new().await;
    super::support::facts::execute(
        &database.pool,
        r#"insert into pack (ref, label) values ('test', 'Test');
           insert into trigger (ref, pack_id, label, kind, config)
               select 'test.' || kind, id, 'T', kind, config
               from pack, (values ('timer', '{"type": "interval", "seconds": 60}'::jsonb), ('custom', '{}')) as t (kind, config)"#,
    )
    .await;
    let mut all = String::new();
    let pool = &database.pool;
    attune_sensor::tick::changed(pool).await.expect("the timer is planned");
    for arguments in [
        ["stop", "test.timer"],
        ["stop", "test.timer"],
        ["start", "test.timer"],
        ["start", "test.timer"],
        ["stop", "test.custom"],
        ["stop", "test.none"],
    ] {
        let command = [&["timer"], &arguments[..], &["--database-url", database.url()]].concat();
        let _ = writeln!(
            all,
            "$ attune timer {}\n{}",
            arguments.join(" "),
            output(&command).await
        );
        attune_sensor::tick::changed(pool).await.expect("changes are applied");
    }
    insta::assert_snapshot!(all);
    database.close().await;
}
