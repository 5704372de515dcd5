//! Health of definitions: lists the rows that were written past the API and cannot be used, each with its wrong fields.
//!
//! Definitions are read again only when their counter has moved, a page at a time, so that a change of one among
//! thousands costs the deciding loop nothing.

use attune_common::{
    health::Status,
    service::Context,
    store::{Error, Page, PgPool, action, rule, rule_set, trigger, with_default_timeout},
};
use attune_domain::{
    FieldErrors,
    definition::{CorruptDefinition, Definition},
};
use serde_json::json;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
const PAGE: u16 = 200;
/// The answer of `/health` stays short.
const LISTED_MAX: usize = 20;

/// Watches until the process stops.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let mut known = Known::default();
    loop {
        if let Err(error) = known.renew(&context.pool).await {
            tracing::debug!(%error, "failed to check definitions; retrying");
        }
        let status = if known.corrupt.is_empty() {
            Status::Ok
        } else {
            Status::Degraded
        };
        let listed = &known.corrupt[..known.corrupt.len().min(LISTED_MAX)];
        let detail = json!({"corrupt": known.corrupt.len(), "definitions": listed});
        context.health.report("definitions", status, detail);
        tokio::select! {
            () = context.stopping().cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What is corrupt, as of one value of the definitions counter.
#[derive(Debug, Default)]
struct Known {
    version: Option<i64>,
    corrupt: Vec<String>,
}

impl Known {
    async fn renew(&mut self, pool: &PgPool) -> Result<(), Error> {
        let version = with_default_timeout(rule_set::version(pool)).await?;
        if self.version != Some(version) {
            self.corrupt = corrupt(pool).await?;
            self.version = Some(version);
        }
        Ok(())
    }
}

async fn corrupt(pool: &PgPool) -> Result<Vec<String>, Error> {
    let mut corrupt = Vec::new();
    let mut after = None;
    loop {
        let page = Page { after, limit: PAGE };
        let rows = with_default_timeout(trigger::page(pool, &trigger::Filter::default(), &page)).await?;
        corrupt.extend(rows.iter().filter_map(|trigger| flawed(trigger, trigger.flaws())));
        after = next(&rows);
        if after.is_none() {
            break;
        }
    }
    loop {
        let page = Page { after, limit: PAGE };
        let rows = with_default_timeout(action::page(pool, &action::Filter::default(), &page)).await?;
        corrupt.extend(rows.iter().filter_map(|action| flawed(action, action.flaws())));
        after = next(&rows);
        if after.is_none() {
            break;
        }
    }
    loop {
        let page = Page { after, limit: PAGE };
        let rows = with_default_timeout(rule::page(pool, &rule::Filter::default(), &page)).await?;
        corrupt.extend(rows.iter().filter_map(|rule| flawed(rule, rule.flaws())));
        after = next(&rows);
        if after.is_none() {
            break;
        }
    }
    Ok(corrupt)
}

fn flawed<T: Definition>(definition: &T, flaws: FieldErrors) -> Option<String> {
    let name = || format!("the {} {}", T::NOUN, definition.reference());
    (!flaws.is_empty()).then(|| CorruptDefinition::new(name(), flaws).to_string())
}

/// Where the next page begins; nothing after the last one.
fn next<T: Definition>(rows: &[T]) -> Option<String> {
    let last = rows.last().filter(|_| rows.len() > usize::from(PAGE))?;
    Some(last.reference().to_owned())
}
