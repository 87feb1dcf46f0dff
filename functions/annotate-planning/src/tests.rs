use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use chrono::Utc;
use shared::activity::{Activity, to_batch};

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn planning(zone: Tz, grace_days: u32) -> Planning {
    Planning::new(&LogicSettings { organisation_time_zone: zone, grace_days, ..LogicSettings::default() })
}

#[test]
fn the_line_is_a_local_midnight_of_the_organisation_even_where_the_clock_changes() {
    for (zone, grace_days, sprint_starts, line) in [
        // Monday at midnight in Berlin; a day of grace ends with Monday.
        (Tz::Europe__Berlin, 1, "2026-08-02T22:00:00Z", "2026-08-03T22:00:00Z"),
        (Tz::Europe__Berlin, 0, "2026-08-02T22:00:00Z", "2026-08-02T22:00:00Z"),
        // A sprint that starts at noon has had half a day of grace.
        (Tz::Europe__Berlin, 0, "2026-08-03T10:00:00Z", "2026-08-02T22:00:00Z"),
        (Tz::America__New_York, 2, "2026-08-03T03:59:59Z", "2026-08-04T04:00:00Z"),
        // A day of 23 hours, and one of 25.
        (Tz::Europe__Berlin, 1, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        (Tz::Europe__Berlin, 1, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        // In Santiago the clock leaps from 24:00 to 1:00 on 6 September 2026.
        (Tz::America__Santiago, 1, "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z"),
        // In Havana it goes back from 1:00 to 0:00 on 1 November 2026: the first of two midnights.
        (Tz::America__Havana, 1, "2026-10-31T12:00:00Z", "2026-11-01T04:00:00Z"),
    ] {
        let found = planning(zone, grace_days).line(at(sprint_starts).timestamp_micros()).unwrap();
        assert_eq!(DateTime::from_timestamp_micros(found), Some(at(line)), "{zone} {sprint_starts}");
    }
    assert!(planning(Tz::UTC, 1).line(i64::MAX).is_err());
}

#[test]
fn only_what_lies_after_the_line_is_late() {
    let line = 100 * MICROSECONDS;
    for (start, duration, expected) in [
        (0, 100, 0),
        (0, 101, 1),
        (40 * MICROSECONDS, 100, 40),
        (line, 100, 100),
        (line + 1, 100, 100),
        (line - 1, 100, 100),
        (line - MICROSECONDS, 100, 99),
        (line - MICROSECONDS - 1, 100, 99),
        (line - MICROSECONDS + 1, 100, 100),
        (line, 0, 0),
        (0, 0, 0),
    ] {
        assert_eq!(late(start, duration, line), expected, "{start} {duration}");
    }
}

#[test]
fn planning_needs_a_sprint_refinement_does_not_and_what_nobody_classified_cannot_tell() {
    let categories = ["planning", "planning", "planning", "refinement", "coding", "other", "pto"];
    let reasons = [None, None, None, None, None, Some("unknown_claim"), None];
    let activities: Vec<Activity> = (0..categories.len())
        .map(|row| {
            let start = at(if row == 0 { "2026-08-03T08:00:00Z" } else { "2026-08-03T21:59:00Z" });
            let mut activity = Activity::new(row.to_string(), "ada", "x", start, 90);
            activity.sprint_starts_at = (row != 2).then(|| at("2026-08-02T22:00:00Z"));
            activity
        })
        .collect();
    let fields = ["category", "category_reason"].map(|name| Field::new(name, DataType::Utf8, true));
    let columns = vec![text(categories.into_iter().map(Some)), text(reasons.into_iter())];
    let annotations = RecordBatch::try_new(Schema::new(fields.to_vec()).into(), columns).unwrap();
    let rows = Rows { base: to_batch(&activities).unwrap(), annotations };
    let given = planning(Tz::Europe__Berlin, 1).annotate(&rows).unwrap();
    let seconds = |column: usize| given[column].1.as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!(seconds(0), [Some(90), Some(90), None, Some(0), Some(0), None, Some(0)]);
    assert_eq!(seconds(1), [Some(0), Some(30), None, Some(0), Some(0), None, Some(0)]);
    assert_eq!(seconds(2), [Some(0), Some(0), Some(0), Some(90), Some(0), None, Some(0)]);
    let is_planning: Vec<Option<bool>> = given[3].1.as_boolean().iter().collect();
    assert_eq!(is_planning, [true, true, true, false, false, false, false].map(Some));
    let given_reasons: Vec<Option<&str>> = given[4].1.as_string::<i32>().iter().collect();
    assert_eq!(given_reasons, [None, None, Some("no_sprint"), None, None, Some("unknown_claim"), None]);
}
