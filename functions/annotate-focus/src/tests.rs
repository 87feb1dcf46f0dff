use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use shared::{
    activity::{Activity, to_batch},
    column::flags,
};

use super::*;

/// Blocks of 10 minutes, pauses of one.
fn focused(rows: &[Row]) -> Vec<i64> {
    Focus::parse("block_minutes = 10\nlongest_pause_minutes = 1").unwrap().focused(rows)
}

/// From `start` to `end`, in seconds.
fn row(kind: Kind, start: i64, end: i64) -> Row<'static> {
    let (start, end, seconds) = (start * MICROSECONDS, end * MICROSECONDS, end - start);
    Row { person: "ada", start, end, seconds, kind }
}

fn begins(start: i64, end: i64) -> Row<'static> {
    row(Kind::Begins, start, end)
}

fn on(start: i64, end: i64) -> Row<'static> {
    row(Kind::CarriesOn, start, end)
}

#[test]
fn the_rows_of_a_block_count_whole_from_its_length_on() {
    assert_eq!(focused(&[begins(0, 600)]), [600]);
    assert_eq!(focused(&[begins(0, 599)]), [0]);
    assert_eq!(focused(&[begins(0, 300), on(360, 659), on(659, 660)]), [300, 299, 1]);
    assert_eq!(focused(&[begins(0, 300), on(361, 661)]), [0, 0]);
    assert_eq!(focused(&[begins(0, 300), begins(300, 600)]), [0, 0]);
    let day = [begins(0, 300), on(300, 300), on(300, 600), begins(600, 700), begins(700, 1300)];
    assert_eq!(focused(&day), [300, 0, 300, 0, 600]);
}

#[test]
fn two_things_at_once_make_no_block_longer_and_both_count() {
    assert_eq!(focused(&[begins(0, 300), on(0, 300)]), [0, 0]);
    assert_eq!(focused(&[begins(0, 400), on(100, 300), on(350, 600)]), [400, 200, 250]);
    assert_eq!(focused(&[begins(0, 400), on(100, 300), on(350, 599)]), [0, 0, 0]);
    // Ten minutes on the clock of which five were worked.
    assert_eq!(focused(&[Row { seconds: 300, ..begins(0, 600) }]), [0]);
    // Something else that lasts longer bridges what would be a pause.
    let other = begins(0, 500);
    assert_eq!(focused(&[other, begins(10, 300), on(400, 720)]), [0, 290, 320]);
}

#[test]
fn a_pause_is_too_long_from_its_first_microsecond_on() {
    let late = |microseconds: i64| {
        let next = on(360, 660);
        [begins(0, 300), Row { start: next.start + microseconds, end: next.end + microseconds, ..next }]
    };
    assert_eq!(focused(&late(0)), [300, 300]);
    assert_eq!(focused(&late(1)), [0, 0]);
}

#[test]
fn time_off_ends_a_block_and_a_mere_date_does_not() {
    let off = row(Kind::Off, 300, 300);
    assert_eq!(focused(&[begins(0, 300), off, on(300, 600)]), [0, 0, 0]);
    assert_eq!(focused(&[begins(0, 300), off, on(300, 600), on(600, 900)]), [0, 0, 300, 300]);
    assert_eq!(focused(&[begins(0, 300), row(Kind::DateOnly, 0, 9000), on(300, 600)]), [300, 0, 300]);
}

#[test]
fn a_switch_a_break_and_another_person_begin_anew() {
    let start: chrono::DateTime<chrono::Utc> = "2026-08-03T07:00:00Z".parse().unwrap();
    // A day's first work, what carries on, a switch, what follows a break, a date, and leave of which only the date is
    // known.
    let hour =
        |row: i32| Activity::new(row.to_string(), "ada", "x", start + chrono::TimeDelta::hours(row.into()), 3600);
    let mut activities: Vec<Activity> = (0..6).map(hour).collect();
    activities[4].clock = Clock::Day;
    activities[5].clock = Clock::Day;
    let columns = [
        ("is_work", DataType::Boolean, flags([true, true, true, true, true, false].map(Some).into_iter())),
        (
            "has_gap",
            DataType::Boolean,
            flags([Some(false), Some(true), Some(true), Some(false), None, Some(false)].into_iter()),
        ),
        ("switches", DataType::Int64, integers([Some(0), Some(0), Some(1), Some(0), None, Some(0)].into_iter())),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
    let arrays = columns.into_iter().map(|(.., array)| array).collect();
    let annotations = RecordBatch::try_new(Schema::new(fields).into(), arrays).unwrap();
    let rows = Rows { base: to_batch(&activities).unwrap(), annotations };
    let given = Focus::built_in().unwrap().annotate(&rows).unwrap();
    let seconds: Vec<Option<i64>> = given[0].1.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(seconds, [Some(3600), Some(3600), Some(0), Some(0), None, Some(0)]);
    let reasons: Vec<Option<&str>> = given[1].1.as_string::<i32>().iter().collect();
    assert_eq!(reasons, [None, None, None, None, Some("date_only"), None]);
}

#[test]
fn measures_that_are_missing_or_unknown_are_refused() {
    for wrong in ["block_minutes = 10", "block_minutes = -1\nlongest_pause_minutes = 5", "pause = 1", ""] {
        assert!(Focus::parse(wrong).is_err(), "{wrong}");
    }
}
