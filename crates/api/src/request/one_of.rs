//! A filter that takes one value or several, separated by commas: `status=failed,lost`.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IntoDeserializer as _, value::StrDeserializer},
};
use serde_json::json;
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// The pattern of a list of values that are not an enumeration.
pub const LIST: &str = "^[^,]+(,[^,]+)*$";

const VALUES_MAX: usize = 50;

/// A field of a form names it through an alias without arguments, such as [`Texts`]: for a type with arguments, utoipa's
/// derive calls a trait that is not public.
#[derive(Debug, Clone)]
pub struct OneOf<T>(pub Vec<T>);

pub type Texts = OneOf<String>;

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
                    "contains an empty value: write one value, or several separated by commas",
                ));
            }
            if !words.contains(&word) {
                words.push(word);
            }
        }
        if words.len() > VALUES_MAX {
            return Err(D::Error::custom(format!(
                "has {} values; at most {VALUES_MAX} are allowed",
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

/// A string with a pattern, because `a,b` is not a member of an enumeration.
impl<T: ToSchema> PartialSchema for OneOf<T> {
    fn schema() -> RefOr<Schema> {
        let one = json!(T::schema());
        let values: Vec<&str> = one["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|value| value.as_str())
            .collect();
        let any = values.join("|");
        let pattern = if values.is_empty() {
            LIST.to_owned()
        } else {
            format!("^({any})(,({any}))*$")
        };
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
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
        let error = statuses("failed,broken").expect_err("an unknown value");
        assert!(error.starts_with("must be one of waiting, "), "{error}");
        let many: Vec<_> = (0..51).map(|n| format!("core.a{n}")).collect();
        assert!(read::<String>(&many.join(",")).is_err());
        assert!(read::<String>(&many[1..].join(",")).is_ok());
    }
}
