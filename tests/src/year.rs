//! A table with as many days of as many teams as one likes, written straight as contributions: the same for the same
//! numbers, and no rows behind them.

use std::collections::BTreeMap;

use chrono::{Datelike, Weekday};
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    annotator::{Register, declaration::Aggregate},
    contribution::{
        Cell, CellKey, Contribution, ContributionStore, Extent, LogicRecord, Measure, People, Pointer, Scope,
    },
    lake::{Partition, Sha256},
    time::LocalDay,
};

/// People of a team.
const PEOPLE: usize = 8;
/// Days of a sprint.
const SPRINT: i64 = 14;
/// Kinds of work, with how much of a team's day each takes, in seconds.
const KINDS: [(&str, i64); 6] = [
    ("coding", 115_200),
    ("review", 34_560),
    ("manual-deployment", 25_344),
    ("stand-up", 14_400),
    ("sprint-planning", 11_520),
    ("bug-hunt", 29_376),
];
/// Days that are written at the same time.
const AT_ONCE: usize = 4;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Year {
    /// Teams of eight.
    pub teams: usize,
    /// The first day, a Monday.
    pub first: LocalDay,
    /// Calendar days; weekends have no rows.
    pub days: i64,
}

impl Year {
    /// SQL that gives the reference schema these teams, their people and their sprints, without any activity.
    pub fn dimensions(&self) -> String {
        let Self { teams, first, days } = self;
        let sprints = (days + SPRINT - 1) / SPRINT;
        let kinds = KINDS.map(|(code, _)| format!("('{code}', '{code}', NULL, NULL)")).join(", ");
        format!(
            "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {teams})
             INSERT INTO teams SELECT id, 'Team ' || id FROM n;
             WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {teams} * {PEOPLE})
             INSERT INTO users SELECT id, (id - 1) / {PEOPLE} + 1, 'Person ' || id, NULL FROM n;
             WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id + 1 < {teams} * {sprints})
             INSERT INTO sprints SELECT id + 1, id / {sprints} + 1, 'S' || (id % {sprints} + 1),
                 date('{first}', '+' || (id % {sprints} * {SPRINT}) || ' days') || 'T00:00:00Z',
                 date('{first}', '+' || ((id % {sprints} + 1) * {SPRINT}) || ' days') || 'T00:00:00Z', NULL FROM n;
             INSERT INTO activity_stereotypes VALUES {kinds};"
        )
    }

    /// The days on which people work.
    pub fn worked(&self) -> impl Iterator<Item = LocalDay> {
        let first = self.first;
        let days = (0..self.days).map(move |day| first.plus(day));
        days.filter(|day| !matches!(day.0.weekday(), Weekday::Sat | Weekday::Sun))
    }

    /// Publishes every day under a logic, of the organisation and its teams.
    ///
    /// # Errors
    /// If the table does not take something.
    pub async fn publish(
        &self,
        store: &ContributionStore,
        register: &Register,
        logic: &LogicRecord,
    ) -> anyhow::Result<()> {
        store.record_logic(logic).await?;
        let columns = columns(register);
        let publish = |day: LocalDay| {
            let columns = columns.as_slice();
            async move {
                let contributions = self.contributions(day, columns);
                let total = contributions.get(&Scope::Organisation).into_iter().flat_map(|all| &all.by_stereotype);
                let mut extent = Extent::default();
                total.for_each(|cell| extent.add(cell.total));
                let evidence = register.evidence_columns().into_iter().map(str::to_owned).collect();
                let partition = Partition { day, generation: "20270101T000000Z".parse()? };
                let pointer = Pointer { partition, base: Sha256::of(day.to_string()), total: extent, evidence };
                anyhow::Ok(store.publish(&logic.logic, &pointer, &contributions).await?)
            }
        };
        stream::iter(self.worked()).map(publish).buffer_unordered(AT_ONCE).try_for_each(async |_| Ok(())).await
    }

    fn contributions(&self, day: LocalDay, columns: &[(String, Option<i64>)]) -> BTreeMap<Scope, Contribution> {
        let sprints = (self.days + SPRINT - 1) / SPRINT;
        let sprint = (day.0 - self.first.0).num_days() / SPRINT;
        let mut everybody: BTreeMap<&str, (i64, People)> = BTreeMap::new();
        let mut contributions = BTreeMap::new();
        let mut by_sprint = Vec::new();
        for team in 0..self.teams {
            let people = |most: usize| {
                let ids: Vec<String> = (0..most).map(|person| (team * PEOPLE + person + 1).to_string()).collect();
                ids.iter().map(String::as_str).collect::<People>()
            };
            let id = Some((team as i64 * sprints + sprint + 1).to_string());
            let mut whole = 0;
            let mut cells = Vec::new();
            for (index, (kind, seconds)) in KINDS.into_iter().enumerate() {
                // A wave, so that neither teams nor weeks are alike.
                let seconds = seconds * (90 + (team as i64 * 7 + sprint * 3 + index as i64) % 21) / 100;
                whole += seconds;
                let people = people(PEOPLE - index % 3);
                let key = CellKey { stereotype: Some(kind.to_owned()), team: None, sprint: id.clone() };
                let all = everybody.entry(kind).or_default();
                all.0 += seconds;
                all.1.join(&people);
                cells.push(cell(key, index, seconds, people, columns));
            }
            let key = CellKey { stereotype: None, team: Some((team + 1).to_string()), sprint: id };
            by_sprint.push(cell(key, 0, whole, people(PEOPLE), columns));
            let scope = Scope::Team((team + 1).to_string());
            contributions.insert(scope, Contribution { by_stereotype: cells, by_sprint: Vec::new() });
        }
        let all = everybody.into_iter().enumerate().map(|(index, (kind, (seconds, people)))| {
            let key = CellKey { stereotype: Some(kind.to_owned()), team: None, sprint: None };
            cell(key, index, seconds, people, columns)
        });
        contributions.insert(Scope::Organisation, Contribution { by_stereotype: all.collect(), by_sprint });
        contributions
    }
}

/// What is folded, and of histograms how wide a bin is.
fn columns(register: &Register) -> Vec<(String, Option<i64>)> {
    let bin = |aggregate: Option<Aggregate>| match aggregate {
        Some(Aggregate::Histogram { bin, .. }) => Some(bin),
        _ => None,
    };
    let folded = register.folded_columns().into_iter();
    folded.map(|(name, (column, _))| (name.to_owned(), bin(column.aggregate))).collect()
}

fn cell(key: CellKey, kind: usize, seconds: i64, people: People, columns: &[(String, Option<i64>)]) -> Cell {
    let extent = Extent { rows: seconds / 3_600 + 1, seconds };
    let mut cell = Cell::new(key, extent, extent, people.clone());
    for (index, (name, bin)) in columns.iter().enumerate() {
        // Most of what is folded of most cells is nothing.
        if !(index + kind).is_multiple_of(3) {
            continue;
        }
        let (values, sum) = (extent.rows, seconds / (2 + index as i64 % 5));
        let histogram = bin.map(|bin| BTreeMap::from([(0, values / 2), (bin, values - values / 2)]));
        cell.record(
            name,
            Measure {
                sum,
                population: extent,
                covered: extent,
                values,
                people: people.clone(),
                histogram: histogram.unwrap_or_default(),
                ..Measure::default()
            },
        );
    }
    cell
}
