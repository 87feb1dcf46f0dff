//! How much of the work was waste, and of which kind. Each second of an activity is counted once.

use arrow::array::{Array, ArrayRef, Int64Array};
use shared::{
    annotator::{AnnotateError, Annotator},
    column::{Columns, integers, text},
    lake::siblings::Rows,
};

/// The annotator.
pub struct Waste;

/// What the other annotators know of one row of work, in seconds. `None` where they cannot tell.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    duration: i64,
    automatable: Option<i64>,
    late_planning: Option<i64>,
    unproductive: Option<i64>,
    out_of_sprint: Option<i64>,
}

/// The waste in one row by kind, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Kinds {
    automatable: i64,
    late_planning: i64,
    unproductive_ceremony: i64,
    out_of_sprint: i64,
}

impl Known {
    /// Takes each kind, in this order, from what the kinds before it have left. What nobody knows takes nothing.
    fn kinds(self) -> Kinds {
        let mut left = self.duration;
        let mut take = |seconds: Option<i64>| {
            let taken = seconds.unwrap_or(0).min(left);
            left -= taken;
            taken
        };
        let automatable = take(self.automatable);
        let late_planning = take(self.late_planning);
        let unproductive_ceremony = take(self.unproductive);
        // What lies out of the sprint has been taken first by the kinds above.
        let taken = automatable + late_planning + unproductive_ceremony;
        let out_of_sprint = take(self.out_of_sprint.map(|out| (out - taken).max(0)));
        Kinds { automatable, late_planning, unproductive_ceremony, out_of_sprint }
    }
}

impl Kinds {
    fn total(&self) -> i64 {
        self.automatable + self.late_planning + self.unproductive_ceremony + self.out_of_sprint
    }
}

impl Annotator for Waste {
    const NAME: &'static str = "waste";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let durations = rows.base.integer("duration_seconds")?;
        let is_work = rows.annotations.flag("is_work")?;
        let is_planning = rows.annotations.flag("is_planning")?;
        let is_ceremony = rows.annotations.flag("is_ceremony")?;
        let rated = rows.annotations.integer("rated_seconds")?;
        let automatable = rows.annotations.integer("automatable_seconds")?;
        let late_planning = rows.annotations.integer("late_planning_seconds")?;
        let unproductive = rows.annotations.integer("unproductive_seconds")?;
        let out_of_sprint = rows.annotations.integer("out_of_sprint_seconds")?;
        let reasons = [
            (automatable, rows.annotations.text("automation_reason")?),
            (late_planning, rows.annotations.text("planning_reason")?),
            (unproductive, rows.annotations.text("ceremony_reason")?),
            (out_of_sprint, rows.annotations.text("scope_reason")?),
        ];
        let seconds = |column: &Int64Array, row: usize| column.is_valid(row).then(|| column.value(row));
        // That something is no planning and no ceremony says nothing about whether it was waste.
        let tells = |row: usize| {
            automatable.is_valid(row)
                || out_of_sprint.is_valid(row)
                || (is_planning.value(row) && late_planning.is_valid(row))
                || (is_ceremony.value(row) && rated.is_valid(row))
        };
        let judge = |row: usize| -> (Option<Kinds>, Option<&str>) {
            if !is_work.value(row) {
                return (Some(Kinds::default()), None);
            }
            if !tells(row) {
                return (None, Some("nothing_known"));
            }
            let known = Known {
                duration: durations.value(row),
                automatable: seconds(automatable, row),
                late_planning: seconds(late_planning, row),
                unproductive: seconds(unproductive, row),
                out_of_sprint: seconds(out_of_sprint, row),
            };
            let missing = reasons.iter().find(|(column, _)| column.is_null(row));
            (Some(known.kinds()), missing.map(|(_, reason)| reason.value(row)))
        };
        let judged: Vec<(Option<Kinds>, Option<&str>)> = (0..rows.len()).map(judge).collect();
        let column = |value: fn(&Kinds) -> i64| integers(judged.iter().map(|(kinds, _)| kinds.as_ref().map(value)));
        Ok(vec![
            ("waste_seconds", column(Kinds::total)),
            ("waste_automatable_seconds", column(|kinds| kinds.automatable)),
            ("waste_late_planning_seconds", column(|kinds| kinds.late_planning)),
            ("waste_unproductive_ceremony_seconds", column(|kinds| kinds.unproductive_ceremony)),
            ("waste_out_of_sprint_seconds", column(|kinds| kinds.out_of_sprint)),
            ("waste_reason", text(judged.iter().map(|(_, reason)| *reason))),
        ])
    }
}

#[cfg(test)]
mod tests;
