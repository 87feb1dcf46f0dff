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

fn first(seconds: i64) -> Row {
    Row::Work { seconds, pause: None }
}

fn after(pause: i64, seconds: i64) -> Row {
    Row::Work { seconds, pause: Some(pause) }
}

#[test]
fn the_rows_of_a_block_count_whole_from_its_length_on() {
    assert_eq!(focused(&[first(600)]), [600]);
    assert_eq!(focused(&[first(599)]), [0]);
    assert_eq!(focused(&[first(300), after(60, 299), after(0, 1)]), [300, 299, 1]);
    assert_eq!(focused(&[first(300), after(61, 300)]), [0, 0]);
    assert_eq!(focused(&[first(300), first(300)]), [0, 0]);
    assert_eq!(focused(&[first(300), after(0, 0), after(0, 300), first(100), first(600)]), [300, 0, 300, 0, 600]);
}

#[test]
fn time_off_ends_a_block_and_a_mere_date_does_not() {
    assert_eq!(focused(&[first(300), Row::Off, after(0, 300)]), [0, 0, 0]);
    assert_eq!(focused(&[first(300), Row::Off, after(0, 300), after(0, 300)]), [0, 0, 300, 300]);
    assert_eq!(focused(&[first(300), Row::DateOnly, after(0, 300)]), [300, 0, 300]);
}

#[test]
fn a_switch_a_break_and_another_person_begin_anew() {
    let start = "2026-08-03T07:00:00Z".parse().unwrap();
    // A day's first work, what carries on, a switch, what follows a break, a date, and leave of which only the date is
    // known.
    let mut activities: Vec<Activity> =
        (0..6).map(|row| Activity::new(row.to_string(), "ada", "x", start, 3600)).collect();
    activities[4].clock = Clock::Day;
    activities[5].clock = Clock::Day;
    let columns = [
        ("is_work", DataType::Boolean, flags([true, true, true, true, true, false].map(Some).into_iter())),
        (
            "has_gap",
            DataType::Boolean,
            flags([Some(false), Some(true), Some(true), Some(false), None, Some(false)].into_iter()),
        ),
        ("gap_seconds", DataType::Int64, integers([Some(0), Some(300), Some(0), Some(0), None, Some(0)].into_iter())),
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
