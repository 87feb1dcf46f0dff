//! What is hidden of a selection from whoever asks.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    annotator::Register,
    contribution::{Cell, Measure, People, Scope},
};

use super::{
    quorum::Quorum,
    sight::Member,
    suppression::{Part, hidden, hidden_by, hidden_days},
};
use crate::{
    directory::Directory,
    evidence::{Days, by_day},
    selection::Range,
};

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
    /// By insight, the teams whose figure is hidden.
    figures: BTreeMap<String, BTreeSet<String>>,
    /// Insights whose figure of the whole selection is hidden, where that is an organisation or a sprint.
    wholes: BTreeSet<String>,
}

/// An organisation and its teams over some days: what it takes to say what is hidden from somebody.
pub struct Landscape<'a> {
    /// What is known of the veil without looking at anybody's work: see [`Veil::over`].
    pub over: Veil,
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

    /// Whether an insight's figure of a scope is hidden, although the scope is not.
    pub fn hides_figure(&self, insight: &str, scope: &Scope) -> bool {
        match scope {
            Scope::Organisation | Scope::Sprint(_) => self.wholes.contains(insight),
            Scope::Team(team) => self.figures.get(insight).is_some_and(|teams| teams.contains(team)),
            Scope::Person(_) => false,
        }
    }

    /// The veil over a sprint with these days, where it is what the team's own list of sprints tells of it, `None` elsewhere: it is
    /// of a team of one's own and nobody else has a row in it. Whoever it is told of besides would be the sprint less the team's
    /// part of it.
    pub fn over_sprint(mut self, register: &Register, sprint: &str, days: &Days, team: &TeamDays) -> Option<Self> {
        let alone = cells(days).all(|cell| cell.key.team.as_deref() == Some(team.id));
        // One that is not listed is a part of what belongs to no sprint.
        let listed = team.directory.sprints_beside(team.range, Some(team.id)).any(|(id, _)| id == sprint);
        let hides = |columns: &[String]| !listed || team.hidden_sprints(&self.quorum, columns).contains(sprint);
        if !self.is_own(team.id) || !alone || hides(&[]) {
            return None;
        }
        let hidden =
            register.insights().filter(|insight| hides(&insight.ratio().columns().cloned().collect::<Vec<_>>()));
        self.wholes = hidden.map(|insight| insight.id.clone()).collect();
        Some(self)
    }
}

/// A team's days, which its sprints divide.
#[derive(Debug, Clone, Copy)]
pub struct TeamDays<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its contributions.
    pub days: &'a Days,
    /// Names and sprints.
    pub directory: &'a Directory,
    /// Which days were asked for.
    pub range: Range,
}

impl TeamDays<'_> {
    /// The team's sprints that are hidden among them, as far as they have to do with some columns: they and what belongs to
    /// none of them are the team's work. Days are told as well, and with them what the hidden ones of a sprint come to.
    pub fn hidden_sprints(&self, quorum: &Quorum, columns: &[String]) -> BTreeSet<String> {
        let listed: BTreeSet<&String> =
            self.directory.sprints_beside(self.range, Some(self.id)).map(|(id, _)| id).collect();
        let by_sprint = |cell: &'_ Cell| cell.key.sprint.clone().filter(|sprint| listed.contains(sprint));
        let hidden_days = hidden_days(by_day(self.days), columns, quorum);
        let mut hidden = hidden_by(by_day(self.days).map(|(_, cell)| (by_sprint(cell), cell)), columns, quorum);
        let on_hidden_days =
            by_day(self.days).filter(|(day, _)| hidden_days.contains(day)).map(|(_, cell)| (by_sprint(cell), cell));
        hidden.extend(hidden_by(on_hidden_days, columns, quorum));
        hidden.into_iter().flatten().collect()
    }
}

impl Landscape<'_> {
    /// The veil over `scope`, the organisation or a team; `None` where all of it is hidden.
    pub fn veil(&self, register: &Register, scope: &Scope) -> Option<Veil> {
        let mut veil = self.over.clone();
        let (teams, whole) = self.hidden_teams(&self.parts(None), &BTreeSet::new());
        veil.teams = teams;
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
            // Whatever team is not among the teams is judged with whoever is in none.
            Scope::Team(team) => veil.hides_team(team) || !self.teams.contains_key(team),
            Scope::Sprint(_) | Scope::Person(_) => true,
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
}
