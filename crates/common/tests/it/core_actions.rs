//! The shell actions of the core pack, run by their runtime as a worker would: parameters are variables, never shell text.

use attune_common::packs;
use std::{
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

#[expect(clippy::disallowed_methods, reason = "the actions' scripts are what is tested")]
fn command(action_ref: &str) -> Command {
    let core = packs::core().expect("the core pack is valid");
    let action = core
        .actions
        .iter()
        .find(|action| action.r#ref.as_str() == action_ref)
        .expect("the action is there");
    let runtime = core
        .runtimes
        .iter()
        .find(|runtime| Some(&runtime.r#ref) == action.runtime_ref.as_ref())
        .expect("its runtime is there");
    let mut command = Command::new(&runtime.command[0]);
    command
        .args(&runtime.command[1..])
        .arg(&action.entry_point)
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    command
}

#[test]
fn echo_prints_its_message_unchanged() {
    for message in [
        "Hello World",
        "",
        "-n",
        "%s %d\\n",
        "$(touch /tmp/x) `id` $HOME \"'; exit 3",
        "two\nlines",
        "ü\t*",
    ] {
        let output = command("core.echo")
            .env("message", message)
            .output()
            .expect("the shell is there");
        assert!(output.status.success(), "{message:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{message}\n"));
        assert!(output.stderr.is_empty(), "{message:?}");
    }
}

#[test]
fn sleep_accepts_fractions() {
    let started = Instant::now();
    let status = command("core.sleep")
        .env("seconds", "0.2")
        .status()
        .expect("the shell is there");
    assert!(
        status.success() && started.elapsed() >= Duration::from_millis(200),
        "{status}"
    );
}

/// The signal reaches the started process, and no process is left.
#[test]
fn sleep_ends_at_sigterm() {
    let mut child = command("core.sleep")
        .env("seconds", "3600")
        .stdout(Stdio::null())
        .spawn()
        .expect("the shell is there");
    terminate(child.id());
    let deadline = Instant::now() + Duration::from_secs(10);
    let status: ExitStatus = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        assert!(Instant::now() < deadline, "it still sleeps");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(!status.success(), "{status}");
}

#[expect(clippy::disallowed_methods, reason = "the actions' scripts are what is tested")]
fn terminate(pid: u32) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status()
        .expect("the shell is there");
    assert!(status.success(), "{status}");
}
