//! Contributions: what one day adds to every figure, per scope, folded from the lake and kept in the table.
//!
//! A figure over a range is the sum of the contributions of its days. Everything is whole seconds and whole counts, so
//! the order of adding never matters and nothing is rounded before a person reads it.

mod fold;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

pub use fold::{Fold, FoldError};
pub use store::{ContributionStore, Pointer, StoreError};

use crate::time::Malformed;

/// Raised by hand whenever folding the same rows may give other contributions; part of the logic's fingerprint.
pub const FOLD_VERSION: u32 = 1;

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
}

/// One folded column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// The values, added up.
    pub sum: i64,
    /// The rows that the column is about.
    pub population: Extent,
    /// Of those, the rows that can tell.
    pub covered: Extent,
    /// Who did the rows that the column is about: distinct people can be counted over any range.
    pub people: BTreeSet<String>,
    /// Of the others, how many say why, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, Extent>,
    /// Where declared: how many values lie in the bin that starts at the key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub histogram: BTreeMap<i64, i64>,
}

impl Measure {
    /// Adds another measure of the same column.
    pub fn add(&mut self, other: &Measure) {
        self.sum += other.sum;
        self.population.add(other.population);
        self.covered.add(other.covered);
        self.people.extend(other.people.iter().cloned());
        for (reason, extent) in &other.reasons {
            self.reasons.entry(reason.clone()).or_default().add(*extent);
        }
        for (bin, count) in &other.histogram {
            *self.histogram.entry(*bin).or_default() += count;
        }
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

/// The folded columns of the rows that share a [`CellKey`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What the rows have in common.
    #[serde(flatten)]
    pub key: CellKey,
    /// All of them.
    pub total: Extent,
    /// Every folded column, by name.
    pub measures: BTreeMap<String, Measure>,
}

impl Cell {
    /// Adds the rows of another cell; the key stays.
    pub fn add(&mut self, other: &Cell) {
        self.total.add(other.total);
        for (column, measure) in &other.measures {
            self.measures.entry(column.clone()).or_default().add(measure);
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
    fn a_scope_reads_back_as_itself_and_nothing_else_does() {
        for text in ["org", "team:7", "sprint:a:b", "person:Ada"] {
            assert_eq!(text.parse::<Scope>().map(|scope| scope.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "org:1", "team:", "team", "people:1"] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }
}
