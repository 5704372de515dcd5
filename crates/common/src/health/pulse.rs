//! Liveness of loops. A report from a separate task would stay healthy while the loop hangs, so the loop itself beats.

use super::status::Status;
use crate::{clock, sync};
use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A live loop beats at least once a second, also while it waits.
const INTERVAL: Duration = Duration::from_secs(1);
/// A loop without a beat for this long is slow, and later considered hung.
const SLOW: Duration = Duration::from_secs(5);
const HUNG: Duration = Duration::from_secs(15);

type Key = (&'static str, &'static str);

/// The last beat of each loop of each part.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<BTreeMap<Key, Instant>>>);

/// The pulse of one loop. Drop it when the loop ends.
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

    /// The worst status of a part's loops, and the details of each.
    pub(super) fn of(&self, part: &str) -> Option<(Status, Value)> {
        let mut worst = Status::Ok;
        let mut details = Map::new();
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
            details.insert((*name).to_owned(), one);
        }
        (!details.is_empty()).then_some((worst, Value::Object(details)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Instant>> {
        sync::lock(&self.0)
    }
}

impl Pulse {
    /// Records a beat.
    pub fn beat(&self) {
        self.beat_at(Instant::now());
    }

    /// Waits for a future, and beats meanwhile: the loop is idle and not hung.
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
                () = tokio::time::sleep(INTERVAL) => {}
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
