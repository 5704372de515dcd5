//! `attune restore`: creates a data directory from a dump of a database and its keys.

use crate::{cli::Restore, secrets};
use anyhow::Context as _;
use attune_common::{
    config::Security,
    postgres::{self, Postgres, Settings},
    seal::Sealer,
    store::{Transaction, db, webhook},
};

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
        "{} contains a database already: choose a new directory with --data-dir",
        data_dir.display()
    );
    let keys = std::fs::read_to_string(&options.secrets)
        .with_context(|| format!("failed to read the keys of the backup, {}", options.secrets.display()))?;
    let security = secrets::read_keys(&keys)?;
    let mut settings = Settings::new(data_dir);
    settings.programs.clone_from(&options.postgres_bin);
    let postgres = Postgres::start(&settings, |line| println!("{line}")).await?;
    let restored = match postgres.restore(&options.dump).await {
        Ok(()) => check_keys(&postgres, &security, options).await,
        Err(error) => Err(error.into()),
    };
    postgres.stop().await;
    if let Err(error) = restored {
        // The next start would treat an empty database as one in use.
        let folder = data_dir.join("postgres");
        std::fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
        return Err(error);
    }
    secrets::keep_keys(data_dir, &keys)?;
    println!(
        "restored into {}; `attune up --data-dir {}` continues from there",
        data_dir.display(),
        data_dir.display()
    );
    Ok(())
}

/// The keys must decrypt the secrets in the database. A dump of a version without encrypted addresses has none to try.
async fn check_keys(postgres: &Postgres, security: &Security, options: &Restore) -> anyhow::Result<()> {
    let pool = db::pool(&postgres.url().into(), "attune-restore", 1)?;
    let mut connection = Transaction::begin(&pool).await?;
    let stored = webhook::lock_keys(&mut connection).await.unwrap_or_default();
    drop(connection);
    db::close(&pool).await;
    let sealer = Sealer::new(security);
    for key in stored {
        if let Some(sealed) = &key.sealed {
            sealer.open_webhook_key(sealed, &key.trigger_ref).with_context(|| {
                format!(
                    "{} does not belong to this dump: it does not decrypt the address of {}",
                    options.secrets.display(),
                    key.trigger_ref
                )
            })?;
        }
    }
    Ok(())
}
