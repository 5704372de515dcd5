use super::*;
use serde_json::json;

#[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
fn check(actual: Value, operator: &str, expected: Value, holds: Option<bool>) {
    let (name, ignore_case) = operator
        .strip_suffix(" i")
        .map_or((operator, false), |name| (name, true));
    let test = Test::new(Operator::parse(name).expect(name), Some(&expected), ignore_case).expect("a test");
    let event = json!({"received_at": "2027-01-15T08:00:00Z"});
    assert_eq!(
        test.holds(Some(&actual), &event).ok(),
        holds,
        "{actual} {operator} {expected}"
    );
}

#[test]
fn every_operator() {
    check(json!(1), "equals", json!(1.0), Some(true));
    check(json!({"a": [1]}), "equals", json!({"a": [1.0]}), Some(true));
    check(json!("1"), "equals", json!(1), Some(false));
    check(json!(null), "not_equals", json!(1), Some(true));
    check(json!(u64::MAX), "greater_than", json!(i64::MAX), Some(true));
    check(
        json!(9_007_199_254_740_993_i64),
        "greater_than",
        json!(9_007_199_254_740_992_i64),
        Some(true),
    );
    check(
        json!(9_007_199_254_740_993_i64),
        "equals",
        json!(9_007_199_254_740_992.0),
        Some(false),
    );
    check(json!(true), "equals", json!(1), Some(false));
    check(json!(30), "greater_than", json!(30), Some(false));
    check(json!(30), "greater_or_equal", json!(30), Some(true));
    check(json!(29.5), "less_than", json!(30), Some(true));
    check(json!(30), "less_than_or_equal", json!(30), Some(true));
    check(json!("b"), "greater_than", json!("a"), Some(true));
    check(json!("31"), "greater_than", json!(30), None);
    check(json!(null), "less_than", json!(30), None);
    check(json!("b"), "in", json!(["a", "b"]), Some(true));
    check(json!(2.0), "in", json!([1, 2]), Some(true));
    check(json!("abc"), "contains", json!("b"), Some(true));
    check(json!([1, 2]), "contains", json!(2), Some(true));
    check(json!({"a": 1}), "contains", json!("a"), Some(true));
    check(json!(5), "contains", json!("a"), None);
    check(json!("abc"), "starts_with", json!("ab"), Some(true));
    check(json!("abc"), "ends_with", json!("ab"), Some(false));
    check(json!(5), "ends_with", json!("ab"), None);
    check(json!("release-12"), "matches", json!(r"^release-\d+$"), Some(true));
    check(json!("HELLO"), "matches", json!("(?i)hello"), Some(true));
    check(json!(null), "exists", json!(true), Some(true));
    check(json!(1), "exists", json!(false), Some(false));
}

#[test]
fn negations_wildcards_and_ages() {
    check(json!("c"), "not_in", json!(["a", "b"]), Some(true));
    check(json!(1.0), "not_in", json!([1]), Some(false));
    check(json!("abc"), "not_contains", json!("b"), Some(false));
    check(json!([1, 2]), "not_contains", json!(3), Some(true));
    check(json!(5), "not_contains", json!("a"), None);
    check(json!("release-12"), "matches_wildcard", json!("release-*"), Some(true));
    check(json!("Release-12"), "matches_wildcard", json!("release-*"), Some(false));
    check(json!(12), "matches_wildcard", json!("*"), None);
    check(json!("2027-01-15T07:59:00Z"), "younger_than", json!(61), Some(true));
    check(json!("2027-01-15T07:59:00Z"), "younger_than", json!("1m"), Some(false));
    check(json!("2027-01-15T07:59:00Z"), "older_than", json!("1m"), Some(false));
    check(json!("2027-01-15T07:58:59Z"), "older_than", json!("1m"), Some(true));
    check(json!("2027-01-15T09:00:00Z"), "younger_than", json!(0), Some(true));
    check(json!(1_799_999_940), "older_than", json!(59.5), Some(true));
    check(json!("yesterday"), "older_than", json!(1), None);
}

/// ` i` after the operator ignores case.
#[test]
fn case_is_ignored() {
    check(json!("OPEN"), "equals i", json!("open"), Some(true));
    check(json!("OPENED"), "equals i", json!("open"), Some(false));
    check(json!(1), "equals i", json!("open"), None);
    check(json!("OPEN"), "not_equals i", json!("open"), Some(false));
    check(json!("B"), "in i", json!(["a", "b"]), Some(true));
    check(json!("ab"), "in i", json!(["a", "b"]), Some(false));
    check(json!(""), "in i", json!([]), Some(false));
    check(json!(1), "in i", json!(["a"]), None);
    check(json!("C"), "not_in i", json!(["a", "b"]), Some(true));
    check(json!("xÄy"), "contains i", json!("ä"), Some(true));
    check(json!(["A", 1]), "contains i", json!("a"), Some(true));
    check(json!(["AA"]), "contains i", json!("a"), Some(false));
    check(json!({"Key": 1}), "contains i", json!("KEY"), Some(true));
    check(json!({"Keys": 1}), "not_contains i", json!("KEY"), Some(true));
    check(json!("ABC"), "starts_with i", json!("ab"), Some(true));
    check(json!("xABC"), "starts_with i", json!("ab"), Some(false));
    check(json!("ABC"), "ends_with i", json!("bc"), Some(true));
    check(json!("ABCx"), "ends_with i", json!("bc"), Some(false));
    check(json!("a.c"), "equals i", json!("A.C"), Some(true));
    check(json!("abc"), "equals i", json!("A.C"), Some(false));
    check(json!("HELLO"), "matches i", json!("^h.*o$"), Some(true));
    check(json!("HELLO"), "matches_wildcard i", json!("h*[m-p]"), Some(true));
}

#[test]
fn a_missing_value_decides_only_two_operators() {
    for name in NAMES {
        let operator = Operator::parse(name).expect(name);
        let expected = match operator {
            Operator::In | Operator::NotIn => json!([]),
            Operator::Exists => json!(true),
            Operator::YoungerThan | Operator::OlderThan => json!(1),
            _ => json!("x"),
        };
        let test = Test::new(operator, Some(&expected), false).expect(name);
        let decided = match operator {
            Operator::Exists => Some(false),
            Operator::NotEquals => Some(true),
            _ => None,
        };
        assert_eq!(test.holds(None, &Value::Null).ok(), decided, "{name}");
        assert_eq!(operator.as_str(), name);
    }
}

#[test]
fn values_must_fit_their_operator() {
    for (operator, expected) in [
        ("in", json!("abc")),
        ("exists", json!("yes")),
        ("starts_with", json!(1)),
        ("greater_than", json!([1])),
        ("not_in", json!("abc")),
        ("matches_wildcard", json!(1)),
        ("younger_than", json!(-1)),
        ("older_than", json!("soon")),
        ("matches", json!("(")),
        ("matches", json!("(((a{100}){100}){100})")),
        ("matches", json!("a".repeat(2000))),
    ] {
        let operator = Operator::parse(operator).expect(operator);
        assert!(
            Test::new(operator, Some(&expected), false).is_err(),
            "{operator:?} {expected}"
        );
        assert!(operator == Operator::Exists || Test::new(operator, None, false).is_err());
    }
    for (operator, expected) in [
        (Operator::Equals, json!(1)),
        (Operator::Contains, json!(null)),
        (Operator::In, json!(["a", 1])),
        (Operator::NotIn, json!("a")),
    ] {
        let error = Test::new(operator, Some(&expected), true).expect_err("an error");
        assert!(error.contains("`ignore_case`"), "{operator:?} {expected}: {error}");
    }
}
