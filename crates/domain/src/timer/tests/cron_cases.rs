//! The cases in `testdata/cron_cases.json`, made independently with another calendar library.

use crate::{
    TriggerId,
    timer::{Timer, TimerConfig, occurrences},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    expression: String,
    timezone: String,
    after: DateTime<Utc>,
    next: Vec<DateTime<Utc>>,
}

#[test]
fn every_case_of_the_file() {
    let file: File = serde_json::from_str(include_str!("../../../testdata/cron_cases.json")).expect("a readable file");
    assert!(file.cases.len() >= 280, "the file holds {} cases", file.cases.len());
    for case in &file.cases {
        let json = json!({"type": "cron", "expression": case.expression, "timezone": case.timezone});
        let config = TimerConfig::parse(&json).unwrap_or_else(|errors| panic!("{case:?}: {errors}"));
        let timer = Timer::compile(&config, TriggerId(1)).expect("a parsed configuration");
        let found: Vec<_> = occurrences(&timer, case.after, None)
            .take(case.next.len())
            .map(|found| found.scheduled_at)
            .collect();
        assert_eq!(found, case.next, "{case:?}");
    }
}
