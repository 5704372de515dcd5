//! The examples in docs/CONCEPTS.md are valid.

use attune_domain::{
    ActionId,
    condition::{Condition, OPERATORS},
    event::FIELDS,
    policy::{Concurrency, Owner, RateLimit},
    template::Template,
    timer::TimerConfig,
};
use serde_json::Value;

const CONCEPTS: &str = include_str!("../../../../docs/CONCEPTS.md");

#[test]
fn examples_compile() {
    let blocks: Vec<&str> = CONCEPTS
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 10);
    for block in blocks {
        let value: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{block}: {error}"));
        let is_condition = value.is_string() || value.get("all").is_some();
        let compiled = if value.get("type").is_some() {
            TimerConfig::parse(&value).map(drop)
        } else if let Some(concurrency) = value.get("concurrency") {
            Concurrency::parse(concurrency, Owner::Action(ActionId(1))).map(drop)
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
    for operator in OPERATORS {
        assert!(CONCEPTS.contains(&format!("`{operator}`")), "{operator}");
    }
    for field in FIELDS {
        assert!(CONCEPTS.contains(&format!("`event.{field}`")), "{field}");
    }
}
