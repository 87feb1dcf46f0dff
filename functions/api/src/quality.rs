//! What the intake's runs say of the data: how fresh it is, what was refused and why.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    contribution::Pointer,
    lake::{Lake, LakeError},
};
use utoipa::ToSchema;

use crate::freshness::{Health, LastRun, newest_runs};

/// Runs that are listed.
const RUNS: usize = 12;

/// The state of the data.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Quality {
    /// How old it is, and what the newest run did.
    #[serde(flatten)]
    pub health: Health,
    /// The newest runs that left a record, newest first.
    pub runs: Vec<LastRun>,
}

impl Quality {
    /// Reads the records of the newest runs and judges them at `now`. `newest` is the pointer of the newest captured day.
    ///
    /// # Errors
    /// If the lake does not answer.
    pub async fn read(lake: &Lake, newest: Option<&Pointer>, now: DateTime<Utc>) -> Result<Self, LakeError> {
        let runs = newest_runs(lake, now, RUNS).await?;
        let health = Health::of(runs.first(), newest, now);
        Ok(Self { health, runs: runs.into_iter().map(LastRun::from).collect() })
    }
}

/// What to do about records that were refused for `reason`.
pub fn mend(reason: &str) -> &'static str {
    match reason {
        "missing" => "Fill in the required field in the source, or name a fallback in the mapping.",
        "unreadable" => "Correct the format or unit in the mapping, or translate the value.",
        "unknown_value" => "Add the value to the mapping’s values.",
        "out_of_range" => "Correct the record; check that the unit is right.",
        "negative" => "Correct the record: it lasts less than nothing.",
        "ends_before_start" => "Correct the record; check that the time zone is right.",
        "exceeds_duration" => {
            "Correct the record: more of it is out of sprint than it lasted. Have both the same unit?"
        }
        "nonexistent_local_time" => "Correct the record: the clocks skip this time. Is it UTC?",
        "unknown_time_zone" => "Correct the zone on the record, or on the person.",
        "unknown_user" | "unknown_team" | "unknown_sprint" | "unknown_stereotype" => {
            "Add what it refers to in the source, or let the mapping’s SELECT give it."
        }
        "repeated_key" => "Let the mapping’s SELECT give each key once.",
        "too_long" => "Shorten the id in the mapping’s SELECT.",
        _ => "See the record in quarantine: its message says what is wrong.",
    }
}
