//! The page: readable without a script, one address per state, findings first.

mod charts;
mod text;
mod view;

use maud::{DOCTYPE, Markup, html};
use shared::contribution::Scope;

pub use view::{Change, Part, Section, View, Week};

use crate::{
    Request,
    answer::Answer,
    figure::Status,
    finding::{Finding, people},
    freshness::HealthStatus,
    problem::Problem,
};

/// The style sheet of every page.
pub const STYLE: &str = include_str!("style.css");
/// The icon of every page.
pub const ICON: &str = include_str!("icon.svg");

/// Findings that are shown before the others are folded away.
const FINDINGS_SHOWN: usize = 5;

/// A page as HTML.
pub fn render(view: &View) -> String {
    let headline = view.headline();
    let content = html! {
        (stale(view))
        p class="kicker" { (view.facts.join(" · ")) }
        h1 { (headline) }
        @if view.is_empty() {
            (nothing_yet(view))
        } @else {
            (findings(view))
            (figures(view))
            @for (index, (answer, section)) in view.overview.insights.iter().zip(&view.sections).enumerate() {
                (insight(view, index, answer, section))
            }
            (parts(view))
        }
    };
    layout(&headline, Some(view), &content)
}

/// A refusal as HTML.
pub fn refusal(problem: &Problem) -> String {
    let content = html! {
        p class="kicker" { (problem.status.as_u16()) }
        h1 { (problem.title) }
        p { (problem.detail) }
        p { a href="/" { "Go to the organisation’s last 13 weeks" } }
    };
    layout(problem.title, None, &content)
}

fn layout(title: &str, view: Option<&View>, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · wastewalk" }
                link rel="icon" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/style.css";
            }
            body {
                a class="skip" href="#content" { "Skip to the content" }
                header {
                    div class="width bar-top" {
                        a class="brand" href="/" { "wastewalk" }
                        @if let Some(view) = view { (form(view)) }
                    }
                }
                main id="content" class="width" tabindex="-1" { (content) }
                @if let Some(view) = view { (footer(view)) }
            }
        }
    };
    page.into_string()
}

fn form(view: &View) -> Markup {
    let selection = &view.overview.selection;
    let teams = view.choices.iter().filter(|(scope, _)| matches!(scope, Scope::Team(_)));
    let others = view.choices.iter().filter(|(scope, _)| !matches!(scope, Scope::Organisation | Scope::Team(_)));
    let option = |(scope, name): &(Scope, String)| {
        html! { option value=(scope) selected[*scope == selection.scope] { (name) } }
    };
    html! {
        form action="/" method="get" {
            label { "Whose" select name="scope" {
                @for choice in view.choices.iter().filter(|(scope, _)| *scope == Scope::Organisation) { (option(choice)) }
                optgroup label="Teams" { @for choice in teams { (option(choice)) } }
                @if others.clone().next().is_some() {
                    optgroup label="Others" { @for choice in others { (option(choice)) } }
                }
            } }
            label { "From" input type="date" name="from" value=[selection.from]; }
            label { "Before" input type="date" name="to" value=[selection.to]; }
            button { "Show" }
        }
    }
}

fn stale(view: &View) -> Markup {
    let run = view.health.last_run.as_ref();
    let failed = run.and_then(|run| run.failed.as_ref());
    html! {
        @if view.health.status == HealthStatus::Stale || failed.is_some() {
            p class="notice" {
                @match (run, failed) {
                    (Some(run), Some(reason)) => {
                        "The run of " (text::instant(run.generation.instant())) " failed: "
                        (shortened(reason.as_str().unwrap_or("see its record"))) ". "
                    }
                    (Some(run), None) => { "The source was last read on " (text::instant(run.generation.instant())) ". " }
                    (None, _) => { "No run of the intake has left a record. " }
                }
                "What was captured before stays as it is."
            }
        }
    }
}

/// A cause can be as long as a driver makes it; the whole of it is in the run's record.
fn shortened(reason: &str) -> String {
    const LONGEST: usize = 160;
    match reason.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &reason[..end]),
        None => reason.trim_end_matches('.').to_owned(),
    }
}

fn nothing_yet(view: &View) -> Markup {
    html! {
        ol class="steps" {
            li { "The intake reads the source on its schedule. "
                @match &view.health.last_run {
                    Some(run) => { "Its last run, on " (text::instant(run.generation.instant())) ", read " (text::count(run.counts.read.unsigned_abs() as usize, "row")) " and put " (text::thousands(run.counts.quarantined)) " in quarantine." }
                    None => { "It has not run yet: start it once, or wait for its schedule." }
                }
            }
            li { "Each captured day is annotated and added up. It shows here as soon as that is done, usually within a minute." }
            li { "If nothing comes, " a href="/v1/health" { "/v1/health" } " says what the last run did and why rows were refused." }
        }
    }
}

fn findings(view: &View) -> Markup {
    let findings = &view.overview.findings;
    let (shown, folded) = findings.split_at(findings.len().min(FINDINGS_SHOWN));
    html! {
        section aria-label="Findings" class="findings" {
            @if view.lacks_sprint() {
                p class="say" { "Something here is past its threshold. Choose days that hold a whole sprint to see how much." }
            }
            @for (index, found) in shown.iter().enumerate() { (finding(view, found, index == 0)) }
            @if !folded.is_empty() {
                details {
                    summary { "Show " (text::count(folded.len(), "smaller finding")) }
                    @for found in folded { (finding(view, found, false)) }
                }
            }
        }
    }
}

fn finding(view: &View, finding: &Finding, first: bool) -> Markup {
    let own = finding.scope == view.overview.selection.scope;
    let page = if own { String::new() } else { link(&view.request, &finding.scope) };
    html! {
        article {
            h2 { a href={ (page) "#" (finding.id) } { (finding.headline) } }
            @if first {
                p class="status act" { (shape("act")) "Act first" }
            } @else {
                p class="status watch" { (shape("watch")) "Watch" }
            }
            p class="say" {
                (finding.next_step) " Halving it all returns " (format!("{:.1}", finding.halved_returns_hours_per_sprint)) " h " (finding.basis.words()) "."
                @if !finding.team_controls { " The team cannot do it alone." }
                " " span class="quiet" { (sure(finding)) }
            }
        }
    }
}

fn sure(finding: &Finding) -> String {
    let rows = text::count(finding.confidence.rows.unsigned_abs() as usize, "row");
    let covered = match finding.confidence.covered_share {
        Some(share) if finding.confidence.status == Status::Partial => {
            format!(", which can tell for {} of their hours", text::whole_percent(share))
        }
        _ => String::new(),
    };
    format!("From {rows} of {}{covered}.", people(finding.confidence.people))
}

/// Status is shape, colour and word: no one of them alone.
fn shape(kind: &str) -> Markup {
    html! {
        svg class="shape" viewBox="0 0 10 10" aria-hidden="true" focusable="false" {
            @match kind {
                "act" => rect width="10" height="10" {},
                "watch" => path d="M5 0L10 5L5 10L0 5Z" {},
                "up" => path d="M5 1L10 9H0Z" {},
                _ => path d="M5 9L0 1H10Z" {},
            }
        }
    }
}

fn figures(view: &View) -> Markup {
    html! {
        section aria-label="Figures" class="figures" {
            @for (answer, section) in view.overview.insights.iter().zip(&view.sections) {
                div class="figure" {
                    p class="name" { a href={ "#" (answer.id) } { (answer.title) } }
                    p class="value" {
                        @match answer.figure.ratio {
                            Some(ratio) => { (text::percent(ratio)) " " small { "%" } }
                            None => "–",
                        }
                    }
                    (charts::sparkline(&section.weeks))
                    p class="note" { (note(answer, section)) }
                }
            }
        }
    }
}

fn note(answer: &Answer, section: &Section) -> Markup {
    html! {
        @match (answer.figure.status, answer.figure.covered_share) {
            (Status::NotMeasurable, _) => { "not measurable: " (answer.figure.why().unwrap_or_default()) },
            (Status::Partial, Some(share)) => { (text::percent(share)) " % of the hours can tell" br; },
            _ => {},
        }
        @if let Some(change) = section.change.filter(|_| answer.figure.ratio.is_some()) { (changed(change, section.threshold.is_some())) }
    }
}

/// More of what can become a finding is worse; of anything else nobody knows.
fn changed(change: Change, judged: bool) -> Markup {
    let points = (change.difference * 100.0).abs();
    let up = change.difference > 0.0;
    let class = match (judged, up) {
        (false, _) => "",
        (true, true) => "worse",
        (true, false) => "better",
    };
    html! {
        @if points < 0.5 {
            "unchanged since " (text::day(change.since))
        } @else {
            span class=(class) { (shape(if up { "up" } else { "down" })) (if up { "up " } else { "down " }) (format!("{points:.1}")) " points" }
            " since " (text::day(change.since))
        }
    }
}

fn insight(view: &View, index: usize, answer: &Answer, section: &Section) -> Markup {
    let measurable = answer.figure.status != Status::NotMeasurable;
    html! {
        section class="insight" id=(answer.id) aria-labelledby={ (answer.id) "-title" } {
            h2 id={ (answer.id) "-title" } { (answer.title) }
            p class="definition" { (answer.definition) " " (sum(answer)) }
            @if measurable {
                div class="cards" {
                    div class="card" { (charts::pareto(answer, section)) }
                    div class="card" {
                        h3 { (trend_title(section)) }
                        p class="quiet" { "%, week by week" }
                        (charts::trend(answer, section))
                    }
                    @if section.parts.is_some() && !view.parts.is_empty() {
                        div class="card broad" {
                            h3 { (spread(view, index)) }
                            p class="quiet" { "Hours, and the share that is " (section.parts.as_ref().map(|parts| parts.numerator.as_str()).unwrap_or_default()) }
                            (charts::stacked(index, section, &view.parts, |part| format!("{}#{}", link(&view.request, &part.scope), answer.id)))
                        }
                    }
                }
            } @else {
                p class="notice" { "This cannot be measured here: " (answer.figure.why().unwrap_or_default()) "." }
            }
        }
    }
}

/// The exact sum behind the share.
fn sum(answer: &Answer) -> Markup {
    html! {
        @if let Some((numerator, denominator)) = answer.figure.numerator_seconds.zip(answer.figure.denominator_seconds) {
            "Here: " (text::hours(numerator)) " of " (text::hours(denominator)) " h"
            @if let Some(hours) = answer.hours_per_sprint {
                ", " (format!("{:.1}", hours.value)) " h " (hours.basis.words())
            }
            "."
        }
    }
}

fn trend_title(section: &Section) -> String {
    let weeks = || section.weeks.iter().filter_map(|week| Some((week.figure.ratio?, &week.name)));
    let peak = weeks().max_by(|a, b| a.0.total_cmp(&b.0));
    let Some(((now, name), (most, peak))) = weeks().next_back().zip(peak) else {
        return "Week by week".to_owned();
    };
    let (now, most) = (text::percent(now), text::percent(most));
    if section.weeks.len() == 1 {
        format!("{now} % in {name}")
    } else if weeks().all(|(ratio, _)| text::percent(ratio) == now) {
        format!("{now} % in every week")
    } else if now == most {
        format!("{now} % in {name}, as high as in any week")
    } else {
        format!("{now} % in {name}, {most} % at its peak in {peak}")
    }
}

/// How far the parts differ.
fn spread(view: &View, index: usize) -> String {
    let shares = || {
        let shares = view.parts.iter();
        shares.filter_map(|part| Some((part.figures.get(index)?.ratio?, part)))
    };
    let by_share = |a: &(f64, &Part), b: &(f64, &Part)| a.0.total_cmp(&b.0);
    let noun = view.part_noun.to_lowercase();
    let (Some((most, high)), Some((least, low))) = (shares().max_by(by_share), shares().min_by(by_share)) else {
        return format!("By {noun}");
    };
    let (least, most) = (format!("{} %", text::percent(least)), format!("{} %", text::percent(most)));
    if high.scope == low.scope {
        format!("{most} in {}", high.name)
    } else if least == most {
        format!("About {most} in every {noun}")
    } else {
        format!("From {least} in {} to {most} in {}", low.name, high.name)
    }
}

fn parts(view: &View) -> Markup {
    html! {
        @if !view.parts.is_empty() {
            section class="insight" id="parts" aria-labelledby="parts-title" {
                h2 id="parts-title" { (view.part_noun) "s" }
                div class="card scroll" tabindex="0" role="region" aria-labelledby="parts-title" {
                    table class="parts" {
                        thead { tr {
                            th scope="col" { (view.part_noun) }
                            th scope="col" class="number" { "People" }
                            @for answer in &view.overview.insights { th scope="col" class="number" { (answer.title) ", %" } }
                        } }
                        tbody { @for part in &view.parts { tr {
                            th scope="row" {
                                a href=(link(&view.request, &part.scope)) { (part.name) }
                                @if part.incomplete { " " span class="quiet" { "(not whole in these days)" } }
                            }
                            td class="number" { (part.people) }
                            @for figure in &part.figures { td class="number" { (charts::optional_percent(figure.ratio)) } }
                        } } }
                    }
                }
            }
        }
    }
}

fn footer(view: &View) -> Markup {
    let overview = &view.overview;
    let query = overview.selection.request().query();
    html! {
        footer {
            div class="width" {
                p {
                    @match view.health.data_as_of.or(overview.data_as_of) {
                        Some(instant) => { "Data as of " (text::instant(instant)) "; " }
                        None => { "No data; " }
                    }
                    "logic " code { (overview.logic) }
                    @if let Some(run) = &view.health.last_run {
                        "; " (text::count(run.counts.read.unsigned_abs() as usize, "row")) " read in the last run, "
                        (text::thousands(run.counts.quarantined)) " in quarantine"
                    }
                    "."
                }
                p { "The same as JSON: "
                    a href={ "/v1/insights" (query) } { "insights" } ", "
                    a href={ "/v1/findings" (query) } { "findings" } ", "
                    a href="/v1/health" { "health" } "."
                }
            }
        }
    }
}

/// The page of another scope over the same range.
fn link(request: &Request, scope: &Scope) -> String {
    format!("/{}", request.of(scope.clone()).query())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        evidence::Evidence,
        freshness::Health,
        sample::{self, HOUR, evidence, four_teams, named, row, sprint},
    };

    fn health() -> Health {
        let json =
            serde_json::json!({"read": 48_210, "written": 212, "unchanged": 47_994, "quarantined": 3, "open": 1});
        Health {
            status: HealthStatus::Ok,
            data_as_of: None,
            newest_day: None,
            last_run: Some(crate::freshness::LastRun {
                generation: "20261102T060000Z".parse().unwrap(),
                source: "demo".into(),
                counts: serde_json::from_value(json).unwrap(),
                failed: None,
            }),
            quarantined_by_reason: BTreeMap::new(),
        }
    }

    fn page(evidence: &Evidence) -> String {
        let request = sample::request(&evidence.scope.to_string());
        render(&View::of(sample::register(), request, evidence, health()))
    }

    fn hostile() -> Evidence {
        let name = r#"<script>alert("1")</script>' style="x"#;
        let rows: Vec<_> = (0..10)
            .map(|index| {
                let day = sample::day("2026-01-05").plus(index).to_string();
                row(&day, "p", "a&b", "s", HOUR).automatable()
            })
            .collect();
        let sprints = [sprint("s", "a&b", "2026-01-05", "2026-01-19")];
        evidence("org", ("2026-01-05", "2026-01-19"), &rows, &[named("a&b", name)], &sprints)
    }

    fn empty() -> Evidence {
        Evidence {
            range: None,
            newest: None,
            data_as_of: None,
            days_captured: 0,
            days: BTreeMap::new(),
            teams: BTreeMap::new(),
            ..hostile()
        }
    }

    /// Also where to look at them: `target/pages/*.html`.
    #[test]
    fn every_page_is_clean_under_its_own_content_security_policy() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/pages");
        std::fs::create_dir_all(folder).unwrap();
        let pages = [
            ("overview", page(&four_teams("org"))),
            ("team", page(&four_teams("team:1"))),
            ("sprint", page(&four_teams("sprint:s1-42"))),
            ("person", page(&four_teams("person:1-0"))),
            ("hostile", page(&hostile())),
            ("empty", page(&empty())),
            ("refusal", refusal(&Problem::NOT_FOUND)),
        ];
        for (name, page) in pages {
            for wrong in ["style=", "<style", "<script", "javascript:", "onload=", "NaN", "inf%"] {
                // A hostile name may say so, as text.
                let page = page.replace("' style=&quot;", "");
                assert!(!page.contains(wrong), "{name} contains {wrong}");
            }
            // The address of a page ends with its query; a folder of files has no server to read it.
            let page = page.replace("/assets/", "");
            std::fs::write(format!("{folder}/{name}.html"), page).unwrap();
        }
        std::fs::write(format!("{folder}/style.css"), STYLE).unwrap();
        std::fs::write(format!("{folder}/icon.svg"), ICON).unwrap();
    }

    #[test]
    fn names_from_the_source_are_text_wherever_they_appear() {
        let page = page(&hostile());
        assert!(page.contains("&lt;script&gt;alert("));
        assert!(page.contains("/?scope=team:a%26b"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn the_headline_says_the_biggest_finding_and_nothing_more_than_is_so() {
        let headline = |evidence: &Evidence| {
            View::of(sample::register(), sample::request(&evidence.scope.to_string()), evidence, health()).headline()
        };
        assert_eq!(headline(&four_teams("org")), "147 hours a sprint in the Platform team are automatable");
        assert_eq!(headline(&four_teams("team:1")), "147 hours a sprint are automatable");
        assert_eq!(headline(&empty()), "Nothing is captured yet");
        let calm = [row("2026-01-05", "p", "1", "s", HOUR)];
        let sprints = [sprint("s", "1", "2026-01-05", "2026-01-19")];
        let range = ("2026-01-05", "2026-01-19");
        assert_eq!(headline(&evidence("team:1", range, &calm, &[], &sprints)), "Nothing here is past its threshold");
        let loud = [row("2026-01-05", "p", "1", "s", HOUR).automatable()];
        assert_eq!(
            headline(&evidence("team:1", ("2026-01-05", "2026-01-18"), &loud, &[], &sprints)),
            "These days hold no whole sprint, so nothing is said per sprint"
        );
        assert_eq!(
            headline(&evidence("team:1", range, &[loud[0].clone().leave()], &[], &sprints)),
            "There is no work in these days"
        );
    }

    #[test]
    fn a_page_says_when_the_source_could_not_be_read_and_why() {
        let page = |failed: Option<serde_json::Value>| {
            let mut health = Health { status: HealthStatus::Stale, ..health() };
            health.last_run.as_mut().unwrap().failed = failed;
            render(&View::of(sample::register(), sample::request("org"), &hostile(), health))
        };
        assert!(page(None).contains("The source was last read on 2 Nov 2026, 06:00 UTC. What was captured before"));
        let failed = page(Some("the <source> is gone".into()));
        assert!(failed.contains("failed: the &lt;source&gt; is gone. What was captured before stays"));
        assert!(!failed.contains("last read on"), "that run did not read it");
        assert_eq!(shortened(&"ö".repeat(500)).chars().count(), 162);
    }

    /// Relative luminance, WCAG 2.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn text_keeps_its_contrast_in_both_schemes() {
        let tokens = |scheme: &'static str| -> BTreeMap<&str, &str> {
            let lines = scheme.split('}').next().unwrap().lines();
            lines.filter_map(|line| line.trim().strip_suffix(';')?.split_once(": ")).collect()
        };
        let schemes: Vec<_> = STYLE.split(":root {").skip(1).map(tokens).collect();
        assert_eq!(schemes.len(), 2);
        for tokens in schemes {
            let on_both = ["--ink", "--quiet", "--link", "--mark", "--act", "--watch", "--better", "--one"];
            let mut pairs: Vec<(&str, &str)> =
                on_both.iter().flat_map(|text| [(*text, "--paper"), (*text, "--card")]).collect();
            pairs.extend([("--on-one", "--one"), ("--on-two", "--two")]);
            for (text, ground) in pairs {
                let (a, b) = (luminance(tokens[text]), luminance(tokens[ground]));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
            }
        }
    }
}
