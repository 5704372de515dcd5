//! The report of a run, and its verdict.

use super::{
    super::support::{effects::Effects, facts},
    Run,
    limits::{LIMITED, LimitLedger},
    load::{IN_FLIGHT_MAX, Ledger, WEBHOOKS_PER_SECOND},
    plan::Fault,
};
use attune_common::store::{
    PgPool,
    invariants::{self, Violation},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
    sync::PoisonError,
    time::Duration,
};

/// The error of executions that were killed with their supervisor.
const UNSUPERVISED: &str = "status = 'failed' and error like '%supervisor died%'";
/// The maximum number of reported failures of each kind.
const SHOWN: usize = 20;
/// After the end of a fault, in addition to a lease and a grace period, because the reaper waits and the machine is busy.
const AFTERMATH: Duration = Duration::from_secs(14);

/// A fault that happened.
#[derive(Debug)]
pub struct Done {
    pub fault: Fault,
    /// Ids of the workers whose executions may have been lost.
    pub workers: Vec<Value>,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub recovered: Duration,
}

#[derive(Debug)]
pub struct Report {
    seed: u32,
    lease: Duration,
    seconds: u64,
    faults: BTreeMap<String, Vec<Duration>>,
    /// Faults after which work continued too late.
    slow: Vec<String>,
    ticks: i64,
    missed: i64,
    webhooks: i64,
    promised: usize,
    /// Ids of accepted events that do not exist.
    missing: Vec<String>,
    refused: BTreeMap<String, usize>,
    executions: BTreeMap<String, i64>,
    /// Executions that ended `lost` without a fault of their worker.
    false_lost: Vec<String>,
    marks: usize,
    /// Violations that the side-effect file shows.
    effects: Vec<String>,
    violations: Vec<Violation>,
    /// Runs of actions with a limit of 1, according to their ledger, and those that overlapped.
    lives: usize,
    overlaps: Vec<String>,
    /// How many of them the supervisor recorded.
    recorded: i64,
    /// How many ended because their supervisor was killed.
    unsupervised: i64,
    /// How long the client had to pause, because too many of its requests were pending.
    silenced: Duration,
    late_ms: i64,
    dispatch_ms: i64,
}

impl Report {
    pub async fn make(
        pool: &PgPool,
        run: &Run,
        seconds: u64,
        done: &[Done],
        (effects, ledger, limits): (&Effects, &Ledger, &LimitLedger),
    ) -> Self {
        // Statements over the whole history take longer than a service may.
        let mut connection = PgConnection::connect_with(&pool.connect_options())
            .await
            .expect("the database answers");
        sqlx::query("set statement_timeout = 0")
            .execute(&mut connection)
            .await
            .expect("a setting");
        sqlx::query("set enable_seqscan = on")
            .execute(&mut connection)
            .await
            .expect("a setting");
        let violations = invariants::violations(&mut connection)
            .await
            .expect("the invariants can be checked");
        let mut faults: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for done in done {
            faults.entry(done.fault.to_string()).or_default().push(done.recovered);
        }
        let slow = done.iter().filter(|done| done.recovered > done.within());
        let number = async |sql: &str| facts::number(pool, sql).await;
        let promised = ledger.promised.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = ledger.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (lives, overlaps) = limits.check();
        Self {
            lives,
            overlaps,
            recorded: number("select count(*) from execution_attempt where slot_keys is not null and over_at is not null").await,
            unsupervised: number(&format!("select count(*) from execution where {UNSUPERVISED}")).await,
            seed: run.seed,
            lease: run.lease,
            seconds,
            faults,
            slow: slow.map(|done| format!("{} at {}: {:?}", done.fault, done.from, done.recovered)).collect(),
            ticks: number("select count(*) from event where trigger_ref like 'load.timer%'").await,
            missed: number("select coalesce(sum(missed), 0) from timer_gap").await,
            webhooks: number("select count(*) from event where trigger_ref = 'load.hook'").await,
            missing: missing(pool, &promised).await,
            promised: promised.iter().collect::<HashSet<_>>().len(),
            refused,
            executions: statuses(&mut connection).await,
            false_lost: false_lost(&mut connection, done, run.lease).await,
            marks: effects.lines().len(),
            effects: check_effects(&mut connection, effects).await,
            violations,
            silenced: done.iter().map(silenced).sum(),
            late_ms: number("select coalesce(percentile_cont(0.99) within group (order by (payload->>'late_ms')::float), 0) from event where source = 'timer'").await,
            dispatch_ms: number("select coalesce(1000 * percentile_cont(0.99) within group (order by extract(epoch from started_at - scheduled_at)), 0) from execution where attempt = 1 and started_at is not null").await,
        }
    }

    /// The report as Markdown.
    pub fn text(&self) -> String {
        let mut text = format!("seed {}, {} s\n\n", self.seed, self.seconds);
        let mut line = |what: &str, value: String| {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "| {what} | {value} |");
        };
        line("what", "found".to_owned());
        line("---", "---".to_owned());
        line("leases", format!("{:?}", self.lease));
        line("faults", self.faults.values().map(Vec::len).sum::<usize>().to_string());
        line(
            "events of timers, and missed",
            format!("{}, {}", self.ticks, self.missed),
        );
        line(
            "events of webhooks, and promised",
            format!("{}, {}", self.webhooks, self.promised),
        );
        line("accepted, but missing", self.missing.len().to_string());
        line("answers that were no success", format!("{:?}", self.refused));
        line("executions", format!("{:?}", self.executions));
        line("lost without a reason", self.false_lost.len().to_string());
        line("marks of actions", self.marks.to_string());
        line("marks that contradict", self.effects.len().to_string());
        line("violations of invariants", self.violations.len().to_string());
        line("runs of actions with a limit of 1", self.lives.to_string());
        line("of which the supervisor recorded", self.recorded.to_string());
        line("runs that overlapped", self.overlaps.len().to_string());
        line("ended with their supervisor", self.unsupervised.to_string());
        line("timer's lateness, p99", format!("{} ms", self.late_ms));
        line("dispatch, p99", format!("{} ms", self.dispatch_ms));
        text.push_str("\n| fault | times | work continued after (longest) |\n|---|---|---|\n");
        for (fault, recovered) in &self.faults {
            let longest = recovered.iter().max().copied().unwrap_or_default();
            let _ = writeln!(
                text,
                "| {fault} | {} | {:.1} s |",
                recovered.len(),
                longest.as_secs_f64()
            );
        }
        text
    }

    /// Fails unless everything holds and the throughput was sufficient.
    pub fn check(&self, seconds: u64, timers: i64, webhooks_per_second: u32) {
        let violations: Vec<String> = self.violations.iter().map(|one| format!("{one:?}")).collect();
        let wrong = [
            ("violations", &violations),
            ("side effects", &self.effects),
            ("accepted, but missing", &self.missing),
            ("lost without a reason", &self.false_lost),
            ("work continued too late", &self.slow),
            ("runs of one key overlapped", &self.overlaps),
        ];
        let failures = wrong.iter().filter(|(_, which)| !which.is_empty());
        let failures: Vec<String> = failures
            .map(|(what, which)| {
                let some = which.iter().take(SHOWN).map(|one| format!("\n  {one}"));
                format!("{what}, {} in all:{}", which.len(), some.collect::<String>())
            })
            .collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        let promised = i64::try_from(self.promised).expect("a small number");
        assert_eq!(
            self.webhooks, promised,
            "each webhook is one event, and nothing else is"
        );
        assert!(
            !self
                .refused
                .keys()
                .any(|refusal| refusal.ends_with("without Retry-After")),
            "{:?}",
            self.refused
        );
        let seconds = i64::try_from(seconds).expect("a small number");
        let enough = |found: i64, expected: i64, what: &str| {
            assert!(found * 10 >= expected * 9, "{found} {what} in {seconds} s are too few");
        };
        enough(self.ticks + self.missed, timers * seconds, "ticks");
        enough(self.ticks, timers * seconds, "events of timers");
        enough(
            self.webhooks,
            i64::from(webhooks_per_second)
                * (seconds - i64::try_from(self.silenced.as_secs()).expect("a small number")),
            "events of webhooks",
        );
        let lives = i64::try_from(self.lives).expect("a small number");
        assert!(
            lives > 0 && self.recorded * 2 > lives,
            "{} of {lives} lives were recorded",
            self.recorded
        );
        let ended: Vec<&str> = self.executions.keys().map(String::as_str).collect();
        assert!(
            ended.iter().all(|status| ["succeeded", "lost"].contains(status)),
            "no action fails by itself: {ended:?}"
        );
        assert_eq!(
            self.executions.values().sum::<i64>(),
            self.ticks + self.webhooks,
            "each event led to one execution"
        );
        let succeeded = self.executions.get("succeeded").copied().unwrap_or_default();
        enough(succeeded, self.ticks + self.webhooks, "successes");
    }
}

fn silenced(done: &Done) -> Duration {
    let lasted = (done.to - done.from).to_std().unwrap_or_default();
    let waits = Duration::from_secs(IN_FLIGHT_MAX as u64 / u64::from(WEBHOOKS_PER_SECOND));
    if done.fault.closes_the_api() {
        lasted.saturating_sub(waits)
    } else {
        Duration::ZERO
    }
}

async fn missing(pool: &PgPool, promised: &[String]) -> Vec<String> {
    let sql =
        "select p.id::text from unnest($1::uuid[]) p (id) where not exists (select from event e where e.id = p.id)";
    let ids: Vec<uuid::Uuid> = promised.iter().map(|id| id.parse().expect("an id")).collect();
    let found = sqlx::query_scalar(sql).bind(ids).fetch_all(pool).await;
    found.expect("the database answers")
}

async fn statuses(connection: &mut PgConnection) -> BTreeMap<String, i64> {
    let sql = format!(
        "select case when {UNSUPERVISED} then 'lost' else status end, count(*) from execution where action_ref like 'load.%' group by 1"
    );
    let rows: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .expect("the database answers");
    rows.into_iter().collect()
}

/// Only a fault of a worker may lose its executions, and only an outage of the database those with a slot.
async fn false_lost(connection: &mut PgConnection, done: &[Done], lease: Duration) -> Vec<String> {
    let aftermath = AFTERMATH + 2 * lease;
    let sql = "select id::text, to_jsonb(worker_id), finished_at, coalesce(error, ''), action_ref like $1 from execution where status = 'lost'";
    let rows: Vec<(String, Value, DateTime<Utc>, String, bool)> = sqlx::query_as(sql)
        .bind(LIMITED)
        .fetch_all(connection)
        .await
        .expect("the database answers");
    // While the database is away, nothing is rescued, and after its return every worker may renew first.
    let outages = |from: DateTime<Utc>, at: DateTime<Utc>| -> Duration {
        let outages = done.iter().filter(|outage| outage.fault.hides_the_database());
        let between = outages.filter(|outage| from <= outage.to && outage.from <= at);
        let lengths = between.map(|outage| (outage.to - outage.from).to_std().unwrap_or_default() + lease);
        lengths.sum()
    };
    let explained = |worker: &Value, at: DateTime<Utc>, limited: bool| {
        done.iter().any(|done| {
            let concerns = done.workers.contains(worker) || (limited && done.fault.hides_the_database());
            concerns && done.from <= at && at <= done.to + aftermath + outages(done.to, at)
        })
    };
    let unexplained = rows
        .into_iter()
        .filter(|(_, worker, at, _, limited)| !explained(worker, *at, *limited));
    unexplained
        .map(|(id, worker, at, error, _)| format!("{id} of worker {worker} at {at}: {error}"))
        .collect()
}

/// No attempt left two marks; an action that may start once left one at most; every succeeded execution left the mark of its last
/// attempt; and every mark belongs to an execution.
async fn check_effects(connection: &mut PgConnection, effects: &Effects) -> Vec<String> {
    let sql =
        "select id::text, attempt, status, action_ref like '%_once' from execution where action_ref like 'load.%'";
    let rows: Vec<(String, i32, String, bool)> = sqlx::query_as(sql)
        .fetch_all(connection)
        .await
        .expect("the database answers");
    let known: HashMap<&str, bool> = rows.iter().map(|(id, _, _, once)| (id.as_str(), *once)).collect();
    let lines = effects.lines();
    let (mut seen, mut wrong, mut starts) = (HashSet::new(), Vec::new(), HashMap::new());
    for mark in &lines {
        let id = mark.split(' ').next().unwrap_or_default();
        let starts: &mut usize = starts.entry(id).or_default();
        *starts += 1;
        match known.get(id) {
            None => wrong.push(format!("{mark} ran without an execution")),
            Some(true) if *starts > 1 => wrong.push(format!("{mark} is a second start of what may start once")),
            Some(_) if !seen.insert(mark.as_str()) => wrong.push(format!("{mark} ran twice")),
            Some(_) => {}
        }
    }
    let succeeded = rows.iter().filter(|(_, _, status, _)| status == "succeeded");
    wrong.extend(
        succeeded
            .map(|(id, attempt, _, _)| format!("{id} {attempt}"))
            .filter(|mark| !seen.contains(mark.as_str()))
            .map(|mark| format!("{mark} succeeded without having run")),
    );
    wrong
}
