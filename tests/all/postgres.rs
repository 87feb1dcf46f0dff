//! The source in PostgreSQL: a real server, the same organisation as in SQLite, its types, its failures, its secret.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, ensure};
use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use futures::{StreamExt, TryStreamExt};
use intake::{
    address::Address,
    mapping::Mapping,
    secret::Source,
    source::{Snapshot, SourceError},
};
use serde_json::{Value, json};
use shared::{contribution::Scope, telemetry::chain};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use tokio::{net::TcpListener, sync::RwLock};
use wastewalk::{
    demo,
    stack::{Settings, Stack},
};
use wastewalk_tests::{
    House, files, foreign, insight, json,
    postgres::{Database, READER_URL, SCHEMA, Server},
};

async fn snapshot_of(database: &Database<'_>) -> anyhow::Result<Snapshot> {
    Ok(Snapshot::open(&database.url().parse()?).await?)
}

/// The demo organisation, row for row: a literal in quotes takes the type of the column that it is put into.
pub async fn demo_rows() -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("demo.sqlite");
    demo::create(&file).await?;
    let mut sqlite = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
    let mut inserts = Vec::new();
    for table in ["teams", "users", "sprints", "activity_stereotypes", "activities"] {
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info(?)").bind(table).fetch_all(&mut sqlite).await?;
        let literals: Vec<String> = columns.iter().map(|column| format!("quote(CAST({column} AS TEXT))")).collect();
        let select = format!("SELECT '(' || {} || ')' FROM {table}", literals.join(" || ',' || "));
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(select)).fetch_all(&mut sqlite).await?;
        inserts.push(format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), rows.join(", ")));
    }
    Ok(inserts)
}

pub async fn demo_organisation(server: &Server) -> anyhow::Result<Database<'_>> {
    let database = server.database(SCHEMA).await?;
    for insert in demo_rows().await? {
        database.execute(&insert).await?;
    }
    Ok(database)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_organisation_in_postgresql_gives_the_same_activities_and_the_reference_figure() -> anyhow::Result<()>
{
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

    let team = Scope::Team("1".to_owned());
    let answer = json(&stack, &format!("/v1/insights?scope={team}")).await?;
    let automatable = insight(&answer, "automatable")?;
    assert_eq!(automatable["ratio"], json!(0.23));
    let hours = &automatable["hours_per_sprint"];
    assert_eq!(hours["value"], json!(147.2));
    assert_eq!(hours["seconds"].as_i64(), hours["sprints"].as_i64().map(|sprints| 529_920 * sprints));

    // What the record was is kept in the source's own words and types.
    let kept: String = sqlx::query("SELECT to_jsonb(a)->>'in_sprint' FROM activities a WHERE id = 203")
        .fetch_one(&mut database.server.connect(&database.name).await?)
        .await?
        .get(0);
    assert_eq!(kept, "true");
    let mut snapshot = snapshot_of(&database).await?;
    let rows = source_rows(&mut snapshot, "SELECT * FROM activities WHERE id = 203").await?;
    assert_eq!((&rows[0]["in_sprint"], &rows[0]["user_id"]), (&json!(true), &json!(11)));
    assert_eq!(rows[0]["started_at"], "2026-08-04 06:49:58+00");
    stack.stop().await?;
    sqlite.stop().await
}

pub async fn source_rows(snapshot: &mut Snapshot, select: &str) -> anyhow::Result<Vec<Value>> {
    let columns = snapshot.columns(select).await?;
    let records: Vec<_> = snapshot.records(select, columns).try_collect().await?;
    Ok(records.iter().map(|record| serde_json::from_str(&record.to_json())).collect::<Result<_, _>>()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_through_whole_whatever_the_server_is_set_to() -> anyhow::Result<()> {
    let database = Server::get().await?.database("CREATE TYPE mood AS ENUM ('so, so', 'fine')").await?;
    database
        .execute(
            "ALTER ROLE reader SET TimeZone = 'Asia/Kolkata'; ALTER ROLE reader SET DateStyle = 'German';
             ALTER ROLE reader SET IntervalStyle = 'iso_8601'; ALTER ROLE reader SET bytea_output = 'escape';
             ALTER ROLE reader SET extra_float_digits = 0;",
        )
        .await?;
    let mut snapshot = snapshot_of(&database).await?;
    let select = "
        SELECT 1::smallint AS i2, -2147483648 AS i4, 9223372036854775807 AS i8, true AS yes, false AS no,
               0.1::float4 AS f4, 0.1::float8 + 0.2::float8 AS f8, 'NaN'::float8 AS nan, '-Infinity'::float8 AS low,
               12345678901234567890.1200::numeric AS num, 'NaN'::numeric AS numnan, NULL::int AS missing, '' AS empty,
               'it''s “ä” 🦀' AS text, E'a\\tb\\nc\\rd\\\\e\\\\N' AS marks, '\\N' AS letters, 'ab'::char(4) AS padded, 'fine'::mood AS mood, ARRAY['so, so', 'fine']::mood[] AS moods,
               ARRAY[1, NULL, 3] AS numbers, '{\"b\": 1, \"a\": [true, null]}'::jsonb AS jsonb, '{\"b\":  1}'::json AS json,
               '8c5e9c4e-29d3-4a8a-9d5c-2f5f6f0c1a2b'::uuid AS uuid, '\\x00ff'::bytea AS bytes,
               '2026-08-03 06:49:58.123+02'::timestamptz AS at, '2026-08-03 06:49:58'::timestamp AS local,
               '2026-08-03'::date AS day, '06:49:58.5'::time AS time, '1 day 02:03:04.5'::interval AS span,
               'infinity'::timestamptz AS never, '192.168.0.1/24'::inet AS inet, '(1,2)'::point AS point,
               ROW(1, 'a') AS pair, '[1,5)'::int4range AS range -- the last one
    ";
    let expected = json!({
        "i2": 1, "i4": -2_147_483_648_i64, "i8": 9_223_372_036_854_775_807_i64, "yes": true, "no": false,
        "f4": 0.1, "f8": 0.300_000_000_000_000_04, "nan": "NaN", "low": "-Infinity",
        "num": "12345678901234567890.1200", "numnan": "NaN", "missing": null, "empty": "",
        "text": "it's “ä” 🦀", "marks": "a\tb\nc\rd\\e\\N", "letters": "\\N", "padded": "ab  ", "mood": "fine", "moods": "{\"so, so\",fine}",
        "numbers": "{1,NULL,3}", "jsonb": "{\"a\": [true, null], \"b\": 1}", "json": "{\"b\":  1}",
        "uuid": "8c5e9c4e-29d3-4a8a-9d5c-2f5f6f0c1a2b", "bytes": "\\x00ff",
        "at": "2026-08-03 04:49:58.123+00", "local": "2026-08-03 06:49:58",
        "day": "2026-08-03", "time": "06:49:58.5", "span": "1 day 02:03:04.5",
        "never": "infinity", "inet": "192.168.0.1/24", "point": "(1,2)",
        "pair": "(1,a)", "range": "[1,5)",
    });
    let rows = source_rows(&mut snapshot, select).await?;
    assert_eq!(rows, [expected]);
    let names: Vec<String> = snapshot.columns(select).await?.to_vec();
    assert_eq!((names.len(), names[0].as_str(), names[33].as_str()), (34, "i2", "range"));
    let records: Vec<_> = snapshot.records(select, names.as_slice().into()).try_collect().await?;
    let copied: Vec<_> = snapshot.all_records(select, names.into()).try_collect().await?;
    assert_eq!(copied, records);
    database.execute("ALTER ROLE reader RESET ALL").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_in_binary_says_what_postgresql_writes() -> anyhow::Result<()> {
    let database = Server::get().await?.database("").await?;
    let mut snapshot = snapshot_of(&database).await?;
    let select = "
        WITH given AS (
            SELECT 0 AS n, timestamp '4713-11-24 BC' + n * interval '1 day 1 hour 1 minute 1.000001 seconds' AS clock
            FROM generate_series(0, 6000000, 997) n
            UNION ALL SELECT n, clock::timestamp FROM unnest(ARRAY['infinity', '-infinity', '4713-11-24 BC', '0001-12-31 23:59:59.999999 BC',
                '0001-01-01', '1969-12-31 23:59:59.999999', '1999-12-31 23:59:59.9', '2000-02-29 12:00:00.012', '9999-12-31 23:59:59.999999',
                '10000-01-01', '294276-12-31 23:59:59.999999', NULL]) WITH ORDINALITY AS rare(clock, n)
        )
        SELECT clock, clock::text AS clock_text, clock AT TIME ZONE 'UTC' AS at, (clock AT TIME ZONE 'UTC')::text AS at_text,
               clock::date AS day, clock::date::text AS day_text, md5(clock::text)::uuid AS uuid, md5(clock::text)::uuid::text AS uuid_text,
               n::int4, -n::smallint AS small, (n - 9223372036854775808)::int8 AS big, n > 3 AS flag,
               CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' WHEN 3 THEN '-0' WHEN 4 THEN '5e-324' WHEN 5 THEN '0.1' ELSE 'Infinity' END::float8 AS real,
               E'tab\\t, line\\n, \\\\N' AS marks, 'ab'::char(4) AS padded, 'x'::name AS name, '[1,  2]'::json AS json
        FROM given";
    let described = snapshot.describe(select).await?;
    let types: BTreeSet<&str> = described.iter().map(|column| column.type_name.as_str()).collect();
    // Any other one, and all are copied as text.
    let simple = [
        "bool",
        "char",
        "date",
        "float8",
        "int2",
        "int4",
        "int8",
        "json",
        "name",
        "text",
        "timestamp",
        "timestamptz",
        "uuid",
    ];
    assert_eq!(types, simple.into());
    let names = snapshot.columns(select).await?;
    let records: Vec<_> = snapshot.records(select, names.clone()).try_collect().await?;
    let copied: Vec<_> = snapshot.all_records(select, names).try_collect().await?;
    assert_eq!(copied.len(), 6_019 + 12);
    for (copied, record) in copied.iter().zip(&records) {
        assert_eq!(copied, record);
        let row: Value = serde_json::from_str(&copied.to_json())?;
        for name in ["clock", "at", "day", "uuid"] {
            assert_eq!(row[name], row[format!("{name}_text")], "{row}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_of_one_moment_and_reads_only() -> anyhow::Result<()> {
    let database = Server::get()
        .await?
        .database(
            "CREATE TABLE a AS SELECT g AS id, repeat('x', 200) AS pad FROM generate_series(1, 20000) g;
             CREATE TABLE b (id int); INSERT INTO b VALUES (1);
             CREATE FUNCTION grow() RETURNS int LANGUAGE sql AS 'INSERT INTO b VALUES (3) RETURNING id';
             GRANT INSERT ON b TO reader;",
        )
        .await?;
    let mut snapshot = snapshot_of(&database).await?;
    let columns = snapshot.columns("SELECT * FROM a").await?;
    let mut records = snapshot.records("SELECT * FROM a", columns);
    records.next().await.context("a record")??;
    // While it is being read, and before the other table is.
    database.execute("INSERT INTO a VALUES (0, ''); DELETE FROM a WHERE id > 10000; INSERT INTO b VALUES (2)").await?;
    let rest: Vec<_> = records.try_collect().await?;
    assert_eq!(rest.len(), 19_999);
    assert_eq!(source_rows(&mut snapshot, "SELECT * FROM b").await?, [json!({"id": 1})]);
    drop(snapshot);
    let mut snapshot = snapshot_of(&database).await?;
    assert_eq!(source_rows(&mut snapshot, "SELECT count(*) FROM a").await?, [json!({"count": 10_001})]);
    let written = source_rows(&mut snapshot, "SELECT grow()").await.unwrap_err();
    assert!(chain(written.as_ref()).contains("read-only transaction"), "{written:?}");
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
        (format!("postgres://reader:geheim@{here}/postgres?sslmode=disable"), &here, "check user, password"),
        (format!("postgres://nobody:geheim@{here}/postgres?sslmode=disable"), &here, "check user, password"),
        (format!("postgres://{READER_URL}@{here}/postgres"), &here, "sslmode=disable"),
        (format!("postgres://{READER_URL}@{here}/postgres?sslmode=require"), &here, "SOURCE_CA_FILE"),
        (format!("postgres://{READER_URL}@{here}/nowhere?sslmode=disable"), &here, "does not begin a session"),
        (format!("postgres://{READER_URL}@127.0.0.1:{free}/x"), &format!("127.0.0.1:{free}"), "check host and port"),
        (format!("postgres://{READER_URL}@no.invalid/x"), &"no.invalid:5432".to_owned(), "check host and port"),
        (
            format!("postgres://{READER_URL}@%2Fno%2Fsocket/x?sslmode=disable"),
            &"/no/socket".to_owned(),
            "check host and",
        ),
    ] {
        let error = refused(&url).await?;
        assert!(error.to_string().contains(next) && error.to_string().contains(server), "{url}: {error}");
    }
    let unknown = refused(&format!("postgres://{READER_URL}@{here}/nowhere?sslmode=disable")).await?;
    assert!(chain(&unknown).contains("\"nowhere\" does not exist"), "{unknown:?}");

    // Through a whole run: what is recorded says where, and not who.
    let url = format!("postgres://reader:geheim@{here}/postgres?sslmode=disable");
    let house = House::at(&url, Mapping::load("reference")?)?;
    let stack = house.stack(None).await?;
    assert!(!format!("{:?}", stack.intake).contains("geheim"));
    let failed = stack.read_source().await.unwrap_err();
    assert!(chain(failed.as_ref()).contains(&here), "{failed:?}");
    let lake = files(&house.lake())?;
    assert!(lake.keys().all(|key| key.starts_with("runs/")), "{:?}", lake.keys());
    let record = String::from_utf8(lake.into_values().next().context("a run record")?)?;
    assert!(record.contains(&here) && !record.contains("geheim") && !record.contains("reader"), "{record}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified_against_the_authority_that_the_address_or_the_deployment_names() -> anyhow::Result<()> {
    let server = Server::get().await?;
    let ca = server.told["ca"].as_str().context("a file")?;
    let port = server.told["tls_port"].as_u64().context("a port")?;
    let url = |host: &str, query: &str| format!("postgres://{READER_URL}@{host}:{port}/postgres{query}");
    let named = url("localhost", &format!("?sslrootcert={ca}"));
    let mut snapshot = Snapshot::open(&named.parse()?).await?;
    assert_eq!(source_rows(&mut snapshot, "SELECT 1 AS one").await?, [json!({"one": 1})]);
    let deployed = Source::at(url("localhost", "")).trusting(ca);
    Snapshot::open(&deployed.address().await?).await?;

    for url in [
        // An authority that nobody knows; another host's certificate; a file that is not there.
        url("localhost", ""),
        url("127.0.0.1", &format!("?sslrootcert={ca}")),
        url("localhost", "?sslrootcert=/no/such/file.pem"),
    ] {
        let error = refused(&url).await?;
        assert!(matches!(error, SourceError::Tls { .. }), "{url}: {error:?}");
        assert!(error.to_string().contains("sslrootcert=FILE"), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_in_the_middle_fails_the_run_and_no_day_is_written() -> anyhow::Result<()> {
    let database = demo_organisation(Server::get().await?).await?;
    database
        .execute(
            "ALTER TABLE activities RENAME TO all_activities;
             CREATE FUNCTION hang_up() RETURNS text LANGUAGE sql SECURITY DEFINER AS
                 'SELECT pg_terminate_backend(pg_backend_pid())::text';
             CREATE VIEW activities AS
                 SELECT id, user_id, sprint_id, stereotype_code, started_at, duration, in_sprint, rating, created_at,
                        updated_at, CASE WHEN id = (SELECT max(id) FROM all_activities) THEN hang_up() END AS note
                 FROM all_activities ORDER BY id;",
        )
        .await?;
    let house = House::at(&database.url(), Mapping::load("reference")?)?;
    let stack = house.stack(None).await?;
    let failed = stack.read_source().await.unwrap_err();
    assert!(failed.to_string().contains("the source could not give all its records"), "{failed:?}");
    let lake = files(&house.lake())?;
    assert!(lake.keys().all(|key| !key.starts_with("activities/")), "{:?}", lake.keys());
    let run = lake.iter().find(|(key, _)| key.starts_with("runs/")).context("a run record")?;
    let run: Value = serde_json::from_slice(run.1)?;
    assert!(run["counts"]["read"].as_u64() > Some(1_000), "{run}");
    let failed = run["failed"].as_str().unwrap_or_default();
    assert!(failed.contains("give all its records: the server ended the session"), "{run}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_does_not_fit_is_refused_with_the_nearest_name_and_no_value() -> anyhow::Result<()> {
    let database = demo_organisation(Server::get().await?).await?;
    database
        .execute(
            "CREATE SCHEMA hr; GRANT USAGE ON SCHEMA hr TO reader; CREATE TABLE hr.persons (id int); UPDATE activities SET note = 'geheim' WHERE id = 203",
        )
        .await?;
    let reference =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions/intake/sources/reference.toml"))?;
    for (from, to, expected) in [
        ("SELECT * FROM teams", "SELECT * FROM team", "did you mean `teams`?"),
        ("SELECT * FROM users", "SELECT * FROM hr.person", "did you mean `hr.persons`?"),
        ("rating = \"rating\"", "rating = \"ratin\"", "did you mean `rating`?"),
        ("SELECT * FROM teams", "SELECT *, name FROM teams", "the column `name` twice"),
        ("SELECT * FROM users", "SELECT * FROM users WHERE", "syntax error"),
        (
            "SELECT * FROM activities",
            "SELECT *, note::int AS number FROM activities",
            "fails on a value (SQLSTATE 22P02)",
        ),
        // No table has that name, which is a value.
        (
            "SELECT * FROM activities",
            "SELECT *, CASE WHEN id = 203 THEN note::regclass::text END AS number FROM activities",
            "fails on a value (SQLSTATE 42P01)",
        ),
        ("[source]", "[source]\ndatabase = \"sqlite\"", "the mapping is for sqlite, and the source is postgresql"),
    ] {
        ensure!(reference.contains(from), "{from}");
        let mapping = Mapping::parse("m.toml", &reference.replace(from, to))?;
        let house = House::at(&database.url(), mapping)?;
        let stack = house.stack(None).await?;
        let refused = chain(stack.read_source().await.unwrap_err().as_ref());
        assert!(refused.contains(expected) && !refused.contains("geheim"), "{refused}");
        assert!(!files(&house.lake())?.keys().any(|key| key.starts_with("activities/")));
        stack.stop().await?;
    }
    Ok(())
}

/// What answers for AWS Secrets Manager: one secret, whatever it is at the moment.
pub async fn secrets(content: Arc<RwLock<String>>) -> anyhow::Result<aws_sdk_secretsmanager::Client> {
    use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
    let answer = async move |headers: HeaderMap, body: String| {
        let asked = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        assert_eq!(asked, Some("secretsmanager.GetSecretValue"));
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        assert!(body["SecretId"].is_string(), "{body}");
        let content = content.read().await.clone();
        if content.is_empty() {
            let refusal = json!({ "__type": "ResourceNotFoundException", "message": "there is no such secret" });
            return (StatusCode::BAD_REQUEST, Json(refusal));
        }
        let answer = json!({ "ARN": body["SecretId"], "Name": "source", "VersionId": "1", "SecretString": content });
        (StatusCode::OK, Json(answer))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"));
    Ok(aws_sdk_secretsmanager::Client::from_conf(config.build()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_read_for_each_run_so_a_rotated_password_is_found() -> anyhow::Result<()> {
    let database = demo_organisation(Server::get().await?).await?;
    let owner = format!("rotating_{}", database.name);
    let role = |password: &str| format!("ROLE {owner} LOGIN PASSWORD '{password}'");
    database.execute(&format!("CREATE {}; GRANT pg_read_all_data TO {owner}", role("first:/@geheim"))).await?;
    let secret = |password: &str| json!({ "username": owner, "password": password, "engine": "postgres" }).to_string();
    let content = Arc::new(RwLock::new(secret("first:/@geheim")));
    let url = format!("postgres://127.0.0.1:{}/{}?sslmode=disable", database.server.port(), database.name);
    let house = House::at(&url, Mapping::load("reference")?)?;
    let mut stack = house.stack(None).await?;
    stack.intake.source =
        Source::at(&url).with_secret(secrets(content.clone()).await?, "arn:aws:secretsmanager:source");
    assert!(stack.intake.handle().await?.counts.balanced());

    database.execute(&format!("ALTER {}", role("second geheim"))).await?;
    let stale = stack.intake.handle().await.unwrap_err();
    assert!(chain(&stale).contains("lets this user not in (SQLSTATE 28P01)"), "{stale:?}");
    *content.write().await = secret("second geheim");
    assert_eq!(stack.intake.handle().await?.days.written, 0);

    *content.write().await = "second geheim".to_owned();
    let wrong = stack.intake.handle().await.unwrap_err();
    assert!(chain(&wrong).contains("arn:aws:secretsmanager:source is not understood"), "{wrong:?}");

    content.write().await.clear();
    let gone = chain(&stack.intake.handle().await.unwrap_err());
    assert!(gone.contains("ResourceNotFoundException") && gone.contains("SOURCE_SECRET_ARN"), "{gone}");
    for shown in [format!("{stale:?}{wrong:?}{:?}", stack.intake), chain(&wrong)] {
        assert!(!shown.contains("geheim"), "{shown}");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_for_another_time_zone_is_refused_by_both_names() -> anyhow::Result<()> {
    let text = "[source]\nname = \"x\"\ntime_zone = \"Europe/Vienna\"\n[activities]\nselect = \"SELECT * FROM a\"\n\
                [activities.columns]\nactivity_id = \"id\"\nuser_id = \"u\"\nstereotype_code = \"s\"\n\
                started_at = { column = \"at\", format = \"rfc3339\" }\nended_at = { column = \"to\", format = \"rfc3339\" }";
    let mapping = Mapping::parse("m.toml", text)?;
    let folder = tempfile::tempdir()?;
    let settings = |time_zone: &str| -> anyhow::Result<Settings> {
        let data = folder.path().join(time_zone.replace('/', "-"));
        Ok(Settings::over(data, "sqlite://none.db".to_owned(), mapping.clone(), time_zone.parse()?))
    };
    let refused = Stack::start(settings("UTC")?).await.err().context("it must not start")?.to_string();
    assert!(refused.contains("time zone Europe/Vienna, and the organisation's is UTC"), "{refused}");
    Stack::start(settings("Europe/Vienna")?).await?.stop().await
}
