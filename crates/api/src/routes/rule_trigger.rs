//! Where a rule's events come from: a trigger that others may share, or a timer of its own.

use crate::{
    change::taken,
    check::Link,
    problem::Problem,
    routes::{rule::RuleForm, trigger::config},
};
use attune_common::store::{Transaction, rule, trigger};
use attune_domain::{
    FieldErrors, PackId, RuleId, TriggerId,
    definition::{Trigger, TriggerKind},
};
use serde_json::Value;

pub enum Source {
    Shared(TriggerId),
    /// The configuration of a timer of its own.
    Inline(Value),
}

pub async fn source(
    tx: &mut Transaction,
    errors: &mut FieldErrors,
    form: &RuleForm,
    owned: Option<&Trigger>,
) -> Result<Option<Source>, Problem> {
    let id = match &form.trigger {
        Some(inline @ Value::Object(_)) => return inline_timer(tx, errors, form, inline, owned).await,
        Some(Value::Number(number)) if number.is_i64() => number.as_i64(),
        Some(other) => {
            let found = attune_domain::json::kind(other);
            errors.add("trigger", format!("must be a trigger's number, or a timer such as {{\"type\": \"interval\", \"seconds\": 10}}, not {found}; the reference of a trigger is written as trigger_ref"));
            return Ok(None);
        }
        None if form.trigger_ref.is_none() => {
            let message = "is missing: write the reference of a trigger, or as trigger a timer of the rule's own such as \
                           {\"type\": \"interval\", \"seconds\": 10}";
            errors.add("trigger_ref", message);
            return Ok(None);
        }
        None => None,
    };
    let link = Link {
        noun: "trigger",
        reference: form.trigger_ref.as_deref(),
        id,
    };
    let Some(key) = link.key(errors) else {
        return Ok(None);
    };
    let found = trigger::get(&mut **tx, &key).await?;
    link.check(errors, found.as_ref().map(|found| found.r#ref.as_str()));
    if let Some(owner) = found.as_ref().and_then(|found| found.owner_rule_ref.as_ref())
        && *owner != form.r#ref
    {
        errors.add("trigger_ref", format!("belongs to the rule {owner}, and goes with it"));
    }
    Ok(found.map(|found| Source::Shared(found.id)))
}

async fn inline_timer(
    tx: &mut Transaction,
    errors: &mut FieldErrors,
    form: &RuleForm,
    inline: &Value,
    owned: Option<&Trigger>,
) -> Result<Option<Source>, Problem> {
    if let Some(named) = &form.trigger_ref
        && *named != own_ref(&form.r#ref)
    {
        errors.add(
            "trigger",
            "is a timer of the rule's own: do not name another with trigger_ref too",
        );
    }
    if let Err(error) = own_ref(&form.r#ref).parse::<attune_domain::Ref>()
        && form.r#ref.parse::<attune_domain::Ref>().is_ok()
    {
        errors.add(
            "ref",
            format!("is too long for a rule with a timer of its own: {error}"),
        );
    }
    if let Err(bad) = config(tx, TriggerKind::Timer, inline, owned).await? {
        for error in bad.into_vec() {
            errors.add(error.path.replacen("config", "trigger", 1), error.message);
        }
    }
    Ok(Some(Source::Inline(inline.clone())))
}

fn own_ref(rule_ref: &str) -> String {
    format!("{rule_ref}.timer")
}

/// The trigger of the rule; its own is written first.
pub async fn placed(
    tx: &mut Transaction,
    form: &RuleForm,
    id: RuleId,
    (pack, source): (PackId, &Source),
    owned: Option<&Trigger>,
) -> Result<TriggerId, Problem> {
    let inline = match source {
        Source::Shared(trigger) => return Ok(*trigger),
        Source::Inline(config) => config,
    };
    let reference = own_ref(&form.r#ref);
    let label = format!("Timer of {}", form.r#ref);
    let write = trigger::Write {
        r#ref: &reference,
        pack_id: pack,
        label: &label,
        description: None,
        kind: TriggerKind::Timer,
        config: inline,
        payload_schema: None,
        address: None,
        enabled: form.enabled,
    };
    if let Some(owned) = owned {
        trigger::update(tx, owned.id, &write).await?;
        if owned.config != *inline {
            rule::touch_owner(tx, owned.id).await?;
        }
        return Ok(owned.id);
    }
    trigger::insert(tx, Some(id), &write)
        .await
        .map_err(|error| taken::<Trigger>(error, &reference))
}
