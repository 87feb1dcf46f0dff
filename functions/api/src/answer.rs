//! The answer to one question: what an insight says of a group, whole, per sprint and by kind of activity.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;
use shared::{
    annotator::{
        Register,
        declaration::{Aggregate, Beside, Insight, SECONDS, Units},
    },
    contribution::Cell,
};
use utoipa::ToSchema;

use crate::{
    division::hidden_kinds,
    evidence::Group,
    figure::{Distribution, Figure, PartFigure, Status, breakdown},
    hours::{HoursPerSprint, Pace},
    openapi,
};

/// The reason of a figure while no day is captured and complete.
pub const NOTHING_CAPTURED: &str = "nothing_captured";
/// Per cent of a whole that the fewest of its parts are counted for.
const PARETO_PERCENT: i64 = 80;

/// What an insight says of one kind of activity.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StereotypeFigure {
    /// Its code.
    pub stereotype: String,
    /// Its name for people.
    pub name: String,
    /// See [`Figure::numerator`].
    pub numerator: Option<i64>,
    /// See [`Figure::denominator`].
    pub denominator: Option<i64>,
    /// See [`Figure::ratio`].
    pub ratio: Option<f64>,
    /// The people behind it.
    pub people: usize,
    /// Its hours, divided like those of the whole; null per team and sprint, where rows are not kept by stereotype.
    pub hours_per_sprint: Option<f64>,
}

/// A figure that is shown with an answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BesideFigure {
    /// Its name, unique within the insight.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it means, exactly.
    pub definition: String,
    /// What is counted.
    #[schema(value_type = openapi::Units)]
    pub units: Units,
    /// The figure.
    #[serde(flatten)]
    pub figure: Figure,
    /// How the values of its column are spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
}

/// How few parts make up most of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pareto {
    /// The fewest kinds of activity that reach 80 % of the numerator.
    pub stereotypes: Option<usize>,
    /// The fewest parts of the breakdown that reach 80 % of it.
    pub parts: Option<usize>,
}

/// What an insight says of a group: the answer to one question.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Answer {
    /// The insight's stable name.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it means, exactly.
    pub definition: String,
    /// What is counted above and below the line.
    #[schema(value_type = openapi::Units)]
    pub units: Units,
    /// The figure over all rows.
    #[serde(flatten)]
    pub figure: Figure,
    /// How much that is in a sprint; null without a complete sprint in which the group worked, and where it is not time.
    pub hours_per_sprint: Option<HoursPerSprint>,
    /// Hours per sprint that come back where it is mended, if these are others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recoverable: Option<HoursPerSprint>,
    /// The same by kind of activity, largest numerator first; empty where it cannot be told apart by it.
    pub by_stereotype: Vec<StereotypeFigure>,
    /// How many more kinds there are that are hidden: about too few people, telling of too few, or of a group whose parts are not
    /// told to whoever asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_kinds: Option<usize>,
    /// What it consists of; empty where it has no declared parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breakdown: Vec<PartFigure>,
    /// How few make up most of it.
    pub pareto: Pareto,
    /// How the values of its column are spread; null where it has none.
    pub distribution: Option<Distribution>,
    /// Figures that are shown with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<BesideFigure>,
}

impl Answer {
    /// What `insight` says of `group`; `register` is the one that declares it.
    pub fn of(register: &Register, insight: &Insight, group: &Group) -> Self {
        let mut figure = group.figure(insight, group.cells());
        if group.range.is_none() {
            figure.reason = Some(NOTHING_CAPTURED.to_owned());
        }
        let measurable = figure.status.is_told();
        let pace = Pace::of(group).filter(|_| measurable);
        let hours =
            |columns: &[String]| pace.as_ref().filter(|_| !columns.is_empty()).and_then(|pace| pace.whole(columns));
        let is_time = insight.units.numerator == SECONDS;
        let other = insight.recovers() != insight.numerator;
        let hidden = figure.status == Status::Hidden;
        let (by_stereotype, hidden_kinds) =
            if hidden { (Vec::new(), 0) } else { by_stereotype(insight, group, pace.as_ref()) };
        let told = measurable && !insight.breakdown.is_empty() && tells_breakdown(register, group);
        let parts = if told { breakdown(&insight.breakdown, computed(insight, group)) } else { Vec::new() };
        Self {
            id: insight.id.clone(),
            title: insight.title.clone(),
            definition: insight.definition.clone(),
            units: insight.units.clone(),
            hours_per_sprint: hours(&insight.numerator).filter(|_| is_time),
            recoverable: hours(insight.recovers()).filter(|_| other),
            pareto: Pareto {
                stereotypes: fewest(by_stereotype.iter().filter_map(|kind| kind.numerator))
                    .filter(|_| hidden_kinds == 0),
                parts: fewest(parts.iter().map(|part| part.value)),
            },
            by_stereotype,
            hidden_kinds: (hidden_kinds > 0).then_some(hidden_kinds),
            breakdown: parts,
            distribution: distribution(register, insight.distribution.as_deref(), group, measurable),
            beside: insight.beside.iter().map(|beside| beside_figure(register, insight, beside, group)).collect(),
            figure,
        }
    }
}

/// Whether what an insight consists of is told to whoever asks: of one's own team and of the organisation, where no insight is
/// hidden. Its parts are what others say, and those are judged by whom they are about.
pub(crate) fn tells_breakdown(register: &Register, group: &Group) -> bool {
    let is_told = |insight: &Insight| group.figure(insight, group.cells()).status != Status::Hidden;
    group.quorum.asks_nothing() || (group.tells_parts() && register.insights().all(is_told))
}

/// The cells whose logic has what the insight's own figure is computed from.
fn computed<'a>(insight: &'a Insight, group: &Group<'a>) -> impl Iterator<Item = &'a Cell> + Clone {
    group.cells().filter(move |cell| !cell.lacks(insight.ratio().columns()))
}

fn beside_figure(register: &Register, insight: &Insight, beside: &Beside, group: &Group) -> BesideFigure {
    // What is beside a figure that is hidden is about the same people, more or less.
    let figure = match group.figure(insight, group.cells()).status {
        Status::Hidden => Figure::hidden(),
        _ if !group.is_own() => Figure::hidden(),
        _ => Figure::of(beside.ratio(), insight.evidence.as_ref(), group.grounds()),
    };
    let measurable = figure.status.is_told();
    BesideFigure {
        id: beside.id.clone(),
        title: beside.title.clone(),
        definition: beside.definition.clone(),
        units: beside.units.clone(),
        distribution: distribution(register, beside.distribution.as_deref(), group, measurable),
        figure,
    }
}

fn distribution(register: &Register, column: Option<&str>, group: &Group, measurable: bool) -> Option<Distribution> {
    // The bins say nothing of how many people are behind them.
    let column = column.filter(|_| measurable && group.quorum.asks_nothing())?;
    match register.column(column)?.aggregate? {
        Aggregate::Histogram { bin, limit } => Distribution::of(column, bin, limit, group.cells()),
        Aggregate::Sum => None,
    }
}

/// The fewest of some parts that reach 80 % of their sum; `None` where there is nothing to reach.
fn fewest(parts: impl Iterator<Item = i64>) -> Option<usize> {
    let mut parts: Vec<i64> = parts.collect();
    parts.sort_by_key(|part| Reverse(*part));
    let whole: i128 = parts.iter().map(|part| i128::from(*part)).sum();
    let mut reached = 0;
    let enough = |part: &i64| {
        reached += i128::from(*part);
        reached * 100 >= whole * i128::from(PARETO_PERCENT)
    };
    (whole > 0).then(|| parts.iter().position(enough).map(|index| index + 1)).flatten()
}

/// What it says of each kind of activity that is not hidden, and how many are.
fn by_stereotype(insight: &Insight, group: &Group, pace: Option<&Pace>) -> (Vec<StereotypeFigure>, usize) {
    if !insight.by_stereotype {
        return (Vec::new(), 0);
    }
    let columns: Vec<String> = insight.ratio().columns().cloned().collect();
    let hidden = hidden_kinds(group, &columns);
    let concerned = |cell: &&Cell| {
        let population = insight.numerator.first().map_or(0, |first| cell.population(first).rows);
        population > 0 && !cell.lacks(insight.ratio().columns())
    };
    let mut cells: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for cell in group.cells().filter(concerned) {
        if let Some(stereotype) = &cell.key.stereotype {
            cells.entry(stereotype).or_default().push(cell);
        }
    }
    let figure = |(stereotype, cells): (&str, Vec<&Cell>)| {
        let figure = Figure::of(insight.ratio(), insight.evidence.as_ref(), group.grounds_of(cells.into_iter()));
        StereotypeFigure {
            stereotype: stereotype.to_owned(),
            name: group.directory.stereotype(stereotype),
            numerator: figure.numerator,
            denominator: figure.denominator,
            ratio: figure.ratio,
            people: figure.people.unwrap_or_default(),
            hours_per_sprint: pace
                .filter(|_| figure.status.is_told())
                .and_then(|pace| pace.of_stereotype(insight.recovers(), stereotype)),
        }
    };
    let all = cells.len();
    let told = cells.into_iter().filter(|(stereotype, _)| !hidden.contains(*stereotype)).map(figure);
    let mut figures: Vec<_> = told.collect();
    figures.sort_by_key(|figure| Reverse(figure.numerator));
    let hidden = all - figures.len();
    (figures, hidden)
}

#[cfg(test)]
mod tests {
    use shared::contribution::Measure;

    use super::*;
    use crate::{
        evidence::Evidence,
        figure::NO_ACTIVITY,
        sample::{HOUR, Row, evidence, register, row},
    };

    const RANGE: (&str, &str) = ("2026-01-05", "2026-01-19");

    fn automatable(evidence: &Evidence) -> Answer {
        let register = register();
        let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
        Answer::of(&register, insight, &evidence.group())
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
        assert_eq!(answer.figure.numerator, Some(HOUR));
        assert_eq!(answer.figure.denominator, Some(3 * HOUR));
        assert_eq!(answer.figure.covered_share, Some(0.75));
        assert_eq!(answer.figure.reasons["automatable_not_stated"].rows, 1);
        assert_eq!((answer.figure.rows, answer.figure.people), (Some(4), Some(3)));
    }

    #[test]
    fn where_no_row_can_tell_there_is_a_reason_and_no_number() {
        let answer = of(&[hour("a").unknown(), hour("b").unknown()]);
        assert_eq!(answer.figure.status, Status::NotMeasurable);
        assert_eq!(answer.figure.reason.as_deref(), Some("automatable_not_stated"));
        assert_eq!((answer.figure.ratio, answer.figure.numerator), (None, None));
        assert_eq!(answer.hours_per_sprint, None);
        assert_eq!(answer.figure.why().as_deref(), Some("automatable not stated"));
    }

    #[test]
    fn the_most_frequent_reason_is_given() {
        let mut rare = hour("a").unknown();
        rare.seconds = 50 * HOUR;
        let mut evidence = evidence("team:1", RANGE, &[rare, hour("b").unknown(), hour("c").unknown()], &[], &[]);
        // Two rows say one thing and the longest another.
        for cell in evidence.days.values_mut().flat_map(|day| &mut day.by_stereotype) {
            let mut measure = Measure::default();
            cell.add_to("automatable_seconds", &mut measure);
            if measure.population.seconds == 50 * HOUR {
                measure.reasons = BTreeMap::from([("another".to_owned(), measure.population)]);
                cell.record("automatable_seconds", measure);
            }
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
        assert_eq!(answer.figure.numerator, Some(0));
        assert_eq!(answer.figure.denominator, Some(0));
        assert_eq!(answer.figure.ratio, None);
        assert_eq!((answer.figure.rows, answer.figure.covered_share), (Some(0), None));
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
            answer.by_stereotype.iter().map(|kind| (&*kind.name, kind.numerator, kind.people)).collect();
        assert_eq!(kinds, [("manual deployment", Some(2 * HOUR), 2), ("Coding", Some(0), 1)], "leave is no work");
    }
}
