//! What an action inherits and what it does not.

use super::support::{TestRunner, shell};
use attune_worker::runner::Outcome;
use nix::{
    sys::{prctl, signal::Signal},
    unistd::{geteuid, getpid},
};
use std::{collections::BTreeSet, fs};

#[tokio::test]
async fn the_environment_is_an_allow_list() {
    let test = TestRunner::with(|settings| settings.time_zone = Some("Europe/Zurich".into())).await;
    let ended = test.run_shell("exec /usr/bin/env").await;
    let names: BTreeSet<_> = ended
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let allowed = [
        "PATH",
        "LANG",
        "TZ",
        "HOME",
        "TMPDIR",
        "PWD",
        "ATTUNE_EXECUTION_ID",
        "ATTUNE_ATTEMPT",
        "ATTUNE_RESULT_FD",
        "ATTUNE_TEST",
    ];
    assert_eq!(names, BTreeSet::from(allowed));
    // The supervisor has an empty environment, and hides it from processes of its user.
    for pid in [test.keeper(), test.attendant()] {
        let environment = fs::read(format!("/proc/{pid}/environ"));
        if geteuid().is_root() {
            assert_eq!(environment.unwrap(), b"");
        } else {
            assert!(environment.is_err());
        }
    }
    test.stop().await;
}

#[tokio::test]
async fn actions_cannot_inspect_the_worker() {
    let test = TestRunner::new().await;
    assert!(!prctl::get_dumpable().unwrap());
    let ended = test
        .run_shell(&format!("cat /proc/{}/environ > /dev/null", getpid()))
        .await;
    // Root may read everything; an action of another user must not read the worker's secrets.
    assert_eq!(ended.outcome == Outcome::Succeeded, geteuid().is_root(), "{ended:?}");
    test.stop().await;
}

#[tokio::test]
async fn limits_and_privileges_are_lowered() {
    let test = TestRunner::with(|settings| {
        settings.bounds.defaults.files = Some(1024);
        settings.bounds.max.files = Some(2048);
    })
    .await;
    let ended = test
        .run_shell("umask; ulimit -n; ulimit -c; ulimit -f; ulimit -Hn; cat /proc/self/status")
        .await;
    let lines: Vec<_> = ended.stdout.lines().collect();
    let blocks_of_512_bytes = (1 << 30) / 512;
    assert_eq!(
        lines[..5],
        ["0077", "1024", "0", &blocks_of_512_bytes.to_string(), "2048"]
    );
    let field = |name| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    assert_eq!(field("NoNewPrivs:"), "1");
    // No signal is blocked: a shell cannot wait for its children with SIGCHLD blocked.
    assert_eq!(field("SigBlk:"), "0000000000000000");
    let ignored = u64::from_str_radix(field("SigIgn:"), 16).unwrap();
    for signal in [Signal::SIGPIPE, Signal::SIGCHLD, Signal::SIGTERM] {
        assert_eq!(ignored >> (signal as i32 - 1) & 1, 0, "{signal} is ignored");
    }
    test.stop().await;
}

#[tokio::test]
async fn an_action_leads_its_own_group_and_has_no_terminal() {
    let test = TestRunner::new().await;
    let ended = test.run_shell("cut -d' ' -f1,5,7 /proc/$$/stat").await;
    let fields: Vec<i32> = ended
        .stdout
        .split_whitespace()
        .map(|field| field.parse().unwrap())
        .collect();
    let [pid, group, terminal] = fields[..] else {
        panic!("{fields:?}")
    };
    assert_eq!((group, terminal), (pid, 0));
    test.stop().await;
}

#[tokio::test]
async fn only_the_streams_and_the_result_are_open() {
    let test = TestRunner::new().await;
    // Descriptor 3 is for the result, descriptor 4 is the listing itself.
    let ended = test.run_shell("exec ls /proc/self/fd").await;
    assert_eq!(ended.stdout, "0\n1\n2\n3\n4\n");
    test.stop().await;
}

#[tokio::test]
async fn the_scratch_directory_is_private_and_wiped() {
    let test = TestRunner::new().await;
    let ended = test
        .run_shell(r#"stat -c %a . && pwd && echo "$HOME" "$TMPDIR" && mkdir -p a/b && touch a/b/c && chmod 0 a"#)
        .await;
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    let scratch = lines[1];
    assert_eq!(lines, ["700", scratch, &format!("{scratch} {scratch}")]);
    assert!(!fs::exists(scratch).unwrap());
    test.stop().await;
}

#[tokio::test]
async fn an_unusable_scratch_base_fails_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let settings = super::support::settings(&missing);
    let error = attune_worker::runner::Runner::start(settings, &tokio_util::task::TaskTracker::new())
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_a_supervisor_fails_the_start() {
    for program in ["/bin/true", "/no/such/program"] {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = super::support::settings(directory.path());
        settings.supervisor = program.into();
        let tracker = tokio_util::task::TaskTracker::new();
        let error = attune_worker::runner::Runner::start(settings, &tracker)
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains(program), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn the_parent_of_an_action_is_not_the_worker() {
    let test = TestRunner::new().await;
    let ended = test.run(shell(test.directory.path(), "echo $PPID")).await;
    assert_eq!(ended.stdout.trim(), test.attendant().to_string());
    assert_ne!(ended.stdout.trim(), getpid().to_string());
    test.stop().await;
}
