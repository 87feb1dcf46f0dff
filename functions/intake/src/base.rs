//! Base files, read back.

use std::borrow::Cow;

use arrow::array::{Array, RecordBatch};
use chrono::{DateTime, Utc};
use shared::{
    activity::{Activity, Clock},
    column::{Columns, NoSuchColumn},
    lake::{LakeError, LakeKey},
};

/// The error of a file that lacks a column.
pub(crate) fn unreadable(key: &LakeKey, error: NoSuchColumn) -> LakeError {
    LakeError::Unreadable { key: key.to_string(), reason: error.to_string() }
}

/// The activities of a batch of the base file `key`, as they were written.
pub fn activities<'a>(key: &LakeKey, batch: &'a RecordBatch) -> Result<Vec<Activity<'a>>, LakeError> {
    read_activities(batch).map_err(|error| unreadable(key, error))
}

fn read_activities(batch: &RecordBatch) -> Result<Vec<Activity<'_>>, NoSuchColumn> {
    let some_text = |name: &str, row: usize| -> Result<Option<Cow<'_, str>>, NoSuchColumn> {
        let column = batch.text(name)?;
        Ok(column.is_valid(row).then(|| Cow::Borrowed(column.value(row))))
    };
    let text = |name: &str, row: usize| batch.text(name).map(|column| Cow::Borrowed(column.value(row)));
    let some_instant = |name: &str, row: usize| -> Result<Option<DateTime<Utc>>, NoSuchColumn> {
        let column = batch.instant(name)?;
        Ok(column.is_valid(row).then(|| column.value(row)).and_then(DateTime::from_timestamp_micros))
    };
    let instant = |name: &str, row: usize| Ok(some_instant(name, row)?.unwrap_or_default());
    let some_flag = |name: &str, row: usize| -> Result<Option<bool>, NoSuchColumn> {
        let column = batch.flag(name)?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    };
    let some_integer = |name: &str, row: usize| -> Result<Option<i64>, NoSuchColumn> {
        let column = batch.integer(name)?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    };
    let rating = |row: usize| {
        let column = batch.array("rating").filter(|column| column.is_valid(row));
        column
            .and_then(|column| column.as_any().downcast_ref::<arrow::array::Int8Array>())
            .map(|column| column.value(row))
    };
    let activity = |row: usize| -> Result<Activity<'_>, NoSuchColumn> {
        Ok(Activity {
            activity_id: text("activity_id", row)?,
            user_id: text("user_id", row)?,
            team_id: some_text("team_id", row)?,
            sprint_id: some_text("sprint_id", row)?,
            project_id: some_text("project_id", row)?,
            sprint_starts_at: some_instant("sprint_starts_at", row)?,
            sprint_ends_at: some_instant("sprint_ends_at", row)?,
            sprint_released_at: some_instant("sprint_released_at", row)?,
            stereotype_code: text("stereotype_code", row)?,
            stereotype_name: some_text("stereotype_name", row)?,
            claimed_category: some_text("claimed_category", row)?,
            claimed_automatable: some_flag("claimed_automatable", row)?,
            started_at: instant("started_at", row)?,
            ended_at: instant("ended_at", row)?,
            clock: if text("clock", row)? == Clock::Day.as_str() { Clock::Day } else { Clock::Exact },
            duration_seconds: some_integer("duration_seconds", row)?.unwrap_or_default(),
            marked_in_sprint: some_flag("marked_in_sprint", row)?,
            out_of_sprint_seconds: some_integer("out_of_sprint_seconds", row)?,
            rating: rating(row),
            time_zone: text("time_zone", row)?,
            note: some_text("note", row)?,
            updated_at: some_instant("updated_at", row)?,
            source_row: text("source_row", row)?,
        })
    };
    (0..batch.num_rows()).map(activity).collect()
}

#[cfg(test)]
mod tests {
    use shared::activity::to_batch;

    use super::*;

    #[test]
    fn an_activity_comes_back_from_a_base_file_as_it_was() {
        let at = |hour: u32| format!("2026-03-02T{hour:02}:00:00.000001Z").parse().unwrap();
        let bare = Activity::new("1", "ada", "code", at(8), 60);
        let text = |text: &'static str| Some(text.into());
        let full = Activity {
            team_id: text("t"),
            sprint_id: text("s"),
            project_id: text("p"),
            sprint_starts_at: Some(at(1)),
            sprint_ends_at: Some(at(2)),
            sprint_released_at: Some(at(3)),
            stereotype_name: text("n"),
            claimed_category: text("c"),
            claimed_automatable: Some(false),
            ended_at: at(9),
            clock: Clock::Day,
            marked_in_sprint: Some(true),
            out_of_sprint_seconds: Some(7),
            rating: Some(5),
            time_zone: "Europe/Berlin".into(),
            note: text("x"),
            updated_at: Some(at(10)),
            source_row: "{\"id\":1}".into(),
            ..bare.clone()
        };
        let all = vec![bare, full];
        let batch = to_batch(&all).unwrap();
        assert_eq!(read_activities(&batch).unwrap(), all);
    }
}
