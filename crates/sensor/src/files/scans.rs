//! When a directory is scanned.

use std::time::{Duration, Instant};

/// Between two scans passes at least this time, and this many times the duration of a scan.
const SCAN_PAUSE: Duration = Duration::from_millis(100);
const SCAN_SHARE: u32 = 5;
/// After a new folder, another scan follows: files may appear in it before the kernel watches it.
const NEW_FOLDER: Duration = Duration::from_millis(250);

/// When to scan next.
#[derive(Debug)]
pub struct Scans {
    ended_at: Instant,
    pub next_at: Instant,
    pause: Duration,
    /// The next scan was requested; otherwise it is the periodic one.
    is_requested: bool,
}

impl Scans {
    pub fn after(ended_at: Instant, period: Duration) -> Self {
        Self {
            ended_at,
            next_at: ended_at + period,
            pause: SCAN_PAUSE,
            is_requested: false,
        }
    }

    /// Scans as soon as the pause after the last scan is over.
    pub fn request(&mut self) {
        self.next_at = self.next_at.min(self.ended_at + self.pause);
        self.is_requested = true;
    }

    /// Returns whether the scan was the periodic one.
    pub fn end(&mut self, began_at: Instant, period: Duration) -> bool {
        let now = Instant::now();
        let pause = SCAN_PAUSE.max((now - began_at) * SCAN_SHARE);
        let was_requested = self.is_requested;
        *self = Self {
            pause,
            ..Self::after(now, period)
        };
        if was_requested {
            self.next_at = self.next_at.min(now + NEW_FOLDER.max(pause));
        }
        !was_requested
    }
}
