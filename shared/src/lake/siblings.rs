//! A partition's files side by side: the base, and the annotations that lie beside it row for row.

use std::{collections::BTreeMap, fs::File};

use arrow::{
    array::{Array, RecordBatch},
    compute::concat_batches,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
};

use super::{
    Lake, LakeError, LakeKey, Partition, Sha256,
    parquet_file::{Batches, Reader},
};
use crate::column::Columns;

/// The footer entry of every annotation that names its base.
pub const BASE: &str = "wastewalk.base";

/// The footer entry that names the annotation of `annotator` that a file was made from.
pub fn upstream(annotator: &str) -> String {
    format!("wastewalk.upstream.{annotator}")
}

/// The annotations of one partition, found with one LIST.
#[derive(Debug)]
pub struct Siblings {
    partition: Partition,
    keys: Vec<LakeKey>,
}

impl Siblings {
    /// Looks which annotations a partition has.
    pub async fn find(lake: &Lake, partition: Partition) -> Result<Self, LakeError> {
        let listed = lake.list(&partition.annotations_prefix(), None).await?;
        Ok(Self { partition, keys: listed.into_iter().map(|listed| listed.key).collect() })
    }

    /// The annotation that `annotator` wrote with `version`, if it is there.
    ///
    /// # Errors
    /// [`LakeError::Ambiguous`] if the same version wrote two different files: then it is not pure.
    pub fn get(&self, annotator: &str, version: &str) -> Result<Option<&LakeKey>, LakeError> {
        let mut matching = self.keys.iter().filter(
            |key| matches!(key, LakeKey::Annotation { annotator: a, version: v, .. } if a == annotator && v == version),
        );
        match (matching.next(), matching.next()) {
            (Some(first), Some(second)) => Err(LakeError::Ambiguous {
                what: format!("{annotator} {version} of {}", self.partition),
                first: first.to_string(),
                second: second.to_string(),
            }),
            (found, _) => Ok(found),
        }
    }
}

/// Some rows of a partition: the canonical columns, and the annotators' columns for the same rows.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The canonical columns.
    pub base: RecordBatch,
    /// The columns of every annotation at hand; their names are unique among annotators.
    pub annotations: RecordBatch,
}

impl Rows {
    /// How many.
    pub fn len(&self) -> usize {
        self.base.num_rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slice(&self, offset: usize, length: usize) -> Self {
        Self { base: self.base.slice(offset, length), annotations: self.annotations.slice(offset, length) }
    }

    fn concat(parts: &[Rows]) -> Result<Self, ArrowError> {
        let base = parts.iter().map(|rows| &rows.base);
        let annotations = parts.iter().map(|rows| &rows.annotations);
        Ok(Self {
            base: concat_batches(&parts[0].base.schema(), base)?,
            annotations: concat_batches(&parts[0].annotations.schema(), annotations)?,
        })
    }
}

/// Reads a base and its annotations in step and refuses what does not belong together.
pub struct Lockstep {
    base_key: LakeKey,
    base: Batches,
    annotations: Vec<(LakeKey, Batches)>,
    schema: SchemaRef,
}

impl Lockstep {
    /// Opens fetched files: the base with `columns` of it (`activity_id` is added), and whole annotations.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] if an annotation was made from another base, or from another annotation than the one
    /// given here, or has another number of rows.
    pub fn open(
        (base_key, base): (LakeKey, File),
        columns: &[&str],
        annotations: Vec<(LakeKey, File)>,
    ) -> Result<Self, LakeError> {
        let base = Reader::open(&base_key, base)?;
        let rows = base.rows();
        let digests: BTreeMap<String, Option<Sha256>> =
            annotations.iter().filter_map(|(key, _)| Some((upstream(annotator(key)?), key.sha256()))).collect();
        let mut opened = Vec::new();
        for (key, file) in annotations {
            let reader = Reader::open(&key, file)?;
            let refuse = |reason: String| Err(LakeError::Unreadable { key: key.to_string(), reason });
            if reader.rows() != rows {
                return refuse(format!("it has {} rows beside {rows} of {base_key}", reader.rows()));
            }
            if reader.metadata(BASE).map(str::to_owned) != base_key.sha256().map(|digest| digest.to_string()) {
                return refuse(format!("it was not made from {base_key}"));
            }
            for (name, digest) in &digests {
                if reader
                    .metadata(name)
                    .is_some_and(|made_from| Some(made_from.to_owned()) != digest.map(|d| d.to_string()))
                {
                    return refuse(format!("it was made from another file than the one at hand: {name}"));
                }
            }
            opened.push((key.clone(), reader.batches_in_step(None)?));
        }
        let mut columns = columns.to_vec();
        columns.push("activity_id");
        let base = base.batches_in_step(Some(&columns))?;
        let fields: Vec<_> = opened
            .iter()
            .flat_map(|(_, batches)| batches.schema().fields().iter().cloned().collect::<Vec<_>>())
            .filter(|field| field.name() != "activity_id")
            .collect();
        Ok(Self { base_key, base, annotations: opened, schema: SchemaRef::new(Schema::new(fields)) })
    }

    /// The same rows in batches that never divide one person's rows. Memory grows with the largest person, not the day.
    pub fn by_person(self) -> WholePersons {
        WholePersons { rows: self, held: Vec::new(), done: false }
    }

    fn read(&mut self) -> Result<Option<Rows>, LakeError> {
        let Some(base) = self.base.next().transpose()? else {
            return Ok(None);
        };
        let mut columns = Vec::new();
        for (key, batches) in &mut self.annotations {
            let refuse = |reason: &str| LakeError::Unreadable { key: key.to_string(), reason: reason.to_owned() };
            let batch = batches.next().transpose()?.ok_or_else(|| refuse("it ends before its base"))?;
            if batch.array("activity_id").map(arrow::array::Array::to_data)
                != base.array("activity_id").map(arrow::array::Array::to_data)
            {
                return Err(refuse("its rows are not the rows of its base, in order"));
            }
            let schema = batch.schema();
            let pairs = schema.fields().iter().zip(batch.columns());
            columns.extend(pairs.filter(|(field, _)| field.name() != "activity_id").map(|(_, column)| column.clone()));
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(base.num_rows()));
        let annotations = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| unreadable(&self.base_key, &error))?;
        Ok(Some(Rows { base, annotations }))
    }
}

impl Iterator for Lockstep {
    type Item = Result<Rows, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// See [`Lockstep::by_person`].
pub struct WholePersons {
    rows: Lockstep,
    held: Vec<Rows>,
    done: bool,
}

impl WholePersons {
    fn read(&mut self) -> Result<Option<Rows>, LakeError> {
        while !self.done {
            match self.rows.next().transpose()? {
                None => self.done = true,
                Some(rows) => {
                    let boundary = start_of_last_person(&rows, self.held.first())
                        .map_err(|error| unreadable(&self.rows.base_key, &error))?;
                    let Some(boundary) = boundary else {
                        self.held.push(rows);
                        continue;
                    };
                    self.held.push(rows.slice(0, boundary));
                    let whole = self.release()?;
                    self.held.push(rows.slice(boundary, rows.len() - boundary));
                    return Ok(whole);
                }
            }
        }
        self.release()
    }

    fn release(&mut self) -> Result<Option<Rows>, LakeError> {
        let parts = std::mem::take(&mut self.held);
        if parts.is_empty() {
            return Ok(None);
        }
        Rows::concat(&parts).map(Some).map_err(|error| unreadable(&self.rows.base_key, &error))
    }
}

impl Iterator for WholePersons {
    type Item = Result<Rows, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Where the last person of `rows` begins, or `None` if that person is already the one being `held`.
fn start_of_last_person(rows: &Rows, held: Option<&Rows>) -> Result<Option<usize>, crate::column::NoSuchColumn> {
    let users = rows.base.text("user_id")?;
    let Some(last) = users.len().checked_sub(1) else {
        return Ok(None);
    };
    let mut start = last;
    while start > 0 && users.value(start - 1) == users.value(last) {
        start -= 1;
    }
    let continues = match held {
        Some(held) if start == 0 => held.base.text("user_id")?.value(0) == users.value(last),
        Some(_) => false,
        None => start == 0,
    };
    Ok((!continues).then_some(start))
}

fn annotator(key: &LakeKey) -> Option<&str> {
    match key {
        LakeKey::Annotation { annotator, .. } => Some(annotator),
        _ => None,
    }
}

fn unreadable(key: &LakeKey, error: &dyn std::error::Error) -> LakeError {
    LakeError::Unreadable { key: key.to_string(), reason: error.to_string() }
}
