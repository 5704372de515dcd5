//! `attune restore`: a dump of an earlier database becomes the database of a new data directory.

use crate::{cli::Restore, secrets};
use anyhow::Context as _;
use attune_common::postgres::{self, Postgres, Settings};

pub fn run(options: &Restore) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(restore(options))
}

async fn restore(options: &Restore) -> anyhow::Result<()> {
    let data_dir = &options.data_dir;
    postgres::check_free(data_dir)?;
    anyhow::ensure!(
        !data_dir.join("postgres").exists(),
        "there is a database in {} already: choose a new folder with --data-dir",
        data_dir.display()
    );
    let keys = std::fs::read_to_string(&options.secrets)
        .with_context(|| format!("failed to read the keys of the backup, {}", options.secrets.display()))?;
    let mut settings = Settings::new(data_dir);
    settings.programs.clone_from(&options.postgres_bin);
    let postgres = Postgres::start(&settings, |word| println!("{word}")).await?;
    let restored = postgres.restore(&options.dump).await;
    postgres.stop().await;
    if let Err(error) = restored {
        // An empty database would be taken for one that is in use.
        let folder = data_dir.join("postgres");
        std::fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
        return Err(error.into());
    }
    secrets::keep_keys(data_dir, &keys)?;
    println!(
        "restored into {}; `attune up --data-dir {}` continues from there",
        data_dir.display(),
        data_dir.display()
    );
    Ok(())
}
