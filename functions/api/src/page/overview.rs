//! The page of a scope: what it comes to in a sentence, what to do, every figure, and what waste is made of.

use maud::{Markup, html};
use shared::{
    annotator::{
        Register,
        declaration::{Denominator, Insight, Units},
    },
    contribution::{Extent, People, Scope},
};

use super::{
    charts::{self, Bar},
    frame::{Frame, Sheet, page},
    text,
    words::{self, Change, activities_path, changed, coverage, insight_path},
};
use crate::{
    answer::Answer,
    division::{Division, divisions},
    evidence::{Evidence, Group},
    figure::{Figure, Status},
    finding::{Finding, findings_or_why_not, is_past, people, threshold},
    selection::{Address, Range, parameters},
    settings::Settings,
    trend::{Course, Granularity, Period},
};

/// Findings that are shown before the others are folded away.
const FINDINGS_SHOWN: usize = 4;

/// What a page of a scope shows; everything is decided here, so that the templates only print.
#[derive(Debug, Clone)]
pub struct Overview {
    /// What surrounds it.
    pub frame: Frame,
    /// What it is about, in a few words each.
    facts: Vec<String>,
    findings: Vec<Finding>,
    /// Whether they are those of the teams of whoever asks only.
    own_only: bool,
    /// Why there are none, if so.
    silence: &'static str,
    tiles: Vec<Tile>,
    /// Which tile is of all work; the first, if none is.
    leading: usize,
    granularity: Granularity,
    possible: Vec<Granularity>,
    /// What the parts are: `Team` or `Sprint`.
    noun: &'static str,
    parts: Vec<Part>,
}

/// One insight among the others.
#[derive(Debug, Clone)]
struct Tile {
    answer: Answer,
    units: Units,
    threshold: Option<f64>,
    course: Course,
    change: Option<Change>,
    more_is_worse: bool,
    counted: String,
    hours: String,
}

impl Tile {
    /// Whether a figure of this insight is past its threshold.
    fn is_past(&self, figure: &Figure) -> bool {
        is_past(figure, self.threshold)
    }
}

/// One line of the table of teams or sprints.
#[derive(Debug, Clone)]
struct Part {
    address: Address,
    name: String,
    days: Option<Range>,
    complete: bool,
    people: Option<usize>,
    work: Option<Extent>,
    figures: Vec<Figure>,
}

/// The insight that divides all work, known or not, into what it is made of; else the first.
pub fn leading(register: &Register) -> Option<&Insight> {
    let all =
        |insight: &&Insight| !insight.breakdown.is_empty() && matches!(insight.denominator, Denominator::Population(_));
    register.insights().find(all).or_else(|| register.insights().next())
}

/// Whether more of it is worse: of what is waste, and of what can become a finding.
pub fn more_is_worse(insight: &Insight) -> bool {
    insight.finding.is_some() || !insight.breakdown.is_empty()
}

impl Overview {
    /// Decides what the page of `evidence` shows.
    pub fn of(
        register: &Register,
        settings: &Settings,
        frame: Frame,
        evidence: &Evidence,
        granularity: Option<Granularity>,
    ) -> Self {
        let group = evidence.group();
        let granularity = granularity.unwrap_or_else(|| Granularity::fitting(&group));
        let tile = |insight: &Insight| {
            let course = Course::of(insight, evidence, granularity);
            Tile {
                answer: Answer::of(register, insight, &group),
                units: insight.units.clone(),
                threshold: threshold(settings, insight),
                change: Change::of(insight, evidence, &course),
                course: course.worked(granularity),
                more_is_worse: more_is_worse(insight),
                counted: words::counted(insight),
                hours: words::which_hours(insight),
            }
        };
        let part = |division: Division| Part {
            people: division.people(),
            work: division.work(),
            figures: register.insights().map(|insight| division.figure(insight)).collect(),
            address: words::address(&division),
            name: division.name,
            days: division.days,
            complete: division.complete,
        };
        let parts = divisions(evidence);
        let count = parts.len();
        let none_is_told = parts.iter().all(Division::is_hidden);
        let parts: Vec<Part> = parts.into_iter().filter(|_| !none_is_told).map(part).collect();
        let noun = part_noun(&evidence.scope);
        let (findings, silence) = findings_or_why_not(register, settings, evidence);
        Self {
            facts: facts(&frame, &group, noun, count),
            findings,
            own_only: !evidence.group().is_own(),
            silence,
            tiles: register.insights().map(tile).collect(),
            leading: leading(register)
                .and_then(|lead| register.insights().position(|insight| insight.id == lead.id))
                .unwrap_or_default(),
            possible: Granularity::possible(&group),
            granularity,
            noun,
            parts,
            frame,
        }
    }

    /// The one sentence at the top. It is never more than the figures below say.
    pub fn headline(&self) -> String {
        let answers = || self.tiles.iter().map(|tile| &tile.answer.figure);
        let lead = self.tiles.get(self.leading);
        if self.frame.is_empty() {
            "Nothing is captured yet".to_owned()
        } else if answers().all(|figure| figure.rows == Some(0)) {
            "There is no work in these days".to_owned()
        } else if answers().all(|figure| !figure.status.is_told()) {
            "The source does not say enough to measure anything".to_owned()
        } else if let Some((lead, ratio)) = lead.and_then(|lead| Some((lead, lead.answer.figure.ratio?))) {
            self.share_of_waste(lead, ratio)
        } else if let Some(finding) = self.findings.first() {
            finding.headline.clone()
        } else {
            "Nothing here is past its threshold".to_owned()
        }
    }

    fn share_of_waste(&self, lead: &Tile, ratio: f64) -> String {
        // What nobody knows may be waste, too.
        let share = match lead.answer.figure.status {
            Status::Partial => format!("at least {}", text::least_percent(ratio)),
            Status::Measured | Status::NotMeasurable | Status::Hidden => text::share(ratio),
        };
        let whose = match &self.frame.selection.scope {
            Scope::Organisation => "the work".to_owned(),
            Scope::Team(_) | Scope::Person(_) if self.frame.selection.sprint.is_some() => {
                format!("the work of {}", self.frame.name())
            }
            Scope::Team(_) => format!("the {}’s work", self.frame.name()),
            Scope::Sprint(_) => format!("the work of {}", self.frame.name()),
            Scope::Person(_) => format!("{}’s work", self.frame.name()),
        };
        let trend = match lead.change {
            // Nobody can say of two rules what the work did.
            Some(change) if change.logic_changed => String::new(),
            Some(change) if !change.is_visible(&lead.units) => {
                format!(", as much as before {}", text::day(change.since))
            }
            Some(change) if change.difference > 0.0 => format!(", and more than before {}", text::day(change.since)),
            Some(change) => format!(", and less than before {}", text::day(change.since)),
            None => String::new(),
        };
        format!("{} of {whose} is {}{trend}", text::capital(&share), lead.counted)
    }

    /// The page as HTML.
    pub fn render(&self) -> String {
        let headline = self.headline();
        let frame = &self.frame;
        let content = html! {
            p class="kicker" { (self.facts.join(" · ")) }
            h1 { (headline) }
            @if frame.is_empty() {
                (nothing_yet(frame))
            } @else {
                section aria-label="Findings" class="findings" {
                    @if self.findings.is_empty() { p class="say" { (self.silence) } }
                    (words::findings(frame, &self.findings, FINDINGS_SHOWN))
                    @if self.own_only && !self.findings.is_empty() { p class="quiet" { "What stands out in other teams is told to themselves." } }
                }
                (self.figures())
                (self.cards())
                (self.table())
            }
        };
        let query = frame.selection.request().query();
        let sheet = Sheet {
            title: &headline,
            path: "/",
            kept: Vec::new(),
            fields: html! {},
            crumbs: frame.crumbs(Vec::new()),
            data: vec![
                ("insights", format!("/v1/insights{query}")),
                ("as CSV", format!("/v1/insights{query}&format=csv")),
                ("findings", format!("/v1/findings{query}")),
                ("health", "/v1/health".to_owned()),
            ],
        };
        page(frame, &sheet, &content)
    }

    fn figures(&self) -> Markup {
        let others = self.tiles.iter().enumerate().filter(|(index, _)| *index != self.leading);
        html! {
            section aria-label="Figures" class="figures" {
                @if let Some(lead) = self.tiles.get(self.leading) { (self.tile(lead, true)) }
                div class="others" { @for (_, tile) in others { (self.tile(tile, false)) } }
            }
        }
    }

    fn tile(&self, tile: &Tile, lead: bool) -> Markup {
        let answer = &tile.answer;
        let (value, unit) = text::figure(&tile.units, &answer.figure);
        let past = tile.is_past(&answer.figure);
        html! {
            div class=(if lead { "figure lead" } else { "figure" }) {
                p class="name" { a href=(self.frame.address(&insight_path(&answer.id))) { (answer.title) } }
                p class="value" {
                    (value)
                    @if unit == "%" { small { " %" } }
                    @if past { " " span class="act" { (words::shape("act")) span class="hidden" { "past its threshold" } } }
                }
                @if unit != "%" { p class="unit" { (unit) } }
                (charts::sparkline(&tile.course))
                p class="note" {
                    @if let Some(change) = tile.change.filter(|_| answer.figure.ratio.is_some()) {
                        (changed(change, &tile.units, tile.more_is_worse))
                    }
                    @if let Some(covered) = coverage(answer) {
                        @if tile.change.is_some() { br; }
                        (covered)
                    }
                }
            }
        }
    }

    fn cards(&self) -> Markup {
        let Some(lead) = self.tiles.get(self.leading) else { return html! {} };
        let answer = &lead.answer;
        let rows = |part: Option<&str>, stereotype: Option<&str>| {
            let parameters = parameters(
                &[("part", part), ("stereotype", stereotype)]
                    .into_iter()
                    .filter_map(|(name, value)| value.map(|value| (name, value)))
                    .collect::<Vec<_>>(),
            );
            Some(format!("{}{parameters}", self.frame.address(&activities_path(&answer.id))))
        };
        let parts: Vec<Bar> = answer
            .breakdown
            .iter()
            .map(|part| Bar {
                name: text::capital(&part.label),
                href: rows(Some(&part.label), None),
                seconds: part.value,
            })
            .collect();
        let kinds: Vec<Bar> = answer
            .by_stereotype
            .iter()
            .map(|kind| Bar {
                name: kind.name.clone(),
                href: rows(None, Some(&kind.stereotype)),
                seconds: kind.numerator.unwrap_or_default(),
            })
            .collect();
        html! {
            @if answer.figure.status.is_told() {
                section class="columns" aria-label=(answer.title) {
                    div class="card" { (self.trend_card(lead)) }
                    @if !parts.is_empty() {
                        div class="card" { (charts::pareto(parts, &lead.hours, ("kind of waste", "kinds of waste"))) }
                    }
                    @if !kinds.is_empty() {
                        div class="card" { (charts::pareto(kinds, &lead.hours, ("kind of work", "kinds of work"))) }
                    }
                }
            }
        }
    }

    fn trend_card(&self, tile: &Tile) -> Markup {
        let noun = self.granularity.word();
        html! {
            h2 { (tile.answer.title) ": " (trend_title(&tile.units, &tile.course.periods, noun)) }
            p class="quiet" { (text::sign(&tile.units)) ", " (noun) " by " (noun) "; " (switch(&self.frame, "/", self.granularity, &self.possible)) }
            (charts::trend(charts::Line {
                title: &tile.answer.title,
                units: &tile.units,
                threshold: tile.threshold,
                noun,
                course: &tile.course,
                frame: &self.frame,
            }))
        }
    }

    fn table(&self) -> Markup {
        let sprints = self.noun == "Sprint";
        // Who worked in it and how much are the ground of everything after them.
        let order =
            || std::iter::once(self.leading).chain((0..self.tiles.len()).filter(|index| *index != self.leading));
        html! {
            @if !self.parts.is_empty() {
                section class="parts" id="parts" {
                    h2 id="parts-title" { (self.noun) "s" }
                    p class="quiet" { "Each number leads to what is behind it. " (words::shape("act")) " is past its threshold." }
                    div class="card scroll" tabindex="0" role="region" aria-labelledby="parts-title" {
                        table class="lines" {
                            thead { tr {
                                th scope="col" { (self.noun) }
                                @if sprints { th scope="col" { "Planned" } th scope="col" { "Complete" } }
                                th scope="col" class="number" { "People" }
                                th scope="col" class="number" { "Work, h" }
                                @for tile in order().filter_map(|index| self.tiles.get(index)) {
                                    th scope="col" class="number" { (tile.answer.title) @if tile.units.is_share() { ", %" } }
                                }
                            } }
                            tbody { @for part in &self.parts { tr {
                                th scope="row" { a href=(self.frame.address_of_part("/", &part.address)) { (part.name) } }
                                @if sprints {
                                    td class="days" { @if let Some(days) = part.days { (text::days(days)) } @else { (text::NONE) } }
                                    td { @if part.complete { "yes" } @else { "in part" } }
                                }
                                td class="number" { @match part.people { Some(people) => (people), None => "too few to show" } }
                                td class="number" { (part.work.map_or(text::NONE.to_owned(), |work| text::hours(work.seconds))) }
                                @for index in order() { (self.cell(part, index)) }
                            } } }
                        }
                    }
                }
            }
        }
    }

    fn cell(&self, part: &Part, index: usize) -> Markup {
        let Some((figure, tile)) = part.figures.get(index).zip(self.tiles.get(index)) else { return html! { td {} } };
        let past = tile.is_past(figure);
        let name = format!("{}, {}", tile.answer.title, part.name);
        html! {
            td class="number" {
                @match figure.ratio {
                    Some(ratio) => {
                        @if past { span class="act" { (words::shape("act")) span class="hidden" { "past its threshold: " } } }
                        a class="plain" href=(self.frame.address_of_part(&insight_path(&tile.answer.id), &part.address)) aria-label={ (name) ": " (text::reading(&tile.units, ratio)) } {
                            (text::ratio(&tile.units, ratio))
                        }
                    }
                    None => (text::NONE),
                }
            }
        }
    }
}

/// What a scope is made of, in a word.
pub fn part_noun(scope: &Scope) -> &'static str {
    match scope {
        Scope::Organisation | Scope::Sprint(_) => "Team",
        Scope::Team(_) | Scope::Person(_) => "Sprint",
    }
}

/// The other ways to divide the time.
pub fn switch(frame: &Frame, path: &str, shown: Granularity, possible: &[Granularity]) -> Markup {
    html! {
        span class="switch" {
            "by "
            @for (index, granularity) in possible.iter().enumerate() {
                @if index > 0 { " · " }
                @if *granularity == shown {
                    b { (granularity.word()) }
                } @else {
                    a href={ (frame.address(path)) (parameters(&[("granularity", granularity.word())])) } { (granularity.word()) }
                }
            }
        }
    }
}

/// What a trend comes to.
pub fn trend_title(units: &Units, periods: &[Period], noun: &str) -> String {
    let read = |ratio: f64| if units.is_share() { text::reading(units, ratio) } else { text::ratio(units, ratio) };
    let told = || periods.iter().filter_map(|period| Some((period.figure.ratio?, period)));
    let peak = told().max_by(|a, b| a.0.total_cmp(&b.0));
    let Some(((now, last), (most, peak))) = told().next_back().zip(peak) else {
        return format!("{noun} by {noun}");
    };
    let (now, most) = (read(now), read(most));
    if told().count() == 1 {
        format!("{now} in {}", last.name)
    } else if told().all(|(ratio, _)| read(ratio) == now) {
        format!("{now} in every {noun}")
    } else if now == most {
        format!("{now} in {}, as high as in any {noun}", last.name)
    } else {
        format!("{now} in {}, {most} at its peak in {}", last.name, peak.name)
    }
}

fn facts(frame: &Frame, group: &Group, noun: &str, parts: usize) -> Vec<String> {
    let mut facts = vec![match group.scope {
        Scope::Organisation => "All teams".to_owned(),
        _ => frame.name(),
    }];
    if let Some(range) = group.range.filter(|range| range.days() > 0) {
        facts.push(text::range(range));
    }
    if parts > 0 {
        facts.push(text::count(parts, &noun.to_lowercase()));
    }
    if !matches!(group.scope, Scope::Person(_)) && !group.days.is_empty() {
        facts.push(people(group.cells().map(|cell| &cell.people).collect::<People>().len()));
    }
    facts
}

fn nothing_yet(frame: &Frame) -> Markup {
    html! {
        ol class="steps" {
            li { "The intake reads the source on its schedule. "
                @match &frame.health.last_run {
                    Some(run) => { "Its last run, on " (text::instant(run.generation.instant())) ", read " (text::rows(run.counts.read)) " and put " (text::thousands(run.counts.quarantined)) " in quarantine." }
                    None => { "It has not run yet: start it once, or wait for its schedule." }
                }
            }
            li { "Each captured day is annotated and added up. It shows here as soon as that is done, usually within a minute." }
            li { "If nothing comes, " a href=(frame.address("/quality")) { "data quality" } " says what the last runs did and why rows were refused." }
        }
    }
}
