//! Sorting any number of activities into days, and sealing each day as one file. Memory is bounded: what does not fit
//! is sorted on disk.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, Utc};
use ext_sort::{ExternalSorter, ExternalSorterBuilder, LimitedBufferBuilder};
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use shared::{
    activity::{Activity, SCHEMA, to_batch},
    lake::{Entity, Sealed, parquet_file::Writer},
    time::LocalDay,
};

use crate::translate::Rejected;

/// Activities that are sorted in memory at a time.
const SORTED_IN_MEMORY: usize = 20_000;
/// Activities that become one batch of a file.
const BATCH: usize = 4_096;

/// The days could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaysError {
    /// The temporary disk.
    #[error("activities could not be sorted on the temporary disk: {0}")]
    Sort(String),
    /// The file format.
    #[error("a day could not be written as Parquet")]
    Write(#[from] ParquetError),
    /// Nobody wants the result any more.
    #[error("the run was stopped")]
    Stopped,
}

/// An activity on its way to its day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Its local day.
    pub day: LocalDay,
    /// The activity.
    pub activity: Box<Activity>,
}

impl Placed {
    /// The order of the lake: by day, then as files are sorted.
    fn order(&self) -> (LocalDay, &str, DateTime<Utc>, &str) {
        let Activity { user_id, started_at, activity_id, .. } = &*self.activity;
        (self.day, user_id, *started_at, activity_id)
    }
}

/// What comes out, in day order.
pub enum Output {
    /// A day, sealed.
    Day {
        /// Which.
        day: LocalDay,
        /// Its rows.
        rows: u64,
        /// Its file.
        sealed: Sealed,
    },
    /// A record that came twice: its second coming.
    Rejected(Box<Rejected>),
}

/// Sorts `activities` and hands each day on as soon as it is sealed. Blocks; run it beside the reader.
pub fn seal_days(
    source: &str,
    activities: impl Iterator<Item = Placed>,
    mut emit: impl FnMut(Output) -> Result<(), DaysError>,
) -> Result<(), DaysError> {
    let sort = |reason: &dyn std::fmt::Display| DaysError::Sort(reason.to_string());
    let sorter: ExternalSorter<Placed, io::Error> = ExternalSorterBuilder::new()
        .with_buffer(LimitedBufferBuilder::new(SORTED_IN_MEMORY, false))
        .build()
        .map_err(|error| sort(&error))?;
    let sorted = sorter.sort_by(activities.map(Ok), |a: &Placed, b: &Placed| a.order().cmp(&b.order()));
    let mut current: Option<OpenDay> = None;
    let mut last: Option<Placed> = None;
    for placed in sorted.map_err(|error| sort(&error))? {
        let placed = placed.map_err(|error| sort(&error))?;
        // The key is the last part of the order, so whatever a join multiplied lies side by side.
        if last.as_ref().is_some_and(|last| last.order() == placed.order()) {
            emit(Output::Rejected(Box::new(duplicate(*placed.activity))))?;
            continue;
        }
        last = Some(placed.clone());
        let mut open = match current.take() {
            Some(open) if open.day == placed.day => open,
            other => {
                if let Some(finished) = other {
                    emit(finished.seal()?)?;
                }
                OpenDay::new(source, placed.day)?
            }
        };
        open.push(*placed.activity)?;
        current = Some(open);
    }
    match current {
        Some(open) => emit(open.seal()?),
        None => Ok(()),
    }
}

/// The file of a day that has no rows any more.
pub fn empty_day(source: &str) -> Result<Sealed, ParquetError> {
    Writer::new(SCHEMA.clone(), &metadata(source))?.finish()
}

fn metadata(source: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("wastewalk.source".to_owned(), source.to_owned())])
}

fn duplicate(activity: Activity) -> Rejected {
    Rejected {
        entity: Entity::Activities,
        key: activity.activity_id,
        reason: "duplicate_key",
        field: "activity_id",
        message: "the record came twice; make the mapping's SELECT give each key once".to_owned(),
        source_row: activity.source_row,
    }
}

struct OpenDay {
    day: LocalDay,
    writer: Writer,
    batch: Vec<Activity>,
}

impl OpenDay {
    fn new(source: &str, day: LocalDay) -> Result<Self, ParquetError> {
        Ok(Self { day, writer: Writer::new(SCHEMA.clone(), &metadata(source))?, batch: Vec::new() })
    }

    fn push(&mut self, activity: Activity) -> Result<(), ParquetError> {
        self.batch.push(activity);
        if self.batch.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        self.writer.write(&to_batch(&self.batch)?)?;
        self.batch.clear();
        Ok(())
    }

    fn seal(mut self) -> Result<Output, DaysError> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        Ok(Output::Day { day: self.day, rows: self.writer.rows(), sealed: self.writer.finish()? })
    }
}
