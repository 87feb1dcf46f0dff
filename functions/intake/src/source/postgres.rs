//! A PostgreSQL server, read in one transaction.
//!
//! Statements go by the simple protocol, whose answers are text for every type: what a value looks like is PostgreSQL's
//! own notation, and no type needs a decoder. It also leaves no prepared statement behind, so a pooler that shares
//! connections by transaction may stand in between. Where everything is read, it is copied out, which says the same at less cost.

mod copied;

use std::{collections::HashMap, io, sync::Arc};

use futures::{
    StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, Column, Connection, PgConnection, Row, TypeInfo,
    postgres::{PgRow, PgValueRef},
};

use self::copied::{BINARY_SINCE, Kind, of_text, push_line, push_tuple};
use super::{Blanks, CONNECT, Cell, Family, Moment, Record, Said, SourceColumn, SourceError, not_connected};
use crate::{address::Postgres, mapping::Database};

/// The snapshot is taken by the first query of a transaction. A run that is gone without a word must not hold the server
/// back from cleaning up, so it ends what waits; fifteen minutes is the longest that a run can take. Notices could hold
/// values, and nobody reads them.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL DateStyle = 'ISO, YMD';
    SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL extra_float_digits = 1;
    SET LOCAL bytea_output = 'hex';
    SET LOCAL client_min_messages = 'error';
    SET LOCAL lock_timeout = '10s';
    SET LOCAL statement_timeout = '15min';
    SET LOCAL idle_in_transaction_session_timeout = '5min';
    SELECT current_setting('server_version_num')";

/// Which transactions of this database are not over, whether or not they have written yet, and what the time was before this
/// was looked at. Reads no table, and needs no privilege; without `pg_read_all_stats` others' start is not told.
const RUNNING: &str = "
    SELECT pg_is_in_recovery(), to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
           id, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
    FROM (SELECT 1) AS one LEFT JOIN (
        SELECT l.virtualtransaction AS id, a.xact_start AS since
        FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
            AND (a.datname IS NULL OR a.datname = current_database())
        UNION ALL SELECT 'prepared ' || transaction, NULL FROM pg_prepared_xacts WHERE database = current_database()
    ) AS running ON true";

/// What may be named in a SELECT as it stands here.
const TABLES: &str = "
    SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

/// Failures that are not about a value, by class: the connection, the state of the transaction, a rollback, resources and limits
/// of the server, a lock or a setting, an operator's doing, the system; and a privilege that the user does not have.
const WITHOUT_VALUES: [&str; 9] = ["08", "25", "40", "53", "54", "55", "57", "58", "42501"];

pub(super) struct Snapshot {
    connection: PgConnection,
    moment: Option<Moment>,
    /// Of the server: 150018 is 15.18. 0 if it does not tell.
    version: u32,
    /// What the columns of a SELECT are, once that is known.
    kinds: HashMap<String, Vec<Kind>>,
}

impl Snapshot {
    pub(super) async fn open(address: &Postgres) -> Result<Self, SourceError> {
        let server = address.server();
        let connecting = tokio::time::timeout(CONNECT, PgConnection::connect_with(&address.options)).await;
        let connected = connecting.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        let local = address.options.get_socket().is_some();
        let database = Database::Postgresql;
        let mut connection = connected.map_err(|error| not_connected(database, server.clone(), local, error))?;
        // Whatever begins between this and the snapshot began after `now`. A server that does not tell can still be read.
        let running = sqlx::raw_sql(RUNNING).fetch_all(&mut connection).await.unwrap_or_default();
        let begun = sqlx::raw_sql(BEGIN).fetch_one(&mut connection).await;
        let begun = begun.map_err(|error| SourceError::Session { database, server, source: error.into() })?;
        let version = text(&begun, 0).and_then(|version| version.parse().ok()).unwrap_or_default();
        Ok(Self { connection, moment: moment(&running), version, kinds: HashMap::new() })
    }

    pub(super) fn moment(&self) -> Option<Moment> {
        self.moment.clone()
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<String>, SourceError> {
        let failed = |error| not_read("list its tables", error);
        let rows = sqlx::raw_sql(TABLES).fetch_all(&mut self.connection).await.map_err(failed)?;
        let name = |row: &PgRow| Ok(row.try_get_raw(0)?.as_str().map_err(sqlx::Error::Decode)?.to_owned());
        rows.iter().map(name).collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// One row of NULLs says what the columns are, without a prepared statement and without running the SELECT.
    pub(super) async fn describe(&mut self, select: &str) -> Result<Vec<SourceColumn>, SourceError> {
        let failed = |error: sqlx::Error| SourceError::Read { action: "prepare the SELECT", source: error.into() };
        // A SELECT that is refused would abort the transaction, and with it the look for the right name.
        sqlx::raw_sql("SAVEPOINT columns").execute(&mut self.connection).await.map_err(failed)?;
        // The SELECT may end with a comment.
        let probe = format!("SELECT given.* FROM (SELECT 1) AS one LEFT JOIN (\n{select}\n) AS given ON false");
        let row = sqlx::raw_sql(AssertSqlSafe(probe)).fetch_one(&mut self.connection).await;
        let end = if row.is_ok() { "RELEASE SAVEPOINT columns" } else { "ROLLBACK TO SAVEPOINT columns" };
        // Where the connection is lost, the first error is the one that counts.
        let ended = sqlx::raw_sql(end).execute(&mut self.connection).await;
        let row = row.map_err(failed)?;
        ended.map_err(failed)?;
        self.kinds.insert(select.to_owned(), kinds(&row));
        let described = row.columns().iter().map(|column| SourceColumn {
            name: column.name().to_owned(),
            type_name: column.type_info().name().to_lowercase(),
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
        let mut known: Option<Vec<Kind>> = None;
        let records = rows.map(move |row| {
            let row = row.map_err(failed)?;
            let kinds = known.get_or_insert_with(|| kinds(&row));
            let mut record = blanks.record(&columns);
            for (index, kind) in kinds.iter().enumerate().take(columns.len()) {
                record.push(cell(&row.try_get_raw(index).map_err(failed)?, *kind));
            }
            Ok(record)
        });
        records.boxed()
    }

    /// The same, of a SELECT that was described, and in a third less time: PostgreSQL copies them out. Whoever does not take all
    /// of them has no use for the connection any more.
    pub(super) fn all_records<'s>(
        &'s mut self,
        select: &str,
        columns: Arc<[String]>,
        blanks: &'s Blanks,
    ) -> BoxStream<'s, Result<Record, SourceError>> {
        let Some(kinds) = self.kinds.get(select).cloned() else { return self.records(select, columns, blanks) };
        let failed = |error| not_read("give all its records", error);
        let binary = self.version >= BINARY_SINCE && kinds.iter().all(|kind| kind.is_read_as_binary());
        let format = if binary { "binary" } else { "text" };
        let copy = format!("COPY (\n{select}\n) TO STDOUT (FORMAT {format})");
        let connection = &mut self.connection;
        let lines = stream::once(async move { connection.copy_out_raw(&copy).await }).try_flatten();
        let records = lines.try_filter_map(move |line| {
            let mut record = blanks.record(&columns);
            future::ready(match binary {
                true => push_tuple(&mut record, &line, &kinds).map(|is_record| is_record.then_some(record)),
                false => {
                    push_line(&mut record, &line, &kinds);
                    Ok(Some(record))
                }
            })
        });
        records.map_err(failed).boxed()
    }

    pub(super) async fn close(self) {
        // Everything is read, and the server ends the session by itself if it does not hear this.
        let _ = self.connection.close().await;
    }
}

/// The text at a position.
fn text(row: &PgRow, column: usize) -> Option<String> {
    match cell(&row.try_get_raw(column).ok()?, Kind::Other) {
        Cell::Text(text) => Some(text.to_owned()),
        _ => None,
    }
}

/// What the rows of [`RUNNING`] say, unless this is a standby: transactions run on its primary.
fn moment(rows: &[PgRow]) -> Option<Moment> {
    let first = rows.first()?;
    if cell(&first.try_get_raw(0).ok()?, Kind::Boolean) != Cell::Boolean(false) {
        return None;
    }
    let instant = |text: String| text.parse().ok();
    let running = rows.iter().filter_map(|row| Some((text(row, 2)?, text(row, 3).and_then(instant))));
    Some(Moment { now: Some(instant(text(first, 1)?)?), running: running.collect() })
}

/// A message that may repeat a value, or that a function of the source made up, is left out. Even a name that is unknown may be a
/// value that was cast to one.
fn not_read(action: &'static str, error: sqlx::Error) -> SourceError {
    match error {
        // So ends a copy whatever the server said last.
        sqlx::Error::Io(end) if end.kind() == io::ErrorKind::UnexpectedEof => SourceError::Ended { action },
        error => match Said::from(error) {
            Said::Server { code, .. } if !WITHOUT_VALUES.iter().any(|known| code.starts_with(known)) => {
                SourceError::Value { action, code }
            }
            source => SourceError::Read { action, source },
        },
    }
}

fn family(type_name: &str) -> Family {
    match type_name {
        "INT2" | "INT4" | "INT8" | "FLOAT4" | "FLOAT8" | "NUMERIC" => Family::Number,
        "BOOL" => Family::Boolean,
        "TIMESTAMPTZ" => Family::TimestampTz,
        "TIMESTAMP" => Family::Timestamp,
        "DATE" => Family::Date,
        "TIME" => Family::Time,
        "INTERVAL" => Family::Interval,
        _ => Family::Other,
    }
}

fn kinds(row: &PgRow) -> Vec<Kind> {
    row.columns().iter().map(|column| Kind::of(column.type_info())).collect()
}

fn cell<'r>(value: &PgValueRef<'r>, kind: Kind) -> Cell<'r> {
    // Only NULL has no bytes.
    value.as_bytes().map_or(Cell::Null, |bytes| of_text(bytes, kind))
}
