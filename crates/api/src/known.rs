//! Checks the refs in filters. A ref that never existed is refused, because an empty list would be misleading.

use crate::{problem::Problem, request::OneOf};
use attune_common::store::{
    PgPool,
    known::{self, Noun},
};
use attune_domain::{FieldErrors, spelled::closest_match};

/// The field of a filter, the noun of its refs, and the refs.
pub type Given<'a> = (&'static str, Noun, Option<&'a OneOf<String>>);

pub async fn check(pool: &PgPool, filters: &[Given<'_>]) -> Result<(), Problem> {
    let mut errors = FieldErrors::new();
    for (field, noun, refs) in filters {
        let Some(refs) = refs else { continue };
        for unknown in known::unknown(pool, *noun, &refs.0).await? {
            errors.add(*field, unknown_ref(pool, *noun, &unknown).await?);
        }
    }
    Ok(errors.into_result()?)
}

async fn unknown_ref(pool: &PgPool, noun: Noun, unknown: &str) -> Result<String, Problem> {
    let shown: String = unknown.chars().take(128).collect();
    let noun_text = noun.as_str();
    let refs = known::refs(pool, noun).await?;
    Ok(match closest(unknown, &refs) {
        Some(meant) => format!("{noun_text} {shown} not found; did you mean {meant}?"),
        None => format!("{noun_text} {shown} not found; GET /api/v1/{noun_text}s lists them"),
    })
}

/// The most similar ref, or one with the same name in another pack.
fn closest<'a>(unknown: &str, refs: &'a [String]) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let all: Vec<&str> = refs.iter().map(String::as_str).collect();
    let name_of = |reference: &str| reference.split_once('.').map_or("", |(_, name)| name).to_owned();
    let name = unknown.split_once('.').map_or(unknown.as_str(), |(_, name)| name);
    closest_match(&unknown, &all).or_else(|| all.iter().copied().find(|known| name_of(known) == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_refs() {
        let refs = ["acme.report", "core.echo", "core.sleep"].map(str::to_owned);
        let check = |unknown: &str, expected: Option<&str>| assert_eq!(closest(unknown, &refs), expected, "{unknown}");
        check("core.ehco", Some("core.echo"));
        check("core.echoo", Some("core.echo"));
        check("Core.Echo", Some("core.echo"));
        check("echo", Some("core.echo"));
        check("core.report", Some("acme.report"));
        check("core.nothing", None);
        check("", None);
    }
}
