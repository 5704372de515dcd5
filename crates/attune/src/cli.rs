//! The command line, on one screen.

use attune_common::config::listen_address;
use attune_domain::identity::Role;
use clap::{Args, Parser, Subcommand};
use std::{net::SocketAddr, path::PathBuf};

/// Event-driven automation: timers and webhooks become events, rules match them, actions run.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in this process, with a private PostgreSQL.
    Up(Up),
    /// Bring a database up to date, load the core pack and create the first admin. For deployments of separate services.
    Migrate(Migrate),
    /// Who may sign in: at the database itself, without the API.
    #[command(subcommand)]
    User(UserCommand),
    /// API tokens for programs: at the database itself, without the API.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Seal every secret at rest with the present encryption key, so that the previous one can go.
    Reseal(Where),
    /// Make a new data directory for `attune up` from a backup: a dump of the database, and its keys.
    Restore(Restore),
    /// Look whether everything that is promised of the database's rows holds.
    #[command(
        after_help = "Exit code: 0 everything holds; 1 something does not; 2 it could not be looked at, or a wrong command line."
    )]
    Check(Check),
    /// Packs as files: check them, or load them into the database.
    #[command(subcommand)]
    Pack(PackCommand),
    /// Ask about schedules.
    #[command(subcommand)]
    Timer(TimerCommand),
    /// Tell what came of an event or an execution, and what each rule said to it.
    #[command(
        after_help = "Exit code: 0 it is told; 1 it is not known, or the API does not answer; 2 a wrong command line."
    )]
    Why(Why),
}

#[derive(Debug, Args)]
pub struct Up {
    /// Where the database, its log and the generated secrets are kept.
    #[arg(long, env = "ATTUNE_DATA_DIR", default_value = "attune-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the API listens: 127.0.0.1:8080, localhost:8080.
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Use this PostgreSQL instead of a private one.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Use this RabbitMQ instead of the bus inside the process.
    #[arg(long, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// The folder of PostgreSQL's programs, when they are not found by themselves.
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// What to log, to standard error: `info`, `debug`, `attune_sensor=debug,warn`.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
    /// The configuration file. Every key can also be set as `ATTUNE__SECTION__KEY`.
    #[arg(long, env = "ATTUNE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Args)]
pub struct Why {
    /// The id of an event or of an execution.
    #[arg(value_parser = crate::why::id)]
    pub id: uuid::Uuid,
    /// The address of the API.
    #[arg(
        long,
        env = "ATTUNE_API_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub url: String,
    /// An API token or an access token.
    #[arg(long, env = "ATTUNE_API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
}

impl std::fmt::Debug for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Why")
            .field("id", &self.id)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Args)]
pub struct Migrate {
    /// The database's address. It may hold a password: better set `ATTUNE__DATABASE__URL` then.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// The configuration file. Every key can also be set as `ATTUNE__SECTION__KEY`.
    #[arg(long, env = "ATTUNE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The database of a command: `--database-url`, else that of the configuration, else the private one of `attune up`.
#[derive(Args)]
pub struct Where {
    /// The database's address. It may hold a password: better set `ATTUNE__DATABASE__URL` then.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// The data directory of `attune up`, whether that runs or not.
    #[arg(long, env = "ATTUNE_DATA_DIR", default_value = "attune-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The configuration file. Every key can also be set as `ATTUNE__SECTION__KEY`.
    #[arg(long, env = "ATTUNE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl std::fmt::Debug for Where {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Where")
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Subcommand)]
pub enum PackCommand {
    /// Read packs and report every error with its file and line. Needs no database: references into other packs and new
    /// timers that would never fire are checked when the pack is loaded.
    #[command(
        after_help = "Exit code: 0 all packs are valid; 1 one is not; 2 a folder is missing, or a wrong command line."
    )]
    Check(PackCheck),
    /// Load packs into the database, as `packs.load` does at a start. Running services use them within seconds.
    #[command(
        after_help = "Exit code: 0 all packs are loaded; 1 one is not valid, and nothing of it was written; 2 a folder or the \
                      database is missing, or a wrong command line."
    )]
    Load(PackLoad),
}

#[derive(Debug, Args)]
pub struct Restore {
    /// What `pg_dump` wrote, in its plain format.
    #[arg(value_name = "DUMP")]
    pub dump: PathBuf,
    /// The keys that the database was used with: `secrets.json` of its data directory.
    #[arg(long, value_name = "FILE")]
    pub secrets: PathBuf,
    /// The data directory to make.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The folder of PostgreSQL's programs, when they are not found by themselves.
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PackCheck {
    /// Folders that hold a pack.yaml.
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PackLoad {
    /// Folders that hold a pack.yaml.
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub place: Where,
    /// Nothing is under way: an execution that has not ended is wrong, too.
    #[arg(long)]
    pub settled: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Everybody, one a line: number, login, role, state, name.
    List(Listed),
    /// Make a user. The password is asked for, or read from standard input or `ATTUNE_USER_PASSWORD`. Prints the number.
    Add(NewUser),
    /// Set a new password, read as `add` reads it. Ends every sign-in of the user; API tokens stay unless --end-tokens is
    /// given.
    Passwd(NewPassword),
    /// Refuse a user, with all sign-ins and API tokens.
    Disable(Named),
    /// Let a user sign in again.
    Enable(Named),
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Every token, one a line, newest first. The tokens themselves are kept nowhere.
    List(Listed),
    /// Make a token and print it, this once.
    Create(NewToken),
    /// Refuse a token from now on.
    Revoke(Revoked),
}

#[derive(Debug, Args)]
pub struct Listed {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct Named {
    pub login: String,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct NewPassword {
    #[command(flatten)]
    pub named: Named,
    /// Also revoke every API token of the user.
    #[arg(long)]
    pub end_tokens: bool,
}

#[derive(Debug, Args)]
pub struct NewUser {
    #[command(flatten)]
    pub named: Named,
    /// viewer, operator, editor or admin.
    #[arg(long, default_value = "viewer", value_name = "ROLE")]
    pub role: Role,
    /// The name for people. Default: the login.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct NewToken {
    /// Whose token it is.
    #[arg(long, value_name = "LOGIN")]
    pub user: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub label: String,
    /// viewer, operator, editor or admin; at most its owner's.
    #[arg(long, default_value = "viewer", value_name = "ROLE")]
    pub role: Role,
    /// Default: it never expires.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    pub expires_in_days: Option<u16>,
    /// As JSON, with its number.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct Revoked {
    /// The token's number, as `list` tells it.
    pub id: i64,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Subcommand)]
pub enum TimerCommand {
    /// Show when a schedule would fire, and where a change of the clocks touches it. Refuses what creating the timer would
    /// refuse where events are kept for 30 days.
    #[command(
        after_help = "Exit code: 0 there are occurrences; 1 there are none, or it would be refused; 2 a wrong command line."
    )]
    Preview(Preview),
}

#[derive(Debug, Args)]
pub struct Preview {
    /// A cron expression of 5, 6 or 7 fields such as "30 2 * * *", or a whole configuration in JSON.
    pub schedule: String,
    /// The IANA time zone of a cron expression. Default: UTC.
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// A local time that a forward change of the clocks leaves out: `run` right after, or `skip`.
    #[arg(long, value_name = "POLICY")]
    pub dst_gap: Option<String>,
    /// A local time that comes twice: `first`, `second` or `both`.
    #[arg(long, value_name = "POLICY")]
    pub dst_overlap: Option<String>,
    /// How many occurrences to show.
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
    /// Look ahead from here: an instant such as 2027-01-01T08:00:00Z, or 2027-01-01 (from the beginning of that day on) or
    /// 2027-01-01T08:00 in the timer's zone. Default: now.
    #[arg(long, value_name = "WHEN")]
    pub after: Option<crate::timer::After>,
}
