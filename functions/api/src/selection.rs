//! What is asked for: `?scope=&sprint=&from=&to=&logic=&as_of=`. The address is the whole state of a page or an answer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    annotator::Logic,
    contribution::Scope,
    time::{Generation, LocalDay},
};
use utoipa::ToSchema;

use crate::finding::called;

/// Days that a figure covers when nobody says which: 13 weeks, the newest captured day included.
pub const DEFAULT_DAYS: i64 = 91;

/// A parameter that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{parameter}`: {detail}")]
pub struct InvalidParameter {
    /// Its name, as it came.
    pub parameter: String,
    /// What is wrong with it and what to write instead.
    pub detail: String,
}

impl InvalidParameter {
    pub(crate) fn new(parameter: &str, detail: impl Into<String>) -> Self {
        Self { parameter: parameter.to_owned(), detail: detail.into() }
    }
}

/// Local days, `from` included, `to` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first day.
    pub from: LocalDay,
    /// The day after the last.
    pub to: LocalDay,
}

impl Range {
    /// How many days.
    pub fn days(self) -> i64 {
        (self.to.0 - self.from.0).num_days()
    }

    /// The last day.
    pub fn last(self) -> LocalDay {
        self.to.plus(-1)
    }

    /// Whether all of `other` lies in it.
    pub fn holds(self, other: Range) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// Whether they have a day in common.
    pub fn touches(self, other: Range) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// A selection as it was asked for; what is left out follows the newest captured day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose figures.
    pub scope: Scope,
    /// Of a team or a person: only what belongs to this sprint.
    pub sprint: Option<String>,
    /// The first day.
    pub from: Option<LocalDay>,
    /// The day after the last.
    pub to: Option<LocalDay>,
    /// Only what this logic says.
    pub logic: Option<Logic>,
    /// As it was known then.
    pub as_of: Option<Generation>,
}

impl Default for Request {
    /// The organisation's last 13 weeks.
    fn default() -> Self {
        Self { scope: Scope::Organisation, sprint: None, from: None, to: None, logic: None, as_of: None }
    }
}

impl Request {
    /// Reads the decoded pairs of a query string.
    ///
    /// # Errors
    /// If a parameter is unknown, given twice or malformed, or if the range is empty.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, InvalidParameter> {
        let mut request = Self::default();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            if seen.contains(&name) {
                return Err(InvalidParameter::new(name, "it is given twice; give it once."));
            }
            seen.push(name);
            let malformed = |error: shared::time::Malformed| InvalidParameter::new(name, format!("{error}."));
            match name.as_str() {
                "scope" => request.scope = value.parse().map_err(malformed)?,
                "sprint" => request.sprint = Some(sprint_id(value)?),
                "from" => request.from = Some(value.parse().map_err(malformed)?),
                "to" => request.to = Some(value.parse().map_err(malformed)?),
                "logic" => request.logic = Some(value.parse().map_err(malformed)?),
                "as_of" => request.as_of = Some(instant(name, value)?),
                _ => {
                    let known = "it is not known here; use scope, sprint, from, to, logic and as_of.";
                    return Err(InvalidParameter::new(name, known));
                }
            }
        }
        match request.scope {
            // All that belongs to a sprint is the sprint.
            Scope::Organisation => {
                request.scope = request.sprint.take().map_or(Scope::Organisation, Scope::Sprint);
            }
            Scope::Sprint(_) if request.sprint.is_some() => {
                let detail = "a sprint lies in no other one; leave it out, or ask for a team or a person.";
                return Err(InvalidParameter::new("sprint", detail));
            }
            Scope::Team(_) | Scope::Person(_) | Scope::Sprint(_) => {}
        }
        match (request.from, request.to) {
            (Some(from), Some(to)) if from >= to => Err(InvalidParameter::new(
                "to",
                format!("{to} is not after {from}; `to` is the day after the last one."),
            )),
            _ => Ok(request),
        }
    }

    /// The same range for another scope, all of it.
    pub fn of(&self, scope: Scope) -> Self {
        Self { scope, sprint: None, ..self.clone() }
    }

    /// The same range for what a part of a selection is made of.
    pub fn of_part(&self, part: &Address) -> Self {
        Self { sprint: part.sprint.clone(), ..self.of(part.scope.clone()) }
    }

    /// The days it means, given the newest captured one; `None` if there is none. A range ends at the newest captured
    /// day at the latest, so one that lies wholly after it is empty.
    pub fn resolve(&self, newest: Option<LocalDay>) -> Option<Range> {
        let end = newest?.plus(1);
        let to = self.to.map_or(end, |to| to.min(end));
        let from = self.from.unwrap_or_else(|| to.plus(-DEFAULT_DAYS));
        Some(Range { from, to: to.max(from) })
    }

    /// The query string that asks for it, `?` included.
    pub fn query(&self) -> String {
        let mut query = format!("?scope={}", encode(&self.scope.to_string()));
        query.extend(self.sprint.iter().map(|sprint| format!("&sprint={}", encode(sprint))));
        for (name, day) in [("from", self.from), ("to", self.to)] {
            query.extend(day.map(|day| format!("&{name}={day}")));
        }
        query.extend(self.logic.iter().map(|logic| format!("&logic={logic}")));
        query.extend(self.as_of.map(|as_of| format!("&as_of={as_of}")));
        query
    }
}

/// Whose figures a part of a selection has: a scope, or what of it belongs to a sprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The scope.
    pub scope: Scope,
    /// Only what belongs to this sprint.
    pub sprint: Option<String>,
}

impl Address {
    /// All of a scope.
    pub fn all_of(scope: Scope) -> Self {
        Self { scope, sprint: None }
    }
}

/// What an address is asked besides a selection: each parameter once.
#[derive(Debug)]
pub(crate) struct Own(BTreeMap<String, String>);

impl Own {
    /// Divides the decoded pairs of a query string into the selection and the parameters called `names`.
    ///
    /// # Errors
    /// If one of those is given twice, or the rest is not a selection.
    pub(crate) fn divide(pairs: Vec<(String, String)>, names: &[&str]) -> Result<(Request, Self), InvalidParameter> {
        let (own, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
        let request = Request::parse(&others)?;
        let mut given = BTreeMap::new();
        for (name, value) in own {
            if given.insert(name.clone(), value).is_some() {
                return Err(InvalidParameter::new(&name, "it is given twice; give it once."));
            }
        }
        Ok((request, Self(given)))
    }

    /// The value of a parameter, if it was given.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// How many there may be on a page: `usual` unless the parameter `limit` says another number, `most` at most.
    pub(crate) fn limit(&mut self, usual: usize, most: usize) -> Result<usize, InvalidParameter> {
        let Some(value) = self.take("limit") else { return Ok(usual) };
        let limit = value.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| InvalidParameter::new("limit", format!("it is a number from 1 to {most}.")))
    }
}

fn sprint_id(text: &str) -> Result<String, InvalidParameter> {
    match format!("sprint:{text}").parse() {
        Ok(Scope::Sprint(id)) => Ok(id),
        _ => Err(InvalidParameter::new("sprint", "it is the id of a sprint, of at most 512 bytes.")),
    }
}

/// An instant as a generation is written, or as RFC 3339 has it.
fn instant(name: &str, value: &str) -> Result<Generation, InvalidParameter> {
    let written = value.parse::<Generation>().ok();
    let instant = || Some(Generation::mint(DateTime::parse_from_rfc3339(value).ok()?.with_timezone(&Utc), None));
    let wrong = || InvalidParameter::new(name, "it is an instant such as 2026-10-01T00:00:00Z or 20261001T000000Z.");
    written.or_else(instant).ok_or_else(wrong)
}

/// Further parameters of a query string, each with `&` before it.
pub(crate) fn parameters<V: AsRef<str>>(pairs: &[(&str, V)]) -> String {
    pairs.iter().map(|(name, value)| format!("&{name}={}", encode(value.as_ref()))).collect()
}

/// Percent-encodes a value for a query string.
fn encode(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

/// A selection as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Selection {
    /// Whose figures: `org`, `team:ID`, `sprint:ID` or `person:ID`.
    #[serde(serialize_with = "written")]
    #[schema(value_type = String, example = "team:1")]
    pub scope: Scope,
    /// Their name for people.
    pub name: String,
    /// The sprint that it is narrowed to; left out if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "12")]
    pub sprint: Option<String>,
    /// That sprint's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sprint_name: Option<String>,
    /// The first day; null while nothing is captured.
    #[schema(value_type = Option<String>, format = Date)]
    pub from: Option<LocalDay>,
    /// The day after the last.
    #[schema(value_type = Option<String>, format = Date)]
    pub to: Option<LocalDay>,
    /// Days between them that were captured and are complete under a logic.
    pub days_captured: usize,
    /// The only logic that was asked for; left out if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "5ee12be1dcea")]
    pub logic: Option<Logic>,
    /// As of when; left out if nothing was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "20261001T000000Z")]
    pub as_of: Option<Generation>,
}

impl Selection {
    /// Asks for exactly this again, whatever is captured by then.
    pub fn request(&self) -> Request {
        Request {
            scope: self.scope.clone(),
            sprint: self.sprint.clone(),
            from: self.from,
            to: self.to,
            logic: self.logic.clone(),
            as_of: self.as_of,
        }
    }
}

impl Selection {
    /// Whose figures, as one says it: `Alpha team in sprint 12`.
    pub fn called(&self) -> String {
        let whose = called(&self.scope, &self.name);
        match &self.sprint_name {
            Some(sprint) if sprint.to_lowercase().contains("sprint") => format!("{whose} in {sprint}"),
            Some(sprint) => format!("{whose} in sprint {sprint}"),
            None => whose,
        }
    }
}

pub(crate) fn written<S: serde::Serializer>(scope: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Request, InvalidParameter> {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request::parse(&pairs)
    }

    fn day(text: &str) -> LocalDay {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (pairs, parameter) in [
            (vec![("scope", "everybody")], "scope"),
            (vec![("scope", "")], "scope"),
            (vec![("from", "2026-1-5")], "from"),
            (vec![("to", "tomorrow")], "to"),
            (vec![("form", "2026-01-05")], "form"),
            (vec![("scope", "org"), ("scope", "team:1")], "scope"),
            (vec![("from", "2026-01-05"), ("to", "2026-01-05")], "to"),
            (vec![("from", "2026-01-06"), ("to", "2026-01-05")], "to"),
            (vec![("logic", "5EE12BE1DCEA")], "logic"),
            (vec![("as_of", "2026-10-01")], "as_of"),
            (vec![("scope", "team:1"), ("sprint", "")], "sprint"),
            (vec![("scope", "sprint:1"), ("sprint", "1")], "sprint"),
        ] {
            assert_eq!(parse(&pairs).unwrap_err().parameter, parameter, "{pairs:?}");
        }
    }

    #[test]
    fn a_range_defaults_to_91_days_and_ends_at_the_newest_captured_day() {
        let newest = Some(day("2026-11-01"));
        let resolve = |pairs: &[(&str, &str)]| {
            let range = parse(pairs).unwrap().resolve(newest).unwrap();
            (range.from.to_string(), range.to.to_string(), range.days())
        };
        assert_eq!(resolve(&[]), ("2026-08-03".into(), "2026-11-02".into(), 91));
        assert_eq!(
            resolve(&[("from", "2026-10-01"), ("to", "2027-01-01")]),
            ("2026-10-01".into(), "2026-11-02".into(), 32)
        );
        assert_eq!(resolve(&[("to", "2026-10-01")]).2, 91);
        assert_eq!(resolve(&[("from", "2026-12-01")]).2, 0);
        assert_eq!(Request::default().resolve(None), None);
    }

    #[test]
    fn a_query_string_survives_any_id() {
        let scope = Scope::Team("a&b=ö \"".into());
        let request = Request { scope, from: Some(day("2026-01-05")), ..Request::default() };
        assert_eq!(request.query(), "?scope=team:a%26b%3D%C3%B6%20%22&from=2026-01-05");
    }

    #[test]
    fn a_team_or_a_person_is_narrowed_to_a_sprint_and_the_organisation_in_one_is_the_sprint() {
        let query = |scope: &str| parse(&[("scope", scope), ("sprint", "s 1")]).unwrap().query();
        assert_eq!(query("team:1"), "?scope=team:1&sprint=s%201");
        assert_eq!(query("person:1"), "?scope=person:1&sprint=s%201");
        assert_eq!(query("org"), "?scope=sprint:s%201");
        let narrowed = parse(&[("scope", "team:1"), ("sprint", "s")]).unwrap();
        assert_eq!(narrowed.of(Scope::Organisation).query(), "?scope=org", "another scope is all of it");
    }

    #[test]
    fn an_instant_is_written_either_way_and_echoed_as_a_generation() {
        for written in ["2026-10-01T02:00:00.7+02:00", "20261001T000000Z"] {
            let request = parse(&[("as_of", written), ("logic", "5ee12be1dcea")]).unwrap();
            assert_eq!(request.query(), "?scope=org&logic=5ee12be1dcea&as_of=20261001T000000Z");
        }
    }
}
