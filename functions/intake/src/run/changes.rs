//! Reading what changed. The cursor only says which days did, and each of those is read whole; so is the day that a row came
//! from, which the lake knows. Whatever cannot be told for sure this way makes the run read everything.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::TryStreamExt;
use shared::{
    column::Columns,
    lake::{Entity, parquet_file::Reader},
    time::LocalDay,
};

use super::{IntakeError, Run, Sorting, content};
use crate::{
    base::{activities, unreadable},
    keys::{Digest, digest},
    personal::Veil,
    record::Reading,
    restrict::Restriction,
    source::Snapshot,
    translate::{ActivityTranslator, Rejected, Rules, Translated},
    watermark::Watermark,
};

/// Changed rows, keys on the days that are looked at, or refused rows: beyond this many of them reading everything needs less
/// memory.
const MOST_KEYS: usize = 200_000;
/// And beyond as many days, less time.
const MOST_DAYS: usize = 366;

/// Why everything is to be read after all.
type Why = &'static str;
const TOO_MUCH: Why = "too much changed";
const NO_KEY: Why = "a record has no key";
const REPEATED: Why = "a key comes more than once";
const NOT_COMPARED: Why = "the source cannot compare the columns that say when";
const MOVED: Why = "a row is on another day, and its cursor does not say that it changed";
const GONE: Why = "a row is gone from its day, and the source cannot be asked whether it is deleted";
const LEFT_OUT: Why = "a row that changed is not among those of its day";
const NO_INDEX: Why = "the positions of the activities are not those of the last run that read everything";

/// Leaves with a reason to read everything.
macro_rules! otherwise {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(why) => return Ok(Err(why)),
        }
    };
}

/// What became of a row that changed, or may have.
enum Outcome {
    /// It is on a day, and this is the digest of all that is known of it.
    Landed(LocalDay, Digest),
    Open,
    Rejected,
}

/// What the lake holds of some days.
#[derive(Default)]
struct Held {
    days: BTreeSet<LocalDay>,
    keys: HashMap<Digest, LocalDay>,
    /// Of the rows that changed: as they were.
    content: HashMap<Digest, Digest>,
}

/// What was refused before: none of it is on any day.
type RefusedKeys = HashSet<Digest>;

impl Run<'_> {
    /// Sorts the days that changed since `before`, and says which they are; or why everything is to be read, and then nothing
    /// is counted.
    pub(super) async fn changes(
        &mut self,
        snapshot: &mut Snapshot,
        source: Restriction<'_>,
        (rules, veil): (&Rules, &Veil<'_>),
        before: &Watermark,
    ) -> Result<Result<(Sorting, BTreeSet<LocalDay>), Option<Why>>, IntakeError> {
        let so_far = (self.read, self.record.counts, self.record.quarantined_by_reason.clone(), self.tally.clone());
        self.record.reading = Reading::Changes;
        let changes = self.read_changes(snapshot, source, (rules, veil), before).await?;
        if changes.is_err() {
            (self.read, self.record.counts, self.record.quarantined_by_reason, self.tally) = so_far;
            self.rejected.forget(Entity::Activities);
            self.record.reading = Reading::Whole;
            if let Some(live) = &mut self.live {
                live.newest = None;
            }
        }
        Ok(changes.map_err(Some))
    }

    async fn read_changes(
        &mut self,
        snapshot: &mut Snapshot,
        source: Restriction<'_>,
        (rules, veil): (&Rules, &Veil<'_>),
        before: &Watermark,
    ) -> Result<Result<(Sorting, BTreeSet<LocalDay>), Why>, IntakeError> {
        let Some(translator) = &rules.activities() else { return Ok(Err(NOT_COMPARED)) };
        let refused = otherwise!(self.refused_before().await?);
        let changed = otherwise!(self.changed_rows(snapshot, &source, (translator, veil), before, &refused).await?);
        let mut held = Held::default();
        let landed: BTreeSet<LocalDay> = changed.values().filter_map(Outcome::day).collect();
        if landed.len() + before.days.len() > MOST_DAYS {
            return Ok(Err(TOO_MUCH));
        }
        if !changed.is_empty() {
            for day in before.days.union(&landed) {
                otherwise!(self.look_at(*day, &mut held, landed.contains(day).then_some(&changed)).await?);
            }
        }

        // Where each row was: nowhere, on a day that is held, or where the index says.
        let unknown = changed.keys().filter(|key| !held.keys.contains_key(*key) && !refused.contains(*key));
        let unknown: Vec<Digest> = unknown.copied().collect();
        let elsewhere = otherwise!(self.found_elsewhere(&unknown, before, &held).await?);
        let mut days = BTreeSet::new();
        for (key, outcome) in &changed {
            let was = held.keys.get(key).or_else(|| elsewhere.get(key)).copied();
            match outcome {
                Outcome::Landed(day, now) if was == Some(*day) && held.content.get(key) == Some(now) => {}
                outcome => days.extend(outcome.day().into_iter().chain(was)),
            }
        }
        for day in &days {
            otherwise!(self.look_at(*day, &mut held, None).await?);
        }
        for outcome in changed.values() {
            match outcome {
                Outcome::Landed(day, _) if days.contains(day) => {}
                Outcome::Landed(..) => {
                    self.record.counts.read += 1;
                    self.record.counts.unchanged += 1;
                }
                Outcome::Open => {
                    self.record.counts.read += 1;
                    self.record.counts.open += 1;
                }
                Outcome::Rejected => self.record.counts.read += 1,
            }
        }

        let mut sorting = Sorting::start(self.intake.footer(), rules.clone());
        let mut seen: HashSet<Digest> = changed.keys().copied().collect();
        if !days.is_empty() {
            let Some(select) = source.on_days(&days) else { return Ok(Err(NOT_COMPARED)) };
            let known = Known { changed: &changed, held: &held, refused: &refused, days: &days };
            let read = self.read_days(snapshot, &source, &select, (translator, veil), &known, &mut sorting).await?;
            let Read { landed, others, strangers } = otherwise!(read);
            if !otherwise!(self.found_elsewhere(&strangers, before, &held).await?).is_empty() {
                return Ok(Err(MOVED));
            }
            let on_days = |(key, outcome): (&Digest, &Outcome)| {
                outcome.day().is_none_or(|day| !days.contains(&day)) || landed.contains(key)
            };
            if !changed.iter().all(on_days) {
                return Ok(Err(LEFT_OUT));
            }
            seen.extend(landed);
            seen.extend(others);
            // Deleted, or on a day that nobody looks at.
            let gone = held.keys.iter().filter(|(key, day)| days.contains(day) && !seen.contains(*key));
            let gone: HashMap<Digest, LocalDay> = gone.map(|(key, day)| (*key, *day)).collect();
            otherwise!(self.are_deleted(snapshot, &source, (translator, veil), &gone).await?);
        }
        self.keep_refused(&seen).await?;
        Ok(Ok((sorting, days)))
    }

    /// What is in quarantine.
    async fn refused_before(&self) -> Result<Result<RefusedKeys, Why>, IntakeError> {
        let mut keys = RefusedKeys::new();
        let Some(refused) = self.refused(Entity::Activities).await? else { return Ok(Ok(keys)) };
        for row in refused.rows()? {
            let row = row?;
            if row.key.is_empty() {
                return Ok(Err(NO_KEY));
            }
            // Which of several records has a key depends on all of them.
            if row.reason == "repeated_key" || !keys.insert(digest(&row.key)) {
                return Ok(Err(REPEATED));
            }
            if keys.len() > MOST_KEYS {
                return Ok(Err(TOO_MUCH));
            }
        }
        Ok(Ok(keys))
    }

    /// What is still refused although nobody has looked at it, because nothing says that it changed.
    async fn keep_refused(&mut self, seen: &HashSet<Digest>) -> Result<(), IntakeError> {
        let Some(refused) = self.refused(Entity::Activities).await? else { return Ok(()) };
        for row in refused.rows()? {
            let row = row?;
            if !seen.contains(&digest(&row.key)) {
                self.record.counts.read += 1;
                self.quarantine_row(Entity::Activities, row)?;
            }
        }
        Ok(())
    }

    /// Every row whose cursor says that it may have changed, and those whose cursor says nothing.
    async fn changed_rows(
        &mut self,
        snapshot: &mut Snapshot,
        source: &Restriction<'_>,
        (translator, veil): (&ActivityTranslator<'_>, &Veil<'_>),
        before: &Watermark,
        refused: &RefusedKeys,
    ) -> Result<Result<HashMap<Digest, Outcome>, Why>, IntakeError> {
        let Some(low) = before.settled.and_then(|settled| settled.checked_sub_signed(self.intake.pace.overlap)) else {
            return Ok(Err(NOT_COMPARED));
        };
        let Some(select) = source.changed_since(low) else { return Ok(Err(NOT_COMPARED)) };
        let mut changed = HashMap::new();
        let mut records = snapshot.records(&select, source.names());
        while let Some(record) = records.try_next().await? {
            let record = veil.over(record);
            self.in_time()?;
            self.record.source_rows += 1;
            let translated = translator.translate(&record);
            let at = translator.cursor(&record, &translated);
            // One at the very watermark may have been committed after it was read.
            if at.is_some_and(|at| at < low) {
                continue;
            }
            self.read += 1;
            if let Some(live) = &mut self.live {
                live.newest = live.bound.newest(live.newest, at);
            }
            let Some(key) = translator.key(&record).map(digest) else { return Ok(Err(NO_KEY)) };
            let outcome = match translated {
                Translated::Activity(day, activity, _) => Outcome::Landed(day, content(&activity)?),
                Translated::Open => Outcome::Open,
                Translated::Rejected(rejected) => {
                    self.reject_again(*rejected, refused.contains(&key))?;
                    Outcome::Rejected
                }
            };
            if changed.insert(key, outcome).is_some() {
                return Ok(Err(REPEATED));
            }
            if changed.len() > MOST_KEYS {
                return Ok(Err(TOO_MUCH));
            }
        }
        Ok(Ok(changed))
    }

    /// Keeps a refused record; one that was refused before says nothing new of the mapping.
    fn reject_again(&mut self, rejected: Rejected, before: bool) -> Result<(), IntakeError> {
        if before { self.quarantine_row(rejected.entity, rejected.into()) } else { self.reject(rejected) }
    }

    /// Looks at what the lake holds of a day: its keys, and of the rows `changed` what they were.
    async fn look_at(
        &self,
        day: LocalDay,
        held: &mut Held,
        changed: Option<&HashMap<Digest, Outcome>>,
    ) -> Result<Result<(), Why>, IntakeError> {
        if !held.days.insert(day) {
            return Ok(Ok(()));
        }
        let Some(captured) = self.newest.get(&day) else { return Ok(Ok(())) };
        let key = captured.key(day);
        let file = self.intake.lake.fetch(&key).await?;
        let columns = changed.is_none().then_some(&["activity_id"][..]);
        for batch in Reader::open(&key, file)?.batches(columns)? {
            let batch = batch?;
            let ids = batch.text("activity_id").map_err(|error| unreadable(&key, error))?;
            held.keys.extend(ids.iter().flatten().map(|id| (digest(id), day)));
            if held.keys.len() > MOST_KEYS {
                return Ok(Err(TOO_MUCH));
            }
            let Some(changed) = changed else { continue };
            for activity in activities(&key, &batch)? {
                let id = digest(&*activity.activity_id);
                if changed.contains_key(&id) {
                    held.content.insert(id, content(&activity)?);
                }
            }
        }
        Ok(Ok(()))
    }

    /// Which of `keys` were on a day that is not held, and on which.
    async fn found_elsewhere(
        &self,
        keys: &[Digest],
        before: &Watermark,
        held: &Held,
    ) -> Result<Result<HashMap<Digest, LocalDay>, Why>, IntakeError> {
        let found = self.intake.index.find(before.whole, before.parts, keys).await?;
        // Of a day that is held the lake itself knows better.
        let elsewhere =
            |found: HashMap<Digest, LocalDay>| found.into_iter().filter(|(_, day)| !held.days.contains(day)).collect();
        Ok(found.map(elsewhere).ok_or(NO_INDEX))
    }

    /// Whether the source has none of the rows any more that are `gone` from their days.
    async fn are_deleted(
        &mut self,
        snapshot: &mut Snapshot,
        source: &Restriction<'_>,
        (translator, veil): (&ActivityTranslator<'_>, &Veil<'_>),
        gone: &HashMap<Digest, LocalDay>,
    ) -> Result<Result<(), Why>, IntakeError> {
        if gone.is_empty() {
            return Ok(Ok(()));
        }
        let mut keys = Vec::new();
        for day in gone.values().collect::<BTreeSet<_>>() {
            let Some(key) = self.newest.get(day).map(|captured| captured.key(*day)) else { continue };
            let file = self.intake.lake.fetch(&key).await?;
            for batch in Reader::open(&key, file)?.batches(Some(&["activity_id"]))? {
                let batch = batch?;
                let ids = batch.text("activity_id").map_err(|error| unreadable(&key, error))?;
                keys.extend(ids.iter().flatten().filter(|id| gone.contains_key(&digest(id))).map(str::to_owned));
            }
        }
        let Some(select) = source.with_keys(&keys, veil) else { return Ok(Err(GONE)) };
        let mut records = snapshot.records(&select, source.names());
        while let Some(record) = records.try_next().await? {
            let record = veil.over(record);
            self.in_time()?;
            self.record.source_rows += 1;
            if translator.key(&record).is_some_and(|key| gone.contains_key(&digest(key))) {
                return Ok(Err(MOVED));
            }
        }
        Ok(Ok(()))
    }

    /// Reads the days that changed, whole.
    async fn read_days(
        &mut self,
        snapshot: &mut Snapshot,
        source: &Restriction<'_>,
        select: &str,
        (translator, veil): (&ActivityTranslator<'_>, &Veil<'_>),
        known: &Known<'_>,
        sorting: &mut Sorting,
    ) -> Result<Result<Read, Why>, IntakeError> {
        let mut read = Read::default();
        let mut records = snapshot.records(select, source.names());
        while let Some(record) = records.try_next().await? {
            let record = veil.over(record);
            self.in_time()?;
            self.record.source_rows += 1;
            let Some(key) = translator.key(&record).map(digest) else { return Ok(Err(NO_KEY)) };
            let translated = translator.place(&record);
            let landed = match &translated {
                // A neighbour.
                Translated::Activity(day, ..) if !known.days.contains(day) => continue,
                Translated::Activity(day, ..) if known.changed.get(&key).is_some_and(|one| one.day() != Some(*day)) => {
                    return Ok(Err(REPEATED));
                }
                Translated::Activity(..) => true,
                // Counted already.
                Translated::Open | Translated::Rejected(_) if known.changed.contains_key(&key) => continue,
                Translated::Open | Translated::Rejected(_) => false,
            };
            if !(if landed { &mut read.landed } else { &mut read.others }).insert(key) {
                return Ok(Err(REPEATED));
            }
            match known.held.keys.get(&key) {
                _ if known.changed.contains_key(&key) || known.refused.contains(&key) => {}
                Some(day) if known.days.contains(day) => {}
                Some(_) => return Ok(Err(MOVED)),
                None => read.strangers.push(key),
            }
            if read.landed.len() + read.others.len() > MOST_KEYS {
                return Ok(Err(TOO_MUCH));
            }
            self.read += 1;
            self.record.counts.read += 1;
            match translated {
                Translated::Open => self.record.counts.open += 1,
                Translated::Rejected(rejected) => self.reject_again(*rejected, known.refused.contains(&key))?,
                Translated::Activity(day, activity, found) => {
                    if !sorting.put_record(day, &activity, &found, &record).await? {
                        break;
                    }
                }
            }
        }
        Ok(Ok(read))
    }
}

impl Outcome {
    fn day(&self) -> Option<LocalDay> {
        match self {
            Self::Landed(day, _) => Some(*day),
            Self::Open | Self::Rejected => None,
        }
    }
}

/// What is known before the days are read.
struct Known<'a> {
    changed: &'a HashMap<Digest, Outcome>,
    held: &'a Held,
    refused: &'a RefusedKeys,
    days: &'a BTreeSet<LocalDay>,
}

/// Which rows the days have.
#[derive(Default)]
struct Read {
    landed: HashSet<Digest>,
    /// Open or refused.
    others: HashSet<Digest>,
    /// Those that nobody has heard of.
    strangers: Vec<Digest>,
}
