//! A source whose schema changes under a mapping: either the same canonical rows come out, or intake stops before it
//! writes anything and says what to mend.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use intake::mapping::{BUILT_IN, Mapping};
use serde_json::{Value, json};
use shared::telemetry::chain;
use wastewalk::{progress::Show, up};
use wastewalk_tests::{House, files, foreign, json, postgres};

use crate::{live::alone, mariadb};

const SQLITE: &str = "
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE users (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, timezone TEXT);
    CREATE TABLE sprints (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, starts_at TEXT, ends_at TEXT, released_at TEXT);
    CREATE TABLE activity_stereotypes (code TEXT PRIMARY KEY, name TEXT, category TEXT, automatable BOOL);
    CREATE TABLE activities (id INTEGER PRIMARY KEY, user_id INTEGER, sprint_id INTEGER, stereotype_code TEXT,
        started_at TEXT, duration INTEGER, in_sprint BOOL, rating INTEGER, note TEXT, created_at TEXT, updated_at TEXT);";

/// A team of two that tracked this many activities, 20 a day, each of another length; the last one takes more than a day.
const ACTIVITIES: usize = 120;

fn organisation() -> String {
    let activity = |n: usize| {
        let (day, hour, minute) = (2 + n / 20, 6 + n % 20 / 2, n % 2 * 30);
        let seconds = if n + 1 == ACTIVITIES { 93_784 } else { 60 * n + 7 };
        let mark = ["true", "false", "NULL"][n % 3];
        let rating = ["NULL", "1", "5"][n / 3 % 3];
        format!(
            "({n}, {}, NULL, 'code', '2026-03-{day:02}T{hour:02}:{minute:02}:00Z', {seconds}, {mark}, {rating}, 'n', \
             '2026-03-20T00:00:00Z', '2026-03-20T00:00:00Z')",
            1 + n % 2
        )
    };
    let activities: Vec<String> = (0..ACTIVITIES).map(activity).collect();
    format!(
        "INSERT INTO teams VALUES (1, 'Team');
         INSERT INTO users VALUES (1, 1, 'Ada', 'Europe/Berlin'), (2, 1, 'Bo', 'America/New_York');
         INSERT INTO sprints VALUES (1, 1, 'S', '2026-03-01T23:00:00Z', '2026-03-15T23:00:00Z', NULL);
         INSERT INTO activity_stereotypes VALUES ('code', 'Coding', 'coding', false);
         INSERT INTO activities VALUES {};",
        activities.join(", ")
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Sqlite,
    Mariadb,
}

const KINDS: [Kind; 3] = [Kind::Postgres, Kind::Sqlite, Kind::Mariadb];

/// The same organisation in any database.
struct Site {
    house: House,
    server: Option<Database>,
}

enum Database {
    Postgres(postgres::Database<'static>),
    Mariadb(mariadb::Database<'static>),
}

impl Site {
    async fn new(kind: Kind) -> anyhow::Result<Self> {
        let (url, server) = match kind {
            Kind::Sqlite => {
                let house = House::of(&format!("{SQLITE}{}", organisation())).await?;
                return Ok(Self { house, server: None });
            }
            Kind::Postgres => {
                let statements = format!("{}{}", postgres::SCHEMA, organisation());
                let database = postgres::Server::get().await?.database(&statements).await?;
                (database.url(), Database::Postgres(database))
            }
            Kind::Mariadb => {
                // It knows no `Z`, and the session is in UTC.
                let statements = format!("{}{}", mariadb::SCHEMA, organisation().replace("Z'", "'"));
                let database = mariadb::Server::get().await?.database(&statements).await?;
                (database.url(), Database::Mariadb(database))
            }
        };
        Ok(Self { house: House::at(&url, Mapping::load("reference")?)?, server: Some(server) })
    }

    async fn execute(&self, statements: &str) -> anyhow::Result<()> {
        match &self.server {
            Some(Database::Postgres(database)) => database.execute(statements).await,
            Some(Database::Mariadb(database)) => database.execute(statements).await,
            None => self.house.execute(statements).await,
        }
    }

    /// Every canonical column but the source record, by key.
    fn canonical(&self) -> anyhow::Result<Value> {
        let columns = [
            "day",
            "user_id",
            "team_id",
            "sprint_id",
            "project_id",
            "sprint_starts_at",
            "sprint_ends_at",
            "sprint_released_at",
            "stereotype_code",
            "stereotype_name",
            "claimed_category",
            "claimed_automatable",
            "started_at",
            "ended_at",
            "clock",
            "duration_seconds",
            "marked_in_sprint",
            "out_of_sprint_seconds",
            "rating",
            "time_zone",
            "note",
            "updated_at",
        ];
        foreign("rows.py", &[&[self.house.lake().to_str().context("UTF-8")?], &columns[..]].concat())
    }

    /// What the lake holds of the source: everything but the runs.
    fn captured(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        Ok(files(&self.house.lake())?.into_iter().filter(|(name, _)| !name.starts_with("runs/")).collect())
    }
}

struct Drift {
    postgres: &'static str,
    sqlite: &'static str,
    mariadb: &'static str,
    /// What a run says in each of the databases, if it stops.
    stops: Option<[&'static str; 3]>,
    /// What of the mapping is changed then.
    mend: Option<(&'static str, &'static str)>,
}

impl Drift {
    fn statements(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Postgres => self.postgres,
            Kind::Sqlite => self.sqlite,
            Kind::Mariadb => self.mariadb,
        }
    }
}

const DURATION: &str = "duration_seconds = { column = \"duration\", unit = \"seconds\" }";

const DRIFTS: &[Drift] = &[
    // The reference drift: whole seconds become a TIME,
    Drift {
        postgres: "DELETE FROM activities WHERE duration >= 86400;
            ALTER TABLE activities ALTER duration TYPE time USING time '00:00' + duration * interval '1 second'",
        sqlite: "DELETE FROM activities WHERE duration >= 86400;
            UPDATE activities SET duration = time(duration, 'unixepoch')",
        mariadb: "ALTER TABLE activities ADD t TIME; UPDATE activities SET t = sec_to_time(duration);
            ALTER TABLE activities DROP duration, CHANGE t duration TIME",
        stops: Some([
            "activities.duration_seconds expects a number of seconds, and the column `duration` has the type time; declare format = \"time\"",
            "119 of 124 records cannot be translated, so nothing was written; most often, 119 times, activities.duration_seconds is `unreadable`",
            "activities.duration_seconds expects a number of seconds, and the column `duration` has the type time; declare format = \"time\"",
        ]),
        mend: Some(("unit = \"seconds\"", "format = \"time\"")),
    },
    // or an INTERVAL.
    Drift {
        postgres: "ALTER TABLE activities ALTER duration TYPE interval USING justify_hours(duration * interval '1 second')",
        sqlite: "UPDATE activities SET duration =
            CASE WHEN duration >= 86400 THEN '1 day ' ELSE '' END || time(duration % 86400, 'unixepoch')",
        mariadb: "ALTER TABLE activities ADD t TEXT; UPDATE activities SET t = concat(
            CASE WHEN duration >= 86400 THEN '1 day ' ELSE '' END, sec_to_time(duration % 86400));
            ALTER TABLE activities DROP duration, CHANGE t duration TEXT",
        stops: Some([
            "the column `duration` has the type interval; declare format = \"interval\"",
            "expects a number of seconds, and this is text with `:` in it",
            "expects a number of seconds, and this is text with `:` in it",
        ]),
        mend: Some(("unit = \"seconds\"", "format = \"interval\"")),
    },
    // Numbers stay readable in whatever type.
    Drift {
        postgres: "ALTER TABLE activities ALTER duration TYPE text",
        sqlite: "ALTER TABLE activities RENAME COLUMN duration TO d; ALTER TABLE activities ADD duration TEXT;
            UPDATE activities SET duration = d",
        mariadb: "ALTER TABLE activities MODIFY duration TEXT",
        stops: None,
        mend: None,
    },
    Drift {
        postgres: "ALTER TABLE activities ALTER duration TYPE numeric(12, 2)",
        sqlite:
            "UPDATE activities SET duration = duration || '.00'; ALTER TABLE activities RENAME COLUMN duration TO d;
            ALTER TABLE activities ADD duration REAL; UPDATE activities SET duration = d",
        mariadb: "ALTER TABLE activities MODIFY duration DECIMAL(12, 2)",
        stops: None,
        mend: None,
    },
    Drift {
        postgres: "ALTER TABLE activities ALTER in_sprint TYPE text, ALTER rating TYPE bigint, ALTER user_id TYPE text,
            DROP CONSTRAINT activities_user_id_fkey",
        sqlite: "UPDATE activities SET in_sprint = CASE in_sprint WHEN 1 THEN 'true' WHEN 0 THEN 'false' END",
        mariadb: "ALTER TABLE activities MODIFY in_sprint TEXT, MODIFY rating BIGINT UNSIGNED",
        stops: None,
        mend: None,
    },
    Drift {
        postgres: "ALTER TABLE activities ALTER started_at TYPE timestamp USING started_at AT TIME ZONE 'UTC'",
        sqlite: "UPDATE activities SET started_at = replace(replace(started_at, 'T', ' '), 'Z', '')",
        mariadb: "ALTER TABLE activities MODIFY started_at DATETIME NOT NULL",
        stops: Some([
            "activities.started_at expects an instant with an offset (`rfc3339`), and the column `started_at` has the type timestamp; declare format = \"iso\"",
            "activities.started_at is `unreadable`: line",
            "activities.started_at expects an instant with an offset (`rfc3339`), and the column `started_at` has the type datetime; declare format = \"iso\"",
        ]),
        mend: Some((
            "started_at = { column = \"started_at\", format = \"rfc3339\" }",
            "started_at = { column = \"started_at\", format = \"iso\", zone = \"UTC\" }",
        )),
    },
    // A column is renamed, or gone.
    Drift {
        postgres: "ALTER TABLE activities RENAME duration TO duration_s",
        sqlite: "ALTER TABLE activities RENAME duration TO duration_s",
        mariadb: "ALTER TABLE activities RENAME COLUMN duration TO duration_s",
        stops: Some(["which the source does not give; did you mean `duration_s`?"; 3]),
        mend: Some((DURATION, "duration_seconds = { column = \"duration_s\", unit = \"seconds\" }")),
    },
    Drift {
        postgres: "ALTER TABLE users ADD zone text; UPDATE users SET zone = timezone; ALTER TABLE users DROP timezone",
        sqlite: "ALTER TABLE users ADD zone TEXT; UPDATE users SET zone = timezone; ALTER TABLE users DROP timezone",
        mariadb: "ALTER TABLE users ADD zone TEXT; UPDATE users SET zone = timezone; ALTER TABLE users DROP timezone",
        stops: Some(["users.time_zone reads the column `timezone`, which the source does not give"; 3]),
        mend: Some(("time_zone = \"timezone\"", "time_zone = \"zone\"")),
    },
];

async fn follow(drift: &Drift, kind: Kind) -> anyhow::Result<()> {
    let mut site = Site::new(kind).await?;
    let stack = alone(&site.house).await?;
    stack.read_source().await?;
    let (before, captured) = (site.canonical()?, site.captured()?);
    assert_eq!(before.as_object().map(serde_json::Map::len), Some(ACTIVITIES));
    site.execute(drift.statements(kind)).await?;
    let run = stack.read_source().await;
    match drift.stops {
        None => assert_eq!(run?.counts.quarantined, 0),
        Some(says) => {
            let said = chain(run.err().context("the run must stop")?.as_ref());
            assert!(said.contains(says[kind as usize]), "{said}");
            // The line of the mapping, and no value.
            let reference = BUILT_IN[0].1;
            let (from, to) = drift.mend.context("a way to mend it")?;
            let line = 1 + reference.lines().position(|line| line.contains(from)).context("a line")?;
            assert!(said.starts_with(&format!("sources/reference.toml:{line}: ")), "{said}");
            assert!(!said.contains("00:0") && !said.contains("2026-"), "{said}");
            assert!(site.captured()? == captured, "something was written");
            site.house.read_by(Mapping::parse("m.toml", &reference.replacen(from, to, 1))?);
        }
    }
    stack.stop().await?;
    let stack = alone(&site.house).await?;
    let run = stack.read_source().await?;
    let (after, mut expected) = (site.canonical()?, before);
    // What the drift itself deleted is not expected.
    let expected = expected.as_object_mut().context("rows")?;
    expected.retain(|key, _| after.get(key).is_some());
    ensure!(expected.len() as u64 == run.counts.read && run.counts.quarantined == 0, "{:?}", run.counts);
    assert_eq!(&Value::from(expected.clone()), &after, "{}", drift.statements(kind));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_retyped_renamed_or_dropped_gives_the_same_rows_or_stops_the_run_in_postgresql()
-> anyhow::Result<()> {
    for drift in DRIFTS {
        follow(drift, Kind::Postgres).await.with_context(|| drift.postgres)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_retyped_renamed_or_dropped_gives_the_same_rows_or_stops_the_run_in_sqlite()
-> anyhow::Result<()> {
    for drift in DRIFTS {
        follow(drift, Kind::Sqlite).await.with_context(|| drift.sqlite)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_retyped_renamed_or_dropped_gives_the_same_rows_or_stops_the_run_in_mariadb()
-> anyhow::Result<()> {
    for drift in DRIFTS {
        follow(drift, Kind::Mariadb).await.with_context(|| drift.mariadb)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_added_is_kept_and_one_that_may_be_null_now_costs_only_its_own_rows() -> anyhow::Result<()> {
    for kind in KINDS {
        let site = Site::new(kind).await?;
        let stack = alone(&site.house).await?;
        stack.read_source().await?;
        let before = site.canonical()?;
        site.execute("ALTER TABLE activities ADD mood text; UPDATE activities SET mood = 'fine'").await?;
        match kind {
            Kind::Postgres => site.execute("ALTER TABLE activities ALTER started_at DROP NOT NULL").await?,
            Kind::Mariadb => site.execute("ALTER TABLE activities MODIFY started_at TIMESTAMP NULL").await?,
            Kind::Sqlite => {}
        }
        site.execute("UPDATE activities SET started_at = NULL WHERE id = 5").await?;
        let run = stack.read_source().await?;
        assert_eq!(run.quarantined_by_reason, [("missing".to_owned(), 1)].into());
        let (mut expected, after) = (before, site.canonical()?);
        expected.as_object_mut().context("rows")?.remove("5");
        assert_eq!(after, expected);
        let lake = site.house.lake();
        let kept = foreign("rows.py", &[lake.to_str().context("UTF-8")?, "source_row ->> 'mood'"])?;
        assert_eq!(kept["7"], json!({"source_row ->> 'mood'": "fine"}));
        stack.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_captured_before_a_drift_is_served_on_and_health_says_why_it_is_old() -> anyhow::Result<()> {
    for kind in KINDS {
        let site = Site::new(kind).await?;
        let (stack, _) = site.house.worked().await?;
        let before = json(&stack, "/v1/insights").await?;
        site.execute(DRIFTS[0].statements(kind)).await?;
        let failed = up::work(&stack, Show::Nothing).await?.run.expect_err("the duration is a time now");
        let health = json(&stack, "/v1/health").await?;
        assert_eq!(health["status"], "failing");
        assert_eq!(health["last_run"]["failed"], json!(failed));
        assert_eq!(json(&stack, "/v1/insights").await?, before);
        stack.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_refused_records_are_quarantined_and_more_than_a_few_stop_the_run() -> anyhow::Result<()> {
    let site = Site::new(Kind::Sqlite).await?;
    let stack = alone(&site.house).await?;
    // Of 125 records: fifty are a few, whatever their share.
    site.execute("UPDATE activities SET rating = 9 WHERE id < 50").await?;
    let run = stack.read_source().await?;
    assert_eq!((run.counts.quarantined, run.counts.written), (50, 70));
    let captured = site.captured()?;
    // One more stops it, whether of the activities or of anything else; nothing of it is kept but the record of the run.
    site.execute("INSERT INTO users VALUES (3, 1, x'ff', NULL)").await?;
    let failed = chain(stack.read_source().await.expect_err("51 of 126").as_ref());
    let expected = "51 of 126 records cannot be translated, so nothing was written; most often, 50 times, activities.rating is \
                    `out_of_range`: a rating is a whole number from 1 to 5";
    assert!(failed.contains(expected), "{failed}");
    assert!(site.captured()? == captured);
    // Among many they are few again: less than one in twenty.
    let more: Vec<String> = (1_000..2_000).map(|n| format!("({n}, 1, 'code', '2026-03-09T08:00:00Z', 60)")).collect();
    site.execute(&format!(
        "INSERT INTO activities (id, user_id, stereotype_code, started_at, duration) VALUES {}",
        more.join(", ")
    ))
    .await?;
    assert_eq!(stack.read_source().await?.counts.written, 1_000);
    stack.stop().await
}

const REPLAYED: &str = "
    INSERT INTO activity_stereotypes VALUES ('golf', 'Golf', 'other', false);
    INSERT INTO users VALUES (3, 1, 'Cy', 'Europe/Vienna');
    INSERT INTO activities VALUES
        (900, 1, NULL, 'code', '2026-03-03T20:00:00Z', 60, true, NULL, 'german', NULL, NULL),
        (901, 1, NULL, 'code', '2026-05-03T20:00:00Z', 60, true, NULL, 'german', NULL, NULL),
        (902, 3, NULL, 'golf', '2026-03-04T20:00:00Z', 60, true, NULL, NULL, NULL, NULL),
        (903, 1, NULL, 'code', '2026-03-04T20:00:00Z', -1, true, NULL, NULL, NULL, NULL);
    UPDATE activities SET in_sprint = 'ja' WHERE id IN (900, 901);
    UPDATE activity_stereotypes SET automatable = 'nein' WHERE code = 'golf';";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mended_mapping_can_read_comes_in_from_quarantine_without_the_source_and_as_the_source_would_give_it()
-> anyhow::Result<()> {
    let mut site = Site::new(Kind::Sqlite).await?;
    site.execute(REPLAYED).await?;
    let stack = alone(&site.house).await?;
    let run = stack.read_source().await?;
    // The golf is refused with its kind, which says `nein`.
    let reasons = [("negative", 1), ("unknown_stereotype", 1), ("unreadable", 3)];
    let reasons: BTreeMap<String, u64> = reasons.map(|(reason, count)| (reason.to_owned(), count)).into();
    assert_eq!((run.counts.quarantined, run.counts.written, &run.quarantined_by_reason), (4, 120, &reasons));
    let (before, captured) = (site.canonical()?, site.captured()?);

    // The same mapping can read no more than before, and writes nothing but the record of the run.
    let nothing = stack.intake.replay(chrono::Utc::now()).await?;
    assert_eq!((nothing.counts.quarantined, &nothing.quarantined_by_reason, nothing.replayed), (4, &reasons, true));
    assert!(site.captured()? == captured);
    stack.stop().await?;

    // The source is gone; the mapping learns German.
    let file = site.house.source_url().trim_start_matches("sqlite://").to_owned();
    let away = format!("{file}.away");
    std::fs::rename(&file, &away)?;
    let flag = "values = { 1 = \"yes\", 0 = \"no\", ja = \"yes\", nein = \"no\" }";
    let mended = BUILT_IN[0]
        .1
        .replace("\"in_sprint\"", &format!("{{ column = \"in_sprint\", {flag} }}"))
        .replace("\"automatable\"", &format!("{{ column = \"automatable\", {flag} }}"));
    site.house.read_by(Mapping::parse("m.toml", &mended)?);
    let stack = alone(&site.house).await?;
    assert!(stack.read_source().await.is_err(), "the source is gone");
    let run = stack.intake.replay(chrono::Utc::now()).await?;
    assert!(run.counts.balanced(), "{:?}", run.counts);
    // Two days that were there, one that was not; with the 20 rows of each of the two.
    assert_eq!((run.days.written, run.counts.written, run.counts.quarantined), (3, 43, 1));
    assert_eq!(run.quarantined_by_reason, [("negative".to_owned(), 1)].into());
    let after = site.canonical()?;
    let rows = after.as_object().context("rows")?.keys().map(String::as_str);
    let came: BTreeSet<&str> = rows.filter(|key| before.get(key).is_none()).collect();
    assert_eq!(came, BTreeSet::from(["900", "901", "902"]));
    assert!(before.as_object().context("rows")?.iter().all(|(key, row)| after[key] == *row));
    assert_eq!((&after["902"]["time_zone"], &after["901"]["day"]), (&json!("Europe/Vienna"), &json!("2026-05-03")));
    ensure!(captured.iter().all(|(name, bytes)| site.captured().is_ok_and(|now| now.get(name) == Some(bytes))));
    assert_eq!(stack.intake.replay(chrono::Utc::now()).await?.days.written, 0, "again is nothing new");

    // When the source is back, its next run finds every day as it would have written it.
    std::fs::rename(&away, &file)?;
    let run = stack.read_source().await?;
    assert_eq!((run.days.written, run.days.emptied, run.dimensions_written.len()), (0, 0, 0));
    assert_eq!((run.counts.unchanged, run.counts.quarantined), (123, 1));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_takes_in_no_key_twice_and_nothing_that_lacks_a_column() -> anyhow::Result<()> {
    let mut site = Site::new(Kind::Sqlite).await?;
    site.execute("ALTER TABLE activities RENAME TO old; CREATE TABLE activities AS SELECT * FROM old").await?;
    // Two of one key on two days, of which one cannot be read; and one that can be read in a column only that is not there.
    site.execute(
        "INSERT INTO activities SELECT 7, user_id, NULL, 'code', '2026-05-01T08:00:00Z', 60, 'ja', NULL, NULL, NULL, NULL
            FROM old WHERE id = 7;
         INSERT INTO activities SELECT 8, user_id, NULL, 'code', '2026-05-01T08:00:00Z', 60, true, NULL, NULL, NULL, NULL
            FROM old WHERE id = 8;",
    )
    .await?;
    let stack = alone(&site.house).await?;
    let run = stack.read_source().await?;
    let reasons = [("repeated_key".to_owned(), 1), ("unreadable".to_owned(), 1)];
    assert_eq!(run.quarantined_by_reason, reasons.clone().into());
    let captured = site.captured()?;
    stack.stop().await?;
    let values = "{ column = \"in_sprint\", values = { 1 = \"yes\", 0 = \"no\", ja = \"yes\" } }";
    let replay = async |site: &mut Site, mapping: &str| -> anyhow::Result<_> {
        site.house.read_by(Mapping::parse("m.toml", mapping)?);
        let stack = alone(&site.house).await?;
        let run = stack.intake.replay(chrono::Utc::now()).await?;
        stack.stop().await?;
        Ok(run)
    };
    let mended = BUILT_IN[0].1.replace("\"in_sprint\"", values);
    let run = replay(&mut site, &mended).await?;
    assert_eq!((run.counts.quarantined, run.days.written), (2, 0));
    assert_eq!(run.quarantined_by_reason, [("repeated_key".to_owned(), 2)].into());
    let lacking = mended.replace("note = \"note\"", "note = \"remark\"");
    let run = replay(&mut site, &lacking).await?;
    assert_eq!((run.counts.quarantined, run.days.written), (2, 0));
    ensure!(captured.iter().all(|(name, bytes)| site.captured().is_ok_and(|now| now.get(name) == Some(bytes))));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_refused_records_with_one_key_a_replay_lets_in_the_one_that_the_source_would() -> anyhow::Result<()> {
    let mut site = Site::new(Kind::Sqlite).await?;
    site.execute("ALTER TABLE activities RENAME TO old; CREATE TABLE activities AS SELECT * FROM old").await?;
    // Alike in all that decides; as numbers they are in another order than their ends are as text.
    for (key, seconds) in [(901, 70), (901, 130), (902, 130), (902, 70), (903, 5), (903, 4_000_000), (903, 60)] {
        site.execute(&format!(
            "INSERT INTO activities SELECT {key}, user_id, NULL, 'code', '2026-05-01T08:00:00Z', {seconds}, 'ja', NULL, NULL, NULL, NULL
                FROM old WHERE id = 7;"
        ))
        .await?;
    }
    let stack = alone(&site.house).await?;
    assert_eq!(stack.read_source().await?.counts.quarantined, 7);
    stack.stop().await?;
    let values = "{ column = \"in_sprint\", values = { 1 = \"yes\", 0 = \"no\", ja = \"yes\" } }";
    site.house.read_by(Mapping::parse("m.toml", &BUILT_IN[0].1.replace("\"in_sprint\"", values))?);
    let stack = alone(&site.house).await?;
    let run = stack.intake.replay(chrono::Utc::now()).await?;
    assert_eq!(run.quarantined_by_reason, [("repeated_key".to_owned(), 4)].into());
    assert_eq!(run.counts.written, 3);
    let run = stack.read_source().await?;
    assert_eq!((run.days.written, run.days.emptied, run.counts.quarantined), (0, 0, 4));
    stack.stop().await
}
