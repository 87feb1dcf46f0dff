use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use shared::{
    activity::{Activity, to_batch},
    column::flags,
};

use super::*;

#[test]
fn automatable_work_counts_whole_and_what_nobody_states_is_unknown() {
    let start = "2026-08-03T07:00:00Z".parse().unwrap();
    let activities: Vec<Activity> = (0..4).map(|i| Activity::new(i.to_string(), "ada", "x", start, 60)).collect();
    let fields = ["is_work", "automatable"].map(|name| Field::new(name, DataType::Boolean, true));
    let columns = vec![
        flags([true, true, true, false].map(Some).into_iter()),
        flags([Some(true), Some(false), None, Some(true)].into_iter()),
    ];
    let annotations = RecordBatch::try_new(Schema::new(fields.to_vec()).into(), columns).unwrap();
    let given = Automation.annotate(&Rows { base: to_batch(&activities).unwrap(), annotations }).unwrap();
    let seconds: Vec<Option<i64>> = given[0].1.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(seconds, [Some(60), Some(0), None, Some(0)]);
    let reasons: Vec<Option<&str>> = given[1].1.as_string::<i32>().iter().collect();
    assert_eq!(reasons, [None, None, Some("automatable_not_stated"), None]);
}
