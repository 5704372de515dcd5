//! The program `attune`: everything in one process (`attune up`), and the command line.
//!
//! A library, so that `attune-bench` measures the same [`platform`] that `attune up` runs.

mod after;
mod check;
mod cli;
mod client;
mod database;
mod keeper;
mod migrate;
mod output;
mod pack;
pub mod platform;
mod prompt;
mod reseal;
mod restore;
pub mod secrets;
mod sign_in;
mod timer;
mod token;
mod up;
mod user;
mod why;

use attune_common::service::error_chain;
use clap::Parser as _;
use cli::{Cli, Command};
use std::process::ExitCode;

/// The whole of the program's `main`.
pub fn main() -> ExitCode {
    // The worker starts this program a second time, as the supervisor of its actions.
    if let Some(code) = attune_worker::supervisor::run_if_requested() {
        return code;
    }
    let cli = Cli::parse();
    let is_check = matches!(cli.command, Command::Check(_) | Command::Pack(_));
    let ended = match cli.command {
        Command::Up(options) => up::run(&options),
        Command::Migrate(options) => migrate::run(&options),
        Command::User(command) => user::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Reseal(database) => reseal::run(&database),
        Command::Restore(options) => restore::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Pack(command) => pack::run(&command),
        Command::Timer(command) => timer::run(&command),
        Command::Why(options) => why::run(&options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attune: {}", error_chain(&error));
            if let Some(failure) = error.downcast_ref::<client::Failure>() {
                return ExitCode::from(failure.code);
            }
            // Like diff and grep: 2 means that the command could not decide.
            let answered = !is_check || error.is::<check::Violated>() || error.is::<pack::Invalid>();
            ExitCode::from(if answered { 1 } else { 2 })
        }
    }
}
