//! Writes the definitions of a pack's files. Each verb says what became of its row.
//!
//! The caller's transaction says `attune.loading`, so the database keeps the rows `managed`; a row that a person edited
//! is not managed any more and is left alone. `enabled` is written when a row is made and never again.
//!
//! The tricky thing: [`begin`] takes the row of the definitions counter, which every change of a definition holds until it
//! commits. So nothing changes between a statement's look at a row and its write, and the answer is never stale.

use super::Error;
use crate::packs::{Action, Manifest, Rule, Runtime, Trigger};
use attune_domain::PackId;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    Created,
    Updated,
    Unchanged,
    /// A person edited it, and the file says something else.
    LeftAlone,
}

/// Makes this transaction the load of a pack.
pub async fn begin(tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("select set_config('attune.loading', 'on', true) as loading")
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query!("select version from definitions for update")
        .fetch_one(tx)
        .await
        .map(drop)
}

/// Which of the refs no runtime, trigger or action has.
pub async fn missing(tx: &mut PgConnection, table: Table, refs: &[String]) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select wanted as "wanted!" from unnest($2::text[]) wanted where not exists (
               select from runtime where $1 = 'runtime' and ref = wanted union all
               select from trigger where $1 = 'trigger' and ref = wanted union all
               select from action where $1 = 'action' and ref = wanted)"#,
        table.as_str(),
        refs
    )
    .fetch_all(tx)
    .await
}

/// What a definition can refer to outside of its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Runtime,
    Trigger,
    Action,
}

impl Table {
    fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Trigger => "trigger",
            Self::Action => "action",
        }
    }
}

/// What new timers are judged by.
#[derive(Debug)]
pub struct Present {
    pub now: DateTime<Utc>,
    pub event_keep_days: i32,
}

pub async fn present(tx: &mut PgConnection) -> Result<Present, Error> {
    sqlx::query_as!(
        Present,
        r#"select db_now() as "now!", keep_days as event_keep_days from partitioned_table where name = 'event'"#
    )
    .fetch_one(tx)
    .await
}

/// The configuration that a trigger has now.
pub async fn stored_config(tx: &mut PgConnection, reference: &str) -> Result<Option<Value>, Error> {
    sqlx::query_scalar!("select config from trigger where ref = $1", reference)
        .fetch_optional(tx)
        .await
}

pub async fn pack(tx: &mut PgConnection, file: &Manifest) -> Result<(PackId, Outcome), Error> {
    let written = sqlx::query_scalar!(
        r#"with written as (
               insert into pack as p (ref, label, description, pack_version, enabled)
               values ($1, $2, $3, $4, $5)
               on conflict (ref) do update
                   set label = excluded.label, description = excluded.description, pack_version = excluded.pack_version
                   where p.managed and (p.label, p.description, p.pack_version)
                       is distinct from (excluded.label, excluded.description, excluded.pack_version)
               returning case version when 1 then 'created' else 'updated' end as outcome)
           select outcome as "outcome!: Outcome" from written
           union all
           select case when (label, description, pack_version) is distinct from ($2, $3, $4) then 'left_alone' else 'unchanged' end
           from pack where ref = $1 and not exists (select from written)"#,
        file.r#ref,
        file.label,
        file.description,
        file.version,
        file.enabled
    )
    .fetch_one(&mut *tx)
    .await?;
    let id = sqlx::query_scalar!("select id from pack where ref = $1", file.r#ref)
        .fetch_one(tx)
        .await?;
    Ok((id, written))
}

pub async fn runtime(tx: &mut PgConnection, pack: PackId, file: &Runtime) -> Result<Outcome, Error> {
    sqlx::query_scalar!(
        r#"with written as (
               insert into runtime as r (ref, pack_id, label, description, kind, command, enabled)
               values ($1, $2, $3, $4, $5, $6, $7)
               on conflict (ref) do update
                   set pack_id = excluded.pack_id, label = excluded.label, description = excluded.description,
                       kind = excluded.kind, command = excluded.command
                   where r.managed and (r.pack_id, r.label, r.description, r.kind, r.command)
                       is distinct from (excluded.pack_id, excluded.label, excluded.description, excluded.kind, excluded.command)
               returning case version when 1 then 'created' else 'updated' end as outcome)
           select outcome as "outcome!: Outcome" from written
           union all
           select case when (pack_id, label, description, kind, command) is distinct from ($2, $3, $4, $5, $6)
                  then 'left_alone' else 'unchanged' end
           from runtime where ref = $1 and not exists (select from written)"#,
        file.r#ref.as_str(),
        pack as PackId,
        file.label,
        file.description,
        file.kind as _,
        &file.command,
        file.enabled
    )
    .fetch_one(tx)
    .await
}

pub async fn trigger(tx: &mut PgConnection, pack: PackId, file: &Trigger) -> Result<Outcome, Error> {
    sqlx::query_scalar!(
        r#"with written as (
               insert into trigger as t (ref, pack_id, label, description, kind, config, payload_schema, enabled)
               values ($1, $2, $3, $4, $5, $6, $7, $8)
               on conflict (ref) do update
                   set pack_id = excluded.pack_id, label = excluded.label, description = excluded.description,
                       kind = excluded.kind, config = excluded.config, payload_schema = excluded.payload_schema
                   where t.managed and (t.pack_id, t.label, t.description, t.kind, t.config, t.payload_schema)
                       is distinct from (excluded.pack_id, excluded.label, excluded.description, excluded.kind, excluded.config,
                                         excluded.payload_schema)
               returning case version when 1 then 'created' else 'updated' end as outcome)
           select outcome as "outcome!: Outcome" from written
           union all
           select case when (pack_id, label, description, kind, config, payload_schema) is distinct from ($2, $3, $4, $5, $6, $7)
                  then 'left_alone' else 'unchanged' end
           from trigger where ref = $1 and not exists (select from written)"#,
        file.r#ref.as_str(),
        pack as PackId,
        file.label,
        file.description,
        file.kind as _,
        file.config,
        file.payload_schema.as_ref(),
        file.enabled
    )
    .fetch_one(tx)
    .await
}

pub async fn action(tx: &mut PgConnection, pack: PackId, file: &Action) -> Result<Outcome, Error> {
    sqlx::query_scalar!(
        r#"with file as (
               select $1::text as ref, $2::bigint as pack_id, runtime.id as runtime_id, $4::text as label, $5::text as description,
                      $6::text as entry_point, $7::jsonb as parameters_schema, $8::jsonb as output_schema,
                      $9::text as output_format, $10::text as pool, $11::integer as timeout_seconds, $12::text as on_lost,
                      $13::jsonb as retry, $15::jsonb as concurrency, $14::boolean as enabled, $16::jsonb as resources
               from runtime where runtime.ref = $3),
           written as (
               insert into action as a (ref, pack_id, runtime_id, label, description, entry_point, parameters_schema, output_schema,
                                        output_format, pool, timeout_seconds, on_lost, retry, concurrency, enabled, resources)
               select * from file
               on conflict (ref) do update
                   set pack_id = excluded.pack_id, runtime_id = excluded.runtime_id, label = excluded.label,
                       description = excluded.description, entry_point = excluded.entry_point,
                       parameters_schema = excluded.parameters_schema, output_schema = excluded.output_schema,
                       output_format = excluded.output_format, pool = excluded.pool,
                       timeout_seconds = excluded.timeout_seconds, on_lost = excluded.on_lost, retry = excluded.retry,
                       concurrency = excluded.concurrency, resources = excluded.resources
                   where a.managed and
                       (a.pack_id, a.runtime_id, a.label, a.description, a.entry_point, a.parameters_schema, a.output_schema,
                        a.output_format, a.pool, a.timeout_seconds, a.on_lost, a.retry, a.concurrency, a.resources)
                       is distinct from
                       (excluded.pack_id, excluded.runtime_id, excluded.label, excluded.description, excluded.entry_point,
                        excluded.parameters_schema, excluded.output_schema, excluded.output_format, excluded.pool,
                        excluded.timeout_seconds, excluded.on_lost, excluded.retry, excluded.concurrency,
                        excluded.resources)
               returning case version when 1 then 'created' else 'updated' end as outcome)
           select outcome as "outcome!: Outcome" from written
           union all
           select case when
                  (a.pack_id, a.runtime_id, a.label, a.description, a.entry_point, a.parameters_schema, a.output_schema,
                   a.output_format, a.pool, a.timeout_seconds, a.on_lost, a.retry, a.concurrency, a.resources)
                  is distinct from
                  (f.pack_id, f.runtime_id, f.label, f.description, f.entry_point, f.parameters_schema, f.output_schema,
                   f.output_format, f.pool, f.timeout_seconds, f.on_lost, f.retry, f.concurrency, f.resources)
                  then 'left_alone' else 'unchanged' end
           from action a join file f using (ref) where not exists (select from written)"#,
        file.r#ref.as_str(),
        pack as PackId,
        file.runtime_ref.as_str(),
        file.label,
        file.description,
        file.entry_point,
        file.parameters_schema,
        file.output_schema.as_ref(),
        file.output_format as _,
        file.pool,
        file.timeout_seconds,
        file.on_lost as _,
        file.retry.as_ref(),
        file.enabled,
        file.concurrency.as_ref(),
        file.resources.as_ref()
    )
    .fetch_one(tx)
    .await
}

pub async fn rule(tx: &mut PgConnection, pack: PackId, file: &Rule) -> Result<Outcome, Error> {
    sqlx::query_scalar!(
        r#"with file as (
               select $1::text as ref, $2::bigint as pack_id, $3::text as label, $4::text as description,
                      trigger.id as trigger_id, action.id as action_id, $7::jsonb as condition, $8::jsonb as action_params,
                      $10::jsonb as retry, $11::jsonb as concurrency, $12::jsonb as rate_limit, $9::boolean as enabled
               from trigger, action where trigger.ref = $5 and action.ref = $6),
           written as (
               insert into rule as r (ref, pack_id, label, description, trigger_id, action_id, condition, action_params, retry, concurrency,
                                      rate_limit, enabled)
               select * from file
               on conflict (ref) do update
                   set pack_id = excluded.pack_id, label = excluded.label, description = excluded.description,
                       trigger_id = excluded.trigger_id, action_id = excluded.action_id, condition = excluded.condition,
                       action_params = excluded.action_params, retry = excluded.retry, concurrency = excluded.concurrency,
                       rate_limit = excluded.rate_limit
                   where r.managed and
                       (r.pack_id, r.label, r.description, r.trigger_id, r.action_id, r.condition, r.action_params, r.retry,
                        r.concurrency, r.rate_limit)
                       is distinct from
                       (excluded.pack_id, excluded.label, excluded.description, excluded.trigger_id, excluded.action_id,
                        excluded.condition, excluded.action_params, excluded.retry, excluded.concurrency, excluded.rate_limit)
               returning case version when 1 then 'created' else 'updated' end as outcome)
           select outcome as "outcome!: Outcome" from written
           union all
           select case when (r.pack_id, r.label, r.description, r.trigger_id, r.action_id, r.condition, r.action_params, r.retry,
                             r.concurrency, r.rate_limit)
                  is distinct from (f.pack_id, f.label, f.description, f.trigger_id, f.action_id, f.condition, f.action_params,
                                    f.retry, f.concurrency, f.rate_limit)
                  then 'left_alone' else 'unchanged' end
           from rule r join file f using (ref) where not exists (select from written)"#,
        file.r#ref.as_str(),
        pack as PackId,
        file.label,
        file.description,
        file.trigger_ref.as_str(),
        file.action_ref.as_str(),
        file.condition.as_ref(),
        file.action_params,
        file.enabled,
        file.retry.as_ref(),
        file.concurrency.as_ref(),
        file.rate_limit.as_ref()
    )
    .fetch_one(tx)
    .await
}
