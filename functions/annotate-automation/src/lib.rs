//! How much of the work a machine could do: the whole activity, where its stereotype is automatable and it is work.

use arrow::array::{Array, ArrayRef};
use shared::{
    annotator::{AnnotateError, Annotator},
    column::{Columns, integers, text},
    lake::siblings::Rows,
};

/// The annotator.
pub struct Automation;

impl Annotator for Automation {
    const NAME: &'static str = "automation";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let is_work = rows.annotations.flag("is_work")?;
        let automatable = rows.annotations.flag("automatable")?;
        let durations = rows.base.integer("duration_seconds")?;
        let seconds: Vec<Option<i64>> = (0..rows.len())
            .map(|row| match (is_work.value(row), automatable.is_valid(row)) {
                (false, _) => Some(0),
                (true, true) => Some(if automatable.value(row) { durations.value(row) } else { 0 }),
                (true, false) => None,
            })
            .collect();
        Ok(vec![
            ("automatable_seconds", integers(seconds.iter().copied())),
            ("automation_reason", text(seconds.iter().map(|s| s.is_none().then_some("automatable_not_stated")))),
        ])
    }
}

#[cfg(test)]
mod tests;
