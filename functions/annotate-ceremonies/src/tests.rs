use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use shared::activity::{Activity, to_batch};

use super::*;

#[test]
fn ratings_of_one_and_two_say_that_the_time_was_not_well_spent() {
    for (rating, unproductive) in [(1, 60), (2, 60), (3, 0), (4, 0), (5, 0)] {
        for category in ["ceremony", "meeting"] {
            let expected = Attended {
                ceremony: Some(60),
                rated: Some(60),
                ratings: Some(1),
                weighted: Some(rating * 60),
                unproductive: Some(unproductive),
                is_ceremony: true,
                reason: None,
            };
            assert_eq!(judge(category, None, 60, Some(rating)), expected);
        }
    }
}

#[test]
fn unrated_time_is_neither_unproductive_nor_measured() {
    let unrated = judge("ceremony", None, 60, None);
    assert_eq!((unrated.ceremony, unrated.unproductive, unrated.reason), (Some(60), Some(0), Some("unrated")));
    assert_eq!((unrated.rated, unrated.ratings, unrated.weighted, unrated.is_ceremony), (None, Some(0), None, true));
}

#[test]
fn what_is_no_ceremony_counts_nothing_and_what_nobody_classified_cannot_tell() {
    // A rating of something else is somebody else's business.
    assert_eq!(judge("coding", None, 60, Some(1)), NOTHING);
    assert_eq!(judge("pto", None, 60, Some(1)), NOTHING);
    assert_eq!(judge("other", None, 60, None), NOTHING);
    let unknown = judge("other", Some("unclassified"), 60, Some(1));
    assert_eq!((unknown.ceremony, unknown.unproductive, unknown.is_ceremony), (None, None, false));
    assert_eq!((unknown.rated, unknown.ratings, unknown.weighted), (None, None, None));
    assert_eq!(unknown.reason, Some("unclassified"));
}

#[test]
fn ratings_are_read_as_the_base_has_them() {
    let start = "2026-08-03T07:00:00Z".parse().unwrap();
    let mut activities = [1, 2].map(|row| Activity::new(row.to_string(), "ada", "stand-up", start, 900));
    activities[0].rating = Some(4);
    let fields = ["category", "category_reason"].map(|name| Field::new(name, DataType::Utf8, true));
    let columns = vec![text([Some("ceremony"); 2].into_iter()), text([None; 2].into_iter())];
    let annotations = RecordBatch::try_new(Schema::new(fields.to_vec()).into(), columns).unwrap();
    let given = Ceremonies.annotate(&Rows { base: to_batch(&activities).unwrap(), annotations }).unwrap();
    assert_eq!(given[3].0, "rating_weighted_seconds");
    let weighted: Vec<Option<i64>> = given[3].1.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(weighted, [Some(3600), None]);
}
