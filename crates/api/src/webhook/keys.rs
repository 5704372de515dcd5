//! Encrypts the keys of addresses that SQL or a pack file wrote in clear text.

use attune_common::{
    seal::Sealer,
    store::{PgPool, Transaction, webhook},
};

/// Returns how many keys it encrypted. Does nothing without an encryption key, which every service requires to start.
pub async fn seal_clear(pool: &PgPool, sealer: &Sealer) -> anyhow::Result<u64> {
    let mut tx = Transaction::begin(pool).await?;
    let mut count = 0;
    for stored in webhook::lock_clear_keys(&mut tx).await? {
        let Some(key) = stored.clear else { continue };
        if let Ok(text) = sealer.seal_webhook_key(&key, &stored.trigger_ref) {
            webhook::set_sealed_key(&mut tx, stored.trigger_id, &text).await?;
            count += 1;
        }
    }
    tx.commit().await?;
    Ok(count)
}
