//! Quarantine: records that could not be translated, whole, each with what to mend. They wait on the temporary disk
//! until the run knows that it may publish.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, Write},
    sync::{Arc, LazyLock},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use shared::{
    column::{Columns, NoSuchColumn, text},
    lake::{
        Entity, LakeError, LakeKey, Sealed,
        parquet_file::{Reader, Writer},
    },
};

use crate::{
    sort::{SortError, Weighed, sorted},
    translate::Rejected,
};

/// Rows that become one batch of a file, and the bytes of text in them, whichever is reached first.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The columns of `rejected.parquet`.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let names = ["entity", "key", "reason", "field", "message", "source_row"];
    Arc::new(Schema::new(names.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()))
});

/// Quarantine could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuarantineError {
    /// The temporary disk.
    #[error(transparent)]
    Sort(#[from] SortError),
    /// The file format.
    #[error("quarantine could not be written as Parquet")]
    Write(#[from] ParquetError),
}

/// A row of `rejected.parquet`. Their order makes the same rows the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// The section of the mapping that read it: an entity, or `memberships` among the users.
    pub section: String,
    /// The source's key, as far as it has one.
    pub key: String,
    /// A stable code.
    pub reason: String,
    /// The canonical field.
    pub field: String,
    /// The whole source record as a JSON object.
    pub source_row: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl From<Rejected> for Row {
    fn from(rejected: Rejected) -> Self {
        let Rejected { section, key, reason, field, message, source_row, .. } = rejected;
        Self {
            section: section.to_owned(),
            key,
            reason: reason.to_owned(),
            field: field.to_owned(),
            source_row,
            message,
        }
    }
}

/// The rows of a quarantine file, as [`shared::lake::Lake::fetch`] gave it for `key`, one after the other.
pub fn rows(key: &LakeKey, file: File) -> Result<impl Iterator<Item = Result<Row, LakeError>> + use<>, LakeError> {
    let batches = Reader::open(key, file)?.batches(None)?;
    let unreadable =
        |key: &LakeKey, error: NoSuchColumn| LakeError::Unreadable { key: key.to_string(), reason: error.to_string() };
    let key = key.clone();
    let rows = move |batch: RecordBatch| -> Result<Vec<Row>, LakeError> {
        let column = |name: &str| batch.text(name).map_err(|error| unreadable(&key, error));
        let (section, id, reason) = (column("entity")?, column("key")?, column("reason")?);
        let (field, source_row, message) = (column("field")?, column("source_row")?, column("message")?);
        let row = |index: usize| Row {
            section: section.value(index).to_owned(),
            key: id.value(index).to_owned(),
            reason: reason.value(index).to_owned(),
            field: field.value(index).to_owned(),
            source_row: source_row.value(index).to_owned(),
            message: message.value(index).to_owned(),
        };
        Ok((0..batch.num_rows()).map(row).collect())
    };
    Ok(batches.flat_map(move |batch| match batch.and_then(&rows) {
        Ok(rows) => rows.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }))
}

impl Weighed for Row {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.key.len() + self.source_row.len() + self.message.len()
    }
}

/// What was refused of each entity, on disk.
#[derive(Default)]
pub struct Quarantine {
    of_entity: BTreeMap<Entity, BufWriter<File>>,
}

impl Quarantine {
    /// Takes one more.
    pub fn add(&mut self, entity: Entity, row: &Row) -> io::Result<()> {
        let file = match self.of_entity.entry(entity) {
            std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => free.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        // JSON has no line breaks of its own.
        serde_json::to_writer(&mut *file, row)?;
        file.write_all(b"\n")
    }

    /// Forgets what was taken of `entity`.
    pub fn forget(&mut self, entity: Entity) {
        self.of_entity.remove(&entity);
    }

    /// Whether there is anything of `entity`.
    pub fn has(&self, entity: Entity) -> bool {
        self.of_entity.contains_key(&entity)
    }

    /// Seals what there is of `entity`, nothing included, with this footer. Blocks.
    pub fn seal(&mut self, footer: &BTreeMap<String, String>, entity: Entity) -> Result<Sealed, QuarantineError> {
        let mut writer = Writer::new(SCHEMA.clone(), footer)?;
        let mut failed = None;
        let mut batch: Vec<Row> = Vec::new();
        let mut bytes = 0;
        for row in sorted(self.take(entity)?.map_while(|row| row.map_err(|error| failed = Some(error)).ok()), Row::cmp)?
        {
            let row = row?;
            bytes += row.weight();
            batch.push(row);
            if batch.len() == BATCH || bytes > BATCH_BYTES {
                writer.write(&to_batch(&batch)?)?;
                batch.clear();
                bytes = 0;
            }
        }
        if let Some(error) = failed {
            return Err(SortError::new(error).into());
        }
        writer.write(&to_batch(&batch)?)?;
        Ok(writer.finish()?)
    }

    fn take(&mut self, entity: Entity) -> Result<impl Iterator<Item = io::Result<Row>> + use<>, SortError> {
        let file = self.of_entity.remove(&entity).map(|file| -> io::Result<_> {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            Ok(BufReader::new(file))
        });
        let file = file.transpose().map_err(SortError::new)?;
        Ok(file.into_iter().flat_map(|file| file.lines().map(|line| Ok(serde_json::from_str(&line?)?))))
    }
}

fn to_batch(rows: &[Row]) -> Result<RecordBatch, ParquetError> {
    let column = |value: fn(&Row) -> &str| text(rows.iter().map(|row| Some(value(row))));
    let columns = vec![
        column(|row| &row.section),
        column(|row| &row.key),
        column(|row| &row.reason),
        column(|row| &row.field),
        column(|row| &row.message),
        column(|row| &row.source_row),
    ];
    Ok(RecordBatch::try_new(SCHEMA.clone(), columns)?)
}
