use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Schema;
use shared::activity::{Activity, to_batch};

use super::*;

fn classify(classification: &str, activities: &[Activity<'_>]) -> Vec<(String, Option<String>, Option<bool>, bool)> {
    let base = to_batch(activities).unwrap();
    let rows = Rows { base, annotations: RecordBatch::new_empty(Schema::empty().into()) };
    let columns: BTreeMap<_, _> =
        Classify::parse(classification).unwrap().annotate(&rows).unwrap().into_iter().collect();
    let text = |name: &str, row: usize| {
        let column = columns[name].as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let flag = |name: &str, row: usize| {
        let column = columns[name].as_boolean();
        column.is_valid(row).then(|| column.value(row))
    };
    let row = |row| {
        let category = text("category", row).unwrap();
        (category, text("category_reason", row), flag("automatable", row), flag("is_work", row).unwrap())
    };
    (0..activities.len()).map(row).collect()
}

fn activity<'a>(code: &'a str, category: Option<&'a str>, automatable: Option<bool>) -> Activity<'a> {
    let mut activity = Activity::new("1", "ada", code, "2026-08-03T07:00:00Z".parse().unwrap(), 60);
    activity.claimed_category = category.map(Into::into);
    activity.claimed_automatable = automatable;
    activity
}

#[test]
fn our_judgement_comes_first_then_the_source_then_other_with_a_reason() {
    let table =
        "[stereotypes.deploy]\ncategory = \"deployment\"\nautomatable = true\n[stereotypes.half]\ncategory = \"admin\"";
    let classified = classify(
        table,
        &[
            activity("deploy", Some("coding"), Some(false)),
            activity("half", Some("coding"), Some(true)),
            activity("else", Some("coding"), None),
            activity("else", Some("golf"), None),
            activity("else", None, Some(false)),
            activity("holiday", Some("pto"), None),
        ],
    );
    let row = |category: &str, reason: Option<&str>, automatable, is_work| {
        (category.to_owned(), reason.map(str::to_owned), automatable, is_work)
    };
    assert_eq!(
        classified,
        [
            row("deployment", None, Some(true), true),
            row("admin", None, Some(true), true),
            row("coding", None, None, true),
            row("other", Some("unknown_claim"), None, true),
            row("other", Some("unclassified"), Some(false), true),
            row("pto", None, None, false),
        ]
    );
}

#[test]
fn a_classification_with_an_unknown_category_or_key_is_refused() {
    for wrong in ["[stereotypes.a]\ncategory = \"golf\"", "[stereotypes.a]\ncolour = \"red\"", "[sterotypes.a]"] {
        assert!(Classify::parse(wrong).is_err(), "{wrong}");
    }
    assert!(Classify::built_in().is_ok());
}
