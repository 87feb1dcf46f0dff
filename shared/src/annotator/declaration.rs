//! What an annotator says of itself, in `functions/annotate-<name>/annotator.toml`: its inputs, its columns and how
//! each of them aggregates, the insights drawn from them, and the history of its logic in words.
//!
//! The aggregator folds and the API answers from these declarations alone. Neither knows an annotator by name.

use arrow::datatypes::{DataType, Field};
use serde::Deserialize;

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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    /// A text column that says why a row cannot tell. A row with a reason is not covered.
    pub reason: Option<String>,
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

/// A figure that people read: a ratio of sums.
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
    /// The words for numerator and rest, where the two make up a whole that can be drawn.
    pub parts: Option<Parts>,
    /// When the figure is worth saying something about.
    pub finding: Option<Finding>,
}

/// What a numerator is divided by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denominator {
    /// The durations of the rows that this column covers.
    Covered(String),
    /// The sum of these columns.
    Sum(Vec<String>),
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

/// The decision behind a figure. Texts may name `{stereotype}`, `{hours}` and `{people}` of the stereotype to start with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Nothing is said of a ratio below this.
    pub threshold: f64,
    /// The hours, in a word: "automatable".
    pub adjective: String,
    /// What to do next.
    pub next_step: String,
    /// Whether the team can do it without asking anyone.
    pub team_controls: bool,
}
