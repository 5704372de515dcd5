//! `attune-executor`: events meet rules and become executions; lost work is rescued.

use attune_common::service::{self, Kind};
use std::process::ExitCode;

fn main() -> ExitCode {
    service::main(Kind::Executor, attune_executor::run)
}
