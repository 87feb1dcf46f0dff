//! Sorting any number of activities into days, and sealing each day as one file. Memory is bounded: what does not fit
//! is sorted on disk.

use std::{collections::HashSet, io};

use chrono::{DateTime, Utc};
use ext_sort::{ChunkBuffer, ChunkBufferBuilder, ExternalSorter, ExternalSorterBuilder};
use parquet::errors::ParquetError;
use rayon::slice::ParallelSliceMut;
use serde::{Deserialize, Serialize};
use shared::{
    activity::{Activity, SCHEMA, to_batch},
    lake::{Entity, Sealed, Sha256, parquet_file::Writer},
    time::LocalDay,
};

use crate::{provenance, translate::Rejected};

/// Bytes of activities that are sorted in memory at a time; rows differ in size by orders of magnitude.
const SORTED_IN_MEMORY: usize = 32 * 1024 * 1024;
/// Activities that become one batch of a file, and the bytes of text in them, whichever is reached first.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

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
    let sorter: ExternalSorter<Placed, io::Error, Bounded> = ExternalSorterBuilder::new()
        .with_buffer(Bounded)
        // One thread: a function has hardly more, and the reader needs one too.
        .with_threads_number(1)
        .build()
        .map_err(|error| sort(&error))?;
    let sorted = sorter.sort_by(activities.map(Ok), |a: &Placed, b: &Placed| a.order().cmp(&b.order()));
    let mut current: Option<OpenDay> = None;
    for placed in sorted.map_err(|error| sort(&error))? {
        let placed = placed.map_err(|error| sort(&error))?;
        let mut open = match current.take() {
            Some(open) if open.day == placed.day => open,
            other => {
                if let Some(finished) = other {
                    emit(finished.seal()?)?;
                }
                OpenDay::new(source, placed.day)?
            }
        };
        if open.ids.insert(short_digest(&placed.activity.activity_id)) {
            open.push(*placed.activity)?;
        } else {
            let Activity { activity_id, source_row, .. } = *placed.activity;
            let twice = Rejected::twice(Entity::Activities, "activity_id", activity_id, source_row);
            emit(Output::Rejected(Box::new(twice)))?;
        }
        current = Some(open);
    }
    match current {
        Some(open) => emit(open.seal()?),
        None => Ok(()),
    }
}

/// The file of a day that has no rows any more.
pub fn empty_day(source: &str) -> Result<Sealed, ParquetError> {
    Writer::new(SCHEMA.clone(), &provenance(source))?.finish()
}

/// About how many bytes of memory an activity takes.
fn weight(activity: &Activity) -> usize {
    size_of::<Activity>() + activity.source_row.len() + activity.note.as_ref().map_or(0, String::len)
}

/// Makes buffers of the sorter that are full after [`SORTED_IN_MEMORY`] bytes.
#[derive(Default)]
struct Bounded;

impl ChunkBufferBuilder<Placed> for Bounded {
    type Buffer = BoundedBuffer;

    fn build(&self) -> BoundedBuffer {
        BoundedBuffer { placed: Vec::new(), bytes: 0 }
    }
}

struct BoundedBuffer {
    placed: Vec<Placed>,
    bytes: usize,
}

impl ChunkBuffer<Placed> for BoundedBuffer {
    fn push(&mut self, placed: Placed) {
        self.bytes += weight(&placed.activity);
        self.placed.push(placed);
    }

    fn len(&self) -> usize {
        self.placed.len()
    }

    fn is_full(&self) -> bool {
        self.bytes >= SORTED_IN_MEMORY
    }
}

impl IntoIterator for BoundedBuffer {
    type Item = Placed;
    type IntoIter = std::vec::IntoIter<Placed>;

    fn into_iter(self) -> Self::IntoIter {
        self.placed.into_iter()
    }
}

impl ParallelSliceMut<Placed> for BoundedBuffer {
    fn as_parallel_slice_mut(&mut self) -> &mut [Placed] {
        &mut self.placed
    }
}

/// Half a SHA-256: enough to tell any number of ids apart, in 16 bytes each however long they are.
fn short_digest(id: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::of(id).bytes()[..16]);
    short
}

struct OpenDay {
    day: LocalDay,
    writer: Writer,
    ids: HashSet<[u8; 16]>,
    batch: Vec<Activity>,
    batch_bytes: usize,
}

impl OpenDay {
    fn new(source: &str, day: LocalDay) -> Result<Self, ParquetError> {
        let writer = Writer::new(SCHEMA.clone(), &provenance(source))?;
        Ok(Self { day, writer, ids: HashSet::new(), batch: Vec::new(), batch_bytes: 0 })
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
