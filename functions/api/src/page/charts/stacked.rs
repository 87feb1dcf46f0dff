use maud::{Markup, html};
use shared::annotator::declaration::SECONDS;

use super::pc;
use crate::page::text;

/// What each segment of a row is.
#[derive(Debug, Clone)]
pub struct Segment {
    /// In words.
    pub label: String,
    /// Its colour, as a class: `one`, `two`, `rest`, or `step-1` to `step-5`.
    pub class: &'static str,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is about.
    pub name: String,
    /// Where there is more about it.
    pub href: Option<String>,
    /// Whether it ends outside the range.
    pub part: bool,
    /// A value per segment; `None` where it cannot be told.
    pub values: Option<Vec<i64>>,
    /// What is read at its end.
    pub end: String,
}

/// Rows of segments.
#[derive(Debug, Clone)]
pub struct Stack {
    /// What a row is, in a word.
    pub noun: &'static str,
    /// What stands at the end of a row.
    pub end: String,
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether each row is as long as any other, so that shares compare, or as long as its sum.
    pub shares: bool,
}

/// Rows of segments, with the hours in them where they fit.
pub fn stacked(stack: &Stack) -> Markup {
    let sum = |row: &Row| row.values.iter().flatten().sum::<i64>();
    let most = stack.rows.iter().map(sum).max().unwrap_or_default();
    // A part that is nowhere needs no key.
    let drawn: Vec<usize> = (0..stack.segments.len())
        .filter(|index| stack.rows.iter().any(|row| value(row, *index).is_some_and(|value| value > 0)))
        .collect();
    html! {
        p class="legend" {
            @for segment in drawn.iter().filter_map(|index| stack.segments.get(*index)) {
                span { (swatch(segment.class)) (segment.label) }
            }
            span class="quiet" { @if stack.shares { "in % of each row; the numbers are hours" } @else { "in hours" } }
        }
        table class="stacked" role="table" {
            thead role="rowgroup" class="hidden" {
                tr role="row" {
                    th role="columnheader" scope="col" { (text::capital(stack.noun)) }
                    th role="columnheader" scope="col" { "Hours" }
                    th role="columnheader" scope="col" { (stack.end) }
                }
            }
            tbody role="rowgroup" {
                @for row in &stack.rows {
                    tr role="row" {
                        th role="rowheader" scope="row" {
                            @match &row.href {
                                Some(href) => a href=(href) { (row.name) },
                                None => (row.name),
                            }
                            @if row.part { " " span class="quiet" { "(part)" } }
                        }
                        td role="cell" class="bar" {
                            @if row.values.is_some() {
                                (bar(stack, row, if stack.shares { sum(row) } else { most }))
                            } @else {
                                span class="quiet" { "not measurable" }
                            }
                        }
                        td role="cell" class="number" { (row.end) }
                    }
                }
            }
        }
    }
}

fn swatch(class: &str) -> Markup {
    html! {
        svg class="swatch" viewBox="0 0 10 10" aria-hidden="true" focusable="false" {
            rect class={ "fill-" (class) } width="10" height="10" {}
        }
    }
}

fn value(row: &Row, index: usize) -> Option<i64> {
    row.values.as_ref()?.get(index).copied()
}

fn bar(stack: &Stack, row: &Row, whole: i64) -> Markup {
    let whole = whole.max(1) as f64;
    let mut sum = 0;
    let place = |(index, segment)| {
        let value = value(row, index)?;
        let from = sum as f64 / whole * 100.0;
        sum += value;
        (value > 0).then_some((segment, value, from, value as f64 / whole * 100.0))
    };
    let placed: Vec<(&Segment, i64, f64, f64)> = stack.segments.iter().enumerate().filter_map(place).collect();
    // A number that does not fit its bar on a telephone is left to the wider screens, and below that to the text.
    let fits = |width: f64| match width {
        width if width < 7.0 => None,
        width if width < 16.0 => Some("bar-text wide-only"),
        _ => Some("bar-text"),
    };
    let words =
        placed.iter().map(|(segment, value, ..)| format!("{} {}", text::quantity(*value, SECONDS), segment.label));
    let words = words.collect::<Vec<_>>().join(", ");
    html! {
        span class="hidden" { (words) }
        svg aria-hidden="true" focusable="false" {
            @for (segment, value, from, width) in &placed {
                rect class={ "segment fill-" (segment.class) } x=(pc(*from)) y="12%" width=(pc(*width)) height="76%" {}
                @if let Some(class) = fits(*width) {
                    text class={ (class) " on-" (segment.class) } x=(pc(from + width / 2.0)) y="50%" dy="0.35em" text-anchor="middle" { (text::hours(*value)) }
                }
            }
        }
    }
}
