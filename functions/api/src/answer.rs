//! The answer to one question: what an insight says of a group, whole, per sprint and by kind of activity.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;
use shared::{annotator::declaration::Insight, contribution::Cell};

use crate::{
    evidence::Group,
    figure::{Figure, Status, concerns},
    hours::{HoursPerSprint, Pace},
};

/// The reason of a figure while no day is captured and complete.
pub const NOTHING_CAPTURED: &str = "nothing_captured";

/// What an insight says of one kind of activity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StereotypeFigure {
    /// Its code.
    pub stereotype: String,
    /// Its name for people.
    pub name: String,
    /// See [`Figure::numerator_seconds`].
    pub numerator_seconds: Option<i64>,
    /// See [`Figure::denominator_seconds`].
    pub denominator_seconds: Option<i64>,
    /// See [`Figure::ratio`].
    pub ratio: Option<f64>,
    /// The people behind it.
    pub people: usize,
    /// Its hours, divided like those of the whole; null per team and sprint, where rows are not kept by stereotype.
    pub hours_per_sprint: Option<f64>,
}

/// What an insight says of a group: the answer to one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The insight's stable name.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it means, exactly.
    pub definition: String,
    /// The figure over all rows.
    #[serde(flatten)]
    pub figure: Figure,
    /// How much that is in a sprint; null without a complete sprint in which the group worked.
    pub hours_per_sprint: Option<HoursPerSprint>,
    /// The same by kind of activity, largest numerator first.
    pub by_stereotype: Vec<StereotypeFigure>,
}

impl Answer {
    /// What `insight` says of `group`.
    pub fn of(insight: &Insight, group: &Group) -> Self {
        let mut figure = Figure::of(insight, group.cells());
        if group.range.is_none() {
            figure.reason = Some(NOTHING_CAPTURED.to_owned());
        }
        let pace = Pace::of(insight, group).filter(|_| figure.status != Status::NotMeasurable);
        Self {
            id: insight.id.clone(),
            title: insight.title.clone(),
            definition: insight.definition.clone(),
            figure,
            hours_per_sprint: pace.as_ref().map(|pace| pace.whole(insight)),
            by_stereotype: by_stereotype(insight, group, pace.as_ref()),
        }
    }
}

fn by_stereotype(insight: &Insight, group: &Group, pace: Option<&Pace>) -> Vec<StereotypeFigure> {
    let mut cells: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for cell in group.cells().filter(|cell| concerns(insight, cell)) {
        if let Some(stereotype) = &cell.key.stereotype {
            cells.entry(stereotype).or_default().push(cell);
        }
    }
    let figure = |(stereotype, cells): (&str, Vec<&Cell>)| {
        let figure = Figure::of(insight, cells.into_iter());
        StereotypeFigure {
            stereotype: stereotype.to_owned(),
            name: group.directory.stereotype(stereotype),
            numerator_seconds: figure.numerator_seconds,
            denominator_seconds: figure.denominator_seconds,
            ratio: figure.ratio,
            people: figure.people,
            hours_per_sprint: pace.and_then(|pace| pace.of_stereotype(insight, stereotype)),
        }
    };
    let mut figures: Vec<_> = cells.into_iter().map(figure).collect();
    figures.sort_by_key(|figure| Reverse(figure.numerator_seconds));
    figures
}

#[cfg(test)]
mod tests {
    use shared::contribution::Extent;

    use super::*;
    use crate::{
        evidence::Evidence,
        figure::NO_ACTIVITY,
        sample::{HOUR, Row, evidence, register, row},
    };

    const RANGE: (&str, &str) = ("2026-01-05", "2026-01-19");

    fn automatable(evidence: &Evidence) -> Answer {
        let insight = register().insights().find(|insight| insight.id == "automatable").unwrap();
        Answer::of(insight, &evidence.group())
    }

    fn of(rows: &[Row]) -> Answer {
        automatable(&evidence("team:1", RANGE, rows, &[], &[]))
    }

    fn hour(person: &str) -> Row {
        row("2026-01-05", person, "1", "", HOUR)
    }

    #[test]
    fn rows_that_cannot_tell_make_a_figure_partial_and_count_on_neither_side() {
        let answer = of(&[hour("a").automatable(), hour("b"), hour("b"), hour("c").unknown()]);
        assert_eq!(answer.figure.status, Status::Partial);
        assert_eq!(answer.figure.numerator_seconds, Some(HOUR));
        assert_eq!(answer.figure.denominator_seconds, Some(3 * HOUR));
        assert_eq!(answer.figure.covered_share, Some(0.75));
        assert_eq!(answer.figure.reasons["automatable_not_stated"].rows, 1);
        assert_eq!((answer.figure.rows, answer.figure.people), (4, 3));
    }

    #[test]
    fn where_no_row_can_tell_there_is_a_reason_and_no_number() {
        let answer = of(&[hour("a").unknown(), hour("b").unknown()]);
        assert_eq!(answer.figure.status, Status::NotMeasurable);
        assert_eq!(answer.figure.reason.as_deref(), Some("automatable_not_stated"));
        assert_eq!((answer.figure.ratio, answer.figure.numerator_seconds), (None, None));
        assert_eq!(answer.hours_per_sprint, None);
        assert_eq!(answer.figure.why().as_deref(), Some("automatable not stated"));
    }

    #[test]
    fn the_most_frequent_reason_is_given() {
        let mut rare = hour("a").unknown();
        rare.seconds = 50 * HOUR;
        let mut evidence = evidence("team:1", RANGE, &[rare, hour("b").unknown(), hour("c").unknown()], &[], &[]);
        let cells = evidence.days.values_mut().flat_map(|day| &mut day.by_stereotype);
        for measure in cells.filter_map(|cell| cell.measures.get_mut("automatable_seconds")) {
            let other = measure.reasons.get_mut("automatable_not_stated").unwrap();
            other.rows -= 1;
            other.seconds -= 50 * HOUR;
            let long = Extent { rows: 1, seconds: 50 * HOUR };
            measure.reasons.insert("another".to_owned(), long);
        }
        let answer = automatable(&evidence);
        assert_eq!(answer.figure.reason.as_deref(), Some("automatable_not_stated"));
        assert_eq!(answer.figure.reasons.len(), 2);
    }

    #[test]
    fn a_person_with_only_leave_is_listed_with_nothing_and_no_ratio() {
        let rows = [hour("a").leave()];
        let answer = automatable(&evidence("person:a", RANGE, &rows, &[], &[]));
        assert_eq!(answer.figure.status, Status::Measured);
        assert_eq!(answer.figure.numerator_seconds, Some(0));
        assert_eq!(answer.figure.denominator_seconds, Some(0));
        assert_eq!(answer.figure.ratio, None);
        assert_eq!((answer.figure.rows, answer.figure.covered_share), (0, None));
        let json = serde_json::to_value(&answer).unwrap();
        assert!(json["ratio"].is_null() && json["hours_per_sprint"].is_null(), "{json}");
        assert_eq!(json["status"], "measured");
    }

    #[test]
    fn no_rows_and_no_data_are_two_reasons() {
        let none = evidence("org", RANGE, &[], &[], &[]);
        assert_eq!(automatable(&none).figure.reason.as_deref(), Some(NO_ACTIVITY));
        let nothing = Evidence { range: None, ..none };
        assert_eq!(automatable(&nothing).figure.reason.as_deref(), Some(NOTHING_CAPTURED));
        assert_eq!(automatable(&nothing).figure.status, Status::NotMeasurable);
    }

    #[test]
    fn kinds_of_activity_add_up_to_the_whole_largest_first() {
        let answer = of(&[hour("a").automatable(), hour("a"), hour("b").automatable(), hour("a").leave()]);
        let kinds: Vec<_> =
            answer.by_stereotype.iter().map(|kind| (&*kind.name, kind.numerator_seconds, kind.people)).collect();
        assert_eq!(kinds, [("manual deployment", Some(2 * HOUR), 2), ("Coding", Some(0), 1)], "leave is no work");
    }
}
