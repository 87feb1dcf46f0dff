//! How often people change what they do, and the time that passes between two activities.
//!
//! Everything is counted within one person's day, so the night is never a gap. Only work with an exact clock counts:
//! where the source knows no more than the date, nobody can say what came after what.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef};
use shared::{
    activity::Clock,
    annotator::{AnnotateError, Annotator},
    column::{Columns, flags, integers, text},
    lake::siblings::Rows,
    settings::LogicSettings,
};

const MICROSECONDS: i64 = 1_000_000;

/// The annotator.
pub struct Switching {
    /// In microseconds.
    long_gap: i64,
}

/// What is known of one row; instants in microseconds.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    person: &'a str,
    is_work: bool,
    /// Whether the time of day is known.
    exact: bool,
    start: i64,
    end: i64,
    stereotype: &'a str,
    project: Option<&'a str>,
}

/// What one row adds; durations in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counted {
    person_days: i64,
    switches: i64,
    gaps: i64,
    gap_seconds: i64,
    switch_gap_seconds: i64,
    breaks: i64,
    break_seconds: i64,
    stereotypes: i64,
}

impl Switching {
    /// The annotator for an organisation.
    pub fn new(settings: &LogicSettings) -> Self {
        Self { long_gap: i64::from(settings.long_gap_hours) * 3600 * MICROSECONDS }
    }

    /// What each row of one person's day adds, in order; `None` where the row cannot tell.
    fn count(&self, day: &[Row]) -> Vec<Option<Counted>> {
        let mut counted: Vec<Option<Counted>> = Vec::with_capacity(day.len());
        let mut latest_end = i64::MIN;
        let mut before: Option<usize> = None;
        let mut stereotypes = BTreeSet::new();
        for (index, row) in day.iter().enumerate() {
            let mut adds = Counted::default();
            if row.exact && row.is_work {
                if let Some(before) = before {
                    self.follow(&mut adds, row, &day[before], latest_end);
                }
                before = Some(index);
                stereotypes.insert(row.stereotype);
            }
            if row.exact {
                latest_end = latest_end.max(row.end);
            }
            counted.push((row.exact || !row.is_work).then_some(adds));
        }
        if let Some(last) = before.and_then(|last| counted[last].as_mut()) {
            last.person_days = 1;
            last.stereotypes = i64::try_from(stereotypes.len()).unwrap_or(i64::MAX);
        }
        counted
    }

    /// What `row` adds as the work after the work `before`.
    fn follow(&self, adds: &mut Counted, row: &Row, before: &Row, latest_end: i64) {
        let switched = (row.stereotype, row.project) != (before.stereotype, before.project);
        adds.switches = i64::from(switched);
        // Compared as exactly as the clocks are read; only what is added up has whole seconds.
        let between = (row.start - latest_end).max(0);
        let seconds = between / MICROSECONDS;
        if between > self.long_gap {
            (adds.breaks, adds.break_seconds) = (1, seconds);
        } else {
            (adds.gaps, adds.gap_seconds) = (1, seconds);
            adds.switch_gap_seconds = if switched { seconds } else { 0 };
        }
    }
}

impl Annotator for Switching {
    const NAME: &'static str = "switching";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let is_work = rows.annotations.flag("is_work")?;
        let people = rows.base.text("user_id")?;
        let clocks = rows.base.text("clock")?;
        let starts = rows.base.instant("started_at")?;
        let ends = rows.base.instant("ended_at")?;
        let stereotypes = rows.base.text("stereotype_code")?;
        let projects = rows.base.text("project_id")?;
        let known: Vec<Row> = (0..rows.len())
            .map(|row| Row {
                person: people.value(row),
                is_work: is_work.value(row),
                exact: clocks.value(row) == Clock::Exact.as_str(),
                start: starts.value(row),
                end: ends.value(row),
                stereotype: stereotypes.value(row),
                project: projects.is_valid(row).then(|| projects.value(row)),
            })
            .collect();
        let days = known.chunk_by(|one, next| one.person == next.person);
        let counted: Vec<Option<Counted>> = days.flat_map(|day| self.count(day)).collect();
        let column = |value: fn(&Counted) -> i64| integers(counted.iter().map(|adds| adds.as_ref().map(value)));
        let flag = |value: fn(&Counted) -> i64| flags(counted.iter().map(|adds| Some(value(adds.as_ref()?) > 0)));
        Ok(vec![
            ("person_days", column(|adds| adds.person_days)),
            ("switches", column(|adds| adds.switches)),
            ("gaps", column(|adds| adds.gaps)),
            ("gap_seconds", column(|adds| adds.gap_seconds)),
            ("switch_gap_seconds", column(|adds| adds.switch_gap_seconds)),
            ("breaks", column(|adds| adds.breaks)),
            ("break_seconds", column(|adds| adds.break_seconds)),
            ("stereotypes_per_person_day", column(|adds| adds.stereotypes)),
            ("has_gap", flag(|adds| adds.gaps)),
            ("closes_person_day", flag(|adds| adds.person_days)),
            ("switching_reason", text(counted.iter().map(|adds| adds.is_none().then_some("date_only")))),
        ])
    }
}

#[cfg(test)]
mod tests;
