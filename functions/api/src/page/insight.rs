//! The page of one insight: what it means, what it is here and how sure, how it moves, what it is made of, and the way
//! to the activities behind every number.

use maud::{Markup, html};
use shared::annotator::{
    Register,
    declaration::{Aggregate, Denominator, Insight, SECONDS, Units},
};

use super::{
    charts::{self, Bar, Row, Segment, Stack},
    frame::{Frame, Sheet, page},
    overview::{more_is_worse, part_noun, switch, trend_title},
    text,
    words::{self, Change, activities_path, changed, insight_path},
};
use crate::{
    answer::{Answer, BesideFigure, StereotypeFigure},
    division::{Division, by_sprint_day, divisions},
    evidence::{Evidence, Group},
    figure::{Distribution, Figure, Status},
    finding::{Finding, findings_of, people, threshold},
    selection::{Range, parameters},
    settings::Settings,
    trend::{Course, Granularity, Period, trend},
};

/// Different values of which each is a column of its own.
const MOST_COLUMNS: i64 = 32;
/// Kinds of work in a chart of its own beside the table.
const MOST_KINDS: usize = 12;

/// What the page of an insight shows.
#[derive(Debug, Clone)]
pub struct InsightPage {
    frame: Frame,
    insight: Insight,
    answer: Answer,
    findings: Vec<Finding>,
    threshold: Option<f64>,
    granularity: Granularity,
    possible: Vec<Granularity>,
    course: Course,
    change: Option<Change>,
    /// Rest and numerator, by team or sprint.
    by_part: Option<Stack>,
    /// What the parts differ by, as a sentence.
    by_part_title: String,
    /// The declared parts, by team or sprint.
    phases: Option<Stack>,
    /// Rest and numerator, by day of the sprint.
    by_sprint_day: Option<Stack>,
    /// Rest and numerator, by kind of work.
    by_kind: Option<Stack>,
    /// How the values of its column are spread, by week or month.
    spreads: Vec<(String, Distribution)>,
    spread_noun: &'static str,
}

impl InsightPage {
    /// Decides what the page of `insight` shows of `evidence`.
    pub fn of(
        register: &Register,
        settings: &Settings,
        frame: Frame,
        insight: &Insight,
        evidence: &Evidence,
        granularity: Option<Granularity>,
    ) -> Self {
        let group = evidence.group();
        let shown = granularity.unwrap_or_else(|| Granularity::fitting(&group));
        let mut parts = divisions(evidence);
        if parts.iter().all(Division::is_hidden) {
            parts.clear();
        }
        let noun = part_noun(&evidence.scope);
        let answer = Answer::of(register, insight, &group);
        let (spread_noun, spreads) = spreads(register, insight, &group);
        let course = Course::of(insight, evidence, shown);
        Self {
            findings: findings_of(register, settings, insight, evidence),
            threshold: threshold(settings, insight),
            possible: Granularity::possible(&group),
            change: Change::of(insight, evidence, &course),
            course: course.worked(shown),
            by_part: two_parts(insight, noun, rows(&frame, insight, &parts)),
            by_part_title: differ(insight, &parts, &noun.to_lowercase()),
            phases: phases(&frame, insight, &parts, noun),
            by_sprint_day: sprint_days(insight, &group),
            by_kind: kinds(&frame, insight, &answer),
            granularity: shown,
            insight: insight.clone(),
            spread_noun,
            spreads,
            answer,
            frame,
        }
    }

    /// The page as HTML.
    pub fn render(&self) -> String {
        let (answer, frame) = (&self.answer, &self.frame);
        let measurable = answer.figure.status.is_told();
        let path = insight_path(&answer.id);
        let content = html! {
            p class="kicker" { (frame.name()) @if let Some(range) = range(frame) { " · " (text::range(range)) } }
            h1 { (answer.title) }
            p class="lede" { (answer.definition) }
            section class="summary" aria-label="The figure" {
                (self.figure())
                (self.facts())
            }
            @if !self.findings.is_empty() {
                section aria-label="Findings" class="findings" { (words::findings(frame, &self.findings, 2)) }
            }
            @if measurable {
                (self.cards())
                (self.beside())
                (self.kinds())
            }
        };
        let title = format!("{}, {}", answer.title, frame.name());
        let query = frame.selection.request().query();
        let own = format!("/v1/insights/{}", answer.id);
        let trend = format!("{own}/trend{query}{}", parameters(&[("granularity", self.granularity.word())]));
        let sheet = Sheet {
            title: &title,
            path: &path,
            kept: Vec::new(),
            fields: html! {},
            crumbs: frame.crumbs(vec![(answer.title.clone(), Some(String::new()))]),
            data: vec![
                ("this insight", format!("{own}{query}")),
                ("its trend", trend.clone()),
                ("trend as CSV", format!("{trend}&format=csv")),
                ("activities as CSV", format!("{own}/activities{query}&limit=1000&format=csv")),
            ],
        };
        page(frame, &sheet, &content)
    }

    fn figure(&self) -> Markup {
        let units = &self.insight.units;
        let (value, unit) = text::figure(units, &self.answer.figure);
        let past = self.answer.figure.ratio.zip(self.threshold).filter(|(ratio, threshold)| ratio >= threshold);
        html! {
            div class="figure lead" {
                p class="value" { (value) @if unit == "%" { small { " %" } } }
                @if unit != "%" { p class="unit" { (unit) } }
                p class="note" {
                    @if let Some(change) = self.change.filter(|_| self.answer.figure.ratio.is_some()) {
                        (changed(change, units, more_is_worse(&self.insight))) br;
                    }
                    @match (past, self.threshold) {
                        (Some((_, threshold)), _) => { span class="act" { (words::shape("act")) "past its threshold of " (limit(units, threshold)) } },
                        (None, Some(threshold)) if self.answer.figure.ratio.is_some() => { span class="better" { (words::shape("fine")) "below its threshold of " (limit(units, threshold)) } },
                        _ => {}
                    }
                }
            }
        }
    }

    /// The exact sums, how sure they are, and the way to their rows.
    fn facts(&self) -> Markup {
        let (figure, units) = (&self.answer.figure, &self.insight.units);
        html! {
            dl class="facts" {
                @if let Some(numerator) = figure.numerator {
                    dt { "Counted" }
                    dd {
                        (self.sum(numerator, &units.numerator)) " " (words::counted(&self.insight)) " · "
                        a href=(self.activities(&[])) { "the activities" }
                    }
                }
                @if let Some(denominator) = figure.denominator {
                    dt { "Divided by" }
                    dd {
                        (self.sum(denominator, &units.denominator)) " · "
                        a href=(self.activities(&[("side", "denominator")])) { "the activities" }
                    }
                }
                dt { "Status" }
                dd { (status(figure)) }
                @if !figure.reasons.is_empty() {
                    dt { "What cannot tell" }
                    dd {
                        @for (index, (reason, extent)) in figure.reasons.iter().enumerate() {
                            @if index > 0 { "; " }
                            (text::rows(extent.rows)) ", " (text::hours(extent.seconds)) " h: " (text::reason(reason))
                        }
                    }
                } @else if let (Status::Partial, Some(reason)) = (figure.status, &figure.reason) {
                    dt { "What cannot tell" }
                    dd { (text::reason(reason)) }
                }
                dt { "Rests on" }
                dd { @match figure.rows.zip(figure.people) { Some((rows, count)) => { (text::rows(rows)) " of " (people(count)) }, None => "too few people to show" } }
                dt { "Comes from" }
                dd { a href={ (self.frame.address("/lineage")) (parameters(&[("insight", &self.answer.id)])) } { "its objects, runs and rules" } }
                @if let Some(hours) = self.answer.hours_per_sprint {
                    dt { "Pace" }
                    dd {
                        (text::decimal_hours(hours.value)) " h " (hours.basis.words()) ", from " (text::clock(hours.seconds)) " h in "
                        @match hours.days { Some(days) => (text::count(days.unsigned_abs() as usize, "day")), None => (text::count(hours.sprints.unsigned_abs() as usize, "whole sprint")) }
                    }
                }
                @if let Some(own) = self.findings.iter().find(|finding| finding.scope == self.frame.selection.scope) {
                    dt { "Comes back" }
                    dd {
                        (words::recovered(&own.halved, own.currency.as_deref())) " " (own.basis.words()) " if it is halved, "
                        (words::recovered(&own.removed, own.currency.as_deref())) " if it is gone"
                    }
                }
            }
        }
    }

    /// A sum as it is read, and exactly.
    fn sum(&self, value: i64, unit: &str) -> Markup {
        html! {
            @if unit == SECONDS {
                b { (text::hours(value)) " h" } " " span class="quiet" { "(" (text::clock(value)) ", " (text::thousands(value)) " s)" }
            } @else {
                b { (text::thousands(value)) " " (unit) }
            }
        }
    }

    fn activities(&self, pairs: &[(&str, &str)]) -> String {
        format!("{}{}", self.frame.address(&activities_path(&self.answer.id)), parameters(pairs))
    }

    fn cards(&self) -> Markup {
        let units = &self.insight.units;
        let what = words::which_hours(&self.insight);
        let noun = self.granularity.word();
        let parts = self.insight.parts.as_ref().map(|parts| parts.numerator.as_str()).unwrap_or_default();
        let is_time = units.numerator == SECONDS;
        let bars = || {
            self.answer
                .by_stereotype
                .iter()
                .map(|kind| Bar {
                    name: kind.name.clone(),
                    href: Some(self.activities(&[("stereotype", &kind.stereotype)])),
                    seconds: kind.numerator.unwrap_or_default(),
                })
                .collect::<Vec<_>>()
        };
        let phases = || {
            self.answer
                .breakdown
                .iter()
                .map(|part| Bar {
                    name: text::capital(&part.label),
                    href: Some(self.activities(&[("part", &part.label)])),
                    seconds: part.value,
                })
                .collect::<Vec<_>>()
        };
        let histogram = self.answer.distribution.as_ref();
        let minutes = self.insight.distribution.as_deref().is_some_and(|column| column.ends_with("_seconds"));
        html! {
            div class="columns" {
                div class="card" {
                    h2 { (text::capital(&trend_title(units, &self.course.periods, noun))) }
                    p class="quiet" { (text::sign(units)) "; " (switch(&self.frame, &insight_path(&self.answer.id), self.granularity, &self.possible)) }
                    (charts::trend(charts::Line { title: &self.answer.title, units, threshold: self.threshold, noun, course: &self.course, frame: &self.frame }))
                }
                @if let Some(spread) = histogram {
                    div class="card" {
                        h2 { (spread_title(spread, minutes, units.reads.as_deref())) }
                        p class="quiet" { @if minutes { "How many lasted so many minutes" } @else { "On how many " (units.denominator) " it was so many " (units.numerator) } }
                        (charts::histogram(spread, &self.answer.title, &units.numerator, minutes))
                    }
                }
                @if !self.spreads.is_empty() {
                    div class="card" {
                        h2 { (text::capital(&units.numerator)) " by " (self.spread_noun) }
                        p class="quiet" { "How many " (units.denominator) " had so many" }
                        (charts::heatmap(&self.spreads, &format!("{} by {}", self.answer.title, self.spread_noun), &units.numerator, self.spread_noun))
                    }
                }
                @if is_time && consists_of_parts(&self.insight) && !self.answer.breakdown.is_empty() {
                    div class="card" { (charts::pareto(phases(), &what, ("part", "parts"))) }
                }
                @if is_time && !self.answer.by_stereotype.is_empty() {
                    div class="card" { (charts::pareto(bars(), &what, ("kind of work", "kinds of work"))) }
                }
                @if let Some(stack) = &self.by_kind {
                    div class="card" {
                        h2 { "By kind of work" }
                        p class="quiet" { "At the end of a row the share that is " (parts) }
                        (charts::stacked(stack))
                    }
                }
                @if let Some(stack) = &self.by_sprint_day {
                    div class="card" {
                        h2 { "By day of the sprint" }
                        p class="quiet" { "Counted from the first local day of its own sprint; what lies outside of it is left out. At the end of a row the share that is " (parts) }
                        (charts::stacked(stack))
                    }
                }
            }
            @if let Some(stack) = self.phases.as_ref().or(self.by_part.as_ref()) {
                div class="card" {
                    h2 { (self.by_part_title) }
                    p class="quiet" { "At the end of a row the share that is " (parts) }
                    (charts::stacked(stack))
                }
            }
        }
    }

    fn beside(&self) -> Markup {
        html! {
            @if !self.answer.beside.is_empty() {
                section class="besides" aria-label="Beside it" {
                    h2 { "Beside it" }
                    div class="others" {
                        @for beside in &self.answer.beside { (self.beside_figure(beside)) }
                    }
                }
            }
        }
    }

    fn beside_figure(&self, beside: &BesideFigure) -> Markup {
        let (value, unit) = text::figure(&beside.units, &beside.figure);
        html! {
            div class="figure" {
                h3 class="name" { (beside.title) }
                p class="value" { (value) @if unit == "%" { small { " %" } } }
                @if unit != "%" && !unit.is_empty() { p class="unit" { (unit) } }
                p class="note" {
                    @if let Some(spread) = &beside.distribution {
                        @for (index, quantile) in spread.quantiles.iter().enumerate() {
                            @if index > 0 { ", " }
                            @if index == 0 { "median " } @else { "90th percentile " }
                            (charts::quantile_text(quantile, beside.units.numerator == SECONDS))
                        }
                        ". "
                    }
                    (beside.definition)
                    @match (beside.figure.numerator, beside.figure.denominator) {
                        (Some(above), Some(below)) => { " Here " (text::exact(above, &beside.units.numerator)) " ÷ " (text::exact(below, &beside.units.denominator)) "." },
                        _ => {},
                    }
                    @if beside.figure.numerator.is_some_and(|numerator| numerator > 0) {
                        " " a href=(self.activities(&[("figure", &beside.id)])) aria-label={ "The activities behind " (beside.title) } { "The activities" }
                    }
                }
            }
        }
    }

    fn kinds(&self) -> Markup {
        let units = &self.insight.units;
        let (adding, others): (Vec<_>, Vec<_>) =
            self.answer.by_stereotype.iter().partition(|kind| kind.numerator.unwrap_or_default() > 0);
        // What is divided by is all that is left to say of them, together.
        let about = others.iter().filter_map(|kind| kind.denominator).filter(|denominator| *denominator > 0);
        let (idle, idle_denominator) = (about.clone().count(), about.sum::<i64>());
        let paced = self.answer.by_stereotype.iter().any(|kind| kind.hours_per_sprint.is_some());
        html! {
            @if !self.answer.by_stereotype.is_empty() {
                section class="parts" {
                    h2 id="kinds-title" { "Kinds of work" }
                    p class="quiet" { "They add up to the figure; each leads to its activities." }
                    div class="card scroll" tabindex="0" role="region" aria-labelledby="kinds-title" {
                        table class="lines" {
                            thead { tr {
                                th scope="col" { "Kind of work" }
                                th scope="col" class="number" { (text::capital(&words::counted(&self.insight))) ", " (text::exact_unit(&units.numerator)) }
                                th scope="col" class="number" { "of " (text::exact_unit(&units.denominator)) }
                                th scope="col" class="number" { (text::sign(units)) }
                                th scope="col" class="number" { "People" }
                                @if paced {
                                    th scope="col" class="number" { "h " (self.answer.hours_per_sprint.map(|hours| hours.basis.words()).unwrap_or_default()) }
                                }
                            } }
                            tbody {
                                @for kind in adding { (self.kind(kind)) }
                                @if idle > 0 {
                                    tr class="minor" {
                                        th scope="row" { (text::count(idle, "kind").replace("kinds", "other kinds")) ", without any" }
                                        td class="number" { (text::exact(0, &units.numerator)) }
                                        td class="number" { (text::exact(idle_denominator, &units.denominator)) }
                                        td class="number" { (text::optional_ratio(units, Some(0.0))) }
                                        td class="number" { (text::NONE) }
                                        @if paced { td class="number" { (text::decimal_hours(0.0)) } }
                                    }
                                }
                            }
                            @if let Some(hidden) = self.answer.hidden_kinds {
                                tbody { tr class="minor" {
                                    th scope="row" { (text::count(hidden, "more kind")) ", of too few people to show, or of a group whose parts are not shown" }
                                    @for _ in 0..if paced { 5 } else { 4 } { td class="number" { (text::NONE) } }
                                } }
                            }
                            tfoot { tr {
                                th scope="row" { "All of them" }
                                td class="number" { (self.answer.figure.numerator.map_or(text::NONE.to_owned(), |value| text::exact(value, &units.numerator))) }
                                td class="number" { (self.answer.figure.denominator.map_or(text::NONE.to_owned(), |value| text::exact(value, &units.denominator))) }
                                td class="number" { (text::optional_ratio(units, self.answer.figure.ratio)) }
                                td class="number" { (self.answer.figure.people.unwrap_or_default()) }
                                @if paced {
                                    td class="number" { (self.answer.hours_per_sprint.map_or(text::NONE.to_owned(), |hours| text::decimal_hours(hours.value))) }
                                }
                            } }
                        }
                    }
                }
            }
        }
    }

    fn kind(&self, kind: &StereotypeFigure) -> Markup {
        let units = &self.insight.units;
        let exact = |value: Option<i64>, unit: &str| {
            value.map_or_else(|| text::NONE.to_owned(), |value| text::exact(value, unit))
        };
        html! {
            tr {
                th scope="row" { a href=(self.activities(&[("stereotype", &kind.stereotype)])) { (kind.name) } }
                td class="number" { (exact(kind.numerator, &units.numerator)) }
                td class="number" { (exact(kind.denominator, &units.denominator)) }
                td class="number" { (text::optional_ratio(units, kind.ratio)) }
                td class="number" { (kind.people) }
                @if let Some(hours) = kind.hours_per_sprint { td class="number" { (text::decimal_hours(hours)) } }
            }
        }
    }
}

fn range(frame: &Frame) -> Option<Range> {
    let (from, to) = frame.selection.from.zip(frame.selection.to)?;
    (from < to).then_some(Range { from, to })
}

fn limit(units: &Units, threshold: f64) -> String {
    if units.is_share() { text::whole_percent(threshold) } else { text::reading(units, threshold) }
}

fn status(figure: &Figure) -> Markup {
    html! {
        @match (figure.status, figure.covered_share) {
            (Status::Measured, _) => { b { "Measured" } ": every row that it is about can tell" },
            (Status::Partial, Some(share)) => { b { "Partial" } ": rows with " (text::percent(share)) " % of the hours can tell; the others are unknown, not zero" },
            (Status::Partial, None) => { b { "Partial" } ": some rows cannot tell" },
            (Status::Hidden, _) => { b { "Hidden" } ": it is about too few people, or would tell of too few" },
            (Status::NotMeasurable, _) => { b { "Not measurable" } ": " (figure.why().unwrap_or_default()) ". That is not zero: nobody knows" },
        }
    }
}

fn spread_title(spread: &Distribution, minutes: bool, reads: Option<&str>) -> String {
    let end = |index: usize| spread.quantiles.get(index).map(|quantile| quantile.to.map(|to| to / 60));
    let read = |index: usize| spread.quantiles.get(index).map(|quantile| charts::quantile_text(quantile, minutes));
    match (end(0), end(1), read(0), read(1)) {
        (Some(Some(median)), Some(Some(most)), ..) if minutes => {
            format!("Half of them last less than {median} min, nine of ten less than {most} min")
        }
        (_, _, Some(median), Some(most)) if !minutes => {
            format!("{median} {} at the median, {most} at the 90th percentile", reads.unwrap_or_default())
        }
        _ => "How it is spread".to_owned(),
    }
}

/// How the values of the insight's column are spread in each week or month; empty where there are too many values to
/// have a column each.
fn spreads(register: &Register, insight: &Insight, group: &Group) -> (&'static str, Vec<(String, Distribution)>) {
    let column = insight.distribution.as_deref().and_then(|name| register.column(name));
    let Some((column, Some(Aggregate::Histogram { bin: 1, limit }))) = column.map(|column| (column, column.aggregate))
    else {
        return ("week", Vec::new());
    };
    let granularity = match Granularity::fitting(group) {
        Granularity::Month => Granularity::Month,
        _ => Granularity::Week,
    };
    // The bins say nothing of how many people are behind them.
    if limit > MOST_COLUMNS || !group.quorum.asks_nothing() {
        return (granularity.word(), Vec::new());
    }
    let spread = |period: Period| {
        if period.figure.status == Status::Hidden {
            return None;
        }
        let cells = group.days.range(period.from..period.to).flat_map(|(_, day)| &day.by_stereotype);
        Some((period.name, Distribution::of(&column.name, 1, limit, cells)?))
    };
    (granularity.word(), trend(insight, group, granularity).into_iter().filter_map(spread).collect())
}

/// How far the parts differ.
fn differ(insight: &Insight, parts: &[Division], noun: &str) -> String {
    let shares: Vec<(f64, &str)> =
        parts.iter().filter_map(|part| Some((part.figure(insight).ratio?, part.name.as_str()))).collect();
    let by_share = |a: &&(f64, &str), b: &&(f64, &str)| a.0.total_cmp(&b.0);
    let (Some((most, high)), Some((least, low))) = (shares.iter().max_by(by_share), shares.iter().min_by(by_share))
    else {
        return format!("By {noun}");
    };
    let (least, most) = (text::reading(&insight.units, *least), text::reading(&insight.units, *most));
    if shares.len() == 1 {
        format!("{most} in {high}")
    } else if least == most {
        format!("About {most} in every {noun}")
    } else {
        format!("From {least} in {low} to {most} in {high}")
    }
}

/// Numerator and rest of each division, with a link to the insight's page about it.
fn rows(frame: &Frame, insight: &Insight, parts: &[Division]) -> Vec<Row> {
    let row = |part: &Division| Row {
        href: words::link(frame, part, &insight_path(&insight.id)),
        part: !part.complete,
        ..two(insight, &part.name, &part.figure(insight))
    };
    parts.iter().map(row).collect()
}

/// A row of rest and numerator.
fn two(insight: &Insight, name: &str, figure: &Figure) -> Row {
    let values = figure.numerator.zip(figure.denominator);
    Row {
        name: name.to_owned(),
        href: None,
        part: false,
        values: values.map(|(numerator, denominator)| vec![denominator - numerator, numerator]),
        end: figure.ratio.map_or(text::NONE.to_owned(), |ratio| text::reading(&insight.units, ratio)),
    }
}

/// A stack of rest and numerator; `None` where the insight does not name them, or without rows.
fn two_parts(insight: &Insight, noun: &'static str, rows: Vec<Row>) -> Option<Stack> {
    let words = insight.parts.as_ref()?;
    let segment = |label: &str, class| Segment { label: label.to_owned(), class };
    (!rows.is_empty()).then(|| Stack {
        noun,
        end: words.numerator.clone(),
        segments: vec![segment(&words.rest, "one"), segment(&words.numerator, "two")],
        rows,
        shares: false,
    })
}

/// Whether the declared parts are parts of what is counted, not of what it is divided by. Otherwise those that are
/// counted stand out.
fn consists_of_parts(insight: &Insight) -> bool {
    let counted = |column: &String| insight.numerator.contains(column);
    let within = insight.breakdown.iter().flat_map(|part| &part.columns).all(counted);
    // A numerator may be a column of its own that is the sum of the parts.
    within || !insight.breakdown.iter().flat_map(|part| &part.columns).any(counted)
}

/// The declared parts of each division. Where the insight divides all work, what is in none of them is drawn, too.
fn phases(frame: &Frame, insight: &Insight, parts: &[Division], noun: &'static str) -> Option<Stack> {
    if insight.breakdown.is_empty() || parts.is_empty() || insight.units.numerator != SECONDS {
        return None;
    }
    let all_work = matches!(insight.denominator, Denominator::Population(_));
    let columns = |index: usize| insight.breakdown.get(index).map(|part| part.columns.as_slice()).unwrap_or_default();
    let whole = consists_of_parts(insight);
    const STEPS: [&str; 5] = ["step-1", "step-2", "step-3", "step-4", "step-5"];
    // The lightest is close to what is in no part.
    let mut step = STEPS.len().saturating_sub(insight.breakdown.len());
    let mut segments: Vec<Segment> = Vec::new();
    for (index, part) in insight.breakdown.iter().enumerate() {
        let counted = !whole && columns(index).iter().any(|column| insight.numerator.contains(column));
        let class = if counted {
            "two"
        } else {
            step += 1;
            STEPS[(step - 1) % STEPS.len()]
        };
        segments.push(Segment { label: part.label.clone(), class });
    }
    if let Some(words) = insight.parts.as_ref().filter(|_| all_work) {
        segments.push(Segment { label: words.rest.clone(), class: "rest" });
    }
    let row = |part: &Division| {
        let figure = part.figure(insight);
        let mut values: Vec<i64> = part.breakdown(insight).into_iter().map(|part| part.value).collect();
        let sum: i64 = values.iter().sum();
        if all_work {
            values.push(figure.denominator.unwrap_or(sum) - sum);
        }
        Row {
            name: part.name.clone(),
            href: words::link(frame, part, &insight_path(&insight.id)),
            part: !part.complete,
            values: figure.numerator.map(|_| values),
            end: figure.ratio.map_or(text::NONE.to_owned(), |ratio| text::reading(&insight.units, ratio)),
        }
    };
    let end = insight.parts.as_ref().map(|parts| parts.numerator.clone()).unwrap_or_default();
    Some(Stack { noun, end, segments, rows: parts.iter().map(row).collect(), shares: true })
}

fn sprint_days(insight: &Insight, group: &Group) -> Option<Stack> {
    let days = by_sprint_day(group);
    let rows: Vec<Row> = days
        .iter()
        .map(|(_, day)| two(insight, &text::capital(&day.name), &day.figure(insight)))
        .filter(|row| row.values.as_ref().is_some_and(|values| values.iter().sum::<i64>() > 0))
        .collect();
    // One day says nothing about a course.
    (rows.len() > 1).then(|| two_parts(insight, "Day", rows)).flatten()
}

/// Kinds of work with shares of their own: only where the insight is about some rows of a kind, not all work.
fn kinds(frame: &Frame, insight: &Insight, answer: &Answer) -> Option<Stack> {
    if !matches!(insight.denominator, Denominator::Sum(_)) {
        return None;
    }
    let row = |kind: &StereotypeFigure| {
        let (numerator, denominator) = kind.numerator.zip(kind.denominator).filter(|(_, whole)| *whole > 0)?;
        let own = parameters(&[("stereotype", &kind.stereotype)]);
        Some(Row {
            name: kind.name.clone(),
            href: Some(format!("{}{own}", frame.address(&activities_path(&insight.id)))),
            part: false,
            values: Some(vec![denominator - numerator, numerator]),
            end: kind.ratio.map_or(text::NONE.to_owned(), |ratio| text::reading(&insight.units, ratio)),
        })
    };
    let rows: Vec<Row> = answer.by_stereotype.iter().filter_map(row).take(MOST_KINDS).collect();
    two_parts(insight, "Kind of work", rows)
}
