//! Rate limits: each caller has a token bucket that fills at a rate and holds four seconds of it.
//!
//! The buckets are in memory. Several API processes count separately, so the limit protects each of them.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

const BURST_SECONDS: f64 = 4.0;
/// How many callers are remembered. Beyond that, callers with a full bucket are forgotten.
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

/// The state of the bucket of a caller after a request.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub allowed: bool,
    per_second: f64,
    left: f64,
}

impl Quota {
    const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    const STATE: HeaderName = HeaderName::from_static("ratelimit");

    /// Adds the headers of draft-ietf-httpapi-ratelimit-headers: the quota per second, and what is left of it.
    pub fn add_headers(self, headers: &mut HeaderMap) {
        // A burst may take more than the quota of one second, so the announced quota is always available.
        let left = self.left.clamp(0.0, self.per_second).floor();
        let policy = format!("\"caller\";q={};w=1", self.per_second);
        let state = format!("\"caller\";r={left};t=1");
        for (name, value) in [(Self::POLICY, policy), (Self::STATE, state)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

impl Rates {
    /// Zero means no limit.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            buckets: Arc::default(),
        }
    }

    /// Takes one token from the bucket of the caller; false if it is empty.
    pub fn take(&self, caller: &str) -> bool {
        self.take_at(caller, Instant::now())
    }

    /// The same, with what is left. `None` without a limit.
    pub fn draw(&self, caller: &str) -> Option<Quota> {
        self.draw_at_rate(caller, self.per_second, Instant::now())
    }

    /// Returns a token to the bucket.
    pub fn give_back(&self, caller: &str) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(caller) {
            bucket.left = (bucket.left + 1.0).min(self.per_second * BURST_SECONDS);
        }
    }

    /// The same for a bucket with its own rate.
    pub fn take_of(&self, caller: &str, per_second: u32) -> bool {
        self.take_at_rate(caller, f64::from(per_second), Instant::now())
    }

    /// Whether a request would be allowed. Takes no token.
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
        let quota = self.draw_at_rate(caller, per_second, now);
        quota.is_none_or(|quota| quota.allowed)
    }

    fn draw_at_rate(&self, caller: &str, per_second: f64, now: Instant) -> Option<Quota> {
        if per_second == 0.0 {
            return None;
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
        Some(Quota {
            allowed,
            per_second,
            left,
        })
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
    fn checking_takes_no_token() {
        let rates = Rates::new(1);
        assert!((0..100).all(|_| rates.has_left("ann")));
        assert_eq!((0..100).filter(|_| rates.take("ann")).count(), 4);
        assert!(!rates.has_left("ann"));
        rates.give_back("ann");
        assert!(rates.take("ann") && !rates.has_left("ann"));
        assert_eq!((0..100).filter(|_| rates.take_of("bob", 5)).count(), 20);
    }

    #[test]
    fn the_reported_rest_never_exceeds_the_quota() {
        let rates = Rates::new(10);
        let reported: Vec<_> = (0..41)
            .map(|_| {
                let mut headers = HeaderMap::new();
                rates.draw("ann").expect("a limit").add_headers(&mut headers);
                assert_eq!(headers["ratelimit-policy"], "\"caller\";q=10;w=1");
                headers["ratelimit"].to_str().expect("a text").to_owned()
            })
            .collect();
        assert_eq!(reported[0], "\"caller\";r=10;t=1");
        assert_eq!(reported[40], "\"caller\";r=0;t=1");
        assert!(Rates::new(0).draw("ann").is_none());
    }

    #[test]
    fn zero_is_no_limit() {
        let rates = Rates::new(0);
        assert!((0..1000).all(|_| rates.take("ann")));
    }
}
