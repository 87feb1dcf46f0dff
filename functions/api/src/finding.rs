//! Findings: figures past their threshold, as decisions.

use std::cmp::Reverse;

use serde::Serialize;
use shared::{
    annotator::{
        Register,
        declaration::{Insight, Units},
    },
    contribution::{Cell, Scope},
};
use utoipa::ToSchema;

use crate::{
    answer::{Answer, StereotypeFigure},
    evidence::{Evidence, Group},
    figure::{Figure, Status},
    hours::Basis,
    openapi,
    selection::{Selection, parameters, written},
    settings::{Recovery, Settings},
    text,
};

/// What those are called who have no team.
const WITHOUT_TEAM: &str = "People without a team";

/// A figure past its threshold, how big it is, how sure, and what to do next.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    /// The insight.
    pub id: String,
    /// Whose: `org`, `team:ID`, `sprint:ID` or `person:ID`.
    #[serde(serialize_with = "written")]
    #[schema(value_type = String, example = "team:1")]
    pub scope: Scope,
    /// The sprint that it is narrowed to; left out if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sprint: Option<String>,
    /// Whether it is about those rows of the scope, an organisation, that belong to no team; left out if not. Its links
    /// lead to all of the organisation's: those without a `team_id` are these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_team: bool,
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
    /// What can be recovered in all of the range, exactly: findings are ranked by it.
    pub recoverable_seconds: i64,
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
    /// The activities whose time comes back if it is gone.
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
    /// The people who do this kind of work, as far as the figure is about it. Not each of them needs to have added to the
    /// hours.
    pub people: usize,
}

/// How much a finding rests on.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Confidence {
    /// The rows that the figure is about, whether or not they add to what is counted.
    pub rows: i64,
    /// The people behind them.
    pub people: usize,
    /// Whether the rows can tell.
    pub status: Status,
    /// Of their seconds, the share that can.
    pub covered_share: Option<f64>,
    /// What else it rests on, where its declaration names a figure beside it: the number of ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests_on: Option<RestsOn>,
}

/// A number that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RestsOn {
    /// The figure beside the insight's own.
    pub figure: String,
    /// Its name for people.
    pub title: String,
    /// The number.
    pub count: i64,
}

impl Confidence {
    /// In a sentence.
    pub fn words(&self) -> String {
        let covered = match self.covered_share {
            Some(share) if self.status == Status::Partial => {
                format!(", which can tell for {} of their hours", text::whole_percent(share))
            }
            _ => String::new(),
        };
        let rests_on = self.rests_on.as_ref().map(|on| format!(" {}: {}.", on.title, text::thousands(on.count)));
        let (rows, people) = (text::rows(self.rows), people(self.people));
        format!("It is about {rows} of {people}{covered}.{}", rests_on.unwrap_or_default())
    }
}

/// Every finding of a selection, most recoverable time in the range first: an organisation's are those of its teams and
/// of whoever has no team, and its own only where none of them has one; any other scope's are its own. Hours of different
/// findings overlap: what is automatable may be out of sprint, too.
pub fn findings(register: &Register, settings: &Settings, evidence: &Evidence) -> Vec<Finding> {
    let of_insight = |insight| findings_of(register, settings, insight, evidence);
    let mut findings: Vec<Finding> = register.insights().flat_map(of_insight).collect();
    rank(&mut findings);
    findings
}

/// Hours per sprint and per ten days cannot be ranked among each other, so the time in the range decides.
fn rank(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| Reverse(finding.recoverable_seconds));
}

/// Those of one insight, in the same order.
pub fn findings_of(register: &Register, settings: &Settings, insight: &Insight, evidence: &Evidence) -> Vec<Finding> {
    if insight.finding.is_none() {
        return Vec::new();
    }
    let found = |group: Group| {
        (!group.is_hidden())
            .then(|| find(register, settings, insight, &Answer::of(register, insight, &group), &group, evidence))
            .flatten()
    };
    let mut findings: Vec<Finding> = evidence.team_groups().filter_map(found).collect();
    let rest = evidence.days_without_team(register);
    if let Some(days) = &rest {
        findings.extend(found(Group { days, without_team: true, teams: Vec::new(), ..evidence.group() }));
    }
    if findings.is_empty() {
        findings.extend(found(evidence.group()));
    }
    rank(&mut findings);
    findings
}

/// Findings, and a sentence that says why there are none.
pub fn findings_or_why_not(
    register: &Register,
    settings: &Settings,
    evidence: &Evidence,
) -> (Vec<Finding>, &'static str) {
    let findings = findings(register, settings, evidence);
    let why = if findings.is_empty() { silence(register, settings, evidence) } else { "" };
    (findings, why)
}

fn silence(register: &Register, settings: &Settings, evidence: &Evidence) -> &'static str {
    let groups: Vec<Group> =
        evidence.team_groups().chain([evidence.group()]).filter(|group| !group.is_hidden()).collect();
    let mut why = "Nothing here is past its threshold.";
    for insight in register.insights() {
        for group in &groups {
            let answer = Answer::of(register, insight, group);
            if !is_past(&answer.figure, threshold(settings, insight)) {
                continue;
            }
            if !group.is_own() {
                why = "Something here is past its threshold. How many hours a sprint that is is told with the figures of one’s own team.";
                continue;
            }
            if answer.recoverable.or(answer.hours_per_sprint).is_none() {
                return "Something here is past its threshold. How many hours a sprint that is can be said once these days hold \
                        a whole sprint.";
            }
            why = "Something here is past its threshold, but too small to be worth a word.";
        }
    }
    why
}

/// Whether a figure is past a threshold.
pub fn is_past(figure: &Figure, threshold: Option<f64>) -> bool {
    figure.ratio.zip(threshold).is_some_and(|(ratio, threshold)| ratio >= threshold)
}

/// From where on an insight is a finding.
pub fn threshold(settings: &Settings, insight: &Insight) -> Option<f64> {
    let declared = insight.finding.as_ref()?.threshold;
    Some(settings.thresholds.get(&insight.id).copied().unwrap_or(declared))
}

/// The insight, and a figure beside it, whose activities add up to what comes back: its own figure, unless it counts
/// something else than time.
fn rows_of_recovery<'a>(register: &'a Register, insight: &'a Insight) -> (&'a str, Option<(&'static str, &'a String)>) {
    let recovers = insight.recovers();
    let beside = |other: &'a Insight| {
        let same = other.beside.iter().find(|beside| beside.numerator == recovers);
        same.map(|beside| (other.id.as_str(), Some(("figure", &beside.id))))
    };
    let elsewhere = (recovers != insight.numerator).then(|| register.insights().find_map(beside)).flatten();
    elsewhere.unwrap_or((&insight.id, None))
}

/// The finding in an answer. A figure without hours per sprint cannot say how big it is, and is none; nor is one of fewer
/// hours than are worth a word.
fn find(
    register: &Register,
    settings: &Settings,
    insight: &Insight,
    answer: &Answer,
    group: &Group,
    evidence: &Evidence,
) -> Option<Finding> {
    let declared = insight.finding.as_ref()?;
    let threshold = threshold(settings, insight)?;
    let ratio = answer.figure.ratio.filter(|_| is_past(&answer.figure, Some(threshold)))?;
    let hours = answer.recoverable.or(answer.hours_per_sprint)?;
    if hours.seconds == 0 || hours.value < settings.least_hours {
        return None;
    }
    let recovers = insight.recovers();
    let known = group.cells().filter(|cell| !cell.lacks(insight.ratio().columns().chain(recovers)));
    // The largest by the hours that are quoted; where those are not kept by kind of activity, the first, by its seconds.
    let quoted = |kind: &&StereotypeFigure| kind.hours_per_sprint.unwrap_or_default();
    let start = answer.by_stereotype.iter().rev().max_by(|a, b| quoted(a).total_cmp(&quoted(b)));
    let name = group.directory.name(&group.scope);
    let name = if group.without_team { WITHOUT_TEAM.to_owned() } else { name };
    let selection = Selection { scope: group.scope.clone(), name: name.clone(), ..evidence.selection() };
    let (counted, figure) = rows_of_recovery(register, insight);
    let rests_on = declared.rests_on.as_ref().and_then(|id| answer.beside.iter().find(|beside| beside.id == *id));
    // A guest's hours are no part of the sprint's, but of everything else that is said of it.
    let guests = if has_guests(group) { ", guests included" } else { "" };
    let query = selection.request().query();
    Some(Finding {
        id: insight.id.clone(),
        scope: group.scope.clone(),
        headline: format!(
            "{}: {} h {} {} ({}{guests})",
            selection.called(),
            text::decimal_hours(hours.value),
            hours.basis.words(),
            declared.adjective,
            reading(&insight.units, ratio),
        ),
        sprint: selection.sprint.clone(),
        without_team: group.without_team,
        scope_name: name,
        ratio,
        units: insight.units.clone(),
        threshold,
        recoverable_seconds: known.map(|cell| cell.sum_of(recovers)).sum(),
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
            rests_on: rests_on.and_then(|beside| {
                let count = beside.figure.numerator?;
                Some(RestsOn { figure: beside.id.clone(), title: beside.title.clone(), count })
            }),
        },
        link: format!("/v1/insights{query}"),
        activities: format!("/v1/insights/{counted}/activities{query}{}", parameters(figure.as_slice())),
    })
}

/// Whether somebody worked in a sprint who is of none of its teams.
fn has_guests(group: &Group) -> bool {
    let Scope::Sprint(id) = &group.scope else { return false };
    let Some(sprint) = group.directory.sprint(id) else { return false };
    let own = |cell: &Cell| cell.key.team.as_ref().is_some_and(|team| sprint.is_of(team));
    group.cells().any(|cell| cell.work.rows > 0 && !own(cell))
}

/// A ratio as people read it: `23 %`, or `9.0 kinds of work a person-day`.
pub fn reading(units: &Units, ratio: f64) -> String {
    match &units.reads {
        _ if units.is_share() => text::whole_percent(ratio),
        Some(reads) => format!("{} {reads}", text::rounded(ratio, 1)),
        None => format!("{} {} ÷ {}", text::rounded(ratio, 1), units.numerator, units.denominator),
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
        None => format!("{} h {}", text::decimal_hours(whole), basis.words()),
        Some(StereotypeFigure { hours_per_sprint: Some(hours), .. }) => {
            format!("{} h {}", text::decimal_hours(*hours), basis.words())
        }
        Some(start) => {
            format!("{} h in all", text::decimal_hours(start.numerator.unwrap_or_default() as f64 / 3_600.0))
        }
    };
    // Who does such work is known, not who of them added to the hours.
    let people = match start {
        None => format!("{} in all", people(everybody)),
        Some(start) if start.people == 1 => "1 person does it".to_owned(),
        Some(start) => format!("{} do it", people(start.people)),
    };
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
        assert!(found.is_sorted_by(|a, b| a.recoverable_seconds >= b.recoverable_seconds));
        assert!(!headlines.iter().any(|headline| headline.contains("Search")), "below every threshold");
        let first = &found[0];
        assert_eq!(first.next_step, "Automate “manual deployment” first: 70.4 h a sprint, 8 people do it.");
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
        assert_eq!(found[0].next_step, "Automate “manual deployment” first: 5.0 h per 10 days, 1 person does it.");
        assert_eq!(serde_json::to_value(&found[0]).unwrap()["basis"], "per_10_days");
    }

    #[test]
    fn what_is_small_is_not_said_and_what_is_large_comes_first_however_its_hours_are_divided() {
        let rows = [
            row("2026-01-05", "p", "1", "s", 2 * HOUR).automatable(),
            row("2026-01-06", "p", "1", "s", 7 * HOUR),
            row("2026-01-05", "q", "2", "", 3_000).automatable(),
        ];
        let sprints = [sprint("s", "1", "2026-01-05", "2026-01-19")];
        let teams = [named("1", "One"), named("2", "Two")];
        let evidence = evidence("org", ("2026-01-05", "2026-01-19"), &rows, &teams, &sprints);
        let headlines = |settings: &Settings| -> Vec<String> {
            findings(&register(), settings, &evidence).into_iter().map(|finding| finding.headline).collect()
        };
        // 50 minutes of one day are 8.3 h in ten.
        let both = ["One team: 2.0 h a sprint automatable (22 %)", "Two team: 8.3 h per 10 days automatable (100 %)"];
        assert_eq!(headlines(&Settings::default()), both);
        assert_eq!(headlines(&Settings { least_hours: 2.1, ..Settings::default() }), both[1..]);
        let deaf = Settings { least_hours: 9.0, ..Settings::default() };
        assert_eq!(headlines(&deaf), [""; 0]);
        let why = findings_or_why_not(&register(), &deaf, &evidence).1;
        assert_eq!(why, "Something here is past its threshold, but too small to be worth a word.");
    }

    #[test]
    fn silence_says_whether_anything_is_past_its_threshold() {
        // The organisation's share is below the threshold, and one team's above it, in a sprint that goes on.
        let rows = [row("2026-01-05", "p", "1", "s", HOUR).automatable(), row("2026-01-05", "q", "2", "t", 99 * HOUR)];
        let sprints = [sprint("s", "1", "2026-01-05", "2026-02-19"), sprint("t", "2", "2026-01-05", "2026-01-19")];
        let teams = [named("1", "One"), named("2", "Two")];
        let why = |rows: &[crate::sample::Row]| {
            let evidence = evidence("org", ("2026-01-05", "2026-01-19"), rows, &teams, &sprints);
            findings_or_why_not(&register(), &Settings::default(), &evidence).1
        };
        assert!(why(&rows).starts_with("Something here is past its threshold. How many hours"));
        assert_eq!(why(&rows[1..]), "Nothing here is past its threshold.");
    }

    #[test]
    fn whoever_has_no_team_is_heard_beside_the_teams_by_those_who_may_see_everything() {
        let rows = [
            row("2026-01-05", "p", "1", "s", HOUR).automatable(),
            row("2026-01-05", "free", "", "", 5 * HOUR).automatable(),
            row("2026-01-06", "free", "", "", HOUR),
            row("2026-01-06", "p", "1", "s", HOUR),
        ];
        let sprints = [sprint("s", "1", "2026-01-05", "2026-01-19")];
        let mut evidence = evidence("org", ("2026-01-05", "2026-01-19"), &rows, &[named("1", "One")], &sprints);
        let found = findings(&register(), &Settings::default(), &evidence);
        let headlines: Vec<&str> = found.iter().map(|finding| &*finding.headline).collect();
        let teams = "One team: 1.0 h a sprint automatable (50 %)";
        assert_eq!(headlines, ["People without a team: 25.0 h per 10 days automatable (83 %)", teams]);
        let rest = &found[0];
        assert_eq!((rest.without_team, rest.recoverable_seconds, rest.confidence.people), (true, 5 * HOUR, 1));
        assert_eq!((rest.confidence.rows, rest.next_step.contains("1 person does it")), (2, true));
        let member = crate::access::sight::Member { person: None, teams: None, minimum: 1 };
        evidence.veil =
            crate::access::Veil::over(&member, &Scope::Organisation, &evidence.directory, &evidence.directory);
        let found = findings(&register(), &Settings::default(), &evidence);
        assert!(found.iter().all(|finding| !finding.without_team), "the teams beside it would tell of few");
    }

    #[test]
    fn a_narrowed_selection_and_a_sprint_with_guests_say_so() {
        let rows = [
            row("2026-01-05", "p", "1", "s", HOUR).automatable(),
            row("2026-01-05", "guest", "2", "s", 5 * HOUR).automatable(),
            row("2026-01-06", "p", "1", "", 3 * HOUR),
        ];
        let sprints = [sprint("s", "1", "2026-01-05", "2026-01-19")];
        let teams = [named("1", "One")];
        let of = |scope: &str| {
            let evidence = evidence(scope, ("2026-01-05", "2026-01-19"), &rows, &teams, &sprints);
            findings(&register(), &Settings::default(), &evidence).remove(0)
        };
        assert_eq!(of("sprint:s").headline, "S: 1.0 h a sprint automatable (100 %, guests included)");
        let narrowed = of("team:1 in s");
        assert_eq!(narrowed.headline, "One team in sprint S: 1.0 h a sprint automatable (100 %)");
        assert_eq!(narrowed.link, "/v1/insights?scope=team:1&sprint=s&from=2026-01-05&to=2026-01-19");
    }

    #[test]
    fn every_finding_names_the_rows_of_its_hours() {
        let register = register();
        for insight in register.insights().filter(|insight| insight.finding.is_some()) {
            let (id, figure) = rows_of_recovery(&register, insight);
            let named = register.insights().find(|insight| insight.id == id).unwrap();
            let beside = figure.map(|(_, id)| named.beside.iter().find(|beside| beside.id == *id).unwrap());
            assert_eq!(beside.map_or(&*named.numerator, |beside| &*beside.numerator), insight.recovers());
        }
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
        assert_eq!(text, "{hours}: 1.0 h in all, 2 people do it");
    }
}
