//! Runs an annotator over partitions: what every annotator function does around its one pure function.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use parquet::errors::ParquetError;

use super::{AnnotateError, Annotator, Register, register::Registered};
use crate::{
    event::{ObjectCreated, Request, each_subject},
    lake::{
        Created, Lake, LakeError, LakeKey, Partition, Sealed,
        parquet_file::Writer,
        siblings::{BASE, Lockstep, Siblings, upstream},
    },
    telemetry::Summary,
    time::Malformed,
};

/// Why a partition could not be annotated. Every one of them is reported as a failed message: a passing fault is healed
/// by the redelivery, a lasting one ends in the dead-letter queue for a person to see.
#[allow(missing_docs, reason = "the message of each variant names its fields")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotatorFailure {
    /// The event's key is none of ours.
    #[error(transparent)]
    Key(#[from] Malformed),
    /// The lake refused, or held something that must not be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The function itself failed.
    #[error("{annotator} could not annotate {partition}")]
    Annotate { annotator: &'static str, partition: Partition, source: AnnotateError },
    /// The function broke its own declaration.
    #[error("{annotator} does not give what it declares: {reason}")]
    Undeclared { annotator: &'static str, reason: String },
    /// The output could not be written.
    #[error("the annotation could not be written")]
    Write(#[from] ParquetError),
    /// Decoding or annotating panicked; the input is suspect and nothing was written.
    #[error("{annotator} panicked over {partition}; the file may be damaged")]
    Panicked { annotator: &'static str, partition: Partition },
    /// The register has no annotator of this name.
    #[error("{0} is not in the logic register")]
    Unregistered(&'static str),
}

/// What became of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An input is not there yet. Its own event will ask again.
    Waiting {
        /// What is missing.
        missing: Vec<String>,
    },
    /// The annotation is in the lake already, and nobody asked to make it again.
    Present,
    /// The annotation was made, and is in the lake.
    Annotated {
        /// Where.
        key: LakeKey,
        /// Whether this run wrote it.
        created: Created,
        /// Rows annotated.
        rows: u64,
    },
}

/// An annotator with its lake and its place in the register.
pub struct Runner<A> {
    lake: Lake,
    annotator: Arc<A>,
    registered: Registered,
    inputs: Vec<(String, String)>,
}

impl<A: Annotator> Runner<A> {
    /// Prepares `annotator` to run as `register` has it.
    pub fn new(lake: Lake, register: &Register, annotator: A) -> Result<Self, AnnotatorFailure> {
        let registered = register.get(A::NAME).ok_or(AnnotatorFailure::Unregistered(A::NAME))?.clone();
        let inputs = registered.declaration.inputs.iter().filter_map(|input| {
            let version = register.get(input)?.effective_version.clone();
            Some((input.clone(), version))
        });
        let inputs = inputs.collect();
        Ok(Self { lake, annotator: Arc::new(annotator), registered, inputs })
    }

    /// Handles a batch of "Object Created" events: each names a partition, each partition is annotated once.
    pub async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let mut summary = Summary::start(format!("annotate-{}", A::NAME));
        let lake = self.lake.counted_by(&summary.traffic);
        summary.events = batch.records.len() as u64;
        let request = |event: &ObjectCreated| event.request(self.lake.bucket()).map_err(AnnotatorFailure::from);
        let rows = AtomicU64::new(0);
        let response = each_subject(batch, request, async |request| {
            let partition = request.partition;
            match Box::pin(self.run_in(&lake, request)).await? {
                Outcome::Annotated { created, rows: annotated, .. } => {
                    rows.fetch_add(annotated, Ordering::Relaxed);
                    tracing::debug!(annotator = A::NAME, %partition, ?created, rows = annotated, "annotated");
                }
                outcome => tracing::debug!(annotator = A::NAME, %partition, ?outcome, "nothing to do"),
            }
            Ok(())
        })
        .await;
        summary.failed = response.batch_item_failures.len() as u64;
        summary.rows_in = rows.into_inner();
        summary.rows_out = summary.rows_in;
        summary.log(&self.registered.effective_version);
        response
    }

    /// Annotates one partition, if all its inputs are there. Running it again changes nothing.
    pub async fn run(&self, request: Request) -> Result<Outcome, AnnotatorFailure> {
        self.run_in(&self.lake, request).await
    }

    async fn run_in(&self, lake: &Lake, Request { partition, again }: Request) -> Result<Outcome, AnnotatorFailure> {
        let Some(base) = lake.base(partition).await? else {
            return Ok(Outcome::Waiting { missing: vec!["activities".to_owned()] });
        };
        let siblings = Siblings::find(lake, partition).await?;
        if !again && siblings.get(A::NAME, &self.registered.effective_version)?.is_some() {
            return Ok(Outcome::Present);
        }
        let mut upstreams = Vec::new();
        let mut missing = Vec::new();
        for (input, version) in &self.inputs {
            match siblings.get(input, version)? {
                Some(key) => upstreams.push(key.clone()),
                None => missing.push(input.clone()),
            }
        }
        if !missing.is_empty() {
            return Ok(Outcome::Waiting { missing });
        }
        let base_file = lake.fetch(&base).await?;
        let mut files = Vec::new();
        for key in upstreams {
            let file = lake.fetch(&key).await?;
            files.push((key, file));
        }
        let (annotator, registered) = (self.annotator.clone(), self.registered.clone());
        let work = move || annotate(&*annotator, &registered, partition, (base, base_file), files);
        // Decoding and annotating keep a core busy, and a panic in a decoder must not take the process along.
        let written = tokio::task::spawn_blocking(work).await;
        let (sealed, rows) = written.map_err(|_| AnnotatorFailure::Panicked { annotator: A::NAME, partition })??;
        let key = LakeKey::Annotation {
            partition,
            annotator: A::NAME.to_owned(),
            version: self.registered.effective_version.clone(),
            sha256: sealed.sha256,
        };
        let created = lake.create(&key, &sealed).await?;
        Ok(Outcome::Annotated { key, created, rows })
    }
}

fn annotate<A: Annotator>(
    annotator: &A,
    registered: &Registered,
    partition: Partition,
    base: (LakeKey, std::fs::File),
    upstreams: Vec<(LakeKey, std::fs::File)>,
) -> Result<(Sealed, u64), AnnotatorFailure> {
    let mut metadata = BTreeMap::from([
        ("wastewalk.annotator".to_owned(), A::NAME.to_owned()),
        ("wastewalk.version".to_owned(), registered.effective_version.clone()),
    ]);
    metadata.extend(base.0.sha256().map(|digest| (BASE.to_owned(), digest.to_string())));
    for (key, _) in &upstreams {
        if let LakeKey::Annotation { annotator, sha256, .. } = key {
            metadata.insert(upstream(annotator), sha256.to_string());
        }
    }
    let mut fields = vec![Field::new("activity_id", DataType::Utf8, false)];
    fields.extend(registered.declaration.columns.iter().map(super::declaration::Column::field));
    let schema = SchemaRef::new(Schema::new(fields));
    let mut writer = Writer::new(schema.clone(), &metadata)?;
    let mut reads: Vec<&str> = registered.declaration.reads.iter().map(String::as_str).collect();
    reads.push("user_id");
    for rows in Lockstep::open(base, &reads, upstreams)?.by_person() {
        let rows = rows?;
        let given = annotator.annotate(&rows).map_err(|source| AnnotatorFailure::Annotate {
            annotator: A::NAME,
            partition,
            source,
        })?;
        writer.write(&declared_batch::<A>(&schema, &rows.base, given)?)?;
    }
    let rows = writer.rows();
    Ok((writer.finish()?, rows))
}

/// Puts the columns that the function gave in their declared order; names, types and lengths must be as declared.
fn declared_batch<A: Annotator>(
    schema: &SchemaRef,
    base: &RecordBatch,
    given: Vec<(&'static str, ArrayRef)>,
) -> Result<RecordBatch, AnnotatorFailure> {
    let undeclared = |reason: String| AnnotatorFailure::Undeclared { annotator: A::NAME, reason };
    let mut given: BTreeMap<&str, ArrayRef> = given.into_iter().collect();
    let ids = base.column_by_name("activity_id").cloned();
    let mut columns = vec![ids.ok_or_else(|| undeclared("the base has no activity_id".to_owned()))?];
    for field in schema.fields().iter().skip(1) {
        let column = given.remove(field.name().as_str());
        columns.push(column.ok_or_else(|| undeclared(format!("no column {}", field.name())))?);
    }
    if let Some(extra) = given.keys().next() {
        return Err(undeclared(format!("an extra column {extra}")));
    }
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| undeclared(error.to_string()))
}
