//! The audit: one row per change, in the transaction of the change.

use crate::{auth::Caller, problem::Problem};
use attune_common::{
    hex,
    store::{PgConnection, audit},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Records a change. Only the fingerprints of the object before and after are stored.
pub async fn record<T: Serialize>(
    connection: &mut PgConnection,
    caller: &Caller,
    verb: &str,
    object: &str,
    (before, after): (Option<&T>, Option<&T>),
) -> Result<(), Problem> {
    let actor = caller.actor();
    let entry = audit::Entry {
        actor: &actor,
        address: caller.address.as_deref(),
        verb,
        object,
        before_hash: before.and_then(fingerprint),
        after_hash: after.and_then(fingerprint),
        request_id: Some(&caller.request_id),
    };
    Ok(audit::append(connection, std::slice::from_ref(&entry)).await?)
}

/// Records something that changed no object.
pub async fn note(connection: &mut PgConnection, caller: &Caller, verb: &str, object: &str) -> Result<(), Problem> {
    record::<()>(connection, caller, verb, object, (None, None)).await
}

/// The sha256 of an object as the API shows it.
pub fn fingerprint<T: Serialize>(value: &T) -> Option<String> {
    let text = serde_json::to_vec(value).ok()?;
    Some(hex::encode(&Sha256::digest(text)))
}
