//! What an action is given: its words, its parameters, and clear errors when it cannot be started.

use super::support::{Bench, with_parameters};
use attune_worker::runner::{Invocation, Outcome, Work};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

#[tokio::test]
async fn a_shell_action_sees_its_parameters_and_nothing_in_them_is_executed() {
    let bench = Bench::new().await;
    let message = "it's \"quoted\" $(rm -rf \"$ATTUNE_TEST\") `touch x` ; exit 9\nsecond line \\ ${HOME} ü";
    let ended = bench
        .run(with_parameters(
            bench.shell(r#"printf '%s' "${message}""#),
            json!({"message": message}),
        ))
        .await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str(), ended.exit_code),
        (message, "", Some(0))
    );
    assert_eq!((ended.error, ended.signal), (None, None));
    bench.stop().await;
}

#[tokio::test]
async fn standard_input_is_the_parameters_as_json() {
    let bench = Bench::new().await;
    let parameters = json!({"PATH": "/nowhere", "list": [1, {"a": null}], "big": "x".repeat(300_000)});
    let ended = bench.run(with_parameters(bench.shell("cat"), parameters.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap(), parameters);
    let ended = bench.run(with_parameters(bench.shell("cat"), Value::Null)).await;
    assert_eq!(ended.stdout, "{}");
    bench.stop().await;
}

#[tokio::test]
async fn parameters_cannot_set_what_a_shell_or_a_loader_obeys() {
    let bench = Bench::new().await;
    let names = [
        "PATH",
        "LD_PRELOAD",
        "BASH_ENV",
        "ENV",
        "IFS",
        "HOME",
        "ATTUNE_EXECUTION_ID",
        "x-y",
    ];
    let parameters: Value = names.iter().map(|name| ((*name).to_owned(), json!("/evil"))).collect();
    let ended = bench.run(with_parameters(bench.shell("env"), parameters)).await;
    assert_eq!(ended.outcome, Outcome::Succeeded);
    assert!(!ended.stdout.contains("/evil"), "{}", ended.stdout);
    bench.stop().await;
}

#[tokio::test]
async fn an_action_knows_its_execution_and_attempt() {
    let bench = Bench::new().await;
    let invocation = Invocation {
        attempt: 3,
        ..bench.shell("echo $ATTUNE_EXECUTION_ID $ATTUNE_ATTEMPT")
    };
    let expected = format!("{} 3\n", invocation.execution_id);
    assert_eq!(bench.run(invocation).await.stdout, expected);
    bench.stop().await;
}

#[tokio::test]
async fn exit_codes_and_signals_are_told() {
    let bench = Bench::new().await;
    for (script, code, signal, error) in [
        ("exit 3", Some(3), None, "exit code 3"),
        ("nonsense_xyz", Some(127), None, "exit code 127"),
        ("kill -9 $$", None, Some(9), "killed by signal 9 (SIGKILL)"),
        ("kill -40 $$", None, Some(40), "killed by signal 40"),
    ] {
        let ended = bench.run_shell(script).await;
        assert_eq!(ended.outcome, Outcome::Failed, "{script}");
        assert_eq!(
            (ended.exit_code, ended.signal, ended.error.as_deref()),
            (code, signal, Some(error)),
            "{script}"
        );
    }
    bench.stop().await;
}

#[tokio::test]
async fn programs_are_found_by_path_or_by_name() {
    let bench = Bench::new().await;
    let program = |program: &str| Invocation {
        work: Work::Program {
            program: program.into(),
            arguments: vec!["a b".into(), "$c".into()],
        },
        ..bench.shell("")
    };
    assert_eq!(bench.run(program("echo")).await.stdout, "a b $c\n");
    assert_eq!(bench.run(program("/bin/echo")).await.stdout, "a b $c\n");
    bench.stop().await;
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let bench = Bench::new().await;
    let script = |name: &str, text: &str, mode: u32| {
        fs::write(bench.file(name), text).unwrap();
        fs::set_permissions(bench.file(name), PermissionsExt::from_mode(mode)).unwrap();
        bench.file(name).to_str().unwrap().to_owned()
    };
    for (program, expected) in [
        ("no-such-program".to_owned(), "is in none of the directories of PATH"),
        ("/no/such/program".to_owned(), "does not exist"),
        (
            script("dangling", "#!/no/such/interpreter\n", 0o755),
            "names an interpreter or a loader",
        ),
        (script("plain", "echo hi\n", 0o644), "is not an executable file"),
        (script("shebangless", "echo hi\n", 0o755), "does it begin with `#!`"),
        ("/".to_owned(), "is not an executable file"),
        ("/bin/e\0cho".to_owned(), "nul byte"),
    ] {
        let work = Work::Program {
            program: program.clone(),
            arguments: Vec::new(),
        };
        let ended = bench
            .run(Invocation {
                work,
                ..bench.shell("")
            })
            .await;
        let error = ended.error.unwrap();
        assert!(error.contains(expected), "{program:?}: {error}");
        assert_eq!((ended.outcome, ended.exit_code), (Outcome::Failed, None));
    }
    bench.stop().await;
}

#[tokio::test]
async fn too_much_for_a_process_is_an_error_and_not_the_worker_s_end() {
    let bench = Bench::new().await;
    let long = bench.run_shell(&format!("# {}", "x".repeat(200_000))).await;
    assert!(long.error.unwrap().contains("too large to be handed to a process"));
    let many: Value = (0..100)
        .map(|number| (format!("p{number}"), json!("x".repeat(60_000))))
        .collect();
    let many = bench.run(with_parameters(bench.shell("echo hi"), many)).await;
    assert!(many.error.unwrap().contains("too large to be handed to a process"));
    assert_eq!(bench.run_shell("echo hi").await.stdout, "hi\n");
    bench.stop().await;
}
