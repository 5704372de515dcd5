//! The headers of a request.

use super::refusal::Refusal;
use serde_json::Value;
use std::borrow::Cow;

/// The headers of a request, unchanged.
#[derive(Debug, Clone)]
pub struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Headers<'a> {
    /// Names are in lower case.
    pub fn new(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self(headers.into_iter().collect())
    }

    /// The name of each header, once per occurrence.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// The values of a header.
    pub fn raw(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let of_name = self.0.iter().filter(move |(known, _)| *known == name);
        of_name.map(|(_, value)| *value)
    }

    /// The values of a header that are valid text.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.raw(name).filter_map(|value| std::str::from_utf8(value).ok())
    }

    pub fn first(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// A header as JSON: a string, or a list if it occurs more than once.
    pub fn shown(&self, name: &str) -> Option<Value> {
        let mut values: Vec<Value> = self.raw(name).map(|value| header_text(value).into()).collect();
        match values.len() {
            0 | 1 => values.pop(),
            _ => Some(Value::Array(values)),
        }
    }

    /// The only value of a header. A repeated header is ambiguous.
    pub(super) fn only(&self, name: &str) -> Result<&'a str, Refusal> {
        let mut values = self.0.iter().filter(|(known, _)| *known == name);
        let (Some((_, value)), rest) = (values.next(), values.next()) else {
            return Err(Refusal::Missing(name.to_owned()));
        };
        let malformed = |why| Refusal::Malformed(name.to_owned(), why);
        if rest.is_some() {
            return Err(malformed("it is given twice"));
        }
        std::str::from_utf8(value).map_err(|_| malformed("it is not UTF-8"))
    }
}

/// HTTP does not define the charset of a header: UTF-8 where it is valid, otherwise ISO 8859-1.
fn header_text(value: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(value).map_or_else(|_| value.iter().map(|byte| char::from(*byte)).collect(), Cow::Borrowed)
}
