//! `attune migrate`: prepares the database of a deployment with separate services.

use crate::cli::Migrate;
use anyhow::Context as _;
use attune_api::auth::{FirstAdmin, ensure_admin};
use attune_common::{
    config::{Config, Packs, Security},
    packs::{self, Broken},
    store::{PgPool, db},
    telemetry,
};
use secrecy::ExposeSecret as _;

pub fn run(options: &Migrate) -> anyhow::Result<()> {
    let mut config = Config::load(options.config.as_deref())?;
    if let Some(url) = &options.database_url {
        config.database.url = Some(url.as_str().into());
    }
    telemetry::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let pool = db::pool(config.database_url()?, "attune-migrate", 2)?;
        let Prepared { admin, broken } = prepare(&pool, &config.packs, &config.security).await?;
        println!("migrated the database and loaded the core pack");
        if let FirstAdmin::Created { login, password } = admin {
            match config.security.admin_password {
                Some(_) => println!("created the user {login} with the given password"),
                None => println!(
                    "created the user {login}; its password, shown only once: {}",
                    password.expose_secret()
                ),
            }
        }
        pool.close().await;
        for pack in &broken {
            for error in &pack.errors {
                eprintln!("{}/{error}", pack.folder.display());
            }
        }
        anyhow::ensure!(
            broken.is_empty(),
            "{} packs were not loaded; see the errors above",
            broken.len()
        );
        Ok(())
    })
}

/// The result of preparing a database.
pub struct Prepared {
    pub admin: FirstAdmin,
    /// Packs of the configuration that could not be loaded.
    pub broken: Vec<Broken>,
}

/// Prepares a database for services: schema, packs and first admin. Idempotent.
pub async fn prepare(pool: &PgPool, configured: &Packs, security: &Security) -> anyhow::Result<Prepared> {
    db::migrate(pool).await?;
    let broken = packs::load_configured(pool, configured).await?.broken;
    let admin = ensure_admin(pool, security.admin_password.clone()).await?;
    Ok(Prepared { admin, broken })
}
