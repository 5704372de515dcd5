//! Compared with minijinja, which evaluated expressions in earlier versions: unless its result depends on mixing types, ours
//! is the same, so that the results of stored rules do not change.

use super::*;
use minijinja::{Environment, UndefinedBehavior};

fn theirs(source: &str, payload: &Value) -> Option<Value> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    let compiled = env.compile_expression(source).ok()?;
    let root = minijinja::Value::from(minijinja::value::Serde(json!({"event": {"payload": payload}})));
    let value = compiled.eval(root).ok()?;
    serde_json::to_value(value).ok()
}

fn ours(source: &str, payload: &Value) -> Option<Value> {
    let event = event(payload.clone());
    let expression = Expression::compile(source, Scope::Rule).ok()?;
    expression
        .evaluate(&event.for_rule(RULE), &mut Budget::new(64 * 1024))
        .ok()
}

/// Expressions over numbers only, with every operator: precedence and rounding show.
fn numbers() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "2",
        "7",
        "-3",
        "2.5",
        "0",
        "event.payload.n",
        "event.payload.l[1]",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/", "//", "%", "**"]);
        prop_oneof![
            6 => (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            2 => inner.clone().prop_map(|a| format!("({a})")),
            1 => inner.clone().prop_map(|a| format!("-{a}")),
            1 => inner.clone().prop_map(|a| format!("({a})|abs")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]|max")),
        ]
    })
}

/// Booleans made of comparisons of one kind.
fn flags() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "event.payload.n > 2",
        "event.payload.s == 'Ada'",
        "'d' in event.payload.s",
        "2 in event.payload.l",
        "1 < event.payload.n <= 3",
        "event.payload.n is odd",
        "event.payload.l",
        "event.payload.l[5:]",
        "event.payload.s|lower|first == 'a'",
        "event.payload.nope is defined",
        "event.payload.l|length == 3",
        "event.payload.o.k is mapping",
        "'x' ~ event.payload.n == 'x3'",
        "event.payload.s[::-1] == 'adA'",
        "event.payload.l[-2:] == [2, 3]",
        "event.payload.l|map('string')|join(',') == '1,2,3'",
        "event.payload.l|select('gt', 1)|list|length == 2",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            2 => inner.clone().prop_map(|a| format!("not {a}")),
            1 => inner.clone().prop_map(|a| format!("({a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("{a} if {b} else {c}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calculating_is_as_before(source in numbers()) {
        let payload = json!({"n": 3, "l": [1, 2, 3]});
        if let (Some(theirs), Some(ours)) = (theirs(&source, &payload), ours(&source, &payload)) {
            let close = match (theirs.as_f64(), ours.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= a.abs() * 1e-12,
                _ => false,
            };
            prop_assert!(close, "{source}: {theirs} and {ours}");
        }
    }

    #[test]
    fn deciding_is_as_before(source in flags()) {
        let payload = json!({"n": 3, "s": "Ada", "l": [1, 2, 3], "o": {"k": {}}});
        // It reads `n is odd if …` as `n is odd(if)`, and refuses it.
        if let Some(theirs) = theirs(&source, &payload) {
            prop_assert_eq!(Some(theirs), ours(&source, &payload), "{}", source);
        }
    }
}
