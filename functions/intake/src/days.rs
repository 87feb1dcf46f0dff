//! Sorting any number of activities into days, and sealing each day as one file.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use arrow::array::RecordBatch;
use parquet::errors::ParquetError;
use shared::{
    activity::{Activity, ActivityBuilder, SCHEMA},
    lake::{Entity, Sealed, parquet_file::Writer},
    time::LocalDay,
};

use crate::{
    keys::{Claims, Owners},
    placed::{Placed, Written},
    positions::Positions,
    sort::{SortError, Sorted, Sorter},
    source::{JsonNames, Record},
    translate::{ActivityTranslator, Rejected},
};

/// Activities that become one batch of a file, and the bytes of text in them, whichever is reached first.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of activities that are sorted in memory at a time.
const SORTED_IN_MEMORY: usize = 16 * 1024 * 1024;
/// How long the JSON of a record is, as a rule, at most.
const USUAL_JSON: usize = 64 * 1024;

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
    /// A thread beside the one that makes the days panicked.
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

/// Sorts what was `placed`, which is `used` then, and hands each day on as soon as it is sealed, with this footer. What was placed
/// as a record is restored when its day is written. Blocks; run it beside the reader.
///
/// # Errors
/// If the temporary disk fails, or `emit` does.
pub fn seal_days(
    footer: &BTreeMap<String, String>,
    placed: impl Iterator<Item = Placed>,
    used: impl Fn(Placed),
    translator: &ActivityTranslator<'_>,
    emit: impl Fn(Output) -> Result<(), DaysError> + Sync,
) -> Result<(), DaysError> {
    let (mut claims, mut sorter, mut columns) = (Claims::default(), Sorter::new(SORTED_IN_MEMORY), None);
    for placed in placed {
        placed.keys.iter().zip(&placed.places).try_for_each(|(key, place)| claims.add(key, place))?;
        placed.rows.iter().try_for_each(|row| sorter.add(row))?;
        columns = columns.or_else(|| placed.columns.clone());
        used(placed);
    }
    write_sorted(footer, &columns.unwrap_or_default(), translator, sorter, claims, emit)
}

/// The file of a day that has no rows any more.
pub fn empty_day(footer: &BTreeMap<String, String>) -> Result<Sealed, ParquetError> {
    Writer::new(SCHEMA.clone(), footer)?.finish()
}

/// What the thread that makes columns tells the one that writes files.
enum Step {
    /// The next rows of a day.
    Rows(LocalDay, RecordBatch),
    /// No more rows of it come. If this is never said, something failed, and the day is not to be sealed.
    DayIsOver,
}

/// Seals the days of what is placed, records of these columns among it: the next rows become columns of a file while the last ones
/// are compressed.
fn write_sorted(
    footer: &BTreeMap<String, String>,
    columns: &Arc<[String]>,
    translator: &ActivityTranslator<'_>,
    sorter: Sorter,
    claims: Claims,
    emit: impl Fn(Output) -> Result<(), DaysError> + Sync,
) -> Result<(), DaysError> {
    thread::scope(|scope| {
        let settling = scope.spawn(|| claims.settle());
        let sorted = sorter.sorted()?;
        let (owners, positions) = settling.join().map_err(|_| DaysError::Panicked)??;
        emit(Output::Read { repeated: owners.repeated, positions })?;
        let ((to_writer, steps), emit) = (sync_channel(1), &emit);
        let writer = scope.spawn(move || write_days(footer, steps.into_iter(), emit));
        let batches = Batches { owners, to_writer, emit, day: None, waiting: Waiting::default() };
        let gathered = gather(translator, sorted, columns, batches);
        let written = writer.join().map_err(|_| DaysError::Panicked)?;
        match gathered {
            // Whoever was stopped by another does not know why.
            Err(DaysError::Stopped) => written.and(Err(DaysError::Stopped)),
            gathered => gathered.and(written),
        }
    })
}

/// Makes batches of the activities that have their keys.
fn gather(
    translator: &ActivityTranslator<'_>,
    mut sorted: Sorted,
    columns: &Arc<[String]>,
    mut batches: Batches<'_, impl Fn(Output) -> Result<(), DaysError>>,
) -> Result<(), DaysError> {
    let (mut record, names, mut json) = (Record::new(columns.clone()), JsonNames::of(columns), Vec::new());
    while let Some(row) = sorted.next()? {
        match Written::read(row, &mut record)? {
            (day, Written::Activity(activity)) => batches.put(day, &activity)?,
            (day, Written::Record(found)) => {
                json.clear();
                // What was unusually long is not kept for ever.
                json.shrink_to(USUAL_JSON);
                record.write_json(&names, &mut json);
                let source_row = str::from_utf8(&json).map_err(SortError::new)?.into();
                let Some(activity) = translator.restore(&record, day, &found) else {
                    // The same rules read the same record.
                    return Err(SortError::new("a record reads otherwise than before; please report it").into());
                };
                batches.put(day, &Activity { source_row, ..activity })?;
            }
        }
    }
    batches.end_day()
}

/// Batches on their way to the thread that writes files; none is of two days.
struct Batches<'a, E> {
    owners: Owners,
    to_writer: SyncSender<Step>,
    emit: &'a E,
    /// The day that rows come of.
    day: Option<LocalDay>,
    waiting: Waiting,
}

impl<E: Fn(Output) -> Result<(), DaysError>> Batches<'_, E> {
    fn put(&mut self, day: LocalDay, activity: &Activity<'_>) -> Result<(), DaysError> {
        if !self.owners.admit(day, activity) {
            let (id, source_row) = (activity.activity_id.to_string(), activity.source_row.to_string());
            let repeated = Rejected::repeated(Entity::Activities, "activity_id", id, source_row);
            return (self.emit)(Output::Rejected(day, Box::new(repeated)));
        }
        if self.day != Some(day) {
            self.end_day()?;
            self.day = Some(day);
        }
        if self.waiting.is_full() {
            self.hand_on(day)?;
        }
        self.waiting.put(activity);
        Ok(())
    }

    fn hand_on(&mut self, day: LocalDay) -> Result<(), DaysError> {
        let rows = Step::Rows(day, self.waiting.take()?);
        self.to_writer.send(rows).map_err(|_| DaysError::Stopped)
    }

    /// No more rows come of the day.
    fn end_day(&mut self) -> Result<(), DaysError> {
        let Some(day) = self.day.take() else { return Ok(()) };
        self.hand_on(day)?;
        self.to_writer.send(Step::DayIsOver).map_err(|_| DaysError::Stopped)
    }
}

/// Rows that become a batch.
#[derive(Default)]
struct Waiting {
    rows: ActivityBuilder,
    /// Bytes of the texts that may be long.
    long: usize,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.rows.len() == BATCH || self.long > BATCH_BYTES
    }

    fn put(&mut self, activity: &Activity<'_>) {
        let Activity { source_row, note, stereotype_name, claimed_category, .. } = activity;
        let texts = [note, stereotype_name, claimed_category].into_iter().flatten();
        self.long += source_row.len() + texts.map(|text| text.len()).sum::<usize>();
        self.rows.append(activity);
    }

    fn take(&mut self) -> Result<RecordBatch, SortError> {
        self.long = 0;
        Ok(self.rows.finish()?)
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
    use crate::{
        mapping::Mapping,
        source::{Cell, Record},
        translate::{Dimensions, Rules, Translated},
    };

    fn rules() -> Rules {
        let mapping = "[source]\nname = \"x\"\n[activities]\nselect = \"SELECT * FROM a\"\n[activities.columns]\n\
            activity_id = \"id\"\nuser_id = \"who\"\nstereotype_code = \"what\"\nnote = \"note\"\n\
            started_at = { column = \"start\", format = \"rfc3339\" }\n\
            duration_seconds = { column = \"took\", unit = \"seconds\" }";
        let mapping = Arc::new(Mapping::parse("x.toml", mapping).unwrap());
        let dimensions = Arc::new(Dimensions::new(BTreeMap::new()));
        Rules { mapping, dimensions, organisation: chrono_tz::Tz::UTC }
    }

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
        let mut placed = vec![Placed::default()];
        for (day, activity) in all {
            let last = placed.last_mut().unwrap();
            if last.put(*day, activity, None).unwrap() {
                let full = last.take(None);
                placed.insert(0, full);
            }
        }
        sealed_of(placed)
    }

    fn sealed_of(placed: Vec<Placed>) -> (BTreeMap<LocalDay, RecordBatch>, Vec<String>) {
        let out = Mutex::new(Vec::new());
        seal_days(&BTreeMap::new(), placed.into_iter(), drop, &rules().activities().unwrap(), |output| {
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
    fn what_was_placed_as_a_record_is_the_activity_that_the_record_says_whatever_its_columns_are() {
        let columns = |names: [&str; 6]| -> Arc<[String]> { names.map(str::to_owned).into() };
        let usual = columns(["id", "who", "what", "start", "took", "note"]);
        let other = columns(["id", "who", "what", "start", "took", "remark"]);
        let record = |n: i64| {
            let mut record = Record::new(if n % 3 == 0 { other.clone() } else { usual.clone() });
            let (note, start) = (format!("é{n}").repeat(1_000), format!("2026-03-{:02}T08:00:00Z", 2 + n % 2));
            for cell in [Cell::Integer(n), Cell::Text("ada"), Cell::Text("code"), Cell::Text(&start), Cell::Real(60.4)]
            {
                record.push(cell);
            }
            record.push(if n % 5 == 0 { Cell::Bytes(&[0xff, 0]) } else { Cell::Text(&note) });
            record
        };
        let rules = rules();
        let translator = rules.activities().unwrap();
        let (mut placed, mut expected) = (Placed::default(), Vec::new());
        let records: Vec<Record> = (0..2_000).map(record).collect();
        for record in &records {
            let Translated::Activity(day, activity, found) = translator.place(record) else {
                assert!(record.get("note").kind().starts_with("bytes"));
                continue;
            };
            placed.put_record(day, &activity, &found, record).unwrap();
            let Translated::Activity(_, activity, _) = translator.translate(record) else { panic!("it landed") };
            expected.push((day, activity));
        }
        assert_eq!(expected.len(), 1_734, "of those that have a note, a fifth is refused");
        assert_eq!(sealed_of(vec![placed]), sealed(&expected));
    }

    #[test]
    fn every_text_that_may_be_long_counts_towards_a_batch() {
        let long = "x".repeat(BATCH_BYTES + 1);
        let full = |of: fn(&mut Activity<'static>, String)| {
            let start = "2026-03-02T08:00:00Z".parse().unwrap();
            let (mut waiting, mut activity) = (Waiting::default(), Activity::new("1", "ada", "code", start, 60));
            waiting.put(&activity);
            assert!(!waiting.is_full());
            of(&mut activity, long.clone());
            waiting.put(&activity);
            waiting.is_full()
        };
        assert!(full(|activity, long| activity.source_row = long.into()));
        assert!(full(|activity, long| activity.note = Some(long.into())));
        assert!(full(|activity, long| activity.stereotype_name = Some(long.into())));
        assert!(full(|activity, long| activity.claimed_category = Some(long.into())));
    }

    #[test]
    fn a_day_whose_rows_cannot_all_be_read_is_not_sealed() {
        let (mut placed, mut sorter) = (Placed::default(), Sorter::new(1 << 20));
        for (day, rows) in [("2026-03-02", 2), ("2026-03-03", BATCH + 1)] {
            let started = format!("{day}T08:00:00Z").parse().unwrap();
            for n in 0..rows {
                let activity = Activity::new(format!("{day} {n}"), "ada", "code", started, 60);
                placed.put(day.parse().unwrap(), &activity, None).unwrap();
            }
        }
        placed.rows.iter().for_each(|row| sorter.add(row).unwrap());
        sorter.add(&[0xff; 3]).unwrap();
        let days = Mutex::new(Vec::new());
        let rules = rules();
        let translator = rules.activities().unwrap();
        let sealed = write_sorted(&BTreeMap::new(), &[].into(), &translator, sorter, Claims::default(), |output| {
            if let Output::Day { day, .. } = output {
                days.lock().unwrap().push(day.to_string());
            }
            Ok(())
        });
        assert!(matches!(sealed, Err(DaysError::Sort(_))), "{sealed:?}");
        assert_eq!(days.into_inner().unwrap(), ["2026-03-02"], "the second day may have had more rows");
    }
}
