//! Rules. A rule may carry its timer inline; that trigger is then its own, `<rule ref>.timer`, and lives and dies with it.

use crate::{
    answer::{Created, List, Versioned},
    api::Api,
    auth::Caller,
    definitions::{
        self, Editable,
        links::{all_errors, find, find_pack},
        map_conflict, or_not_found, secrets,
    },
    known,
    problem::Problem,
    request::{Changes, Draft, IfMatch, Name, Query, Texts, form, query},
    routes::rule_trigger::{Source, find_source, place},
};
use attune_common::store::{self, PgConnection, PgExecutor, action, known::Noun, rule, trigger};
pub use attune_domain::definition::RuleDraft as RuleForm;
use attune_domain::{
    ActionId, FieldErrors, PackId, RuleRef, TriggerId,
    definition::{CorruptDefinition, Definition, Draft as _, Rule, Trigger},
    parameters::mismatches,
    reference::Key,
};
use axum::{extract::State, http::StatusCode};

form! {
    pub struct RuleFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        pack_ref: Option<Texts>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        trigger_ref: Option<Texts>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        action_ref: Option<Texts>,
        enabled: Option<bool>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

pub async fn list(State(api): State<Api>, Query(params): Query<RuleFilter>) -> Result<List<Rule>, Problem> {
    let page = query::page(params.limit, params.cursor)?;
    let named = [
        ("pack_ref", Noun::Pack, params.pack_ref.as_ref()),
        ("trigger_ref", Noun::Trigger, params.trigger_ref.as_ref()),
        ("action_ref", Noun::Action, params.action_ref.as_ref()),
    ];
    known::check(&api.pool, &named).await?;
    let [pack_ref, trigger_ref, action_ref] = named.map(|(_, _, refs)| refs.map(|any| any.0.as_slice()));
    let filter = rule::Filter {
        pack_ref,
        trigger_ref,
        action_ref,
        enabled: params.enabled,
    };
    let rows = rule::page(&api.pool, &filter, &page).await?;
    Ok(List::of(rows, page.limit, |rule| rule.r#ref.to_string()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<Versioned<Rule>, Problem> {
    let row = rule::get(&api.pool, &key).await?;
    with_warnings(&api.pool, or_not_found(row, &key)?).await
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<RuleForm>,
) -> Result<Created<Versioned<Rule>>, Problem> {
    definitions::create(&api, &caller, body).await
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<Rule>, Problem> {
    definitions::update(&api, &caller, (&key, seen), changes).await
}

pub async fn enable(State(api): State<Api>, caller: Caller, Name(key): Name) -> Result<Versioned<Rule>, Problem> {
    definitions::switch(&api, &caller, &key, true).await
}

pub async fn disable(State(api): State<Api>, caller: Caller, Name(key): Name) -> Result<Versioned<Rule>, Problem> {
    definitions::switch(&api, &caller, &key, false).await
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    definitions::delete::<Rule>(&api, &caller, (&key, seen)).await
}

/// A rule, with what is wrong with its row and with its parameters since its action was changed.
async fn with_warnings<'e>(db: impl PgExecutor<'e>, rule: Rule) -> Result<Versioned<Rule>, Problem> {
    let action = action::get(db, &Key::Ref(rule.action_ref.to_string())).await?;
    let mut shown = Versioned::new(rule.version, rule);
    let rule = &shown.data;
    let flaws = rule.flaws();
    if !flaws.is_empty() {
        let corrupt = CorruptDefinition::new(format!("the rule {}", rule.r#ref), flaws);
        shown.warnings.push(corrupt.to_string());
    }
    if let Some(Err(bad)) = action.map(|action| mismatches(&action.parameters_schema, &rule.action_params)) {
        let warning = format!(
            "every event fails: {} does not take these parameters: {bad}",
            rule.action_ref
        );
        shown.warnings.push(warning);
    }
    Ok(shown)
}

/// What a rule refers to.
pub struct Links {
    pack: PackId,
    action: ActionId,
    source: Source,
    /// The timer that the rule carries until now.
    owned: Option<Trigger>,
}

impl Links {
    fn with(&self, trigger: TriggerId) -> rule::Links {
        rule::Links {
            pack: self.pack,
            trigger,
            action: self.action,
        }
    }
}

fn belongs_to(owner: &RuleRef) -> Problem {
    Problem::conflict(
        "owned_rule",
        format!("is on_failure of the rule {owner}; change that rule instead"),
    )
}

impl Editable for Rule {
    type Links = Links;
    const READ_ONLY: &'static [&'static str] = &["id", "managed", "created_at", "updated_at", "owner_rule_ref"];

    async fn get(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        rule::get(tx, key).await
    }

    async fn lock(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        rule::lock(tx, key).await
    }

    async fn check(
        api: &Api,
        tx: &mut PgConnection,
        draft: &mut RuleForm,
        mut read: FieldErrors,
        before: Option<&Self>,
    ) -> Result<Links, Problem> {
        if let Some(owner) = before.and_then(|before| before.owner_rule_ref.as_ref()) {
            return Err(belongs_to(owner));
        }
        let owned = match before {
            Some(before) => trigger::owned_by(tx, before.id).await?,
            None => None,
        };
        let pack = (draft.pack_ref.clone(), draft.pack);
        let pack = find_pack(tx, draft, pack, &mut read).await?;
        let source = find_source(tx, &mut read, draft, owned.as_ref()).await?;
        let link = (&mut draft.action_ref, &mut draft.action);
        let action = find(async |key: &Key| action::get(&mut *tx, key).await, link, &mut read).await?;
        let schema = action.as_ref().map(|action| &action.parameters_schema);
        let mut found = draft.validate(schema).err().unwrap_or_default();
        if let Some(action) = &action {
            secrets::check_rule(tx, draft, action, before, &mut found).await?;
        }
        let before = before.map(Definition::draft);
        found.nest("", draft.doubts(before.as_ref()));
        found.nest("", rule::check_on_failure(tx, draft).await?);
        let errors = all_errors(read, draft, before.as_ref(), found);
        match (pack, action, source) {
            (Some(pack), Some(action), Some(source)) if errors.is_empty() => {
                secrets::seal_literals(api, tx, draft, &action).await?;
                Ok(Links {
                    pack,
                    action: action.id,
                    source,
                    owned,
                })
            }
            _ => Err(Problem::invalid(errors)),
        }
    }

    async fn insert(_: &Api, tx: &mut PgConnection, draft: &RuleForm, links: &Links) -> Result<(), Problem> {
        // Before its own timer is refused in its place.
        if rule::get(&mut *tx, &Key::Ref(draft.r#ref.clone())).await?.is_some() {
            return Err(Problem::exists("rule", &draft.r#ref));
        }
        let id = rule::reserve(tx).await?;
        let trigger = place(tx, draft, id, (links.pack, &links.source), None).await?;
        let made = rule::insert(tx, id, links.with(trigger), draft).await;
        made.map_err(|error| map_conflict::<Self>(error, &draft.r#ref))
    }

    async fn update(&self, _: &Api, tx: &mut PgConnection, draft: &RuleForm, links: &Links) -> Result<(), Problem> {
        let owned = links.owned.as_ref();
        let trigger = place(tx, draft, self.id, (links.pack, &links.source), owned).await?;
        rule::update(tx, self.id, links.with(trigger), draft).await?;
        match owned {
            Some(owned) if owned.id != trigger => trigger::delete(tx, owned.id).await?,
            Some(owned) if owned.enabled != draft.enabled => trigger::set_enabled(tx, owned.id, draft.enabled).await?,
            _ => {}
        }
        Ok(())
    }

    async fn set_enabled(&self, tx: &mut PgConnection, enabled: bool) -> Result<(), store::Error> {
        rule::set_enabled(tx, self.id, enabled).await
    }

    async fn delete(&self, tx: &mut PgConnection) -> Result<(), Problem> {
        if let Some(owner) = &self.owner_rule_ref {
            return Err(belongs_to(owner));
        }
        Ok(rule::delete(tx, self.id).await?)
    }

    async fn shown(self, tx: &mut PgConnection, _: Option<&Self>) -> Result<Versioned<Self>, Problem> {
        let mut shown = with_warnings(&mut *tx, self).await?;
        let refs = secrets::refs_of_rule(&shown.data.action_params);
        if !refs.is_empty() {
            shown
                .warnings
                .extend(secrets::missing(tx, &refs, &shown.data.action_ref).await?);
        }
        Ok(shown)
    }
}
