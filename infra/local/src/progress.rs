//! Telling a person, or a program, how far the days are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shared::{
    annotator::Logic,
    contribution::ContributionStore,
    lake::{LakeKey, Partition},
    time::LocalDay,
};

use crate::stack::Stack;

const EVERY: Duration = Duration::from_millis(300);

/// How progress is shown, on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A bar that names the day.
    Bar,
    /// One JSON line per day.
    Lines,
    /// Not at all.
    Nothing,
}

/// Says that the source is being read, until it is dropped; only to a person.
pub struct Reading(ProgressBar);

impl Reading {
    /// Starts saying so.
    pub fn new(show: Show) -> Self {
        let spinner = if show == Show::Bar { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        spinner.set_message("reading the source");
        spinner.enable_steady_tick(EVERY);
        Self(spinner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Days on their way to the table.
pub struct Progress {
    show: Show,
    bar: ProgressBar,
    pending: BTreeMap<LocalDay, BTreeSet<Partition>>,
    done: usize,
}

impl Progress {
    /// Progress of the days of `bases`. A day is there when each of them is.
    pub fn new<'a>(show: Show, bases: impl IntoIterator<Item = &'a LakeKey>) -> Self {
        let mut pending: BTreeMap<LocalDay, BTreeSet<Partition>> = BTreeMap::new();
        for partition in bases.into_iter().filter_map(LakeKey::partition) {
            pending.entry(partition.day).or_default().insert(partition);
        }
        let bar = match show {
            Show::Bar => ProgressBar::new(pending.len() as u64),
            Show::Lines | Show::Nothing => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} days  {msg}") {
            bar.set_style(style);
        }
        Self { show, bar, pending, done: 0 }
    }

    /// Watches the table until the queues are idle.
    pub async fn watch(&mut self, stack: &Stack) -> anyhow::Result<()> {
        let mut idle = std::pin::pin!(stack.bus.idle());
        loop {
            tokio::select! {
                () = &mut idle => break,
                () = tokio::time::sleep(EVERY) => self.look(&stack.store, stack.register.logic()).await?,
            }
        }
        self.look(&stack.store, stack.register.logic()).await
    }

    /// The days that are not there yet.
    pub fn pending(&self) -> impl Iterator<Item = &LocalDay> {
        self.pending.keys()
    }

    /// Looks once which days have arrived under `logic`.
    pub async fn look(&mut self, store: &ContributionStore, logic: &Logic) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (self.pending.keys().next(), self.pending.keys().next_back()) else {
            return Ok(());
        };
        let listed = store.generations(logic, *first, *last).await?;
        let total = self.done + self.pending.len();
        for pointer in listed {
            let day = pointer.partition.day;
            let Some(partitions) = self.pending.get_mut(&day) else { continue };
            partitions.remove(&pointer.partition);
            if !partitions.is_empty() {
                continue;
            }
            self.pending.remove(&day);
            self.done += 1;
            let Partition { day, generation } = pointer.partition;
            match self.show {
                Show::Bar => {
                    self.bar.set_message(day.to_string());
                    self.bar.inc(1);
                }
                Show::Lines => {
                    let (rows, seconds) = (pointer.total.rows, pointer.total.seconds);
                    let line = json!({
                        "day": day, "generation": generation, "rows": rows, "seconds": seconds,
                        "done": self.done, "of": total,
                    });
                    eprintln!("{line}");
                }
                Show::Nothing => {}
            }
        }
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
