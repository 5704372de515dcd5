//! Chaos: every process is killed, frozen and cut off, in an order that follows from a seed, while a load goes on. Afterwards
//! every invariant holds, nothing that was promised is missing, nothing ran twice, and enough was done.
//!
//! In the normal run two minutes of it, always the same. `scripts/chaos.sh --minutes N --seed S` runs it at random.

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

/// After the end of a fault, work goes on within this; beyond it the run fails.
const GOES_ON: Duration = Duration::from_secs(30);
/// A PostgreSQL that is back has to be found again within this.
const POSTGRES_GOES_ON: Duration = Duration::from_secs(10);
/// What a machine that is busy with tests may add.
const ALLOWANCE: Duration = Duration::from_secs(5);
/// Events that a killed executor had claimed are free again after 30 s, and then the backlog has to be run.
const DRAIN: Duration = Duration::from_secs(180);

struct Run {
    seed: u32,
    span: Duration,
    lease: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_whomever_nothing_is_lost_or_doubled() {
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

/// A little of each kind.
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
        cluster.goes_on(GOES_ON).await;
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
            let recovered = cluster.goes_on(GOES_ON).await;
            println!(
                "{:>5} s  goes on after {recovered:?}; {} webhooks",
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
        println!("{seconds:>5} s  the load has ended; waiting until everything is settled");
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
    /// How soon work has to go on.
    fn within(&self) -> Duration {
        match self.fault {
            Fault::Kill(POSTGRES) | Fault::Freeze(POSTGRES) | Fault::Cut(POSTGRES, _) => POSTGRES_GOES_ON + ALLOWANCE,
            _ => GOES_ON,
        }
    }
}
