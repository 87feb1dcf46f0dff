//! Activities that were placed on days: as columns, and as byte strings whose order is that of the lake.

use arrow::{
    array::{Array, RecordBatch},
    row::{RowConverter, RowParser, SortField},
};
use chrono::{Datelike, NaiveDate};
use shared::{
    activity::{Activity, ActivityBuilder, SCHEMA},
    column::Columns,
    time::LocalDay,
};

use crate::sort::{SortError, Sorter};

/// Activities of a batch, and the bytes of text in them, whichever is reached first.
const ROWS: usize = 512;
const BYTES: usize = 256 * 1024;

/// The columns by which the files of the lake are sorted, first to last.
const ORDER: [&str; 3] = ["user_id", "started_at", "activity_id"];

/// Activities and the local day of each.
pub struct Placed {
    /// One for each row.
    pub days: Vec<LocalDay>,
    /// The activities, with [`SCHEMA`].
    pub rows: RecordBatch,
}

/// Makes [`Placed`] of one activity after the other.
#[derive(Default)]
pub struct Placing {
    days: Vec<LocalDay>,
    rows: ActivityBuilder,
    bytes: usize,
}

impl Placing {
    /// Takes one. Returns whether it is time to finish.
    pub fn put(&mut self, day: LocalDay, activity: &Activity<'_>) -> bool {
        self.days.push(day);
        self.rows.append(activity);
        self.bytes += activity.source_row.len() + activity.note.as_ref().map_or(0, |note| note.len());
        self.days.len() == ROWS || self.bytes >= BYTES
    }

    /// Bytes of text in what was taken, as far as it may be long.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was taken since this was done last.
    ///
    /// # Errors
    /// As [`ActivityBuilder::finish`].
    pub fn finish(&mut self) -> Result<Placed, SortError> {
        self.bytes = 0;
        Ok(Placed { days: std::mem::take(&mut self.days), rows: self.rows.finish()? })
    }
}

/// Writes activities as byte strings, and reads them: the day, all columns in a form that is in order byte by byte, those of
/// [`ORDER`] first, and what is to be known without reading them.
pub struct Codec {
    columns: RowConverter,
    parser: RowParser,
    /// The column of [`SCHEMA`] that each written column is.
    written: Vec<usize>,
}

/// An activity as a byte string.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The day that it was placed on.
    pub day: LocalDay,
    /// The digest of its key, as a number.
    pub key: u128,
    /// Bytes of the texts that may be long.
    pub long: usize,
    /// Its columns.
    pub row: &'a [u8],
}

impl Codec {
    /// For [`SCHEMA`].
    ///
    /// # Errors
    /// None that is known: every type of the schema can be written.
    pub fn new() -> Result<Self, SortError> {
        let mut written: Vec<usize> = (0..SCHEMA.fields().len()).collect();
        written.sort_by_key(|column| {
            ORDER.iter().position(|name| name == SCHEMA.field(*column).name()).unwrap_or(ORDER.len())
        });
        let field = |column: &usize| SortField::new(SCHEMA.field(*column).data_type().clone());
        let columns = RowConverter::new(written.iter().map(field).collect())?;
        Ok(Self { parser: columns.parser(), columns, written })
    }

    /// Adds what was placed, whose keys have these digests, to what is to be sorted.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn write(&self, placed: &Placed, keys: &[u128], sorter: &mut Sorter) -> Result<(), SortError> {
        let columns: Vec<_> = self.written.iter().map(|column| placed.rows.column(*column).clone()).collect();
        let rows = self.columns.convert_columns(&columns)?;
        let (source_row, note) = (placed.rows.text("source_row")?, placed.rows.text("note")?);
        for (index, (row, (day, key))) in rows.iter().zip(placed.days.iter().zip(keys)).enumerate() {
            let note = if note.is_valid(index) { note.value_length(index) } else { 0 };
            let long = source_row.value_length(index) + note;
            let day = day.0.num_days_from_ce();
            sorter.add(&[&day.to_be_bytes(), row.as_ref(), &key.to_be_bytes(), &long.to_be_bytes()])?;
        }
        Ok(())
    }

    /// A byte string that [`Codec::write`] wrote.
    ///
    /// # Errors
    /// If it is none.
    pub fn read<'a>(&self, item: &'a [u8]) -> Result<Written<'a>, SortError> {
        let parts = || {
            let (day, rest) = item.split_first_chunk()?;
            let (rest, long) = rest.split_last_chunk()?;
            let (row, key) = rest.split_last_chunk()?;
            Some(Written {
                day: LocalDay(NaiveDate::from_num_days_from_ce_opt(i32::from_be_bytes(*day))?),
                key: u128::from_be_bytes(*key),
                long: i32::from_be_bytes(*long).unsigned_abs() as usize,
                row,
            })
        };
        parts().ok_or_else(|| SortError::new("a record is damaged"))
    }

    /// The columns of [`Written::row`]s, with [`SCHEMA`].
    ///
    /// # Errors
    /// If they are damaged.
    pub fn columns<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<RecordBatch, SortError> {
        let read = self.columns.convert_rows(rows.map(|row| self.parser.parse(row)))?;
        let mut columns: Vec<_> = self.written.iter().zip(read).collect();
        columns.sort_by_key(|(column, _)| **column);
        Ok(RecordBatch::try_new(SCHEMA.clone(), columns.into_iter().map(|(_, column)| column).collect())?)
    }
}
