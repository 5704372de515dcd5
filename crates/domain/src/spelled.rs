//! One spelling of a word in Rust, PostgreSQL, JSON and the documentation.

/// Declares an enum whose variants are written in snake case everywhere.
///
/// The words are `tt` and not `literal`: a derive does not see through the latter, and would document the names in Rust.
macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:tt),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text"))]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                #[serde(rename = $text)]
                #[cfg_attr(feature = "sqlx", sqlx(rename = $text))]
                $variant,
            )*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::spelled::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| $crate::spelled::UnknownWord {
                    word: text.to_owned(),
                    known: Self::ALL.iter().map(|word| word.as_str()).collect(),
                })
            }
        }
    };
}

pub(crate) use spelled;

/// The known word that is at most two letters away.
pub fn closest_match<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().filter(|known| known.len().abs_diff(word.len()) <= 2);
    let near = near.map(|known| (strsim::levenshtein(word, known), *known));
    near.filter(|(off, known)| *off <= 2 && *off < known.len())
        .min()
        .map(|(_, known)| known)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of {}", known.join(", "))]
pub struct UnknownWord {
    pub word: String,
    pub known: Vec<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_match_finds_typos() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(closest_match(word, &crate::event::FIELDS), expected, "{word}");
        };
        check("paylod", Some("payload"));
        check("payloads", Some("payload"));
        check("palyoad", Some("payload"));
        check("recieved_at", Some("received_at"));
        check("body", None);
        check("x", None);
        check("", None);
        check(&"payload".repeat(10_000), None);
    }
}
