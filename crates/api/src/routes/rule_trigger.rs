//! Where a rule's events come from: a trigger that others may share, or a timer of its own.

use crate::{
    definitions::{links::Link, map_conflict},
    problem::Problem,
    routes::trigger::present,
};
use attune_common::store::{PgConnection, rule, trigger};
use attune_domain::{
    FieldErrors, PackId, Ref, RuleId, TriggerId,
    definition::{RuleDraft, Trigger, TriggerDraft, TriggerKind, check_owner},
    reference::Key,
};
use serde_json::Value;

pub enum Source {
    Shared(TriggerId),
    /// The configuration of a timer of its own.
    Inline(Value),
}

pub async fn find_source(
    tx: &mut PgConnection,
    errors: &mut FieldErrors,
    draft: &RuleDraft,
    owned: Option<&Trigger>,
) -> Result<Option<Source>, Problem> {
    let id = match &draft.trigger {
        Some(inline @ Value::Object(_)) => return inline_timer(tx, errors, draft, inline, owned).await,
        Some(Value::Number(number)) if number.is_i64() => number.as_i64(),
        Some(other) => {
            let found = attune_domain::json::kind(other);
            errors.add("trigger", format!("must be a trigger's number, or a timer such as {{\"type\": \"interval\", \"seconds\": 10}}, not {found}; the reference of a trigger is written as trigger_ref"));
            return Ok(None);
        }
        None => None,
    };
    let link = Link {
        noun: "trigger",
        reference: draft.trigger_ref.as_deref(),
        id,
    };
    // A missing or malformed reference is reported by the check of the draft.
    let key = match (link.id, link.reference) {
        (Some(id), _) => Key::Id(id),
        (None, Some(reference)) if reference.parse::<Ref>().is_ok() => Key::Ref(reference.to_owned()),
        _ => return Ok(None),
    };
    let found = trigger::get(&mut *tx, &key).await?;
    link.check(errors, found.as_ref().map(|found| found.r#ref.as_str()));
    if let Some(found) = &found {
        errors.collect(check_owner(found, &draft.r#ref));
    }
    Ok(found.map(|found| Source::Shared(found.id)))
}

async fn inline_timer(
    tx: &mut PgConnection,
    errors: &mut FieldErrors,
    draft: &RuleDraft,
    inline: &Value,
    owned: Option<&Trigger>,
) -> Result<Option<Source>, Problem> {
    if let Some(named) = &draft.trigger_ref
        && *named != own_ref(&draft.r#ref)
    {
        errors.add(
            "trigger",
            "is a timer of the rule's own: do not name another with trigger_ref too",
        );
    }
    if let Err(error) = own_ref(&draft.r#ref).parse::<Ref>()
        && draft.r#ref.parse::<Ref>().is_ok()
    {
        errors.add(
            "ref",
            format!("is too long for a rule with a timer of its own: {error}"),
        );
    }
    let present = present(tx, owned).await?;
    if let Err(bad) = own_timer(draft, inline).check_config(Some(&present)) {
        for error in bad.into_vec() {
            errors.add(error.path.replacen("config", "trigger", 1), error.message);
        }
    }
    Ok(Some(Source::Inline(inline.clone())))
}

fn own_ref(rule_ref: &str) -> String {
    format!("{rule_ref}.timer")
}

fn own_timer(draft: &RuleDraft, config: &Value) -> TriggerDraft {
    TriggerDraft {
        r#ref: own_ref(&draft.r#ref),
        pack_ref: draft.pack_ref.clone(),
        pack: None,
        label: Some(format!("Timer of {}", draft.r#ref)),
        description: None,
        kind: TriggerKind::Timer,
        config: config.clone(),
        payload_schema: None,
        enabled: draft.enabled,
    }
}

/// The trigger of the rule; its own is written first.
pub async fn place(
    tx: &mut PgConnection,
    draft: &RuleDraft,
    id: RuleId,
    (pack, source): (PackId, &Source),
    owned: Option<&Trigger>,
) -> Result<TriggerId, Problem> {
    let inline = match source {
        Source::Shared(trigger) => return Ok(*trigger),
        Source::Inline(config) => config,
    };
    let timer = own_timer(draft, inline);
    if let Some(owned) = owned {
        trigger::update(tx, owned.id, &timer, None).await?;
        if owned.config != *inline {
            rule::touch_owner(tx, owned.id).await?;
        }
        return Ok(owned.id);
    }
    trigger::insert(tx, (pack, Some(id)), &timer, None)
        .await
        .map_err(|error| map_conflict::<Trigger>(error, &timer.r#ref))
}
