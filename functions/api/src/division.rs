//! What a selection is made of: an organisation of teams, a team or a person's work of sprints, a sprint of teams.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared::{
    annotator::declaration::Insight,
    contribution::{Cell, Extent, People, Scope},
    time::LocalDay,
};
use utoipa::ToSchema;

use crate::{
    access::{suppression::hidden_by, veil::TeamDays},
    evidence::{Evidence, Group},
    figure::{Figure, PartFigure, Status, breakdown},
    selection::{Address, Range, Request, written},
};

/// A part of a selection: its rows, and who and when it is.
#[derive(Debug, Clone)]
pub struct Division<'a> {
    /// What it is: a team, or a sprint.
    pub scope: Scope,
    /// Who asks for exactly its numbers; `None` where they are told only beside those of its siblings.
    pub address: Option<Address>,
    /// Its name for people.
    pub name: String,
    /// Of a sprint: the local days that it touches.
    pub days: Option<Range>,
    /// Whether all of it lies in the range.
    pub complete: bool,
    cells: Vec<&'a Cell>,
    /// What it is a part of.
    group: Group<'a>,
    /// Whether it is hidden from whoever asks.
    hidden: bool,
    /// Of a day of the sprint: which.
    sprint_day: Option<i64>,
}

impl<'a> Division<'a> {
    /// What an insight says of it.
    pub fn figure(&self, insight: &Insight) -> Figure {
        if self.hidden || self.is_hidden_among_its_siblings(insight) {
            return Figure::hidden();
        }
        self.group.figure(insight, self.cells.iter().copied())
    }

    /// Whether what an insight says of it would tell of too few people beside what it says of its siblings. Which teams are hidden
    /// of which insight is known already.
    fn is_hidden_among_its_siblings(&self, insight: &Insight) -> bool {
        if self.group.quorum.asks_nothing() {
            return false;
        }
        let columns: Vec<String> = insight.ratio().columns().cloned().collect();
        match (&self.scope, self.sprint_day) {
            (_, Some(day)) => hidden_sprint_days(&self.group, &columns).contains(&day),
            (Scope::Sprint(id), None) => hidden_sprints(&self.group, &columns).contains(id),
            _ => false,
        }
    }

    /// The parts of an insight in it.
    pub fn breakdown(&self, insight: &Insight) -> Vec<PartFigure> {
        if self.figure(insight).status == Status::Hidden {
            return Vec::new();
        }
        breakdown(&insight.breakdown, self.cells.iter().copied())
    }

    /// Whether it is hidden from whoever asks, whatever the insight.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Who worked in it; `None` where it is hidden.
    pub fn people(&self) -> Option<usize> {
        let people = self.cells.iter().map(|cell| &cell.people).collect::<People>().len();
        (!self.hidden).then_some(people)
    }

    /// The work in it; `None` where it is hidden.
    pub fn work(&self) -> Option<Extent> {
        let mut work = Extent::default();
        self.cells.iter().for_each(|cell| work.add(cell.work));
        (!self.hidden).then_some(work)
    }
}

/// The parts of what `evidence` is about, teams by name and sprints by time.
pub fn divisions(evidence: &Evidence) -> Vec<Division<'_>> {
    match &evidence.scope {
        // What is narrowed to a sprint is not divided by sprints once more.
        _ if evidence.request.sprint.is_some() => Vec::new(),
        Scope::Organisation => teams(evidence),
        Scope::Team(id) => sprints(&evidence.group(), Some(id)),
        Scope::Person(_) => sprints(&evidence.group(), None),
        Scope::Sprint(_) => teams_in_sprint(evidence),
    }
}

fn teams(evidence: &Evidence) -> Vec<Division<'_>> {
    let mut teams = Vec::new();
    for team in evidence.team_groups() {
        teams.push(Division {
            name: team.directory.name(&team.scope),
            days: None,
            complete: true,
            cells: team.cells().collect(),
            hidden: team.is_hidden(),
            scope: team.scope.clone(),
            address: Some(Address::all_of(team.scope.clone())),
            sprint_day: None,
            group: team,
        });
    }
    teams.sort_by(|a, b| a.name.cmp(&b.name));
    teams
}

fn teams_in_sprint(evidence: &Evidence) -> Vec<Division<'_>> {
    let mut cells: BTreeMap<&String, Vec<&Cell>> = BTreeMap::new();
    for cell in evidence.group().cells() {
        if let Some(team) = &cell.key.team {
            cells.entry(team).or_default().push(cell);
        }
    }
    // A member is told of a sprint only if it is one team's alone.
    let quorum = &evidence.veil.quorum;
    let mut teams = Vec::new();
    for (id, cells) in cells {
        let scope = Scope::Team(id.clone());
        let name = evidence.directory.name(&scope);
        let group = evidence.group();
        let address = match &evidence.scope {
            Scope::Sprint(sprint) if quorum.asks_nothing() => {
                Some(Address { scope: scope.clone(), sprint: Some(sprint.clone()) })
            }
            _ => None,
        };
        let (days, complete, hidden, sprint_day) = (None, true, false, None);
        teams.push(Division { scope, address, name, days, complete, cells, group, hidden, sprint_day });
    }
    teams
}

/// The sprints in the range that the group has rows in, in order of time, those without days first; with `team` only its
/// own. An organisation's are those of every team.
pub fn sprints<'a>(group: &Group<'a>, team: Option<&str>) -> Vec<Division<'a>> {
    let Some(range) = group.range else { return Vec::new() };
    let mut cells: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for day in group.days.values() {
        let by_sprint = match &group.scope {
            Scope::Organisation => &day.by_sprint,
            Scope::Team(_) | Scope::Sprint(_) | Scope::Person(_) => &day.by_stereotype,
        };
        for cell in by_sprint {
            let own = match &group.scope {
                Scope::Sprint(id) => Some(id),
                _ => cell.key.sprint.as_ref(),
            };
            if let Some(sprint) = own {
                cells.entry(sprint).or_default().push(cell);
            }
        }
    }
    let hidden = hidden_sprints(group, &[]);
    let mut sprints: Vec<_> = group.directory.sprints_beside(range, team).collect();
    sprints.sort_by_key(|(id, sprint)| (sprint.days.map(|days| days.from), *id));
    let division = |(id, sprint): (&String, &crate::directory::Sprint)| {
        let own = cells.remove(id.as_str());
        // Where none is told, it is not told either in which of them there is something.
        let cells = if tells_sprints(group) { own? } else { own.unwrap_or_default() };
        Some(Division {
            cells,
            address: match &group.scope {
                Scope::Organisation | Scope::Sprint(_) => Some(Address::all_of(Scope::Sprint(id.clone()))),
                Scope::Team(_) | Scope::Person(_) if !group.quorum.asks_nothing() => None,
                whose => Some(Address { scope: whose.clone(), sprint: Some(id.clone()) }),
            },
            scope: Scope::Sprint(id.clone()),
            name: sprint.name.clone(),
            days: sprint.days,
            complete: sprint.days.is_some_and(|days| range.holds(days)),
            hidden: !tells_sprints(group) || hidden.contains(id),
            group: group.clone(),
            sprint_day: None,
        })
    };
    sprints.into_iter().filter_map(division).collect()
}

/// Whether anything is told of the sprints that a group works in: they are parts of teams, and so are told of one's own teams only.
fn tells_sprints(group: &Group) -> bool {
    group.quorum.asks_nothing() || matches!(&group.scope, Scope::Team(team) if group.veil.is_own(team))
}

/// The sprints of a team that are hidden among them, as far as they have to do with some columns.
fn hidden_sprints(group: &Group, columns: &[String]) -> BTreeSet<String> {
    match (&group.scope, group.range) {
        (Scope::Team(id), Some(range)) if !group.quorum.asks_nothing() => {
            let team = TeamDays { id, days: group.days, directory: group.directory, range };
            team.hidden_sprints(group.quorum, columns)
        }
        _ => BTreeSet::new(),
    }
}

/// The cells of a group, each with its day and the day of its sprint that this is, if it is one.
fn on_sprint_days<'a>(group: &Group<'a>) -> Vec<(LocalDay, Option<i64>, &'a Cell)> {
    let mut cells = Vec::new();
    for (day, contribution) in group.days {
        let by_sprint = match &group.scope {
            Scope::Organisation => &contribution.by_sprint,
            Scope::Team(_) | Scope::Sprint(_) | Scope::Person(_) => &contribution.by_stereotype,
        };
        for cell in by_sprint {
            let own = match &group.scope {
                Scope::Sprint(id) => Some(id),
                _ => cell.key.sprint.as_ref(),
            };
            let days = own.and_then(|id| group.directory.sprint(id)?.days);
            let days = days.filter(|days| days.from <= *day && *day < days.to);
            cells.push((*day, days.map(|days| (day.0 - days.from.0).num_days() + 1), cell));
        }
    }
    cells
}

/// The days of the sprint that are hidden from whoever asks, as far as they have to do with some columns: they and what is on
/// none of them are all of the work.
fn hidden_sprint_days(group: &Group, columns: &[String]) -> BTreeSet<i64> {
    if group.quorum.asks_nothing() {
        return BTreeSet::new();
    }
    let (cells, days) = (on_sprint_days(group), group.hidden_days(columns));
    let keyed = cells.iter().map(|(_, number, cell)| (*number, *cell));
    let mut hidden = hidden_by(keyed, columns, group.quorum);
    // Days are told as well, and with them what the hidden ones of a day of the sprint come to.
    let on_hidden_days = cells.iter().filter(|(day, ..)| days.contains(day)).map(|(_, number, cell)| (*number, *cell));
    hidden.extend(hidden_by(on_hidden_days, columns, group.quorum));
    hidden.into_iter().flatten().collect()
}

/// Every day of a sprint from its first on, with the rows of all sprints on it; days on which nobody worked are left
/// out. A row is on the local day that it starts on.
pub fn by_sprint_day<'a>(group: &Group<'a>) -> Vec<(i64, Division<'a>)> {
    let mut days: BTreeMap<i64, Vec<&Cell>> = BTreeMap::new();
    for (_, number, cell) in on_sprint_days(group) {
        if let Some(number) = number {
            days.entry(number).or_default().push(cell);
        }
    }
    let hidden = hidden_sprint_days(group, &[]);
    let division = |(number, cells): (i64, Vec<&'a Cell>)| {
        let (scope, name) = (group.scope.clone(), format!("day {number}"));
        let hidden = !tells_sprints(group) || hidden.contains(&number);
        let (group, sprint_day) = (group.clone(), Some(number));
        (number, Division { scope, address: None, name, days: None, complete: true, cells, group, hidden, sprint_day })
    };
    days.into_iter().map(division).collect()
}

/// A part of a selection as the API lists it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Listed {
    /// What it is: a team, or a sprint.
    #[serde(serialize_with = "written")]
    #[schema(value_type = String, example = "team:1")]
    pub scope: Scope,
    /// Its name for people.
    pub name: String,
    /// Of a sprint: its first local day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub from: Option<LocalDay>,
    /// Of a sprint: the day after its last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub to: Option<LocalDay>,
    /// Whether all of it lies in the range.
    pub complete: bool,
    /// Who worked in it; null where it is hidden, because it is about too few people or would tell of too few.
    pub people: Option<usize>,
    /// The work in it, in seconds; null where it is hidden.
    pub work_seconds: Option<i64>,
    /// By insight: what it says of it.
    pub insights: BTreeMap<String, Figure>,
    /// The same numbers and all there is to say of them; null where they are told only beside those of its siblings.
    pub link: Option<String>,
}

impl Listed {
    /// What there is to list of a division of what `request` asks for.
    pub fn of<'a>(division: &Division<'_>, request: &Request, insights: impl Iterator<Item = &'a Insight>) -> Self {
        Self {
            scope: division.scope.clone(),
            name: division.name.clone(),
            from: division.days.map(|days| days.from),
            to: division.days.map(|days| days.to),
            complete: division.complete,
            people: division.people(),
            work_seconds: division.work().map(|work| work.seconds),
            insights: insights.map(|insight| (insight.id.clone(), division.figure(insight))).collect(),
            link: division.address.as_ref().map(|part| format!("/v1/insights{}", request.of_part(part).query())),
        }
    }
}

/// A kind of activity as the API lists it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Kind {
    /// Its code.
    pub stereotype: String,
    /// Its name for people.
    pub name: String,
    /// How many activities.
    pub rows: i64,
    /// Of them, those that are work, in seconds.
    pub work_seconds: i64,
    /// Who did that work.
    pub people: usize,
}

/// The kinds of activity of a group that are hidden from whoever asks, as far as they have to do with some columns.
pub fn hidden_kinds(group: &Group, columns: &[String]) -> BTreeSet<String> {
    group.hidden_parts(|_, cell| cell.key.stereotype.as_ref(), columns).into_iter().cloned().collect()
}

/// Every kind of activity of a group that is not hidden, most work first, and how many are.
pub fn kinds(group: &Group) -> (Vec<Kind>, usize) {
    let hidden = hidden_kinds(group, &[]);
    let mut cells: BTreeMap<&String, Vec<&Cell>> = BTreeMap::new();
    for cell in group.cells() {
        if let Some(stereotype) = cell.key.stereotype.as_ref().filter(|stereotype| !hidden.contains(*stereotype)) {
            cells.entry(stereotype).or_default().push(cell);
        }
    }
    let kind = |(stereotype, cells): (&String, Vec<&Cell>)| Kind {
        stereotype: stereotype.clone(),
        name: group.directory.stereotype(stereotype),
        rows: cells.iter().map(|cell| cell.total.rows).sum(),
        work_seconds: cells.iter().map(|cell| cell.work.seconds).sum(),
        people: cells.iter().map(|cell| &cell.people).collect::<People>().len(),
    };
    let mut kinds: Vec<Kind> = cells.into_iter().map(kind).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.work_seconds));
    (kinds, hidden.len())
}

#[cfg(test)]
mod tests {
    use crate::sample::{HOUR, evidence, named, row, sprint};

    #[test]
    fn a_sprint_without_days_is_listed_where_it_has_rows() {
        let rows = [row("2026-01-05", "p", "1", "s", HOUR), row("2026-01-06", "p", "1", "nil", 2 * HOUR)];
        let sprints = [
            sprint("s", "1", "2026-01-05", "2026-01-19"),
            sprint("nil", "1", "2026-01-06", "2026-01-06"),
            sprint("idle", "1", "2026-01-07", "2026-01-07"),
        ];
        for scope in ["org", "team:1", "person:p"] {
            let evidence = evidence(scope, ("2026-01-05", "2026-01-19"), &rows, &[named("1", "One")], &sprints);
            let listed = super::sprints(&evidence.group(), None);
            let listed: Vec<_> = listed
                .iter()
                .map(|sprint| (sprint.name.as_str(), sprint.complete, sprint.work().unwrap_or_default().seconds))
                .collect();
            assert_eq!(listed, [("NIL", false, 2 * HOUR), ("S", true, HOUR)], "{scope}");
        }
    }
}
