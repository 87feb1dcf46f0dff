//! How much of the work was done in long uninterrupted blocks.
//!
//! A block is work on one thing, one kind of activity for one project, without more than a short pause. What a gap and a
//! switch are, `switching` decides; `focus.toml` says how long a block must be and how short a pause.

use arrow::array::{Array, ArrayRef};
use serde::Deserialize;
use shared::{
    activity::Clock,
    annotator::{AnnotateError, Annotator},
    column::{Columns, integers, text},
    lake::siblings::Rows,
};

/// The annotator with its measures.
pub struct Focus {
    block_seconds: i64,
    longest_pause_seconds: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measures {
    block_minutes: u32,
    longest_pause_minutes: u32,
}

/// What is known of one row.
#[derive(Debug, Clone, Copy)]
enum Row {
    /// Work at a known time; `pause` is the gap in seconds before it if it carries on with what the row before did.
    Work { seconds: i64, pause: Option<i64> },
    /// Time off at a known time.
    Off,
    /// Only its date is known.
    DateOnly,
}

impl Focus {
    /// Measures by the `focus.toml` that this program was built with.
    ///
    /// # Errors
    /// As [`Focus::parse`]; a test makes sure that no build is released with such a file.
    pub fn built_in() -> Result<Self, AnnotateError> {
        Self::parse(include_str!("../focus.toml"))
    }

    /// Measures by the text of a `focus.toml`.
    ///
    /// # Errors
    /// If it is not TOML of the documented form.
    pub fn parse(text: &str) -> Result<Self, AnnotateError> {
        let measures: Measures =
            toml::from_str(text).map_err(|error| AnnotateError::Configuration(format!("focus.toml: {error}")))?;
        Ok(Self {
            block_seconds: i64::from(measures.block_minutes) * 60,
            longest_pause_seconds: i64::from(measures.longest_pause_minutes) * 60,
        })
    }

    /// The seconds of each row that belong to a block which is long enough.
    fn focused(&self, rows: &[Row]) -> Vec<i64> {
        let mut blocks: Vec<i64> = Vec::new();
        let mut carries_on = false;
        let member: Vec<Option<usize>> = rows
            .iter()
            .map(|row| match *row {
                Row::Work { seconds, pause } => {
                    match blocks.last_mut() {
                        Some(block) if carries_on && pause.is_some_and(|pause| pause <= self.longest_pause_seconds) => {
                            *block += seconds;
                        }
                        _ => blocks.push(seconds),
                    }
                    carries_on = true;
                    Some(blocks.len() - 1)
                }
                Row::Off => {
                    carries_on = false;
                    None
                }
                Row::DateOnly => None,
            })
            .collect();
        let seconds = |(row, block): (&Row, Option<usize>)| match (row, block) {
            (Row::Work { seconds, .. }, Some(block)) if blocks[block] >= self.block_seconds => *seconds,
            _ => 0,
        };
        rows.iter().zip(member).map(seconds).collect()
    }
}

impl Annotator for Focus {
    const NAME: &'static str = "focus";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let is_work = rows.annotations.flag("is_work")?;
        let has_gap = rows.annotations.flag("has_gap")?;
        let gaps = rows.annotations.integer("gap_seconds")?;
        let switches = rows.annotations.integer("switches")?;
        let clocks = rows.base.text("clock")?;
        let durations = rows.base.integer("duration_seconds")?;
        let known: Vec<Row> = (0..rows.len())
            .map(|row| {
                // The first work of a person's day has no gap, nor has what follows a break, so neither carries on.
                let carries_on = has_gap.is_valid(row) && has_gap.value(row) && switches.value(row) == 0;
                match (clocks.value(row) == Clock::Exact.as_str(), is_work.value(row)) {
                    (false, _) => Row::DateOnly,
                    (true, false) => Row::Off,
                    (true, true) => {
                        Row::Work { seconds: durations.value(row), pause: carries_on.then(|| gaps.value(row)) }
                    }
                }
            })
            .collect();
        let cannot_tell = |row: usize| is_work.value(row) && matches!(known[row], Row::DateOnly);
        let focused = self.focused(&known);
        let seconds = focused.iter().enumerate().map(|(row, seconds)| (!cannot_tell(row)).then_some(*seconds));
        Ok(vec![
            ("focus_seconds", integers(seconds)),
            ("focus_reason", text((0..rows.len()).map(|row| cannot_tell(row).then_some("date_only")))),
        ])
    }
}

#[cfg(test)]
mod tests;
