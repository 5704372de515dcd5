//! The commands for secrets and values.

use super::{DatabaseArgs, ListArgs};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a secret, and create it if it does not exist
    ///
    /// Reads the value from the terminal without showing it, or from standard input. Running attempts keep the value that they
    /// started with.
    Set(NewSecret),
    /// List all secrets, one per line; values are never shown
    List(ListArgs),
    /// Delete a secret
    Rm(RefArgs),
    /// Replace the pools whose workers can open a secret, and the packs and actions that may use it
    Grant(SecretGrant),
}

#[derive(Debug, Args)]
pub struct NewSecret {
    #[command(flatten)]
    pub secret: RefArgs,
    /// Purpose of the secret
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Days until the secret expires; health reports it 14 days before [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    pub expires_in_days: Option<u16>,
    /// Read the value as JSON: an object or a number instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SecretGrant {
    #[command(flatten)]
    pub secret: RefArgs,
    /// Pool whose workers can open it; give it once for each pool
    #[arg(long = "pool", value_name = "POOL")]
    pub pools: Vec<String>,
    /// Pack or action that may use it; give it once for each
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum ValueCommand {
    /// Print a value as JSON
    Get(RefArgs),
    /// Set a value, and create it if it does not exist
    Set(NewValue),
    /// List all values, one per line
    List(ListArgs),
    /// Delete a value
    Rm(RefArgs),
}

#[derive(Debug, Args)]
pub struct NewValue {
    #[command(flatten)]
    pub value: RefArgs,
    /// JSON; anything else is text
    #[arg(value_name = "VALUE")]
    pub content: String,
    /// Seconds until the value is removed [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(1..))]
    pub ttl_seconds: Option<i32>,
    /// Version that the value must have, 0 if it must not exist
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<i64>,
}

#[derive(Debug, Args)]
pub struct RefArgs {
    /// Ref, such as `github.token`; its pack must exist
    #[arg(value_name = "REF")]
    pub reference: attune_domain::Ref,
    #[command(flatten)]
    pub database: DatabaseArgs,
}
