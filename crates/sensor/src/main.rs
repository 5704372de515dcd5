//! `attune-sensor`: timers become events.

use attune_common::service::{self, Kind};
use std::process::ExitCode;

fn main() -> ExitCode {
    service::main(Kind::Sensor, attune_sensor::run)
}
