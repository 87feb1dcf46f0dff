//! Sorting any number of activities into days, and sealing each day as one file.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use parquet::errors::ParquetError;
use shared::{
    activity::{Activity, SCHEMA},
    lake::{Entity, Sealed, parquet_file::Writer},
    time::LocalDay,
};

use crate::{
    keys::Claims,
    positions::Positions,
    sort::SortError,
    spill::{Merge, Place, Spill},
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
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Its local day.
    pub day: LocalDay,
    /// The activity.
    pub activity: Box<Activity>,
}

impl Placed {
    /// The order of the lake: by day, then as files are sorted.
    pub(crate) fn order(&self) -> (LocalDay, &str, DateTime<Utc>, &str) {
        let Activity { user_id, started_at, activity_id, .. } = &*self.activity;
        (self.day, user_id, *started_at, activity_id)
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
    let mut spill = Spill::default();
    for placed in activities {
        claims.add(&placed).map_err(SortError::new)?;
        spill.add(placed)?;
    }
    let (mut owners, positions) = claims.settle()?;
    emit(Output::Read { repeated: owners.repeated, positions })?;
    let mut merge = spill.merge()?;
    let mut current: Option<OpenDay> = None;
    let mut refused = 0_usize;
    while let Some(seen) = merge.peek() {
        if !owners.admit(seen.activity_id, seen.source_row) {
            let (id, row) = (seen.activity_id.to_owned(), seen.source_row.to_owned());
            let repeated = Rejected::repeated(Entity::Activities, "activity_id", id, row);
            emit(Output::Rejected(seen.day, Box::new(repeated)))?;
            merge.next()?;
            refused += 1;
            if refused.is_multiple_of(BATCH) {
                merge.forget_all_but(current.as_mut().map_or(&mut [], |open| &mut open.batch));
            }
            continue;
        }
        let (day, weight) = (seen.day, seen.weight);
        if let Some(finished) = current.take_if(|open| open.day != day) {
            emit(finished.seal(&mut merge)?)?;
        }
        let open = match &mut current {
            Some(open) => open,
            None => current.insert(OpenDay::new(footer, day)?),
        };
        open.push(weight, &mut merge)?;
    }
    match current {
        Some(open) => emit(open.seal(&mut merge)?),
        None => Ok(()),
    }
}

/// The file of a day that has no rows any more.
pub fn empty_day(footer: &BTreeMap<String, String>) -> Result<Sealed, ParquetError> {
    Writer::new(SCHEMA.clone(), footer)?.finish()
}

/// About how many bytes of memory an activity takes.
pub fn weight(activity: &Activity) -> usize {
    size_of::<Activity>() + activity.source_row.len() + activity.note.as_ref().map_or(0, String::len)
}

/// A day being written.
struct OpenDay {
    day: LocalDay,
    writer: Writer,
    batch: Vec<Place>,
    batch_bytes: usize,
}

impl OpenDay {
    fn new(footer: &BTreeMap<String, String>, day: LocalDay) -> Result<Self, ParquetError> {
        let writer = Writer::new(SCHEMA.clone(), footer)?;
        Ok(Self { day, writer, batch: Vec::new(), batch_bytes: 0 })
    }

    /// Takes the next row.
    fn push(&mut self, weight: usize, merge: &mut Merge) -> Result<(), DaysError> {
        self.batch_bytes += weight;
        self.batch.extend(merge.next()?);
        if self.batch.len() == BATCH || self.batch_bytes > BATCH_BYTES { self.flush(merge) } else { Ok(()) }
    }

    fn flush(&mut self, merge: &mut Merge) -> Result<(), DaysError> {
        self.writer.write(&merge.gather(&mut self.batch)?)?;
        self.batch_bytes = 0;
        Ok(())
    }

    fn seal(mut self, merge: &mut Merge) -> Result<Output, DaysError> {
        if !self.batch.is_empty() {
            self.flush(merge)?;
        }
        Ok(Output::Day { day: self.day, rows: self.writer.rows(), sealed: self.writer.finish()? })
    }
}
