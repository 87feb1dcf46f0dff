//! Findings: figures past their threshold, as decisions.

use serde::Serialize;
use shared::{
    annotator::{Register, declaration::Insight},
    contribution::Scope,
};

use crate::{
    answer::{Answer, StereotypeFigure},
    evidence::{Evidence, Group},
    figure::Status,
    hours::Basis,
    selection::{Selection, written},
};

/// A figure past its threshold, how big it is, how sure, and what to do next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The insight.
    pub id: String,
    /// Whose: `org`, `team:ID`, `sprint:ID` or `person:ID`.
    #[serde(serialize_with = "written")]
    pub scope: Scope,
    /// Their name for people.
    pub scope_name: String,
    /// All of it in one line.
    pub headline: String,
    /// The insight's ratio.
    pub ratio: f64,
    /// Hours per sprint, or what `basis` says.
    pub hours_per_sprint: f64,
    /// What the hours are per.
    pub basis: Basis,
    /// The hours that come back if it is halved.
    pub halved_returns_hours_per_sprint: f64,
    /// The hours that come back if it is gone.
    pub removed_returns_hours_per_sprint: f64,
    /// The kind of activity that makes up most of it.
    pub start_with: StartWith,
    /// What to do next, in a sentence.
    pub next_step: String,
    /// Whether the team can do it without asking anyone.
    pub team_controls: bool,
    /// How sure it is.
    pub confidence: Confidence,
    /// The figures behind it.
    pub link: String,
}

/// The kind of activity to begin with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StartWith {
    /// Its code.
    pub stereotype: String,
    /// Its name for people.
    pub name: String,
    /// Its hours, per the finding's basis; null per team and sprint.
    pub hours_per_sprint: Option<f64>,
    /// The people behind it.
    pub people: usize,
}

/// How much a finding rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Confidence {
    /// The rows that the figure is about.
    pub rows: i64,
    /// The people behind them.
    pub people: usize,
    /// Whether the rows can tell.
    pub status: Status,
    /// Of their seconds, the share that can.
    pub covered_share: Option<f64>,
}

/// Every finding of a selection, most recoverable hours first: an organisation's are those of its teams, and its own
/// only where no team has one; any other scope's are its own.
pub fn findings(register: &Register, evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for insight in register.insights() {
        let teams = evidence.team_groups();
        let mut found: Vec<Finding> =
            teams.filter_map(|team| find(insight, &Answer::of(insight, &team), &team, evidence)).collect();
        if found.is_empty() {
            let group = evidence.group();
            found.extend(find(insight, &Answer::of(insight, &group), &group, evidence));
        }
        findings.extend(found);
    }
    findings.sort_by(|a, b| b.halved_returns_hours_per_sprint.total_cmp(&a.halved_returns_hours_per_sprint));
    findings
}

/// The finding in an answer. A figure without hours per sprint cannot say how big it is, and is none.
fn find(insight: &Insight, answer: &Answer, group: &Group, evidence: &Evidence) -> Option<Finding> {
    let declared = insight.finding.as_ref()?;
    let ratio = answer.figure.ratio.filter(|ratio| *ratio >= declared.threshold)?;
    let hours = answer.hours_per_sprint.filter(|hours| hours.seconds > 0)?;
    // The largest by the hours that are quoted; where those are not kept by kind of activity, the first, by its seconds.
    let quoted = |kind: &&StereotypeFigure| kind.hours_per_sprint.unwrap_or_default();
    let start = answer.by_stereotype.iter().rev().max_by(|a, b| quoted(a).total_cmp(&quoted(b)))?;
    let name = group.directory.name(&group.scope);
    let selection = Selection { scope: group.scope.clone(), ..evidence.selection() };
    Some(Finding {
        id: insight.id.clone(),
        scope: group.scope.clone(),
        headline: format!(
            "{}: {:.1} h {} {} ({:.0} %)",
            called(&group.scope, &name),
            hours.value,
            hours.basis.words(),
            declared.adjective,
            ratio * 100.0
        ),
        scope_name: name,
        ratio,
        hours_per_sprint: hours.value,
        basis: hours.basis,
        halved_returns_hours_per_sprint: hours.value / 2.0,
        removed_returns_hours_per_sprint: hours.value,
        start_with: StartWith {
            stereotype: start.stereotype.clone(),
            name: start.name.clone(),
            hours_per_sprint: start.hours_per_sprint,
            people: start.people,
        },
        next_step: next_step(&declared.next_step, start, hours.basis),
        team_controls: declared.team_controls,
        confidence: Confidence {
            rows: answer.figure.rows,
            people: answer.figure.people,
            status: answer.figure.status,
            covered_share: answer.figure.covered_share,
        },
        link: format!("/v1/insights{}", selection.request().query()),
    })
}

/// A scope's name in a sentence: a team is called a team, once.
pub fn called(scope: &Scope, name: &str) -> String {
    match scope {
        Scope::Team(_) if !name.to_lowercase().split_whitespace().any(|word| word == "team") => format!("{name} team"),
        _ => name.to_owned(),
    }
}

fn next_step(template: &str, start: &StereotypeFigure, basis: Basis) -> String {
    let hours = match start.hours_per_sprint {
        Some(hours) => format!("{hours:.1} h {}", basis.words()),
        None => format!("{:.1} h in all", start.numerator_seconds.unwrap_or_default() as f64 / 3_600.0),
    };
    // The name comes last: it is the source's, and may itself look like a placeholder.
    template.replace("{hours}", &hours).replace("{people}", &people(start.people)).replace("{stereotype}", &start.name)
}

/// A number of people, in words.
pub fn people(count: usize) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{HOUR, evidence, four_teams, named, register, row, sprint};

    #[test]
    fn an_organisation_hears_of_its_teams_most_recoverable_hours_first() {
        let found = findings(register(), &four_teams("org"));
        let headlines: Vec<&str> = found.iter().map(|finding| &*finding.headline).collect();
        assert_eq!(headlines[0], "Platform team: 147.2 h a sprint automatable (23 %)");
        assert!(found.iter().all(|finding| matches!(finding.scope, Scope::Team(_))));
        assert!(found.is_sorted_by(|a, b| a.halved_returns_hours_per_sprint >= b.halved_returns_hours_per_sprint));
        assert!(!headlines.iter().any(|headline| headline.contains("Search")), "below every threshold");
        let first = &found[0];
        assert_eq!(first.next_step, "Automate “manual deployment” first: 70.4 h a sprint, 8 people.");
        assert_eq!(first.halved_returns_hours_per_sprint, 73.6);
        assert_eq!(first.link, "/v1/insights?scope=team:1&from=2026-08-03&to=2026-11-02");
        assert_eq!(first.confidence.people, 8);
    }

    #[test]
    fn a_scope_hears_of_itself_and_a_team_is_called_a_team_once() {
        let rows = [row("2026-01-05", "p", "1", "s", HOUR).automatable()];
        let sprints = [sprint("s", "1", "2026-01-05", "2026-01-19")];
        let teams = [named("1", "Data Team")];
        let of = |scope: &str| {
            let found = findings(register(), &evidence(scope, ("2026-01-05", "2026-01-19"), &rows, &teams, &sprints));
            found[0].headline.clone()
        };
        assert_eq!(of("team:1"), "Data Team: 1.0 h a sprint automatable (100 %)");
        assert_eq!(of("sprint:s"), "S: 1.0 h a sprint automatable (100 %)");
        assert_eq!(of("org"), "Data Team: 1.0 h a sprint automatable (100 %)");
    }

    #[test]
    fn an_organisation_speaks_for_itself_only_where_no_team_can() {
        let rows = [row("2026-01-05", "p", "", "", HOUR).automatable(), row("2026-01-06", "p", "", "", HOUR)];
        let found = findings(register(), &evidence("org", ("2026-01-05", "2026-01-19"), &rows, &[], &[]));
        assert_eq!(found[0].headline, "Organisation: 5.0 h per 10 days automatable (50 %)");
        assert_eq!(found[0].next_step, "Automate “manual deployment” first: 5.0 h per 10 days, 1 person.");
        assert_eq!(serde_json::to_value(&found[0]).unwrap()["basis"], "per_10_days");
    }

    #[test]
    fn a_name_that_looks_like_a_placeholder_stays_a_name() {
        let start = StereotypeFigure {
            stereotype: "x".into(),
            name: "{hours}".into(),
            numerator_seconds: Some(HOUR),
            denominator_seconds: None,
            ratio: None,
            people: 2,
            hours_per_sprint: None,
        };
        let text = next_step("{stereotype}: {hours}, {people}", &start, Basis::TeamAndSprint);
        assert_eq!(text, "{hours}: 1.0 h in all, 2 people");
    }
}
