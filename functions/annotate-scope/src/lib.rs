//! What was in the sprint's plan and what was not.
//!
//! A split by the source decides; else the person's mark; else an activity is in if it starts within its sprint. Paid
//! time off is neither, whatever its mark: 0 + 0.

use arrow::array::{Array, ArrayRef};
use shared::{
    annotator::{AnnotateError, Annotator},
    column::{Columns, integers, text},
    lake::siblings::Rows,
};

/// The annotator.
pub struct Scope;

/// What is known of one row.
struct Row {
    is_work: bool,
    duration: i64,
    out_of_sprint: Option<i64>,
    marked: Option<bool>,
    /// Whether it starts within its sprint, if it has one.
    within: Option<bool>,
}

/// (in, out) in seconds, and what decided.
fn divide(row: &Row) -> (Option<(i64, i64)>, &'static str) {
    let whole = |inside: bool| if inside { (row.duration, 0) } else { (0, row.duration) };
    match (row.is_work, row.out_of_sprint, row.marked, row.within) {
        (false, ..) => (Some((0, 0)), "pto"),
        (true, Some(out), ..) => (Some((row.duration - out, out)), "split"),
        (true, None, Some(inside), _) => (Some(whole(inside)), "marked"),
        (true, None, None, Some(within)) => (Some(whole(within)), "derived"),
        (true, None, None, None) => (None, "none"),
    }
}

impl Annotator for Scope {
    const NAME: &'static str = "scope";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let is_work = rows.annotations.flag("is_work")?;
        let durations = rows.base.integer("duration_seconds")?;
        let outs = rows.base.integer("out_of_sprint_seconds")?;
        let marks = rows.base.flag("marked_in_sprint")?;
        let starts = rows.base.instant("started_at")?;
        let sprint_starts = rows.base.instant("sprint_starts_at")?;
        let sprint_ends = rows.base.instant("sprint_ends_at")?;
        let within = |row: usize| {
            let known = sprint_starts.is_valid(row) && sprint_ends.is_valid(row);
            known.then(|| (sprint_starts.value(row)..sprint_ends.value(row)).contains(&starts.value(row)))
        };
        let divided: Vec<_> = (0..rows.len())
            .map(|row| {
                divide(&Row {
                    is_work: is_work.value(row),
                    duration: durations.value(row),
                    out_of_sprint: outs.is_valid(row).then(|| outs.value(row)),
                    marked: marks.is_valid(row).then(|| marks.value(row)),
                    within: within(row),
                })
            })
            .collect();
        Ok(vec![
            ("in_sprint_seconds", integers(divided.iter().map(|(parts, _)| Some(parts.as_ref()?.0)))),
            ("out_of_sprint_seconds", integers(divided.iter().map(|(parts, _)| Some(parts.as_ref()?.1)))),
            ("scope_basis", text(divided.iter().map(|(_, basis)| Some(*basis)))),
            ("scope_reason", text(divided.iter().map(|(parts, _)| parts.is_none().then_some("no_mark_and_no_sprint")))),
        ])
    }
}

#[cfg(test)]
mod tests;
