//! The sets of a cron expression, and arithmetic over *local* time: which local seconds match, which comes next, how many
//! there are. It is independent of zones; `zoned` applies them.
//!
//! Local time is counted in seconds since 1970-01-01T00:00 as a wall clock shows them, as if every day had 86,400.

use chrono::{Datelike, NaiveDate};

pub(super) const DAY: i64 = 86_400;

/// How far ahead a day is searched. Gregorian weekdays repeat within 28 years, 40 across 2100.
const YEARS_AHEAD: i32 = 41;

/// The first and last year that can be written in a seventh field.
pub(super) const YEAR_MIN: u32 = 1970;
pub(super) const YEAR_MAX: u32 = 2199;

/// One bit per allowed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub seconds: u64,
    pub minutes: u64,
    pub hours: u64,
    pub days: u64,
    pub months: u64,
    /// Bit 0 is Sunday.
    pub weekdays: u64,
    /// Both day fields are restricted, so a day needs only one of them (as in crontab).
    pub either_day: bool,
    /// The years of a seventh field, from `YEAR_MIN`; empty means every year.
    pub years: Option<Box<[bool]>>,
}

impl Fields {
    /// The first matching local second at or after `from`.
    pub fn next(&self, from: i64) -> Option<i64> {
        let day = from.div_euclid(DAY);
        if self.has_day(day)
            && let Some(second) = self.second_of_day(from.rem_euclid(DAY))
        {
            return Some(day * DAY + second);
        }
        let day = self.next_day(day + 1)?;
        Some(day * DAY + self.second_of_day(0)?)
    }

    /// How many local seconds match in `from..to`. The work grows with the days, not with the matches.
    pub fn count(&self, from: i64, to: i64) -> u64 {
        if to <= from {
            return 0;
        }
        let (first, last) = (from.div_euclid(DAY), to.div_euclid(DAY));
        let until = |day: i64, second: i64| {
            if self.has_day(day) {
                self.count_before(second)
            } else {
                0
            }
        };
        let mut count = until(last, to.rem_euclid(DAY));
        let per_day = self.count_before(DAY);
        let mut day = self.next_day(first);
        while let Some(matching) = day.filter(|day| *day < last) {
            count += per_day;
            day = self.next_day(matching + 1);
        }
        count - until(first, from.rem_euclid(DAY))
    }

    /// Whether any day of any year matches (30 February never does).
    pub fn has_any_day(&self) -> bool {
        let year_2000 = NaiveDate::from_ymd_opt(2000, 1, 1).map_or(0, |date| i64::from(date.to_epoch_days()));
        (0..366).any(|day| {
            date_of(year_2000 + day).is_some_and(|date| {
                let by_date = has(self.days, date.day());
                has(self.months, date.month()) && (by_date || (self.either_day && self.weekdays != 0))
            })
        })
    }

    fn has_day(&self, day: i64) -> bool {
        date_of(day).is_some_and(|date| {
            self.has_year(date.year()) && has(self.months, date.month()) && self.has_day_of_month(date)
        })
    }

    fn has_year(&self, year: i32) -> bool {
        let Some(years) = &self.years else { return true };
        let index = i64::from(year) - i64::from(YEAR_MIN);
        usize::try_from(index).is_ok_and(|index| years.get(index).copied().unwrap_or(false))
    }

    fn has_day_of_month(&self, date: NaiveDate) -> bool {
        let by_date = has(self.days, date.day());
        let by_weekday = has(self.weekdays, date.weekday().num_days_from_sunday());
        if self.either_day {
            by_date || by_weekday
        } else {
            by_date && by_weekday
        }
    }

    /// The first matching day at or after `day`, as days since 1970.
    fn next_day(&self, day: i64) -> Option<i64> {
        let mut date = date_of(day)?;
        let horizon = date.year() + YEARS_AHEAD;
        while date.year() <= horizon {
            if !self.has_year(date.year()) {
                date = NaiveDate::from_ymd_opt(date.year() + 1, 1, 1)?;
            } else if !has(self.months, date.month()) {
                date = first_of_next_month(date)?;
            } else if self.has_day_of_month(date) {
                return Some(i64::from(date.to_epoch_days()));
            } else {
                date = date.succ_opt()?;
            }
        }
        None
    }

    /// The first matching second of a day at or after `from`.
    fn second_of_day(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = lowest(self.seconds, second)
            {
                return Some(hour * 3600 + minute * 60 + second);
            }
            if let Some(minute) = lowest(self.minutes, minute + 1) {
                return Some(hour * 3600 + minute * 60 + lowest(self.seconds, 0)?);
            }
        }
        let hour = lowest(self.hours, hour + 1)?;
        Some(hour * 3600 + lowest(self.minutes, 0)? * 60 + lowest(self.seconds, 0)?)
    }

    /// How many seconds of a matching day lie before `second`.
    fn count_before(&self, second: i64) -> u64 {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let (per_minute, per_hour) = (
            below(self.seconds, 64),
            below(self.minutes, 64) * below(self.seconds, 64),
        );
        let mut count = below(self.hours, hour) * per_hour;
        if has(self.hours, hour) {
            count += below(self.minutes, minute) * per_minute;
            if has(self.minutes, minute) {
                count += below(self.seconds, second);
            }
        }
        count
    }
}

fn date_of(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(day).ok()?)
}

fn first_of_next_month(date: NaiveDate) -> Option<NaiveDate> {
    match date.month() {
        12 => NaiveDate::from_ymd_opt(date.year() + 1, 1, 1),
        month => NaiveDate::from_ymd_opt(date.year(), month + 1, 1),
    }
}

fn has(set: u64, value: impl Into<i64>) -> bool {
    set >> value.into() & 1 == 1
}

/// The lowest value of a set at or above `from`.
fn lowest(set: u64, from: i64) -> Option<i64> {
    let rest = if from < 64 { set >> from << from } else { 0 };
    (rest != 0).then(|| i64::from(rest.trailing_zeros()))
}

/// How many values of a set lie below `value`.
fn below(set: u64, value: i64) -> u64 {
    let rest = if value < 64 { set & ((1 << value) - 1) } else { set };
    u64::from(rest.count_ones())
}
