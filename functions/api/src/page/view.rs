//! What a page shows, as plain values: everything is decided here, so that the templates only print.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Datelike;
use shared::{
    annotator::{
        Register,
        declaration::{Insight, Parts},
    },
    contribution::{Cell, Scope},
    time::LocalDay,
};

use super::text;
use crate::{
    Overview, Request,
    evidence::{Evidence, Group},
    figure::{Figure, Status},
    finding::{Finding, called},
    freshness::Health,
    selection::Range,
};

/// Two halves of a shorter range say little about each other.
const COMPARABLE_DAYS: i64 = 28;

/// One page.
#[derive(Debug, Clone)]
pub struct View {
    /// What was asked for; links keep its range.
    pub request: Request,
    /// The answers.
    pub overview: Overview,
    /// What the page is about, in a few words each.
    pub facts: Vec<String>,
    /// For each insight, in the same order, what is drawn of it.
    pub sections: Vec<Section>,
    /// What an organisation or a team is made of, in words: `Team` or `Sprint`. Empty for other scopes.
    pub part_noun: &'static str,
    /// Its parts.
    pub parts: Vec<Part>,
    /// The scopes to choose from.
    pub choices: Vec<(Scope, String)>,
    /// How old all this is.
    pub health: Health,
}

/// What is drawn of one insight.
#[derive(Debug, Clone)]
pub struct Section {
    /// The words for numerator and rest.
    pub parts: Option<Parts>,
    /// The hours, in a word.
    pub adjective: Option<String>,
    /// From where on it is a finding.
    pub threshold: Option<f64>,
    /// Its ratio, week by week.
    pub weeks: Vec<Week>,
    /// How it changed within the range.
    pub change: Option<Change>,
}

/// An ISO week, as far as the range covers it.
#[derive(Debug, Clone)]
pub struct Week {
    /// `W44`.
    pub name: String,
    /// Its first day in the range.
    pub from: LocalDay,
    /// The figure over it.
    pub figure: Figure,
}

/// The later half of the range against the earlier one of the same length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The difference of the two ratios.
    pub difference: f64,
    /// The first day of the later half.
    pub since: LocalDay,
}

/// A team of an organisation, or a sprint of a team.
#[derive(Debug, Clone)]
pub struct Part {
    /// Which.
    pub scope: Scope,
    /// Its name for people.
    pub name: String,
    /// Who worked in it.
    pub people: usize,
    /// Whether it ends outside the range.
    pub incomplete: bool,
    /// For each insight, its figure.
    pub figures: Vec<Figure>,
}

impl View {
    /// Decides what the page of `evidence` shows.
    pub fn of(register: &Register, request: Request, evidence: &Evidence, health: Health) -> Self {
        let group = evidence.group();
        let (part_noun, parts) = match &evidence.scope {
            Scope::Organisation => ("Team", teams(register, evidence)),
            Scope::Team(id) => ("Sprint", sprints(register, &group, id)),
            Scope::Sprint(_) | Scope::Person(_) => ("", Vec::new()),
        };
        Self {
            overview: Overview::of(register, evidence),
            facts: facts(&group, part_noun, &parts),
            sections: register.insights().map(|insight| section(insight, &group)).collect(),
            part_noun,
            parts,
            choices: choices(evidence),
            health,
            request,
        }
    }

    /// Whether anything was ever captured.
    pub fn is_empty(&self) -> bool {
        self.overview.selection.from.is_none()
    }

    /// The one sentence at the top. It is never more than the figures below say.
    pub fn headline(&self) -> String {
        if let Some(finding) = self.overview.findings.first() {
            return self.biggest(finding);
        }
        let insights = &self.overview.insights;
        if self.is_empty() {
            "Nothing is captured yet"
        } else if insights.iter().all(|insight| insight.figure.rows == 0) {
            "There is no work in these days"
        } else if insights.iter().all(|insight| insight.figure.status == Status::NotMeasurable) {
            "The source does not say enough to measure anything"
        } else if self.lacks_sprint() {
            "These days hold no whole sprint, so nothing is said per sprint"
        } else {
            "Nothing here is past its threshold"
        }
        .to_owned()
    }

    fn biggest(&self, finding: &Finding) -> String {
        let whose = if finding.scope == self.overview.selection.scope {
            String::new()
        } else {
            format!(" in the {}", called(&finding.scope, &finding.scope_name))
        };
        let hours = text::thousands(finding.hours_per_sprint.round() as i64);
        let adjective = self.adjective(&finding.id);
        format!("{hours} hours {}{whose} are {adjective}", finding.basis.words())
    }

    fn adjective(&self, insight: &str) -> &str {
        let index = self.overview.insights.iter().position(|answer| answer.id == insight);
        let section = index.and_then(|index| self.sections.get(index));
        section.and_then(|section| section.adjective.as_deref()).unwrap_or_default()
    }

    /// Whether something is past its threshold, but no whole sprint lies in the range to say how much.
    pub fn lacks_sprint(&self) -> bool {
        let figures = self.overview.insights.iter().zip(&self.sections);
        let mut past = figures
            .filter_map(|(answer, section)| answer.figure.ratio.zip(section.threshold))
            .filter(|(ratio, threshold)| ratio >= threshold);
        self.overview.findings.is_empty() && past.next().is_some()
    }
}

fn facts(group: &Group, part_noun: &str, parts: &[Part]) -> Vec<String> {
    let mut facts = Vec::new();
    if group.scope != Scope::Organisation {
        facts.push(called(&group.scope, &group.directory.name(&group.scope)));
    }
    if let Some(range) = group.range.filter(|range| range.days() > 0) {
        facts.push(text::range(range));
    }
    if !parts.is_empty() {
        facts.push(text::count(parts.len(), &part_noun.to_lowercase()));
    }
    if !matches!(group.scope, Scope::Person(_)) && !group.days.is_empty() {
        facts.push(crate::finding::people(people(group.cells())));
    }
    facts
}

fn people<'a>(cells: impl Iterator<Item = &'a Cell>) -> usize {
    let people = cells.flat_map(|cell| cell.measures.values().flat_map(|measure| &measure.people));
    people.collect::<BTreeSet<_>>().len()
}

fn teams(register: &Register, evidence: &Evidence) -> Vec<Part> {
    let team = |team: Group| Part {
        name: team.directory.name(&team.scope),
        people: people(team.cells()),
        incomplete: false,
        figures: register.insights().map(|insight| Figure::of(insight, team.cells())).collect(),
        scope: team.scope,
    };
    let mut teams: Vec<Part> = evidence.team_groups().map(team).collect();
    teams.sort_by(|a, b| a.name.cmp(&b.name));
    teams
}

/// The team's own sprints in the range, in order of time, with the rows of its own people.
fn sprints(register: &Register, group: &Group, team: &str) -> Vec<Part> {
    let Some(range) = group.range else { return Vec::new() };
    let mut cells: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for cell in group.cells() {
        if let Some(sprint) = &cell.key.sprint {
            cells.entry(sprint).or_default().push(cell);
        }
    }
    let mut own: Vec<_> = group.directory.sprints_in(range, Some(team)).collect();
    own.sort_by_key(|(id, sprint)| (sprint.days.map(|days| days.from), *id));
    let parts = own.into_iter().filter_map(|(id, sprint)| {
        let cells = cells.get(id.as_str())?;
        let figure = |insight: &Insight| Figure::of(insight, cells.iter().copied());
        Some(Part {
            scope: Scope::Sprint(id.clone()),
            name: sprint.name.clone(),
            people: people(cells.iter().copied()),
            incomplete: !sprint.days.is_some_and(|days| range.holds(days)),
            figures: register.insights().map(figure).collect(),
        })
    });
    parts.collect()
}

fn section(insight: &Insight, group: &Group) -> Section {
    Section {
        parts: insight.parts.clone(),
        adjective: insight.finding.as_ref().map(|finding| finding.adjective.clone()),
        threshold: insight.finding.as_ref().map(|finding| finding.threshold),
        weeks: group.range.map_or_else(Vec::new, |range| weeks(insight, group, range)),
        change: group.range.and_then(|range| change(insight, group, range)),
    }
}

fn figure_in(insight: &Insight, group: &Group, range: Range) -> Figure {
    if range.days() <= 0 {
        return Figure::of(insight, std::iter::empty());
    }
    let days = group.days.range(range.from..range.to);
    Figure::of(insight, days.flat_map(|(_, day)| &day.by_stereotype))
}

/// Every ISO week between the first and the last day with rows.
fn weeks(insight: &Insight, group: &Group, range: Range) -> Vec<Week> {
    let Some((first, last)) = group.days.keys().next().zip(group.days.keys().next_back()) else {
        return Vec::new();
    };
    let monday = |day: LocalDay| day.plus(-i64::from(day.0.weekday().num_days_from_monday()));
    let mut weeks = Vec::new();
    let mut start = monday(*first);
    while start <= *last {
        let days = Range { from: start.max(range.from), to: start.plus(7).min(range.to) };
        weeks.push(Week {
            name: format!("W{:02}", start.0.iso_week().week()),
            from: days.from,
            figure: figure_in(insight, group, days),
        });
        start = start.plus(7);
    }
    weeks
}

fn change(insight: &Insight, group: &Group, range: Range) -> Option<Change> {
    let half = range.days() / 2;
    if range.days() < COMPARABLE_DAYS {
        return None;
    }
    let since = range.to.plus(-half);
    let ratio = |from, to| figure_in(insight, group, Range { from, to }).ratio;
    let difference = ratio(since, range.to)? - ratio(since.plus(-half), since)?;
    Some(Change { difference, since })
}

/// The organisation, its teams, and the sprints of the team that is shown.
fn choices(evidence: &Evidence) -> Vec<(Scope, String)> {
    let directory = &evidence.directory;
    let mut scopes = vec![Scope::Organisation];
    scopes.extend(directory.teams().map(|id| Scope::Team(id.clone())));
    if let (Scope::Team(team), Some(range)) = (&evidence.scope, evidence.range) {
        let sprints = directory.sprints_in(range, Some(team));
        scopes.extend(sprints.map(|(id, _)| Scope::Sprint(id.clone())));
    }
    if !scopes.contains(&evidence.scope) {
        scopes.push(evidence.scope.clone());
    }
    let named = scopes.into_iter().map(|scope| {
        let name = called(&scope, &directory.name(&scope));
        (scope, name)
    });
    named.collect()
}
