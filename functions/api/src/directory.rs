//! Names for people, and the sprints with the local days that they touch: the dimensions, as the answers need them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use shared::{
    contribution::{People, Scope},
    dimension::{self, Member},
    lake::{Entity, Lake, LakeError},
    time::{Generation, LocalDay},
};

use crate::selection::Range;

/// A sprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sprint {
    /// Its name for people.
    pub name: String,
    /// Whose it is; `None` where the source has one sprint for every team.
    pub team: Option<String>,
    /// Every local day that it touches, in the organisation's zone; `None` where the source does not say, or it ends when it
    /// starts.
    pub days: Option<Range>,
}

impl Sprint {
    /// Whether the people of `team` work in it as their own, not as guests.
    pub fn is_of(&self, team: &str) -> bool {
        self.team.as_deref().is_none_or(|own| own == team)
    }
}

/// The newest dimensions, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    teams: BTreeMap<String, String>,
    people: BTreeMap<String, String>,
    /// The team that each person is in now.
    team_of: BTreeMap<String, String>,
    stereotypes: BTreeMap<String, String>,
    sprints: BTreeMap<String, Sprint>,
    identity: String,
}

impl Directory {
    /// The directory of these dimensions; `zone` decides which local days a sprint touches.
    pub fn new(teams: &[Member], people: &[Member], sprints: &[Member], stereotypes: &[Member], zone: Tz) -> Self {
        let names = |members: &[Member]| members.iter().map(|member| (member.id.clone(), name_of(member))).collect();
        let sprint = |member: &Member| Sprint {
            name: name_of(member),
            team: member.team_id.clone(),
            days: member.starts_at.zip(member.ends_at).and_then(|(start, end)| local_days(start, end, zone)),
        };
        Self {
            teams: names(teams),
            people: names(people),
            team_of: people.iter().filter_map(|person| Some((person.id.clone(), person.team_id.clone()?))).collect(),
            stereotypes: names(stereotypes),
            sprints: sprints.iter().map(|member| (member.id.clone(), sprint(member))).collect(),
            identity: String::new(),
        }
    }

    /// Reads the newest generation of every dimension, `as_of` then if given.
    pub async fn read(lake: &Lake, zone: Tz, as_of: Option<Generation>) -> Result<Self, LakeError> {
        let (teams, people, sprints, stereotypes) = futures::try_join!(
            dimension::newest_until(lake, Entity::Teams, as_of),
            dimension::newest_until(lake, Entity::Users, as_of),
            dimension::newest_until(lake, Entity::Sprints, as_of),
            dimension::newest_until(lake, Entity::Stereotypes, as_of),
        )?;
        let keys = [&teams.0, &people.0, &sprints.0, &stereotypes.0];
        let keys = keys.map(|key| key.as_ref().map(ToString::to_string).unwrap_or_default());
        let directory = Self::new(&teams.1, &people.1, &sprints.1, &stereotypes.1, zone);
        Ok(Self { identity: format!("{zone} {}", keys.join(" ")), ..directory })
    }

    /// Which generations it was read from: another one may say something else.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What people call `scope`; its id where the source has no name for it.
    pub fn name(&self, scope: &Scope) -> String {
        match scope {
            Scope::Organisation => "Organisation".to_owned(),
            Scope::Team(id) => self.teams.get(id).unwrap_or(id).clone(),
            Scope::Person(id) => self.people.get(id).unwrap_or(id).clone(),
            Scope::Sprint(id) => self.sprints.get(id).map_or(id, |sprint| &sprint.name).clone(),
        }
    }

    /// What people call a kind of activity.
    pub fn stereotype(&self, code: &str) -> String {
        self.stereotypes.get(code).map_or_else(|| code.to_owned(), String::clone)
    }

    /// Whether the source has `scope`.
    pub fn knows(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Organisation => true,
            Scope::Team(id) => self.teams.contains_key(id),
            Scope::Person(id) => self.people.contains_key(id),
            Scope::Sprint(id) => self.sprints.contains_key(id),
        }
    }

    /// The ids of every team.
    pub fn teams(&self) -> impl Iterator<Item = &String> {
        self.teams.keys()
    }

    /// The team that a person is in now.
    pub fn team_of(&self, person: &str) -> Option<&str> {
        self.team_of.get(person).map(String::as_str)
    }

    /// Who is in a team now.
    pub fn people_of(&self, team: &str) -> People {
        self.team_of.iter().filter(|(_, own)| *own == team).map(|(person, _)| person.as_str()).collect()
    }

    /// The sprint `id`.
    pub fn sprint(&self, id: &str) -> Option<&Sprint> {
        self.sprints.get(id)
    }

    /// The sprints with a day in `range`, of `team` or of any, by id.
    pub fn sprints_in(&self, range: Range, team: Option<&str>) -> impl Iterator<Item = (&String, &Sprint)> {
        self.sprints_beside(range, team).filter(|(_, sprint)| sprint.days.is_some())
    }

    /// The same, and those that have no days: there may be rows in them all the same.
    pub fn sprints_beside(&self, range: Range, team: Option<&str>) -> impl Iterator<Item = (&String, &Sprint)> {
        self.sprints.iter().filter(move |(_, sprint)| {
            sprint.days.is_none_or(|days| days.touches(range)) && team.is_none_or(|team| sprint.is_of(team))
        })
    }
}

fn name_of(member: &Member) -> String {
    let name = member.name.as_deref().filter(|name| !name.trim().is_empty());
    name.unwrap_or(&member.id).to_owned()
}

fn local_days(start: DateTime<Utc>, end: DateTime<Utc>, zone: Tz) -> Option<Range> {
    let day = |instant: DateTime<Utc>| LocalDay(instant.with_timezone(&zone).date_naive());
    // The end is exclusive: a sprint that ends at midnight does not touch the day that begins there.
    (start < end).then(|| Range { from: day(start), to: day(end - TimeDelta::microseconds(1)).plus(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sprint_touches_the_local_days_of_the_organisation() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let days = |start, end, zone| {
            local_days(at(start), at(end), zone).map(|range| (range.from.to_string(), range.to.to_string()))
        };
        let expected = Some(("2026-01-05".to_owned(), "2026-01-19".to_owned()));
        assert_eq!(days("2026-01-05T00:00:00Z", "2026-01-19T00:00:00Z", Tz::UTC), expected);
        assert_eq!(days("2026-01-04T23:00:00Z", "2026-01-18T23:00:00Z", Tz::Europe__Berlin), expected);
        assert_eq!(days("2026-01-05T09:00:00Z", "2026-01-18T17:00:00Z", Tz::UTC), expected);
        assert_eq!(days("2026-01-05T09:00:00Z", "2026-01-05T09:00:00Z", Tz::UTC), None);
    }
}
