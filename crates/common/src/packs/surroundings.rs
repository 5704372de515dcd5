//! What only the database knows about a pack: whether refs into other packs lead somewhere, and whether a timer that is
//! new or changed would fire at all from now on. A timer that is there as the file says is not judged again: a one-shot
//! that has fired is fine.

use super::{LoadError, Pack, Trigger, check::path};
use crate::store::{
    self, PgConnection,
    pack_load::{self, Present, Table},
};
use attune_domain::{
    FieldErrors, Ref,
    definition::TriggerKind,
    timer::{Limits, TimerConfig},
};

pub(super) async fn check(tx: &mut PgConnection, pack: &Pack) -> Result<(), LoadError> {
    let mut errors = FieldErrors::new();
    check_refs(tx, pack, &mut errors).await?;
    check_timers(tx, pack, &mut errors).await?;
    Ok(errors.into_result()?)
}

async fn check_timers(tx: &mut PgConnection, pack: &Pack, errors: &mut FieldErrors) -> Result<(), store::Error> {
    let present = pack_load::present(tx).await?;
    for trigger in pack
        .triggers
        .iter()
        .filter(|trigger| trigger.kind == TriggerKind::Timer)
    {
        let stored = pack_load::stored_config(tx, trigger.r#ref.as_str()).await?;
        if stored.as_ref() != Some(&trigger.config)
            && let Err(wrong) = check_timer(trigger, &present)
        {
            for error in wrong.into_vec() {
                errors.add(
                    format!("{}: config.{}", path("triggers", &trigger.r#ref), error.path),
                    error.message,
                );
            }
        }
    }
    Ok(())
}

fn check_timer(trigger: &Trigger, present: &Present) -> Result<(), FieldErrors> {
    TimerConfig::parse(&trigger.config)?.validate(present.now, Limits::of_days(present.event_keep_days))
}

/// Refs into other packs must lead somewhere.
async fn check_refs(tx: &mut PgConnection, pack: &Pack, errors: &mut FieldErrors) -> Result<(), store::Error> {
    let runtimes = pack
        .actions
        .iter()
        .map(|action| ("actions", &action.r#ref, "runtime_ref", &action.runtime_ref));
    let triggers = pack
        .rules
        .iter()
        .map(|rule| ("rules", &rule.r#ref, "trigger_ref", &rule.trigger_ref));
    let actions = pack
        .rules
        .iter()
        .map(|rule| ("rules", &rule.r#ref, "action_ref", &rule.action_ref));
    check_table(tx, pack, Table::Runtime, runtimes.collect(), errors).await?;
    check_table(tx, pack, Table::Trigger, triggers.collect(), errors).await?;
    check_table(tx, pack, Table::Action, actions.collect(), errors).await
}

/// (folder, ref of the file, field, ref in the field)
type Use<'a> = (&'static str, &'a Ref, &'static str, &'a Ref);

async fn check_table(
    tx: &mut PgConnection,
    pack: &Pack,
    table: Table,
    uses: Vec<Use<'_>>,
    errors: &mut FieldErrors,
) -> Result<(), store::Error> {
    let others: Vec<&Use<'_>> = uses
        .iter()
        .filter(|(_, _, _, used)| used.pack() != pack.manifest.r#ref)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let wanted: Vec<String> = others.iter().map(|(_, _, _, used)| used.to_string()).collect();
    let missing = pack_load::missing(tx, table, &wanted).await?;
    for (folder, file, field, used) in others {
        if missing.iter().any(|missing| missing == used.as_str()) {
            errors.add(
                format!("{}: {field}", path(folder, file)),
                format!("{used} does not exist: load its pack first"),
            );
        }
    }
    Ok(())
}
