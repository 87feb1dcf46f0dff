//! How old the data is and what the last run did.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    contribution::Pointer,
    lake::{Lake, LakeError, LakeKey, Listed},
    time::{Generation, LocalDay},
};
use utoipa::ToSchema;

/// A source that was not read for this long is worth a word.
const STALE_AFTER: TimeDelta = TimeDelta::hours(3);
/// How far back the newest run is looked for before all of them are listed.
const RECENT: TimeDelta = TimeDelta::days(14);

/// How the deployment is doing. Old data is still served; this says how old.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Health {
    /// In a word.
    pub status: HealthStatus,
    /// The generation of the newest captured day.
    pub data_as_of: Option<DateTime<Utc>>,
    /// The newest day that is captured and complete under the current logic.
    #[schema(value_type = Option<String>, format = Date)]
    pub newest_day: Option<LocalDay>,
    /// The newest run that left a record.
    pub last_run: Option<LastRun>,
    /// What that run refused, by reason.
    pub quarantined_by_reason: BTreeMap<String, i64>,
}

/// A deployment's state, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// There is data, and the source was read lately.
    Ok,
    /// There is data, but the source was not read lately.
    Stale,
    /// There is data, but the newest run could not read the source.
    Failing,
    /// There is no data yet.
    Empty,
}

/// What the newest run did, in rows.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LastRun {
    /// When it opened its view of the source.
    #[schema(value_type = String, example = "20261122T121619Z")]
    pub generation: Generation,
    /// What it read from.
    pub source: String,
    /// Read = written + unchanged + quarantined + open.
    #[serde(flatten)]
    pub counts: Counts,
    /// Why it stopped, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub failed: Option<serde_json::Value>,
}

/// Rows of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    /// Seen in the source.
    pub read: i64,
    /// Landed.
    pub written: i64,
    /// Landed before, with the same content.
    pub unchanged: i64,
    /// Could not be translated.
    pub quarantined: i64,
    /// Still running.
    pub open: i64,
}

/// A run's record, as far as it matters here; whatever it lacks counts as nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) source: String,
    pub(crate) mapping_sha256: String,
    counts: Counts,
    quarantined_by_reason: BTreeMap<String, i64>,
    failed: Option<serde_json::Value>,
}

/// A run that left a record.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    generation: Generation,
    record: Record,
}

impl HealthStatus {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stale => "stale",
            Self::Failing => "failing",
            Self::Empty => "empty",
        }
    }
}

impl From<Run> for LastRun {
    fn from(run: Run) -> Self {
        let Record { source, counts, failed, .. } = run.record;
        Self { generation: run.generation, source, counts, failed }
    }
}

impl Health {
    /// Reads the newest run's record and judges it at `now`. `newest` is the pointer of the newest captured day.
    pub async fn read(lake: &Lake, newest: Option<&Pointer>, now: DateTime<Utc>) -> Result<Self, LakeError> {
        let runs = newest_runs(lake, now, 1).await?;
        Ok(Self::of(runs.first(), newest, now))
    }

    /// Judges the newest run at `now`.
    pub(crate) fn of(run: Option<&Run>, newest: Option<&Pointer>, now: DateTime<Utc>) -> Self {
        let read_at = run.map(|run| run.generation.instant());
        let failed = run.is_some_and(|run| run.record.failed.is_some());
        let status = match (newest, read_at) {
            (None, _) => HealthStatus::Empty,
            (Some(_), _) if failed => HealthStatus::Failing,
            (Some(_), Some(at)) if now - at <= STALE_AFTER => HealthStatus::Ok,
            (Some(_), _) => HealthStatus::Stale,
        };
        Self {
            status,
            // A run that found nothing new has seen that everything is still so.
            data_as_of: newest.map(|pointer| {
                let written = pointer.partition.generation.instant();
                read_at.filter(|_| !failed).map_or(written, |read_at| read_at.max(written))
            }),
            newest_day: newest.map(|pointer| pointer.partition.day),
            last_run: run.cloned().map(LastRun::from),
            quarantined_by_reason: run.map(|run| run.record.quarantined_by_reason.clone()).unwrap_or_default(),
        }
    }
}

/// The record of the run of `generation`, which must be there.
pub(crate) async fn read_record(lake: &Lake, generation: Generation) -> Result<Record, LakeError> {
    let file = lake.fetch(&LakeKey::Run { generation }).await?;
    Ok(serde_json::from_reader(std::io::BufReader::new(file)).unwrap_or_else(|error| {
        tracing::warn!(%error, %generation, "the record of a run is not what this reader expects");
        Record::default()
    }))
}

/// The newest `most` runs, newest first.
pub(crate) async fn newest_runs(lake: &Lake, now: DateTime<Utc>, most: usize) -> Result<Vec<Run>, LakeError> {
    let recent = format!("runs/gen={}", Generation::mint(now - RECENT, None));
    // A rewind leaves a record there, too.
    let runs = |listed: Vec<Listed>| -> Vec<Generation> {
        let generations = listed.into_iter().rev().filter_map(|listed| match listed.key {
            LakeKey::Run { generation } => Some(generation),
            _ => None,
        });
        generations.take(most).collect()
    };
    let mut generations = runs(lake.list("runs/", Some(&recent)).await?);
    if generations.is_empty() {
        generations = runs(lake.list("runs/", None).await?);
    }
    let read = |generation| async move { Ok(Run { generation, record: read_record(lake, generation).await? }) };
    futures::future::try_join_all(generations.into_iter().map(read)).await
}

#[cfg(test)]
mod tests {
    use shared::{
        contribution::Extent,
        lake::{Partition, Sha256},
    };

    use super::*;

    #[test]
    fn a_source_that_was_not_read_for_three_hours_is_stale_and_no_data_is_empty() {
        let generation: Generation = "20260131T060000Z".parse().unwrap();
        let pointer = Pointer {
            evidence: std::collections::BTreeSet::new(),
            partition: Partition { day: "2026-01-30".parse().unwrap(), generation },
            base: Sha256::of("x"),
            total: Extent::default(),
        };
        let status = |newest, run: bool, now: &str| {
            let run = run.then(|| Run { generation, record: Record::default() });
            Health::of(run.as_ref(), newest, now.parse().unwrap()).status
        };
        assert_eq!(status(Some(&pointer), true, "2026-01-31T09:00:00Z"), HealthStatus::Ok);
        assert_eq!(status(Some(&pointer), true, "2026-01-31T09:00:01Z"), HealthStatus::Stale);
        assert_eq!(status(Some(&pointer), false, "2026-01-31T06:00:00Z"), HealthStatus::Stale);
        assert_eq!(status(None, true, "2026-01-31T06:00:00Z"), HealthStatus::Empty);
        let failed = Record { failed: Some("the source is gone".into()), ..Record::default() };
        let now = "2026-01-31T06:00:00Z".parse().unwrap();
        assert_eq!(
            Health::of(Some(&Run { generation, record: failed }), Some(&pointer), now).status,
            HealthStatus::Failing
        );
    }

    #[test]
    fn a_run_that_says_less_or_more_than_expected_is_still_read() {
        let record: Record = serde_json::from_str(
            r#"{"source":"demo","counts":{"read":5,"written":4,"open":1},"days":{"written":2},"new":true}"#,
        )
        .unwrap();
        let run = Run { generation: "20260131T060000Z".parse().unwrap(), record };
        let health = Health::of(Some(&run), None, "2026-01-31T06:00:00Z".parse().unwrap());
        let json = serde_json::to_value(&health).unwrap();
        assert_eq!(json["last_run"]["generation"], "20260131T060000Z");
        assert_eq!(json["last_run"]["read"], 5);
        assert_eq!(json["last_run"]["quarantined"], 0);
        assert_eq!(json["last_run"].get("failed"), None);
    }
}
