use maud::{Markup, html};

use super::pc;
use crate::page::text;

/// Bars of a Pareto; what comes after is one row.
const ROWS: usize = 10;
const LINE: f64 = 80.0;

/// One bar, in seconds.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// The activities behind it.
    pub href: Option<String>,
    /// How long.
    pub seconds: i64,
}

struct Placed {
    bar: Bar,
    before: f64,
    after: f64,
}

/// Largest first, with what comes before each.
fn placed(mut bars: Vec<Bar>) -> Vec<Placed> {
    bars.retain(|bar| bar.seconds > 0);
    bars.sort_by_key(|bar| std::cmp::Reverse(bar.seconds));
    let total: i64 = bars.iter().map(|bar| bar.seconds).sum();
    if bars.len() > ROWS + 1 {
        let others = bars.split_off(ROWS);
        let seconds = others.iter().map(|bar| bar.seconds).sum();
        bars.push(Bar { name: format!("{} others", others.len()), href: None, seconds });
    }
    let mut sum = 0;
    let place = |bar: Bar| {
        let before = sum as f64 / total as f64 * 100.0;
        sum += bar.seconds;
        Placed { bar, before, after: sum as f64 / total as f64 * 100.0 }
    };
    bars.into_iter().map(place).collect()
}

/// What the hours are in: bars, their running total, and the line of 80 %. `noun` and `nouns` are what a bar is.
pub fn pareto(bars: Vec<Bar>, what: &str, (noun, nouns): (&str, &str)) -> Markup {
    let total: i64 = bars.iter().map(|bar| bar.seconds).sum();
    let kinds = bars.iter().filter(|bar| bar.seconds > 0).count();
    let rows = placed(bars);
    let vital = rows.iter().take_while(|row| row.before < LINE).count();
    html! {
        @if rows.is_empty() {
            h3 { "By " (noun) }
            p class="quiet" { "There are no such hours." }
        } @else {
            h3 {
                @match rows.first() {
                    Some(only) if kinds == 1 => { "All of it is “" (only.bar.name) "”" },
                    Some(most) if vital == 1 => { "“" (most.bar.name) "” makes up 80 % of it" },
                    _ if vital == kinds => { "It is spread over all " (kinds) " " (nouns) },
                    _ => { (vital) " of " (kinds) " " (nouns) " make up 80 % of it" },
                }
            }
            p class="quiet" { "Hours " (what) "; bars and running total in % of all " (text::hours(total)) " h" }
            table class="pareto" role="table" {
                thead role="rowgroup" {
                    tr role="row" {
                        th role="columnheader" scope="col" { (text::capital(noun)) }
                        th role="columnheader" scope="col" class="number" { "hours" }
                        th role="columnheader" scope="col" class="bar" {
                            span class="hidden" { "Share, and the line of 80 %" }
                            svg aria-hidden="true" focusable="false" {
                                text class="tick" x="0" y="90%" { "0" }
                                text class="mark-text" x=(pc(LINE)) y="90%" text-anchor="middle" { "80 %" }
                            }
                        }
                        th role="columnheader" scope="col" class="number" { "total" }
                    }
                }
                tbody role="rowgroup" {
                    @for (index, row) in rows.iter().enumerate() {
                        tr role="row" class=[(index >= vital).then_some("minor")] {
                            th role="rowheader" scope="row" {
                                @match &row.bar.href {
                                    Some(href) => a href=(href) { (row.bar.name) },
                                    None => (row.bar.name),
                                }
                            }
                            td role="cell" class="number" { (text::hours(row.bar.seconds)) }
                            td role="cell" class="bar" {
                                span class="hidden" { (format!("{:.0} %", row.after - row.before)) }
                                (bar(row, index == 0))
                            }
                            td role="cell" class="number" { (format!("{:.0} %", row.after)) }
                        }
                    }
                }
            }
        }
    }
}

fn bar(row: &Placed, first: bool) -> Markup {
    html! {
        svg aria-hidden="true" focusable="false" {
            line class="mark" x1=(pc(LINE)) x2=(pc(LINE)) y1="0" y2="100%" {}
            rect class="fill-one" x="0" y="20%" width=(pc(row.after - row.before)) height="60%" {}
            // It reaches up to the dot of the row before; rows have one height where it is shown.
            @if !first {
                line class="total" x1=(pc(row.before)) y1="-50%" x2=(pc(row.after)) y2="50%" {}
            }
            circle class="total-dot" cx=(pc(row.after)) cy="50%" r="3.5" {}
        }
    }
}
