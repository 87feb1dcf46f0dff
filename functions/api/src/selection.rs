//! What is asked for: `?scope=&from=&to=`. The address is the whole state of a page or an answer.

use serde::Serialize;
use shared::{contribution::Scope, time::LocalDay};

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
    fn new(parameter: &str, detail: impl Into<String>) -> Self {
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
    /// The first day.
    pub from: Option<LocalDay>,
    /// The day after the last.
    pub to: Option<LocalDay>,
}

impl Default for Request {
    /// The organisation's last 13 weeks.
    fn default() -> Self {
        Self { scope: Scope::Organisation, from: None, to: None }
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
                "from" => request.from = Some(value.parse().map_err(malformed)?),
                "to" => request.to = Some(value.parse().map_err(malformed)?),
                _ => {
                    return Err(InvalidParameter::new(name, "it is not known here; use scope, from and to."));
                }
            }
        }
        match (request.from, request.to) {
            (Some(from), Some(to)) if from >= to => Err(InvalidParameter::new(
                "to",
                format!("{to} is not after {from}; `to` is the day after the last one."),
            )),
            _ => Ok(request),
        }
    }

    /// The same range for another scope.
    pub fn of(&self, scope: Scope) -> Self {
        Self { scope, ..self.clone() }
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
        for (name, day) in [("from", self.from), ("to", self.to)] {
            query.extend(day.map(|day| format!("&{name}={day}")));
        }
        query
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// Whose figures: `org`, `team:ID`, `sprint:ID` or `person:ID`.
    #[serde(serialize_with = "written")]
    pub scope: Scope,
    /// Their name for people.
    pub name: String,
    /// The first day; null while nothing is captured.
    pub from: Option<LocalDay>,
    /// The day after the last.
    pub to: Option<LocalDay>,
    /// Days between them that were captured and are complete under the logic.
    pub days_captured: usize,
}

impl Selection {
    /// Asks for exactly this again, whatever is captured by then.
    pub fn request(&self) -> Request {
        Request { scope: self.scope.clone(), from: self.from, to: self.to }
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
        let request = Request { scope: Scope::Team("a&b=ö \"".into()), from: Some(day("2026-01-05")), to: None };
        assert_eq!(request.query(), "?scope=team:a%26b%3D%C3%B6%20%22&from=2026-01-05");
    }
}
