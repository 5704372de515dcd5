mod comparing;
mod functions;
mod oracle;

use super::*;
use crate::event::tests::{RULE, event};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Generous: unoptimised, on a busy machine. What is not bounded takes minutes or gigabytes.
const QUICK: Duration = Duration::from_secs(5);

/// The process itself and one megabyte of payload included.
const PEAK_KIB_MAX: u64 = 128 * 1024;

fn payload() -> Value {
    json!({
        "temperature": 31.5, "count": 3, "name": "Ada", "on": true, "nothing": null, "huge": 1_000_000_000,
        "tags": ["a", "b"], "nested": {"list": [{"x": 1}, {"x": 2}]}, "text": "ab".repeat(50_000),
        "numbers": (0..20_000).collect::<Vec<_>>(),
        "more": (0..20_000).collect::<Vec<_>>(),
    })
}

fn run(source: &str) -> Result<Value, String> {
    let event = event(payload());
    Expression::compile(source, Scope::Rule)?.evaluate(&event.for_rule(RULE), &mut Budget::new(1024 * 1024))
}

#[test]
fn values_keep_their_type() {
    let check = |source: &str, expected: Value| assert_eq!(run(source), Ok(expected), "{source}");
    check("event.payload.temperature > 30", json!(true));
    check("event.payload.temperature * 2", json!(63.0));
    check("event.payload.count * -2 + 1", json!(-5));
    check("event.payload.count * event.payload.nested.list[1].x", json!(6));
    check("2 ** 3 * 4 / 2 // 3 % 4", json!(1.0));
    check("event.payload.tags", json!(["a", "b"]));
    check("event.payload.nested", json!({"list": [{"x": 1}, {"x": 2}]}));
    check("event.payload.nested.list.0.x", json!(1));
    check("event.payload.nothing", Value::Null);
    check("event.payload.name ~ '-' ~ event.payload.count", json!("Ada-3"));
    check("event.payload.name[:1]", json!("A"));
    check("event.payload.numbers[-2:]", json!([19_998, 19_999]));
    check(
        "'b' in event.payload.tags and event.payload.name in ['Ada', 'Bob']",
        json!(true),
    );
    check("'x' if event.payload.on else 'y'", json!("x"));
    check("{'a': [1, event.payload.count]}", json!({"a": [1, 3]}));
    check("rule.ref", json!("core.hello"));
    check("event.trigger", json!("core.timer_10s"));
    check("event.received_at", json!("2027-01-15T08:00:00Z"));
    check("event.payload.missing is defined", json!(false));
    check("event.payload.missing | default('none')", json!("none"));
    check(
        "event.payload.count is divisibleby 3 and event.payload.count is not none",
        json!(true),
    );
    check("[1, 2] == [1, 2.0]", json!(true));
    check("event.payload.tags == ['a', 'b']", json!(true));
}

#[test]
fn filters() {
    let check = |source: &str, expected: Value| assert_eq!(run(source), Ok(expected), "{source}");
    check("'aDa lOVE' | title", json!("Ada Love"));
    check(
        "'aDa' | capitalize ~ ('x' | upper) ~ ('Y' | lower) ~ (' z ' | trim)",
        json!("AdaXyz"),
    );
    check("event.payload.tags | join(', ')", json!("a, b"));
    check("'a,b' | split(',')", json!(["a", "b"]));
    check("'a-b' | replace('-', '+')", json!("a+b"));
    check("event.payload.tags | length + ('äö' | count)", json!(4));
    check("event.payload.tags | first ~ event.payload.tags | last", json!("ab"));
    check("[3, 1, 2] | max - [3, 1, 2] | min", json!(2));
    check("2.567 | round(2)", json!(2.57));
    check("-3 | abs", json!(3));
    check("'42' | int + 1", json!(43));
    check("'1.5' | float", json!(1.5));
}

#[test]
fn errors_name_what_is_missing() {
    let check = |source: &str, wrong: &str| {
        let error = run(source).expect_err(source);
        assert!(error.contains(wrong), "{source}: {error}");
    };
    check("event.payload.nope", "event.payload.nope is missing");
    check(
        "event.payload.name ~ event.payload.nope.deeper",
        "event.payload.nope.deeper is missing",
    );
    check("event.payload.nope > 3", "event.payload.nope is missing");
    check("rule.name", "rule.name is missing");
    check("event.payload.name * 2", "two numbers");
    check("2 * event.payload.name", "two numbers");
    check(
        "event.payload.nested | upper",
        "`upper` needs a string, not an object (event.payload.nested)",
    );
    check("1 +", "is not a valid expression");
    check("1 / 0", "divides by zero");
    check("1e308 * 10", "not finite");
    check("1e30 | int", "does not fit into 64 bits");
    check("99999999999999999999", "64 bits");
}

/// Each of these makes gigabytes, or runs for hours, in an engine without bounds.
#[test]
fn bombs_are_refused_quickly() {
    let copies = format!("'' ~ [{}]", vec!["event.payload"; 62].join(","));
    let compared = format!(
        "[{0}] == [{1}]",
        vec!["event.payload.numbers"; 20].join(","),
        vec!["event.payload.more"; 20].join(",")
    );
    let bombs = [
        "'%0500000000d' | format(1)",
        "'x' * 1000000000",
        "1000000000 * 'x'",
        "('x' * 1000) * 1000",
        "[0] * 1000000000",
        "1000000000 * [0]",
        "'' ~ [0] * 100000000",
        "[[0] * 100000000] == [[0] * 100000000]",
        "([0] * 100000000) in 'x'",
        "(0,) * 100000000",
        "event.payload.tags * event.payload.huge",
        "event.payload.huge * event.payload.tags",
        "event.payload.huge * (event.payload.tags if true else 1)",
        "(1 * 2 if false else [0]) * 100000000",
        "event.payload.tags[:1] * 100000000",
        "(event.payload.tags + event.payload.tags) * 100000000",
        "[[[0] * 10000] * 10000] * 10000",
        "range(1000000000)",
        "event.payload.text | replace('a', event.payload.text)",
        "event.payload.text | replace('', event.payload.text)",
        "event.payload.numbers | join(event.payload.text)",
        "event.payload.text | tojson(indent=1000000000)",
        "10 ** 10000000000",
        "(9 ** 9 ** 9) ** 9",
        "event.payload.text | indent(100000000)",
        copies.as_str(),
    ];
    for source in bombs {
        let start = Instant::now();
        assert!(run(source).is_err(), "{source}");
        assert!(start.elapsed() < QUICK, "{source} took {:?}", start.elapsed());
    }
    let start = Instant::now();
    assert_eq!(run(&compared), Ok(json!(true)));
    assert!(start.elapsed() < QUICK, "comparing took {:?}", start.elapsed());
    assert!(peak_memory_kib() < PEAK_KIB_MAX, "peak of {} KiB", peak_memory_kib());
}

/// The peak of this process; every test is a process of its own under nextest.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// The longest chains that the token limit allows, on the stack of an ordinary thread.
#[test]
fn deep_expressions_do_not_overflow_the_stack() {
    let chains = [
        format!("1{}", "+1".repeat(127)),
        format!("1{}", "*1".repeat(127)),
        format!("'a'{}", "~'a'".repeat(127)),
        format!("{}1", "-".repeat(255)),
        format!("{}true", "not ".repeat(255)),
        format!("event.payload{}", ".x".repeat(120)),
        format!("'a'{}", "|upper".repeat(127)),
        format!("{}1{}", "(".repeat(127), ")".repeat(127)),
        format!("{}1{}", "[".repeat(127), "]".repeat(127)),
        format!("{}1{}", "{'a':".repeat(63), "}".repeat(63)),
        format!("1{}", " if 1 else 1".repeat(60)),
        format!("1{}", "==1".repeat(127)),
        format!("1{}", "**1".repeat(127)),
        format!("[1]{}", "+[1]".repeat(62)),
        format!("event.payload.tags{}", "[0:]".repeat(60)),
    ];
    let run_all = move || chains.iter().for_each(|source| drop(run(source)));
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run_all);
    thread.expect("a thread").join().expect("no panic");
}

/// Expressions that parse, with everything that makes values larger; the numbers are within what the engine repeats.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "90000000",
        "2.5",
        "'ab'",
        "[0]",
        "(0, 1)",
        "[]",
        "none",
        "true",
        "event.payload",
        "event.payload.tags",
        "event.payload.numbers",
        "event.payload.name",
        "event.payload.huge",
        "{'a': 1}",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "*", "*", "*", "**", "+", "~", "-", "/", "%", "==", "<", "in", "and", "or",
        ]);
        let filter = prop::sample::select(vec![
            "first",
            "join('ab')",
            "replace('a', 'bb')",
            "tojson",
            "string",
            "split('a')",
            "length",
            "default([0])",
            "max",
            "int",
        ]);
        prop_oneof![
            6 => (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            2 => inner.clone().prop_map(|a| format!("({a}) * 90000000")),
            2 => inner.clone().prop_map(|a| format!("'' ~ {a}")),
            2 => (inner.clone(), filter).prop_map(|(a, f)| format!("{a} | {f}")),
            1 => inner.clone().prop_map(|a| format!("[{a}, {a}]")),
            1 => inner.clone().prop_map(|a| format!("({a})[0:5]")),
            1 => inner.clone().prop_map(|a| format!("-{a}")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("{a} if {b} else {c}")),
        ]
    })
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "event",
        "event.payload",
        ".tags",
        ".name",
        ".numbers",
        "rule.ref",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "'a'",
        "1",
        "2.5",
        "1000000000",
        "*",
        "**",
        "+",
        "-",
        "~",
        "/",
        "//",
        "%",
        "|",
        "upper",
        "join",
        "replace",
        "default",
        ",",
        ":",
        "is",
        "not",
        "in",
        "and",
        "or",
        "if",
        "else",
        "defined",
        "==",
        "<",
        "=",
        "none",
        "true",
        "é",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(source in "\\PC{0,60}") {
        drop(run_small(&source));
    }

    /// Whatever is written, the result is not larger than its parts allow.
    #[test]
    fn no_expression_grows(source in expressions()) {
        let start = Instant::now();
        let result = run_small(&source);
        prop_assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
        prop_assert!(result.map_or(0, |value| value.to_string().len()) < 128 * 1024);
        prop_assert!(peak_memory_kib() < PEAK_KIB_MAX, "{} KiB", peak_memory_kib());
    }

    #[test]
    fn no_expression_panics_or_takes_long(source in words()) {
        let start = Instant::now();
        drop(run_small(&source));
        prop_assert!(start.elapsed() < QUICK);
    }
}

fn run_small(source: &str) -> Result<Value, String> {
    let event = event(json!({"tags": ["a", "b"], "name": "Ada", "numbers": [1, 2, 3], "huge": 90_000_000}));
    Expression::compile(source, Scope::Rule)?.evaluate(&event.for_rule(RULE), &mut Budget::new(64 * 1024))
}
