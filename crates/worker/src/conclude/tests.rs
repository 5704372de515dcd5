use super::*;

fn output_of(stdout: &str, format: OutputFormat) -> Value {
    RunResult::of_process(ended(stdout), format)
        .result
        .expect("a process has a result")
}

fn ended(stdout: &str) -> Ended {
    Ended {
        outcome: Outcome::Succeeded,
        exit_code: Some(0),
        signal: None,
        stdout: stdout.to_owned(),
        stderr: String::new(),
        error: None,
        ran: Duration::from_millis(1),
        life: None,
        stdout_flaw: None,
        result: None,
    }
}

#[test]
fn a_value_on_descriptor_3_takes_precedence_over_standard_output() {
    for format in [OutputFormat::Text, OutputFormat::Json] {
        let written = Ended {
            result: Some(Ok(json!({"n": 1}))),
            ..ended("{\"n\": 2}")
        };
        let run = RunResult::of_process(written, format);
        let result = run.result.expect("a process has a result");
        assert_eq!((run.outcome, &result["output"]), (Outcome::Succeeded, &json!({"n": 1})));
        assert_eq!(result["stdout"], "{\"n\": 2}");
    }
}

#[test]
fn an_invalid_result_fails_a_success_and_only_that() {
    for (outcome, error, expected) in [
        (Outcome::Succeeded, None, (Outcome::Failed, "no value")),
        (Outcome::TimedOut, Some("timed out"), (Outcome::TimedOut, "timed out")),
        (Outcome::Canceled, Some("canceled"), (Outcome::Canceled, "canceled")),
    ] {
        let written = Ended {
            outcome,
            error: error.map(str::to_owned),
            result: Some(Err("no value".to_owned())),
            ..ended("{}")
        };
        let run = RunResult::of_process(written, OutputFormat::Json);
        assert_eq!((run.outcome, run.error.as_deref()), (expected.0, Some(expected.1)));
        let result = run.result.expect("a process has a result");
        assert_eq!(
            (&result["output_error"], result.get("output")),
            (&json!("no value"), None)
        );
    }
}

#[test]
fn json_output_is_exact_or_rejected_with_its_path() {
    for (stdout, output) in [
        (
            r#"{"n": [9007199254740993, 0.1]}"#,
            json!({"n": [9_007_199_254_740_993_i64, 0.1]}),
        ),
        ("\u{feff}{\"n\": 1}\n", json!({"n": 1})),
        ("18446744073709551615\n", json!(u64::MAX)),
        ("\"café\"", json!("café")),
    ] {
        let result = output_of(stdout, OutputFormat::Json);
        assert_eq!(
            (&result["output"], result.get("output_error")),
            (&output, None),
            "{stdout}"
        );
        assert_eq!(output_of(stdout, OutputFormat::Text).get("output"), None);
    }
    for (stdout, error) in [
        (r#"{"n": [1, 18446744073709551616]}"#, "n[1]: is 18446744073709551616"),
        (r#"{"a": {"b": 1e400}}"#, "a.b: is 1e400"),
        (r#"{"a": 0.1234567890123456789}"#, "a: is 0.1234567890123456789"),
        (r#"{"a": 1, "a": 2}"#, "a: is given twice"),
        (r#"{"a": "\u0000"}"#, "a: holds the character U+0000"),
    ] {
        let result = output_of(stdout, OutputFormat::Json);
        let found = result["output_error"].as_str().expect("an error");
        let expected = format!("standard output is JSON that cannot be stored at {error}");
        assert!(found.starts_with(&expected), "{stdout}: {found}");
        assert_eq!((result.get("output"), &result["stdout"]), (None, &json!(stdout)));
    }
}
