//! Aggregate: folds a day's base and annotations into contributions, once all of them are there.
//!
//! It listens to base and annotation objects alike; the last one to arrive finds everything there. It knows no annotator
//! by name: which are needed, and how each column is folded, the logic register says.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use chrono::Utc;
use shared::{
    annotator::Register,
    contribution::{ContributionStore, Fold, FoldError, LogicRecord, Pointer, StoreError},
    event::{ObjectCreated, Request, each_subject},
    lake::{
        Lake, LakeError, LakeKey, Partition,
        siblings::{Lockstep, Siblings},
    },
    telemetry::Summary,
    time::Malformed,
};
use tokio::sync::OnceCell;

mod reconcile;

pub use reconcile::{reconcile, undone};

/// Why a partition could not be folded. Nothing is published then: the day keeps the answer it had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AggregateError {
    /// The event's key is none of ours.
    #[error(transparent)]
    Key(#[from] Malformed),
    /// The lake refused, or held something that must not be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The rows could not be added up.
    #[error("{partition} could not be folded")]
    Fold {
        /// Which.
        partition: Partition,
        /// Why.
        source: FoldError,
    },
    /// The table did not take or give something.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Decoding or folding panicked; the input is suspect.
    #[error("folding {0} panicked; a file may be damaged")]
    Panicked(Partition),
}

/// What became of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Something is not there yet. Its own event will ask again.
    Waiting {
        /// What is missing.
        missing: Vec<String>,
    },
    /// The partition was folded before, and nobody asked to fold it again.
    Present,
    /// It is kept for whoever asks how the day was known then; the day's pointer names a newer generation.
    Superseded {
        /// Rows folded.
        rows: i64,
        /// Scopes that have a contribution.
        scopes: usize,
    },
    /// The day's pointer names this partition.
    Published {
        /// Rows folded.
        rows: i64,
        /// Scopes that have a contribution.
        scopes: usize,
    },
}

/// The aggregator with its lake, its table and the register that it folds by.
#[derive(Clone)]
pub struct Aggregate {
    lake: Lake,
    store: ContributionStore,
    register: Arc<Register>,
    /// Whether this process has made sure that its logic is on record.
    recorded: Arc<OnceCell<()>>,
}

impl Aggregate {
    /// An aggregator.
    pub fn new(lake: Lake, store: ContributionStore, register: Arc<Register>) -> Self {
        Self { lake, store, register, recorded: Arc::default() }
    }

    /// Handles a batch of "Object Created" events: each names a partition, each partition is folded once.
    pub async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let mut summary = Summary::start("aggregate");
        let counted = Self { lake: self.lake.counted_by(&summary.traffic), ..self.clone() };
        summary.events = batch.records.len() as u64;
        let request = |event: &ObjectCreated| event.request(self.lake.bucket()).map_err(AggregateError::from);
        let (folded, contributions) = (AtomicU64::new(0), AtomicU64::new(0));
        let response = each_subject(batch, request, async |request| {
            let partition = request.partition;
            match Box::pin(counted.run(request)).await? {
                Outcome::Published { rows, scopes } | Outcome::Superseded { rows, scopes } => {
                    folded.fetch_add(rows.unsigned_abs(), Ordering::Relaxed);
                    contributions.fetch_add(scopes as u64, Ordering::Relaxed);
                    tracing::debug!(%partition, rows, scopes, "folded");
                }
                outcome => tracing::debug!(%partition, ?outcome, "nothing to publish"),
            }
            Ok(())
        })
        .await;
        summary.failed = response.batch_item_failures.len() as u64;
        (summary.rows_in, summary.rows_out) = (folded.into_inner(), contributions.into_inner());
        summary.log(self.register.logic());
        response
    }

    /// Folds and publishes one partition, if everything is there. A superseded generation is folded too: it is how the day
    /// was known then, and where two logics can be compared. Doing it again changes nothing.
    pub async fn run(&self, Request { partition, again }: Request) -> Result<Outcome, AggregateError> {
        let siblings = Siblings::find(&self.lake, partition).await?;
        let mut keys = Vec::new();
        let mut missing = Vec::new();
        for annotator in self.register.annotators() {
            let name = &annotator.declaration.name;
            match siblings.get(name, &annotator.effective_version)? {
                Some(key) => keys.push(key.clone()),
                None => missing.push(name.clone()),
            }
        }
        if !missing.is_empty() {
            return Ok(Outcome::Waiting { missing });
        }
        if !again && self.has(partition).await? {
            return Ok(Outcome::Present);
        }
        let Some(base) = self.lake.base(partition).await? else {
            return Ok(Outcome::Waiting { missing: vec!["activities".to_owned()] });
        };
        let base_file = self.lake.fetch(&base).await?;
        let mut files = Vec::new();
        for key in keys {
            let file = self.lake.fetch(&key).await?;
            files.push((key, file));
        }
        let digest = base.sha256();
        let register = self.register.clone();
        let work = move || fold(&register, partition, (base, base_file), files);
        // Decoding and folding keep a core busy, and a panic in a decoder must not take the process along.
        let folded = tokio::task::spawn_blocking(work).await.map_err(|_| AggregateError::Panicked(partition))??;
        let (total, evidence) = (folded.total(), folded.evidence().clone());
        let contributions = folded.finish();
        let (rows, scopes) = (total.rows, contributions.len());
        if let Some(base) = digest {
            self.record().await?;
            let pointer = Pointer { partition, base, total, evidence };
            if !self.store.publish(self.register.logic(), &pointer, &contributions).await? {
                return Ok(Outcome::Superseded { rows, scopes });
            }
        }
        Ok(Outcome::Published { rows, scopes })
    }

    /// Makes sure, once per process, that whoever reads the results can find out what they were computed by.
    async fn record(&self) -> Result<(), AggregateError> {
        let record = || async { self.store.record_logic(&LogicRecord::of(&self.register, Utc::now())).await };
        self.recorded.get_or_try_init(record).await?;
        Ok(())
    }

    /// Whether the partition was folded to the end: it is listed, and the day's pointer names it or a newer one.
    async fn has(&self, partition: Partition) -> Result<bool, AggregateError> {
        let (logic, day) = (self.register.logic(), partition.day);
        let pointers = self.store.pointers(logic, day, day).await?;
        match pointers.first().map(|pointer| pointer.partition) {
            Some(current) if current > partition => {
                let listed = self.store.generations(logic, day, day).await?;
                Ok(listed.iter().any(|pointer| pointer.partition == partition))
            }
            current => Ok(current == Some(partition)),
        }
    }
}

fn fold(
    register: &Register,
    partition: Partition,
    base: (LakeKey, File),
    annotations: Vec<(LakeKey, File)>,
) -> Result<Fold, AggregateError> {
    let mut fold = Fold::new(register);
    for rows in Lockstep::open(base, &Fold::BASE_COLUMNS, annotations)? {
        fold.add(&rows?).map_err(|source| AggregateError::Fold { partition, source })?;
    }
    Ok(fold)
}
