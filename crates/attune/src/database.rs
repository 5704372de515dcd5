//! The database that a command works on: a given one, or the private one of `attune up`, whether that runs or not.

use crate::cli::Where;
use anyhow::Context as _;
use attune_common::{
    config::Config,
    postgres::{Neighbor, Postgres, Settings},
    store::{self, PgPool, db},
    telemetry,
};
use std::path::Path;

/// What a command is given.
pub struct Database {
    pub pool: PgPool,
    pub config: Config,
}

/// Runs a command on the database, and leaves everything behind as it was.
pub fn with<R: Future<Output = anyhow::Result<()>>>(
    place: &Where,
    command: impl FnOnce(Database) -> R,
) -> anyhow::Result<()> {
    let mut config = Config::load(place.config.as_deref())?;
    if let Some(url) = &place.database_url {
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
            None => Some(Server::of(&place.data_dir).await?),
        };
        if let Some(server) = &server {
            config.database.url = Some(server.url().into());
            crate::secrets::complete(&mut config.security, &place.data_dir)?;
            config.keep_generated_password(crate::secrets::password_file(&place.data_dir));
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
    let accepted = db::schema_accepted(pool)
        .await
        .context("failed to look at the schema")?;
    anyhow::ensure!(
        accepted,
        "the database's schema is older than this program: run `attune migrate`, or start `attune up` once"
    );
    let pool = pool.clone();
    command(Database { pool, config }).await
}

enum Server {
    /// `attune up` runs it.
    Neighbors(Neighbor),
    Ours(Postgres),
}

impl Server {
    async fn of(data_dir: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            data_dir.join("postgres").is_dir(),
            "there is no database in {}: say --data-dir DIR of `attune up`, or --database-url URL (or ATTUNE__DATABASE__URL)",
            data_dir.display()
        );
        if let Some(neighbor) = Neighbor::on(data_dir).await? {
            return Ok(Self::Neighbors(neighbor));
        }
        let settings = Settings::new(data_dir);
        Ok(Self::Ours(
            Postgres::start(&settings, |word| eprintln!("{word}")).await?,
        ))
    }

    fn url(&self) -> String {
        match self {
            Self::Neighbors(neighbor) => neighbor.url(),
            Self::Ours(postgres) => postgres.url(),
        }
    }
}
