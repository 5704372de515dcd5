//! The arguments and parameters of an action, and clear errors if it cannot be started.

use super::support::{TestRunner, with_parameters};
use attune_worker::runner::{Command, Invocation, Outcome};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

#[tokio::test]
async fn a_shell_action_receives_its_parameters_and_does_not_execute_them() {
    let test = TestRunner::new().await;
    let message = "it's \"quoted\" $(rm -rf \"$ATTUNE_TEST\") `touch x` ; exit 9\nsecond line \\ ${HOME} ü";
    let ended = test
        .run(with_parameters(
            test.shell(r#"printf '%s' "${message}""#),
            json!({"message": message}),
        ))
        .await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str(), ended.exit_code),
        (message, "", Some(0))
    );
    assert_eq!((ended.error, ended.signal), (None, None));
    test.stop().await;
}

#[tokio::test]
async fn standard_input_is_the_parameters_as_json() {
    let test = TestRunner::new().await;
    let parameters = json!({"PATH": "/nowhere", "list": [1, {"a": null}], "big": "x".repeat(300_000)});
    let ended = test.run(with_parameters(test.shell("cat"), parameters.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap(), parameters);
    let ended = test.run(with_parameters(test.shell("cat"), Value::Null)).await;
    assert_eq!(ended.stdout, "{}");
    test.stop().await;
}

#[tokio::test]
async fn parameters_cannot_set_variables_of_the_shell_or_the_loader() {
    let test = TestRunner::new().await;
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
    let ended = test.run(with_parameters(test.shell("env"), parameters)).await;
    assert_eq!(ended.outcome, Outcome::Succeeded);
    assert!(!ended.stdout.contains("/evil"), "{}", ended.stdout);
    test.stop().await;
}

#[tokio::test]
async fn an_action_receives_its_execution_and_attempt() {
    let test = TestRunner::new().await;
    let invocation = Invocation {
        attempt: 3,
        ..test.shell("echo $ATTUNE_EXECUTION_ID $ATTUNE_ATTEMPT")
    };
    let expected = format!("{} 3\n", invocation.execution_id);
    assert_eq!(test.run(invocation).await.stdout, expected);
    test.stop().await;
}

#[tokio::test]
async fn exit_codes_and_signals_are_reported() {
    let test = TestRunner::new().await;
    for (script, code, signal, error) in [
        ("exit 3", Some(3), None, "exit code 3"),
        ("nonsense_xyz", Some(127), None, "exit code 127"),
        ("kill -9 $$", None, Some(9), "killed by SIGKILL"),
        ("kill -40 $$", None, Some(40), "killed by signal 40"),
    ] {
        let ended = test.run_shell(script).await;
        assert_eq!(ended.outcome, Outcome::Failed, "{script}");
        assert_eq!(
            (ended.exit_code, ended.signal, ended.error.as_deref()),
            (code, signal, Some(error)),
            "{script}"
        );
    }
    test.stop().await;
}

#[tokio::test]
async fn programs_are_found_by_path_or_by_name() {
    let test = TestRunner::new().await;
    let program = |program: &str| Invocation {
        command: Command::Program {
            program: program.into(),
            arguments: vec!["a b".into(), "$c".into()],
        },
        ..test.shell("")
    };
    assert_eq!(test.run(program("echo")).await.stdout, "a b $c\n");
    assert_eq!(test.run(program("/bin/echo")).await.stdout, "a b $c\n");
    test.stop().await;
}

#[tokio::test]
async fn a_failed_start_reports_the_reason() {
    let test = TestRunner::new().await;
    let script = |name: &str, text: &str, mode: u32| {
        fs::write(test.file(name), text).unwrap();
        fs::set_permissions(test.file(name), PermissionsExt::from_mode(mode)).unwrap();
        test.file(name).to_str().unwrap().to_owned()
    };
    for (program, expected) in [
        ("no-such-program".to_owned(), "not found in PATH"),
        ("/no/such/program".to_owned(), "does not exist"),
        (
            script("dangling", "#!/no/such/interpreter\n", 0o755),
            "the interpreter or loader of",
        ),
        (script("plain", "echo hi\n", 0o644), "is not an executable file"),
        ("/".to_owned(), "is not an executable file"),
        ("/bin/e\0cho".to_owned(), "nul byte"),
    ] {
        let command = Command::Program {
            program: program.clone(),
            arguments: Vec::new(),
        };
        let ended = test
            .run(Invocation {
                command,
                ..test.shell("")
            })
            .await;
        let error = ended.error.unwrap();
        assert!(error.contains(expected), "{program:?}: {error}");
        assert_eq!((ended.outcome, ended.exit_code), (Outcome::Failed, None));
    }
    test.stop().await;
}

#[tokio::test]
async fn oversized_parameters_fail_the_action_only() {
    let test = TestRunner::new().await;
    let long = test.run_shell(&format!("# {}", "x".repeat(200_000))).await;
    assert!(long.error.unwrap().contains("too large for a process"));
    let many: Value = (0..100)
        .map(|number| (format!("p{number}"), json!("x".repeat(60_000))))
        .collect();
    let many = test.run(with_parameters(test.shell("echo hi"), many)).await;
    assert!(many.error.unwrap().contains("too large for a process"));
    assert_eq!(test.run_shell("echo hi").await.stdout, "hi\n");
    test.stop().await;
}
