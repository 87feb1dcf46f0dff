//! What an annotator says of itself, in `functions/annotate-<name>/annotator.toml`: its inputs, its columns and how
//! each of them aggregates, the insights drawn from them, and the history of its logic in words.
//!
//! The aggregator folds and the API answers from these declarations alone. Neither knows an annotator by name.

use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::settings::Setting;

/// One annotator, declared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Its name: in keys, and as `annotate-<name>` the name of its function.
    pub name: String,
    /// Raised by hand whenever the same input may give another output.
    pub version: u32,
    /// The annotators whose columns it reads, besides the base.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// The columns of the base that it reads, besides `activity_id` and `user_id`.
    pub reads: Vec<String>,
    /// The settings of a deployment that its output depends on.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// What it writes, after `activity_id`.
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
    /// The insights drawn from its columns.
    #[serde(default, rename = "insight")]
    pub insights: Vec<Insight>,
    /// What changed with each version and why, oldest first.
    pub history: Vec<Change>,
}

/// One line of an annotator's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The version that brought it.
    pub version: u32,
    /// What changed and why, for a reader of a chart.
    pub note: String,
}

/// The types that every reader of the lake agrees on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 64-bit whole numbers; the unit is in the column's name.
    Integer,
    /// UTF-8 text.
    Text,
    /// Yes or no.
    Boolean,
}

/// How the values of a column become one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// They are added up, exactly.
    Sum,
    /// They are added up, and counted in bins `bin` wide below `limit`.
    Histogram {
        /// Width of a bin, in the column's unit.
        bin: i64,
        /// Values from here on are counted together.
        limit: i64,
    },
}

/// One column of an annotation. A null says: this row cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name, unique among all annotators.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What it says of a row, and in which unit.
    pub description: String,
    /// How it is folded; a column without this is for readers of the lake and for other annotators.
    pub aggregate: Option<Aggregate>,
    /// A boolean column: rows where it is not true are outside this column's population, neither counted as covered nor
    /// as missing.
    pub over: Option<String>,
    /// A text column that says why a row cannot tell. A row with a reason is not covered, even if it has a value.
    pub reason: Option<String>,
    /// Whether this boolean column says what is work. At most one column of a register does; without one, all is.
    #[serde(default)]
    pub marks_work: bool,
}

impl Column {
    /// The column in a file.
    pub fn field(&self) -> Field {
        let data_type = match self.kind {
            Kind::Integer => DataType::Int64,
            Kind::Text => DataType::Utf8,
            Kind::Boolean => DataType::Boolean,
        };
        Field::new(&self.name, data_type, true)
    }
}

/// A question that people ask, with the figures that answer it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Insight {
    /// Its stable name in the API.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it means, exactly.
    pub definition: String,
    /// The columns whose sum is the numerator.
    pub numerator: Vec<String>,
    /// What the numerator is divided by.
    pub denominator: Denominator,
    /// What is counted above and below the line; seconds unless it says otherwise.
    #[serde(default)]
    pub units: Units,
    /// Whether it can be told apart by kind of activity.
    #[serde(default = "yes")]
    pub by_stereotype: bool,
    /// The words for numerator and rest, where the two make up a whole that can be drawn.
    pub parts: Option<Parts>,
    /// What must be known of some activity, or nothing is known at all.
    pub evidence: Option<EvidenceNeeded>,
    /// A column with a histogram, whose median and 90th percentile belong to the answer.
    pub distribution: Option<String>,
    /// What it consists of.
    #[serde(default)]
    pub breakdown: Vec<NamedPart>,
    /// Figures that are shown with it.
    #[serde(default)]
    pub beside: Vec<Beside>,
    /// When the figure is worth saying something about.
    pub finding: Option<Finding>,
}

fn yes() -> bool {
    true
}

/// A figure that is shown with an insight.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// Its name in the API, unique within the insight.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it means, exactly.
    pub definition: String,
    /// As for an [`Insight`].
    pub numerator: Vec<String>,
    /// As for an [`Insight`].
    pub denominator: Denominator,
    /// As for an [`Insight`].
    #[serde(default)]
    pub units: Units,
    /// As for an [`Insight`].
    pub distribution: Option<String>,
}

/// A sum of columns and what it is divided by: what a figure is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio<'a> {
    /// The columns whose sum is the numerator.
    pub numerator: &'a [String],
    /// What it is divided by.
    pub denominator: &'a Denominator,
}

impl Insight {
    /// The columns whose hours come back where it is mended; none where that cannot be said in hours.
    pub fn recovers(&self) -> &[String] {
        match &self.finding {
            Some(finding) if !finding.recovers.is_empty() => &finding.recovers,
            _ if self.units.numerator == SECONDS => &self.numerator,
            _ => &[],
        }
    }

    /// Its own figure.
    pub fn ratio(&self) -> Ratio<'_> {
        Ratio { numerator: &self.numerator, denominator: &self.denominator }
    }
}

impl Beside {
    /// Its figure.
    pub fn ratio(&self) -> Ratio<'_> {
        Ratio { numerator: &self.numerator, denominator: &self.denominator }
    }
}

impl<'a> Ratio<'a> {
    /// The columns above and below the line.
    pub fn columns(self) -> impl Iterator<Item = &'a String> {
        self.numerator.iter().chain(self.divisor())
    }

    /// The columns below the line.
    pub fn divisor(self) -> &'a [String] {
        match self.denominator {
            Denominator::Covered(column) | Denominator::Population(column) => std::slice::from_ref(column),
            Denominator::Sum(columns) => columns,
            Denominator::None => &[],
        }
    }
}

/// What a numerator is divided by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denominator {
    /// The durations of the rows that this column covers.
    Covered(String),
    /// The durations of the rows that this column is about, whether they can tell or not.
    Population(String),
    /// The sum of these columns.
    Sum(Vec<String>),
    /// Nothing: the figure is a number, not a ratio.
    None,
}

/// What is counted above and below the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Of the numerator, in the plural.
    pub numerator: String,
    /// Of the denominator, in the plural.
    #[serde(default = "seconds")]
    pub denominator: String,
    /// How the ratio is read after its number, where it is no share: "switches a person-day".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<String>,
}

/// The unit of durations.
pub const SECONDS: &str = "seconds";

fn seconds() -> String {
    SECONDS.to_owned()
}

impl Default for Units {
    fn default() -> Self {
        Self { numerator: seconds(), denominator: seconds(), reads: None }
    }
}

impl Units {
    /// Whether both are durations: then the ratio is a share.
    pub fn is_share(&self) -> bool {
        self.numerator == SECONDS && self.denominator == SECONDS
    }
}

/// A named part of a whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPart {
    /// What it is called.
    pub label: String,
    /// The columns whose sum it is.
    pub columns: Vec<String>,
}

/// What must be known of some activity of the organisation in the range, or the insight is not measurable: a category
/// that neither the classification nor the source names for any activity is unknown, not absent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceNeeded {
    /// A boolean column that must be true of some activity.
    pub column: String,
    /// The reason that is given where it is not.
    pub reason: String,
}

/// What a denominator consists of, in words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// What the numerator is called.
    pub numerator: String,
    /// What the rest of the denominator is called.
    pub rest: String,
}

/// The decision behind a figure. Texts may name `{stereotype}`, `{hours}` and `{people}`: of the stereotype to start
/// with, or of the whole where the insight is not told apart by stereotype.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Nothing is said of a ratio below this, unless a deployment says otherwise.
    pub threshold: f64,
    /// The columns, in seconds, whose hours come back where it is mended; the numerator's, if it names none.
    #[serde(default)]
    pub recovers: Vec<String>,
    /// A figure beside it whose number is stated with the finding: what it rests on.
    pub rests_on: Option<String>,
    /// The hours, in a word: "automatable".
    pub adjective: String,
    /// What to do next.
    pub next_step: String,
    /// Whether the team can do it without asking anyone.
    pub team_controls: bool,
}
