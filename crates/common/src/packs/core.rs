//! The core pack, built into the program, so that it needs no files. A test compares the list with the folder.

use super::pack::{Files, Pack};
use attune_domain::FieldErrors;

macro_rules! embed {
    ($($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../../packs/core/", $path)))),*]
    };
}

const EMBEDDED: &[(&str, &str)] = embed! {
    "pack.yaml"
    "runtimes/native.yaml"
    "runtimes/node.yaml"
    "runtimes/python.yaml"
    "runtimes/shell.yaml"
    "triggers/definition_changed.yaml"
    "triggers/event_quarantined.yaml"
    "triggers/execution_finished.yaml"
    "triggers/pool_unserved.yaml"
    "triggers/rule_failed.yaml"
    "triggers/service_started.yaml"
    "triggers/timer_10s.yaml"
    "triggers/timer_1m.yaml"
    "triggers/timer_failed.yaml"
    "triggers/timer_hourly.yaml"
    "triggers/timer_missed.yaml"
    "triggers/webhook_rejected.yaml"
    "triggers/worker_lost.yaml"
    "actions/echo.yaml"
    "actions/http.yaml"
    "actions/noop.yaml"
    "actions/sleep.yaml"
};

/// The core pack.
pub fn core() -> Result<Pack, FieldErrors> {
    Pack::parse(&files())
}

pub(super) fn files() -> Files {
    EMBEDDED
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}
