//! Ceremonies and meetings, and how well spent the people in them felt the time was.
//!
//! Only a rating says that a ceremony did not pay. Unrated time is not unproductive, and it is not measured either.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use shared::{
    annotator::{AnnotateError, Annotator},
    column::{Columns, flags, integers, text},
    lake::siblings::Rows,
};

/// The best rating that still says the time was not well spent.
const UNPRODUCTIVE: i64 = 2;

/// The annotator.
pub struct Ceremonies;

/// What one row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attended<'a> {
    ceremony: Option<i64>,
    rated: Option<i64>,
    ratings: Option<i64>,
    weighted: Option<i64>,
    unproductive: Option<i64>,
    is_ceremony: bool,
    reason: Option<&'a str>,
}

/// No ceremony at all.
const NOTHING: Attended = Attended {
    ceremony: Some(0),
    rated: Some(0),
    ratings: Some(0),
    weighted: Some(0),
    unproductive: Some(0),
    is_ceremony: false,
    reason: None,
};

/// Judges one row: its category, why that is unknown, its duration in seconds and its rating.
fn judge<'a>(category: &str, unknown: Option<&'a str>, duration: i64, rating: Option<i64>) -> Attended<'a> {
    match (category, unknown, rating) {
        // What nobody classified may be a ceremony.
        (_, Some(reason), _) => Attended {
            ceremony: None,
            rated: None,
            ratings: None,
            weighted: None,
            unproductive: None,
            is_ceremony: false,
            reason: Some(reason),
        },
        ("ceremony" | "meeting", None, Some(rating)) => Attended {
            ceremony: Some(duration),
            rated: Some(duration),
            ratings: Some(1),
            weighted: Some(rating * duration),
            unproductive: Some(if rating <= UNPRODUCTIVE { duration } else { 0 }),
            is_ceremony: true,
            reason: None,
        },
        ("ceremony" | "meeting", None, None) => Attended {
            ceremony: Some(duration),
            rated: None,
            weighted: None,
            is_ceremony: true,
            reason: Some("unrated"),
            ..NOTHING
        },
        _ => NOTHING,
    }
}

impl Annotator for Ceremonies {
    const NAME: &'static str = "ceremonies";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let categories = rows.annotations.text("category")?;
        let category_reasons = rows.annotations.text("category_reason")?;
        let durations = rows.base.integer("duration_seconds")?;
        // Ratings are one byte wide in the base.
        let ratings = cast(rows.base.column(rows.base.schema().index_of("rating")?), &DataType::Int64)?;
        let ratings = ratings.as_primitive::<Int64Type>();
        let judged: Vec<Attended> = (0..rows.len())
            .map(|row| {
                let unknown = category_reasons.is_valid(row).then(|| category_reasons.value(row));
                let rating = ratings.is_valid(row).then(|| ratings.value(row));
                judge(categories.value(row), unknown, durations.value(row), rating)
            })
            .collect();
        Ok(vec![
            ("ceremony_seconds", integers(judged.iter().map(|row| row.ceremony))),
            ("rated_seconds", integers(judged.iter().map(|row| row.rated))),
            ("ratings", integers(judged.iter().map(|row| row.ratings))),
            ("rating_weighted_seconds", integers(judged.iter().map(|row| row.weighted))),
            ("unproductive_seconds", integers(judged.iter().map(|row| row.unproductive))),
            ("is_ceremony", flags(judged.iter().map(|row| Some(row.is_ceremony)))),
            ("ceremony_reason", text(judged.iter().map(|row| row.reason))),
        ])
    }
}

#[cfg(test)]
mod tests;
