use super::next;
use crate::timer::cron::Expression;
use serde_json::json;

/// The first days or times after the Monday 2024-01-01T00:00:00Z, in UTC.
fn check(expression: &str, expected: &[&str]) {
    let found = next(
        &json!({"type": "cron", "expression": expression}),
        "2024-01-01T00:00:00Z",
        expected.len(),
    );
    let expected: Vec<String> = expected.iter().map(|day| format!("{day}Z")).collect();
    assert_eq!(found, expected, "{expression}");
}

fn refused(expression: &str, reason: &str) {
    let error = Expression::parse(expression).expect_err(expression);
    assert!(error.contains(reason), "{expression}: {error}");
}

#[test]
fn five_six_and_seven_fields() {
    check("5 4 * * *", &["2024-01-01T04:05:00", "2024-01-02T04:05:00"]);
    check("6 5 4 * * *", &["2024-01-01T04:05:06", "2024-01-02T04:05:06"]);
    check(
        "6 5 4 1 1 * 2026-2028/2",
        &["2026-01-01T04:05:06", "2028-01-01T04:05:06"],
    );
    check("* * * * * *", &["2024-01-01T00:00:01", "2024-01-01T00:00:02"]);
    check("  5\t4  * * *  ", &["2024-01-01T04:05:00"]);
}

#[test]
fn nicknames() {
    check("@hourly", &["2024-01-01T01:00:00", "2024-01-01T02:00:00"]);
    check("@daily", &["2024-01-02T00:00:00"]);
    check("@midnight", &["2024-01-02T00:00:00"]);
    check("@weekly", &["2024-01-07T00:00:00", "2024-01-14T00:00:00"]);
    check("@monthly", &["2024-02-01T00:00:00"]);
    check("@yearly", &["2025-01-01T00:00:00"]);
    check("@annually", &["2025-01-01T00:00:00"]);
    check("@Daily", &["2024-01-02T00:00:00"]);
    refused("@reboot", "`@reboot` is not a time");
    refused("@minutely", "`@minutely` is not a nickname: write one of `@hourly`");
}

#[test]
fn day_numbers_are_crontabs() {
    check("0 12 * * 0", &["2024-01-07T12:00:00"]);
    check("0 12 * * 7", &["2024-01-07T12:00:00"]);
    check("0 12 * * SUN", &["2024-01-07T12:00:00"]);
    check("0 12 * * 1", &["2024-01-01T12:00:00"]);
    check("0 12 * * mon", &["2024-01-01T12:00:00"]);
    check(
        "0 12 * * 5-7",
        &[
            "2024-01-05T12:00:00",
            "2024-01-06T12:00:00",
            "2024-01-07T12:00:00",
            "2024-01-12T12:00:00",
        ],
    );
    check(
        "0 12 * * FRI-SUN",
        &[
            "2024-01-05T12:00:00",
            "2024-01-06T12:00:00",
            "2024-01-07T12:00:00",
            "2024-01-12T12:00:00",
        ],
    );
    check(
        "0 12 * * 0-1",
        &["2024-01-01T12:00:00", "2024-01-07T12:00:00", "2024-01-08T12:00:00"],
    );
    check(
        "0 12 * * */3",
        &["2024-01-03T12:00:00", "2024-01-06T12:00:00", "2024-01-07T12:00:00"],
    );
    check("0 12 * * 5/2", &["2024-01-05T12:00:00", "2024-01-12T12:00:00"]);
    check("0 12 * * 7/2", &["2024-01-07T12:00:00", "2024-01-14T12:00:00"]);
}

#[test]
fn two_restricted_day_fields_are_one_or_the_other() {
    check(
        "0 0 13 * 5",
        &[
            "2024-01-05T00:00:00",
            "2024-01-12T00:00:00",
            "2024-01-13T00:00:00",
            "2024-01-19T00:00:00",
        ],
    );
    // A field that starts with `*` restricts nothing by itself, so both must match.
    check("0 0 */10 * MON", &["2024-03-11T00:00:00", "2024-04-01T00:00:00"]);
    check("0 0 13 * */5", &["2024-09-13T00:00:00", "2024-10-13T00:00:00"]);
    check("0 0 ? * 5", &["2024-01-05T00:00:00", "2024-01-12T00:00:00"]);
    check("0 0 30 2 1", &["2024-02-05T00:00:00", "2024-02-12T00:00:00"]);
}

#[test]
fn lists_ranges_steps_and_names() {
    check("0 0 1 JAN,jul *", &["2024-07-01T00:00:00", "2025-01-01T00:00:00"]);
    check(
        "0 0 1 JUN-AUG *",
        &[
            "2024-06-01T00:00:00",
            "2024-07-01T00:00:00",
            "2024-08-01T00:00:00",
            "2025-06-01T00:00:00",
        ],
    );
    check(
        "5/20 0 * * *",
        &[
            "2024-01-01T00:05:00",
            "2024-01-01T00:25:00",
            "2024-01-01T00:45:00",
            "2024-01-02T00:05:00",
        ],
    );
    check(
        "10-20/5,40 3 * * *",
        &[
            "2024-01-01T03:10:00",
            "2024-01-01T03:15:00",
            "2024-01-01T03:20:00",
            "2024-01-01T03:40:00",
        ],
    );
    check("*/60 */24 * * *", &["2024-01-02T00:00:00"]);
    check("0 0 29 2 *", &["2024-02-29T00:00:00", "2028-02-29T00:00:00"]);
    check(
        "0 0 31 * *",
        &["2024-01-31T00:00:00", "2024-03-31T00:00:00", "2024-05-31T00:00:00"],
    );
}

#[test]
fn wrong_expressions_are_rejected_with_a_suggestion() {
    refused("", "has 0 fields in place of 5");
    refused("* * * *", "has 4 fields");
    refused("* * * * * * * *", "has 8 fields");
    refused("60 * * * *", "minute `60`: values are 0 to 59");
    refused("* 24 * * *", "hour `24`: values are 0 to 23");
    refused("* * 0 * *", "day of month `0`: values are 1 to 31");
    refused("* * * 13 *", "month `13`: values are 1 to 12 or JAN to DEC");
    refused("* * * * 8", "day of week `8`: values are 0 to 7 or SUN to SAT");
    refused("* * * * MONDAY", "day of week `MONDAY`");
    refused("* * * * * * 1969", "year `1969`: values are 1970 to 2199");
    refused("* * * * * * 2030-2027", "year `2030-2027`: the range runs backwards");
    refused(
        "*/0 * * * *",
        "minute `*/0`: the step must be a whole number from 1 to 60",
    );
    refused("*/61 * * * *", "from 1 to 60");
    refused("*/x * * * *", "the step");
    refused("*/+5 * * * *", "the step");
    refused("+5 * * * *", "minute `+5`");
    refused("1,,2 * * * *", "minute ``");
    refused("1- * * * *", "minute `1-`");
    refused("? * * * *", "minute `?`");
    refused("0 0 L * *", "day of month `L`");
    refused("0 0 15W * *", "day of month `15W`");
    refused("0 0 * * 5#2", "day of week `5#2`");
    refused("99999999999 * * * *", "minute `99999999999`");
    refused(&"* ".repeat(129), "must be at most 256 characters");
}
