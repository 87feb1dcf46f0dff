//! Activities in the order of the lake, however many there are. What does not fit into memory is sorted in parts, each of
//! which is spilled to the temporary disk as an Arrow IPC stream; then the parts are merged.
//!
//! Rows stay columns from there on: nothing is decoded into activities again.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut},
    fs::File,
    io::{BufReader, BufWriter, Seek},
    rc::Rc,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{Array, ArrayRef, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::interleave_record_batch,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use chrono::{NaiveDate, TimeDelta};
use shared::{
    activity::{Activity, SCHEMA, to_batch},
    column::{Columns, NoSuchColumn},
    time::LocalDay,
};

use crate::{
    days::{Placed, weight},
    sort::SortError,
};

/// Bytes that are sorted in memory at a time; rows differ in size by orders of magnitude.
const HELD_BYTES: usize = 32 * 1024 * 1024;
/// Rows that are read of a part at a time while the parts are merged, and the bytes of them, whichever is reached first.
const READ_ROWS: usize = 512;
const READ_BYTES: usize = 64 * 1024;

const DAY: &str = "day";

/// An activity's columns, and the day that it was placed on.
static SPILLED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let day = Arc::new(Field::new(DAY, DataType::Date32, false));
    Arc::new(Schema::new(SCHEMA.fields().iter().cloned().chain([day]).collect::<Vec<_>>()))
});

impl From<ArrowError> for SortError {
    fn from(error: ArrowError) -> Self {
        Self::new(error)
    }
}

impl From<NoSuchColumn> for SortError {
    fn from(error: NoSuchColumn) -> Self {
        Self::new(error)
    }
}

/// Takes activities in.
#[derive(Default)]
pub struct Spill {
    held: Vec<Placed>,
    held_bytes: usize,
    parts: Vec<File>,
}

impl Spill {
    /// Takes one.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn add(&mut self, placed: Placed) -> Result<(), SortError> {
        self.held_bytes += weight(&placed.activity);
        self.held.push(placed);
        if self.held_bytes < HELD_BYTES { Ok(()) } else { self.spill() }
    }

    fn spill(&mut self) -> Result<(), SortError> {
        let file = BufWriter::new(tempfile::tempfile().map_err(SortError::new)?);
        let mut writer = StreamWriter::try_new(file, &SPILLED)?;
        for batch in batches(std::mem::take(&mut self.held)) {
            writer.write(&batch?)?;
        }
        self.held_bytes = 0;
        let mut file = writer.into_inner()?.into_inner().map_err(SortError::new)?;
        file.rewind().map_err(SortError::new)?;
        self.parts.push(file);
        Ok(())
    }

    /// All of them, in order.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn merge(self) -> Result<Merge, SortError> {
        let mut sources: Vec<Source> = Vec::new();
        for part in self.parts {
            let reader = StreamReader::try_new(BufReader::new(part), None)?;
            sources.push(Box::new(reader.map(|batch| Ok(batch?))));
        }
        sources.push(Box::new(batches(self.held)));
        let mut merge = Merge { sources, heads: BinaryHeap::new(), batches: Vec::new() };
        (0..merge.sources.len()).try_for_each(|source| merge.open(source))?;
        Ok(merge)
    }
}

/// Some activities, sorted and as batches.
fn batches(mut held: Vec<Placed>) -> impl Iterator<Item = Result<RecordBatch, SortError>> {
    held.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
    let mut held = held.into_iter().peekable();
    std::iter::from_fn(move || {
        held.peek()?;
        let (mut days, mut rows, mut bytes) = (Vec::new(), Vec::new(), 0);
        while rows.len() < READ_ROWS && bytes < READ_BYTES {
            let Some(Placed { day, activity }) = held.next() else { break };
            bytes += weight(&activity);
            days.push(day.0.signed_duration_since(NaiveDate::default()).num_days() as i32);
            rows.push(*activity);
        }
        let batch = to_batch(&rows).and_then(|batch| {
            let day: ArrayRef = Arc::new(Date32Array::from(days));
            RecordBatch::try_new(SPILLED.clone(), batch.columns().iter().cloned().chain([day]).collect())
        });
        Some(batch.map_err(SortError::from))
    })
}

type Source = Box<dyn Iterator<Item = Result<RecordBatch, SortError>>>;

/// Some rows in order, and the columns that are looked at before they are gathered.
struct Batch {
    rows: RecordBatch,
    day: Date32Array,
    user: StringArray,
    started: TimestampMicrosecondArray,
    key: StringArray,
    source_row: StringArray,
    note: StringArray,
}

impl Batch {
    fn of(rows: RecordBatch) -> Result<Self, SortError> {
        let day = rows.column_by_name(DAY).and_then(|day| day.as_any().downcast_ref::<Date32Array>());
        Ok(Self {
            day: day.ok_or_else(|| SortError::new("a part has no days"))?.clone(),
            user: rows.text("user_id")?.clone(),
            started: rows.instant("started_at")?.clone(),
            key: rows.text("activity_id")?.clone(),
            source_row: rows.text("source_row")?.clone(),
            note: rows.text("note")?.clone(),
            rows: RecordBatch::try_new(SCHEMA.clone(), rows.columns()[..SCHEMA.fields().len()].to_vec())?,
        })
    }

    fn order(&self, row: usize) -> (i32, &str, i64, &str) {
        (self.day.value(row), self.user.value(row), self.started.value(row), self.key.value(row))
    }
}

/// The next row of a source.
struct Head {
    source: usize,
    row: usize,
    batch: Rc<Batch>,
    /// Where the batch is among those of the merge.
    place: usize,
}

/// The least is the greatest to a heap.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = other.batch.order(other.row).cmp(&self.batch.order(self.row));
        order.then_with(|| other.source.cmp(&self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

/// Which row of which batch a row is that was given, until rows are gathered.
pub type Place = (usize, usize);

/// What is looked at of a row before it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The day that it was placed on.
    pub day: LocalDay,
    /// Its key.
    pub activity_id: &'a str,
    /// The whole source record.
    pub source_row: &'a str,
    /// About how many bytes of memory it takes.
    pub weight: usize,
}

/// Activities in order, given one by one, and gathered by the thousand.
pub struct Merge {
    sources: Vec<Source>,
    heads: BinaryHeap<Head>,
    /// Those that the heads are in, and those that rows were given of since rows were gathered last.
    batches: Vec<Rc<Batch>>,
}

impl Merge {
    /// What is known of the next row, if there is one.
    pub fn peek(&self) -> Option<Seen<'_>> {
        let Head { row, batch, .. } = self.heads.peek()?;
        let source_row = batch.source_row.value(*row);
        let note = if batch.note.is_valid(*row) { batch.note.value_length(*row) } else { 0 };
        Some(Seen {
            day: LocalDay(NaiveDate::default() + TimeDelta::days(batch.day.value(*row).into())),
            activity_id: batch.key.value(*row),
            source_row,
            weight: size_of::<Activity>() + source_row.len() + usize::try_from(note).unwrap_or_default(),
        })
    }

    /// Gives the next row.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn next(&mut self) -> Result<Option<Place>, SortError> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let given = (head.place, head.row);
        if head.row + 1 < head.batch.rows.num_rows() {
            head.row += 1;
        } else {
            let source = PeekMut::pop(head).source;
            self.open(source)?;
        }
        Ok(Some(given))
    }

    /// Reads the next batch of a source, if there is one.
    fn open(&mut self, source: usize) -> Result<(), SortError> {
        if let Some(rows) = self.sources.get_mut(source).and_then(Iterator::next) {
            let batch = Rc::new(Batch::of(rows?)?);
            self.heads.push(Head { source, row: 0, batch: Rc::clone(&batch), place: self.batches.len() });
            self.batches.push(batch);
        }
        Ok(())
    }

    /// The rows that were given and are wanted, as one batch. No other row that was given is there any more.
    ///
    /// # Errors
    /// If a batch cannot be that large.
    pub fn gather(&mut self, wanted: &mut Vec<Place>) -> Result<RecordBatch, SortError> {
        let batches: Vec<&RecordBatch> = self.batches.iter().map(|batch| &batch.rows).collect();
        let gathered = interleave_record_batch(&batches, wanted)?;
        wanted.clear();
        self.forget_all_but(wanted);
        Ok(gathered)
    }

    /// Drops what was read and is neither wanted nor still to be given.
    pub fn forget_all_but(&mut self, wanted: &mut [Place]) {
        let read = std::mem::take(&mut self.batches);
        let mut kept: HashMap<usize, usize> = HashMap::new();
        let mut keep = |place: &mut usize| {
            *place = *kept.entry(*place).or_insert_with_key(|place| {
                self.batches.extend(read.get(*place).cloned());
                self.batches.len() - 1
            });
        };
        wanted.iter_mut().for_each(|(batch, _)| keep(batch));
        let mut heads = std::mem::take(&mut self.heads).into_vec();
        heads.iter_mut().for_each(|head| keep(&mut head.place));
        self.heads = heads.into();
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use chrono::{DateTime, Utc};

    use super::*;

    fn placed(day: u32, user: &str, minute: i64, key: usize, row: usize) -> Placed {
        let started = format!("2026-03-{day:02}T08:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let mut activity = Activity::new(key.to_string(), user, "code", started + TimeDelta::minutes(minute), 60);
        activity.source_row = "x".repeat(row);
        Placed { day: started.date_naive().to_string().parse().unwrap(), activity: Box::new(activity) }
    }

    /// More than is held at once, in parts that overlap.
    fn many() -> Vec<Placed> {
        let of = |n: usize| {
            let scattered = n * 7919 % 10_007;
            let row = if n.is_multiple_of(100) { 400_000 } else { 4_000 };
            placed(1 + (scattered % 3) as u32, ["ada", "bo", "cy"][n % 3], (scattered % 50) as i64, scattered, row)
        };
        (0..10_007).map(of).collect()
    }

    #[test]
    fn what_comes_out_is_what_went_in_in_the_order_of_the_lake_with_parts_on_disk_or_without() {
        for (count, parts) in [(0, 0), (1, 0), (5_000, 1), (10_007, 2)] {
            let mut spill = Spill::default();
            let mut expected: Vec<Placed> = many().into_iter().take(count).collect();
            expected.iter().for_each(|placed| spill.add(placed.clone()).unwrap());
            assert_eq!(spill.parts.len(), parts, "{count}");
            expected.sort_by(|a, b| a.order().cmp(&b.order()));
            let mut merge = spill.merge().unwrap();
            let mut forgotten = 0;
            let (mut wanted, mut rows, mut days) = (Vec::new(), Vec::new(), Vec::new());
            let mut gathered = |merge: &mut Merge, wanted: &mut Vec<Place>| {
                rows.push(merge.gather(wanted).unwrap());
            };
            while let Some(seen) = merge.peek() {
                // Whole batches are not wanted.
                let is_wanted = expected[days.len()].activity.user_id != "bo";
                assert_eq!(seen.activity_id, expected[days.len()].activity.activity_id);
                days.push(seen.day);
                if wanted.len() == 700 {
                    gathered(&mut merge, &mut wanted);
                }
                let place = merge.next().unwrap().unwrap();
                wanted.extend(is_wanted.then_some(place));
                if days.len().is_multiple_of(300) {
                    let read = merge.batches.len();
                    merge.forget_all_but(&mut wanted);
                    forgotten += read - merge.batches.len();
                }
            }
            if !wanted.is_empty() {
                gathered(&mut merge, &mut wanted);
            }
            assert_eq!(days, expected.iter().map(|placed| placed.day).collect::<Vec<_>>());
            expected.retain(|placed| placed.activity.user_id != "bo");
            let expected: Vec<Activity> = expected.into_iter().map(|placed| *placed.activity).collect();
            let whole = concat_batches(&SCHEMA, &rows).unwrap();
            assert_eq!(whole, to_batch(&expected).unwrap(), "{count}");
            assert_eq!(forgotten > 0, count > 1_000, "{count}");
        }
    }
}
