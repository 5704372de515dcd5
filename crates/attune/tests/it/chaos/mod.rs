//! Chaos: under load, every process is killed, frozen and cut off in an order that a seed determines. Afterwards every
//! invariant holds, every accepted event exists, nothing ran twice, and the throughput was sufficient.
//!
//! A normal test run executes the same two minutes every time. `scripts/chaos.sh --minutes N --seed S` runs random plans.

mod cluster;
mod limits;
mod load;
mod plan;
mod report;

use self::{
    cluster::Cluster,
    limits::LimitLedger,
    load::{Load, TIMERS, WEBHOOKS_PER_SECOND},
    plan::{FIRST, Fault, Manner, POSTGRES, Step, plan},
    report::{Done, Report},
};
use super::support::{facts, services::LEASE};
use attune_common::{clock, config::variable};
use std::{
    fs,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// The maximum time from the end of a fault until work continues.
const PROGRESS_WITHIN: Duration = Duration::from_secs(30);
/// The same after an outage of PostgreSQL.
const POSTGRES_PROGRESS_WITHIN: Duration = Duration::from_secs(10);
/// Extra time on a machine that is busy with tests.
const ALLOWANCE: Duration = Duration::from_secs(5);
/// Claims of a killed executor expire after 30 s, and then the backlog has to be processed.
const DRAIN: Duration = Duration::from_secs(180);

struct Run {
    seed: u32,
    span: Duration,
    lease: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_lose_and_duplicate_nothing() {
    let Some(minutes) = variable("ATTUNE_CHAOS_MINUTES") else {
        let run = Run {
            seed: 0,
            span: Duration::MAX,
            lease: LEASE,
        };
        return run.through(short().into_iter()).await;
    };
    let minutes: f64 = minutes.parse().expect("ATTUNE_CHAOS_MINUTES is a number");
    let number = |name: &str| Some(variable(name)?.parse().unwrap_or_else(|_| panic!("{name} is a number")));
    let run = Run {
        seed: number("ATTUNE_CHAOS_SEED").unwrap_or_else(rand::random),
        span: Duration::from_secs_f64(minutes * 60.0),
        lease: number("ATTUNE_CHAOS_LEASE").map_or(LEASE, |seconds| Duration::from_secs(seconds.into())),
    };
    run.through(plan(run.seed.into(), run.lease)).await;
}

/// One short fault of each kind.
fn short() -> Vec<Step> {
    let step = |fault, seconds| Step {
        fault,
        holds: Duration::from_secs(seconds),
        rest: Duration::from_secs(1),
        order: plan(0, LEASE).next().expect("a plan has steps").order,
    };
    vec![
        step(Fault::FreezeHolder("worker-1"), 6),
        step(Fault::FreezeHolderAndSupervisor("worker-2"), 6),
        step(Fault::LockRow, 6),
        step(Fault::KillSupervisor("worker-1"), 0),
        step(Fault::KillWithSupervisor("worker-2"), 0),
        step(Fault::Kill(POSTGRES), 1),
        step(Fault::Freeze("executor-1"), 6),
        step(Fault::Cut("worker-1", Manner::Silent), 5),
        step(Fault::Together, 0),
    ]
}

impl Run {
    async fn through(&self, steps: impl Iterator<Item = Step>) {
        println!("seed {}, leases of {:?}", self.seed, self.lease);
        let mut cluster = Cluster::start(self.lease).await;
        let load = Load::start(&cluster.deployment.services).await;
        let services = &cluster.deployment.services;
        let limits = LimitLedger::start(&services.database.pool, services.folder.path()).await;
        cluster.wait_for_progress(PROGRESS_WITHIN).await;
        let (began, mut done) = (Instant::now(), Vec::new());
        for step in steps {
            if began.elapsed() > self.span {
                break;
            }
            println!(
                "{:>5} s  {} for {:?}",
                began.elapsed().as_secs(),
                step.fault,
                step.holds
            );
            let workers = cluster.ids(step.fault.workers()).await;
            let from = clock::now();
            cluster.suffer(&step).await;
            let recovered = cluster.wait_for_progress(PROGRESS_WITHIN).await;
            println!(
                "{:>5} s  recovered after {recovered:?}; {} webhooks",
                began.elapsed().as_secs(),
                load.promised()
            );
            done.push(Done {
                fault: step.fault,
                workers,
                from,
                to: clock::now(),
                recovered,
            });
            sleep(step.rest).await;
        }
        self.finish(&mut cluster, load, &limits, began, done).await;
        drop(cluster.kept);
        cluster.deployment.services.stop().await;
    }

    async fn finish(&self, cluster: &mut Cluster, load: Load, limits: &LimitLedger, began: Instant, done: Vec<Done>) {
        for fault in FIRST {
            assert!(
                done.iter().any(|done| done.fault == fault),
                "{fault} did not happen: the run was too short"
            );
        }
        let (effects, ledger) = load.end().await;
        let pool = cluster.deployment.services.database.pool.clone();
        let seconds = began.elapsed().as_secs();
        println!("{seconds:>5} s  the load has ended; waiting until no work is pending");
        facts::drain(&pool, DRAIN).await;
        let report = Report::make(&pool, self, seconds, &done, (&effects, &ledger, limits)).await;
        let text = report.text();
        println!("{text}");
        if let Some(file) = variable("ATTUNE_CHAOS_REPORT") {
            fs::write(&file, &text).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        report.check(seconds, TIMERS, WEBHOOKS_PER_SECOND);
    }
}

impl Done {
    /// The maximum time until work continues.
    fn within(&self) -> Duration {
        match self.fault {
            Fault::Kill(POSTGRES) | Fault::Freeze(POSTGRES) | Fault::Cut(POSTGRES, _) => {
                POSTGRES_PROGRESS_WITHIN + ALLOWANCE
            }
            _ => PROGRESS_WITHIN,
        }
    }
}
