//! Arrow columns: building them from values, and reading them by name and type.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Int64Array, Int64Builder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};

/// A text column.
pub fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

/// A column of instants.
pub fn instants(values: impl Iterator<Item = Option<DateTime<Utc>>>) -> ArrayRef {
    let mut builder = TimestampMicrosecondBuilder::new();
    values.for_each(|value| builder.append_option(value.map(|value| value.timestamp_micros())));
    Arc::new(builder.finish().with_timezone("UTC"))
}

/// A column of whole numbers.
pub fn integers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let mut builder = Int64Builder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

/// A column of yes, no and unknown.
pub fn flags(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    let mut builder = BooleanBuilder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

/// A batch lacks a column, or the column is of another type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {expected} column `{name}`")]
pub struct NoSuchColumn {
    name: String,
    expected: &'static str,
}

/// Reads the columns of a batch by name and type.
pub trait Columns {
    /// The column called `name`, of any type.
    fn array(&self, name: &str) -> Option<&dyn Array>;

    /// A text column.
    fn text(&self, name: &str) -> Result<&StringArray, NoSuchColumn> {
        self.array(name).and_then(|array| array.as_string_opt()).ok_or_else(|| missing(name, "text"))
    }

    /// A column of whole numbers.
    fn integer(&self, name: &str) -> Result<&Int64Array, NoSuchColumn> {
        let array = self.array(name).and_then(|array| array.as_primitive_opt::<Int64Type>());
        array.ok_or_else(|| missing(name, "integer"))
    }

    /// A column of yes, no and unknown.
    fn flag(&self, name: &str) -> Result<&BooleanArray, NoSuchColumn> {
        self.array(name).and_then(|array| array.as_boolean_opt()).ok_or_else(|| missing(name, "boolean"))
    }

    /// A column of instants, in microseconds since 1970 in UTC.
    fn instant(&self, name: &str) -> Result<&TimestampMicrosecondArray, NoSuchColumn> {
        let array = self.array(name).and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
        array.ok_or_else(|| missing(name, "timestamp"))
    }
}

fn missing(name: &str, expected: &'static str) -> NoSuchColumn {
    NoSuchColumn { name: name.to_owned(), expected }
}

impl Columns for RecordBatch {
    fn array(&self, name: &str) -> Option<&dyn Array> {
        self.column_by_name(name).map(AsRef::as_ref)
    }
}
