//! A real PostgreSQL server, for tests and benchmarks that read one.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Context;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use crate::python;

/// A user whom only these tests know. The password has to be percent-encoded, and is looked for in messages.
pub const READER: (&str, &str) = ("reader", "geh@im:/?#%");
/// The same in a URL.
pub const READER_URL: &str = "reader:geh%40im%3A%2F%3F%23%25";

/// One server for all tests of this process, each in a database of its own. It stops when nobody holds its standard input
/// any more, which is so when this process ends, however it ends.
pub struct Server {
    /// What it said when it was ready: see `tests/foreign/postgres.py`.
    pub told: Value,
    databases: AtomicUsize,
    _running: (Child, ChildStdin),
}

static SERVER: OnceCell<Server> = OnceCell::const_new();

impl Server {
    /// The one of this process.
    pub async fn get() -> anyhow::Result<&'static Self> {
        SERVER.get_or_try_init(Self::start).await
    }

    async fn start() -> anyhow::Result<Self> {
        let (mut command, missing) = python("postgres.py");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(missing)?;
        let (stdin, stdout) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let told = serde_json::from_str(&line).context("PostgreSQL did not start; what it said is above")?;
        let server = Self { told, databases: AtomicUsize::default(), _running: (child, stdin) };
        let (name, password) = READER;
        server
            .connect("postgres")
            .await?
            .execute(statement(format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'")))
            .await?;
        Ok(server)
    }

    /// As the superuser.
    pub async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        let socket = self.told["socket"].as_str().context("a socket")?;
        let url = format!("postgres:///{database}?host={socket}&port={}&user=postgres&sslmode=disable", self.port());
        Ok(PgConnection::connect(&url).await?)
    }

    /// Its port without TLS.
    pub fn port(&self) -> u64 {
        self.told["port"].as_u64().unwrap_or_default()
    }

    /// A new database that the reader may read, and what makes it.
    pub async fn database(&self, statements: &str) -> anyhow::Result<Database<'_>> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.connect("postgres").await?.execute(statement(format!("CREATE DATABASE {name}"))).await?;
        let database = Database { server: self, name };
        let grant = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader";
        database.execute(grant).await?;
        database.execute(statements).await?;
        Ok(database)
    }
}

/// A database of its own.
pub struct Database<'a> {
    /// Where it is.
    pub server: &'a Server,
    /// What it is called.
    pub name: String,
}

impl Database<'_> {
    /// Its address for the reader.
    pub fn url(&self) -> String {
        format!("postgres://{READER_URL}@127.0.0.1:{}/{}?sslmode=disable", self.server.port(), self.name)
    }

    /// Changes it.
    pub async fn execute(&self, statements: &str) -> anyhow::Result<()> {
        self.server.connect(&self.name).await?.execute(statement(statements.to_owned())).await?;
        Ok(())
    }
}

/// Any statements, without parameters.
pub fn statement(sql: String) -> sqlx::RawSql {
    sqlx::raw_sql(AssertSqlSafe(sql))
}

/// The demo's schema in PostgreSQL's own types.
pub const SCHEMA: &str = "
    CREATE TABLE teams (id bigint PRIMARY KEY, name text NOT NULL);
    CREATE TABLE users (id bigint PRIMARY KEY, team_id bigint NOT NULL REFERENCES teams, name text NOT NULL,
        timezone varchar(40) NOT NULL);
    CREATE TABLE sprints (id integer PRIMARY KEY, team_id bigint NOT NULL REFERENCES teams, name text NOT NULL,
        starts_at timestamptz NOT NULL, ends_at timestamptz NOT NULL, released_at timestamptz);
    CREATE TABLE activity_stereotypes (code text PRIMARY KEY, name text NOT NULL, category text NOT NULL,
        automatable boolean);
    CREATE TABLE activities (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users,
        sprint_id integer REFERENCES sprints, stereotype_code text NOT NULL, started_at timestamptz NOT NULL,
        duration integer, in_sprint boolean, rating smallint, note text, created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL);";
