//! A dry run: what reading everything would do to each day, without the lease and without writing anything.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    lake::{Entity, LakeError, LakeKey, Partition, parquet_file::Reader},
    time::{Generation, LocalDay},
};

use super::{Captured, Input, Intake, IntakeError, Run, Sealing, content};
use crate::{
    base::activities,
    days::Output,
    keys::{Digest, digest},
    personal::Veil,
    record::Versions,
    translate::Dimensions,
};

/// What a run would do to the activities of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rehearsed {
    /// Not on this day yet.
    pub new: u64,
    /// On this day, with other content.
    pub changed: u64,
    /// On this day, the same.
    pub unchanged: u64,
    /// On this day, and not any more.
    pub gone: u64,
    /// Cannot be translated.
    pub rejected: u64,
}

/// What a run would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// By day.
    pub days: BTreeMap<LocalDay, Rehearsed>,
    /// Activities that cannot be translated, and whose day cannot be told either.
    pub rejected_on_no_day: u64,
    /// Activities that are still running.
    pub open: u64,
}

impl Intake {
    /// Says what a run that reads everything would do to the days that are asked for. Reads the source and the lake, and
    /// writes nothing.
    ///
    /// # Errors
    /// What would stop the run.
    pub async fn rehearse(
        &self,
        days: impl Fn(&LocalDay) -> bool,
        now: DateTime<Utc>,
    ) -> Result<Rehearsal, IntakeError> {
        let newest = self.captured().await?;
        let generation = Generation::mint(now, newest.values().map(|captured| captured.generation).max());
        let mut run = Run::new(self, newest, generation, now, &Input::Source);
        run.refused_on = Some(BTreeMap::new());
        run.rehearse(days).await
    }
}

/// The digests of the activities of a file, by those of their keys.
fn contents(key: &LakeKey, file: File) -> Result<HashMap<Digest, Digest>, IntakeError> {
    let mut contents = HashMap::new();
    for batch in Reader::open(key, file)?.batches(None)? {
        for activity in activities(key, &batch?)? {
            contents.insert(digest(&*activity.activity_id), content(&activity)?);
        }
    }
    Ok(contents)
}

impl Run<'_> {
    async fn rehearse(&mut self, days: impl Fn(&LocalDay) -> bool) -> Result<Rehearsal, IntakeError> {
        self.keeps_pseudonyms(None).await?;
        let (mut snapshot, columns, _) = self.open(&Versions::new()).await?;
        let mut captured = BTreeMap::new();
        for entity in [Entity::Teams, Entity::Users, Entity::Sprints, Entity::Stereotypes] {
            if let Some(members) = self.dimension(&mut snapshot, entity, &columns).await? {
                captured.insert(entity, members);
            }
        }
        let rules = self.rules(Dimensions::new(captured));
        let (Some(from), Some(columns)) =
            (rules.mapping.entities.get(&Entity::Activities), columns.get(Entity::Activities.name()))
        else {
            return Ok(Rehearsal::default());
        };
        let veil = Veil::new(self.intake.pseudonyms.as_ref(), Entity::Activities.name(), from, &columns.names);
        let sorting = self.everything(&mut snapshot, columns, &rules, &veil).await?;
        let Sealing { mut sealed, sorter } = sorting.finish().await;
        snapshot.close().await;

        let mut rehearsal = Rehearsal { open: self.record.counts.open, ..Rehearsal::default() };
        let mut gone = self.newest.clone();
        while let Some(output) = sealed.recv().await {
            match output {
                Output::Read { repeated, .. } => self.check_rejected(repeated)?,
                Output::Rejected(day, _) if days(&day) => {
                    rehearsal.days.entry(day).or_default().rejected += 1;
                }
                Output::Rejected(..) => {}
                Output::Day { day, rows, sealed } => {
                    let was = gone.remove(&day);
                    if !days(&day) {
                        continue;
                    }
                    let of_day = rehearsal.days.entry(day).or_default();
                    if was.is_some_and(|captured| captured.sha256 == sealed.sha256) {
                        of_day.unchanged += rows;
                        continue;
                    }
                    let mut before = self.held(day, was).await?;
                    let partition = Partition { day, generation: self.record.generation };
                    let key = LakeKey::Activities { partition, sha256: sealed.sha256 };
                    for (id, now) in contents(&key, sealed.reopen().map_err(LakeError::from)?)? {
                        match before.remove(&id) {
                            None => of_day.new += 1,
                            Some(before) if before == now => of_day.unchanged += 1,
                            Some(_) => of_day.changed += 1,
                        }
                    }
                    of_day.gone += before.len() as u64;
                }
            }
        }
        sorter.await.map_err(|_| IntakeError::Panicked)??;
        for (day, captured) in gone {
            let before = if days(&day) { self.held(day, Some(captured)).await?.len() } else { 0 };
            if before > 0 {
                rehearsal.days.entry(day).or_default().gone += before as u64;
            }
        }
        for (day, count) in self.refused_on.take().unwrap_or_default() {
            match day {
                None => rehearsal.rejected_on_no_day += count,
                Some(day) if days(&day) => rehearsal.days.entry(day).or_default().rejected += count,
                Some(_) => {}
            }
        }
        Ok(rehearsal)
    }

    /// What the lake holds of a day.
    async fn held(&self, day: LocalDay, was: Option<Captured>) -> Result<HashMap<Digest, Digest>, IntakeError> {
        let Some(key) = was.map(|captured| captured.key(day)) else { return Ok(HashMap::new()) };
        let file = self.intake.lake.fetch(&key).await?;
        contents(&key, file)
    }
}
