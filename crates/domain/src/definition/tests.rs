use super::*;
use serde_json::{Value, json};

fn draft<T: Draft>(value: Value) -> T {
    let Value::Object(values) = value else {
        panic!("an object");
    };
    let (draft, errors) = crate::form::draft::<T>(values, serde_json::Map::new()).expect("a draft");
    assert!(errors.is_empty(), "{errors}");
    draft
}

#[expect(clippy::needless_pass_by_value, reason = "every caller makes the value")]
fn action(changes: Value) -> ActionDraft {
    let mut value = json!({"ref": "demo.a", "runtime_ref": "core.shell", "entry_point": "x"});
    for (name, field) in changes.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    draft(value)
}

#[test]
fn only_changed_fields_are_validated() {
    let before = action(json!({"retry": {"max_attempts": "three"}, "label": " "}));
    let check = |after: ActionDraft, expected: &[&str]| {
        let errors = after.validate().err().unwrap_or_default();
        let judged = after.judged(Some(&before), errors).into_vec();
        let paths: Vec<_> = judged.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, expected);
    };
    check(before.clone(), &[]);
    check(
        action(json!({"retry": {"max_attempts": "four"}, "label": " "})),
        &["retry.max_attempts"],
    );
    check(action(json!({"label": "", "pool": "A"})), &["label", "pool"]);
}

#[test]
fn a_field_is_validated_when_its_dependency_changes() {
    let rule =
        |action: &str| draft::<RuleDraft>(json!({"ref": "demo.r", "trigger_ref": "demo.t", "action_ref": action}));
    let schema = json!({"required": ["text"]});
    let errors = || rule("demo.b").validate(Some(&schema)).err().unwrap_or_default();
    assert!(rule("demo.b").judged(Some(&rule("demo.b")), errors()).is_empty());
    let judged = rule("demo.b").judged(Some(&rule("demo.a")), errors());
    assert!(judged.has("action_params.text"), "{judged}");
}

#[test]
fn the_spelling_of_equal_numbers_does_not_matter() {
    let with = |number: Value| action(json!({"parameters_schema": {"properties": {"n": {"default": number}}}}));
    assert!(with(json!(1e16)).is_same(&with(json!(10_000_000_000_000_000_i64))));
    assert!(!with(json!(1)).is_same(&with(json!(2))));
}
