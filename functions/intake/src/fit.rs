//! Whether a mapping fits a source, by its kind and its columns, before a record is read.

use std::{collections::BTreeMap, sync::Arc};

use shared::{lake::Entity, spelling::did_you_mean, telemetry::chain};

use crate::{
    address::Address,
    mapping::{EntityMapping, FieldKind, MEMBERSHIP_FIELDS, Mapping, MappingError, fields},
    record::Versions,
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
    /// Which one of its section it is, from 1.
    pub version: usize,
    /// The columns that it yields.
    pub columns: Vec<SourceColumn>,
    /// Their names.
    pub names: Arc<[String]>,
}

fn names(columns: &[SourceColumn]) -> Arc<[String]> {
    columns.iter().map(|column| column.name.clone()).collect()
}

/// What is read for each section: the first of its SELECTs that fits. Stops before anything is written if none does, or only
/// one for an older version of the source than was read `before`.
pub async fn fits_columns(
    mapping: &Mapping,
    snapshot: &mut Snapshot,
    before: &Versions,
) -> Result<BTreeMap<&'static str, Fitted>, IntakeError> {
    let mut checked = BTreeMap::new();
    for (section, from) in mapping.sections() {
        let mut misfits: Vec<MappingError> = Vec::new();
        for (index, (line, select)) in from.selects.iter().enumerate() {
            match fits_select(mapping, section, from, (*line, select), snapshot).await {
                Ok(columns) => {
                    let fitted = Fitted { select: select.clone(), version: index + 1, names: names(&columns), columns };
                    let newer = before.get(section).filter(|before| **before < fitted.version);
                    let misfit = newer.and_then(|before| Some((*before, misfits.get(before.checked_sub(1)?)?.clone())));
                    if let Some((before, misfit)) = misfit {
                        return Err(went_back(section, (before, from.selects.len()), &fitted, misfit).into());
                    }
                    checked.insert(section, fitted);
                    break;
                }
                Err(Misfit::OfAll(error)) => return Err(error),
                Err(Misfit::OfOne(error)) => misfits.push(error),
            }
        }
        // What is wrong with the first one is what there is to mend.
        if let Some(error) = misfits.into_iter().next().filter(|_| !checked.contains_key(section)) {
            return Err(error.into());
        }
    }
    Ok(checked)
}

/// Which SELECT is read for each section that has several.
pub fn versions(mapping: &Mapping, read: &BTreeMap<&'static str, Fitted>) -> Versions {
    let several = mapping.sections().filter(|(_, from)| from.selects.len() > 1);
    several.filter_map(|(section, _)| Some((section.to_owned(), read.get(section)?.version))).collect()
}

/// The SELECT that was read `before` is a `misfit` now, and one for an older version fits: most likely something was renamed.
fn went_back(section: &str, (before, of): (usize, usize), now: &Fitted, misfit: MappingError) -> MappingError {
    let names = now.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let problem = format!(
        "{}; the last run read {section} by this SELECT, {before} of {of}, and now only {} fits, for an older version of the \
         source, and gives {names}; mend the SELECT, or, if the source did go back, take it out of the mapping",
        misfit.problem, now.version
    );
    MappingError { problem, ..misfit }
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
    (line, select): (usize, &str),
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
            let problem = wrong(line, format!("the source cannot run the SELECT of {section}: {said}{hint}"));
            return Err(match error.is_unknown_name() {
                true => Misfit::OfOne(problem),
                false => Misfit::OfAll(problem.into()),
            });
        }
    };
    let columns = names(&described);
    let twice = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(*name));
    if let Some((_, name)) = twice {
        // `source_row` keeps every column under its name, and would lose one of them.
        let problem = format!("the SELECT of {section} gives the column `{name}` twice; name them apart");
        return refuse(line, problem);
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
