//! The reports of the parts of one process.

use super::{
    pulse::{Pulse, Pulses},
    status::Status,
};
use crate::sync;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A part without a report for this long has failed.
const STALE: Duration = Duration::from_secs(5);

/// Collects the reports of the parts of one process.
#[derive(Debug, Clone)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    parts: Mutex<BTreeMap<&'static str, Report>>,
    pulses: Pulses,
}

#[derive(Debug, Clone)]
struct Report {
    at: Instant,
    status: Status,
    detail: Value,
}

impl Default for Board {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            parts: Mutex::default(),
            pulses: Pulses::default(),
        }))
    }
}

impl Board {
    /// Reports the status of a part. Call it at least once a second from the loop that does the part's work.
    pub fn report(&self, part: &'static str, status: Status, mut detail: Value) {
        round(&mut detail);
        let report = Report {
            at: Instant::now(),
            status,
            detail,
        };
        self.lock().insert(part, report);
    }

    /// Registers a loop that does a part's work. It must beat from now on.
    pub fn pulse(&self, part: &'static str, name: &'static str) -> Pulse {
        self.0.pulses.start(part, name)
    }

    /// The latest report of a part, with its status.
    pub fn part(&self, part: &str) -> Value {
        let report = self.lock().get(part).cloned();
        self.evaluate(part, report).1
    }

    pub fn has_reported(&self, part: &str) -> bool {
        self.lock().contains_key(part)
    }

    /// The worst status, and the reports of all parts.
    pub fn summary(&self) -> (Status, Map<String, Value>) {
        let mut parts: BTreeMap<_, _> = self
            .lock()
            .clone()
            .into_iter()
            .map(|(name, report)| (name, Some(report)))
            .collect();
        for part in self.0.pulses.parts() {
            parts.entry(part).or_default();
        }
        let mut worst = Status::Ok;
        let mut all = Map::new();
        for (name, report) in parts {
            let (status, detail) = self.evaluate(name, report);
            worst = worst.max(status);
            all.insert(name.to_owned(), detail);
        }
        (worst, all)
    }

    fn evaluate(&self, part: &str, report: Option<Report>) -> (Status, Value) {
        let pulses = self.0.pulses.of(part);
        let Some(report) = report else {
            let status = pulses.as_ref().map_or(Status::Ok, |(status, _)| *status);
            let loops = pulses.map(|(_, loops)| json!({"status": status, "loops": loops}));
            return (status, loops.unwrap_or_else(|| json!({})));
        };
        let age = report.at.elapsed();
        let mut status = if age > STALE { Status::Failing } else { report.status };
        let mut detail = report.detail;
        if let Value::Object(fields) = &mut detail {
            if let Some((loops_status, loops)) = pulses {
                status = status.max(loops_status);
                fields.insert("loops".to_owned(), loops);
            }
            fields.insert("status".to_owned(), json!(status));
            if age > STALE {
                fields.insert("silent_seconds".to_owned(), json!(age.as_secs()));
            }
        }
        (status, detail)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Report>> {
        sync::lock(&self.0.parts)
    }

    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }
}

/// Rounds to three decimals.
fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(exact) = number.as_f64() {
                *value = json!((exact * 1000.0).round() / 1000.0);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(fields) => fields.values_mut().for_each(round),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    /// A separate task keeps reporting while the loop hangs.
    #[test]
    fn a_hung_loop_is_reported_with_its_time() {
        let board = Board::default();
        let decide = board.pulse("executor", "decide");
        let rescue = board.pulse("executor", "rescue");
        board.report("executor", Status::Ok, json!({"events": 3}));
        let check = |status: Status, silent: Value| {
            let (worst, parts) = board.summary();
            assert_eq!((worst, &parts["executor"]["status"]), (status, &json!(status)));
            assert_eq!(parts["executor"]["loops"]["decide"]["silent_seconds"], silent);
            assert_eq!(
                parts["executor"]["loops"]["decide"]["since"].is_string(),
                status != Status::Ok
            );
            assert_eq!(board.part("executor")["status"], json!(status));
            assert_eq!(parts["executor"]["loops"]["rescue"], json!({"status": "ok"}));
        };
        check(Status::Ok, Value::Null);
        decide.beat_at(ago(7));
        check(Status::Degraded, json!(7));
        decide.beat_at(ago(20));
        check(Status::Failing, json!(20));
        decide.beat();
        check(Status::Ok, Value::Null);
        drop((decide, rescue));
        assert!(board.part("executor")["loops"].is_null());
    }

    #[tokio::test]
    async fn an_idle_loop_beats_and_a_busy_one_does_not() {
        let board = Board::default();
        let claim = board.pulse("worker", "claim");
        let enough = tokio::sync::Notify::new();
        let check = async {
            claim.beat_at(ago(60));
            let beaten = async || (board.summary().0 == Status::Ok).then_some(());
            crate::testing::eventually("a beat", Duration::from_secs(20), beaten).await;
            enough.notify_one();
        };
        tokio::join!(claim.idle(enough.notified()), check);
        claim.beat_at(ago(60));
        assert_eq!(board.summary().0, Status::Failing, "even without a report of the part");
    }
}
