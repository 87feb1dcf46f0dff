//! One intake run, from the lease to the run record.
//!
//! Order of effects: lease and new generation, snapshot, objects (create-only), run record, watermark, lease given back. A
//! crash anywhere leaves objects that are true of their generation; the next run is a new generation and finds days that
//! are in the lake already by their digest. Only deterministic data errors are quarantined: anything else fails the run.

mod changes;
mod everything;
pub mod rehearse;
mod replay;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::TryStreamExt;
use parquet::errors::ParquetError;
use shared::{
    activity::Activity,
    dimension::{self, Member},
    lake::{Created, Entity, Lake, LakeError, LakeKey, Partition, Sealed, Sha256, parquet_file::Writer},
    pseudonym::{PseudonymKey, pseudonym},
    telemetry::chain,
    time::{Generation, LocalDay},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use crate::{
    budget::Budget,
    days::{DaysError, Output, empty_day, seal_days},
    fit::{Fitted, fits_columns, fits_database, versions},
    found::Found,
    keys::{Digest, digest},
    lease::{Lease, LeaseError, Leases, Selects},
    mapping::{CURSOR, Database, EntityMapping, MEMBERSHIPS, Mapping, MappingError},
    personal::{Veil, can_be_hidden, hidden_under},
    placed::Placed,
    positions::{Index, Positions, PositionsError},
    provenance::{self, hidden},
    quarantine::{Quarantine, QuarantineError, Row},
    record::{Counts, Days, Reading, RunRecord, Versions},
    restrict::Restriction,
    secret::Source,
    source::{Record, Snapshot, SourceError},
    stays::{Memberships, remember},
    translate::{Dimensions, Rejected, Rules, dimension as translate_dimension, key, membership},
    watermark::{Bound, Conditions, Pace, Watermark, of_dimensions, of_lake},
};

/// A run may refuse this many records, whatever their share,
const FEW: u64 = 50;
/// or this share of all that it read, in percent. Beyond both it is not the records that are wrong.
const FEW_PERCENT: u64 = 5;

/// Why a run failed. Nothing that was captured before is touched by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// The mapping does not fit the source.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Another run is under way, or the table did not answer.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The lake did not take or give an object.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The days could not be made.
    #[error(transparent)]
    Days(#[from] DaysError),
    /// Too many records cannot be translated.
    #[error(transparent)]
    TooManyRejected(Box<TooManyRejected>),
    /// What was refused could not be kept.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// The index of the lake could not be read or kept.
    #[error(transparent)]
    Positions(#[from] PositionsError),
    /// A file could not be written.
    #[error("a file could not be written as Parquet")]
    Write(#[from] ParquetError),
    /// A record is not accounted for. The lake is not to be trusted to be complete; please report it.
    #[error("records are missing: read {0:?}")]
    Unbalanced(Counts),
    /// What is in quarantine was kept under another key.
    #[error(
        "what is in quarantine was not kept under this key of the pseudonyms, or the mapping hides other columns now; read the \
         source once, and replay what is refused then"
    )]
    OtherPseudonyms,
    /// People have pseudonyms in the lake, and there is no key.
    #[error(
        "people have pseudonyms in this lake, and there is no key for them now, so nothing was read; set PSEUDONYM_SECRET_ARN, or \
         PSEUDONYM_KEY_FILE on this machine, as it was. To know people by name, start with a lake that is empty"
    )]
    NoPseudonymKey,
    /// There was no time for a single day.
    #[error(
        "the time was over before any day was written that is new, and the next run would come no further; give the function \
         more memory, which is more processor too, or let the SELECT give less"
    )]
    NoTime,
    /// Translating or sorting panicked.
    #[error("translating or sorting the activities panicked")]
    Panicked,
}

/// More than a few records cannot be translated: the mapping or the source is wrong, not the records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}:{line}: {rejected} of {read} records cannot be translated, so nothing was written; most often, {count} times, \
     {section}.{field} is `{reason}`: {message}"
)]
pub struct TooManyRejected {
    /// The mapping's file.
    pub file: String,
    /// The line that declares the field, or else its section.
    pub line: usize,
    /// Refused records of all sections.
    pub rejected: u64,
    /// Records of all sections.
    pub read: u64,
    /// How often the most frequent reason occurred.
    pub count: u64,
    /// The section that it occurred in.
    pub section: &'static str,
    /// The canonical field.
    pub field: &'static str,
    /// The reason's code.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Everything that a run needs.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Where objects go.
    pub lake: Lake,
    /// Who may run.
    pub leases: Leases,
    /// How the source is read.
    pub mapping: Mapping,
    /// Where the source is.
    pub source: Source,
    /// The organisation's zone: it decides the local day where neither the record nor the person has one.
    pub time_zone: Tz,
    /// How a live source is read.
    pub pace: Pace,
    /// How much time a run has.
    pub budget: Budget,
    /// The key of the pseudonyms, where people are not to be known.
    pub pseudonyms: Option<PseudonymKey>,
    pub(crate) index: Index,
}

impl Intake {
    /// An intake whose lease lies in `table`, for an organisation in `time_zone`. Fails if the mapping is for another zone.
    pub fn new(
        lake: Lake,
        dynamodb: Client,
        table: &str,
        mapping: Mapping,
        source: Source,
        time_zone: Tz,
    ) -> Result<Self, MappingError> {
        match mapping.time_zone {
            Some(stated) if stated != time_zone => {
                let problem = format!(
                    "the mapping is for the time zone {stated}, and the organisation's is {time_zone}; set \
                     ORGANISATION_TIME_ZONE, or leave `time_zone` out of [source]"
                );
                Err(MappingError { file: mapping.file, line: 0, problem })
            }
            _ => Ok(Self {
                lake,
                leases: Leases::new(dynamodb.clone(), table),
                mapping,
                source,
                time_zone,
                pace: Pace::default(),
                budget: Budget::default(),
                pseudonyms: None,
                index: Index::new(dynamodb, table),
            }),
        }
    }

    /// Runs once. A run that fails after its lease leaves a record that says why.
    pub async fn run(&self, now: DateTime<Utc>) -> Result<RunRecord, IntakeError> {
        self.attempt(now, Input::Source).await
    }

    /// Translates what is in quarantine again, by the present mapping and without the source; what can be translated now is
    /// merged into its days, as a new generation. Nothing else changes: the next run of the source would write the same.
    ///
    /// Records whose key another one has stay, and so do those that lack a column which the mapping reads now: both need the
    /// source.
    pub async fn replay(&self, now: DateTime<Utc>) -> Result<RunRecord, IntakeError> {
        self.attempt(now, Input::Quarantine).await
    }

    /// The newest object of every day.
    async fn captured(&self) -> Result<BTreeMap<LocalDay, Captured>, LakeError> {
        Ok(self.lake.newest_bases(None).await?.iter().filter_map(Captured::of).collect())
    }

    /// Under which key people have pseudonyms, if they do.
    fn hidden_under(&self) -> Option<String> {
        self.pseudonyms.as_ref().map(|key| hidden_under(key, &self.mapping))
    }

    /// The footer of everything that is captured.
    fn footer(&self) -> BTreeMap<String, String> {
        provenance::footer(&self.mapping.name, self.hidden_under())
    }

    async fn attempt(&self, now: DateTime<Utc>, from: Input) -> Result<RunRecord, IntakeError> {
        let begun = Instant::now();
        let newest = self.captured().await?;
        let newest_generation = newest.values().map(|captured| captured.generation).max();
        let lease = self.leases.acquire(newest_generation, now).await?;
        let mut run = Run::new(self, newest, lease.generation, now, &from);
        let outcome = match (run.keeps_pseudonyms(lease.watermark.as_ref()).await, from) {
            (Ok(()), Input::Source) => run.capture(&lease).await,
            (Ok(()), Input::Quarantine) => run.replay().await,
            (refused, _) => refused,
        };
        if let Err(error) = &outcome {
            run.record.failed = Some(chain(error));
        }
        if run.stopped {
            let Counts { read, written, unchanged, quarantined, open, .. } = run.record.counts;
            let left = read.saturating_sub(written + unchanged + quarantined + open);
            run.record.counts.left = left;
            run.record.failed =
                Some(format!("the time was over: {left} activities are left, and the next run goes on with them"));
        }
        let recorded = run.keep_record().await;
        if outcome.is_ok() && recorded.is_ok() && !run.stopped {
            let now = now + TimeDelta::from_std(begun.elapsed()).unwrap_or_default();
            // What was captured is captured. Without a watermark the next run reads everything.
            match run.settle(&lease, now).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("the lease ran out, so the watermark stays where it was"),
                Err(error) => tracing::warn!(error = chain(&error), "the watermark stays where it was"),
            }
        }
        // The lease goes back whatever happened; if that fails too, it runs out by itself.
        let released = lease.release().await;
        outcome?;
        recorded?;
        released?;
        Ok(run.record)
    }
}

/// Where an attempt reads from.
enum Input {
    Source,
    Quarantine,
}

/// The newest object of a day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Captured {
    pub(crate) generation: Generation,
    pub(crate) sha256: Sha256,
}

impl Captured {
    fn of(key: &LakeKey) -> Option<(LocalDay, Self)> {
        let Partition { day, generation } = key.partition()?;
        Some((day, Self { generation, sha256: key.sha256()? }))
    }

    fn key(self, day: LocalDay) -> LakeKey {
        let Self { generation, sha256 } = self;
        LakeKey::Activities { partition: Partition { day, generation }, sha256 }
    }
}

/// By section of the mapping: what its SELECT yields.
type SourceColumns = BTreeMap<&'static str, Fitted>;

/// A source that may be read by what changed.
struct Live {
    before: Option<Watermark>,
    /// What holds for this run.
    conditions: Conditions,
    bound: Bound,
    /// The newest change within the bound.
    newest: Option<DateTime<Utc>>,
}

/// To another thread.
struct Lane<T> {
    /// Bytes that may wait there.
    most: u32,
    /// What waits has a permit for each byte of it.
    room: Arc<Semaphore>,
    to: mpsc::UnboundedSender<(T, OwnedSemaphorePermit)>,
}

impl<T> Lane<T> {
    /// And where what is sent arrives.
    fn new(most: u32) -> (Self, mpsc::UnboundedReceiver<(T, OwnedSemaphorePermit)>) {
        let (to, arriving) = mpsc::unbounded_channel();
        (Self { most, room: Arc::new(Semaphore::new(most as usize)), to }, arriving)
    }

    /// Waits until so many bytes may be sent, and returns what they are sent with.
    async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        // What is longer than all that may wait, waits alone.
        let bytes = u32::try_from(bytes).unwrap_or(self.most).min(self.most);
        self.room.clone().acquire_many_owned(bytes).await.ok()
    }

    /// Returns whether somebody takes it.
    fn send(&self, item: T, permit: OwnedSemaphorePermit) -> bool {
        self.to.send((item, permit)).is_ok()
    }
}

/// Bytes of text that may wait for the sorter: it takes none while it spills, and the reader is to go on.
const AHEAD: u32 = 8 * 1024 * 1024;

/// Days being made on threads of their own: activities go in, sealed days come out.
struct Sorting {
    placed: Placed,
    to_sorter: Lane<Placed>,
    /// What was sorted gives its memory back: new memory is to be had only from the system.
    used: mpsc::UnboundedReceiver<Placed>,
    sorted: Sealing,
}

/// What comes out, once everything is in.
struct Sealing {
    sealed: mpsc::Receiver<Output>,
    sorter: JoinHandle<Result<(), DaysError>>,
}

impl Sorting {
    /// With the footer of every day, and how activities are translated.
    fn start(footer: BTreeMap<String, String>, rules: Rules) -> Self {
        let (to_sorter, mut placed) = Lane::new(AHEAD);
        let (to_reader, used) = mpsc::unbounded_channel();
        let (to_publisher, sealed) = mpsc::channel::<Output>(4);
        let sorter = tokio::task::spawn_blocking(move || {
            let placed = std::iter::from_fn(move || placed.blocking_recv().map(|(placed, _)| placed));
            let emit = |output| to_publisher.blocking_send(output).map_err(|_| DaysError::Stopped);
            match rules.activities() {
                // If the reader is gone, nobody needs it.
                Some(translator) => seal_days(&footer, placed, |used| drop(to_reader.send(used)), &translator, emit),
                None => Ok(()),
            }
        });
        Self { placed: Placed::default(), to_sorter, used, sorted: Sealing { sealed, sorter } }
    }

    /// Puts an activity in. Returns whether the sorter is still there; if not, it says why when it is waited for.
    async fn put(
        &mut self,
        day: LocalDay,
        activity: &Activity<'_>,
        record: Option<&Record>,
    ) -> Result<bool, DaysError> {
        Ok(!self.placed.put(day, activity, record)? || self.hand_on().await)
    }

    /// The same, for one that was placed by `record`.
    async fn put_record(
        &mut self,
        day: LocalDay,
        activity: &Activity<'_>,
        found: &Found,
        record: &Record,
    ) -> Result<bool, DaysError> {
        Ok(!self.placed.put_record(day, activity, found, record)? || self.hand_on().await)
    }

    async fn hand_on(&mut self) -> bool {
        let Some(permit) = self.to_sorter.room_for(self.placed.rows.bytes()).await else { return false };
        let placed = self.placed.take(self.used.try_recv().ok());
        self.to_sorter.send(placed, permit)
    }

    /// Everything is in.
    async fn finish(mut self) -> Sealing {
        // If the sorter is gone, it says why when it is waited for.
        self.hand_on().await;
        self.sorted
    }
}

/// Of all that is known of an activity.
fn content(activity: &Activity<'_>) -> Result<Digest, IntakeError> {
    Ok(digest(serde_json::to_vec(activity).map_err(std::io::Error::from).map_err(LakeError::from)?))
}

struct Run<'a> {
    intake: &'a Intake,
    newest: BTreeMap<LocalDay, Captured>,
    record: RunRecord,
    /// Records of every entity.
    read: u64,
    rejected: Quarantine,
    /// How often each section, field and reason was refused, and what was said the first time.
    tally: BTreeMap<(&'static str, &'static str, &'static str), (u64, String)>,
    live: Option<Live>,
    /// Where every activity is, once everything is read.
    positions: Option<Positions>,
    /// Days that this run wrote.
    days: BTreeSet<LocalDay>,
    /// Whether it had no time for all days.
    stopped: bool,
    /// In a rehearsal: how many activities were refused, by day as far as that can be told.
    refused_on: Option<BTreeMap<Option<LocalDay>, u64>>,
}

/// A dimension that waits until the run knows that it may publish.
struct Waiting {
    entity: Entity,
    sealed: Sealed,
}

impl<'a> Run<'a> {
    fn new(
        intake: &'a Intake,
        newest: BTreeMap<LocalDay, Captured>,
        generation: Generation,
        now: DateTime<Utc>,
        from: &Input,
    ) -> Self {
        Self {
            intake,
            newest,
            record: RunRecord {
                generation,
                source: intake.mapping.name.clone(),
                mapping_sha256: intake.mapping.sha256.to_string(),
                started_at: now,
                failed: None,
                replayed: matches!(from, Input::Quarantine),
                reading: Reading::Whole,
                because: None,
                selects: Versions::new(),
                source_rows: 0,
                settled: None,
                settled_until: None,
                counts: Counts::default(),
                quarantined_by_reason: BTreeMap::new(),
                days: Days::default(),
                dimensions_written: Vec::new(),
                objects: Vec::new(),
            },
            read: 0,
            rejected: Quarantine::default(),
            tally: BTreeMap::new(),
            live: None,
            positions: None,
            days: BTreeSet::new(),
            stopped: false,
            refused_on: None,
        }
    }

    /// Refuses a run without the key where people have pseudonyms: by the watermark, or by the newest files if the table knows
    /// nothing of this lake as it is.
    async fn keeps_pseudonyms(&self, watermark: Option<&Watermark>) -> Result<(), IntakeError> {
        let Intake { lake, pseudonyms, .. } = self.intake;
        if pseudonyms.is_some() {
            return Ok(());
        }
        let conditions = watermark.map(|watermark| &watermark.conditions);
        if let Some(known) = conditions.filter(|known| known.lake == of_lake(&self.newest)) {
            return if known.pseudonyms.is_some() { Err(IntakeError::NoPseudonymKey) } else { Ok(()) };
        }
        let day = self.newest.iter().max_by_key(|(_, captured)| captured.generation);
        let day = day.map(|(day, captured)| captured.key(*day));
        let users = lake.list(&format!("dimensions/{}/", Entity::Users.name()), None).await?.pop();
        for key in day.into_iter().chain(users.map(|users| users.key)) {
            if hidden(&key, lake.fetch(&key).await?)?.is_some() {
                return Err(IntakeError::NoPseudonymKey);
            }
        }
        Ok(())
    }

    /// Opens the source, if the mapping fits it.
    async fn open(&mut self, before: &Versions) -> Result<(Snapshot, SourceColumns, Database), IntakeError> {
        let Intake { mapping, source, pseudonyms, .. } = self.intake;
        let address = source.address().await.map_err(SourceError::from)?;
        fits_database(mapping, &address)?;
        if pseudonyms.is_some() {
            can_be_hidden(mapping)?;
        }
        let mut snapshot = Snapshot::open(&address).await?;
        let columns = fits_columns(mapping, &mut snapshot, before).await?;
        self.record.selects = versions(mapping, &columns);
        Ok((snapshot, columns, address.database()))
    }

    async fn capture(&mut self, lease: &Lease) -> Result<(), IntakeError> {
        let read_before = lease.selects.as_ref().filter(|selects| selects.mapping == self.record.mapping_sha256);
        let read_before = read_before.map(|selects| selects.versions.clone()).unwrap_or_default();
        let (mut snapshot, columns, database) = self.open(&read_before).await?;
        let (mut captured, mut waiting) = (BTreeMap::new(), Vec::new());
        for entity in [Entity::Teams, Entity::Users, Entity::Sprints, Entity::Stereotypes] {
            if let Some(members) = self.dimension(&mut snapshot, entity, &columns).await? {
                waiting.push(Waiting { entity, sealed: self.seal_dimension(entity, &members)? });
                captured.insert(entity, members);
            }
        }
        self.live = self.live(&snapshot, lease.watermark.as_ref(), &captured);
        self.record.settled_until = self.live.as_ref().and_then(|live| live.bound.until);
        self.activities(snapshot, &columns, Dimensions::new(captured), waiting, database).await?;
        self.quarantine().await?;
        self.record.settled = self.live.as_ref().and_then(|live| match (&self.record.reading, &live.before) {
            (Reading::Changes, Some(before)) => before.settled.max(live.newest),
            _ => live.newest,
        });
        if !self.stopped && !self.record.counts.balanced() {
            return Err(IntakeError::Unbalanced(self.record.counts));
        }
        Ok(())
    }

    /// What reading by the cursor needs to know, if the mapping has one and the source tells what is under way in it.
    fn live(
        &self,
        snapshot: &Snapshot,
        before: Option<&Watermark>,
        captured: &BTreeMap<Entity, Vec<Member>>,
    ) -> Option<Live> {
        let Intake { mapping, time_zone, .. } = self.intake;
        mapping.entities.get(&Entity::Activities)?.columns.get(CURSOR)?;
        let conditions = Conditions {
            mapping: mapping.sha256.to_string(),
            time_zone: time_zone.name().to_owned(),
            pseudonyms: self.intake.hidden_under(),
            dimensions: of_dimensions(captured),
            lake: of_lake(&self.newest),
        };
        let bound = Bound::new(snapshot.moment()?, before, self.record.started_at);
        Some(Live { before: before.cloned(), conditions, bound, newest: None })
    }

    /// From where on changes are enough, or why everything is to be read: where the mapping has a cursor, in words.
    fn since(&self) -> Result<Watermark, Option<&'static str>> {
        let Some(live) = &self.live else {
            let from = self.intake.mapping.entities.get(&Entity::Activities);
            let cursor = from.is_some_and(|from| from.columns.contains_key(CURSOR));
            return Err(cursor.then_some("the source does not tell which transactions are under way"));
        };
        let before = live.before.as_ref().ok_or("there is no watermark")?;
        if let Some(differs) = before.conditions.differ(&live.conditions) {
            return Err(Some(differs));
        }
        if self.record.generation.instant() - before.whole.instant() >= self.intake.pace.reconcile_every {
            return Err(Some("it is time to reconcile"));
        }
        before.settled.ok_or("nothing is settled yet")?;
        Ok(before.clone())
    }

    /// Leaves behind what the next run starts from. Returns whether the lease still allowed it.
    async fn settle(&mut self, lease: &Lease, now: DateTime<Utc>) -> Result<bool, IntakeError> {
        let (mapping, versions) = (self.record.mapping_sha256.clone(), self.record.selects.clone());
        let selects = Selects { mapping, versions };
        let news = !self.record.replayed && lease.selects.as_ref() != Some(&selects);
        if news && !lease.read_by(&selects, now).await? {
            return Ok(false);
        }
        let Some(live) = self.live.take() else { return Ok(true) };
        let (whole, parts, mut days) = match (self.positions.take(), live.before) {
            (Some(positions), _) => {
                let generation = self.record.generation;
                (generation, self.intake.index.keep(generation, positions).await?, BTreeSet::new())
            }
            (None, Some(before)) => (before.whole, before.parts, before.days),
            (None, None) => return Ok(true),
        };
        if whole != self.record.generation {
            days.append(&mut self.days);
        }
        let Bound { looked_at, running, .. } = live.bound;
        let conditions = Conditions { lake: of_lake(&self.newest), ..live.conditions };
        let settled = self.record.settled;
        Ok(lease.move_to(&Watermark { settled, looked_at, running, whole, parts, days, conditions }, now).await?)
    }

    async fn dimension(
        &mut self,
        snapshot: &mut Snapshot,
        entity: Entity,
        columns: &SourceColumns,
    ) -> Result<Option<Vec<Member>>, IntakeError> {
        let mapping = &self.intake.mapping;
        let (Some(from), Some(of_entity)) = (mapping.entities.get(&entity), columns.get(entity.name())) else {
            return Ok(None);
        };
        let mut records = snapshot.records(&of_entity.select, of_entity.names.clone());
        let mut members: BTreeMap<String, Member> = BTreeMap::new();
        let veil = Veil::new(self.intake.pseudonyms.as_ref(), entity.name(), from, &of_entity.names);
        while let Some(record) = records.try_next().await? {
            let record = veil.over(record);
            self.in_time()?;
            self.read += 1;
            match translate_dimension(entity, from, self.intake.time_zone, &record) {
                Ok(member) => match members.get(&member.id) {
                    None => {
                        members.insert(member.id.clone(), member);
                    }
                    Some(_) => self.reject(Rejected::repeated(entity, key(entity), member.id, member.source_row))?,
                },
                Err(rejected) => self.reject(*rejected)?,
            }
        }
        drop(records);
        let said = match entity {
            Entity::Users => self.memberships(snapshot, &members, columns).await?,
            _ => Memberships::new(),
        };
        let mut members: Vec<Member> = members.into_values().collect();
        if entity == Entity::Users {
            let mut before = dimension::newest_whole(&self.intake.lake, entity).await?.1;
            if let Some(key) = &self.intake.pseudonyms {
                // Whoever was captured by name before is the same person.
                let known: BTreeSet<String> = members.iter().map(|member| member.id.clone()).collect();
                for member in &mut before {
                    let hidden = pseudonym(key, &member.id);
                    if known.contains(&hidden) {
                        member.id = hidden;
                        member.stays.iter_mut().for_each(|stay| stay.source_row = None);
                    }
                }
            }
            let today = self.record.generation.instant().with_timezone(&self.intake.time_zone).date_naive();
            remember(&mut members, before, said, LocalDay(today));
        }
        Ok(Some(members))
    }

    fn seal_dimension(&self, entity: Entity, members: &[Member]) -> Result<Sealed, ParquetError> {
        let mut writer = Writer::new(dimension::schema(entity), &self.intake.footer())?;
        writer.write(&dimension::to_batch(entity, members).map_err(ParquetError::from)?)?;
        writer.finish()
    }

    async fn publish_dimension(&mut self, Waiting { entity, sealed }: Waiting) -> Result<(), IntakeError> {
        let (generation, sha256) = (self.record.generation, sealed.sha256);
        let prefix = format!("dimensions/{}/", entity.name());
        if self.keep(&prefix, LakeKey::Dimension { entity, generation, sha256 }, &sealed).await? {
            self.record.dimensions_written.push(entity.name().to_owned());
        }
        Ok(())
    }

    /// Who was in which team when, as far as the source itself says so.
    async fn memberships(
        &mut self,
        snapshot: &mut Snapshot,
        users: &BTreeMap<String, Member>,
        columns: &SourceColumns,
    ) -> Result<Memberships, IntakeError> {
        let mut said = Memberships::new();
        let (Some(from), Some(columns)) = (&self.intake.mapping.memberships, columns.get(MEMBERSHIPS)) else {
            return Ok(said);
        };
        let mut records = snapshot.records(&columns.select, columns.names.clone());
        let veil = Veil::new(self.intake.pseudonyms.as_ref(), MEMBERSHIPS, from, &columns.names);
        while let Some(record) = records.try_next().await? {
            let record = veil.over(record);
            self.read += 1;
            match membership(from, self.intake.time_zone, users, &record) {
                Ok((user, stay)) => said.entry(user).or_default().push(stay),
                Err(rejected) => self.reject(*rejected)?,
            }
        }
        Ok(said)
    }

    fn reject(&mut self, rejected: Rejected) -> Result<(), IntakeError> {
        let kind = (rejected.section, rejected.field, rejected.reason);
        self.tally.entry(kind).or_insert_with(|| (0, rejected.message.clone())).0 += 1;
        self.quarantine_row(rejected.entity, rejected.into())
    }

    fn quarantine_row(&mut self, entity: Entity, row: Row) -> Result<(), IntakeError> {
        *self.record.quarantined_by_reason.entry(row.reason.clone()).or_default() += 1;
        if entity == Entity::Activities {
            self.record.counts.quarantined += 1;
        }
        Ok(self.rejected.add(entity, row).map_err(QuarantineError::from)?)
    }

    /// Stops a run that refused too much, before it publishes anything. Of the activities, `repeated` more will be refused.
    fn check_rejected(&self, repeated: u64) -> Result<(), IntakeError> {
        let mut tally = self.tally.clone();
        if repeated > 0 {
            let rejected = Rejected::repeated(Entity::Activities, "activity_id", String::new(), String::new());
            tally.insert((rejected.section, rejected.field, rejected.reason), (repeated, rejected.message));
        }
        let rejected: u64 = tally.values().map(|(count, _)| count).sum();
        let Counts { read, quarantined, .. } = self.record.counts;
        let all_activities = self.record.reading == Reading::Whole && read > 0 && quarantined == read;
        let many = rejected > FEW && rejected * 100 > self.read * FEW_PERCENT;
        let most = tally.into_iter().max_by_key(|(_, (count, _))| *count);
        let Some(((section, field, reason), (count, message))) = most.filter(|_| many || all_activities) else {
            return Ok(());
        };
        let mapping = &self.intake.mapping;
        let line_of = |from: &EntityMapping| from.columns.get(field).map_or(from.line, |column| column.line);
        let line = mapping.sections().find(|(name, _)| *name == section).map_or(0, |(_, from)| line_of(from));
        let (file, read) = (mapping.file.clone(), self.read);
        let refused = TooManyRejected { file, line, rejected, read, count, section, field, reason, message };
        Err(IntakeError::TooManyRejected(Box::new(refused)))
    }

    /// Reads, translates, sorts and publishes, all at once: records stream from the source to a sorter on a thread of
    /// its own, sealed days stream back.
    async fn activities(
        &mut self,
        mut snapshot: Snapshot,
        columns: &SourceColumns,
        dimensions: Dimensions,
        waiting: Vec<Waiting>,
        database: Database,
    ) -> Result<(), IntakeError> {
        let rules = self.rules(dimensions);
        let entity = Entity::Activities;
        let (Some(from), Some(columns)) = (rules.mapping.entities.get(&entity), columns.get(entity.name())) else {
            return Ok(());
        };
        let veil = Veil::new(self.intake.pseudonyms.as_ref(), entity.name(), from, &columns.names);
        let changes = match self.since() {
            Ok(before) => {
                self.changes(&mut snapshot, Restriction::new(from, columns, database), (&rules, &veil), &before).await?
            }
            Err(why) => Err(why),
        };
        let (sorting, days) = match changes {
            Ok((sorting, days)) => (sorting, Some(days)),
            Err(why) => {
                self.record.because = why.map(str::to_owned);
                (self.everything(&mut snapshot, columns, &rules, &veil).await?, None)
            }
        };
        let Sealing { sealed, sorter } = sorting.finish().await;
        // Everything is read: the source's writers need not wait until it is published.
        snapshot.close().await;
        let seen = self.publish_days(sealed, true, waiting).await?;
        match sorter.await.map_err(|_| IntakeError::Panicked)? {
            // Nobody took what it had still to give.
            Err(DaysError::Stopped) if self.stopped => return Ok(()),
            sorted => sorted?,
        }
        if self.stopped { Ok(()) } else { self.empty_days(&seen, days.as_ref()).await }
    }

    /// How activities are translated that refer to `dimensions`.
    fn rules(&self, dimensions: Dimensions) -> Rules {
        let Intake { mapping, time_zone, .. } = self.intake;
        Rules { mapping: Arc::new(mapping.clone()), dimensions: Arc::new(dimensions), organisation: *time_zone }
    }

    /// Stops a run whose time is over before it has anything to publish.
    fn in_time(&self) -> Result<(), IntakeError> {
        if self.intake.budget.is_over() { Err(IntakeError::NoTime) } else { Ok(()) }
    }

    /// Publishes the days that a sorter seals, as long as there is time. Returns which there are.
    async fn publish_days(
        &mut self,
        mut sealed: mpsc::Receiver<Output>,
        check: bool,
        waiting: Vec<Waiting>,
    ) -> Result<BTreeSet<LocalDay>, IntakeError> {
        let (mut seen, mut waiting) = (BTreeSet::new(), waiting);
        while let Some(output) = sealed.recv().await {
            match output {
                Output::Read { repeated, positions } => {
                    if check {
                        self.check_rejected(repeated)?;
                    }
                    self.positions = Some(positions).filter(|_| self.record.reading == Reading::Whole);
                    for dimension in waiting.drain(..) {
                        self.publish_dimension(dimension).await?;
                    }
                }
                Output::Rejected(_, rejected) => self.reject(*rejected)?,
                Output::Day { .. } if self.intake.budget.is_over() => {
                    if self.days.is_empty() {
                        return Err(IntakeError::NoTime);
                    }
                    self.stopped = true;
                    break;
                }
                Output::Day { day, rows, sealed } => {
                    seen.insert(day);
                    self.publish_day(day, rows, &sealed).await?;
                }
            }
        }
        Ok(seen)
    }

    async fn publish_day(&mut self, day: LocalDay, rows: u64, sealed: &Sealed) -> Result<(), IntakeError> {
        if self.newest.get(&day).is_some_and(|captured| captured.sha256 == sealed.sha256) {
            self.record.counts.unchanged += rows;
            self.record.days.unchanged += 1;
            return Ok(());
        }
        self.create_day(day, sealed).await?;
        self.record.counts.written += rows;
        self.record.days.written += 1;
        Ok(())
    }

    async fn create_day(&mut self, day: LocalDay, sealed: &Sealed) -> Result<(), IntakeError> {
        let (generation, sha256) = (self.record.generation, sealed.sha256);
        self.create(LakeKey::Activities { partition: Partition { day, generation }, sha256 }, sealed).await?;
        self.newest.insert(day, Captured { generation, sha256 });
        self.days.insert(day);
        Ok(())
    }

    /// A day that had rows and has none any more is restated as empty; only those `among` were read, if not all.
    async fn empty_days(
        &mut self,
        seen: &BTreeSet<LocalDay>,
        among: Option<&BTreeSet<LocalDay>>,
    ) -> Result<(), IntakeError> {
        let empty = empty_day(&self.intake.footer())?;
        let read = |day: &LocalDay| among.is_none_or(|among| among.contains(day));
        let gone = self
            .newest
            .iter()
            .filter(|(day, captured)| read(day) && !seen.contains(day) && captured.sha256 != empty.sha256);
        let gone: Vec<LocalDay> = gone.map(|(day, _)| *day).collect();
        for day in gone {
            self.create_day(day, &empty).await?;
            self.record.days.emptied += 1;
        }
        Ok(())
    }

    /// Keeps what was refused, per entity; once something was, also that nothing is any more.
    async fn quarantine(&mut self) -> Result<(), IntakeError> {
        for entity in Entity::ALL {
            let prefix = format!("quarantine/{}/", entity.name());
            // Which activities have a key that another one has is not known of the days that are left.
            if self.stopped && entity == Entity::Activities {
                continue;
            }
            if !self.rejected.has(entity) && self.intake.lake.list(&prefix, None).await?.is_empty() {
                continue;
            }
            let sealed = self.rejected.seal(&self.intake.footer(), entity)?;
            let (generation, sha256) = (self.record.generation, sealed.sha256);
            self.keep(&prefix, LakeKey::Quarantine { entity, generation, sha256 }, &sealed).await?;
        }
        Ok(())
    }

    /// Creates `key` unless the newest object under `prefix` has the same content. Returns whether it did.
    async fn keep(&mut self, prefix: &str, key: LakeKey, sealed: &Sealed) -> Result<bool, IntakeError> {
        let newest = self.intake.lake.list(prefix, None).await?.pop();
        if newest.is_some_and(|newest| newest.key.sha256() == Some(sealed.sha256)) {
            return Ok(false);
        }
        self.create(key, sealed).await?;
        Ok(true)
    }

    async fn create(&mut self, key: LakeKey, sealed: &Sealed) -> Result<Created, IntakeError> {
        let created = self.intake.lake.create(&key, sealed).await?;
        self.record.objects.push(key.to_string());
        Ok(created)
    }

    async fn keep_record(&self) -> Result<(), IntakeError> {
        let json = serde_json::to_vec_pretty(&self.record).map_err(std::io::Error::from).map_err(LakeError::from)?;
        let sealed = Sealed::from_bytes(&json).map_err(LakeError::from)?;
        self.intake.lake.create(&LakeKey::Run { generation: self.record.generation }, &sealed).await?;
        Ok(())
    }
}
