//! Fields on the command line: `name=text`, `name:=JSON`, `@FILE` and `-`.

use crate::failure::Failure;
use anyhow::Context as _;
use serde_json::{Map, Value};
use std::{
    fs,
    io::{read_to_string, stdin},
    path::Path,
};

/// The help of an argument that takes fields.
pub const HELP: &str = "Fields: name=TEXT, name:=JSON, @FILE (JSON or YAML), - (JSON from standard input)";

/// The object of these words. `nested`: `config.type=cron` sets a field inside `config`.
pub fn fields(words: &[String], nested: bool) -> anyhow::Result<Map<String, Value>> {
    let mut object = Map::new();
    for word in words {
        if word == "-" {
            let text = read_to_string(stdin()).context("failed to read standard input")?;
            merge(&mut object, parse(&text, "standard input")?, "standard input")?;
        } else if let Some(file) = word.strip_prefix('@') {
            merge(&mut object, file_of(Path::new(file))?, file)?;
        } else {
            let (name, value) = field(word)?;
            let place = if nested { name.split('.').collect() } else { vec![name] };
            set(&mut object, &place, value)?;
        }
    }
    Ok(object)
}

fn field(word: &str) -> anyhow::Result<(&str, Value)> {
    let invalid = || {
        Failure::usage(format!(
            "{word:?} is not a field: write name=TEXT, name:=JSON, @FILE or -"
        ))
    };
    let (name, text) = word.split_once('=').ok_or_else(invalid)?;
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let value = serde_json::from_str(text);
            let value = value.map_err(|error| Failure::usage(format!("{name}: {text:?} is not JSON: {error}")))?;
            (name, value)
        }
        None => (name, Value::String(text.to_owned())),
    };
    if name.is_empty() {
        return Err(invalid().into());
    }
    Ok((name, value))
}

fn set(object: &mut Map<String, Value>, place: &[&str], value: Value) -> anyhow::Result<()> {
    match place {
        [] => {}
        [name] => drop(object.insert((*name).to_owned(), value)),
        [name, inside @ ..] => {
            let inner = object.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else {
                return Err(Failure::usage(format!("{name} has a value already and cannot have fields")).into());
            };
            set(inner, inside, value)?;
        }
    }
    Ok(())
}

fn merge(object: &mut Map<String, Value>, value: Value, what: &str) -> anyhow::Result<()> {
    let Value::Object(fields) = value else {
        return Err(Failure::usage(format!("{what} must contain an object")).into());
    };
    object.extend(fields);
    Ok(())
}

/// A document from a file; `-` is standard input.
pub fn file_of(file: &Path) -> anyhow::Result<Value> {
    if file == Path::new("-") {
        return parse(
            &read_to_string(stdin()).context("failed to read standard input")?,
            "standard input",
        );
    }
    let shown = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| Failure::usage(format!("failed to read {shown}: {error}")))?;
    parse(&text, &shown)
}

/// JSON is YAML.
fn parse(text: &str, what: &str) -> anyhow::Result<Value> {
    serde_norway::from_str(text)
        .map_err(|error| Failure::usage(format!("{what} is neither JSON nor YAML: {error}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(words: &[&str], nested: bool) -> Result<Value, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        fields(&words, nested)
            .map(Value::Object)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn words_become_fields() {
        assert_eq!(
            of(&["message=a=b", "count:=3", "deep.name=x", "list:=[1]"], false),
            Ok(json!({"message": "a=b", "count": 3, "deep.name": "x", "list": [1]}))
        );
        assert_eq!(
            of(&["config.type=cron", "config.expression=* * * * *", "label="], true),
            Ok(json!({"config": {"type": "cron", "expression": "* * * * *"}, "label": ""}))
        );
        for (words, why) in [
            (["message"], "is not a field"),
            (["=x"], "is not a field"),
            (["n:=x"], "is not JSON"),
            (["@/does/not/exist"], "failed to read"),
        ] {
            let error = of(&words, false).expect_err("refused");
            assert!(error.contains(why), "{words:?}: {error}");
        }
        assert!(of(&["a=x", "a.b=y"], true).is_err());
    }
}
