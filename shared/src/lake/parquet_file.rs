//! Parquet as every file of the lake is written and read: deterministic bytes, bounded memory, no trust in a footer.

use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{DataType, SchemaRef, TimeUnit},
};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData},
        properties::{EnabledStatistics, WriterProperties},
    },
};
use tempfile::NamedTempFile;

use super::{HashingWriter, LakeError, LakeKey, Sealed};

/// Rows in a row group, at most,
pub const ROW_GROUP_ROWS: usize = 122_880;

/// and bytes of values, after which no more batches come into it: a row group is written from memory.
const ROW_GROUP_BYTES: usize = 256 * 1024 * 1024;

/// Rows in a batch that a reader hands on, at most,
pub const BATCH_ROWS: usize = 8_192;

/// and bytes of text in it, as far as the average row of a row group tells.
const BATCH_BYTES: i64 = 16 * 1024 * 1024;

const MAX_ROWS: i64 = 100_000_000;
const MAX_COLUMNS: usize = 512;

/// The one timestamp type of the lake: UTC, microseconds.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Writes one Parquet file to a temporary file, hashing it on the way. The bytes follow from the schema, the metadata
/// and the rows alone: no clock, no library version, no map order.
pub struct Writer {
    writer: ArrowWriter<HashingWriter<NamedTempFile>>,
    rows: u64,
    /// Bytes of values in the row group that is under way.
    bytes: usize,
}

impl Writer {
    /// Starts a file whose footer carries `metadata`.
    pub fn new(schema: SchemaRef, metadata: &BTreeMap<String, String>) -> Result<Self, ParquetError> {
        let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        let properties = WriterProperties::builder()
            .set_created_by("wastewalk".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            // No two are the same.
            .set_column_dictionary_enabled("activity_id".into(), false)
            .set_column_dictionary_enabled("source_row".into(), false)
            // Nobody looks for one.
            .set_column_statistics_enabled("source_row".into(), EnabledStatistics::None)
            .set_key_value_metadata(Some(pairs))
            .build();
        let spool = HashingWriter::new(NamedTempFile::new()?);
        Ok(Self { writer: ArrowWriter::try_new(spool, schema, Some(properties))?, rows: 0, bytes: 0 })
    }

    /// Appends the rows of `batch`.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch)?;
        if self.writer.in_progress_rows() <= batch.num_rows() {
            // A row group began with it.
            self.bytes = 0;
        }
        for column in batch.columns() {
            self.bytes += column.to_data().get_slice_memory_size()?;
        }
        if self.bytes < ROW_GROUP_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        self.writer.flush()
    }

    /// Rows appended so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes the footer and seals the file.
    pub fn finish(self) -> Result<Sealed, ParquetError> {
        Ok(Sealed::new(self.writer.into_inner()?)?)
    }
}

/// A verified file of the lake, opened and checked, not yet decoded.
pub struct Reader {
    key: LakeKey,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl Reader {
    /// Opens what [`super::Lake::fetch`] returned for `key`.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] if the footer is damaged or promises more rows or columns than any file of ours has.
    pub fn open(key: &LakeKey, file: File) -> Result<Self, LakeError> {
        let unreadable = |reason: String| LakeError::Unreadable { key: key.to_string(), reason };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(error.to_string()))?;
        let rows = builder.metadata().file_metadata().num_rows();
        let columns = builder.schema().fields().len();
        if !(0..=MAX_ROWS).contains(&rows) || columns > MAX_COLUMNS {
            return Err(unreadable(format!("its footer promises {rows} rows and {columns} columns")));
        }
        Ok(Self { key: key.clone(), builder })
    }

    /// Rows in the file.
    pub fn rows(&self) -> u64 {
        self.builder.metadata().file_metadata().num_rows().unsigned_abs()
    }

    /// A value of the footer's metadata.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        footer_value(self.builder.metadata(), name)
    }

    /// The batches of the file, with only `columns` (every column when `None`) in the order of the file. The longer the rows
    /// are, the fewer there are in a batch.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] if a column is missing.
    pub fn batches(self, columns: Option<&[&str]>) -> Result<Batches, LakeError> {
        let rows = self.rows_that_fit(columns);
        self.batches_of(rows, columns)
    }

    /// The same, [`BATCH_ROWS`] rows each but the last, however long: files that lie side by side give the same rows.
    ///
    /// # Errors
    /// As [`Reader::batches`].
    pub fn batches_in_step(self, columns: Option<&[&str]>) -> Result<Batches, LakeError> {
        self.batches_of(BATCH_ROWS, columns)
    }

    fn rows_that_fit(&self, columns: Option<&[&str]>) -> usize {
        let groups = self.builder.metadata().row_groups().iter().filter(|group| group.num_rows() > 0);
        let longest = groups.map(|group| {
            let read = group
                .columns()
                .iter()
                .filter(|column| columns.is_none_or(|columns| columns.contains(&column.column_descr().name())));
            let bytes: i64 = read.filter_map(ColumnChunkMetaData::unencoded_byte_array_data_bytes).sum();
            bytes / group.num_rows()
        });
        let fit = BATCH_BYTES / longest.max().unwrap_or_default().max(1);
        usize::try_from(fit).unwrap_or_default().clamp(1, BATCH_ROWS)
    }

    fn batches_of(self, rows: usize, columns: Option<&[&str]>) -> Result<Batches, LakeError> {
        let unreadable = |reason: String| LakeError::Unreadable { key: self.key.to_string(), reason };
        let mut builder = self.builder.with_batch_size(rows);
        if let Some(columns) = columns {
            let known = builder.schema();
            if let Some(missing) = columns.iter().find(|name| known.field_with_name(name).is_err()) {
                return Err(unreadable(format!("it has no column {missing}")));
            }
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        let reader = builder.build().map_err(|error| unreadable(error.to_string()))?;
        Ok(Batches { key: Arc::new(self.key.clone()), reader })
    }
}

fn footer_value<'a>(metadata: &'a ParquetMetaData, name: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == name)?.value.as_deref()
}

/// The rows of one file, batch by batch.
pub struct Batches {
    key: Arc<LakeKey>,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    /// What every batch looks like.
    pub fn schema(&self) -> SchemaRef {
        arrow::array::RecordBatchReader::schema(&self.reader)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(|error| LakeError::Unreadable { key: self.key.to_string(), reason: error.to_string() }))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use parquet::file::metadata::RowGroupMetaData;

    use super::*;
    use crate::column::text;

    #[test]
    fn the_longer_rows_are_the_fewer_are_read_at_a_time_unless_files_are_read_in_step() {
        let note = Field::new("note", DataType::Utf8, true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false), note]));
        let batches = |rows: usize, length: usize, read: fn(Reader) -> Result<Batches, LakeError>| -> Vec<usize> {
            // All the same, so that the file is small.
            let (id, note) = ("1", "x".repeat(length));
            let mut writer = Writer::new(schema.clone(), &BTreeMap::new()).unwrap();
            for _ in 0..rows {
                let columns = vec![text([Some(id)].into_iter()), text([Some(note.as_str())].into_iter())];
                writer.write(&RecordBatch::try_new(schema.clone(), columns).unwrap()).unwrap();
            }
            let sealed = writer.finish().unwrap();
            let generation = "20260302T000000Z".parse().unwrap();
            let key = LakeKey::Dimension { entity: crate::lake::Entity::Teams, generation, sha256: sealed.sha256 };
            let reader = Reader::open(&key, sealed.reopen().unwrap()).unwrap();
            read(reader).unwrap().map(|batch| batch.unwrap().num_rows()).collect()
        };
        let all = |reader: Reader| reader.batches(None);
        assert_eq!(batches(0, 1, all), Vec::<usize>::new());
        assert_eq!(batches(8_200, 1, all), [8_192, 8]);
        assert_eq!(batches(10, (4 << 20) - 1, all), [4, 4, 2]);
        assert_eq!(batches(2, 20 << 20, all), [1, 1], "a row that is longer comes alone");
        assert_eq!(batches(10, 4 << 20, |reader| reader.batches_in_step(None)), [10]);
        assert_eq!(batches(10, 4 << 20, |reader| reader.batches(Some(&["id"]))), [10], "the long ones are not read");
    }

    #[test]
    fn a_row_group_ends_after_so_many_rows_or_bytes_whichever_is_first() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("note", DataType::Utf8, false)]));
        let groups = |rows: usize, length: usize, batch: usize| -> Vec<i64> {
            let note = "x".repeat(length);
            let mut writer = Writer::new(schema.clone(), &BTreeMap::new()).unwrap();
            for start in (0..rows).step_by(batch) {
                let notes = (start..rows.min(start + batch)).map(|_| Some(note.as_str()));
                writer.write(&RecordBatch::try_new(schema.clone(), vec![text(notes)]).unwrap()).unwrap();
            }
            let file = writer.finish().unwrap().reopen().unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            reader.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect()
        };
        assert_eq!(groups(0, 1, 1), Vec::<i64>::new());
        assert_eq!(groups(ROW_GROUP_ROWS + 10, 1, 4_096), [ROW_GROUP_ROWS as i64, 10]);
        // 16 MiB in each batch: every sixteenth, a little late, ends a row group.
        assert_eq!(groups(600, 1 << 20, 16), [256, 256, 88]);
        // What came before a row group ended by its rows does not count.
        assert_eq!(groups(2 * ROW_GROUP_ROWS, 2_000, 4_096), [ROW_GROUP_ROWS as i64; 2]);
    }
}
