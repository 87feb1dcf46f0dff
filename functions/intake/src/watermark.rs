//! The watermark: up to where the source's changes are known, and what must be as it was for that to mean anything.
//!
//! A cursor says when a record changed, and a transaction may end long after. So the watermark never passes the beginning of
//! a transaction that was not over when the source was read, nor the newest change that was visible then.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    dimension::Member,
    lake::{Entity, Sha256},
    settings::{InvalidSetting, setting},
    time::{Generation, LocalDay},
};

use crate::{run::Captured, source::Moment};

/// How a live source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// After this long everything is read again, whatever the cursor says. `RECONCILE_HOURS`; a day.
    pub reconcile_every: TimeDelta,
    /// How far behind the watermark reading begins: clocks differ. `CURSOR_OVERLAP_MINUTES`; an hour.
    pub overlap: TimeDelta,
}

impl Default for Pace {
    fn default() -> Self {
        Self { reconcile_every: TimeDelta::hours(24), overlap: TimeDelta::hours(1) }
    }
}

impl Pace {
    /// Reads the environment; what is not set, or empty, has its default.
    ///
    /// # Errors
    /// If a variable is no number within its bounds.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        let variable = |name: &str| std::env::var(name).ok();
        let expected = "a whole number of hours, 0 to 720; 0 reads everything each time";
        let hours = setting(variable, "RECONCILE_HOURS", expected, |hours: &u16| *hours <= 720)?;
        let expected = "a whole number of minutes, 0 to 10080";
        let minutes = setting(variable, "CURSOR_OVERLAP_MINUTES", expected, |minutes: &u16| *minutes <= 10_080)?;
        let default = Self::default();
        Ok(Self {
            reconcile_every: hours.map_or(default.reconcile_every, |hours| TimeDelta::hours(hours.into())),
            overlap: minutes.map_or(default.overlap, |minutes| TimeDelta::minutes(minutes.into())),
        })
    }
}

/// What a run left behind for the next one. In the table, beside the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Every change that says it was made before this is in the lake. `None` while that is not known of any.
    pub settled: Option<DateTime<Utc>>,
    /// When it was looked what was under way.
    pub looked_at: DateTime<Utc>,
    /// What was under way: when each transaction began at the earliest, as far as that is known.
    pub running: BTreeMap<String, Option<DateTime<Utc>>>,
    /// The last run that read everything.
    pub whole: Generation,
    /// In how many parts the positions of that run are.
    pub parts: u32,
    /// Days that were written since that run.
    pub days: BTreeSet<LocalDay>,
    /// What it holds for.
    pub conditions: Conditions,
}

/// What must be as it was: otherwise days may have changed that no cursor tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The mapping's text.
    pub mapping: String,
    /// The organisation's zone.
    pub time_zone: String,
    /// Under which key people have pseudonyms.
    #[serde(default)]
    pub pseudonyms: Option<String>,
    /// What activities take from other entities.
    pub dimensions: String,
    /// The newest object of every day.
    pub lake: String,
}

impl Conditions {
    /// What is other than it was, in words.
    pub fn differ(&self, now: &Self) -> Option<&'static str> {
        let Self { mapping, time_zone, pseudonyms, dimensions, lake } = now;
        [
            (self.mapping != *mapping, "the mapping changed"),
            (self.time_zone != *time_zone, "the organisation's time zone changed"),
            (self.pseudonyms != *pseudonyms, "the key of the pseudonyms changed"),
            (self.dimensions != *dimensions, "what activities refer to changed"),
            (self.lake != *lake, "the lake was written by something else than the last run"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

/// The fingerprint of what activities take from dimensions: a team's or a person's name is not among it.
pub fn of_dimensions(captured: &BTreeMap<Entity, Vec<Member>>) -> String {
    let mut text = String::new();
    for (entity, members) in captured {
        for member in members {
            let name = member.name.as_ref().filter(|_| *entity == Entity::Stereotypes);
            let stays: Vec<_> = member
                .stays
                .iter()
                .map(|stay| (&stay.team_id, stay.from, stay.to, stay.source_row.is_none()))
                .collect();
            let Member { id, team_id, time_zone, starts_at, ends_at, released_at, .. } = member;
            let claims = (&member.claimed_category, member.claimed_automatable);
            let taken = (entity.name(), id, name, team_id, time_zone, stays, starts_at, ends_at, released_at, claims);
            text.push_str(&format!("{taken:?}\n"));
        }
    }
    Sha256::of(text).to_string()
}

/// The fingerprint of the newest objects of all days.
pub(crate) fn of_lake(newest: &BTreeMap<LocalDay, Captured>) -> String {
    let line = |(day, captured): (&LocalDay, &Captured)| format!("{day} {} {}\n", captured.generation, captured.sha256);
    Sha256::of(newest.iter().map(line).collect::<String>()).to_string()
}

/// What a run may take for settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// When it was looked what is under way.
    pub looked_at: DateTime<Utc>,
    /// What was: when each transaction began at the earliest.
    pub running: BTreeMap<String, Option<DateTime<Utc>>>,
    /// No change that is not visible yet will say that it was made before this; `None` where nobody knows.
    pub until: Option<DateTime<Utc>>,
}

impl Bound {
    /// Of a snapshot, whose database has the time `now` if it has no clock of its own. A transaction that was not there when it
    /// was looked the last time began after that.
    pub fn new(moment: Moment, before: Option<&Watermark>, now: DateTime<Utc>) -> Self {
        let looked_at = moment.now.unwrap_or(now);
        let began = |id: &String| match before {
            Some(before) => before.running.get(id).copied().unwrap_or(Some(before.looked_at)),
            None => None,
        };
        let running = moment.running.into_iter().map(|(id, since)| (id.clone(), since.or_else(|| began(&id))));
        let running: BTreeMap<String, Option<DateTime<Utc>>> = running.collect();
        let until = running.values().try_fold(looked_at, |until, began| Some(until.min((*began)?)));
        Self { looked_at, running, until }
    }

    /// The later of two changes, of those that lie within the bound.
    pub fn newest(&self, newest: Option<DateTime<Utc>>, change: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        newest.max(change.filter(|change| self.until.is_some_and(|until| *change <= until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> DateTime<Utc> {
        format!("2026-03-02T08:{minute:02}:00Z").parse().unwrap()
    }

    fn moment(minute: u32, running: &[(&str, Option<u32>)]) -> Moment {
        let running = running.iter().map(|(id, since)| ((*id).to_owned(), since.map(at)));
        Moment { now: Some(at(minute)), running: running.collect() }
    }

    fn after(bound: &Bound) -> Watermark {
        let same = String::new;
        Watermark {
            settled: None,
            looked_at: bound.looked_at,
            running: bound.running.clone(),
            whole: Generation::mint(at(0), None),
            parts: 1,
            days: BTreeSet::new(),
            conditions: Conditions {
                mapping: same(),
                time_zone: same(),
                pseudonyms: None,
                dimensions: same(),
                lake: same(),
            },
        }
    }

    #[test]
    fn nothing_is_settled_that_a_running_transaction_may_still_bring() {
        // Whose beginning is told.
        assert_eq!(Bound::new(moment(9, &[("1/7", Some(4))]), None, at(0)).until, Some(at(4)));
        assert_eq!(Bound::new(moment(9, &[]), None, at(0)).until, Some(at(9)));
        // Whose beginning is not told: at first it may be as old as anything, later it is known not to have been there.
        let first = Bound::new(moment(1, &[("1/7", None)]), None, at(0));
        assert_eq!(first.until, None);
        let second = Bound::new(moment(5, &[("2/3", None)]), Some(&after(&first)), at(0));
        assert_eq!(second.until, Some(at(1)));
        let third = Bound::new(moment(9, &[("2/3", None), ("4/1", None)]), Some(&after(&second)), at(0));
        assert_eq!(third.until, Some(at(1)), "it is still the same transaction");
        let fourth = Bound::new(moment(12, &[("4/1", None)]), Some(&after(&third)), at(0));
        assert_eq!(fourth.until, Some(at(5)));
        assert_eq!(fourth.newest(Some(at(2)), Some(at(6))), Some(at(2)));
        assert_eq!(fourth.newest(Some(at(2)), Some(at(5))), Some(at(5)));
    }
}
