//! The definitions of an automation. Needs no server.

use super::Quick;
use crate::{failure::Failure, noun::schedule, view::moment::Zone};
use serde_json::{Value, json};

#[derive(Debug)]
pub struct Plan {
    pub name: String,
    action: Value,
    trigger: Option<Value>,
    rule: Value,
    /// The generated secret of a webhook.
    pub secret: Option<String>,
}

impl Plan {
    pub fn of(options: &Quick) -> anyhow::Result<Self> {
        let when = &options.when;
        let line = match options.words.as_slice() {
            [] => {
                return Err(Failure::usage("the command is missing: write it after --, such as -- echo hello").into());
            }
            [line] => line.clone(),
            words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        };
        let given = [&when.every, &when.cron, &when.at, &when.webhook, &when.event];
        if given.into_iter().flatten().count() != 1 {
            return Err(Failure::usage("give one of --every, --cron, --at, --webhook and --event").into());
        }
        let name = match options.name.as_ref().or(when.webhook.as_ref()) {
            Some(name) => name.clone(),
            None => named_after(&line),
        };
        let mut rule = json!({"action_ref": "", "enabled": true});
        let (mut trigger, mut secret) = (None, None);
        let timer = schedule(when.every.as_deref(), when.cron.as_deref(), when.at.as_deref())?;
        if let Some(mut config) = timer {
            let zone = match options.common.output.zone {
                Some(Zone::Named(zone)) if when.cron.is_some() => Some(zone.to_string()),
                _ => None,
            };
            if let Some(zone) = when.timezone.clone().or(zone) {
                config.insert("timezone".to_owned(), json!(zone));
            }
            rule["trigger"] = config.into();
        } else if let Some(event) = &when.event {
            rule["trigger_ref"] = json!(event);
        } else {
            let verify = when.verify.as_deref().unwrap_or("none");
            let mut config = json!({"verify": verify});
            if verify != "none" {
                let new = random_secret();
                config["secret"] = json!(new);
                secret = Some(new);
            }
            trigger = Some(json!({"label": line, "kind": "webhook", "config": config}));
        }
        let mut action = json!({"runtime_ref": "core.shell", "entry_point": line});
        if rule["trigger"].is_null() {
            // Only declared parameters become environment variables.
            action["parameters_schema"] = json!({"type": "object", "properties": {"payload": {}}});
            rule["action_params"] = json!({"payload": "{{ event.payload }}"});
        }
        if let Some(condition) = &options.condition {
            rule["condition"] = json!(expression(condition));
        }
        let label: String = line.chars().take(100).collect();
        rule["label"] = json!(label);
        action["label"] = json!(label);
        let mut plan = Self {
            name: String::new(),
            action,
            trigger,
            rule,
            secret,
        };
        plan.rename(&name);
        Ok(plan)
    }

    pub fn reference(&self) -> String {
        format!("my.{}", self.name)
    }

    pub fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        let reference = json!(self.reference());
        for object in [Some(&mut self.action), self.trigger.as_mut(), Some(&mut self.rule)]
            .into_iter()
            .flatten()
        {
            object["ref"] = reference.clone();
        }
        self.rule["action_ref"] = reference.clone();
        if self.trigger.is_some() {
            self.rule["trigger_ref"] = reference;
        }
    }

    /// Routes and bodies, in the order of their creation.
    pub fn objects(&self) -> Vec<(&'static str, &Value)> {
        let trigger = self.trigger.as_ref().map(|trigger| ("/api/v1/triggers", trigger));
        let action = Some(("/api/v1/actions", &self.action));
        [action, trigger, Some(("/api/v1/rules", &self.rule))]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The same as documents, each with its noun.
    pub fn documents(&self) -> Vec<Value> {
        let document = |(path, object): (&str, &Value)| {
            let noun = path.trim_start_matches("/api/v1/").trim_end_matches('s');
            let mut document = json!({"noun": noun, "ref": object["ref"]});
            for (name, value) in object.as_object().into_iter().flatten() {
                document[name] = value.clone();
            }
            if let Some(secret) = document["config"].get_mut("secret") {
                *secret = json!("set your own");
            }
            document
        };
        self.objects().into_iter().map(document).collect()
    }
}

/// `payload.total > 100` is short for `event.payload.total > 100`.
fn expression(text: &str) -> String {
    match text.trim_start().strip_prefix("payload") {
        Some(rest) if rest.starts_with(['.', '[']) => format!("event.payload{rest}"),
        _ => text.to_owned(),
    }
}

/// A word as the shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A name from the program of a command line.
fn named_after(line: &str) -> String {
    let program = line.split_whitespace().next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let stem = program.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = stem.chars().map(word).take(40).collect();
    let name = name.trim_matches('_');
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        format!("run_{name}").trim_end_matches('_').to_owned()
    }
}

fn random_secret() -> String {
    let [high, low] = rand::random::<[u128; 2]>();
    format!("{high:032x}{low:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_lines_and_names() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("--x=/y"), "--x=/y");
        assert_eq!(quoted(""), "''");
        for (line, name) in [
            ("echo hi", "echo"),
            ("./scripts/Back-Up.sh now", "back_up"),
            ("/usr/bin/7z x", "run_7z"),
            ("$HOME/x", "x"),
            ("!", "run"),
        ] {
            assert_eq!(named_after(line), name, "{line}");
        }
        assert_eq!(expression("payload.a > 1"), "event.payload.a > 1");
        assert_eq!(expression("event.payload.a > 1"), "event.payload.a > 1");
        assert_eq!(expression("payloads > 1"), "payloads > 1");
    }
}
