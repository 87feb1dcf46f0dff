//! A source that lives: while it is read and between one run and the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef},
    },
    error::BoxError,
};
use intake::{budget::Budget, mapping::Mapping};
use serde_json::{Value, json};
use shared::{
    lake::{Lake, LakeKey},
    telemetry::chain,
    time::LocalDay,
};
use sqlx::{Executor, Row};
use tokio::sync::Notify;
use wastewalk::{
    bus::Faults,
    stack::{BUCKET, Stack},
};
use wastewalk_tests::{
    House, files, foreign,
    postgres::{Database, SCHEMA, Server, statement},
};

/// A stack of which only intake is looked at: no event arrives.
pub async fn alone(house: &House) -> anyhow::Result<Stack> {
    house.stack(Some(Faults { lost_percent: 100, ..Faults::default() })).await
}

/// The lake's rows of now, by key, as a foreign reader sees them.
pub fn rows(house: &House, columns: &[&str]) -> anyhow::Result<Value> {
    let lake = house.lake();
    foreign("rows.py", &[&[lake.to_str().context("UTF-8")?], columns].concat())
}

/// The reference schema as SQLite has it, and a person in a team.
pub const SMALL: &str = "
    CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE users (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, timezone TEXT);
    CREATE TABLE sprints (id INTEGER PRIMARY KEY, team_id INTEGER, name TEXT, starts_at TEXT, ends_at TEXT, released_at TEXT);
    CREATE TABLE activity_stereotypes (code TEXT PRIMARY KEY, name TEXT, category TEXT, automatable BOOL);
    CREATE TABLE activities (id INTEGER PRIMARY KEY, user_id INTEGER, sprint_id INTEGER, stereotype_code TEXT,
        started_at TEXT, duration INTEGER, in_sprint BOOL, rating INTEGER, note TEXT, created_at TEXT, updated_at TEXT);
    INSERT INTO teams VALUES (1, 'Red'), (2, 'Blue');
    INSERT INTO users VALUES (1, 1, 'Ada', 'Europe/Berlin'), (2, 1, 'Bo', 'Europe/Berlin');
    INSERT INTO sprints VALUES (1, 1, 'R1', '2026-03-01T23:00:00Z', '2026-03-15T23:00:00Z', NULL),
        (2, 2, 'B1', '2026-03-01T23:00:00Z', '2026-03-15T23:00:00Z', NULL);
    INSERT INTO activity_stereotypes VALUES ('code', 'Coding', 'coding', 0);
    INSERT INTO activities (id, user_id, stereotype_code, started_at, duration) VALUES
        (1, 1, 'code', '2026-03-02T08:00:00Z', 3600), (2, 1, 'code', '2026-03-04T08:00:00Z', 60),
        (3, 2, 'code', '2026-03-04T08:00:00Z', 60);";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_changes_teams_keeps_the_old_team_on_old_days() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    let stack = alone(&house).await?;
    let run = async |at: &str| anyhow::Ok(stack.intake.run(at.parse()?).await?);
    assert_eq!(run("2026-03-04T10:00:00Z").await?.days.written, 2);

    // The change alone restates nothing; the next day has the new team, and the new team's sprint.
    house.execute("UPDATE users SET team_id = 2 WHERE id = 1").await?;
    let changed = run("2026-03-05T06:00:00Z").await?;
    assert_eq!((changed.days.written, changed.dimensions_written), (0, vec!["users".to_owned()]));
    let insert = "INSERT INTO activities (id, user_id, stereotype_code, started_at, duration) VALUES";
    house.execute(&format!("{insert} (4, 1, 'code', '2026-03-05T08:00:00Z', 60)")).await?;
    run("2026-03-05T10:00:00Z").await?;

    // Old days change for other reasons: an edit, a row of long ago that comes late, and the old team is dissolved.
    house
        .execute(&format!(
            "UPDATE activities SET note = 'late' WHERE id = 1; {insert} (5, 1, 'code', '2026-01-09T08:00:00Z', 60);
             UPDATE users SET team_id = 2, name = 'Bob' WHERE id = 2; DELETE FROM teams WHERE id = 1;"
        ))
        .await?;
    let run = run("2026-03-09T10:00:00Z").await?;
    assert_eq!((run.counts.quarantined, run.days.written, run.days.unchanged), (0, 2, 2));
    let expected = json!({
        "1": {"team_id": "1", "sprint_id": "1"}, "2": {"team_id": "1", "sprint_id": "1"},
        "3": {"team_id": "1", "sprint_id": "1"}, "4": {"team_id": "2", "sprint_id": "2"},
        "5": {"team_id": "1", "sprint_id": null},
    });
    assert_eq!(rows(&house, &["team_id", "sprint_id"])?, expected);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_keeps_who_was_where_is_believed_and_a_wrong_stay_is_quarantined() -> anyhow::Result<()> {
    let memberships = "
        [memberships]
        select = \"SELECT * FROM stays\"
        [memberships.columns]
        user_id = \"who\"
        team_id = \"team\"
        from = { column = \"since\", format = \"date\", zone = \"local\" }
        to = { column = \"until\", format = \"date\", zone = \"local\" }";
    let reference = intake::mapping::BUILT_IN[0].1;
    let mapping = Mapping::parse("m.toml", &format!("{reference}{memberships}"))?;
    let mut house = House::of(SMALL).await?;
    house.read_by(mapping);
    house
        .execute(
            "CREATE TABLE stays (who INTEGER, team INTEGER, since TEXT, until TEXT);
             INSERT INTO stays VALUES (1, 2, NULL, '2026-03-04'), (1, 1, '2026-03-04', NULL), (9, 1, NULL, NULL),
                (1, 1, '2026-03-04', '2026-03-01');",
        )
        .await?;
    let stack = alone(&house).await?;
    let run = stack.intake.run("2026-04-01T00:00:00Z".parse()?).await?;
    let reasons = [("ends_before_start".to_owned(), 1), ("unknown_user".to_owned(), 1)];
    assert_eq!((run.quarantined_by_reason, run.counts.quarantined), (reasons.into(), 0));
    // Of Bo the source keeps no history, so the team of the users counts.
    let expected = json!({"1": {"team_id": "2"}, "2": {"team_id": "1"}, "3": {"team_id": "1"}});
    assert_eq!(rows(&house, &["team_id"])?, expected);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_two_days_lands_once_and_the_record_that_was_changed_last_has_it() -> anyhow::Result<()> {
    let mut lakes = Vec::new();
    // In whatever order the source gives them.
    for order in ["id", "id DESC, started_at DESC"] {
        let house = House::of(
            &SMALL
                .replace("activities (id INTEGER PRIMARY KEY", "entries (id INTEGER")
                .replace("INTO activities (", "INTO entries ("),
        )
        .await?;
        house
            .execute(&format!(
                "INSERT INTO entries (id, user_id, stereotype_code, started_at, duration, updated_at) VALUES
                    (7, 1, 'code', '2026-03-02T10:00:00Z', 60, '2026-03-03T00:00:00Z'),
                    (7, 1, 'code', '2026-03-09T10:00:00Z', 60, '2026-03-09T00:00:00Z'),
                    (7, 2, 'code', '2026-03-11T10:00:00Z', 60, NULL);
                 CREATE VIEW activities AS SELECT * FROM entries ORDER BY {order};"
            ))
            .await?;
        let stack = alone(&house).await?;
        let run = stack.intake.run("2026-04-01T00:00:00Z".parse()?).await?;
        assert_eq!((run.counts.read, run.counts.written, run.counts.quarantined), (6, 4, 2));
        assert_eq!(run.quarantined_by_reason, [("repeated_key".to_owned(), 2)].into());
        let again = stack.intake.run("2026-04-01T01:00:00Z".parse()?).await?;
        assert_eq!((again.days.written, again.counts.unchanged), (0, 4));
        assert_eq!(rows(&house, &["day"])?["7"], json!({"day": "2026-03-09"}));
        lakes.push(stack.lake.newest_bases(None).await?.iter().map(LakeKey::sha256).collect::<Vec<_>>());
        stack.stop().await?;
    }
    assert_eq!(lakes[0], lakes[1]);
    Ok(())
}

/// A team whose three people tracked forty activities each, on ten days.
pub const TRACKED: &str = "
    INSERT INTO teams VALUES (1, 'Red'), (2, 'Blue');
    INSERT INTO users SELECT g, 1 + g % 2, 'Person ' || g, 'Europe/Berlin' FROM generate_series(1, 3) g;
    INSERT INTO sprints VALUES (1, 1, 'R1', '2026-03-01T23:00:00Z', '2026-03-15T23:00:00Z', NULL),
        (2, 2, 'B1', '2026-03-01T23:00:00Z', '2026-03-15T23:00:00Z', NULL);
    INSERT INTO activity_stereotypes VALUES ('code', 'Coding', 'coding', false), ('plan', 'Planning', 'planning', false);
    INSERT INTO activities
        SELECT g, 1 + g % 3, NULL, CASE WHEN g % 5 = 0 THEN 'plan' ELSE 'code' END,
               timestamptz '2026-03-02T07:00:00Z' + g % 10 * interval '1 day' + g * interval '5 minutes', 60 + g, true, NULL,
               NULL, now(), timestamptz '2026-03-20T00:00:00Z' + g * interval '1 second'
        FROM generate_series(1, 120) g;";

pub async fn tracked() -> anyhow::Result<(Database<'static>, House)> {
    let database = Server::get().await?.database(&format!("{SCHEMA}{TRACKED}")).await?;
    let house = House::at(&database.url(), Mapping::load("reference")?)?;
    Ok((database, house))
}

/// The days that a lake holds now, and the digest of each.
async fn days(stack: &Stack) -> anyhow::Result<BTreeMap<LocalDay, LakeKey>> {
    let keys = stack.lake.newest_bases(None).await?.into_iter();
    Ok(keys.filter_map(|key| Some((key.partition()?.day, key))).collect())
}

/// That a lake holds the source as it is now, exactly: each day as a first translation of everything writes it, byte for
/// byte, and no row of any other day.
pub async fn equals_the_source(house: &House, stack: &Stack) -> anyhow::Result<()> {
    let fresh = House::at(house.source_url(), stack.intake.mapping.clone())?;
    let first = alone(&fresh).await?;
    first.read_source().await?;
    let expected = days(&first).await?;
    let held: BTreeSet<String> = rows(house, &["day"])?
        .as_object()
        .into_iter()
        .flat_map(|rows| rows.values())
        .filter_map(|row| row["day"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(held, expected.keys().map(LocalDay::to_string).collect::<BTreeSet<_>>());
    let held = days(stack).await?;
    for (day, key) in &expected {
        assert_eq!(held[day].sha256(), key.sha256(), "{day}");
    }
    first.stop().await
}

/// That every object that was there is there, byte for byte.
pub fn nothing_changed(before: &BTreeMap<String, Vec<u8>>, house: &House) -> anyhow::Result<()> {
    let now = files(&house.lake())?;
    ensure!(before.iter().all(|(name, bytes)| now.get(name) == Some(bytes)), "a captured object changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_in_the_source_the_next_run_equals_it_and_the_past_stays() -> anyhow::Result<()> {
    let (database, house) = tracked().await?;
    let stack = alone(&house).await?;
    stack.read_source().await?;
    equals_the_source(&house, &stack).await?;

    // A long transaction: its rows are older than what is committed and captured before it ends.
    let mut long = database.server.connect(&database.name).await?;
    let late =
        "BEGIN; INSERT INTO activities VALUES (500, 1, NULL, 'code', '2026-03-03T12:00:00Z', 60, true, NULL, NULL,
        '2026-03-03T12:00:00Z', '2026-03-03T12:00:00Z'); UPDATE activities SET duration = 1 WHERE id = 7";
    long.execute(statement(late.to_owned())).await?;
    let visible = "INSERT INTO activities VALUES (501, 1, NULL, 'code', '2026-03-20T12:00:00Z', 60, true, NULL, NULL,
        now(), now())";
    database.execute(visible).await?;
    let before = files(&house.lake())?;
    assert_eq!(stack.read_source().await?.days.written, 1);
    equals_the_source(&house, &stack).await?;
    long.execute("COMMIT").await?;
    assert_eq!(stack.read_source().await?.days.written, 2, "what was committed behind the newest row is lost");
    equals_the_source(&house, &stack).await?;

    // By what the source does, how many days are restated.
    for (change, restated) in [
        // A row of long ago, with the time stamps of long ago; a clock that is behind, and one that is ahead.
        ("INSERT INTO activities VALUES (502, 2, NULL, 'code', '2024-01-01T12:00:00Z', 60, true, NULL, NULL,
            '2024-01-01T12:00:00Z', '2024-01-01T12:00:00Z')", 1),
        ("UPDATE activities SET duration = 5, updated_at = '2001-01-01T00:00:00Z' WHERE id = 11", 1),
        ("UPDATE activities SET duration = 5, updated_at = '2099-01-01T00:00:00Z' WHERE id = 12", 1),
        ("UPDATE activities SET duration = 6, updated_at = now() WHERE id = 13", 1),
        // Edits that leave the time stamp alone, and what only a joined table knows.
        ("UPDATE activities SET rating = 4 WHERE id = 21", 1),
        ("UPDATE sprints SET released_at = '2026-03-13T12:00:00Z' WHERE id = 1", 10),
        ("UPDATE activity_stereotypes SET name = 'Plans' WHERE code = 'plan'", 2),
        // Deletes, of a row and of a whole day; rows that move to a day that is there, and to one that is not.
        ("DELETE FROM activities WHERE id = 31", 1),
        ("DELETE FROM activities WHERE started_at::date = '2026-03-20'", 1),
        ("UPDATE activities SET started_at = started_at + interval '1 day' WHERE id = 42", 2),
        ("UPDATE activities SET started_at = '2026-04-01T08:00:00Z' WHERE id = 43", 2),
        // The same time stamp as a row that is there, and the same row again with another key.
        ("INSERT INTO activities SELECT 503, user_id, sprint_id, stereotype_code, started_at, duration, in_sprint, rating, note,
            created_at, updated_at FROM activities WHERE id = 44", 1),
        ("UPDATE activities SET note = note", 0),
    ] {
        database.execute(change).await?;
        let run = stack.read_source().await?;
        assert_eq!(run.days.written + run.days.emptied, restated, "{change}");
        assert!(run.counts.balanced() && run.counts.quarantined == 0, "{:?}", run.counts);
        equals_the_source(&house, &stack).await?;
    }
    nothing_changed(&before, &house)?;
    stack.stop().await
}

/// Makes reading wait at row 60 until whoever holds the lock gives it back.
pub const HELD: &str = "
    ALTER TABLE activities RENAME TO all_activities;
    CREATE FUNCTION wait_at(id bigint) RETURNS boolean LANGUAGE plpgsql AS
        'BEGIN IF id = 60 THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN true; END';
    CREATE VIEW activities AS SELECT * FROM all_activities WHERE wait_at(id);";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_it_is_read_comes_with_the_next_run_and_a_second_intake_waits_for_its_turn()
-> anyhow::Result<()> {
    let (database, house) = tracked().await?;
    database.execute(HELD).await?;
    let stack = alone(&house).await?;
    let mut writer = database.server.connect(&database.name).await?;
    writer.execute("SELECT pg_advisory_lock(1)").await?;
    let reading = tokio::spawn({
        let intake = stack.intake.clone();
        async move { intake.handle().await }
    });
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while writer.fetch_one(waiting).await?.get::<i64, _>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = stack.intake.handle().await;
    assert!(second.is_err_and(|error| error.to_string().contains("another intake is running")));
    let edits =
        "INSERT INTO all_activities SELECT 600, user_id, sprint_id, stereotype_code, started_at, duration, in_sprint,
            rating, note, created_at, updated_at FROM all_activities WHERE id = 90;
        DELETE FROM all_activities WHERE id IN (1, 100); UPDATE users SET timezone = 'Asia/Tokyo';
        UPDATE all_activities SET started_at = started_at + interval '3 days' WHERE id IN (2, 101)";
    writer.execute(statement(edits.to_owned())).await?;
    writer.execute("SELECT pg_advisory_unlock(1)").await?;
    let run = reading.await??;
    assert_eq!((run.counts.read, run.counts.quarantined), (120, 0));
    let of_then = rows(&house, &["time_zone", "started_at"])?;
    assert_eq!(of_then.as_object().map(serde_json::Map::len), Some(120));
    assert_eq!(of_then["101"], json!({"time_zone": "Europe/Berlin", "started_at": "2026-03-03 15:25:00+00"}));
    stack.read_source().await?;
    equals_the_source(&house, &stack).await?;
    stack.stop().await
}

/// Ends a run at one of its writes to S3: as if the process were killed right before it, or right after.
#[derive(Debug)]
struct Crash {
    at: usize,
    after: bool,
    writes: AtomicUsize,
    crashed: Arc<Notify>,
}

impl Crash {
    fn check(&self, reached: bool) -> Result<(), BoxError> {
        if reached {
            self.crashed.notify_one();
            return Err("the process is gone".into());
        }
        Ok(())
    }
}

impl Intercept for Crash {
    fn name(&self) -> &'static str {
        "Crash"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let write = context.request().method() == "PUT";
        let number = if write { self.writes.fetch_add(1, Ordering::SeqCst) } else { 0 };
        self.check(write && (number > self.at || number == self.at && !self.after))
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.check(self.after && self.writes.load(Ordering::SeqCst) == self.at + 1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_or_after_any_write_loses_nothing_and_the_next_run_equals_the_source() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    house.execute("INSERT INTO activities (id, user_id, stereotype_code) VALUES (9, 1, 'golf')").await?;
    let mut stack = alone(&house).await?;
    let whole = stack.lake.clone();
    let first = stack.intake.run("2026-04-01T00:00:00Z".parse()?).await?;
    // Four dimensions, two days, what was refused, and the record of the run.
    assert_eq!(first.objects.len() + 1, 8);
    let mut now: chrono::DateTime<chrono::Utc> = "2026-04-02T00:00:00Z".parse()?;
    let mut crashes = 0;
    for after in [false, true] {
        for at in 0..8 {
            // Everything changes, so everything is written.
            house
                .execute(
                    "UPDATE teams SET name = name || '.'; UPDATE users SET name = name || '.';
                     UPDATE sprints SET name = name || '.'; UPDATE activity_stereotypes SET name = name || '.';
                     UPDATE activities SET note = coalesce(note, '') || '.'",
                )
                .await?;
            let before = files(&house.lake())?;
            let crashed = Arc::new(Notify::new());
            let crash = Crash { at, after, writes: AtomicUsize::default(), crashed: crashed.clone() };
            let client =
                aws_sdk_s3::Client::from_conf(stack.s3_client.config().to_builder().interceptor(crash).build());
            stack.intake.lake = Lake::new(client, BUCKET);
            tokio::select! {
                biased;
                () = crashed.notified() => crashes += 1,
                run = stack.intake.run(now) => {
                    anyhow::ensure!(run.is_err(), "write {at} was never reached");
                    crashes += 1;
                }
            }
            nothing_changed(&before, &house)?;
            let written = files(&house.lake())?.len() - before.len();
            assert_eq!(written, at + usize::from(after), "writes before the crash at {at}");

            // Whoever is gone gives no lease back: it runs out.
            stack.intake.lake = whole.clone();
            now += chrono::TimeDelta::minutes(16);
            let run = stack.intake.run(now).await?;
            assert_eq!((run.counts.read, run.counts.quarantined), (4, 1));
            equals_the_source(&house, &stack).await?;
            nothing_changed(&before, &house)?;
            now += chrono::TimeDelta::days(1);
        }
    }
    assert_eq!(crashes, 16);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_time_is_over_stops_after_a_whole_day_and_the_next_one_goes_on() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    let mut stack = alone(&house).await?;
    stack.read_source().await?;
    let changes = "
        DELETE FROM activities WHERE id = 1;
        INSERT INTO activities (id, user_id, stereotype_code, started_at, duration) VALUES
            (4, 1, 'code', '2026-03-01T08:00:00Z', 60), (5, 2, 'code', '2026-03-03T08:00:00Z', 60),
            (6, 2, 'code', '2026-03-06T08:00:00Z', 60), (7, 2, 'nobody knows', '2026-03-07T08:00:00Z', 60);";
    house.execute(changes).await?;
    let (mut stops, mut without) = (0, 0);
    // Each run may look at the clock once more than the one before.
    for looks in 0.. {
        let before = files(&house.lake())?;
        let looked = AtomicUsize::new(0);
        stack.intake.budget = Budget::while_not(move || looked.fetch_add(1, Ordering::Relaxed) >= looks);
        let run = stack.read_source().await;
        nothing_changed(&before, &house)?;
        match run {
            Err(error) => {
                let said = chain(error.as_ref());
                ensure!(said.contains("before any day was written"), "{said}");
                without += 1;
            }
            Ok(run) if run.failed.is_some() => {
                ensure!(run.counts.balanced() && run.counts.left > 0 && run.days.written == 1, "{run:?}");
                ensure!(run.days.emptied == 0, "a day that was not read is not known to be empty: {run:?}");
                stops += 1;
            }
            Ok(run) => {
                ensure!(run.counts.balanced() && (run.counts.left, run.days.emptied) == (0, 1), "{run:?}");
                break;
            }
        }
        ensure!(looks < 50, "no run comes to an end");
    }
    assert!(stops >= 2 && without >= 1, "{stops} runs stopped, {without} before their first day");
    stack.intake.budget = Budget::default();
    equals_the_source(&house, &stack).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_says_what_the_next_run_does_to_each_day_and_writes_nothing() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    house
        .execute(
            "DELETE FROM activities;
             INSERT INTO activities (id, user_id, stereotype_code, started_at, duration, note) VALUES
                (1, 1, 'code', '2026-03-02T08:00:00Z', 60, 'same'), (2, 1, 'code', '2026-03-02T09:00:00Z', 60, 'changes'),
                (3, 1, 'code', '2026-03-03T08:00:00Z', 60, 'moves'), (4, 1, 'code', '2026-03-04T08:00:00Z', 60, 'goes')",
        )
        .await?;
    let stack = alone(&house).await?;
    stack.read_source().await?;
    house
        .execute(
            "UPDATE activities SET duration = 61 WHERE id = 2; UPDATE activities SET started_at = '2026-03-05T08:00:00Z' WHERE id = 3;
             DELETE FROM activities WHERE id = 4;
             INSERT INTO activities (id, user_id, stereotype_code, started_at, duration, note) VALUES
                (5, 1, 'code', '2026-03-05T09:00:00Z', NULL, 'open'), (6, 1, 'golf', '2026-03-05T10:00:00Z', 60, 'unknown'),
                (7, 1, 'golf', 'some day', 60, 'on no day')",
        )
        .await?;
    let before = files(&house.lake())?;
    let rehearsed = stack.intake.rehearse(|_| true, chrono::Utc::now()).await?;
    assert_eq!(
        serde_json::to_value(&rehearsed)?,
        json!({
            "days": {
                "2026-03-02": {"new": 0, "changed": 1, "unchanged": 1, "gone": 0, "rejected": 0},
                "2026-03-03": {"new": 0, "changed": 0, "unchanged": 0, "gone": 1, "rejected": 0},
                "2026-03-04": {"new": 0, "changed": 0, "unchanged": 0, "gone": 1, "rejected": 0},
                "2026-03-05": {"new": 1, "changed": 0, "unchanged": 0, "gone": 0, "rejected": 1},
            },
            "rejected_on_no_day": 1,
            "open": 1,
        })
    );
    let some = stack.intake.rehearse(|day| day.to_string() == "2026-03-05", chrono::Utc::now()).await?;
    assert_eq!((some.days.len(), some.rejected_on_no_day), (1, 1));
    ensure!(files(&house.lake())? == before, "a rehearsal wrote");
    let run = stack.read_source().await?;
    assert_eq!((run.days.written, run.days.emptied, run.counts.quarantined, run.counts.open), (2, 2, 2, 1));
    stack.stop().await
}
