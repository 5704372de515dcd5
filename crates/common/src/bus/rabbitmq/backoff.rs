//! The pause before the next connection attempt: up to 0.2 s, doubling to up to 8 s, with full jitter, so that many processes
//! do not reconnect at the same instant. Wakes are back within 15 s even after an attempt that times out (`CONNECT_TIMEOUT`).

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(200);
const MAX: Duration = Duration::from_secs(8);
/// The minimum, so that a broker that refuses at once does not cause a tight loop.
const MIN: Duration = Duration::from_millis(20);
/// After a connection that lasted this long, pauses start short again.
const STABLE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// `connected_at`: when the last attempt succeeded, if it did.
    pub(super) fn next(&mut self, connected_at: Option<Instant>) -> Duration {
        if connected_at.is_some_and(|at| at.elapsed() >= STABLE) {
            self.attempts = 0;
        }
        let limit = FIRST.saturating_mul(2_u32.saturating_pow(self.attempts)).min(MAX);
        self.attempts = self.attempts.saturating_add(1);
        limit.mul_f64(rand::random()).max(MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit() {
        let mut backoff = Backoff::default();
        for attempt in 0..100 {
            let wait = backoff.next(None);
            let limit = FIRST * 2_u32.pow(attempt.min(6));
            assert!(wait >= MIN && wait <= limit.min(MAX), "attempt {attempt}: {wait:?}");
        }
    }

    #[test]
    fn a_stable_connection_resets_the_backoff() {
        let mut backoff = Backoff { attempts: 50 };
        let long_ago = Instant::now().checked_sub(STABLE);
        assert!(backoff.next(long_ago) <= FIRST);
    }
}
