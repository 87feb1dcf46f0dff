//! The operator's commands about a source, as a person runs them: `check` before anything is captured, `replay` after a
//! mapping was mended.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, sqlite::SqliteConnectOptions};

fn wastewalk(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wastewalk"));
    for variable in ["RUST_LOG", "WASTEWALK_SOURCE", "ORGANISATION_TIME_ZONE"] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn refusal(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(output.stdout.is_empty());
    error
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn execute(file: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.unwrap();
}

const SCHEMA: &str = "
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE users (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, timezone TEXT, mail TEXT);
    CREATE TABLE sprints (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, starts_at TEXT, ends_at TEXT, released_at TEXT);
    CREATE TABLE activity_stereotypes (code TEXT PRIMARY KEY, name TEXT, category TEXT, automatable BOOL);
    CREATE TABLE activities (id INTEGER PRIMARY KEY, user_id INTEGER, sprint_id INTEGER, stereotype_code TEXT,
        started_at TEXT, duration INTEGER, in_sprint BOOL, rating INTEGER, note TEXT, created_at TEXT, updated_at TEXT);
    INSERT INTO teams VALUES (1, 'Team');
    INSERT INTO users VALUES (1, 1, 'Ada', 'Europe/Berlin', 'ada@example.org');
    INSERT INTO activity_stereotypes VALUES ('code', 'Coding', 'coding', NULL), ('golf', 'Golf', NULL, NULL);
    INSERT INTO activities VALUES
        (1, 1, NULL, 'code', '2026-03-02T23:30:00Z', 3600, 1, NULL, 'private words', NULL, NULL),
        (2, 1, NULL, 'golf', '2026-03-02T08:00:00Z', 60, 'ja', NULL, NULL, NULL, NULL),
        (3, 1, NULL, 'golf', '2026-03-02T09:00:00Z', 60, 0, NULL, NULL, NULL, NULL),
        (4, 1, NULL, 'code', '2026-03-02T10:00:00Z', NULL, NULL, NULL, NULL, NULL, NULL);";

#[test]
fn check_says_how_a_source_would_be_read_and_what_could_be_measured_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("team.db");
    execute(&file, SCHEMA);
    let before = std::fs::read(&file).unwrap();
    let source = format!("sqlite://{}", file.display());
    let checked = wastewalk(&["check", "--source", &source, "--time-zone", "Europe/Vienna", "--format", "json"]);
    assert!(checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
    let report = json(&checked);
    assert_eq!((&report["mapping"], &report["database"]), (&json!("reference"), &json!("sqlite")));
    assert_eq!(report["time_zone"], "the person's, else Europe/Vienna");
    assert_eq!(report["counts"], json!({"read": 4, "written": 2, "unchanged": 0, "quarantined": 1, "open": 1}));
    assert_eq!(report["quarantined_by_reason"], json!({"unreadable": 1}));
    assert_eq!(report["unclassified"], json!({"golf": {"reason": "unclassified", "activities": 1}}));

    let section = |name: &str| {
        let sections = report["sections"].as_array().unwrap();
        sections.iter().find(|section| section["section"] == name).unwrap()
    };
    assert_eq!(section("users")["unmapped"], json!(["mail"]));
    let fields = section("activities")["fields"].as_array().unwrap();
    let field = |name: &str| fields.iter().find(|field| field["field"] == name).unwrap();
    let duration = field("duration_seconds");
    assert_eq!((&duration["columns"], &duration["expects"]), (&json!(["duration"]), &json!("a number of seconds")));
    assert_eq!(duration["seen"], json!(["NULL", "a whole number"]));
    assert_eq!(field("marked_in_sprint")["seen"], json!(["NULL", "a whole number", "text"]));

    let insights = report["insights"].as_array().unwrap();
    let insight = |id: &str| insights.iter().find(|insight| insight["id"] == id).unwrap();
    assert_eq!(insight("out-of-sprint")["status"], "measured");
    let automatable = insight("automatable");
    assert_eq!(automatable["status"], "not_measurable");
    assert!(automatable["why"].is_string(), "{automatable}");
    let sample: Vec<&str> =
        report["sample"].as_array().unwrap().iter().map(|row| row["activity_id"].as_str().unwrap()).collect();
    assert_eq!(sample, ["1"], "the newest day");

    let table = wastewalk(&["check", "--source", &source]);
    let text = String::from_utf8(table.stdout).unwrap();
    for expected in [
        "is read by the mapping reference (sources/reference.toml), as sqlite.",
        "The local day is in the person's, else UTC.",
        "only in source_row: mail",
        "4 activities: 2 would land, 1 are still running, 1 would be refused.",
        "golf (unclassified)",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(std::fs::read(&file).unwrap() == before, "the source was written to");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["team.db"]);
}

#[test]
fn a_source_that_cannot_be_read_or_mapped_is_refused_in_one_line_and_a_wrong_use_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.db");
    execute(&file, "CREATE TABLE invoices (id INTEGER); CREATE TABLE activity (id INTEGER)");
    let source = format!("sqlite://{}", file.display());
    let unknown = refusal(&wastewalk(&["check", "--source", &source]), 1);
    for expected in ["no mapping that ships fits", "not reference", "--mapping FILE", "activity, invoices"] {
        assert!(unknown.contains(expected), "{unknown}");
    }
    assert_eq!(unknown.trim_end().lines().count(), 1);
    let missing = refusal(&wastewalk(&["check", "--source", &source, "--mapping", "reference"]), 1);
    assert!(missing.contains("sources/reference.toml:") && missing.contains("did you mean `activity`?"), "{missing}");
    let gone = refusal(&wastewalk(&["check", "--source", "sqlite:///no/such/file.db"]), 1);
    assert!(gone.contains("the source cannot be opened"), "{gone}");
    let secret = refusal(&wastewalk(&["check", "--source", "postgres://ada:geheim@nowhere.invalid/x"]), 1);
    assert!(secret.contains("nowhere.invalid") && !secret.contains("geheim") && !secret.contains("ada"), "{secret}");
    for wrong in [vec!["check"], vec!["check", "--source", &source, "--format", "xml"], vec!["replay", "--colour"]] {
        refusal(&wastewalk(&wrong), 2);
    }
}

#[test]
fn replay_takes_in_what_was_refused_with_the_source_gone_and_with_the_source_there() {
    let mended = include_str!("../../../functions/intake/sources/reference.toml")
        .replace("\"in_sprint\"", "{ column = \"in_sprint\", values = { 1 = \"yes\", 0 = \"no\", ja = \"yes\" } }");
    for dead in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (folder.path().join("team.db"), folder.path().join("data"));
        execute(&file, SCHEMA);
        let mapping = folder.path().join("mended.toml");
        std::fs::write(&mapping, &mended).unwrap();
        let (data, mapping) = (data.to_str().unwrap(), mapping.to_str().unwrap());
        let source = format!("sqlite://{}", file.display());

        let nothing = refusal(&wastewalk(&["replay", "--data", data]), 1);
        assert!(nothing.contains("nothing was captured") && nothing.contains("--data DIR"), "{nothing}");
        let up = ["up", "--once", "--quiet", "--data", data, "--source", &source, "--format", "json"];
        assert_eq!(json(&wastewalk(&up))["run"]["counts"]["quarantined"], 1);
        let same = String::from_utf8(wastewalk(&["replay", "--data", data]).stdout).unwrap();
        assert!(same.starts_with("Days that changed: 0. Activities that are still in quarantine: 1.\n"), "{same}");
        assert!(same.contains("1  unreadable"), "{same}");

        if dead {
            std::fs::remove_file(&file).unwrap();
        }
        let replayed = wastewalk(&["replay", "--data", data, "--source", &source, "--mapping", mapping]);
        assert!(replayed.status.success(), "{replayed:?}");
        let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
        assert_eq!(said.contains("the source cannot be opened"), dead, "{said}");
        let text = String::from_utf8(replayed.stdout).unwrap();
        assert_eq!(text, "Days that changed: 1. Activities that are still in quarantine: 0.\n");

        let wrong = folder.path().join("wrong.toml");
        std::fs::write(&wrong, mended.replace("name = \"reference\"", "name = \"other\"")).unwrap();
        let refused = refusal(&wastewalk(&["replay", "--data", data, "--mapping", wrong.to_str().unwrap()]), 1);
        assert!(refused.contains("was read by the mapping reference, not by other"), "{refused}");
    }
}
