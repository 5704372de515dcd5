use super::*;
use crate::event::tests::event;
use proptest::prelude::*;
use serde_json::json;
use std::collections::HashMap;

const RULE: RuleId = RuleId(3);
const ACTION: ActionId = ActionId(7);

fn key_of<O: Owner>(policy: &Value, owner: O, context: &Context<'_>) -> Result<String, String> {
    let concurrency = Concurrency::<O>::parse(policy).map_err(|errors| errors.to_string())?;
    concurrency.gate(owner, context).map(|gate| gate.key)
}

/// The key of an owner by its noun.
fn key(policy: &Value, noun: &str, parameters: &Value) -> Result<String, String> {
    if noun == ActionId::NOUN {
        return key_of(policy, ACTION, &Context::of_action(parameters));
    }
    let facts = event(json!({"host": "b"}));
    key_of(policy, RULE, &facts.for_rule("core.hello").with(parameters))
}

#[test]
fn a_key_names_its_owner() {
    let check = |template: Value, owner, expected: &str| {
        let found = key(
            &json!({"limit": 1, "key": template}),
            owner,
            &json!({"host": "a", "n": 5}),
        );
        assert_eq!(found.as_deref(), Ok(expected));
    };
    check(Value::Null, RuleId::NOUN, "rule:3");
    check(Value::Null, ActionId::NOUN, "action:7");
    check(json!("{{ parameters.host }}"), ActionId::NOUN, "action:7:a");
    check(json!("{{ parameters.n }}"), ActionId::NOUN, "action:7:5");
    check(
        json!("{{ parameters.host }}/{{ event.payload.host }}"),
        RuleId::NOUN,
        "rule:3:a/b",
    );
    check(json!("{{ rule.ref }}"), RuleId::NOUN, "rule:3:core.hello");
}

/// The keys of a number, of the same number in another form, and of its text.
#[test]
fn equal_numbers_have_one_key() {
    let of = |template: &str, value: Value| {
        let policy = json!({"limit": 1, "key": template});
        key(&policy, ActionId::NOUN, &json!({"v": value})).expect("a key")
    };
    let templates = [
        "{{ parameters.v }}",
        "order {{ parameters.v }}",
        "{{ 'order ' ~ parameters.v }}",
        "{{ [parameters.v, 1] }}",
        "{{ parameters.v | string }}",
        "{{ [parameters.v] | join }}",
        "{{ parameters.v | tojson }}",
    ];
    for template in templates {
        for (a, b) in [
            (json!(1), json!(1.0)),
            (json!(0), json!(-0.0)),
            (json!(10_000_000_000_000_000_i64), json!(1e16)),
            (json!([1, {"a": 2, "b": [3.0]}]), json!([1.0, {"b": [3], "a": 2.0}])),
        ] {
            if !(a.is_array() && (template.contains("join") || template.contains("string"))) {
                assert_eq!(
                    of(template, a.clone()),
                    of(template, b.clone()),
                    "{template} of {a} and {b}"
                );
            }
        }
        for (a, b) in [
            (json!(1), json!(1.5)),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0)),
        ] {
            assert_ne!(
                of(template, a.clone()),
                of(template, b.clone()),
                "{template} of {a} and {b}"
            );
        }
    }
    // A key is a text, so a number and its text are one key; texts are never changed.
    assert_eq!(of(templates[0], json!(1)), of(templates[0], json!("1")));
    assert_eq!(of(templates[0], json!("1")), "action:7:1");
    assert_ne!(of(templates[0], json!("1.0")), of(templates[0], json!("1")));
}

#[test]
fn invalid_key_has_a_reason() {
    let check = |template: &str, owner, expected: &str| {
        let long = json!({"host": "x".repeat(300)});
        let error = key(&json!({"limit": 1, "key": template}), owner, &long).expect_err("a bad key");
        assert!(error.contains("concurrency.key") && error.contains(expected), "{error}");
    };
    check("{{ event.id }}", ActionId::NOUN, "write `parameters…`");
    check("{{ parameters.nope }}", ActionId::NOUN, "parameters.nope is missing");
    check(
        "{{ event.payload.nope }}",
        RuleId::NOUN,
        "event.payload.nope is missing in the event",
    );
    check("{{ parameters.host }}", RuleId::NOUN, "longer than 256");
    check("  ", RuleId::NOUN, "must be a template");
}

#[test]
fn every_bad_field_is_named() {
    let check = |found: Option<FieldErrors>, expected: &[&str]| {
        let errors = found.expect("a bad policy").into_vec();
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, expected);
    };
    let concurrency = |value: Value| Concurrency::<RuleId>::parse(&value).err();
    check(concurrency(json!([])), &["concurrency"]);
    check(concurrency(json!({})), &["concurrency.limit"]);
    check(
        concurrency(json!({"limit": 0, "key": 5, "overflow": "drop", "max": 1})),
        &[
            "concurrency.max",
            "concurrency.limit",
            "concurrency.key",
            "concurrency.overflow",
        ],
    );
    check(concurrency(json!({"limit": 1.5})), &["concurrency.limit"]);
    let rate = |value: Value| RateLimit::parse(&value).err();
    check(rate(json!({"limit": 10})), &["rate_limit.window_seconds"]);
    check(
        rate(json!({"limit": 10_001, "window_seconds": 86_401, "burst": 3})),
        &["rate_limit.burst", "rate_limit.limit", "rate_limit.window_seconds"],
    );
    assert!(RateLimit::parse(&json!({"limit": 10, "window_seconds": 60})).is_ok());
}

#[expect(clippy::unnecessary_wraps, reason = "what `Gates` holds")]
fn gate(key: &str, limit: u32, overflow: Overflow) -> Option<Gate> {
    Some(Gate {
        key: key.to_owned(),
        limit,
        overflow,
    })
}

#[test]
fn each_overflow_gives_its_decision() {
    let check = |overflow, expected: Admit| {
        let mut ledger = Ledger::default();
        let gates = Gates {
            action: gate("action:1", 1, overflow),
            ..Gates::default()
        };
        assert_eq!(ledger.admit(&gates), Admit::Start);
        assert_eq!(ledger.admit(&gates), expected);
    };
    let key = || "action:1".to_owned();
    check(Overflow::Queue, Admit::Wait { key: key() });
    check(Overflow::CancelPrevious, Admit::CancelPrevious { key: key() });
    let reason = "the action's concurrency limit of 1 is reached".to_owned();
    check(Overflow::Skip, Admit::Skip { reason });
}

#[test]
fn executions_queued_on_their_rule_are_not_queued_on_the_action() {
    let mut ledger = Ledger::default();
    let of = |rule: &str| Gates {
        rule: gate(rule, 1, Overflow::Queue),
        action: gate("action:1", 2, Overflow::Queue),
        rate: None,
    };
    assert_eq!(ledger.admit(&of("rule:1")), Admit::Start);
    assert_eq!(
        ledger.admit(&of("rule:1")),
        Admit::Wait {
            key: "rule:1".to_owned()
        }
    );
    assert_eq!(ledger.admit(&of("rule:2")), Admit::Start);
    assert_eq!(
        ledger.admit(&of("rule:3")),
        Admit::Wait {
            key: "action:1".to_owned()
        }
    );
}

#[test]
fn refused_executions_use_no_slot() {
    let rate = RateLimit {
        limit: 1,
        window_seconds: 60,
    };
    let gates = |action| Gates {
        rate: Some(rate.gate(RuleId(3))),
        rule: gate("rule:3", 5, Overflow::Queue),
        action: gate(action, 1, Overflow::Skip),
    };
    let full = ("action:1".to_owned(), Slots { held: 1, queued: false });
    let mut ledger = Ledger::new([full]);
    assert!(matches!(ledger.admit(&gates("action:1")), Admit::Skip { .. }));
    assert_eq!(ledger.admit(&gates("action:2")), Admit::Start);
    let reason = "rate_limit: 1 in 60 seconds".to_owned();
    assert_eq!(ledger.admit(&gates("action:3")), Admit::Throttle { reason });
}

fn any_gates() -> impl Strategy<Value = Gates> {
    let overflow = || prop::sample::select(Overflow::ALL);
    (0..3_u8, overflow(), 0..3_u8, overflow(), prop::bool::ANY).prop_map(|(rule, on_rule, action, on_action, rated)| {
        // Key 0: no policy. The limit is a function of the key, as in the database.
        let gate = |owner: &str, key: u8, overflow| {
            (key > 0).then(|| Gate {
                key: format!("{owner}:{key}"),
                limit: u32::from(key),
                overflow,
            })
        };
        let rate = RateLimit {
            limit: 4,
            window_seconds: 60,
        };
        Gates {
            rate: rated.then(|| rate.gate(RuleId(1))),
            rule: gate("rule", rule, on_rule),
            action: gate("action", action, on_action),
        }
    })
}

proptest! {
    /// Compared with independent counts: limits hold, no execution is refused or queued without a reason, and none
    /// overtakes another.
    #[test]
    fn limits_hold(arrivals in prop::collection::vec(any_gates(), 0..40)) {
        let mut ledger = Ledger::default();
        let mut held: HashMap<&str, u32> = HashMap::new();
        let mut queues: HashMap<&str, u32> = HashMap::new();
        for gates in &arrivals {
            let full = |gate: &Gate| held.get(&*gate.key).is_some_and(|n| *n >= gate.limit) || queues.contains_key(&*gate.key);
            let skips = [&gates.rule, &gates.action].into_iter().flatten().any(|gate| gate.overflow == Overflow::Skip && full(gate));
            let throttles = gates.rate.as_ref().is_some_and(|gate| held.get(&*gate.key) == Some(&4));
            let waits_at = [&gates.rule, &gates.action].into_iter().flatten().find(|gate| full(gate));
            let admitted = ledger.admit(gates);
            prop_assert_eq!(matches!(admitted, Admit::Throttle { .. }), throttles);
            prop_assert_eq!(matches!(admitted, Admit::Skip { .. }), skips && !throttles);
            if throttles || skips {
                continue;
            }
            if let Some(gate) = &gates.rate {
                *held.entry(&gate.key).or_default() += 1;
            }
            for gate in [&gates.rule, &gates.action].into_iter().flatten() {
                if waits_at == Some(gate) {
                    *queues.entry(&gate.key).or_default() += 1;
                    break;
                }
                *held.entry(&gate.key).or_default() += 1;
            }
            match admitted {
                Admit::Start => prop_assert!(waits_at.is_none()),
                Admit::Wait { key } => prop_assert_eq!(Some(&key), waits_at.map(|gate| &gate.key)),
                Admit::CancelPrevious { key } => {
                    prop_assert_eq!(Some((key.as_str(), Overflow::CancelPrevious)), waits_at.map(|gate| (gate.key.as_str(), gate.overflow)));
                }
                _ => unreachable!("refused without a reason"),
            }
            for (key, n) in &held {
                let limit = key.rsplit(':').next().and_then(|n| n.parse().ok()).unwrap_or(0_u32);
                let most = if key.starts_with("rate") { 4 } else { limit };
                prop_assert!(*n <= most);
            }
        }
    }
}
