//! Reading everything: one thread reads records, another one translates them, and a third one sorts.

use std::mem;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use shared::time::LocalDay;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
};

use super::{IntakeError, Lane, Run, Sorting};
use crate::{
    days::DaysError,
    fit::Fitted,
    personal::Veil,
    source::{Blanks, Record, Snapshot},
    translate::{Rejected, Rules, Translated},
    watermark::Bound,
};

/// Records that are handed on at a time, and the bytes of them, whichever is reached first.
const ROWS: usize = 512;
const BYTES: usize = 256 * 1024;

/// Bytes of records that may wait to be translated.
const AHEAD: u32 = 1024 * 1024;

/// Records being translated on a thread of their own: records go in, what became of them comes out, and activities go on to the
/// sorter.
struct Translating {
    to_translator: Lane<Vec<Record>>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    translator: JoinHandle<Result<Sorting, DaysError>>,
}

/// What became of some records that did not go on.
#[derive(Default)]
struct Outcome {
    open: u64,
    /// And their days, as far as that can be told.
    rejected: Vec<(Option<LocalDay>, Box<Rejected>)>,
    /// The newest change so far, within the bound.
    newest: Option<DateTime<Utc>>,
}

impl Translating {
    fn start(rules: Rules, bound: Option<Bound>, blanks: Blanks, sorting: Sorting) -> Self {
        let (to_translator, records) = Lane::new(AHEAD);
        let (to_reader, outcomes) = mpsc::unbounded_channel();
        let translator = tokio::spawn(translate(rules, bound, records, blanks, to_reader, sorting));
        Self { to_translator, outcomes, translator }
    }

    /// Hands on records of so many bytes. Returns whether they are still wanted; if not, [`Translating::finish`] says why.
    async fn hand_on(&self, records: Vec<Record>, bytes: usize) -> bool {
        let Some(permit) = self.to_translator.room_for(bytes).await else { return false };
        self.to_translator.send(records, permit)
    }

    /// Everything is in. Returns where the activities went, and what is still to be told of others.
    async fn finish(self) -> Result<(Sorting, mpsc::UnboundedReceiver<Outcome>), IntakeError> {
        let Self { to_translator, outcomes, translator } = self;
        drop(to_translator);
        let sorting = translator.await.map_err(|_| IntakeError::Panicked)??;
        Ok((sorting, outcomes))
    }
}

async fn translate(
    rules: Rules,
    bound: Option<Bound>,
    mut records: mpsc::UnboundedReceiver<(Vec<Record>, OwnedSemaphorePermit)>,
    blanks: Blanks,
    to_reader: mpsc::UnboundedSender<Outcome>,
    mut sorting: Sorting,
) -> Result<Sorting, DaysError> {
    let Some(translator) = rules.activities() else { return Ok(sorting) };
    let mut newest = None;
    while let Some((records, _permit)) = records.recv().await {
        let mut outcome = Outcome::default();
        for record in &records {
            let translated = translator.place(record);
            if let Some(bound) = &bound {
                newest = bound.newest(newest, translator.cursor(record, &translated));
            }
            match translated {
                Translated::Open => outcome.open += 1,
                Translated::Rejected(rejected) => outcome.rejected.push((translator.day(record), rejected)),
                Translated::Activity(day, activity, found) => {
                    if !sorting.put_record(day, &activity, &found, record).await? {
                        return Ok(sorting);
                    }
                }
            }
        }
        blanks.take_back(records);
        // If the reader is gone, nobody needs it.
        let _ = to_reader.send(Outcome { newest, ..outcome });
    }
    Ok(sorting)
}

impl Run<'_> {
    /// Reads every activity.
    pub(super) async fn everything(
        &mut self,
        snapshot: &mut Snapshot,
        read: &Fitted,
        rules: &Rules,
        veil: &Veil<'_>,
    ) -> Result<Sorting, IntakeError> {
        let sorting = Sorting::start(self.intake.footer(), rules.clone());
        let bound = self.live.as_ref().map(|live| live.bound.clone());
        let mut translating = Translating::start(rules.clone(), bound, snapshot.blanks(), sorting);
        let mut records = snapshot.all_records(&read.select, read.names.clone());
        let (mut together, mut bytes) = (Vec::with_capacity(ROWS), 0);
        while let Some(record) = records.try_next().await? {
            let record = veil.over(record);
            self.in_time()?;
            self.read += 1;
            self.record.source_rows += 1;
            self.record.counts.read += 1;
            bytes += record.bytes();
            together.push(record);
            if together.len() == ROWS || bytes >= BYTES {
                let next = mem::replace(&mut together, Vec::with_capacity(ROWS));
                if !translating.hand_on(next, mem::take(&mut bytes)).await {
                    break;
                }
                while let Ok(outcome) = translating.outcomes.try_recv() {
                    self.account_for(outcome)?;
                }
            }
        }
        drop(records);
        // If the translator is gone, it says why.
        translating.hand_on(together, bytes).await;
        let (sorting, mut outcomes) = translating.finish().await?;
        while let Some(outcome) = outcomes.recv().await {
            self.account_for(outcome)?;
        }
        Ok(sorting)
    }

    fn account_for(&mut self, Outcome { open, rejected, newest }: Outcome) -> Result<(), IntakeError> {
        self.record.counts.open += open;
        if let Some(live) = &mut self.live {
            live.newest = live.newest.max(newest);
        }
        for (day, rejected) in rejected {
            if let Some(refused_on) = &mut self.refused_on {
                *refused_on.entry(day).or_default() += 1;
            }
            self.reject(*rejected)?;
        }
        Ok(())
    }
}
