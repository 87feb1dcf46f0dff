//! The traps of real data, each through the whole of intake: what lands, what is refused and why, and what is kept.

use anyhow::Context;
use intake::mapping::Mapping;
use serde_json::{Value, json};
use wastewalk_tests::{House, foreign};

use crate::live::{alone, rows};

/// A table whose values may be of any type.
const ENTRY: &str = "CREATE TABLE entry (id, who, what, begin, finish, worked, note, changed);";

const BEGIN: &str = "started_at = { column = \"begin\", format = \"rfc3339\" }";
const LOCAL: &str = "started_at = { column = \"begin\", format = \"iso\", zone = \"local\" }";
const FINISH: &str = "ended_at = { column = \"finish\", format = \"rfc3339\" }";
const WORKED: &str = "duration_seconds = { column = \"worked\", unit = \"hours\" }";

/// What comes of `entries`, by a mapping whose activities have these `columns` beside the ids.
struct Trap {
    house: House,
    /// Reason and field of each record in quarantine, by key.
    refused: Value,
    open: u64,
}

async fn trap(columns: &[&str], entries: &str) -> anyhow::Result<Trap> {
    let mapping = format!(
        "[source]\nname = \"entry\"\n[activities]\nselect = \"SELECT * FROM entry\"\n[activities.columns]\n\
         activity_id = \"id\"\nuser_id = \"who\"\nstereotype_code = \"what\"\nnote = \"note\"\n{}",
        columns.join("\n")
    );
    let mut house = House::of(&format!("{ENTRY} INSERT INTO entry VALUES {entries};")).await?;
    house.read_by(Mapping::parse("entry.toml", &mapping)?);
    let stack = alone(&house).await?;
    let run = stack.read_source().await?;
    assert!(run.counts.balanced(), "{:?}", run.counts);
    let (lake, quarantined) = (house.lake(), run.counts.quarantined > 0);
    let lake = lake.to_str().context("UTF-8")?;
    let refused = if quarantined { foreign("quarantine.py", &[lake])? } else { json!([]) };
    let of_key =
        |row: &Value| (row["key"].as_str().unwrap_or_default().to_owned(), json!([row["reason"], row["field"]]));
    let refused: serde_json::Map<String, Value> = refused.as_array().into_iter().flatten().map(of_key).collect();
    stack.stop().await?;
    Ok(Trap { house, refused: refused.into(), open: run.counts.open })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_no_part_of_a_value_and_is_kept_in_the_record() -> anyhow::Result<()> {
    let mark = "char(0xFEFF)";
    let entries = format!(
        "({mark} || '1', {mark} || 'ada', {mark} || 'code', {mark} || '2026-08-03T08:00:00Z', NULL, {mark} || '1.5', 'n', NULL)"
    );
    let trap = trap(&[BEGIN, WORKED], &entries).await?;
    let found =
        rows(&trap.house, &["user_id", "stereotype_code", "duration_seconds", "unicode(source_row ->> 'who')"])?;
    let expected = json!({"user_id": "ada", "stereotype_code": "code", "duration_seconds": "5400",
        "unicode(source_row ->> 'who')": "65279"});
    assert_eq!(found, json!({"1": expected}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn latin_1_is_not_guessed_at_and_is_kept_byte_by_byte() -> anyhow::Result<()> {
    let entries = "(1, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, CAST(x'67726ff6' AS TEXT), NULL),
        (2, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, 'größer', NULL)";
    let trap = trap(&[BEGIN, WORKED], entries).await?;
    assert_eq!(trap.refused, json!({"1": ["unreadable", "note"]}));
    assert_eq!(rows(&trap.house, &["note"])?, json!({"2": {"note": "größer"}}));
    let lake = trap.house.lake();
    let kept = foreign("quarantine.py", &[lake.to_str().context("UTF-8")?, "note"])?;
    assert_eq!(kept[0]["source_note"], "\\x67726ff6");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decimal_comma_is_refused_and_never_read_as_thousands() -> anyhow::Result<()> {
    let entries = "(1, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, '1,5', NULL, NULL),
        (2, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, '1.5', NULL, NULL),
        (3, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, '1.234,5', NULL, NULL)";
    let trap = trap(&[BEGIN, WORKED], entries).await?;
    let unreadable = ["unreadable", "duration_seconds"];
    assert_eq!(trap.refused, json!({"1": unreadable, "3": unreadable}));
    assert_eq!(rows(&trap.house, &["duration_seconds"])?, json!({"2": {"duration_seconds": "5400"}}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_without_a_colon_is_an_offset_where_the_mapping_says_so() -> anyhow::Result<()> {
    let entries = "(1, 'ada', 'code', '2026-08-04T06:30:00+0800', NULL, 1, NULL, NULL),
        (2, 'ada', 'code', '2026-08-04T06:30:00+08:00', NULL, 1, NULL, NULL)";
    let pattern = "started_at = { column = \"begin\", format = \"%Y-%m-%dT%H:%M:%S%z\" }";
    let declared = trap(&[pattern, WORKED], entries).await?;
    let at = json!({"started_at": "2026-08-03 22:30:00+00", "day": "2026-08-04"});
    assert_eq!(rows(&declared.house, &["started_at", "day"])?, json!({"1": at, "2": at}));
    let standard = trap(&[BEGIN, WORKED], entries).await?;
    assert_eq!(standard.refused, json!({"1": ["unreadable", "started_at"]}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_time_without_a_zone_is_in_the_declared_one_and_gaps_and_folds_are_told_apart() -> anyhow::Result<()> {
    let entries = "(1, 'ada', 'code', '2026-08-03 23:30:00', NULL, 1, NULL, NULL),
        -- Clocks skip this time,
        (2, 'ada', 'code', '2026-03-29 02:30:00', NULL, 1, NULL, NULL),
        (3, 'ada', 'code', '2026-03-29 03:00:00', NULL, 1, NULL, NULL),
        -- and this one happens twice.
        (4, 'ada', 'code', '2026-10-25 02:30:00', NULL, 1, NULL, NULL)";
    let trap = trap(&[LOCAL, WORKED], entries).await?;
    assert_eq!(trap.refused, json!({"2": ["nonexistent_local_time", "started_at"]}));
    let row = |day: &str, at: &str| json!({"day": day, "started_at": format!("{at}:00+00")});
    let expected = json!({
        "1": row("2026-08-03", "2026-08-03 21:30"), "3": row("2026-03-29", "2026-03-29 01:00"),
        "4": row("2026-10-25", "2026-10-25 00:30"),
    });
    assert_eq!(rows(&trap.house, &["day", "started_at"])?, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_ends_before_it_starts_is_refused_and_one_without_an_end_still_runs() -> anyhow::Result<()> {
    let entries = "(1, 'ada', 'code', '2026-08-03T08:00:00Z', '2026-08-03T07:59:59Z', NULL, NULL, NULL),
        (2, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, NULL, NULL, NULL),
        (3, 'ada', 'code', '2026-08-03T08:00:00Z', '2026-08-03T08:00:00Z', NULL, NULL, NULL)";
    let trap = trap(&[BEGIN, FINISH], entries).await?;
    assert_eq!((trap.refused, trap.open), (json!({"1": ["ends_before_start", "ended_at"]}), 1));
    assert_eq!(rows(&trap.house, &["duration_seconds"])?, json!({"3": {"duration_seconds": "0"}}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_exact_duplicates_one_lands_and_overlaps_land_as_they_are() -> anyhow::Result<()> {
    let entries = "(1, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, 'n', NULL),
        (1, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, 'n', NULL),
        (1, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, 'n', NULL),
        -- The same again under a key of its own is another activity, and so is one in the middle of it.
        (2, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, 'n', NULL),
        (3, 'ada', 'code', '2026-08-03T08:30:00Z', NULL, 1, 'n', NULL)";
    let trap = trap(&[BEGIN, WORKED], entries).await?;
    assert_eq!(trap.refused, json!({"1": ["repeated_key", "activity_id"]}));
    let hour = json!({"duration_seconds": "3600"});
    assert_eq!(rows(&trap.house, &["duration_seconds"])?, json!({"1": hour, "2": hour, "3": hour}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_two_teams_is_one_person_whom_no_activity_follows_twice() -> anyhow::Result<()> {
    let mut house = House::of(&format!(
        "{ENTRY} INSERT INTO entry VALUES (1, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, 'n', NULL);
         CREATE TABLE member (person, team); INSERT INTO member VALUES ('ada', 'red'), ('ada', 'blue');"
    ))
    .await?;
    let mapping = format!(
        "[source]\nname = \"entry\"\n[users]\nselect = \"SELECT * FROM member\"\n[users.columns]\nuser_id = \"person\"\n\
         team_id = \"team\"\n[activities]\nselect = \"SELECT * FROM entry\"\n[activities.columns]\nactivity_id = \"id\"\n\
         user_id = \"who\"\nstereotype_code = \"what\"\n{BEGIN}\n{WORKED}"
    );
    house.read_by(Mapping::parse("entry.toml", &mapping)?);
    let stack = alone(&house).await?;
    let run = stack.read_source().await?;
    assert_eq!(run.quarantined_by_reason, [("repeated_key".to_owned(), 1)].into());
    assert_eq!((run.counts.written, run.counts.quarantined), (1, 0));
    assert_eq!(rows(&house, &["team_id"])?, json!({"1": {"team_id": "red"}}));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_in_the_cursor_column_is_read_like_any_other_row_also_after_an_edit() -> anyhow::Result<()> {
    let entries = "(1, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, NULL, NULL),
        (2, 'ada', 'code', '2026-08-03T08:00:00Z', NULL, 1, NULL, '2026-08-03T09:00:00Z')";
    let changed = "updated_at = { column = \"changed\", format = \"rfc3339\" }";
    let trap = trap(&[BEGIN, WORKED, changed], entries).await?;
    let updated = |hours: &str, at: Value| json!({"duration_seconds": hours, "updated_at": at});
    let second = updated("3600", json!("2026-08-03 09:00:00+00"));
    let columns = ["duration_seconds", "updated_at"];
    assert_eq!(rows(&trap.house, &columns)?, json!({"1": updated("3600", Value::Null), "2": second}));
    trap.house.execute("UPDATE entry SET worked = 2 WHERE id = 1").await?;
    let stack = alone(&trap.house).await?;
    stack.intake.run(chrono::Utc::now() + chrono::TimeDelta::days(2)).await?;
    assert_eq!(rows(&trap.house, &columns)?, json!({"1": updated("7200", Value::Null), "2": second}));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_a_decimal_is_a_whole_number_in_every_type() -> anyhow::Result<()> {
    // As a number of one or the other kind, and as the text that a DECIMAL comes as.
    let entries = "(9007199254740993, 7, 3, '2026-08-03T08:00:00Z', NULL, 1, NULL, NULL),
        (2.0, 7.0, 3.0, '2026-08-03T08:00:00Z', NULL, 1, NULL, NULL),
        ('100000000000000001', '7', '3', '2026-08-03T08:00:00Z', NULL, 1, NULL, NULL)";
    let trap = trap(&[BEGIN, WORKED], entries).await?;
    let of = json!({"user_id": "7", "stereotype_code": "3"});
    let expected = json!({"9007199254740993": of, "2": of, "100000000000000001": of});
    assert_eq!(rows(&trap.house, &["user_id", "stereotype_code"])?, expected);
    Ok(())
}
