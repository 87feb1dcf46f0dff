//! The anti-corruption layer: translates source records to canonical ones, or says why it cannot. It translates shape
//! and does not judge: what an activity means is the annotators' to say.

mod field;

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use shared::{
    activity::Activity,
    dimension::{Member, Stay},
    lake::Entity,
    time::LocalDay,
};

use self::field::Field;
pub(crate) use self::field::without_mark;
use crate::{
    found::Found,
    mapping::{CURSOR, ColumnMapping, EntityMapping, MEMBERSHIPS, Mapping, SprintRule},
    source::Record,
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
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of millions are activities, and each is gone before the next one"
)]
pub enum Translated<'a> {
    /// It landed on a day. What was found is what [`ActivityTranslator::restore`] needs.
    Activity(LocalDay, Activity<'a>, Found),
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

impl Problem {
    /// What is kept of the record, whose key is in `key`.
    fn of(self, entity: Entity, key: &Field<'_>, record: &Record) -> Rejected {
        let Self { reason, field, message } = self;
        let key = key.text(record).ok().flatten().unwrap_or_default().into_owned();
        Rejected { entity, section: entity.name(), key, reason, field, message, source_row: record.to_json() }
    }
}

fn problem(reason: &'static str, field: &'static str, message: impl Into<String>) -> Box<Problem> {
    Box::new(Problem { reason, field, message: message.into() })
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
    let field = |name| Field::new(name, from, record.columns());
    let key = field(key(entity));
    let text = |name| Ok::<_, Box<Problem>>(field(name).text(record)?.map(Cow::into_owned));
    let instant = |name| Ok::<_, Box<Problem>>(field(name).instant(record, zone)?.map(|(at, _)| at));
    let name = if entity == Entity::Stereotypes { "stereotype_name" } else { "name" };
    let member = || -> Result<Member, Box<Problem>> {
        let member = Member {
            id: key.required_id(record)?.into_owned(),
            name: text(name)?,
            team_id: field("team_id").id(record)?.map(Cow::into_owned),
            stays: Vec::new(),
            time_zone: text("time_zone")?,
            starts_at: instant("starts_at")?,
            ends_at: instant("ends_at")?,
            released_at: instant("released_at")?,
            claimed_category: text("claimed_category")?,
            claimed_automatable: field("claimed_automatable").flag(record)?,
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
    member().map_err(|problem| Box::new(problem.of(entity, &key, record)))
}

/// Translates a record of who was in which team when. `zone` is the organisation's; where one of `users` has another,
/// their local days are those there.
pub fn membership(
    from: &EntityMapping,
    zone: Tz,
    users: &BTreeMap<String, Member>,
    record: &Record,
) -> Result<(String, Stay), Box<Rejected>> {
    let field = |name| Field::new(name, from, record.columns());
    let stay = || -> Result<(String, Stay), Box<Problem>> {
        let user_id = field("user_id").required_id(record)?.into_owned();
        let user = users.get(&user_id).ok_or_else(|| problem("unknown_user", "user_id", NO_SUCH_RECORD))?;
        let own = user.time_zone.as_deref().and_then(|name| name.parse().ok());
        let zone = own.unwrap_or(zone);
        let day = |name| -> Result<Option<LocalDay>, Box<Problem>> {
            Ok(field(name).instant(record, zone)?.map(|(at, _)| LocalDay(at.with_timezone(&zone).date_naive())))
        };
        let team_id = Some(field("team_id").required_id(record)?.into_owned());
        let (from, to) = (day("from")?, day("to")?);
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            return Err(problem("ends_before_start", "to", "the stay ends before it begins"));
        }
        Ok((user_id, Stay { team_id, from, to, source_row: Some(record.to_json()) }))
    };
    stay().map_err(|problem| {
        let rejected = problem.of(Entity::Users, &field("user_id"), record);
        Box::new(Rejected { section: MEMBERSHIPS, ..rejected })
    })
}

const NO_SUCH_RECORD: &str = "the source has no such record; add it there, or correct the reference";

/// What is looked up for every activity, by id.
type ById<T> = IndexMap<String, T, foldhash::fast::RandomState>;

/// A person, and their time zone, if they have one that there is.
struct Person {
    member: Member,
    zone: Option<Tz>,
}

/// The dimensions that activities refer to, ready for look-ups. `None` where the source has no such entity.
pub struct Dimensions {
    teams: Option<ById<Member>>,
    users: Option<ById<Person>>,
    sprints: Option<ById<Member>>,
    stereotypes: Option<ById<Member>>,
    /// By team: which sprints it has, the latest start first, so that the first that contains an instant decides.
    calendar: ById<Vec<usize>>,
}

impl Dimensions {
    /// Indexes captured dimensions.
    pub fn new(mut captured: BTreeMap<Entity, Vec<Member>>) -> Self {
        let mut index = |entity| {
            let members: Option<Vec<Member>> = captured.remove(&entity);
            members.map(|members| members.into_iter().map(|member| (member.id.clone(), member)).collect())
        };
        let sprints: Option<ById<Member>> = index(Entity::Sprints);
        let mut in_order: Vec<(usize, &Member)> = sprints.iter().flat_map(ById::values).enumerate().collect();
        in_order.sort_by_key(|(_, sprint)| (Reverse(sprint.starts_at), &sprint.id));
        let mut calendar: ById<Vec<usize>> = ById::default();
        for (index, sprint) in in_order {
            if let Some(team) = &sprint.team_id {
                calendar.entry(team.clone()).or_default().push(index);
            }
        }
        let teams = index(Entity::Teams);
        let person = |(id, member): (String, Member)| {
            let zone = member.time_zone.as_deref().and_then(|name| name.parse().ok());
            (id, Person { member, zone })
        };
        let users = index(Entity::Users).map(|users| users.into_iter().map(person).collect());
        Self { teams, users, stereotypes: index(Entity::Stereotypes), sprints, calendar }
    }

    fn sprint_at(&self, team: &str, at: DateTime<Utc>) -> Option<(usize, &Member)> {
        let contains =
            |sprint: &Member| sprint.starts_at.is_some_and(|s| s <= at) && sprint.ends_at.is_some_and(|e| at < e);
        let sprints = self.calendar.get(team)?.iter().filter_map(|index| Some((*index, nth(&self.sprints, *index)?)));
        sprints.into_iter().find(|(_, sprint)| contains(sprint))
    }
}

/// A member, by which one it is.
fn nth<M>(members: &Option<ById<M>>, index: usize) -> Option<&M> {
    members.as_ref()?.get_index(index).map(|(_, member)| member)
}

/// The member that an activity refers to, and which one it is: an error if the source has the entity but not the member.
fn lookup<'a, M>(
    members: &'a Option<ById<M>>,
    id: Option<&str>,
    reason: &'static str,
    field: &'static str,
) -> Result<Option<(usize, &'a M)>, Box<Problem>> {
    match (members, id) {
        (Some(members), Some(id)) => {
            let found = members.get_full(id).map(|(index, _, member)| Some((index, member)));
            found.ok_or_else(|| problem(reason, field, NO_SUCH_RECORD))
        }
        _ => Ok(None),
    }
}

/// The canonical fields of activities.
#[derive(Debug, Clone)]
struct ActivityFields<'a> {
    columns: Arc<[String]>,
    activity_id: Field<'a>,
    user_id: Field<'a>,
    team_id: Field<'a>,
    sprint_id: Field<'a>,
    project_id: Field<'a>,
    stereotype_code: Field<'a>,
    started_at: Field<'a>,
    ended_at: Field<'a>,
    duration_seconds: Field<'a>,
    out_of_sprint_seconds: Field<'a>,
    marked_in_sprint: Field<'a>,
    claimed_category: Field<'a>,
    claimed_automatable: Field<'a>,
    rating: Field<'a>,
    note: Field<'a>,
    time_zone: Field<'a>,
    updated_at: Field<'a>,
    cursor: Field<'a>,
    /// Whether the cursor says what `updated_at` does, as in most mappings.
    cursor_is_updated_at: bool,
}

impl<'a> ActivityFields<'a> {
    fn new(from: &'a EntityMapping, columns: &Arc<[String]>) -> Self {
        let field = |name| Field::new(name, from, columns);
        let read_as = |name| from.columns.get(name).map(|mapping| ColumnMapping { line: 0, ..mapping.clone() });
        Self {
            columns: columns.clone(),
            activity_id: field(key(Entity::Activities)),
            user_id: field("user_id"),
            team_id: field("team_id"),
            sprint_id: field("sprint_id"),
            project_id: field("project_id"),
            stereotype_code: field("stereotype_code"),
            started_at: field("started_at"),
            ended_at: field("ended_at"),
            duration_seconds: field("duration_seconds"),
            out_of_sprint_seconds: field("out_of_sprint_seconds"),
            marked_in_sprint: field("marked_in_sprint"),
            claimed_category: field("claimed_category"),
            claimed_automatable: field("claimed_automatable"),
            rating: field("rating"),
            note: field("note"),
            time_zone: field("time_zone"),
            updated_at: field("updated_at"),
            cursor: field(CURSOR),
            cursor_is_updated_at: read_as(CURSOR).is_some_and(|cursor| !cursor.day_only)
                && read_as(CURSOR) == read_as("updated_at"),
        }
    }
}

/// All that the translation of activities depends on.
#[derive(Clone)]
pub struct Rules {
    /// How the source is read.
    pub mapping: Arc<Mapping>,
    /// What activities refer to.
    pub dimensions: Arc<Dimensions>,
    /// The organisation's zone.
    pub organisation: Tz,
}

impl Rules {
    /// What translates by them, if the mapping has activities.
    pub fn activities(&self) -> Option<ActivityTranslator<'_>> {
        let Self { mapping, dimensions, organisation } = self;
        let from = mapping.entities.get(&Entity::Activities)?;
        Some(ActivityTranslator::new(mapping, from, dimensions, *organisation))
    }
}

/// Translates activities of one source under one mapping.
pub struct ActivityTranslator<'a> {
    mapping: &'a Mapping,
    from: &'a EntityMapping,
    dimensions: &'a Dimensions,
    organisation: Tz,
    /// Of the columns that the first record had; as a rule all others have the same.
    fields: OnceLock<ActivityFields<'a>>,
}

impl<'a> ActivityTranslator<'a> {
    /// Translates with `mapping`, whose section for activities is `from`, in an organisation whose zone is `organisation`.
    pub fn new(mapping: &'a Mapping, from: &'a EntityMapping, dimensions: &'a Dimensions, organisation: Tz) -> Self {
        Self { mapping, from, dimensions, organisation, fields: OnceLock::new() }
    }

    fn fields(&self, record: &Record) -> Cow<'_, ActivityFields<'a>> {
        let columns = record.columns();
        let first = self.fields.get_or_init(|| ActivityFields::new(self.from, columns));
        match Arc::ptr_eq(&first.columns, columns) {
            true => Cow::Borrowed(first),
            false => Cow::Owned(ActivityFields::new(self.from, columns)),
        }
    }

    /// Translates one record.
    pub fn translate<'r>(&'r self, record: &'r Record) -> Translated<'r> {
        let mut translated = self.place(record);
        if let Translated::Activity(_, activity, _) = &mut translated {
            activity.source_row = record.to_json().into();
        }
        translated
    }

    /// The same, but for the activity's `source_row`, which is left empty: enough to know where it belongs.
    pub fn place<'r>(&'r self, record: &'r Record) -> Translated<'r> {
        let fields = self.fields(record);
        self.activity(&fields, record).unwrap_or_else(|problem| {
            Translated::Rejected(Box::new(problem.of(Entity::Activities, &fields.activity_id, record)))
        })
    }

    /// The key of a record, as far as it has one.
    pub fn key(&self, record: &Record) -> Option<String> {
        self.fields(record).activity_id.text(record).ok().flatten().map(Cow::into_owned)
    }

    /// The local day of a record, as far as it has one.
    pub fn day(&self, record: &Record) -> Option<LocalDay> {
        let fields = self.fields(record);
        let user_id = fields.user_id.text(record).ok().flatten();
        let user = lookup(&self.dimensions.users, user_id.as_deref(), "unknown_user", "user_id").ok().flatten();
        let zone = self.zone(&fields, record, user.map(|(_, person)| person)).unwrap_or(self.organisation);
        let (started_at, _) = fields.started_at.instant(record, zone).ok()??;
        Some(LocalDay(started_at.with_timezone(&zone).date_naive()))
    }

    /// When the source changed a record last, as far as it says so; `translated` is what became of it.
    pub fn cursor(&self, record: &Record, translated: &Translated<'_>) -> Option<DateTime<Utc>> {
        let fields = self.fields(record);
        match translated {
            Translated::Activity(_, activity, _) if fields.cursor_is_updated_at => activity.updated_at,
            _ => fields.cursor.instant(record, self.organisation).ok().flatten().map(|(at, _)| at),
        }
    }

    fn activity<'r>(&'r self, fields: &ActivityFields<'r>, record: &'r Record) -> Result<Translated<'r>, Box<Problem>> {
        let activity_id = fields.activity_id.required_id(record)?;
        let user_id = fields.user_id.required_id(record)?;
        let user = lookup(&self.dimensions.users, Some(&user_id), "unknown_user", "user_id")?;
        let zone = self.zone(fields, record, user.map(|(_, person)| person))?;
        let (user_index, user) = user.map(|(index, person)| (index, &person.member)).unzip();
        let (started_at, clock) = fields
            .started_at
            .instant(record, zone)?
            .ok_or_else(|| problem("missing", "started_at", "an activity needs a start"))?;
        let ended_at = fields.ended_at.instant(record, zone)?.map(|(at, _)| at);
        let duration = duration(fields.duration_seconds.seconds(record)?, started_at, ended_at)?;
        let Some(duration_seconds) = duration else { return Ok(Translated::Open) };
        let end = || started_at.checked_add_signed(TimeDelta::try_seconds(duration_seconds)?);
        let ended_at = ended_at.or_else(end).ok_or_else(|| {
            problem("out_of_range", "duration_seconds", "the activity lasts longer than the calendar")
        })?;

        let stereotype_code = fields.stereotype_code.required_id(record)?;
        let stereotype =
            lookup(&self.dimensions.stereotypes, Some(&stereotype_code), "unknown_stereotype", "stereotype_code")?;
        let day = LocalDay(started_at.with_timezone(&zone).date_naive());
        let team_id = team_id(fields, record, user, day)?;
        // A team that is gone keeps its old days: one that only the lake remembers need not be there.
        let stay = user.filter(|user| user.team_id.as_deref() != team_id.as_deref()).and_then(|user| user.stay_on(day));
        if !stay.is_some_and(|stay| stay.source_row.is_none() && stay.team_id.as_deref() == team_id.as_deref()) {
            lookup(&self.dimensions.teams, team_id.as_deref(), "unknown_team", "team_id")?;
        }
        let explicit = self.explicit_sprint(fields, record)?;
        let mut sprint = lookup(&self.dimensions.sprints, explicit.as_deref(), "unknown_sprint", "sprint_id")?;
        if explicit.is_none() && self.mapping.sprint_rule != SprintRule::Explicit {
            sprint = team_id.as_deref().and_then(|team| self.dimensions.sprint_at(team, started_at));
        }
        let out_of_sprint_seconds = fields.out_of_sprint_seconds.seconds(record)?;
        if out_of_sprint_seconds.is_some_and(|seconds| seconds > duration_seconds) {
            let message = "more time is out of sprint than the activity lasted";
            return Err(problem("exceeds_duration", "out_of_sprint_seconds", message));
        }
        let (sprint_index, sprint) = sprint.unzip();
        let (stereotype_index, stereotype) = stereotype.unzip();
        let found = Found {
            started_at,
            ended_at,
            clock,
            duration_seconds,
            out_of_sprint_seconds,
            marked_in_sprint: fields.marked_in_sprint.flag(record)?,
            claimed_automatable: fields.claimed_automatable.flag(record)?.or_else(|| stereotype?.claimed_automatable),
            rating: fields.rating.rating(record)?,
            updated_at: fields.updated_at.instant(record, zone)?.map(|(at, _)| at),
            user: user_index,
            sprint: sprint_index,
            stereotype: stereotype_index,
        };
        let ids = Ids { activity_id, user_id, team_id, explicit_sprint: explicit, stereotype_code };
        let activity = assemble(fields, record, ids, (sprint, stereotype), zone, &found)?;
        Ok(Translated::Activity(day, activity, found))
    }

    /// The activity that a record was placed as on `day`, by what was found then; but for its `source_row`, as with
    /// [`ActivityTranslator::place`]. `None` if that was another record, or other rules.
    pub fn restore<'r>(&'r self, record: &'r Record, day: LocalDay, found: &Found) -> Option<Activity<'r>> {
        let fields = self.fields(record);
        let Dimensions { users, sprints, stereotypes, .. } = self.dimensions;
        fn member<M>(members: &Option<ById<M>>, index: Option<usize>) -> Option<&M> {
            nth(members, index?)
        }
        let person = member(users, found.user);
        let ids = Ids {
            activity_id: fields.activity_id.required_id(record).ok()?,
            user_id: fields.user_id.required_id(record).ok()?,
            team_id: team_id(&fields, record, person.map(|person| &person.member), day).ok()?,
            explicit_sprint: self.explicit_sprint(&fields, record).ok()?,
            stereotype_code: fields.stereotype_code.required_id(record).ok()?,
        };
        let members = (member(sprints, found.sprint), member(stereotypes, found.stereotype));
        let zone = self.zone(&fields, record, person).ok()?;
        assemble(&fields, record, ids, members, zone, found).ok()
    }

    /// The sprint that the record itself names, unless the calendar is to say.
    fn explicit_sprint<'r>(
        &self,
        fields: &ActivityFields<'r>,
        record: &'r Record,
    ) -> Result<Option<Cow<'r, str>>, Box<Problem>> {
        Ok(fields.sprint_id.id(record)?.filter(|_| self.mapping.sprint_rule != SprintRule::Calendar))
    }

    /// The zone that decides the local day: the record's own, else the person's, else the organisation's.
    fn zone(&self, fields: &ActivityFields<'_>, record: &Record, user: Option<&Person>) -> Result<Tz, Box<Problem>> {
        let zone = match (fields.time_zone.text(record)?, user) {
            (Some(own), _) => own.parse().ok(),
            (None, Some(Person { member: Member { time_zone: Some(_), .. }, zone })) => *zone,
            (None, _) => Some(self.organisation),
        };
        let message = "it is no IANA time zone such as Europe/Berlin";
        zone.ok_or_else(|| problem("unknown_time_zone", "time_zone", message))
    }
}

/// What an activity refers to.
struct Ids<'r> {
    activity_id: Cow<'r, str>,
    user_id: Cow<'r, str>,
    team_id: Option<Cow<'r, str>>,
    explicit_sprint: Option<Cow<'r, str>>,
    stereotype_code: Cow<'r, str>,
}

/// The team of an activity: the record's own, else the person's on that day.
fn team_id<'r>(
    fields: &ActivityFields<'r>,
    record: &'r Record,
    user: Option<&'r Member>,
    day: LocalDay,
) -> Result<Option<Cow<'r, str>>, Box<Problem>> {
    let own = fields.team_id.id(record)?;
    Ok(own.or_else(|| user?.team_on(day).map(Cow::Borrowed)))
}

/// An activity of these parts, with the texts of its record, its sprint and its stereotype.
fn assemble<'r>(
    fields: &ActivityFields<'r>,
    record: &'r Record,
    ids: Ids<'r>,
    (sprint, stereotype): (Option<&'r Member>, Option<&'r Member>),
    zone: Tz,
    found: &Found,
) -> Result<Activity<'r>, Box<Problem>> {
    fn text(text: &Option<String>) -> Option<Cow<'_, str>> {
        text.as_deref().map(Cow::Borrowed)
    }
    let Ids { activity_id, user_id, team_id, explicit_sprint, stereotype_code } = ids;
    Ok(Activity {
        activity_id,
        user_id,
        team_id,
        sprint_id: explicit_sprint.or_else(|| sprint.map(|sprint| Cow::Borrowed(sprint.id.as_str()))),
        project_id: fields.project_id.id(record)?,
        sprint_starts_at: sprint.and_then(|sprint| sprint.starts_at),
        sprint_ends_at: sprint.and_then(|sprint| sprint.ends_at),
        sprint_released_at: sprint.and_then(|sprint| sprint.released_at),
        stereotype_code,
        stereotype_name: stereotype.and_then(|stereotype| text(&stereotype.name)),
        claimed_category: fields.claimed_category.text(record)?.or_else(|| text(&stereotype?.claimed_category)),
        claimed_automatable: found.claimed_automatable,
        started_at: found.started_at,
        ended_at: found.ended_at,
        clock: found.clock,
        duration_seconds: found.duration_seconds,
        marked_in_sprint: found.marked_in_sprint,
        out_of_sprint_seconds: found.out_of_sprint_seconds,
        rating: found.rating,
        time_zone: Cow::Borrowed(zone.name()),
        note: fields.note.text(record)?,
        updated_at: found.updated_at,
        source_row: Cow::Borrowed(""),
    })
}

/// The effort in seconds, or `None` while the activity is still running.
fn duration(
    seconds: Option<i64>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
) -> Result<Option<i64>, Box<Problem>> {
    match (seconds, ended_at) {
        (_, Some(end)) if end < started_at => {
            Err(problem("ends_before_start", "ended_at", "the activity ends before it starts"))
        }
        (None, Some(end)) => Ok(Some((end - started_at).num_seconds())),
        (seconds, _) => Ok(seconds),
    }
}

#[cfg(test)]
mod tests;
