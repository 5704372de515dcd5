//! The whole platform as people run it: the real programs, on a real PostgreSQL and a real RabbitMQ.
#![expect(clippy::expect_used, reason = "a failed setup panics where it fails")]

mod support;

mod actions;
mod alerts;
mod chaos;
mod check;
mod cli;
mod cli_output;
mod command_line;
mod database;
mod embedded;
#[cfg(feature = "failpoints")]
mod failpoints;
mod faults;
mod house;
mod isolation;
mod joint;
mod leaks;
mod ledger;
mod own_postgres;
mod pack_commands;
mod pack_files;
#[cfg(feature = "failpoints")]
mod predecessor;
mod quickstart;
mod quickstart_demo;
mod recovery;
mod scratch;
mod services;
mod surroundings;
mod timer_preview;
mod traces;
mod two_apis;
mod webhooks;
