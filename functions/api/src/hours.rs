//! Hours per sprint: the sum over complete, worked sprints ÷ their number, or per 10 worked days without sprints.
//!
//! Complete: every local day that the sprint touches lies in the range. Worked: the team's own people have a row in it
//! that the insight is about; only their rows count.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    annotator::declaration::Insight,
    contribution::{Cell, Scope},
};

use crate::{
    evidence::Group,
    figure::{concerns, numerator},
};

const SECONDS_PER_HOUR: i64 = 3_600;
const DAYS_WITHOUT_SPRINTS: i64 = 10;

/// What hours are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Basis {
    /// By the group's complete sprints that it worked in.
    #[serde(rename = "per_sprint")]
    Sprint,
    /// By every team's complete sprints that it worked in.
    #[serde(rename = "per_team_and_sprint")]
    TeamAndSprint,
    /// By the days on which the group worked, times 10; an organisation's are its teams' days.
    #[serde(rename = "per_10_days")]
    TenDays,
}

impl Basis {
    /// In words, after a number of hours.
    pub fn words(self) -> &'static str {
        match self {
            Basis::Sprint => "a sprint",
            Basis::TeamAndSprint => "per team and sprint",
            Basis::TenDays => "per 10 days",
        }
    }
}

/// Hours of a figure's numerator per sprint, with the exact whole numbers behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HoursPerSprint {
    /// Hours.
    pub value: f64,
    /// Per what.
    pub basis: Basis,
    /// The seconds in those sprints or days: `value` = seconds ÷ 3600 ÷ sprints, or × 10 ÷ days.
    pub seconds: i64,
    /// How many sprints; 0 per 10 days.
    pub sprints: i64,
    /// How many days, per 10 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<i64>,
}

/// The cells that count towards hours per sprint, and what they are divided by.
#[derive(Debug, Clone)]
pub struct Pace<'a> {
    cells: Vec<&'a Cell>,
    basis: Basis,
    /// Sprints or days.
    count: i64,
}

/// One thing to divide by, and the cells in it: a team's or a person's sprint, or a team's day.
type Units<'a, K> = BTreeMap<K, Vec<&'a Cell>>;

impl<'a> Pace<'a> {
    /// The pace of `group`; `None` where it worked in no complete sprint, or on no day if it has no sprints.
    pub fn of(insight: &Insight, group: &Group<'a>) -> Option<Self> {
        match &group.scope {
            _ if !group.has_sprints() => Self::over(insight, Basis::TenDays, worked_days(group)),
            Scope::Organisation => Self::over(insight, Basis::TeamAndSprint, complete_sprints(group)),
            _ => Self::over(insight, Basis::Sprint, complete_sprints(group)),
        }
    }

    fn over<K>(insight: &Insight, basis: Basis, units: Units<'a, K>) -> Option<Self> {
        let worked = |cells: &Vec<&Cell>| cells.iter().any(|cell| concerns(insight, cell));
        let units: Vec<Vec<&Cell>> = units.into_values().filter(worked).collect();
        (!units.is_empty()).then(|| Self {
            basis,
            count: units.len() as i64,
            cells: units.into_iter().flatten().collect(),
        })
    }

    /// The hours of every kind of activity.
    pub fn whole(&self, insight: &Insight) -> HoursPerSprint {
        let seconds = self.cells.iter().map(|cell| numerator(insight, cell)).sum();
        let days = self.basis == Basis::TenDays;
        HoursPerSprint {
            value: self.hours(seconds),
            basis: self.basis,
            seconds,
            sprints: if days { 0 } else { self.count },
            days: days.then_some(self.count),
        }
    }

    /// The hours of one kind of activity; `None` where the cells are not divided by it.
    pub fn of_stereotype(&self, insight: &Insight, stereotype: &str) -> Option<f64> {
        let divided = self.basis != Basis::TeamAndSprint;
        divided.then(|| {
            let cells = self.cells.iter().filter(|cell| cell.key.stereotype.as_deref() == Some(stereotype));
            self.hours(cells.map(|cell| numerator(insight, cell)).sum())
        })
    }

    /// One division of whole numbers, so that the result is the nearest number to the truth.
    fn hours(&self, seconds: i64) -> f64 {
        let times = match self.basis {
            Basis::TenDays => DAYS_WITHOUT_SPRINTS,
            Basis::Sprint | Basis::TeamAndSprint => 1,
        };
        (seconds * times) as f64 / (SECONDS_PER_HOUR * self.count) as f64
    }
}

/// The cells in complete sprints, by team and sprint. Only a team's own people count in its sprint; a person counts
/// wherever they worked.
fn complete_sprints<'a>(group: &Group<'a>) -> Units<'a, (String, String)> {
    let mut units: Units<'a, (String, String)> = BTreeMap::new();
    for day in group.days.values() {
        let cells = match &group.scope {
            Scope::Organisation => &day.by_sprint,
            Scope::Team(_) | Scope::Sprint(_) | Scope::Person(_) => &day.by_stereotype,
        };
        for cell in cells {
            let (team, sprint) = match &group.scope {
                Scope::Organisation => (cell.key.team.as_ref(), cell.key.sprint.as_ref()),
                Scope::Team(id) => (Some(id), cell.key.sprint.as_ref()),
                Scope::Sprint(id) => (cell.key.team.as_ref(), Some(id)),
                Scope::Person(id) => (Some(id), cell.key.sprint.as_ref()),
            };
            let (Some(team), Some(id)) = (team, sprint) else {
                continue;
            };
            let Some(sprint) = group.directory.sprint(id) else {
                continue;
            };
            let own = matches!(group.scope, Scope::Person(_)) || sprint.is_of(team);
            let complete = sprint.days.zip(group.range).is_some_and(|(days, range)| range.holds(days));
            if own && complete {
                units.entry((team.clone(), id.clone())).or_default().push(cell);
            }
        }
    }
    units
}

/// The cells by day; an organisation's by team and day, unless it has no teams.
fn worked_days<'a>(group: &Group<'a>) -> Units<'a, (usize, shared::time::LocalDay)> {
    let groups = if group.teams.is_empty() { vec![group.days] } else { group.teams.clone() };
    let days = groups
        .into_iter()
        .enumerate()
        .flat_map(|(index, days)| days.iter().map(move |(day, contribution)| ((index, *day), contribution)));
    days.map(|(key, contribution)| (key, contribution.by_stereotype.iter().collect())).collect()
}
