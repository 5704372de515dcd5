//! Actions.

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
};
use attune_common::store::{self, PgConnection, action, known::Noun, pack_archive, rule, runtime};
pub use attune_domain::definition::ActionDraft as ActionForm;
use attune_domain::{
    FieldErrors, PackId, RuntimeId,
    definition::{Action, CorruptDefinition, Definition, Draft as _, Rule},
    parameters::mismatches,
    reference::Key,
    variables,
};
use axum::{extract::State, http::StatusCode};

form! {
    pub struct ActionFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        pack_ref: Option<Texts>,
        enabled: Option<bool>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

pub async fn list(State(api): State<Api>, Query(params): Query<ActionFilter>) -> Result<List<Action>, Problem> {
    let page = query::page(params.limit, params.cursor)?;
    known::check(&api.pool, &[("pack_ref", Noun::Pack, params.pack_ref.as_ref())]).await?;
    let filter = action::Filter {
        pack_ref: params.pack_ref.as_ref().map(|any| any.0.as_slice()),
        enabled: params.enabled,
    };
    let rows = action::page(&api.pool, &filter, &page).await?;
    Ok(List::of(rows, page.limit, |action| action.r#ref.to_string()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<Versioned<Action>, Problem> {
    let found = or_not_found(action::get(&api.pool, &key).await?, &key)?;
    let mut shown = Versioned::new(found.version, found);
    shown.warnings.extend(flaws(&shown.data));
    Ok(shown)
}

/// What is wrong with a row that was written past the API.
fn flaws(action: &Action) -> Option<String> {
    let flaws = action.flaws();
    let corrupt = || CorruptDefinition::new(format!("the action {}", action.r#ref), flaws.clone()).to_string();
    (!flaws.is_empty()).then(corrupt)
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Draft<ActionForm>,
) -> Result<Created<Versioned<Action>>, Problem> {
    definitions::create(&api, &caller, body).await
}

pub async fn update(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    changes: Changes,
) -> Result<Versioned<Action>, Problem> {
    definitions::update(&api, &caller, (&key, seen), changes).await
}

pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    definitions::delete::<Action>(&api, &caller, (&key, seen)).await
}

/// Rules that cannot start the action any more since its schema was changed.
async fn left_behind(tx: &mut PgConnection, action: &Action) -> Result<Vec<String>, Problem> {
    let action_ref = [action.r#ref.to_string()];
    let filter = rule::Filter {
        action_ref: Some(&action_ref),
        ..rule::Filter::default()
    };
    let page = query::page(query::LIMIT_MAX, None)?;
    let mut rules = rule::page(&mut *tx, &filter, &page).await?;
    let more = rules.len() > usize::from(page.limit);
    rules.truncate(usize::from(page.limit));
    let warning = |rule: &Rule| {
        let bad = mismatches(&action.parameters_schema, &rule.action_params).err()?;
        Some(format!("every event of the rule {} fails now: {bad}", rule.r#ref))
    };
    let mut warnings: Vec<String> = rules.iter().filter_map(warning).collect();
    if more {
        warnings.push(format!(
            "only the first {} rules of {} were checked: GET /api/v1/rules/REF shows of each whether it fits",
            page.limit, action.r#ref
        ));
    }
    Ok(warnings)
}

impl Editable for Action {
    type Links = (PackId, RuntimeId);

    async fn get(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        action::get(tx, key).await
    }

    async fn lock(tx: &mut PgConnection, key: &Key) -> Result<Option<Self>, store::Error> {
        action::lock(tx, key).await
    }

    async fn check(
        _: &Api,
        tx: &mut PgConnection,
        draft: &mut ActionForm,
        mut read: FieldErrors,
        before: Option<&Self>,
    ) -> Result<Self::Links, Problem> {
        let pack = (draft.pack_ref.clone(), draft.pack);
        let pack = find_pack(tx, draft, pack, &mut read).await?;
        let link = (&mut draft.runtime_ref, &mut draft.runtime);
        let runtime = find(async |key: &Key| runtime::get(&mut *tx, key).await, link, &mut read).await?;
        let before = before.map(Definition::draft);
        let mut found = draft.validate().err().unwrap_or_default();
        let is_file = match &pack {
            Some(pack) if draft.may_be_file() => pack_archive::has_file(tx, *pack, &draft.entry_point).await?,
            _ => false,
        };
        found.collect(draft.decide_entry(is_file));
        found.nest("", draft.doubts(before.as_ref()));
        secrets::check_action(tx, draft, &mut found).await?;
        let errors = all_errors(read, draft, before.as_ref(), found);
        match (pack, runtime) {
            (Some(pack), Some(runtime)) if errors.is_empty() => Ok((pack, runtime.id)),
            _ => Err(Problem::invalid(errors)),
        }
    }

    async fn insert(_: &Api, tx: &mut PgConnection, draft: &ActionForm, links: &Self::Links) -> Result<(), Problem> {
        let made = action::insert(tx, *links, draft).await;
        made.map(drop)
            .map_err(|error| map_conflict::<Self>(error, &draft.r#ref))
    }

    async fn update(
        &self,
        _: &Api,
        tx: &mut PgConnection,
        draft: &ActionForm,
        (_, runtime): &Self::Links,
    ) -> Result<(), Problem> {
        Ok(action::update(tx, self.id, *runtime, draft).await?)
    }

    async fn set_enabled(&self, tx: &mut PgConnection, enabled: bool) -> Result<(), store::Error> {
        action::set_enabled(tx, self.id, enabled).await
    }

    async fn delete(&self, tx: &mut PgConnection) -> Result<(), Problem> {
        let users = action::users(tx, self.id).await?;
        if !users.is_empty() {
            let advice = "delete the rules that use it, or change their action";
            return Err(Problem::in_use(&self.r#ref, "is used by", users, advice));
        }
        Ok(action::delete(tx, self.id).await?)
    }

    async fn shown(self, tx: &mut PgConnection, before: Option<&Self>) -> Result<Versioned<Self>, Problem> {
        let mut shown = Versioned::new(self.version, self);
        shown.warnings.extend(flaws(&shown.data));
        let schema = &shown.data.parameters_schema;
        if before.is_none_or(|before| before.parameters_schema != *schema) {
            let mut warnings = variables::warnings(schema);
            if before.is_some() {
                warnings.splice(0..0, left_behind(tx, &shown.data).await?);
            }
            shown.warnings.extend(warnings);
        }
        let refs = secrets::refs_of_action(&shown.data.secrets);
        if !refs.is_empty() {
            shown
                .warnings
                .extend(secrets::missing(tx, &refs, &shown.data.r#ref).await?);
        }
        Ok(shown)
    }
}
