//! The products whose mappings ship, each in a real server of its own kind: recognised, read through the whole of intake, and
//! known rows come out. The schemas in `tests/sources` are ours, written from what is known of the products.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context, ensure};
use intake::{
    address::Address,
    check::recognise,
    mapping::{FieldKind, Mapping},
    record::Reading,
    watermark::Pace,
};
use serde_json::{Value, json};
use shared::telemetry::chain;
use wastewalk_tests::{House, binary, foreign, postgres};

use crate::{
    live::alone,
    mariadb,
    pseudonyms::{key, texts},
};

/// A database with a product in it.
enum Site {
    Sqlite(Box<House>),
    Postgres(postgres::Database<'static>),
    Mariadb(mariadb::Database<'static>),
}

impl Site {
    async fn sqlite(statements: &str) -> anyhow::Result<Self> {
        Ok(Self::Sqlite(Box::new(House::of(statements).await?)))
    }

    async fn postgres(statements: &str) -> anyhow::Result<Self> {
        Ok(Self::Postgres(postgres::Server::get().await?.database(statements).await?))
    }

    async fn mariadb(statements: &str) -> anyhow::Result<Self> {
        let statements = format!("ALTER DATABASE DEFAULT CHARACTER SET utf8mb4; {statements}");
        Ok(Self::Mariadb(mariadb::Server::get().await?.database(&statements).await?))
    }

    async fn execute(&self, statements: &str) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(house) => house.execute(statements).await,
            Self::Postgres(database) => database.execute(statements).await,
            Self::Mariadb(database) => database.execute(statements).await,
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(house) => house.source_url().to_owned(),
            Self::Postgres(database) => database.url(),
            Self::Mariadb(database) => database.url(),
        }
    }

    async fn recognised(&self) -> anyhow::Result<Mapping> {
        let address: Address = self.url().parse()?;
        Ok(recognise(&address).await?)
    }

    /// What one run of intake makes of it, by whatever mapping that ships is the one for `product`.
    async fn read(&self, product: &str, columns: &[&str]) -> anyhow::Result<Read> {
        let mapping = self.recognised().await?;
        assert_eq!(mapping.name, product);
        let house = House::at(&self.url(), mapping)?;
        let stack = alone(&house).await?;
        let run = stack.read_source().await?;
        let lake = house.lake();
        let lake = lake.to_str().context("UTF-8")?;
        let rows = foreign("rows.py", &[&[lake], columns].concat())?;
        let refused = match run.counts.quarantined {
            0 => json!([]),
            _ => foreign("quarantine.py", &[lake])?,
        };
        let refused: Vec<Value> = refused
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| json!([row["key"], row["reason"], row["field"]]))
            .collect();
        let kept = foreign("rows.py", &[lake, "source_row"])?;
        ensure!(!kept.to_string().contains("geheim"), "a password is in a source record");
        for entity in ["teams", "users", "stereotypes"] {
            let files = wastewalk_tests::files(&house.lake())?;
            let dimension = files.keys().find(|key| key.starts_with(&format!("dimensions/{entity}/")));
            if let Some(file) = dimension {
                let kept = foreign("dimension.py", &[&format!("{lake}/{file}")])?;
                ensure!(!kept.to_string().contains("geheim"), "a password is in the {entity}");
            }
        }
        stack.stop().await?;
        Ok(Read { rows, refused: Value::from(refused), open: run.counts.open })
    }
}

/// What came out of a run.
#[derive(Debug, PartialEq)]
struct Read {
    /// Canonical columns by key.
    rows: Value,
    /// Key, reason and field of each record in quarantine.
    refused: Value,
    /// Records that still run.
    open: u64,
}

/// Rows of texts, by key and in the order of `columns`.
fn rows(columns: &[&str], expected: &[(&str, &[&str])]) -> Value {
    let row = |values: &[&str]| -> Value {
        let value = |value: &&str| if *value == "-" { Value::Null } else { Value::from(*value) };
        columns
            .iter()
            .map(|column| (*column).to_owned())
            .zip(values.iter().map(value))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    expected.iter().map(|(key, values)| ((*key).to_owned(), row(values))).collect::<serde_json::Map<_, _>>().into()
}

/// What `wastewalk check` says of a source, as a person runs it, and how it exits.
fn check(arguments: &[&str]) -> anyhow::Result<(Option<i32>, Value, String)> {
    let output = Command::new(binary("wastewalk")?)
        .arg("check")
        .args(arguments)
        .args(["--format", "json"])
        .env_remove("RUST_LOG")
        .output()?;
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok((output.status.code(), report, String::from_utf8(output.stderr)?))
}

const KIMAI: &str = include_str!("../sources/kimai.sql");

#[tokio::test(flavor = "multi_thread")]
async fn kimai_gives_one_row_per_entry_in_its_own_zone_without_breaks_and_running_entries() -> anyhow::Result<()> {
    let site = Site::mariadb(KIMAI).await?;
    let columns =
        ["day", "started_at", "duration_seconds", "user_id", "team_id", "stereotype_name", "claimed_category", "clock"];
    let read = site.read("kimai", &columns).await?;
    let at = |time: &str| format!("2026-08-{time}:00+00");
    let expected = rows(
        &columns,
        &[
            ("1", &["2026-08-04", &at("03 22:30"), "3600", "1", "8", "Coding", "-", "exact"]),
            ("2", &["2026-08-03", &at("04 02:00"), "5400", "1", "8", "Coding", "-", "exact"]),
            ("4", &["2026-08-05", &at("05 07:00"), "28800", "2", "7", "Meeting", "pto", "exact"]),
            ("5", &["2026-08-06", &at("06 07:00"), "28800", "2", "7", "Meeting", "pto", "exact"]),
            ("6", &["2026-08-07", &at("07 07:00"), "3000", "2", "7", "Meeting", "-", "exact"]),
            ("7", &["2026-08-07", &at("07 07:00"), "3600", "3", "-", "Meeting", "-", "exact"]),
        ],
    );
    assert_eq!(read.rows, expected);
    let refused = [
        ["10", "unknown_time_zone", "time_zone"],
        ["8", "unknown_stereotype", "stereotype_code"],
        ["9", "ends_before_start", "ended_at"],
    ];
    let mut found = read.refused.as_array().cloned().unwrap_or_default();
    found.sort_by_key(Value::to_string);
    assert_eq!((Value::from(found), read.open), (json!(refused), 1));

    // Without the table of users, and before there were breaks, the rows are the same.
    site.execute("DROP TABLE kimai2_users").await?;
    assert_eq!(site.read("kimai", &columns).await?, read);
    site.execute("UPDATE kimai2_timesheet SET duration = 3000 WHERE id = 6; ALTER TABLE kimai2_timesheet DROP break")
        .await?;
    assert_eq!(site.read("kimai", &columns).await?, read);
    // And once nobody says any more what is no work, nothing is claimed.
    site.execute("ALTER TABLE kimai2_timesheet ADD break INT, DROP category").await?;
    let claims = site.read("kimai", &["claimed_category", "duration_seconds"]).await?.rows;
    assert_eq!(claims["4"], json!({"claimed_category": null, "duration_seconds": "28800"}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_recognises_a_product_says_how_it_is_read_and_what_can_be_measured() -> anyhow::Result<()> {
    let kimai = Site::mariadb(KIMAI).await?;
    let (code, report, said) = check(&["--source", &kimai.url(), "--time-zone", "Europe/Vienna"])?;
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!((&report["mapping"], &report["database"]), (&json!("kimai"), &json!("mysql")));
    assert_eq!(report["time_zone"], "the record's own, else Europe/Vienna");
    assert_eq!(report["counts"], json!({"read": 10, "written": 6, "unchanged": 0, "quarantined": 3, "open": 1}));
    let sections = report["sections"].as_array().context("sections")?;
    let activities = sections.iter().find(|section| section["section"] == "activities").context("activities")?;
    assert_eq!((&activities["select"], &activities["selects"]), (&json!(1), &json!(3)));
    let left_out = activities["left_out"].as_array().context("left out")?;
    assert!(left_out.contains(&json!("description")) && left_out.contains(&json!("category")), "{left_out:?}");
    assert!(!left_out.contains(&json!("worked")), "{left_out:?}");
    let field = |name: &str| {
        activities["fields"].as_array().into_iter().flatten().find(|field| field["field"] == name).cloned()
    };
    let duration = field("duration_seconds").context("a duration")?;
    assert_eq!((&duration["columns"], &duration["expects"]), (&json!(["worked"]), &json!("a number of seconds")));
    let start = field("started_at").context("a start")?;
    assert_eq!((&start["seen"], &start["zone"]), (&json!(["datetime"]), &json!("UTC")));
    assert_eq!(
        report["unclassified"],
        json!({
            "5": {"reason": "unclassified", "activities": 2}, "6": {"reason": "unclassified", "activities": 2},
        })
    );
    let status = |report: &Value, id: &str| {
        report["insights"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|insight| insight["id"] == id)
            .cloned()
            .unwrap_or_default()
    };
    let switching = status(&report, "context-switching");
    assert_eq!(switching["status"], "measured", "{switching}");

    // Redmine has no clock times.
    let redmine = Site::postgres(&redmine("timestamp")).await?;
    let (code, report, _) = check(&["--source", &redmine.url()])?;
    assert_eq!((code, &report["mapping"]), (Some(0), &json!("redmine")));
    let switching = status(&report, "context-switching");
    assert_eq!(switching["status"], "not_measurable", "{switching}");
    assert!(switching["why"].as_str().is_some_and(|why| !why.is_empty()), "{switching}");

    // By a mapping that does not fit it exits with 1 and says the line; wrongly used with 2.
    let (code, _, said) = check(&["--source", &redmine.url(), "--mapping", "kimai"])?;
    assert!(code == Some(1) && said.contains("the mapping is for mysql, and the source is postgresql"), "{said}");
    let (code, _, said) = check(&["--source", &kimai.url(), "--mapping", "redmine"])?;
    assert!(code == Some(1) && said.contains("sources/redmine.toml:"), "{said}");
    // What is forbidden is not taken for what is not there.
    let half = "CREATE USER half IDENTIFIED BY 'geheim'; GRANT SELECT ON kimai2_timesheet TO half";
    kimai.execute(half).await?;
    let url = kimai.url();
    let url = format!("mysql://half:geheim@{}", url.split_once('@').context("a user")?.1);
    let (code, _, said) = check(&["--source", &url])?;
    assert!(code == Some(1) && said.contains("kimai because the source cannot run the SELECT of teams"), "{said}");
    assert!(said.contains("this user may not do that") && !said.contains("geheim") && !said.contains("half"), "{said}");
    kimai.execute("ALTER TABLE kimai2_timesheet CHANGE timezone time_zone VARCHAR(64)").await?;
    let (code, _, said) = check(&["--source", &kimai.url()])?;
    let expected = "not kimai because activities.time_zone reads the column `timezone`, which the source does not give; \
                    did you mean `time_zone`?";
    assert!(code == Some(1) && said.contains(expected), "{said}");
    assert_eq!(check(&["--source", &kimai.url(), "--mapping"])?.0, Some(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn solidtime_lasts_from_start_to_end_and_runs_without_one() -> anyhow::Result<()> {
    let site = Site::postgres(include_str!("../sources/solidtime.sql")).await?;
    let columns = ["day", "started_at", "ended_at", "duration_seconds", "team_id", "stereotype_code", "time_zone"];
    let read = site.read("solidtime", &columns).await?;
    let id = |last: &str| format!("00000000-0000-0000-0000-0000000000{last}");
    let (first, second) = (id("01"), id("02"));
    let expected = rows(
        &columns,
        &[
            (
                &first,
                &[
                    "2026-08-03",
                    "2026-08-04 02:00:00+00",
                    "2026-08-04 03:30:00+00",
                    "5400",
                    &id("a1"),
                    "Coding",
                    "America/New_York",
                ],
            ),
            (
                &second,
                &[
                    "2026-08-04",
                    "2026-08-04 12:00:00+00",
                    "2026-08-04 12:00:00+00",
                    "0",
                    &id("a2"),
                    "no task",
                    "America/New_York",
                ],
            ),
        ],
    );
    assert_eq!(read.rows, expected);
    assert_eq!((read.refused, read.open), (json!([[id("04"), "ends_before_start", "ended_at"]]), 1));
    // With nothing but the entries themselves, the zone is the organisation's.
    site.execute("DROP TABLE organizations, users, tasks").await?;
    let alone = site.read("solidtime", &columns).await?.rows;
    assert_eq!((&alone[&first]["day"], &alone[&first]["stereotype_code"]), (&json!("2026-08-04"), &json!(id("c1"))));
    Ok(())
}

/// Redmine's schema where an instant has this type.
fn redmine(instant: &str) -> String {
    include_str!("../sources/redmine.sql").replace("/* instant */", instant)
}

#[tokio::test(flavor = "multi_thread")]
async fn redmine_gives_the_same_rows_on_all_three_databases_and_no_time_of_day() -> anyhow::Result<()> {
    let columns =
        ["day", "started_at", "clock", "duration_seconds", "team_id", "stereotype_name", "project_id", "updated_at"];
    let third =
        ["2026-08-03", "2026-08-02 22:00:00+00", "day", "1188", "20", "Development", "1", "2026-08-03 10:00:00+00"];
    let long =
        ["2026-08-03", "2026-08-02 22:00:00+00", "day", "541200", "-", "Development", "1", "2026-08-04 10:00:00+00"];
    let expected = rows(
        &columns,
        &[
            ("1", &third),
            ("2", &long),
            // On the day when clocks go forward; a hundred and fifty hours on one day are what somebody wrote.
            (
                "3",
                &[
                    "2026-03-29",
                    "2026-03-28 23:00:00+00",
                    "day",
                    "540000",
                    "-",
                    "Design",
                    "1",
                    "2026-08-04 10:00:00+00",
                ],
            ),
            ("4", &["2026-08-03", "2026-08-02 22:00:00+00", "day", "0", "-", "Design", "1", "2026-08-04 10:00:00+00"]),
        ],
    );
    for site in [
        Site::sqlite(&redmine("DATETIME")).await?,
        Site::postgres(&redmine("timestamp")).await?,
        Site::mariadb(&redmine("DATETIME")).await?,
    ] {
        let read = site.read("redmine", &columns).await?;
        assert_eq!(read.rows, expected, "{}", site.url());
        let refused = json!([["5", "unknown_user", "user_id"], ["6", "negative", "duration_seconds"]]);
        assert_eq!((read.refused, read.open), (refused, 0));
        // With nothing but what is booked and on what, nobody has a team and whoever booked is a person.
        site.execute("DROP TABLE users; DROP TABLE groups_users").await?;
        let alone = site.read("redmine", &["team_id", "user_id", "duration_seconds"]).await?;
        assert_eq!(alone.rows["1"], json!({"team_id": null, "user_id": "1", "duration_seconds": "1188"}));
        assert_eq!(alone.rows["5"], json!({"team_id": null, "user_id": "3", "duration_seconds": "3600"}));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn openproject_gives_the_same_rows_through_its_history_and_times_of_day_since_it_has_them() -> anyhow::Result<()>
{
    let site = Site::postgres(include_str!("../sources/openproject.sql")).await?;
    let columns =
        ["day", "started_at", "clock", "duration_seconds", "team_id", "stereotype_name", "time_zone", "updated_at"];
    let first = [
        "2026-08-03",
        "2026-08-02 22:00:00+00",
        "day",
        "5400",
        "20",
        "Development",
        "Europe/Berlin",
        "2026-08-03 10:00:00+00",
    ];
    let second = [
        "2026-08-04",
        "2026-08-03 22:00:00+00",
        "day",
        "900",
        "-",
        "No activity",
        "Europe/Berlin",
        "2026-08-05 10:00:00+00",
    ];
    let old = [("1", &first[..]), ("2", &second[..])];
    for step in [
        "SELECT 1",
        "ALTER TABLE time_entries RENAME created_on TO created_at; ALTER TABLE time_entries RENAME updated_on TO updated_at",
        "ALTER TABLE time_entries ALTER id TYPE bigint, ALTER user_id TYPE bigint, ALTER activity_id TYPE bigint,
             ALTER work_package_id TYPE bigint, ADD logged_by_id bigint",
        "ALTER TABLE time_entries ALTER hours DROP NOT NULL, ADD ongoing boolean NOT NULL DEFAULT false",
        "ALTER TABLE time_entries ADD start_time integer, ADD time_zone varchar",
        "ALTER TABLE time_entries ADD entity_type varchar, ADD entity_id bigint;
             UPDATE time_entries SET entity_type = 'WorkPackage', entity_id = work_package_id",
        "ALTER TABLE time_entries DROP work_package_id",
    ] {
        site.execute(step).await?;
        let read = site.read("openproject", &columns).await.with_context(|| step)?;
        assert_eq!(read, Read { rows: rows(&columns, &old), refused: json!([]), open: 0 }, "{step}");
    }
    site.execute(
        "INSERT INTO time_entries (id, project_id, user_id, hours, activity_id, spent_on, start_time, time_zone, ongoing, tyear,
             tmonth, tweek, created_at, updated_at)
         SELECT id, 1, 1, hours, 9, spent_on::date, start_time, time_zone, ongoing, 1, 1, 1, '2026-08-09', '2026-08-09'
         FROM (VALUES (3, 1.5, '2026-08-05', 570, 'America/New_York', false), (4, 8, '2026-08-05', 0, NULL, false),
                      (5, 1, '2026-08-05', NULL, 'America/New_York', false), (6, NULL, '2026-08-05', 570, NULL, true),
                      (7, 0.01, '2026-08-05', 570, NULL, true), (8, 1, '2026-03-29', 150, 'Europe/Berlin', false),
                      (9, 1, '2026-10-25', 150, 'Europe/Berlin', false), (10, 1, '2026-08-05', 1440, NULL, false),
                      (11, NULL, '2026-08-05', NULL, NULL, false))
             AS new (id, hours, spent_on, start_time, time_zone, ongoing)",
    )
    .await?;
    let read = site.read("openproject", &columns).await?;
    let late = "2026-08-09 00:00:00+00";
    let new = [
        (
            "3",
            &["2026-08-05", "2026-08-05 13:30:00+00", "exact", "5400", "20", "Development", "America/New_York", late][..],
        ),
        (
            "4",
            &["2026-08-05", "2026-08-04 22:00:00+00", "exact", "28800", "20", "Development", "Europe/Berlin", late][..],
        ),
        (
            "5",
            &["2026-08-05", "2026-08-05 04:00:00+00", "day", "3600", "20", "Development", "America/New_York", late][..],
        ),
        // When clocks go back, half past two happens twice, and the earlier one is meant.
        (
            "9",
            &["2026-10-25", "2026-10-25 00:30:00+00", "exact", "3600", "20", "Development", "Europe/Berlin", late][..],
        ),
    ];
    assert_eq!(read.rows, rows(&columns, &[&old[..], &new[..]].concat()));
    let mut refused = read.refused.as_array().cloned().unwrap_or_default();
    refused.sort_by_key(Value::to_string);
    let expected = json!([["10", "out_of_range", "started_at"], ["8", "nonexistent_local_time", "started_at"]]);
    assert_eq!((Value::from(refused), read.open), (expected, 3));

    // What no version has ever looked like stops the run, and is not taken for an older version.
    site.execute("ALTER TABLE time_entries RENAME time_zone TO zone").await?;
    let house = House::at(&site.url(), Mapping::load("openproject")?)?;
    let stack = alone(&house).await?;
    let stopped = chain(stack.read_source().await.unwrap_err().as_ref());
    assert!(
        stopped.contains("activities.time_zone reads the column `time_zone`, which the source does not give"),
        "{stopped}"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_counts_the_day_and_quarantines_what_is_taken_back() -> anyhow::Result<()> {
    let site = Site::postgres(include_str!("../sources/gitlab.sql")).await?;
    let columns = ["day", "started_at", "clock", "duration_seconds", "stereotype_code"];
    let read = site.read("gitlab", &columns).await?;
    let expected = rows(
        &columns,
        &[
            ("1", &["2026-08-04", "2026-08-03 22:00:00+00", "day", "7200", "issue"]),
            ("2", &["2026-08-04", "2026-08-03 22:00:00+00", "day", "1800", "merge request"]),
            ("4", &["2026-08-06", "2026-08-05 22:00:00+00", "day", "60", "issue"]),
        ],
    );
    let refused = json!([["3", "negative", "duration_seconds"], ["5", "missing", "user_id"]]);
    assert_eq!(read, Read { rows: expected, refused, open: 0 });
    // Without its own time stamp a record that does not say when is refused.
    site.execute("DROP TABLE users; ALTER TABLE timelogs DROP created_at, DROP updated_at").await?;
    let alone = site.read("gitlab", &columns).await?;
    assert_eq!(alone.rows["1"], read.rows["1"]);
    let mut refused = alone.refused.as_array().cloned().unwrap_or_default();
    refused.sort_by_key(Value::to_string);
    assert_eq!(refused[1], json!(["4", "missing", "started_at"]));
    Ok(())
}

/// Jira's schema where an instant has this type.
fn jira(instant: &str) -> String {
    include_str!("../sources/jira.sql").replace("/* instant */", instant)
}

#[tokio::test(flavor = "multi_thread")]
async fn jira_gives_whole_ids_and_the_type_of_the_issue_with_and_without_zones() -> anyhow::Result<()> {
    let columns =
        ["day", "started_at", "duration_seconds", "user_id", "project_id", "stereotype_code", "updated_at", "note"];
    // PostgreSQL keeps instants; what has no zone is in that of the organisation, Berlin.
    for (product, site, first, second, updated) in [
        ("jira", Site::postgres(&jira("timestamptz")).await?, "03 23:30", "04 12:00", "2026-08-03 22:30:00+00"),
        ("jira-datetime", Site::postgres(&jira("timestamp")).await?, "03 21:30", "04 10:00", "2026-08-03 20:30:00+00"),
        ("jira-datetime", Site::mariadb(&jira("DATETIME")).await?, "03 21:30", "04 10:00", "2026-08-03 20:30:00+00"),
        ("jira-datetime", Site::sqlite(&jira("DATETIME")).await?, "03 21:30", "04 10:00", "2026-08-03 20:30:00+00"),
    ] {
        let read = site.read(product, &columns).await?;
        let day = if product == "jira" { "2026-08-04" } else { "2026-08-03" };
        let (first, second) = (format!("2026-08-{first}:00+00"), format!("2026-08-{second}:00+00"));
        let id = "100000000000000001";
        let expected = rows(
            &columns,
            &[
                (id, &[day, &first, "5400", "JIRAUSER1", "10000", "Bug", updated, "found it"]),
                ("2", &["2026-08-04", &second, "60", "bo", "10000", "Story", "-", "-"]),
            ],
        );
        assert_eq!(read.rows, expected, "{}", site.url());
        assert_eq!(
            (read.refused, read.open),
            (json!([["3", "missing", "started_at"], ["4", "missing", "user_id"]]), 0)
        );
        site.execute("DROP TABLE jiraissue; DROP TABLE app_user").await?;
        let alone = site.read(product, &["stereotype_code", "started_at"]).await?.rows;
        assert_eq!(alone[id], json!({"stereotype_code": "worklog", "started_at": first}));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn under_pseudonyms_nothing_of_any_product_is_kept_but_what_its_mapping_reads() -> anyhow::Result<()> {
    let postgres = async |statements: &str| Site::postgres(statements).await;
    for (site, names) in [
        (Site::mariadb(KIMAI).await?, &["Ada L.", "größer", "geheim"][..]),
        (postgres(include_str!("../sources/solidtime.sql")).await?, &["first", "0000000000b1", "0000000000d1"]),
        (postgres(include_str!("../sources/openproject.sql")).await?, &["Lovelace"]),
        (postgres(&redmine("timestamp")).await?, &["Lovelace", "a third", "nobody"]),
        (postgres(include_str!("../sources/gitlab.sql")).await?, &["in the evening"]),
        (postgres(&jira("timestamptz")).await?, &["JIRAUSER1", "found it", "Ada L."]),
        (Site::mariadb(&jira("DATETIME")).await?, &["JIRAUSER1", "found it", "Ada L."]),
        (Site::sqlite(&jira("DATETIME")).await?, &["JIRAUSER1", "found it", "Ada L."]),
        (Site::sqlite(include_str!("../sources/activitywatch.sql")).await?, &["größer", "no JSON", "title"]),
    ] {
        let mapping = site.recognised().await?;
        let house = House::at(&site.url(), mapping.clone())?;
        let mut stack = alone(&house).await?;
        stack.intake.pseudonyms = Some(key(7)?);
        stack.read_source().await?;
        let kept = texts(&stack).await?;
        for name in names {
            assert!(!kept.contains(name), "{name} of {} is kept", mapping.name);
        }
        let from = mapping.sections().find(|(section, _)| *section == "activities").context("activities")?.1;
        let read: BTreeSet<&String> =
            from.columns.values().flat_map(|column| column.reads(FieldKind::Text)).map(|(column, _)| column).collect();
        for row in foreign("rows.py", &[house.lake().to_str().context("UTF-8")?, "source_row"])?
            .as_object()
            .context("rows")?
            .values()
        {
            let row: Value = serde_json::from_str(row["source_row"].as_str().context("a row")?)?;
            let columns: BTreeSet<&String> = row.as_object().context("columns")?.keys().collect();
            assert_eq!(columns, read, "{}", mapping.name);
        }
        stack.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_seems_to_have_gone_back_to_an_older_version_stops_the_run() -> anyhow::Result<()> {
    let site = Site::mariadb(KIMAI).await?;
    let mut house = House::at(&site.url(), Mapping::load("kimai")?)?;
    let stack = alone(&house).await?;
    let first = stack.read_source().await?;
    assert_eq!(serde_json::to_value(&first.selects)?, json!({"users": 1, "activities": 1}));
    site.execute("ALTER TABLE kimai2_timesheet CHANGE break pause INT").await?;
    let captured = |house: &House| -> anyhow::Result<Vec<String>> {
        Ok(wastewalk_tests::files(&house.lake())?.into_keys().filter(|name| !name.starts_with("runs/")).collect())
    };
    let before = captured(&house)?;
    // Again and again: a run that failed is not the one to compare with.
    for _ in 0..2 {
        let stopped = chain(stack.read_source().await.unwrap_err().as_ref());
        let line = 1 + include_str!("../../functions/intake/sources/kimai.toml")
            .lines()
            .position(|line| line.contains("[activities]"))
            .context("activities")?;
        for expected in [
            &format!("sources/kimai.toml:{}: ", line + 2),
            "Unknown column 't.break'",
            "the last run read activities by this SELECT, 1 of 3, and now only 2 fits",
            "pause",
            "take it out of the mapping",
        ] {
            assert!(stopped.contains(expected), "{expected}: {stopped}");
        }
        assert_eq!(captured(&house)?, before);
    }
    stack.stop().await?;

    // What it says can be done.
    let mended = include_str!("../../functions/intake/sources/kimai.toml").replace("t.break", "t.pause");
    house.read_by(Mapping::parse("m.toml", &mended)?);
    let stack = alone(&house).await?;
    let run = stack.read_source().await?;
    assert_eq!((run.selects["activities"], run.days.written), (1, first.days.written));
    // A newer version is what a product goes on to.
    stack.stop().await?;
    site.execute("ALTER TABLE kimai2_timesheet DROP pause").await?;
    let house = House::at(&site.url(), Mapping::load("kimai")?)?;
    let stack = alone(&house).await?;
    assert_eq!(stack.read_source().await?.selects["activities"], 2);
    site.execute("ALTER TABLE kimai2_timesheet ADD break INT").await?;
    assert_eq!(stack.read_source().await?.selects["activities"], 1);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn activitywatch_is_one_fact_in_three_units_and_a_unit_that_is_not_meant_is_not_taken() -> anyhow::Result<()> {
    let columns = ["day", "started_at", "duration_seconds", "user_id", "stereotype_code"];
    let nanoseconds = include_str!("../sources/activitywatch.sql");
    let microseconds = "UPDATE events SET starttime = starttime / 1000, endtime = endtime / 1000;";
    let datetime = "
        ALTER TABLE buckets RENAME TO bucketmodel; ALTER TABLE bucketmodel RENAME id TO key;
        CREATE TABLE eventmodel AS SELECT id, bucketrow AS bucket_id,
            strftime('%Y-%m-%d %H:%M:%S', starttime / 1000000000, 'unixepoch')
                || printf('.%06d+00:00', starttime / 1000 % 1000000) AS timestamp,
            CAST((endtime - starttime) / 1000 AS REAL) / 1000000 AS duration, data AS datastr FROM events;
        DROP TABLE events;";
    let rust = "ALTER TABLE events RENAME data TO datastr; ALTER TABLE buckets RENAME id TO number;";
    for (product, more, seconds) in [
        ("activitywatch", String::new(), "60"),
        ("activitywatch-microseconds", microseconds.to_owned(), "60"),
        ("activitywatch-microseconds", format!("{microseconds}{rust}"), "60"),
        // A duration is rounded, and a span is counted in whole seconds.
        ("activitywatch-datetime", datetime.to_owned(), "61"),
    ] {
        let site = Site::sqlite(&format!("{nanoseconds}{more}")).await?;
        let expected = rows(
            &columns,
            &[
                ("1", &["2026-08-04", "2026-08-03 22:30:00.123456+00", "5400", "pc", "editor"]),
                ("2", &["2026-08-04", "2026-08-04 00:00:00+00", "0", "pc", "unknown"]),
                ("3", &["2026-08-04", "2026-08-04 00:00:00+00", seconds, "pc", "unknown"]),
            ],
        );
        assert_eq!(
            site.read(product, &columns).await?,
            Read { rows: expected, refused: json!([]), open: 0 },
            "{product}"
        );
        site.execute(if product.ends_with("datetime") { "DROP TABLE bucketmodel" } else { "DROP TABLE buckets" })
            .await?;
        let alone = site.read(product, &columns).await?.rows;
        assert_eq!((&alone["1"]["user_id"], &alone["4"]["user_id"]), (&json!("1"), &json!("2")), "{product}");
    }
    // Microseconds that are read as nanoseconds lie in January 1970, and none of them lands.
    let site = Site::sqlite(&format!("{nanoseconds}{microseconds}")).await?;
    let house = House::at(&site.url(), Mapping::load("activitywatch")?)?;
    let stack = alone(&house).await?;
    let stopped = chain(stack.read_source().await.unwrap_err().as_ref());
    assert!(stopped.contains("activities.started_at is `out_of_range`: it lies in 1970"), "{stopped}");
    stack.stop().await
}

/// By product: what makes it, and changes that its cursor tells of. `moment` is when.
const CHANGES: [(&str, &str, &[&str]); 5] = [
    (
        "solidtime",
        include_str!("../sources/solidtime.sql"),
        &[
            // One moves to another day, one that ran has ended, one is new, and none of this was in the future.
            "UPDATE time_entries SET start = '2026-08-06 02:00:00', \"end\" = '2026-08-06 03:00:00', updated_at = moment
                WHERE description = 'first'",
            "UPDATE time_entries SET \"end\" = '2026-08-04 13:00:00', updated_at = moment WHERE \"end\" IS NULL",
            "INSERT INTO time_entries SELECT '00000000-0000-0000-0000-000000000009', 'new', start, \"end\", billable, user_id, member_id,
                organization_id, project_id, task_id, tags, moment, moment FROM time_entries WHERE description = 'first'",
        ],
    ),
    (
        "redmine",
        "",
        &[
            "UPDATE time_entries SET hours = 2, updated_on = moment WHERE id = 1",
            "UPDATE time_entries SET spent_on = '2026-08-09', updated_on = moment WHERE id = 2",
            "INSERT INTO time_entries VALUES (9, 1, 1, NULL, 1, 'new', 9, '2026-08-09', moment, moment)",
        ],
    ),
    (
        "openproject",
        include_str!("../sources/openproject.sql"),
        &[
            "UPDATE time_entries SET hours = 2, updated_on = moment WHERE id = 1",
            "UPDATE time_entries SET spent_on = '2026-08-09', updated_on = moment WHERE id = 2",
            "INSERT INTO time_entries VALUES (9, 1, 2, 7, 1, 'new', 9, '2026-08-09', 2026, 8, 32, moment, moment)",
        ],
    ),
    (
        "gitlab",
        include_str!("../sources/gitlab.sql"),
        &[
            "UPDATE timelogs SET time_spent = 60, updated_at = moment WHERE id = 1",
            // Its day was that of the record itself.
            "UPDATE timelogs SET spent_at = '2026-08-01 12:00:00', updated_at = moment WHERE id = 4",
            "UPDATE timelogs SET time_spent = 900, updated_at = moment WHERE id = 3",
            "INSERT INTO timelogs VALUES (9, 60, 1, moment, moment, 5, NULL, NULL, 3, 'new')",
        ],
    ),
    (
        "jira",
        "",
        &[
            "UPDATE worklog SET timeworked = 120, UPDATED = moment WHERE ID = 2",
            "UPDATE worklog SET STARTDATE = '2026-08-09T10:00:00Z', UPDATED = moment WHERE ID = 100000000000000001",
            "UPDATE worklog SET STARTDATE = '2026-08-09T10:00:00Z', UPDATED = moment WHERE ID = 3",
        ],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_a_product_is_read_by_its_cursor_and_is_what_reading_everything_gives() -> anyhow::Result<()> {
    let columns =
        ["day", "user_id", "started_at", "duration_seconds", "stereotype_code", "note", "updated_at", "source_row"];
    for (product, statements, changes) in CHANGES {
        let statements = match product {
            "redmine" => redmine("timestamp"),
            "jira" => jira("timestamptz"),
            _ => statements.to_owned(),
        };
        let site = Site::postgres(&statements).await?;
        let house = House::at(&site.url(), site.recognised().await?)?;
        let mut stack = alone(&house).await?;
        stack.intake.pace = Pace::default();
        stack.read_source().await?;
        for change in changes {
            site.execute(&change.replace("moment", "now() AT TIME ZONE 'UTC'")).await?;
            let run = stack.read_source().await?;
            assert_eq!((run.reading, run.because), (Reading::Changes, None), "{product}: {change}");
            ensure!(run.days.written > 0, "{product}: {change}: nothing came of it");
            let whole = site.read(product, &columns).await?;
            let rows = crate::live::rows(&house, &columns)?;
            assert_eq!((rows, run.counts.open), (whole.rows, whole.open), "{product}: {change}");
        }
        let quiet = stack.read_source().await?;
        assert_eq!((quiet.reading, quiet.days.written, quiet.objects.len()), (Reading::Changes, 0, 0), "{product}");
        stack.stop().await?;
    }
    Ok(())
}
