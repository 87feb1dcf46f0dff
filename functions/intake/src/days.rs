//! Sorting any number of activities into days, and sealing each day as one file.

use std::{
    collections::BTreeMap,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use arrow::array::RecordBatch;
use parquet::errors::ParquetError;
use shared::{
    activity::SCHEMA,
    column::Columns,
    lake::{Entity, Sealed, parquet_file::Writer},
    time::LocalDay,
};

use crate::{
    keys::{Claims, Owners},
    placed::{Codec, Placed, Written},
    positions::Positions,
    sort::{Items, SortError, Sorted, Sorter},
    translate::Rejected,
};

/// Activities that become one batch of a file, and the bytes of text in them, whichever is reached first.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of activities that are sorted in memory at a time.
const SORTED_IN_MEMORY: usize = 32 * 1024 * 1024;

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
    /// The thread that writes files panicked.
    #[error("writing the days panicked")]
    Panicked,
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

/// Sorts what was `placed` and hands each day on as soon as it is sealed, with this footer. Blocks; run it beside the reader.
///
/// # Errors
/// If the temporary disk fails, or `emit` does.
pub fn seal_days(
    footer: &BTreeMap<String, String>,
    placed: impl Iterator<Item = Result<Placed, SortError>>,
    emit: impl Fn(Output) -> Result<(), DaysError> + Sync,
) -> Result<(), DaysError> {
    let codec = Codec::new()?;
    let (mut claims, mut sorter) = (Claims::new(), Sorter::new(SORTED_IN_MEMORY));
    for placed in placed {
        let placed = placed?;
        let keys = claims.add(&placed)?;
        codec.write(&placed, &keys, &mut sorter)?;
    }
    let (owners, positions) = claims.settle()?;
    emit(Output::Read { repeated: owners.repeated, positions })?;
    write_sorted(footer, &codec, sorter.sorted()?, owners, emit)
}

/// The file of a day that has no rows any more.
pub fn empty_day(footer: &BTreeMap<String, String>) -> Result<Sealed, ParquetError> {
    Writer::new(SCHEMA.clone(), footer)?.finish()
}

/// What the thread that merges tells the one that writes files.
enum Step {
    /// The next rows of a day.
    Rows(LocalDay, RecordBatch),
    /// No more rows of it come. If this is never said, merging failed, and the day is not to be sealed.
    DayIsOver,
}

/// Seals the days of what is sorted: rows are gathered for the next batch while the last one is compressed.
fn write_sorted(
    footer: &BTreeMap<String, String>,
    codec: &Codec,
    sorted: Sorted,
    owners: Owners,
    emit: impl Fn(Output) -> Result<(), DaysError> + Sync,
) -> Result<(), DaysError> {
    thread::scope(|scope| {
        let (to_writer, steps) = sync_channel(1);
        let writer = scope.spawn(|| write_days(footer, steps.into_iter(), &emit));
        let gathered = gather(codec, sorted, owners, &to_writer, &emit);
        drop(to_writer);
        // The writer went first, and knows why.
        writer.join().map_err(|_| DaysError::Panicked)??;
        gathered
    })
}

/// Makes batches of the rows that have their keys; no batch is of two days.
fn gather(
    codec: &Codec,
    mut sorted: Sorted,
    mut owners: Owners,
    to_writer: &SyncSender<Step>,
    emit: &impl Fn(Output) -> Result<(), DaysError>,
) -> Result<(), DaysError> {
    let send = |step| to_writer.send(step).map_err(|_| DaysError::Stopped);
    let mut current: Option<(LocalDay, Waiting)> = None;
    while let Some(item) = sorted.next()? {
        let Written { day, key, long, row } = codec.read(item)?;
        if owners.is_repeated(key) {
            let columns = codec.columns([row].into_iter())?;
            if !owners.admit(key, &columns, day).map_err(SortError::from)? {
                let text = |name| columns.text(name).map(|text| text.value(0).to_owned()).map_err(SortError::from);
                let (id, source_row) = (text("activity_id")?, text("source_row")?);
                let repeated = Rejected::repeated(Entity::Activities, "activity_id", id, source_row);
                emit(Output::Rejected(day, Box::new(repeated)))?;
                continue;
            }
        }
        if let Some((finished, mut waiting)) = current.take_if(|(open, _)| *open != day) {
            send(Step::Rows(finished, waiting.take(codec)?))?;
            send(Step::DayIsOver)?;
        }
        let (_, waiting) = current.get_or_insert_with(|| (day, Waiting::default()));
        if waiting.is_full() {
            send(Step::Rows(day, waiting.take(codec)?))?;
        }
        waiting.long += long;
        waiting.rows.push(row);
    }
    if let Some((last, mut waiting)) = current {
        send(Step::Rows(last, waiting.take(codec)?))?;
        send(Step::DayIsOver)?;
    }
    Ok(())
}

/// Rows that become a batch.
#[derive(Default)]
struct Waiting {
    rows: Items,
    long: usize,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.rows.len() == BATCH || self.long > BATCH_BYTES
    }

    fn take(&mut self, codec: &Codec) -> Result<RecordBatch, SortError> {
        let batch = codec.columns(self.rows.iter())?;
        self.rows.clear();
        self.long = 0;
        Ok(batch)
    }
}

/// Writes each day as one file.
fn write_days(
    footer: &BTreeMap<String, String>,
    steps: impl Iterator<Item = Step>,
    emit: &impl Fn(Output) -> Result<(), DaysError>,
) -> Result<(), DaysError> {
    let mut current: Option<(LocalDay, Writer)> = None;
    for step in steps {
        match step {
            Step::Rows(day, rows) => {
                let (_, writer) = match &mut current {
                    Some(open) => open,
                    None => current.insert((day, Writer::new(SCHEMA.clone(), footer)?)),
                };
                writer.write(&rows)?;
            }
            Step::DayIsOver => {
                if let Some((day, writer)) = current.take() {
                    emit(Output::Day { day, rows: writer.rows(), sealed: writer.finish()? })?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow::compute::concat_batches;
    use chrono::TimeDelta;
    use shared::{
        activity::{Activity, to_batch},
        lake::{LakeKey, Partition, parquet_file::Reader},
    };

    use super::*;
    use crate::placed::Placing;

    /// More than is held at once; some rows are as long as many others.
    fn many() -> Vec<(LocalDay, Activity<'static>)> {
        let of = |n: usize| {
            let scattered = n * 7_919 % 10_007;
            let day = format!("2026-03-{:02}", 1 + scattered % 3);
            let started = format!("{day}T08:00:00Z").parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            let started = started + TimeDelta::minutes((scattered % 50) as i64);
            let user = ["ada", "bo", "cy, whose id is longer than what is compared first"][n % 3];
            let mut activity = Activity::new(scattered.to_string(), user, "code", started, 60);
            activity.note = n.is_multiple_of(7).then(|| format!("of {n}").into());
            activity.rating = n.is_multiple_of(5).then_some(3);
            activity.source_row = "x".repeat(if n.is_multiple_of(100) { 400_000 } else { 3_000 }).into();
            (day.parse().unwrap(), activity)
        };
        (0..10_007).map(of).collect()
    }

    /// The rows of each day, as its file has them, and the keys of those that were refused.
    fn sealed(all: &[(LocalDay, Activity)]) -> (BTreeMap<LocalDay, RecordBatch>, Vec<String>) {
        let mut placing = Placing::default();
        let mut placed = Vec::new();
        for (day, activity) in all {
            if placing.put(*day, activity) {
                placed.push(placing.finish());
            }
        }
        placed.push(placing.finish());
        let out = Mutex::new(Vec::new());
        seal_days(&BTreeMap::new(), placed.into_iter(), |output| {
            out.lock().unwrap().push(output);
            Ok(())
        })
        .unwrap();
        let (mut days, mut refused) = (BTreeMap::new(), Vec::new());
        for output in out.into_inner().unwrap() {
            match output {
                Output::Read { .. } => assert!(days.is_empty()),
                Output::Rejected(_, rejected) => refused.push(rejected.key),
                Output::Day { day, rows, sealed } => {
                    let partition = Partition { day, generation: "20260302T000000Z".parse().unwrap() };
                    let key = LakeKey::Activities { partition, sha256: sealed.sha256 };
                    let batches = Reader::open(&key, sealed.reopen().unwrap()).unwrap().batches(None).unwrap();
                    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
                    let whole = concat_batches(&SCHEMA, &batches).unwrap();
                    assert_eq!(rows, whole.num_rows() as u64);
                    assert!(days.insert(day, whole).is_none(), "{day} came twice");
                }
            }
        }
        (days, refused)
    }

    #[test]
    fn each_day_has_its_rows_in_order_and_of_those_with_one_key_the_first() {
        let mut all = many();
        let mut expected = all.clone();
        // Two that come twice, one of them on another day.
        let (mut later, mut other) = (all[5].clone(), all[9].clone());
        later.1.source_row = "changed earlier".into();
        all[5].1.updated_at = Some("2026-04-01T00:00:00Z".parse().unwrap());
        expected[5] = all[5].clone();
        other.0 = "2026-03-31".parse().unwrap();
        all.insert(0, later.clone());
        all.push(other.clone());
        expected.sort_by(|(one_day, one), (other_day, other)| {
            let of_one = (one_day, &one.user_id, one.started_at, &one.activity_id);
            of_one.cmp(&(other_day, &other.user_id, other.started_at, &other.activity_id))
        });
        let (days, mut refused) = sealed(&all);
        refused.sort();
        let mut twice = [later.1.activity_id, other.1.activity_id];
        twice.sort();
        assert_eq!(refused, twice);
        assert_eq!(days.len(), 3);
        for (day, rows) in days {
            let of_day: Vec<Activity> =
                expected.iter().filter(|(of, _)| *of == day).map(|(_, activity)| activity.clone()).collect();
            assert!(rows == to_batch(&of_day).unwrap(), "{day}");
        }
        assert_eq!(sealed(&[]).0.len(), 0);
    }

    #[test]
    fn a_day_whose_rows_cannot_all_be_read_is_not_sealed() {
        let (codec, mut sorter, mut claims) = (Codec::new().unwrap(), Sorter::new(1 << 20), Claims::new());
        let mut placing = Placing::default();
        for day in ["2026-03-02", "2026-03-03"] {
            let started = format!("{day}T08:00:00Z").parse().unwrap();
            placing.put(day.parse().unwrap(), &Activity::new(day, "ada", "code", started, 60));
        }
        let placed = placing.finish().unwrap();
        codec.write(&placed, &claims.add(&placed).unwrap(), &mut sorter).unwrap();
        sorter.add(&[&[0xff; 3]]).unwrap();
        let owners = claims.settle().unwrap().0;
        let days = Mutex::new(Vec::new());
        let sealed = write_sorted(&BTreeMap::new(), &codec, sorter.sorted().unwrap(), owners, |output| {
            if let Output::Day { day, .. } = output {
                days.lock().unwrap().push(day.to_string());
            }
            Ok(())
        });
        assert!(matches!(sealed, Err(DaysError::Sort(_))), "{sealed:?}");
        assert_eq!(days.into_inner().unwrap(), ["2026-03-02"], "the second day may have had more rows");
    }
}
