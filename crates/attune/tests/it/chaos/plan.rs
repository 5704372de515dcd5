//! The plan of faults, with targets and durations. The seed determines all of it.

use super::super::support::deployment::SERVICES;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::{fmt, time::Duration};

pub const POSTGRES: &str = "postgres";
pub const RABBITMQ: &str = "rabbitmq";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL and a restart.
    Kill(&'static str),
    /// SIGSTOP, later SIGCONT.
    Freeze(&'static str),
    /// Cuts the connections to a server, or those of one service to PostgreSQL.
    Cut(&'static str, Manner),
    /// RabbitMQ is killed and returns with an empty disk.
    Wipe,
    /// Everything is killed and restarted in any order.
    Together,
    /// SIGSTOP to a worker with a running slot holder, for longer than its lease.
    FreezeHolder(&'static str),
    /// SIGSTOP also to its supervisor, so that only the slot enforces the limit.
    FreezeHolderAndSupervisor(&'static str),
    /// A foreign session locks the row of a running execution for longer than its lease.
    LockRow,
    /// SIGKILL to both processes of a worker's supervisor.
    KillSupervisor(&'static str),
    /// SIGKILL to a worker and both processes of its supervisor.
    KillWithSupervisor(&'static str),
}

/// The first faults of a run; each must have happened.
pub const FIRST: [Fault; 5] = [
    Fault::FreezeHolder("worker-1"),
    Fault::FreezeHolderAndSupervisor("worker-2"),
    Fault::LockRow,
    Fault::KillSupervisor("worker-1"),
    Fault::KillWithSupervisor("worker-2"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Closed,
    Silent,
    Slow,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(whom) => write!(f, "kill {whom}"),
            Self::Freeze(whom) => write!(f, "freeze {whom}"),
            Self::Cut(whom, Manner::Closed) => write!(f, "cut {whom}"),
            Self::Cut(whom, Manner::Silent) => write!(f, "silence {whom}"),
            Self::Cut(whom, Manner::Slow) => write!(f, "slow {whom}"),
            Self::Wipe => write!(f, "wipe {RABBITMQ}"),
            Self::Together => write!(f, "kill everything"),
            Self::FreezeHolder(whom) => write!(f, "freeze {whom} with slots"),
            Self::FreezeHolderAndSupervisor(whom) => write!(f, "freeze {whom} with slots and its supervisor"),
            Self::LockRow => write!(f, "lock a row of the queue"),
            Self::KillSupervisor(whom) => write!(f, "kill the supervisor of {whom}"),
            Self::KillWithSupervisor(whom) => write!(f, "kill {whom} with its supervisor"),
        }
    }
}

impl Fault {
    /// Webhooks are not accepted.
    pub fn closes_the_api(self) -> bool {
        match self {
            Self::Kill(whom) | Self::Freeze(whom) | Self::Cut(whom, _) => whom == POSTGRES || whom.starts_with("api"),
            Self::Together => true,
            _ => false,
        }
    }

    /// Slot holders end with their lease when the database cannot be reached.
    pub fn hides_the_database(self) -> bool {
        matches!(
            self,
            Self::Together | Self::Kill(POSTGRES) | Self::Freeze(POSTGRES) | Self::Cut(POSTGRES, _)
        )
    }

    /// The workers whose executions may be lost.
    pub fn workers(self) -> impl Iterator<Item = &'static str> {
        let workers = SERVICES.into_iter().filter(|name| name.starts_with("worker"));
        workers.filter(move |name| match self {
            Self::Kill(whom)
            | Self::Freeze(whom)
            | Self::Cut(whom, _)
            | Self::FreezeHolder(whom)
            | Self::FreezeHolderAndSupervisor(whom)
            | Self::KillWithSupervisor(whom) => whom == *name,
            Self::Together => true,
            Self::Wipe | Self::LockRow | Self::KillSupervisor(_) => false,
        })
    }
}

#[derive(Debug, Clone)]
pub struct Step {
    pub fault: Fault,
    pub holds: Duration,
    /// The pause before the next fault.
    pub rest: Duration,
    /// The order in which all are restarted.
    pub order: Vec<&'static str>,
}

/// Endless steps: in each round every fault once, in random order; the first round begins with [`FIRST`].
pub fn plan(seed: u64, lease: Duration) -> impl Iterator<Item = Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut deck = FIRST.to_vec();
    let mut others: Vec<Fault> = all().into_iter().filter(|fault| !FIRST.contains(fault)).collect();
    others.shuffle(&mut random);
    deck.shuffle(&mut random);
    deck.splice(0..0, others);
    std::iter::repeat_with(move || {
        if deck.is_empty() {
            deck = all();
            deck.shuffle(&mut random);
        }
        let fault = deck.pop().unwrap_or(Fault::Together);
        let mut order = everybody();
        order.shuffle(&mut random);
        Step {
            fault,
            holds: Duration::from_millis(random.random_range(holds_ms(fault, lease))),
            rest: Duration::from_millis(random.random_range(1_000..4_000)),
            order,
        }
    })
}

fn everybody() -> Vec<&'static str> {
    SERVICES.into_iter().chain([POSTGRES, RABBITMQ]).collect()
}

fn all() -> Vec<Fault> {
    let each = |fault: fn(&'static str) -> Fault| everybody().into_iter().map(fault);
    let manners = [Manner::Closed, Manner::Silent, Manner::Slow];
    let cut = |whom| manners.map(|manner| Fault::Cut(whom, manner));
    let servers = [POSTGRES, RABBITMQ].into_iter().flat_map(cut);
    let services = ["api-1", "sensor-1", "executor-1", "worker-1", "worker-2"];
    let services = services.map(|whom| Fault::Cut(whom, Manner::Silent));
    let mut all: Vec<Fault> = each(Fault::Kill).chain(each(Fault::Freeze)).chain(servers).collect();
    all.extend(services);
    all.extend([Fault::Cut("worker-1", Manner::Closed), Fault::Wipe, Fault::Together]);
    all.extend(FIRST);
    all
}

/// A freeze lasts two leases and more; a cut lasts up to 20 s or two leases, whichever is more.
fn holds_ms(fault: Fault, lease: Duration) -> std::ops::Range<u64> {
    let leases = u64::try_from(2 * lease.as_millis()).unwrap_or(u64::MAX);
    match fault {
        Fault::Kill(_) | Fault::Wipe | Fault::Together | Fault::KillSupervisor(_) | Fault::KillWithSupervisor(_) => {
            0..6_000
        }
        Fault::Freeze(_) | Fault::FreezeHolder(_) | Fault::FreezeHolderAndSupervisor(_) | Fault::LockRow => {
            leases..leases + 3_000
        }
        Fault::Cut(..) => 5_000..leases.max(20_000),
    }
}

#[test]
fn the_same_seed_gives_the_same_plan() {
    let lease = Duration::from_secs(3);
    let steps = |seed| plan(seed, lease).take(100);
    let printed = |seed| steps(seed).map(|step| format!("{step:?}")).collect::<Vec<_>>();
    assert_eq!(printed(1), printed(1));
    assert_ne!(printed(1), printed(2));
    let kinds: std::collections::BTreeSet<_> = steps(1).take(all().len()).map(|step| step.fault.to_string()).collect();
    assert_eq!(
        kinds.len(),
        all().len(),
        "each fault occurs once before any occurs again"
    );
}
