//! The cluster of a chaos run, and its faults.

use super::{
    super::support::{
        deployment::{Deployment, SERVICES},
        facts, tree,
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
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::{
    fs, io,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Services reconnect to RabbitMQ within 15 s; a busy machine takes longer.
const FOUND_AGAIN: Duration = Duration::from_secs(20);
/// The delay of a slow connection: far more than a disk or a network takes, and less than any timeout.
const SLOW: Duration = Duration::from_millis(200);
/// The maximum time until the preconditions of a fault (a running slot holder) and its evidence exist.
const HAPPENS: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Cluster {
    pub kept: Option<Kept>,
    // In this order, because the services must end before their servers.
    pub deployment: Deployment,
    to_broker: Proxy,
    broker: RabbitNode,
    lease: Duration,
}

impl Cluster {
    pub async fn start(lease: Duration) -> Self {
        let broker = RabbitNode::started().await.expect("RabbitMQ starts");
        let to_broker = Proxy::to(Target::Tcp(broker.port())).await.expect("a port is free");
        let mut deployment = Deployment::with_lease(&rabbitmq::url(to_broker.port()), lease).await;
        for name in ["sensor-2", "executor-2", "worker-2"] {
            deployment.services.launch(name).await;
        }
        Self {
            kept: Kept::of(&deployment),
            deployment,
            to_broker,
            broker,
            lease,
        }
    }

    /// Performs a step and reverts it. When it returns, everything runs again.
    pub async fn suffer(&mut self, step: &Step) {
        match step.fault {
            Fault::Kill(whom) => {
                self.kill(whom).await;
                lasts(step.holds).await;
                self.restart(whom).await;
                self.is_ready(whom).await;
            }
            Fault::Freeze(whom) => {
                let frozen = self.freeze(whom);
                lasts(step.holds.max(2 * self.lease)).await;
                drop(frozen);
            }
            Fault::Cut(whom, manner) => {
                // After the previous fault, RabbitMQ may have to be reconnected first.
                let used = async || (self.connections(whom) > 0).then_some(());
                eventually("the connection to be cut is used", FOUND_AGAIN, used).await;
                self.way(whom, manner);
                lasts(step.holds).await;
                self.set_way(whom, Way::Open);
            }
            Fault::Wipe => {
                self.broker.wipe().expect("the disk of the broker is replaced");
                lasts(step.holds).await;
                self.restart(RABBITMQ).await;
            }
            Fault::Together => {
                for whom in &step.order {
                    self.kill(whom).await;
                }
                lasts(step.holds).await;
                for whom in step.order.iter().rev() {
                    self.restart(whom).await;
                }
                for whom in SERVICES {
                    self.is_ready(whom).await;
                }
            }
            Fault::FreezeHolder(whom) => self.freeze_holder(whom, false, step.holds).await,
            Fault::FreezeHolderAndSupervisor(whom) => self.freeze_holder(whom, true, step.holds).await,
            Fault::LockRow => self.lock_row(step.holds).await,
            Fault::KillSupervisor(whom) => {
                kill_all(&self.supervisor(whom)).await;
                lasts(step.holds).await;
            }
            Fault::KillWithSupervisor(whom) => {
                let supervisor = self.supervisor(whom);
                let mut all = supervisor.clone();
                all.push(self.deployment.services.process(whom).pid());
                // All at once, so that none can react to the end of another.
                let frozen = Frozen::all(&all).expect("processes can be stopped");
                self.kill(whom).await;
                kill_all(&supervisor).await;
                drop(frozen);
                lasts(step.holds).await;
                self.restart(whom).await;
                self.is_ready(whom).await;
            }
        }
    }

    /// Freezes a worker while one of its executions holds a slot, until its leases have expired.
    async fn freeze_holder(&mut self, whom: &str, supervisor: bool, holds: Duration) {
        let id = self.ids([whom].into_iter()).await.remove(0);
        let id = id.as_str().expect("a worker has an id");
        let holding = format!(
            "select count(*) from execution_queue where worker_id = '{id}' and action_key is not null and lease_until > db_now()"
        );
        let holds_slots = async || self.query(&holding).await.filter(|count| *count > 0);
        eventually("the worker holds a slot", HAPPENS, holds_slots).await;
        let mut processes = vec![self.deployment.services.process(whom).pid()];
        if supervisor {
            processes.extend(self.supervisor(whom));
        }
        let since = self
            .query("select extract(epoch from db_now()) * 1000")
            .await
            .expect("the database answers");
        let frozen = Frozen::all(&processes).expect("processes can be stopped");
        lasts(holds.max(2 * self.lease)).await;
        // The fault really happened: work of the frozen worker was rescued meanwhile, while the worker held its slot.
        let lost = format!(
            "select count(*) from execution_attempt where worker_id = '{id}' and outcome = 'lost' and ended_at > to_timestamp({since} / 1000.0)"
        );
        let rescued = async || self.query(&lost).await.filter(|count| *count > 0);
        eventually("the frozen worker's work is rescued", self.lease + HAPPENS, rescued).await;
        drop(frozen);
    }

    /// A foreign session locks the row of a running execution for longer than its lease.
    async fn lock_row(&mut self, holds: Duration) {
        const ROW: &str = "select execution_id from execution_queue where worker_id is not null and not ready
             and timeout_seconds > 0 and deadline_at > db_now() and action_key is not null
             order by lease_until desc limit 1 for update skip locked";
        let pool = &self.deployment.services.database.pool;
        let options = pool.connect_options();
        let mut foreign = PgConnection::connect_with(&options).await.expect("a connection");
        sqlx::raw_sql("set idle_in_transaction_session_timeout = 0")
            .execute(&mut foreign)
            .await
            .expect("a setting");
        let began = Instant::now();
        let row: uuid::Uuid = loop {
            sqlx::raw_sql("begin")
                .execute(&mut foreign)
                .await
                .expect("a transaction");
            if let Some(row) = sqlx::query_scalar(ROW)
                .fetch_optional(&mut foreign)
                .await
                .expect("an answer")
            {
                break row;
            }
            assert!(began.elapsed() < HAPPENS, "an execution that holds a slot is running");
            sqlx::raw_sql("rollback")
                .execute(&mut foreign)
                .await
                .expect("a rollback");
            lasts(Duration::from_millis(200)).await;
        };
        lasts(holds.max(2 * self.lease)).await;
        // The fault really happened: the lease has expired, and the row still exists.
        let over =
            format!("select count(*) from execution_queue where execution_id = '{row}' and lease_until < db_now()");
        assert_eq!(
            self.query(&over).await,
            Some(1),
            "the lock outlasts the lease, and the row is not removed"
        );
        sqlx::raw_sql("rollback")
            .execute(&mut foreign)
            .await
            .expect("a rollback");
    }

    /// Both processes of a worker's supervisor.
    fn supervisor(&self, whom: &str) -> Vec<Pid> {
        let all = tree::descendants(self.deployment.services.process(whom).pid());
        let found: Vec<Pid> = all
            .into_iter()
            .filter(|pid| tree::is_called(*pid, "action-supervisor"))
            .collect();
        assert_eq!(found.len(), 2, "a supervisor has two processes");
        found
    }

    async fn kill(&mut self, whom: &str) {
        match whom {
            POSTGRES => self.deployment.postgres.kill().await,
            RABBITMQ => self.broker.kill().expect("the broker can be killed"),
            service => self.deployment.services.take(service).kill().await,
        }
    }

    async fn restart(&mut self, whom: &str) {
        match whom {
            POSTGRES => self.deployment.postgres.start().await,
            RABBITMQ => self.broker.start().await.expect("RabbitMQ starts again"),
            service => self.deployment.services.begin(service),
        }
    }

    /// The workers' ids in the database.
    pub async fn ids(&self, workers: impl Iterator<Item = &str>) -> Vec<Value> {
        let pool = &self.deployment.services.database.pool;
        let mut ids = Vec::new();
        for name in workers {
            let pid = self.deployment.services.process(name).pid();
            let newest = format!("select id from service_instance where pid = {pid} order by started_at desc limit 1");
            ids.push(facts::value(pool, &newest).await);
        }
        ids
    }

    async fn is_ready(&self, whom: &str) {
        if SERVICES.contains(&whom) {
            self.deployment.services.is_ready(whom).await;
        }
    }

    fn freeze(&self, whom: &str) -> Frozen {
        let frozen = match whom {
            POSTGRES => self.deployment.postgres.freeze(),
            RABBITMQ => Frozen::all(&[self.broker.pid().expect("the broker runs")]),
            service => Frozen::all(&[self.deployment.services.process(service).pid()]),
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
            POSTGRES => self.deployment.ways(way),
            RABBITMQ => self.to_broker.set(way),
            service => self.deployment.way(service, way),
        }
    }

    fn connections(&self, whom: &str) -> usize {
        match whom {
            POSTGRES => SERVICES.iter().map(|name| self.deployment.connections(name)).sum(),
            RABBITMQ => self.to_broker.connections(),
            service => self.deployment.connections(service),
        }
    }

    async fn query(&self, sql: &str) -> Option<i64> {
        facts::number_if_there(&self.deployment.services.database.pool, sql).await
    }

    /// Waits until the execution of a later event has ended. Returns how long that took.
    pub async fn wait_for_progress(&self, within: Duration) -> Duration {
        let began = Instant::now();
        let now = async || self.query("select extract(epoch from db_now()) * 1000000").await;
        let since = eventually("the database answers", within, now).await;
        let sql = format!(
            "select count(*) from (select from execution where id >= id_floor(to_timestamp({since} / 1000000.0)) and status = 'succeeded' limit 1) e"
        );
        let done = async || self.query(&sql).await.filter(|count| *count > 0);
        eventually("work continues", within, done).await;
        began.elapsed()
    }
}

/// The duration of a fault.
async fn lasts(time: Duration) {
    sleep(time).await;
}

/// Sends SIGKILL and waits until the processes are gone.
async fn kill_all(processes: &[Pid]) {
    for process in processes {
        // The end of one process may already have ended the other.
        let _ = kill(*process, Signal::SIGKILL);
    }
    let gone = async || (!processes.iter().any(|process| tree::exists(*process))).then_some(());
    eventually("the killed processes are gone", HAPPENS, gone).await;
}

/// Stores the evidence of a run: the database, the logs and the marks. Dropped while they still exist, however the run
/// ended.
#[derive(Debug)]
pub struct Kept {
    postgres: String,
    services: PathBuf,
    folder: PathBuf,
}

impl Kept {
    fn of(deployment: &Deployment) -> Option<Self> {
        Some(Self {
            postgres: deployment.postgres.postgres().url(),
            services: deployment.services.folder.path().to_owned(),
            folder: variable("ATTUNE_CHAOS_KEEP")?.into(),
        })
    }

    #[expect(clippy::disallowed_methods, reason = "programs that end at once")]
    fn keep(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut copy = Command::new("cp");
        copy.arg("-r").args([&self.services, &self.folder.join("services")]);
        let mut dump = Command::new("pg_dump");
        dump.arg("--format=custom")
            .arg(format!("--dbname={}", self.postgres))
            .arg("--file")
            .arg(self.folder.join("database.dump"));
        // The logs first, because an unavailable database cannot be dumped.
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
