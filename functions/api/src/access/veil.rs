//! What is hidden of a selection from whoever asks.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    annotator::Register,
    contribution::{Cell, Measure, People, Scope},
};

use super::{
    quorum::Quorum,
    sight::Member,
    suppression::{Part, hidden},
};
use crate::{directory::Directory, evidence::Days, selection::Range};

/// What is hidden of a selection. The default hides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Veil {
    /// Who has to be behind a figure of the selection.
    pub quorum: Quorum,
    /// The same of any other group.
    general: Quorum,
    /// The same of each team of one's own.
    own: BTreeMap<String, Quorum>,
    /// Teams that are hidden.
    teams: BTreeSet<String>,
    /// Sprints that are hidden.
    sprints: BTreeSet<String>,
    /// By insight, the teams whose figure is hidden.
    figures: BTreeMap<String, BTreeSet<String>>,
    /// Insights whose figure of the whole organisation is hidden.
    wholes: BTreeSet<String>,
}

/// An organisation and its teams over some days: what it takes to say what is hidden from somebody.
pub struct Landscape<'a> {
    /// What is known of the veil without looking at anybody's work: see [`Veil::over`].
    pub over: Veil,
    /// Names and sprints.
    pub directory: &'a Directory,
    /// Which days.
    pub range: Option<Range>,
    /// The organisation's own contributions.
    pub organisation: &'a Days,
    /// Those of every team.
    pub teams: &'a BTreeMap<String, Days>,
}

fn cells(days: &Days) -> impl Iterator<Item = &Cell> + Clone {
    days.values().flat_map(|day| &day.by_stereotype)
}

impl Veil {
    /// The veil over a team of one's own, or over anything before more is known of it. `directory` is as of when was asked
    /// for, `present` as of now.
    pub fn over(member: &Member, scope: &Scope, directory: &Directory, present: &Directory) -> Self {
        let veil = Self { general: member.quorum(), own: member.quorums(present), ..Self::default() };
        let team = match scope {
            Scope::Team(team) => Some(team),
            Scope::Sprint(id) => directory.sprint(id).and_then(|sprint| sprint.team.as_ref()),
            Scope::Organisation | Scope::Person(_) => None,
        };
        let quorum = team.map_or(&veil.general, |team| veil.quorum_of(team)).clone();
        Self { quorum, ..veil }
    }

    /// Whether a team is one's own.
    pub fn is_own(&self, team: &str) -> bool {
        self.own.contains_key(team)
    }

    /// Who has to be behind a figure of a team.
    pub fn quorum_of(&self, team: &str) -> &Quorum {
        self.own.get(team).unwrap_or(&self.general)
    }

    /// Whether a team is hidden.
    pub fn hides_team(&self, team: &str) -> bool {
        self.teams.contains(team)
    }

    /// Whether a sprint is hidden.
    pub fn hides_sprint(&self, sprint: &str) -> bool {
        self.sprints.contains(sprint)
    }

    /// Whether an insight's figure of a scope is hidden, although the scope is not.
    pub fn hides_figure(&self, insight: &str, scope: &Scope) -> bool {
        match scope {
            Scope::Organisation => self.wholes.contains(insight),
            Scope::Team(team) => self.figures.get(insight).is_some_and(|teams| teams.contains(team)),
            Scope::Sprint(_) | Scope::Person(_) => false,
        }
    }
}

impl Landscape<'_> {
    /// The veil over `scope`; `None` where all of it is hidden.
    pub fn veil(&self, register: &Register, scope: &Scope) -> Option<Veil> {
        let mut veil = self.over.clone();
        let (teams, whole) = self.hidden_teams(&self.parts(None), &BTreeSet::new());
        veil.teams = teams;
        veil.sprints = self.hidden_sprints(&veil);
        let mut by_column: BTreeMap<&String, Vec<Part>> = BTreeMap::new();
        for insight in register.insights() {
            let mut hides = veil.teams.clone();
            let mut hides_whole = false;
            for column in insight.ratio().columns() {
                let parts = by_column.entry(column).or_insert_with(|| self.parts(Some(column)));
                let (teams, whole) = self.hidden_teams(parts, &hides);
                hides.extend(teams);
                hides_whole |= whole;
            }
            veil.figures.insert(insight.id.clone(), hides);
            veil.wholes.extend(hides_whole.then(|| insight.id.clone()));
        }
        let is_hidden = match scope {
            Scope::Organisation => whole || Part::of(cells(self.organisation), &veil.quorum).is_small(),
            Scope::Team(team) => veil.hides_team(team),
            Scope::Sprint(sprint) => veil.hides_sprint(sprint),
            Scope::Person(_) => true,
        };
        (!is_hidden).then_some(veil)
    }

    /// Which of the teams are hidden, and whether the organisation is. `parts` are the teams, and then whoever is in none.
    fn hidden_teams(&self, parts: &[Part], already: &BTreeSet<String>) -> (BTreeSet<String>, bool) {
        let mut parts = parts.to_vec();
        for (part, team) in parts.iter_mut().zip(self.teams.keys()) {
            part.hidden = already.contains(team);
        }
        let hidden = hidden(&parts, &self.over.general);
        let teams = self.teams.keys().zip(hidden.parts).filter(|(_, hidden)| *hidden);
        (teams.map(|(team, _)| team.clone()).collect(), hidden.whole)
    }

    /// The teams and whoever is in none, of all work or as far as it has to do with a column.
    fn parts(&self, column: Option<&String>) -> Vec<Part> {
        let part = |days: &Days, quorum: &Quorum| match column {
            None => Part::of(cells(days), quorum),
            Some(column) => {
                let mut measure = Measure::default();
                cells(days).for_each(|cell| cell.add_to(column, &mut measure));
                let quorum = quorum.clone();
                Part { has_rows: measure.population.rows > 0, people: measure.people, quorum, ..Part::default() }
            }
        };
        let mut parts: Vec<Part> = Vec::new();
        for (team, days) in self.teams {
            parts.push(Part { fixed: self.over.is_own(team), ..part(days, self.over.quorum_of(team)) });
        }
        parts.push(self.without_team(column, &parts));
        parts
    }

    /// The organisation's rows that belong to no team. Of their people only those are known who are in no team at all.
    fn without_team(&self, column: Option<&String>, teams: &[Part]) -> Part {
        let rows = |days: &Days| -> i64 {
            let rows = |cell: &Cell| column.map_or(cell.total, |column| cell.population(column)).rows;
            cells(days).map(rows).sum()
        };
        let mut everybody: People = match column {
            None => cells(self.organisation).map(|cell| &cell.people).collect(),
            Some(column) => {
                let mut measure = Measure::default();
                cells(self.organisation).for_each(|cell| cell.add_to(column, &mut measure));
                measure.people
            }
        };
        teams.iter().for_each(|part| everybody.leave(&part.people));
        Part {
            has_rows: rows(self.organisation) > self.teams.values().map(rows).sum(),
            people: everybody,
            quorum: self.over.general.clone(),
            ..Part::default()
        }
    }

    fn hidden_sprints(&self, veil: &Veil) -> BTreeSet<String> {
        let hidden_of_team: BTreeMap<&String, BTreeSet<String>> =
            self.teams.iter().map(|(team, days)| (team, self.hidden_in_team(team, days, veil))).collect();
        let mut by_sprint: BTreeMap<&String, BTreeMap<Option<&String>, Vec<&Cell>>> = BTreeMap::new();
        for cell in self.organisation.values().flat_map(|day| &day.by_sprint) {
            if let Some(sprint) = &cell.key.sprint {
                by_sprint.entry(sprint).or_default().entry(cell.key.team.as_ref()).or_default().push(cell);
            }
        }
        let is_hidden = |sprint: &String, teams: &BTreeMap<Option<&String>, Vec<&Cell>>| {
            let known = self.directory.sprint(sprint);
            let is_of = |team: &String| known.is_some_and(|known| known.is_of(team));
            let hides = |team: &String| {
                veil.hides_team(team) || hidden_of_team.get(team).is_some_and(|hidden| hidden.contains(sprint))
            };
            let team = known.and_then(|known| known.team.as_ref());
            let quorum = team.map_or(&veil.general, |team| veil.quorum_of(team));
            let parts: Vec<Part> = teams
                .iter()
                .map(|(team, cells)| Part {
                    // What the page of the team tells of this sprint cannot be hidden here.
                    fixed: team.is_some_and(|team| is_of(team) && !hides(team)),
                    hidden: team.is_some_and(hides),
                    ..Part::of(cells.iter().copied(), team.map_or(&veil.general, |team| veil.quorum_of(team)))
                })
                .collect();
            team.is_some_and(hides)
                || Part::of(teams.values().flatten().copied(), quorum).is_small()
                || hidden(&parts, &veil.general).whole
        };
        by_sprint
            .iter()
            .filter(|(sprint, teams)| is_hidden(sprint, teams))
            .map(|(sprint, _)| (*sprint).clone())
            .collect()
    }

    fn hidden_in_team(&self, team: &str, days: &Days, veil: &Veil) -> BTreeSet<String> {
        let Some(range) = self.range else { return BTreeSet::new() };
        sprints_hidden_in_team(team, days, self.directory, range, veil.quorum_of(team))
    }
}

/// The sprints of a team that are hidden among them: they and what belongs to none of them are the team's work.
pub fn sprints_hidden_in_team(
    team: &str,
    days: &Days,
    directory: &Directory,
    range: Range,
    quorum: &Quorum,
) -> BTreeSet<String> {
    let listed: BTreeSet<&String> = directory.sprints_beside(range, Some(team)).map(|(id, _)| id).collect();
    let keyed = cells(days).map(|cell| (cell.key.sprint.as_ref().filter(|sprint| listed.contains(sprint)), cell));
    super::suppression::hidden_by(keyed, &[], quorum).into_iter().flatten().cloned().collect()
}
