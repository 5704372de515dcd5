//! `docs/quickstart-timer-demo.md`: all blocks marked as bash are run in order in one shell, and each must succeed. Other
//! blocks are output, or need another machine.

use super::support::{
    Process,
    surroundings::{environment, free_port, program, repository},
};
use attune_common::testing::{Database, rabbitmq};
use secrecy::ExposeSecret as _;
use std::{fs, path::Path, time::Duration};

const DOCUMENT: &str = "docs/quickstart-timer-demo.md";
/// A reader needs ten minutes, most of them for reading.
const WITHIN: Duration = Duration::from_secs(150);

/// Precedes the blocks. Processes that they start end with the shell. If the shell is killed with the test, a watcher kills
/// the rest of its process group; the shell has its own session, so no other process is affected.
const FRAME: &str = r#"set -euo pipefail
trap 'trap "" TERM; kill -TERM 0; sleep 0.1' EXIT
(while kill -0 "$PPID" 2>/dev/null; do sleep 0.5; done; kill -KILL 0) &
"#;

#[tokio::test]
async fn every_command_of_the_demonstration_works() {
    let blocks = blocks(&repository().join(DOCUMENT), "bash");
    assert!(blocks.len() > 10, "{DOCUMENT} has {} blocks of bash", blocks.len());
    let (database, broker) = (
        Database::empty().await,
        rabbitmq::shared().await.expect("RabbitMQ is there"),
    );
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut environment = environment();
    let program = program("attune");
    let programs = Path::new(&program)
        .parent()
        .and_then(Path::to_str)
        .expect("the path is text");
    environment.extend([
        ("TMPDIR", folder.path().to_str().expect("the path is text").to_owned()),
        ("ATTUNE_DEMO_DATABASE_URL", database.url().to_owned()),
        ("ATTUNE_DEMO_AMQP_URL", broker.url.expose_secret().to_owned()),
        (
            "ATTUNE__MESSAGE_QUEUE__NAMESPACE",
            format!("test-{:016x}", rand::random::<u64>()),
        ),
        ("ATTUNE_DEMO_BIN", programs.to_owned()),
    ]);
    for name in ["API", "SENSOR", "EXECUTOR", "WORKER"].map(port_variable) {
        environment.push((name, free_port().to_string()));
    }
    let script = folder.path().join("demonstration.sh");
    fs::write(&script, script_of(&blocks)).expect("a file can be written");
    let inside = format!(
        "cd '{}' && exec setsid bash '{}'",
        repository().display(),
        script.display()
    );
    let mut shell = Process::start(
        DOCUMENT,
        &["bash", "-c", &inside],
        &environment,
        &folder.path().join("log"),
    );
    let code = shell.ended(WITHIN).await;
    assert_eq!(
        code,
        0,
        "the exit code of the demonstration, which got to {:?}",
        shell.printed().lines().rev().find(|line| line.starts_with("### "))
    );
    database.close().await;
}

fn port_variable(service: &str) -> &'static str {
    match service {
        "API" => "ATTUNE_DEMO_API_PORT",
        "SENSOR" => "ATTUNE_DEMO_SENSOR_PORT",
        "EXECUTOR" => "ATTUNE_DEMO_EXECUTOR_PORT",
        _ => "ATTUNE_DEMO_WORKER_PORT",
    }
}

/// The blocks as one script that reports its progress.
fn script_of(blocks: &[(usize, String)]) -> String {
    let steps = blocks
        .iter()
        .map(|(line, text)| format!("echo '### line {line}'\n{text}"));
    let mut parts = vec![FRAME.to_owned()];
    parts.extend(steps);
    parts.push("echo '### the end'\n".to_owned());
    parts.join("\n")
}

/// The fenced blocks with this mark, each with the number of its first line.
pub fn blocks(document: &Path, mark: &str) -> Vec<(usize, String)> {
    let text = fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
    let (mut found, mut open): (Vec<(usize, String)>, Option<bool>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        match (line.trim().strip_prefix("```"), open) {
            (Some(fence), None) => {
                open = Some(fence == mark);
                if fence == mark {
                    found.push((number + 2, String::new()));
                }
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(true)) => {
                if let Some((_, block)) = found.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block of {} is not closed", document.display());
    found
}
