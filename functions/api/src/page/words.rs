//! What pages say in the same words: findings, changes, shapes of a state.

use maud::{Markup, html};
use shared::annotator::declaration::{SECONDS, Units};

use super::{frame::Frame, text};
use crate::{
    answer::Answer,
    division::Division,
    evidence::Evidence,
    figure::Status,
    finding::Finding,
    selection::{Address, Range},
    settings::Recovery,
    trend::{Course, figure_in},
};
use shared::{annotator::declaration::Insight, time::LocalDay};

/// Two halves of a shorter range say little about each other.
const COMPARABLE_DAYS: i64 = 28;

/// The later half of the range against the earlier one of the same length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The difference of the two ratios.
    pub difference: f64,
    /// The first day of the later half.
    pub since: LocalDay,
    /// Whether the logic of the figure changed, and may be why: then not only the work did.
    pub logic_changed: bool,
}

impl Change {
    /// How `insight`, whose course is given, changed; `None` for a short range, and where a half has no ratio.
    pub fn of(insight: &Insight, evidence: &Evidence, course: &Course) -> Option<Self> {
        let group = &evidence.group();
        let range = group.range.filter(|range| range.days() >= COMPARABLE_DAYS)?;
        let half = range.days() / 2;
        let since = range.to.plus(-half);
        let ratio = |from, to| figure_in(insight, group, Range { from, to }).ratio;
        if !group.tells_of_each(|day, _| (since.plus(-half) <= day).then_some(day < since), insight) {
            return None;
        }
        let difference = ratio(since, range.to)? - ratio(since.plus(-half), since)?;
        let logic_changed = !course.markers.is_empty() && !course.is_settled();
        Some(Self { difference, since, logic_changed })
    }

    /// Whether anybody would notice.
    pub fn is_visible(self, units: &Units) -> bool {
        let least = if units.is_share() { 0.5 } else { 0.05 };
        (self.difference * text::factor(units)).abs() >= least
    }
}

/// More of what can become a finding is worse; of anything else nobody knows. `more_is_worse` says which it is.
pub fn changed(change: Change, units: &Units, more_is_worse: bool) -> Markup {
    let points = (change.difference * text::factor(units)).abs();
    let noun = if units.is_share() { " points" } else { "" };
    let up = change.difference > 0.0;
    let class = match (more_is_worse && !change.logic_changed, up) {
        (false, _) => "",
        (true, true) => "worse",
        (true, false) => "better",
    };
    html! {
        @if !change.is_visible(units) {
            "unchanged since " (text::day(change.since))
        } @else {
            span class=(class) { (shape(if up { "up" } else { "down" })) (if up { "up " } else { "down " }) (text::rounded(points, 1)) (noun) }
            " since " (text::day(change.since))
            @if change.logic_changed { ", by a logic that changed" }
        }
    }
}

/// Status is shape, colour and word: no one of them alone.
pub fn shape(kind: &str) -> Markup {
    html! {
        svg class="shape" viewBox="0 0 10 10" aria-hidden="true" focusable="false" {
            @match kind {
                "act" => rect width="10" height="10" {},
                "watch" => path d="M5 0L10 5L5 10L0 5Z" {},
                "up" => path d="M5 1L10 9H0Z" {},
                "fine" => circle cx="5" cy="5" r="5" {},
                _ => path d="M5 9L0 1H10Z" {},
            }
        }
    }
}

/// Some findings, the first `shown` of them unfolded.
pub fn findings(frame: &Frame, findings: &[Finding], shown: usize) -> Markup {
    let (shown, folded) = findings.split_at(findings.len().min(shown));
    html! {
        @for (index, found) in shown.iter().enumerate() { (finding(frame, found, index == 0)) }
        @if !folded.is_empty() {
            details {
                summary { "Show " (text::count(folded.len(), "smaller finding")) }
                @for found in folded { (finding(frame, found, false)) }
            }
        }
    }
}

fn finding(frame: &Frame, finding: &Finding, first: bool) -> Markup {
    let per = finding.basis.words();
    html! {
        article {
            @let whose = Address { scope: finding.scope.clone(), sprint: finding.sprint.clone() };
            h2 { a href=(frame.address_of_part(&insight_path(&finding.id), &whose)) { (finding.headline) } }
            @if first {
                p class="status act" { (shape("act")) "Act first" }
            } @else {
                p class="status watch" { (shape("watch")) "Watch" }
            }
            p class="say" {
                (finding.next_step) " Halving it returns " (recovered(&finding.halved, finding.currency.as_deref())) " " (per) "."
                @if !finding.team_controls { " The team cannot do it alone." }
                " " span class="quiet" { (finding.confidence.words()) }
            }
        }
    }
}

/// Hours that come back, with what they are in days and money.
pub fn recovered(recovery: &Recovery, currency: Option<&str>) -> String {
    let mut text = format!("{} h", text::decimal_hours(recovery.hours));
    text.push_str(&format!(" ({} working days", text::rounded(recovery.working_days, 1)));
    if let Some((money, currency)) = recovery.money.zip(currency) {
        text.push_str(&format!(", {} {currency}", text::thousands(money.round() as i64)));
    }
    text + ")"
}

/// Where an insight's page is.
pub fn insight_path(id: &str) -> String {
    format!("/insights/{id}")
}

/// Where the activities behind an insight are.
pub fn activities_path(id: &str) -> String {
    format!("/insights/{id}/activities")
}

/// How much of what it is about a figure can tell, in a few words; nothing where it is all.
pub fn coverage(answer: &Answer) -> Option<String> {
    match (answer.figure.status, answer.figure.covered_share) {
        (Status::Hidden, _) => Some("hidden: too few people".to_owned()),
        (Status::NotMeasurable, _) => Some(format!("not measurable: {}", answer.figure.why().unwrap_or_default())),
        (Status::Partial, Some(share)) => Some(format!("{} % of the hours can tell", text::percent(share))),
        _ => None,
    }
}

/// What a figure's hours are, in a few words: `waste`, `rated 1 or 2`; nothing where it does not count hours.
pub fn counted(insight: &Insight) -> String {
    let adjective = insight.finding.as_ref().map(|finding| finding.adjective.clone());
    let part = insight.parts.as_ref().map(|parts| parts.numerator.clone());
    let words = part.or(adjective).filter(|_| insight.units.numerator == SECONDS);
    words.unwrap_or_default()
}

/// Which hours are drawn, after the word `Hours`: `out of sprint`, `of waste`.
pub fn which_hours(insight: &Insight) -> String {
    let adjective = insight.finding.as_ref().map(|finding| finding.adjective.clone());
    adjective.unwrap_or_else(|| format!("of {}", counted(insight)))
}

/// A link to the page of a part, unless that part is the page.
pub fn link(frame: &Frame, part: &Division, path: &str) -> Option<String> {
    let part = address(part);
    let here = Address { scope: frame.selection.scope.clone(), sprint: frame.selection.sprint.clone() };
    (part != here).then(|| frame.address_of_part(path, &part))
}

/// Where a part leads: to exactly its numbers, or to all of it where those are told only beside others.
pub fn address(part: &Division) -> Address {
    part.address.clone().unwrap_or_else(|| Address::all_of(part.scope.clone()))
}
