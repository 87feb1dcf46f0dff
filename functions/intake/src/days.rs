//! Sorting any number of activities into days, and sealing each day as one file. Memory is bounded: what does not fit
//! is sorted on disk.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, Utc};
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use shared::{
    activity::{Activity, SCHEMA, to_batch},
    lake::{Entity, Sealed, parquet_file::Writer},
    time::LocalDay,
};

use crate::{
    keys::Claims,
    positions::Positions,
    sort::{SortError, Weighed, sorted},
    translate::Rejected,
};

/// Activities that become one batch of a file, and the bytes of text in them, whichever is reached first.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The days could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaysError {
    /// The temporary disk.
    #[error(transparent)]
    Sort(#[from] SortError),
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

impl Weighed for Placed {
    fn weight(&self) -> usize {
        weight(&self.activity)
    }
}

/// What comes out: first that everything is read, then the days, in their order.
pub enum Output {
    /// No more activities come, and nothing is sealed yet.
    Read {
        /// Activities whose key another one has.
        repeated: u64,
        /// On which day each key is.
        positions: Positions,
    },
    /// A day, sealed.
    Day {
        /// Which.
        day: LocalDay,
        /// Its rows.
        rows: u64,
        /// Its file.
        sealed: Sealed,
    },
    /// An activity whose key another one has.
    Rejected(LocalDay, Box<Rejected>),
}

/// Sorts `activities` and hands each day on as soon as it is sealed, with this footer. Blocks; run it beside the reader.
pub fn seal_days(
    footer: &BTreeMap<String, String>,
    activities: impl Iterator<Item = Placed>,
    mut emit: impl FnMut(Output) -> Result<(), DaysError>,
) -> Result<(), DaysError> {
    let mut claims = Claims::new().map_err(SortError::new)?;
    let mut unclaimed: Option<io::Error> = None;
    let claiming = activities.map_while(|placed| match claims.add(&placed) {
        Ok(()) => Some(placed),
        Err(error) => {
            unclaimed = Some(error);
            None
        }
    });
    let sorted = sorted(claiming, |a: &Placed, b: &Placed| a.order().cmp(&b.order()))?;
    if let Some(error) = unclaimed {
        return Err(SortError::new(error).into());
    }
    let (mut owners, positions) = claims.settle()?;
    emit(Output::Read { repeated: owners.repeated, positions })?;
    let mut current: Option<OpenDay> = None;
    for placed in sorted {
        let placed = placed?;
        if !owners.admit(&placed) {
            let (day, Activity { activity_id, source_row, .. }) = (placed.day, *placed.activity);
            let repeated = Rejected::repeated(Entity::Activities, "activity_id", activity_id, source_row);
            emit(Output::Rejected(day, Box::new(repeated)))?;
            continue;
        }
        let mut open = match current.take() {
            Some(open) if open.day == placed.day => open,
            other => {
                if let Some(finished) = other {
                    emit(finished.seal()?)?;
                }
                OpenDay::new(footer, placed.day)?
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
pub fn empty_day(footer: &BTreeMap<String, String>) -> Result<Sealed, ParquetError> {
    Writer::new(SCHEMA.clone(), footer)?.finish()
}

/// About how many bytes of memory an activity takes.
fn weight(activity: &Activity) -> usize {
    size_of::<Activity>() + activity.source_row.len() + activity.note.as_ref().map_or(0, String::len)
}

struct OpenDay {
    day: LocalDay,
    writer: Writer,
    batch: Vec<Activity>,
    batch_bytes: usize,
}

impl OpenDay {
    fn new(footer: &BTreeMap<String, String>, day: LocalDay) -> Result<Self, ParquetError> {
        let writer = Writer::new(SCHEMA.clone(), footer)?;
        Ok(Self { day, writer, batch: Vec::new(), batch_bytes: 0 })
    }

    fn push(&mut self, activity: Activity) -> Result<(), ParquetError> {
        self.batch_bytes += weight(&activity);
        self.batch.push(activity);
        if self.batch.len() == BATCH || self.batch_bytes > BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        self.writer.write(&to_batch(&self.batch)?)?;
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }

    fn seal(mut self) -> Result<Output, DaysError> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        Ok(Output::Day { day: self.day, rows: self.writer.rows(), sealed: self.writer.finish()? })
    }
}
