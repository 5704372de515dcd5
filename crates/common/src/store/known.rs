//! Which references exist: as a definition, or as a deleted definition that appears in history.

use super::Error;
use sqlx::PgPool;

/// The kind of a reference in a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    Pack,
    Trigger,
    Action,
    Rule,
}

impl Noun {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Trigger => "trigger",
            Self::Action => "action",
            Self::Rule => "rule",
        }
    }
}

/// The references that exist neither as definitions nor in history.
pub async fn unknown(pool: &PgPool, noun: Noun, refs: &[String]) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select candidate as "candidate!" from unnest($2::text[]) candidate
           where not exists (
               select from pack where $1 = 'pack' and ref = candidate union all
               select from trigger where $1 = 'trigger' and ref = candidate union all
               select from action where $1 = 'action' and ref = candidate union all
               select from rule where $1 = 'rule' and ref = candidate)
           and not exists (
               select from audit where object = $1 || ' ' || candidate union all
               select from audit where object = 'pack ' || split_part(candidate, '.', 1) and verb = 'delete' union all
               select from audit where $1 = 'trigger' and candidate like '%.timer' and object = 'rule ' || left(candidate, -6) union all
               select from execution where $1 = 'action' and action_ref = candidate union all
               select from execution where $1 = 'rule' and rule_ref = candidate union all
               select from enforcement where $1 = 'rule' and rule_ref = candidate)"#,
        noun.as_str(),
        refs
    )
    .fetch_all(pool)
    .await
}

/// References of this kind, for suggestions.
pub async fn refs(pool: &PgPool, noun: Noun) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select ref as "ref!" from (
               select ref from pack where $1 = 'pack' union all
               select ref from trigger where $1 = 'trigger' union all
               select ref from action where $1 = 'action' union all
               select ref from rule where $1 = 'rule') all_refs
           order by ref limit 5000"#,
        noun.as_str()
    )
    .fetch_all(pool)
    .await
}
