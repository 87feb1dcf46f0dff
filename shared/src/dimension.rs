//! Dimensions: teams, people, sprints and stereotypes as the source has them, kept whole, as generations, when they
//! change.

use std::sync::Arc;

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    column::{Columns, flags, instants, text},
    lake::{
        Entity, Lake, LakeError, LakeKey,
        parquet_file::{Reader, timestamp},
    },
    time::{Generation, LocalDay},
};

/// A person's time in one team, or in none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// Which team; `None` is none.
    pub team_id: Option<String>,
    /// Its first local day; `None` is since always.
    pub from: Option<LocalDay>,
    /// The first local day after it; `None` is until a later stay begins.
    pub to: Option<LocalDay>,
    /// The whole source record as a JSON object, where the source says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_row: Option<String>,
}

/// A record of any dimension. A field that its entity does not have is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The source's key, as text; for a stereotype its code.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Of a person or a sprint: the team.
    pub team_id: Option<String>,
    /// Of a person who changed teams: the stays, as far as they are known. Empty: in [`Member::team_id`] since always.
    pub stays: Vec<Stay>,
    /// Of a person: their IANA time zone.
    pub time_zone: Option<String>,
    /// Of a sprint: its start.
    pub starts_at: Option<DateTime<Utc>>,
    /// Of a sprint: its end, exclusive.
    pub ends_at: Option<DateTime<Utc>>,
    /// Of a sprint: when its work was released.
    pub released_at: Option<DateTime<Utc>>,
    /// Of a stereotype: the category that the source claims.
    pub claimed_category: Option<String>,
    /// Of a stereotype: whether the source claims that a machine could do it.
    pub claimed_automatable: Option<bool>,
    /// The whole source record as a JSON object.
    pub source_row: String,
}

impl Member {
    /// The person's team on `day`: that of the stay which holds then, and of several the one that began last.
    pub fn team_on(&self, day: LocalDay) -> Option<&str> {
        if self.stays.is_empty() { self.team_id.as_deref() } else { self.stay_on(day)?.team_id.as_deref() }
    }

    /// The stay that decides the person's team on `day`, where stays are known.
    pub fn stay_on(&self, day: LocalDay) -> Option<&Stay> {
        let holds = |stay: &&Stay| stay.from.is_none_or(|from| from <= day) && stay.to.is_none_or(|to| day < to);
        self.stays.iter().filter(holds).max_by_key(|stay| (stay.from, &stay.team_id))
    }

    /// The stays as their column keeps them: a JSON list, or nothing.
    fn stays_as_text(&self) -> Result<Option<String>, ArrowError> {
        if self.stays.is_empty() {
            return Ok(None);
        }
        serde_json::to_string(&self.stays).map(Some).map_err(|error| ArrowError::from_external_error(error.into()))
    }
}

/// The columns of a dimension's file: its id, its name, what its entity has, and the source record.
pub fn schema(entity: Entity) -> SchemaRef {
    let mut fields = vec![Field::new("id", DataType::Utf8, false), Field::new("name", DataType::Utf8, true)];
    let optional = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    match entity {
        Entity::Users => fields.extend(["team_id", "stays", "time_zone"].map(|name| optional(name, DataType::Utf8))),
        Entity::Sprints => {
            fields.push(optional("team_id", DataType::Utf8));
            fields.extend(["starts_at", "ends_at", "released_at"].map(|name| optional(name, timestamp())));
        }
        Entity::Stereotypes => fields
            .extend([optional("claimed_category", DataType::Utf8), optional("claimed_automatable", DataType::Boolean)]),
        Entity::Teams | Entity::Activities => {}
    }
    fields.push(Field::new("source_row", DataType::Utf8, false));
    Arc::new(Schema::new(fields))
}

/// `members` as a record batch with the [`schema`] of `entity`.
pub fn to_batch(entity: Entity, members: &[Member]) -> Result<RecordBatch, ArrowError> {
    let schema = schema(entity);
    let stays = members.iter().map(Member::stays_as_text).collect::<Result<Vec<_>, _>>()?;
    let column = |field: &Arc<Field>| match field.name().as_str() {
        "id" => text(members.iter().map(|member| Some(member.id.as_str()))),
        "name" => text(members.iter().map(|member| member.name.as_deref())),
        "team_id" => text(members.iter().map(|member| member.team_id.as_deref())),
        "stays" => text(stays.iter().map(Option::as_deref)),
        "time_zone" => text(members.iter().map(|member| member.time_zone.as_deref())),
        "starts_at" => instants(members.iter().map(|member| member.starts_at)),
        "ends_at" => instants(members.iter().map(|member| member.ends_at)),
        "released_at" => instants(members.iter().map(|member| member.released_at)),
        "claimed_category" => text(members.iter().map(|member| member.claimed_category.as_deref())),
        "claimed_automatable" => flags(members.iter().map(|member| member.claimed_automatable)),
        _ => text(members.iter().map(|member| Some(member.source_row.as_str()))),
    };
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(schema, columns)
}

/// The newest generation of a dimension, without the stays and the source records; empty if none was captured.
pub async fn newest(lake: &Lake, entity: Entity) -> Result<(Option<LakeKey>, Vec<Member>), LakeError> {
    newest_until(lake, entity, None).await
}

/// The same as it was known `until` then.
pub async fn newest_until(
    lake: &Lake,
    entity: Entity,
    until: Option<Generation>,
) -> Result<(Option<LakeKey>, Vec<Member>), LakeError> {
    let schema = schema(entity);
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let names: Vec<&str> = names.filter(|name| !["stays", "source_row"].contains(name)).collect();
    read_newest(lake, entity, Some(&names), until).await
}

/// The newest generation of a dimension with all that is kept of it; empty if none was captured. Files that are older than
/// a column have nothing there.
pub async fn newest_whole(lake: &Lake, entity: Entity) -> Result<(Option<LakeKey>, Vec<Member>), LakeError> {
    read_newest(lake, entity, None, None).await
}

async fn read_newest(
    lake: &Lake,
    entity: Entity,
    columns: Option<&[&str]>,
    until: Option<Generation>,
) -> Result<(Option<LakeKey>, Vec<Member>), LakeError> {
    let prefix = format!("dimensions/{}/", entity.name());
    let mut captured = lake.list(&prefix, None).await?;
    captured.retain(|listed| match (&listed.key, until) {
        (LakeKey::Dimension { generation, .. }, Some(until)) => *generation <= until,
        _ => true,
    });
    let Some(newest) = captured.pop() else {
        return Ok((None, Vec::new()));
    };
    let file = lake.fetch(&newest.key).await?;
    let members = read(&newest.key, file, columns)?;
    Ok((Some(newest.key), members))
}

fn read(key: &LakeKey, file: std::fs::File, columns: Option<&[&str]>) -> Result<Vec<Member>, LakeError> {
    let unreadable = |reason: String| LakeError::Unreadable { key: key.to_string(), reason };
    let mut members = Vec::new();
    for batch in Reader::open(key, file)?.batches(columns)? {
        let batch = batch?;
        let string = |name: &str, row: usize| {
            let column = batch.text(name).ok().filter(|column| column.is_valid(row));
            column.map(|column| column.value(row).to_owned())
        };
        let instant = |name: &str, row: usize| {
            let column = batch.instant(name).ok().filter(|column| column.is_valid(row));
            column.and_then(|column| DateTime::from_timestamp_micros(column.value(row)))
        };
        let flag = |name: &str, row: usize| {
            let column = batch.flag(name).ok().filter(|column| column.is_valid(row));
            column.map(|column| column.value(row))
        };
        let stays = |row: usize| -> Result<Vec<Stay>, LakeError> {
            let stays = string("stays", row).map(|stays| serde_json::from_str(&stays));
            Ok(stays.transpose().map_err(|error| unreadable(format!("its column stays: {error}")))?.unwrap_or_default())
        };
        let member = |row: usize| {
            Ok(Member {
                id: string("id", row).ok_or_else(|| unreadable("a record has no id".to_owned()))?,
                name: string("name", row),
                team_id: string("team_id", row),
                stays: stays(row)?,
                time_zone: string("time_zone", row),
                starts_at: instant("starts_at", row),
                ends_at: instant("ends_at", row),
                released_at: instant("released_at", row),
                claimed_category: string("claimed_category", row),
                claimed_automatable: flag("claimed_automatable", row),
                source_row: string("source_row", row).unwrap_or_default(),
            })
        };
        members.extend((0..batch.num_rows()).map(member).collect::<Result<Vec<_>, LakeError>>()?);
    }
    Ok(members)
}
