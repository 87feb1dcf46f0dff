//! The canonical activity: what the anti-corruption layer produces and everything else reads.

use std::{
    borrow::Cow,
    mem,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{
        ArrayBuilder, ArrayRef, BooleanBuilder, Int8Builder, Int64Builder, RecordBatch, StringBuilder,
        TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::lake::parquet_file::timestamp;

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
/// not say. Its texts are where it came from, as a rule: of millions of them, each is looked at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity<'a> {
    /// The source's key, as text.
    pub activity_id: Cow<'a, str>,
    /// Whose activity.
    pub user_id: Cow<'a, str>,
    /// The person's team on the activity's day.
    pub team_id: Option<Cow<'a, str>>,
    /// The source's sprint, else the team's sprint that contains `started_at`.
    pub sprint_id: Option<Cow<'a, str>>,
    /// The source's project.
    pub project_id: Option<Cow<'a, str>>,
    /// When the sprint starts, copied in so that annotators need one file.
    pub sprint_starts_at: Option<DateTime<Utc>>,
    /// When the sprint ends (exclusive).
    pub sprint_ends_at: Option<DateTime<Utc>>,
    /// When the sprint's work was released.
    pub sprint_released_at: Option<DateTime<Utc>>,
    /// The kind of activity.
    pub stereotype_code: Cow<'a, str>,
    /// The kind's name.
    pub stereotype_name: Option<Cow<'a, str>>,
    /// The category that the source itself claims.
    pub claimed_category: Option<Cow<'a, str>>,
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
    pub time_zone: Cow<'a, str>,
    /// The person's own words.
    pub note: Option<Cow<'a, str>>,
    /// When the source last changed the record.
    pub updated_at: Option<DateTime<Utc>>,
    /// The whole source record as a JSON object.
    pub source_row: Cow<'a, str>,
}

impl<'a> Activity<'a> {
    /// An activity of which only what every one has is known.
    pub fn new(
        activity_id: impl Into<Cow<'a, str>>,
        user_id: impl Into<Cow<'a, str>>,
        stereotype_code: impl Into<Cow<'a, str>>,
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
            time_zone: "UTC".into(),
            note: None,
            updated_at: None,
            source_row: "{}".into(),
        }
    }

    /// The same, with texts of its own.
    pub fn into_owned(self) -> Activity<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Activity {
            activity_id: own(self.activity_id),
            user_id: own(self.user_id),
            team_id: self.team_id.map(own),
            sprint_id: self.sprint_id.map(own),
            project_id: self.project_id.map(own),
            stereotype_code: own(self.stereotype_code),
            stereotype_name: self.stereotype_name.map(own),
            claimed_category: self.claimed_category.map(own),
            time_zone: own(self.time_zone),
            note: self.note.map(own),
            source_row: own(self.source_row),
            ..self
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
pub fn to_batch(rows: &[Activity<'_>]) -> Result<RecordBatch, ArrowError> {
    let mut batch = ActivityBuilder::default();
    rows.iter().for_each(|row| batch.append(row));
    batch.finish()
}

/// Makes record batches with [`SCHEMA`] of one activity after the other.
#[derive(Debug, Default)]
pub struct ActivityBuilder {
    activity_id: StringBuilder,
    user_id: StringBuilder,
    team_id: StringBuilder,
    sprint_id: StringBuilder,
    project_id: StringBuilder,
    sprint_starts_at: TimestampMicrosecondBuilder,
    sprint_ends_at: TimestampMicrosecondBuilder,
    sprint_released_at: TimestampMicrosecondBuilder,
    stereotype_code: StringBuilder,
    stereotype_name: StringBuilder,
    claimed_category: StringBuilder,
    claimed_automatable: BooleanBuilder,
    started_at: TimestampMicrosecondBuilder,
    ended_at: TimestampMicrosecondBuilder,
    clock: StringBuilder,
    duration_seconds: Int64Builder,
    marked_in_sprint: BooleanBuilder,
    out_of_sprint_seconds: Int64Builder,
    rating: Int8Builder,
    time_zone: StringBuilder,
    note: StringBuilder,
    updated_at: TimestampMicrosecondBuilder,
    source_row: StringBuilder,
}

impl ActivityBuilder {
    /// Activities since the last batch.
    pub fn len(&self) -> usize {
        self.duration_seconds.len()
    }

    /// Whether there are none since the last batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends one.
    pub fn append(&mut self, activity: &Activity<'_>) {
        let micros = |at: DateTime<Utc>| at.timestamp_micros();
        self.activity_id.append_value(&activity.activity_id);
        self.user_id.append_value(&activity.user_id);
        self.team_id.append_option(activity.team_id.as_deref());
        self.sprint_id.append_option(activity.sprint_id.as_deref());
        self.project_id.append_option(activity.project_id.as_deref());
        self.sprint_starts_at.append_option(activity.sprint_starts_at.map(micros));
        self.sprint_ends_at.append_option(activity.sprint_ends_at.map(micros));
        self.sprint_released_at.append_option(activity.sprint_released_at.map(micros));
        self.stereotype_code.append_value(&activity.stereotype_code);
        self.stereotype_name.append_option(activity.stereotype_name.as_deref());
        self.claimed_category.append_option(activity.claimed_category.as_deref());
        self.claimed_automatable.append_option(activity.claimed_automatable);
        self.started_at.append_value(micros(activity.started_at));
        self.ended_at.append_value(micros(activity.ended_at));
        self.clock.append_value(activity.clock.as_str());
        self.duration_seconds.append_value(activity.duration_seconds);
        self.marked_in_sprint.append_option(activity.marked_in_sprint);
        self.out_of_sprint_seconds.append_option(activity.out_of_sprint_seconds);
        self.rating.append_option(activity.rating);
        self.time_zone.append_value(&activity.time_zone);
        self.note.append_option(activity.note.as_deref());
        self.updated_at.append_option(activity.updated_at.map(micros));
        self.source_row.append_value(&activity.source_row);
    }

    /// The activities since the last batch.
    ///
    /// # Errors
    /// None that is known: every column is as [`SCHEMA`] has it.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        // What is to come is as long as what was, as a rule: columns that grow are copied over and over.
        let rows = self.len();
        let text = |column: &mut StringBuilder| -> ArrayRef {
            let next = StringBuilder::with_capacity(rows, column.values_slice().len());
            Arc::new(mem::replace(column, next).finish())
        };
        let instants = |column: &mut TimestampMicrosecondBuilder| -> ArrayRef {
            let next = TimestampMicrosecondBuilder::with_capacity(rows);
            Arc::new(mem::replace(column, next).finish().with_timezone("UTC"))
        };
        let columns: Vec<ArrayRef> = vec![
            text(&mut self.activity_id),
            text(&mut self.user_id),
            text(&mut self.team_id),
            text(&mut self.sprint_id),
            text(&mut self.project_id),
            instants(&mut self.sprint_starts_at),
            instants(&mut self.sprint_ends_at),
            instants(&mut self.sprint_released_at),
            text(&mut self.stereotype_code),
            text(&mut self.stereotype_name),
            text(&mut self.claimed_category),
            Arc::new(self.claimed_automatable.finish()),
            instants(&mut self.started_at),
            instants(&mut self.ended_at),
            text(&mut self.clock),
            Arc::new(self.duration_seconds.finish()),
            Arc::new(self.marked_in_sprint.finish()),
            Arc::new(self.out_of_sprint_seconds.finish()),
            Arc::new(self.rating.finish()),
            text(&mut self.time_zone),
            text(&mut self.note),
            instants(&mut self.updated_at),
            text(&mut self.source_row),
        ];
        RecordBatch::try_new(SCHEMA.clone(), columns)
    }
}
