//! The parameters of an execution that is started by hand, as they are stored.

use crate::{api::Api, problem::Problem};
use attune_common::secrets::{self, LiteralSealer};
use attune_domain::{definition::Action, parameters::Schema, secret::Parameters};
use serde_json::Value;

/// Completes the parameters, and encrypts those that the schema declares secret. A rerun gets the stored parameters of the first
/// run: its secrets stay, and its literals are encrypted again if the action's pool or a key has changed.
pub async fn stored(
    api: &Api,
    (action, schema): (&Action, &Schema),
    parameters: &Value,
    is_rerun: bool,
) -> Result<Value, Problem> {
    let given = if is_rerun {
        Parameters::from_stored(parameters).map_err(|bad| Problem::conflict("parameters", bad))?
    } else {
        Parameters::plain(parameters.clone())
    };
    let mut parameters = schema.complete(given)?;
    if parameters.secrets.is_empty() {
        return Ok(parameters.into_stored());
    }
    let keys = secrets::keys(&mut *api.pool.acquire().await?).await?;
    let sealer = LiteralSealer {
        action: &action.r#ref,
        pool: &action.pool,
        key: keys.get(&action.pool).copied(),
        sealer: Some(&api.sealer),
    };
    // Without the previous key they stay as they are.
    if let Err(error) = sealer.reseal(&mut parameters) {
        tracing::warn!(error, "failed to encrypt the parameters of a rerun again");
    }
    let hidden = parameters.seal(&mut |path, value| sealer.seal(path, value));
    let hidden = hidden.map_err(|reason| Problem::conflict("secret", reason))?;
    Ok(hidden.into_stored())
}
