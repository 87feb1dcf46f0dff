//! What a selection is made of: an organisation of teams, a team or a person's work of sprints, a sprint of teams.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use shared::{
    annotator::declaration::Insight,
    contribution::{Cell, Extent, People, Scope},
    time::LocalDay,
};
use utoipa::ToSchema;

use crate::{
    access::{
        suppression::{Part, hidden, hidden_by},
        veil::sprints_hidden_in_team,
    },
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
    /// It and its siblings, and what belongs to none of them: where it stands, and the cells of each.
    among: (usize, Arc<Vec<Vec<&'a Cell>>>),
}

impl<'a> Division<'a> {
    /// What an insight says of it.
    pub fn figure(&self, insight: &Insight) -> Figure {
        if self.hidden || self.is_hidden_among_its_siblings(insight) {
            return Figure::hidden();
        }
        self.group.figure(insight, self.cells.iter().copied())
    }

    /// Whether what an insight says of it would tell of too few people beside what it says of its siblings.
    fn is_hidden_among_its_siblings(&self, insight: &Insight) -> bool {
        let (own, siblings) = &self.among;
        let columns: Vec<String> = insight.ratio().columns().cloned().collect();
        let keyed = siblings.iter().enumerate().flat_map(|(index, cells)| cells.iter().map(move |cell| (index, *cell)));
        hidden_by(keyed, &columns, self.group.quorum).contains(own)
    }

    /// The parts of an insight in it.
    pub fn breakdown(&self, insight: &Insight) -> Vec<PartFigure> {
        if self.figure(insight).status == Status::Hidden {
            return Vec::new();
        }
        breakdown(&insight.breakdown, self.cells.iter().copied())
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
            // Which teams are hidden of which insight is known already.
            among: (0, Arc::default()),
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
    let veil = &evidence.veil;
    let part = |(id, cells): (&&String, &Vec<&Cell>)| Part {
        fixed: !veil.hides_team(id),
        hidden: veil.hides_team(id),
        ..Part::of(cells.iter().copied(), veil.quorum_of(id))
    };
    let hidden = hidden(&cells.iter().map(part).collect::<Vec<_>>(), &veil.quorum);
    let siblings: Arc<Vec<Vec<&Cell>>> = Arc::new(cells.values().cloned().collect());
    let mut teams = Vec::new();
    for (index, ((id, cells), hidden)) in cells.into_iter().zip(hidden.parts).enumerate() {
        let among = (index, Arc::clone(&siblings));
        let scope = Scope::Team(id.clone());
        let name = evidence.directory.name(&scope);
        let group = Group { quorum: veil.quorum_of(id), ..evidence.group() };
        let address = match &evidence.scope {
            Scope::Sprint(sprint) if veil.quorum.asks_nothing() => {
                Some(Address { scope: scope.clone(), sprint: Some(sprint.clone()) })
            }
            _ => None,
        };
        teams.push(Division { scope, address, name, days: None, complete: true, cells, group, hidden, among });
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
    let hidden = match &group.scope {
        Scope::Team(id) => sprints_hidden_in_team(id, group.days, group.directory, range, group.quorum),
        _ => BTreeSet::new(),
    };
    let mut sprints: Vec<_> = group.directory.sprints_beside(range, team).collect();
    sprints.sort_by_key(|(id, sprint)| (sprint.days.map(|days| days.from), *id));
    let listed: Vec<&str> = sprints.iter().map(|(id, _)| id.as_str()).collect();
    let mut siblings: Vec<Vec<&Cell>> = vec![Vec::new(); listed.len() + 1];
    for cell in group.days.values().flat_map(|day| &day.by_stereotype) {
        let own = cell.key.sprint.as_deref().and_then(|sprint| listed.iter().position(|id| *id == sprint));
        siblings[own.unwrap_or(listed.len())].push(cell);
    }
    // An organisation's cells do not say their sprint; which of its sprints are hidden is known already.
    let siblings = Arc::new(if matches!(group.scope, Scope::Team(_)) { siblings } else { Vec::new() });
    let division = |(index, (id, sprint)): (usize, (&String, &crate::directory::Sprint))| {
        Some(Division {
            among: (index, Arc::clone(&siblings)),
            cells: cells.remove(id.as_str())?,
            address: match &group.scope {
                Scope::Organisation | Scope::Sprint(_) => Some(Address::all_of(Scope::Sprint(id.clone()))),
                Scope::Team(_) | Scope::Person(_) if !group.quorum.asks_nothing() => None,
                whose => Some(Address { scope: whose.clone(), sprint: Some(id.clone()) }),
            },
            scope: Scope::Sprint(id.clone()),
            name: sprint.name.clone(),
            days: sprint.days,
            complete: sprint.days.is_some_and(|days| range.holds(days)),
            hidden: hidden.contains(id) || matches!(&group.scope, Scope::Organisation if group.veil.hides_sprint(id)),
            group: group.clone(),
        })
    };
    sprints.into_iter().enumerate().filter_map(division).collect()
}

/// Every day of a sprint from its first on, with the rows of all sprints on it; days on which nobody worked are left
/// out. A row is on the local day that it starts on.
pub fn by_sprint_day<'a>(group: &Group<'a>) -> Vec<(i64, Division<'a>)> {
    let mut cells: BTreeMap<i64, Vec<&Cell>> = BTreeMap::new();
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
            if let Some(days) = days.filter(|days| days.from <= *day && *day < days.to) {
                cells.entry((day.0 - days.from.0).num_days() + 1).or_default().push(cell);
            }
        }
    }
    let keyed = cells.iter().flat_map(|(number, cells)| cells.iter().map(move |cell| (*number, *cell)));
    let mut hidden = hidden_by(keyed, &[], group.quorum);
    // Of an organisation the rest beside one's own team is not known by sprint.
    if !group.tells_parts() || !group.beside.is_empty() {
        hidden = cells.keys().copied().collect();
    }
    let siblings: Arc<Vec<Vec<&Cell>>> = Arc::new(cells.values().cloned().collect());
    let division = |(index, (number, cells)): (usize, (i64, Vec<&'a Cell>))| {
        let (scope, name, hidden) = (group.scope.clone(), format!("day {number}"), hidden.contains(&number));
        let (group, among) = (group.clone(), (index, Arc::clone(&siblings)));
        (number, Division { scope, address: None, name, days: None, complete: true, cells, group, hidden, among })
    };
    cells.into_iter().enumerate().map(division).collect()
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

/// The days of a group that are hidden from whoever asks, as far as they have to do with some columns.
pub fn hidden_days(group: &Group, columns: &[String]) -> BTreeSet<LocalDay> {
    group.hidden_parts(|day, _| Some(day), columns)
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
