use super::*;
use crate::event::tests::{RULE, event};
use proptest::prelude::*;
use serde_json::json;

pub fn render_one(template: &Value, payload: Value) -> Result<Value, String> {
    let event = event(payload);
    let template = Template::compile(template).map_err(|e| e.to_string())?;
    template.render(&event.for_rule(RULE)).map_err(|e| e.to_string())
}

#[test]
fn values_and_texts() {
    let payload = json!({"n": 3, "s": "x", "list": [1, "a"], "ok": true, "none": null, "o": {"k": 1}});
    let check = |template: Value, expected: Value| {
        assert_eq!(render_one(&template, payload.clone()), Ok(expected), "{template}");
    };
    check(json!({"message": "Hello World"}), json!({"message": "Hello World"}));
    check(json!("{{ event.payload.n }}"), json!(3));
    check(json!("{{event.payload.list}}"), json!([1, "a"]));
    check(json!("{{ event.payload.none }}"), Value::Null);
    check(json!("{{ event.payload.s }}"), json!("x"));
    check(
        json!("n={{ event.payload.n }} s={{ event.payload.s }}"),
        json!("n=3 s=x"),
    );
    check(json!("{{ event.payload.list }}!"), json!("[1,\"a\"]!"));
    check(
        json!("{{ event.payload.ok }}/{{ event.payload.none }}"),
        json!("true/null"),
    );
    check(json!("{{ event.payload.n }}{{ event.payload.n }}"), json!("33"));
    check(json!("{{ {'a': {'b': event.payload.n}} }}"), json!({"a": {"b": 3}}));
    check(json!("{{ '}}' }}{# a remark }} #}"), json!("}}"));
    check(json!("{{ '{{' }} x"), json!("{{ x"));
    check(
        json!({"a": [1, {"b": "{{ event.payload.n }}", "c": null}]}),
        json!({"a": [1, {"b": 3, "c": null}]}),
    );
    check(
        json!("by {{ rule.ref }} at {{ event.received_at }}"),
        json!("by core.hello at 2027-01-15T08:00:00Z"),
    );
    check(json!("a  {{- event.payload.n -}}  b"), json!("a3b"));
    check(json!("{#fff"), json!("{#fff"));
}

#[test]
fn branches() {
    let template = json!(
        "{% if event.payload.n > 2 %}many{% elif event.payload.n == 2 %}two{%- else %}{% if event.payload.n %}one{% endif %}{% endif %}!"
    );
    let check = |n: i64, expected: &str| {
        assert_eq!(render_one(&template, json!({"n": n})), Ok(json!(expected)), "{n}");
    };
    check(3, "many!");
    check(2, "two!");
    check(1, "one!");
    check(0, "!");
}

#[test]
fn every_bad_string_is_named() {
    let template = json!({
        "a": "{{ event.payload.n",
        "b": ["fine", "{{ payload.n }}"],
        "c": {"d": "{% for x in event.payload.list %}{{ x }}{% endfor %}"},
        "e": "{% if event.payload.n %}open",
        "f": "{% endif %}",
        "g": "{% else %}x{% endif %}",
        "h": "{% if %}x{% endif %}",
        "i": "{{ }}",
        "j": "{{ event.payload.n | nope }}",
        "k": "{% set x = 1 %}",
        "l": "{{ 'a }}",
        "m": "{{ event.id }} {# open",
        "n": "{% if 1 %}{% else %}{% elif 1 %}{% endif %}",
    });
    let errors = Template::compile(&template).expect_err("bad templates").into_vec();
    let paths = errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>();
    let expected = ["a", "b[1]", "c.d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
    assert_eq!(paths, expected.map(|p| format!("action_params.{p}")), "{errors:#?}");
}

#[test]
fn errors_while_rendering_have_a_path() {
    let template = json!({"a": {"b": ["x", "at {{ event.payload.nope }}"]}});
    let error = render_one(&template, json!({})).expect_err("a missing field");
    assert_eq!(
        error,
        "action_params.a.b[1]: `event.payload.nope`: event.payload.nope is missing in the event"
    );
}

#[test]
fn results_are_bounded() {
    let payload = json!({"big": "x".repeat(300_000)});
    let template = json!(vec!["{{ event.payload.big }}"; 5]);
    let error = render_one(&template, payload.clone()).expect_err("too large");
    assert!(error.contains("too large"), "{error}");
    let template =
        json!("{{ event.payload.big }}{{ event.payload.big }}{{ event.payload.big }}{{ event.payload.big }}");
    assert!(render_one(&template, payload).is_err());
    assert!(Template::compile(&json!(vec!["{{ event.id }}"; 257])).is_err());
    let deep = format!("{}x{}", "{% if 1 %}".repeat(20), "{% endif %}".repeat(20));
    assert!(Template::compile(&json!(deep)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(source in "([{}%#-]|if|else|endif|event\\.id|'| |é|\\PC){0,40}") {
        drop(render_one(&json!(source), json!({"n": 1})));
    }

    #[test]
    fn text_without_tags_is_left_alone(source in "[^{]{0,40}") {
        prop_assume!(!source.contains('\0'));
        prop_assert_eq!(render_one(&json!(source), json!({})), Ok(json!(source)));
    }
}
