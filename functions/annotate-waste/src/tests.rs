use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use shared::{
    activity::{Activity, to_batch},
    column::flags,
};

use super::*;

fn kinds(automatable: i64, late_planning: i64, unproductive_ceremony: i64, out_of_sprint: i64) -> Kinds {
    Kinds { automatable, late_planning, unproductive_ceremony, out_of_sprint }
}

#[test]
fn each_second_is_taken_once_and_in_order() {
    let known = |automatable, late_planning, unproductive, out_of_sprint| Known {
        duration: 100,
        automatable: Some(automatable),
        late_planning: Some(late_planning),
        unproductive: Some(unproductive),
        out_of_sprint: Some(out_of_sprint),
    };
    for (given, expected) in [
        (known(0, 0, 0, 0), kinds(0, 0, 0, 0)),
        (known(100, 100, 100, 100), kinds(100, 0, 0, 0)),
        (known(0, 40, 100, 100), kinds(0, 40, 60, 0)),
        (known(0, 0, 100, 100), kinds(0, 0, 100, 0)),
        (known(0, 0, 0, 70), kinds(0, 0, 0, 70)),
        // 40 of the 70 seconds out of the sprint were late planning.
        (known(0, 40, 0, 70), kinds(0, 40, 0, 30)),
        (known(0, 80, 0, 70), kinds(0, 80, 0, 0)),
        (known(0, 40, 0, 100), kinds(0, 40, 0, 60)),
    ] {
        assert_eq!(given.kinds(), expected, "{given:?}");
        assert!(given.kinds().total() <= given.duration);
    }
}

#[test]
fn what_nobody_knows_takes_nothing() {
    let nothing = Known { duration: 100, ..Known::default() };
    assert_eq!(nothing.kinds(), kinds(0, 0, 0, 0));
    assert_eq!(Known { out_of_sprint: Some(100), ..nothing }.kinds(), kinds(0, 0, 0, 100));
    assert_eq!(Known { late_planning: Some(30), ..nothing }.kinds(), kinds(0, 30, 0, 0));
}

/// What the other annotators say of an activity of 60 seconds.
#[derive(Clone, Copy)]
struct Said {
    is_work: bool,
    automatable: Option<i64>,
    planning: bool,
    late: Option<i64>,
    planning_reason: Option<&'static str>,
    ceremony: bool,
    rated: Option<i64>,
    unproductive: Option<i64>,
    ceremony_reason: Option<&'static str>,
    out: Option<i64>,
}

/// Of an activity that is neither planning nor a ceremony, with nothing else known.
const CODING: Said = Said {
    is_work: true,
    automatable: None,
    planning: false,
    late: Some(0),
    planning_reason: None,
    ceremony: false,
    rated: Some(0),
    unproductive: Some(0),
    ceremony_reason: None,
    out: None,
};

/// The waste in each activity, and the reason why it is not all known.
fn judge(said: &[Said]) -> Vec<(Option<i64>, Option<String>)> {
    let start = "2026-08-03T07:00:00Z".parse().unwrap();
    let activities: Vec<Activity> =
        (0..said.len()).map(|row| Activity::new(row.to_string(), "ada", "x", start, 60)).collect();
    let numbers = |value: fn(&Said) -> Option<i64>| (DataType::Int64, integers(said.iter().map(value)));
    let yes = |value: fn(&Said) -> bool| (DataType::Boolean, flags(said.iter().map(|said| Some(value(said)))));
    let words = |value: fn(&Said) -> Option<&'static str>| (DataType::Utf8, text(said.iter().map(value)));
    let columns = [
        ("is_work", yes(|said| said.is_work)),
        ("is_planning", yes(|said| said.planning)),
        ("is_ceremony", yes(|said| said.ceremony)),
        ("rated_seconds", numbers(|said| said.rated)),
        ("automatable_seconds", numbers(|said| said.automatable)),
        ("automation_reason", words(|said| said.automatable.is_none().then_some("automatable_not_stated"))),
        ("late_planning_seconds", numbers(|said| said.late)),
        ("planning_reason", words(|said| said.planning_reason)),
        ("unproductive_seconds", numbers(|said| said.unproductive)),
        ("ceremony_reason", words(|said| said.ceremony_reason)),
        ("out_of_sprint_seconds", numbers(|said| said.out)),
        ("scope_reason", words(|said| said.out.is_none().then_some("no_mark_and_no_sprint"))),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, (kind, _))| Field::new(*name, kind.clone(), true)).collect();
    let arrays = columns.iter().map(|(_, (_, array))| array.clone()).collect();
    let annotations = RecordBatch::try_new(Schema::new(fields).into(), arrays).unwrap();
    let given = Waste.annotate(&Rows { base: to_batch(&activities).unwrap(), annotations }).unwrap();
    let waste = given[0].1.as_primitive::<Int64Type>();
    let kinds: Vec<_> = given[1..5].iter().map(|(_, column)| column.as_primitive::<Int64Type>()).collect();
    let reasons = given[5].1.as_string::<i32>();
    let row = |row: usize| {
        let parts: Option<i64> = kinds.iter().map(|kind| kind.is_valid(row).then(|| kind.value(row))).sum();
        let whole = waste.is_valid(row).then(|| waste.value(row));
        assert_eq!(parts, whole, "the kinds do not add up to the waste");
        (whole, reasons.is_valid(row).then(|| reasons.value(row).to_owned()))
    };
    (0..said.len()).map(row).collect()
}

#[test]
fn a_row_that_lacks_an_input_counts_what_it_knows_and_says_what_it_lacks() {
    let judged = judge(&[
        Said { automatable: Some(0), out: Some(60), ..CODING },
        Said { automatable: Some(0), ..CODING },
        Said { out: Some(10), ..CODING },
        CODING,
        Said { is_work: false, ..CODING },
    ]);
    let reason = |reason: &str| Some(reason.to_owned());
    assert_eq!(
        judged,
        [
            (Some(60), None),
            (Some(0), reason("no_mark_and_no_sprint")),
            (Some(10), reason("automatable_not_stated")),
            (None, reason("nothing_known")),
            (Some(0), None),
        ]
    );
}

#[test]
fn planning_with_a_line_and_a_rated_ceremony_tell_and_without_they_do_not() {
    let planning = Said { planning: true, late: Some(20), ..CODING };
    let no_line = Said { late: None, planning_reason: Some("no_sprint"), ..planning };
    let rated = Said { ceremony: true, rated: Some(60), unproductive: Some(60), ..CODING };
    let unrated = Said { rated: None, unproductive: Some(0), ceremony_reason: Some("unrated"), ..rated };
    let unclassified = Said {
        late: None,
        planning_reason: Some("unclassified"),
        rated: None,
        unproductive: None,
        ceremony_reason: Some("unclassified"),
        ..CODING
    };
    let nothing = (None, Some("nothing_known".to_owned()));
    let partly = |waste: i64, reason: &str| (Some(waste), Some(reason.to_owned()));
    assert_eq!(
        judge(&[planning, no_line, rated, unrated, unclassified]),
        [
            partly(20, "automatable_not_stated"),
            nothing.clone(),
            partly(60, "automatable_not_stated"),
            nothing.clone(),
            nothing,
        ]
    );
    let told = |said: Said| Said { automatable: Some(0), out: Some(5), ..said };
    assert_eq!(
        judge(&[told(planning), told(no_line), told(rated), told(unrated), told(unclassified)]),
        [
            (Some(20), None),
            partly(5, "no_sprint"),
            (Some(60), None),
            // That nobody rated it is no gap in what is known of waste.
            (Some(5), None),
            partly(5, "unclassified"),
        ]
    );
}
