//! The program `attune`: everything in one process (`attune up`), and the command line.
//!
//! A library, so that `attune-bench` measures the same [`platform`] that `attune up` runs.

mod after;
mod browser;
mod check;
mod child;
mod cli;
mod cmd;
mod ctx;
mod database;
mod failure;
mod keeper;
mod migrate;
mod noun;
mod output;
mod pack;
pub mod platform;
mod prompt;
mod reseal;
mod restore;
mod secret;
pub mod secrets;
mod sign_in;
mod timer;
mod token;
mod up;
mod user;
mod value;
mod view;

use clap::{CommandFactory as _, Parser as _};
use cli::{AdminCommand, Cli, Command};
use cmd::{api, bundle, context, doctor, events, help, login, logs, quick, run, status, why};
use failure::{code_of, described, is_closed_pipe};
use std::{ffi::OsString, process::ExitCode};
use view::term::error_prefix;

/// The whole of the program's `main`.
pub fn main() -> ExitCode {
    // The worker starts this program a second time, as the supervisor of its actions.
    if let Some(code) = attune_worker::supervisor::run_if_requested() {
        return code;
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let verbose = words
        .iter()
        .any(|word| word == "-v" || word == "-vv" || word == "--verbose");
    let cli = Cli::parse_from(directly(words));
    let is_check = matches!(cli.command, Command::Check(_) | Command::Pack(_));
    let Err(error) = execute(cli.command) else {
        return ExitCode::SUCCESS;
    };
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    if let Some(text) = described(&error, verbose) {
        eprintln!("{}{text}", error_prefix());
    }
    // Like diff and grep: 2 means that the command could not decide.
    let answered = !is_check || error.is::<check::Violated>() || error.is::<pack::Invalid>();
    ExitCode::from(code_of(&error).unwrap_or(if answered { 1 } else { 2 }))
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(options) => up::run(&options),
        Command::Migrate(options) => migrate::run(&options),
        Command::Admin(AdminCommand::User(command)) => user::run(&command),
        Command::Admin(AdminCommand::Token(command)) => token::run(&command),
        Command::Secret(command) => secret::run(&command),
        Command::Value(command) => value::run(&command),
        Command::Reseal(database) => reseal::run(&database),
        Command::Restore(options) => restore::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Pack(command) => pack::run(&command),
        Command::Timer(command) => timer::run(&command),
        Command::Noun(nouns) => noun::run(&nouns.0),
        Command::User(verbs) => noun::run(&verbs.0),
        Command::Token(verbs) => noun::run(&verbs.0),
        Command::Quick(options) => quick::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Logs(options) => logs::run(&options),
        Command::Why(options) => why::run(&options),
        Command::Events(command) => events::run(&command),
        Command::Status(options) => status::run(&options),
        Command::Login(options) => login::login(&options),
        Command::Logout(options) => login::logout(&options),
        Command::Whoami(common) => login::whoami(&common),
        Command::Context(command) => context::run(&command),
        Command::Api(options) => api::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::SupportBundle(options) => bundle::run(&options),
        Command::Completion(options) => help::completion(&options, Cli::command()),
        Command::Man(options) => help::man(&options, Cli::command()),
        Command::Help(options) => help::help(&options, Cli::command()),
    }
}

/// `attune user` and `attune token` used the database. With its options, they still do for one release.
fn directly(mut words: Vec<OsString>) -> Vec<OsString> {
    let moved = words.get(1).is_some_and(|word| word == "user" || word == "token");
    let on_database = |word: &OsString| {
        let word = word.to_string_lossy();
        let option = word.split('=').next().unwrap_or_default().to_owned();
        ["--data-dir", "--database-url", "--config"].contains(&option.as_str())
    };
    if moved && words.iter().any(on_database) {
        let name = words[1].to_string_lossy().into_owned();
        eprintln!("deprecated: use `attune admin {name}`, which changes the database directly");
        words.insert(1, "admin".into());
    }
    words
}
