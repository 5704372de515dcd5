//! A filter that takes one value or several, divided by commas: `status=failed,lost`.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IntoDeserializer as _, value::StrDeserializer},
};
use serde_json::json;
use std::borrow::Cow;
use utoipa::{
    __dev::ComposeSchema,
    ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

const VALUES_MAX: usize = 50;

#[derive(Debug, Clone)]
pub struct OneOf<T>(pub Vec<T>);

impl<T: ToString> OneOf<T> {
    /// The values as the database spells them.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let mut words: Vec<&str> = Vec::new();
        for word in text.split(',').map(str::trim) {
            if word.is_empty() {
                return Err(D::Error::custom(
                    "has an empty value: write one value, or several with a comma between two",
                ));
            }
            if !words.contains(&word) {
                words.push(word);
            }
        }
        if words.len() > VALUES_MAX {
            return Err(D::Error::custom(format!(
                "has {} values: at most {VALUES_MAX} at once",
                words.len()
            )));
        }
        let read = |word: &&str| {
            let word: StrDeserializer<'_, D::Error> = (*word).into_deserializer();
            T::deserialize(word)
        };
        words.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// A text, because `a,b` is no member of an enumeration; the pattern tells the words.
impl<T: ToSchema> ComposeSchema for OneOf<T> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        let one = json!(T::schema());
        let words: Vec<&str> = one["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| word.as_str())
            .collect();
        let mut schema = ObjectBuilder::new().schema_type(Type::String);
        if !words.is_empty() {
            let any = words.join("|");
            schema = schema.pattern(Some(format!("^({any})(,({any}))*$")));
        }
        schema.build().into()
    }
}

impl<T: ToSchema> ToSchema for OneOf<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use attune_domain::{execution::ExecutionStatus, json::in_words};
    use serde_json::Value;

    fn read<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
        let read = serde_json::from_value::<OneOf<T>>(Value::from(text));
        read.map(|any| any.0).map_err(|error| in_words(&error))
    }

    #[test]
    fn one_or_several() {
        let statuses = |text: &str| read::<ExecutionStatus>(text);
        assert_eq!(statuses("failed"), Ok(vec![ExecutionStatus::Failed]));
        let both = vec![ExecutionStatus::Failed, ExecutionStatus::Lost];
        assert_eq!(statuses("failed,lost"), Ok(both.clone()));
        assert_eq!(statuses("failed, lost,failed"), Ok(both));
        assert_eq!(
            read::<String>("core.a,7"),
            Ok(vec!["core.a".to_owned(), "7".to_owned()])
        );
        for bad in ["", ",", "failed,", "failed,,lost"] {
            let error = statuses(bad).expect_err(bad);
            assert!(error.contains("empty value"), "{bad:?}: {error}");
        }
        let error = statuses("failed,broken").expect_err("an unknown word");
        assert!(error.starts_with("must be one of waiting, "), "{error}");
        let many: Vec<_> = (0..51).map(|n| format!("core.a{n}")).collect();
        assert!(read::<String>(&many.join(",")).is_err());
        assert!(read::<String>(&many[1..].join(",")).is_ok());
    }
}
