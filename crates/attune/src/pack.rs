//! `attune pack`: checks packs and loads them, without a running API.

use crate::{
    cli::{PackCommand, PackLoad},
    database::{self, Database},
};
use attune_common::packs::{Broken, Pack, load_folder};
use std::{error::Error, fmt, path::PathBuf};

pub fn run(command: &PackCommand) -> anyhow::Result<()> {
    match command {
        PackCommand::Check(options) => check(&options.folders),
        PackCommand::Load(options) => database::with(&options.database, |on| load(on, options)),
    }
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
        anyhow::ensure!(folder.is_dir(), "{} is not a directory", folder.display());
        match Pack::read(folder) {
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
