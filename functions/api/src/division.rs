//! What a selection is made of: an organisation of teams, a team or a person's work of sprints, a sprint of teams.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared::{
    annotator::declaration::Insight,
    contribution::{Cell, Extent, Scope},
    time::LocalDay,
};
use utoipa::ToSchema;

use crate::{
    evidence::{Evidence, Group},
    figure::{Figure, Grounds, PartFigure, breakdown},
    selection::{Range, written},
};

/// A part of a selection: its rows, and who and when it is.
#[derive(Debug, Clone)]
pub struct Division<'a> {
    /// Whose page tells more.
    pub scope: Scope,
    /// Its name for people.
    pub name: String,
    /// Of a sprint: the local days that it touches.
    pub days: Option<Range>,
    /// Whether all of it lies in the range.
    pub complete: bool,
    cells: Vec<&'a Cell>,
    evident: &'a BTreeSet<String>,
}

impl<'a> Division<'a> {
    /// What an insight says of it.
    pub fn figure(&self, insight: &Insight) -> Figure {
        let cells = self.cells.iter().copied();
        Figure::of(insight.ratio(), insight.evidence.as_ref(), Grounds { cells, evident: self.evident })
    }

    /// The parts of an insight in it.
    pub fn breakdown(&self, insight: &Insight) -> Vec<PartFigure> {
        breakdown(&insight.breakdown, self.cells.iter().copied())
    }

    /// Who worked in it.
    pub fn people(&self) -> usize {
        self.cells.iter().flat_map(|cell| &cell.people).collect::<BTreeSet<_>>().len()
    }

    /// The work in it.
    pub fn work(&self) -> Extent {
        let mut work = Extent::default();
        self.cells.iter().for_each(|cell| work.add(cell.work));
        work
    }
}

/// The parts of what `evidence` is about, teams by name and sprints by time.
pub fn divisions(evidence: &Evidence) -> Vec<Division<'_>> {
    match &evidence.scope {
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
            evident: team.evident,
            scope: team.scope,
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
    let mut teams = Vec::new();
    for (id, cells) in cells {
        let scope = Scope::Team(id.clone());
        let name = evidence.directory.name(&scope);
        teams.push(Division { scope, name, days: None, complete: true, cells, evident: &evidence.evident });
    }
    teams
}

/// The sprints in the range that the group has rows in, in order of time; with `team` only its own. An organisation's
/// are those of every team.
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
    let mut sprints: Vec<_> = group.directory.sprints_in(range, team).collect();
    sprints.sort_by_key(|(id, sprint)| (sprint.days.map(|days| days.from), *id));
    let division = |(id, sprint): (&String, &crate::directory::Sprint)| {
        Some(Division {
            cells: cells.remove(id.as_str())?,
            scope: Scope::Sprint(id.clone()),
            name: sprint.name.clone(),
            days: sprint.days,
            complete: sprint.days.is_some_and(|days| range.holds(days)),
            evident: group.evident,
        })
    };
    sprints.into_iter().filter_map(division).collect()
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
    let division = |(number, cells)| {
        let name = format!("day {number}");
        let division =
            Division { scope: group.scope.clone(), name, days: None, complete: true, cells, evident: group.evident };
        (number, division)
    };
    cells.into_iter().map(division).collect()
}

/// A part of a selection as the API lists it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Listed {
    /// Asks for more about it.
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
    /// Who worked in it.
    pub people: usize,
    /// The work in it, in seconds.
    pub work_seconds: i64,
    /// By insight: what it says of it.
    pub insights: BTreeMap<String, Figure>,
}

impl Listed {
    /// What there is to list of a division.
    pub fn of<'a>(division: &Division<'_>, insights: impl Iterator<Item = &'a Insight>) -> Self {
        Self {
            scope: division.scope.clone(),
            name: division.name.clone(),
            from: division.days.map(|days| days.from),
            to: division.days.map(|days| days.to),
            complete: division.complete,
            people: division.people(),
            work_seconds: division.work().seconds,
            insights: insights.map(|insight| (insight.id.clone(), division.figure(insight))).collect(),
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

/// Every kind of activity of a group, most work first.
pub fn kinds(group: &Group) -> Vec<Kind> {
    let mut cells: BTreeMap<&String, Vec<&Cell>> = BTreeMap::new();
    for cell in group.cells() {
        if let Some(stereotype) = &cell.key.stereotype {
            cells.entry(stereotype).or_default().push(cell);
        }
    }
    let kind = |(stereotype, cells): (&String, Vec<&Cell>)| Kind {
        stereotype: stereotype.clone(),
        name: group.directory.stereotype(stereotype),
        rows: cells.iter().map(|cell| cell.total.rows).sum(),
        work_seconds: cells.iter().map(|cell| cell.work.seconds).sum(),
        people: cells.iter().flat_map(|cell| &cell.people).collect::<BTreeSet<_>>().len(),
    };
    let mut kinds: Vec<Kind> = cells.into_iter().map(kind).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.work_seconds));
    kinds
}
