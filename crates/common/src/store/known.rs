//! Which references mean something: a definition that is there, or one that is gone and left a trace in history.

use super::Error;
use sqlx::PgPool;

/// What a reference in a filter names.
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

/// Those of the references that never meant anything, as far as the database still knows.
pub async fn unknown(pool: &PgPool, noun: Noun, refs: &[String]) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select wanted as "wanted!" from unnest($2::text[]) wanted
           where not exists (
               select from pack where $1 = 'pack' and ref = wanted union all
               select from trigger where $1 = 'trigger' and ref = wanted union all
               select from action where $1 = 'action' and ref = wanted union all
               select from rule where $1 = 'rule' and ref = wanted)
           and not exists (
               select from audit where object = $1 || ' ' || wanted union all
               select from audit where object = 'pack ' || split_part(wanted, '.', 1) and verb = 'delete' union all
               select from audit where $1 = 'trigger' and wanted like '%.timer' and object = 'rule ' || left(wanted, -6) union all
               select from execution where $1 = 'action' and action_ref = wanted union all
               select from execution where $1 = 'rule' and rule_ref = wanted union all
               select from enforcement where $1 = 'rule' and rule_ref = wanted)"#,
        noun.as_str(),
        refs
    )
    .fetch_all(pool)
    .await
}

/// References of this kind, to find the one that was meant.
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
