//! The source in MariaDB: a real server, the same organisation as in SQLite, its types, its failures.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt};
use intake::{
    address::Address,
    mapping::Mapping,
    secret::Source,
    source::{Family, Snapshot, SourceError},
};
use serde_json::{Value, json};
use shared::{contribution::Scope, telemetry::chain};
use sqlx::{
    ConnectOptions, Executor, MySqlConnection, Row,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};
use tokio::sync::{OnceCell, RwLock};
use wastewalk_tests::{House, files, foreign, insight, json, postgres::statement, python};

use crate::postgres::{demo_rows, secrets, source_rows};

/// A user whom only these tests know. The password has to be percent-encoded, and is looked for in messages.
const READER: (&str, &str) = ("reader", "geh@im:/?#%");
const READER_URL: &str = "reader:geh%40im%3A%2F%3F%23%25";

/// One server for all tests of this process, each in a database of its own. It stops when nobody holds its standard input
/// any more, which is so when this process ends, however it ends.
pub struct Server {
    told: Value,
    databases: AtomicUsize,
    _running: (Child, ChildStdin),
}

static SERVER: OnceCell<Server> = OnceCell::const_new();

impl Server {
    pub async fn get() -> anyhow::Result<&'static Self> {
        SERVER.get_or_try_init(Self::start).await
    }

    async fn start() -> anyhow::Result<Self> {
        let (mut command, missing) = python("mariadb.py");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(missing)?;
        let (stdin, stdout) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let told = serde_json::from_str(&line).context("MariaDB did not start; what it said is above")?;
        let server = Self { told, databases: AtomicUsize::default(), _running: (child, stdin) };
        let (name, password) = READER;
        let reader = format!("CREATE USER {name} IDENTIFIED BY '{password}'");
        server.connect(None).await?.execute(statement(reader)).await?;
        Ok(server)
    }

    /// As root, in UTC.
    async fn connect(&self, database: Option<&str>) -> anyhow::Result<MySqlConnection> {
        let told = |key: &str| self.told[key].as_str().with_context(|| key.to_owned());
        let options = MySqlConnectOptions::new().socket(told("socket")?).username("root").password(told("password")?);
        let options = options.ssl_mode(MySqlSslMode::Disabled);
        Ok(database.into_iter().fold(options, MySqlConnectOptions::database).connect().await?)
    }

    fn port(&self) -> u64 {
        self.told["port"].as_u64().unwrap_or_default()
    }

    /// A new database that the reader may read, and what makes it.
    pub async fn database(&self, statements: &str) -> anyhow::Result<Database<'_>> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name}; GRANT SELECT, EXECUTE ON {name}.* TO reader");
        self.connect(None).await?.execute(statement(create)).await?;
        let database = Database { server: self, name };
        database.execute(statements).await?;
        Ok(database)
    }
}

pub struct Database<'a> {
    pub server: &'a Server,
    pub name: String,
}

impl Database<'_> {
    pub fn url(&self) -> String {
        format!("mysql://{READER_URL}@127.0.0.1:{}/{}?ssl-mode=DISABLED", self.server.port(), self.name)
    }

    pub async fn execute(&self, statements: &str) -> anyhow::Result<()> {
        self.server.connect(Some(&self.name)).await?.execute(statement(statements.to_owned())).await?;
        Ok(())
    }

    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(Snapshot::open(&self.url().parse()?).await?)
    }
}

/// The demo's schema in MariaDB's own types.
pub const SCHEMA: &str = "
    CREATE TABLE teams (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE users (id BIGINT PRIMARY KEY, team_id BIGINT NOT NULL REFERENCES teams (id), name TEXT NOT NULL,
        timezone VARCHAR(40) NOT NULL);
    CREATE TABLE sprints (id INT PRIMARY KEY, team_id BIGINT NOT NULL REFERENCES teams (id), name TEXT NOT NULL,
        starts_at TIMESTAMP NOT NULL, ends_at TIMESTAMP NOT NULL, released_at TIMESTAMP NULL);
    CREATE TABLE activity_stereotypes (code VARCHAR(40) PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL,
        automatable BOOL);
    CREATE TABLE activities (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL REFERENCES users (id),
        sprint_id INT REFERENCES sprints (id), stereotype_code VARCHAR(40) NOT NULL, started_at TIMESTAMP NOT NULL,
        duration INT, in_sprint BOOL, rating TINYINT, note TEXT, created_at TIMESTAMP NOT NULL,
        updated_at TIMESTAMP NOT NULL);";

async fn demo_organisation(server: &Server) -> anyhow::Result<Database<'_>> {
    let utf8 = format!("ALTER DATABASE DEFAULT CHARACTER SET utf8mb4; {SCHEMA}");
    let database = server.database(&utf8).await?;
    for insert in demo_rows().await? {
        // MariaDB reads an instant in the zone of the session, which is UTC here, and knows no `Z`.
        database.execute(&format!("SET sql_mode = 'NO_BACKSLASH_ESCAPES'; {}", insert.replace("Z'", "'"))).await?;
    }
    Ok(database)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_organisation_in_mariadb_gives_the_same_activities_and_the_reference_figure() -> anyhow::Result<()> {
    let database = demo_organisation(Server::get().await?).await?;
    let house = House::at(&database.url(), Mapping::load("reference")?)?;
    let (stack, work) = house.worked().await?;
    let run = work.run.map_err(anyhow::Error::msg)?;

    let reference = House::demo().await?;
    let (sqlite, work) = reference.worked().await?;
    let expected = work.run.map_err(anyhow::Error::msg)?;
    assert_eq!((run.counts, run.days), (expected.counts, expected.days));
    assert_eq!(run.quarantined_by_reason, expected.quarantined_by_reason);
    let lakes = [house.lake(), reference.lake()].map(|lake| lake.display().to_string());
    let same = foreign("same.py", &[&lakes[0], &lakes[1]])?;
    let rows = json!(expected.counts.written);
    assert_eq!((&same["rows"], &same["differ"]), (&json!([rows, rows]), &json!(0)));
    assert!(same["columns"].as_u64() > Some(20), "{same}");

    let answer = json(&stack, &format!("/v1/insights?scope={}", Scope::Team("1".to_owned()))).await?;
    let automatable = insight(&answer, "automatable")?;
    assert_eq!(automatable["ratio"], json!(0.23));
    assert_eq!(automatable["hours_per_sprint"]["value"], json!(147.2));

    // What the record was is kept in the source's own words and types.
    let mut snapshot = database.snapshot().await?;
    let rows = source_rows(&mut snapshot, "SELECT * FROM activities WHERE id = 203").await?;
    assert_eq!((&rows[0]["in_sprint"], &rows[0]["user_id"]), (&json!(1), &json!(11)));
    assert_eq!(rows[0]["started_at"], "2026-08-04 06:49:58+00");
    stack.stop().await?;
    sqlite.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_through_whole_whatever_the_server_is_set_to() -> anyhow::Result<()> {
    // The server is set to Latin-1 and to another zone.
    let database = Server::get()
        .await?
        .database(
            r#"CREATE TABLE t (i1 TINYINT, yes BOOL, many TINYINT(1), i2 SMALLINT, i3 MEDIUMINT, i4 INT, i8 BIGINT,
                   u1 TINYINT UNSIGNED, u8 BIGINT UNSIGNED, filled INT(6) ZEROFILL, bit1 BIT, bit9 BIT(9), bit64 BIT(64),
                   f4 FLOAT, f8 DOUBLE, num DECIMAL(22, 4), id DECIMAL(18), day DATE, none DATE, at TIMESTAMP(3),
                   nowhen TIMESTAMP, local DATETIME, fine DATETIME(6), nolocal DATETIME, short TIME, long_ TIME,
                   below TIME(1), year YEAR, mood ENUM ('so, so', 'fine'), moods SET ('a', 'b', 'ä'),
                   latin VARCHAR(20) CHARACTER SET latin1, utf TEXT CHARACTER SET utf8mb4,
                   exact VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, padded CHAR(4), empty_ VARCHAR(4),
                   json JSON, bytes BLOB, fixed BINARY(3), ascii VARBINARY(9), uuid UUID, inet INET6, point POINT,
                   missing INT, "end" INT) DEFAULT CHARACTER SET latin1;
               SET sql_mode = 'NO_BACKSLASH_ESCAPES';
               INSERT INTO t VALUES (-128, true, 7, -32768, -8388608, -2147483648, 9223372036854775807, 255,
                   18446744073709551615, 42, 1, 257, 18446744073709551615, 0.1, 0.1e0 + 0.2e0, 123456789012345678.1200,
                   100000000000000001, '2026-08-03', '0000-00-00', '2026-08-03 04:49:58.123', '0000-00-00 00:00:00',
                   '2026-08-03 06:49:58', '2026-08-03 06:49:58.000001', '0000-00-00 00:00:00', '06:49:58', '838:59:59',
                   '-02:03:04.5', 2026, 'so, so', 'a,ä', 'größer “€”', 'it''s “ä” \ 🦀', 'Ä', 'ab', '', '{"b":  1}',
                   x'00ff', x'610000', 'text', '8c5e9c4e-29d3-4a8a-9d5c-2f5f6f0c1a2b', '::1', POINT(1, 2), NULL, 1)"#
                .replace("\"end\"", "`end`")
                .as_str(),
        )
        .await?;
    let mut snapshot = database.snapshot().await?;
    // The words of a SELECT mean what they mean elsewhere.
    let select = r#"
        SELECT t.*, "end" || '\' AS joined, CAST(0.1 AS DOUBLE) AS made, now() - now() AS none_, TIMEDIFF(fine, local) AS t,
            nullif(none, '0000-00-00') AS noday
        FROM t -- the last one
    "#;
    let expected: Value = serde_json::from_str(
        r#"{
        "i1": -128, "yes": 1, "many": 7, "i2": -32768, "i3": -8388608, "i4": -2147483648,
        "i8": 9223372036854775807, "u1": 255, "u8": "18446744073709551615", "filled": 42, "bit1": 1, "bit9": 257,
        "bit64": "18446744073709551615", "f4": 0.1, "f8": 0.30000000000000004, "num": "123456789012345678.1200",
        "id": "100000000000000001", "day": "2026-08-03", "none": "0000-00-00", "at": "2026-08-03 04:49:58.123+00",
        "nowhen": "0000-00-00 00:00:00+00", "local": "2026-08-03 06:49:58", "fine": "2026-08-03 06:49:58.000001",
        "nolocal": "0000-00-00 00:00:00", "short": "06:49:58", "long_": "838:59:59", "below": "-02:03:04.5",
        "year": 2026, "mood": "so, so", "moods": "a,ä", "latin": "größer “€”", "utf": "it's “ä” \\ 🦀", "exact": "Ä",
        "padded": "ab", "empty_": "", "json": "{\"b\":  1}", "bytes": "\\x00ff", "fixed": "\\x610000",
        "ascii": "\\x74657874", "uuid": "8c5e9c4e-29d3-4a8a-9d5c-2f5f6f0c1a2b", "inet": "::1",
        "point": "\\x000000000101000000000000000000f03f0000000000000040", "missing": null, "end": 1,
        "joined": "1\\", "made": 0.1, "none_": 0, "noday": null, "t": "00:00:00.000001"}"#,
    )?;
    let rows = source_rows(&mut snapshot, select).await?;
    assert_eq!(rows, [expected]);

    let described = snapshot.describe(select).await?;
    let family = |name: &str| {
        let column = described.iter().find(|column| column.name == name)?;
        Some((column.type_name.as_str(), column.family))
    };
    for (name, type_name, expected) in [
        ("many", "tinyint", Family::Number),
        ("u8", "bigint unsigned", Family::Number),
        ("bit1", "bit", Family::Number),
        ("num", "decimal", Family::Number),
        ("f4", "float", Family::Number),
        ("at", "timestamp", Family::TimestampTz),
        ("local", "datetime", Family::Timestamp),
        ("day", "date", Family::Date),
        ("short", "time", Family::Time),
        ("latin", "varchar", Family::Other),
    ] {
        assert_eq!(family(name), Some((type_name, expected)), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_of_one_moment_and_reads_only() -> anyhow::Result<()> {
    let database = Server::get()
        .await?
        .database(
            "CREATE TABLE a ENGINE = InnoDB AS SELECT seq AS id, repeat('x', 200) AS pad FROM seq_1_to_20000;
             CREATE TABLE b (id INT) ENGINE = InnoDB; INSERT INTO b VALUES (1);
             CREATE FUNCTION grow() RETURNS INT BEGIN INSERT INTO b VALUES (3); RETURN 3; END;",
        )
        .await?;
    let mut snapshot = database.snapshot().await?;
    // Before anything is read: the snapshot is of when it was opened.
    database.execute("INSERT INTO b VALUES (2)").await?;
    let columns = snapshot.columns("SELECT * FROM a").await?;
    let mut records = snapshot.records("SELECT * FROM a", columns);
    records.next().await.context("a record")??;
    database.execute("INSERT INTO a VALUES (0, ''); DELETE FROM a WHERE id > 10000; INSERT INTO b VALUES (4)").await?;
    let rest: Vec<_> = records.try_collect().await?;
    assert_eq!(rest.len(), 19_999);
    assert_eq!(source_rows(&mut snapshot, "SELECT * FROM b").await?, [json!({"id": 1})]);
    snapshot.close().await;
    let mut snapshot = database.snapshot().await?;
    assert_eq!(source_rows(&mut snapshot, "SELECT count(*) AS n FROM a").await?, [json!({"n": 10_001})]);
    // The server ends what waits, and not what is only slow to take its records.
    let limits = "SELECT @@max_statement_time AS statement, @@net_write_timeout AS taking, @@wait_timeout AS idle, @@time_zone AS z";
    let expected = json!({"statement": 900.0, "taking": 900, "idle": 300, "z": "+00:00"});
    assert_eq!(source_rows(&mut snapshot, limits).await?, [expected]);
    let written = source_rows(&mut snapshot, "SELECT grow()").await.unwrap_err();
    assert!(chain(written.as_ref()).contains("READ ONLY transaction"), "{written:?}");
    Ok(())
}

async fn refused(url: &str) -> anyhow::Result<SourceError> {
    let address: Address = url.parse()?;
    let error = Snapshot::open(&address).await.err().context("it must not open")?;
    let said = format!("{} {error:?}", chain(&error));
    for private in ["geheim", "geh@im", "geh%40im", "reader", "nobody"] {
        assert!(!said.contains(private), "{private}: {said}");
    }
    Ok(error)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_nobody_in_is_named_with_a_next_step_and_without_credentials() -> anyhow::Result<()> {
    let server = Server::get().await?;
    let (port, free) = (server.port(), std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    let here = format!("127.0.0.1:{port}");
    for (url, server, next) in [
        (format!("mysql://reader:geheim@{here}/x?ssl-mode=DISABLED"), &here, "check user, password and the account"),
        (format!("mysql://nobody:geheim@{here}/x?ssl-mode=DISABLED"), &here, "check user, password and the account"),
        (format!("mysql://{READER_URL}@{here}/nowhere?ssl-mode=DISABLED"), &here, "check user, password"),
        // Nobody signed for this name, and the authority is none that the world knows.
        (format!("mysql://{READER_URL}@{here}/x"), &here, "ssl-ca=FILE"),
        (
            format!("mysql://{READER_URL}@127.0.0.1:{free}/x"),
            &format!("127.0.0.1:{free}"),
            "no MySQL or MariaDB answers",
        ),
        (format!("mariadb://{READER_URL}@no.invalid/x"), &"no.invalid:3306".to_owned(), "check host and port"),
        (
            format!("mysql://{READER_URL}@localhost/x?socket=/no/socket&ssl-mode=DISABLED"),
            &"/no/socket".to_owned(),
            "check host and",
        ),
    ] {
        let error = refused(&url).await?;
        assert!(error.to_string().contains(next) && error.to_string().contains(server), "{url}: {error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified_by_default_against_the_authorities_that_are_named() -> anyhow::Result<()> {
    let database = Server::get().await?.database("CREATE TABLE a (id INT)").await?;
    let (server, ca) = (database.server, database.server.told["ca"].as_str().context("an authority")?);
    let url =
        |host: &str, query: &str| format!("mysql://{READER_URL}@{host}:{}/{}{query}", server.port(), database.name);
    let mut encrypted = Snapshot::open(&url("localhost", &format!("?ssl-ca={ca}")).parse()?).await?;
    let cipher = source_rows(
        &mut encrypted,
        "SELECT variable_value AS cipher FROM information_schema.session_status
        WHERE variable_name = 'Ssl_cipher'",
    )
    .await?;
    assert!(cipher[0]["cipher"].as_str().is_some_and(|cipher| cipher.starts_with("TLS")), "{cipher:?}");
    let deployed = Source::at(url("localhost", "")).trusting(ca);
    Snapshot::open(&deployed.address().await?).await?;

    for url in [
        // An authority that nobody knows; another host's certificate; a file that is not there.
        url("localhost", ""),
        url("127.0.0.1", &format!("?ssl-ca={ca}")),
        url("localhost", "?ssl-ca=/no/such/file.pem"),
    ] {
        let error = refused(&url).await?;
        assert!(matches!(error, SourceError::Tls { .. }), "{url}: {error:?}");
        assert!(
            error.to_string().contains("ssl-ca=FILE") && error.to_string().contains("ssl-mode=DISABLED"),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_in_the_middle_fails_and_no_record_is_passed_over() -> anyhow::Result<()> {
    let database = Server::get()
        .await?
        .database("CREATE TABLE a AS SELECT seq AS id, repeat('x', 2000) AS pad FROM seq_1_to_50000")
        .await?;
    let mut snapshot = database.snapshot().await?;
    let id = source_rows(&mut snapshot, "SELECT connection_id() AS id").await?[0]["id"].clone();
    let columns = snapshot.columns("SELECT * FROM a").await?;
    let mut records = snapshot.records("SELECT * FROM a", columns);
    records.next().await.context("a record")??;
    database.execute(&format!("KILL CONNECTION {id}")).await?;
    let lost = records.try_fold(1, |read, _| async move { Ok(read + 1) }).await.unwrap_err();
    assert!(lost.to_string().contains("the source could not give all its records"), "{lost:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_does_not_fit_is_refused_with_the_nearest_name_and_no_value() -> anyhow::Result<()> {
    let server = Server::get().await?;
    let database = demo_organisation(server).await?;
    let other = server.database("CREATE TABLE persons (id INT)").await?;
    database
        .execute(
            "UPDATE activities SET note = 'geheim' WHERE id = 203; CREATE TABLE hidden (id INT);
             CREATE FUNCTION told(said TEXT) RETURNS TEXT BEGIN SIGNAL SQLSTATE '45000' SET message_text = said; RETURN said; END;",
        )
        .await?;
    server
        .connect(None)
        .await?
        .execute(statement(format!(
            "CREATE USER narrow IDENTIFIED BY 'geheim'; GRANT SELECT ON {}.teams TO narrow",
            database.name
        )))
        .await?;
    let reference =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions/intake/sources/reference.toml"))?;
    let persons = format!("SELECT * FROM {}.person", other.name);
    let narrow = database.url().replace(READER_URL, "narrow:geheim");
    let url = &database.url();
    for (url, from, to, expected) in [
        (url, "SELECT * FROM teams", "SELECT * FROM team", "did you mean `teams`?"),
        (url, "SELECT * FROM users", persons.as_str(), &format!("did you mean `{}.persons`?", other.name)),
        (url, "rating = \"rating\"", "rating = \"ratin\"", "did you mean `rating`?"),
        (url, "SELECT * FROM teams", "SELECT ratin FROM activities", "Unknown column 'ratin'"),
        (url, "SELECT * FROM teams", "SELECT *, name FROM teams", "the column `name` twice"),
        (url, "SELECT * FROM users", "SELECT * FROM users WHERE", "error in your SQL syntax"),
        (
            url,
            "{ column = \"duration\", unit = \"seconds\" }",
            "{ column = \"started_at\", unit = \"seconds\" }",
            "expects a number of seconds, and the column `started_at` has the type timestamp",
        ),
        (
            url,
            "SELECT * FROM activities",
            "SELECT *, told(coalesce(note, 'geheim')) AS said FROM activities",
            "fails on a value (SQLSTATE 45000, error 1644)",
        ),
        // What may repeat a value is of the class of syntax errors, too.
        (
            url,
            "SELECT * FROM activities",
            "SELECT *, told(NULL) AS said FROM activities",
            "fails on a value (SQLSTATE 42000",
        ),
        (
            url,
            "SELECT * FROM activities",
            "SELECT *, 18446744073709551615 + length(note) AS n FROM activities WHERE id = 203",
            "fails on a value (SQLSTATE 22003",
        ),
        (
            &narrow,
            "SELECT * FROM users",
            "SELECT * FROM users",
            "this user may not do that (SQLSTATE 42000, error 1142)",
        ),
        (url, "[source]", "[source]\ndatabase = \"sqlite\"", "the mapping is for sqlite, and the source is mysql"),
    ] {
        ensure!(reference.contains(from), "{from}");
        let mapping = Mapping::parse("m.toml", &reference.replace(from, to))?;
        let house = House::at(url, mapping)?;
        let stack = house.stack(None).await?;
        let refused = chain(stack.read_source().await.unwrap_err().as_ref());
        let private = ["geheim", "narrow", "reader"].iter().any(|private| refused.contains(private));
        assert!(refused.contains(expected) && !private, "{expected}: {refused}");
        assert!(!files(&house.lake())?.keys().any(|key| key.starts_with("activities/")));
        stack.stop().await?;
    }
    // The snapshot's own session ends when it is let go of.
    let mut root = server.connect(None).await?;
    let sessions = "SELECT count(*) FROM information_schema.processlist WHERE user IN ('narrow')";
    assert_eq!(root.fetch_one(sessions).await?.get::<i64, _>(0), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_says_who_reads_and_is_read_again_for_each_run() -> anyhow::Result<()> {
    let database = demo_organisation(Server::get().await?).await?;
    let name = &database.name;
    let create = format!(
        "CREATE USER rotating_{name} IDENTIFIED BY 'first:/@geheim'; GRANT SELECT ON {name}.* TO rotating_{name}"
    );
    database.execute(&create).await?;
    let port = database.server.port();
    let secret = |password: &str| {
        json!({ "username": format!("rotating_{name}"), "password": password, "engine": "mariadb", "host": "127.0.0.1",
                "port": port, "dbname": name })
        .to_string()
    };
    let content = Arc::new(RwLock::new(secret("first:/@geheim")));
    // Where to find it is in the secret, too, but not that there is no TLS here.
    let source = Source::at("mysql://elsewhere.invalid/nowhere?ssl-mode=DISABLED")
        .with_secret(secrets(content.clone()).await?, "arn:aws:secretsmanager:source");
    Snapshot::open(&source.address().await?).await?.close().await;
    database.execute(&format!("ALTER USER rotating_{name} IDENTIFIED BY 'second geheim'")).await?;
    let stale = Snapshot::open(&source.address().await?).await.err().context("the password is old")?;
    let said = format!("{stale:?} {}", chain(&stale));
    assert!(said.contains("lets this user not in (SQLSTATE 28000, error 1045)") && !said.contains("geheim"), "{said}");
    assert!(!said.contains("rotating_"), "{said}");
    *content.write().await = secret("second geheim");
    Snapshot::open(&source.address().await?).await?.close().await;
    Ok(())
}
