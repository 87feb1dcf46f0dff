//! The page of where a figure comes from: by which rules in words, from which objects and runs, day by day.

use maud::{Markup, html};
use shared::annotator::declaration::Insight;

use super::{
    frame::{Frame, Sheet, page},
    text,
    words::{activities_path, insight_path},
};
use crate::{
    Request,
    lineage::{Lineage, Origin, Question, Rule},
    selection::{Range, parameters},
};

/// Digits of a digest that tell it from the others on a page.
const DIGITS: usize = 12;

/// What the page of a lineage shows.
#[derive(Debug, Clone)]
pub struct LineagePage<'a> {
    /// What surrounds it.
    pub frame: Frame,
    /// What was asked.
    pub question: &'a Question,
    /// The insight whose figure it is.
    pub insight: &'a Insight,
    /// The days behind it.
    pub lineage: Lineage,
}

impl LineagePage<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let (frame, lineage, title) = (&self.frame, &self.lineage, &self.insight.title);
        let range = frame.selection.from.zip(frame.selection.to).filter(|(from, to)| from < to);
        let content = html! {
            p class="kicker" { (frame.name()) @if let Some((from, to)) = range { " · " (text::range(Range { from, to })) } }
            h1 { "Where “" (title) "” comes from" }
            (self.statement())
            (self.rules())
            @if lineage.days.is_empty() {
                p class="notice" { "There are no rows in these days." }
            } @else {
                (self.days())
                (self.pager())
            }
        };
        let sheet = Sheet {
            title: &format!("Where “{title}” comes from"),
            path: "/lineage",
            kept: self.question.parameters(),
            fields: html! {},
            crumbs: frame.crumbs(vec![
                (title.clone(), Some(frame.address(&insight_path(&self.insight.id)))),
                ("Lineage".to_owned(), None),
            ]),
            data: vec![("this lineage", format!("/v1{}", self.address(&lineage.selection.request(), None)))],
        };
        page(frame, &sheet, &content)
    }

    /// What the days add up to, exactly.
    fn statement(&self) -> Markup {
        let Lineage { numerator, denominator, units, before, days, next, .. } = &self.lineage;
        let exact = |value: i64, unit: &str| format!("{} {}", text::exact(value, unit), text::exact_unit(unit));
        let here: i64 = days.iter().filter_map(|day| day.numerator).sum();
        html! {
            p class="lede" {
                @match numerator {
                    None => "The figure is not measurable in these days.",
                    Some(total) => {
                        "The figure counts " b { (exact(*total, &units.numerator)) }
                        @if let Some(denominator) = denominator { " and divides by " b { (exact(*denominator, &units.denominator)) } }
                        ". "
                        @match before {
                            None => "Days with too few people are not told.",
                            Some(before) if next.is_none() => {
                                @if *before > 0 { "With the pages before, the days" } @else { "The days" } " below add up to " b { (exact(before + here, &units.numerator)) } ": the figure, exactly."
                            },
                            Some(before) => { "Up to here the days add up to " b { (exact(before + here, &units.numerator)) } "." },
                        }
                    }
                }
            }
        }
    }

    fn rules(&self) -> Markup {
        html! {
            section class="parts" {
                h2 { "The rules, in words" }
                p { (self.insight.definition) }
                @for run in &self.lineage.logics {
                    p class="quiet" {
                        (text::range(Range { from: run.from, to: run.to })) ": " (text::count(run.days, "day")) " by logic " code { (run.logic) }
                        @if !run.notes.is_empty() { ". What changed: " (run.notes.join("; ")) }
                    }
                }
                @for (annotator, rules) in self.annotators() {
                    h3 { (annotator) @for rule in &rules { " " code { (rule.version) } } }
                    ul class="plain-list" {
                        @for change in rules.iter().max_by_key(|rule| rule.history.len()).into_iter().flat_map(|rule| &rule.history) {
                            li { "Version " (change.version) ": " (change.note) }
                        }
                    }
                }
                p class="quiet" { a href=(self.frame.address("/logics")) { "Every logic and its annotators" } }
            }
        }
    }

    /// Each annotator with the versions that some day has.
    fn annotators(&self) -> Vec<(&str, Vec<&Rule>)> {
        let mut annotators: Vec<(&str, Vec<&Rule>)> = Vec::new();
        for rule in &self.lineage.rules {
            match annotators.iter_mut().find(|(name, _)| *name == rule.annotator) {
                Some((_, rules)) => rules.push(rule),
                None => annotators.push((&rule.annotator, vec![rule])),
            }
        }
        annotators
    }

    fn days(&self) -> Markup {
        let units = &self.lineage.units;
        html! {
            section class="parts" {
                h2 id="days-title" { "The days" }
                p class="quiet" { "An object’s name says which bytes it has, by their SHA-256, and every reader checks it. " code { "source_row" } " of its rows is the record of the source, whole." }
                div class="card scroll" tabindex="0" role="region" aria-labelledby="days-title" {
                    table class="lines origins" {
                        thead { tr {
                            th scope="col" { "Day" }
                            th scope="col" class="number" { "Adds, " (text::exact_unit(&units.numerator)) }
                            @if self.lineage.denominator.is_some() { th scope="col" class="number" { "of " (text::exact_unit(&units.denominator)) } }
                            th scope="col" { "Captured" } th scope="col" { "From" } th scope="col" { "Object" } th scope="col" { "Annotations" }
                        } }
                        tbody { @for origin in &self.lineage.days { (self.origin(origin)) } }
                    }
                }
            }
        }
    }

    fn origin(&self, origin: &Origin) -> Markup {
        let units = &self.lineage.units;
        let exact =
            |value: Option<i64>, unit: &str| value.map_or(text::NONE.to_owned(), |value| text::exact(value, unit));
        let day = Request { from: Some(origin.day), to: Some(origin.day.plus(1)), ..self.frame.request.clone() };
        let rows = format!("{}{}", activities_path(&self.insight.id), day.query());
        html! {
            tr {
                th scope="row" { a href=(rows) { (text::full_day(origin.day)) } }
                td class="number value" { (exact(origin.numerator, &units.numerator)) }
                @if self.lineage.denominator.is_some() { td class="number" { (exact(origin.denominator, &units.denominator)) } }
                td { (text::instant(origin.generation.instant())) }
                td {
                    @match &origin.run {
                        Some(run) => { (run.source) ", mapping " code { (short(&run.mapping_sha256)) } },
                        None => "a run that left no record",
                    }
                }
                td {
                    @if let Some(count) = origin.rows { (text::rows(count)) ", " } code { (short(&origin.sha256)) }
                    details { summary { "Show the key" } code { (origin.base) } }
                }
                td {
                    "logic " code { (origin.logic) }
                    details {
                        summary { "Show " (text::count(origin.annotations.len(), "annotation")) }
                        ul { @for annotation in &origin.annotations { li {
                            (annotation.annotator) " " code { (annotation.version) } ": "
                            @match &annotation.key { Some(key) => code { (key) }, None => "deleted since" }
                        } } }
                    }
                }
            }
        }
    }

    fn pager(&self) -> Markup {
        html! {
            nav class="pager" aria-label="Pages of days" {
                @if self.question.cursor.is_some() { a href=(self.address(&self.frame.request, None)) { "First page" } }
                @if let Some(next) = &self.lineage.next {
                    a rel="next" href=(self.address(&self.frame.request, Some(next))) { "Next " (text::count(self.question.limit, "day")) }
                }
            }
        }
    }

    fn address(&self, request: &Request, cursor: Option<&String>) -> String {
        let mut pairs = self.question.parameters();
        pairs.extend(cursor.map(|cursor| ("cursor", cursor.clone())));
        format!("/lineage{}{}", request.query(), parameters(&pairs))
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGITS).collect()
}
