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

const MICROSECONDS: i64 = 1_000_000;

/// The annotator with its measures, in microseconds.
pub struct Focus {
    block: i64,
    longest_pause: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measures {
    block_minutes: u32,
    longest_pause_minutes: u32,
}

/// What is known of one row; instants in microseconds.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    person: &'a str,
    start: i64,
    end: i64,
    seconds: i64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Work at a known time that begins something.
    Begins,
    /// Work at a known time on what the work before was about, without a break.
    CarriesOn,
    /// Time off at a known time.
    Off,
    /// Only its date is known.
    DateOnly,
}

/// Work without interruption.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// The durations of its rows, added up.
    seconds: i64,
    /// The clock time that its rows take up, each moment once, in microseconds.
    clock: i64,
    /// The latest end of its rows.
    end: i64,
}

impl Block {
    fn of(row: &Row) -> Self {
        Self { seconds: row.seconds, clock: row.end - row.start, end: row.end }
    }

    fn take(&mut self, row: &Row) {
        self.seconds += row.seconds;
        self.clock += (row.end - row.start.max(self.end)).max(0);
        self.end = self.end.max(row.end);
    }

    /// How long somebody was at it, in microseconds: no longer than they worked, however wide the clock times are, and no
    /// longer than the clock ran, however much they did at once.
    fn length(&self) -> i64 {
        self.clock.min(self.seconds.saturating_mul(MICROSECONDS))
    }
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
            block: i64::from(measures.block_minutes) * 60 * MICROSECONDS,
            longest_pause: i64::from(measures.longest_pause_minutes) * 60 * MICROSECONDS,
        })
    }

    /// The seconds of each row of one person's day that belong to a block which is long enough.
    fn focused(&self, day: &[Row]) -> Vec<i64> {
        let mut blocks: Vec<Block> = Vec::new();
        let (mut is_open, mut latest_end) = (false, i64::MIN);
        let mut member: Vec<Option<usize>> = Vec::with_capacity(day.len());
        for row in day {
            let goes_on = is_open && row.kind == Kind::CarriesOn && row.start <= latest_end + self.longest_pause;
            member.push(match row.kind {
                Kind::Begins | Kind::CarriesOn => {
                    match blocks.last_mut() {
                        Some(block) if goes_on => block.take(row),
                        _ => blocks.push(Block::of(row)),
                    }
                    is_open = true;
                    Some(blocks.len() - 1)
                }
                Kind::Off => {
                    is_open = false;
                    None
                }
                Kind::DateOnly => None,
            });
            if row.kind != Kind::DateOnly {
                latest_end = latest_end.max(row.end);
            }
        }
        let is_long = |block: usize| blocks[block].length() >= self.block;
        let seconds = |(row, block): (&Row, Option<usize>)| if block.is_some_and(is_long) { row.seconds } else { 0 };
        day.iter().zip(member).map(seconds).collect()
    }
}

impl Annotator for Focus {
    const NAME: &'static str = "focus";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let is_work = rows.annotations.flag("is_work")?;
        let has_gap = rows.annotations.flag("has_gap")?;
        let switches = rows.annotations.integer("switches")?;
        let people = rows.base.text("user_id")?;
        let clocks = rows.base.text("clock")?;
        let starts = rows.base.instant("started_at")?;
        let ends = rows.base.instant("ended_at")?;
        let durations = rows.base.integer("duration_seconds")?;
        let kind = |row: usize| match (clocks.value(row) == Clock::Exact.as_str(), is_work.value(row)) {
            (false, _) => Kind::DateOnly,
            (true, false) => Kind::Off,
            // The first work of a person's day has no gap, nor has what follows a break, so neither carries on.
            (true, true) if has_gap.is_valid(row) && has_gap.value(row) && switches.value(row) == 0 => Kind::CarriesOn,
            (true, true) => Kind::Begins,
        };
        let known: Vec<Row> = (0..rows.len())
            .map(|row| Row {
                person: people.value(row),
                start: starts.value(row),
                end: ends.value(row),
                seconds: durations.value(row),
                kind: kind(row),
            })
            .collect();
        let cannot_tell = |row: usize| is_work.value(row) && known[row].kind == Kind::DateOnly;
        let days = known.chunk_by(|one, next| one.person == next.person);
        let focused: Vec<i64> = days.flat_map(|day| self.focused(day)).collect();
        let seconds = focused.iter().enumerate().map(|(row, seconds)| (!cannot_tell(row)).then_some(*seconds));
        Ok(vec![
            ("focus_seconds", integers(seconds)),
            ("focus_reason", text((0..rows.len()).map(|row| cannot_tell(row).then_some("date_only")))),
        ])
    }
}

#[cfg(test)]
mod tests;
