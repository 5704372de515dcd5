//! Detects load. Under load, a batch waits briefly for more, which saves statements and flushes. Otherwise nothing waits.

use std::time::{Duration, Instant};

/// How long a batch may wait under load.
pub const COLLECT: Duration = Duration::from_millis(12);
const WINDOW: Duration = Duration::from_millis(100);
/// In one window: 250 a second.
const BUSY: usize = 25;

#[derive(Debug)]
pub struct Pace {
    window_began: Instant,
    count: usize,
    is_busy: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window_began: Instant::now(),
            count: 0,
            is_busy: false,
        }
    }
}

impl Pace {
    /// Counts what a batch contained.
    pub fn count(&mut self, items: usize) {
        self.count_at(Instant::now(), items);
    }

    pub fn is_busy(&self) -> bool {
        self.is_busy && self.window_began.elapsed() < 2 * WINDOW
    }

    fn count_at(&mut self, now: Instant, items: usize) {
        let elapsed = now.duration_since(self.window_began);
        if elapsed >= WINDOW {
            // If nothing ended the window in time, there was no load.
            self.is_busy = self.count >= BUSY && elapsed < 2 * WINDOW;
            (self.window_began, self.count) = (now, 0);
        }
        self.count += items;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One item each `interval`, for a second.
    fn paced(interval: Duration) -> bool {
        let mut pace = Pace::default();
        let mut now = pace.window_began;
        for _ in 0..(Duration::from_secs(1).as_millis() / interval.as_millis()) {
            now += interval;
            pace.count_at(now, 1);
        }
        pace.is_busy
    }

    #[test]
    fn only_a_high_rate_is_busy() {
        assert!(!paced(Duration::from_millis(100)), "10 a second");
        assert!(!paced(Duration::from_millis(10)), "100 a second");
        assert!(paced(Duration::from_millis(2)), "500 a second");
    }

    #[test]
    fn a_pause_ends_it() {
        let mut pace = Pace::default();
        let began = pace.window_began;
        pace.count_at(began + WINDOW, 50);
        pace.count_at(began + 2 * WINDOW, 1);
        assert!(pace.is_busy);
        pace.count_at(began + 20 * WINDOW, 1);
        assert!(!pace.is_busy);
    }
}
