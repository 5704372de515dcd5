//! What Jinja2 3.1.6 (the release on `PyPI`) gives for the same templates: `jinja2.Environment().from_string(template).render(p=…)`
//! with the payload below as `p`. Where Attune differs on purpose (docs/reference/expressions.md), the table has no row.

use super::tests::render_one;
use serde_json::{Value, json};

fn payload() -> Value {
    json!({
        "name": "Ada Lovelace", "s": "they're here-now (and) [then] x_y", "o": {"b": 2, "B": 1, "a": 3},
        "v": {"x": "b", "y": "A", "z": "c"}, "n": 5, "f": 2.5, "tags": ["b", "a"], "long": "The quick brown fox jumps",
    })
}

/// A template and its text in Jinja2.
const GIVES: &[(&str, &str)] = &[
    ("{# only a comment #}", ""),
    ("a{# b #}c", "ac"),
    ("a {#- b -#} c", "ac"),
    ("{# {{ nope }} #}x", "x"),
    ("{# a #}{# b #}", ""),
    ("{{ 1 }}{# x #}", "1"),
    ("{{ p.long | truncate(20) }}", "The quick brown fox jumps"),
    ("{{ p.long | truncate(21) }}", "The quick brown fox jumps"),
    ("{{ p.long | truncate(25) }}", "The quick brown fox jumps"),
    ("{{ p.long | truncate(10) }}", "The..."),
    ("{{ p.long | truncate(10, true) }}", "The qui..."),
    ("{{ p.long | truncate(20, true) }}", "The quick brown fox jumps"),
    ("{{ p.long | truncate(19, true) }}", "The quick brown ..."),
    ("{{ p.long | truncate(10, true, '') }}", "The quick "),
    ("{{ p.long | truncate(20, leeway=0) }}", "The quick brown..."),
    ("{{ p.long | truncate(20, false, '…', 0) }}", "The quick brown…"),
    ("{{ p.long | truncate(3) }}", "..."),
    ("{{ 'abcdefghijkl' | truncate(5) }}", "ab..."),
    ("{{ 'abcdefghijkl' | truncate(9) }}", "abcdefghijkl"),
    ("{{ p.long | truncate }}", "The quick brown fox jumps"),
    ("{{ p.long | truncate(length=9, end='!') }}", "The!"),
    ("{{ p.s | title }}", "They're Here-Now (And) [Then] X_y"),
    ("{{ 'HELLO wOrLD' | title }}", "Hello World"),
    ("{{ 'a-b c_d' | title }}", "A-B C_d"),
    (r#"{{ "o'neil" | title }}"#, "O'neil"),
    ("{{ '<b>x {y [z (w' | title }}", "<B>x {Y [Z (W"),
    ("{{ 'x1y 2nd' | title }}", "X1y 2nd"),
    ("{{ '  a\tb\nc' | title }}", "  A\tB\nC"),
    ("{{ p.s.title() }}", "They'Re Here-Now (And) [Then] X_Y"),
    (r#"{{ "o'neil x1y".title() }}"#, "O'Neil X1Y"),
    ("{{ 'straße éa' | title }}", "Straße Éa"),
    ("{{ '' | title }}", ""),
    (
        "{{ p.o | dictsort | join(',') if false else (p.o | dictsort | map('first') | join(',')) }}",
        "a,b,B",
    ),
    ("{{ p.o | dictsort(true) | map('first') | join(',') }}", "B,a,b"),
    ("{{ p.o | dictsort(by='value') | map('first') | join(',') }}", "B,b,a"),
    (
        "{{ p.o | dictsort(false, 'value') | map('first') | join(',') }}",
        "B,b,a",
    ),
    ("{{ p.o | dictsort(reverse=true) | map('first') | join(',') }}", "b,B,a"),
    (
        "{{ p.o | dictsort(false, 'value', true) | map('last') | join(',') }}",
        "3,2,1",
    ),
    ("{{ p.v | dictsort(by='value') | map('first') | join(',') }}", "y,x,z"),
    (
        "{{ p.v | dictsort(true, by='value') | map('first') | join(',') }}",
        "y,x,z",
    ),
    (
        "{{ p.o | dictsort(case_sensitive=true, reverse=true) | map('first') | join(',') }}",
        "b,a,B",
    ),
    ("{{ 'hELLO wORLD' | capitalize }}", "Hello world"),
    ("{{ '  x ' | trim }}", "x"),
    ("{{ 'xxaxx' | trim('x') }}", "a"),
    ("{{ p.tags | join(', ') }}", "b, a"),
    ("{{ p.n | default(3) }}", "5"),
    ("{{ p.nope | default('x') }}", "x"),
    ("{{ '' | default('x', true) }}", "x"),
    ("{{ 42.55 | round }}", "43.0"),
    ("{{ 42.55 | round(1, 'floor') }}", "42.5"),
    ("{{ 7 | round }}", "7"),
    ("{{ '12.7' | int }}", "12"),
    ("{{ '0x1f' | int(0, 16) }}", "31"),
    ("{{ 'x' | int(7) }}", "7"),
    ("{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }}", "3 -4 1 2"),
    ("{{ 2 ** 3 ** 2 }}", "64"),
    ("{{ 7 / 2 }} {{ 4 / 2 }}", "3.5 2.0"),
    ("{{ 'a' ~ 1 ~ 'b' }}", "a1b"),
    ("{{ 'yes' if 'b' in p.tags else 'no' }}", "yes"),
    ("{{ p.name[0] }}{{ p.name[-1] }}{{ p.name[0:3] }}", "AeAda"),
    ("{{ p.name.split(' ')[1] }}", "Lovelace"),
    ("{{ p.name | replace('A', 'a') }}", "ada Lovelace"),
    ("{{ p.name | replace('a', 'o', 1) }}", "Ado Lovelace"),
    ("{{ p.name | upper | lower | length }}", "12"),
    ("{{ p.tags | first }}{{ p.tags | last }}", "ba"),
    ("{{ [3,1,2] | sort | join }}", "123"),
    ("{{ [3,1,2] | sort(true) | join }}", "321"),
    ("{{ [3,1,2] | max }}{{ [3,1,2] | min }}{{ [3,1,2] | sum }}", "316"),
    ("{{ p.tags | reverse | join }}", "ab"),
    ("{{ 'abc' | reverse }}", "cba"),
    ("{{ 'yes' if p.n is odd else 'no' }}", "yes"),
    ("{{ 'yes' if p.n is divisibleby 5 else 'no' }}", "yes"),
    ("{{ 'yes' if p.nope is defined else 'no' }}", "no"),
    ("{{ p['name'] }}", "Ada Lovelace"),
    ("{% if p.n > 3 %}a{% elif p.n > 1 %}b{% else %}c{% endif %}", "a"),
    ("a {%- if true %} b {% endif -%} c", "a b c"),
    ("{{ 'it' 's' }}", "its"),
    (r#"{{ "a\nb" }}"#, "a\nb"),
    ("{{ (1, 2)[1] }}", "2"),
    ("{{ 'ok' if 1 < 2 < 3 else 'no' }}", "ok"),
    ("{{ 'x' if not false else 'y' }}", "x"),
    ("{{ -2 ** 2 }}", "4"),
    ("{{ p.o | length }}", "3"),
    ("{{ p.name | lower | replace(' ', '-') }}", "ada-lovelace"),
    ("{{ p.nope.x | default('y') if false else 'z' }}", "z"),
    ("{{ ['a','b','a'] | unique | join }}", "ab"),
    ("{{ [{'n':1},{'n':2}] | map(attribute='n') | join('+') }}", "1+2"),
    (
        "{{ [{'n':1},{'n':2}] | selectattr('n', 'gt', 1) | map(attribute='n') | join }}",
        "2",
    ),
    ("{{ [1,2,3] | reject('odd') | join }}", "2"),
    ("{{ p.f | int }}", "2"),
    ("{{ 5 | float }}", "5.0"),
    ("{{ -5 | abs }}", "5"),
    ("{{ 3 * 2 }}", "6"),
    ("{{ 'a,b,,c'.split(',') | length }}", "4"),
    ("{{ ' a  b '.split() | join('|') }}", "a|b"),
    ("{{ 'x'.startswith('x') | string | lower }}", "true"),
    ("{{ 'abc'[::-1] }}", "cba"),
    ("{{ 'abc'[1:] }}", "bc"),
    ("{{ [1,2,3][-2:] | join }}", "23"),
];

#[test]
fn templates_give_what_jinja_gives() {
    for (template, expected) in GIVES {
        let ours = template.replace("p.", "event.payload.").replace("p[", "event.payload[");
        let found =
            render_one(&Value::from(ours.as_str()), payload()).unwrap_or_else(|error| panic!("{template}: {error}"));
        let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        assert_eq!(found, *expected, "{template}");
    }
}

/// What Jinja2 does not accept either, or what means something else there: refused when it is written, with what to write.
const REFUSED: &[(&str, &str)] = &[
    ("{{ p.n && p.f }}", "write `and`"),
    ("{{ p.n || p.f }}", "write `or`"),
    ("{{ !p.n }}", "write `not`"),
    ("{% if p.n > 1 && p.f > 1 %}x{% endif %}", "write `and`"),
    ("{{ p.n === 5 }}", "write `==`"),
    ("{{ p.n !== 5 }}", "write `!=`"),
    ("{{ p.n <> 5 }}", "write `!=`"),
    ("{{ p.n ? 1 : 2 }}", "write `a if condition else b`"),
    ("{{ p.x ?? 2 }}", "write `value | default(other)`"),
    ("{{ $p.x }}", "write the name alone"),
    ("{{ p.my-field }}", "write `event.payload['my-field']`"),
    ("{{ p.a.x-request-id.b }}", "write `event.payload.a['x-request-id']`"),
    ("{{ p.content-type | upper }}", "write `event.payload['content-type']`"),
    ("{{ p.is-open == 1 }}", "write `event.payload['is-open']`"),
    ("{{ p.my-event }}", "write `event.payload['my-event']`"),
    ("{{ p.my-rule == 1 }}", "write `event.payload['my-rule']`"),
    ("{{ p['a'].b-c }}", "write `event.payload['a']['b-c']`"),
    ("{{ p.long | truncate(2) }}", "give a shorter end"),
    ("{{ p.o | dictsort(by='size') }}", "'key' or 'value'"),
    ("{{ p.o | dictsort(by='value', order=1) }}", "dictsort"),
    ("{# open {{ 1 }}", "`#}` is missing"),
];

#[test]
fn other_languages_are_refused_with_advice() {
    for (template, advice) in REFUSED {
        let ours = template.replace("p.", "event.payload.").replace("p[", "event.payload[");
        let error = render_one(&Value::from(ours.as_str()), payload()).expect_err(template);
        assert!(error.contains(advice), "{template}: {error}");
    }
}

#[test]
fn subtraction_is_not_a_hyphen() {
    for (template, expected) in [
        ("{{ event.payload.n - event.payload.f }}", json!(2.5)),
        ("{{ event.payload.n-event.payload.f }}", json!(2.5)),
        ("{{ event.payload.n -1 }}", json!(4)),
        ("{{ event.payload.n-1 }}", json!(4)),
        ("echo ${#list} {#", json!("echo ${#list} {#")),
    ] {
        assert_eq!(
            render_one(&Value::from(template), payload()),
            Ok(expected),
            "{template}"
        );
    }
}
