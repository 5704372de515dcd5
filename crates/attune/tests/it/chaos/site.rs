//! Everything that a chaos run does something to, and how it is done.

use super::{
    super::support::{
        facts,
        stage::{SERVICES, Stage},
    },
    plan::{Fault, Manner, POSTGRES, RABBITMQ, Step},
};
use attune_common::{
    config::variable,
    testing::{
        Frozen, Proxy, Target, Way, eventually,
        rabbitmq::{self, RabbitNode},
    },
};
use serde_json::Value;
use std::{
    fs, io,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// RabbitMQ is found again within 15 s, and a busy machine takes longer.
const FOUND_AGAIN: Duration = Duration::from_secs(20);
/// A slow way: far more than a disk or a network takes, and less than what is given up.
const SLOW: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct Site {
    pub kept: Option<Kept>,
    // In this order: the services end before their servers.
    pub stage: Stage,
    to_broker: Proxy,
    broker: RabbitNode,
    lease: Duration,
}

impl Site {
    pub async fn start(lease: Duration) -> Self {
        let broker = RabbitNode::started().await.expect("RabbitMQ starts");
        let to_broker = Proxy::to(Target::Tcp(broker.port())).await.expect("a port is free");
        let mut stage = Stage::with_lease(&rabbitmq::url(to_broker.port()), lease).await;
        for name in ["sensor-2", "executor-2", "worker-2"] {
            stage.services.launch(name).await;
        }
        Self {
            kept: Kept::of(&stage),
            stage,
            to_broker,
            broker,
            lease,
        }
    }

    /// Does what a step says, and undoes it. When it returns, everything runs again.
    pub async fn suffer(&mut self, step: &Step) {
        match step.fault {
            Fault::Kill(whom) => {
                self.kill(whom).await;
                sleep(step.holds).await;
                self.restart(whom).await;
                self.is_ready(whom).await;
            }
            Fault::Freeze(whom) => {
                let frozen = self.freeze(whom);
                sleep(step.holds.max(2 * self.lease)).await;
                drop(frozen);
            }
            Fault::Cut(whom, manner) => {
                // After the fault before, also RabbitMQ is found again within this.
                let used = async || (self.connections(whom) > 0).then_some(());
                eventually("the way that is to be cut is used", FOUND_AGAIN, used).await;
                self.way(whom, manner);
                sleep(step.holds).await;
                self.set_way(whom, Way::Open);
            }
            Fault::Wipe => {
                self.broker.wipe().expect("the broker loses its disk");
                sleep(step.holds).await;
                self.restart(RABBITMQ).await;
            }
            Fault::Together => {
                for whom in &step.order {
                    self.kill(whom).await;
                }
                sleep(step.holds).await;
                for whom in step.order.iter().rev() {
                    self.restart(whom).await;
                }
                for whom in SERVICES {
                    self.is_ready(whom).await;
                }
            }
        }
    }

    async fn kill(&mut self, whom: &str) {
        match whom {
            POSTGRES => self.stage.postgres.kill().await,
            RABBITMQ => self.broker.kill().expect("the broker can be killed"),
            service => self.stage.services.take(service).kill().await,
        }
    }

    async fn restart(&mut self, whom: &str) {
        match whom {
            POSTGRES => self.stage.postgres.start().await,
            RABBITMQ => self.broker.start().await.expect("RabbitMQ starts again"),
            service => self.stage.services.begin(service),
        }
    }

    /// The workers' ids, as the ledger knows them.
    pub async fn ids(&self, workers: impl Iterator<Item = &str>) -> Vec<Value> {
        let pool = &self.stage.services.database.pool;
        let mut ids = Vec::new();
        for name in workers {
            let pid = self.stage.services.process(name).pid();
            let newest = format!("select id from service_instance where pid = {pid} order by started_at desc limit 1");
            ids.push(facts::value(pool, &newest).await);
        }
        ids
    }

    async fn is_ready(&self, whom: &str) {
        if SERVICES.contains(&whom) {
            self.stage.services.is_ready(whom).await;
        }
    }

    fn freeze(&self, whom: &str) -> Frozen {
        let frozen = match whom {
            POSTGRES => self.stage.postgres.freeze(),
            RABBITMQ => Frozen::all(&[self.broker.pid().expect("the broker runs")]),
            service => Frozen::all(&[self.stage.services.process(service).pid()]),
        };
        frozen.expect("a process can be stopped")
    }

    fn way(&self, whom: &str, manner: Manner) {
        let way = match manner {
            Manner::Closed => Way::Closed,
            Manner::Silent => Way::Silent,
            Manner::Slow => Way::Slow(SLOW),
        };
        self.set_way(whom, way);
    }

    fn set_way(&self, whom: &str, way: Way) {
        match whom {
            POSTGRES => self.stage.ways(way),
            RABBITMQ => self.to_broker.set(way),
            service => self.stage.way(service, way),
        }
    }

    fn connections(&self, whom: &str) -> usize {
        match whom {
            POSTGRES => SERVICES.iter().map(|name| self.stage.connections(name)).sum(),
            RABBITMQ => self.to_broker.connections(),
            service => self.stage.connections(service),
        }
    }

    async fn ask(&self, sql: &str) -> Option<i64> {
        facts::number_if_there(&self.stage.services.database.pool, sql).await
    }

    /// Waits until an event that came after now has led to the end of its execution. Tells how long that took.
    pub async fn goes_on(&self, within: Duration) -> Duration {
        let began = Instant::now();
        let now = async || self.ask("select extract(epoch from db_now()) * 1000000").await;
        let since = eventually("the database answers", within, now).await;
        let sql = format!(
            "select count(*) from (select from execution where id >= id_floor(to_timestamp({since} / 1000000.0)) and status = 'succeeded' limit 1) e"
        );
        let done = async || self.ask(&sql).await.filter(|count| *count > 0);
        eventually("work goes on", within, done).await;
        began.elapsed()
    }
}

/// What is needed to understand how the run ended, and where it is kept: the database, the logs and the marks. Dropped
/// while they are still there, however the run ended.
#[derive(Debug)]
pub struct Kept {
    postgres: PathBuf,
    services: PathBuf,
    folder: PathBuf,
}

impl Kept {
    fn of(stage: &Stage) -> Option<Self> {
        Some(Self {
            postgres: stage.postgres.postgres().folder().to_owned(),
            services: stage.services.folder.path().to_owned(),
            folder: variable("ATTUNE_CHAOS_KEEP")?.into(),
        })
    }

    #[expect(clippy::disallowed_methods, reason = "programs that end at once")]
    fn keep(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut copy = Command::new("cp");
        copy.arg("-r").args([&self.services, &self.folder.join("services")]);
        let mut dump = Command::new("pg_dump");
        dump.args(["--format=custom", "--username=attune", "--dbname=attune", "--host"]);
        dump.arg(&self.postgres)
            .arg("--file")
            .arg(self.folder.join("database.dump"));
        // The logs first: a database that is away cannot be dumped.
        for command in [&mut copy, &mut dump] {
            let status = command.status()?;
            if !status.success() {
                return Err(io::Error::other(format!("{command:?}: {status}")));
            }
        }
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let folder = self.folder.display();
        match self.keep() {
            Ok(()) => println!("the database, the logs and the marks are kept in {folder}"),
            Err(error) => println!("not everything is kept in {folder}: {error}"),
        }
    }
}
