use super::*;
use serde_json::json;

fn sleep() -> Value {
    json!({
        "type": "object",
        "required": ["seconds"],
        "additionalProperties": false,
        "properties": {
            "seconds": {"type": "number", "minimum": 0, "maximum": 3600},
            "message": {"type": "string", "default": "done", "pattern": "^[a-z ]+$"},
            "options": {"type": "object", "properties": {"loud": {"type": "boolean", "default": false}}},
            "list": {"type": "array", "items": {"type": "integer"}},
        },
    })
}

#[test]
fn defaults_and_errors() {
    let schema = Schema::compile(&sleep()).expect("a schema");
    let check = |values: Value, expected: Result<Value, &[&str]>| {
        let found = schema.validate(values.clone()).map_err(FieldErrors::into_vec);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{values}"),
            (Err(errors), Err(paths)) => {
                assert_eq!(
                    errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
                    paths,
                    "{errors:#?}"
                );
            }
            (found, expected) => panic!("{values}: {found:?}, not {expected:?}"),
        }
    };
    check(json!({"seconds": 1}), Ok(json!({"seconds": 1, "message": "done"})));
    check(
        json!({"seconds": 1, "message": "x"}),
        Ok(json!({"seconds": 1, "message": "x"})),
    );
    check(
        json!({"seconds": 0.5, "options": {}}),
        Ok(json!({"seconds": 0.5, "options": {"loud": false}, "message": "done"})),
    );
    check(json!({}), Err(&["parameters.seconds"]));
    check(Value::Null, Err(&["parameters.seconds"]));
    check(json!([1]), Err(&["parameters"]));
    check(
        json!({"seconds": -1, "message": "X", "list": [1, "a"]}),
        Err(&["parameters.seconds", "parameters.message", "parameters.list[1]"]),
    );
    check(json!({"seconds": 1, "secnds": 1}), Err(&["parameters.secnds"]));
    check(json!({"seconds": "a\0"}), Err(&["parameters.seconds"]));
    check(
        json!({"seconds": 1, "message": "x".repeat(2_000_000)}),
        Err(&["parameters"]),
    );
}

#[test]
fn errors_do_not_repeat_values() {
    let schema = Schema::compile(&sleep()).expect("a schema");
    let error = schema
        .validate(json!({"seconds": "hunter2", "message": "HUNTER2"}))
        .expect_err("wrong types");
    assert!(!error.to_string().to_lowercase().contains("hunter2"), "{error}");
}

#[test]
fn no_schema_allows_everything() {
    for schema in [Value::Null, json!({})] {
        let schema = Schema::compile(&schema).expect("a schema");
        assert_eq!(schema.validate(json!({"a": 1})), Ok(json!({"a": 1})));
    }
}

fn check_refused(schema: &Value, path: &str, wrong: &str) {
    let errors = Schema::compile(schema).expect_err("a bad schema").into_vec();
    assert_eq!(errors[0].path, path, "{errors:?}");
    assert!(errors[0].message.contains(wrong), "{errors:?}");
}

#[test]
fn schemas_that_are_refused() {
    let check = |schema: Value, path: &str, wrong: &str| check_refused(&schema, path, wrong);
    let deep = (0..40).fold(json!({}), |inner, _| json!({"not": inner}));
    assert!(Schema::compile(&deep).is_err());
    check(json!("text"), "parameters_schema", "not a string");
    check(json!(true), "parameters_schema", "not a boolean");
    check(json!({"type": "array"}), "parameters_schema.type", "must be \"object\"");
    check(
        json!({"message": {"type": "string"}}),
        "parameters_schema.message",
        "under `properties`",
    );
}

#[test]
fn properties_that_are_refused() {
    let with = |property: Value| json!({"type": "object", "properties": {"a": property}});
    let check = |schema: Value, path: &str, wrong: &str| check_refused(&schema, path, wrong);
    check(
        with(json!({"type": "strin"})),
        "parameters_schema.properties.a.type",
        "not a JSON schema",
    );
    check(
        with(json!({"$ref": "https://example.com/a"})),
        "parameters_schema.properties.a.$ref",
        "inside",
    );
    check(
        with(json!({"$ref": "file:///etc/passwd"})),
        "parameters_schema.properties.a.$ref",
        "inside",
    );
    check(
        with(json!({"$ref": "#/$defs/a"})),
        "parameters_schema.properties.a.$ref",
        "refers to nothing",
    );
    check(
        with(json!({"$ref": "#"})),
        "parameters_schema.properties.a.$ref",
        "itself",
    );
    check(
        with(json!({"$dynamicRef": "#a"})),
        "parameters_schema.properties.a.$dynamicRef",
        "not available",
    );
    check(
        with(json!({"$id": "http://a/b"})),
        "parameters_schema.properties.a.$id",
        "not available",
    );
    check(
        json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
        "parameters_schema.$schema",
        "too old",
    );
    check(
        with(json!({"pattern": "a".repeat(600)})),
        "parameters_schema.properties.a.pattern",
        "longer than",
    );
    check(
        with(json!({"pattern": "("})),
        "parameters_schema.properties.a.pattern",
        "not a JSON schema",
    );
    check(
        with(json!({"pattern": "(((a{100}){100}){100})"})),
        "parameters_schema.properties.a.pattern",
        "not a JSON schema",
    );
    check(json!({"title": "a".repeat(70_000)}), "parameters_schema", "larger than");
}

/// Eight definitions, each three times the next: thousands of checks of one value.
#[test]
fn references_are_counted_as_if_written_out() {
    let mut definitions = Map::new();
    for i in 0..8 {
        let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
        definitions.insert(format!("d{i}"), json!({"allOf": [next, next, next]}));
    }
    definitions.insert("d8".to_owned(), json!({"type": "object"}));
    let schema = json!({"$ref": "#/$defs/d0", "$defs": definitions});
    let errors = Schema::compile(&schema).expect_err("too many parts");
    assert!(errors.to_string().contains("parts"), "{errors}");
    let fine = json!({"properties": {"a": {"$ref": "#/$defs/s"}, "b": {"$ref": "#/$defs/s"}}, "$defs": {"s": {"type": "string"}}});
    let schema = Schema::compile(&fine).expect("references are fine");
    assert_eq!(
        schema.validate(json!({"b": 1})).expect_err("a type").into_vec()[0].path,
        "parameters.b"
    );
}

#[test]
fn values_that_no_template_can_fix() {
    let schema = Schema::compile(&sleep()).expect("a schema");
    let check = |template: Value, paths: &[&str]| {
        let errors = schema.check_template(&template).err().unwrap_or_default().into_vec();
        let found: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(found, paths, "{template}: {errors:?}");
    };
    check(json!({"seconds": 1}), &[]);
    check(
        json!({"seconds": "{{ event.payload.n }}", "message": "AT {{ event.id }}", "list": "{{ event.payload.list }}"}),
        &[],
    );
    check(
        json!({"seconds": "{{ event.payload.n }}", "list": [1, "{{ event.payload.n }}"], "options": {"loud": "{{ event.payload.b }}"}}),
        &[],
    );
    check(json!({}), &["action_params.seconds"]);
    check(json!({"message": "{{ event.id }}"}), &["action_params.seconds"]);
    check(
        json!({"seconds": "{{ event.payload.n }}", "secnds": "{{ event.payload.n }}"}),
        &["action_params.secnds"],
    );
    check(
        json!({"seconds": "ten", "message": "{{ event.id }}", "list": ["{{ event.payload.n }}", "x"]}),
        &["action_params.seconds", "action_params.list[1]"],
    );
}

#[test]
fn values_with_templates_are_not_validated() {
    let schema = json!({
        "if": {"properties": {"mode": {"const": "fast"}}},
        "then": {"properties": {"n": {"minimum": 5}}},
        "else": {"properties": {"n": {"maximum": 4}}},
        "anyOf": [{"required": ["a"]}, {"properties": {"mode": {"const": "fast"}}}],
    });
    let schema = Schema::compile(&schema).expect("a schema");
    assert_eq!(
        schema.check_template(&json!({"mode": "{{ event.payload.mode }}", "n": 9})),
        Ok(())
    );
    assert!(schema.check_template(&json!({"mode": "fast", "n": 1})).is_err());
}

#[test]
fn defaults_fit_their_schema() {
    let check = |property: Value, bad: &[&str]| {
        let schema =
            Schema::compile(&json!({"required": ["b"], "properties": {"a": property, "b": {}}})).expect("a schema");
        let errors = schema.check_defaults().err().unwrap_or_default().into_vec();
        let found: Vec<_> = errors.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(found, bad);
        assert!(
            errors
                .iter()
                .all(|e| e.path == "parameters_schema.properties.a.default")
        );
    };
    check(json!({"type": "integer", "default": 3}), &[]);
    check(json!({"type": "integer"}), &[]);
    check(
        json!({"type": "integer", "default": "three"}),
        &["violates its own schema: must be a whole number"],
    );
    check(
        json!({"enum": ["x", "y"], "default": "z"}),
        &["violates its own schema: must be one of x, y"],
    );
}

#[test]
fn errors_are_readable() {
    let check = |property: Value, value: Value, expected: &str| {
        let schema = Schema::compile(&json!({"properties": {"a": property}})).expect("a schema");
        let errors = schema
            .validate(json!({"a": value}))
            .expect_err("a wrong value")
            .into_vec();
        assert_eq!(errors[0].message, expected);
    };
    check(json!({"type": "string"}), json!(1), "must be text");
    check(json!({"type": ["string", "null"]}), json!(1), "must be null or text");
    check(
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        json!([]),
        "must be text or a whole number",
    );
    check(
        json!({"oneOf": [{"type": "string", "minLength": 3}, {"type": "integer"}]}),
        json!("x"),
        "fits none of the forms that its schema allows",
    );
    check(
        json!({"enum": [1, "b", null]}),
        json!("hunter2"),
        "must be one of 1, b, null",
    );
    check(json!({"minimum": 3}), json!(1), "must be at least 3");
    check(json!({"minLength": 3}), json!("x"), "must have at least 3 characters");
    let wrong = Schema::compile(&json!({"properties": {"a": {"type": "strin"}}})).expect_err("no type");
    assert_eq!(
        wrong.to_string(),
        "parameters_schema.properties.a.type: is not a JSON schema: must be one of array, boolean, integer, null, number, object, string or a list"
    );
}
