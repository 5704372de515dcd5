//! Filters, tests and methods: what they give, what they refuse when they are written, and what is missing.

use super::*;

fn payload() -> Value {
    json!({"name": "Ada", "n": 3, "flag": true, "empty": "", "nothing": null, "zero": 0, "json": "{\"a\": [1, 2.5]}",
        "alerts": [{"labels": {"sev": "high"}, "n": 3, "status": "firing"}, {"labels": {"sev": "low"}, "n": 1, "status": "ok"},
            {"labels": {"sev": "high"}, "n": 2, "status": "firing"}],
        "some": [{"x": 1}, {"y": 2}], "o": {"b": 2, "a": 1}, "tags": ["b", "a", "b"], "csv": "a,b,,c"})
}

fn run(source: &str) -> Result<Value, String> {
    let event = event(payload());
    Expression::compile(source, Scope::Rule)?.evaluate(&event.for_rule(RULE), &mut Budget::new(64 * 1024))
}

/// An expression, where `$` stands for `event.payload`, and its value as JSON.
const GIVES: &[(&str, &str)] = &[
    ("$.empty | default('x', true)", r#""x""#),
    ("$.nothing | default('x', boolean=true)", r#""x""#),
    ("$.zero | d('x', true)", r#""x""#),
    ("$.empty | default('x')", r#""""#),
    ("$.name | default(default_value='x')", r#""Ada""#),
    ("$.nope | default($.nix) | default('z')", r#""z""#),
    ("$.name | int(0)", "0"),
    ("$.name | int(default=-1)", "-1"),
    ("'ff' | int(base=16)", "255"),
    ("'3.7' | int", "3"),
    ("'x' | float(1.5)", "1.5"),
    ("'yes' | bool", "true"),
    ("'nope' | bool(false)", "false"),
    ("($.json | from_json).a[1]", "2.5"),
    ("$.o | tojson", r#""{\"b\":2,\"a\":1}""#),
    ("$.o | to_json | from_json == $.o", "true"),
    ("$.name.startswith('A') and $.name.endswith('da')", "true"),
    ("$.name | startswith('A') and $.name is startingwith('A')", "true"),
    ("$.name is endingwith 'b'", "false"),
    ("$.name.lower() ~ $.name.upper()", r#""adaADA""#),
    ("$.csv.split(',')", r#"["a", "b", "", "c"]"#),
    ("$.csv.split(',', 1)", r#"["a", "b,,c"]"#),
    ("' a  b '.split()", r#"["a", "b"]"#),
    ("', '.join($.tags)", r#""b, a, b""#),
    ("' x '.strip() ~ 'xxax'.strip('x')", r#""xa""#),
    ("'aab'.replace('a', 'c', 1)", r#""cab""#),
    ("$.o.get('a')", "1"),
    ("$.o.get('z', 9)", "9"),
    ("$.o.get('z')", "null"),
    ("$.o.items() | length", "2"),
    ("$.o.keys() | sort | join", r#""ab""#),
    ("$.o | items | list", r#"[["b", 2], ["a", 1]]"#),
    ("$.o | dictsort | first | first", r#""a""#),
    ("$.o.values() | sum", "3"),
    ("$.alerts | map(attribute='n') | list", "[3, 1, 2]"),
    (
        "$.alerts | map(attribute='labels.sev') | unique | join(',')",
        r#""high,low""#,
    ),
    ("$.some | map(attribute='x', default=0) | list", "[1, 0]"),
    ("$.tags | map('upper') | list", r#"["B", "A", "B"]"#),
    ("$.tags | map('replace', 'a', 'c') | join", r#""bcb""#),
    (
        "$.alerts | selectattr('status', 'equalto', 'firing') | map(attribute='n') | max",
        "3",
    ),
    ("$.alerts | selectattr('n', '>', 1) | list | length", "2"),
    ("$.alerts | rejectattr('status', 'eq', 'ok') | length", "2"),
    ("$.some | selectattr('x', 'defined') | map(attribute='x') | first", "1"),
    ("$.some | rejectattr('x', 'defined') | length", "1"),
    (
        "$.alerts | sort(attribute='n') | map(attribute='n') | list",
        "[1, 2, 3]",
    ),
    (
        "$.alerts | sort(attribute='n', reverse=true) | first == $.alerts[0]",
        "true",
    ),
    ("$.alerts | max(attribute='n') == $.alerts[0]", "true"),
    ("$.alerts | sum(attribute='n')", "6"),
    (
        "$.alerts | groupby('status') | map('first') | list",
        r#"["firing", "ok"]"#,
    ),
    ("($.alerts | groupby('status'))[0][1] | length", "2"),
    ("$.alerts | join(', ', attribute='status')", r#""firing, ok, firing""#),
    ("$.tags | sort | unique | list", r#"["a", "b"]"#),
    ("['B', 'a'] | sort", r#"["B", "a"]"#),
    ("['B', 'a'] | sort(case_sensitive=false)", r#"["a", "B"]"#),
    ("$.tags | reverse | first", r#""b""#),
    ("[[1, [2]], 3] | flatten", "[1, 2, 3]"),
    ("[[1, [2]], 3] | flatten(levels=1)", "[1, [2], 3]"),
    ("$.tags | union(['z']) | join", r#""baz""#),
    ("$.tags | difference(['b']) | first", r#""a""#),
    ("$.o | combine({'c': 3}) | length", "3"),
    ("'high' in $.alerts | map(attribute='labels.sev') | list", "true"),
    ("$.flag | ternary('on', 'off')", r#""on""#),
    ("$.flag | iif(1, 2)", "1"),
    ("'release-12' is match('release-\\d+')", "true"),
    ("'a release-12' is match('release')", "false"),
    ("'a Release-12' is search('release', ignorecase=true)", "true"),
    ("'a-12-b-7' | regex_findall('\\d+')", r#"["12", "7"]"#),
    ("'k=v' | regex_replace('(\\w)=(\\w)', '\\2=\\1')", r#""v=k""#),
    ("'k=v' | regex_replace('(?P<key>\\w)=.', '\\g<key>!')", r#""k!""#),
    ("'hi' | b64encode | b64decode", r#""hi""#),
    ("'long text here' | truncate(8)", r#""long...""#),
    ("'long text here' | truncate(8, true, '')", r#""long tex""#),
    ("2.25 | round(1, 'floor')", "2.2"),
    ("2.5 | round | int", "3"),
    (
        "[1, 2] is sequence and $.o is mapping and $.name is string and $.n is integer",
        "true",
    ),
    (
        "$.flag is boolean and $.flag is true and $.nothing is none and true is not number",
        "true",
    ),
    ("'abc'[0] ~ 'abc'[-1] ~ 'abc'[::-1]", r#""accba""#),
    ("[1, 2, 3, 4][1:3] + [1, 2, 3][::2]", "[2, 3, 1, 3]"),
    ("'a' 'b'", r#""ab""#),
    ("1 < 2 < 3 and not 3 < 2", "true"),
    ("-2 ** 2", "4"),
    ("(1,) + ()", "[1]"),
];

#[test]
fn features_of_jinja() {
    for (source, expected) in GIVES {
        let expected = serde_json::from_str(expected).expect(expected);
        let source = source.replace('$', "event.payload");
        assert_eq!(run(&source), Ok(expected), "{source}");
    }
}

/// Paths under `event.payload` that lead nowhere.
const NOWHERE: &[&str] = &[
    "zz[0:2]",
    "zz[0:2].a",
    "nope",
    "nope.deeper",
    "nope.deeper.still[0].x",
    "nope['a b'][1]",
    "name.x",
    "name.x.y",
    "n.x",
    "flag.x.y",
    "nothing.x",
    "nothing.x.y",
    "tags[9]",
    "tags[9].x",
    "tags.x",
    "o['z'].y",
    "alerts[0].labels.nope.more",
    "o.get('z').x",
];

/// Uses that a missing value `P` is refused in.
const STRICT: &[&str] = &[
    "P",
    "P == 1",
    "P != 1",
    "not P",
    "P or true",
    "P and true",
    "1 if P else 2",
    "P ~ 'x'",
    "P + 1",
    "[P]",
    "{'a': P}",
    "P is none",
    "P is string",
    "P in [1]",
    "1 in P",
    "P | upper",
    "P | length",
    "P | int(0)",
    "'a' | replace('a', P)",
    "[1][P]",
    "P[1:]",
    "-P",
    "P | mandatory",
    "P.lower()",
];

/// However deep a path is missing, `default`, `is defined` and `is undefined` answer, and everything else is an error.
#[test]
fn missing_values() {
    for path in NOWHERE {
        let path = format!("event.payload.{path}");
        assert_eq!(run(&format!("{path} | default('d')")), Ok(json!("d")), "{path}");
        assert_eq!(run(&format!("{path} | default('d', true)")), Ok(json!("d")), "{path}");
        assert_eq!(run(&format!("{path} is defined")), Ok(json!(false)), "{path}");
        assert_eq!(run(&format!("{path} is not defined")), Ok(json!(true)), "{path}");
        assert_eq!(run(&format!("{path} is undefined")), Ok(json!(true)), "{path}");
        assert_eq!(
            run(&format!("{path} is defined and {path} > 3")),
            Ok(json!(false)),
            "{path}"
        );
        for strict in STRICT {
            let source = strict.replace('P', &path);
            assert!(
                run(&source).is_err_and(|error| error.contains("is missing")),
                "{source}: {:?}",
                run(&source)
            );
        }
    }
    assert_eq!(run("[] | first | default('none')"), Ok(json!("none")));
    assert_eq!(
        run("(event.payload.tags | select('eq', 'z') | first) is defined"),
        Ok(json!(false))
    );
    let error = run("[] | max").expect_err("nothing to take");
    assert!(
        error.contains("the largest item of an empty list is missing"),
        "{error}"
    );
    let error = run("event.payload.some | map(attribute='x')").expect_err("an item without it");
    assert!(
        error.contains("finds no 'x' in item 1; `selectattr('x', 'defined')`"),
        "{error}"
    );
    let error = run("1 if false").expect_err("no else");
    assert!(error.contains("`if` without `else`"), "{error}");
}

/// Expressions that are rejected when they are compiled, and a part of the error. `$` stands for `event.payload`.
const REFUSED: &[(&str, &str)] = &[
    (
        "$.n | round(1, 'floor', 3)",
        "too many arguments to `round`: it takes [precision], [method]",
    ),
    (
        "$.n | round('x')",
        "`precision` of `round` as a whole number from -15 to 15, not a string",
    ),
    ("$.n | round(1.5)", "not 1.5"),
    (
        "$.n | round(precison=1)",
        "unknown argument `precison`: did you mean `precision`?",
    ),
    ("$.n | round(1, precision=2)", "`precision` of `round` twice"),
    ("$.n | abs(1)", "too many arguments to `abs`: it takes no arguments"),
    ("$.n | upper()(1)", "found `(`"),
    (
        "$.name | replace('a')",
        "does not give `new` to `replace`: it takes old, new, [count]",
    ),
    (
        "$.name | replace(1, 'b')",
        "`old` of `replace` as a string that is not empty, not a number",
    ),
    ("$.name | split(1)", "`separator` of `split` as a string"),
    ("$.name | join([1])", "`separator` of `join` as a string, not a list"),
    (
        "$.name | tojson(indent=2)",
        "unknown argument `indent`: it takes no arguments",
    ),
    (
        "$.name | default('a', 1)",
        "`boolean` of `default` as true or false, not a number",
    ),
    ("$.name | default('a', boolaen=true)", "did you mean `boolean`?"),
    ("$.name | default(default='a')", "unknown argument `default`"),
    ("$.tags | sort('x')", "`reverse` of `sort` as true or false"),
    ("$.tags | map", "must define how `map` maps each item"),
    ("$.tags | map('uper')", "did you mean \"upper\"?"),
    ("$.tags | map('upper', 1)", "too many arguments to `upper`"),
    ("$.tags | map(attribute='x', nope=1)", "unknown argument `nope`"),
    (
        "$.tags | map('upper', attribute='x')",
        "both `attribute` and the filter",
    ),
    (
        "$.tags | map(event.payload.name)",
        "the name of a filter as a literal string",
    ),
    ("$.tags | map('select', 'eq')", "cannot use `select` inside of `map`"),
    ("$.tags | select('eq')", "does not give `other` to `eq`"),
    ("$.tags | select('equals', 1)", "unknown test \"equals\""),
    ("$.tags | selectattr()", "does not give `attribute` to `selectattr`"),
    (
        "$.tags | selectattr('x', 'gtt', 1)",
        "unknown test \"gtt\": did you mean",
    ),
    ("$.tags | groupby", "does not give `attribute`"),
    ("$.n is divisibleby", "does not give `number` to `divisibleby`"),
    (
        "$.n is divisibleby('x')",
        "as a whole number other than 0, not a string",
    ),
    ("$.n is divisibleby 0", "as a whole number other than 0, not 0"),
    ("$.n | int(base=1)", "as a whole number from 2 to 36, not 1"),
    ("$.n | int(0, 37)", "as a whole number from 2 to 36, not 37"),
    ("$.name | replace('', 'x')", "as a string that is not empty, not \"\""),
    ("$.name | split('')", "as a string that is not empty"),
    ("$.n | round(1, 'up')", "as 'common', 'ceil' or 'floor', not \"up\""),
    ("$.n | round(400)", "as a whole number from -15 to 15, not 400"),
    ("$.name | truncate(-1)", "that is not negative, not -1"),
    ("$.tags | sort(attribute='')", "as the name of a field, not \"\""),
    ("$.tags | join(attribute='')", "as the name of a field"),
    ("$.tags | groupby('')", "as the name of a field"),
    ("$.tags | sum(start='x')", "as a number, not a string"),
    ("$.tags[true]", "a name or an index belongs there"),
    ("$.tags[1:2:0]", "steps of 0"),
    ("$.tags['a':]", "whole numbers belong there"),
    ("'%s' % $.n", "`%` needs two numbers, not a string (`'%s'`)"),
    ("$.n + true", "not a boolean (`true`)"),
    ("$.n in 5", "not a number (`5`)"),
    ("$.n not in none", "not null"),
    ("$.n / 0", "divides by zero with `/`"),
    ("$.n // 0.0", "divides by zero"),
    ("$.n % 0", "divides by zero"),
    ("1 > 'a'", "compares two numbers or two strings"),
    (
        "$.n > none",
        "`>` compares two numbers or two strings, not null (`none`)",
    ),
    ("none > $.n", "not null"),
    ("0 < $.n < [5]", "not a list (`[5]`)"),
    ("'x' | int", "needs a number, not the string"),
    ("$.n if ('x' | int) > 2 else 1", "needs a number, not the string"),
    ("$.n is even(1)", "too many arguments to `even`"),
    ("$.name is match('(')", "not a regular expression"),
    (
        "$.name is match(event.payload.name)",
        "a regular expression as a literal string",
    ),
    ("$.name | regex_replace('a')", "does not give `replacement`"),
    (
        "$.name | regex_search('(((a{100}){100}){100})')",
        "not a regular expression",
    ),
    ("$.name | uper", "unknown filter \"uper\": did you mean \"upper\"?"),
    ("$.name | to_nice_json", "write `tojson`"),
    ("$.name | json_query('a')", "map(attribute='name')"),
    ("$.name | format(1)", "join texts with `~`"),
    ("$.name | match_all", "there are "),
    ("$.name is sameas(1)", "compare with `==`"),
    ("$.name is strng", "did you mean \"string\"?"),
    ("$.name is length", "it is a filter, written `value | length`"),
    ("$.name | defined", "it is a test, written `value is defined`"),
    ("$.name.isdigit()", "is match('[0-9]+$')"),
    ("$.name.length()", "it is a filter, written `value | length`"),
    ("$.name.stratswith('a')", "did you mean \"startswith\"?"),
    ("$.name.startswith()", "does not give `prefix` to `startswith`"),
    ("$.name.lower(1)", "too many arguments to `lower`"),
    ("$.o.get()", "does not give `key` to `get`"),
    ("range(10)", "there are no functions"),
    ("len($.name)", "there are no functions"),
    ("$['x']()", "calls a value"),
    ("($.x)()", "calls a value"),
    ("now()", "there are no functions"),
    ("payload.x", "unknown name \"payload\": did you mean `event.payload`?"),
    ("evnet.payload.x", "did you mean `event`?"),
    ("$.x | first.name", "a dot after the filter"),
    ("$.x | default(*event.payload.y)", "spreads"),
    ("[*event.payload.y]", "spreads"),
    ("$.x | default(**event.payload.y)", "spreads"),
    ("$.x = 1", "compare with `==`"),
    ("$.x == null", "write `none`"),
    ("$.x && $.y", "write `and`"),
    ("2 *", "it ends where a value is expected"),
    ("2 * (3", "it ends where `)` is expected"),
    ("1 2", "found `2` at character 3"),
    ("$.x[]", "empty brackets"),
    ("$.x[1.5]", "an index is a whole number"),
    ("'\\u12'", "an invalid escape"),
    ("", "is empty"),
];

/// Everything that can be seen when it is written is refused then, with what would be right.
#[test]
fn wrong_arguments_are_refused_when_they_are_written() {
    let mut different = Vec::new();
    let mut check = |source: &str, wrong: &str| {
        let source = source.replace('$', "event.payload");
        let error = Expression::compile(&source, Scope::Rule).expect_err(&source);
        if !error.contains(wrong) {
            different.push(format!("{source}: expected {wrong:?}: {error}"));
        }
    };
    for (source, wrong) in REFUSED {
        check(source, wrong);
    }
    check(&"1+".repeat(300), "more than");
    check(&"1".repeat(3000), "longer than");
    check(&format!("{}1{}", "(".repeat(100), ")".repeat(100)), "nested deeper");
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Errors that depend on the event occur during the evaluation, with the cause and the place.
#[test]
fn wrong_values_fail_with_their_reason() {
    let check = |source: &str, wrong: &str| {
        let source = source.replace('$', "event.payload");
        let error = run(&source).expect_err(&source);
        assert!(error.contains(wrong), "{source}: {error}");
    };
    check(
        "$.name | int",
        "`int` needs a number, not the string \"Ada\"; give a default: `int(0)` (event.payload.name)",
    );
    check("$.name | float", "give a default");
    check("$.name | bool", "give a default");
    check("$.o | upper", "`upper` needs a string, not an object (event.payload.o)");
    check("$.n | startswith('a')", "`startswith` needs a string, not a number");
    check("$.n is startingwith('3')", "`startswith` needs a string, not a number");
    check(
        "$.name | replace($.n, 'x')",
        "`old` of `replace` as a string that is not empty, not a number",
    );
    check("$.name | from_json", "not JSON");
    check("$.name is even", "`even` needs a whole number, not a string");
    check(
        "$.n is divisibleby ($.n - $.n)",
        "as a whole number other than 0, not 0",
    );
    check("$.name | max", "`max` needs a list, not a string");
    check("$.tags | sum", "item 0 is a string");
    check("$.alerts | join", "item 0 is an object");
    check("$.name.items()", "`items` needs an object, not a string");
    check("$.name | keys", "`keys` needs an object");
    check("$.n[1:]", "only lists and strings have parts");
    check("$.tags['a':]", "whole numbers belong there");
    check("$.o[$.o]", "a name or an index belongs there");
    check("$.tags | map('int') | list", "(item 0)");
    check("$.tags | groupby('x')", "finds no 'x'");
    check("$.name | b64decode", "not base64");
}
