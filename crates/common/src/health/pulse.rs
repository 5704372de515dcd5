//! Loops say that they turn. A report of a task beside a loop would stay good when the loop hangs, so the loop itself beats.

use super::Status;
use crate::clock;
use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A loop that is alive beats at least once a second, also while it waits.
const EVERY: Duration = Duration::from_secs(1);
/// One that has not done so for this long hangs; after the second time it is not expected back.
const SLOW: Duration = Duration::from_secs(5);
const HUNG: Duration = Duration::from_secs(15);

type Key = (&'static str, &'static str);

/// When each loop of each part turned last.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<BTreeMap<Key, Instant>>>);

/// One loop's. Dropped when the loop ends.
#[derive(Debug)]
pub struct Pulse {
    all: Pulses,
    key: Key,
}

impl Pulses {
    pub(super) fn start(&self, part: &'static str, name: &'static str) -> Pulse {
        let pulse = Pulse {
            all: self.clone(),
            key: (part, name),
        };
        pulse.beat();
        pulse
    }

    pub(super) fn parts(&self) -> Vec<&'static str> {
        self.lock().keys().map(|(part, _)| *part).collect()
    }

    /// How the loops of a part are, and since when one of them stands still.
    pub(super) fn of(&self, part: &str) -> Option<(Status, Value)> {
        let mut worst = Status::Ok;
        let mut told = Map::new();
        for ((_, name), at) in self.lock().iter().filter(|((of, _), _)| *of == part) {
            let silent = at.elapsed();
            let status = match silent {
                silent if silent > HUNG => Status::Failing,
                silent if silent > SLOW => Status::Degraded,
                _ => Status::Ok,
            };
            let mut one = json!({"status": status});
            if status != Status::Ok {
                let since = clock::now() - TimeDelta::from_std(silent).unwrap_or_default();
                one["silent_seconds"] = json!(silent.as_secs());
                one["since"] = json!(since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
            }
            worst = worst.max(status);
            told.insert((*name).to_owned(), one);
        }
        (!told.is_empty()).then_some((worst, Value::Object(told)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// The loop turns.
    pub fn beat(&self) {
        self.beat_at(Instant::now());
    }

    /// The loop has nothing to do until this resolves, and says so meanwhile.
    pub async fn idle<T>(&self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        loop {
            self.beat();
            tokio::select! {
                biased;
                value = &mut waiting => {
                    self.beat();
                    return value;
                }
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    pub(super) fn beat_at(&self, at: Instant) {
        self.all.lock().insert(self.key, at);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}
