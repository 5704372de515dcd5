//! How often a caller may ask: a bucket for each that fills by so many requests a second and holds four seconds' worth.
//!
//! Kept in memory: several APIs count each for itself, which bounds what one of them has to bear.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

const BURST_SECONDS: f64 = 4.0;
/// Callers that are remembered. Beyond that, those whose bucket is full again are forgotten.
const CALLERS_MAX: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Rates {
    per_second: f64,
    buckets: Arc<Mutex<HashMap<String, Bucket>>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// Zero is no limit.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            buckets: Arc::default(),
        }
    }

    /// Takes one request out of the caller's bucket; false when it is empty.
    pub fn take(&self, caller: &str) -> bool {
        self.take_at(caller, Instant::now())
    }

    /// The same out of a bucket that fills at a rate of its own.
    pub fn take_of(&self, caller: &str, per_second: u32) -> bool {
        self.take_at_rate(caller, f64::from(per_second), Instant::now())
    }

    /// Would a request be let through? Takes nothing.
    pub fn has_left(&self, caller: &str) -> bool {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let left = buckets.get(caller).map(|bucket| {
            let since = bucket.at.elapsed().as_secs_f64();
            bucket.left + since * self.per_second
        });
        self.per_second == 0.0 || left.is_none_or(|left| left >= 1.0)
    }

    fn take_at(&self, caller: &str, now: Instant) -> bool {
        self.take_at_rate(caller, self.per_second, now)
    }

    fn take_at_rate(&self, caller: &str, per_second: f64, now: Instant) -> bool {
        if per_second == 0.0 {
            return true;
        }
        let full = per_second * BURST_SECONDS;
        let filled = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.left + since * per_second).min(full)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS_MAX && !buckets.contains_key(caller) {
            buckets.retain(|_, bucket| filled(bucket) < full);
        }
        let left = buckets.get(caller).map_or(full, filled);
        let allowed = left >= 1.0;
        let left = if allowed { left - 1.0 } else { left };
        buckets.insert(caller.to_owned(), Bucket { left, at: now });
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_fills_again() {
        let rates = Rates::new(10);
        let start = Instant::now();
        let taken = |caller: &str, at: Instant| (0..1000).filter(|_| rates.take_at(caller, at)).count();
        assert_eq!(taken("ann", start), 40);
        assert_eq!(taken("bob", start), 40);
        assert_eq!(taken("ann", start + Duration::from_secs(1)), 10);
        assert_eq!(taken("ann", start + Duration::from_secs(100)), 40);
    }

    #[test]
    fn looking_takes_nothing() {
        let rates = Rates::new(1);
        assert!((0..100).all(|_| rates.has_left("ann")));
        assert_eq!((0..100).filter(|_| rates.take("ann")).count(), 4);
        assert!(!rates.has_left("ann"));
        assert_eq!((0..100).filter(|_| rates.take_of("bob", 5)).count(), 20);
    }

    #[test]
    fn zero_is_no_limit() {
        let rates = Rates::new(0);
        assert!((0..1000).all(|_| rates.take("ann")));
    }
}
