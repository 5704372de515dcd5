//! `attune pack`: makes, checks and builds packs here, loads them into a database, and applies them through the API.

mod git;
mod local;
mod lock;
mod remote;
mod source;

use crate::{
    cli::{PackCommand, PackLoad},
    cmd::session::block_on,
    ctx::ApiArgs,
    database::{self, Database},
};
use attune_client::Client;
use attune_common::packs::{Archive, Broken, Pack, Unusable, load_folder};
use std::{
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
};

pub fn run(command: &PackCommand) -> anyhow::Result<()> {
    match command {
        PackCommand::New(options) => local::new(options),
        PackCommand::Build(options) => local::build(options),
        PackCommand::Apply(options) => on_api(&options.api, async |api| match &options.from_lock {
            Some(path) => remote::apply_locked(api, path, options.json).await,
            None => remote::apply(api, options).await,
        }),
        PackCommand::Plan(options) => on_api(&options.api, async |api| remote::diff(api, options, false).await),
        PackCommand::Diff(options) => on_api(&options.api, async |api| remote::diff(api, options, true).await),
        PackCommand::List(options) => on_api(&options.api, async |api| remote::list(api, options).await),
        PackCommand::Show(options) => on_api(&options.api, async |api| remote::show(api, options).await),
        PackCommand::Export(options) => on_api(&options.api, async |api| remote::export(api, options).await),
        PackCommand::Remove(options) => on_api(&options.api, async |api| remote::remove(api, options).await),
        PackCommand::Check(options) => check(&options.folders),
        PackCommand::Noun(verbs) => crate::noun::run(&verbs.0),
        PackCommand::Load(options) => database::with(&options.database, |on| load(on, options)),
    }
}

fn on_api(options: &ApiArgs, command: impl AsyncFnOnce(&Client) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let client = options.client()?;
    block_on(options.timeout, command(&client))
}

/// Some packs have errors, which were printed.
#[derive(Debug)]
pub struct Invalid {
    broken: usize,
    of: usize,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} packs are invalid; see the errors above",
            self.broken, self.of
        )
    }
}

impl Error for Invalid {}

fn check(folders: &[PathBuf]) -> anyhow::Result<()> {
    let mut broken = 0;
    for folder in folders {
        anyhow::ensure!(folder.exists(), "{} does not exist", folder.display());
        match read(folder) {
            Ok(pack) if pack.doubts().is_empty() => {
                println!("{}: the pack {} is valid", folder.display(), pack.manifest.r#ref);
            }
            Ok(pack) => {
                broken += 1;
                print(&Broken::new(folder, &pack.doubts().into()));
            }
            Err(error) => {
                broken += 1;
                print(&Broken::new(folder, &error));
            }
        }
    }
    ended(broken, folders.len())
}

fn read(place: &Path) -> anyhow::Result<Pack> {
    if place.is_dir() {
        return Pack::read(place);
    }
    match Pack::of(&Archive::of_bytes(&fs::read(place)?)?) {
        Ok(pack) => Ok(pack),
        Err(Unusable::Invalid(errors)) => Err(errors.into()),
        Err(error) => Err(error.into()),
    }
}

async fn load(on: Database, options: &PackLoad) -> anyhow::Result<()> {
    let mut broken = 0;
    for folder in &options.folders {
        anyhow::ensure!(folder.is_dir(), "{} is not a directory", folder.display());
        match load_folder(&on.pool, folder).await? {
            Ok(report) => println!("{}: {report}", folder.display()),
            Err(errors) => {
                broken += 1;
                print(&errors);
            }
        }
    }
    ended(broken, options.folders.len())
}

fn ended(broken: usize, of: usize) -> anyhow::Result<()> {
    anyhow::ensure!(broken == 0, Invalid { broken, of });
    Ok(())
}

fn print(broken: &Broken) {
    for line in broken.lines() {
        eprintln!("{line}");
    }
}
