//! What a logic was, kept beside its results: they stay readable, comparable and explained when the program has moved on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::FOLD_VERSION;
use crate::{
    annotator::{Logic, Register, declaration::Change},
    settings::Setting,
};

/// One logic: every annotator, the fold and the settings that it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicRecord {
    /// Its fingerprint.
    pub logic: Logic,
    /// When the aggregator first folded by it here. What is deployed later is newer, whatever its versions say.
    pub first_seen: DateTime<Utc>,
    /// [`FOLD_VERSION`].
    pub fold_version: u32,
    /// The settings of the deployment, by the variable that sets them.
    pub settings: BTreeMap<String, String>,
    /// Every annotator, inputs first.
    pub annotators: Vec<RecordedAnnotator>,
    /// The columns that it folds, by name.
    pub columns: BTreeMap<String, RecordedColumn>,
}

/// An annotator as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAnnotator {
    /// Its name.
    pub name: String,
    /// Its version number.
    pub version: u32,
    /// Its effective version, as in the keys of its annotations.
    pub effective_version: String,
    /// A fingerprint of what its configuration said.
    pub configuration: String,
    /// The variables of the settings that it reads.
    pub settings: BTreeSet<String>,
    /// What changed with each version and why, oldest first.
    pub history: Vec<Change>,
}

/// A folded column as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedColumn {
    /// The boolean column that says which rows it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// The text column that says why a row cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The annotators that write it and those two.
    pub writers: BTreeSet<String>,
}

impl LogicRecord {
    /// The logic of `register`, first seen at `now`.
    pub fn of(register: &Register, now: DateTime<Utc>) -> Self {
        let value = |setting: Setting| (setting.variable().to_owned(), register.settings().value(setting).to_string());
        let annotators = register.annotators().iter().map(|annotator| RecordedAnnotator {
            name: annotator.declaration.name.clone(),
            version: annotator.declaration.version,
            effective_version: annotator.effective_version.clone(),
            configuration: annotator.configuration.clone(),
            settings: annotator.declaration.settings.iter().map(|setting| setting.variable().to_owned()).collect(),
            history: annotator.declaration.history.clone(),
        });
        let columns = register.folded_columns().into_iter().map(|(name, (column, _))| {
            let writers = register.writers_of([name]).into_iter().map(str::to_owned).collect();
            (name.to_owned(), RecordedColumn { over: column.over.clone(), reason: column.reason.clone(), writers })
        });
        Self {
            logic: register.logic().clone(),
            first_seen: now,
            fold_version: FOLD_VERSION,
            settings: Setting::ALL.into_iter().map(value).collect(),
            annotators: annotators.collect(),
            columns: columns.collect(),
        }
    }

    /// The logics that a program which runs `own` shows, in the order in which it prefers them: its own, then those that
    /// were seen before it, newest first. Never a newer one: whoever rolls the code back rolls the figures back.
    pub fn order(own: LogicRecord, known: Vec<LogicRecord>) -> Vec<Arc<LogicRecord>> {
        let recorded = known.iter().find(|record| record.logic == own.logic).map(|record| record.first_seen);
        let since = recorded.unwrap_or(own.first_seen);
        let mut earlier: Vec<LogicRecord> = known.into_iter().filter(|record| record.first_seen < since).collect();
        earlier.sort_by_key(|record| std::cmp::Reverse(record.first_seen));
        let own = LogicRecord { first_seen: since, ..own };
        std::iter::once(own).chain(earlier).map(Arc::new).collect()
    }

    /// The annotator called `name`.
    pub fn annotator(&self, name: &str) -> Option<&RecordedAnnotator> {
        self.annotators.iter().find(|annotator| annotator.name == name)
    }

    /// Whether it folds all of `columns`.
    pub fn folds<'a>(&self, columns: impl IntoIterator<Item = &'a String>) -> bool {
        columns.into_iter().all(|column| self.columns.contains_key(column))
    }

    /// The annotators that write these columns, what they are about, and why they cannot tell.
    pub fn writers_of<'a>(&self, columns: impl IntoIterator<Item = &'a String>) -> BTreeSet<&str> {
        let known = columns.into_iter().filter_map(|column| self.columns.get(column));
        known.flat_map(|column| column.writers.iter().map(String::as_str)).collect()
    }

    /// Whether `other` computes these columns exactly as this one does: both fold them, in the same way, out of
    /// annotations of the same versions.
    pub fn computes_alike<'a>(&self, other: &LogicRecord, columns: impl IntoIterator<Item = &'a String>) -> bool {
        let columns: Vec<&String> = columns.into_iter().collect();
        let versions = |logic: &LogicRecord| -> BTreeMap<String, Option<String>> {
            let writers = logic.writers_of(columns.iter().copied()).into_iter();
            let version = |name: &str| logic.annotator(name).map(|annotator| annotator.effective_version.clone());
            writers.map(|name| (name.to_owned(), version(name))).collect()
        };
        let both = [self, other].iter().all(|logic| logic.folds(columns.iter().copied()));
        both && self.fold_version == other.fold_version && versions(self) == versions(other)
    }

    /// What changed from `before` to this one, in the register's words. What changed only because something that it
    /// reads did is not said again.
    pub fn changes_since(&self, before: &LogicRecord) -> Vec<String> {
        let mut changes = Vec::new();
        for annotator in &self.annotators {
            let name = &annotator.name;
            let Some(old) = before.annotator(name) else {
                changes.extend(annotator.history.iter().map(|change| format!("{name} (new): {}", change.note)));
                continue;
            };
            if annotator.version < old.version {
                changes.push(format!("{name}: back from version {} to {}", old.version, annotator.version));
            }
            let newer = annotator.history.iter().filter(|change| change.version > old.version);
            changes.extend(newer.map(|change| format!("{name} {}: {}", change.version, change.note)));
            if annotator.configuration != old.configuration {
                changes.push(format!("{name}: its configuration changed"));
            }
            for variable in &annotator.settings {
                let (was, is) = (before.settings.get(variable), self.settings.get(variable));
                if was != is {
                    let value = |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
                    changes.push(format!("{name}: {variable} is {} instead of {}", value(is), value(was)));
                }
            }
        }
        let gone = before.annotators.iter().filter(|old| self.annotator(&old.name).is_none());
        changes.extend(gone.map(|old| format!("{}: gone", old.name)));
        if self.fold_version != before.fold_version {
            changes.push(format!("the fold: version {} instead of {}", self.fold_version, before.fold_version));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::LogicSettings;

    const A: &str = r#"
        name = "a"
        version = 2
        reads = []
        settings = ["grace_days"]
        column = [{ name = "a_seconds", type = "integer", description = "d", aggregate = "sum" }]
        history = [{ version = 1, note = "first" }, { version = 2, note = "Ties count." }]"#;
    const B: &str = r#"
        name = "b"
        version = 1
        reads = []
        inputs = ["a"]
        column = [{ name = "b_seconds", type = "integer", description = "d", aggregate = "sum" }]
        history = [{ version = 1, note = "Counts b." }]"#;

    fn record(sources: &[(&str, &str)], grace_days: u32, at: &str) -> LogicRecord {
        let settings = LogicSettings { grace_days, ..LogicSettings::default() };
        LogicRecord::of(&Register::new(sources, &settings).unwrap(), at.parse().unwrap())
    }

    #[test]
    fn a_program_shows_its_own_logic_and_older_ones_but_never_a_newer_one() {
        let old = record(&[(A, "x = 1")], 1, "2026-01-01T00:00:00Z");
        let own = record(&[(A, "x = 2")], 1, "2026-02-01T00:00:00Z");
        let new = record(&[(A, "x = 3")], 1, "2026-03-01T00:00:00Z");
        let known = vec![new.clone(), old.clone(), own.clone()];
        let order = |own: &LogicRecord, known: &[LogicRecord]| -> Vec<Logic> {
            // A process that starts again has its logic's record from the table, not from its own clock.
            let own = LogicRecord { first_seen: "2026-09-01T00:00:00Z".parse().unwrap(), ..own.clone() };
            let order = LogicRecord::order(own, known.to_vec());
            order.iter().map(|record| record.logic.clone()).collect()
        };
        assert_eq!(order(&own, &known), [own.logic.clone(), old.logic.clone()]);
        assert_eq!(order(&old, &known), std::slice::from_ref(&old.logic));
        assert_eq!(order(&new, &known), [new.logic.clone(), own.logic.clone(), old.logic.clone()]);
        // Not yet recorded: it has just been deployed.
        assert_eq!(order(&new, &known[1..]), [new.logic, own.logic, old.logic]);
    }

    #[test]
    fn what_changed_is_said_once_and_both_ways() {
        let at = "2026-01-01T00:00:00Z";
        let first =
            A.replace("version = 2\n", "version = 1\n").replace(", { version = 2, note = \"Ties count.\" }", "");
        let (old, new) = (record(&[(&first, "x = 1")], 1, at), record(&[(A, "x = 2"), (B, "")], 3, at));
        let changes = new.changes_since(&old);
        let expected = [
            "a 2: Ties count.",
            "a: its configuration changed",
            "a: GRACE_DAYS is 3 instead of 1",
            "b (new): Counts b.",
        ];
        assert_eq!(changes, expected);
        let back = [
            "a: back from version 2 to 1",
            "a: its configuration changed",
            "a: GRACE_DAYS is 1 instead of 3",
            "b: gone",
        ];
        assert_eq!(old.changes_since(&new), back);
        // b changed only because a did.
        let (one, two) = (record(&[(A, "x = 1"), (B, "")], 1, at), record(&[(A, "x = 2"), (B, "")], 1, at));
        assert_eq!(two.changes_since(&one), ["a: its configuration changed"]);
        assert!(one.changes_since(&one).is_empty());
    }

    #[test]
    fn logics_differ_where_a_writer_of_a_column_or_the_fold_does() {
        let at = "2026-01-01T00:00:00Z";
        let one = record(&[(A, "x = 1"), (B, "")], 1, at);
        let columns = |name: &str| vec![name.to_owned()];
        let (a, b) = (columns("a_seconds"), columns("b_seconds"));
        let same = record(&[(A, "x = 1")], 1, at);
        assert!(one.computes_alike(&same, &a), "another annotator changes nothing here");
        assert!(!one.computes_alike(&same, &b), "it does not have it");
        // What reads another one changes with it.
        let other = record(&[(A, "x = 2"), (B, "")], 1, at);
        assert!(!one.computes_alike(&other, &a) && !one.computes_alike(&other, &b));
        let folded = LogicRecord { fold_version: one.fold_version + 1, ..one.clone() };
        assert!(!one.computes_alike(&folded, &a));
    }

    #[test]
    fn a_record_reads_back_as_itself() {
        let record = record(&[(A, "x = 1"), (B, "")], 1, "2026-01-01T00:00:00.123456789Z");
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<LogicRecord>(&json).unwrap(), record);
    }
}
