//! A cron expression in a time zone, including the days on which clocks change.
//!
//! Time in a zone is a sequence of spans with one offset each. Inside a span, local and real seconds differ by a
//! constant, so all arithmetic is `Fields`'s; only the transitions are special. At a gap (clocks forward) local seconds
//! do not exist, at an overlap (clocks back) they exist twice. Instants are seconds since 1970 here.

use super::{
    config::{DstGap, DstOverlap},
    cron::Expression,
};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Two changes of an offset are never closer than this in any zone since 1970 (a test checks it).
pub(super) const STRIDE: i64 = 6 * 86_400;

/// No overlap is longer.
const OVERLAP_MAX: i64 = 26 * 3600;

/// A compiled cron schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    pub text: Box<str>,
    pub expression: Expression,
    pub zone: Tz,
    pub gap: DstGap,
    pub overlap: DstOverlap,
}

/// An instant at which the offset changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub at: i64,
    pub before: i64,
    pub after: i64,
}

impl Cron {
    /// The first occurrence after `after`.
    pub fn next_after(&self, after: i64) -> Option<i64> {
        let fields = &self.expression.fields;
        let mut at = after;
        let mut offset = offset_at(self.zone, at);
        let mut local = at + offset + 1;
        loop {
            let found = fields.next(local)?;
            let candidate = found - offset;
            if let Some(change) = first_change(self.zone, at, candidate) {
                if self.moves_gap() && found < change.at + change.after {
                    return Some(change.at);
                }
                at = change.at;
                offset = change.after;
                local = at + offset;
            } else if self.is_excluded_pass(candidate, offset) {
                at = candidate;
                local = found + 1;
            } else {
                return Some(candidate);
            }
        }
    }

    /// How many occurrences lie in `from..to`. The work grows with the days between, not with the occurrences.
    pub fn count(&self, from: i64, to: i64) -> u64 {
        let fields = &self.expression.fields;
        let start = from.saturating_sub(OVERLAP_MAX);
        let mut span_start = start;
        let mut offset = offset_at(self.zone, start);
        let mut count = 0;
        let mut extra_before = 0..0;
        while span_start < to {
            let change = first_change(self.zone, span_start, to.saturating_add(OVERLAP_MAX));
            let span_end = change.map_or(i64::MAX, |change| change.at);
            let (a, b) = (span_start.max(from), span_end.min(to));
            count += fields.count(a.saturating_add(offset), b.saturating_add(offset));
            // The other pass of an overlap already covers it.
            count -= self.count_within(extra_before.clone(), a..b, offset);
            let Some(change) = change else { break };
            count -= self.count_within(self.first_pass(change), a..b, offset);
            count += u64::from((from..to).contains(&change.at) && self.is_moved_to(change));
            extra_before = self.second_pass(change);
            span_start = change.at;
            offset = change.after;
        }
        count
    }

    /// How a clock change affected an occurrence.
    pub fn note(&self, at: i64) -> Option<Note> {
        if let Some(change) = first_change(self.zone, at - 1, at)
            && self.moves_gap()
            && self.has_match_in_gap(change)
        {
            return Some(Note::DstGap);
        }
        let change = first_change(self.zone, at - OVERLAP_MAX, at + OVERLAP_MAX)?;
        let doubled = change.before - change.after;
        let passes = (change.at - doubled)..(change.at + doubled);
        passes.contains(&at).then_some(Note::DstOverlap)
    }

    fn moves_gap(&self) -> bool {
        self.expression.fixed && self.gap == DstGap::Run
    }

    fn has_match_in_gap(&self, change: Change) -> bool {
        let skipped = (change.at + change.before)..(change.at + change.after);
        self.expression
            .fields
            .next(skipped.start)
            .is_some_and(|found| found < skipped.end)
    }

    /// Whether a gap moves an occurrence to its end that would not exist otherwise.
    fn is_moved_to(&self, change: Change) -> bool {
        let own = change.at + change.after;
        self.moves_gap() && self.has_match_in_gap(change) && self.expression.fields.next(own) != Some(own)
    }

    /// Whether this is the pass through an overlap that the policy skips.
    fn is_excluded_pass(&self, at: i64, offset: i64) -> bool {
        let other_side = match (self.expression.fixed, self.overlap) {
            (false, _) | (true, DstOverlap::Both) => return false,
            (true, DstOverlap::First) => at - OVERLAP_MAX,
            (true, DstOverlap::Second) => at + OVERLAP_MAX,
        };
        let other_offset = offset_at(self.zone, other_side);
        let twin = at + offset - other_offset;
        offset != other_offset && offset_at(self.zone, twin) == other_offset
    }

    /// The instants of an overlap's first pass that the policy skips.
    fn first_pass(&self, change: Change) -> std::ops::Range<i64> {
        let excluded = self.expression.fixed && self.overlap == DstOverlap::Second;
        let doubled = if excluded {
            (change.before - change.after).max(0)
        } else {
            0
        };
        change.at - doubled..change.at
    }

    /// The instants of an overlap's second pass that the policy skips.
    fn second_pass(&self, change: Change) -> std::ops::Range<i64> {
        let excluded = self.expression.fixed && self.overlap == DstOverlap::First;
        let doubled = if excluded {
            (change.before - change.after).max(0)
        } else {
            0
        };
        change.at..change.at + doubled
    }

    fn count_within(&self, part: std::ops::Range<i64>, whole: std::ops::Range<i64>, offset: i64) -> u64 {
        let (from, to) = (part.start.max(whole.start), part.end.min(whole.end));
        if from < to {
            self.expression.fields.count(from + offset, to + offset)
        } else {
            0
        }
    }
}

/// How a clock change affected an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Its local time does not exist on this day; it was moved to the first instant after the gap.
    DstGap,
    /// Its local time exists twice on this day.
    DstOverlap,
}

/// The offset of a zone from UTC, in seconds.
pub(super) fn offset_at(zone: Tz, at: i64) -> i64 {
    let utc = DateTime::from_timestamp(at, 0)
        .map(|at| at.naive_utc())
        .unwrap_or_default();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

/// The first change of the offset in `(after, until]`.
pub(super) fn first_change(zone: Tz, after: i64, until: i64) -> Option<Change> {
    let before = offset_at(zone, after);
    let mut low = after;
    while low < until {
        let high = low.saturating_add(STRIDE).min(until);
        if offset_at(zone, high) != before {
            return Some(bisect(zone, low, high, before));
        }
        low = high;
    }
    None
}

/// The change between `low`, where the offset is `before`, and `high`, where it is not.
fn bisect(zone: Tz, mut low: i64, mut high: i64, before: i64) -> Change {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if offset_at(zone, middle) == before {
            low = middle;
        } else {
            high = middle;
        }
    }
    Change {
        at: high,
        before,
        after: offset_at(zone, high),
    }
}
