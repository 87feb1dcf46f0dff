//! One figure: what an insight says of some cells, exactly, and whether they can tell at all.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::Serialize;
use shared::{
    annotator::declaration::{Denominator, Insight},
    contribution::{Cell, Extent, Measure},
};

use crate::{
    evidence::Group,
    hours::{HoursPerSprint, Pace},
};

/// The reason of a figure over no rows at all.
pub const NO_ACTIVITY: &str = "no_activity";
/// The reason of a figure while no day is captured and complete.
pub const NOTHING_CAPTURED: &str = "nothing_captured";
const NOT_STATED: &str = "not_stated";

/// Whether the rows can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every row can.
    Measured,
    /// Some can; the figure is about those.
    Partial,
    /// None can.
    NotMeasurable,
}

/// A ratio of sums.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Whether the rows can tell.
    pub status: Status,
    /// Why none can: the most frequent reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Every reason why rows cannot tell, with how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, Extent>,
    /// The sum of the numerator's columns; null where it is not measurable.
    pub numerator_seconds: Option<i64>,
    /// What it is divided by; null where it is not measurable.
    pub denominator_seconds: Option<i64>,
    /// Their ratio; null where the denominator is zero.
    pub ratio: Option<f64>,
    /// Of the seconds that the figure is about, the share that can tell.
    pub covered_share: Option<f64>,
    /// The rows that the figure is about.
    pub rows: i64,
    /// The people behind them.
    pub people: usize,
}

impl Figure {
    /// What `insight` says of `cells`.
    pub fn of<'a>(insight: &Insight, cells: impl Iterator<Item = &'a Cell>) -> Self {
        let (total, people) = add_up(insight, cells);
        let nothing = Measure::default();
        let measures: Vec<&Measure> =
            insight.numerator.iter().map(|column| total.measures.get(column).unwrap_or(&nothing)).collect();
        // A sum of several columns is no surer than the least sure of them.
        let least = measures.iter().min_by_key(|measure| measure.covered.seconds).copied().unwrap_or(&nothing);
        let (population, covered) = (least.population, least.covered);
        let status = if total.total.rows == 0 || (population.rows > 0 && covered.rows == 0) {
            Status::NotMeasurable
        } else if covered == population {
            Status::Measured
        } else {
            Status::Partial
        };
        let measurable = status != Status::NotMeasurable;
        let numerator: i64 = measures.iter().map(|measure| measure.sum).sum();
        let denominator = denominator(insight, &total);
        Self {
            status,
            reason: (!measurable).then(|| most_frequent(total.total, least)),
            reasons: least.reasons.clone(),
            numerator_seconds: measurable.then_some(numerator),
            denominator_seconds: measurable.then_some(denominator),
            ratio: measurable.then(|| ratio(numerator, denominator)).flatten(),
            covered_share: ratio(covered.seconds, population.seconds),
            rows: population.rows,
            people: people.len(),
        }
    }

    /// Why it says less than it could, in words.
    pub fn why(&self) -> Option<String> {
        let most = self.reasons.iter().max_by_key(|(_, extent)| extent.rows);
        let reason = self.reason.as_ref().or(most.map(|(reason, _)| reason));
        reason.map(|reason| reason.replace('_', " "))
    }
}

/// The numerator's columns of some cells, added up.
pub fn numerator(insight: &Insight, cell: &Cell) -> i64 {
    let sums = insight.numerator.iter().filter_map(|column| cell.measures.get(column));
    sums.map(|measure| measure.sum).sum()
}

/// Whether the cell has rows that the insight is about.
pub fn concerns(insight: &Insight, cell: &Cell) -> bool {
    let first = insight.numerator.first().and_then(|column| cell.measures.get(column));
    first.is_some_and(|measure| measure.population.rows > 0)
}

fn add_up<'a>(insight: &Insight, cells: impl Iterator<Item = &'a Cell>) -> (Cell, BTreeSet<&'a str>) {
    let mut total = Cell::default();
    let mut people = BTreeSet::new();
    let divisor = match &insight.denominator {
        Denominator::Covered(column) => std::slice::from_ref(column),
        Denominator::Sum(columns) => columns.as_slice(),
    };
    let columns: BTreeSet<&String> = insight.numerator.iter().chain(divisor).collect();
    for cell in cells {
        total.total.add(cell.total);
        for column in &columns {
            let Some(measure) = cell.measures.get(*column) else { continue };
            // The usual case needs no copy of the name; there are many cells.
            match total.measures.get_mut(*column) {
                Some(sum) => sum.add(measure),
                None => drop(total.measures.insert((*column).clone(), measure.clone())),
            }
        }
        if concerns(insight, cell) {
            people.extend(cell.people.iter().map(String::as_str));
        }
    }
    (total, people)
}

fn denominator(insight: &Insight, total: &Cell) -> i64 {
    let measure = |column: &String| total.measures.get(column);
    match &insight.denominator {
        Denominator::Covered(column) => measure(column).map_or(0, |measure| measure.covered.seconds),
        Denominator::Sum(columns) => columns.iter().filter_map(measure).map(|measure| measure.sum).sum(),
    }
}

fn ratio(numerator: i64, denominator: i64) -> Option<f64> {
    (denominator != 0).then(|| numerator as f64 / denominator as f64)
}

fn most_frequent(total: Extent, measure: &Measure) -> String {
    if total.rows == 0 {
        return NO_ACTIVITY.to_owned();
    }
    let reasons = measure.reasons.iter();
    let most = reasons.min_by_key(|(reason, extent)| (Reverse(extent.rows), *reason));
    most.map_or(NOT_STATED, |(reason, _)| reason).to_owned()
}

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
    use super::*;
    use crate::{
        evidence::Evidence,
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
