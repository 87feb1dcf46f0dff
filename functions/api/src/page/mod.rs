//! The pages: readable without a script, one address per state, findings first.

mod charts;
mod compare;
mod frame;
mod insight;
mod lineage;
mod logics;
mod overview;
mod quality;
mod rows;
#[cfg(test)]
mod tests;
mod words;

use maud::html;

pub use compare::ComparisonPage;
pub use frame::{COMPARISON, Frame};
pub use insight::InsightPage;
pub use lineage::LineagePage;
pub use logics::LogicsPage;
pub use overview::{Overview, leading};
pub use quality::QualityPage;
pub use rows::RowsPage;

use crate::{problem::Problem, text};

/// The style sheet of every page.
pub const STYLE: &str = include_str!("style.css");
/// The icon of every page.
pub const ICON: &str = include_str!("icon.svg");

/// What somebody sees who has signed out.
pub fn signed_out() -> String {
    let body = html! {
        header { div class="width bar-top" { a class="brand" href="/" { "wastewalk" } } }
        main id="content" class="width" tabindex="-1" {
            h1 { "You are signed out" }
            p { "Your identity provider may still know you: whoever uses this browser next may not have to say who they are." }
            p { a href="/" { "Sign in again" } }
        }
    };
    frame::document("Signed out", &body)
}

/// A refusal as HTML.
pub fn refusal(problem: &Problem) -> String {
    let body = html! {
        header { div class="width bar-top" { a class="brand" href="/" { "wastewalk" } } }
        main id="content" class="width" tabindex="-1" {
            p class="kicker" { (problem.status.as_u16()) }
            h1 { (problem.title) }
            p { (problem.detail) }
            p { a href="/" { "Go to the organisation’s last 13 weeks" } }
        }
    };
    frame::document(problem.title, &body)
}
