//! Reading what changed: what the cursor finds, what it must not lose, and what only reading everything finds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef},
    },
    error::BoxError,
};
use chrono::{DateTime, TimeDelta, Utc};
use intake::{
    Intake,
    lease::LeaseError,
    mapping::Mapping,
    record::{Reading, RunRecord},
    watermark::Watermark,
};
use serde_json::json;
use shared::lake::Lake;
use sqlx::{Connection, Executor, Row, SqliteConnection};
use tokio::sync::Notify;
use wastewalk::stack::{BUCKET, Stack, TABLE};
use wastewalk_tests::{
    House, files,
    postgres::{Database, SCHEMA, Server, statement},
};

use crate::live::{HELD, SMALL, alone, equals_the_source, nothing_changed, rows, tracked};

/// A stack that reads everything once a day, and nothing twice.
async fn daily(house: &House) -> anyhow::Result<Stack> {
    let mut stack = alone(house).await?;
    stack.intake.pace.reconcile_every = TimeDelta::hours(24);
    stack.intake.pace.overlap = TimeDelta::zero();
    Ok(stack)
}

/// The reference schema in PostgreSQL, captured; the newest change is that of row 120.
async fn captured() -> anyhow::Result<(Database<'static>, House, Stack)> {
    let (database, house) = tracked().await?;
    database.execute("ALTER TABLE activities ALTER updated_at DROP NOT NULL").await?;
    let stack = daily(&house).await?;
    let mut run = stack.read_source().await?;
    // A session of another database that ends while it is looked at might be one of this, so that nothing is settled yet.
    for _ in 0..20 {
        if run.settled.is_some() {
            break;
        }
        run = stack.read_source().await?;
    }
    assert_eq!((run.reading, run.because.as_deref()), (Reading::Whole, Some("there is no watermark")));
    assert_eq!(run.settled, Some("2026-03-20T00:02:00Z".parse()?));
    Ok((database, house, stack))
}

/// Runs, and by the changes only.
async fn changes(stack: &Stack) -> anyhow::Result<RunRecord> {
    by_changes(stack.read_source().await?)
}

fn by_changes(run: RunRecord) -> anyhow::Result<RunRecord> {
    ensure!(run.reading == Reading::Changes, "everything was read, because {:?}", run.because);
    ensure!(run.counts.balanced(), "{:?}", run.counts);
    Ok(run)
}

/// Runs, and reads everything. Says why.
fn whole(run: RunRecord) -> anyhow::Result<String> {
    ensure!(run.reading == Reading::Whole && run.counts.balanced(), "{run:?}");
    run.because.context("a reason")
}

fn restated(run: &RunRecord) -> u64 {
    run.days.written + run.days.emptied
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cursor_tells_of_is_found_at_once_and_each_changed_day_is_read_whole() -> anyhow::Result<()> {
    let (database, house, mut stack) = captured().await?;
    let before = files(&house.lake())?;
    // How many days are restated, by what the source does.
    for (change, days) in [
        ("INSERT INTO activities VALUES (500, 1, NULL, 'code', '2026-03-03T12:00:00Z', 60, true, NULL, NULL, now(), now())", 1),
        ("UPDATE activities SET duration = 6, updated_at = now() WHERE id = 13", 1),
        // A row of long ago, on a day that nobody has seen.
        ("INSERT INTO activities VALUES (501, 1, NULL, 'code', '2024-01-01T12:00:00Z', 60, true, NULL, NULL, now(), now())", 1),
        // Rows that move: to a day that is there, to one that is not, and on from a day that was written since everything was
        // read. The day that they leave is restated, too, or they would count twice.
        ("UPDATE activities SET started_at = started_at + interval '1 day', updated_at = now() WHERE id = 42", 2),
        ("UPDATE activities SET started_at = '2026-04-01T08:00:00Z', updated_at = now() WHERE id = 43", 2),
        ("UPDATE activities SET started_at = '2026-04-20T08:00:00Z', updated_at = now() WHERE id = 43", 2),
        ("UPDATE activities SET started_at = '2026-05-20T08:00:00Z', updated_at = now() WHERE id = 501", 2),
        // The very time stamp of the newest change that was seen.
        ("INSERT INTO activities SELECT 502, 1, NULL, 'code', '2026-03-04T12:00:00Z', 60, true, NULL, NULL, now(), max(updated_at)
            FROM activities", 1),
        // No time stamp at all, and one of the future: both are looked at each time.
        ("INSERT INTO activities VALUES (503, 1, NULL, 'code', '2026-03-05T12:00:00Z', 60, true, NULL, NULL, now(), NULL)", 1),
        ("UPDATE activities SET duration = 7 WHERE id = 503", 1),
        ("UPDATE activities SET duration = 8, updated_at = '2099-01-01T00:00:00Z' WHERE id = 14", 1),
        ("UPDATE activities SET duration = 9 WHERE id = 14", 1),
        // Its end is not known any more, and is again; it cannot be translated any more, and can again.
        ("UPDATE activities SET duration = NULL, updated_at = now() WHERE id = 15", 1),
        ("UPDATE activities SET duration = 60, updated_at = now() WHERE id = 15", 1),
        ("UPDATE activities SET stereotype_code = 'golf', updated_at = now() WHERE id = 16", 1),
        ("UPDATE activities SET stereotype_code = 'code', updated_at = now() WHERE id = 16", 1),
        // With a row that changed, whatever else happened on its day.
        ("DELETE FROM activities WHERE id = 17; UPDATE activities SET rating = 2 WHERE id = 27;
          UPDATE activities SET rating = 5, updated_at = now() WHERE id = 37", 1),
        ("UPDATE activities SET updated_at = now() WHERE id IN (18, 19, 20)", 3),
    ] {
        database.execute(change).await?;
        let run = changes(&stack).await?;
        assert_eq!(restated(&run), days, "{change}");
        assert!(run.source_rows < 110, "{change}: {} rows were read", run.source_rows);
        equals_the_source(&house, &stack).await?;
    }
    // A clock that is behind by less than the overlap.
    stack.intake.pace.overlap = TimeDelta::minutes(10);
    let behind = "UPDATE activities SET duration = 5, updated_at = now() - interval '9 minutes' WHERE id = 11";
    database.execute(behind).await?;
    assert_eq!(restated(&changes(&stack).await?), 1);
    nothing_changed(&before, &house)?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_ends_behind_the_cursor_loses_nothing() -> anyhow::Result<()> {
    let (database, house, stack) = captured().await?;
    let insert = |id: u32| {
        format!(
            "INSERT INTO activities VALUES ({id}, 1, NULL, 'code', '2026-03-03T12:00:00Z', 60, true, NULL, NULL, now(), now())"
        )
    };
    // First of somebody whose transactions the reader may not look into, then of one whose it may.
    for (round, told) in [false, true].into_iter().enumerate() {
        if told {
            database.execute("GRANT pg_read_all_stats TO reader").await?;
        }
        let id = 500 + 10 * u32::try_from(round)?;
        // One that has written, and one that has only begun: both will say that they wrote when they began.
        let (mut wrote, mut began) =
            (database.server.connect(&database.name).await?, database.server.connect(&database.name).await?);
        let update = "UPDATE activities SET duration = duration + 1, updated_at = now() WHERE id = 7";
        wrote.execute(statement(format!("BEGIN; {}; {update}", insert(id)))).await?;
        began.execute("BEGIN; SELECT now()").await?;
        for later in [1, 2] {
            database.execute(&insert(id + later)).await?;
            let run = changes(&stack).await?;
            assert_eq!(restated(&run), 1);
            assert!(run.settled <= run.settled_until, "{run:?}");
            equals_the_source(&house, &stack).await?;
        }
        wrote.execute("COMMIT").await?;
        assert_eq!(restated(&changes(&stack).await?), 2, "what was committed behind the newest row is lost");
        began.execute(statement(format!("{}; COMMIT", insert(id + 3)))).await?;
        assert_eq!(restated(&changes(&stack).await?), 1, "what began before the newest row is lost");
        equals_the_source(&house, &stack).await?;
        // Nothing is under way any more, so the watermark goes on.
        let last = changes(&stack).await?;
        assert_eq!((restated(&last), last.settled.is_some()), (0, true));
        assert_eq!(changes(&stack).await?.source_rows, 1);
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sqlite_too_a_transaction_that_ends_behind_the_cursor_loses_nothing() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    house.execute("UPDATE activities SET updated_at = '2026-03-04T12:00:00Z'").await?;
    let stack = daily(&house).await?;
    let run = async |at: &str| anyhow::Ok(stack.intake.run(at.parse()?).await?);
    run("2026-04-01T09:00:00Z").await?;
    let mut writer = SqliteConnection::connect(house.source_url()).await?;
    writer.execute("BEGIN IMMEDIATE").await?;
    let insert = "INSERT INTO activities (id, user_id, stereotype_code, started_at, duration, updated_at) VALUES
        (9, 1, 'code', '2026-03-09T08:00:00Z', 60, '2026-04-01T09:30:00Z')";
    writer.execute(insert).await?;
    let while_it_lasts = by_changes(run("2026-04-01T10:00:00Z").await?)?;
    assert_eq!((restated(&while_it_lasts), while_it_lasts.settled), (0, Some("2026-03-04T12:00:00Z".parse()?)));
    writer.execute("COMMIT").await?;
    assert_eq!(restated(&by_changes(run("2026-04-01T11:00:00Z").await?)?), 1);
    equals_the_source(&house, &stack).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_cursor_tells_of_is_found_when_everything_is_read_again() -> anyhow::Result<()> {
    let (database, house, stack) = captured().await?;
    let before = files(&house.lake())?;
    let mut now = Utc::now() + TimeDelta::hours(1);
    for (change, days) in [
        ("UPDATE activities SET rating = 4 WHERE id = 21", 1),
        ("DELETE FROM activities WHERE id = 31", 1),
        ("DELETE FROM activities WHERE started_at::date = '2026-03-06'", 1),
        ("UPDATE activities SET started_at = started_at + interval '1 day' WHERE id = 42", 2),
        (
            "INSERT INTO activities VALUES (502, 2, NULL, 'code', '2024-01-01T12:00:00Z', 60, true, NULL, NULL,
            '2024-01-01T12:00:00Z', '2024-01-01T12:00:00Z')",
            1,
        ),
        ("UPDATE activities SET duration = 5, updated_at = '2001-01-01T00:00:00Z' WHERE id = 11", 1),
    ] {
        database.execute(change).await?;
        assert_eq!(restated(&by_changes(stack.intake.run(now).await?)?), 0, "{change}");
        now += TimeDelta::hours(24);
        let run = stack.intake.run(now).await?;
        assert_eq!(restated(&run), days, "{change}");
        assert_eq!(whole(run)?, "it is time to reconcile");
        equals_the_source(&house, &stack).await?;
        now += TimeDelta::hours(1);
    }
    // Moved without a word, and its new day is read because another row changed there: it must not count twice.
    database
        .execute(
            "UPDATE activities SET started_at = started_at + interval '1 day' WHERE id = 46;
             UPDATE activities SET duration = 99, updated_at = now() WHERE id = 47",
        )
        .await?;
    let run = stack.intake.run(now).await?;
    assert_eq!(restated(&run), 2);
    assert!(whole(run)?.contains("another day"));
    equals_the_source(&house, &stack).await?;
    // Moved without a word, and its old day is read because another row changed there: it must not be on none.
    database
        .execute(
            "UPDATE activities SET started_at = '2027-03-01T08:00:00Z' WHERE id = 46;
             UPDATE activities SET duration = 98, updated_at = now() WHERE id = 47;
             DELETE FROM activities WHERE id = 57",
        )
        .await?;
    let run = stack.intake.run(now).await?;
    assert_eq!(restated(&run), 2);
    assert!(whole(run)?.contains("another day"));
    equals_the_source(&house, &stack).await?;
    nothing_changed(&before, &house)?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_when_something_changed_that_old_days_depend_on() -> anyhow::Result<()> {
    let (database, house, mut stack) = captured().await?;
    for (change, days, reads_everything) in [
        // A name is in no activity.
        (
            "UPDATE teams SET name = 'Crimson' WHERE id = 1; UPDATE users SET name = 'X'; UPDATE sprints SET name = 'S'",
            0,
            false,
        ),
        ("UPDATE sprints SET released_at = '2026-03-13T12:00:00Z' WHERE id = 1", 10, true),
        ("UPDATE activity_stereotypes SET name = 'Plans' WHERE code = 'plan'", 2, true),
        ("UPDATE users SET timezone = 'Asia/Tokyo' WHERE id = 1", 11, true),
        // Old days keep the old team.
        ("UPDATE users SET team_id = 2 WHERE id = 2", 0, true),
        ("INSERT INTO users VALUES (9, 1, 'New', 'Europe/Berlin')", 0, true),
    ] {
        database.execute(change).await?;
        let run = stack.read_source().await?;
        assert_eq!(restated(&run), days, "{change}");
        if reads_everything {
            assert_eq!(whole(run)?, "what activities refer to changed", "{change}");
        } else {
            by_changes(run)?;
        }
        assert_eq!(restated(&changes(&stack).await?), 0, "{change}");
    }
    let text = intake::mapping::BUILT_IN[0].1;
    stack.intake.mapping = Mapping::parse("m.toml", &text.replace("rating = \"rating\"\n", ""))?;
    assert_eq!(whole(stack.read_source().await?)?, "the mapping changed");
    changes(&stack).await?;
    stack.intake.time_zone = chrono_tz::Asia::Kolkata;
    assert_eq!(whole(stack.read_source().await?)?, "the organisation's time zone changed");
    changes(&stack).await?;
    // Somebody else wrote a day, and the table is lost.
    let newest = stack.lake.newest_bases(None).await?.pop().context("a day")?;
    stack.s3_client.delete_object().bucket(BUCKET).key(newest.to_string()).send().await?;
    assert!(whole(stack.read_source().await?)?.contains("something else"));
    stack.stop().await?;
    house.lose_table()?;
    let stack = daily(&house).await?;
    assert_eq!(whole(stack.read_source().await?)?, "there is no watermark");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_stays_refused_until_it_is_read_and_too_much_that_is_new_stops_a_run() -> anyhow::Result<()> {
    let (database, house, stack) = captured().await?;
    let refuse = |first: u32, last: u32| {
        format!(
            "INSERT INTO activities SELECT g, 1, NULL, 'golf', '2026-03-03T12:00:00Z', 60, true, NULL, NULL, now(), now()
             FROM generate_series({first}, {last}) g"
        )
    };
    // Fifty are few.
    database.execute(&refuse(500, 549)).await?;
    let run = changes(&stack).await?;
    assert_eq!((run.counts.quarantined, restated(&run)), (50, 0));
    database.execute("UPDATE activities SET duration = 6, updated_at = now() WHERE id IN (18, 120)").await?;
    let run = changes(&stack).await?;
    assert_eq!((run.counts.quarantined, restated(&run)), (50, 2));
    assert!(run.objects.iter().all(|key| key.starts_with("activities/")), "{:?}", run.objects);
    // On their very day, together with two that are new.
    database.execute(&refuse(550, 551)).await?;
    database.execute("UPDATE activities SET duration = 6, updated_at = now() WHERE id = 1").await?;
    let run = changes(&stack).await?;
    assert_eq!((run.counts.quarantined, restated(&run)), (52, 1));
    // One is mended, one is gone: which nobody notices before everything is read.
    database
        .execute(
            "UPDATE activities SET stereotype_code = 'code', updated_at = now() WHERE id = 500;
             DELETE FROM activities WHERE id = 501",
        )
        .await?;
    let run = changes(&stack).await?;
    assert_eq!((run.counts.quarantined, restated(&run)), (51, 1));
    let days_of_now = stack.lake.newest_bases(None).await?;
    let kept = files(&house.lake())?;

    // What is new is counted by itself.
    database.execute(&refuse(600, 650)).await?;
    let refused = stack.intake.handle().await.map(|run| run.counts).unwrap_err().to_string();
    assert!(refused.contains("nothing was written") && refused.contains("unknown_stereotype"), "{refused}");
    assert_eq!(stack.lake.newest_bases(None).await?, days_of_now);
    nothing_changed(&kept, &house)?;
    database.execute("UPDATE activities SET stereotype_code = 'code', updated_at = now() WHERE id >= 502").await?;
    let run = changes(&stack).await?;
    assert_eq!((run.counts.quarantined, restated(&run)), (1, 1));
    let run = stack.intake.run(Utc::now() + TimeDelta::hours(25)).await?;
    assert_eq!((run.counts.quarantined, restated(&run)), (0, 0));
    equals_the_source(&house, &stack).await?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_gives_keys_twice_is_read_whole() -> anyhow::Result<()> {
    let without_key = SMALL.replace("activities (id INTEGER PRIMARY KEY", "activities (id INTEGER");
    let house = House::of(&without_key).await?;
    house
        .execute(
            "UPDATE activities SET updated_at = '2026-03-04T12:00:00Z';
             UPDATE activities SET updated_at = '2026-03-03T12:00:00Z' WHERE id = 1",
        )
        .await?;
    let stack = daily(&house).await?;
    let run = async |at: &str| anyhow::Ok(stack.intake.run(at.parse()?).await?);
    run("2026-04-01T09:00:00Z").await?;
    by_changes(run("2026-04-01T10:00:00Z").await?)?;
    let insert = |values: &str| {
        format!(
            "INSERT INTO activities (id, user_id, stereotype_code, started_at, duration, updated_at) VALUES {values}"
        )
    };
    // The older record of key 1, on a day that changes.
    let twice = "(1, 2, 'code', '2026-03-04T10:00:00Z', 60, '2026-01-01T00:00:00Z'),
        (9, 2, 'code', '2026-03-04T12:00:00Z', 60, '2026-04-01T10:30:00Z')";
    house.execute(&insert(twice)).await?;
    let found = run("2026-04-01T11:00:00Z").await?;
    assert_eq!((found.counts.quarantined, restated(&found)), (1, 1));
    assert!(whole(found)?.contains("another day"));
    // While one of them is refused, which has the key depends on all.
    assert!(whole(run("2026-04-01T12:00:00Z").await?)?.contains("more than once"));
    house.execute("DELETE FROM activities WHERE id = 1 AND user_id = 1").await?;
    let owned = run("2026-04-01T13:00:00Z").await?;
    assert_eq!((owned.counts.quarantined, owned.days.emptied), (0, 1));
    assert_eq!(rows(&house, &["day"])?["1"], json!({"day": "2026-03-04"}));
    by_changes(run("2026-04-01T14:00:00Z").await?)?;
    // Both are new.
    let twice = "(5, 2, 'code', '2026-03-04T10:00:00Z', 60, '2026-04-01T14:30:00Z'),
        (5, 2, 'code', '2026-03-09T12:00:00Z', 60, '2026-04-01T14:30:01Z')";
    house.execute(&insert(twice)).await?;
    assert!(whole(run("2026-04-01T15:00:00Z").await?)?.contains("more than once"));
    assert_eq!(rows(&house, &["day"])?["5"], json!({"day": "2026-03-09"}));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_changes_are_read_comes_with_the_next_run_and_a_second_intake_waits() -> anyhow::Result<()>
{
    let (database, house, stack) = captured().await?;
    database.execute(HELD).await?;
    database.execute("UPDATE all_activities SET duration = 1, updated_at = now() WHERE id IN (59, 60, 61)").await?;
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
            rating, note, created_at, now() FROM all_activities WHERE id = 59;
        UPDATE all_activities SET started_at = started_at + interval '1 day', updated_at = now() WHERE id = 60;
        UPDATE all_activities SET duration = 2, updated_at = now() WHERE id = 61";
    writer.execute(statement(edits.to_owned())).await?;
    writer.execute("SELECT pg_advisory_unlock(1)").await?;
    let run = by_changes(reading.await??)?;
    assert_eq!(restated(&run), 3);
    let then = rows(&house, &["duration_seconds"])?;
    assert_eq!((then.get("600"), &then["61"]), (None, &json!({"duration_seconds": "1"})));
    changes(&stack).await?;
    equals_the_source(&house, &stack).await?;
    stack.stop().await
}

/// Counts requests, and ends a run at one of its writes to S3 or the table: as if the process were killed right before it, or
/// right after.
#[derive(Debug, Clone, Default)]
struct Watch {
    requests: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    crash: Option<(usize, bool)>,
    crashed: Arc<Notify>,
}

impl Watch {
    fn crash_if(&self, reached: bool) -> Result<(), BoxError> {
        if reached {
            self.crashed.notify_one();
            return Err("the process is gone".into());
        }
        Ok(())
    }
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let write = context.request().method() == "PUT" || target.ends_with("UpdateItem");
        let number = if write { self.writes.fetch_add(1, Ordering::SeqCst) } else { 0 };
        self.crash_if(self.crash.is_some_and(|(at, after)| write && (number > at || number == at && !after)))
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let done = self.writes.load(Ordering::SeqCst);
        self.crash_if(self.crash.is_some_and(|(at, after)| after && done == at + 1))
    }
}

/// The intake of a stack, each request of which is watched.
fn watched(stack: &Stack, watch: &Watch) -> anyhow::Result<Intake> {
    let told = stack.environment();
    let value =
        |name: &str| told.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()).context("told");
    let (key, secret) = (value("AWS_ACCESS_KEY_ID")?, value("AWS_SECRET_ACCESS_KEY")?);
    let table = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(value("AWS_ENDPOINT_URL_DYNAMODB")?)
        .credentials_provider(Credentials::new(key, secret, None, None, "wastewalk"))
        .interceptor(watch.clone());
    let s3 = stack.s3_client.config().to_builder().interceptor(watch.clone());
    let Intake { mapping, source, time_zone, pace, .. } = stack.intake.clone();
    let lake = Lake::new(aws_sdk_s3::Client::from_conf(s3.build()), BUCKET);
    let table = aws_sdk_dynamodb::Client::from_conf(table.build());
    let mut intake = Intake::new(lake, table, TABLE, mapping, source, time_zone)?;
    intake.pace = pace;
    Ok(intake)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_or_after_any_effect_of_reading_changes_loses_nothing() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    house.execute("UPDATE activities SET updated_at = '2026-03-04T12:00:00Z'").await?;
    let stack = daily(&house).await?;
    let mut now: DateTime<Utc> = "2026-04-01T00:00:00Z".parse()?;
    stack.intake.run(now).await?;
    let (mut by_change, mut writes) = (0, 0);
    for after in [false, true] {
        for at in 0.. {
            // A row moves between two days, one is new, and one is refused; names change, which no activity has.
            now += TimeDelta::minutes(16);
            let day = if at % 2 == 0 { "02" } else { "04" };
            house
                .execute(&format!(
                    "UPDATE users SET name = name || '.';
                     UPDATE activities SET started_at = '2026-03-{day}T08:00:00Z', updated_at = '{0}' WHERE id = 1;
                     INSERT INTO activities (user_id, stereotype_code, started_at, duration, updated_at) VALUES
                        (1, 'code', '2026-03-03T08:00:00Z', 60, '{0}'), (1, 'golf', '2026-03-03T08:00:00Z', 60, '{0}')",
                    now.to_rfc3339()
                ))
                .await?;
            let before = files(&house.lake())?;
            let watch = Watch { crash: Some((at, after)), ..Watch::default() };
            now += TimeDelta::minutes(1);
            let intake = watched(&stack, &watch)?;
            let over = tokio::select! {
                biased;
                () = watch.crashed.notified() => None,
                run = intake.run(now) => Some(run),
            };
            nothing_changed(&before, &house)?;
            let finished = over.is_some_and(|run| run.is_ok()) && watch.writes.load(Ordering::SeqCst) <= at;

            // Whoever is gone gives no lease back: it runs out.
            now += TimeDelta::minutes(16);
            let run = stack.intake.run(now).await?;
            by_change += usize::from(run.reading == Reading::Changes);
            equals_the_source(&house, &stack).await?;
            nothing_changed(&before, &house)?;
            assert_eq!(restated(&by_changes(stack.intake.run(now + TimeDelta::minutes(1)).await?)?), 0);
            if finished {
                break;
            }
            writes = writes.max(at + 1);
        }
    }
    // The lease, users, three days, quarantine, the record, the watermark, the lease again.
    assert_eq!(writes, 9);
    assert!(by_change > 2, "every run read everything: the test proves little");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watermark_moves_only_while_the_lease_holds() -> anyhow::Result<()> {
    let house = House::of(SMALL).await?;
    house.execute("UPDATE activities SET updated_at = '2026-03-04T12:00:00Z'").await?;
    let stack = daily(&house).await?;
    let at = |minutes: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(365 * 56) + TimeDelta::minutes(minutes);
    stack.intake.run(at(0)).await?;
    let leases = &stack.intake.leases;
    let first = leases.acquire(None, at(10)).await?;
    let before = first.watermark.clone().context("the first run left one")?;
    let later = Watermark { settled: Some(at(9)), ..before.clone() };
    assert!(matches!(leases.acquire(None, at(11)).await, Err(LeaseError::Held { .. })));
    assert!(!first.move_to(&later, at(26)).await?, "it has run out");
    let second = leases.acquire(None, at(26)).await?;
    assert_eq!(second.watermark.as_ref(), Some(&before));
    assert!(!first.move_to(&later, at(12)).await?, "somebody else has it, whatever the clock here says");
    assert!(second.move_to(&later, at(27)).await?);
    second.release().await?;
    assert_eq!(leases.acquire(None, at(28)).await?.watermark, Some(later));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_nothing_new_reads_the_overlap_only_however_long_the_history_is() -> anyhow::Result<()> {
    let (database, _house, mut stack) = captured().await?;
    stack.intake.pace.overlap = TimeDelta::seconds(20);
    let quiet = async |stack: &Stack| {
        let watch = Watch::default();
        let run = by_changes(watched(stack, &watch)?.handle().await?)?;
        // Rows 100 to 120, by the second, and nothing else; and no object but the record.
        assert_eq!((run.source_rows, run.counts.read, run.counts.unchanged), (21, 21, 21));
        assert_eq!(run.objects, Vec::<String>::new());
        anyhow::Ok(watch.requests.load(Ordering::SeqCst))
    };
    let requests = quiet(&stack).await?;
    // Three years more, and generations of all of it.
    let older = "INSERT INTO activities SELECT g, 1, NULL, 'code', timestamptz '2023-01-01T08:00:00Z' + g % 400 * interval '1 day',
        60, true, NULL, NULL, now(), '2023-01-01' FROM generate_series(1000, 2199) g";
    database.execute(older).await?;
    for duration in [61, 62] {
        database.execute(&format!("UPDATE activities SET duration = {duration} WHERE id >= 1000")).await?;
        let run = stack.intake.run(Utc::now() + TimeDelta::hours(25 * duration)).await?;
        assert_eq!(restated(&run), 400);
    }
    // The list of days is read whole, by the thousand: 810 objects are one page, as ten were.
    assert_eq!(quiet(&stack).await?, requests);
    stack.stop().await
}

/// The same few days, as other sources write them.
const WRITTEN: &str = "
    DROP TABLE activities;
    CREATE TABLE activities (id INTEGER, user_id INTEGER, stereotype_code TEXT, begun TEXT, or_begun TEXT, duration INTEGER,
        changed, or_changed);
    INSERT INTO activities VALUES
        (1, 1, 'code', '2026-03-02 23:30:00', NULL, 60, 1775001600000, NULL), (2, 1, 'code', '2026-03-03T00:10', NULL, 60, 1775001600001, NULL),
        (3, 1, 'code', '2026-3-3 08:00:00', NULL, 60, 1775001600002, NULL), (4, 2, 'code', ' 2026-03-03 08:00:00', NULL, 60, 1775001600003, NULL),
        (5, 2, 'code', NULL, '2026-03-03 09:00:00', 60, NULL, 1775001600004), (6, 2, 'code', '2026-03-04 00:30:00', NULL, 60, 1775001600005, NULL),
        (7, 2, 'code', '2026-03-09 00:30:00', NULL, 60, 1775001600006, NULL), (8, 2, 'code', 'some day', NULL, 60, 1775001600007, NULL);";

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_read_whole_however_its_times_are_written() -> anyhow::Result<()> {
    let reference = intake::mapping::BUILT_IN[0].1;
    let sections = &reference[..reference.find("[activities]").context("the activities")?];
    let mut house = House::of(SMALL).await?;
    house.execute(WRITTEN).await?;
    for zone in ["local", "America/New_York", "Pacific/Auckland", "UTC"] {
        let mapping = format!(
            "{sections}[activities]\nselect = \"SELECT * FROM activities -- all\"\n[activities.columns]\nactivity_id = \"id\"
             user_id = \"user_id\"\nstereotype_code = \"stereotype_code\"
             started_at = {{ column = \"begun\", fallback = \"or_begun\", format = \"iso\", zone = \"{zone}\" }}
             duration_seconds = {{ column = \"duration\", unit = \"seconds\" }}
             cursor = {{ column = \"changed\", fallback = \"or_changed\", format = \"unix_milliseconds\" }}"
        );
        house.read_by(Mapping::parse("m.toml", &mapping)?);
        let own = House::at(house.source_url(), Mapping::parse("m.toml", &mapping)?)?;
        let stack = daily(&own).await?;
        stack.intake.run("2026-04-02T00:00:00Z".parse()?).await?;
        for (round, id) in [1, 2, 3, 4, 5, 6, 7].into_iter().enumerate() {
            house
                .execute(&format!(
                    "UPDATE activities SET duration = duration + 1, changed = CASE WHEN changed IS NULL THEN NULL ELSE {0} END,
                        or_changed = CASE WHEN changed IS NULL THEN {0} END WHERE id = {id}",
                    1_775_088_000_000_i64 + i64::try_from(round)?
                ))
                .await?;
            let now = "2026-04-02T01:00:00Z".parse::<DateTime<Utc>>()? + TimeDelta::minutes(i64::try_from(round)?);
            let run = by_changes(stack.intake.run(now).await?)?;
            assert_eq!((restated(&run), run.counts.quarantined), (1, 1), "{zone}: {id}");
            equals_the_source(&own, &stack).await?;
        }
        house
            .execute(
                "UPDATE activities SET changed = 1775001600000 WHERE changed IS NOT NULL;
            UPDATE activities SET or_changed = 1775001600000 WHERE or_changed IS NOT NULL",
            )
            .await?;
        stack.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_left_its_day_is_found_however_the_database_writes_its_key() -> anyhow::Result<()> {
    const ROWS: &str = "INSERT INTO activities (id, user_id, stereotype_code, started_at, duration, updated_at) VALUES
        (KEY1, 1, 'code', '2026-03-02T08:00:00Z', 60, '2026-03-10T00:00:00Z'),
        (KEY2, 1, 'code', '2026-03-02T09:00:00Z', 60, '2026-03-10T00:00:00Z'),
        (KEY3, 1, 'code', '2026-03-03T09:00:00Z', 60, '2026-03-10T12:00:00Z');";
    let server = Server::get().await?;
    for (database, key, [first, second, third]) in [
        ("sqlite", "REAL", ["1", "2", "3"]),
        ("sqlite", "TEXT", ["'\u{feff}a'", "'it''s'", "'c'"]),
        ("sqlite", "", ["5.0", "'b'", "6"]),
        ("postgres", "char(8)", ["'ab'", "'cd'", "'ef'"]),
        ("postgres", "double precision", ["1e15", "1e-7", "3"]),
        ("postgres", "text", ["'\u{feff}a'", "'\\x'", "'c'"]),
        ("postgres", "numeric(10,2)", ["1", "2", "3"]),
        ("postgres", "bigint", ["1", "2", "3"]),
    ] {
        let rows = ROWS.replace("KEY1", first).replace("KEY2", second).replace("KEY3", third);
        let (house, site) = if database == "sqlite" {
            let activities = format!("CREATE TABLE activities (id {key}, ");
            let emptied = SMALL.split("INSERT INTO activities").next().context("rows")?;
            let made = emptied.replace("CREATE TABLE activities (id INTEGER PRIMARY KEY, ", &activities);
            (House::of(&format!("{made}{rows}")).await?, None)
        } else {
            let made = SCHEMA.replace(
                "CREATE TABLE activities (id bigint PRIMARY KEY,",
                &format!("CREATE TABLE activities (id {key},"),
            );
            let made = made.replace("created_at timestamptz NOT NULL", "created_at timestamptz");
            let people = "INSERT INTO teams VALUES (1, 'Red'); INSERT INTO users VALUES (1, 1, 'Ada', 'Europe/Berlin');
                INSERT INTO activity_stereotypes VALUES ('code', 'Coding', 'coding', false);";
            let site = server.database(&format!("{made}{people}{rows}")).await?;
            (House::at(&site.url(), Mapping::load("reference")?)?, Some(site))
        };
        let stack = daily(&house).await?;
        stack.read_source().await?;
        let change = format!(
            "UPDATE activities SET started_at = '2026-03-05T08:00:00Z' WHERE id = {first};
             UPDATE activities SET duration = 61, updated_at = '2026-03-11T00:00:00Z' WHERE id = {second}"
        );
        match &site {
            Some(site) => site.execute(&change).await?,
            None => house.execute(&change).await?,
        }
        let run = stack.read_source().await?;
        assert_eq!((run.reading, run.counts.written), (Reading::Whole, 2), "{database} {key}: {:?}", run.because);
        stack.stop().await?;
    }
    Ok(())
}
