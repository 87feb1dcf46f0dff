//! Contributions: what one day adds to every figure, per scope, folded from the lake and kept in the table.
//!
//! A figure over a range is the sum of the contributions of its days. Everything is whole seconds and whole counts, so
//! the order of adding never matters and nothing is rounded before a person reads it.

mod fold;
mod logic;
mod people;
mod store;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use fold::{Fold, FoldError};
pub use logic::{LogicRecord, RecordedAnnotator, RecordedColumn};
pub use people::{People, Person};
pub use store::{ContributionStore, Pointer, Shown, StoreError};

use crate::time::Malformed;

/// Raised by hand whenever folding the same rows may give other contributions; part of the logic's fingerprint.
pub const FOLD_VERSION: u32 = 2;

/// The reason why a row cannot tell where the logic behind it does not have the column: never 0, but not known.
pub const NOT_COMPUTED: &str = "not_computed_by_this_logic";

/// Ids are parts of keys, and a partition key of DynamoDB has at most 2,048 bytes.
pub const MAX_ID_BYTES: usize = 512;

/// Whose figures. Written `org`, `team:ID`, `sprint:ID` or `person:ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everybody.
    Organisation,
    /// The people who were in a team on the day.
    Team(String),
    /// The activities that belong to a sprint, whoever did them.
    Sprint(String),
    /// One person.
    Person(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Organisation => f.write_str("org"),
            Scope::Team(id) => write!(f, "team:{id}"),
            Scope::Sprint(id) => write!(f, "sprint:{id}"),
            Scope::Person(id) => write!(f, "person:{id}"),
        }
    }
}

impl FromStr for Scope {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.split_once(':') {
            None if text == "org" => Ok(Self::Organisation),
            Some((_, id)) if id.len() > MAX_ID_BYTES => {
                Err(Malformed::new("…", "a scope whose id has at most 512 bytes"))
            }
            Some(("team", id)) if !id.is_empty() => Ok(Self::Team(id.to_owned())),
            Some(("sprint", id)) if !id.is_empty() => Ok(Self::Sprint(id.to_owned())),
            Some(("person", id)) if !id.is_empty() => Ok(Self::Person(id.to_owned())),
            _ => Err(Malformed::new(text, "a scope: org, team:ID, sprint:ID or person:ID")),
        }
    }
}

/// Rows and their durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// How many rows.
    pub rows: i64,
    /// Their durations, added up.
    pub seconds: i64,
}

impl Extent {
    /// Adds one row, or another extent.
    pub fn add(&mut self, other: Extent) {
        self.rows += other.rows;
        self.seconds += other.seconds;
    }

    fn remove(&mut self, other: Extent) {
        self.rows -= other.rows;
        self.seconds -= other.seconds;
    }
}

/// One folded column, over some rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measure {
    /// The values, added up.
    pub sum: i64,
    /// The rows that the column is about.
    pub population: Extent,
    /// Of those, the rows that can tell.
    pub covered: Extent,
    /// How many rows have a value. A row may have one and yet not be covered: what is known of it is not all of it.
    pub values: i64,
    /// Who did the rows that the column is about: distinct people can be counted over any range.
    pub people: People,
    /// Of the rows that cannot tell, how many say why, by reason.
    pub reasons: BTreeMap<String, Extent>,
    /// Where declared: how many values lie in the bin that starts at the key.
    pub histogram: BTreeMap<i64, i64>,
}

impl Measure {
    /// Takes away what is a part of it.
    fn remove(&mut self, part: Measure) {
        self.sum -= part.sum;
        self.population.remove(part.population);
        self.covered.remove(part.covered);
        self.values -= part.values;
        self.people.leave(&part.people);
        for (reason, extent) in part.reasons {
            self.reasons.entry(reason).or_default().remove(extent);
        }
        self.reasons.retain(|_, extent| extent.rows != 0);
        for (bin, count) in part.histogram {
            *self.histogram.entry(bin).or_default() -= count;
        }
        self.histogram.retain(|_, count| *count != 0);
    }
}

/// What the rows of a cell have in common. `None` where the scope does not divide by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellKey {
    /// The kind of activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stereotype: Option<String>,
    /// The team of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The sprint that the activity belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sprint: Option<String>,
}

/// The rows that share a [`CellKey`], with their folded columns. Most columns are about all work and can tell for all of
/// it, and many add up to nothing: of a column only that is kept by which it differs from such a one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What the rows have in common.
    #[serde(flatten)]
    pub key: CellKey,
    /// All of them.
    pub total: Extent,
    /// Of those, the ones that are work.
    pub work: Extent,
    /// Who did the work.
    #[serde(default, skip_serializing_if = "People::is_empty")]
    pub people: People,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    columns: BTreeMap<String, Recorded>,
}

/// How a column of a cell differs from one that is about all work, can tell for all of it, and adds up to nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Recorded {
    #[serde(default, skip_serializing_if = "is_zero")]
    sum: i64,
    /// The cell's work, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    population: Option<Extent>,
    /// The population, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covered: Option<Extent>,
    /// The rows covered, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<i64>,
    /// The people of the cell, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    people: Option<People>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<String, Extent>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    histogram: BTreeMap<i64, i64>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Cell {
    /// A cell without folded columns yet: all its rows, those that are work, and who did the work.
    pub fn new(key: CellKey, total: Extent, work: Extent, people: People) -> Self {
        Self { key, total, work, people, columns: BTreeMap::new() }
    }

    /// Keeps what a column adds up to.
    pub fn record(&mut self, column: &str, measure: Measure) {
        let recorded = Recorded {
            sum: measure.sum,
            population: (measure.population != self.work).then_some(measure.population),
            covered: (measure.covered != measure.population).then_some(measure.covered),
            values: (measure.values != measure.covered.rows).then_some(measure.values),
            people: (measure.people != self.people).then_some(measure.people),
            reasons: measure.reasons,
            histogram: measure.histogram,
        };
        if recorded != Recorded::default() {
            self.columns.insert(column.to_owned(), recorded);
        }
    }

    /// Keeps that the logic behind these rows does not have a column: it is about all work, and none of it can tell.
    pub fn lack(&mut self, column: &str) {
        let reasons = BTreeMap::from([(NOT_COMPUTED.to_owned(), self.work)]);
        let people = self.people.clone();
        self.record(column, Measure { population: self.work, people, reasons, ..Measure::default() });
    }

    /// Whether the logic behind these rows does not have one of some columns.
    pub fn lacks<'a>(&self, columns: impl IntoIterator<Item = &'a String>) -> bool {
        let lacks =
            |column: &String| self.columns.get(column).is_some_and(|kept| kept.reasons.contains_key(NOT_COMPUTED));
        columns.into_iter().any(lacks)
    }

    /// The values of a column, added up.
    pub fn sum(&self, column: &str) -> i64 {
        self.columns.get(column).map_or(0, |recorded| recorded.sum)
    }

    /// The values of some columns, added up.
    pub fn sum_of(&self, columns: &[String]) -> i64 {
        columns.iter().map(|column| self.sum(column)).sum()
    }

    /// The rows that a column is about.
    pub fn population(&self, column: &str) -> Extent {
        self.columns.get(column).and_then(|recorded| recorded.population).unwrap_or(self.work)
    }

    /// What is left of a day's cells without `parts` of them, as far as these columns go. Of its people only those are known
    /// who are in none of the parts.
    pub fn rest<'a>(key: CellKey, whole: &[&Cell], parts: &[&Cell], columns: impl Iterator<Item = &'a str>) -> Self {
        let (mut total, mut work, mut people) = (Extent::default(), Extent::default(), People::default());
        for cell in whole {
            total.add(cell.total);
            work.add(cell.work);
            people.join(&cell.people);
        }
        for part in parts {
            total.remove(part.total);
            work.remove(part.work);
            people.leave(&part.people);
        }
        let mut rest = Self::new(key, total, work, people);
        for column in columns {
            let (mut left, mut taken) = (Measure::default(), Measure::default());
            whole.iter().for_each(|cell| cell.add_to(column, &mut left));
            parts.iter().for_each(|part| part.add_to(column, &mut taken));
            left.remove(taken);
            rest.record(column, left);
        }
        rest
    }

    /// Adds a column of this cell to `total`.
    pub fn add_to(&self, column: &str, total: &mut Measure) {
        let all = Recorded::default();
        let recorded = self.columns.get(column).unwrap_or(&all);
        let population = recorded.population.unwrap_or(self.work);
        let covered = recorded.covered.unwrap_or(population);
        total.sum += recorded.sum;
        total.population.add(population);
        total.covered.add(covered);
        total.values += recorded.values.unwrap_or(covered.rows);
        total.people.join(recorded.people.as_ref().unwrap_or(&self.people));
        for (reason, extent) in &recorded.reasons {
            total.reasons.entry(reason.clone()).or_default().add(*extent);
        }
        for (bin, count) in &recorded.histogram {
            *total.histogram.entry(*bin).or_default() += count;
        }
    }
}

/// What one day adds to one scope, divided two ways that each cover the rows once:
/// by stereotype for figures, by sprint for hours per sprint.
///
/// | scope | `by_stereotype` divides by | `by_sprint` divides by |
/// | --- | --- | --- |
/// | organisation | stereotype | team, sprint |
/// | team, person | stereotype, sprint | – (the same cells serve) |
/// | sprint | stereotype, team | – |
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// Every row once, divided by stereotype.
    pub by_stereotype: Vec<Cell>,
    /// The organisation's rows that belong to a sprint, divided by team and sprint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_sprint: Vec<Cell>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_every_measure_exactly_and_only_what_is_not_as_usual() {
        let extent = |rows| Extent { rows, seconds: 60 * rows };
        let people = |names: &[&str]| names.iter().copied().collect::<People>();
        let mut cell = Cell::new(CellKey::default(), extent(5), extent(4), people(&["ada", "bo"]));
        let usual = Measure { population: extent(4), covered: extent(4), values: 4, ..Measure::default() };
        let usual = Measure { people: people(&["ada", "bo"]), ..usual };
        let unusual = Measure {
            sum: -7,
            population: extent(3),
            covered: extent(1),
            values: 2,
            people: people(&["bo"]),
            reasons: BTreeMap::from([("unrated".to_owned(), extent(2))]),
            histogram: BTreeMap::from([(60, 2)]),
        };
        cell.record("usual", usual.clone());
        cell.record("unusual", unusual.clone());
        let nobody = Measure::default();
        cell.record("about nothing", nobody.clone());
        let json = serde_json::to_string(&cell).unwrap();
        assert!(!json.contains("\"usual\""), "{json}");
        let read: Cell = serde_json::from_str(&json).unwrap();
        assert_eq!(read, cell);
        for (column, expected) in [("usual", usual), ("unusual", unusual), ("about nothing", nobody)] {
            let mut total = Measure::default();
            read.add_to(column, &mut total);
            assert_eq!(total, expected, "{column}");
        }
    }

    #[test]
    fn a_cell_without_its_parts_is_the_rest_of_it() {
        let extent = |rows| Extent { rows, seconds: 60 * rows };
        let cell = |person: &str, sum: i64, reason: Option<&str>| {
            let people: People = [person].into_iter().collect();
            let covered = if reason.is_some() { Extent::default() } else { extent(1) };
            let mut cell = Cell::new(CellKey::default(), extent(1), extent(1), people.clone());
            let reasons = reason.into_iter().map(|reason| (reason.to_owned(), extent(1))).collect();
            let (values, histogram) = (covered.rows, BTreeMap::from([(sum, 1)]));
            cell.record("a", Measure { sum, population: extent(1), covered, values, people, reasons, histogram });
            cell
        };
        let all = |cells: &[&Cell]| {
            let mut total = Measure::default();
            cells.iter().for_each(|cell| cell.add_to("a", &mut total));
            let people = total.people.clone();
            let rows = cells.len() as i64;
            let mut whole = Cell::new(CellKey::default(), extent(rows), extent(rows), people);
            whole.record("a", total);
            whole
        };
        let (one, two, three) = (cell("ada", 5, None), cell("bo", 7, Some("unrated")), cell("cy", 9, None));
        let whole = all(&[&one, &two, &three]);
        assert_eq!(Cell::rest(CellKey::default(), &[&whole], &[&one, &two], ["a"].into_iter()), all(&[&three]));
        assert_eq!(Cell::rest(CellKey::default(), &[&whole], &[&three], ["a"].into_iter()), all(&[&one, &two]));
    }

    #[test]
    fn a_scope_reads_back_as_itself_and_nothing_else_does() {
        for text in ["org", "team:7", "sprint:a:b", "person:Ada"] {
            assert_eq!(text.parse::<Scope>().map(|scope| scope.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "org:1", "team:", "team", "people:1"] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }
}
