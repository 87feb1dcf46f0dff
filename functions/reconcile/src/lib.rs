//! Reconcile: what a lost event or a lost process left undone is found by looking at the lake and the table, and the base
//! object is announced again. Every function that it is for then does what is missing.
//!
//! # What it looks at, and what it leaves alone
//!
//! A generation is *done* when it is what is shown of its day: under the logic that is deployed now or, where that has
//! nothing of the day, under the newest one before it ([`aggregate::undone`]). So a lost event is healed, and history is
//! not rewound: to apply a newly deployed logic to days that an older one shows is a person's decision.
//!
//! The watermark is the newest generation up to which everything was done when this function looked. Each run looks at
//! every day whose newest generation is after the watermark, however old the day is, and at no other. Each logic has a
//! watermark of its own: when the code is rolled back, what was captured in between is after the older logic's watermark,
//! and is worked out under it.
//!
//! With generations written as hours of one day, and one run of intake an hour:
//!
//! | run | watermark | newest generation of each day | shown | announced | watermark then |
//! | --- | --- | --- | --- | --- | --- |
//! | first | none | 1 Aug: 06, 2 Aug: 06 | both | nothing | 06 |
//! | next | 06 | 1 Aug: 08, restated; 2 Aug: 06; 3 Aug: 07 | 1 Aug: 06, 2 Aug: 06, 3 Aug: 07 | 1 Aug | 07 |
//! | next | 07 | the same, and 4 Aug: 09 | all of them | nothing | 09 |
//! | next, under a new logic | none | the same, and 5 Aug: 10 | the same by the old logic; 5 Aug: 10 by the new one | nothing | 10 |
//! | next, rolled back | 09 | the same | the first four | 5 Aug | 09 |
//!
//! In the second run 1 Aug is looked at although it is an old day, because its generation is new. Being undone it keeps
//! the watermark below 08, so that the third run looks at it again. A day that cannot be done, because its file was
//! damaged say, does so for ever and is announced by each run; days after it are looked at all the same.
//!
//! Without a watermark everything is looked at. A table that was lost is built again that way.

mod announce;
mod watermark;

use aggregate::AggregateError;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    annotator::{Logic, Register, register::RegisterError},
    contribution::ContributionStore,
    deployment::{Deployment, MissingVariable, variable},
    lake::{Lake, LakeError, LakeKey},
    settings::{InvalidSetting, LogicSettings},
    telemetry::{Summary, chain},
    time::Generation,
};

use announce::{Announced, EventBridge};
use watermark::{Watermark, WatermarkError};

/// A generation is looked at this long after it began. An intake run may write for 15 minutes, which is its lease and
/// Lambda's limit: before that, a watermark at its generation could pass days that it has yet to write. What it wrote
/// last gets as long again to be worked out, so that what is merely under way is not announced a second time.
const SETTLED_AFTER: TimeDelta = TimeDelta::minutes(30);

/// Why a run failed. What it announced before stays announced; the next run looks again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The lake could not be listed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The table did not say what it shows.
    #[error(transparent)]
    Shown(#[from] AggregateError),
    /// The watermark could not be read or moved.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
    /// EventBridge did not take every event.
    #[error("{left} of {undone} undone days could not be announced; the next run tries again: {reason}")]
    Refused {
        /// How many were not announced.
        left: usize,
        /// How many should have been.
        undone: usize,
        /// What EventBridge said of the first of them.
        reason: String,
    },
}

/// The environment of the function lacks something, or its declarations are wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// A variable is not set.
    #[error(transparent)]
    Variable(#[from] MissingVariable),
    /// A setting of the logic is not what it should be.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// An annotator contradicts itself or another one.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// What wakes this function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Tick {
    /// What time it is. The schedule says when it was due; without it the clock decides.
    pub time: Option<DateTime<Utc>>,
}

/// What one run found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Days whose newest generation is after the watermark and has settled.
    pub days: usize,
    /// Those of them that the table does not show at that generation.
    pub undone: usize,
    /// Those of them that EventBridge took an event for.
    pub announced: usize,
    /// The newest generation up to which everything is done; null before there is one.
    pub watermark: Option<Generation>,
    /// The deployed logic.
    pub logic: Logic,
}

/// The reconciler with its lake, its table and its bus.
#[derive(Debug, Clone)]
pub struct Reconciler {
    lake: Lake,
    store: ContributionStore,
    watermark: Watermark,
    events: EventBridge,
    register: Register,
}

impl Reconciler {
    /// Reads `LAKE_BUCKET`, `TABLE_NAME` and the settings of the logic. The bus is the account's default one, to which S3 announces objects too.
    ///
    /// # Errors
    /// If a variable is missing or wrong, or the annotators' declarations are.
    pub async fn from_env() -> Result<Self, ConfigurationError> {
        let deployment = Deployment::from_env().await;
        let events = aws_sdk_eventbridge::Client::new(&aws_config::load_from_env().await);
        let register = Register::built_in(&LogicSettings::from_env()?)?;
        Ok(Self {
            lake: deployment.lake()?,
            store: deployment.contributions()?,
            watermark: Watermark::new(deployment.dynamodb(), variable("TABLE_NAME")?, register.logic()),
            events: EventBridge::new(events),
            register,
        })
    }

    /// Handles one tick of the schedule.
    ///
    /// # Errors
    /// If something could not be read, or not everything that is undone could be announced.
    pub async fn handle(&self, tick: Tick) -> Result<Reconciled, ReconcileError> {
        let mut summary = Summary::start("reconcile");
        summary.events = 1;
        let outcome = self.announced(tick.time.unwrap_or_else(Utc::now)).await;
        match &outcome {
            Ok(Reconciled { days, undone, announced, watermark, .. }) => {
                let watermark = watermark.map(tracing::field::display);
                tracing::info!(days, undone, announced, watermark, "reconciled");
            }
            Err(error) => {
                summary.failed = 1;
                tracing::error!(error = chain(error), "not everything could be reconciled");
            }
        }
        summary.log(self.register.logic());
        outcome
    }

    async fn announced(&self, now: DateTime<Utc>) -> Result<Reconciled, ReconcileError> {
        let (reconciled, refused) = self.run(now).await?;
        let left = reconciled.undone - reconciled.announced;
        match refused {
            Some(reason) => Err(ReconcileError::Refused { left, undone: reconciled.undone, reason }),
            None => Ok(reconciled),
        }
    }

    async fn run(&self, now: DateTime<Utc>) -> Result<(Reconciled, Option<String>), ReconcileError> {
        let before = self.watermark.read().await?;
        let due = due(self.lake.newest_bases(None).await?, before, now);
        let undone = aggregate::undone(&self.store, &self.register, due.clone()).await?;
        let Announced { taken, refused } = self.events.announce(self.lake.bucket(), &undone).await;
        let after = advance(before, &due, &undone);
        if let Some(generation) = after.filter(|_| after > before) {
            self.watermark.move_to(generation).await?;
        }
        let reconciled = Reconciled {
            days: due.len(),
            undone: undone.len(),
            announced: taken,
            watermark: after,
            logic: self.register.logic().clone(),
        };
        Ok((reconciled, refused))
    }
}

/// Of the newest base object of each day those to look at: after the watermark, and settled by `now`.
fn due(newest: Vec<LakeKey>, watermark: Option<Generation>, now: DateTime<Utc>) -> Vec<LakeKey> {
    let is_due = |generation: Generation| {
        watermark.is_none_or(|watermark| generation > watermark) && generation.instant() + SETTLED_AFTER <= now
    };
    newest.into_iter().filter(|key| generation(key).is_some_and(is_due)).collect()
}

/// The watermark after a look at `due`: the newest generation before the first one that has something undone.
fn advance(watermark: Option<Generation>, due: &[LakeKey], undone: &[LakeKey]) -> Option<Generation> {
    let first_undone = undone.iter().filter_map(generation).min();
    let done = due.iter().filter_map(generation).filter(|done| first_undone.is_none_or(|undone| *done < undone));
    done.max().max(watermark)
}

fn generation(key: &LakeKey) -> Option<Generation> {
    key.partition().map(|partition| partition.generation)
}

#[cfg(test)]
mod tests {
    use shared::lake::{Partition, Sha256};

    use super::*;

    fn at(hour: u32) -> Generation {
        format!("20260805T{hour:02}0000Z").parse().unwrap()
    }

    fn base(day: u32, hour: u32) -> LakeKey {
        let partition = Partition { day: format!("2026-08-{day:02}").parse().unwrap(), generation: at(hour) };
        LakeKey::Activities { partition, sha256: Sha256::of("x") }
    }

    fn later(hour: u32, minutes: i64) -> DateTime<Utc> {
        at(hour).instant() + TimeDelta::minutes(minutes)
    }

    #[test]
    fn the_runs_of_the_documentation() {
        let newest = vec![base(1, 6), base(2, 6)];
        let looked = due(newest.clone(), None, later(6, 40));
        assert_eq!(looked, newest);
        assert_eq!(advance(None, &looked, &[]), Some(at(6)));

        let newest = vec![base(1, 8), base(2, 6), base(3, 7)];
        let looked = due(newest, Some(at(6)), later(8, 40));
        assert_eq!(looked, [base(1, 8), base(3, 7)]);
        assert_eq!(advance(Some(at(6)), &looked, &[base(1, 8)]), Some(at(7)));

        let newest = vec![base(1, 8), base(2, 6), base(3, 7), base(4, 9)];
        let looked = due(newest, Some(at(7)), later(9, 40));
        assert_eq!(looked, [base(1, 8), base(4, 9)]);
        assert_eq!(advance(Some(at(7)), &looked, &[]), Some(at(9)));

        // A new logic has no watermark yet, and everything that an older one shows is done.
        let newest = vec![base(1, 8), base(2, 6), base(3, 7), base(4, 9), base(5, 10)];
        let looked = due(newest.clone(), None, later(10, 40));
        assert_eq!(looked, newest);
        assert_eq!(advance(None, &looked, &[]), Some(at(10)));

        // Rolled back, the old logic does not show what the new one did.
        let looked = due(newest, Some(at(9)), later(10, 40));
        assert_eq!(looked, [base(5, 10)]);
        assert_eq!(advance(Some(at(9)), &looked, &looked), Some(at(9)));
    }

    #[test]
    fn a_generation_whose_run_may_still_be_writing_is_neither_looked_at_nor_passed() {
        let newest = vec![base(1, 6), base(2, 7)];
        let looked = due(newest.clone(), None, later(7, 29));
        assert_eq!(looked, [base(1, 6)]);
        assert_eq!(advance(None, &looked, &[]), Some(at(6)));
        assert_eq!(due(newest, None, later(7, 30)).len(), 2);
    }

    #[test]
    fn a_day_that_stays_undone_keeps_the_watermark_and_hides_nothing() {
        let newest = vec![base(1, 7), base(2, 7), base(3, 8), base(4, 9)];
        let looked = due(newest.clone(), Some(at(6)), later(9, 40));
        assert_eq!(looked, newest);
        // Another day of the same generation is done, which does not make the generation done.
        assert_eq!(advance(Some(at(6)), &looked, &[base(2, 7)]), Some(at(6)));
        assert_eq!(advance(None, &looked, &[base(2, 7)]), None);
        assert_eq!(advance(Some(at(6)), &looked, &[base(2, 7), base(4, 9)]), Some(at(6)));
    }

    #[test]
    fn the_watermark_never_goes_back() {
        assert_eq!(advance(Some(at(9)), &[], &[]), Some(at(9)));
    }

    #[test]
    fn the_schedule_says_what_time_it_is_and_a_person_need_not() {
        let tick: Tick = serde_json::from_str(r#"{"time": "2026-08-05T07:30:00Z"}"#).unwrap();
        assert_eq!(tick.time, Some(later(7, 30)));
        assert_eq!(serde_json::from_str::<Tick>("{}").unwrap(), Tick::default());
    }
}
