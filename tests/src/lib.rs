//! What the end-to-end tests stand on: a whole stack in a folder of its own, requests to its API, and DuckDB as a
//! foreign reader of its lake.

pub mod postgres;
pub mod requests;
pub mod year;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use axum::{
    body::Body,
    http::{Request, Uri},
    response::Response,
};
use chrono::TimeDelta;
use intake::mapping::Mapping;
use serde_json::Value;
use shared::settings::LogicSettings;
use tower::ServiceExt;
use wastewalk::{
    bus::Faults,
    demo,
    progress::Show,
    stack::{Settings, Stack},
    up::{self, Work},
};

/// The tables of the reference mapping's schema.
pub const SCHEMA: &str = "
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE users (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, timezone TEXT);
    CREATE TABLE sprints (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, starts_at TEXT, ends_at TEXT, released_at TEXT);
    CREATE TABLE activity_stereotypes (code TEXT PRIMARY KEY, name TEXT, category TEXT, automatable BOOL);
    CREATE TABLE activities (id INTEGER PRIMARY KEY, user_id INTEGER, sprint_id INTEGER, stereotype_code TEXT,
        started_at TEXT, duration INTEGER, in_sprint BOOL, rating INTEGER, note TEXT, created_at TEXT, updated_at TEXT);
";

/// A folder with a source in it, over which stacks can be started one after the other.
pub struct House {
    folder: tempfile::TempDir,
    source_url: String,
    mapping: Mapping,
    classification: Option<String>,
    logic: LogicSettings,
}

fn sqlite(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

impl House {
    /// Over the demo organisation.
    pub async fn demo() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("demo.sqlite");
        demo::create(&source).await?;
        Ok(Self::new(folder, sqlite(&source), Mapping::load("reference")?))
    }

    fn new(folder: tempfile::TempDir, source_url: String, mapping: Mapping) -> Self {
        Self { folder, source_url, mapping, classification: None, logic: LogicSettings::default() }
    }

    /// Over a source elsewhere, read by a mapping.
    pub fn at(source_url: &str, mapping: Mapping) -> anyhow::Result<Self> {
        Ok(Self::new(tempfile::tempdir()?, source_url.to_owned(), mapping))
    }

    /// Over a SQLite file and a mapping of yours.
    pub fn over(source: &Path, mapping: &Path) -> anyhow::Result<Self> {
        let mapping = Mapping::load(mapping.to_str().context("the path is not UTF-8")?)?;
        Self::at(&sqlite(source), mapping)
    }

    /// Over a SQLite file that SQL statements make, read by the reference mapping.
    pub async fn of(statements: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("source.sqlite");
        let house = Self::new(folder, sqlite(&source), Mapping::load("reference")?);
        house.execute(statements).await?;
        Ok(house)
    }

    /// The same where planning may go on for some days and a gap be some hours long.
    pub fn settled(self, grace_days: u32, long_gap_hours: u32) -> Self {
        Self { logic: LogicSettings { grace_days, long_gap_hours, ..self.logic }, ..self }
    }

    /// The same house under another logic: whatever is started from now on goes by this classification, or by the one
    /// that was built in.
    pub fn classified_by(self, classification: Option<&str>) -> Self {
        Self { classification: classification.map(str::to_owned), ..self }
    }

    /// The folder of the stack's data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Deletes the source.
    pub fn lose_source(&self) -> anyhow::Result<()> {
        let file = self.source_url.strip_prefix("sqlite://").context("the source is no SQLite file")?;
        Ok(std::fs::remove_file(file)?)
    }

    /// From now on the source is read by another mapping.
    pub fn read_by(&mut self, mapping: Mapping) {
        self.mapping = mapping;
    }

    /// The source's address.
    pub fn source_url(&self) -> &str {
        &self.source_url
    }

    /// Changes the source, a SQLite file.
    pub async fn execute(&self, statements: &str) -> anyhow::Result<()> {
        use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};
        let options = self.source_url.parse::<SqliteConnectOptions>()?.create_if_missing(true);
        let mut connection = options.connect().await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await?;
        Ok(connection.close().await?)
    }

    /// The records that a query of the source gives, as JSON objects of its numbers and texts.
    pub async fn rows(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row, sqlite::SqliteConnectOptions};
        let mut connection = self.source_url.parse::<SqliteConnectOptions>()?.connect().await?;
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut connection).await?;
        let value = |row: &sqlx::sqlite::SqliteRow, name: &str| -> anyhow::Result<Value> {
            if let Ok(number) = row.try_get_unchecked::<Option<i64>, _>(name)
                && row.try_get_unchecked::<Option<String>, _>(name)? == number.map(|number| number.to_string())
            {
                return Ok(number.into());
            }
            Ok(row.try_get_unchecked::<Option<String>, _>(name)?.into())
        };
        let mut records = Vec::new();
        for row in rows {
            let mut record = serde_json::Map::new();
            for column in row.columns() {
                record.insert(column.name().to_owned(), value(&row, column.name())?);
            }
            records.push(Value::Object(record));
        }
        connection.close().await?;
        Ok(records)
    }

    /// The lake's folder, for a reader that is not ours.
    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("data/s3/wastewalk-lake")
    }

    /// Deletes the table, as if the cache were lost. No stack may be running.
    pub fn lose_table(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(self.folder.path().join("data"))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("table.sqlite")) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Starts a stack here.
    pub async fn stack(&self, faults: Option<Faults>) -> anyhow::Result<Stack> {
        self.stack_with(faults, None).await
    }

    /// Starts a stack here whose functions run elsewhere. Each run of it reads everything, unless told otherwise.
    pub async fn stack_with(&self, faults: Option<Faults>, invoke: Option<Uri>) -> anyhow::Result<Stack> {
        let time_zone = self.mapping.time_zone.map_or_else(|| demo::TIME_ZONE.parse(), Ok)?;
        let settings = Settings {
            classification: self.classification.clone(),
            faults,
            invoke,
            ..Settings::over(self.data(), self.source_url.clone(), self.mapping.clone(), time_zone)
        };
        let logic = LogicSettings { organisation_time_zone: time_zone, ..self.logic };
        let mut stack = Stack::start_under(settings, logic).await?;
        stack.intake.pace.reconcile_every = TimeDelta::zero();
        Ok(stack)
    }

    /// Starts a stack here and does all the work there is.
    pub async fn worked(&self) -> anyhow::Result<(Stack, Work)> {
        let stack = self.stack(None).await?;
        let work = up::work(&stack, Show::Nothing).await?;
        Ok((stack, work))
    }
}

/// Asks the API of a stack.
pub async fn get(stack: &Stack, uri: &str) -> anyhow::Result<Response> {
    let request = Request::builder().uri(uri).body(Body::empty())?;
    Ok(api::router(stack.api.clone()).oneshot(request).await?)
}

/// Asks for text that must be there.
pub async fn text(stack: &Stack, uri: &str) -> anyhow::Result<String> {
    let response = get(stack, uri).await?;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    let text = String::from_utf8(body.to_vec())?;
    ensure!(status.is_success(), "{uri} answered {status}: {text}");
    Ok(text)
}

/// Asks for JSON that must be there.
pub async fn json(stack: &Stack, uri: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&text(stack, uri).await?)?)
}

/// One insight out of an answer.
pub fn insight<'a>(answer: &'a Value, id: &str) -> anyhow::Result<&'a Value> {
    let insights = answer["insights"].as_array().context("no insights")?;
    insights.iter().find(|insight| insight["id"] == id).with_context(|| format!("no insight {id}"))
}

/// A Python script of `tests/foreign`, and what to say if there is no Python.
pub fn python(script: &str) -> (Command, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("WASTEWALK_PYTHON").map_or_else(|| root.join("../.tools/python/bin/python"), PathBuf::from);
    let mut command = Command::new(&python);
    command.arg(root.join("foreign").join(script));
    (command, format!("{} is missing; `make tools` makes it", python.display()))
}

/// Runs a Python script of `tests/foreign` with DuckDB at hand and returns what it prints, as JSON.
pub fn foreign(script: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let (mut command, missing) = python(script);
    let output = command.args(arguments).output().context(missing)?;
    if !output.status.success() {
        bail!("{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Every file under a folder with its bytes, by its path inside it.
pub fn files(folder: &Path) -> anyhow::Result<std::collections::BTreeMap<String, Vec<u8>>> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                found.insert(name, std::fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// A program of the workspace, as it was built last.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let binary = test.parent().and_then(Path::parent).context("the test has no folder")?.join(name);
    ensure!(binary.exists(), "{} is missing; run `cargo build --workspace --bins`", binary.display());
    Ok(binary)
}
