//! Aggregate: folds a day's base and annotations into contributions, once all of them are there.
//!
//! It listens to base and annotation objects alike; the last one to arrive finds everything there. It knows no annotator
//! by name: which are needed, and how each column is folded, the logic register says.

use std::fs::File;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use shared::{
    annotator::Register,
    contribution::{ContributionStore, Fold, FoldError, Pointer, StoreError},
    event::{ObjectCreated, Request, each_subject},
    lake::{
        Lake, LakeError, LakeKey, Partition,
        siblings::{Lockstep, Siblings},
    },
    time::Malformed,
};

mod reconcile;

pub use reconcile::reconcile;

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
    /// A newer generation of the day exists.
    Superseded,
    /// The day's pointer names this partition already, and nobody asked to fold it again.
    Present,
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
    register: &'static Register,
}

impl Aggregate {
    /// An aggregator.
    pub fn new(lake: Lake, store: ContributionStore, register: &'static Register) -> Self {
        Self { lake, store, register }
    }

    /// Handles a batch of "Object Created" events: each names a partition, each partition is folded once.
    pub async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let request = |event: &ObjectCreated| event.request().map_err(AggregateError::from);
        each_subject(batch, request, async |request| {
            let started = std::time::Instant::now();
            let outcome = Box::pin(self.run(request)).await?;
            let (partition, milliseconds) = (request.partition, started.elapsed().as_millis());
            match &outcome {
                Outcome::Published { rows, scopes } => {
                    tracing::info!(%partition, rows, scopes, logic = %self.register.logic(), milliseconds, "published");
                }
                outcome => tracing::debug!(%partition, ?outcome, milliseconds, "nothing to publish"),
            }
            Ok(())
        })
        .await
    }

    /// Folds and publishes one partition, if everything is there and nothing newer is. Doing it again changes nothing.
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
        let generations = self.lake.list(&format!("activities/date={}/", partition.day), None).await?;
        if generations.last().and_then(|newest| newest.key.partition()).is_some_and(|newest| newest > partition) {
            return Ok(Outcome::Superseded);
        }
        if !again && self.shows(partition).await? {
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
        let register = self.register;
        let work = move || fold(register, partition, (base, base_file), files);
        // Decoding and folding keep a core busy, and a panic in a decoder must not take the process along.
        let folded = tokio::task::spawn_blocking(work).await.map_err(|_| AggregateError::Panicked(partition))??;
        let total = folded.total();
        let contributions = folded.finish();
        if let Some(base) = digest {
            let pointer = Pointer { partition, base, total };
            if !self.store.publish(self.register.logic(), &pointer, &contributions).await? {
                return Ok(Outcome::Superseded);
            }
        }
        Ok(Outcome::Published { rows: total.rows, scopes: contributions.len() })
    }

    async fn shows(&self, partition: Partition) -> Result<bool, AggregateError> {
        let day = partition.day;
        let pointers = self.store.pointers(self.register.logic(), day, day).await?;
        Ok(pointers.iter().any(|pointer| pointer.partition == partition))
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
