use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use shared::activity::{Activity, to_batch};

use super::*;

const SPRINT: Sprint = Sprint { starts: 1_000, ends: 1_010, released: None };

#[test]
fn a_sprint_falls_into_thirds_that_are_cut_by_whole_microseconds() {
    let phases = [
        (999, Phase::Before),
        (1_000, Phase::Early),
        (1_003, Phase::Early),
        (1_004, Phase::Middle),
        (1_006, Phase::Middle),
        (1_007, Phase::Late),
        (1_009, Phase::Late),
        (1_010, Phase::After),
    ];
    for (start, phase) in phases {
        assert_eq!(Phase::of(start, Some(SPRINT)), phase, "{start}");
    }
    assert_eq!(Phase::of(1_000, None), Phase::Unphased);
}

#[test]
fn what_starts_at_or_after_the_release_is_after_it_wherever_the_sprint_is() {
    let released = |at| Some(Sprint { released: Some(at), ..SPRINT });
    for (start, release, phase) in [
        (1_005, 1_005, Phase::After),
        (1_004, 1_005, Phase::Middle),
        (1_009, 1_020, Phase::Late),
        (1_010, 1_020, Phase::Late),
        (1_019, 1_020, Phase::Late),
        (1_020, 1_020, Phase::After),
        (999, 990, Phase::Before),
        (1_000, 990, Phase::After),
    ] {
        assert_eq!(Phase::of(start, released(release)), phase, "{start}, released at {release}");
    }
    // A sprint that ends where it starts has no thirds.
    assert_eq!(Phase::of(1_000, Some(Sprint { ends: 1_000, ..SPRINT })), Phase::After);
}

#[test]
fn seconds_fall_into_one_of_twelve_columns_and_what_nobody_classified_cannot_tell() {
    let at = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let categories = ["defect_investigation", "defect_fix", "defect_fix", "coding", "other", "other", "pto"];
    let reasons = [None, None, None, None, None, Some("unclassified"), None];
    let activities: Vec<Activity> = (0..categories.len())
        .map(|row| {
            let mut activity = Activity::new(row.to_string(), "ada", "x", at("2026-08-03T07:00:00Z"), 60);
            activity.sprint_starts_at = (row != 2).then(|| at("2026-08-03T00:00:00Z"));
            activity.sprint_ends_at = Some(at("2026-08-17T00:00:00Z"));
            activity
        })
        .collect();
    let fields = ["category", "category_reason"].map(|name| Field::new(name, DataType::Utf8, true));
    let columns = vec![text(categories.into_iter().map(Some)), text(reasons.into_iter())];
    let annotations = RecordBatch::try_new(Schema::new(fields.to_vec()).into(), columns).unwrap();
    let given = Defects.annotate(&Rows { base: to_batch(&activities).unwrap(), annotations }).unwrap();
    let column = |name: &str| &given.iter().find(|(given, _)| *given == name).unwrap().1;

    let nothing = [Some(0), Some(0), Some(0), Some(0), Some(0), None, Some(0)];
    for (name, ..) in SECONDS {
        let seconds: Vec<Option<i64>> = column(name).as_primitive::<Int64Type>().iter().collect();
        let mut expected = nothing;
        match name {
            "investigation_early_seconds" => expected[0] = Some(60),
            "fix_early_seconds" => expected[1] = Some(60),
            "fix_unphased_seconds" => expected[2] = Some(60),
            _ => {}
        }
        assert_eq!(seconds, expected, "{name}");
    }
    let texts = |name: &str| column(name).as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(texts("defect_phase")[..4], [Some("early".into()), Some("early".into()), Some("unphased".into()), None]);
    assert_eq!(texts("defects_reason"), reasons.map(|reason| reason.map(str::to_owned)));
    let is_defect: Vec<Option<bool>> = column("is_defect").as_boolean().iter().collect();
    assert_eq!(is_defect, [true, true, true, false, false, false, false].map(Some));
}
