//! The resource limits of one run of an action: `resources: {memory_mb, cpu, processes, files}`.

use crate::{FieldErrors, whole};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

const MEMORY_MB: (u64, u64) = (16, 1_048_576);
const CPU: (f64, f64) = (0.01, 1_024.0);
const PROCESSES: (u64, u64) = (1, 32_768);
/// A shell needs a few file descriptors to start a program.
const FILES: (u64, u64) = (16, 1_048_576);

const NAMES: [&str; 4] = ["memory_mb", "cpu", "processes", "files"];

/// Limits of one run. A field that is left out has the default of the worker's settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// MiB of memory for each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// Processors: each process may use this many times the action's `timeout_seconds` of CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Processes and threads at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Open files of each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

impl Resources {
    /// Parses and validates user input.
    pub fn parse(value: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let fields = crate::policy::fields("resources", value, &NAMES, &mut errors);
        let mut whole = |name: &str, (least, most): (u64, u64)| {
            let field = fields.get(name).filter(|field| !field.is_null())?;
            let number = whole::read(name, field, least..=most);
            number
                .map_err(|message| errors.add(format!("resources.{name}"), message))
                .ok()
        };
        let (memory_mb, processes, files) = (
            whole("memory_mb", MEMORY_MB),
            whole("processes", PROCESSES),
            whole("files", FILES),
        );
        let cpu = fields.get("cpu").filter(|field| !field.is_null()).and_then(|field| {
            let number = whole::decimal("cpu", field, CPU.0..=CPU.1);
            number.map_err(|message| errors.add("resources.cpu", message)).ok()
        });
        errors.into_result().map(|()| Self {
            memory_mb,
            cpu,
            processes,
            files,
        })
    }

    /// These limits, completed by those of the argument.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            memory_mb: self.memory_mb.or(other.memory_mb),
            cpu: self.cpu.or(other.cpu),
            processes: self.processes.or(other.processes),
            files: self.files.or(other.files),
        }
    }

    /// A message about the first limit that exceeds `most`.
    pub fn excess(&self, most: &Self) -> Option<String> {
        #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^52")]
        let number = |bound: Option<u64>| bound.map(|bound| bound as f64);
        let pairs = [
            (NAMES[0], number(self.memory_mb), number(most.memory_mb)),
            (NAMES[1], self.cpu, most.cpu),
            (NAMES[2], number(self.processes), number(most.processes)),
            (NAMES[3], number(self.files), number(most.files)),
        ];
        pairs.into_iter().find_map(|(name, requested, most)| {
            let (requested, most) = (requested?, most?);
            (requested > most).then(|| format!("resources.{name} is {requested}, and the worker allows at most {most}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bounds_are_read() {
        let all = json!({"memory_mb": 512, "cpu": 0.5, "processes": 64, "files": 256});
        let expected = Resources {
            memory_mb: Some(512),
            cpu: Some(0.5),
            processes: Some(64),
            files: Some(256),
        };
        assert_eq!(Resources::parse(&all).unwrap(), expected);
        assert_eq!(Resources::parse(&json!({})).unwrap(), Resources::default());
        assert_eq!(Resources::parse(&json!({"cpu": null})).unwrap(), Resources::default());
    }

    #[test]
    fn errors_are_named() {
        let cases = [
            (json!({"memory_mb": 0}), "resources.memory_mb"),
            (json!({"memory_mb": 1.5}), "resources.memory_mb"),
            (json!({"memory_mb": "512"}), "resources.memory_mb"),
            (json!({"memory_mb": -1}), "resources.memory_mb"),
            (json!({"memory_mb": 1_048_577}), "resources.memory_mb"),
            (json!({"cpu": 0}), "resources.cpu"),
            (json!({"cpu": "1"}), "resources.cpu"),
            (json!({"cpu": 2000}), "resources.cpu"),
            (json!({"processes": 0}), "resources.processes"),
            (json!({"processes": true}), "resources.processes"),
            (json!({"files": 3}), "resources.files"),
            (json!({"files": [1]}), "resources.files"),
            (json!({"memory": 512}), "resources.memory"),
        ];
        for (value, path) in cases {
            let errors = Resources::parse(&value).unwrap_err().into_vec();
            assert_eq!(errors[0].path, path, "{value}");
        }
        for value in [json!(5), json!([]), json!("much"), json!(true)] {
            assert!(Resources::parse(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn an_action_stays_within_what_its_worker_allows() {
        let most = Resources::parse(&json!({"memory_mb": 100, "cpu": 2})).unwrap();
        let requested = |value| Resources::parse(&value).unwrap();
        assert_eq!(
            requested(json!({"memory_mb": 100, "cpu": 2, "files": 99})).excess(&most),
            None
        );
        let excess = requested(json!({"memory_mb": 101})).excess(&most).unwrap();
        assert!(
            excess.contains("resources.memory_mb is 101") && excess.contains("100"),
            "{excess}"
        );
        assert_eq!(requested(json!({"cpu": 1})).or(most).memory_mb, Some(100));
        assert_eq!(requested(json!({"cpu": 1})).or(most).cpu, Some(1.0));
    }
}
