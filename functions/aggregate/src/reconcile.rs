//! Healing: what a lost event or a lost process left undone is found by looking, and announced again.

use std::collections::BTreeMap;

use shared::{
    annotator::Register,
    contribution::ContributionStore,
    lake::{Lake, LakeKey},
    time::{Generation, LocalDay},
};

use crate::AggregateError;

/// The base objects whose newest generation is not yet what the table shows under the deployed logic. Announcing such an
/// object again wakes every function that it is for: what exists already is found there, what is missing is made.
pub async fn reconcile(
    lake: &Lake,
    store: &ContributionStore,
    register: &Register,
    from: Option<LocalDay>,
) -> Result<Vec<LakeKey>, AggregateError> {
    let bases = lake.newest_bases(from).await?;
    let days = |key: &LakeKey| key.partition().map(|partition| partition.day);
    let (Some(first), Some(last)) = (bases.first().and_then(days), bases.last().and_then(days)) else {
        return Ok(Vec::new());
    };
    let pointers = store.pointers(register.logic(), first, last).await?;
    let shown: BTreeMap<LocalDay, Generation> =
        pointers.iter().map(|pointer| (pointer.partition.day, pointer.partition.generation)).collect();
    let undone = |key: &LakeKey| {
        key.partition().is_some_and(|partition| shown.get(&partition.day) != Some(&partition.generation))
    };
    Ok(bases.into_iter().filter(undone).collect())
}
