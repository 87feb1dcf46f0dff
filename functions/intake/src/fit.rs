//! Whether a mapping fits a source, by its kind and its columns, before a record is read.

use std::{collections::BTreeMap, sync::Arc};

use shared::{lake::Entity, telemetry::chain};

use crate::{
    address::Address,
    mapping::{FieldKind, MEMBERSHIP_FIELDS, Mapping, MappingError, did_you_mean, fields},
    run::IntakeError,
    source::{Family, Snapshot, SourceColumn},
};

/// Stops if the mapping's SELECTs are written for another kind of database.
pub fn fits_database(mapping: &Mapping, address: &Address) -> Result<(), MappingError> {
    let Mapping { file, database, .. } = mapping;
    match database {
        Some(database) if *database != address.database() => {
            let (stated, found) = (database.name(), address.database().name());
            let problem = format!(
                "the mapping is for {stated}, and the source is {found}; leave `database` out of [source] if its \
                     SELECTs work in both"
            );
            Err(MappingError { file: file.clone(), line: 0, problem })
        }
        _ => Ok(()),
    }
}

/// The columns that each SELECT yields. Stops before anything is written if one lacks what the mapping reads.
pub async fn fits_columns(
    mapping: &Mapping,
    snapshot: &mut Snapshot,
) -> Result<BTreeMap<&'static str, Vec<SourceColumn>>, IntakeError> {
    let mut checked = BTreeMap::new();
    for (section, from) in mapping.sections() {
        let refuse =
            |line: usize, problem: String| Err(MappingError { file: mapping.file.clone(), line, problem }.into());
        let described = match snapshot.describe(&from.select).await {
            Ok(described) => described,
            Err(error) => {
                let said = chain(&error);
                let hint = match missing_table(&said) {
                    Some(name) => did_you_mean(name, &snapshot.tables().await?),
                    None => String::new(),
                };
                return refuse(from.line, format!("the source cannot run the SELECT of {section}: {said}{hint}"));
            }
        };
        let columns: Arc<[String]> = described.iter().map(|column| column.name.clone()).collect();
        let twice = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(*name));
        if let Some((_, name)) = twice {
            // `source_row` keeps every column under its name, and would lose one of them.
            let problem = format!("the SELECT of {section} gives the column `{name}` twice; name them apart");
            return refuse(from.line, problem);
        }
        // A name that is wrong would leave people known.
        if let Some((line, missing)) = from.personal.iter().find(|(_, name)| !columns.contains(name)) {
            let problem = format!(
                "`personal` of [{section}] names the column `{missing}`, which the source does not give{}",
                did_you_mean(missing, &columns)
            );
            return refuse(*line, problem);
        }
        for (field, mapped) in &from.columns {
            let read = || mapped.columns.iter().chain(&mapped.fallback);
            let missing = read().find(|name| !columns.contains(name));
            if let Some(missing) = missing {
                let problem = format!(
                    "{section}.{field} reads the column `{missing}`, which the source does not give{}; it gives {}",
                    did_you_mean(missing, &columns),
                    columns.join(", ")
                );
                return refuse(mapped.line, problem);
            }
            let kind = field_kind(section, field);
            let wrong = described.iter().filter(|column| read().any(|name| *name == column.name));
            if let Some(wrong) = wrong.into_iter().find(|column| !mapped.accepts(kind, column.family)) {
                let (expected, SourceColumn { name, type_name, .. }) = (mapped.expects(kind), wrong);
                let problem = format!(
                    "{section}.{field} expects {expected}, and the column `{name}` has the type {type_name}{}",
                    hint(kind, wrong.family)
                );
                return refuse(mapped.line, problem);
            }
        }
        checked.insert(section, described);
    }
    Ok(checked)
}

/// The table that a SELECT names and the source does not have, in the words of SQLite or of PostgreSQL.
fn missing_table(said: &str) -> Option<&str> {
    let sqlite = said.rsplit_once("no such table: ").map(|(_, name)| name);
    let postgres = || Some(said.split_once("relation \"")?.1.split_once("\" does not exist")?.0);
    sqlite.or_else(postgres)
}

/// What a field of a section holds.
pub fn field_kind(section: &str, field: &str) -> FieldKind {
    let of_entity = Entity::ALL.into_iter().find(|entity| entity.name() == section).map(fields);
    let known = of_entity.unwrap_or(MEMBERSHIP_FIELDS).iter().find(|known| known.name == field);
    known.map_or(FieldKind::Text, |known| known.kind)
}

/// What to declare for a column of this family, where there is something.
fn hint(kind: FieldKind, family: Family) -> &'static str {
    match (kind, family) {
        (FieldKind::Seconds, Family::Time) => "; declare format = \"time\"",
        (FieldKind::Seconds, Family::Interval) => "; declare format = \"interval\"",
        (FieldKind::Instant, Family::TimestampTz) => "; declare format = \"rfc3339\"",
        (FieldKind::Instant, Family::Timestamp) => "; declare format = \"iso\" and a `zone`",
        (FieldKind::Instant, Family::Date) => "; declare format = \"date\" and a `zone`",
        _ => "; let the SELECT convert it",
    }
}
