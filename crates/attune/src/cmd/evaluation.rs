//! How a rule evaluated an event, in words.

use serde_json::Value;

/// How a rule evaluated the event, in one line.
pub fn evaluation(rule: &Value) -> String {
    let reason = rule["reason"].as_str();
    match rule["decision"].as_str() {
        Some("enforce") => match rule["enforcement_status"].as_str() {
            None => "matches".to_owned(),
            Some("created") => "matched".to_owned(),
            Some(status) => format!("matched, {status}: {}", reason.unwrap_or("unknown reason")),
        },
        Some("fail") => format!("failed: {}", reason.unwrap_or("unknown reason")),
        _ => match rule["why"]["why"].as_str() {
            Some("disabled") => "is disabled".to_owned(),
            Some("created_later") => "was created after the event".to_owned(),
            _ => clause(&rule["why"]["clause"]),
        },
    }
}

fn clause(clause: &Value) -> String {
    let at = clause["at"].as_str().filter(|at| !at.is_empty());
    let at = at.map(|at| format!("   (condition.{at})")).unwrap_or_default();
    if clause["operator"] == "expression" {
        return format!(
            "does not match: {} is {}{at}",
            str_of(&clause["path"]),
            clause["actual"]
        );
    }
    let actual = match clause["missing"].as_bool() {
        Some(true) => "missing".to_owned(),
        _ => clause["actual"].to_string(),
    };
    format!(
        "does not match: {} {} {}, but it is {actual}{at}",
        str_of(&clause["path"]),
        str_of(&clause["operator"]),
        clause["expected"],
    )
}

pub fn str_of(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_evaluation_fits_into_one_line() {
        let check = |rule: Value, expected: &str| assert_eq!(evaluation(&rule), expected, "{rule}");
        check(json!({"decision": "enforce"}), "matches");
        check(
            json!({"decision": "enforce", "enforcement_status": "created"}),
            "matched",
        );
        check(
            json!({"decision": "enforce", "enforcement_status": "throttled", "reason": "more than 10 in 60 s"}),
            "matched, throttled: more than 10 in 60 s",
        );
        check(
            json!({"decision": "fail", "reason": "x is missing"}),
            "failed: x is missing",
        );
        check(json!({"decision": "skip", "why": {"why": "disabled"}}), "is disabled");
        check(
            json!({"decision": "skip", "why": {"why": "created_later"}}),
            "was created after the event",
        );
        check(
            json!({"decision": "skip", "why": {"why": "condition", "clause":
                {"path": "event.payload.n", "operator": "greater_than", "expected": 5, "actual": 3, "at": "all[0]"}}}),
            "does not match: event.payload.n greater_than 5, but it is 3   (condition.all[0])",
        );
        check(
            json!({"decision": "skip", "why": {"why": "condition", "clause":
                {"path": "event.payload.n > 5", "operator": "expression", "expected": true, "actual": false, "at": ""}}}),
            "does not match: event.payload.n > 5 is false",
        );
    }
}
