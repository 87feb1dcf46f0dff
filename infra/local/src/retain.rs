//! `wastewalk retain`: forgets what was computed of generations that nobody will ask for.
//!
//! Only what can be computed again goes: contributions and annotations, never a base object. `wastewalk rewind --as-of` brings
//! it back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    contribution::ContributionStore,
    lake::{Lake, Partition},
    time::LocalDay,
};

use crate::{
    account::Account,
    rewind::{Folder, stack_over},
    said::say,
};

const AT_ONCE: usize = 8;
/// Nobody reads for longer: a function that answers is stopped after 29 seconds.
const LONGEST_READER: Duration = Duration::from_secs(30);

/// For how many days every generation is kept, if nobody says otherwise.
const DAYS: u32 = 7;

/// What is kept, and where.
#[derive(Debug, Clone, Args)]
pub struct Retain {
    /// Superseded generations are kept for this many days, and of each day of capture the last one for ever
    #[arg(long, env = "RETAIN_DAYS", default_value_t = DAYS)]
    days: u32,
    /// Only say what would be forgotten
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    account: Account,
}

impl Retain {
    /// Does it.
    ///
    /// # Errors
    /// Each says in one line what is wrong and what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        if let Some(deployed) = self.account.open().await? {
            return self.over(&deployed.lake, &deployed.store, LONGEST_READER).await;
        }
        let stack = stack_over(&self.folder).await?;
        // Nobody else can read a folder that we have open.
        self.over(&stack.lake, &stack.store, Duration::ZERO).await?;
        stack.stop().await
    }

    async fn over(&self, lake: &Lake, store: &ContributionStore, longest_reader: Duration) -> anyhow::Result<()> {
        let partitions = superseded(lake, store, Utc::now(), self.days).await?;
        if self.dry_run {
            partitions.iter().for_each(|partition| say!("{partition}"));
            say!("{} superseded generations would be forgotten.", partitions.len());
        } else {
            let Forgotten { items, objects } =
                forget(lake, store, &partitions, tokio::time::sleep(longest_reader)).await?;
            say!("{} generations forgotten: {items} items, {objects} annotations.", partitions.len());
        }
        Ok(())
    }
}

/// What went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Items of the table.
    pub items: usize,
    /// Annotations of the lake.
    pub objects: usize,
}

/// The generations that may be forgotten at `now`: neither of the last `days` days, nor the last one of a day of capture, nor
/// shown by any logic.
///
/// # Errors
/// If the lake or the table does not answer.
pub async fn superseded(
    lake: &Lake,
    store: &ContributionStore,
    now: DateTime<Utc>,
    days: u32,
) -> anyhow::Result<BTreeSet<Partition>> {
    let (first, last): (LocalDay, LocalDay) = ("0001-01-01".parse()?, "9999-12-31".parse()?);
    let captured = lake.bases(first, last).await?.into_iter().filter_map(|listed| listed.key.partition());
    let captured: BTreeSet<Partition> = captured.collect();
    let mut shown = BTreeSet::new();
    for logic in store.logics().await? {
        let pointers = store.pointers(&logic.logic, first, last).await?;
        shown.extend(pointers.into_iter().map(|pointer| pointer.partition));
    }
    Ok(choose(&captured, &shown, now - TimeDelta::days(days.into())))
}

fn choose(captured: &BTreeSet<Partition>, shown: &BTreeSet<Partition>, before: DateTime<Utc>) -> BTreeSet<Partition> {
    let at = |partition: &Partition| partition.generation.instant();
    // They come in order, so the last one of a day of capture stays.
    let last: BTreeMap<(LocalDay, NaiveDate), Partition> =
        captured.iter().map(|partition| ((partition.day, at(partition).date_naive()), *partition)).collect();
    let last: BTreeSet<Partition> = last.into_values().collect();
    let may_go =
        |partition: &&Partition| at(partition) < before && !last.contains(*partition) && !shown.contains(*partition);
    captured.iter().filter(may_go).copied().collect()
}

/// Forgets them: first that they were folded, so that nobody begins to read one; then, after `readers_left`, by when
/// whoever had begun has ended, the rest. So nobody reads half of one.
///
/// # Errors
/// If the lake or the table does not answer. Doing it again goes on.
pub async fn forget(
    lake: &Lake,
    store: &ContributionStore,
    partitions: &BTreeSet<Partition>,
    readers_left: impl Future<Output = ()>,
) -> anyhow::Result<Forgotten> {
    let items = if partitions.is_empty() { 0 } else { store.forget(partitions, readers_left).await? };
    let delete = |partition: Partition| async move { lake.delete_annotations(partition).await };
    let objects: Vec<usize> =
        stream::iter(partitions.iter().copied()).map(delete).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(Forgotten { items, objects: objects.into_iter().sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_generation_of_a_day_of_capture_what_is_shown_and_what_is_young_stay() {
        let partition = |generation: &str| Partition {
            day: "2026-08-03".parse().unwrap(),
            generation: generation.parse().unwrap(),
        };
        let [morning, noon, evening, next, shown, newest, young] = [
            "20260804T060000Z",
            "20260804T120000Z",
            "20260804T180000Z",
            "20260805T060000Z",
            "20260806T060000Z",
            "20260806T120000Z",
            "20260901T060000Z",
        ]
        .map(partition);
        let later = partition("20260901T120000Z");
        let captured = BTreeSet::from([morning, noon, evening, next, shown, newest, young, later]);
        let gone = |before: &str| choose(&captured, &BTreeSet::from([shown]), before.parse().unwrap());
        assert_eq!(gone("2026-08-25T00:00:00Z"), BTreeSet::from([morning, noon]));
        assert_eq!(gone("2026-08-04T12:00:00Z"), BTreeSet::from([morning]));
        assert_eq!(gone("2026-09-08T00:00:00Z"), BTreeSet::from([morning, noon, young]));
    }
}
