//! Planning that happened when the sprint should have been planned already.
//!
//! A sprint is to be planned before a line: the start of a local day of the organisation, some grace days after the
//! sprint's first day. Refinement goes on all through a sprint, so it cannot be late; it is counted beside.

use arrow::array::{Array, ArrayRef};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::{GapInfo, Tz};
use shared::{
    annotator::{AnnotateError, Annotator},
    column::{Columns, flags, integers, text},
    lake::siblings::Rows,
    settings::LogicSettings,
};

const MICROSECONDS: i64 = 1_000_000;

/// The annotator.
pub struct Planning {
    zone: Tz,
    grace_days: u32,
}

/// What one row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Planned<'a> {
    planning: Option<i64>,
    late: Option<i64>,
    refinement: Option<i64>,
    is_planning: bool,
    reason: Option<&'a str>,
}

impl Planning {
    /// The annotator for an organisation.
    pub fn new(settings: &LogicSettings) -> Self {
        Self { zone: settings.organisation_time_zone, grace_days: settings.grace_days }
    }

    /// From when on planning is late for a sprint that starts at `sprint_starts`; both in microseconds.
    fn line(&self, sprint_starts: i64) -> Result<i64, AnnotateError> {
        let line = || {
            let first_day = DateTime::from_timestamp_micros(sprint_starts)?.with_timezone(&self.zone).date_naive();
            first_instant(self.zone, first_day.checked_add_days(Days::new(self.grace_days.into()))?)
        };
        let beyond = || format!("a sprint's start plus {} grace days is beyond the calendar", self.grace_days);
        Ok(line().ok_or_else(|| AnnotateError::Configuration(beyond()))?.timestamp_micros())
    }
}

/// When a local day begins: at midnight, or where the clock leaps over midnight, after the leap.
fn first_instant(zone: Tz, day: NaiveDate) -> Option<DateTime<Tz>> {
    let midnight = day.and_time(NaiveTime::MIN);
    zone.from_local_datetime(&midnight).earliest().or_else(|| GapInfo::new(&midnight, &zone)?.end)
}

/// The seconds of an activity that lie at or after the line; `start` and `line` in microseconds.
fn late(start: i64, duration: i64, line: i64) -> i64 {
    let in_time = (line - start).div_euclid(MICROSECONDS).max(0);
    duration - duration.min(in_time)
}

/// Judges one row: its category, why that is unknown, its start, its duration, and its sprint's line.
fn judge<'a>(
    category: &str,
    unknown: Option<&'a str>,
    start: i64,
    duration: i64,
    line: impl FnOnce() -> Result<Option<i64>, AnnotateError>,
) -> Result<Planned<'a>, AnnotateError> {
    let nothing = Planned { planning: Some(0), late: Some(0), refinement: Some(0), is_planning: false, reason: None };
    Ok(match (category, unknown) {
        // What nobody classified may be planning, or refinement.
        (_, Some(reason)) => {
            Planned { planning: None, late: None, refinement: None, is_planning: false, reason: Some(reason) }
        }
        ("planning", None) => match line()? {
            Some(line) => Planned {
                planning: Some(duration),
                late: Some(late(start, duration, line)),
                is_planning: true,
                ..nothing
            },
            None => Planned { planning: None, late: None, is_planning: true, reason: Some("no_sprint"), ..nothing },
        },
        ("refinement", None) => Planned { refinement: Some(duration), ..nothing },
        _ => nothing,
    })
}

impl Annotator for Planning {
    const NAME: &'static str = "planning";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let categories = rows.annotations.text("category")?;
        let category_reasons = rows.annotations.text("category_reason")?;
        let durations = rows.base.integer("duration_seconds")?;
        let starts = rows.base.instant("started_at")?;
        let sprint_starts = rows.base.instant("sprint_starts_at")?;
        let judged = (0..rows.len()).map(|row| {
            let unknown = category_reasons.is_valid(row).then(|| category_reasons.value(row));
            let line = || sprint_starts.is_valid(row).then(|| self.line(sprint_starts.value(row))).transpose();
            judge(categories.value(row), unknown, starts.value(row), durations.value(row), line)
        });
        let judged = judged.collect::<Result<Vec<Planned>, _>>()?;
        Ok(vec![
            ("planning_seconds", integers(judged.iter().map(|row| row.planning))),
            ("late_planning_seconds", integers(judged.iter().map(|row| row.late))),
            ("refinement_seconds", integers(judged.iter().map(|row| row.refinement))),
            ("is_planning", flags(judged.iter().map(|row| Some(row.is_planning)))),
            ("planning_reason", text(judged.iter().map(|row| row.reason))),
        ])
    }
}

#[cfg(test)]
mod tests;
