//! The anti-corruption layer: translates source records to canonical ones, or says why it cannot. It translates shape
//! and does not judge: what an activity means is the annotators' to say.

use std::{cmp::Reverse, collections::BTreeMap};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use shared::{
    activity::{Activity, Clock},
    contribution::MAX_ID_BYTES,
    dimension::{Member, Stay},
    lake::Entity,
    time::LocalDay,
};

use crate::{
    mapping::{
        CURSOR, ColumnMapping, EntityMapping, FieldKind, InstantFormat, MEMBERSHIPS, Mapping, Precision, SprintRule,
        Unit, ZoneRule,
    },
    source::{Cell, Record},
};

/// A record that cannot be translated: kept whole, with what to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Of which entity; the stays of people are kept with the people.
    pub entity: Entity,
    /// The section of the mapping that it was read by.
    pub section: &'static str,
    /// The source's key, as far as it has one.
    pub key: String,
    /// A stable code.
    pub reason: &'static str,
    /// The canonical field.
    pub field: &'static str,
    /// What is wrong and what to do; never a value.
    pub message: String,
    /// The whole source record.
    pub source_row: String,
}

impl Rejected {
    /// A record whose key, the field `field`, another one has.
    pub fn repeated(entity: Entity, field: &'static str, key: String, source_row: String) -> Self {
        let message = "another record has this key; let the mapping's SELECT give each key once".to_owned();
        Self { entity, section: entity.name(), key, reason: "repeated_key", field, message, source_row }
    }
}

/// What became of a source record.
#[derive(Debug, Clone, PartialEq)]
pub enum Translated {
    /// It landed on a day.
    Activity(LocalDay, Box<Activity>),
    /// It is still running.
    Open,
    /// It cannot be translated.
    Rejected(Box<Rejected>),
}

/// One field that cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    reason: &'static str,
    field: &'static str,
    message: String,
}

fn problem(reason: &'static str, field: &'static str, message: impl Into<String>) -> Problem {
    Problem { reason, field, message: message.into() }
}

/// The canonical field that is the key of an entity's records.
pub fn key(entity: Entity) -> &'static str {
    match entity {
        Entity::Teams => "team_id",
        Entity::Users => "user_id",
        Entity::Sprints => "sprint_id",
        Entity::Stereotypes => "stereotype_code",
        Entity::Activities => "activity_id",
    }
}

/// Translates a record of a dimension. `zone` is the organisation's.
pub fn dimension(entity: Entity, from: &EntityMapping, zone: Tz, record: &Record) -> Result<Member, Box<Rejected>> {
    let fields = Fields { mapping: from, record };
    let key = key(entity);
    let name = if entity == Entity::Stereotypes { "stereotype_name" } else { "name" };
    let member = || -> Result<Member, Problem> {
        let member = Member {
            id: fields.required_text(key)?,
            name: fields.text(name)?,
            team_id: fields.id("team_id")?,
            stays: Vec::new(),
            time_zone: fields.text("time_zone")?,
            starts_at: fields.instant("starts_at", zone)?.map(|(at, _)| at),
            ends_at: fields.instant("ends_at", zone)?.map(|(at, _)| at),
            released_at: fields.instant("released_at", zone)?.map(|(at, _)| at),
            claimed_category: fields.text("claimed_category")?,
            claimed_automatable: fields.flag("claimed_automatable")?,
            source_row: record.to_json(),
        };
        match (entity, member.starts_at, member.ends_at) {
            (Entity::Sprints, None, _) => Err(problem("missing", "starts_at", "a sprint needs a start")),
            (Entity::Sprints, _, None) => Err(problem("missing", "ends_at", "a sprint needs an end")),
            (Entity::Sprints, Some(start), Some(end)) if end < start => {
                Err(problem("ends_before_start", "ends_at", "the sprint ends before it starts"))
            }
            _ => Ok(member),
        }
    };
    member().map_err(|problem| Box::new(fields.reject(entity, key, problem)))
}

/// Translates a record of who was in which team when. `zone` is the organisation's; where one of `users` has another,
/// their local days are those there.
pub fn membership(
    from: &EntityMapping,
    zone: Tz,
    users: &BTreeMap<String, Member>,
    record: &Record,
) -> Result<(String, Stay), Box<Rejected>> {
    let fields = Fields { mapping: from, record };
    let stay = || -> Result<(String, Stay), Problem> {
        let user_id = fields.required_text("user_id")?;
        let user = users.get(&user_id).ok_or_else(|| problem("unknown_user", "user_id", NO_SUCH_RECORD))?;
        let own = user.time_zone.as_deref().and_then(|name| name.parse().ok());
        let zone = own.unwrap_or(zone);
        let day = |field| -> Result<Option<LocalDay>, Problem> {
            Ok(fields.instant(field, zone)?.map(|(at, _)| LocalDay(at.with_timezone(&zone).date_naive())))
        };
        let team_id = Some(fields.required_text("team_id")?);
        let (from, to) = (day("from")?, day("to")?);
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            return Err(problem("ends_before_start", "to", "the stay ends before it begins"));
        }
        Ok((user_id, Stay { team_id, from, to, source_row: Some(record.to_json()) }))
    };
    stay().map_err(|problem| {
        Box::new(Rejected { section: MEMBERSHIPS, ..fields.reject(Entity::Users, "user_id", problem) })
    })
}

const NO_SUCH_RECORD: &str = "the source has no such record; add it there, or correct the reference";

/// The dimensions that activities refer to, ready for look-ups. `None` where the source has no such entity.
pub struct Dimensions {
    teams: Option<BTreeMap<String, Member>>,
    users: Option<BTreeMap<String, Member>>,
    sprints: Option<BTreeMap<String, Member>>,
    stereotypes: Option<BTreeMap<String, Member>>,
    /// By team: its sprints, the latest start first, so that the first that contains an instant decides.
    calendar: BTreeMap<String, Vec<Member>>,
}

impl Dimensions {
    /// Indexes captured dimensions.
    pub fn new(mut captured: BTreeMap<Entity, Vec<Member>>) -> Self {
        let mut index = |entity| {
            let members: Option<Vec<Member>> = captured.remove(&entity);
            members.map(|members| members.into_iter().map(|member| (member.id.clone(), member)).collect())
        };
        let sprints: Option<BTreeMap<String, Member>> = index(Entity::Sprints);
        let mut calendar: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        for sprint in sprints.iter().flat_map(BTreeMap::values) {
            if let Some(team) = &sprint.team_id {
                calendar.entry(team.clone()).or_default().push(sprint.clone());
            }
        }
        for sprints in calendar.values_mut() {
            sprints.sort_by_key(|sprint| (Reverse(sprint.starts_at), sprint.id.clone()));
        }
        let teams = index(Entity::Teams);
        let users = index(Entity::Users);
        Self { teams, users, stereotypes: index(Entity::Stereotypes), sprints, calendar }
    }

    fn sprint_at(&self, team: &str, at: DateTime<Utc>) -> Option<&Member> {
        let contains =
            |sprint: &&Member| sprint.starts_at.is_some_and(|s| s <= at) && sprint.ends_at.is_some_and(|e| at < e);
        self.calendar.get(team)?.iter().find(contains)
    }
}

/// The member that an activity refers to: an error if the source has the entity but not the member.
fn lookup<'a>(
    members: &'a Option<BTreeMap<String, Member>>,
    id: Option<&str>,
    reason: &'static str,
    field: &'static str,
) -> Result<Option<&'a Member>, Problem> {
    match (members, id) {
        (Some(members), Some(id)) => members.get(id).map(Some).ok_or_else(|| problem(reason, field, NO_SUCH_RECORD)),
        _ => Ok(None),
    }
}

/// Translates activities of one source under one mapping.
pub struct ActivityTranslator<'a> {
    mapping: &'a Mapping,
    from: &'a EntityMapping,
    dimensions: &'a Dimensions,
    organisation: Tz,
}

impl<'a> ActivityTranslator<'a> {
    /// Translates with `mapping`, whose section for activities is `from`, in an organisation whose zone is `organisation`.
    pub fn new(mapping: &'a Mapping, from: &'a EntityMapping, dimensions: &'a Dimensions, organisation: Tz) -> Self {
        Self { mapping, from, dimensions, organisation }
    }

    /// Translates one record.
    pub fn translate(&self, record: &Record) -> Translated {
        let fields = Fields { mapping: self.from, record };
        match self.activity(&fields) {
            Ok(Some((day, activity))) => Translated::Activity(day, Box::new(activity)),
            Ok(None) => Translated::Open,
            Err(problem) => {
                Translated::Rejected(Box::new(fields.reject(Entity::Activities, key(Entity::Activities), problem)))
            }
        }
    }

    /// The key of a record, as far as it has one.
    pub fn key(&self, record: &Record) -> Option<String> {
        Fields { mapping: self.from, record }.text(key(Entity::Activities)).ok().flatten()
    }

    /// The local day of a record, as far as it has one.
    pub fn day(&self, record: &Record) -> Option<LocalDay> {
        let fields = Fields { mapping: self.from, record };
        let user_id = fields.text("user_id").ok().flatten();
        let user = lookup(&self.dimensions.users, user_id.as_deref(), "unknown_user", "user_id").ok().flatten();
        let zone = self.zone(&fields, user).unwrap_or(self.organisation);
        let (started_at, _) = fields.instant("started_at", zone).ok()??;
        Some(LocalDay(started_at.with_timezone(&zone).date_naive()))
    }

    /// When the source changed a record last, as far as it says so.
    pub fn cursor(&self, record: &Record) -> Option<DateTime<Utc>> {
        let changed = Fields { mapping: self.from, record }.instant(CURSOR, self.organisation);
        changed.ok().flatten().map(|(at, _)| at)
    }

    fn activity(&self, fields: &Fields<'_>) -> Result<Option<(LocalDay, Activity)>, Problem> {
        let activity_id = fields.required_text("activity_id")?;
        let user_id = fields.required_text("user_id")?;
        let user = lookup(&self.dimensions.users, Some(&user_id), "unknown_user", "user_id")?;
        let zone = self.zone(fields, user)?;
        let (started_at, clock) = fields
            .instant("started_at", zone)?
            .ok_or_else(|| problem("missing", "started_at", "an activity needs a start"))?;
        let ended_at = fields.instant("ended_at", zone)?.map(|(at, _)| at);
        let Some(duration_seconds) = duration(fields, started_at, ended_at)? else { return Ok(None) };
        let end = || started_at.checked_add_signed(TimeDelta::try_seconds(duration_seconds)?);
        let ended_at = ended_at.or_else(end).ok_or_else(|| {
            problem("out_of_range", "duration_seconds", "the activity lasts longer than the calendar")
        })?;

        let stereotype_code = fields.required_text("stereotype_code")?;
        let stereotype =
            lookup(&self.dimensions.stereotypes, Some(&stereotype_code), "unknown_stereotype", "stereotype_code")?;
        let day = LocalDay(started_at.with_timezone(&zone).date_naive());
        let team_id = match fields.id("team_id")? {
            Some(team) => Some(team),
            None => user.and_then(|user| user.team_on(day)).map(str::to_owned),
        };
        // A team that is gone keeps its old days: one that only the lake remembers need not be there.
        let stay = user.filter(|user| user.team_id != team_id).and_then(|user| user.stay_on(day));
        if !stay.is_some_and(|stay| stay.source_row.is_none() && stay.team_id == team_id) {
            lookup(&self.dimensions.teams, team_id.as_deref(), "unknown_team", "team_id")?;
        }
        let explicit = fields.id("sprint_id")?.filter(|_| self.mapping.sprint_rule != SprintRule::Calendar);
        let mut sprint = lookup(&self.dimensions.sprints, explicit.as_deref(), "unknown_sprint", "sprint_id")?;
        if explicit.is_none() && self.mapping.sprint_rule != SprintRule::Explicit {
            sprint = team_id.as_deref().and_then(|team| self.dimensions.sprint_at(team, started_at));
        }
        let out_of_sprint_seconds = fields.seconds("out_of_sprint_seconds")?;
        if out_of_sprint_seconds.is_some_and(|seconds| seconds > duration_seconds) {
            let message = "more time is out of sprint than the activity lasted";
            return Err(problem("exceeds_duration", "out_of_sprint_seconds", message));
        }
        let claimed = |claim: Option<String>| claim.or_else(|| stereotype?.claimed_category.clone());
        let activity = Activity {
            activity_id,
            user_id,
            team_id,
            sprint_id: explicit.or_else(|| sprint.map(|sprint| sprint.id.clone())),
            project_id: fields.id("project_id")?,
            sprint_starts_at: sprint.and_then(|sprint| sprint.starts_at),
            sprint_ends_at: sprint.and_then(|sprint| sprint.ends_at),
            sprint_released_at: sprint.and_then(|sprint| sprint.released_at),
            stereotype_code,
            stereotype_name: stereotype.and_then(|stereotype| stereotype.name.clone()),
            claimed_category: claimed(fields.text("claimed_category")?),
            claimed_automatable: fields.flag("claimed_automatable")?.or_else(|| stereotype?.claimed_automatable),
            started_at,
            ended_at,
            clock,
            duration_seconds,
            marked_in_sprint: fields.flag("marked_in_sprint")?,
            out_of_sprint_seconds,
            rating: fields.rating("rating")?,
            time_zone: zone.name().to_owned(),
            note: fields.text("note")?,
            updated_at: fields.instant("updated_at", zone)?.map(|(at, _)| at),
            source_row: fields.record.to_json(),
        };
        Ok(Some((day, activity)))
    }

    /// The zone that decides the local day: the record's own, else the person's, else the organisation's.
    fn zone(&self, fields: &Fields<'_>, user: Option<&Member>) -> Result<Tz, Problem> {
        match fields.text("time_zone")?.or_else(|| user?.time_zone.clone()) {
            None => Ok(self.organisation),
            Some(name) => name.parse().map_err(|_| {
                problem("unknown_time_zone", "time_zone", "it is no IANA time zone such as Europe/Berlin")
            }),
        }
    }
}

/// The effort in seconds, or `None` while the activity is still running.
fn duration(
    fields: &Fields<'_>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
) -> Result<Option<i64>, Problem> {
    let seconds = fields.seconds("duration_seconds")?;
    match (seconds, ended_at) {
        (_, Some(end)) if end < started_at => {
            Err(problem("ends_before_start", "ended_at", "the activity ends before it starts"))
        }
        (None, Some(end)) => Ok(Some((end - started_at).num_seconds())),
        (seconds, _) => Ok(seconds),
    }
}

/// Reads the canonical fields of one record.
struct Fields<'a> {
    mapping: &'a EntityMapping,
    record: &'a Record,
}

impl Fields<'_> {
    fn reject(&self, entity: Entity, key: &'static str, problem: Problem) -> Rejected {
        let Problem { reason, field, message } = problem;
        let key = self.text(key).ok().flatten().unwrap_or_default();
        Rejected { entity, section: entity.name(), key, reason, field, message, source_row: self.record.to_json() }
    }

    /// The mapping of a field and its cell, unless the field is not mapped or the cell says nothing: it is NULL, or an empty
    /// text that `values` does not translate.
    fn cell(&self, field: &'static str) -> Option<(&ColumnMapping, &Cell)> {
        let mapping = self.mapping.columns.get(field)?;
        let says = |cell: &&Cell| match cell {
            Cell::Null => false,
            Cell::Text(text) => mapping.values.is_some() || !without_mark(text).is_empty(),
            Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) | Cell::Bytes(_) => true,
        };
        let columns = mapping.columns.first().into_iter().chain(&mapping.fallback);
        let cell = columns.map(|column| self.record.get(column)).find(says)?;
        Some((mapping, cell))
    }

    fn text(&self, field: &'static str) -> Result<Option<String>, Problem> {
        let Some((mapping, cell)) = self.cell(field) else { return Ok(None) };
        let text = match cell {
            Cell::Null => return Ok(None),
            Cell::Boolean(flag) => flag.to_string(),
            Cell::Integer(number) => number.to_string(),
            Cell::Real(number) => number.to_string(),
            Cell::Text(text) => without_mark(text).to_owned(),
            Cell::Bytes(_) => return Err(problem("unreadable", field, "it is not UTF-8 text")),
        };
        match &mapping.values {
            // An empty text says as little as NULL: an id, a zone or a category cannot be empty.
            None => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(values) => values.get(&text).cloned().map(Some).ok_or_else(|| {
                problem("unknown_value", field, format!("line {} of the mapping has no such value", mapping.line))
            }),
        }
    }

    fn required_text(&self, field: &'static str) -> Result<String, Problem> {
        self.id(field)?.ok_or_else(|| problem("missing", field, "every record must have it"))
    }

    /// A text that names something, and so becomes part of keys.
    fn id(&self, field: &'static str) -> Result<Option<String>, Problem> {
        let text = self.text(field)?;
        match &text {
            Some(id) if id.len() > MAX_ID_BYTES => Err(problem("too_long", field, "an id has at most 512 bytes")),
            _ => Ok(text),
        }
    }

    fn flag(&self, field: &'static str) -> Result<Option<bool>, Problem> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" => Ok(Some(true)),
            "0" | "false" | "f" | "no" | "n" => Ok(Some(false)),
            _ => Err(problem("unreadable", field, "it is neither yes nor no; translate it with `values`")),
        }
    }

    fn rating(&self, field: &'static str) -> Result<Option<i8>, Problem> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let rating = text.parse().ok().filter(|rating| (1..=5).contains(rating));
        rating.map(Some).ok_or_else(|| problem("out_of_range", field, "a rating is a whole number from 1 to 5"))
    }

    /// What is expected, and what was found instead; never a value.
    fn unreadable(&self, field: &'static str, mapping: &ColumnMapping, cell: &Cell) -> Problem {
        let kind = if field.ends_with("_seconds") { FieldKind::Seconds } else { FieldKind::Instant };
        let shape = match cell {
            Cell::Text(text) if kind == FieldKind::Seconds && text.contains(':') => {
                " with `:` in it, as times and intervals have"
            }
            Cell::Text(text) if text.starts_with("0000-00-00") => {
                " of the day 0000-00-00, which MySQL has for none; let the SELECT give NULL instead"
            }
            _ => "",
        };
        let (line, expected, found) = (mapping.line, mapping.expects(kind), cell.kind());
        problem(
            "unreadable",
            field,
            format!("line {line} of the mapping expects {expected}, and this is {found}{shape}"),
        )
    }

    /// A duration, rounded to the nearest whole second.
    fn seconds(&self, field: &'static str) -> Result<Option<i64>, Problem> {
        let Some(mapping) = self.mapping.columns.get(field) else { return Ok(None) };
        let unit = mapping.unit.unwrap_or(Unit::Nanoseconds(1_000_000_000));
        let mut nanoseconds: i128 = 0;
        // Several columns are a sum, which needs all its parts; one column may have a fallback.
        let cells: Vec<&Cell> = match mapping.columns.as_slice() {
            [_] => self.cell(field).map(|(_, cell)| cell).into_iter().collect(),
            parts => parts.iter().map(|column| self.record.get(column)).collect(),
        };
        if cells.is_empty() || cells.contains(&&Cell::Null) {
            return Ok(None);
        }
        for cell in cells {
            nanoseconds += amount(cell, unit).ok_or_else(|| self.unreadable(field, mapping, cell))?;
        }
        if nanoseconds < 0 {
            return Err(problem(
                "negative",
                field,
                "a duration cannot be negative; is it a correction of another record?",
            ));
        }
        let seconds = i64::try_from((nanoseconds + 500_000_000) / 1_000_000_000).ok();
        // A hundred years: longer than any activity, short of any overflow when days are added up.
        let seconds = seconds.filter(|seconds| *seconds <= 100 * 366 * 86_400);
        seconds.map(Some).ok_or_else(|| problem("out_of_range", field, "the duration is longer than a hundred years"))
    }

    /// An instant and whether its time of day is known. `local` is the zone of the record's local day.
    fn instant(&self, field: &'static str, local: Tz) -> Result<Option<(DateTime<Utc>, Clock)>, Problem> {
        let Some((mapping, cell)) = self.cell(field) else { return Ok(None) };
        let zone = match mapping.zone {
            Some(ZoneRule::Fixed(zone)) => zone,
            Some(ZoneRule::Local) | None => local,
        };
        let format = mapping.format.as_ref().unwrap_or(&InstantFormat::Rfc3339);
        let unreadable = || self.unreadable(field, mapping, cell);
        let text = if let Cell::Text(text) = cell { without_mark(text).trim() } else { "" };
        let (instant, clock) = match (format, cell) {
            (InstantFormat::Unix(unit), Cell::Integer(count)) => {
                let nanoseconds = i128::from(*count) * i128::from(*unit);
                let microseconds = i64::try_from(nanoseconds.div_euclid(1_000)).map_err(|_| unreadable())?;
                (DateTime::from_timestamp_micros(microseconds).ok_or_else(unreadable)?, Clock::Exact)
            }
            (InstantFormat::Unix(_), _)
            | (_, Cell::Null | Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) | Cell::Bytes(_)) => {
                return Err(unreadable());
            }
            (InstantFormat::Rfc3339, Cell::Text(_)) => (rfc3339(text).ok_or_else(unreadable)?, Clock::Exact),
            (InstantFormat::Iso, Cell::Text(_)) => {
                let naive = iso(text).ok_or_else(unreadable)?;
                (in_zone(naive, zone, field)?, Clock::Exact)
            }
            (InstantFormat::Date, Cell::Text(_)) => {
                let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| unreadable())?;
                match self.minutes(field, mapping)? {
                    Some(minutes) => (in_zone(day.and_time(NaiveTime::MIN) + minutes, zone, field)?, Clock::Exact),
                    None => (start_of_day(day, zone, field)?, Clock::Day),
                }
            }
            (InstantFormat::Pattern { pattern, precision: Precision::Offset }, Cell::Text(_)) => {
                (DateTime::parse_from_str(text, pattern).map_err(|_| unreadable())?.to_utc(), Clock::Exact)
            }
            (InstantFormat::Pattern { pattern, precision: Precision::Time }, Cell::Text(_)) => {
                let naive = NaiveDateTime::parse_from_str(text, pattern).map_err(|_| unreadable())?;
                (in_zone(naive, zone, field)?, Clock::Exact)
            }
            (InstantFormat::Pattern { pattern, precision: Precision::Day }, Cell::Text(_)) => {
                let day = NaiveDate::parse_from_str(text, pattern).map_err(|_| unreadable())?;
                (start_of_day(day, zone, field)?, Clock::Day)
            }
        };
        let (instant, clock) = match mapping.day_only {
            true => (start_of_day(instant.with_timezone(&local).date_naive(), local, field)?, Clock::Day),
            false => (instant, clock),
        };
        match (instant.year(), format) {
            (1970, InstantFormat::Unix(_)) => Err(problem(
                "out_of_range",
                field,
                "it lies in 1970, as a number in another unit than the declared one does",
            )),
            // The lake keeps microseconds, and what decides order and identity is what the lake keeps.
            (1970..=2100, _) => Ok(Some((instant.trunc_subsecs(6), clock))),
            _ => Err(problem("out_of_range", field, "it lies outside the years 1970 to 2100")),
        }
    }

    /// The minutes after midnight beside a day, where the record has them.
    fn minutes(&self, field: &'static str, mapping: &ColumnMapping) -> Result<Option<TimeDelta>, Problem> {
        let minutes = match mapping.minutes.as_ref().map_or(&Cell::Null, |column| self.record.get(column)) {
            Cell::Null => return Ok(None),
            Cell::Integer(minutes) => Some(*minutes),
            Cell::Text(text) => text.parse().ok(),
            _ => None,
        };
        let minutes = minutes.filter(|minutes| (0..24 * 60).contains(minutes)).and_then(TimeDelta::try_minutes);
        let message = "minutes after midnight are a whole number from 0 to 1439";
        minutes.map(Some).ok_or_else(|| problem("out_of_range", field, message))
    }
}

/// A duration in nanoseconds, or `None` where the cell is none in this unit.
fn amount(cell: &Cell, unit: Unit) -> Option<i128> {
    let real = |number: f64, unit: i64| {
        let nanoseconds = number * unit as f64;
        // Beyond this a float no longer tells nanoseconds apart, and no duration is that long.
        (nanoseconds.abs() < 9e18).then(|| nanoseconds.round() as i128)
    };
    match (unit, cell) {
        (Unit::Nanoseconds(unit), Cell::Integer(number)) => Some(i128::from(*number) * i128::from(unit)),
        (Unit::Nanoseconds(unit), Cell::Real(number)) => real(*number, unit),
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

/// A text without the byte order mark that a file left at the beginning of its first value.
pub(crate) fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
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

/// PostgreSQL writes a space for the `T`, which RFC 3339 allows, and an offset of whole hours as `+00`, which it does not.
fn rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let whole_hours = text.len() > "2026-08-03".len()
        && matches!(text.as_bytes(), [.., b'+' | b'-', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit());
    let instant = if whole_hours {
        DateTime::parse_from_rfc3339(&format!("{text}:00"))
    } else {
        DateTime::parse_from_rfc3339(text)
    };
    instant.ok().map(|instant| instant.to_utc())
}

fn iso(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

/// A time that happens twice, when clocks go back, is the earlier one; a time that never happens is refused.
fn in_zone(naive: NaiveDateTime, zone: Tz, field: &'static str) -> Result<DateTime<Utc>, Problem> {
    let skipped = || problem("nonexistent_local_time", field, "clocks skip this time in its zone");
    zone.from_local_datetime(&naive).earliest().map(|at| at.to_utc()).ok_or_else(skipped)
}

/// The first instant of a day: midnight, or where clocks skip it the moment they resume.
fn start_of_day(day: NaiveDate, zone: Tz, field: &'static str) -> Result<DateTime<Utc>, Problem> {
    let midnight = day.and_time(NaiveTime::MIN);
    in_zone(midnight, zone, field).or_else(|_| in_zone(midnight + TimeDelta::hours(1), zone, field))
}

#[cfg(test)]
mod tests;
