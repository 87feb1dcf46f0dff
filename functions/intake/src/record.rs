//! The run record: what one intake run read, wrote, left and refused, kept for ever under `runs/`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::time::Generation;

/// Activities by what became of them. `read = written + unchanged + quarantined + open + left`, in every run.
///
/// A run that read changes counts the rows that changed, those of the days that it restated, and what is still in quarantine
/// from before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Read from the source.
    pub read: u64,
    /// On days that were written.
    pub written: u64,
    /// On days that are in the lake already, the same.
    pub unchanged: u64,
    /// Could not be translated.
    pub quarantined: u64,
    /// Still running.
    pub open: u64,
    /// Of a run that had no time for all days: those that were left to the next one.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub left: u64,
}

fn is_none_of_them(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Whether every record is accounted for.
    pub fn balanced(&self) -> bool {
        self.read == self.written + self.unchanged + self.quarantined + self.open + self.left
    }
}

/// Days by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// New, or restated.
    pub written: u64,
    /// The same as in the lake.
    pub unchanged: u64,
    /// Lost all their rows in the source; restated as empty.
    pub emptied: u64,
}

/// How much of the source a run read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Everything.
    #[default]
    Whole,
    /// What the cursor says changed, and the days that changed by it.
    Changes,
}

/// By section of a mapping that has several SELECTs: which one is read, from 1.
pub type Versions = BTreeMap<String, usize>;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its generation.
    pub generation: Generation,
    /// The source's name.
    pub source: String,
    /// Of the mapping's text.
    pub mapping_sha256: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Why it failed, if it did; then nothing below is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Whether it read the quarantine again, and the days that change by it, instead of the source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// How much of the source it read.
    #[serde(default)]
    pub reading: Reading,
    /// Why everything was read, where the mapping has a cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Which of its SELECTs was read, for each section that has several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selects: Versions,
    /// Rows that the source gave of its activities. Of a run that read changes that may be more than it counts: a row that
    /// changed is read again with its day, and with a day its neighbours.
    #[serde(default)]
    pub source_rows: u64,
    /// Every change that says it was made before this is in the lake: the watermark, once the run is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<DateTime<Utc>>,
    /// The bound that the watermark could not pass: a transaction that was not over, or else when the source was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_until: Option<DateTime<Utc>>,
    /// Activities.
    pub counts: Counts,
    /// Records of any entity that could not be translated, by reason code.
    pub quarantined_by_reason: BTreeMap<String, u64>,
    /// Days.
    pub days: Days,
    /// The dimensions that changed.
    pub dimensions_written: Vec<String>,
    /// The keys of every object that this run made.
    pub objects: Vec<String>,
}
