//! Who is who is left out, where a deployment says so: each record has its pseudonyms before anything else sees it, so no
//! column, quarantine or temporary file ever holds more.

use std::{collections::BTreeSet, sync::Arc};

use aws_sdk_secretsmanager::Client;
use shared::{
    deployment::variable,
    lake::{Entity, Sha256},
    pseudonym::{PseudonymKey, ShortKey, pseudonym},
    secret::{SecretError, secret},
};

use crate::{
    mapping::{ColumnMapping, EntityMapping, MEMBERSHIPS, Mapping, MappingError},
    source::{Cell, Record},
    translate::without_mark,
};

/// The key of the pseudonyms cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PseudonymKeyError {
    /// It could not be read.
    #[error("PSEUDONYM_SECRET_ARN")]
    Secret(#[from] SecretError),
    /// It is too short.
    #[error(transparent)]
    Short(#[from] ShortKey),
}

/// The key that a deployment names in `PSEUDONYM_SECRET_ARN`, a secret of AWS Secrets Manager; `None` where people are known
/// by name.
///
/// # Errors
/// If a key is named and cannot be had: nothing is to be read without it.
pub async fn key_from_env() -> Result<Option<PseudonymKey>, PseudonymKeyError> {
    let Ok(arn) = variable("PSEUDONYM_SECRET_ARN") else { return Ok(None) };
    let client = Client::new(&aws_config::load_from_env().await);
    Ok(Some(PseudonymKey::new(secret(&client, &arn).await?.as_bytes())?))
}

/// What becomes of a column where people have pseudonyms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// What it is.
    Itself,
    /// A pseudonym of what it is.
    Pseudonym,
    /// NULL: it is free text.
    Null,
    /// Nothing: no mapping says what it is, so nobody knows whom it names.
    Nothing,
}

/// What the columns of one section say of people.
pub struct Personal<'a> {
    replaced: BTreeSet<&'a str>,
    dropped: BTreeSet<&'a str>,
    known: BTreeSet<&'a str>,
}

impl<'a> Personal<'a> {
    /// Of `section`, which `from` reads.
    pub fn of(section: &str, from: &'a EntityMapping) -> Self {
        let columns =
            |field: &str| from.columns.get(field).into_iter().flat_map(ColumnMapping::read).map(String::as_str);
        let mut replaced: BTreeSet<&str> = columns("user_id").collect();
        if section == Entity::Users.name() {
            replaced.extend(columns("name"));
        }
        replaced.extend(from.personal.iter().map(|(_, column)| column.as_str()));
        let dropped: BTreeSet<&str> = columns("note").collect();
        let read = from.columns.values().flat_map(ColumnMapping::read);
        let known = read.chain(from.keep.iter().map(|(_, column)| column)).map(String::as_str).collect();
        Self { replaced: &replaced - &dropped, dropped, known }
    }

    /// What becomes of a column.
    pub fn becomes(&self, column: &str) -> Becomes {
        match column {
            _ if self.dropped.contains(column) => Becomes::Null,
            _ if self.replaced.contains(column) => Becomes::Pseudonym,
            _ if self.known.contains(column) => Becomes::Itself,
            _ => Becomes::Nothing,
        }
    }
}

/// Under which key people have pseudonyms, and in which columns: what was kept under another one cannot be told apart from
/// what was not hidden at all.
pub fn hidden_under(key: &PseudonymKey, mapping: &Mapping) -> String {
    let replaced = mapping.sections().map(|(section, from)| (section, Personal::of(section, from).replaced));
    let replaced: Vec<_> = replaced.filter(|(_, columns)| !columns.is_empty()).collect();
    format!("{} {}", key.fingerprint(), Sha256::of(format!("{replaced:?}")))
}

/// Hides who is who in the records of one section.
pub struct Veil<'a> {
    key: Option<&'a PseudonymKey>,
    becomes: Vec<Becomes>,
    columns: Arc<[String]>,
}

impl<'a> Veil<'a> {
    /// For the records of `section`, which `from` reads and which have these columns; without a key they stay as they are.
    pub fn new(key: Option<&'a PseudonymKey>, section: &str, from: &EntityMapping, columns: &[String]) -> Self {
        let personal = Personal::of(section, from);
        let becomes: Vec<Becomes> = columns.iter().map(|column| personal.becomes(column)).collect();
        let stay = columns.iter().zip(&becomes).filter(|(_, becomes)| **becomes != Becomes::Nothing);
        let columns = stay.map(|(column, _)| column.clone()).collect();
        Self { key, becomes, columns }
    }

    /// The record, without who is who.
    pub fn over(&self, record: Record) -> Record {
        self.hide(record, push_hidden)
    }

    /// A record that was hidden already, without what the present mapping does not let through.
    pub fn again(&self, record: Record) -> Record {
        self.hide(record, |_, cell, through| through.push(cell))
    }

    /// Whether a column says what the source says.
    pub fn keeps(&self, column: &str) -> bool {
        let itself = self.becomes.iter().filter(|becomes| **becomes != Becomes::Nothing);
        let mut kept = self.columns.iter().zip(itself).filter(|(name, _)| *name == column);
        self.key.is_none() || kept.all(|(_, becomes)| *becomes == Becomes::Itself)
    }

    fn hide(&self, record: Record, push_pseudonym: impl Fn(&PseudonymKey, Cell<'_>, &mut Record)) -> Record {
        let Some(key) = self.key else { return record };
        let mut through = Record::new(self.columns.clone());
        for (cell, becomes) in record.cells().zip(&self.becomes) {
            match becomes {
                Becomes::Itself => through.push(cell),
                Becomes::Pseudonym => push_pseudonym(key, cell, &mut through),
                Becomes::Null => through.push(Cell::Null),
                Becomes::Nothing => {}
            }
        }
        through
    }
}

/// What stands for a cell. NULL and an empty text say nothing of anybody; what is no text stays none.
fn push_hidden(key: &PseudonymKey, cell: Cell<'_>, record: &mut Record) {
    let text = match cell {
        Cell::Null | Cell::Text("") => return record.push(cell),
        // 0xff is in no text.
        Cell::Bytes(bytes) => {
            return record.push(Cell::Bytes(&[&[0xff], pseudonym(key, &hex(bytes)).as_bytes()].concat()));
        }
        Cell::Text(text) => without_mark(text).to_owned(),
        Cell::Boolean(flag) => flag.to_string(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Timestamp(at) => at.to_string(),
    };
    record.push(Cell::Text(&pseudonym(key, &text)));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a mapping that translates values which pseudonyms take the place of.
pub fn can_be_hidden(mapping: &Mapping) -> Result<(), MappingError> {
    for (section, from) in mapping.sections() {
        let hidden = match section {
            "users" => &["user_id", "name"][..],
            "activities" | MEMBERSHIPS => &["user_id"],
            _ => &[],
        };
        let translated = hidden.iter().filter_map(|field| Some((field, from.columns.get(*field)?)));
        if let Some((field, column)) = translated.into_iter().find(|(_, column)| column.values.is_some()) {
            let problem =
                format!("`{field}` has pseudonyms here, so it cannot have `values`; let the SELECT translate it");
            return Err(MappingError { file: mapping.file.clone(), line: column.line, problem });
        }
    }
    Ok(())
}
