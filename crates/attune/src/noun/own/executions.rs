//! `execution rerun` and `execution wait`.

use super::super::{Call, read::path_of};
use crate::{
    cmd::{follow, session::Session},
    failure::Failure,
    noun::table::EXECUTION,
    view::{cell::plain, list, out, term::Format},
};
use serde_json::{Value, json};
use uuid::Uuid;

pub async fn rerun(session: &Session, call: &Call) -> anyhow::Result<()> {
    for key in call.texts("key") {
        let path = format!("{}/rerun", path_of(&EXECUTION, &key));
        let request = session.client.post(&path).idempotency_key(Uuid::now_v7().to_string());
        let made: Value = request.data().await?;
        match session.view.format {
            Format::Table | Format::Name => out::line(&plain(&made["id"]))?,
            _ => list::one(&made, EXECUTION.shape(), &session.view)?,
        }
    }
    Ok(())
}

/// Exits like `run --wait`, with the first bad outcome.
pub async fn wait(session: &Session, call: &Call) -> anyhow::Result<()> {
    let mut code = 0;
    for key in call.texts("key") {
        let execution = follow::until_interrupted(session, &key, false, follow::end(session, &key)).await?;
        if matches!(session.view.format, Format::Table) {
            follow::report(session, &execution);
        } else {
            list::one(&json!(execution), EXECUTION.shape(), &session.view)?;
        }
        if code == 0 {
            code = follow::outcome(execution.status);
        }
    }
    match code {
        0 => Ok(()),
        code => Err(Failure::silent(code).into()),
    }
}
