//! The examples in docs/reference/ are valid.

use attune_domain::{
    ActionId,
    condition::{Condition, OPERATORS, Quantifier},
    event::FIELDS,
    policy::{Concurrency, RateLimit},
    template::Template,
    timer::TimerConfig,
};
use serde_json::Value;

const REFERENCE: &str = concat!(
    include_str!("../../../../docs/reference/timers.md"),
    include_str!("../../../../docs/reference/conditions.md"),
    include_str!("../../../../docs/reference/expressions.md"),
    include_str!("../../../../docs/reference/actions.md"),
);

#[test]
fn examples_compile() {
    let blocks: Vec<&str> = REFERENCE
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 13);
    for block in blocks {
        let value: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{block}: {error}"));
        let is_condition = value.is_string() || value.get("all").is_some() || value.get("operator").is_some();
        let compiled = if value.get("type").is_some() {
            TimerConfig::parse(&value).map(drop)
        } else if let Some(concurrency) = value.get("concurrency") {
            Concurrency::<ActionId>::parse(concurrency).map(drop)
        } else if let Some(rate) = value.get("rate_limit") {
            RateLimit::parse(rate).map(drop)
        } else if is_condition {
            Condition::compile(&value).map(drop)
        } else {
            Template::compile(&value).map(drop)
        };
        assert_eq!(compiled, Ok(()), "{block}");
    }
}

#[test]
fn every_operator_and_field_is_documented() {
    for operator in OPERATORS.iter().chain(&Quantifier::NAMES) {
        assert!(REFERENCE.contains(&format!("`{operator}`")), "{operator}");
    }
    for field in FIELDS {
        assert!(REFERENCE.contains(&format!("`event.{field}`")), "{field}");
    }
}
