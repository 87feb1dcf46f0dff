//! Reading a source: one read-only snapshot, streamed record by record, every column kept.

use std::{str::FromStr, sync::Arc};

use futures::{Stream, StreamExt};
use serde_json::{Map, Number, Value};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Executor, Row, SqlSafeStr, Sqlite, SqliteConnection,
    Statement, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

/// The source could not be read. Always worth another try, never a reason to quarantine a row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The address is not one that intake can read.
    #[error("the source address is not understood: {0}; it looks like sqlite://path/to/file.db")]
    Address(String),
    /// It could not be opened.
    #[error("the source cannot be opened; check that the file exists and is a SQLite database")]
    Open(#[source] sqlx::Error),
    /// Somebody else holds it.
    #[error("the source is locked: another program is writing to it; try again")]
    Locked(#[source] sqlx::Error),
    /// A statement failed.
    #[error("the source could not {action}")]
    Read {
        /// What was asked.
        action: String,
        /// What the database said.
        source: sqlx::Error,
    },
}

/// A value as the source's driver gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Anything else, text in another encoding included.
    Bytes(Vec<u8>),
}

/// One source record: all its columns, in the order of the SELECT.
#[derive(Debug, Clone)]
pub struct Record {
    columns: Arc<[String]>,
    cells: Vec<Cell>,
}

impl Record {
    /// A record of these columns and as many cells.
    pub fn new(columns: Arc<[String]>, cells: Vec<Cell>) -> Self {
        Self { columns, cells }
    }

    /// The cell of a column; NULL where there is none.
    pub fn get(&self, column: &str) -> &Cell {
        let index = self.columns.iter().position(|name| name == column);
        index.and_then(|index| self.cells.get(index)).unwrap_or(&Cell::Null)
    }

    /// The whole record as a JSON object. Bytes become `\x` and hexadecimal digits, as PostgreSQL writes them; a number
    /// that JSON does not have becomes text.
    pub fn to_json(&self) -> String {
        let value = |cell: &Cell| match cell {
            Cell::Null => Value::Null,
            Cell::Integer(number) => Value::from(*number),
            Cell::Real(number) => {
                Number::from_f64(*number).map_or_else(|| Value::from(number.to_string()), Value::Number)
            }
            Cell::Text(text) => Value::from(text.as_str()),
            Cell::Bytes(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                Value::from(format!("\\x{digits}"))
            }
        };
        let object: Map<String, Value> =
            self.columns.iter().zip(&self.cells).map(|(column, cell)| (column.clone(), value(cell))).collect();
        Value::Object(object).to_string()
    }
}

fn not_opened(error: sqlx::Error) -> SourceError {
    // SQLITE_BUSY and SQLITE_LOCKED, whatever their extended codes.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => SourceError::Locked(error),
        _ => SourceError::Open(error),
    }
}

/// One read-only view of the source: everything read through it is of one moment.
pub struct Snapshot {
    connection: SqliteConnection,
}

impl Snapshot {
    /// Opens the source and begins the snapshot.
    pub async fn open(url: &str) -> Result<Self, SourceError> {
        if !url.starts_with("sqlite:") {
            // The address may hold a password, so only its scheme is repeated.
            let scheme = url.split_once("://").map(|(scheme, _)| scheme);
            let scheme = scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            let what = scheme.map_or("it".to_owned(), |scheme| format!("`{scheme}://…`"));
            return Err(SourceError::Address(format!("{what} is no database that intake reads")));
        }
        let options = SqliteConnectOptions::from_str(url).map_err(SourceError::Open)?;
        let options = options.read_only(true).create_if_missing(false).disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(not_opened)?;
        // The first read after BEGIN fixes what this connection sees.
        for statement in ["BEGIN", "SELECT count(*) FROM sqlite_schema"] {
            connection.execute(statement).await.map_err(not_opened)?;
        }
        Ok(Self { connection })
    }

    /// The tables and views of the source.
    pub async fn tables(&mut self) -> Result<Vec<String>, SourceError> {
        let failed = |source| SourceError::Read { action: "list its tables".to_owned(), source };
        let tables = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')";
        sqlx::query_scalar(tables).fetch_all(&mut self.connection).await.map_err(failed)
    }

    /// The columns that a SELECT yields.
    pub async fn columns(&mut self, select: &str) -> Result<Arc<[String]>, SourceError> {
        let statement = (&mut self.connection).prepare(AssertSqlSafe(select).into_sql_str()).await;
        let statement =
            statement.map_err(|source| SourceError::Read { action: "prepare the SELECT".to_owned(), source })?;
        Ok(statement.columns().iter().map(|column| column.name().to_owned()).collect())
    }

    /// The records of a SELECT, streamed.
    pub fn records(
        &mut self,
        select: &str,
        columns: Arc<[String]>,
    ) -> impl Stream<Item = Result<Record, SourceError>> + '_ {
        let failed = |source| SourceError::Read { action: "give all its records".to_owned(), source };
        let rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut self.connection);
        rows.map(move |row| {
            let row = row.map_err(failed)?;
            let cells: Result<Vec<Cell>, sqlx::Error> = (0..columns.len()).map(|index| cell(&row, index)).collect();
            Ok(Record::new(columns.clone(), cells.map_err(failed)?))
        })
    }
}

/// SQLite's types belong to values, not to columns.
fn cell(row: &SqliteRow, index: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    let decoded = match kind.as_str() {
        "INTEGER" | "BOOLEAN" => <i64 as Decode<Sqlite>>::decode(value).map(Cell::Integer),
        "REAL" => <f64 as Decode<Sqlite>>::decode(value).map(Cell::Real),
        _ => <Vec<u8> as Decode<Sqlite>>::decode(value).map(|bytes| match kind.as_str() {
            "BLOB" => Cell::Bytes(bytes),
            _ => String::from_utf8(bytes).map_or_else(|error| Cell::Bytes(error.into_bytes()), Cell::Text),
        }),
    };
    decoded.map_err(|source| sqlx::Error::ColumnDecode { index: index.to_string(), source })
}
