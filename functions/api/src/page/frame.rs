//! What surrounds every page: where one is, whose figures and which days, how old they are, and the same as data.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};
use shared::{annotator::Logic, contribution::Scope};

use super::text;
use crate::{
    Request,
    access::{Caller, Sight},
    evidence::Evidence,
    finding::called,
    freshness::{Health, HealthStatus},
    selection::{Address, Selection},
};

/// What every page of a selection says about it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What was asked for; links keep its range.
    pub request: Request,
    /// What was answered.
    pub selection: Selection,
    /// The logic behind every number.
    pub logic: Logic,
    /// The newest generation among the days used.
    pub data_as_of: Option<DateTime<Utc>>,
    /// The scopes to choose from.
    pub choices: Vec<(Scope, String)>,
    /// The team that a sprint belongs to.
    pub parent: Option<(Scope, String)>,
    /// How old all this is.
    pub health: Health,
    /// Who is signed in.
    pub caller: Option<Arc<Caller>>,
}

/// One step of the way to a page: its name, and where it is unless it is here.
pub type Crumb = (String, Option<String>);

impl Frame {
    /// The frame of `evidence`, which answers `request`.
    pub fn of(logic: &Logic, request: Request, evidence: &Evidence, health: Health) -> Self {
        let directory = &evidence.directory;
        let team = match &evidence.scope {
            Scope::Sprint(id) => directory.sprint(id).and_then(|sprint| sprint.team.clone()),
            _ => None,
        };
        Self {
            selection: evidence.selection(),
            logic: logic.clone(),
            data_as_of: evidence.data_as_of,
            choices: choices(evidence),
            parent: team.map(|id| {
                let scope = Scope::Team(id);
                let name = called(&scope, &directory.name(&scope));
                (scope, name)
            }),
            health,
            request,
            caller: None,
        }
    }

    /// Whether nothing was ever captured.
    pub fn is_empty(&self) -> bool {
        self.selection.from.is_none()
    }

    /// Whose page it is, as one says it.
    pub fn name(&self) -> String {
        self.selection.called()
    }

    /// An address of ours about this selection.
    pub fn address(&self, path: &str) -> String {
        format!("{path}{}", self.request.query())
    }

    /// The same about another scope.
    pub fn address_of(&self, path: &str, scope: &Scope) -> String {
        format!("{path}{}", self.request.of(scope.clone()).query())
    }

    /// The same about a part of it.
    pub fn address_of_part(&self, path: &str, part: &Address) -> String {
        format!("{path}{}", self.request.of_part(part).query())
    }

    /// One of [`PAGES`] about this selection. A comparison names its logics itself, and is of what is current.
    fn page(&self, path: &str) -> String {
        match path {
            COMPARISON => {
                let scope = self.scope_compared();
                let request = Request { scope, logic: None, as_of: None, sprint: None, ..self.request.clone() };
                format!("{path}{}", request.query())
            }
            _ => self.address(path),
        }
    }

    /// Whose figures by two logics may be compared: a member's own, where this page is of others, too.
    fn scope_compared(&self) -> Scope {
        let own = self.caller.as_ref().and_then(|caller| match &caller.sight {
            Sight::Member(member) => member.person.clone(),
            Sight::Everything => None,
        });
        own.map_or_else(|| self.request.scope.clone(), Scope::Person)
    }

    /// Where two logics are compared over these days.
    pub fn comparison(&self, logic: &Logic, with: &Logic) -> String {
        let scope = self.scope_compared();
        let logic = Some(logic.clone());
        let request = Request { scope, logic, as_of: None, sprint: None, ..self.request.clone() };
        format!("{COMPARISON}{}&with={with}", request.query())
    }

    /// The way here: the organisation, the team, the scope itself, and then `further`.
    pub fn crumbs(&self, further: Vec<Crumb>) -> Vec<Crumb> {
        let mut crumbs = vec![("Organisation".to_owned(), Some(self.address_of("/", &Scope::Organisation)))];
        if let Some((scope, name)) = &self.parent {
            crumbs.push((name.clone(), Some(self.address_of("/", scope))));
        }
        if self.selection.scope != Scope::Organisation {
            let scope = &self.selection.scope;
            crumbs.push((called(scope, &self.selection.name), Some(self.address_of("/", scope))));
        }
        if let Some(sprint) = &self.selection.sprint_name {
            crumbs.push((sprint.clone(), Some(self.address("/"))));
        }
        crumbs.extend(further);
        if let Some(here) = crumbs.last_mut() {
            here.1 = None;
        }
        crumbs
    }
}

/// What a page is, besides its content.
pub struct Sheet<'a> {
    /// The title of the window.
    pub title: &'a str,
    /// Where its form leads: its own path.
    pub path: &'a str,
    /// What else its address says; the form keeps it.
    pub kept: Vec<(&'static str, String)>,
    /// What its form asks besides the selection.
    pub fields: Markup,
    /// The way here.
    pub crumbs: Vec<Crumb>,
    /// The same as data: names and addresses.
    pub data: Vec<(&'static str, String)>,
}

/// Where two logics are compared.
pub const COMPARISON: &str = "/compare";

/// The pages that every page leads to.
const PAGES: [(&str, &str); 4] =
    [("/", "Overview"), (COMPARISON, "Compare"), ("/logics", "Logic"), ("/quality", "Data quality")];

/// A page of a selection.
pub fn page(frame: &Frame, sheet: &Sheet<'_>, content: &Markup) -> String {
    let body = html! {
        header {
            div class="width bar-top" {
                a class="brand" href="/" { "wastewalk" }
                nav aria-label="Pages" {
                    @for (path, name) in PAGES {
                        a href=(frame.page(path)) aria-current=[(sheet.path == path).then_some("page")] { (name) }
                    }
                }
                (form(frame, sheet))
                (signed_in(frame))
            }
        }
        main id="content" class="width" tabindex="-1" {
            nav class="crumbs" aria-label="Where you are" {
                ol {
                    @for (name, href) in &sheet.crumbs {
                        li { @match href {
                            Some(href) => a href=(href) { (name) },
                            None => span aria-current="page" { (name) },
                        } }
                    }
                }
            }
            (stale(frame))
            (content)
        }
        (footer(frame, &sheet.data))
    };
    document(sheet.title, &body)
}

/// Any page: what browsers need around it. Names come from the source: none of them turns the direction of what follows.
pub fn document(title: &str, body: &Markup) -> String {
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
                (body)
            }
        }
    };
    let harmless =
        |letter| if letter != '\n' && text::is_hidden(letter) { char::REPLACEMENT_CHARACTER } else { letter };
    page.into_string().chars().map(harmless).collect()
}

fn form(frame: &Frame, sheet: &Sheet<'_>) -> Markup {
    let selection = &frame.selection;
    let teams = frame.choices.iter().filter(|(scope, _)| matches!(scope, Scope::Team(_)));
    let others = frame.choices.iter().filter(|(scope, _)| !matches!(scope, Scope::Organisation | Scope::Team(_)));
    let option = |(scope, name): &(Scope, String)| {
        html! { option value=(scope) selected[*scope == selection.scope] { (name) } }
    };
    html! {
        form action=(sheet.path) method="get" {
            @for (name, value) in &sheet.kept { input type="hidden" name=(name) value=(value); }
            label { "Whose" select name="scope" {
                @for choice in frame.choices.iter().filter(|(scope, _)| *scope == Scope::Organisation) { (option(choice)) }
                optgroup label="Teams" { @for choice in teams { (option(choice)) } }
                @if others.clone().next().is_some() {
                    optgroup label="Others" { @for choice in others { (option(choice)) } }
                }
            } }
            // An empty one asks for all of them again.
            @if let Some((id, name)) = selection.sprint.as_ref().zip(selection.sprint_name.as_ref()) {
                label { "Sprint" select name="sprint" {
                    option value="" { "all" }
                    option value=(id) selected { (name) }
                } }
            }
            (sheet.fields)
            label { "From" input type="date" name="from" value=[selection.from]; }
            label { "Before" input type="date" name="to" value=[selection.to]; }
            button { "Show" }
        }
    }
}

/// Who is signed in, what they do not see, and the way out.
fn signed_in(frame: &Frame) -> Markup {
    let Some(caller) = &frame.caller else { return html! {} };
    html! {
        div class="who" {
            p {
                @if caller.demo { "Demo: signed in as " } @else { "Signed in as " }
                b { (caller.name) }
                @if let Sight::Member(member) = &caller.sight {
                    ". Groups of fewer than " (member.minimum) " people are hidden"
                    @if let Some(person) = &member.person {
                        "; " a href=(frame.address_of("/", &Scope::Person(person.clone()))) { "your own work" }
                    }
                }
                "."
            }
            @if let Some(token) = &caller.form_token {
                form action="/sign-out" method="post" {
                    input type="hidden" name="token" value=(token);
                    button { "Sign out" }
                }
            }
        }
    }
}

fn stale(frame: &Frame) -> Markup {
    let run = frame.health.last_run.as_ref();
    let failed = run.and_then(|run| run.failed.as_ref());
    html! {
        @if frame.health.status == HealthStatus::Stale || failed.is_some() {
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
pub fn shortened(reason: &str) -> String {
    const LONGEST: usize = 160;
    match reason.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &reason[..end]),
        None => reason.trim_end_matches('.').to_owned(),
    }
}

fn footer(frame: &Frame, data: &[(&'static str, String)]) -> Markup {
    html! {
        footer {
            div class="width" {
                p {
                    @match frame.health.data_as_of.or(frame.data_as_of) {
                        Some(instant) => { "Data as of " (text::instant(instant)) "; " }
                        None => { "No data; " }
                    }
                    a href=(frame.address("/logics")) { "logic " code { (frame.logic) } }
                    @if let Some(run) = &frame.health.last_run {
                        "; " (text::rows(run.counts.read)) " read in the last run, "
                        (text::thousands(run.counts.quarantined)) " in quarantine"
                    }
                    ". " a href=(frame.address("/quality")) { "What the data can and cannot tell" } "."
                }
                p { "The same as data: "
                    @for (index, (name, address)) in data.iter().enumerate() {
                        @if index > 0 { ", " }
                        a href=(address) { (name) }
                    }
                    "."
                }
            }
        }
    }
}

/// The organisation, its teams, and the sprints of the team that is shown.
fn choices(evidence: &Evidence) -> Vec<(Scope, String)> {
    let directory = &evidence.directory;
    let mut scopes = vec![Scope::Organisation];
    scopes.extend(directory.teams().map(|id| Scope::Team(id.clone())));
    let team = match &evidence.scope {
        Scope::Team(team) => Some(team),
        Scope::Sprint(id) => directory.sprint(id).and_then(|sprint| sprint.team.as_ref()),
        _ => None,
    };
    // A sprint lies in no other one.
    if let Some((team, range)) = team.zip(evidence.range).filter(|_| evidence.request.sprint.is_none()) {
        let mut sprints: Vec<_> = directory.sprints_in(range, Some(team)).collect();
        sprints.sort_by_key(|(id, sprint)| (sprint.days.map(|days| days.from), *id));
        scopes.extend(sprints.into_iter().map(|(id, _)| Scope::Sprint(id.clone())));
    }
    if !scopes.contains(&evidence.scope) {
        scopes.push(evidence.scope.clone());
    }
    let named = scopes.into_iter().map(|scope| {
        let name = called(&scope, &directory.name(&scope));
        (scope, name)
    });
    named.collect()
}
