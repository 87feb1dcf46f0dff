//! A MySQL or MariaDB server, read in one transaction.
//!
//! Records go by the text protocol, whose answers are text for every type, in UTF-8 whatever a column is stored in. What a
//! SELECT yields is asked for by preparing it, which runs nothing.

use std::{io, sync::Arc};

use futures::{StreamExt, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Column, Connection, Decode, Executor, MySql, MySqlConnection, Row, SqlSafeStr, Statement, Type,
    TypeInfo, ValueRef,
    mysql::{MySqlRow, MySqlValueRef},
};

use super::{Blanks, CONNECT, Cell, Family, Record, Said, SourceColumn, SourceError, not_connected};
use crate::{address::Mysql, mapping::Database};

/// One snapshot of all tables of InnoDB. A SELECT means what it means elsewhere: `"` quotes names, `||` joins texts, `\` is a
/// character. A run that is gone without a word must not hold the server back from cleaning up, so the server ends what
/// waits; fifteen minutes is the longest that a run can take, and as long may a run be busy with what it got already. The
/// longest time of a statement has another name in MySQL than in MariaDB, and each reads only what is for it.
const BEGIN: &str = "
    SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,ONLY_FULL_GROUP_BY', time_zone = '+00:00',
        lock_wait_timeout = 10, net_write_timeout = 900, wait_timeout = 300
        /*M!100101 , max_statement_time = 900 */ /*!50708 , max_execution_time = 900000 */;
    SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// What may be named in a SELECT as it stands here.
const TABLES: &str = "
    SELECT CASE WHEN table_schema = DATABASE() THEN table_name ELSE concat(table_schema, '.', table_name) END
    FROM information_schema.tables
    WHERE table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')";

/// The classes of SQLSTATE whose messages are about the connection or the transaction, and never about a value.
const WITHOUT_VALUES: [&str; 4] = ["08", "25", "40", "70"];

/// Failures of other classes that are not about a value either: memory and disk, locks, a table that was dropped or altered
/// since the snapshot, one that the user may not read, a statement that took too long.
const NUMBERS_WITHOUT_VALUES: [&str; 12] =
    ["1021", "1028", "1037", "1041", "1054", "1114", "1142", "1143", "1146", "1205", "1412", "3024"];

pub(super) struct Snapshot {
    connection: MySqlConnection,
    /// Whose tables need no name in front of theirs.
    database: Option<String>,
}

impl Snapshot {
    pub(super) async fn open(address: &Mysql) -> Result<Self, SourceError> {
        let (database, server) = (Database::Mysql, address.server());
        // A statement is prepared to learn its columns, and never again.
        let options = address.options.clone().statement_cache_capacity(0);
        let connecting = tokio::time::timeout(CONNECT, MySqlConnection::connect_with(&options)).await;
        let connected = connecting.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        let local = options.get_socket().is_some();
        let mut connection = connected.map_err(|error| not_connected(database, server.clone(), local, error))?;
        let begun = sqlx::raw_sql(BEGIN).execute(&mut connection).await;
        begun.map_err(|error| SourceError::Session { database, server, source: error.into() })?;
        Ok(Self { connection, database: options.get_database().map(str::to_owned) })
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<String>, SourceError> {
        let failed = |error| not_read("list its tables", error);
        let rows = sqlx::raw_sql(TABLES).fetch_all(&mut self.connection).await.map_err(failed)?;
        let name = |row: &MySqlRow| Ok(String::from_utf8_lossy(bytes(row.try_get_raw(0)?)?).into_owned());
        rows.iter().map(name).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    pub(super) async fn describe(&mut self, select: &str) -> Result<Vec<SourceColumn>, SourceError> {
        let statement = (&mut self.connection).prepare(AssertSqlSafe(select).into_sql_str()).await;
        let failed = |error: sqlx::Error| {
            let source = match (Said::from(error), &self.database) {
                // What was not asked for in so many words is not said either.
                (Said::Server { code, message }, Some(database)) => {
                    Said::Server { code, message: message.replace(&format!("'{database}."), "'") }
                }
                (said, _) => said,
            };
            SourceError::Read { action: "prepare the SELECT", source }
        };
        let statement = statement.map_err(failed)?;
        let described = statement.columns().iter().map(|column| SourceColumn {
            name: column.name().to_owned(),
            type_name: type_name(column.type_info().name()).to_lowercase(),
            family: family(column.type_info().name()),
        });
        Ok(described.collect())
    }

    pub(super) fn records<'s>(
        &'s mut self,
        select: &str,
        columns: Arc<[String]>,
        blanks: &'s Blanks,
    ) -> BoxStream<'s, Result<Record, SourceError>> {
        let failed = |error| not_read("give all its records", error);
        let rows = sqlx::raw_sql(AssertSqlSafe(select)).fetch(&mut self.connection);
        let records = rows.map(move |row| {
            let row = row.map_err(failed)?;
            let mut record = blanks.record(&columns);
            for index in 0..columns.len() {
                row.try_get_raw(index).and_then(|value| push(&mut record, value)).map_err(failed)?;
            }
            Ok(record)
        });
        records.boxed()
    }

    pub(super) async fn close(self) {
        // Everything is read, and the server ends the session by itself if it does not hear this.
        let _ = self.connection.close().await;
    }
}

/// A message that may repeat a value, or that a function of the source made up, is left out.
fn not_read(action: &'static str, error: sqlx::Error) -> SourceError {
    match Said::from(error) {
        Said::Server { code, message } => {
            let of_class = WITHOUT_VALUES.iter().any(|class| code.starts_with(class));
            if of_class || NUMBERS_WITHOUT_VALUES.iter().any(|number| code.ends_with(number)) {
                SourceError::Read { action, source: Said::Server { code, message } }
            } else {
                SourceError::Value { action, code }
            }
        }
        source @ Said::Driver(_) => SourceError::Read { action, source },
    }
}

/// The driver's name of a type, but that a number of one digit is a number: more than 0 and 1 fit in it.
fn type_name(name: &str) -> &str {
    if name == "BOOLEAN" { "TINYINT" } else { name }
}

fn family(type_name: &str) -> Family {
    match type_name.trim_end_matches(" UNSIGNED") {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" | "BIT" => Family::Number,
        "FLOAT" | "DOUBLE" | "DECIMAL" => Family::Number,
        "TIMESTAMP" => Family::TimestampTz,
        "DATETIME" => Family::Timestamp,
        "DATE" => Family::Date,
        "TIME" => Family::Time,
        _ => Family::Other,
    }
}

fn bytes(value: MySqlValueRef<'_>) -> Result<&[u8], sqlx::Error> {
    <&[u8] as Decode<MySql>>::decode(value).map_err(sqlx::Error::Decode)
}

/// MySQL's types belong to columns. What JSON has a type for keeps it; anything else is MySQL's text, or bytes.
fn push(record: &mut Record, value: MySqlValueRef<'_>) -> Result<(), sqlx::Error> {
    if value.is_null() {
        record.push(Cell::Null);
        return Ok(());
    }
    let type_info = value.type_info().into_owned();
    let bytes = bytes(value)?;
    let type_name = type_info.name().trim_end_matches(" UNSIGNED");
    if type_name == "BIT" && bytes.len() <= 8 {
        let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        match i64::try_from(number) {
            Ok(number) => record.push(Cell::Integer(number)),
            Err(_) => record.push(Cell::Text(&number.to_string())),
        }
        return Ok(());
    }
    let binary = matches!(type_name, "GEOMETRY")
        || <[u8] as Type<MySql>>::compatible(&type_info) && !<str as Type<MySql>>::compatible(&type_info);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !binary => text,
        _ => {
            record.push(Cell::Bytes(bytes));
            return Ok(());
        }
    };
    let typed = match type_name {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" => {
            text.parse().ok().map(Cell::Integer)
        }
        "FLOAT" | "DOUBLE" => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Cell::Real),
        // An instant, which the session shows in UTC.
        "TIMESTAMP" => {
            record.push(Cell::Text(&format!("{text}+00")));
            return Ok(());
        }
        _ => None,
    };
    record.push(typed.unwrap_or(Cell::Text(text)));
    Ok(())
}
