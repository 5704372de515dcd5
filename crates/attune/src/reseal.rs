//! `attune reseal`: encrypts every stored secret with the new `security.encryption_key` after it has changed.

use crate::{
    cli::DatabaseArgs,
    database::{self, Database},
    output,
};
use anyhow::Context as _;
use attune_common::{
    seal::Sealer,
    secrets::{self, Resealed},
    store::{PgConnection, Transaction, webhook},
};

pub fn run(database: &DatabaseArgs) -> anyhow::Result<()> {
    database::with(database, all)
}

/// All or nothing: when neither key decrypts a secret, the error names the trigger, and nothing is changed.
async fn all(on: Database) -> anyhow::Result<()> {
    anyhow::ensure!(
        on.config.security.encryption_key.is_some(),
        "no encryption key is configured: set security.encryption_key (ATTUNE__SECURITY__ENCRYPTION_KEY) to that of the API"
    );
    let sealer = Sealer::new(&on.config.security);
    let mut tx = Transaction::begin(&on.pool).await?;
    let mut changed = std::collections::BTreeSet::new();
    for mut endpoint in webhook::lock_all(&mut tx).await? {
        let before = endpoint.config.clone();
        sealer
            .seal_config(&mut endpoint.config, &endpoint.trigger_ref)
            .with_context(|| format!("failed at the trigger {}; nothing was changed", endpoint.trigger_ref))?;
        if endpoint.config != before {
            webhook::set_config(&mut tx, endpoint.trigger_id, &endpoint.config).await?;
            let object = format!("trigger {}", endpoint.trigger_ref);
            // Without a fingerprint, because the previous value may be a secret in plain text.
            output::note(&mut tx, "reseal", &object).await?;
            changed.insert(endpoint.trigger_id);
        }
    }
    for stored in webhook::lock_keys(&mut tx).await? {
        let renewed = match (&stored.clear, &stored.sealed) {
            (Some(clear), _) => sealer.seal_webhook_key(clear, &stored.trigger_ref).map(Some),
            (None, Some(text)) => sealer.reseal_webhook_key(text, &stored.trigger_ref),
            (None, None) => Ok(None),
        };
        let renewed =
            renewed.with_context(|| format!("failed at the address of {}; nothing was changed", stored.trigger_ref))?;
        if let Some(text) = renewed {
            webhook::set_sealed_key(&mut tx, stored.trigger_id, &text).await?;
            output::note(&mut tx, "reseal", &format!("trigger {}", stored.trigger_ref)).await?;
            changed.insert(stored.trigger_id);
        }
    }
    let mut note = async |tx: &mut PgConnection, objects: &[String]| output::notes(tx, "reseal", objects).await;
    let secrets = secrets::reseal(&mut tx, &sealer, &mut note)
        .await
        .context("nothing was changed")?;
    tx.commit().await?;
    let changed = changed.len();
    let Resealed {
        secrets,
        grants,
        rules,
        executions,
    } = secrets;
    println!("{}", changed + secrets + rules + executions);
    eprintln!(
        "encrypted with the current keys: the secrets and addresses of {changed} triggers, {secrets} secrets, {grants} copies for \
         pools, the parameters of {rules} rules and {executions} executions; the previous keys are no longer needed"
    );
    Ok(())
}
