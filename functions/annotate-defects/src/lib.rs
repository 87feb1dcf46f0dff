//! When in its sprint a defect was investigated or fixed.
//!
//! The phase is a proxy: it says when in the sprint the work on a defect began, not when the defect was made.

use arrow::array::{Array, ArrayRef};
use shared::{
    annotator::{AnnotateError, Annotator},
    column::{Columns, flags, integers, text},
    lake::siblings::Rows,
};

/// The annotator.
pub struct Defects;

/// When in its sprint something starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Early,
    Middle,
    Late,
    After,
    Unphased,
}

/// What is done about a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    Investigation,
    Fix,
}

/// Each column of seconds: of what effort, in which phase.
const SECONDS: [(&str, Effort, Phase); 12] = [
    ("investigation_before_seconds", Effort::Investigation, Phase::Before),
    ("investigation_early_seconds", Effort::Investigation, Phase::Early),
    ("investigation_middle_seconds", Effort::Investigation, Phase::Middle),
    ("investigation_late_seconds", Effort::Investigation, Phase::Late),
    ("investigation_after_seconds", Effort::Investigation, Phase::After),
    ("investigation_unphased_seconds", Effort::Investigation, Phase::Unphased),
    ("fix_before_seconds", Effort::Fix, Phase::Before),
    ("fix_early_seconds", Effort::Fix, Phase::Early),
    ("fix_middle_seconds", Effort::Fix, Phase::Middle),
    ("fix_late_seconds", Effort::Fix, Phase::Late),
    ("fix_after_seconds", Effort::Fix, Phase::After),
    ("fix_unphased_seconds", Effort::Fix, Phase::Unphased),
];

/// A sprint whose limits are known, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Sprint {
    starts: i64,
    /// Exclusive.
    ends: i64,
    released: Option<i64>,
}

impl Phase {
    /// The phase of what starts at `start`, in microseconds. The first rule that applies decides.
    fn of(start: i64, sprint: Option<Sprint>) -> Self {
        let Some(Sprint { starts, ends, released }) = sprint else {
            return Self::Unphased;
        };
        if start < starts {
            return Self::Before;
        }
        if start >= released.unwrap_or(ends) {
            return Self::After;
        }
        if start >= ends {
            return Self::Late;
        }
        match 3 * (start - starts) / (ends - starts) {
            0 => Self::Early,
            1 => Self::Middle,
            _ => Self::Late,
        }
    }

    /// As the `defect_phase` column spells it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Early => "early",
            Self::Middle => "middle",
            Self::Late => "late",
            Self::After => "after",
            Self::Unphased => "unphased",
        }
    }
}

impl Effort {
    fn of(category: &str) -> Option<Self> {
        match category {
            "defect_investigation" => Some(Self::Investigation),
            "defect_fix" => Some(Self::Fix),
            _ => None,
        }
    }
}

impl Annotator for Defects {
    const NAME: &'static str = "defects";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let categories = rows.annotations.text("category")?;
        let category_reasons = rows.annotations.text("category_reason")?;
        let durations = rows.base.integer("duration_seconds")?;
        let starts = rows.base.instant("started_at")?;
        let sprint_starts = rows.base.instant("sprint_starts_at")?;
        let sprint_ends = rows.base.instant("sprint_ends_at")?;
        let releases = rows.base.instant("sprint_released_at")?;
        let sprint = |row: usize| {
            let known = sprint_starts.is_valid(row) && sprint_ends.is_valid(row);
            known.then(|| Sprint {
                starts: sprint_starts.value(row),
                ends: sprint_ends.value(row),
                released: releases.is_valid(row).then(|| releases.value(row)),
            })
        };
        let defects: Vec<Option<(Effort, Phase)>> = (0..rows.len())
            .map(|row| Some((Effort::of(categories.value(row))?, Phase::of(starts.value(row), sprint(row)))))
            .collect();
        // A category that nobody names may be that of a defect. Paid time off is a category that somebody named.
        let reason = |row: usize| category_reasons.is_valid(row).then(|| category_reasons.value(row));
        let seconds = |effort: Effort, phase: Phase| {
            let here = |row: usize| if defects[row] == Some((effort, phase)) { durations.value(row) } else { 0 };
            integers((0..rows.len()).map(|row| reason(row).is_none().then(|| here(row))))
        };
        let mut columns: Vec<_> =
            SECONDS.iter().map(|(name, effort, phase)| (*name, seconds(*effort, *phase))).collect();
        columns.extend([
            ("defect_phase", text(defects.iter().map(|defect| Some(defect.as_ref()?.1.as_str())))),
            ("is_defect", flags(defects.iter().map(|defect| Some(defect.is_some())))),
            ("defects_reason", text((0..rows.len()).map(reason))),
        ]);
        Ok(columns)
    }
}

#[cfg(test)]
mod tests;
