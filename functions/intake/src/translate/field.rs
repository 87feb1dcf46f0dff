//! The canonical fields of a source record, each read as what it is declared to be.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use shared::{activity::Clock, contribution::MAX_ID_BYTES};

use super::{Problem, problem};
use crate::{
    mapping::{ColumnMapping, EntityMapping, FieldKind, InstantFormat, Precision, Unit, ZoneRule},
    source::{Cell, Record},
};

/// A canonical field of a section, and where records with some columns have it. Looked up once, and read of every record.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    name: &'static str,
    place: Option<Place<'a>>,
}

/// How a field is mapped, and which cells that is.
#[derive(Debug, Clone)]
struct Place<'a> {
    mapping: &'a ColumnMapping,
    columns: Vec<Option<usize>>,
    /// The first of them.
    first: Option<usize>,
    fallback: Option<usize>,
    minutes: Option<usize>,
    /// Whether `values` say what an empty text means.
    translates_empty: bool,
}

impl<'a> Field<'a> {
    /// The field `name` of what `from` reads.
    pub(super) fn new(name: &'static str, from: &'a EntityMapping, columns: &[String]) -> Self {
        let position = |column: &String| columns.iter().position(|name| name == column);
        let place = from.columns.get(name).map(|mapping| {
            let columns: Vec<_> = mapping.columns.iter().map(position).collect();
            Place {
                mapping,
                first: columns.first().copied().flatten(),
                columns,
                fallback: mapping.fallback.as_ref().and_then(position),
                minutes: mapping.minutes.as_ref().and_then(position),
                translates_empty: mapping.values.as_ref().is_some_and(|values| values.contains_key("")),
            }
        });
        Self { name, place }
    }

    /// How it is mapped, and where its cell is, with its text if it has one; unless it is not mapped or the cell says nothing: it
    /// is NULL, or an empty text that `values` does not translate.
    fn found<'r>(&self, record: &'r Record) -> Option<(&Place<'a>, usize, Option<&'r str>)> {
        let place = self.place.as_ref()?;
        let says = |position: usize| match record.written(position).map(without_mark) {
            Some("") if !place.translates_empty => None,
            Some(text) => Some((place, position, Some(text))),
            None => (record.at(position) != Cell::Null).then_some((place, position, None)),
        };
        place.first.and_then(says).or_else(|| place.fallback.and_then(says))
    }

    /// The same, and its cell.
    fn cell<'r>(&self, record: &'r Record) -> Option<(&Place<'a>, Cell<'r>)> {
        self.found(record).map(|(place, position, _)| (place, record.at(position)))
    }

    /// A text, whatever it says; never an empty one.
    pub(super) fn text<'r>(&self, record: &'r Record) -> Result<Option<Cow<'r, str>>, Box<Problem>>
    where
        'a: 'r,
    {
        let Some((place, position, text)) = self.found(record) else { return Ok(None) };
        let text = match text {
            Some(text) => Cow::Borrowed(text),
            None => match record.at(position) {
                Cell::Boolean(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
                Cell::Real(number) => Cow::Owned(number.to_string()),
                Cell::Timestamp(at) => Cow::Owned(at.to_string()),
                Cell::Bytes(_) => return Err(self.problem("unreadable", "it is not UTF-8 text")),
                Cell::Null | Cell::Integer(_) | Cell::Text(_) => return Ok(None),
            },
        };
        match &place.mapping.values {
            // An empty text says as little as NULL: an id, a zone or a category cannot be empty.
            None => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(values) => values.get(&*text).map(|value| Some(Cow::Borrowed(value.as_str()))).ok_or_else(|| {
                let line = place.mapping.line;
                self.problem("unknown_value", format!("line {line} of the mapping has no such value"))
            }),
        }
    }

    /// A text that names something, and so becomes part of keys.
    pub(super) fn id<'r>(&self, record: &'r Record) -> Result<Option<Cow<'r, str>>, Box<Problem>>
    where
        'a: 'r,
    {
        let text = self.text(record)?;
        match &text {
            Some(id) if id.len() > MAX_ID_BYTES => Err(self.problem("too_long", "an id has at most 512 bytes")),
            _ => Ok(text),
        }
    }

    /// The same, where every record must have it.
    pub(super) fn required_id<'r>(&self, record: &'r Record) -> Result<Cow<'r, str>, Box<Problem>>
    where
        'a: 'r,
    {
        self.id(record)?.ok_or_else(|| self.problem("missing", "every record must have it"))
    }

    /// Yes or no.
    pub(super) fn flag(&self, record: &Record) -> Result<Option<bool>, Box<Problem>> {
        if let Some((Place { mapping: ColumnMapping { values: None, .. }, .. }, Cell::Boolean(flag))) =
            self.cell(record)
        {
            return Ok(Some(flag));
        }
        let Some(text) = self.text(record)? else { return Ok(None) };
        let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is_one_of(&["1", "true", "t", "yes", "y"]) {
            Ok(Some(true))
        } else if is_one_of(&["0", "false", "f", "no", "n"]) {
            Ok(Some(false))
        } else {
            Err(self.problem("unreadable", "it is neither yes nor no; translate it with `values`"))
        }
    }

    /// From 1 to 5.
    pub(super) fn rating(&self, record: &Record) -> Result<Option<i8>, Box<Problem>> {
        let Some(text) = self.text(record)? else { return Ok(None) };
        let rating = text.parse().ok().filter(|rating| (1..=5).contains(rating));
        rating.map(Some).ok_or_else(|| self.problem("out_of_range", "a rating is a whole number from 1 to 5"))
    }

    fn problem(&self, reason: &'static str, message: impl Into<String>) -> Box<Problem> {
        problem(reason, self.name, message)
    }

    /// What is expected, and what was found instead; never a value.
    fn unreadable(&self, mapping: &ColumnMapping, cell: Cell<'_>) -> Box<Problem> {
        const WITH_COLON: &str = " with `:` in it, as times and intervals have";
        let kind = if self.name.ends_with("_seconds") { FieldKind::Seconds } else { FieldKind::Instant };
        let shape = match cell {
            Cell::Timestamp(_) if kind == FieldKind::Seconds => WITH_COLON,
            Cell::Text(text) if kind == FieldKind::Seconds && text.contains(':') => WITH_COLON,
            Cell::Text(text) if text.starts_with("0000-00-00") => {
                " of the day 0000-00-00, which MySQL has for none; let the SELECT give NULL instead"
            }
            _ => "",
        };
        let (line, expected) = (mapping.line, mapping.expects(kind));
        let found = match cell.kind() {
            "text" if expected.starts_with("text") => "another text",
            found => found,
        };
        self.problem("unreadable", format!("line {line} of the mapping expects {expected}, and this is {found}{shape}"))
    }

    /// A duration, rounded to the nearest whole second.
    pub(super) fn seconds(&self, record: &Record) -> Result<Option<i64>, Box<Problem>> {
        let Some(Place { mapping, columns, .. }) = &self.place else { return Ok(None) };
        let unit = mapping.unit.unwrap_or(Unit::Nanoseconds(1_000_000_000));
        let mut nanoseconds: i128 = 0;
        // Several columns are a sum, which needs all its parts; one column may have a fallback.
        let mut add = |cell: Cell<'_>| -> Result<(), Box<Problem>> {
            nanoseconds += amount(cell, unit).ok_or_else(|| self.unreadable(mapping, cell))?;
            Ok(())
        };
        if let [_] = columns.as_slice() {
            let Some((_, cell)) = self.cell(record) else { return Ok(None) };
            add(cell)?;
        } else {
            let part = |column: &Option<usize>| column.map_or(Cell::Null, |column| record.at(column));
            if columns.iter().any(|column| says_nothing(part(column))) {
                return Ok(None);
            }
            columns.iter().try_for_each(|column| add(part(column)))?;
        }
        if nanoseconds < 0 {
            let message = "a duration cannot be negative; is it a correction of another record?";
            return Err(self.problem("negative", message));
        }
        const SECOND: i64 = 1_000_000_000;
        let rounded = nanoseconds + i128::from(SECOND / 2);
        // To divide 128 bits takes long.
        let seconds = match i64::try_from(rounded) {
            Ok(nanoseconds) => Some(nanoseconds / SECOND),
            Err(_) => i64::try_from(rounded / i128::from(SECOND)).ok(),
        };
        // A hundred years: longer than any activity, short of any overflow when days are added up.
        let seconds = seconds.filter(|seconds| *seconds <= 100 * 366 * 86_400);
        seconds.map(Some).ok_or_else(|| self.problem("out_of_range", "the duration is longer than a hundred years"))
    }

    /// An instant and whether its time of day is known. `local` is the zone of the record's local day.
    pub(super) fn instant(&self, record: &Record, local: Tz) -> Result<Option<(DateTime<Utc>, Clock)>, Box<Problem>> {
        let Some((place, cell)) = self.cell(record) else { return Ok(None) };
        let (field, mapping) = (self.name, place.mapping);
        let zone = match mapping.zone {
            Some(ZoneRule::Fixed(zone)) => zone,
            Some(ZoneRule::Local) | None => local,
        };
        let format = mapping.format.as_ref().unwrap_or(&InstantFormat::Rfc3339);
        let unreadable = || self.unreadable(mapping, cell);
        let text = || match cell {
            Cell::Text(text) => Cow::Borrowed(without_mark(text).trim()),
            Cell::Timestamp(at) => Cow::Owned(at.to_string()),
            Cell::Null | Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) | Cell::Bytes(_) => Cow::Borrowed(""),
        };
        let (instant, clock) = match (format, cell) {
            (InstantFormat::Rfc3339, Cell::Timestamp(at)) if at.zoned => {
                (at.utc().ok_or_else(unreadable)?, Clock::Exact)
            }
            (InstantFormat::Iso, Cell::Timestamp(at)) if !at.zoned => {
                let naive = at.utc().ok_or_else(unreadable)?.naive_utc();
                (in_zone(naive, zone, field)?, Clock::Exact)
            }
            (InstantFormat::Unix(unit), Cell::Integer(count)) => {
                let nanoseconds = i128::from(count) * i128::from(*unit);
                let microseconds = i64::try_from(nanoseconds.div_euclid(1_000)).map_err(|_| unreadable())?;
                (DateTime::from_timestamp_micros(microseconds).ok_or_else(unreadable)?, Clock::Exact)
            }
            (InstantFormat::Unix(_), _)
            | (_, Cell::Null | Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) | Cell::Bytes(_)) => {
                return Err(unreadable());
            }
            (InstantFormat::Rfc3339, Cell::Text(_) | Cell::Timestamp(_)) => {
                (rfc3339(&text()).ok_or_else(unreadable)?, Clock::Exact)
            }
            (InstantFormat::Iso, Cell::Text(_) | Cell::Timestamp(_)) => {
                let naive = iso(&text()).ok_or_else(unreadable)?;
                (in_zone(naive, zone, field)?, Clock::Exact)
            }
            (InstantFormat::Date, Cell::Text(_) | Cell::Timestamp(_)) => {
                let day = NaiveDate::parse_from_str(&text(), "%Y-%m-%d").map_err(|_| unreadable())?;
                match self.minutes(record, place)? {
                    Some(minutes) => (in_zone(day.and_time(NaiveTime::MIN) + minutes, zone, field)?, Clock::Exact),
                    None => (start_of_day(day, zone, field)?, Clock::Day),
                }
            }
            (InstantFormat::Pattern { pattern, precision: Precision::Offset }, Cell::Text(_) | Cell::Timestamp(_)) => {
                (DateTime::parse_from_str(&text(), pattern).map_err(|_| unreadable())?.to_utc(), Clock::Exact)
            }
            (InstantFormat::Pattern { pattern, precision: Precision::Time }, Cell::Text(_) | Cell::Timestamp(_)) => {
                let naive = NaiveDateTime::parse_from_str(&text(), pattern).map_err(|_| unreadable())?;
                (in_zone(naive, zone, field)?, Clock::Exact)
            }
            (InstantFormat::Pattern { pattern, precision: Precision::Day }, Cell::Text(_) | Cell::Timestamp(_)) => {
                let day = NaiveDate::parse_from_str(&text(), pattern).map_err(|_| unreadable())?;
                (start_of_day(day, zone, field)?, Clock::Day)
            }
        };
        let (instant, clock) = match mapping.day_only {
            true => (start_of_day(instant.with_timezone(&local).date_naive(), local, field)?, Clock::Day),
            false => (instant, clock),
        };
        let instant = instant.naive_utc();
        match (instant.year(), format) {
            (1970, InstantFormat::Unix(_)) => {
                Err(self
                    .problem("out_of_range", "it lies in 1970, as a number in another unit than the declared one does"))
            }
            // The lake keeps microseconds, and what decides order and identity is what the lake keeps.
            (1970..=2100, _) => Ok(Some((instant.trunc_subsecs(6).and_utc(), clock))),
            _ => Err(self.problem("out_of_range", "it lies outside the years 1970 to 2100")),
        }
    }

    /// The minutes after midnight beside a day, where the record has them.
    fn minutes(&self, record: &Record, place: &Place<'_>) -> Result<Option<TimeDelta>, Box<Problem>> {
        let minutes = match place.minutes.map_or(Cell::Null, |column| record.at(column)) {
            cell if says_nothing(cell) => return Ok(None),
            Cell::Integer(minutes) => Some(minutes),
            Cell::Text(text) => without_mark(text).trim().parse().ok(),
            _ => None,
        };
        let minutes = minutes.filter(|minutes| (0..24 * 60).contains(minutes)).and_then(TimeDelta::try_minutes);
        let message = "minutes after midnight are a whole number from 0 to 1439";
        minutes.map(Some).ok_or_else(|| self.problem("out_of_range", message))
    }
}

/// A duration in nanoseconds, or `None` where the cell is none in this unit.
fn amount(cell: Cell<'_>, unit: Unit) -> Option<i128> {
    let real = |number: f64, unit: i64| {
        let nanoseconds = number * unit as f64;
        // Beyond this a float no longer tells nanoseconds apart, and no duration is that long.
        (nanoseconds.abs() < 9e18).then(|| nanoseconds.round() as i128)
    };
    match (unit, cell) {
        (Unit::Nanoseconds(unit), Cell::Integer(number)) => Some(i128::from(number) * i128::from(unit)),
        (Unit::Nanoseconds(unit), Cell::Real(number)) => real(number, unit),
        (unit, Cell::Text(text)) => {
            let text = without_mark(text).trim();
            match unit {
                Unit::Nanoseconds(unit) => match text.parse::<i64>() {
                    Ok(number) => Some(i128::from(number) * i128::from(unit)),
                    Err(_) => real(text.parse().ok()?, unit),
                },
                Unit::Clock => clock(text).filter(|_| !text.contains(['.', '-', '+'])),
                Unit::Time => clock(text),
                Unit::Interval => interval(text),
            }
        }
        _ => None,
    }
}

/// NULL, and empty text.
fn says_nothing(cell: Cell<'_>) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Text(text) => without_mark(text).is_empty(),
        Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) | Cell::Timestamp(_) | Cell::Bytes(_) => false,
    }
}

/// A text without the byte order mark that a file left at the beginning of its first value.
pub(crate) fn without_mark(text: &str) -> &str {
    const MARK: &str = "\u{feff}";
    if text.starts_with(MARK) { text.trim_start_matches(MARK) } else { text }
}

/// `H:MM`, `H:MM:SS` or `H:MM:SS.F` with any number of hours, perhaps below zero, in nanoseconds.
fn clock(text: &str) -> Option<i128> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
    let mut parts = text.split(':');
    let (hours, minutes) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let (seconds, fraction) = parts.next().map_or(("0", "0"), |part| part.split_once('.').unwrap_or((part, "0")));
    let seconds = digits(seconds)?;
    // Nine digits are nanoseconds; what is finer is beyond any clock.
    let fraction = digits(format!("{fraction:0<9}").get(..9)?)?;
    let whole = match (minutes, seconds, parts.next()) {
        (0..60, 0..60, None) => i128::from(hours) * 3_600 + i128::from(minutes * 60 + seconds),
        _ => return None,
    };
    Some(sign * (whole * 1_000_000_000 + i128::from(fraction)))
}

/// PostgreSQL's notation under the style `postgres`, `1 day -02:03:04.5`, in nanoseconds. A day has 24 hours; a month or a
/// year has no length of its own, and cannot be read.
fn interval(text: &str) -> Option<i128> {
    const DAY: i128 = 86_400_000_000_000;
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    let mut nanoseconds = 0;
    while let Some(word) = words.next() {
        nanoseconds += if word.contains(':') {
            clock(word).filter(|_| words.peek().is_none())?
        } else {
            let number: i32 = word.parse().ok()?;
            match words.next()? {
                "day" | "days" => i128::from(number) * DAY,
                "mon" | "mons" | "year" | "years" if number == 0 => 0,
                _ => return None,
            }
        };
    }
    Some(nanoseconds)
}

/// A space may stand for the `T`, which RFC 3339 allows, and an offset may be of whole hours, `+02`, which it does not, and which is
/// how PostgreSQL writes it.
fn rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let whole_hours = text.len() > "2026-08-03".len()
        && matches!(text.as_bytes(), [.., b'+' | b'-', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit());
    let instant = match whole_hours {
        true => DateTime::parse_from_rfc3339(&[text, ":00"].concat()),
        false => DateTime::parse_from_rfc3339(text),
    };
    instant.ok().map(|instant| instant.to_utc())
}

fn iso(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

/// A time that happens twice, when clocks go back, is the earlier one; a time that never happens is refused.
fn in_zone(naive: NaiveDateTime, zone: Tz, field: &'static str) -> Result<DateTime<Utc>, Box<Problem>> {
    let skipped = || problem("nonexistent_local_time", field, "clocks skip this time in its zone");
    zone.from_local_datetime(&naive).earliest().map(|at| at.to_utc()).ok_or_else(skipped)
}

/// The first instant of a day: midnight, or where clocks skip it the moment they resume.
fn start_of_day(day: NaiveDate, zone: Tz, field: &'static str) -> Result<DateTime<Utc>, Box<Problem>> {
    let midnight = day.and_time(NaiveTime::MIN);
    in_zone(midnight, zone, field).or_else(|_| in_zone(midnight + TimeDelta::hours(1), zone, field))
}
