//! The page of the logic: which there are, which days each shows, and what every version of an annotator changed.

use maud::{Markup, html};

use super::{
    frame::{Frame, Sheet, page},
    text,
};
use crate::{
    logics::{ListedLogic, LogicRun},
    selection::Range,
};

/// What the page of the logics shows.
#[derive(Debug, Clone)]
pub struct LogicsPage<'a> {
    /// What surrounds it.
    pub frame: Frame,
    /// Every logic, newest first.
    pub logics: &'a [ListedLogic],
    /// Which of them the days of the selection are shown by.
    pub runs: Vec<LogicRun>,
}

impl LogicsPage<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let headline = match (self.runs.as_slice(), self.logics.len()) {
            ([], 1) => "One logic computes every figure".to_owned(),
            ([], several) => format!("{several} logics have computed figures here"),
            ([_], _) => "One logic shows all of these days".to_owned(),
            (runs, _) => format!("The logic changes {} within these days", times(runs.len() - 1)),
        };
        let content = html! {
            p class="kicker" { "Logic · " (self.frame.name()) }
            h1 { (headline) }
            p class="lede" {
                "A logic is every annotator, its settings and the fold, under one name. New logic writes beside old logic, and a figure says \
                 which one it is by."
            }
            (self.shown())
            @for (index, logic) in self.logics.iter().enumerate() { (self.logic(logic, self.logics.get(index + 1), index == 0)) }
        };
        let sheet = Sheet {
            title: "Logic",
            path: "/logics",
            kept: Vec::new(),
            fields: html! {},
            crumbs: self.frame.crumbs(vec![("Logic".to_owned(), None)]),
            data: vec![("logics", "/v1/logics".to_owned())],
        };
        page(&self.frame, &sheet, &content)
    }

    fn shown(&self) -> Markup {
        html! {
            @if !self.runs.is_empty() {
                section class="parts" {
                    h2 id="shown-title" { "What these days are shown by" }
                    div class="card scroll" tabindex="0" role="region" aria-labelledby="shown-title" {
                        table class="lines" {
                            thead { tr { th scope="col" { "Days" } th scope="col" class="number" { "Captured" } th scope="col" { "Logic" } th scope="col" { "What changed before it" } } }
                            tbody { @for run in &self.runs { tr {
                                th scope="row" { (text::range(Range { from: run.from, to: run.to })) }
                                td class="number" { (run.days) }
                                td { code { (run.logic) } }
                                td { @if run.notes.is_empty() { (text::NONE) } @else { (run.notes.join("; ")) } }
                            } } }
                        }
                    }
                }
            }
        }
    }

    fn logic(&self, logic: &ListedLogic, before: Option<&ListedLogic>, newest: bool) -> Markup {
        html! {
            section class="parts" {
                h2 { "Logic " code { (logic.logic) } @if logic.deployed { ", deployed" } }
                p class="quiet" {
                    @match logic.first_seen { Some(at) => { "First used " (text::instant(at)) ". " }, None => "Nothing was computed by it yet. " }
                    @for (index, (variable, value)) in logic.settings.iter().enumerate() {
                        @if index > 0 { ", " }
                        code { (variable) "=" (value) }
                    }
                    @if !logic.settings.is_empty() { "." }
                }
                @if let Some(before) = before {
                    p {
                        "What changed: "
                        @if logic.notes.is_empty() { "nothing that the register has words for" } @else { (logic.notes.join("; ")) } ". "
                        a href=(self.frame.comparison(&before.logic, &logic.logic)) aria-label={ "Compare with the one before: " (before.logic) " and " (logic.logic) } { "Compare with the one before" }
                    }
                }
                @if newest { (annotators(logic)) } @else {
                    details { summary { "Show its annotators" } (annotators(logic)) }
                }
            }
        }
    }
}

fn annotators(logic: &ListedLogic) -> Markup {
    html! {
        div class="card scroll" tabindex="0" role="region" aria-label={ "Annotators of " (logic.logic) } {
            table class="lines" {
                thead { tr { th scope="col" { "Annotator" } th scope="col" { "Version" } th scope="col" { "What each version brought" } } }
                tbody { @for annotator in &logic.annotators { tr {
                    th scope="row" { (annotator.name) }
                    td { code { (annotator.effective_version) } }
                    td { @for change in &annotator.history { p { (change.version) ": " (change.note) } } }
                } } }
            }
        }
    }
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}
