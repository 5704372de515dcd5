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

#[test]
fn what_people_bring_from_jinja() {
    let check = |source: &str, expected: Value| {
        let source = source.replace('$', "event.payload");
        assert_eq!(run(&source), Ok(expected), "{source}");
    };
    check("$.empty | default('x', true)", json!("x"));
    check("$.nothing | default('x', boolean=true)", json!("x"));
    check("$.zero | d('x', true)", json!("x"));
    check("$.empty | default('x')", json!(""));
    check("$.name | default(default_value='x')", json!("Ada"));
    check("$.nope | default($.nix) | default('z')", json!("z"));
    check("$.name | int(0)", json!(0));
    check("$.name | int(default=-1)", json!(-1));
    check("'ff' | int(base=16)", json!(255));
    check("'3.7' | int", json!(3));
    check("'x' | float(1.5)", json!(1.5));
    check("'yes' | bool", json!(true));
    check("'nope' | bool(false)", json!(false));
    check("($.json | from_json).a[1]", json!(2.5));
    check("$.o | tojson", json!("{\"b\":2,\"a\":1}"));
    check("$.o | to_json | from_json == $.o", json!(true));
    check("$.name.startswith('A') and $.name.endswith('da')", json!(true));
    check("$.name | startswith('A') and $.name is startingwith('A')", json!(true));
    check("$.name is endingwith 'b'", json!(false));
    check("$.name.lower() ~ $.name.upper()", json!("adaADA"));
    check("$.csv.split(',')", json!(["a", "b", "", "c"]));
    check("$.csv.split(',', 1)", json!(["a", "b,,c"]));
    check("' a  b '.split()", json!(["a", "b"]));
    check("', '.join($.tags)", json!("b, a, b"));
    check("' x '.strip() ~ 'xxax'.strip('x')", json!("xa"));
    check("'aab'.replace('a', 'c', 1)", json!("cab"));
    check("$.o.get('a')", json!(1));
    check("$.o.get('z', 9)", json!(9));
    check("$.o.get('z')", Value::Null);
    check("$.o.items() | length", json!(2));
    check("$.o.keys() | sort | join", json!("ab"));
    check("$.o | items | list", json!([["b", 2], ["a", 1]]));
    check("$.o | dictsort | first | first", json!("a"));
    check("$.o.values() | sum", json!(3));
    check("$.alerts | map(attribute='n') | list", json!([3, 1, 2]));
    check(
        "$.alerts | map(attribute='labels.sev') | unique | join(',')",
        json!("high,low"),
    );
    check("$.some | map(attribute='x', default=0) | list", json!([1, 0]));
    check("$.tags | map('upper') | list", json!(["B", "A", "B"]));
    check("$.tags | map('replace', 'a', 'c') | join", json!("bcb"));
    check(
        "$.alerts | selectattr('status', 'equalto', 'firing') | map(attribute='n') | max",
        json!(3),
    );
    check("$.alerts | selectattr('n', '>', 1) | list | length", json!(2));
    check("$.alerts | rejectattr('status', 'eq', 'ok') | length", json!(2));
    check(
        "$.some | selectattr('x', 'defined') | map(attribute='x') | first",
        json!(1),
    );
    check("$.some | rejectattr('x', 'defined') | length", json!(1));
    check(
        "$.alerts | sort(attribute='n') | map(attribute='n') | list",
        json!([1, 2, 3]),
    );
    check(
        "$.alerts | sort(attribute='n', reverse=true) | first == $.alerts[0]",
        json!(true),
    );
    check("$.alerts | max(attribute='n') == $.alerts[0]", json!(true));
    check("$.alerts | sum(attribute='n')", json!(6));
    check(
        "$.alerts | groupby('status') | map('first') | list",
        json!(["firing", "ok"]),
    );
    check("($.alerts | groupby('status'))[0][1] | length", json!(2));
    check("$.alerts | join(', ', attribute='status')", json!("firing, ok, firing"));
    check("$.tags | sort | unique | list", json!(["a", "b"]));
    check("['B', 'a'] | sort", json!(["B", "a"]));
    check("['B', 'a'] | sort(case_sensitive=false)", json!(["a", "B"]));
    check("$.tags | reverse | first", json!("b"));
    check("[[1, [2]], 3] | flatten", json!([1, 2, 3]));
    check("[[1, [2]], 3] | flatten(levels=1)", json!([1, [2], 3]));
    check("$.tags | union(['z']) | join", json!("baz"));
    check("$.tags | difference(['b']) | first", json!("a"));
    check("$.o | combine({'c': 3}) | length", json!(3));
    check("'high' in $.alerts | map(attribute='labels.sev') | list", json!(true));
    check("$.flag | ternary('on', 'off')", json!("on"));
    check("$.flag | iif(1, 2)", json!(1));
    check("'release-12' is match('release-\\d+')", json!(true));
    check("'a release-12' is match('release')", json!(false));
    check("'a Release-12' is search('release', ignorecase=true)", json!(true));
    check("'a-12-b-7' | regex_findall('\\d+')", json!(["12", "7"]));
    check("'k=v' | regex_replace('(\\w)=(\\w)', '\\2=\\1')", json!("v=k"));
    check("'k=v' | regex_replace('(?P<key>\\w)=.', '\\g<key>!')", json!("k!"));
    check("'hi' | b64encode | b64decode", json!("hi"));
    check("'long text here' | truncate(9)", json!("long..."));
    check("'long text here' | truncate(9, true, '')", json!("long text"));
    check("2.25 | round(1, 'floor')", json!(2.2));
    check("2.5 | round | int", json!(3));
    check(
        "[1, 2] is sequence and $.o is mapping and $.name is string and $.n is integer",
        json!(true),
    );
    check(
        "$.flag is boolean and $.flag is true and $.nothing is none and true is not number",
        json!(true),
    );
    check("'abc'[0] ~ 'abc'[-1] ~ 'abc'[::-1]", json!("accba"));
    check("[1, 2, 3, 4][1:3] + [1, 2, 3][::2]", json!([2, 3, 1, 3]));
    check("'a' 'b'", json!("ab"));
    check("1 < 2 < 3 and not 3 < 2", json!(true));
    check("-2 ** 2", json!(4));
    check("(1,) + ()", json!([1]));
}

/// However deep a path is missing, `default`, `is defined` and `is undefined` answer, and everything else is an error.
#[test]
fn what_is_missing() {
    for path in [
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
    ] {
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
        for strict in [
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
        ] {
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

/// Everything that can be seen when it is written is refused then, with what would be right.
#[test]
fn wrong_arguments_are_refused_when_they_are_written() {
    let check = |source: &str, wrong: &str| {
        let source = source.replace('$', "event.payload");
        let error = Expression::compile(&source, Scope::Rule).expect_err(&source);
        assert!(error.contains(wrong), "{source}: {error}");
    };
    check(
        "$.n | round(1, 'floor', 3)",
        "too many arguments to `round`: it takes [precision], [method]",
    );
    check(
        "$.n | round('x')",
        "`precision` of `round` as a whole number, not a string",
    );
    check("$.n | round(1.5)", "as a whole number, not a number");
    check(
        "$.n | round(precison=1)",
        "unknown argument `precison`: did you mean `precision`?",
    );
    check("$.n | round(1, precision=2)", "`precision` of `round` twice");
    check("$.n | abs(1)", "too many arguments to `abs`: it takes no arguments");
    check("$.n | upper()(1)", "there is `(`");
    check(
        "$.name | replace('a')",
        "does not give `new` to `replace`: it takes old, new, [count]",
    );
    check(
        "$.name | replace(1, 'b')",
        "`old` of `replace` as a string, not a number",
    );
    check("$.name | split(1)", "`separator` of `split` as a string");
    check("$.name | join([1])", "`separator` of `join` as a string, not a list");
    check(
        "$.name | tojson(indent=2)",
        "unknown argument `indent`: it takes no arguments",
    );
    check(
        "$.name | default('a', 1)",
        "`boolean` of `default` as true or false, not a number",
    );
    check("$.name | default('a', boolaen=true)", "did you mean `boolean`?");
    check("$.name | default(default='a')", "unknown argument `default`");
    check("$.tags | sort('x')", "`reverse` of `sort` as true or false");
    check("$.tags | map", "must say what `map` makes of each item");
    check("$.tags | map('uper')", "did you mean \"upper\"?");
    check("$.tags | map('upper', 1)", "too many arguments to `upper`");
    check("$.tags | map(attribute='x', nope=1)", "unknown argument `nope`");
    check(
        "$.tags | map('upper', attribute='x')",
        "both `attribute` and the filter",
    );
    check(
        "$.tags | map(event.payload.name)",
        "the name of a filter as a literal string",
    );
    check("$.tags | map('select', 'eq')", "cannot use `select` inside of `map`");
    check("$.tags | select('eq')", "does not give `other` to `eq`");
    check("$.tags | select('equals', 1)", "unknown test \"equals\"");
    check("$.tags | selectattr()", "does not give `attribute` to `selectattr`");
    check(
        "$.tags | selectattr('x', 'gtt', 1)",
        "unknown test \"gtt\": did you mean",
    );
    check("$.tags | groupby", "does not give `attribute`");
    check("$.n is divisibleby", "does not give `number` to `divisibleby`");
    check("$.n is divisibleby('x')", "as a whole number, not a string");
    check("$.n is even(1)", "too many arguments to `even`");
    check("$.name is match('(')", "not a regular expression");
    check(
        "$.name is match(event.payload.name)",
        "a regular expression as a literal string",
    );
    check("$.name | regex_replace('a')", "does not give `replacement`");
    check(
        "$.name | regex_search('(((a{100}){100}){100})')",
        "not a regular expression",
    );
    check("$.name | uper", "unknown filter \"uper\": did you mean \"upper\"?");
    check("$.name | to_nice_json", "write `tojson`");
    check("$.name | json_query('a')", "map(attribute='name')");
    check("$.name | format(1)", "join texts with `~`");
    check("$.name | match_all", "there are ");
    check("$.name is sameas(1)", "compare with `==`");
    check("$.name is strng", "did you mean \"string\"?");
    check("$.name is length", "it is a filter, written `value | length`");
    check("$.name | defined", "it is a test, written `value is defined`");
    check("$.name.isdigit()", "is match('[0-9]+$')");
    check("$.name.length()", "it is a filter, written `value | length`");
    check("$.name.stratswith('a')", "did you mean \"startswith\"?");
    check("$.name.startswith()", "does not give `prefix` to `startswith`");
    check("$.name.lower(1)", "too many arguments to `lower`");
    check("$.o.get()", "does not give `key` to `get`");
    check("range(10)", "there are no functions");
    check("len($.name)", "there are no functions");
    check("$['x']()", "calls a value");
    check("($.x)()", "calls a value");
    check("now()", "there are no functions");
    check("payload.x", "unknown name \"payload\": did you mean `event.payload`?");
    check("evnet.payload.x", "did you mean `event`?");
    check("$.x | first.name", "a dot after the filter");
    check("$.x | default(*event.payload.y)", "spreads");
    check("[*event.payload.y]", "spreads");
    check("$.x | default(**event.payload.y)", "spreads");
    check("$.x = 1", "compare with `==`");
    check("$.x == null", "write `none`");
    check("$.x && $.y", "unexpected '&'");
    check("2 *", "it ends where a value is expected");
    check("2 * (3", "it ends where `)` is expected");
    check("1 2", "there is `2` at character 3");
    check("$.x[]", "empty brackets");
    check("$.x[1.5]", "an index is a whole number");
    check("'\\u12'", "an escape that cannot be read");
    check("", "is empty");
    check(&"1+".repeat(300), "more than");
    check(&"1".repeat(3000), "longer than");
    check(&format!("{}1{}", "(".repeat(100), ")".repeat(100)), "nested deeper");
}

/// What is known only when the event is there fails then, and says what and where.
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
        "`old` of `replace` as a string, not a number",
    );
    check("$.name | from_json", "not JSON");
    check("$.name is even", "`even` needs a whole number, not a string");
    check("$.n is divisibleby 0", "divides by zero");
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
