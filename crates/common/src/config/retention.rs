//! The tables of each retention setting.

use super::Retention;

impl Retention {
    /// The tables with a configured retention, in days.
    pub fn tables(&self) -> Vec<(&'static str, i32)> {
        let groups = [
            (self.events_days, &["event", "event_decision"][..]),
            (self.executions_days, &["enforcement", "execution", "execution_attempt"]),
            (self.logs_days, &["execution_log"]),
        ];
        let of = |(days, tables): (Option<u16>, &'static [&'static str])| {
            let days = days.map(i32::from);
            tables.iter().filter_map(move |table| Some((*table, days?)))
        };
        groups.into_iter().flat_map(of).collect()
    }
}
