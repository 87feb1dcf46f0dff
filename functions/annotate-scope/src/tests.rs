use super::*;

fn row(is_work: bool, out_of_sprint: Option<i64>, marked: Option<bool>, within: Option<bool>) -> Row {
    Row { is_work, duration: 100, out_of_sprint, marked, within }
}

#[test]
fn a_split_comes_before_a_mark_and_a_mark_before_the_calendar() {
    for (given, expected) in [
        (row(true, Some(30), Some(false), Some(false)), (Some((70, 30)), "split")),
        (row(true, Some(0), Some(false), None), (Some((100, 0)), "split")),
        (row(true, None, Some(false), Some(true)), (Some((0, 100)), "marked")),
        (row(true, None, Some(true), Some(false)), (Some((100, 0)), "marked")),
        (row(true, None, None, Some(true)), (Some((100, 0)), "derived")),
        (row(true, None, None, Some(false)), (Some((0, 100)), "derived")),
        (row(true, None, None, None), (None, "none")),
        (row(false, Some(30), Some(false), Some(false)), (Some((0, 0)), "pto")),
    ] {
        assert_eq!(divide(&given), expected);
    }
}

#[test]
fn a_sprint_contains_its_start_and_not_its_end() {
    use arrow::array::{AsArray, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use shared::{
        activity::{Activity, to_batch},
        column::flags,
    };
    let at = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let activities: Vec<Activity> = ["2026-08-03T00:00:00Z", "2026-08-16T23:59:59Z", "2026-08-17T00:00:00Z"]
        .iter()
        .map(|start| {
            let mut activity = Activity::new(*start, "ada", "coding", at(start), 60);
            activity.sprint_starts_at = Some(at("2026-08-03T00:00:00Z"));
            activity.sprint_ends_at = Some(at("2026-08-17T00:00:00Z"));
            activity
        })
        .collect();
    let schema = Schema::new(vec![Field::new("is_work", DataType::Boolean, true)]);
    let annotations = RecordBatch::try_new(schema.into(), vec![flags([Some(true); 3].into_iter())]).unwrap();
    let columns = Scope.annotate(&Rows { base: to_batch(&activities).unwrap(), annotations }).unwrap();
    assert_eq!(columns[0].1.as_primitive::<Int64Type>().values(), &[60, 60, 0]);
    assert_eq!(columns[1].1.as_primitive::<Int64Type>().values(), &[0, 0, 60]);
}
