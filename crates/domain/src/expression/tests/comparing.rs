//! One rule for every way to compare: two numbers or two strings have an order, and equality never crosses types.

use super::*;
use crate::{condition::Condition, template::Template};

/// A value of each kind, as the event has it: its name, and the word for its type.
const KINDS: [(&str, &str); 8] = [
    ("n", "a number"),
    ("f", "a number"),
    ("t", "a string"),
    ("word", "a string"),
    ("b", "a boolean"),
    ("nothing", "null"),
    ("l", "a list"),
    ("o", "an object"),
];

fn values() -> Value {
    json!({"n": 5, "f": 2.5, "t": "5", "word": "x", "b": true, "nothing": null, "l": [1], "o": {"a": 1},
        "big": 9_007_199_254_740_993_i64, "near": 9_007_199_254_740_992.0, "max": u64::MAX, "min": i64::MIN,
        "deep": {"list": [{"v": 5}, {"v": "5"}]}})
}

fn run(source: &str) -> Result<Value, String> {
    let event = event(values());
    Expression::compile(source, Scope::Rule)?.evaluate(&event.for_rule(RULE), &mut Budget::new(64 * 1024))
}

/// Every way in which two values are put in order. `A` and `B` stand for them.
const ORDERINGS: &[&str] = &[
    "A < B",
    "A <= B",
    "A > B",
    "A >= B",
    "not A < B",
    "A < B or true",
    "A > B or A < B",
    "A < B < A or true",
    "(A if true else 0) < (B | default(1))",
    "[A][0] < [B][0]",
    "{'k': A}.k < {'k': B}['k']",
    "[A, B][0] > [A, B][-1]",
    "A is lt(B)",
    "A is lt B",
    "A is not lt B",
    "A is lessthan(B)",
    "A is le(B)",
    "A is gt(B)",
    "A is greaterthan(B)",
    "A is ge B",
    "[A] | select('gt', B) | length > 9",
    "[A] | select('<', B) | list | length > 9",
    "[A] | reject('>=', B) | length > 9",
    "[{'x': A}] | selectattr('x', 'gt', B) | length > 9",
    "[{'x': {'y': A}}] | selectattr('x.y', 'lt', B) | length > 9",
    "[{'x': A}] | rejectattr('x', '<=', B) | length > 9",
    "[A, B] | max == A",
    "[A, B] | min == A",
    "[B, A] | max == A",
    "[{'x': A}, {'x': B}] | max(attribute='x') == A",
    "[A, B] | sort | length > 9",
    "[B, A] | sort(reverse=true) | length > 9",
    "[{'x': A}, {'x': B}] | sort(attribute='x') | length > 9",
    "[{'x': A}, {'x': B}] | groupby('x') | length > 9",
    "[[A, B]] | map('max') | first == A",
    "{'m': [A, B] | sort}.m | length > 9",
];

#[test]
fn only_two_numbers_or_two_strings_have_an_order() {
    for (a, a_kind) in KINDS {
        for (b, b_kind) in KINDS {
            let ordered = a_kind == b_kind && ["a number", "a string"].contains(&a_kind);
            for form in ORDERINGS {
                let source = form
                    .replace('A', &format!("event.payload.{a}"))
                    .replace('B', &format!("event.payload.{b}"));
                match run(&source) {
                    Ok(_) => assert!(ordered, "{source} was decided"),
                    Err(error) => {
                        assert!(!ordered, "{error}");
                        assert!(error.contains(a_kind) && error.contains(b_kind), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn errors_name_the_place_and_the_remedy() {
    let check = |source: &str, expected: &str| {
        let error = run(source).expect_err(source);
        assert!(error.contains(expected), "{error}");
    };
    check(
        "event.payload.t > 100",
        "`>` compares two numbers or two strings, not a string (`event.payload.t`) with a number (`100`); convert the string with `| int` or `| float`",
    );
    check(
        "event.payload.b > 0",
        "not a boolean (`event.payload.b`) with a number (`0`)",
    );
    check(
        "1 in event.payload.t",
        "`in` searches a string in a string (`event.payload.t`), not a number (`1`)",
    );
    check(
        "'a' in event.payload.n",
        "not a number (`event.payload.n`) for a string (`'a'`)",
    );
    check(
        "[1, 'a'] | max",
        "`max` compares two numbers or two strings, not a number with a string",
    );
    check(
        "event.payload.b + 1",
        "not a boolean (`event.payload.b`) and a number (`1`)",
    );
    assert_eq!(run("event.payload.t | int > 4"), Ok(json!(true)));
    assert_eq!(run("event.payload.t | float < 5.5"), Ok(json!(true)));
}

#[test]
fn equality_never_crosses_types() {
    let equal = |a: &str, b: &str, expected: bool| {
        for (form, holds) in [
            ("A == B", expected),
            ("B == A", expected),
            ("A != B", !expected),
            ("A is eq(B)", expected),
            ("A is equalto B", expected),
            ("A is ne(B)", !expected),
            ("A in [B]", expected),
            ("A not in [B]", !expected),
            ("A is in([B])", expected),
            ("[B] is contains(A)", expected),
            ("[A] == [B]", expected),
            ("{'k': A} == {'k': B}", expected),
            ("[A] | select('==', B) | length == 1", expected),
            ("[{'x': A}] | selectattr('x', 'equalto', B) | length == 1", expected),
            ("[{'x': A}] | rejectattr('x', 'in', [B]) | length == 0", expected),
            ("[A, B] | unique | length == 1", expected),
            ("[A] | intersect([B]) | length == 1", expected),
            ("[A] | difference([B]) | length == 0", expected),
        ] {
            let source = form.replace('A', a).replace('B', b);
            assert_eq!(run(&source), Ok(json!(holds)), "{source}");
        }
    };
    equal("1", "1", true);
    equal("1", "1.0", true);
    equal("true", "true", true);
    equal("none", "none", true);
    equal("'a'", "'a'", true);
    equal("[1, 'a']", "[1.0, 'a']", true);
    equal("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", true);
    equal("event.payload.o", "{'a': 1}", true);
    equal("event.payload.l", "[1]", true);
    equal("true", "1", false);
    equal("false", "0", false);
    equal("true", "1.0", false);
    equal("[true]", "[1]", false);
    equal("{'a': false}", "{'a': 0}", false);
    equal("1", "'1'", false);
    equal("true", "'true'", false);
    equal("none", "0", false);
    equal("none", "false", false);
    equal("none", "''", false);
    equal("'a'", "'A'", false);
    equal("[]", "''", false);
    equal("[]", "{}", false);
    equal("[1]", "1", false);
    equal("event.payload.big", "event.payload.near", false);
    equal("9007199254740993", "9007199254740992.0", false);
    equal("18446744073709551615", "event.payload.max", true);
    equal("18446744073709551616", "event.payload.max", false);
}

#[test]
fn in_searches_a_string_in_a_string() {
    let check = |source: &str, expected: Option<bool>| {
        assert_eq!(
            run(source).ok(),
            expected.map(Value::from),
            "{source}: {:?}",
            run(source)
        );
    };
    check("'a' in 'abc'", Some(true));
    check("'' in 'abc'", Some(true));
    check("'a' in {'a': 1}", Some(true));
    check("'b' in event.payload.o", Some(false));
    check("1 in [1, 2]", Some(true));
    check("'1' in [1]", Some(false));
    check("none in [none]", Some(true));
    for other in ["1", "true", "none", "[1]", "{'a': 1}", "2.5"] {
        for container in ["'1 true none'", "event.payload.o", "5", "true", "none"] {
            if ["5", "true", "none"].contains(&container) || other != "'a'" {
                check(&format!("{other} in {container}"), None);
                check(&format!("{other} not in {container}"), None);
                check(&format!("{other} is in({container})"), None);
                check(&format!("{container} is contains({other})"), None);
                check(&format!("[{other}] | select('in', {container}) | length > 9"), None);
            }
        }
    }
}

#[test]
fn whole_numbers_are_exact_or_refused() {
    let check = |source: &str, expected: Value| assert_eq!(run(source), Ok(expected), "{source}");
    check("event.payload.big", json!(9_007_199_254_740_993_i64));
    check("event.payload.big + 1", json!(9_007_199_254_740_994_i64));
    check("event.payload.big > event.payload.near", json!(true));
    check("event.payload.near < event.payload.big", json!(true));
    check("event.payload.big / 1", json!(9_007_199_254_740_993_i64));
    check("event.payload.big // 2", json!(4_503_599_627_370_496_i64));
    check("event.payload.max", json!(u64::MAX));
    check("event.payload.max + 1 > event.payload.max", json!(true));
    check("event.payload.max * 2 // 2 == event.payload.max", json!(true));
    check("event.payload.max | string", json!("18446744073709551615"));
    check("'' ~ event.payload.min", json!("-9223372036854775808"));
    check("'9007199254740993' | int == event.payload.big", json!(true));
    check("'9007199254740993.9' | int == event.payload.big", json!(true));
    check(
        "[event.payload.big, event.payload.near] | max == event.payload.big",
        json!(true),
    );
    check("[event.payload.big, 1] | sum", json!(9_007_199_254_740_994_i64));
    check("event.payload.big | abs", json!(9_007_199_254_740_993_i64));
    check("event.payload.big is odd", json!(true));
    check(
        "event.payload.big | tojson | from_json == event.payload.big",
        json!(true),
    );
    let refused = |source: &str, reason: &str| {
        let error = run(source).expect_err(source);
        assert!(error.contains(reason), "{source}: {error}");
    };
    refused(
        "event.payload.max + 1",
        "does not fit into 64 bits: 18446744073709551616",
    );
    refused(
        "event.payload.min - 1",
        "does not fit into 64 bits: -9223372036854775809",
    );
    refused("event.payload.max ** 3", "does not fit into 128 bits");
    refused("event.payload.big + 0.5", "would round 9007199254740993");
    refused("event.payload.big * 1.0", "would round 9007199254740993");
    refused("'' ~ (event.payload.max + 1)", "does not fit into 64 bits");
    refused(
        "'123456789012345678901234567890123456789012' | int",
        "does not fit into 128 bits",
    );
    refused(
        "'[18446744073709551616]' | from_json",
        "[0] is 18446744073709551616, which does not fit into 64 bits",
    );
    refused("1e308 * 10", "not finite");
    let literal = Expression::compile(
        "event.payload.n == 123456789012345678901234567890123456789012",
        Scope::Rule,
    );
    assert!(literal.is_err_and(|error| error.contains("does not fit into 128 bits")));
}

/// Wherever a text or a literal becomes a number.
#[test]
fn numbers_in_texts_are_exact_or_refused() {
    let check = |source: &str, expected: Value| assert_eq!(run(source), Ok(expected), "{source}");
    let refused = |source: &str, reason: &str| {
        let error = run(source).expect_err(source);
        assert!(error.contains(reason), "{source}: {error}");
    };
    refused("event.payload.big | float", "would round 9007199254740993");
    refused("event.payload.big / 2", "would round 9007199254740993");
    refused("'9007199254740993' | float", "would round 9007199254740993");
    refused("'0.1234567890123456789' | float", "would round");
    refused("'1e-400' | float", "would round");
    refused("'inf' | float", "needs a number");
    refused("9007199254740993.0", "cannot hold exactly");
    refused("0.1234567890123456789", "cannot hold exactly");
    refused("1e-400", "cannot hold exactly");
    refused(r#"'{"a": {"b": 1, "b": 2}}' | from_json"#, "a.b is given twice");
    refused(
        r#"'{"id": 9007199254740993.0}' | from_json"#,
        "id is 9007199254740993.0",
    );
    refused("'[1e-400]' | from_json", "[0] is 1e-400");
    check("'9007199254740993e0' | int == event.payload.big", json!(true));
    check("'0x1f' | int(base=16)", json!(31));
    check("'-0b11' | int(0, 2)", json!(-3));
    check("'0.5' | float", json!(0.5));
    check("event.payload.big | float(7)", json!(7));
    check("-0.0", json!(0.0));
    check("'[-0.0]' | from_json", json!([0.0]));
    check("'\u{feff}{\"id\": 1}' | from_json", json!({"id": 1}));
    check("1234 | round(-2)", json!(1200.0));
}

/// Conditions, `{% if %}` and templates all go the same way.
#[test]
fn the_rule_applies_at_every_place_of_an_expression() {
    let event = event(values());
    let context = event.for_rule(RULE);
    for source in [
        "event.payload.t > 100",
        "event.payload.deep.list | map(attribute='v') | max > 1",
        "event.payload.n in '1'",
    ] {
        let condition = Condition::compile(&json!(source)).expect("a condition");
        assert!(condition.evaluate(&context).is_err(), "{source}");
        for template in [
            format!("{{{{ {source} }}}}"),
            format!("x {{{{ {source} }}}}"),
            format!("{{% if {source} %}}yes{{% endif %}}"),
            format!("{{% if false %}}{{% elif {source} %}}yes{{% else %}}no{{% endif %}}"),
        ] {
            let template = Template::compile(&json!({"a": [template]})).expect("a template");
            let error = template.render(&context).expect_err("types that have no order");
            assert_eq!(error.path, "action_params.a[0]");
        }
    }
}
