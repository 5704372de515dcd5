//! Ranges that run over the end of their field, against an oracle that walks from value to value.

use super::next;
use crate::timer::cron::Expression;
use serde_json::json;

/// A field: its position among six, its first and last value, and the set that is read.
type Field = (usize, u32, u32, fn(&Expression) -> u64);

const FIELDS: [Field; 6] = [
    (0, 0, 59, |read| read.fields.seconds),
    (1, 0, 59, |read| read.fields.minutes),
    (2, 0, 23, |read| read.fields.hours),
    (3, 1, 31, |read| read.fields.days),
    (4, 1, 12, |read| read.fields.months),
    (5, 0, 6, |read| read.fields.weekdays),
];

/// From `low` on, one value after another and from the last to the first, until `high`; every `step`th of them.
fn walk((min, max): (u32, u32), low: u32, high: u32, step: usize) -> u64 {
    let around = |value: u32| if value == max { min } else { value + 1 };
    let mut value = low;
    let mut walked = vec![value];
    while value != high {
        value = around(value);
        walked.push(value);
    }
    walked.iter().step_by(step).fold(0, |set, value| set | 1 << value)
}

#[test]
fn every_range_of_every_field() {
    for (position, min, max, set) in FIELDS {
        for (low, high) in (min..=max).flat_map(|low| (min..=max).map(move |high| (low, high))) {
            for step in [1, 2, 5] {
                let mut words = ["0", "0", "0", "*", "*", "*"].map(str::to_owned);
                words[position] = format!("{low}-{high}/{step}");
                let text = words.join(" ");
                let Ok(read) = Expression::read(&text) else {
                    panic!("{text} is refused");
                };
                assert_eq!(set(&read), walk((min, max), low, high, step), "{text}");
            }
        }
    }
}

#[test]
fn seven_is_sunday_at_every_place() {
    let weekdays = |field: &str| {
        let read = Expression::read(&format!("0 0 * * {field}")).expect(field);
        read.fields.weekdays
    };
    for (field, days) in [
        ("7", "0"),
        ("7-2", "0,1,2"),
        ("7-7", "0"),
        ("7-0", "0"),
        ("7-6", "0-6"),
        ("0-7", "0-6"),
        ("1-7", "0-6"),
        ("5-7", "5,6,0"),
        ("5-0", "5,6,0"),
        ("6-1", "6,0,1"),
        ("SUN-TUE", "0,1,2"),
        ("FRI-MON", "5,6,0,1"),
        ("SAT-SUN", "6,0"),
        ("7-4/2", "0,2,4"),
        ("FRI-MON/2", "5,0"),
        ("6,7", "6,0"),
    ] {
        assert_eq!(weekdays(field), weekdays(days), "{field}");
    }
}

#[test]
fn expressions_fire_at_their_instants() {
    let days = |expression: &str, n| {
        next(
            &json!({"type": "cron", "expression": expression}),
            "2024-01-01T00:00:00Z",
            n,
        )
    };
    assert_eq!(
        days("0 22-2/2 * * *", 4),
        [
            "2024-01-01T02:00:00Z",
            "2024-01-01T22:00:00Z",
            "2024-01-02T00:00:00Z",
            "2024-01-02T02:00:00Z"
        ]
    );
    assert_eq!(
        days("0 0 1 NOV-FEB *", 3),
        ["2024-02-01T00:00:00Z", "2024-11-01T00:00:00Z", "2024-12-01T00:00:00Z"]
    );
    assert_eq!(
        days("0 0 31-1 * *", 3),
        ["2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"]
    );
}

/// Pasted from a web page or a document.
#[test]
fn every_kind_of_blank_separates() {
    for blank in [
        '\u{a0}', '\u{202f}', '\u{2003}', '\u{3000}', '\u{feff}', '\u{200b}', '\t', '\n',
    ] {
        let text = format!("{blank}0{blank}9{blank}*{blank}*{blank} 1{blank}");
        assert_eq!(Expression::read(&text), Expression::read("0 9 * * 1"), "{blank:?}");
        let nickname = format!("{blank}@daily{blank}");
        assert!(Expression::read(&nickname).is_ok(), "{blank:?}");
    }
}
