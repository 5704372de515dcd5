//! What an outage would do to the occurrences of a timer, by the same rules as a tick after a real one.

use super::{
    Timer,
    compiled::{instant, micros},
    due::{Due, GapReason, due},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// More occurrences than a timer may catch up at once.
const EMIT_MAX: u32 = 1_000_000;

/// What an outage does to one occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Fate {
    /// It fires when the outage ends.
    FiresLate { at: DateTime<Utc> },
    /// It never fires.
    Missed { reason: GapReason },
}

/// A span of time in which no timer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// How an outage affects the occurrences of one timer.
#[derive(Debug, Clone, Default)]
pub struct Affected {
    due: Due,
    outage_end: DateTime<Utc>,
}

impl Outage {
    /// Evaluates a timer that is armed before the outage and ticks when it ends.
    pub fn affects(self, timer: &Timer) -> Affected {
        let next = timer
            .first(micros(self.from))
            .and_then(|first| instant(first + timer.offset));
        let due = next.map_or_else(Due::default, |next| due(timer, next, self.to, None, EMIT_MAX));
        Affected {
            due,
            outage_end: self.to,
        }
    }
}

impl Affected {
    /// The fate of an occurrence; `None` if the outage does not affect it.
    pub fn fate(&self, scheduled_at: DateTime<Utc>) -> Option<Fate> {
        if let Some(gap) = &self.due.gap
            && (gap.from..=gap.to).contains(&scheduled_at)
        {
            return Some(Fate::Missed { reason: gap.reason });
        }
        let fires = self.due.emit.binary_search(&scheduled_at).is_ok();
        fires.then_some(Fate::FiresLate { at: self.outage_end })
    }

    /// How many occurrences fire when the outage ends.
    pub fn late(&self) -> u64 {
        self.due.emit.len() as u64
    }

    /// How many never fire.
    pub fn missed(&self) -> u64 {
        self.due.gap.as_ref().map_or(0, |gap| gap.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TriggerId, timer::TimerConfig};
    use serde_json::{Value, json};

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-12-01T{time}Z").parse().expect("a time")
    }

    /// What an outage from 02:00 to 05:00 does.
    fn affected(options: &Value) -> Affected {
        let mut config = json!({"type": "interval", "minutes": 30, "anchor": "epoch"});
        config
            .as_object_mut()
            .expect("an object")
            .extend(options.as_object().expect("an object").clone());
        let config = TimerConfig::parse(&config).expect("a configuration");
        let timer = Timer::compile(&config, TriggerId(1)).expect("a timer");
        let outage = Outage {
            from: at("02:00:00"),
            to: at("05:00:00"),
        };
        outage.affects(&timer)
    }

    #[test]
    fn the_policy_of_a_timer_decides() {
        let late = Some(Fate::FiresLate { at: at("05:00:00") });
        let missed = |reason| Some(Fate::Missed { reason });
        let all = affected(&json!({"catchup_window_seconds": 36_000}));
        assert_eq!((all.late(), all.missed()), (7, 0));
        assert_eq!(all.fate(at("02:00:00")), late);
        assert_eq!(all.fate(at("01:30:00")), None, "before the outage");
        assert_eq!(all.fate(at("05:30:00")), None, "after the outage");

        let latest = affected(&json!({"misfire": "latest"}));
        assert_eq!((latest.late(), latest.missed()), (1, 6));
        assert_eq!(latest.fate(at("04:30:00")), missed(GapReason::Latest));
        assert_eq!(latest.fate(at("05:00:00")), late);

        let skip = affected(&json!({"misfire": "skip"}));
        assert_eq!(skip.fate(at("02:00:00")), missed(GapReason::Skip));

        let few = affected(&json!({"catchup_window_seconds": 36_000, "catchup_max": 3}));
        assert_eq!(few.fate(at("02:00:00")), missed(GapReason::CatchupMax));
        assert_eq!(few.fate(at("04:30:00")), late);
    }
}
