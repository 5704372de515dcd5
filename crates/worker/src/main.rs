//! `attune-worker`: claims executions and runs their actions.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = attune_worker::supervisor::run_if_asked() {
        return code;
    }
    ExitCode::SUCCESS
}
