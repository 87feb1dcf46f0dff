//! Whether a mapping fits a source, by its kind and its columns, before a record is read.

use std::{collections::BTreeMap, sync::Arc};

use shared::{lake::Entity, spelling::did_you_mean, telemetry::chain};

use crate::{
    address::Address,
    mapping::{EntityMapping, FieldKind, MEMBERSHIP_FIELDS, Mapping, MappingError, fields},
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

/// What is read for a section of a mapping.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The SELECT.
    pub select: String,
    /// The columns that it yields.
    pub columns: Vec<SourceColumn>,
}

impl Fitted {
    /// The names of the columns.
    pub fn names(&self) -> Arc<[String]> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }
}

/// What is read for each section: the first of its SELECTs that fits. Stops before anything is written if none does.
pub async fn fits_columns(
    mapping: &Mapping,
    snapshot: &mut Snapshot,
) -> Result<BTreeMap<&'static str, Fitted>, IntakeError> {
    let mut checked = BTreeMap::new();
    for (section, from) in mapping.sections() {
        // What is wrong with the first one is what there is to mend.
        let mut first = None;
        for select in &from.selects {
            match fits_select(mapping, section, from, select, snapshot).await {
                Ok(columns) => {
                    checked.insert(section, Fitted { select: select.clone(), columns });
                    break;
                }
                Err(Misfit::OfAll(error)) => return Err(error),
                Err(Misfit::OfOne(error)) => first = first.or(Some(error)),
            }
        }
        if let Some(error) = first.filter(|_| !checked.contains_key(section)) {
            return Err(error.into());
        }
    }
    Ok(checked)
}

/// Why a SELECT cannot be read.
enum Misfit {
    /// The source lacks something that it names; another SELECT may do.
    OfOne(MappingError),
    /// It is wrong, forbidden, or the source does not answer.
    OfAll(IntakeError),
}

/// The columns that a SELECT yields, if the mapping can read them.
async fn fits_select(
    mapping: &Mapping,
    section: &'static str,
    from: &EntityMapping,
    select: &str,
    snapshot: &mut Snapshot,
) -> Result<Vec<SourceColumn>, Misfit> {
    let wrong = |line: usize, problem: String| MappingError { file: mapping.file.clone(), line, problem };
    let refuse = |line: usize, problem: String| Err(Misfit::OfOne(wrong(line, problem)));
    let described = match snapshot.describe(select).await {
        Ok(described) => described,
        Err(error) if !error.is_answer() => return Err(Misfit::OfAll(error.into())),
        Err(error) => {
            let said = chain(&error);
            let hint = match missing_table(&said) {
                Some(name) => {
                    let tables = snapshot.tables().await.map_err(|error| Misfit::OfAll(error.into()))?;
                    did_you_mean(name, &tables)
                }
                None => String::new(),
            };
            let problem = wrong(from.line, format!("the source cannot run the SELECT of {section}: {said}{hint}"));
            return Err(match error.is_unknown_name() {
                true => Misfit::OfOne(problem),
                false => Misfit::OfAll(problem.into()),
            });
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
        let kind = field_kind(section, field);
        for (read, kind) in mapped.reads(kind) {
            let Some(found) = described.iter().find(|column| column.name == *read) else {
                let problem = format!(
                    "{section}.{field} reads the column `{read}`, which the source does not give{}; it gives {}",
                    did_you_mean(read, &columns),
                    columns.join(", ")
                );
                return refuse(mapped.line, problem);
            };
            if !mapped.accepts(kind, found.family) {
                let (expected, SourceColumn { name, type_name, .. }) = (mapped.expects(kind), found);
                let problem = format!(
                    "{section}.{field} expects {expected}, and the column `{name}` has the type {type_name}{}",
                    hint(kind, found.family)
                );
                return refuse(mapped.line, problem);
            }
        }
    }
    Ok(described)
}

/// The table that a SELECT names and the source does not have, in the words of each kind of database.
pub fn missing_table(said: &str) -> Option<&str> {
    let sqlite = said.rsplit_once("no such table: ").map(|(_, name)| name);
    let postgres = || Some(said.split_once("relation \"")?.1.split_once("\" does not exist")?.0);
    let mysql = || Some(said.split_once("Table '")?.1.split_once("' doesn't exist")?.0);
    sqlite.or_else(postgres).or_else(mysql)
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
