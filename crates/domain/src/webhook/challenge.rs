//! The handshake with which a sender verifies that an address belongs to its receiver.
//!
//! Slack sends a signed body. Others put a text into the query, unsigned, and expect it back as text:
//! `"challenge": {"query": "validationToken"}` (Microsoft Graph), or `{"query": "hub.challenge", "when": {"hub.verify_token":
//! "…"}}` (`WebSub`, Meta).

use serde_json::Value;

/// A query parameter that is sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryChallenge {
    pub query: String,
    /// Parameters that must have these values.
    pub when: Vec<(String, String)>,
}

/// The response to a request with a query challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake {
    Answer(String),
    /// The parameter whose value differs from the configured one.
    Wrong(String),
}

impl QueryChallenge {
    /// Parses the field of a configuration.
    pub(super) fn parse(value: &Value) -> Result<Self, &'static str> {
        const SHAPE: &str =
            r#"must be {"query": "<parameter>"}, with "when": {"<parameter>": "<text>"} for what must also hold"#;
        let fields = value.as_object().ok_or(SHAPE)?;
        if fields.keys().any(|name| !["query", "when"].contains(&name.as_str())) {
            return Err(SHAPE);
        }
        let query = fields
            .get("query")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty());
        let mut when = Vec::new();
        if let Some(given) = fields.get("when").filter(|given| !given.is_null()) {
            for (name, value) in given.as_object().ok_or(SHAPE)? {
                when.push((name.clone(), value.as_str().ok_or(SHAPE)?.to_owned()));
            }
        }
        Ok(Self {
            query: query.ok_or(SHAPE)?.to_owned(),
            when,
        })
    }

    /// None when the query does not contain the parameter.
    pub fn handshake(&self, query: &Value) -> Option<Handshake> {
        let challenge = query[&self.query].as_str().filter(|text| !text.is_empty())?;
        let wrong = self.when.iter().find(|(name, value)| query[name] != **value);
        Some(match wrong {
            Some((name, _)) => Handshake::Wrong(name.clone()),
            None => Handshake::Answer(challenge.to_owned()),
        })
    }
}
