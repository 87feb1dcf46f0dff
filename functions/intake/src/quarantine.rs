//! Quarantine: records that could not be translated, whole, each with what to mend. They wait on the temporary disk
//! until the run knows that it may publish.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use parquet::errors::ParquetError;
use shared::{
    column::{Columns, NoSuchColumn, text},
    lake::{
        Entity, LakeError, LakeKey, Sealed,
        parquet_file::{Reader, Writer},
    },
};

use crate::{
    sort::{Items, SortError, Sorter},
    translate::Rejected,
};

/// Rows that become one batch of a file, and the bytes of text in them, whichever is reached first.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Rows that wait for being sorted together, and the bytes of text in them.
const WAITING: usize = 512;
const WAITING_BYTES: usize = 256 * 1024;
/// Bytes of rows that are sorted in memory at a time, for each entity.
const SORTED_IN_MEMORY: usize = 8 * 1024 * 1024;

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

/// A row of `rejected.parquet`.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// What was refused of an entity: rows in the order of their columns, which makes the same rows the same bytes.
struct OfEntity {
    columns: RowConverter,
    waiting: Vec<Row>,
    waiting_bytes: usize,
    sorter: Sorter,
}

impl OfEntity {
    fn new() -> Result<Self, SortError> {
        let fields = SCHEMA.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let columns = RowConverter::new(fields.collect())?;
        Ok(Self { columns, waiting: Vec::new(), waiting_bytes: 0, sorter: Sorter::new(SORTED_IN_MEMORY) })
    }

    fn add(&mut self, row: Row) -> Result<(), SortError> {
        self.waiting_bytes += row.key.len() + row.message.len() + row.source_row.len();
        self.waiting.push(row);
        if self.waiting.len() == WAITING || self.waiting_bytes > WAITING_BYTES { self.hand_on() } else { Ok(()) }
    }

    fn hand_on(&mut self) -> Result<(), SortError> {
        let rows = self.columns.convert_columns(to_batch(&self.waiting)?.columns())?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        rows.iter().try_for_each(|row| self.sorter.add(row.as_ref()))
    }

    fn write(mut self, writer: &mut Writer) -> Result<(), QuarantineError> {
        self.hand_on()?;
        let parser = self.columns.parser();
        let mut batch = Items::default();
        let mut write = |batch: &mut Items| -> Result<(), QuarantineError> {
            let columns = self.columns.convert_rows(batch.iter().map(|row| parser.parse(row)));
            writer.write(
                &RecordBatch::try_new(SCHEMA.clone(), columns.map_err(SortError::from)?).map_err(SortError::from)?,
            )?;
            batch.clear();
            Ok(())
        };
        let mut sorted = self.sorter.sorted()?;
        while let Some(row) = sorted.next()? {
            if batch.len() == BATCH || batch.bytes() > BATCH_BYTES {
                write(&mut batch)?;
            }
            batch.push(row);
        }
        if batch.len() > 0 { write(&mut batch) } else { Ok(()) }
    }
}

/// What was refused of each entity, on disk.
#[derive(Default)]
pub struct Quarantine {
    of_entity: BTreeMap<Entity, OfEntity>,
}

impl Quarantine {
    /// Takes one more.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn add(&mut self, entity: Entity, row: Row) -> Result<(), SortError> {
        match self.of_entity.entry(entity) {
            Entry::Occupied(mut there) => there.get_mut().add(row),
            Entry::Vacant(free) => free.insert(OfEntity::new()?).add(row),
        }
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
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn seal(&mut self, footer: &BTreeMap<String, String>, entity: Entity) -> Result<Sealed, QuarantineError> {
        let mut writer = Writer::new(SCHEMA.clone(), footer)?;
        if let Some(rows) = self.of_entity.remove(&entity) {
            rows.write(&mut writer)?;
        }
        Ok(writer.finish()?)
    }
}

fn to_batch(rows: &[Row]) -> Result<RecordBatch, SortError> {
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
