//! The secrets in rules and actions: literals are encrypted before they are stored, and what is named must be granted.

use crate::{api::Api, problem::Problem};
use attune_common::{
    secrets::{self, LiteralSealer},
    store::{PgConnection, secret},
};
use attune_domain::{
    FieldErrors,
    definition::{Action, ActionDraft, Rule, RuleDraft},
    parameters::Schema,
    secret::Path,
    template::Template,
};
use serde_json::{Value, json};

const ROOT: &str = "action_params";

/// Checks the secrets that a rule passes to its action.
pub async fn check_rule(
    tx: &mut PgConnection,
    draft: &RuleDraft,
    action: &Action,
    before: Option<&Rule>,
    errors: &mut FieldErrors,
) -> Result<(), Problem> {
    let Ok(template) = Template::compile(&draft.action_params) else {
        return Ok(());
    };
    for (path, refs) in template.secrets() {
        let field = path.under(ROOT);
        if refs.is_empty() {
            check_sealed(path, draft, before, &field, errors);
            continue;
        }
        let refs: Vec<String> = refs
            .into_iter()
            .map(|reference| reference.as_str().to_owned())
            .collect();
        check_usable(tx, &refs, &action.r#ref, &field, errors).await?;
    }
    Ok(())
}

/// A sealed literal can only be sent back to where it was read.
fn check_sealed(path: &Path, draft: &RuleDraft, before: Option<&Rule>, field: &str, errors: &mut FieldErrors) {
    let present = path.find(&draft.action_params);
    let stored = before.and_then(|before| path.find(&before.action_params));
    if present.is_none() || present != stored {
        errors.add(
            field,
            "must not contain the key `$sealed`: write the value, which is then encrypted",
        );
    } else if before.is_some_and(|before| draft.action_ref.as_deref() != Some(before.action_ref.as_str())) {
        errors.add(field, "was encrypted for another action: write the value again");
    }
}

async fn check_usable(
    tx: &mut PgConnection,
    refs: &[String],
    action: &str,
    field: &str,
    errors: &mut FieldErrors,
) -> Result<(), Problem> {
    // One that does not exist yet can still be set: packs are loaded before their secrets are.
    for refused in secret::usable(tx, refs, action).await?.refused {
        errors.add(
            field,
            format!("the secret {refused} is not granted to {action}: grant it to its pack or to the action first"),
        );
    }
    Ok(())
}

/// Checks the secrets of an action's variables.
pub async fn check_action(tx: &mut PgConnection, draft: &ActionDraft, errors: &mut FieldErrors) -> Result<(), Problem> {
    for (name, reference) in draft.secrets.as_object().into_iter().flatten() {
        if let Some(reference) = reference.as_str() {
            let field = format!("secrets.{name}");
            check_usable(tx, &[reference.to_owned()], &draft.r#ref, &field, errors).await?;
        }
    }
    Ok(())
}

/// Encrypts the literals of secret parameters in a rule.
pub async fn seal_literals(
    api: &Api,
    tx: &mut PgConnection,
    draft: &mut RuleDraft,
    action: &Action,
) -> Result<(), Problem> {
    let Ok(schema) = Schema::compile(&action.parameters_schema) else {
        return Ok(());
    };
    let literals = schema.literals_in(&draft.action_params);
    if literals.is_empty() {
        return Ok(());
    }
    let keys = secrets::keys(tx).await?;
    let sealer = LiteralSealer {
        action: &action.r#ref,
        pool: &action.pool,
        key: keys.get(&action.pool).copied(),
        sealer: Some(&api.sealer),
    };
    for path in literals {
        if let Some(value) = path.find_mut(&mut draft.action_params) {
            let hidden = sealer
                .seal(&path, value)
                .map_err(|error| Problem::conflict("secret", error))?;
            *value = json!(hidden);
        }
    }
    Ok(())
}

/// Secrets that a rule or an action names and that do not exist: its attempts fail until they are set.
pub async fn missing(tx: &mut PgConnection, refs: &[String], action: &str) -> Result<Vec<String>, Problem> {
    let missing = secret::usable(tx, refs, action).await?.missing;
    let warning = |reference| format!("there is no secret {reference} yet: attempts fail until it is set");
    Ok(missing.into_iter().map(warning).collect())
}

/// The refs in a rule's parameters.
pub fn refs_of_rule(action_params: &Value) -> Vec<String> {
    let Ok(template) = Template::compile(action_params) else {
        return Vec::new();
    };
    let refs = template.secrets().into_iter().flat_map(|(_, refs)| refs);
    let mut refs: Vec<String> = refs.map(|reference| reference.as_str().to_owned()).collect();
    refs.sort();
    refs.dedup();
    refs
}

/// The refs in an action's variables.
pub fn refs_of_action(secrets: &Value) -> Vec<String> {
    let refs = secrets.as_object().into_iter().flat_map(|entries| entries.values());
    refs.filter_map(|reference| Some(reference.as_str()?.to_owned()))
        .collect()
}
