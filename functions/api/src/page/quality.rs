//! The page of data quality: how fresh the figures are, what the source's last runs did, what was refused and why, and
//! what the rows cannot tell.

use maud::{Markup, html};

use super::{
    frame::{Frame, Sheet, page, shortened},
    text,
    words::{self, insight_path},
};
use crate::{
    answer::Answer,
    figure::Status,
    freshness::{HealthStatus, LastRun},
    quality::{Quality, mend},
};

/// What the page of data quality shows.
#[derive(Debug, Clone)]
pub struct QualityPage {
    /// What surrounds it.
    pub frame: Frame,
    /// What the runs say.
    pub quality: Quality,
    /// Every insight, for what its rows cannot tell.
    pub answers: Vec<Answer>,
}

impl QualityPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let frame = &self.frame;
        let (headline, meaning) = state(self.quality.health.status);
        let health = &self.quality.health;
        let content = html! {
            p class="kicker" { "Data quality · " (frame.name()) }
            h1 { (headline) }
            p class="lede" { (meaning) }
            dl class="facts" {
                dt { "State" }
                dd { (mark(health.status)) (self.quality.health.status.word()) }
                dt { "Data as of" }
                dd { @match health.data_as_of { Some(instant) => (text::instant(instant)), None => "nothing yet" } }
                dt { "Newest day" }
                dd { @match health.newest_day { Some(day) => (text::full_day(day)), None => "none" } }
                dt { "Days captured" }
                dd { (text::thousands(frame.selection.days_captured as i64)) " in these days" }
                dt { "Logic" }
                dd { code { (frame.logic) } }
            }
            (self.quarantine())
            (self.runs())
            (self.coverage())
        };
        let sheet = Sheet {
            title: "Data quality",
            path: "/quality",
            kept: Vec::new(),
            fields: html! {},
            crumbs: frame.crumbs(vec![("Data quality".to_owned(), None)]),
            data: vec![("quality", "/v1/quality".to_owned()), ("health", "/v1/health".to_owned())],
        };
        page(frame, &sheet, &content)
    }

    fn quarantine(&self) -> Markup {
        let reasons = &self.quality.health.quarantined_by_reason;
        html! {
            section class="parts" {
                h2 id="quarantine-title" { "What was refused" }
                @if reasons.is_empty() {
                    p class="quiet" { "The last run refused nothing." }
                } @else {
                    p class="quiet" { "These records are kept whole and are in no figure. Mend them in the source, or the mapping; the next run takes them in." }
                    div class="card scroll" tabindex="0" role="region" aria-labelledby="quarantine-title" {
                        table class="lines" {
                            thead { tr { th scope="col" { "Reason" } th scope="col" class="number" { "Records" } th scope="col" { "How to mend it" } } }
                            tbody { @for (reason, count) in reasons { tr {
                                th scope="row" { (text::reason(reason)) }
                                td class="number" { (text::thousands(*count)) }
                                td { (mend(reason)) }
                            } } }
                        }
                    }
                }
            }
        }
    }

    fn runs(&self) -> Markup {
        html! {
            section class="parts" {
                h2 id="runs-title" { "The last runs" }
                @if self.quality.runs.is_empty() {
                    p class="quiet" { "No run has left a record." }
                } @else {
                    p class="quiet" { "Read = new or restated + unchanged + in quarantine + still running: each record is somewhere." }
                    div class="card scroll" tabindex="0" role="region" aria-labelledby="runs-title" {
                        table class="lines" {
                            thead { tr {
                                th scope="col" { "When" } th scope="col" { "Source" }
                                th scope="col" class="number" { "Read" } th scope="col" class="number" { "New" } th scope="col" class="number" { "Unchanged" }
                                th scope="col" class="number" { "Quarantine" } th scope="col" class="number" { "Running" } th scope="col" { "Outcome" }
                            } }
                            tbody { @for run in &self.quality.runs { (line(run)) } }
                        }
                    }
                }
            }
        }
    }

    fn coverage(&self) -> Markup {
        let frame = &self.frame;
        html! {
            section class="parts" {
                h2 id="coverage-title" { "What the rows can tell" }
                p class="quiet" { "A row that cannot tell is unknown and counts as neither. It is never taken for zero." }
                div class="card scroll" tabindex="0" role="region" aria-labelledby="coverage-title" {
                    table class="lines" {
                        thead { tr { th scope="col" { "Figure" } th scope="col" { "Status" } th scope="col" class="number" { "Hours that can tell, %" } th scope="col" { "Why the others cannot" } } }
                        tbody { @for answer in &self.answers { tr {
                            th scope="row" { a href=(frame.address(&insight_path(&answer.id))) { (answer.title) } }
                            td { @match answer.figure.status { Status::Measured => "measured", Status::Partial => "partial", Status::NotMeasurable => "not measurable", Status::Hidden => "hidden: too few people" } }
                            td class="number" { (answer.figure.covered_share.map_or(text::NONE.to_owned(), text::percent)) }
                            td {
                                @if let (Status::NotMeasurable, Some(why)) = (answer.figure.status, answer.figure.why()) { (why) }
                                @else if let (true, Some(reason)) = (answer.figure.reasons.is_empty(), &answer.figure.reason) { (text::reason(reason)) }
                                @else {
                                    @for (index, (reason, extent)) in answer.figure.reasons.iter().enumerate() {
                                        @if index > 0 { "; " }
                                        (text::reason(reason)) " (" (text::rows(extent.rows)) ", " (text::hours(extent.seconds)) " h)"
                                    }
                                }
                            }
                        } } }
                    }
                }
            }
        }
    }
}

fn line(run: &LastRun) -> Markup {
    html! {
        tr {
            th scope="row" { (text::instant(run.generation.instant())) }
            td { (run.source) }
            @for count in [run.counts.read, run.counts.written, run.counts.unchanged, run.counts.quarantined, run.counts.open] {
                td class="number" { (text::thousands(count)) }
            }
            td {
                @match &run.failed {
                    Some(reason) => { span class="act" { (words::shape("act")) "failed" } ": " (shortened(reason.as_str().unwrap_or("see its record"))) },
                    None => "done",
                }
            }
        }
    }
}

fn mark(status: HealthStatus) -> Markup {
    let (class, shape) = match status {
        HealthStatus::Ok => ("better", "fine"),
        HealthStatus::Stale => ("watch", "watch"),
        HealthStatus::Failing | HealthStatus::Empty => ("act", "act"),
    };
    html! { span class=(class) { (words::shape(shape)) } }
}

/// A state as a headline, and what it means for the figures.
fn state(status: HealthStatus) -> (&'static str, &'static str) {
    match status {
        HealthStatus::Ok => (
            "The figures are fresh",
            "The source was read lately, and every captured day is worked out up to the newest.",
        ),
        HealthStatus::Stale => (
            "The source was not read lately",
            "What was captured before stays as it is and is answered. Newer work is missing until the next run.",
        ),
        HealthStatus::Failing => (
            "The last run could not read the source",
            "What was captured before stays as it is and is answered. Mend what the run says; the next one tries again.",
        ),
        HealthStatus::Empty => ("Nothing is captured yet", "Start the intake once, or wait for its schedule."),
    }
}
