use super::*;
use crate::event::tests::event;
use chrono::TimeDelta;
use serde_json::json;

fn rule(condition: Value, action_params: Value) -> RuleFacts {
    let schema = json!({"type": "object", "required": ["message"], "properties": {
        "message": {"type": "string"}, "loud": {"type": "boolean", "default": false}}});
    RuleFacts {
        id: RuleId(1),
        r#ref: "core.hello".to_owned(),
        version: 1,
        created_at: event(json!({})).received_at,
        enabled: true,
        trigger_id: TriggerId(1),
        action_ref: "core.echo".to_owned(),
        condition: Some(condition.into()),
        action_params,
        schema: Arc::new(Schema::compile(&schema)),
    }
}

fn decision(facts: RuleFacts) -> Value {
    json!(decide(
        &CompiledRule::compile(facts),
        &event(json!({"n": 3, "secret": "\u{1}"})),
        &mut secret::mask
    ))
}

#[test]
fn a_rule_that_applies() {
    let found = decision(rule(
        json!("event.payload.n == 3"),
        json!({"message": "n is {{ event.payload.n }}"}),
    ));
    assert_eq!(
        found,
        json!({"decision": "enforce", "parameters": {"message": "n is 3", "loud": false}})
    );
}

#[test]
fn a_rule_that_does_not_apply() {
    let params = json!({"message": "x"});
    let disabled = RuleFacts {
        enabled: false,
        ..rule(Value::Null, params.clone())
    };
    assert_eq!(
        decision(disabled),
        json!({"decision": "skip", "why": {"why": "disabled"}})
    );

    let mut later = rule(Value::Null, params.clone());
    assert_eq!(
        decision(later.clone())["decision"],
        "enforce",
        "created in the same instant"
    );
    later.created_at += TimeDelta::microseconds(1);
    assert_eq!(
        decision(later),
        json!({"decision": "skip", "why": {"why": "created_later"}})
    );

    let condition = json!({"all": [{"path": "payload.n", "operator": "in", "value": [1, 2]}]});
    let expected =
        json!({"path": "event.payload.n", "operator": "in", "expected": [1, 2], "actual": 3, "at": "all[0]"});
    let found = decision(rule(condition, params));
    assert_eq!(
        found,
        json!({"decision": "skip", "why": {"why": "condition", "clause": expected}})
    );
}

/// GitHub's `ping` has no `action`: with `missing` it is passed over, without it is a failed enforcement.
#[test]
fn a_missing_field_may_be_skipped() {
    let clause = json!({"path": "payload.action", "operator": "equals", "value": "opened"});
    assert_eq!(
        decision(rule(clause.clone(), json!({"message": "x"})))["decision"],
        "fail"
    );
    let mut silent = clause;
    silent["missing"] = json!(false);
    let found = decision(rule(silent, json!({"message": "x"})));
    assert_eq!(found["decision"], "skip", "{found}");
    assert_eq!(found["why"]["clause"]["missing"], true, "{found}");
}

#[test]
fn a_failed_evaluation_has_a_reason() {
    let check = |facts: RuleFacts, reason: &str| {
        let found = decision(facts);
        assert_eq!(found["decision"], "fail", "{found}");
        assert!(
            found["reason"]
                .as_str()
                .is_some_and(|r| r.contains(reason) && !r.contains('\0')),
            "{found}"
        );
    };
    let message = json!({"message": "x"});
    check(
        rule(json!("event.payload.nope > 1"), message.clone()),
        "event.payload.nope is missing",
    );
    check(
        rule(json!("1 +"), message.clone()),
        "condition: is not a valid expression",
    );
    check(
        rule(json!("event.payload.secret > 1"), message.clone()),
        "not a string (`event.payload.secret`) with a number (`1`)",
    );
    check(
        rule(
            json!({"path": "payload.a[-1]", "operator": "not_equals", "value": 1}),
            message.clone(),
        ),
        "condition.path: is not a path",
    );
    check(
        rule(json!([1]), json!({"message": "{{ x }}"})),
        "action_params.message: the expression `x`",
    );
    check(rule(Value::Null, json!("text")), "action_params: must be an object");
    check(rule(Value::Null, Value::Null), "parameters.message: is required");
    check(
        rule(Value::Null, json!({"message": "{{ event.payload.n }}"})),
        "parameters.message: ",
    );
    check(
        rule(Value::Null, json!({"message": "{{ event.payload.nope }}"})),
        "action_params.message: ",
    );
    check(rule(Value::Null, json!({"message": "{{ '\\u0000' }}"})), "U+0000");
    let broken = RuleFacts {
        schema: Arc::new(Schema::compile(&json!({"type": 5}))),
        ..rule(Value::Null, message)
    };
    assert!(CompiledRule::compile(broken.clone()).problems().is_some());
    check(broken, "the schema of core.echo cannot be read");
}

#[test]
fn parameters_without_a_condition() {
    let of = |action_params| {
        let compiled = CompiledRule::compile(rule(json!("event.payload.n == 4"), action_params));
        parameters(&compiled, &event(json!({"n": 3})))
    };
    assert_eq!(
        of(json!({"message": "{{ event.payload.n }} is n"})),
        Ok(json!({"message": "3 is n", "loud": false}))
    );
    assert_eq!(of(json!({})), Err("parameters.message: is required".to_owned()));
}
