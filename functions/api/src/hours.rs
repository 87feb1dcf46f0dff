//! Hours per sprint: the sum over complete, worked sprints ÷ their number, or per 10 worked days without sprints.
//!
//! Complete: every local day that the sprint touches lies in the range. Worked: the team's own people have a row of work
//! in it; only their rows count.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::contribution::{Cell, Measure, People, Scope};
use utoipa::ToSchema;

use crate::{access::quorum::Quorum, evidence::Group};

const SECONDS_PER_HOUR: i64 = 3_600;
const DAYS_WITHOUT_SPRINTS: i64 = 10;

/// What hours are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
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
    /// The cells of each sprint or day.
    units: Vec<Vec<&'a Cell>>,
    basis: Basis,
    /// Who has to be behind hours that are told.
    quorum: &'a Quorum,
}

/// One thing to divide by, and the cells in it: a team's or a person's sprint, or a team's day.
type Units<'a, K> = BTreeMap<K, Vec<&'a Cell>>;

impl<'a> Pace<'a> {
    /// The pace of `group`; `None` where it worked in no complete sprint, or on no day if it has no sprints.
    pub fn of(group: &Group<'a>) -> Option<Self> {
        match &group.scope {
            _ if !group.is_own() => None,
            _ if !group.has_sprints() => Self::over(Basis::TenDays, worked_days(group), group.quorum),
            Scope::Organisation => Self::over(Basis::TeamAndSprint, complete_sprints(group), group.quorum),
            _ => Self::over(Basis::Sprint, complete_sprints(group), group.quorum),
        }
    }

    fn over<K>(basis: Basis, units: Units<'a, K>, quorum: &'a Quorum) -> Option<Self> {
        let worked = |cells: &Vec<&Cell>| cells.iter().any(|cell| cell.work.rows > 0);
        let units: Vec<Vec<&Cell>> = units.into_values().filter(worked).collect();
        let told = is_large_enough(units.iter().flatten().copied(), &[], quorum);
        (!units.is_empty() && told).then_some(Self { units, basis, quorum })
    }

    /// The sprints or days whose logic has all of some columns: where a part of one is not known, it is not complete.
    fn known(&self, columns: &[String]) -> Vec<&Vec<&'a Cell>> {
        self.units.iter().filter(|cells| !cells.iter().any(|cell| cell.lacks(columns))).collect()
    }

    /// The hours that some columns, in seconds, add up to; `None` where they are known of no sprint or day.
    pub fn whole(&self, columns: &[String]) -> Option<HoursPerSprint> {
        let known = self.known(columns);
        let cells = known.iter().copied().flatten().copied();
        let seconds = cells.clone().map(|cell| cell.sum_of(columns)).sum();
        let days = self.basis == Basis::TenDays;
        let count = known.len() as i64;
        let told = is_large_enough(cells, columns, self.quorum);
        (count > 0 && told).then(|| HoursPerSprint {
            value: self.hours(seconds, count),
            basis: self.basis,
            seconds,
            sprints: if days { 0 } else { count },
            days: days.then_some(count),
        })
    }

    /// The same of one kind of activity; `None` where the cells are not divided by it.
    pub fn of_stereotype(&self, columns: &[String], stereotype: &str) -> Option<f64> {
        // Which kinds are hidden is not judged by these sprints alone.
        if self.basis == Basis::TeamAndSprint || !self.quorum.asks_nothing() {
            return None;
        }
        let known = self.known(columns);
        let count = known.len() as i64;
        let cells = known.iter().copied().flatten().copied();
        let cells = cells.filter(|cell| cell.key.stereotype.as_deref() == Some(stereotype));
        let told = is_large_enough(cells.clone(), columns, self.quorum);
        (count > 0 && told).then(|| self.hours(cells.map(|cell| cell.sum_of(columns)).sum(), count))
    }

    /// One division of whole numbers, so that the result is the nearest number to the truth.
    fn hours(&self, seconds: i64, count: i64) -> f64 {
        let times = match self.basis {
            Basis::TenDays => DAYS_WITHOUT_SPRINTS,
            Basis::Sprint | Basis::TeamAndSprint => 1,
        };
        (seconds * times) as f64 / (SECONDS_PER_HOUR * count) as f64
    }
}

/// Whether some cells are empty or have enough people behind them, as far as they have to do with each of some columns.
fn is_large_enough<'a>(cells: impl Iterator<Item = &'a Cell> + Clone, columns: &[String], quorum: &Quorum) -> bool {
    if quorum.asks_nothing() {
        return true;
    }
    let enough = |people: &People, rows: i64| rows == 0 || quorum.is_met_by(people);
    let of_column = |column: &String| {
        let mut measure = Measure::default();
        cells.clone().for_each(|cell| cell.add_to(column, &mut measure));
        enough(&measure.people, measure.population.rows)
    };
    let people = cells.clone().map(|cell| &cell.people).collect();
    enough(&people, cells.clone().map(|cell| cell.work.rows).sum()) && columns.iter().all(of_column)
}

/// The cells in complete sprints, by team and sprint. Only a team's own people count in its sprint; a person counts
/// wherever they worked.
fn complete_sprints<'a, 'b>(group: &'b Group<'a>) -> Units<'a, (&'b str, &'b str)> {
    let mut units: Units<'a, (&'b str, &'b str)> = BTreeMap::new();
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
                // In its own scope a sprint is one, however many teams share it.
                let whose = if matches!(group.scope, Scope::Sprint(_)) { "" } else { team };
                units.entry((whose, id)).or_default().push(cell);
            }
        }
    }
    units
}

/// The cells by day; an organisation's by team and day, unless no team has rows.
fn worked_days<'a>(group: &Group<'a>) -> Units<'a, (usize, shared::time::LocalDay)> {
    let teams: Vec<_> = group.teams.iter().copied().filter(|days| !days.is_empty()).collect();
    let groups = if teams.is_empty() { vec![group.days] } else { teams };
    let days = groups
        .into_iter()
        .enumerate()
        .flat_map(|(index, days)| days.iter().map(move |(day, contribution)| ((index, *day), contribution)));
    days.map(|(key, contribution)| (key, contribution.by_stereotype.iter().collect())).collect()
}

#[cfg(test)]
mod tests {
    use shared::dimension::Member;

    use super::*;
    use crate::{
        answer::Answer,
        evidence::Evidence,
        sample::{HOUR, Row, evidence, four_teams, named, register, row, sprint},
    };

    const RANGE: (&str, &str) = ("2026-01-05", "2026-02-02");

    fn automatable(evidence: &Evidence) -> Answer {
        let register = register();
        let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
        Answer::of(&register, insight, &evidence.group())
    }

    fn hours(scope: &str, rows: &[Row], sprints: &[Member]) -> Option<(f64, Basis, i64, i64)> {
        let teams = [named("1", "One"), named("2", "Two")];
        let answer = automatable(&evidence(scope, RANGE, rows, &teams, sprints));
        let hours = answer.hours_per_sprint?;
        Some((hours.value, hours.basis, hours.seconds, hours.days.unwrap_or(hours.sprints)))
    }

    fn sprints() -> [Member; 4] {
        [
            sprint("a1", "1", "2026-01-05", "2026-01-19"),
            sprint("a2", "1", "2026-01-19", "2026-02-02"),
            sprint("a3", "1", "2026-01-26", "2026-02-09"),
            sprint("b1", "2", "2026-01-05", "2026-01-19"),
        ]
    }

    fn spent(day: &str, person: &str, team: &str, sprint: &str, hours: i64) -> Row {
        row(day, person, team, sprint, hours * HOUR).automatable()
    }

    #[test]
    fn the_reference_team_spends_147_2_hours_a_sprint_exactly() {
        let answer = automatable(&four_teams("team:1"));
        let hours = answer.hours_per_sprint.unwrap();
        assert_eq!(answer.figure.ratio, Some(0.23));
        assert_eq!((hours.value, hours.basis, hours.sprints), (147.2, Basis::Sprint, 6));
        assert_eq!(hours.seconds, 6 * 529_920);
        let kinds = answer.by_stereotype.iter().filter_map(|kind| kind.hours_per_sprint);
        assert!((kinds.sum::<f64>() - 147.2).abs() < 1e-9);
    }

    #[test]
    fn a_team_counts_its_complete_sprints_that_it_worked_in() {
        let rows = [
            spent("2026-01-05", "p", "1", "a1", 6),
            row("2026-01-20", "p", "1", "a2", HOUR).leave(),
            spent("2026-01-27", "p", "1", "a3", 99),
        ];
        // a2 is complete but nobody worked in it; a3 ends after the range.
        assert_eq!(hours("team:1", &rows, &sprints()), Some((6.0, Basis::Sprint, 6 * HOUR, 1)));
        let rows = [spent("2026-01-27", "p", "1", "a3", 99)];
        assert_eq!(hours("team:1", &rows, &sprints()), None, "only part of a sprint was worked in");
    }

    #[test]
    fn a_guest_counts_for_the_organisation_but_not_in_either_sprint() {
        let rows = [spent("2026-01-05", "p", "1", "a1", 6), spent("2026-01-06", "guest", "2", "a1", 4)];
        assert_eq!(hours("team:1", &rows, &sprints()), Some((6.0, Basis::Sprint, 6 * HOUR, 1)));
        assert_eq!(hours("team:2", &rows, &sprints()), None);
        assert_eq!(hours("sprint:a1", &rows, &sprints()), Some((6.0, Basis::Sprint, 6 * HOUR, 1)));
        assert_eq!(hours("org", &rows, &sprints()), Some((6.0, Basis::TeamAndSprint, 6 * HOUR, 1)));
        let all = automatable(&evidence("org", RANGE, &rows, &[], &sprints()));
        assert_eq!(all.figure.numerator, Some(10 * HOUR));
        let guest = hours("person:guest", &rows, &sprints());
        assert_eq!(guest, Some((4.0, Basis::Sprint, 4 * HOUR, 1)));
    }

    #[test]
    fn an_organisation_counts_per_team_and_sprint_without_a_share_by_stereotype() {
        let rows = [
            spent("2026-01-05", "p", "1", "a1", 6),
            spent("2026-01-20", "p", "1", "a2", 2),
            spent("2026-01-05", "q", "2", "b1", 1),
        ];
        let expected = Some((3.0, Basis::TeamAndSprint, 9 * HOUR, 3));
        assert_eq!(hours("org", &rows, &sprints()), expected);
        let answer = automatable(&evidence("org", RANGE, &rows, &[], &sprints()));
        assert_eq!(answer.by_stereotype[0].hours_per_sprint, None);
    }

    #[test]
    fn a_sprint_without_a_team_is_every_teams() {
        let shared = [sprint("all", "", "2026-01-05", "2026-01-19")];
        let rows = [spent("2026-01-05", "p", "1", "all", 6), spent("2026-01-05", "q", "2", "all", 2)];
        assert_eq!(hours("team:1", &rows, &shared), Some((6.0, Basis::Sprint, 6 * HOUR, 1)));
        assert_eq!(hours("org", &rows, &shared), Some((4.0, Basis::TeamAndSprint, 8 * HOUR, 2)));
    }

    #[test]
    fn without_sprints_hours_are_per_10_worked_days_and_per_team() {
        let rows = [
            spent("2026-01-05", "p", "1", "", 6),
            spent("2026-01-06", "p", "1", "", 2),
            row("2026-01-07", "p", "1", "", HOUR).leave(),
            spent("2026-01-05", "q", "2", "", 4),
        ];
        assert_eq!(hours("team:1", &rows, &[]), Some((40.0, Basis::TenDays, 8 * HOUR, 2)));
        assert_eq!(hours("person:p", &rows, &[]), Some((40.0, Basis::TenDays, 8 * HOUR, 2)));
        assert_eq!(hours("org", &rows, &[]), Some((40.0, Basis::TenDays, 12 * HOUR, 3)));
        // One team has sprints: the organisation's days are not comparable with them.
        assert_eq!(hours("org", &rows, &sprints()), None);
        assert_eq!(hours("team:2", &rows, &sprints()[..3]), Some((40.0, Basis::TenDays, 4 * HOUR, 1)));
    }
}
