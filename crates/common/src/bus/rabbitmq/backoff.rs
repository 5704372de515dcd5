//! How long to wait before the next attempt to connect: up to 0.2 s, doubling to up to 8 s, with full jitter, so that
//! a hundred processes do not come back in the same instant. After an attempt that still failed (`CONNECT_TIMEOUT`), wakes are
//! back within 15 s.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(8);
/// Never less, or a broker that refuses at once is asked in a tight loop.
const LEAST: Duration = Duration::from_millis(20);
/// A connection that held for so long was a good one: begin again with short waits.
const GOOD: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// `connected_at`: since when the last attempt held, if it succeeded.
    pub(super) fn next(&mut self, connected_at: Option<Instant>) -> Duration {
        if connected_at.is_some_and(|at| at.elapsed() >= GOOD) {
            self.attempts = 0;
        }
        let most = FIRST.saturating_mul(2_u32.saturating_pow(self.attempts)).min(MOST);
        self.attempts = self.attempts.saturating_add(1);
        most.mul_f64(rand::random()).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_never_beyond() {
        let mut backoff = Backoff::default();
        for attempt in 0..100 {
            let wait = backoff.next(None);
            let most = FIRST * 2_u32.pow(attempt.min(6));
            assert!(wait >= LEAST && wait <= most.min(MOST), "attempt {attempt}: {wait:?}");
        }
    }

    #[test]
    fn a_good_connection_begins_anew() {
        let mut backoff = Backoff { attempts: 50 };
        let long_ago = Instant::now().checked_sub(GOOD);
        assert!(backoff.next(long_ago) <= FIRST);
    }
}
