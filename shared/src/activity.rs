//! The canonical activity: what the anti-corruption layer produces and everything else reads.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    column::{flags, instants, integers, ratings, text},
    lake::parquet_file::timestamp,
};

/// Whether the source knows when on its day an activity happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// It knows the time of day.
    Exact,
    /// It knows the date only: durations count, gaps and order do not.
    Day,
}

impl Clock {
    /// As the `clock` column spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Clock::Exact => "exact",
            Clock::Day => "day",
        }
    }
}

/// One activity in canonical form. Field for field the columns of `activities.parquet`; `None` where the source does
/// not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// The source's key, as text.
    pub activity_id: String,
    /// Whose activity.
    pub user_id: String,
    /// The person's team on the activity's day.
    pub team_id: Option<String>,
    /// The source's sprint, else the team's sprint that contains `started_at`.
    pub sprint_id: Option<String>,
    /// The source's project.
    pub project_id: Option<String>,
    /// When the sprint starts, copied in so that annotators need one file.
    pub sprint_starts_at: Option<DateTime<Utc>>,
    /// When the sprint ends (exclusive).
    pub sprint_ends_at: Option<DateTime<Utc>>,
    /// When the sprint's work was released.
    pub sprint_released_at: Option<DateTime<Utc>>,
    /// The kind of activity.
    pub stereotype_code: String,
    /// The kind's name.
    pub stereotype_name: Option<String>,
    /// The category that the source itself claims.
    pub claimed_category: Option<String>,
    /// Whether the source itself claims that a machine could do it.
    pub claimed_automatable: Option<bool>,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// The source's end, else start + duration.
    pub ended_at: DateTime<Utc>,
    /// Whether the time of day is known.
    pub clock: Clock,
    /// Effort in whole seconds, not negative.
    pub duration_seconds: i64,
    /// The person's own mark.
    pub marked_in_sprint: Option<bool>,
    /// The part out of sprint, where the source splits one activity; at most the duration.
    pub out_of_sprint_seconds: Option<i64>,
    /// How well spent the person felt the time was, 1 to 5.
    pub rating: Option<i8>,
    /// The IANA zone that decided the local day.
    pub time_zone: String,
    /// The person's own words.
    pub note: Option<String>,
    /// When the source last changed the record.
    pub updated_at: Option<DateTime<Utc>>,
    /// The whole source record as a JSON object.
    pub source_row: String,
}

impl Activity {
    /// An activity of which only what every one has is known.
    pub fn new(
        activity_id: impl Into<String>,
        user_id: impl Into<String>,
        stereotype_code: impl Into<String>,
        started_at: DateTime<Utc>,
        duration_seconds: i64,
    ) -> Self {
        Self {
            activity_id: activity_id.into(),
            user_id: user_id.into(),
            team_id: None,
            sprint_id: None,
            project_id: None,
            sprint_starts_at: None,
            sprint_ends_at: None,
            sprint_released_at: None,
            stereotype_code: stereotype_code.into(),
            stereotype_name: None,
            claimed_category: None,
            claimed_automatable: None,
            started_at,
            ended_at: started_at + chrono::TimeDelta::seconds(duration_seconds),
            clock: Clock::Exact,
            duration_seconds,
            marked_in_sprint: None,
            out_of_sprint_seconds: None,
            rating: None,
            time_zone: "UTC".to_owned(),
            note: None,
            updated_at: None,
            source_row: "{}".to_owned(),
        }
    }
}

/// The columns of `activities.parquet`.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let instant = |name: &str, nullable| Field::new(name, timestamp(), nullable);
    let seconds = |name: &str, nullable| Field::new(name, DataType::Int64, nullable);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    Arc::new(Schema::new(vec![
        text("activity_id", false),
        text("user_id", false),
        text("team_id", true),
        text("sprint_id", true),
        text("project_id", true),
        instant("sprint_starts_at", true),
        instant("sprint_ends_at", true),
        instant("sprint_released_at", true),
        text("stereotype_code", false),
        text("stereotype_name", true),
        text("claimed_category", true),
        flag("claimed_automatable"),
        instant("started_at", false),
        instant("ended_at", false),
        text("clock", false),
        seconds("duration_seconds", false),
        flag("marked_in_sprint"),
        seconds("out_of_sprint_seconds", true),
        Field::new("rating", DataType::Int8, true),
        text("time_zone", false),
        text("note", true),
        instant("updated_at", true),
        text("source_row", false),
    ]))
});

/// `rows` as a record batch with [`SCHEMA`], in the order given.
pub fn to_batch(rows: &[Activity]) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = vec![
        text(rows.iter().map(|row| Some(row.activity_id.as_str()))),
        text(rows.iter().map(|row| Some(row.user_id.as_str()))),
        text(rows.iter().map(|row| row.team_id.as_deref())),
        text(rows.iter().map(|row| row.sprint_id.as_deref())),
        text(rows.iter().map(|row| row.project_id.as_deref())),
        instants(rows.iter().map(|row| row.sprint_starts_at)),
        instants(rows.iter().map(|row| row.sprint_ends_at)),
        instants(rows.iter().map(|row| row.sprint_released_at)),
        text(rows.iter().map(|row| Some(row.stereotype_code.as_str()))),
        text(rows.iter().map(|row| row.stereotype_name.as_deref())),
        text(rows.iter().map(|row| row.claimed_category.as_deref())),
        flags(rows.iter().map(|row| row.claimed_automatable)),
        instants(rows.iter().map(|row| Some(row.started_at))),
        instants(rows.iter().map(|row| Some(row.ended_at))),
        text(rows.iter().map(|row| Some(row.clock.as_str()))),
        integers(rows.iter().map(|row| Some(row.duration_seconds))),
        flags(rows.iter().map(|row| row.marked_in_sprint)),
        integers(rows.iter().map(|row| row.out_of_sprint_seconds)),
        ratings(rows.iter().map(|row| row.rating)),
        text(rows.iter().map(|row| Some(row.time_zone.as_str()))),
        text(rows.iter().map(|row| row.note.as_deref())),
        instants(rows.iter().map(|row| row.updated_at)),
        text(rows.iter().map(|row| Some(row.source_row.as_str()))),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns)
}
