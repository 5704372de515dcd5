//! The environment of an action: an allow-list, never the worker's own.
//!
//! `attune_domain::variables` decides which parameters become variables.

use super::{invocation::Invocation, settings::Settings};
use serde_json::Value;
use std::{borrow::Cow, path::Path};

/// Longer values are passed as JSON on standard input only: the kernel refuses a string of 128 KiB.
const VALUE_MAX: usize = 64 << 10;

/// All variables of an action, in increasing precedence.
pub(super) fn compose(settings: &Settings, invocation: &Invocation, scratch_path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let scratch = scratch_path.as_os_str().as_encoded_bytes();
    let mut all = from_parameters(&invocation.parameters, &invocation.variables);
    all.push(pair("PATH", &settings.path));
    all.push(pair("LANG", &settings.lang));
    all.extend(settings.time_zone.iter().map(|zone| pair("TZ", zone)));
    all.extend(settings.passed.iter().map(|(name, value)| pair(name, value)));
    all.push((b"HOME".to_vec(), scratch.to_vec()));
    all.push((b"TMPDIR".to_vec(), scratch.to_vec()));
    all.extend(invocation.environment.iter().map(|(name, value)| pair(name, value)));
    if let Some(directory) = &invocation.pack_dir {
        let directory = directory.as_os_str().as_encoded_bytes().to_vec();
        all.push((b"ATTUNE_PACK_DIR".to_vec(), directory));
    }
    for file in &invocation.files {
        let path = scratch_path.join(file.file_name());
        all.push((
            format!("ATTUNE_SECRET_{}_FILE", file.name).into_bytes(),
            path.as_os_str().as_encoded_bytes().to_vec(),
        ));
    }
    all.push(pair("ATTUNE_EXECUTION_ID", &invocation.execution_id.to_string()));
    all.push(pair("ATTUNE_ATTEMPT", &invocation.attempt.to_string()));
    all.push(pair("ATTUNE_RESULT_FD", "3"));
    all
}

fn from_parameters(parameters: &Value, variables: &[String]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let named = variables.iter().filter_map(|name| Some((name, parameters.get(name)?)));
    named
        .filter_map(|(name, value)| Some(pair(name, &variable(value)?)))
        .collect()
}

/// The value as a string, if a variable can hold it. Null leaves the variable unset, as `${name:-default}` expects.
fn variable(value: &Value) -> Option<Cow<'_, str>> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_string()),
    };
    (text.len() <= VALUE_MAX && !text.contains('\0')).then_some(text)
}

fn pair(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.into(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(parameters: &Value, variables: &[&str], expected: &[(&str, &str)]) {
        let variables: Vec<String> = variables.iter().map(|name| (*name).to_owned()).collect();
        let found = from_parameters(parameters, &variables);
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (str::from_utf8(name).unwrap(), str::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn strings_are_plain_and_the_rest_is_json() {
        check(
            &json!({"a": "x y", "b": 1, "c": true, "d": {"e": ["f"]}, "g": null, "h_2": ""}),
            &["a", "b", "c", "d", "g", "h_2"],
            &[
                ("a", "x y"),
                ("b", "1"),
                ("c", "true"),
                ("d", r#"{"e":["f"]}"#),
                ("h_2", ""),
            ],
        );
    }

    #[test]
    fn only_named_parameters_become_variables() {
        check(&json!({"a": "x", "http_proxy": "y"}), &["a", "missing"], &[("a", "x")]);
    }

    #[test]
    fn values_that_do_not_fit_are_only_on_standard_input() {
        check(&json!({"a": "x".repeat(VALUE_MAX + 1), "b": "nul\0"}), &["a", "b"], &[]);
        check(&json!(["not", "an", "object"]), &["a"], &[]);
    }
}
