//! Findings: figures past their threshold, as decisions.

use serde::Serialize;
use shared::{
    annotator::{
        Register,
        declaration::{Insight, Units},
    },
    contribution::Scope,
};
use utoipa::ToSchema;

use crate::{
    answer::{Answer, StereotypeFigure},
    evidence::{Evidence, Group},
    figure::Status,
    hours::Basis,
    openapi,
    selection::{Selection, written},
    settings::{Recovery, Settings},
};

/// A figure past its threshold, how big it is, how sure, and what to do next.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    /// The insight.
    pub id: String,
    /// Whose: `org`, `team:ID`, `sprint:ID` or `person:ID`.
    #[serde(serialize_with = "written")]
    #[schema(value_type = String, example = "team:1")]
    pub scope: Scope,
    /// Their name for people.
    pub scope_name: String,
    /// All of it in one line.
    pub headline: String,
    /// The insight's ratio.
    pub ratio: f64,
    /// What the ratio is a ratio of.
    #[schema(value_type = openapi::Units)]
    pub units: Units,
    /// From where on it is a finding.
    pub threshold: f64,
    /// Recoverable hours per sprint, or what `basis` says.
    pub hours_per_sprint: f64,
    /// What the hours, days and money are per.
    pub basis: Basis,
    /// What comes back if it is halved.
    pub halved: Recovery,
    /// What comes back if it is gone.
    pub removed: Recovery,
    /// What the money is in; null where no hourly rate is set.
    pub currency: Option<String>,
    /// The kind of activity that makes up most of it; null where it is not told apart by kind of activity.
    pub start_with: Option<StartWith>,
    /// What to do next, in a sentence.
    pub next_step: String,
    /// Whether the team can do it without asking anyone.
    pub team_controls: bool,
    /// How sure it is.
    pub confidence: Confidence,
    /// The figures behind it.
    pub link: String,
    /// The activities behind it.
    pub activities: String,
}

/// The kind of activity to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
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
/// only where no team has one; any other scope's are its own. Hours of different findings overlap: what is automatable
/// may be out of sprint, too.
pub fn findings(register: &Register, settings: &Settings, evidence: &Evidence) -> Vec<Finding> {
    let of_insight = |insight| findings_of(register, settings, insight, evidence);
    let mut findings: Vec<Finding> = register.insights().flat_map(of_insight).collect();
    findings.sort_by(|a, b| b.removed.hours.total_cmp(&a.removed.hours));
    findings
}

/// Those of one insight, in the same order.
pub fn findings_of(register: &Register, settings: &Settings, insight: &Insight, evidence: &Evidence) -> Vec<Finding> {
    if insight.finding.is_none() {
        return Vec::new();
    }
    let found = |group: Group| {
        (!group.is_hidden())
            .then(|| find(settings, insight, &Answer::of(register, insight, &group), &group, evidence))
            .flatten()
    };
    let mut findings: Vec<Finding> = evidence.team_groups().filter_map(found).collect();
    if findings.is_empty() {
        findings.extend(found(evidence.group()));
    }
    findings.sort_by(|a, b| b.removed.hours.total_cmp(&a.removed.hours));
    findings
}

/// From where on an insight is a finding.
pub fn threshold(settings: &Settings, insight: &Insight) -> Option<f64> {
    let declared = insight.finding.as_ref()?.threshold;
    Some(settings.thresholds.get(&insight.id).copied().unwrap_or(declared))
}

/// The finding in an answer. A figure without hours per sprint cannot say how big it is, and is none.
fn find(
    settings: &Settings,
    insight: &Insight,
    answer: &Answer,
    group: &Group,
    evidence: &Evidence,
) -> Option<Finding> {
    let declared = insight.finding.as_ref()?;
    let threshold = threshold(settings, insight)?;
    let ratio = answer.figure.ratio.filter(|ratio| *ratio >= threshold)?;
    let hours = answer.recoverable.or(answer.hours_per_sprint).filter(|hours| hours.seconds > 0)?;
    // The largest by the hours that are quoted; where those are not kept by kind of activity, the first, by its seconds.
    let quoted = |kind: &&StereotypeFigure| kind.hours_per_sprint.unwrap_or_default();
    let start = answer.by_stereotype.iter().rev().max_by(|a, b| quoted(a).total_cmp(&quoted(b)));
    let name = group.directory.name(&group.scope);
    let selection = Selection { scope: group.scope.clone(), ..evidence.selection() };
    let query = selection.request().query();
    Some(Finding {
        id: insight.id.clone(),
        scope: group.scope.clone(),
        headline: format!(
            "{}: {:.1} h {} {} ({})",
            called(&group.scope, &name),
            hours.value,
            hours.basis.words(),
            declared.adjective,
            reading(&insight.units, ratio),
        ),
        scope_name: name,
        ratio,
        units: insight.units.clone(),
        threshold,
        hours_per_sprint: hours.value,
        basis: hours.basis,
        halved: settings.recovery(hours.value / 2.0),
        removed: settings.recovery(hours.value),
        currency: settings.hourly_rate.map(|_| settings.currency.clone()),
        start_with: start.map(|start| StartWith {
            stereotype: start.stereotype.clone(),
            name: start.name.clone(),
            hours_per_sprint: start.hours_per_sprint,
            people: start.people,
        }),
        next_step: next_step(
            &declared.next_step,
            start,
            hours.value,
            answer.figure.people.unwrap_or_default(),
            hours.basis,
        ),
        team_controls: declared.team_controls,
        confidence: Confidence {
            rows: answer.figure.rows.unwrap_or_default(),
            people: answer.figure.people.unwrap_or_default(),
            status: answer.figure.status,
            covered_share: answer.figure.covered_share,
        },
        link: format!("/v1/insights{query}"),
        activities: format!("/v1/insights/{}/activities{query}", insight.id),
    })
}

/// A ratio as people read it: `23 %`, or `9.0 kinds of work a person-day`.
pub fn reading(units: &Units, ratio: f64) -> String {
    match &units.reads {
        _ if units.is_share() => format!("{:.0} %", ratio * 100.0),
        Some(reads) => format!("{ratio:.1} {reads}"),
        None => format!("{ratio:.1} {} ÷ {}", units.numerator, units.denominator),
    }
}

/// A scope's name in a sentence: a team is called a team, once.
pub fn called(scope: &Scope, name: &str) -> String {
    match scope {
        Scope::Team(_) if !name.to_lowercase().split_whitespace().any(|word| word == "team") => format!("{name} team"),
        _ => name.to_owned(),
    }
}

fn next_step(template: &str, start: Option<&StereotypeFigure>, whole: f64, everybody: usize, basis: Basis) -> String {
    let hours = match start {
        None => format!("{whole:.1} h {}", basis.words()),
        Some(StereotypeFigure { hours_per_sprint: Some(hours), .. }) => format!("{hours:.1} h {}", basis.words()),
        Some(start) => format!("{:.1} h in all", start.numerator.unwrap_or_default() as f64 / 3_600.0),
    };
    let people = people(start.map_or(everybody, |start| start.people));
    let name = start.map_or("", |start| start.name.as_str());
    // The name comes last: it is the source's, and may itself look like a placeholder.
    template.replace("{hours}", &hours).replace("{people}", &people).replace("{stereotype}", name)
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
        let found = findings(&register(), &Settings::default(), &four_teams("org"));
        let headlines: Vec<&str> = found.iter().map(|finding| &*finding.headline).collect();
        assert_eq!(headlines[0], "Platform team: 147.2 h a sprint automatable (23 %)");
        assert!(found.iter().all(|finding| matches!(finding.scope, Scope::Team(_))));
        assert!(found.is_sorted_by(|a, b| a.removed.hours >= b.removed.hours));
        assert!(!headlines.iter().any(|headline| headline.contains("Search")), "below every threshold");
        let first = &found[0];
        assert_eq!(first.next_step, "Automate “manual deployment” first: 70.4 h a sprint, 8 people.");
        assert_eq!((first.halved.hours, first.halved.working_days, first.halved.money), (73.6, 9.2, None));
        assert_eq!(first.link, "/v1/insights?scope=team:1&from=2026-08-03&to=2026-11-02");
        assert_eq!(first.confidence.people, 8);
    }

    #[test]
    fn a_scope_hears_of_itself_and_a_team_is_called_a_team_once() {
        let rows = [row("2026-01-05", "p", "1", "s", HOUR).automatable()];
        let sprints = [sprint("s", "1", "2026-01-05", "2026-01-19")];
        let teams = [named("1", "Data Team")];
        let of = |scope: &str| {
            let found = findings(
                &register(),
                &Settings::default(),
                &evidence(scope, ("2026-01-05", "2026-01-19"), &rows, &teams, &sprints),
            );
            found[0].headline.clone()
        };
        assert_eq!(of("team:1"), "Data Team: 1.0 h a sprint automatable (100 %)");
        assert_eq!(of("sprint:s"), "S: 1.0 h a sprint automatable (100 %)");
        assert_eq!(of("org"), "Data Team: 1.0 h a sprint automatable (100 %)");
    }

    #[test]
    fn an_organisation_speaks_for_itself_only_where_no_team_can() {
        let rows = [row("2026-01-05", "p", "", "", HOUR).automatable(), row("2026-01-06", "p", "", "", HOUR)];
        let found = findings(
            &register(),
            &Settings::default(),
            &evidence("org", ("2026-01-05", "2026-01-19"), &rows, &[], &[]),
        );
        assert_eq!(found[0].headline, "Organisation: 5.0 h per 10 days automatable (50 %)");
        assert_eq!(found[0].next_step, "Automate “manual deployment” first: 5.0 h per 10 days, 1 person.");
        assert_eq!(serde_json::to_value(&found[0]).unwrap()["basis"], "per_10_days");
    }

    #[test]
    fn a_name_that_looks_like_a_placeholder_stays_a_name() {
        let start = StereotypeFigure {
            stereotype: "x".into(),
            name: "{hours}".into(),
            numerator: Some(HOUR),
            denominator: None,
            ratio: None,
            people: 2,
            hours_per_sprint: None,
        };
        let text = next_step("{stereotype}: {hours}, {people}", Some(&start), 5.0, 9, Basis::TeamAndSprint);
        assert_eq!(text, "{hours}: 1.0 h in all, 2 people");
    }
}
