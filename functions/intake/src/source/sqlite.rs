//! A SQLite file, read in one transaction.

use std::sync::Arc;

use futures::{StreamExt, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Column, Connection, Decode, Executor, Row, SqlSafeStr, Sqlite, SqliteConnection, Statement,
    TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{Blanks, Cell, Family, Record, SourceColumn, SourceError};

pub(super) struct Snapshot {
    connection: SqliteConnection,
}

fn not_opened(file: &str, error: sqlx::Error) -> SourceError {
    let file = file.to_owned();
    // SQLITE_BUSY and SQLITE_LOCKED, whatever their extended codes.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => SourceError::Locked { file, source: error },
        _ => SourceError::Open { file, source: error },
    }
}

impl Snapshot {
    pub(super) async fn open(options: &SqliteConnectOptions) -> Result<Self, SourceError> {
        let file = options.get_filename().display().to_string();
        let failed = |error| not_opened(&file, error);
        let mut connection = SqliteConnection::connect_with(options).await.map_err(failed)?;
        // The first read after BEGIN fixes what this connection sees.
        for statement in ["BEGIN", "SELECT count(*) FROM sqlite_schema"] {
            connection.execute(statement).await.map_err(failed)?;
        }
        Ok(Self { connection })
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<String>, SourceError> {
        let failed = |error: sqlx::Error| SourceError::Read { action: "list its tables", source: error.into() };
        let tables = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')";
        sqlx::query_scalar(tables).fetch_all(&mut self.connection).await.map_err(failed)
    }

    pub(super) async fn describe(&mut self, select: &str) -> Result<Vec<SourceColumn>, SourceError> {
        let statement = (&mut self.connection).prepare(AssertSqlSafe(select).into_sql_str()).await;
        let failed = |error: sqlx::Error| SourceError::Read { action: "prepare the SELECT", source: error.into() };
        let statement = statement.map_err(failed)?;
        let described = statement.columns().iter().map(|column| SourceColumn {
            name: column.name().to_owned(),
            // SQLite's types belong to values, whatever a column is declared as.
            type_name: String::new(),
            family: Family::Other,
        });
        Ok(described.collect())
    }

    pub(super) fn records<'s>(
        &'s mut self,
        select: &str,
        columns: Arc<[String]>,
        blanks: &'s Blanks,
    ) -> BoxStream<'s, Result<Record, SourceError>> {
        let failed = |error: sqlx::Error| SourceError::Read { action: "give all its records", source: error.into() };
        let rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut self.connection);
        let records = rows.map(move |row| {
            let row = row.map_err(failed)?;
            let mut record = blanks.record(&columns);
            for index in 0..columns.len() {
                record.push(cell(&row, index).map_err(failed)?);
            }
            Ok(record)
        });
        records.boxed()
    }
}

/// SQLite's types belong to values, not to columns.
fn cell(row: &SqliteRow, index: usize) -> Result<Cell<'_>, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    let decoded = match kind.as_str() {
        "INTEGER" | "BOOLEAN" => <i64 as Decode<Sqlite>>::decode(value).map(Cell::Integer),
        "REAL" => <f64 as Decode<Sqlite>>::decode(value).map(Cell::Real),
        _ => <&[u8] as Decode<Sqlite>>::decode(value).map(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) if kind != "BLOB" => Cell::Text(text),
            _ => Cell::Bytes(bytes),
        }),
    };
    decoded.map_err(|source| sqlx::Error::ColumnDecode { index: index.to_string(), source })
}
