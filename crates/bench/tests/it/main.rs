//! A small run of `attune-bench`: it measures, and writes JSON and Markdown. Speed is not tested.

use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn a_small_run_reports_what_happened() {
    let folder = tempfile::tempdir().expect("a folder can be created");
    let (json, report) = (folder.path().join("bench.json"), folder.path().join("BENCH.md"));
    #[expect(clippy::disallowed_methods, reason = "the test runs the program")]
    let output = Command::new(env!("CARGO_BIN_EXE_attune-bench"))
        .args(["--suite", "latency,throughput", "--seconds", "1", "--json"])
        .arg(&json)
        .arg("--report")
        .arg(&report)
        .stdin(Stdio::null())
        .output()
        .expect("attune-bench runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");

    let text = std::fs::read_to_string(&json).expect("the JSON exists");
    let all: Value = serde_json::from_str(&text).expect("it is JSON");
    let measures = all["results"]["measures"].as_array().expect("it holds measures");
    let measure = |name: &str| measures.iter().find(|measure| measure["name"] == name).expect(name);
    let started = measure("event accepted → process started, 100/s, p50");
    assert_eq!(started["samples"], 100, "every event was followed to its end");
    assert!(started["value"].as_f64().expect("a number") > 0.0);
    assert!(started["floor"]["ratio"].as_f64().expect("compared with its floor") > 0.0);
    let keyed = measure("native, one at a time of each of 100 keys: events → finished executions");
    assert!(keyed["samples"].as_u64().expect("a number") >= 300);
    assert_eq!(
        keyed["floor"]["name"], "native throughput",
        "compared with the same load without keys"
    );
    assert_eq!(
        all["machine"]["postgres"]["fsync"], "on",
        "only a durable database is measured"
    );

    let page = std::fs::read_to_string(&report).expect("the page exists");
    assert!(page.contains("## Goals") && page.contains("benchmarks.svg"), "{page}");
    assert!(folder.path().join("benchmarks.svg").exists());
}
