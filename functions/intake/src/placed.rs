//! Activities that were placed on days, as byte strings whose order is that of the lake.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use shared::{activity::Activity, time::LocalDay};

use crate::{
    found::Found,
    keys::{Place, in_order, place},
    sort::{Items, SortError},
    source::{Record, Values},
};

/// Activities that are handed on at a time, and the bytes of them, whichever is reached first.
const ROWS: usize = 512;
const BYTES: usize = 256 * 1024;

/// Some activities, and what claims to their keys are made of.
#[derive(Default)]
pub struct Placed {
    /// What [`Written::read`] reads: ordered by day, person, start and key, as the files of the lake are.
    pub rows: Items,
    /// The key of each row.
    pub keys: Items,
    /// And its place.
    pub places: Vec<Place>,
    /// The columns of the records among them.
    pub columns: Option<Arc<[String]>>,
}

/// What a row ends with, after what it is ordered by: what the record says, and what was found that it is as an activity,
const RECORD: u8 = 0;
/// or the same, nothing if there is no record, and the activity itself, three times as long: of activities with one place and one
/// key the first is the same either way.
const ACTIVITY: u8 = 1;

impl Placed {
    /// Takes an activity as it is, and the record that says so, if there is one. Returns whether it is time to hand on what
    /// there is.
    ///
    /// # Errors
    /// None that is known.
    pub fn put(&mut self, day: LocalDay, activity: &Activity<'_>, record: Option<&Record>) -> Result<bool, SortError> {
        self.write(day, activity, |row| {
            row.push(ACTIVITY);
            match record {
                Some(record) => record.values().pack(row),
                None => Values::default().pack(row),
            }
            serde_json::to_writer(row, activity).map_err(SortError::new)
        })
    }

    /// Takes an activity as the record that it was placed by, and what was found of it then.
    ///
    /// # Errors
    /// None that is known.
    pub fn put_record(
        &mut self,
        day: LocalDay,
        activity: &Activity<'_>,
        found: &Found,
        record: &Record,
    ) -> Result<bool, SortError> {
        let columns = self.columns.get_or_insert_with(|| record.columns().clone());
        if Arc::ptr_eq(columns, record.columns()) {
            return self.write(day, activity, |row| {
                row.push(RECORD);
                record.values().pack(row);
                found.pack(row);
                Ok(())
            });
        }
        let activity = Activity { source_row: record.to_json().into(), ..activity.clone() };
        self.put(day, &activity, Some(record))
    }

    fn write(
        &mut self,
        day: LocalDay,
        activity: &Activity<'_>,
        content: impl FnOnce(&mut Vec<u8>) -> Result<(), SortError>,
    ) -> Result<bool, SortError> {
        self.rows.push_with(|row| {
            let start = row.len();
            row.extend_from_slice(&day.0.num_days_from_ce().to_be_bytes());
            write_text(row, &activity.user_id);
            row.extend_from_slice(&in_order(activity.started_at.timestamp_micros()));
            write_text(row, &activity.activity_id);
            let begins = u32::try_from(row.len() - start).map_err(SortError::new)?;
            content(row)?;
            row.extend_from_slice(&begins.to_be_bytes());
            Ok::<_, SortError>(())
        })?;
        self.keys.push(activity.activity_id.as_bytes());
        self.places.push(place(day, activity));
        Ok(self.places.len() == ROWS || self.rows.bytes() >= BYTES)
    }

    /// What there is; nothing is left of it but the columns. What comes next is kept in the memory of one that was `used`.
    pub fn take(&mut self, used: Option<Self>) -> Self {
        // What was unusually long is not kept for ever.
        let mut next = used.filter(|used| used.rows.bytes() <= 2 * BYTES).unwrap_or_default();
        next.rows.clear();
        next.keys.clear();
        next.places.clear();
        next.columns.clone_from(&self.columns);
        std::mem::replace(self, next)
    }
}

/// Writes a text so that byte strings are in the order of texts whatever follows: two zeros end it, and a zero in it is
/// followed by what is greater.
fn write_text(row: &mut Vec<u8>, text: &str) {
    for part in text.as_bytes().split_inclusive(|byte| *byte == 0) {
        row.extend_from_slice(part);
        if part.ends_with(&[0]) {
            row.push(0xff);
        }
    }
    row.extend_from_slice(&[0, 0]);
}

/// An activity that was written, or the record that it is restored from.
pub enum Written {
    /// What was [put as a record](Placed::put_record).
    Record(Found),
    /// What was [put as it is](Placed::put).
    Activity(Box<Activity<'static>>),
}

impl Written {
    /// Reads one of [`Placed::rows`], and the day that it was placed on. Its record, if it has one, is what `record` says then.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(row: &[u8], record: &mut Record) -> Result<(LocalDay, Self), SortError> {
        let mut parts = || {
            let (day, _) = row.split_first_chunk()?;
            let day = LocalDay(NaiveDate::from_num_days_from_ce_opt(i32::from_be_bytes(*day))?);
            let (rest, begins) = row.split_last_chunk()?;
            let (kind, packed) = rest.get(u32::from_be_bytes(*begins) as usize..)?.split_first()?;
            let written = match (*kind, record.unpack(packed)?) {
                (RECORD, found) => Self::Record(Found::unpack(found)?),
                (ACTIVITY, json) => Self::Activity(serde_json::from_slice(json).ok()?),
                _ => return None,
            };
            Some((day, written))
        };
        parts().ok_or_else(|| SortError::new("a record is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Cell;

    #[test]
    fn rows_are_in_the_order_of_day_person_start_and_key() {
        let row = |day: &str, user: &str, start: &str, key: &str| {
            let mut placed = Placed::default();
            let activity = Activity::new(key, user, "code", start.parse().unwrap(), 60);
            placed.put(day.parse().unwrap(), &activity, None).unwrap();
            placed.rows.iter().next().unwrap().to_vec()
        };
        let (early, late) = ("1969-12-31T23:59:59Z", "2026-03-02T08:00:00.000001Z");
        let mut expected = Vec::new();
        for day in ["2026-03-02", "2026-03-03"] {
            for user in ["", "\0", "\0\u{1}", "\u{1}", "a", "a\0", "a\0b", "a\u{1}", "ab", "é"] {
                for start in [early, late] {
                    for key in ["", "1", "10", "1\0", "2"] {
                        expected.push((day, user, start, key));
                    }
                }
            }
        }
        expected.sort();
        let rows: Vec<_> = expected.iter().map(|(day, user, start, key)| row(day, user, start, key)).collect();
        assert!(rows.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn what_decides_nothing_else_is_in_one_order_whether_the_record_is_kept_or_the_activity_beside_it() {
        let columns: Arc<[String]> = ["id".to_owned(), "took".to_owned()].into();
        let day = "2026-03-02".parse().unwrap();
        let (mut records, mut activities) = (Vec::new(), Vec::new());
        for took in [70, 130, -1, 0, 5_000_000] {
            let mut record = Record::new(columns.clone());
            record.push(Cell::Text("1"));
            record.push(Cell::Integer(took));
            let activity = || Activity::new("1", "ada", "code", "2026-03-02T08:00:00Z".parse().unwrap(), took);
            let (mut one, mut other) = (Placed::default(), Placed::default());
            one.put_record(day, &activity(), &Found::of(&activity()), &record).unwrap();
            other.put(day, &activity(), Some(&record)).unwrap();
            records.push((one.rows.iter().next().unwrap().to_vec(), took));
            activities.push((other.rows.iter().next().unwrap().to_vec(), took));
        }
        records.sort();
        activities.sort();
        let order = |rows: &[(Vec<u8>, i64)]| rows.iter().map(|(_, took)| *took).collect::<Vec<_>>();
        assert_eq!(order(&records), order(&activities));
    }
}
