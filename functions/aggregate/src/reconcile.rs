//! What is undone: found by comparing the lake with the table, so that it can be announced again.

use std::collections::BTreeMap;

use chrono::Utc;
use shared::{
    annotator::Register,
    contribution::{ContributionStore, LogicRecord},
    lake::{Lake, LakeKey},
    time::{Generation, LocalDay},
};

use crate::AggregateError;

/// The base objects from day `from` on (all of history when `None`) whose newest generation is [`undone`], however old
/// they are: what a stack that has its storage to itself does at its start.
///
/// # Errors
/// If the lake or the table does not answer.
pub async fn reconcile(
    lake: &Lake,
    store: &ContributionStore,
    register: &Register,
    from: Option<LocalDay>,
) -> Result<Vec<LakeKey>, AggregateError> {
    undone(store, register, lake.newest_bases(from).await?).await
}

/// Those of `bases`, at most one a day and in day order, that are not what is shown of their day: by the logic of
/// `register` or, where that has nothing of the day, by the newest one before it. A day that an older logic shows is
/// done: to apply the new logic to it is to rewind history, which is a person's decision. Announcing an undone object
/// again wakes every function that it is for: what exists already is found there, what is missing is made.
///
/// # Errors
/// If the table does not answer.
pub async fn undone(
    store: &ContributionStore,
    register: &Register,
    bases: Vec<LakeKey>,
) -> Result<Vec<LakeKey>, AggregateError> {
    let days = |key: &LakeKey| key.partition().map(|partition| partition.day);
    let (Some(first), Some(last)) = (bases.first().and_then(days), bases.last().and_then(days)) else {
        return Ok(Vec::new());
    };
    let order = LogicRecord::order(LogicRecord::of(register, Utc::now()), store.logics().await?);
    let shown = store.shown(&order, first, last, None).await?;
    let partition = |shown: &shared::contribution::Shown| shown.pointer.partition;
    let shown: BTreeMap<LocalDay, Generation> =
        shown.iter().map(partition).map(|partition| (partition.day, partition.generation)).collect();
    let undone = |key: &LakeKey| {
        key.partition().is_some_and(|partition| shown.get(&partition.day) != Some(&partition.generation))
    };
    Ok(bases.into_iter().filter(undone).collect())
}
