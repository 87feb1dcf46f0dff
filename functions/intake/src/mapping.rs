//! The mapping grammar: how one foreign schema becomes canonical rows. The only place where a foreign table, column or
//! unit has a name; see `docs/mappings.md` for the grammar and `sources/*.toml` for mappings.
//!
//! A mistake is refused when the mapping is read, with file, line, what is wrong and the nearest valid name.

use std::{collections::BTreeMap, fmt, path::Path};

use chrono_tz::Tz;
use shared::{
    lake::{Entity, Sha256},
    spelling::did_you_mean,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::source::Family;

/// A mapping that cannot be used, and where to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MappingError {
    /// The file's name.
    pub file: String,
    /// The line, from 1; 0 where the mistake is in no line.
    pub line: usize,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.problem),
            line => write!(f, "{}:{line}: {}", self.file, self.problem),
        }
    }
}

/// What a canonical field holds, and so which declarations its column needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text, or a number as text.
    Text,
    /// An instant; needs a `format`, and a `zone` where the format has no offset.
    Instant,
    /// A duration; needs a `unit`, or a `format` that has one in it.
    Seconds,
    /// Yes or no.
    Flag,
    /// A whole number from 1 to 5.
    Rating,
}

/// A field that the anti-corruption layer fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanonicalField {
    /// Its name in mappings, quarantine and messages.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether every record must have it.
    pub required: bool,
}

const fn required(name: &'static str, kind: FieldKind) -> CanonicalField {
    CanonicalField { name, kind, required: true }
}

const fn optional(name: &'static str, kind: FieldKind) -> CanonicalField {
    CanonicalField { name, kind, required: false }
}

/// The fields of an entity.
pub fn fields(entity: Entity) -> &'static [CanonicalField] {
    use FieldKind::{Flag, Instant, Rating, Seconds, Text};
    match entity {
        Entity::Teams => const { &[required("team_id", Text), optional("name", Text)] },
        Entity::Users => {
            const {
                &[
                    required("user_id", Text),
                    optional("team_id", Text),
                    optional("name", Text),
                    optional("time_zone", Text),
                ]
            }
        }
        Entity::Sprints => {
            const {
                &[
                    required("sprint_id", Text),
                    optional("team_id", Text),
                    optional("name", Text),
                    required("starts_at", Instant),
                    required("ends_at", Instant),
                    optional("released_at", Instant),
                ]
            }
        }
        Entity::Stereotypes => {
            const {
                &[
                    required("stereotype_code", Text),
                    optional("stereotype_name", Text),
                    optional("claimed_category", Text),
                    optional("claimed_automatable", Flag),
                ]
            }
        }
        Entity::Activities => {
            const {
                &[
                    required("activity_id", Text),
                    required("user_id", Text),
                    optional("team_id", Text),
                    optional("sprint_id", Text),
                    optional("project_id", Text),
                    required("stereotype_code", Text),
                    required("started_at", Instant),
                    optional("ended_at", Instant),
                    optional("duration_seconds", Seconds),
                    optional("out_of_sprint_seconds", Seconds),
                    optional("marked_in_sprint", Flag),
                    optional("claimed_category", Text),
                    optional("claimed_automatable", Flag),
                    optional("rating", Rating),
                    optional("note", Text),
                    optional("time_zone", Text),
                    optional("updated_at", Instant),
                    optional(CURSOR, Instant),
                ]
            }
        }
    }
}

/// The field of activities that says when the source changed a record last. It is no column of the lake: by it a run knows
/// which days to read.
pub const CURSOR: &str = "cursor";

/// The fields of a person's stay in a team, in the section `[memberships]`.
pub const MEMBERSHIP_FIELDS: &[CanonicalField] = &[
    required("user_id", FieldKind::Text),
    required("team_id", FieldKind::Text),
    optional("from", FieldKind::Instant),
    optional("to", FieldKind::Instant),
];

/// The kinds of database that intake can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite,
    /// A PostgreSQL server.
    Postgresql,
    /// A MySQL or MariaDB server.
    Mysql,
}

impl Database {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgresql, Self::Mysql];

    /// Its name in mappings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
        }
    }

    /// Its name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgresql => "PostgreSQL",
            Self::Mysql => "MySQL or MariaDB",
        }
    }

    /// What of an address names a file of certificate authorities, and what turns TLS off.
    pub(crate) fn tls(self) -> (&'static str, &'static str) {
        match self {
            Self::Mysql => ("ssl-ca", "ssl-mode=DISABLED"),
            Self::Sqlite | Self::Postgresql => ("sslrootcert", "sslmode=disable"),
        }
    }

    /// Where the server keeps who may come in.
    pub(crate) fn who_may_come_in(self) -> &'static str {
        match self {
            Self::Mysql => "the account, which also says from where it may come and whether it needs TLS",
            Self::Sqlite | Self::Postgresql => "pg_hba.conf, which also says who needs TLS",
        }
    }
}

/// Which sprint an activity belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SprintRule {
    /// The one that the record names, else the team's sprint that contains the start.
    ExplicitThenCalendar,
    /// The one that the record names, else none.
    Explicit,
    /// The team's sprint that contains the start.
    Calendar,
}

/// What one unit of a source's durations is. Declared, never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds in one unit.
    Nanoseconds(i64),
    /// `HH:MM` or `HH:MM:SS`.
    Clock,
    /// `HH:MM:SS` with fractions, as a column of type TIME has it.
    Time,
    /// PostgreSQL's notation of an interval, such as `1 day 02:03:04.5`.
    Interval,
}

/// The declarations that say how a duration is written, by key and value.
const DURATIONS: [(&str, &str, Unit); 9] = [
    ("unit", "hours", Unit::Nanoseconds(3_600_000_000_000)),
    ("unit", "minutes", Unit::Nanoseconds(60_000_000_000)),
    ("unit", "seconds", Unit::Nanoseconds(1_000_000_000)),
    ("unit", "milliseconds", Unit::Nanoseconds(1_000_000)),
    ("unit", "microseconds", Unit::Nanoseconds(1_000)),
    ("unit", "nanoseconds", Unit::Nanoseconds(1)),
    ("unit", "clock", Unit::Clock),
    ("format", "time", Unit::Time),
    ("format", "interval", Unit::Interval),
];

/// How a source writes instants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstantFormat {
    /// RFC 3339, with an offset; its minutes may be missing, as PostgreSQL leaves them out.
    Rfc3339,
    /// `YYYY-MM-DD HH:MM:SS`, with a space or a `T`, seconds and fractions optional, without an offset.
    Iso,
    /// `YYYY-MM-DD`: the day is known, the time of day is not.
    Date,
    /// A number of units since 1970 in UTC; nanoseconds in one unit.
    Unix(i64),
    /// A pattern in the notation of `strftime`.
    Pattern {
        /// The pattern.
        pattern: String,
        /// What it says besides the day.
        precision: Precision,
    },
}

/// What a pattern says of an instant, besides its day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Nothing.
    Day,
    /// The time of day.
    Time,
    /// The time of day and its offset from UTC.
    Offset,
}

impl InstantFormat {
    /// Whether an instant in this format needs no zone.
    pub fn says_offset(&self) -> bool {
        match self {
            Self::Rfc3339 | Self::Unix(_) => true,
            Self::Pattern { precision, .. } => *precision == Precision::Offset,
            Self::Iso | Self::Date => false,
        }
    }
}

/// What a pattern of `strftime` says besides the day, or why it cannot be read.
fn precision(pattern: &str) -> Result<Precision, &'static str> {
    use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
    let (mut day, mut hour, mut half, mut minute, mut offset) = (false, false, None, false, false);
    for item in StrftimeItems::new(pattern) {
        match item {
            Item::Error => return Err("is no strftime pattern"),
            Item::Numeric(Numeric::Day | Numeric::Ordinal, _) => day = true,
            Item::Numeric(Numeric::Hour, _) => hour = true,
            Item::Numeric(Numeric::Hour12, _) => half = Some(half.unwrap_or(false)),
            Item::Fixed(Fixed::LowerAmPm | Fixed::UpperAmPm) => half = Some(true),
            Item::Numeric(Numeric::Minute, _) => minute = true,
            Item::Numeric(Numeric::Timestamp, _) => return Err("counts units since 1970; use the format unix_seconds"),
            Item::Fixed(Fixed::TimezoneName) => {
                return Err("names a zone by letters, which are ambiguous; declare `zone`");
            }
            Item::Fixed(
                Fixed::TimezoneOffset
                | Fixed::TimezoneOffsetColon
                | Fixed::TimezoneOffsetDoubleColon
                | Fixed::TimezoneOffsetTripleColon
                | Fixed::TimezoneOffsetColonZ
                | Fixed::TimezoneOffsetZ,
            ) => offset = true,
            Item::Fixed(Fixed::RFC2822 | Fixed::RFC3339) => {
                return Err("is a format of its own; use the format rfc3339");
            }
            _ => {}
        }
    }
    match (day, hour || half == Some(true), minute, offset) {
        (false, ..) => Err("says no day"),
        (_, false, _, _) if half.is_some() => Err("says an hour from 1 to 12 without %p"),
        (_, true, false, _) => Err("says an hour without its minutes"),
        (_, true, true, true) => Ok(Precision::Offset),
        (_, true, true, false) => Ok(Precision::Time),
        (_, false, _, true) => Err("says an offset without a time"),
        (_, false, _, false) => Ok(Precision::Day),
    }
}

/// Which zone a time without an offset is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneRule {
    /// Always this one.
    Fixed(Tz),
    /// The zone that decides the record's local day: the record's own, else the person's, else the organisation's.
    Local,
}

/// Where one canonical field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMapping {
    /// The line that declares it.
    pub line: usize,
    /// The source's columns; several are added up.
    pub columns: Vec<String>,
    /// The source's column that is read where the others are NULL.
    pub fallback: Option<String>,
    /// For durations: their unit, or the format that makes one needless.
    pub unit: Option<Unit>,
    /// For instants.
    pub format: Option<InstantFormat>,
    /// For instants without an offset.
    pub zone: Option<ZoneRule>,
    /// For days: the source's column with the minutes from midnight to the instant; where it is NULL, only the day is known.
    pub minutes: Option<String>,
    /// For instants: only the local day of it counts, because its time of day is that of something else.
    pub day_only: bool,
    /// Translates the source's values, as text, to canonical ones; a value that is not listed is refused.
    pub values: Option<BTreeMap<String, String>>,
}

impl ColumnMapping {
    /// Every column of the source that it reads.
    pub fn read(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().chain(&self.fallback).chain(&self.minutes)
    }

    /// The same, and what kind of value it reads there.
    pub fn reads(&self, kind: FieldKind) -> impl Iterator<Item = (&String, FieldKind)> {
        let own = self.columns.iter().chain(&self.fallback).map(move |column| (column, kind));
        own.chain(self.minutes.iter().map(|column| (column, FieldKind::Rating)))
    }

    /// What a value must be, in words; `kind` is that of the field.
    pub fn expects(&self, kind: FieldKind) -> String {
        let declared = |(key, value, _): &(&str, &str, Unit)| match *key {
            "unit" if *value != "clock" => format!("a number of {value}"),
            key => format!("a duration of {key} `{value}`"),
        };
        let duration = || DURATIONS.iter().find(|(_, _, unit)| Some(*unit) == self.unit).map(declared);
        let described = match (kind, &self.format) {
            (FieldKind::Text, _) => "text or a number",
            (FieldKind::Flag, _) => "yes or no",
            (FieldKind::Rating, _) => "a whole number from 1 to 5",
            (FieldKind::Seconds, _) => return duration().unwrap_or_default(),
            (FieldKind::Instant, Some(InstantFormat::Rfc3339) | None) => "an instant with an offset (`rfc3339`)",
            (FieldKind::Instant, Some(InstantFormat::Iso)) => "a day and a time without an offset (`iso`)",
            (FieldKind::Instant, Some(InstantFormat::Date)) if self.minutes.is_some() => {
                "a day without a time (`date`), and minutes after midnight"
            }
            (FieldKind::Instant, Some(InstantFormat::Date)) => "a day without a time (`date`)",
            (FieldKind::Instant, Some(InstantFormat::Unix(_))) => "a whole number since 1970",
            (FieldKind::Instant, Some(InstantFormat::Pattern { pattern, .. })) => {
                return format!("text like `{pattern}`");
            }
        };
        described.to_owned()
    }

    /// Whether any value of a column whose type is of this family could be read.
    pub fn accepts(&self, kind: FieldKind, family: Family) -> bool {
        use Family::{Boolean, Date, Interval, Number, Other, Time, Timestamp, TimestampTz};
        let accepted: &[Family] = match (kind, &self.format, self.unit) {
            _ if family == Other || self.values.is_some() => return true,
            (FieldKind::Text, ..) => return true,
            (FieldKind::Flag, ..) => &[Boolean, Number],
            (FieldKind::Rating, ..) => &[Number],
            (FieldKind::Seconds, _, Some(Unit::Clock | Unit::Time)) => &[Time],
            (FieldKind::Seconds, _, Some(Unit::Interval)) => &[Interval, Time],
            (FieldKind::Seconds, ..) => &[Number],
            (FieldKind::Instant, Some(InstantFormat::Rfc3339) | None, _) => &[TimestampTz],
            (FieldKind::Instant, Some(InstantFormat::Iso), _) => &[Timestamp],
            (FieldKind::Instant, Some(InstantFormat::Date), _) => &[Date],
            (FieldKind::Instant, Some(InstantFormat::Unix(_)), _) => &[Number],
            (FieldKind::Instant, Some(InstantFormat::Pattern { .. }), _) => &[Date, Timestamp, TimestampTz],
        };
        accepted.contains(&family)
    }
}

/// Where the records of one entity come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityMapping {
    /// The line of its SELECT.
    pub line: usize,
    /// A SELECT for each version of the source, each with its line, of which the first that fits is read. Every column of its
    /// result is kept in `source_row`.
    pub selects: Vec<(usize, String)>,
    /// Further columns that say who somebody is, each with the line that names it.
    pub personal: Vec<(usize, String)>,
    /// Further columns that say nothing of anybody, each with the line that names it: pseudonyms leave them as they are.
    pub keep: Vec<(usize, String)>,
    /// By canonical field.
    pub columns: BTreeMap<&'static str, ColumnMapping>,
}

/// A whole mapping, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The file it came from.
    pub file: String,
    /// Of the file's text: which mapping a run used.
    pub sha256: Sha256,
    /// The source's name, in run records and files.
    pub name: String,
    /// The kind of database that its SELECTs are written for; `None` where every kind understands them.
    pub database: Option<Database>,
    /// The organisation's zone, where only that one will do.
    pub time_zone: Option<Tz>,
    /// Which sprint an activity belongs to.
    pub sprint_rule: SprintRule,
    /// Each entity that the source has; always the activities.
    pub entities: BTreeMap<Entity, EntityMapping>,
    /// Who was in which team when, where the source keeps that.
    pub memberships: Option<EntityMapping>,
}

/// The mappings that ship, by name. Where two fit a source, the first one does: what grew out of another product stands before
/// that one.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("reference", include_str!("../sources/reference.toml")),
    ("kimai", include_str!("../sources/kimai.toml")),
    ("solidtime", include_str!("../sources/solidtime.toml")),
    ("openproject", include_str!("../sources/openproject.toml")),
    ("redmine", include_str!("../sources/redmine.toml")),
    ("gitlab", include_str!("../sources/gitlab.toml")),
    ("jira", include_str!("../sources/jira.toml")),
    ("jira-datetime", include_str!("../sources/jira-datetime.toml")),
    ("activitywatch", include_str!("../sources/activitywatch.toml")),
    ("activitywatch-microseconds", include_str!("../sources/activitywatch-microseconds.toml")),
    ("activitywatch-datetime", include_str!("../sources/activitywatch-datetime.toml")),
];

/// The section of a mapping that says who was in which team when.
pub const MEMBERSHIPS: &str = "memberships";

impl Mapping {
    /// Each section that has a SELECT, by its name.
    pub fn sections(&self) -> impl Iterator<Item = (&'static str, &EntityMapping)> {
        let entities = self.entities.iter().map(|(entity, from)| (entity.name(), from));
        entities.chain(self.memberships.iter().map(|from| (MEMBERSHIPS, from)))
    }

    /// Loads a mapping: the name of a [`BUILT_IN`] one, or a file.
    pub fn load(name_or_path: &str) -> Result<Self, MappingError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(&format!("sources/{name}.toml"), text);
        }
        let text = std::fs::read_to_string(Path::new(name_or_path)).map_err(|error| {
            let names = BUILT_IN.iter().map(|(name, _)| *name);
            let problem = format!(
                "the mapping cannot be read: {error}; give a file, or the name of a known product: {}",
                names.collect::<Vec<_>>().join(", ")
            );
            MappingError { file: name_or_path.to_owned(), line: 0, problem }
        })?;
        Self::parse(name_or_path, &text)
    }

    /// Parses and checks the text of the mapping `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, MappingError> {
        // A byte order mark is a habit of some editors, not a mistake.
        let text = text.trim_start_matches('\u{feff}');
        let parser = Parser { file, text };
        let root = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(0, |span| parser.line(span.start));
            parser.error(line, error.message().to_owned())
        })?;
        parser.mapping(root.get_ref())
    }
}

struct Parser<'a> {
    file: &'a str,
    text: &'a str,
}

type Table<'a> = DeTable<'a>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Parser<'_> {
    fn mapping(&self, root: &Table<'_>) -> Result<Mapping, MappingError> {
        let names = Entity::ALL.map(Entity::name);
        let sections: Vec<&str> = ["source", MEMBERSHIPS].into_iter().chain(names).collect();
        self.only(root, &sections, "section")?;
        let source = root.get("source").ok_or_else(|| self.error(0, "the section [source] is missing"))?;
        let source_line = self.line_of(source);
        let source = self.table(source, "source")?;
        self.only(source, &["name", "database", "time_zone", "sprint_rule"], "key of [source]")?;
        let text = |key: &str| source.get(key).map(|value| self.text(value, key)).transpose();
        let needed = |key: &str| text(key)?.ok_or_else(|| self.error(source_line, format!("[source] needs `{key}`")));
        let name = needed("name")?.to_owned();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(self.error(source_line, "`name` of [source] takes lower-case letters, digits and `-`"));
        }
        let pick = |key: &str, value: &str, options: &[&str]| {
            let line = source.get(key).map_or(source_line, |value| self.line_of(value));
            self.one_of(line, key, value, options)
        };
        let databases = Database::ALL.map(Database::name);
        let database = text("database")?.map(|database| pick("database", database, &databases)).transpose()?;
        let database = database.map(|index| Database::ALL[index]);
        let time_zone = source.get("time_zone").map(|zone| self.zone(zone)).transpose()?;
        let rules = ["explicit_then_calendar", "explicit", "calendar"];
        let sprint_rule = match pick("sprint_rule", text("sprint_rule")?.unwrap_or(rules[0]), &rules)? {
            1 => SprintRule::Explicit,
            2 => SprintRule::Calendar,
            _ => SprintRule::ExplicitThenCalendar,
        };
        let mut entities = BTreeMap::new();
        for entity in Entity::ALL {
            if let Some(section) = root.get(entity.name()) {
                entities.insert(entity, self.entity(entity.name(), fields(entity), section)?);
            }
        }
        let memberships = root.get(MEMBERSHIPS);
        if let Some(section) = memberships.filter(|_| !entities.contains_key(&Entity::Users)) {
            let problem = "[memberships] says when people were in which team, and needs [users]";
            return Err(self.error(self.line_of(section), problem));
        }
        let memberships =
            memberships.map(|section| self.entity(MEMBERSHIPS, MEMBERSHIP_FIELDS, section)).transpose()?;
        let Some(activities) = entities.get(&Entity::Activities) else {
            return Err(self.error(0, "the section [activities] is missing"));
        };
        self.comparable(&activities.columns)?;
        if !["duration_seconds", "ended_at"].iter().any(|field| activities.columns.contains_key(field)) {
            return Err(self.error(activities.line, "[activities.columns] needs `duration_seconds` or `ended_at`"));
        }
        Ok(Mapping {
            file: self.file.to_owned(),
            sha256: Sha256::of(self.text),
            name,
            database,
            time_zone,
            sprint_rule,
            entities,
            memberships,
        })
    }

    fn entity(
        &self,
        name: &str,
        fields: &[CanonicalField],
        section: &Value<'_>,
    ) -> Result<EntityMapping, MappingError> {
        let line = self.line_of(section);
        let table = self.table(section, name)?;
        self.only(table, &["select", "personal", "keep", "columns"], &format!("key of [{name}]"))?;
        let select = table.get("select").ok_or_else(|| self.error(line, format!("[{name}] needs `select`")))?;
        let columns = table.get("columns").ok_or_else(|| self.error(line, format!("[{name}.columns] is missing")))?;
        let columns_line = self.line_of(columns);
        let columns = self.table(columns, "columns")?;
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        self.only(columns, &known, &format!("canonical field of {name}"))?;
        let mut mapped = BTreeMap::new();
        for field in fields {
            match columns.get(field.name) {
                Some(value) => {
                    mapped.insert(field.name, self.column(*field, value)?);
                }
                None if field.required => {
                    return Err(self.error(columns_line, format!("[{name}.columns] needs `{}`", field.name)));
                }
                None => {}
            }
        }
        let line = self.line_of(select);
        let selects = match select.get_ref() {
            DeValue::Array(selects) => {
                selects.iter().map(|select| self.select(name, select)).collect::<Result<_, _>>()?
            }
            _ => vec![self.select(name, select)?],
        };
        if selects.is_empty() {
            return Err(self.error(line, format!("`select` of [{name}] takes a SELECT, or a list of them")));
        }
        let named = |key: &str| table.get(key).map(|columns| self.named(key, columns)).transpose();
        let (personal, keep) = (named("personal")?.unwrap_or_default(), named("keep")?.unwrap_or_default());
        if let Some((line, both)) = keep.iter().find(|(_, column)| personal.iter().any(|(_, other)| other == column)) {
            return Err(self.error(*line, format!("`{both}` cannot be in `keep` and in `personal`")));
        }
        Ok(EntityMapping { line, selects, personal, keep, columns: mapped })
    }

    fn select(&self, name: &str, select: &Value<'_>) -> Result<(usize, String), MappingError> {
        let (line, select) = (self.line_of(select), self.text(select, "select")?);
        let select = select.trim().trim_end_matches(';').trim_end();
        if select.is_empty() || has_another_statement(select) {
            return Err(self.error(line, format!("`select` of [{name}] takes one SELECT")));
        }
        Ok((line, select.to_owned()))
    }

    fn named(&self, key: &str, value: &Value<'_>) -> Result<Vec<(usize, String)>, MappingError> {
        let DeValue::Array(columns) = value.get_ref() else {
            return Err(self.error(self.line_of(value), format!("`{key}` takes a list of columns")));
        };
        columns.iter().map(|column| Ok((self.line_of(column), self.text(column, key)?.to_owned()))).collect()
    }

    /// A cursor, and with it the start, are compared by the database, which knows nothing of patterns and of people's zones.
    fn comparable(&self, columns: &BTreeMap<&'static str, ColumnMapping>) -> Result<(), MappingError> {
        let Some(cursor) = columns.get(CURSOR) else { return Ok(()) };
        if cursor.zone == Some(ZoneRule::Local) {
            return Err(self.error(cursor.line, "`cursor` needs a `zone` that is the same for all records"));
        }
        let compared = ["started_at", CURSOR].into_iter().filter_map(|name| Some((name, columns.get(name)?)));
        let pattern = |column: &ColumnMapping| matches!(column.format, Some(InstantFormat::Pattern { .. }));
        match compared.into_iter().find(|(_, column)| pattern(column)) {
            None => Ok(()),
            Some((name, column)) => {
                let problem = format!(
                    "with a `cursor` the database compares `{name}`, and cannot by a pattern; let the SELECT convert it, or \
                     leave `cursor` out"
                );
                Err(self.error(column.line, problem))
            }
        }
    }

    fn column(&self, field: CanonicalField, value: &Value<'_>) -> Result<ColumnMapping, MappingError> {
        let line = self.line_of(value);
        let mut mapping = ColumnMapping {
            line,
            columns: Vec::new(),
            fallback: None,
            unit: None,
            format: None,
            zone: None,
            minutes: None,
            day_only: false,
            values: None,
        };
        match value.get_ref() {
            DeValue::String(column) => mapping.columns.push(column.to_string()),
            DeValue::Table(table) => self.declared(field, table, &mut mapping)?,
            _ => return Err(self.error(line, format!("`{}` takes a column's name or a table", field.name))),
        }
        if mapping.columns.is_empty() {
            return Err(self.error(line, format!("`{}` needs `column` or `sum`", field.name)));
        }
        let says_offset = mapping.format.as_ref().is_some_and(InstantFormat::says_offset);
        match field.kind {
            FieldKind::Seconds if mapping.unit.is_none() => {
                let problem = format!(
                    "`{0}` needs a unit, which is declared and never guessed: {0} = {{ column = \"{1}\", unit = \"minutes\" }}, or \
                     format = \"time\" or \"interval\" for columns of those types",
                    field.name, mapping.columns[0]
                );
                Err(self.error(line, problem))
            }
            FieldKind::Instant if mapping.format.is_none() => {
                let problem = format!(
                    "`{0}` needs a format: {0} = {{ column = \"{1}\", format = \"rfc3339\" }}",
                    field.name, mapping.columns[0]
                );
                Err(self.error(line, problem))
            }
            FieldKind::Instant if mapping.zone.is_some() == says_offset => {
                if says_offset {
                    let problem = format!("`{}` has an offset in its format, so `zone` would say nothing", field.name);
                    return Err(self.error(line, problem));
                }
                let problem = format!(
                    "`{}` has no offset in its format and needs a `zone`: \"UTC\", another IANA zone, or \"local\"",
                    field.name
                );
                Err(self.error(line, problem))
            }
            _ => Ok(mapping),
        }
    }

    fn declared(
        &self,
        field: CanonicalField,
        table: &Table<'_>,
        mapping: &mut ColumnMapping,
    ) -> Result<(), MappingError> {
        let allowed: &[&str] = match field.kind {
            FieldKind::Seconds => &["column", "sum", "fallback", "unit", "format"],
            FieldKind::Instant => &["column", "fallback", "format", "zone", "minutes", "clock"],
            FieldKind::Text | FieldKind::Flag | FieldKind::Rating => &["column", "fallback", "values"],
        };
        self.only(table, allowed, &format!("key of `{}`", field.name))?;
        let text =
            |key: &str| table.get(key).map(|value| Ok((self.line_of(value), self.text(value, key)?))).transpose();
        mapping.columns.extend(text("column")?.map(|(_, column)| column.to_owned()));
        if let Some(sum) = table.get("sum") {
            let DeValue::Array(columns) = sum.get_ref() else {
                return Err(self.error(self.line_of(sum), "`sum` takes a list of columns"));
            };
            for column in columns.iter() {
                let name = self.text(column, "sum")?.to_owned();
                if mapping.columns.contains(&name) {
                    return Err(self.error(self.line_of(column), format!("`sum` names `{name}` twice")));
                }
                mapping.columns.push(name);
            }
        }
        mapping.fallback = text("fallback")?.map(|(_, column)| column.to_owned());
        if let Some(sum) = table.get("sum").filter(|_| table.contains_key("column") || table.contains_key("fallback")) {
            return Err(self.error(self.line_of(sum), "`sum` goes with neither `column` nor `fallback`"));
        }
        if field.kind == FieldKind::Seconds {
            if let Some(((line, _), _)) = text("format")?.zip(text("unit")?) {
                return Err(self.error(line, "a duration has a `unit` or a `format`, not both"));
            }
            for key in ["unit", "format"] {
                let Some((line, value)) = text(key)? else { continue };
                let of_key: Vec<_> = DURATIONS.iter().filter(|(of, ..)| *of == key).collect();
                let names: Vec<&str> = of_key.iter().map(|(_, name, _)| *name).collect();
                mapping.unit = Some(of_key[self.one_of(line, key, value, &names)?].2);
            }
        } else if let Some((line, format)) = text("format")? {
            mapping.format = Some(self.format(line, format)?);
        }
        if let Some(zone) = table.get("zone") {
            mapping.zone = Some(match self.text(zone, "zone")? {
                "local" => ZoneRule::Local,
                _ => ZoneRule::Fixed(self.zone(zone)?),
            });
        }
        if let Some((line, minutes)) = text("minutes")? {
            if mapping.format != Some(InstantFormat::Date) {
                return Err(self.error(line, "`minutes` are those after midnight, and go with format = \"date\""));
            }
            mapping.minutes = Some(minutes.to_owned());
        }
        if let Some((line, clock)) = text("clock")? {
            self.one_of(line, "clock", clock, &["day"])?;
            mapping.day_only = true;
        }
        if let Some(values) = table.get("values") {
            let mut translated = BTreeMap::new();
            for (from, to) in self.table(values, "values")?.iter() {
                let value = self.text(to, "values")?;
                // What a field cannot hold is a mistake here, not in every record.
                let possible: &[&str] = match field.kind {
                    FieldKind::Flag => &["true", "false", "yes", "no", "1", "0"],
                    FieldKind::Rating => &["1", "2", "3", "4", "5"],
                    FieldKind::Text | FieldKind::Instant | FieldKind::Seconds => &[],
                };
                if !possible.is_empty() {
                    self.one_of(self.line_of(to), "values", value, possible)?;
                }
                translated.insert(from.get_ref().to_string(), value.to_owned());
            }
            mapping.values = Some(translated);
        }
        Ok(())
    }

    fn format(&self, line: usize, format: &str) -> Result<InstantFormat, MappingError> {
        if format.contains('%') {
            let precision = precision(format).map_err(|problem| self.error(line, format!("`{format}` {problem}")))?;
            return Ok(InstantFormat::Pattern { pattern: format.to_owned(), precision });
        }
        let formats = [
            ("rfc3339", InstantFormat::Rfc3339),
            ("iso", InstantFormat::Iso),
            ("date", InstantFormat::Date),
            ("unix_seconds", InstantFormat::Unix(1_000_000_000)),
            ("unix_milliseconds", InstantFormat::Unix(1_000_000)),
            ("unix_microseconds", InstantFormat::Unix(1_000)),
            ("unix_nanoseconds", InstantFormat::Unix(1)),
        ];
        let names: Vec<&str> = formats.iter().map(|(name, _)| *name).collect();
        let index = self.one_of(line, "format", format, &names)?;
        Ok(formats[index].1.clone())
    }

    fn zone(&self, value: &Value<'_>) -> Result<Tz, MappingError> {
        let name = self.text(value, "zone")?;
        name.parse().map_err(|_| {
            let names: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
            self.error(self.line_of(value), format!("`{name}` is no IANA time zone{}", did_you_mean(name, &names)))
        })
    }

    fn table<'t, 'v>(&self, value: &'t Value<'v>, what: &str) -> Result<&'t Table<'v>, MappingError> {
        value.get_ref().as_table().ok_or_else(|| self.error(self.line_of(value), format!("`{what}` takes a table")))
    }

    fn text<'t>(&self, value: &'t Value<'_>, what: &str) -> Result<&'t str, MappingError> {
        value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.error(self.line_of(value), format!("`{what}` takes text in quotes")))
    }

    fn one_of(&self, line: usize, key: &str, value: &str, options: &[&str]) -> Result<usize, MappingError> {
        options.iter().position(|option| *option == value).ok_or_else(|| {
            let problem = format!(
                "`{key}` cannot be `{value}`{}; it is one of {}",
                did_you_mean(value, options),
                options.join(", ")
            );
            self.error(line, problem)
        })
    }

    fn only(&self, table: &Table<'_>, allowed: &[&str], what: &str) -> Result<(), MappingError> {
        match table.keys().find(|key| !allowed.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let name = key.get_ref().as_ref();
                let problem =
                    format!("`{name}` is no {what}{}; it takes {}", did_you_mean(name, allowed), allowed.join(", "));
                Err(self.error(self.line(key.span().start), problem))
            }
        }
    }

    fn line_of(&self, value: &Value<'_>) -> usize {
        self.line(value.span().start)
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn error(&self, line: usize, problem: impl Into<String>) -> MappingError {
        MappingError { file: self.file.to_owned(), line, problem: problem.into() }
    }
}

/// Whether a `;` stands outside of quotes.
fn has_another_statement(sql: &str) -> bool {
    let mut quote = None;
    sql.chars().any(|c| {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, ';') => return true,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&str) -> String) -> String {
        let text = change(BUILT_IN[0].1);
        assert_ne!(text, BUILT_IN[0].1, "the change must change something");
        Mapping::parse("m.toml", &text).unwrap_err().to_string()
    }

    #[test]
    fn every_mapping_that_ships_is_sound() {
        for (name, text) in BUILT_IN {
            assert_eq!(&Mapping::parse(name, text).unwrap().name, name);
        }
    }

    #[test]
    fn a_mistake_names_its_line_and_the_nearest_valid_name() {
        let line_of = |needle: &str| 1 + BUILT_IN[0].1.lines().position(|line| line.contains(needle)).unwrap();
        for (from, to, expected) in [
            ("rating = ", "raiting = ", "did you mean `rating`?"),
            ("[teams]", "[tems]", "did you mean `teams`?"),
            ("unit = \"seconds\"", "unit = \"second\"", "did you mean `seconds`?"),
            ("name = \"reference\"", "time_zone = \"Europe/Berln\"\nname = \"x\"", "did you mean `Europe/Berlin`?"),
            ("name = \"reference\"", "database = \"postgres\"\nname = \"x\"", "did you mean `postgresql`?"),
            ("unit = \"seconds\"", "fallback = \"x\"", "needs a unit"),
            ("activity_id = ", "project_id = ", "needs `activity_id`"),
            ("format = \"rfc3339\"", "format = \"iso\"", "needs a `zone`"),
            ("format = \"rfc3339\"", "format = \"%Q\"", "no strftime pattern"),
            ("format = \"rfc3339\"", "format = \"rfc3339\", zone = \"UTC\"", "`zone` would say nothing"),
            ("format = \"rfc3339\"", "format = \"%Y-%m-%d %I:%M\", zone = \"UTC\"", "without %p"),
            ("format = \"rfc3339\"", "format = \"%H:%M\", zone = \"UTC\"", "says no day"),
            ("format = \"rfc3339\"", "format = \"%s\"", "unix_seconds"),
            ("format = \"rfc3339\"", "format = \"%Y-%m-%d %H:%M %Z\"", "ambiguous"),
            ("SELECT * FROM teams", "SELECT * FROM teams; SELECT 1", "one SELECT"),
            ("SELECT * FROM teams", " ; ", "one SELECT"),
            ("\"SELECT * FROM teams\"", "[]", "a SELECT, or a list of them"),
            ("\"SELECT * FROM teams\"", "[\"SELECT * FROM teams\", \"\"]", "one SELECT"),
            ("format = \"rfc3339\"", "format = \"rfc3339\", minutes = \"m\"", "go with format = \"date\""),
            ("format = \"rfc3339\"", "format = \"rfc3339\", clock = \"dai\"", "did you mean `day`?"),
            ("\"in_sprint\"", "{ column = \"in_sprint\", values = { ja = \"sure\" } }", "cannot be `sure`"),
            ("rating = \"rating\"", "rating = { column = \"r\", values = { top = \"9\" } }", "cannot be `9`"),
            ("unit = \"seconds\"", "format = \"intervall\"", "did you mean `interval`?"),
            ("unit = \"seconds\"", "unit = \"seconds\", format = \"time\"", "not both"),
            ("column = \"duration\"", "column = \"duration\", sum = [\"a\"]", "neither `column` nor `fallback`"),
        ] {
            let message = refused(|text| text.replacen(from, to, 1));
            assert!(message.contains(expected), "{message}");
            // A missing field is reported where its table begins, anything else in its own line.
            if !expected.contains("activity_id") {
                assert!(message.starts_with(&format!("m.toml:{}:", line_of(from))), "{message}");
            }
        }
    }

    #[test]
    fn memberships_belong_to_users_and_are_checked_like_any_section() {
        let section =
            "\n[memberships]\nselect = \"SELECT * FROM m\"\n[memberships.columns]\nuser_id = \"u\"\nteam_id = \"t\"\n";
        let parsed = Mapping::parse("m.toml", &format!("{}{section}", BUILT_IN[0].1)).unwrap();
        assert!(parsed.sections().any(|(name, from)| name == MEMBERSHIPS && from.columns.len() == 2));
        assert!(
            refused(|text| text.to_owned() + section + "since = \"x\"").contains("no canonical field of memberships")
        );
        assert!(refused(|text| text.to_owned() + section + "from = \"x\"").contains("`from` needs a format"));
        let orphaned = "[source]\nname = \"x\"\n[activities]\nselect = \"SELECT * FROM a\"\n[activities.columns]\n\
            activity_id = \"i\"\nuser_id = \"u\"\nstereotype_code = \"s\"\n\
            started_at = { column = \"b\", format = \"rfc3339\" }\nended_at = { column = \"e\", format = \"rfc3339\" }\n";
        let error = Mapping::parse("m.toml", &format!("{orphaned}{section}")).unwrap_err();
        assert!(error.line > 9 && error.problem.contains("needs [users]"), "{error}");
    }

    #[test]
    fn text_that_is_not_toml_names_its_line() {
        assert!(Mapping::parse("m.toml", "[source]\nname = ").unwrap_err().to_string().starts_with("m.toml:2: "));
        assert!(Mapping::load("no/such/file.toml").unwrap_err().to_string().contains("reference"));
    }
}
