//! The rows of a day in the lake, with what each of them adds to a figure under a logic, the program's own or an older one.

use std::{fs::File, sync::Arc};

use arrow::array::{Array, BooleanArray, Int64Array, StringArray};
use shared::{
    annotator::declaration::{Denominator, Ratio},
    column::{Columns, NoSuchColumn},
    contribution::{Cell, LogicRecord, Measure, Pointer, RecordedColumn, Scope},
    lake::{
        LakeError, LakeKey,
        siblings::{Lockstep, Rows, Siblings},
    },
};

use crate::{Api, ApiError};

/// The columns of the base that are shown of a row or that decide whether it is in a scope.
const BASE_COLUMNS: [&str; 8] = [
    "user_id",
    "team_id",
    "sprint_id",
    "stereotype_code",
    "stereotype_name",
    "started_at",
    "duration_seconds",
    "clock",
];

/// What a row adds to a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Adds {
    /// The values of these columns.
    Values(Vec<String>),
    /// Its duration, if the column is about it; and can tell, if `covered`.
    Duration { column: String, covered: bool },
}

impl Adds {
    /// What the number below the line consists of; `None` where there is none.
    pub(crate) fn below(ratio: Ratio<'_>) -> Option<Self> {
        match ratio.denominator {
            Denominator::Sum(columns) => Some(Self::Values(columns.clone())),
            Denominator::Covered(column) => Some(Self::Duration { column: column.clone(), covered: true }),
            Denominator::Population(column) => Some(Self::Duration { column: column.clone(), covered: false }),
            Denominator::None => None,
        }
    }

    pub(crate) fn columns(&self) -> &[String] {
        match self {
            Self::Values(columns) => columns,
            Self::Duration { column, .. } => std::slice::from_ref(column),
        }
    }

    /// What a cell's rows add.
    pub(crate) fn in_cell(&self, cell: &Cell) -> i64 {
        match self {
            Self::Values(columns) => cell.sum_of(columns),
            Self::Duration { column, covered } => {
                let mut measure = Measure::default();
                cell.add_to(column, &mut measure);
                if *covered { measure.covered.seconds } else { measure.population.seconds }
            }
        }
    }
}

/// A column with what decides whether a row's value counts.
struct Values<'a> {
    values: &'a Int64Array,
    over: Option<&'a BooleanArray>,
    reason: Option<&'a StringArray>,
}

impl<'a> Values<'a> {
    fn of(name: &str, column: &RecordedColumn, rows: &'a Rows) -> Result<Self, NoSuchColumn> {
        Ok(Self {
            values: rows.annotations.integer(name)?,
            over: column.over.as_deref().map(|name| rows.annotations.flag(name)).transpose()?,
            reason: column.reason.as_deref().map(|name| rows.annotations.text(name)).transpose()?,
        })
    }

    fn is_about(&self, row: usize) -> bool {
        self.over.is_none_or(|over| over.is_valid(row) && over.value(row))
    }

    fn covers(&self, row: usize) -> bool {
        self.is_about(row) && self.values.is_valid(row) && self.reason.is_none_or(|reason| reason.is_null(row))
    }

    fn value(&self, row: usize) -> i64 {
        if self.is_about(row) && self.values.is_valid(row) { self.values.value(row) } else { 0 }
    }
}

/// The files of a day that it takes to read some columns under a logic.
pub(crate) struct Day {
    base: (LakeKey, File),
    annotations: Vec<(LakeKey, File)>,
    logic: Arc<LogicRecord>,
}

/// Where the annotation of `writer` for a day lies, as `logic` used it.
///
/// # Errors
/// If it is not there any more.
pub(crate) fn annotation<'a>(
    siblings: &'a Siblings,
    base: &LakeKey,
    logic: &LogicRecord,
    writer: &str,
) -> Result<&'a LakeKey, LakeError> {
    let version = logic.annotator(writer).map(|annotator| annotator.effective_version.as_str()).unwrap_or_default();
    siblings.get(writer, version)?.ok_or_else(|| LakeError::Unreadable {
        key: base.to_string(),
        reason: format!(
            "its annotation by {writer} {version} is missing; run the program of that version and upload the base again"
        ),
    })
}

impl Day {
    /// Fetches them. `columns` are columns that `logic` folds.
    ///
    /// # Errors
    /// If a file is missing, or not the one that its key names.
    pub(crate) async fn fetch<'a>(
        api: &Api,
        pointer: &Pointer,
        logic: &Arc<LogicRecord>,
        columns: impl Iterator<Item = &'a String>,
    ) -> Result<Self, ApiError> {
        let base = LakeKey::Activities { partition: pointer.partition, sha256: pointer.base };
        let siblings = Siblings::find(&api.lake, pointer.partition).await?;
        let mut annotations = Vec::new();
        for writer in logic.writers_of(columns) {
            let key = annotation(&siblings, &base, logic, writer)?.clone();
            let file = api.lake.fetch(&key).await?;
            annotations.push((key, file));
        }
        let file = api.lake.fetch(&base).await?;
        Ok(Self { base: (base, file), annotations, logic: logic.clone() })
    }

    /// Reads the rows in step and in order with `read`, which is given each batch with the number of its first row, until
    /// it says that it has seen enough.
    pub(crate) async fn read<T: Send + 'static>(
        self,
        mut result: T,
        mut read: impl FnMut(&mut T, &Batch, usize) -> Result<Enough, NoSuchColumn> + Send + 'static,
    ) -> Result<T, ApiError> {
        let key = self.base.0.to_string();
        let unreadable = move |reason: String| LakeError::Unreadable { key: key.clone(), reason };
        let lost = unreadable.clone();
        let work = move || -> Result<T, LakeError> {
            let mut first = 0;
            for rows in Lockstep::open(self.base, &BASE_COLUMNS, self.annotations)? {
                let batch = Batch { rows: rows?, logic: self.logic.clone() };
                let count = batch.rows.len();
                if read(&mut result, &batch, first).map_err(|error| unreadable(error.to_string()))? == Enough::Yes {
                    break;
                }
                first += count;
            }
            Ok(result)
        };
        // Decoding keeps a core busy, and a panic in a decoder must not take the process along.
        let read = tokio::task::spawn_blocking(work).await;
        Ok(read.map_err(|_| lost("decoding it panicked".to_owned()))??)
    }
}

/// Whether a reader has seen enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enough {
    Yes,
    No,
}

/// Some rows, under a logic.
pub(crate) struct Batch {
    pub(crate) rows: Rows,
    logic: Arc<LogicRecord>,
}

impl Batch {
    /// A text of the base.
    pub(crate) fn text(&self, name: &str, row: usize) -> Result<Option<&str>, NoSuchColumn> {
        let column = self.rows.base.text(name)?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    }

    /// Whether a row is one of `scope`, and of this kind of activity if one is given.
    pub(crate) fn is_of(&self, row: usize, scope: &Scope, stereotype: Option<&str>) -> Result<bool, NoSuchColumn> {
        let is_of = match scope {
            Scope::Organisation => true,
            Scope::Team(id) => self.text("team_id", row)? == Some(id),
            Scope::Sprint(id) => self.text("sprint_id", row)? == Some(id),
            Scope::Person(id) => self.text("user_id", row)? == Some(id),
        };
        Ok(is_of && (stereotype.is_none() || self.text("stereotype_code", row)? == stereotype))
    }

    /// How long a row's activity took.
    pub(crate) fn seconds(&self, row: usize) -> Result<i64, NoSuchColumn> {
        Ok(self.rows.base.integer("duration_seconds")?.value(row))
    }

    /// What a row adds.
    pub(crate) fn value(&self, row: usize, adds: &Adds) -> Result<i64, NoSuchColumn> {
        let mut value = 0;
        for name in adds.columns() {
            let Some(column) = self.logic.columns.get(name) else { continue };
            let values = Values::of(name, column, &self.rows)?;
            value += match adds {
                Adds::Values(_) => values.value(row),
                Adds::Duration { covered: true, .. } if values.covers(row) => self.seconds(row)?,
                Adds::Duration { covered: false, .. } if values.is_about(row) => self.seconds(row)?,
                Adds::Duration { .. } => 0,
            };
        }
        Ok(value)
    }
}
