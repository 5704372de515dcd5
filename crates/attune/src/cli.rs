//! The command line, on one screen.

mod pack;
mod secrets;

pub use pack::{
    PackApply, PackBuild, PackCommand, PackDiff, PackExport, PackList, PackLoad, PackNamed, PackNew, PackRemove,
};
pub use secrets::{NewSecret, NewValue, RefArgs, SecretCommand, SecretGrant, ValueCommand};

use crate::{
    after::After,
    cmd::{
        api::Api,
        bundle::Bundle,
        context::ContextCommand,
        doctor::Doctor,
        events::EventsCommand,
        help::{Completion, Help, Man},
        login::{Login, Logout},
        logs::Logs,
        quick::Quick,
        run::Run,
        session::Common,
        status::Status,
        why::Why,
    },
    noun::{
        Nouns, Verbs,
        table::{TIMERS, TOKENS, USERS},
    },
};
use attune_common::config::listen_address;
use attune_domain::identity::Role;
use clap::{Args, Parser, Subcommand};
use std::{net::SocketAddr, path::PathBuf};

/// Event-driven automation: timers and webhooks become events, rules match events, and actions run.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all services in this process, with a private PostgreSQL
    Up(Up),
    /// Create an automation in one line: a timer, a webhook or an event, and a command
    Quick(Box<Quick>),
    /// Run an action
    Run(Box<Run>),
    /// Show the output of an execution
    Logs(Box<Logs>),
    /// Explain what an event or an execution led to, or why a rule did not run
    Why(Box<Why>),
    /// Follow the live stream
    #[command(subcommand)]
    Events(Box<EventsCommand>),
    /// Show what runs, and what is broken
    Status(Box<Status>),
    /// Preview schedules; manage timers
    #[command(subcommand)]
    Timer(TimerCommand),
    #[command(flatten)]
    Noun(Nouns),
    /// Create, check, build and apply packs
    #[command(subcommand)]
    Pack(PackCommand),
    /// Manage users
    #[command(subcommand)]
    User(Verbs<USERS>),
    /// Manage API tokens
    #[command(subcommand)]
    Token(Verbs<TOKENS>),
    /// Sign in at a server, and store a token
    Login(Login),
    /// Revoke the token of a context, and remove the context
    Logout(Logout),
    /// Show who you are, and where
    Whoami(Box<Common>),
    /// Manage the servers that `login` stored
    #[command(subcommand)]
    Context(ContextCommand),
    /// Send a request to the API
    Api(Box<Api>),
    /// Check an installation, and name a command for each problem
    Doctor(Box<Doctor>),
    /// Write an archive that helps to find a problem
    SupportBundle(Box<Bundle>),
    /// Migrate a database, load the core pack and create the first admin
    ///
    /// For deployments that run each service separately. `attune up` does the same at its start.
    Migrate(Migrate),
    /// Manage users and tokens directly in the database, without the API
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Set, grant and delete secrets, directly in the database, without the API
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Read and write values, directly in the database, without the API
    #[command(subcommand)]
    Value(ValueCommand),
    /// Encrypt all stored secrets with the current keys
    ///
    /// Afterwards the previous keys are no longer needed: that of the installation, and those of pools.
    Reseal(DatabaseArgs),
    /// Create a data directory for `attune up` from a backup
    ///
    /// A backup consists of a dump of the database and of its keys.
    Restore(Restore),
    /// Check the invariants of the database
    #[command(
        after_help = "Exit codes:\n  0  all invariants hold\n  1  an invariant is violated\n  2  the check failed, or the command line is invalid"
    )]
    Check(Check),
    /// Print the script that completes commands in a shell
    Completion(Completion),
    /// Print manual pages
    Man(Man),
    /// Print the help of a command or of a topic
    Help(Help),
}

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Manage users directly in the database, without the API
    #[command(subcommand)]
    User(UserCommand),
    /// Manage API tokens directly in the database, without the API
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Args)]
pub struct Up {
    /// Directory for the database, its log and the generated secrets
    #[arg(long, env = "ATTUNE_DATA_DIR", default_value = "attune-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Address on which the API listens, such as 127.0.0.1:8080 or localhost:8080
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Use this PostgreSQL instead of a private one
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Use this RabbitMQ instead of the in-process bus
    #[arg(long, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// Directory with the programs of PostgreSQL [default: searched for]
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// Open the web UI in a browser, signed in
    #[arg(long)]
    pub open: bool,
    /// Log filter, such as `info`, `debug` or `attune_sensor=debug,warn`; logs go to standard error
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
    /// Configuration file; every key can also be set as `ATTUNE__SECTION__KEY`
    #[arg(long, env = "ATTUNE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Migrate {
    /// Address of the database; prefer `ATTUNE__DATABASE__URL` when it contains a password
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Configuration file; every key can also be set as `ATTUNE__SECTION__KEY`
    #[arg(long, env = "ATTUNE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The database of a command: `--database-url`, else that of the configuration, else the private one of `attune up`.
#[derive(Args)]
pub struct DatabaseArgs {
    /// Address of the database; prefer `ATTUNE__DATABASE__URL` when it contains a password
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Data directory of `attune up`, which may be running or not
    #[arg(long, env = "ATTUNE_DATA_DIR", default_value = "attune-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Configuration file; every key can also be set as `ATTUNE__SECTION__KEY`
    #[arg(long, env = "ATTUNE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl std::fmt::Debug for DatabaseArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseArgs")
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Output of `pg_dump` in its plain format
    #[arg(value_name = "DUMP")]
    pub dump: PathBuf,
    /// Keys of the dumped database: `secrets.json` of its data directory
    #[arg(long, value_name = "FILE")]
    pub secrets: PathBuf,
    /// Data directory to create
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Directory with the programs of PostgreSQL [default: searched for]
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Also require that no work is pending: every execution has ended
    #[arg(long, alias = "settled")]
    pub idle: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List all users, one per line: id, login, role, state, name
    List(ListArgs),
    /// Create a user and print the id
    ///
    /// Reads the password from `ATTUNE_USER_PASSWORD`, from the terminal, or from standard input.
    Add(NewUser),
    /// Set a new password
    ///
    /// Reads the password like `add`. All sessions of the user end. API tokens remain valid unless --end-tokens is given.
    Passwd(NewPassword),
    /// Disable a user, with all sessions and API tokens
    Disable(UserArgs),
    /// Allow a user to sign in again
    Enable(UserArgs),
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List all tokens, one per line, newest first; the tokens themselves are not stored
    List(ListArgs),
    /// Create a token and print it, this once
    Create(NewToken),
    /// Revoke a token
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct UserArgs {
    /// Login of the user
    pub login: String,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct NewPassword {
    #[command(flatten)]
    pub user: UserArgs,
    /// Also revoke every API token of the user
    #[arg(long)]
    pub end_tokens: bool,
}

#[derive(Debug, Args)]
pub struct NewUser {
    #[command(flatten)]
    pub user: UserArgs,
    /// Role: viewer, operator, editor or admin
    #[arg(long, default_value = "viewer", value_name = "ROLE")]
    pub role: Role,
    /// Display name [default: the login]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct NewToken {
    /// Login of the token's owner
    #[arg(long, value_name = "LOGIN")]
    pub user: String,
    /// Purpose of the token
    #[arg(long, value_name = "TEXT")]
    pub label: String,
    /// Role: viewer, operator, editor or admin, at most that of the owner
    #[arg(long, default_value = "viewer", value_name = "ROLE")]
    pub role: Role,
    /// Days until the token expires [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    pub expires_in_days: Option<u16>,
    /// Print JSON, including the token's id
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Id of the token, as shown by `list`
    pub id: i64,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
pub enum TimerCommand {
    /// Show when a schedule would fire, and which occurrences a clock change affects
    ///
    /// Rejects what the API would reject when creating the timer, given an event retention of 30 days.
    #[command(
        after_help = "Exit codes:\n  0  the schedule has occurrences\n  1  it has none, or it would be rejected\n  2  the command line is invalid"
    )]
    Preview(Preview),
    /// Start a stopped timer, as if its trigger had just been enabled
    Start(TimerArgs),
    /// Stop a timer until it is started again, or its trigger is edited or enabled
    Stop(TimerArgs),
    #[command(flatten)]
    Noun(Verbs<TIMERS>),
}

#[derive(Debug, Args)]
pub struct TimerArgs {
    /// Ref of the timer's trigger, such as `core.every_minute`
    #[arg(value_name = "REF")]
    pub trigger: attune_domain::TriggerRef,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct Preview {
    /// Cron expression of 5, 6 or 7 fields such as "30 2 * * *", or a whole configuration in JSON
    pub schedule: String,
    /// IANA time zone of a cron expression [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// Local times that a clock change skips: `run` right after the change, or `skip`
    #[arg(long, value_name = "POLICY")]
    pub dst_gap: Option<String>,
    /// Local times that a clock change repeats: `first`, `second` or `both`
    #[arg(long, value_name = "POLICY")]
    pub dst_overlap: Option<String>,
    /// Number of occurrences to show
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
    /// Show occurrences after this instant: 2027-01-01T08:00:00Z, or in the timer's zone 2027-01-01T08:00 or 2027-01-01
    /// [default: now]
    #[arg(long, value_name = "WHEN")]
    pub after: Option<After>,
}
