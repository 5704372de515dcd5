//! The limits of timers that follow from the retention of events.

/// Limits from the configuration of the database.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long events are retained. An older occurrence could fire twice, so it never fires.
    pub event_retention_seconds: u32,
}

impl Limits {
    /// With this retention of events.
    pub fn of_days(days: i32) -> Self {
        Self {
            event_retention_seconds: u32::try_from(days).unwrap_or(0).saturating_mul(86_400),
        }
    }

    /// The maximum of `max_age_seconds`.
    pub(super) fn max_age(self) -> u32 {
        self.event_retention_seconds.saturating_sub(1)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_retention_seconds: 30 * 86_400,
        }
    }
}
