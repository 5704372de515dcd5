//! Rotates the secrets and addresses of webhooks. For a while both are valid, so that the sender can switch without a gap.

use crate::{
    answer::One,
    api::Api,
    auth::Caller,
    definitions::{self, or_not_found},
    problem::Problem,
    request::{Body, IfMatch, Name, form},
    routes::auth::secret,
};
use attune_common::{
    hex,
    store::{db, trigger, webhook},
};
use attune_domain::{
    definition::{Trigger, TriggerKind},
    webhook::{Profile, WebhookConfig, check_secret, previous_counts, rotate},
};
use axum::{extract::State, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

const OVERLAP_SECONDS_MAX: u32 = 30 * 86_400;

form! {
    pub struct SecretRotation {
        /// The new secret. Default: a generated one, which is shown once.
        #[schema(value_type = Option<String>, format = Password)]
        secret: Option<SecretString>,
        /// How long the previous secret remains valid, at most 30 days.
        #[schema(minimum = 0, maximum = 2_592_000)]
        overlap_seconds: i64 where (0..=OVERLAP_SECONDS_MAX) = 86_400,
    }
}

form! {
    pub struct KeyRotation {
        /// How long the previous address remains valid, at most 30 days.
        #[schema(minimum = 0, maximum = 2_592_000)]
        overlap_seconds: i64 where (0..=OVERLAP_SECONDS_MAX) = 86_400,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RotatedSecret {
    /// The generated secret, which is never shown again; null if the body contained one.
    secret: Option<String>,
    previous_expires_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RotatedKey {
    webhook_url: String,
    previous_expires_at: DateTime<Utc>,
}

pub async fn rotate_secret(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    body: Body<SecretRotation>,
) -> Result<Response, Problem> {
    caller.check_step_up()?;
    let form = body.form;
    let mut tx = api.begin_definitions().await?;
    let before = or_not_found(trigger::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    let profile = profile(&api, &before)?;
    if let Some(given) = &form.secret {
        check_secret(given.expose_secret()).map_err(|message| Problem::field("secret", message))?;
    }
    let made = form.secret.is_none().then(|| new_secret(&profile));
    let text = made
        .as_deref()
        .or(form.secret.as_ref().map(ExposeSecret::expose_secret));
    let now = db::now(&mut *tx).await?;
    if form.overlap_seconds > 0 && previous_counts(&before.config, now) {
        return Err(still_valid("secret"));
    }
    let previous_expires_at = now + TimeDelta::seconds(form.overlap_seconds);
    let mut config = before.config.clone();
    rotate(&mut config, text.unwrap_or_default(), previous_expires_at);
    let sealer = &api.webhooks.sealer;
    let mut opened = config.clone();
    let refused = |error: attune_common::seal::SealError| Problem::field("secret", error.to_string());
    sealer.open_config(&mut opened, &before.r#ref).map_err(refused)?;
    WebhookConfig::parse(&opened)?;
    sealer.seal_config(&mut config, &before.r#ref).map_err(refused)?;
    webhook::set_config(&mut tx, before.id, &config).await?;
    let after = or_not_found(trigger::get(&mut *tx, &key).await?, &key)?;
    definitions::commit(&api, tx, &caller, "rotate_secret", (Some(&before), Some(&after))).await?;
    Ok(secret(One::new(RotatedSecret {
        secret: made,
        previous_expires_at,
    })))
}

pub async fn rotate_key(
    State(api): State<Api>,
    caller: Caller,
    Name(key): Name,
    seen: IfMatch,
    body: Body<KeyRotation>,
) -> Result<Response, Problem> {
    caller.check_step_up()?;
    let mut tx = api.begin_definitions().await?;
    let before = or_not_found(trigger::lock(&mut tx, &key).await?, &key)?;
    seen.check(before.version)?;
    is_webhook(&before)?;
    let webhook_key = hex::encode(&rand::random::<[u8; 32]>());
    let address = webhook::Address::new(&api.webhooks.sealer, &webhook_key, &before.r#ref);
    let rotated = webhook::rotate_key(&mut tx, before.id, &address, body.form.overlap_seconds).await?;
    let previous_expires_at = rotated.ok_or_else(|| still_valid("address"))?;
    let after = or_not_found(trigger::get(&mut *tx, &key).await?, &key)?;
    definitions::commit(&api, tx, &caller, "rotate_key", (Some(&before), Some(&after))).await?;
    Ok(secret(One::new(RotatedKey {
        webhook_url: api.webhook_url(&webhook_key),
        previous_expires_at,
    })))
}

/// Only one previous value can be valid, and a sender that still uses it must not be locked out by surprise.
fn still_valid(what: &str) -> Problem {
    let detail = format!(
        "the previous {what} is still valid and would be revoked now; wait until it expires, or set overlap_seconds to 0, \
         which revokes every earlier {what} immediately"
    );
    Problem::conflict("previous_counts", detail)
}

fn is_webhook(trigger: &Trigger) -> Result<(), Problem> {
    if trigger.kind == TriggerKind::Webhook {
        return Ok(());
    }
    Err(Problem::conflict(
        "not_a_webhook",
        format!("{} is not a webhook", trigger.r#ref),
    ))
}

/// The profile of the webhook. One that does not verify its senders has no secret.
fn profile(api: &Api, trigger: &Trigger) -> Result<Profile, Problem> {
    is_webhook(trigger)?;
    let mut config = trigger.config.clone();
    let opened = api.webhooks.sealer.open_config(&mut config, &trigger.r#ref);
    opened.map_err(|error| {
        Problem::field(
            "secret",
            format!("cannot be decrypted with the current key; set it again with PATCH: {error}"),
        )
    })?;
    let config = WebhookConfig::parse(&config).map_err(|errors| Problem::invalid(errors.under("config")))?;
    if config.profile == Profile::None {
        let detail = format!("{} has no secret, because `verify` is none", trigger.r#ref);
        return Err(Problem::conflict("no_secret", detail));
    }
    Ok(config.profile)
}

/// 256 random bits, in the format of the profile.
fn new_secret(profile: &Profile) -> String {
    let bytes = rand::random::<[u8; 32]>();
    match profile {
        Profile::StandardWebhooks => format!("whsec_{}", STANDARD.encode(bytes)),
        _ => hex::encode(&bytes),
    }
}
