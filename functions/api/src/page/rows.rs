//! The page of the activities behind a number: each with what it adds, and what they add up to.

use maud::{Markup, html};
use shared::{annotator::declaration::Insight, contribution::Scope};

use super::{
    frame::{Frame, Sheet, page},
    text,
    words::{activities_path, insight_path},
};
use crate::{
    activities::{Activity, Page, Question, Side},
    directory::Directory,
    selection::parameters,
};

/// What the page of activities shows.
#[derive(Debug, Clone)]
pub struct RowsPage<'a> {
    /// What surrounds it.
    pub frame: Frame,
    /// What was asked.
    pub question: &'a Question,
    /// The insight whose number it is.
    pub insight: &'a Insight,
    /// The activities.
    pub rows: Page,
    /// Names of teams and sprints.
    pub directory: &'a Directory,
}

impl RowsPage<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let (frame, rows) = (&self.frame, &self.rows);
        let number = self.number();
        let content = html! {
            p class="kicker" { (frame.name()) @if let Some((from, to)) = frame.selection.from.zip(frame.selection.to).filter(|(from, to)| from < to) { " · " (text::range(crate::selection::Range { from, to })) } }
            h1 { "The activities behind " (number) }
            (self.statement())
            @if rows.activities.is_empty() {
                p class="notice" { "No activity adds anything to it." }
            } @else {
                div class="card scroll" tabindex="0" role="region" aria-label="Activities" {
                    table class="lines activities" {
                        thead { tr {
                            th scope="col" { "Day" }
                            th scope="col" { "Start, UTC" }
                            th scope="col" { "Kind of work" }
                            th scope="col" { "Team" }
                            th scope="col" { "Sprint" }
                            th scope="col" class="number" { "Duration" }
                            th scope="col" class="number" { "Adds, " (text::exact_unit(&rows.unit)) }
                            th scope="col" class="number" { "Running sum" }
                        } }
                        tbody { (self.lines()) }
                    }
                }
                (self.pager())
            }
        };
        let title = format!("The activities behind {number}");
        let data = format!("/v1{}", self.address(rows.selection.request().query(), None));
        let sheet = Sheet {
            title: &title,
            path: &activities_path(&self.insight.id),
            kept: self.question.parameters(),
            fields: html! {},
            crumbs: frame.crumbs(vec![
                (self.insight.title.clone(), Some(frame.address(&insight_path(&self.insight.id)))),
                ("Activities".to_owned(), None),
            ]),
            data: vec![("activities", data.clone()), ("as CSV", format!("{data}&format=csv"))],
        };
        page(frame, &sheet, &content)
    }

    /// Which number, in words.
    fn number(&self) -> String {
        let beside = self.question.figure.as_ref();
        let beside = beside.and_then(|id| self.insight.beside.iter().find(|beside| beside.id == *id));
        let mut words = format!("“{}”", beside.map_or(&self.insight.title, |beside| &beside.title));
        if let Some(part) = &self.question.part {
            words.push_str(&format!(", {part}"));
        }
        if self.question.side == Side::Denominator {
            words.push_str(", divided by");
        }
        if let Some(stereotype) = &self.question.stereotype {
            words.push_str(&format!(", “{}” only", self.directory.stereotype(stereotype)));
        }
        words
    }

    /// What they add up to, exactly.
    fn statement(&self) -> Markup {
        let rows = &self.rows;
        let exact = |value: i64| text::exact(value, &rows.unit);
        let here: i64 = rows.activities.iter().map(|activity| activity.value).sum();
        let until = rows.before + here;
        let all = rows.total - rows.withheld.unwrap_or_default();
        html! {
            p class="lede" {
                @match (rows.before, &rows.next) {
                    (_, None) if all != rows.total => { "These and those that are not listed add up to " b { (exact(rows.total)) } " " (text::exact_unit(&rows.unit)) ": the figure, exactly." },
                    (0, None) => { "These add up to " b { (exact(rows.total)) } " " (text::exact_unit(&rows.unit)) ": the figure, exactly." },
                    (_, None) => { "With the pages before, these add up to " b { (exact(until)) } " " (text::exact_unit(&rows.unit)) ": the figure, exactly." },
                    (_, Some(_)) => { "Up to here they add up to " b { (exact(until)) } " of " b { (exact(rows.total)) } " " (text::exact_unit(&rows.unit)) ", which all pages together add up to: the figure, exactly." },
                }
            }
            @if let Some(withheld) = rows.withheld {
                p class="notice" { b { (exact(withheld)) } " " (text::exact_unit(&rows.unit)) " of it are not listed: too few people have anything on those days, or the rows of this group are not shown." }
            }
            p class="quiet" {
                @match self.frame.selection.scope {
                    Scope::Person(_) => "These are one person’s own activities.",
                    _ => "Who did them is not shown for a group; neither are notes and the source’s rows.",
                }
                @if rows.activities.iter().any(|activity| activity.stereotype.is_none()) {
                    " Where the kind of work is not shown, too few people do it."
                }
            }
        }
    }

    fn lines(&self) -> Markup {
        let mut sum = self.rows.before;
        let lines: Vec<(&Activity, i64)> = self
            .rows
            .activities
            .iter()
            .map(|activity| {
                sum += activity.value;
                (activity, sum)
            })
            .collect();
        html! {
            @for (activity, sum) in lines {
                tr {
                    th scope="row" { (text::full_day(activity.day)) }
                    td { @if activity.clock == "exact" { (text::time(activity.started_at)) } @else { "on that day" } }
                    td { (activity.stereotype_name.as_ref().or(activity.stereotype.as_ref()).map_or("not shown", String::as_str)) }
                    td { (self.name(activity.team_id.as_ref(), Scope::Team)) }
                    td { (self.name(activity.sprint_id.as_ref(), Scope::Sprint)) }
                    td class="number" { (text::clock(activity.duration_seconds)) }
                    td class="number value" { (text::exact(activity.value, &self.rows.unit)) }
                    td class="number" { (text::exact(sum, &self.rows.unit)) }
                }
            }
        }
    }

    fn name(&self, id: Option<&String>, scope: fn(String) -> Scope) -> String {
        id.map_or(text::NONE.to_owned(), |id| self.directory.name(&scope(id.clone())))
    }

    fn pager(&self) -> Markup {
        let query = self.frame.request.query();
        html! {
            nav class="pager" aria-label="Pages of activities" {
                @if self.question.cursor.is_some() {
                    a href=(self.address(query.clone(), None)) { "First page" }
                }
                @if let Some(next) = &self.rows.next {
                    a rel="next" href=(self.address(query.clone(), Some(next))) { "Next " (text::count(self.question.limit, "activity").replace("activitys", "activities")) }
                }
            }
        }
    }

    fn address(&self, query: String, cursor: Option<&String>) -> String {
        let mut pairs = self.question.parameters();
        pairs.extend(cursor.map(|cursor| ("cursor", cursor.clone())));
        format!("{}{query}{}", activities_path(&self.insight.id), parameters(&pairs))
    }
}
