//! `attune-api`: serves the API. Everything is in the library.

use attune_common::service::{Kind, main as run_service};
use std::process::ExitCode;

fn main() -> ExitCode {
    run_service(Kind::Api, attune_api::run)
}
