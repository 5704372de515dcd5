//! The database of a command: the given one, or the private one of `attune up`, whether that runs or not.

use crate::cli::DatabaseArgs;
use anyhow::Context as _;
use attune_common::{
    config::Config,
    postgres::{Neighbor, Postgres, Settings},
    store::{self, PgPool, db},
    telemetry,
};
use std::path::Path;

/// The database and the configuration that a command uses.
pub struct Database {
    pub pool: PgPool,
    pub config: Config,
}

/// Runs a command on the database. A private PostgreSQL that was started for it is stopped again.
pub fn with<R: Future<Output = anyhow::Result<()>>>(
    arguments: &DatabaseArgs,
    command: impl FnOnce(Database) -> R,
) -> anyhow::Result<()> {
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(url) = &arguments.database_url {
        config.database.url = Some(url.as_str().into());
    }
    "warn".clone_into(&mut config.log.level);
    telemetry::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let server = match &config.database.url {
            Some(_) => None,
            None => Some(Server::of(&arguments.data_dir).await?),
        };
        if let Some(server) = &server {
            config.database.url = Some(server.url().into());
            crate::secrets::complete(&mut config, &arguments.data_dir)?;
            config.keep_generated_password(crate::secrets::password_file(&arguments.data_dir));
        }
        let pool = db::pool(config.database_url()?, "attune-command", 2)?;
        let ended = run(&pool, config, command).await;
        db::close(&pool).await;
        if let Some(Server::Ours(postgres)) = server {
            postgres.stop().await;
        }
        ended
    })
}

async fn run<R: Future<Output = anyhow::Result<()>>>(
    pool: &PgPool,
    config: Config,
    command: impl FnOnce(Database) -> R,
) -> anyhow::Result<()> {
    store::reach(pool).await?;
    let accepted = db::schema_accepted(pool).await.context("failed to check the schema")?;
    anyhow::ensure!(
        accepted,
        "the database schema is older than this program: run `attune migrate`, or start `attune up` once"
    );
    let pool = pool.clone();
    command(Database { pool, config }).await
}

enum Server {
    /// Started by a running `attune up`.
    Running(Neighbor),
    Ours(Postgres),
}

impl Server {
    async fn of(data_dir: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            data_dir.join("postgres").is_dir(),
            "no database in {}: give the data directory of `attune up` with --data-dir, or set --database-url or ATTUNE__DATABASE__URL",
            data_dir.display()
        );
        if let Some(neighbor) = Neighbor::on(data_dir).await? {
            return Ok(Self::Running(neighbor));
        }
        let settings = Settings::new(data_dir);
        Ok(Self::Ours(
            Postgres::start(&settings, |line| eprintln!("{line}")).await?,
        ))
    }

    fn url(&self) -> String {
        match self {
            Self::Running(neighbor) => neighbor.url(),
            Self::Ours(postgres) => postgres.url(),
        }
    }
}
