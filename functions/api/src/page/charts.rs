//! Charts: small SVG inside HTML that says the same in numbers. Positions along x are percentages, so text keeps its
//! size on any screen; only curves are stretched, in a nested `<svg>` of their own. Everything is drawn by attributes
//! and classes, because the content security policy allows no inline style.

use maud::{Markup, html};

use super::{
    text,
    view::{Part, Section, Week},
};
use crate::answer::{Answer, StereotypeFigure};

/// Bars and rows of a Pareto; what comes after is one row.
const PARETO_ROWS: usize = 10;
const PARETO_LINE: f64 = 80.0;
/// Where the plot lies inside a trend, in per cent of it.
const PLOT: Plot = Plot { left: 9.0, width: 88.0, top: 9.0, height: 77.0 };

struct Plot {
    left: f64,
    width: f64,
    top: f64,
    height: f64,
}

impl Plot {
    fn x(&self, share: f64) -> f64 {
        self.left + self.width * share
    }

    fn y(&self, share: f64) -> f64 {
        self.top + self.height * (1.0 - share)
    }
}

fn pc(value: f64) -> String {
    format!("{value:.2}%")
}

/// How far along the axis the week lies; a lone one is in the middle.
fn across(week: usize, weeks: usize) -> f64 {
    if weeks < 2 { 0.5 } else { week as f64 / (weeks - 1) as f64 }
}

/// The weeks' ratios as points in a unit square, `None` where there is none. `low` and `high` bound the ratios.
fn points(weeks: &[Week], low: f64, high: f64) -> Vec<Option<(f64, f64)>> {
    let span = if high > low { high - low } else { 1.0 };
    let point = |(index, week): (usize, &Week)| Some((across(index, weeks.len()), (week.figure.ratio? - low) / span));
    weeks.iter().enumerate().map(point).collect()
}

/// A path through the points in a square of 100, broken where one is missing.
fn curve(points: &[Option<(f64, f64)>]) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for point in points {
        match point {
            Some((x, y)) => {
                path.push_str(&format!("{pen}{:.2} {:.2}", x * 100.0, 100.0 - y * 100.0));
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    path
}

fn bounds(weeks: &[Week]) -> Option<(f64, f64)> {
    let ratios = || weeks.iter().filter_map(|week| week.figure.ratio);
    let low = ratios().reduce(f64::min)?;
    ratios().reduce(f64::max).map(|high| (low, high))
}

/// A curve without axes beside a number.
pub fn sparkline(weeks: &[Week]) -> Markup {
    let Some((low, high)) = bounds(weeks).filter(|_| weeks.len() > 1) else {
        return html! {};
    };
    let points = points(weeks, low, high);
    let last = points.iter().rev().find_map(|point| *point);
    html! {
        svg class="spark" aria-hidden="true" focusable="false" {
            svg x="2%" y="12%" width="94%" height="76%" viewBox="0 0 100 100" preserveAspectRatio="none" {
                path class="curve thin" vector-effect="non-scaling-stroke" d=(curve(&points)) {}
            }
            @if let Some((x, y)) = last {
                circle class="dot" cx=(pc(2.0 + 94.0 * x)) cy=(pc(12.0 + 76.0 * (1.0 - y))) r="3.5" {}
            }
        }
    }
}

/// A scale of whole per cents with at most six lines: its lowest, its highest, and the step between them.
fn scale(low: f64, high: f64) -> (f64, f64, f64) {
    let (low, high) = (low * 100.0, high * 100.0);
    let ends = |step: f64| {
        let floor = (low / step).floor() * step;
        let ceiling = (high / step).ceil() * step;
        (floor, ceiling.max(floor + step), step)
    };
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 25.0];
    let fits = steps.into_iter().map(ends).find(|(low, high, step)| (high - low) / step <= 5.0);
    fits.unwrap_or_else(|| ends(50.0))
}

/// The ratio week by week, with the threshold where there is one.
pub fn trend(answer: &Answer, section: &Section) -> Markup {
    let Some((low, high)) = bounds(&section.weeks) else {
        return html! { p class="quiet" { "There is no week to draw." } };
    };
    let threshold = section.threshold;
    let (low, high, step) = scale(
        threshold.map_or(low, |threshold| low.min(threshold)),
        threshold.map_or(high, |threshold| high.max(threshold)),
    );
    let share = |percent: f64| (percent - low) / (high - low);
    let lines = (0..=((high - low) / step).round() as i32).map(|line| low + f64::from(line) * step);
    let points = points(&section.weeks, low / 100.0, high / 100.0);
    let last = points.iter().zip(&section.weeks).rev().find_map(|(point, week)| Some((*point.as_ref()?, week)));
    html! {
        svg class="trend" role="img" aria-label=(format!("{} in per cent, week by week; the table below has the numbers", answer.title)) {
            @for line in lines {
                @let y = pc(PLOT.y(share(line)));
                line class="grid" x1=(pc(PLOT.left)) x2=(pc(PLOT.x(1.0))) y1=(y) y2=(y) {}
                text class="tick" x=(pc(PLOT.left - 2.0)) y=(y) dy="0.35em" text-anchor="end" { (format!("{line:.0}")) }
            }
            @for (anchor, index) in week_labels(section.weeks.len()) {
                @if let Some(week) = section.weeks.get(index) {
                    text class="tick" x=(pc(PLOT.x(across(index, section.weeks.len())))) y="97%" text-anchor=(anchor) { (week.name) }
                }
            }
            @if let Some(threshold) = threshold {
                @let y = PLOT.y(share(threshold * 100.0));
                line class="mark" x1=(pc(PLOT.left)) x2=(pc(PLOT.x(1.0))) y1=(pc(y)) y2=(pc(y)) {}
                text class="mark-text" x=(pc(PLOT.left + 1.0)) y=(pc(y)) dy="-0.4em" { "threshold " (text::whole_percent(threshold)) }
            }
            svg x=(pc(PLOT.left)) y=(pc(PLOT.top)) width=(pc(PLOT.width)) height=(pc(PLOT.height)) viewBox="0 0 100 100" preserveAspectRatio="none" {
                path class="curve" vector-effect="non-scaling-stroke" d=(curve(&points)) {}
            }
            @for (x, y) in points.iter().flatten() {
                circle class="point" cx=(pc(PLOT.x(*x))) cy=(pc(PLOT.y(*y))) r="2.5" {}
            }
            @if let Some(((x, y), week)) = last {
                circle class="dot" cx=(pc(PLOT.x(x))) cy=(pc(PLOT.y(y))) r="4" {}
                text class="end-text" x=(pc(PLOT.x(x))) y=(pc(PLOT.y(y))) dy=(if y > 0.85 { "1.6em" } else { "-0.7em" }) text-anchor="end" {
                    (text::percent(week.figure.ratio.unwrap_or_default())) " %"
                }
            }
        }
        (weeks_table(answer, section))
    }
}

/// Which weeks are labelled: the first, the last, and up to three between them.
fn week_labels(weeks: usize) -> Vec<(&'static str, usize)> {
    let last = weeks.saturating_sub(1);
    let parts = last.clamp(1, 4);
    let mut indices: Vec<usize> = (0..=parts).map(|part| part * last / parts).collect();
    indices.dedup();
    let anchor = |index: usize| match index {
        index if index == last && last > 0 => "end",
        _ => "middle",
    };
    indices.into_iter().map(|index| (anchor(index), index)).collect()
}

fn weeks_table(answer: &Answer, section: &Section) -> Markup {
    html! {
        details {
            summary { "Show the " (text::count(section.weeks.len(), "week")) " as a table" }
            div class="scroll" tabindex="0" role="region" aria-label=(format!("{}, week by week", answer.title)) {
                table {
                    thead { tr { th scope="col" { "Week" } th scope="col" { "From" } th scope="col" class="number" { "Hours" } th scope="col" class="number" { "of" } th scope="col" class="number" { "%" } } }
                    tbody {
                        @for week in &section.weeks {
                            tr {
                                th scope="row" { (week.name) }
                                td { (text::day(week.from)) }
                                td class="number" { (optional_hours(week.figure.numerator_seconds)) }
                                td class="number" { (optional_hours(week.figure.denominator_seconds)) }
                                td class="number" { (optional_percent(week.figure.ratio)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Hours, or a dash where there are none to state.
pub fn optional_hours(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), text::hours)
}

/// Per cent, or a dash where there is no ratio.
pub fn optional_percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), text::percent)
}

/// One row of a Pareto, in seconds.
struct ParetoRow {
    name: String,
    seconds: i64,
    before: f64,
    after: f64,
}

fn pareto_rows(answer: &Answer) -> (Vec<ParetoRow>, i64) {
    let seconds = |figure: &StereotypeFigure| figure.numerator_seconds.unwrap_or_default();
    let mut shares: Vec<(String, i64)> = answer
        .by_stereotype
        .iter()
        .map(|figure| (figure.name.clone(), seconds(figure)))
        .filter(|(_, seconds)| *seconds > 0)
        .collect();
    let total: i64 = shares.iter().map(|(_, seconds)| seconds).sum();
    if shares.len() > PARETO_ROWS + 1 {
        let others = shares.split_off(PARETO_ROWS);
        let seconds = others.iter().map(|(_, seconds)| seconds).sum();
        shares.push((format!("{} others", others.len()), seconds));
    }
    let mut sum = 0;
    let row = |(name, seconds): (String, i64)| {
        let before = sum as f64 / total as f64 * 100.0;
        sum += seconds;
        ParetoRow { name, seconds, before, after: sum as f64 / total as f64 * 100.0 }
    };
    (shares.into_iter().map(row).collect(), total)
}

/// Which kinds of activity the hours are in: bars, their running total, and the line of 80 %.
pub fn pareto(answer: &Answer, section: &Section) -> Markup {
    let (rows, total) = pareto_rows(answer);
    let kinds = answer.by_stereotype.iter().filter(|figure| figure.numerator_seconds.unwrap_or_default() > 0).count();
    let vital = rows.iter().take_while(|row| row.before < PARETO_LINE).count();
    let what = section.adjective.as_deref().or(section.parts.as_ref().map(|parts| parts.numerator.as_str()));
    html! {
        @if rows.is_empty() {
            h3 { "By kind of work" }
            p class="quiet" { "There are no such hours." }
        } @else {
            h3 {
                @match rows.first() {
                    Some(only) if kinds == 1 => { "All of it is “" (only.name) "”" },
                    Some(most) if vital == 1 => { "“" (most.name) "” makes up 80 % of it" },
                    _ => { (vital) " of " (kinds) " kinds of work make up 80 % of it" },
                }
            }
            p class="quiet" { "Hours " (what.unwrap_or_default()) "; bars and running total in % of all " (text::hours(total)) " h" }
            table class="pareto" role="table" {
                thead role="rowgroup" {
                    tr role="row" {
                        th role="columnheader" scope="col" { "Kind of work" }
                        th role="columnheader" scope="col" class="number" { "hours" }
                        th role="columnheader" scope="col" class="bar" {
                            svg aria-hidden="true" focusable="false" {
                                text class="tick" x="0" y="90%" { "0" }
                                text class="mark-text" x=(pc(PARETO_LINE)) y="90%" text-anchor="middle" { "80 %" }
                            }
                        }
                        th role="columnheader" scope="col" class="number" { "total" }
                    }
                }
                tbody role="rowgroup" {
                    @for (index, row) in rows.iter().enumerate() {
                        tr role="row" class=[(index >= vital).then_some("minor")] {
                            th role="rowheader" scope="row" { (row.name) }
                            td role="cell" class="number" { (text::hours(row.seconds)) }
                            td role="cell" class="bar" { (pareto_bar(row, index == 0)) }
                            td role="cell" class="number" { (format!("{:.0} %", row.after)) }
                        }
                    }
                }
            }
        }
    }
}

fn pareto_bar(row: &ParetoRow, first: bool) -> Markup {
    html! {
        svg aria-hidden="true" focusable="false" {
            line class="mark" x1=(pc(PARETO_LINE)) x2=(pc(PARETO_LINE)) y1="0" y2="100%" {}
            rect class="fill-one" x="0" y="20%" width=(pc(row.after - row.before)) height="60%" {}
            // It reaches up to the dot of the row before; rows have one height where it is shown.
            @if !first {
                line class="total" x1=(pc(row.before)) y1="-50%" x2=(pc(row.after)) y2="50%" {}
            }
            circle class="total-dot" cx=(pc(row.after)) cy="50%" r="3.5" {}
        }
    }
}

/// Numerator and rest of each part, on one scale.
pub fn stacked(index: usize, section: &Section, parts: &[Part], link: impl Fn(&Part) -> String) -> Markup {
    let Some(words) = &section.parts else { return html! {} };
    let figure = |part: &Part| {
        let figure = part.figures.get(index)?;
        Some((figure.numerator_seconds?, figure.denominator_seconds?))
    };
    let most = parts.iter().filter_map(figure).map(|(_, whole)| whole).max().unwrap_or_default().max(1) as f64;
    html! {
        p class="legend" {
            span class="key-one" { (words.rest) ", h" }
            span class="key-two" { (words.numerator) ", h" }
        }
        table class="stacked" role="table" {
            thead role="rowgroup" class="hidden" {
                tr role="row" {
                    th role="columnheader" scope="col" { "Name" }
                    th role="columnheader" scope="col" { (words.rest) " and " (words.numerator) ", hours" }
                    th role="columnheader" scope="col" { "Share" }
                }
            }
            tbody role="rowgroup" {
                @for part in parts {
                    tr role="row" {
                        th role="rowheader" scope="row" {
                            a href=(link(part)) { (part.name) }
                            @if part.incomplete { " " span class="quiet" { "(not whole)" } }
                        }
                        td role="cell" class="bar" {
                            @if let Some((numerator, whole)) = figure(part) {
                                (stacked_bar(numerator, whole, most))
                            } @else {
                                span class="quiet" { "not measurable" }
                            }
                        }
                        td role="cell" class="number" { (optional_percent(part.figures.get(index).and_then(|figure| figure.ratio))) " %" }
                    }
                }
            }
        }
    }
}

fn stacked_bar(numerator: i64, whole: i64, most: f64) -> Markup {
    let rest = whole - numerator;
    let (first, second) = (rest as f64 / most * 100.0, numerator as f64 / most * 100.0);
    // A number that does not fit its bar on a telephone is left to the wider screens, and below that to the text.
    let fits = |width: f64| match width {
        width if width < 9.0 => None,
        width if width < 18.0 => Some("bar-text wide-only"),
        _ => Some("bar-text"),
    };
    html! {
        span class="hidden" { (text::hours(rest)) " and " (text::hours(numerator)) }
        svg aria-hidden="true" focusable="false" {
            rect class="fill-one" x="0" y="12%" width=(pc(first)) height="76%" {}
            rect class="fill-two" x=(pc(first)) y="12%" width=(pc(second)) height="76%" {}
            @if let Some(class) = fits(first) {
                text class=(class) x=(pc(first / 2.0)) y="50%" dy="0.35em" text-anchor="middle" { (text::hours(rest)) }
            }
            @if let Some(class) = fits(second) {
                text class={ (class) " on-two" } x=(pc(first + second / 2.0)) y="50%" dy="0.35em" text-anchor="middle" { (text::hours(numerator)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_its_values_with_few_round_lines() {
        assert_eq!(scale(0.10, 0.262), (10.0, 30.0, 5.0));
        assert_eq!(scale(0.23, 0.23), (23.0, 24.0, 1.0));
        assert_eq!(scale(0.0, 1.0), (0.0, 100.0, 20.0));
        assert_eq!(scale(0.0, 0.0), (0.0, 1.0, 1.0));
    }

    #[test]
    fn a_curve_is_broken_where_a_week_has_no_ratio() {
        let points = [Some((0.0, 0.0)), None, Some((0.5, 1.0)), Some((1.0, 0.5))];
        assert_eq!(curve(&points), "M0.00 100.00M50.00 0.00L100.00 50.00");
    }

    #[test]
    fn labelled_weeks_are_within_the_weeks() {
        for weeks in 1..60 {
            let labels = week_labels(weeks);
            assert!(labels.len() <= 5 && labels.iter().all(|(_, index)| *index < weeks), "{weeks}");
        }
    }
}
