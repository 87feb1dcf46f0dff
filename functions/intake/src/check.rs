//! How a mapping fits a source: what an operator wants to know before the first run.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use futures::TryStreamExt;
use serde::Serialize;
use shared::lake::Entity;

use crate::{
    IntakeError,
    address::Address,
    fit::{Fitted, field_kind, fits_columns, fits_database, missing_table},
    mapping::{BUILT_IN, Mapping, MappingError, ZoneRule},
    personal::{Becomes, Personal},
    record::Versions,
    source::{Record, Snapshot, SourceColumn},
    translate::{ActivityTranslator, Dimensions, Translated},
};

/// Records of each section that are looked at.
const LOOKED_AT: usize = 1_000;

/// A section of the mapping over the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its name.
    pub section: &'static str,
    /// Which of its SELECTs is read, from 1; each is for a version of the source.
    pub select: usize,
    /// How many it has.
    pub selects: usize,
    /// Its fields, as they are mapped.
    pub fields: Vec<Field>,
    /// Columns that only `source_row` keeps.
    pub unmapped: Vec<String>,
    /// Columns whose values are not even kept in `source_row` where people have pseudonyms.
    pub left_out: Vec<String>,
}

/// A canonical field over its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name.
    pub field: &'static str,
    /// The source's columns, the fallback last.
    pub columns: Vec<String>,
    /// What the columns were seen to hold: types, not values.
    pub seen: BTreeSet<String>,
    /// What every value must be.
    pub expects: String,
    /// Where instants without an offset are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The line of the mapping that says so.
    pub line: usize,
}

/// The mapping that ships and fits the source: its SELECTs can be run, its columns are there, and of the first activities
/// at least one can be read. Two products may have the same columns in other units, and of those only one can be read.
///
/// # Errors
/// If none does, why those that come near do not; or if the source cannot be read.
pub async fn recognise(address: &Address) -> Result<Mapping, IntakeError> {
    let mut snapshot = Snapshot::open(address).await?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for (name, _) in BUILT_IN {
        let mapping = Mapping::load(name)?;
        match fits(&mapping, address, &mut snapshot).await {
            Ok(()) => {
                snapshot.close().await;
                return Ok(mapping);
            }
            Err(IntakeError::Mapping(error)) if error.line > 0 && missing_table(&error.problem).is_none() => {
                near.push(format!("{name} because {}", error.problem));
            }
            Err(IntakeError::Mapping(_)) => far.push(*name),
            Err(error) => return Err(error),
        }
    }
    let mut tables = snapshot.tables().await?;
    tables.sort();
    snapshot.close().await;
    // What lacks whole tables is another product.
    let reasons = if near.is_empty() { far.join(", nor ") } else { near.join("; not ") };
    let problem = format!(
        "no mapping that ships fits the source; not {reasons}. Write one, and name it with --mapping FILE; the source has the tables {}",
        tables.join(", ")
    );
    Err(MappingError { file: address.to_string(), line: 0, problem }.into())
}

async fn fits(mapping: &Mapping, address: &Address, snapshot: &mut Snapshot) -> Result<(), IntakeError> {
    fits_database(mapping, address)?;
    let fitted = fits_columns(mapping, snapshot, &Versions::new()).await?;
    let (Some(from), Some(read)) = (mapping.entities.get(&Entity::Activities), fitted.get(Entity::Activities.name()))
    else {
        return Ok(());
    };
    let nothing_known = Dimensions::new([].into());
    let translator = ActivityTranslator::new(mapping, from, &nothing_known, Tz::UTC);
    let mut refused = None;
    for record in looked_at(read, snapshot).await? {
        match translator.translate(&record) {
            Translated::Rejected(rejected) => refused = Some(rejected),
            Translated::Activity(..) | Translated::Open => return Ok(()),
        }
    }
    match refused {
        None => Ok(()),
        Some(rejected) => {
            let line = from.columns.get(rejected.field).map_or(from.line, |column| column.line);
            let problem = format!("activities.{} is `{}`: {}", rejected.field, rejected.reason, rejected.message);
            Err(MappingError { file: mapping.file.clone(), line, problem }.into())
        }
    }
}

/// The first records of what is read for a section.
async fn looked_at(read: &Fitted, snapshot: &mut Snapshot) -> Result<Vec<Record>, IntakeError> {
    // The SELECT may end with a comment.
    let few = format!("SELECT * FROM (\n{}\n) AS looked_at LIMIT {LOOKED_AT}", read.select);
    Ok(snapshot.records(&few, read.names.clone()).try_collect().await?)
}

/// How each section of the mapping reads the source.
///
/// # Errors
/// If the mapping does not fit, or the source cannot be read.
pub async fn sections(mapping: &Mapping, address: &Address) -> Result<Vec<Section>, IntakeError> {
    fits_database(mapping, address)?;
    let mut snapshot = Snapshot::open(address).await?;
    let fitted = fits_columns(mapping, &mut snapshot, &Versions::new()).await?;
    let mut sections = Vec::new();
    for (section, from) in mapping.sections() {
        let Some(read) = fitted.get(section) else { continue };
        let (columns, looked_at) = (&read.columns, looked_at(read, &mut snapshot).await?);
        let seen = |name: &str| -> BTreeSet<String> {
            let declared = columns.iter().find(|column| column.name == name).map(|column| column.type_name.clone());
            match declared.filter(|name| !name.is_empty()) {
                Some(declared) => BTreeSet::from([declared]),
                None => looked_at.iter().map(|record| record.get(name).kind().to_owned()).collect(),
            }
        };
        let field = |(field, mapped): (&&'static str, &crate::mapping::ColumnMapping)| {
            let kind = field_kind(section, field);
            let read: Vec<String> = mapped.reads(kind).map(|(column, _)| column.clone()).collect();
            let zone = mapped.zone.map(|zone| match zone {
                ZoneRule::Fixed(zone) => zone.name().to_owned(),
                ZoneRule::Local => "local".to_owned(),
            });
            Field {
                field,
                seen: read.iter().flat_map(|name| seen(name)).collect(),
                columns: read,
                expects: mapped.expects(kind),
                zone,
                line: mapped.line,
            }
        };
        let fields: Vec<Field> = from.columns.iter().map(field).collect();
        let mapped = |name: &str| fields.iter().any(|field| field.columns.iter().any(|column| column == name));
        let unmapped =
            columns.iter().filter(|column| !mapped(&column.name)).map(|column| column.name.clone()).collect();
        let personal = Personal::of(section, from);
        let hidden =
            |column: &&SourceColumn| matches!(personal.becomes(&column.name), Becomes::Null | Becomes::Nothing);
        let left_out = columns.iter().filter(hidden).map(|column| column.name.clone()).collect();
        let (select, selects) = (read.version, from.selects.len());
        sections.push(Section { section, select, selects, fields, unmapped, left_out });
    }
    snapshot.close().await;
    Ok(sections)
}

/// Which zone decides the local day of an activity, in words.
pub fn zone_rule(mapping: &Mapping, organisation: chrono_tz::Tz) -> String {
    let says = |entity| mapping.entities.get(&entity).is_some_and(|from| from.columns.contains_key("time_zone"));
    let record = says(shared::lake::Entity::Activities).then_some("the record's own, else ");
    let person = says(shared::lake::Entity::Users).then_some("the person's, else ");
    format!("{}{}{organisation}", record.unwrap_or_default(), person.unwrap_or_default())
}
