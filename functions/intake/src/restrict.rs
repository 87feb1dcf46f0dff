//! A mapping's SELECT of the activities, restricted to what a run wants: what changed lately, what is on some days, or what has
//! some keys.
//!
//! What the database leaves out is left out for good, and what it gives too much is sorted out after translation. So each
//! restriction gives rather too much: a cell whose order the database might see otherwise than we do is always given.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use shared::time::LocalDay;

use crate::{
    fit::Fitted,
    mapping::{CURSOR, ColumnMapping, Database, EntityMapping, InstantFormat, ZoneRule},
    personal::Veil,
    source::Family,
};

/// More runs of days than these are not worth a condition each.
const MOST_RANGES: usize = 64;
/// Nor more keys than these.
const MOST_KEYS: usize = 1_000;
/// Types of PostgreSQL whose text is the same in a cast and in an answer.
const EXACT: [&str; 8] = ["int2", "int4", "int8", "numeric", "text", "varchar", "name", "uuid"];
/// Days in between that are read along rather than left out.
const GAP: i64 = 4;
/// No zone is further from UTC than this, in hours, with some to spare.
const OFFSET_HOURS: i64 = 16;

/// The SELECT of the activities over a source that has these columns.
pub struct Restriction<'a> {
    from: &'a EntityMapping,
    read: &'a Fitted,
    database: Database,
}

/// How the database compares a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// A number of units since 1970; nanoseconds in one.
    Number(i64),
    /// Days with times, in UTC.
    Utc,
    /// Days with times in a zone, or in the zone that decides the day.
    Naive(ZoneRule),
    /// Days.
    Day,
    /// Text that begins with a day.
    Text,
}

impl<'a> Restriction<'a> {
    /// Restricts what is `read` for `from`.
    pub fn new(from: &'a EntityMapping, read: &'a Fitted, database: Database) -> Self {
        Self { from, read, database }
    }

    /// The names of the columns.
    pub fn names(&self) -> Arc<[String]> {
        self.read.names.clone()
    }

    /// The records whose cursor is `low`, or later, or says nothing. `None` if the database cannot compare it.
    pub fn changed_since(&self, low: DateTime<Utc>) -> Option<String> {
        let cursor = self.from.columns.get(CURSOR)?;
        let condition = self.any_column(cursor, |column, order| Some(column.at_least(&lower(order, low)?)))?;
        let columns = self.columns(cursor).map(|column| format!("{} IS NULL", self.quoted(column)));
        let says_nothing = columns.collect::<Vec<_>>().join(" AND ");
        Some(self.select(&format!("{condition} OR ({says_nothing})")))
    }

    /// The records that start on any of `days`, whatever zone decides that. `None` if the database cannot compare the start,
    /// or the days are too many and too far apart.
    pub fn on_days(&self, days: &BTreeSet<LocalDay>) -> Option<String> {
        let started = self.from.columns.get("started_at")?;
        let ranges = ranges(days);
        if ranges.len() > MOST_RANGES {
            return None;
        }
        let condition = self.any_column(started, |column, order| {
            let range = |(first, last): &(LocalDay, LocalDay)| {
                let (low, high) = around(order, *first, *last)?;
                Some(column.between(&low, &high))
            };
            Some(ranges.iter().map(range).collect::<Option<Vec<_>>>()?.join(" OR "))
        })?;
        Some(self.select(&condition))
    }

    /// The records that have any of these keys. `None` if they are too many, or the database might write a key otherwise than
    /// it is in the lake.
    pub fn with_keys(&self, keys: &[String], veil: &Veil<'_>) -> Option<String> {
        let ColumnMapping { columns, fallback: None, values: None, .. } = self.from.columns.get("activity_id")? else {
            return None;
        };
        // What is a backslash in a literal is a matter of settings.
        let plain = |key: &String| !key.contains(['\\', '\0']);
        if keys.len() > MOST_KEYS || !keys.iter().all(plain) {
            return None;
        }
        let [name] = columns.as_slice() else { return None };
        let type_name = &self.read.columns.iter().find(|column| column.name == *name)?.type_name;
        let exact = match self.database {
            Database::Postgresql => EXACT.contains(&type_name.as_str()),
            Database::Sqlite => true,
            Database::Mysql => false,
        };
        if !exact || !veil.keeps(name) {
            return None;
        }
        let column = Column { name: self.quoted(name), text: true, database: self.database };
        let literals: Vec<String> = keys.iter().map(|key| format!("'{}'", key.replace('\'', "''"))).collect();
        let (compared, literals) = (column.compared(), literals.join(", "));
        // A mark at the beginning is not in the lake; and 5.0 is 5 there.
        let other = match self.database {
            Database::Sqlite => format!(" OR typeof({}) NOT IN ('integer', 'text')", column.name),
            Database::Postgresql | Database::Mysql => String::new(),
        };
        Some(self.select(&format!("{compared} IN ({literals}) OR {compared} LIKE '\u{feff}%'{other}")))
    }

    fn select(&self, condition: &str) -> String {
        // The SELECT may end with a comment.
        format!("SELECT * FROM (\n{}\n) AS given WHERE {condition}", self.read.select)
    }

    fn columns<'m>(&self, mapping: &'m ColumnMapping) -> impl Iterator<Item = &'m str> {
        mapping.columns.iter().take(1).chain(&mapping.fallback).map(String::as_str)
    }

    fn quoted(&self, column: &str) -> String {
        format!("given.\"{}\"", column.replace('"', "\"\""))
    }

    /// What `compare` says of each column that the mapping reads: of the second one only where the first is NULL.
    fn any_column(
        &self,
        mapping: &ColumnMapping,
        compare: impl Fn(&Column, Order) -> Option<String>,
    ) -> Option<String> {
        let mut conditions = Vec::new();
        let mut before: Option<String> = None;
        for name in self.columns(mapping) {
            let family = self.read.columns.iter().find(|column| column.name == name)?.family;
            let order = order(mapping, family, self.database)?;
            let column = Column { name: self.quoted(name), text: order == Order::Text, database: self.database };
            let mut condition = format!("({})", compare(&column, order)?);
            if order == Order::Text {
                condition = format!("({condition} OR {})", column.is_no_day());
            }
            conditions.push(before.map_or(condition.clone(), |before| format!("({before} IS NULL AND {condition})")));
            before = Some(column.name);
        }
        Some(conditions.join(" OR "))
    }
}

struct Column {
    name: String,
    text: bool,
    database: Database,
}

impl Column {
    /// What is compared. Text by its bytes, whatever the language of the database.
    fn compared(&self) -> String {
        match (self.text, self.database) {
            (false, _) => self.name.clone(),
            (true, Database::Postgresql) => format!("CAST({} AS text) COLLATE \"C\"", self.name),
            (true, Database::Sqlite | Database::Mysql) => format!("CAST({} AS TEXT)", self.name),
        }
    }

    fn at_least(&self, low: &str) -> String {
        format!("{} >= {low}", self.compared())
    }

    fn between(&self, low: &str, high: &str) -> String {
        format!("({0} >= {low} AND {0} < {high})", self.compared())
    }

    /// Text that we may be able to read, but that is in no order.
    fn is_no_day(&self) -> String {
        match self.database {
            Database::Postgresql => format!("{} !~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'", self.compared()),
            Database::Sqlite | Database::Mysql => {
                let digit = "[0-9]";
                let day = format!("{}-{}-{}*", digit.repeat(4), digit.repeat(2), digit.repeat(2));
                format!("{} NOT GLOB '{day}'", self.compared())
            }
        }
    }
}

fn order(mapping: &ColumnMapping, family: Family, database: Database) -> Option<Order> {
    // It does not tell what is under way, so it is read whole, and never compared below.
    if database == Database::Mysql {
        return None;
    }
    let zone = mapping.zone.unwrap_or(ZoneRule::Fixed(Tz::UTC));
    match (mapping.format.as_ref()?, family) {
        // A type that belongs to each value is compared as what the value is.
        (InstantFormat::Unix(unit), Family::Other) if database == Database::Sqlite => Some(Order::Number(*unit)),
        (InstantFormat::Unix(unit), Family::Number) => Some(Order::Number(*unit)),
        (InstantFormat::Unix(_) | InstantFormat::Pattern { .. }, _) => None,
        (_, Family::TimestampTz) => Some(Order::Utc),
        (_, Family::Timestamp) if zone == ZoneRule::Fixed(Tz::UTC) => Some(Order::Utc),
        (_, Family::Timestamp) => Some(Order::Naive(zone)),
        (_, Family::Date) => Some(Order::Day),
        (_, Family::Other) => Some(Order::Text),
        _ => None,
    }
}

/// A literal that no instant from `low` on is below.
fn lower(order: Order, low: DateTime<Utc>) -> Option<String> {
    let low = low.naive_utc();
    match order {
        Order::Number(unit) => number(low, unit),
        Order::Utc => Some(moment(low)),
        // Clocks that are put back give a time twice, and nobody knows which.
        Order::Naive(ZoneRule::Fixed(zone)) => {
            Some(moment(low.and_utc().with_timezone(&zone).naive_local() - TimeDelta::hours(3)))
        }
        Order::Naive(ZoneRule::Local) | Order::Day | Order::Text => Some(day(low - TimeDelta::days(2))),
    }
}

/// Literals that everything on the local days from `first` to `last` is between, the second one exclusive.
fn around(order: Order, first: LocalDay, last: LocalDay) -> Option<(String, String)> {
    let (start, end) = (first.0.and_time(NaiveTime::MIN), last.plus(1).0.and_time(NaiveTime::MIN));
    let wider = |hours| (start - TimeDelta::hours(hours), end + TimeDelta::hours(hours));
    let moments = |(start, end)| Some((moment(start), moment(end)));
    match order {
        Order::Number(unit) => {
            let (start, end) = wider(OFFSET_HOURS);
            Some((number(start, unit)?, number(end, unit)?))
        }
        Order::Utc => moments(wider(OFFSET_HOURS)),
        // Two zones may lie on either side of UTC.
        Order::Naive(ZoneRule::Fixed(_)) => moments(wider(2 * OFFSET_HOURS)),
        // The text is in the very zone that decides the day.
        Order::Naive(ZoneRule::Local) => moments((start, end)),
        Order::Day | Order::Text => {
            let (start, end) = wider(48);
            Some((day(start), day(end)))
        }
    }
}

fn number(at: NaiveDateTime, unit: i64) -> Option<String> {
    Some(at.and_utc().timestamp_nanos_opt()?.div_euclid(unit).to_string())
}

fn moment(at: NaiveDateTime) -> String {
    format!("'{}'", at.format("%Y-%m-%d %H:%M:%S%.6f"))
}

fn day(at: NaiveDateTime) -> String {
    format!("'{}'", at.format("%Y-%m-%d"))
}

/// Runs of days, those that are almost neighbours in one.
fn ranges(days: &BTreeSet<LocalDay>) -> Vec<(LocalDay, LocalDay)> {
    let mut ranges: Vec<(LocalDay, LocalDay)> = Vec::new();
    for day in days {
        match ranges.last_mut() {
            Some((_, last)) if *day <= last.plus(GAP) => *last = *day,
            _ => ranges.push((*day, *day)),
        }
    }
    ranges
}
