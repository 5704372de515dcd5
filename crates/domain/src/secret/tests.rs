use super::*;
use crate::{
    condition::Condition,
    definition::{ActionDraft, RuleDraft},
    event::tests::{RULE, event},
    form,
    parameters::{Schema, mismatches},
    template::Template,
};
use proptest::prelude::*;

fn schema() -> Value {
    json!({"type": "object", "required": ["token"], "properties": {
        "token": {"type": "string", "minLength": 8, "secret": true},
        "login": {"type": "object", "properties": {"user": {"type": "string"}, "password": {"type": "string", "secret": true}}},
        "keys": {"type": "array", "items": {"$ref": "#/$defs/key"}},
        "all": {"type": "object", "secret": true},
        "url": {"type": "string"}
    }, "$defs": {"key": {"type": "string", "secret": true}}})
}

fn stored(template: &Value, payload: Value) -> Result<Value, String> {
    let event = event(payload);
    let template = Template::compile(template).map_err(|e| e.to_string())?;
    let rendered = template
        .render_parameters(&event.for_rule(RULE))
        .map_err(|e| e.to_string())?;
    let schema = Schema::compile(&schema()).expect("a schema");
    let complete = schema.complete(rendered).map_err(|e| e.to_string())?;
    let mut seal = |path: &Path, value: &Value| {
        Ok(Sealed {
            pool: format!("{}={}", path.pointer(), value.to_string().len()),
            master: None,
        })
    };
    Ok(complete.seal(&mut seal)?.into_stored())
}

#[test]
fn markers_go_to_secret_parameters_only() {
    let payload = json!({"s": "x", "on": true, "off": false, "marker": {"$secret": [{"ref": "a.b"}]}});
    let check = |template: Value, expected: Value| {
        assert_eq!(stored(&template, payload.clone()), Ok(expected), "{template}");
    };
    check(
        json!({"token": "{{ secrets.github.token }}"}),
        json!({"token": {"$secret": [{"ref": "github.token"}]}}),
    );
    check(
        json!({"token": "Bearer {{ event.payload.s }}{{- secrets.github.token -}} !", "url": "u"}),
        json!({"token": {"$secret": ["Bearer x", {"ref": "github.token"}, "!"]}, "url": "u"}),
    );
    check(
        json!({"token": "{% if event.payload.on %}{{ secrets.a.b }}{% else %}none{% endif %}", "keys": ["{{ secrets.a.c }}"]}),
        json!({"token": {"$secret": [{"ref": "a.b"}]}, "keys": [{"$secret": [{"ref": "a.c"}]}]}),
    );
    // Every literal of a secret parameter is sealed, also one that only a branch gives.
    check(
        json!({"token": "{% if event.payload.off %}{{ secrets.a.b }}{% else %}literally{% endif %}",
               "login": {"user": "u", "password": "p"}, "all": {"x": 1}}),
        json!({"token": {"$sealed": "/token=11"}, "login": {"user": "u", "password": {"$sealed": "/login/password=3"}},
               "all": {"$sealed": "/all=7"}}),
    );
    check(
        json!({"token": "12345678", "all": {"x": {"y": 1}, "z": "{{ secrets.a.b }}"}}),
        json!({"token": {"$sealed": "/token=10"}, "all": {"x": {"$sealed": "/all/x=7"}, "z": {"$secret": [{"ref": "a.b"}]}}}),
    );
    for (template, expected) in [
        (
            json!({"token": "{{ secrets.a.b }}", "url": "{{ secrets.a.b }}"}),
            "parameters.url: must not contain the secret a.b",
        ),
        (json!({"token": "short"}), "parameters.token"),
        (json!({"url": "{{ secrets.a.b }}"}), "parameters.token"),
        (json!({"token": "{{ secrets.a.b | upper }}"}), "uses `secrets`"),
        (json!({"token": "{{ 'x' if secrets.a.b else 'y' }}"}), "uses `secrets`"),
        (json!({"token": "{% if secrets.a.b %}x{% endif %}"}), "uses `secrets`"),
        (
            json!({"token": {"$secret": [{"ref": "a.b"}]}}),
            "has the reserved key `$secret`",
        ),
        (json!({"token": {"$$sealed": 1}}), "has the reserved key `$$sealed`"),
    ] {
        let error = stored(&template, payload.clone()).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
        assert!(!error.contains("short"), "{error}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_secret_in_the_wrong_place_is_refused_when_it_is_written() {
    let check = |params: Value, expected: Option<&str>| {
        let found = mismatches(&schema(), &params).map_err(|errors| errors.to_string());
        match expected {
            None => assert_eq!(found, Ok(()), "{params}"),
            Some(expected) => assert!(
                found.clone().is_err_and(|e| e.contains(expected)),
                "{params}: {found:?}"
            ),
        }
    };
    check(json!({"token": "{{ secrets.a.b }}"}), None);
    check(
        json!({"token": {"$sealed": "v1:x"}, "login": {"password": {"$sealed": "v1:x", "master": "v1:y"}}}),
        None,
    );
    check(
        json!({"token": "{{ secrets.a.b }}", "url": "http://{{ secrets.a.b }}/"}),
        Some("action_params.url: must not contain the secret a.b"),
    );
    check(
        json!({"token": "{{ secrets.a.b }}", "url": {"$sealed": "v1:x"}}),
        Some("action_params.url: must not contain a sealed value"),
    );
    check(
        json!({"token": "{{ secrets.a.b }}", "login": {"user": "{{ secrets.a.b }}"}}),
        Some("action_params.login.user"),
    );
    for condition in [
        json!("secrets.a.b == 'x'"),
        json!({"all": [{"path": "secrets.a.b", "operator": "equals", "value": 1}]}),
    ] {
        assert!(Condition::compile(&condition).is_err(), "{condition}");
    }
    let draft = |changes: Value| {
        let mut fields = json!({"ref": "a.b", "pack_ref": "a", "runtime_ref": "core.shell", "entry_point": "x", "parameters_schema": schema()});
        for (name, value) in changes.as_object().expect("an object") {
            fields[name] = value.clone();
        }
        let Value::Object(fields) = fields else {
            unreachable!("an object")
        };
        form::draft::<ActionDraft>(fields, Map::new()).expect("a draft").0
    };
    for (changes, expected) in [
        (
            json!({"concurrency": {"limit": 1, "key": "{{ secrets.a.b }}"}}),
            "concurrency.key: ",
        ),
        (
            json!({"concurrency": {"limit": 1, "key": "{{ parameters.token }}"}}),
            "concurrency.key: must not contain the parameter token",
        ),
        (
            json!({"labels": {"x": "{{ secrets.a.b }}"}}),
            "labels.x: must not contain a secret",
        ),
        (json!({"secrets": {"path": "a.b"}}), "secrets.path: is not a name"),
        (json!({"secrets": {"PATH": "a.b"}}), "secrets.PATH: is not a name"),
        (
            json!({"secrets": {"ATTUNE_X": "a.b"}}),
            "secrets.ATTUNE_X: is not a name",
        ),
        (json!({"secrets": {"TOKEN": "a"}}), "secrets.TOKEN: "),
        (json!({"secrets": {"TOKEN": 7}}), "secrets.TOKEN: must be the ref"),
        (json!({"secrets": []}), "secrets: must be an object"),
    ] {
        let error = draft(changes.clone()).validate().unwrap_err().to_string();
        assert!(error.contains(expected), "{changes}: {error}");
    }
    assert_eq!(draft(json!({"secrets": {"GITHUB_TOKEN": "a.b"}})).validate(), Ok(()));
    let _: fn(&RuleDraft, Option<&Value>) -> _ = RuleDraft::validate;
}

#[test]
fn policies_do_not_see_secrets() {
    let stored = json!({"token": {"$secret": [{"ref": "a.b"}]}, "l": [1, {"$sealed": "v1:x"}], "o": {"$$secret": 1}});
    assert_eq!(*visible(&stored), json!({"l": [1, null], "o": {"$secret": 1}}));
    let plain = json!({"a": {"$ref": 1}});
    assert!(matches!(visible(&plain), Cow::Borrowed(same) if *same == plain));
}

#[test]
fn values_that_would_redact_everything_are_refused() {
    for good in [
        json!("hunter2"),
        json!(1_234_567),
        json!({"user": "u", "password": "hunter2"}),
    ] {
        assert_eq!(check_value(&good), Ok(()), "{good}");
    }
    for bad in [
        json!("short"),
        json!(12345),
        json!(true),
        json!(null),
        json!({}),
        json!(["longer text"]),
        json!({"a": "short"}),
    ] {
        assert!(check_value(&bad).is_err(), "{bad}");
    }
}

/// JSON whose keys are often those of markers.
fn payloads() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("$secret".to_owned()),
        Just("$sealed".to_owned()),
        Just("$$secret".to_owned()),
        Just("$$$sealed".to_owned()),
        Just("{{ secrets.a.b }}".to_owned()),
        Just("ref".to_owned()),
        Just("master".to_owned()),
        Just("a.b".to_owned()),
        "[a-z$]{0,4}",
    ];
    let leaf = prop_oneof![
        text.clone().prop_map(Value::String),
        Just(json!({"$secret": [{"ref": "github.token"}]})),
        Just(json!({"$sealed": "v1:AAAA"})),
        Just(json!({"$sealed": "v1:AAAA", "master": "v1:AAAA"})),
        Just(Value::Null),
        any::<i32>().prop_map(|n| json!(n)),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((text.clone(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_forges_a_marker(payload in payloads(), key in "[a-z$]{1,4}") {
        // As a value, inside of a value, in text, as a literal of a start: whatever the way, it comes back as data.
        let event = event(json!({"x": payload.clone()}));
        let templates = [
            json!({"p": "{{ event.payload.x }}", "q": ["{{ {'k': event.payload.x} }}", "t {{ event.payload.x }}"]}),
            json!({"p": "{{ event.payload }}", key: "{{ secrets.own.token }}"}),
        ];
        for template in templates {
            let template = Template::compile(&template).expect("a template");
            let rendered = template.render_parameters(&event.for_rule(RULE)).expect("rendered");
            let own = template.secrets().len();
            let stored = rendered.clone().into_stored();
            let read = Parameters::from_stored(&stored).expect("stored parameters");
            prop_assert_eq!(&read.values, &rendered.values);
            prop_assert_eq!(read.secrets.len(), own);
            prop_assert!(read.refs().all(|reference| reference.as_str() == "own.token"));
        }
        let direct = Parameters::plain(json!({"p": payload}));
        let read = Parameters::from_stored(&direct.clone().into_stored()).expect("stored parameters");
        prop_assert_eq!(read, direct);
    }
}
