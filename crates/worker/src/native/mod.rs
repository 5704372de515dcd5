//! Actions that are built into the worker and run without a process.

mod http;

pub use http::Http;

use crate::{
    conclude::RunResult,
    redact::{Redactor, wipe},
    runner::Stop,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// A run of a native action.
#[derive(Debug)]
pub struct Call {
    pub name: String,
    pub parameters: Value,
    /// Replaces secrets in its result and its error.
    pub redactor: Option<Arc<Redactor>>,
    pub timeout: Duration,
}

impl Call {
    /// Runs to the end, to the time-out, or until it is stopped. Nothing of it continues afterwards.
    pub async fn run(mut self, http: &Http, stop: &Stop) -> RunResult {
        let ended = self.end(http, stop).await;
        let Some(redactor) = &self.redactor else {
            return ended;
        };
        wipe(&mut self.parameters);
        RunResult {
            result: ended.result.map(|result| redactor.value(result)),
            error: ended.error.map(|error| redactor.text(error)),
            ..ended
        }
    }

    async fn end(&self, http: &Http, stop: &Stop) -> RunResult {
        let work = async {
            match self.name.as_str() {
                "noop" => RunResult::succeeded(json!({})),
                "http" => http.run(&self.parameters).await,
                name => RunResult::failed(format!(
                    "unknown native action {name:?}; this worker has \"http\" and \"noop\""
                )),
            }
        };
        tokio::select! {
            biased;
            () = stop.requested() => RunResult::canceled(),
            ended = tokio::time::timeout(self.timeout, work) => {
                ended.unwrap_or_else(|_| RunResult::timed_out(self.timeout))
            }
        }
    }
}
