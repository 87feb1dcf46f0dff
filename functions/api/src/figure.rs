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

/// The reason of a figure over no rows at all.
pub const NO_ACTIVITY: &str = "no_activity";
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
        let total = add_up(insight, cells);
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
            people: measures.first().map_or(0, |measure| measure.people.len()),
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

fn add_up<'a>(insight: &Insight, cells: impl Iterator<Item = &'a Cell>) -> Cell {
    let mut total = Cell::default();
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
    }
    total
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
