use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use shared::activity::{Activity, to_batch};

use super::*;

/// Work of `ada` from `start` to `end`, in seconds.
fn work(stereotype: &str, start: i64, end: i64) -> Row<'_> {
    let (start, end) = (start * MICROSECONDS, end * MICROSECONDS);
    Row { person: "ada", is_work: true, exact: true, start, end, stereotype, project: None }
}

fn leave(start: i64, end: i64) -> Row<'static> {
    Row { is_work: false, ..work("leave", start, end) }
}

/// Switches, gaps, gap seconds, of these at switches, breaks and break seconds of each row, with breaks from an hour on.
fn count(day: &[Row]) -> Vec<Option<[i64; 6]>> {
    let switching = Switching::new(&LogicSettings { long_gap_hours: 1, ..LogicSettings::default() });
    let row = |adds: Counted| {
        [adds.switches, adds.gaps, adds.gap_seconds, adds.switch_gap_seconds, adds.breaks, adds.break_seconds]
    };
    switching.count(day).into_iter().map(|adds| adds.map(row)).collect()
}

#[test]
fn a_gap_is_counted_from_the_latest_end_so_far_zeros_included() {
    let day = [work("a", 0, 100), work("a", 10, 20), work("b", 50, 60), work("b", 130, 140), work("a", 140, 140)];
    let expected =
        [[0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 1, 30, 0, 0, 0], [1, 1, 0, 0, 0, 0]];
    assert_eq!(count(&day), expected.map(Some));
}

#[test]
fn what_is_longer_than_the_long_gap_is_a_break_and_may_still_be_a_switch() {
    let day = [work("a", 0, 0), work("b", 3600, 3600), work("a", 7201, 7201), work("a", 7261, 7261)];
    let expected = [[0, 0, 0, 0, 0, 0], [1, 1, 3600, 3600, 0, 0], [1, 0, 0, 0, 1, 3601], [0, 1, 60, 0, 0, 0]];
    assert_eq!(count(&day), expected.map(Some));
}

#[test]
fn a_gap_has_whole_seconds() {
    let mut day = [work("a", 0, 10), work("a", 12, 13)];
    day[1].start -= 1;
    assert_eq!(count(&day)[1], Some([0, 1, 1, 0, 0, 0]));
    day[1].start = day[0].end - 1;
    assert_eq!(count(&day)[1], Some([0, 1, 0, 0, 0, 0]));
}

#[test]
fn a_break_begins_with_the_first_microsecond_over_the_long_gap() {
    let mut day = [work("a", 0, 0), work("a", 3600, 3700), work("a", 7300, 7400)];
    day[2].start += 500_000;
    assert_eq!(count(&day)[1..], [Some([0, 1, 3600, 0, 0, 0]), Some([0, 0, 0, 0, 1, 3600])]);
}

#[test]
fn leave_moves_the_latest_end_and_is_no_row_of_its_own() {
    let day = [leave(0, 50), work("a", 100, 110), leave(110, 150), work("b", 160, 170), leave(170, 180)];
    let expected =
        [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 1, 10, 10, 0, 0], [0, 0, 0, 0, 0, 0]];
    assert_eq!(count(&day), expected.map(Some));
}

#[test]
fn another_project_is_a_switch_and_none_is_a_project_too() {
    let of = |project| Row { project, ..work("a", 0, 0) };
    let day = [of(None), of(None), of(Some("x")), of(Some("x")), of(Some("y")), of(None)];
    let switches: Vec<i64> = count(&day).into_iter().map(|adds| adds.unwrap()[0]).collect();
    assert_eq!(switches, [0, 0, 1, 0, 1, 1]);
}

#[test]
fn a_date_says_nothing_about_order_and_moves_nothing() {
    let date_only = |row: Row<'static>| Row { exact: false, ..row };
    let day = [date_only(work("c", 0, 900)), work("a", 10, 20), date_only(leave(20, 990)), work("a", 30, 40)];
    let nothing = Some([0, 0, 0, 0, 0, 0]);
    assert_eq!(count(&day), [None, nothing, nothing, Some([0, 1, 10, 0, 0, 0])]);
}

#[test]
fn a_person_day_is_closed_by_its_last_work_and_a_day_of_leave_is_none() {
    let switching = Switching::new(&LogicSettings::default());
    let closed = |day: &[Row]| -> Vec<Option<(i64, i64)>> {
        let counted = switching.count(day).into_iter();
        counted.map(|adds| adds.map(|adds| (adds.person_days, adds.stereotypes))).collect()
    };
    let day = [work("a", 0, 1), work("b", 1, 2), work("a", 2, 3), leave(3, 4), Row { exact: false, ..work("c", 5, 6) }];
    assert_eq!(closed(&day), [Some((0, 0)), Some((0, 0)), Some((1, 2)), Some((0, 0)), None]);
    assert_eq!(closed(&[leave(0, 1), leave(1, 2)]), [Some((0, 0)); 2]);
    assert_eq!(closed(&[Row { exact: false, ..work("c", 5, 6) }]), [None]);
}

#[test]
fn each_person_has_a_day_of_their_own() {
    let at = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let activities = [
        Activity::new("1", "ada", "a", at("2026-08-03T07:00:00Z"), 60),
        Activity::new("2", "ada", "b", at("2026-08-03T07:05:00Z"), 60),
        Activity::new("3", "bo", "a", at("2026-08-03T07:10:00Z"), 60),
    ];
    let schema = Schema::new(vec![Field::new("is_work", DataType::Boolean, true)]);
    let annotations = RecordBatch::try_new(schema.into(), vec![flags([Some(true); 3].into_iter())]).unwrap();
    let rows = Rows { base: to_batch(&activities).unwrap(), annotations };
    let given = Switching::new(&LogicSettings::default()).annotate(&rows).unwrap();
    let column = |name: &str| &given.iter().find(|(given, _)| *given == name).unwrap().1;
    for (name, expected) in [
        ("person_days", [0, 1, 1]),
        ("switches", [0, 1, 0]),
        ("gaps", [0, 1, 0]),
        ("gap_seconds", [0, 240, 0]),
        ("stereotypes_per_person_day", [0, 2, 1]),
    ] {
        assert_eq!(column(name).as_primitive::<Int64Type>().values(), &expected, "{name}");
    }
    for (name, expected) in [("has_gap", [false, true, false]), ("closes_person_day", [false, true, true])] {
        assert_eq!(column(name).as_boolean().iter().collect::<Vec<_>>(), expected.map(Some), "{name}");
    }
}
