//! Folding rows into contributions by what the columns declare. Knows no annotator.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, BooleanArray, Int64Array, StringArray};

use super::{Cell, CellKey, Contribution, Extent, Measure, People, Person, Scope};
use crate::{
    annotator::{Register, declaration::Aggregate},
    column::{Columns, NoSuchColumn},
    lake::siblings::Rows,
};

/// A day that cannot be added up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// A file lacks a declared column.
    #[error(transparent)]
    Column(#[from] NoSuchColumn),
    /// A sum does not fit 64 bits; no real day gets there.
    #[error("the sum of `{0}` overflows")]
    Overflow(String),
}

struct FoldedColumn {
    name: String,
    aggregate: Aggregate,
    over: Option<String>,
    reason: Option<String>,
}

/// Adds up the rows of one partition for every scope they belong to. Memory grows with the number of cells, not rows.
pub struct Fold {
    columns: Vec<FoldedColumn>,
    work_column: Option<String>,
    /// Columns of which nobody has been seen yet for whom they are true.
    awaited: BTreeSet<String>,
    evidence: BTreeSet<String>,
    scopes: BTreeMap<Scope, Cells>,
    total: Extent,
}

#[derive(Default)]
struct Cells {
    by_stereotype: BTreeMap<CellKey, Sums>,
    by_sprint: BTreeMap<CellKey, Sums>,
}

#[derive(Default)]
struct Sums {
    total: Extent,
    work: Extent,
    people: People,
    measures: Vec<Measure>,
}

struct Values<'a> {
    column: &'a FoldedColumn,
    values: &'a Int64Array,
    over: Option<&'a BooleanArray>,
    reason: Option<&'a StringArray>,
}

impl Values<'_> {
    fn add(&self, row: usize, person: Person, seconds: i64, measure: &mut Measure) -> Result<(), FoldError> {
        if self.over.is_some_and(|over| over.is_null(row) || !over.value(row)) {
            return Ok(());
        }
        let extent = Extent { rows: 1, seconds };
        measure.population.add(extent);
        measure.people.insert(person);
        let value = self.values.is_valid(row).then(|| self.values.value(row));
        let reason = self.reason.filter(|reasons| reasons.is_valid(row)).map(|reasons| reasons.value(row));
        if let Some(value) = value {
            let overflow = || FoldError::Overflow(self.column.name.clone());
            measure.sum = measure.sum.checked_add(value).ok_or_else(overflow)?;
            measure.values += 1;
            if let Aggregate::Histogram { bin, limit } = self.column.aggregate {
                *measure.histogram.entry((value / bin * bin).min(limit)).or_default() += 1;
            }
        }
        match reason {
            Some(reason) => measure.reasons.entry(reason.to_owned()).or_default().add(extent),
            None if value.is_some() => measure.covered.add(extent),
            None => {}
        }
        Ok(())
    }
}

impl Fold {
    /// The columns of the base that are folded.
    pub const BASE_COLUMNS: [&str; 5] = ["user_id", "team_id", "sprint_id", "stereotype_code", "duration_seconds"];

    /// Nothing folded yet; `register` says which columns count and how.
    pub fn new(register: &Register) -> Self {
        let columns = register.folded_columns().into_iter().map(|(name, (column, aggregate))| FoldedColumn {
            name: name.to_owned(),
            aggregate,
            over: column.over.clone(),
            reason: column.reason.clone(),
        });
        Self {
            columns: columns.collect(),
            work_column: register.work_column().map(str::to_owned),
            awaited: register.evidence_columns().into_iter().map(str::to_owned).collect(),
            evidence: BTreeSet::new(),
            scopes: BTreeMap::new(),
            total: Extent::default(),
        }
    }

    /// Adds some rows of the partition.
    pub fn add(&mut self, rows: &Rows) -> Result<(), FoldError> {
        let people = rows.base.text("user_id")?;
        let teams = rows.base.text("team_id")?;
        let sprints = rows.base.text("sprint_id")?;
        let stereotypes = rows.base.text("stereotype_code")?;
        let durations = rows.base.integer("duration_seconds")?;
        let optional = |array: &StringArray, row: usize| array.is_valid(row).then(|| array.value(row).to_owned());
        let mut values = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            values.push(Values {
                column,
                values: rows.annotations.integer(&column.name)?,
                over: column.over.as_deref().map(|name| rows.annotations.flag(name)).transpose()?,
                reason: column.reason.as_deref().map(|name| rows.annotations.text(name)).transpose()?,
            });
        }
        let work = self.work_column.as_deref().map(|name| rows.annotations.flag(name)).transpose()?;
        for column in std::mem::take(&mut self.awaited) {
            let seen = rows.annotations.flag(&column)?.true_count() > 0;
            (if seen { &mut self.evidence } else { &mut self.awaited }).insert(column);
        }
        for row in 0..rows.len() {
            let id = people.value(row);
            let person = Person::of(id);
            let is_work = work.is_none_or(|work| work.is_valid(row) && work.value(row));
            let seconds = durations.value(row);
            let (team, sprint) = (optional(teams, row), optional(sprints, row));
            let stereotype = Some(stereotypes.value(row).to_owned());
            self.total.add(Extent { rows: 1, seconds });
            let mut cells: Vec<(Scope, bool, CellKey)> = vec![
                (Scope::Organisation, true, CellKey { stereotype: stereotype.clone(), team: None, sprint: None }),
                (
                    Scope::Person(id.to_owned()),
                    true,
                    CellKey { stereotype: stereotype.clone(), team: None, sprint: sprint.clone() },
                ),
            ];
            if let Some(team) = &team {
                let key = CellKey { stereotype: stereotype.clone(), team: None, sprint: sprint.clone() };
                cells.push((Scope::Team(team.clone()), true, key));
            }
            if let Some(sprint) = &sprint {
                let key = CellKey { stereotype, team: team.clone(), sprint: None };
                cells.push((Scope::Sprint(sprint.clone()), true, key));
                let key = CellKey { stereotype: None, team, sprint: Some(sprint.clone()) };
                cells.push((Scope::Organisation, false, key));
            }
            for (scope, by_stereotype, key) in cells {
                let cells = self.scopes.entry(scope).or_default();
                let division = if by_stereotype { &mut cells.by_stereotype } else { &mut cells.by_sprint };
                let sums = division.entry(key).or_default();
                sums.total.add(Extent { rows: 1, seconds });
                if is_work {
                    sums.work.add(Extent { rows: 1, seconds });
                    sums.people.insert(person);
                }
                sums.measures.resize_with(values.len(), Measure::default);
                for (values, measure) in values.iter().zip(&mut sums.measures) {
                    values.add(row, person, seconds, measure)?;
                }
            }
        }
        Ok(())
    }

    /// All rows added so far.
    pub fn total(&self) -> Extent {
        self.total
    }

    /// The columns of [`Register::evidence_columns`] that were true of some row so far.
    pub fn evidence(&self) -> &BTreeSet<String> {
        &self.evidence
    }

    /// The contributions, by scope.
    pub fn finish(self) -> BTreeMap<Scope, Contribution> {
        let names: Vec<String> = self.columns.into_iter().map(|column| column.name).collect();
        let cell = |(key, sums): (CellKey, Sums)| {
            let mut cell = Cell::new(key, sums.total, sums.work, sums.people);
            names.iter().zip(sums.measures).for_each(|(name, measure)| cell.record(name, measure));
            cell
        };
        let cells = |sums: BTreeMap<CellKey, Sums>| -> Vec<Cell> { sums.into_iter().map(cell).collect() };
        let contribution =
            |both: Cells| Contribution { by_stereotype: cells(both.by_stereotype), by_sprint: cells(both.by_sprint) };
        self.scopes.into_iter().map(|(scope, both)| (scope, contribution(both))).collect()
    }
}
