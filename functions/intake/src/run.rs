//! One intake run, from the lease to the run record.
//!
//! Order of effects: lease and new generation, snapshot, objects (create-only), run record, lease given back. A crash
//! anywhere leaves objects that are true of their generation; the next run is a new generation and finds days that are
//! in the lake already by their digest. Only deterministic data errors are quarantined: anything else fails the run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use parquet::errors::ParquetError;
use shared::{
    dimension::{self, Member},
    lake::{Created, Entity, Lake, LakeError, LakeKey, Partition, Sealed, Sha256, parquet_file::Writer},
    telemetry::chain,
    time::{Generation, LocalDay},
};
use tokio::sync::mpsc;

use crate::{
    days::{DaysError, Output, Placed, empty_day, seal_days},
    lease::{LeaseError, Leases},
    mapping::{Mapping, MappingError, did_you_mean},
    provenance, quarantine,
    record::{Counts, Days, RunRecord},
    source::{Snapshot, SourceError},
    translate::{ActivityTranslator, Dimensions, Rejected, Translated, dimension as translate_dimension},
};

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
    /// A file could not be written.
    #[error("a file could not be written as Parquet")]
    Write(#[from] ParquetError),
    /// A record is not accounted for. The lake is not to be trusted to be complete; please report it.
    #[error("records are missing: read {0:?}")]
    Unbalanced(Counts),
    /// Sorting panicked.
    #[error("sorting the activities panicked")]
    Panicked,
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
    /// The source's address. May hold a password: never logged.
    pub source_url: String,
}

impl Intake {
    /// An intake whose lease lies in `table`.
    pub fn new(lake: Lake, dynamodb: Client, table: &str, mapping: Mapping, source_url: impl Into<String>) -> Self {
        Self { lake, leases: Leases::new(dynamodb, table), mapping, source_url: source_url.into() }
    }

    /// Runs once. A run that fails after its lease leaves a record that says why.
    pub async fn run(&self, now: DateTime<Utc>) -> Result<RunRecord, IntakeError> {
        let newest = self.lake.newest_bases(None).await?;
        let newest: BTreeMap<LocalDay, Captured> = newest.iter().filter_map(Captured::of).collect();
        let newest_generation = newest.values().map(|captured| captured.generation).max();
        let lease = self.leases.acquire(newest_generation, now).await?;
        let mut run = Run {
            intake: self,
            newest,
            record: RunRecord {
                generation: lease.generation,
                source: self.mapping.name.clone(),
                mapping_sha256: self.mapping.sha256.to_string(),
                started_at: now,
                failed: None,
                counts: Counts::default(),
                quarantined_by_reason: BTreeMap::new(),
                days: Days::default(),
                dimensions_written: Vec::new(),
                objects: Vec::new(),
            },
            rejected: BTreeMap::new(),
        };
        let outcome = run.capture().await;
        if let Err(error) = &outcome {
            run.record.failed = Some(chain(error));
        }
        let recorded = run.keep_record().await;
        // The lease goes back whatever happened; if that fails too, it runs out by itself.
        let released = lease.release().await;
        outcome?;
        recorded?;
        released?;
        Ok(run.record)
    }
}

/// The newest object of a day.
#[derive(Debug, Clone, Copy)]
struct Captured {
    generation: Generation,
    sha256: Sha256,
}

impl Captured {
    fn of(key: &LakeKey) -> Option<(LocalDay, Self)> {
        let Partition { day, generation } = key.partition()?;
        Some((day, Self { generation, sha256: key.sha256()? }))
    }
}

/// By entity: what its SELECT yields.
type SourceColumns = BTreeMap<Entity, Arc<[String]>>;

struct Run<'a> {
    intake: &'a Intake,
    newest: BTreeMap<LocalDay, Captured>,
    record: RunRecord,
    rejected: BTreeMap<Entity, Vec<Rejected>>,
}

impl Run<'_> {
    async fn capture(&mut self) -> Result<(), IntakeError> {
        let mut snapshot = Snapshot::open(&self.intake.source_url).await?;
        let columns = self.check_columns(&mut snapshot).await?;
        let mut captured = BTreeMap::new();
        for entity in [Entity::Teams, Entity::Users, Entity::Sprints, Entity::Stereotypes] {
            if let Some(members) = self.dimension(&mut snapshot, entity, &columns).await? {
                captured.insert(entity, members);
            }
        }
        self.activities(snapshot, &columns, Dimensions::new(captured)).await?;
        self.quarantine().await?;
        if !self.record.counts.balanced() {
            return Err(IntakeError::Unbalanced(self.record.counts));
        }
        Ok(())
    }

    /// The columns that each SELECT yields. Stops before anything is written if one lacks what the mapping reads.
    async fn check_columns(&self, snapshot: &mut Snapshot) -> Result<SourceColumns, IntakeError> {
        let mut checked = SourceColumns::new();
        for (entity, from) in &self.intake.mapping.entities {
            let refuse = |line: usize, problem: String| {
                Err(MappingError { file: self.intake.mapping.file.clone(), line, problem }.into())
            };
            let columns = match snapshot.columns(&from.select).await {
                Ok(columns) => columns,
                Err(error) => {
                    let said = chain(&error);
                    let missing = said.rsplit_once("no such table: ").map(|(_, name)| name);
                    let hint = match missing {
                        Some(name) => did_you_mean(name, &snapshot.tables().await?),
                        None => String::new(),
                    };
                    let entity = entity.name();
                    return refuse(from.line, format!("the source cannot run the SELECT of {entity}: {said}{hint}"));
                }
            };
            let twice = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(*name));
            if let Some((_, name)) = twice {
                // `source_row` keeps every column under its name, and would lose one of them.
                let problem =
                    format!("the SELECT of {} gives the column `{name}` twice; name them apart", entity.name());
                return refuse(from.line, problem);
            }
            for (field, mapped) in &from.columns {
                let missing = mapped.columns.iter().chain(&mapped.fallback).find(|name| !columns.contains(name));
                if let Some(missing) = missing {
                    let problem = format!(
                        "{}.{field} reads the column `{missing}`, which the source does not give{}; it gives {}",
                        entity.name(),
                        did_you_mean(missing, &columns),
                        columns.join(", ")
                    );
                    return refuse(mapped.line, problem);
                }
            }
            checked.insert(*entity, columns);
        }
        Ok(checked)
    }

    async fn dimension(
        &mut self,
        snapshot: &mut Snapshot,
        entity: Entity,
        columns: &SourceColumns,
    ) -> Result<Option<Vec<Member>>, IntakeError> {
        let mapping = &self.intake.mapping;
        let (Some(from), Some(columns)) = (mapping.entities.get(&entity), columns.get(&entity)) else {
            return Ok(None);
        };
        let mut records = std::pin::pin!(snapshot.records(&from.select, columns.clone()));
        let mut members: BTreeMap<String, Member> = BTreeMap::new();
        while let Some(record) = records.try_next().await? {
            match translate_dimension(mapping, entity, from, &record) {
                Ok(member) => match members.get(&member.id) {
                    None => {
                        members.insert(member.id.clone(), member);
                    }
                    Some(_) => {
                        self.reject(Rejected::twice(entity, "id", member.id, member.source_row));
                    }
                },
                Err(rejected) => self.reject(rejected),
            }
        }
        let members: Vec<Member> = members.into_values().collect();
        let mut writer = Writer::new(dimension::schema(entity), &provenance(&mapping.name))?;
        writer.write(&dimension::to_batch(entity, &members).map_err(ParquetError::from)?)?;
        let sealed = writer.finish()?;
        let (generation, sha256) = (self.record.generation, sealed.sha256);
        let prefix = format!("dimensions/{}/", entity.name());
        if self.keep(&prefix, LakeKey::Dimension { entity, generation, sha256 }, &sealed).await? {
            self.record.dimensions_written.push(entity.name().to_owned());
        }
        Ok(Some(members))
    }

    fn reject(&mut self, rejected: Rejected) {
        *self.record.quarantined_by_reason.entry(rejected.reason.to_owned()).or_default() += 1;
        if rejected.entity == Entity::Activities {
            self.record.counts.quarantined += 1;
        }
        self.rejected.entry(rejected.entity).or_default().push(rejected);
    }

    /// Reads, translates, sorts and publishes, all at once: records stream from the source to a sorter on a thread of
    /// its own, sealed days stream back.
    async fn activities(
        &mut self,
        mut snapshot: Snapshot,
        columns: &SourceColumns,
        dimensions: Dimensions,
    ) -> Result<(), IntakeError> {
        let mapping = self.intake.mapping.clone();
        let entity = Entity::Activities;
        let (Some(from), Some(columns)) = (mapping.entities.get(&entity), columns.get(&entity)) else { return Ok(()) };
        let translator = ActivityTranslator::new(&mapping, from, &dimensions);
        let (to_sorter, placed) = mpsc::channel::<Placed>(64);
        let (to_publisher, mut sealed) = mpsc::channel::<Output>(4);
        let source = mapping.name.clone();
        let sorter = tokio::task::spawn_blocking(move || {
            let mut placed = placed;
            let activities = std::iter::from_fn(move || placed.blocking_recv());
            let emit = |output| to_publisher.blocking_send(output).map_err(|_| DaysError::Stopped);
            seal_days(&source, activities, emit)
        });
        let mut records = Box::pin(snapshot.records(&from.select, columns.clone()));
        while let Some(record) = records.try_next().await? {
            self.record.counts.read += 1;
            match translator.translate(&record) {
                Translated::Open => self.record.counts.open += 1,
                Translated::Rejected(rejected) => self.reject(*rejected),
                Translated::Activity(day, activity) => {
                    if to_sorter.send(Placed { day, activity }).await.is_err() {
                        // The sorter is gone; it says why below.
                        break;
                    }
                }
            }
        }
        drop(to_sorter);
        // Everything is read: the source's writers need not wait until it is published.
        drop(records);
        drop(snapshot);
        let mut seen = BTreeSet::new();
        while let Some(output) = sealed.recv().await {
            match output {
                Output::Rejected(rejected) => self.reject(*rejected),
                Output::Day { day, rows, sealed } => {
                    seen.insert(day);
                    self.publish_day(day, rows, &sealed).await?;
                }
            }
        }
        sorter.await.map_err(|_| IntakeError::Panicked)??;
        self.empty_days(&seen).await
    }

    async fn publish_day(&mut self, day: LocalDay, rows: u64, sealed: &Sealed) -> Result<(), IntakeError> {
        if self.newest.get(&day).is_some_and(|captured| captured.sha256 == sealed.sha256) {
            self.record.counts.unchanged += rows;
            self.record.days.unchanged += 1;
            return Ok(());
        }
        let partition = Partition { day, generation: self.record.generation };
        self.create(LakeKey::Activities { partition, sha256: sealed.sha256 }, sealed).await?;
        self.record.counts.written += rows;
        self.record.days.written += 1;
        Ok(())
    }

    /// A day that had rows and has none any more is restated as empty.
    async fn empty_days(&mut self, seen: &BTreeSet<LocalDay>) -> Result<(), IntakeError> {
        let empty = empty_day(&self.intake.mapping.name)?;
        let gone = self.newest.iter().filter(|(day, captured)| !seen.contains(day) && captured.sha256 != empty.sha256);
        let gone: Vec<LocalDay> = gone.map(|(day, _)| *day).collect();
        for day in gone {
            let partition = Partition { day, generation: self.record.generation };
            self.create(LakeKey::Activities { partition, sha256: empty.sha256 }, &empty).await?;
            self.record.days.emptied += 1;
        }
        Ok(())
    }

    /// Keeps what was refused, per entity; once something was, also that nothing is any more.
    async fn quarantine(&mut self) -> Result<(), IntakeError> {
        for entity in Entity::ALL {
            let rejected = self.rejected.remove(&entity).unwrap_or_default();
            let prefix = format!("quarantine/{}/", entity.name());
            if rejected.is_empty() && self.intake.lake.list(&prefix, None).await?.is_empty() {
                continue;
            }
            let sealed = quarantine::seal(&self.intake.mapping.name, &rejected)?;
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
