//! Dimensions: teams, people, sprints and stereotypes as the source has them, kept whole, as generations, when they
//! change.

use std::sync::Arc;

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use chrono::{DateTime, Utc};

use crate::{
    column::{Columns, flags, instants, text},
    lake::{
        Entity, Lake, LakeError, LakeKey,
        parquet_file::{Reader, timestamp},
    },
};

/// A record of any dimension. A field that its entity does not have is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The source's key, as text; for a stereotype its code.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Of a person or a sprint: the team.
    pub team_id: Option<String>,
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

/// The columns of a dimension's file: its id, its name, what its entity has, and the source record.
pub fn schema(entity: Entity) -> SchemaRef {
    let mut fields = vec![Field::new("id", DataType::Utf8, false), Field::new("name", DataType::Utf8, true)];
    let optional = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    match entity {
        Entity::Users => fields.extend([optional("team_id", DataType::Utf8), optional("time_zone", DataType::Utf8)]),
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
    let column = |field: &Arc<Field>| match field.name().as_str() {
        "id" => text(members.iter().map(|member| Some(member.id.as_str()))),
        "name" => text(members.iter().map(|member| member.name.as_deref())),
        "team_id" => text(members.iter().map(|member| member.team_id.as_deref())),
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

/// The newest generation of a dimension, without the source records; empty if none was captured.
pub async fn newest(lake: &Lake, entity: Entity) -> Result<(Option<LakeKey>, Vec<Member>), LakeError> {
    let prefix = format!("dimensions/{}/", entity.name());
    let Some(newest) = lake.list(&prefix, None).await?.pop() else {
        return Ok((None, Vec::new()));
    };
    let file = lake.fetch(&newest.key).await?;
    let members = read(entity, &newest.key, file)?;
    Ok((Some(newest.key), members))
}

fn read(entity: Entity, key: &LakeKey, file: std::fs::File) -> Result<Vec<Member>, LakeError> {
    let schema = schema(entity);
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| *name != "source_row").collect();
    let mut members = Vec::new();
    for batch in Reader::open(key, file)?.batches(Some(&names))? {
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
        members.extend((0..batch.num_rows()).map(|row| Member {
            id: string("id", row).unwrap_or_default(),
            name: string("name", row),
            team_id: string("team_id", row),
            time_zone: string("time_zone", row),
            starts_at: instant("starts_at", row),
            ends_at: instant("ends_at", row),
            released_at: instant("released_at", row),
            claimed_category: string("claimed_category", row),
            claimed_automatable: flag("claimed_automatable", row),
            source_row: String::new(),
        }));
    }
    Ok(members)
}
