//! The two clocks of the lake: the local day an activity belongs to, and the generation a day was captured at.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A text that is not what its type demands, such as a day that is not `YYYY-MM-DD`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct Malformed {
    /// The text as it came.
    pub value: String,
    /// What it should have been, in words.
    pub expected: &'static str,
}

impl Malformed {
    pub(crate) fn new(value: &str, expected: &'static str) -> Self {
        Self { value: value.to_owned(), expected }
    }
}

/// A calendar day where the person was, not a day in UTC. Written `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalDay(pub NaiveDate);

impl LocalDay {
    /// The day `days` later (earlier when negative); saturates at the ends of the calendar.
    pub fn plus(self, days: i64) -> Self {
        let step = Days::new(days.unsigned_abs());
        let moved = if days < 0 { self.0.checked_sub_days(step) } else { self.0.checked_add_days(step) };
        Self(moved.unwrap_or(if days < 0 { NaiveDate::MIN } else { NaiveDate::MAX }))
    }
}

impl fmt::Display for LocalDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl FromStr for LocalDay {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self);
        // chrono accepts `2026-1-5`; a key has exactly one spelling.
        day.filter(|day| day.to_string() == text).ok_or_else(|| Malformed::new(text, "a day such as 2026-01-31"))
    }
}

/// When an intake attempt opened its view of the source, in UTC to the second. Written `YYYYMMDDTHHMMSSZ`, so that
/// text order is time order. Two attempts never share one, and a newer generation never holds older data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(DateTime<Utc>);

const GENERATION_FORMAT: &str = "%Y%m%dT%H%M%SZ";

impl Generation {
    /// The generation for an attempt that starts at `now`, after every generation known so far.
    pub fn mint(now: DateTime<Utc>, last: Option<Generation>) -> Self {
        let now = now.trunc_subsecs(0);
        Self(last.map_or(now, |last| now.max(last.0 + TimeDelta::seconds(1))))
    }

    /// The instant it names.
    pub fn instant(self) -> DateTime<Utc> {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format(GENERATION_FORMAT))
    }
}

impl FromStr for Generation {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parsed = NaiveDateTime::parse_from_str(text, GENERATION_FORMAT).ok().map(|at| Self(at.and_utc()));
        parsed
            .filter(|generation| generation.to_string() == text)
            .ok_or_else(|| Malformed::new(text, "a generation such as 20260131T060000Z"))
    }
}

impl Serialize for Generation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Generation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_later_than_every_one_before_it_even_when_the_clock_goes_back() {
        let first = Generation::mint("2026-01-31T06:00:00.9Z".parse().unwrap(), None);
        assert_eq!(first.to_string(), "20260131T060000Z");
        let second = Generation::mint("2026-01-31T05:00:00Z".parse().unwrap(), Some(first));
        assert_eq!(second.to_string(), "20260131T060001Z");
        assert_eq!(second.to_string().parse(), Ok(second));
    }

    #[test]
    fn a_day_has_one_spelling() {
        assert_eq!("2026-01-05".parse::<LocalDay>().map(|day| day.plus(-5).to_string()), Ok("2025-12-31".into()));
        for wrong in ["2026-1-5", "2026-02-30", "", "2026-01-05 "] {
            assert!(wrong.parse::<LocalDay>().is_err(), "{wrong:?}");
        }
    }
}
