//! Rules.

use super::{Error, Page, action, trigger};
use attune_domain::{
    ActionId, FieldErrors, PackId, Ref, RuleId, TriggerId,
    definition::{Rule, RuleDraft, no_such},
    on_failure::OnFailure,
    raw::Raw,
    reference::Key,
};
use sqlx::{PgConnection, PgExecutor};

/// What a rule refers to.
#[derive(Debug, Clone, Copy)]
pub struct Links {
    pub pack: PackId,
    pub trigger: TriggerId,
    pub action: ActionId,
}

/// Selects rules.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub pack_ref: Option<&'a [String]>,
    pub trigger_ref: Option<&'a [String]>,
    pub action_ref: Option<&'a [String]>,
    pub enabled: Option<bool>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Rule,
            r#"select r.id, r.ref, p.ref as pack_ref, r.label, r.description, t.ref as trigger_ref,
                      case when t.owner_rule_id = r.id then t.config end as trigger, a.ref as action_ref, r.condition,
                      r.action_params, r.retry, r.concurrency, r.rate_limit, r.on_failure, o.ref as "owner_rule_ref?",
                      r.enabled, r.managed, r.version, r.created_at, r.updated_at
               from rule r join pack p on p.id = r.pack_id join trigger t on t.id = r.trigger_id join action a on a.id = r.action_id
               left join rule o on o.id = r.owner_rule_id "# + $tail,
            $($argument),*
        )
    };
}

pub async fn page<'e>(db: impl PgExecutor<'e>, filter: &Filter<'_>, page: &Page) -> Result<Vec<Rule>, Error> {
    select!(
        "where r.ref > coalesce($1, '') and ($2::text[] is null or p.ref = any($2)) and ($3::text[] is null or t.ref = any($3))
           and ($4::text[] is null or a.ref = any($4)) and ($5::boolean is null or r.enabled = $5)
         order by r.ref limit $6",
        page.after.as_deref(),
        filter.pack_ref,
        filter.trigger_ref,
        filter.action_ref,
        filter.enabled,
        page.rows()
    )
    .fetch_all(db)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, key: &Key) -> Result<Option<Rule>, Error> {
    select!("where r.ref = $1 or r.id = $2", key.reference(), key.id())
        .fetch_optional(db)
        .await
}

/// Reads a rule and locks it until the transaction ends.
pub async fn lock(connection: &mut PgConnection, key: &Key) -> Result<Option<Rule>, Error> {
    select!(
        "where r.ref = $1 or r.id = $2 for update of r",
        key.reference(),
        key.id()
    )
    .fetch_optional(connection)
    .await
}

/// Reserves the id of a new rule, so that its inline trigger can refer to it.
pub async fn reserve(connection: &mut PgConnection) -> Result<RuleId, Error> {
    let id = sqlx::query_scalar!(r#"select nextval(pg_get_serial_sequence('rule', 'id')) as "id!""#)
        .fetch_one(connection)
        .await?;
    Ok(RuleId(id))
}

pub async fn insert(connection: &mut PgConnection, id: RuleId, links: Links, draft: &RuleDraft) -> Result<(), Error> {
    sqlx::query!(
        "insert into rule (id, ref, pack_id, label, description, trigger_id, action_id, condition, action_params, retry, concurrency, rate_limit,
                           enabled, on_failure)
         values ($1, $2::text, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        id.0,
        draft.r#ref,
        links.pack.0,
        draft.label(),
        draft.description,
        links.trigger.0,
        links.action.0,
        draft.condition.as_ref() as _,
        draft.action_params,
        draft.retry.as_ref() as _,
        draft.concurrency.as_ref() as _,
        draft.rate_limit.as_ref() as _,
        draft.enabled,
        draft.on_failure.as_ref() as _
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A reference and a pack never change.
pub async fn update(connection: &mut PgConnection, id: RuleId, links: Links, draft: &RuleDraft) -> Result<(), Error> {
    sqlx::query!(
        "update rule set label = $2, description = $3, trigger_id = $4, action_id = $5, condition = $6, action_params = $7,
                retry = $8, concurrency = $9, rate_limit = $10, enabled = $11, on_failure = $12
         where id = $1",
        id.0,
        draft.label(),
        draft.description,
        links.trigger.0,
        links.action.0,
        draft.condition.as_ref() as _,
        draft.action_params,
        draft.retry.as_ref() as _,
        draft.concurrency.as_ref() as _,
        draft.rate_limit.as_ref() as _,
        draft.enabled,
        draft.on_failure.as_ref() as _
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What is wrong with `on_failure` of a draft with regard to other definitions. Its form is checked by the draft.
pub async fn check_on_failure(connection: &mut PgConnection, draft: &RuleDraft) -> Result<FieldErrors, Error> {
    let mut errors = FieldErrors::new();
    let Some(Ok(on_failure)) = draft.on_failure.as_ref().map(Raw::parse) else {
        return Ok(errors);
    };
    let action_ref = on_failure.action_ref.to_string();
    match action::get(&mut *connection, &Key::Ref(action_ref.clone())).await? {
        Some(action) => _ = errors.collect(on_failure.check(&action.parameters_schema)),
        None => errors.add("on_failure.action_ref", no_such("action", &action_ref)),
    }
    let own_ref = OnFailure::own_ref(&draft.r#ref);
    match own_ref.parse::<Ref>() {
        Ok(_) => {}
        Err(error) if draft.r#ref.parse::<Ref>().is_ok() => {
            errors.add("ref", format!("is too long for a rule with on_failure: {error}"));
        }
        Err(_) => return Ok(errors),
    }
    let same = get(&mut *connection, &Key::Ref(own_ref.clone())).await?;
    if same.is_some_and(|same| same.owner_rule_ref.is_none_or(|owner| owner != *draft.r#ref)) {
        errors.add("on_failure", format!("needs the ref {own_ref}, which another rule has"));
    }
    let finished = "core.execution_finished";
    if trigger::get(connection, &finished.into()).await?.is_none() {
        errors.add(
            "on_failure",
            format!("{}; load the core pack", no_such("trigger", finished)),
        );
    }
    Ok(errors)
}

/// Increments the version of a rule whose inline timer has changed, because the rule shows that timer.
pub async fn touch_owner(connection: &mut PgConnection, owned: TriggerId) -> Result<(), Error> {
    sqlx::query!(
        "update rule set updated_at = db_now() where id = (select owner_rule_id from trigger where id = $1)",
        owned.0
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Enables or disables a rule and its inline timer.
pub async fn set_enabled(connection: &mut PgConnection, id: RuleId, enabled: bool) -> Result<(), Error> {
    sqlx::query!("update rule set enabled = $2 where id = $1", id.0, enabled)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "update trigger set enabled = $2 where owner_rule_id = $1",
        id.0,
        enabled
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Deletes the inline timer as well.
pub async fn delete(connection: &mut PgConnection, id: RuleId) -> Result<(), Error> {
    sqlx::query!("delete from rule where id = $1", id.0)
        .execute(connection)
        .await
        .map(drop)
}
