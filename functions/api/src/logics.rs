//! Which logics there are, which one each day is shown by, and what changed between them.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use shared::{
    annotator::{Logic, declaration::Change},
    contribution::{LogicRecord, Pointer, RecordedAnnotator, Shown},
    lake::Listed,
    time::{Generation, LocalDay},
};

use utoipa::ToSchema;

use crate::{Api, ApiError, selection::InvalidParameter};

/// Logics that are asked at the same time.
const ASKED_AT_ONCE: usize = 8;

/// Days in a row that are shown by one logic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogicRun {
    /// Which.
    #[schema(value_type = String, example = "5ee12be1dcea")]
    pub logic: Logic,
    /// When it was first used here.
    pub first_seen: DateTime<Utc>,
    /// The first of the days.
    #[schema(value_type = String, format = Date)]
    pub from: LocalDay,
    /// The day after the last of them.
    #[schema(value_type = String, format = Date)]
    pub to: LocalDay,
    /// How many of them were captured.
    pub days: usize,
    /// What changed since the run before, in the register's words.
    pub notes: Vec<String>,
}

/// A day that is not shown as it was known at the time that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MissingDay {
    /// The day.
    #[schema(value_type = String, format = Date)]
    pub day: LocalDay,
    /// Its newest generation then.
    #[schema(value_type = String, example = "20261001T000000Z")]
    pub generation: Generation,
    /// The command that works it out.
    pub command: String,
}

/// A logic that something was computed by here, in the register's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedLogic {
    /// Its fingerprint, as the parameter `logic` takes it.
    #[schema(value_type = String, example = "5ee12be1dcea")]
    pub logic: Logic,
    /// When it was first used here; null if it has not computed anything yet.
    pub first_seen: Option<DateTime<Utc>>,
    /// Whether it is the one that this program runs.
    pub deployed: bool,
    /// What changed since the one that was first used before it.
    pub notes: Vec<String>,
    /// The settings of the deployment that it was told, by the variable that sets them.
    pub settings: BTreeMap<String, String>,
    /// Its annotators, inputs first.
    pub annotators: Vec<ListedAnnotator>,
}

/// An annotator of a logic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedAnnotator {
    /// Its name.
    pub name: String,
    /// Its version number.
    pub version: u32,
    /// Its effective version, as in the keys of its annotations: the number, and a hash of all that decides its output.
    pub effective_version: String,
    /// What changed with each version and why, oldest first.
    pub history: Vec<VersionNote>,
}

/// What a version of an annotator brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VersionNote {
    /// Its number.
    pub version: u32,
    /// What changed and why.
    pub note: String,
}

impl From<&Change> for VersionNote {
    fn from(change: &Change) -> Self {
        Self { version: change.version, note: change.note.clone() }
    }
}

impl From<&RecordedAnnotator> for ListedAnnotator {
    fn from(annotator: &RecordedAnnotator) -> Self {
        Self {
            name: annotator.name.clone(),
            version: annotator.version,
            effective_version: annotator.effective_version.clone(),
            history: annotator.history.iter().map(VersionNote::from).collect(),
        }
    }
}

/// Every logic, newest first; what a program that runs `own` has not recorded yet is the newest.
pub(crate) fn listed(own: LogicRecord, mut known: Vec<LogicRecord>) -> Vec<ListedLogic> {
    known.sort_by(|a, b| (a.first_seen, &a.logic).cmp(&(b.first_seen, &b.logic)));
    let recorded = known.iter().any(|record| record.logic == own.logic);
    let deployed = own.logic.clone();
    known.extend((!recorded).then_some(own));
    let list = |(index, record): (usize, &LogicRecord)| ListedLogic {
        logic: record.logic.clone(),
        first_seen: (recorded || record.logic != deployed).then_some(record.first_seen),
        deployed: record.logic == deployed,
        notes: index
            .checked_sub(1)
            .and_then(|before| known.get(before))
            .map_or_else(Vec::new, |before| record.changes_since(before)),
        settings: record.settings.clone(),
        annotators: record.annotators.iter().map(ListedAnnotator::from).collect(),
    };
    known.iter().enumerate().map(list).rev().collect()
}

/// The runs of some days, given in their order.
pub(crate) fn runs(shown: &[Shown]) -> Vec<LogicRun> {
    let mut runs: Vec<LogicRun> = Vec::new();
    let mut before: Option<&Arc<LogicRecord>> = None;
    for Shown { logic, pointer } in shown {
        let day = pointer.partition.day;
        match runs.last_mut().filter(|run| run.logic == logic.logic) {
            Some(run) => (run.to, run.days) = (day.plus(1), run.days + 1),
            None => runs.push(LogicRun {
                logic: logic.logic.clone(),
                first_seen: logic.first_seen,
                from: day,
                to: day.plus(1),
                days: 1,
                notes: before.map_or_else(Vec::new, |before| logic.changes_since(before)),
            }),
        }
        before = Some(logic);
    }
    runs
}

impl Api {
    /// The logics that days are shown by, the preferred one first: `pinned` alone, or the program's own and older ones.
    pub(crate) async fn logics(&self, pinned: Option<&Logic>) -> Result<Vec<Arc<LogicRecord>>, ApiError> {
        match pinned {
            Some(logic) => Ok(vec![self.logic("logic", logic).await?]),
            None => Ok(LogicRecord::order(self.own_logic(), self.store.logics().await?)),
        }
    }

    /// One logic, as the `parameter` names it.
    pub(crate) async fn logic(&self, parameter: &str, logic: &Logic) -> Result<Arc<LogicRecord>, ApiError> {
        let known = self.store.logics().await?;
        if let Some(record) = known.iter().find(|record| record.logic == *logic) {
            return Ok(Arc::new(record.clone()));
        }
        if logic == self.register.logic() {
            return Ok(Arc::new(self.own_logic()));
        }
        let known: Vec<String> = known.iter().map(|record| record.logic.to_string()).collect();
        let known = if known.is_empty() { "there is none yet".to_owned() } else { format!("use {}", known.join(", ")) };
        Err(InvalidParameter::new(parameter, format!("nothing was ever computed by {logic}; {known}.")).into())
    }

    /// Every logic that there is to choose from, newest first.
    pub(crate) async fn listed_logics(&self) -> Result<Vec<ListedLogic>, ApiError> {
        Ok(listed(self.own_logic(), self.store.logics().await?))
    }

    fn own_logic(&self) -> LogicRecord {
        LogicRecord::of(&self.register, Utc::now())
    }

    /// The newest day with rows that any of `logics` shows.
    pub(crate) async fn newest(&self, logics: &[Arc<LogicRecord>]) -> Result<Option<Pointer>, ApiError> {
        let ids: Vec<Logic> = logics.iter().map(|logic| logic.logic.clone()).collect();
        let newest = stream::iter(ids).map(|logic| async move { self.store.newest(&logic).await });
        let newest: Vec<Option<Pointer>> = newest.buffered(ASKED_AT_ONCE).try_collect().await?;
        // Of equal ones the last is taken, so the preferred logic comes last.
        Ok(newest.into_iter().rev().flatten().max_by_key(|pointer| pointer.partition.day))
    }

    /// The days that the lake knew better at `as_of` than `shown` does.
    pub(crate) async fn missing(
        &self,
        (from, to): (LocalDay, LocalDay),
        as_of: Generation,
        shown: &[Shown],
    ) -> Result<Vec<MissingDay>, ApiError> {
        let partition = |listed: Listed| listed.key.partition();
        let mut missing: Vec<MissingDay> = Vec::new();
        for captured in self.lake.bases(from, to).await?.into_iter().filter_map(partition) {
            let (day, generation) = (captured.day, captured.generation);
            if generation > as_of || shown.iter().any(|shown| shown.pointer.partition == captured) {
                continue;
            }
            if shown.iter().any(|shown| shown.pointer.partition > captured && shown.pointer.partition.day == day) {
                continue;
            }
            missing.retain(|older| older.day != day);
            let command = format!("wastewalk rewind --from {day} --to {} --as-of {generation}", day.plus(1));
            missing.push(MissingDay { day, generation, command });
        }
        Ok(missing)
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        annotator::Register,
        contribution::Extent,
        lake::{Partition, Sha256},
        settings::LogicSettings,
    };

    use super::*;

    #[test]
    fn logics_are_listed_newest_first_each_with_what_it_changed() {
        let record = |grace_days, at: &str| {
            let settings = LogicSettings { grace_days, ..LogicSettings::default() };
            LogicRecord::of(&Register::built_in(&settings).unwrap(), at.parse().unwrap())
        };
        let (first, second) = (record(1, "2026-01-01T00:00:00Z"), record(2, "2026-02-01T00:00:00Z"));
        let said = |own: &LogicRecord, known: Vec<LogicRecord>| -> Vec<(Logic, bool, bool, Vec<String>)> {
            let list = listed(own.clone(), known).into_iter();
            list.map(|listed| (listed.logic, listed.deployed, listed.first_seen.is_some(), listed.notes)).collect()
        };
        let changed = vec!["planning: GRACE_DAYS is 2 instead of 1".to_owned()];
        let both = said(&first, vec![second.clone(), first.clone()]);
        let expected =
            [(second.logic.clone(), false, true, changed.clone()), (first.logic.clone(), true, true, Vec::new())];
        assert_eq!(both, expected, "rolled back: the newer one is still listed");
        // Just deployed: nothing was computed by it.
        let own = said(&second, vec![first.clone()]);
        assert_eq!(own[0], (second.logic, true, false, changed));
        assert_eq!(own.len(), 2);
    }

    #[test]
    fn days_in_a_row_under_one_logic_are_one_run_and_each_boundary_says_what_changed() {
        let record = |grace_days| {
            let settings = LogicSettings { grace_days, ..LogicSettings::default() };
            Arc::new(LogicRecord::of(&Register::built_in(&settings).unwrap(), "2026-01-01T00:00:00Z".parse().unwrap()))
        };
        let shown = |day: &str, logic: &Arc<LogicRecord>| Shown {
            logic: logic.clone(),
            pointer: Pointer {
                partition: Partition { day: day.parse().unwrap(), generation: "20260201T000000Z".parse().unwrap() },
                base: Sha256::of("x"),
                total: Extent::default(),
                evidence: std::collections::BTreeSet::new(),
            },
        };
        let (old, new) = (record(1), record(2));
        let runs = runs(&[shown("2026-01-05", &old), shown("2026-01-09", &old), shown("2026-01-12", &new)]);
        let said: Vec<_> = runs.iter().map(|run| (run.from.to_string(), run.to.to_string(), run.days)).collect();
        assert_eq!(
            said,
            [("2026-01-05".into(), "2026-01-10".into(), 2), ("2026-01-12".into(), "2026-01-13".into(), 1)]
        );
        assert!(runs[0].notes.is_empty());
        assert_eq!(runs[1].notes, ["planning: GRACE_DAYS is 2 instead of 1"]);
    }
}
