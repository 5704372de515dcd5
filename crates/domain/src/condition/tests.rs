use super::*;
use crate::event::tests::{RULE, event};
use proptest::prelude::*;
use serde_json::json;

fn evaluate(condition: &Value, payload: Value) -> Result<Verdict, String> {
    let event = event(payload);
    let condition = Condition::compile(condition).map_err(|e| e.to_string())?;
    condition.evaluate(&event.for_rule(RULE)).map_err(|e| e.to_string())
}

fn hot(value: i64) -> Value {
    json!({"path": "event.payload.t", "operator": "greater_than", "value": value})
}

#[test]
fn three_forms() {
    let check = |condition: Value, holds: bool| {
        let verdict = evaluate(&condition, json!({"t": 31, "s": "x"}));
        assert_eq!(verdict.map(|v| v == Verdict::Holds), Ok(holds), "{condition}");
    };
    check(Value::Null, true);
    check(json!("event.payload.t > 30"), true);
    check(json!("{{ event.payload.t > 30 and event.payload.s == 'y' }}"), false);
    check(json!("event.payload.t"), true);
    check(json!("none"), false);
    check(hot(30), true);
    check(hot(31), false);
    check(json!({"all": [hot(30), hot(29)]}), true);
    check(json!({"any": [hot(40), hot(29)]}), true);
    check(json!({"not": {"any": [hot(40), hot(50)]}}), true);
    check(
        json!({"all": [hot(30), {"not": {"path": "payload.s", "operator": "equals", "value": "x"}}]}),
        false,
    );
}

#[test]
fn the_failed_clause_is_named() {
    let check = |condition: Value, expected: Value| match evaluate(&condition, json!({"t": 31})) {
        Ok(Verdict::Fails(clause)) => assert_eq!(json!(clause), expected, "{condition}"),
        other => panic!("{condition}: {other:?}"),
    };
    let clause = |path: &str, operator: &str, expected: Value, actual: Value, at: &str| json!({"path": path, "operator": operator, "expected": expected, "actual": actual, "at": at});
    let t = "event.payload.t";
    check(hot(40), clause(t, "greater_than", json!(40), json!(31), ""));
    check(
        json!({"all": [hot(30), hot(40)]}),
        clause(t, "greater_than", json!(40), json!(31), "all[1]"),
    );
    check(
        json!({"all": [hot(1), {"not": hot(30)}]}),
        clause(t, "not", hot(30), json!(31), "all[1].not"),
    );
    check(
        json!({"any": [{"all": [hot(40)]}]}),
        clause(t, "greater_than", json!(40), json!(31), "any[0].all[0]"),
    );
    check(
        json!({"all": [{"any": [hot(40), hot(50)]}]}),
        clause("", "any", json!([hot(40), hot(50)]), json!([31, 31]), "all[0].any"),
    );
    check(
        json!("event.payload.t > 40"),
        clause("event.payload.t > 40", "expression", json!(true), json!(false), ""),
    );
}

#[test]
fn an_undecidable_condition_is_an_error() {
    let missing = json!({"path": "payload.x", "operator": "less_than", "value": 1});
    let exists = json!({"path": "payload.x", "operator": "exists"});
    let check = |condition: Value, holds: Option<bool>| {
        let verdict = evaluate(&condition, json!({"t": 31, "s": "hot"}));
        assert_eq!(
            verdict.as_ref().ok().map(|v| *v == Verdict::Holds),
            holds,
            "{condition}: {verdict:?}"
        );
    };
    check(missing.clone(), None);
    check(json!({"not": missing}), None);
    check(json!({"all": [exists, missing]}), Some(false));
    check(json!({"all": [missing, exists]}), Some(false));
    check(json!({"all": [missing, hot(30)]}), None);
    check(json!({"any": [missing, hot(30)]}), Some(true));
    check(json!({"any": [missing, hot(40)]}), None);
    check(
        json!({"path": "payload.x", "operator": "not_equals", "value": 1}),
        Some(true),
    );
    check(
        json!({"path": "payload.s", "operator": "greater_than", "value": 1}),
        None,
    );
    check(json!("event.payload.x > 1"), None);
    check(json!("event.payload.s"), None);
    let error = evaluate(&json!({"all": [hot(1), {"not": missing}]}), json!({"t": 31})).expect_err("open");
    assert_eq!(
        error,
        "condition.all[1].not cannot be decided: event.payload.x is missing in the event"
    );
}

#[test]
fn a_clause_may_define_the_result_of_a_missing_path() {
    let clause = |path: &str, operator: &str, missing: Option<Value>| {
        let value = match operator {
            "in" | "not_in" => json!([1]),
            "less_than" | "younger_than" | "older_than" => json!(1),
            _ => json!("x"),
        };
        let mut clause = json!({"path": path, "operator": operator, "value": value});
        if let Some(missing) = missing {
            clause["missing"] = missing;
        }
        clause
    };
    let check = |condition: Value, holds: Option<bool>| {
        let verdict = evaluate(&condition, json!({"s": "x", "nothing": null, "t": 0, "list": []}));
        let found = verdict.as_ref().ok().map(|v| *v == Verdict::Holds);
        assert_eq!(found, holds, "{condition}: {verdict:?}");
    };
    for operator in OPERATORS.into_iter().filter(|name| *name != "exists") {
        for path in [
            "payload.nope",
            "payload.nope.deeper[0]",
            "payload.list[0]",
            "payload.s.x",
            "payload[\"a.b\"]",
        ] {
            check(clause(path, operator, Some(json!(false))), Some(false));
            check(clause(path, operator, Some(json!(true))), Some(true));
            check(clause(path, operator, Some(json!("fail"))), None);
            let as_before = (operator == "not_equals").then_some(true);
            check(clause(path, operator, None), as_before);
            let silent = clause(path, operator, Some(json!(false)));
            check(json!({"not": silent}), Some(true));
            check(json!({"all": [silent, clause(path, "equals", None)]}), Some(false));
            check(
                json!({"any": [silent, clause("payload.s", "equals", None)]}),
                Some(true),
            );
        }
    }
    // A path that exists is not missing, whatever its value.
    check(clause("payload.s", "equals", Some(json!(false))), Some(true));
    check(clause("payload.nothing", "equals", Some(json!(true))), Some(false));
    check(clause("payload.nothing", "less_than", Some(json!(false))), None);
    check(clause("payload.s", "less_than", Some(json!(true))), None);

    let ping =
        json!({"all": [{"path": "payload.body.action", "operator": "equals", "value": "opened", "missing": false}]});
    match evaluate(&ping, json!({"body": {"zen": "Keep it logically awesome."}})) {
        Ok(Verdict::Fails(clause)) => assert_eq!(
            json!(clause),
            json!({"path": "event.payload.body.action", "operator": "equals", "expected": "opened", "actual": null,
                "at": "all[0]", "missing": true})
        ),
        other => panic!("{other:?}"),
    }
    let inside = json!({"not": clause("payload.nope", "equals", Some(json!(true)))});
    match evaluate(&inside, json!({})) {
        Ok(Verdict::Fails(clause)) => assert_eq!(clause.expected["missing"], json!(true)),
        other => panic!("{other:?}"),
    }

    let refused = |condition: Value| {
        let errors = Condition::compile(&condition).expect_err("a bad clause").into_vec();
        assert_eq!(errors[0].path, "condition.missing", "{condition}: {errors:?}");
        errors[0].message.clone()
    };
    for bad in [json!("no"), json!("false"), json!(null), json!(0), json!([])] {
        assert!(refused(clause("payload.x", "equals", Some(bad))).contains("false"));
    }
    let exists = json!({"path": "payload.x", "operator": "exists", "missing": false});
    assert!(refused(exists).contains("`exists`"));
}

#[test]
fn every_bad_clause_is_named() {
    let check = |condition: Value, paths: &[&str]| {
        let errors = Condition::compile(&condition).expect_err("a bad condition").into_vec();
        let found = errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>();
        assert_eq!(found, paths, "{condition}: {errors:#?}");
    };
    check(json!(5), &["condition"]);
    check(json!(true), &["condition"]);
    check(json!([]), &["condition"]);
    check(json!({}), &["condition"]);
    check(json!(""), &["condition"]);
    check(json!("temperature > 3"), &["condition"]);
    check(json!({"all": []}), &["condition.all"]);
    check(json!({"all": {}}), &["condition.all"]);
    check(json!({"each": [hot(1)]}), &["condition"]);
    check(json!({"all": [hot(1)], "any": [hot(1)]}), &["condition"]);
    check(
        json!({"all": [{"path": "temperature", "operator": "gt"}, {"not": {"path": "payload.a", "operator": "in", "value": 1}}]}),
        &[
            "condition.all[0].path",
            "condition.all[0].operator",
            "condition.all[1].not.value",
        ],
    );
    check(json!({"path": "payload.a", "operator": "equals"}), &["condition.value"]);
    check(
        json!({"path": "payload.a", "operator": "equals", "value": 1, "valeu": 2}),
        &["condition.valeu"],
    );
    check(
        json!({"path": 1, "value": 1}),
        &["condition.path", "condition.operator"],
    );
    check(
        json!({"path": "payload.a", "operator": "equals", "value": "\0"}),
        &["condition.value"],
    );
    check(
        (0..20).fold(hot(1), |inner, _| json!({"not": inner})),
        &[&format!("condition{}", ".not".repeat(17))],
    );
    check(json!({"all": vec![hot(1); 300]}), &["condition.all[255]"]);
}

fn conditions() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(vec![
        "payload.t",
        "payload.s",
        "payload.x",
        "event.id",
        "payload.list.0",
    ]);
    let value = prop::sample::select(vec![
        json!(1),
        json!("x"),
        json!(null),
        json!([1, "x"]),
        json!(true),
        json!(31.5),
    ]);
    let operator = prop::sample::select(OPERATORS.to_vec());
    let leaf = (path, operator, value).prop_map(|(p, o, v)| json!({"path": p, "operator": o, "value": v}));
    leaf.prop_recursive(4, 24, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            list.clone().prop_map(|l| json!({"all": l})),
            list.prop_map(|l| json!({"any": l})),
            inner.prop_map(|c| json!({"not": c})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// `not` turns every decision around and leaves what is open open.
    #[test]
    fn not_is_the_opposite(condition in conditions()) {
        let payload = json!({"t": 31, "s": "x", "list": [1]});
        prop_assume!(Condition::compile(&condition).is_ok());
        let plain = evaluate(&condition, payload.clone()).map(|v| v == Verdict::Holds);
        let turned = evaluate(&json!({"not": condition}), payload).map(|v| v == Verdict::Holds);
        prop_assert_eq!(plain.ok(), turned.ok().map(|holds| !holds));
    }
}

#[test]
fn items_of_a_list() {
    let firing = json!({"path": "item.status", "operator": "equals", "value": "firing"});
    let items = |operator: &str, value: &Value| json!({"path": "payload.alerts", "operator": operator, "value": value});
    let check = |condition: &Value, alerts: Value, holds: Option<bool>| {
        let verdict = evaluate(condition, json!({"alerts": alerts, "limit": 3}));
        let decided = verdict.as_ref().ok().map(|v| *v == Verdict::Holds);
        assert_eq!(decided, holds, "{condition} {alerts}: {verdict:?}");
    };
    let (any, every) = (items("any_item", &firing), items("every_item", &firing));
    let (fires, ok) = (json!({"status": "firing"}), json!({"status": "ok"}));
    check(&any, json!([ok, fires]), Some(true));
    check(&any, json!([ok, ok]), Some(false));
    check(&any, json!([]), Some(false));
    check(&every, json!([fires, fires]), Some(true));
    check(&every, json!([fires, ok]), Some(false));
    check(&every, json!([]), Some(true));
    // An object counts as a list of one.
    check(&any, fires.clone(), Some(true));
    check(&every, ok.clone(), Some(false));
    // What is open stays open unless another item decides.
    check(&any, json!([{}, fires]), Some(true));
    check(&any, json!([{}, ok]), None);
    check(&every, json!([{}, ok]), Some(false));
    check(&every, json!([{}, fires]), None);
    check(&any, json!("firing"), None);
    check(&any, json!(vec![ok.clone(); 10_000]), Some(false));
    check(&any, json!(vec![ok.clone(); 10_001]), None);
    // The event is visible inside, and lists nest.
    let scalar = json!({"path": "item", "operator": "greater_than", "value": 2});
    let nested = items(
        "any_item",
        &json!({"all": [
            {"path": "event.payload.limit", "operator": "equals", "value": 3},
            {"path": "item.numbers", "operator": "every_item", "value": scalar},
        ]}),
    );
    check(&nested, json!([{"numbers": [1]}, {"numbers": [3, 4]}]), Some(true));
    check(&nested, json!([{"numbers": [1]}, {"numbers": [3, 2]}]), Some(false));
    // Two lists of 10,000 multiply beyond the budget.
    let inner = items("any_item", &scalar);
    check(&items("any_item", &inner), json!(vec![1; 10_000]), None);
}

#[test]
fn the_item_that_decided_is_named() {
    let check = |condition: Value, expected: Value| {
        let event = json!({"alerts": [{"status": "ok", "n": 1}, {"status": "firing"}], "one": {"status": "ok"}});
        let actual = match evaluate(&condition, event) {
            Ok(Verdict::Fails(clause)) => json!([clause.path, clause.operator, clause.actual, clause.at]),
            Ok(Verdict::Holds) => json!("holds"),
            Err(error) => json!(error),
        };
        assert_eq!(actual, expected, "{condition}");
    };
    let items = |path: &str, operator: &str, value: Value| json!({"path": path, "operator": operator, "value": value});
    let status = |status: &str| json!({"path": "item.status", "operator": "equals", "value": status});
    check(
        json!({"all": [items("payload.alerts", "every_item", json!({"all": [status("ok")]}))]}),
        json!([
            "event.payload.alerts[1].status",
            "equals",
            "firing",
            "all[0].value.all[0]"
        ]),
    );
    check(
        items("payload.one", "every_item", status("firing")),
        json!(["event.payload.one.status", "equals", "ok", "value"]),
    );
    check(
        json!({"not": items("payload.alerts", "any_item", status("firing"))}),
        json!(["event.payload.alerts[1]", "not", {"status": "firing"}, "not"]),
    );
    check(
        items("payload.one", "any_item", status("firing")),
        json!(["event.payload.one", "any_item", {"status": "ok"}, ""]),
    );
    check(
        items(
            "payload.alerts",
            "every_item",
            json!({"path": "item.n", "operator": "equals", "value": 1}),
        ),
        json!("condition.value cannot be decided: event.payload.alerts[1].n is missing in the event"),
    );
}

#[test]
fn clauses_of_items_and_options_are_checked() {
    let check = |condition: Value, expected: &str| {
        let error = evaluate(&condition, json!({})).expect_err(expected);
        assert!(error.contains(expected), "{condition}: {error}");
    };
    let items = |value: Value| json!({"path": "payload.x", "operator": "any_item", "value": value});
    check(
        json!({"path": "item.x", "operator": "exists"}),
        "condition.path: is not the address of a value: `item` exists only inside `any_item` and `every_item`",
    );
    check(
        json!({"path": "payload.x", "operator": "any_item"}),
        "condition.value: is missing",
    );
    check(items(json!("x")), "condition.value: must be an object");
    check(
        items(json!({"path": "status", "operator": "exists"})),
        "condition.value.path: is not the address of a value: it starts with `item`, `event` or `payload`",
    );
    check(
        json!({"path": "payload.x", "operator": "less_than", "value": 1, "ignore_case": true}),
        "condition.ignore_case: has no meaning for `less_than`",
    );
    check(
        json!({"path": "payload.x", "operator": "equals", "value": 1, "ignore_case": true}),
        "condition.value: must be a string for `equals` with `ignore_case`",
    );
    check(
        json!({"path": "payload.x", "operator": "equals", "value": "a", "ignore_case": "yes"}),
        "condition.ignore_case: must be true or false",
    );
    let deep = (0..17).fold(json!({"path": "item", "operator": "exists"}), |inner, _| items(inner));
    check(deep, "16 levels");
}
