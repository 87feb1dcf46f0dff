//! Quarantine: records that could not be translated, whole, each with what to mend.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::errors::ParquetError;
use shared::{
    column::text,
    lake::{Sealed, parquet_file::Writer},
};

use crate::{provenance, translate::Rejected};

/// The columns of `rejected.parquet`.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let names = ["entity", "key", "reason", "field", "message", "source_row"];
    Arc::new(Schema::new(names.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()))
});

/// Seals rejected records, in an order of their own, so that the same records give the same bytes.
pub fn seal(source: &str, rejected: &[Rejected]) -> Result<Sealed, ParquetError> {
    let mut rejected: Vec<&Rejected> = rejected.iter().collect();
    rejected.sort_by_key(|record| (&record.key, record.reason, record.field, &record.source_row));
    let column = |value: fn(&Rejected) -> &str| text(rejected.iter().map(|record| Some(value(record))));
    let columns = vec![
        column(|record| record.entity.name()),
        column(|record| &record.key),
        column(|record| record.reason),
        column(|record| record.field),
        column(|record| &record.message),
        column(|record| &record.source_row),
    ];
    let mut writer = Writer::new(SCHEMA.clone(), &provenance(source))?;
    writer.write(&RecordBatch::try_new(SCHEMA.clone(), columns)?)?;
    writer.finish()
}
