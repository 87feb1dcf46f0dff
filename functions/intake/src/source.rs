//! Reading a source: one read-only snapshot, streamed record by record, every column kept.

mod mysql;
mod packed;
mod postgres;
mod sqlite;
mod timestamp;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sqlx::{mysql::MySqlDatabaseError, postgres::PgDatabaseError};

pub use self::timestamp::Timestamp;
use crate::{address::Address, mapping::Database, secret::LocationError};

/// How long a server may take to answer at all. A firewall that drops packets would hold a run for minutes.
const CONNECT: Duration = Duration::from_secs(10);

/// The source could not be read. Always worth another try, never a reason to quarantine a row. Neither users nor passwords
/// nor values of a row are in it, wherever they came from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Where it is cannot be made out.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A file could not be opened.
    #[error("the source cannot be opened; check that {file} exists and is a SQLite database")]
    Open {
        /// Which file.
        file: String,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// Somebody else holds it.
    #[error("the source {file} is locked: another program is writing to it; try again")]
    Locked {
        /// Which file.
        file: String,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// No server answers.
    #[error(
        "no {} answers at {server}; check host and port, that the server runs, and that it may be reached from here",
        database.title()
    )]
    Unreachable {
        /// What was expected there.
        database: Database,
        /// Host and port.
        server: String,
        /// What came instead of an answer.
        source: sqlx::Error,
    },
    /// The server could not be trusted, or speaks no TLS.
    #[error(
        "no TLS with a certificate that can be trusted at {server}; name the file of its certificate authority with \
         {}=FILE in the address or in SOURCE_CA_FILE, or, for a server on this very machine, add {}",
        database.tls().0, database.tls().1
    )]
    Tls {
        /// Which kind of server.
        database: Database,
        /// Host and port.
        server: String,
        /// What is wrong.
        source: sqlx::Error,
    },
    /// The server does not know the user, or not with this password.
    #[error(
        "{} at {server} lets this user not in (SQLSTATE {code}); check user, password and {}",
        database.title(), database.who_may_come_in()
    )]
    Refused {
        /// Which kind of server.
        database: Database,
        /// Host and port.
        server: String,
        /// What it answered. The message has the user's name in it.
        code: String,
    },
    /// The server is there and no session could be had.
    #[error("{} at {server} does not begin a session", database.title())]
    Session {
        /// Which kind of server.
        database: Database,
        /// Host and port.
        server: String,
        /// What it said.
        source: Said,
    },
    /// A statement failed.
    #[error("the source could not {action}")]
    Read {
        /// What was asked.
        action: &'static str,
        /// What the database said.
        source: Said,
    },
    /// A server ended the session amid an answer.
    #[error(
        "the source could not {action}: the server ended the session; its own log says why, and the next run reads again"
    )]
    Ended {
        /// What was asked.
        action: &'static str,
    },
    /// A statement failed over a value, which the database repeats.
    #[error(
        "the source could not {action}: an expression of the SELECT fails on a value (SQLSTATE {code}); what the database \
         says may hold the value, so it is not repeated here: run the SELECT in a client of the database"
    )]
    Value {
        /// What was asked.
        action: &'static str,
        /// What kind of failure it is.
        code: String,
    },
}

impl SourceError {
    /// Whether the source was asked for a table or a column that it does not have.
    pub fn is_unknown_name(&self) -> bool {
        let Self::Read { source, .. } = self else { return false };
        match source {
            // Of PostgreSQL and of MySQL: no such table, no such column.
            Said::Server { code, .. } => {
                ["42P01", "42703", "42S02", "42S22"].iter().any(|known| code.starts_with(known))
            }
            Said::Driver(error) => error.as_database_error().is_some_and(|said| {
                ["no such table", "no such column"].iter().any(|known| said.message().contains(known))
            }),
        }
    }

    /// Whether the database itself answered, and refused.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Read { source: Said::Driver(error), .. } => error.as_database_error().is_some(),
            Self::Read { source: Said::Server { .. }, .. } | Self::Value { .. } => true,
            _ => false,
        }
    }
}

/// What the driver, or the database through it, said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Said {
    /// The driver, or SQLite.
    #[error(transparent)]
    Driver(sqlx::Error),
    /// A server. The rest of its answer, which may have values in it, is left out.
    #[error("{message} (SQLSTATE {code})")]
    Server {
        /// What kind of failure it is.
        code: String,
        /// The first line of it.
        message: String,
    },
}

impl From<sqlx::Error> for Said {
    fn from(error: sqlx::Error) -> Self {
        let Some(said) = error.as_database_error() else { return Self::Driver(error) };
        if let Some(said) = said.try_downcast_ref::<PgDatabaseError>() {
            return Self::Server { code: said.code().to_owned(), message: said.message().to_owned() };
        }
        if let Some(said) = said.try_downcast_ref::<MySqlDatabaseError>() {
            let code = format!("{}, error {}", said.code().unwrap_or("HY000"), said.number());
            // `command denied to user 'name'@'host'`, and its like.
            let names_user = said.message().to_lowercase().contains("user '");
            let message = if names_user { "this user may not do that" } else { said.message() };
            return Self::Server { code, message: message.to_owned() };
        }
        Self::Driver(error)
    }
}

/// Why there is no connection to a server, or over its `local` socket.
fn not_connected(database: Database, server: String, local: bool, error: sqlx::Error) -> SourceError {
    match error {
        sqlx::Error::Tls(_) => SourceError::Tls { database, server, source: error },
        sqlx::Error::Io(ref cause) => match cause.kind() {
            // So rustls reports a certificate that it does not trust.
            io::ErrorKind::InvalidData => SourceError::Tls { database, server, source: error },
            // No connection over TCP fails so: it is a file of certificates that is not there.
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied if !local => {
                SourceError::Tls { database, server, source: error }
            }
            _ => SourceError::Unreachable { database, server, source: error },
        },
        error => match Said::from(error) {
            // Class 28: invalid authorization specification, and what MySQL says of a database that is not the user's. The
            // messages name the user.
            Said::Server { code, .. } if code.starts_with("28") || code.ends_with("error 1044") => {
                SourceError::Refused { database, server, code }
            }
            source => SourceError::Session { database, server, source },
        },
    }
}

/// A value as the source's driver gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// Yes or no, where the source has a type for it.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A date and a time of day, as PostgreSQL has it; every text that it would write of a usual one is kept as one.
    Timestamp(Timestamp),
    /// UTF-8 text.
    Text(&'a str),
    /// Anything else, text in another encoding included.
    Bytes(&'a [u8]),
}

/// What the values of a column's type look like, as far as a mapping can be wrong about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Whole or decimal numbers.
    Number,
    /// Yes or no.
    Boolean,
    /// A day and a time of day, with an offset.
    TimestampTz,
    /// A day and a time of day.
    Timestamp,
    /// A day.
    Date,
    /// A time of day, or a short duration.
    Time,
    /// A duration.
    Interval,
    /// Text, a type that nobody here knows, or one that belongs to each value.
    Other,
}

/// A column that a SELECT yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its type, in the words of the database; empty where types belong to values.
    pub type_name: String,
    /// What its values look like.
    pub family: Family,
}

/// One source record: all its columns, in the order of the SELECT.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    columns: Arc<[String]>,
    values: Values,
}

/// What a record says, without the names of its columns. There are millions of them, so that all texts of one are one text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    cells: Vec<Kept>,
    text: String,
    bytes: Vec<u8>,
}

/// A cell, or where it is; a whole number as its digits, which is how most are read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    Null,
    Boolean(bool),
    Integer { start: usize, end: usize },
    Real(f64),
    Timestamp(Timestamp),
    Text { start: usize, end: usize },
    Bytes { start: usize, end: usize },
}

/// What the texts of a record come to, as a rule.
const USUAL_TEXT: usize = 256;

impl Values {
    fn clear(&mut self) {
        let Self { cells, text, bytes } = self;
        cells.clear();
        text.clear();
        bytes.clear();
    }
}

impl Cell<'_> {
    /// What it is, in words, without its value.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Real(_) => "a decimal number",
            Self::Timestamp(_) | Self::Text(_) => "text",
            Self::Bytes(_) => "bytes that are no text",
        }
    }
}

impl Record {
    /// A record of these columns, which has no cells yet.
    pub fn new(columns: Arc<[String]>) -> Self {
        let cells = Vec::with_capacity(columns.len());
        Self { columns, values: Values { cells, text: String::with_capacity(USUAL_TEXT), bytes: Vec::new() } }
    }

    /// What it says.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Takes what [`Values::pack`] packed for what it says, and returns what comes after that; `None` if it was damaged.
    pub fn unpack<'p>(&mut self, packed: &'p [u8]) -> Option<&'p [u8]> {
        self.values.unpack(packed)
    }

    /// How long what it says is, in bytes.
    pub fn bytes(&self) -> usize {
        let Values { cells, text, bytes } = &self.values;
        cells.len() * size_of::<Kept>() + text.len() + bytes.len()
    }

    /// Takes the cell of the next column.
    pub fn push(&mut self, cell: Cell<'_>) {
        let Values { cells, text: all_text, bytes: all_bytes } = &mut self.values;
        let mut push_text = |text: &str| {
            let start = all_text.len();
            all_text.push_str(text);
            (start, all_text.len())
        };
        cells.push(match cell {
            Cell::Null => Kept::Null,
            Cell::Boolean(flag) => Kept::Boolean(flag),
            Cell::Integer(number) => {
                let (start, end) = push_text(itoa::Buffer::new().format(number));
                Kept::Integer { start, end }
            }
            Cell::Real(number) => Kept::Real(number),
            Cell::Timestamp(at) if at.is_usual() => Kept::Timestamp(at),
            Cell::Timestamp(at) => {
                let (start, end) = push_text(&at.to_string());
                Kept::Text { start, end }
            }
            Cell::Text(text) => match Timestamp::read(text) {
                Some(at) => Kept::Timestamp(at),
                None => {
                    let (start, end) = push_text(text);
                    Kept::Text { start, end }
                }
            },
            Cell::Bytes(bytes) => {
                let start = all_bytes.len();
                all_bytes.extend_from_slice(bytes);
                Kept::Bytes { start, end: all_bytes.len() }
            }
        });
    }

    /// The cell of a column; NULL where there is none.
    pub fn get(&self, column: &str) -> Cell<'_> {
        let position = self.columns.iter().position(|name| name == column);
        position.map_or(Cell::Null, |position| self.at(position))
    }

    /// The cell at a position; NULL where there is none.
    pub fn at(&self, position: usize) -> Cell<'_> {
        self.values.cells.get(position).map_or(Cell::Null, |kept| self.cell(*kept))
    }

    /// The cell at a position, if it is a text or a whole number, as text.
    pub fn written(&self, position: usize) -> Option<&str> {
        match *self.values.cells.get(position)? {
            Kept::Text { start, end } | Kept::Integer { start, end } => Some(&self.values.text[start..end]),
            Kept::Null | Kept::Boolean(_) | Kept::Real(_) | Kept::Timestamp(_) | Kept::Bytes { .. } => None,
        }
    }

    /// Its cells, in the order of its columns.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.values.cells.iter().map(|kept| self.cell(*kept))
    }

    fn cell(&self, kept: Kept) -> Cell<'_> {
        match kept {
            Kept::Null => Cell::Null,
            Kept::Boolean(flag) => Cell::Boolean(flag),
            Kept::Integer { start, end } => {
                let digits = &self.values.text[start..end];
                digits.parse().map_or(Cell::Text(digits), Cell::Integer)
            }
            Kept::Real(number) => Cell::Real(number),
            Kept::Timestamp(at) => Cell::Timestamp(at),
            Kept::Text { start, end } => Cell::Text(&self.values.text[start..end]),
            Kept::Bytes { start, end } => Cell::Bytes(&self.values.bytes[start..end]),
        }
    }

    /// A record that [`Record::to_json`] wrote, or `None` if it is none. Text that could have been bytes is taken for bytes,
    /// and so for no text at all: a replay must not make something readable that was not.
    pub fn from_json(text: &str) -> Option<Self> {
        let bytes = |digits: &str| -> Option<Vec<u8>> {
            let pairs = digits.as_bytes().chunks(2);
            pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok())
                .collect()
        };
        let object: Map<String, Value> = serde_json::from_str(text).ok()?;
        let (columns, values): (Vec<String>, Vec<Value>) = object.into_iter().unzip();
        let mut record = Self::new(columns.into());
        for value in values {
            match value {
                Value::Null => record.push(Cell::Null),
                Value::Bool(flag) => record.push(Cell::Boolean(flag)),
                Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                    (Some(number), _) => record.push(Cell::Integer(number)),
                    (None, Some(number)) => record.push(Cell::Real(number)),
                    (None, None) => record.push(Cell::Text(&number.to_string())),
                },
                Value::String(text) => match text.strip_prefix("\\x").and_then(bytes) {
                    Some(bytes) => record.push(Cell::Bytes(&bytes)),
                    None => record.push(Cell::Text(&text)),
                },
                nested @ (Value::Array(_) | Value::Object(_)) => record.push(Cell::Text(&nested.to_string())),
            }
        }
        Some(record)
    }

    /// The names of its columns.
    pub fn columns(&self) -> &Arc<[String]> {
        &self.columns
    }

    /// Whether it has the column, whatever is in it.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// The whole record as a JSON object. Bytes become `\x` and hexadecimal digits, as PostgreSQL writes them; a number
    /// that JSON does not have becomes text.
    pub fn to_json(&self) -> String {
        let mut json = Vec::with_capacity(self.values.text.len() + 24 * self.values.cells.len());
        self.write_json(&JsonNames::of(&self.columns), &mut json);
        // JSON is UTF-8.
        String::from_utf8(json).unwrap_or_default()
    }

    /// Appends the same, where the names of its columns are at hand.
    pub fn write_json(&self, JsonNames(names): &JsonNames, json: &mut Vec<u8>) {
        let Values { cells, text, .. } = &self.values;
        json.push(b'{');
        for (position, (name, kept)) in names.iter().zip(cells).enumerate() {
            if position > 0 {
                json.push(b',');
            }
            json.extend_from_slice(name.as_bytes());
            match *kept {
                Kept::Integer { start, end } => json.extend_from_slice(&text.as_bytes()[start..end]),
                Kept::Timestamp(at) => {
                    json.push(b'"');
                    at.write(json);
                    json.push(b'"');
                }
                // What is written to memory cannot fail.
                kept => drop(serde_json::to_writer(&mut *json, &self.cell(kept))),
            }
        }
        json.push(b'}');
    }
}

/// The names of columns as members of a JSON object, each with its colon. No SELECT with two columns of one name is read.
#[derive(Debug, Clone)]
pub struct JsonNames(Vec<String>);

impl JsonNames {
    /// Of these columns.
    pub fn of(columns: &[String]) -> Self {
        Self(columns.iter().map(|name| format!("{}:", Value::from(name.as_str()))).collect())
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => serializer.serialize_unit(),
            Cell::Boolean(flag) => serializer.serialize_bool(*flag),
            Cell::Integer(number) => serializer.serialize_i64(*number),
            Cell::Real(number) if number.is_finite() => serializer.serialize_f64(*number),
            Cell::Real(number) => serializer.collect_str(number),
            Cell::Timestamp(at) => serializer.collect_str(at),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Bytes(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.collect_str(&format_args!("\\x{digits}"))
            }
        }
    }
}

/// What was under way in the source right before its snapshot: a transaction that is not over may still bring rows that say
/// they changed while it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// By the clock of the database, if it has one of its own.
    pub now: Option<DateTime<Utc>>,
    /// Transactions that were not over, each by a name that no other one will have, and when it began, where the reader may
    /// know.
    pub running: BTreeMap<String, Option<DateTime<Utc>>>,
}

/// The memory of records that nobody needs any more. Most are kept in what others were kept in: millions are read on one thread
/// and given up on another, and to get memory that way takes as long as to read them.
#[derive(Clone, Default)]
pub struct Blanks(Arc<Mutex<Vec<Record>>>);

impl Blanks {
    /// A record of these columns, which has no cells yet.
    pub fn record(&self, columns: &Arc<[String]>) -> Record {
        let blank = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // As a rule all have the same columns, and who counts those that share them need not hear of it.
        match blank.filter(|blank| Arc::ptr_eq(&blank.columns, columns)) {
            Some(mut blank) => {
                blank.values.clear();
                blank
            }
            None => Record::new(columns.clone()),
        }
    }

    /// Takes back what was read. What was unusually long is not kept for ever.
    pub fn take_back(&self, records: impl IntoIterator<Item = Record>) {
        let usual = |Record { values: Values { text, bytes, .. }, .. }: &Record| {
            text.capacity().max(bytes.capacity()) <= 16 * USUAL_TEXT
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(records.into_iter().filter(usual));
    }
}

/// One read-only view of the source: everything read through it is of one moment.
pub struct Snapshot {
    connection: Connection,
    blanks: Blanks,
}

enum Connection {
    Sqlite(sqlite::Snapshot),
    Postgres(postgres::Snapshot),
    Mysql(mysql::Snapshot),
}

impl Snapshot {
    /// Opens the source and begins the snapshot.
    pub async fn open(address: &Address) -> Result<Self, SourceError> {
        let connection = match address {
            Address::Sqlite(options) => Connection::Sqlite(sqlite::Snapshot::open(options).await?),
            Address::Postgres(postgres) => Connection::Postgres(postgres::Snapshot::open(postgres).await?),
            Address::Mysql(mysql) => Connection::Mysql(mysql::Snapshot::open(mysql).await?),
        };
        Ok(Self { connection, blanks: Blanks::default() })
    }

    /// Where its records are kept again.
    pub fn blanks(&self) -> Blanks {
        self.blanks.clone()
    }

    /// The moment before it; `None` where the source does not tell what is under way, as MySQL, or a standby of
    /// PostgreSQL.
    pub fn moment(&self) -> Option<Moment> {
        match &self.connection {
            // One writes at a time, so whatever is visible is older than what is under way.
            Connection::Sqlite(_) => Some(Moment { now: None, running: BTreeMap::new() }),
            Connection::Postgres(snapshot) => snapshot.moment(),
            // Only who may see everybody's processes is told.
            Connection::Mysql(_) => None,
        }
    }

    /// The tables and views of the source.
    pub async fn tables(&mut self) -> Result<Vec<String>, SourceError> {
        match &mut self.connection {
            Connection::Sqlite(snapshot) => snapshot.tables().await,
            Connection::Postgres(snapshot) => snapshot.tables().await,
            Connection::Mysql(snapshot) => snapshot.tables().await,
        }
    }

    /// The names of the columns that a SELECT yields.
    pub async fn columns(&mut self, select: &str) -> Result<Arc<[String]>, SourceError> {
        Ok(self.describe(select).await?.into_iter().map(|column| column.name).collect())
    }

    /// The columns that a SELECT yields.
    pub async fn describe(&mut self, select: &str) -> Result<Vec<SourceColumn>, SourceError> {
        match &mut self.connection {
            Connection::Sqlite(snapshot) => snapshot.describe(select).await,
            Connection::Postgres(snapshot) => snapshot.describe(select).await,
            Connection::Mysql(snapshot) => snapshot.describe(select).await,
        }
    }

    /// Lets go of the source. A server is told, or it would log a client that is gone.
    pub async fn close(self) {
        match self.connection {
            Connection::Sqlite(_) => {}
            Connection::Postgres(snapshot) => snapshot.close().await,
            Connection::Mysql(snapshot) => snapshot.close().await,
        }
    }

    /// The records of a SELECT, streamed.
    pub fn records(&mut self, select: &str, columns: Arc<[String]>) -> BoxStream<'_, Result<Record, SourceError>> {
        let Self { connection, blanks } = self;
        match connection {
            Connection::Sqlite(snapshot) => snapshot.records(select, columns, blanks),
            Connection::Postgres(snapshot) => snapshot.records(select, columns, blanks),
            Connection::Mysql(snapshot) => snapshot.records(select, columns, blanks),
        }
    }

    /// The same, where nothing else is read from the snapshot if not all are taken; of a SELECT that was described, as fast as the
    /// source can.
    pub fn all_records(&mut self, select: &str, columns: Arc<[String]>) -> BoxStream<'_, Result<Record, SourceError>> {
        match self {
            Self { connection: Connection::Postgres(snapshot), blanks } => {
                snapshot.all_records(select, columns, blanks)
            }
            _ => self.records(select, columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_json_as_it_was_to_the_last_bit() {
        let reals = [0.1, -9.129825816118099e-16, 1.0 / 3.0, 5e-324, f64::MAX, -0.0, 8.41e21];
        let mut record = Record::new((0..reals.len() + 6).map(|column| column.to_string()).collect());
        reals.iter().for_each(|real| record.push(Cell::Real(*real)));
        for cell in [
            Cell::Null,
            Cell::Boolean(true),
            Cell::Integer(i64::MIN),
            Cell::Text("“text” with \u{0}"),
            Cell::Text(""),
            Cell::Bytes(&[0, 255]),
        ] {
            record.push(cell);
        }
        assert_eq!(Record::from_json(&record.to_json()).unwrap(), record);
    }
}
