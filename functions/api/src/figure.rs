//! One figure: what an insight says of some cells, exactly, and whether they can tell at all.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{access::quorum::Quorum, openapi};
use shared::{
    annotator::declaration::{Denominator, EvidenceNeeded, NamedPart, Ratio},
    contribution::{Cell, Extent, Measure, NOT_COMPUTED},
};

/// The reason of a figure over no rows at all.
pub const NO_ACTIVITY: &str = "no_activity";
/// The reason of a figure that is hidden from whoever asks.
pub const TOO_FEW_PEOPLE: &str = "too_few_people";
const NOT_STATED: &str = "not_stated";

/// Whether the rows can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every row can.
    Measured,
    /// Some can; the figure is about those.
    Partial,
    /// None can.
    NotMeasurable,
    /// It is about too few people to be shown to whoever asks, or would tell of too few.
    Hidden,
}

impl Status {
    /// Whether there is a figure to show.
    pub fn is_told(self) -> bool {
        matches!(self, Status::Measured | Status::Partial)
    }
}

/// A ratio of sums.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Figure {
    /// Whether the rows can tell.
    pub status: Status,
    /// Why none can: the most frequent reason. To whom reasons are not told with how many, also why some cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Every reason why rows cannot tell, with how many; empty for members, as it may be one row of a hidden kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, openapi::Extent>)]
    pub reasons: BTreeMap<String, Extent>,
    /// The sum of the numerator's columns; null where it is not measurable.
    pub numerator: Option<i64>,
    /// What it is divided by; null where it is not measurable, and where it is a number and no ratio.
    pub denominator: Option<i64>,
    /// Their ratio; null where the denominator is zero.
    pub ratio: Option<f64>,
    /// Of the seconds that the figure is about, the share that can tell.
    pub covered_share: Option<f64>,
    /// The rows that the figure is about; null where it is hidden.
    pub rows: Option<i64>,
    /// The people behind them; null where it is hidden.
    pub people: Option<usize>,
}

/// Some rows, and what is known of the organisation in the same days.
#[derive(Debug, Clone)]
pub struct Grounds<'a, I> {
    /// Their cells.
    pub cells: I,
    /// The evidence columns that are true of some row of the organisation.
    pub evident: &'a BTreeSet<String>,
    /// Who has to be behind a figure for it to be shown.
    pub quorum: &'a Quorum,
}

impl Figure {
    /// What whoever asks is not shown.
    pub fn hidden() -> Self {
        Self {
            status: Status::Hidden,
            reason: Some(TOO_FEW_PEOPLE.to_owned()),
            reasons: BTreeMap::new(),
            numerator: None,
            denominator: None,
            ratio: None,
            covered_share: None,
            rows: None,
            people: None,
        }
    }

    /// What `ratio` is on these `grounds`; not measurable without the evidence `needed`.
    pub fn of<'a>(
        ratio: Ratio<'_>,
        needed: Option<&EvidenceNeeded>,
        grounds: Grounds<'_, impl Iterator<Item = &'a Cell>>,
    ) -> Self {
        let columns: Vec<&str> = ratio.columns().map(String::as_str).collect();
        let mut total = Extent::default();
        let mut population = 0;
        let mut measures: BTreeMap<&str, Measure> = columns.iter().map(|name| (*name, Measure::default())).collect();
        for cell in grounds.cells {
            total.add(cell.total);
            if cell.lacks(ratio.columns()) {
                // With one of its columns unknown the whole figure is, above and below the line alike.
                measures.values_mut().for_each(|measure| not_computed(cell, measure));
                continue;
            }
            measures.iter_mut().for_each(|(column, measure)| cell.add_to(column, measure));
            if let Denominator::Population(column) = ratio.denominator {
                population += cell.population(column).seconds;
            }
        }
        let few = |measure: &Measure| measure.population.rows > 0 && !grounds.quorum.is_met_by(&measure.people);
        if measures.values().any(few) {
            return Self::hidden();
        }
        let unknown = needed.filter(|needed| !grounds.evident.contains(&needed.column));
        // A figure is no surer than the least sure of its columns.
        let surest_last = |measure: &&Measure| {
            let (rows, seconds) = (measure.population.rows, measure.population.seconds);
            (measure.values > 0 || rows == 0, Share::of(measure), seconds == 0)
        };
        let ordered = columns.iter().filter_map(|column| measures.get(column));
        let nothing = Measure::default();
        let least = ordered.clone().min_by_key(surest_last).unwrap_or(&nothing);
        let mute = least.population.rows > 0 && least.values == 0;
        let reason = match unknown {
            _ if total.rows == 0 => Some(NO_ACTIVITY.to_owned()),
            Some(needed) if !(mute && most_frequent(least) == NOT_COMPUTED) => Some(needed.reason.clone()),
            _ => mute.then(|| most_frequent(least)),
        };
        let status = match reason {
            Some(_) => Status::NotMeasurable,
            None if ordered.clone().any(|measure| measure.covered != measure.population) => Status::Partial,
            None => Status::Measured,
        };
        let sum = |columns: &[String]| columns.iter().filter_map(|column| Some(measures.get(&**column)?.sum)).sum();
        let numerator: i64 = sum(ratio.numerator);
        let denominator = match ratio.denominator {
            Denominator::Covered(column) => measures.get(&**column).map(|measure| measure.covered.seconds),
            Denominator::Population(_) => Some(population),
            Denominator::Sum(columns) => Some(sum(columns)),
            Denominator::None => None,
        };
        let measurable = reason.is_none();
        let tells_all = grounds.quorum.asks_nothing();
        let least_known = || (status == Status::Partial && !tells_all).then(|| most_frequent(least));
        let reason = reason.or_else(least_known);
        let first = columns.first().and_then(|column| measures.get(column)).unwrap_or(&nothing);
        Self {
            status,
            reason,
            reasons: if tells_all { least.reasons.clone() } else { BTreeMap::new() },
            numerator: measurable.then_some(numerator),
            denominator: denominator.filter(|_| measurable),
            ratio: denominator.filter(|_| measurable).and_then(|denominator| quotient(numerator, denominator)),
            covered_share: quotient(least.covered.seconds, least.population.seconds),
            rows: Some(first.population.rows),
            people: Some(first.people.len()),
        }
    }

    /// Why it says less than it could, in words.
    pub fn why(&self) -> Option<String> {
        let most = self.reasons.iter().max_by_key(|(_, extent)| extent.rows);
        let reason = self.reason.as_ref().or(most.map(|(reason, _)| reason));
        reason.map(|reason| reason.replace('_', " "))
    }
}

/// Adds a cell's work as rows that cannot tell, because the logic behind them does not have the figure.
fn not_computed(cell: &Cell, measure: &mut Measure) {
    measure.population.add(cell.work);
    measure.people.join(&cell.people);
    if cell.work.rows > 0 {
        measure.reasons.entry(NOT_COMPUTED.to_owned()).or_default().add(cell.work);
    }
}

/// The share of a column's seconds that can tell, compared without rounding. A column that is about nothing misses
/// nothing.
#[derive(Debug, PartialEq, Eq)]
struct Share {
    covered: i128,
    population: i128,
}

impl Share {
    fn of(measure: &Measure) -> Self {
        match measure.population.seconds {
            0 => Self { covered: 1, population: 1 },
            population => Self { covered: measure.covered.seconds.into(), population: population.into() },
        }
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.covered * other.population).cmp(&(other.covered * self.population))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A named part of a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartFigure {
    /// What it is called.
    pub label: String,
    /// The sum of its columns.
    pub value: i64,
}

/// What some cells consist of.
pub fn breakdown<'a>(parts: &[NamedPart], cells: impl Iterator<Item = &'a Cell> + Clone) -> Vec<PartFigure> {
    let value = |part: &NamedPart| cells.clone().map(|cell| cell.sum_of(&part.columns)).sum();
    parts.iter().map(|part| PartFigure { label: part.label.clone(), value: value(part) }).collect()
}

/// How the values of a column are spread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Distribution {
    /// The column.
    pub column: String,
    /// How many values.
    pub count: i64,
    /// Their sum, exactly.
    pub sum: i64,
    /// How many values lie in each bin that has any, smallest first.
    pub bins: Vec<Bin>,
    /// Median and 90th percentile by nearest rank, as the bins that they lie in.
    pub quantiles: Vec<Quantile>,
}

/// Values from `from` to `to`, the latter excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Bin {
    /// The smallest value that belongs to it.
    pub from: i64,
    /// The smallest value that does not; null in the last bin, which has no end.
    pub to: Option<i64>,
    /// How many values.
    pub count: i64,
}

/// A quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Quantile {
    /// Which: 0.5 is the median.
    pub q: f64,
    /// The bin that it lies in: see [`Bin`].
    pub from: i64,
    /// See [`Bin`].
    pub to: Option<i64>,
}

impl Eq for Quantile {}

/// The quantiles that are given, in tenths.
const TENTHS: [i64; 2] = [5, 9];

impl Distribution {
    /// How `column`, folded in bins `bin` wide below `limit`, is spread over `cells`; `None` where it has no value.
    pub fn of<'a>(column: &str, bin: i64, limit: i64, cells: impl Iterator<Item = &'a Cell>) -> Option<Self> {
        let mut total = Measure::default();
        cells.for_each(|cell| cell.add_to(column, &mut total));
        let end = |from: i64| (from < limit).then(|| from + bin);
        let bins: Vec<Bin> =
            total.histogram.iter().map(|(from, count)| Bin { from: *from, to: end(*from), count: *count }).collect();
        let count: i64 = bins.iter().map(|bin| bin.count).sum();
        let quantile = |tenths: i64| {
            // Nearest rank: the smallest value that at least that share of all values does not exceed.
            let mut rank = (tenths * count + 9) / 10;
            let holds = |bin: &&Bin| {
                rank -= bin.count;
                rank <= 0
            };
            bins.iter().find(holds).map(|bin| Quantile { q: tenths as f64 / 10.0, from: bin.from, to: bin.to })
        };
        let quantiles: Vec<Quantile> = TENTHS.into_iter().filter_map(quantile).collect();
        (count > 0).then(|| Self { column: column.to_owned(), count, sum: total.sum, bins, quantiles })
    }
}

fn quotient(numerator: i64, denominator: i64) -> Option<f64> {
    (denominator != 0).then(|| numerator as f64 / denominator as f64)
}

fn most_frequent(measure: &Measure) -> String {
    let most = measure.reasons.iter().min_by_key(|(reason, extent)| (Reverse(extent.rows), *reason));
    most.map_or(NOT_STATED, |(reason, _)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use shared::contribution::{CellKey, People};

    use super::*;

    #[test]
    fn what_an_older_logic_does_not_have_is_not_known_on_either_side_and_never_0() {
        let extent = |rows| Extent { rows, seconds: 60 * rows };
        let cell = || Cell::new(CellKey::default(), extent(5), extent(4), ["ada"].into_iter().collect());
        let measure = |sum| Measure { sum, population: extent(4), covered: extent(4), values: 4, ..Measure::default() };
        let (mut new, mut old) = (cell(), cell());
        new.record("waste", measure(120));
        new.record("all", measure(240));
        // The older logic has the denominator and not the numerator.
        old.record("all", measure(240));
        old.lack("waste");
        let of = |cells: &[&Cell], denominator: &Denominator| {
            let numerator = ["waste".to_owned()];
            let evident = BTreeSet::new();
            let grounds = Grounds { cells: cells.iter().copied(), evident: &evident, quorum: &Quorum::default() };
            Figure::of(Ratio { numerator: &numerator, denominator }, None, grounds)
        };
        for denominator in [
            Denominator::Sum(vec!["all".to_owned()]),
            Denominator::Population("all".to_owned()),
            Denominator::Covered("waste".to_owned()),
        ] {
            let both = of(&[&new, &old], &denominator);
            assert_eq!((both.numerator, both.denominator), (Some(120), Some(240)), "{denominator:?}");
            assert_eq!((both.status, both.covered_share), (Status::Partial, Some(0.5)));
            assert_eq!(both.reasons, BTreeMap::from([(NOT_COMPUTED.to_owned(), extent(4))]));
            let nothing = of(&[&old], &denominator);
            assert_eq!((nothing.status, nothing.numerator), (Status::NotMeasurable, None));
            assert_eq!(nothing.reason.as_deref(), Some(NOT_COMPUTED));
        }
    }

    #[test]
    fn quantiles_are_nearest_ranks_and_given_as_their_bins() {
        let cell = |bins: &[(i64, i64)]| {
            let mut cell = Cell::new(CellKey::default(), Extent::default(), Extent::default(), People::default());
            let histogram = bins.iter().copied().collect();
            cell.record("gap_seconds", Measure { sum: 1_000, histogram, ..Measure::default() });
            cell
        };
        let quantiles = |bins: &[(i64, i64)]| {
            let cell = cell(bins);
            let spread = Distribution::of("gap_seconds", 60, 180, [&cell, &cell].into_iter()).unwrap();
            assert_eq!(spread.sum, 2_000);
            spread.quantiles.iter().map(|quantile| (quantile.from, quantile.to)).collect::<Vec<_>>()
        };
        // Twice each: of 10 values the 5th and the 9th, of 2 the 1st and the 2nd.
        assert_eq!(quantiles(&[(0, 2), (60, 2), (180, 1)]), [(60, Some(120)), (180, None)]);
        assert_eq!(quantiles(&[(0, 1)]), [(0, Some(60)), (0, Some(60))]);
        assert_eq!(Distribution::of("other", 60, 180, [&cell(&[(0, 1)])].into_iter()), None);
    }
}
