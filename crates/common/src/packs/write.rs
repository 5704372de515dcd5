//! Writes the definitions of a pack: compares each draft with its row, validates changed fields like the API, and inserts or
//! updates. If there are errors, all are reported at once and nothing is committed.

use super::{
    pack::Pack,
    parse::{path, place},
    report::{FileChanges, LoadError, Outcome, Report},
};
use crate::store::{self, PgConnection, action, pack, pack_archive, pack_load, rule, runtime, trigger};
use attune_domain::{
    FieldErrors, PackId,
    definition::{
        ActionDraft, Definition, Draft, Present, RuleDraft, RuntimeDraft, Trigger, TriggerDraft, TriggerKind,
        check_owner, no_such,
    },
    reference::Key,
    timer::Limits,
};

pub(super) struct Writer {
    pack: PackId,
    present: pack_load::Present,
    report: Report,
    errors: FieldErrors,
}

/// How to write the row of a draft.
struct Plan<D: Definition> {
    outcome: Outcome,
    stored: Option<D>,
    before: Option<D::Draft>,
    /// The draft of the file, with `enabled` as it is stored.
    after: D::Draft,
}

impl<D: Definition> Plan<D> {
    fn new(stored: Option<D>, file: &D::Draft) -> Self {
        let before = stored.as_ref().map(D::draft);
        let mut after = file.clone();
        let outcome = match (&stored, &before) {
            (Some(stored), Some(before)) => {
                after.set_enabled(before.enabled());
                match (before.is_same(&after), stored.is_managed()) {
                    (true, _) => Outcome::Unchanged,
                    (false, true) => Outcome::Updated,
                    (false, false) => Outcome::LeftAlone,
                }
            }
            _ => Outcome::Created,
        };
        Self {
            outcome,
            stored,
            before,
            after,
        }
    }

    fn writes(&self) -> bool {
        matches!(self.outcome, Outcome::Created | Outcome::Updated)
    }
}

/// What an earlier content of the pack defined and this one does not.
async fn gone(tx: &mut PgConnection, id: PackId, files: &Pack) -> Result<Vec<String>, store::Error> {
    let defined = pack_load::defined(tx, id).await?;
    let is_gone = |noun: &str, reference: &str| {
        let is = |other: &str| other == reference;
        !match noun {
            "runtime" => files.runtimes.iter().any(|draft| is(&draft.r#ref)),
            "trigger" => files.triggers.iter().any(|draft| is(&draft.r#ref)),
            "action" => files.actions.iter().any(|draft| is(&draft.r#ref)),
            _ => files.rules.iter().any(|draft| is(&draft.r#ref)),
        }
    };
    let gone = defined.iter().filter(|row| is_gone(&row.noun, &row.r#ref));
    Ok(gone.map(|row| format!("{} {}", row.noun, row.r#ref)).collect())
}

impl Writer {
    pub(super) async fn begin(tx: &mut PgConnection, files: &Pack, source: Option<&str>) -> Result<Self, store::Error> {
        let manifest = &files.manifest;
        let stored = pack::lock(tx, &Key::Ref(manifest.r#ref.clone())).await?;
        let plan = Plan::new(stored, manifest);
        let id = match &plan.stored {
            None => pack::insert(tx, &plan.after).await?.id,
            Some(stored) if plan.writes() => pack::update(tx, stored.id, &plan.after).await?.id,
            Some(stored) => stored.id,
        };
        let mut report = Report {
            pack: manifest.r#ref.clone(),
            gone: gone(tx, id, files).await?,
            ..Report::default()
        };
        if let Some(packed) = &files.packed {
            let before = pack_archive::files(&mut *tx, id).await?.unwrap_or_default();
            report.files = FileChanges::between(&before, &packed.files);
            report.hash = Some(packed.hash.clone());
            report.previous_hash = plan.stored.and_then(|stored| stored.hash);
            pack_archive::keep(tx, &packed.hash).await?;
            pack::set_content(tx, id, (&packed.hash, files.has_code()), source).await?;
        }
        report.add(&manifest.r#ref, plan.outcome);
        Ok(Self {
            pack: id,
            present: pack_load::present(tx).await?,
            report,
            errors: FieldErrors::new(),
        })
    }

    pub(super) async fn write(mut self, tx: &mut PgConnection, files: &Pack) -> Result<Report, LoadError> {
        for draft in &files.runtimes {
            self.runtime(tx, draft).await?;
        }
        for draft in &files.triggers {
            self.trigger(tx, draft).await?;
        }
        for draft in &files.actions {
            self.action(tx, draft).await?;
        }
        for draft in &files.rules {
            self.rule(tx, draft).await?;
        }
        self.errors.into_result()?;
        Ok(self.report)
    }

    async fn runtime(&mut self, tx: &mut PgConnection, file: &RuntimeDraft) -> Result<(), store::Error> {
        let plan = Plan::new(runtime::get(&mut *tx, &Key::Ref(file.r#ref.clone())).await?, file);
        self.report("runtimes", &plan, FieldErrors::new());
        match &plan.stored {
            None => runtime::insert(tx, self.pack, &plan.after).await,
            Some(stored) if plan.writes() => runtime::update(tx, stored.id, &plan.after).await,
            Some(_) => Ok(()),
        }
    }

    async fn trigger(&mut self, tx: &mut PgConnection, file: &TriggerDraft) -> Result<(), store::Error> {
        let plan = Plan::new(trigger::lock(tx, &Key::Ref(file.r#ref.clone())).await?, file);
        let timer = plan.stored.as_ref().filter(|stored| stored.kind == TriggerKind::Timer);
        let present = Present {
            now: self.present.now,
            limits: Limits::of_days(self.present.event_keep_days),
            before: timer.map(Trigger::before),
        };
        self.report(
            "triggers",
            &plan,
            plan.after.validate(Some(&present)).err().unwrap_or_default(),
        );
        match &plan.stored {
            None => trigger::insert(tx, (self.pack, None), &plan.after, None)
                .await
                .map(drop),
            Some(stored) if plan.writes() => trigger::update(tx, stored.id, &plan.after, None).await,
            Some(_) => Ok(()),
        }
    }

    async fn action(&mut self, tx: &mut PgConnection, file: &ActionDraft) -> Result<(), store::Error> {
        let plan = Plan::new(action::lock(tx, &Key::Ref(file.r#ref.clone())).await?, file);
        let mut found = plan.after.validate().err().unwrap_or_default();
        let name = file.runtime_ref.clone().unwrap_or_default();
        let runtime = runtime::get(&mut *tx, &Key::Ref(name.clone())).await?;
        let Some(runtime) = runtime else {
            found.add("runtime_ref", no_such("runtime", &name));
            self.report("actions", &plan, found);
            return Ok(());
        };
        self.report("actions", &plan, found);
        match &plan.stored {
            None => action::insert(tx, (self.pack, runtime.id), &plan.after).await.map(drop),
            Some(stored) if plan.writes() => action::update(tx, stored.id, runtime.id, &plan.after).await,
            Some(_) => Ok(()),
        }
    }

    async fn rule(&mut self, tx: &mut PgConnection, file: &RuleDraft) -> Result<(), store::Error> {
        let plan = Plan::new(rule::lock(tx, &Key::Ref(file.r#ref.clone())).await?, file);
        let (trigger_ref, action_ref) = (
            file.trigger_ref.clone().unwrap_or_default(),
            file.action_ref.clone().unwrap_or_default(),
        );
        let trigger = trigger::get(&mut *tx, &Key::Ref(trigger_ref.clone())).await?;
        let action = action::get(&mut *tx, &Key::Ref(action_ref.clone())).await?;
        let schema = action.as_ref().map(|action| &action.parameters_schema);
        let mut found = plan.after.validate(schema).err().unwrap_or_default();
        found.nest("", plan.after.literal_secrets(schema));
        match &trigger {
            Some(trigger) => _ = found.collect(check_owner(trigger, &file.r#ref)),
            None => found.add("trigger_ref", no_such("trigger", &trigger_ref)),
        }
        if action.is_none() {
            found.add("action_ref", no_such("action", &action_ref));
        }
        let unusable = rule::check_on_failure(tx, &plan.after).await?;
        // The database makes a rule of it, and refuses one without an action.
        let writable = unusable.is_empty();
        found.nest("", unusable);
        self.report("rules", &plan, found);
        let (Some(trigger), Some(action), true) = (trigger, action, writable) else {
            return Ok(());
        };
        let links = rule::Links {
            pack: self.pack,
            trigger: trigger.id,
            action: action.id,
        };
        match &plan.stored {
            None => {
                let id = rule::reserve(tx).await?;
                rule::insert(tx, id, links, &plan.after).await
            }
            Some(stored) if plan.writes() => rule::update(tx, stored.id, links, &plan.after).await,
            Some(_) => Ok(()),
        }
    }

    /// Adds the outcome of a definition and its errors. Rows that are not written are not validated.
    fn report<D: Definition>(&mut self, folder: &str, plan: &Plan<D>, mut found: FieldErrors) {
        let file = path(folder, plan.after.reference());
        let before = plan.before.as_ref();
        found.nest("", plan.after.doubts(before));
        if plan.writes() {
            place(
                &file,
                D::Draft::in_order(plan.after.judged(before, found)),
                &mut self.errors,
            );
        } else {
            place(&file, plan.after.doubts(None), &mut self.report.doubts);
        }
        self.report.add(plan.after.reference(), plan.outcome);
    }
}
