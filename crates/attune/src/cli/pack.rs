//! `attune pack`.

use super::DatabaseArgs;
use crate::{
    ctx::ApiArgs,
    noun::{Verbs, table::PACKS},
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const PACK_CODES: &str = "Exit codes:\n  0  success\n  1  a pack is invalid, or differs from the lock file\n  2  the command line is invalid, or a confirmation is missing\n  3  the token is missing or its role is too low\n  4  the pack does not exist\n  5  conflict\n  6  the pack is invalid\n  7  the API does not respond, or it failed\n  8  the API is overloaded\n  9  `diff`: there are differences";

#[derive(Debug, Subcommand)]
pub enum PackCommand {
    /// Write the files of a new pack
    New(PackNew),
    /// Write the archive of a pack; the same files give the same bytes
    ///
    /// Prints the sha256 of the files in their normal form, which is the identity of the content.
    Build(PackBuild),
    /// Show what applying packs would change
    #[command(after_help = PACK_CODES)]
    Plan(PackDiff),
    /// Create or update packs with their definitions and files, through the API
    ///
    /// A source is a folder, a .tar.gz or .zip archive, or `git+https://HOST/PATH[@REVISION][#FOLDER]` (also git+ssh, git+file).
    /// What a person edited stays as it is.
    #[command(after_help = PACK_CODES)]
    Apply(PackApply),
    /// Like `plan`; exits with 9 if there are differences
    #[command(after_help = PACK_CODES)]
    Diff(PackDiff),
    /// List packs, one per line: ref, version, state, hash, label
    #[command(after_help = PACK_CODES)]
    List(PackList),
    /// Show a pack and its files
    #[command(after_help = PACK_CODES)]
    Show(PackNamed),
    /// Download the files of a pack
    #[command(after_help = PACK_CODES)]
    Export(PackExport),
    /// Remove a pack
    #[command(after_help = PACK_CODES)]
    Remove(PackRemove),
    /// Validate packs in folders and archives, and report every error with its file and line
    ///
    /// Needs no database. References into other packs, and new timers that would never fire, are checked when the pack is
    /// loaded.
    #[command(
        after_help = "Exit codes:\n  0  all packs are valid\n  1  a pack is invalid\n  2  a directory is missing, or the command line is invalid"
    )]
    Check(PackCheck),
    /// Load packs into the database
    ///
    /// The setting `packs.load` does the same at the start of a service. Running services use the packs within seconds.
    #[command(
        after_help = "Exit codes:\n  0  all packs are loaded\n  1  a pack is invalid, and nothing of it was written\n  2  a directory or the database is missing, or the command line is invalid"
    )]
    Load(PackLoad),
    #[command(flatten)]
    Noun(Verbs<PACKS>),
}

#[derive(Debug, Args)]
pub struct PackNew {
    /// Name of the pack
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Directory to create [default: the name]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PackBuild {
    /// Directory that contains a pack.yaml
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// File to write [default: REF-VERSION.tar.gz]
    #[arg(long, short = 'O', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PackApply {
    /// Folders, archives, or `git+https://HOST/PATH[@REVISION][#FOLDER]`
    #[arg(
        required_unless_present = "from_lock",
        conflicts_with = "from_lock",
        value_name = "SOURCE"
    )]
    pub sources: Vec<String>,
    /// Record source, version and sha256 of each pack in this file, such as attune.lock
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Apply the packs of this file instead, and only if they still have the recorded sha256
    #[arg(long, value_name = "FILE", conflicts_with = "lock")]
    pub from_lock: Option<PathBuf>,
    /// Print JSON, one line per pack
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Args)]
pub struct PackDiff {
    /// Folders, archives, or `git+https://HOST/PATH[@REVISION][#FOLDER]`
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Print JSON, one line per pack
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Args)]
pub struct PackList {
    /// Print JSON, one line per pack
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Args)]
pub struct PackNamed {
    /// Ref of the pack
    #[arg(value_name = "REF")]
    pub pack: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Args)]
pub struct PackExport {
    /// Ref of the pack
    #[arg(value_name = "REF")]
    pub pack: String,
    /// Unpack into this directory, which is created
    #[arg(long, short = 'd', value_name = "DIR", conflicts_with = "output")]
    pub directory: Option<PathBuf>,
    /// File to write [default: REF-VERSION.tar.gz]
    #[arg(long, short = 'O', value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Args)]
pub struct PackRemove {
    /// Ref of the pack
    #[arg(value_name = "REF")]
    pub pack: String,
    /// Remove its definitions as well
    #[arg(long)]
    pub cascade: bool,
    /// Remove without a confirmation
    #[arg(long, short = 'y')]
    pub yes: bool,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Args)]
pub struct PackCheck {
    /// Directories that contain a pack.yaml, or archives
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PackLoad {
    /// Directories that contain a pack.yaml
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    #[command(flatten)]
    pub database: DatabaseArgs,
}
