//! `attune-worker`: claims executions and runs their actions.

use attune_common::service::{self, Kind};
use std::process::ExitCode;

fn main() -> ExitCode {
    // The worker starts this program again as the supervisor of its actions.
    if let Some(code) = attune_worker::supervisor::run_if_requested() {
        return code;
    }
    service::main(Kind::Worker, attune_worker::run)
}
