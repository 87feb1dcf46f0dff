use maud::{Markup, html};
use shared::{annotator::declaration::Units, time::LocalDay};

use super::{pc, scale};
use crate::{
    figure::Status,
    page::{frame::Frame, text},
    selection::Range,
    trend::{Course, Marker, Period, Series},
};

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

/// A ratio over time.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// What it is a line of.
    pub title: &'a str,
    /// What is counted, and how a ratio of it is read.
    pub units: &'a Units,
    /// From where on it is a finding.
    pub threshold: Option<f64>,
    /// What a period is, in a word.
    pub noun: &'a str,
    /// Its periods, and where its logic changed.
    pub course: &'a Course,
    /// What surrounds it; links keep its selection.
    pub frame: &'a Frame,
}

/// How far along the axis a period lies; a lone one is in the middle.
fn across(period: usize, periods: usize) -> f64 {
    if periods < 2 { 0.5 } else { period as f64 / (periods - 1) as f64 }
}

/// The ratios as points in a unit square, `None` where there is none. `low` and `high` bound the ratios.
fn points(periods: &[Period], low: f64, high: f64) -> Vec<Option<(f64, f64)>> {
    let span = if high > low { high - low } else { 1.0 };
    let at =
        |(index, period): (usize, &Period)| Some((across(index, periods.len()), (period.figure.ratio? - low) / span));
    periods.iter().enumerate().map(at).collect()
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

fn bounds(periods: &[Period]) -> Option<(f64, f64)> {
    let ratios = || periods.iter().filter_map(|period| period.figure.ratio);
    let low = ratios().reduce(f64::min)?;
    ratios().reduce(f64::max).map(|high| (low, high))
}

/// Where on the axis, in a unit interval, a day lies; a period is drawn at its middle.
fn place(day: LocalDay, periods: &[Period]) -> Option<f64> {
    let index = periods.iter().position(|period| day < period.to)?;
    let period = periods.get(index)?;
    let days = Range { from: period.from, to: period.to }.days().max(1);
    let into = (day.0 - period.from.0).num_days().max(0) as f64 / days as f64;
    let last = periods.len().saturating_sub(1).max(1) as f64;
    Some(((index as f64 - 0.5 + into) / last).clamp(0.0, 1.0))
}

/// The older logic's ratio in each period that has one, in the order of `periods`.
fn beside<'a>(series: &'a Series, periods: &[Period]) -> Vec<Option<&'a Period>> {
    let same = |period: &Period| series.periods.iter().find(|other| other.from == period.from && other.to == period.to);
    periods.iter().map(same).collect()
}

/// The areas between two curves, wherever both go on from one period to the next.
fn between(one: &[Option<(f64, f64)>], other: &[Option<(f64, f64)>]) -> String {
    let mut path = String::new();
    let both: Vec<_> = one.iter().zip(other).map(|(one, other)| one.zip(*other)).collect();
    for pair in both.windows(2) {
        if let [Some((a, b)), Some((c, d))] = pair {
            let corner = |(x, y): &(f64, f64)| format!("{:.2} {:.2}", x * 100.0, 100.0 - y * 100.0);
            path.push_str(&format!("M{}L{}L{}L{}Z", corner(a), corner(c), corner(d), corner(b)));
        }
    }
    path
}

/// A curve without axes beside a number; a line where its logic changed.
pub fn sparkline(course: &Course) -> Markup {
    let periods = course.periods.as_slice();
    let Some((low, high)) = bounds(periods).filter(|_| periods.len() > 1) else {
        return html! {};
    };
    let points = points(periods, low, high);
    let last = points.iter().rev().find_map(|point| *point);
    html! {
        svg class="spark" aria-hidden="true" focusable="false" {
            @for x in course.markers.iter().filter_map(|marker| place(marker.day, periods)) {
                line class="change" x1=(pc(2.0 + 94.0 * x)) x2=(pc(2.0 + 94.0 * x)) y1="0" y2="100%" {}
            }
            svg x="2%" y="12%" width="94%" height="76%" viewBox="0 0 100 100" preserveAspectRatio="none" {
                path class="curve thin" vector-effect="non-scaling-stroke" d=(curve(&points)) {}
            }
            @if let Some((x, y)) = last {
                circle class="dot" cx=(pc(2.0 + 94.0 * x)) cy=(pc(12.0 + 76.0 * (1.0 - y))) r="3" {}
            }
        }
    }
}

/// The ratio period by period, in per cent if it is a share, with the threshold where there is one. A period that the
/// range cuts is a ring. Where its logic changed there is a line, and the older logic's curve goes on beside it.
pub fn trend(line: Line<'_>) -> Markup {
    let Line { title, units, threshold, noun, course, frame } = line;
    let periods = course.periods.as_slice();
    // Two curves that are one are drawn once.
    let earlier = course.earlier.as_ref().filter(|_| !course.is_settled());
    let older = earlier.map(|series| beside(series, periods)).unwrap_or_default();
    let all: Vec<Period> = periods.iter().chain(older.iter().copied().flatten()).cloned().collect();
    let Some((low, high)) = bounds(&all) else {
        let hidden = periods.iter().any(|period| period.figure.status == Status::Hidden);
        return html! {
            p class="quiet" {
                @if hidden { "No " (noun) " is shown: too few people, or of a group that is told as a whole only." }
                @else { "There is no " (noun) " to draw." }
            }
        };
    };
    let factor = text::factor(units);
    let (low, high, step) = scale(
        threshold.map_or(low, |threshold| low.min(threshold)) * factor,
        threshold.map_or(high, |threshold| high.max(threshold)) * factor,
    );
    let share = |read: f64| (read - low) / (high - low);
    let lines = (0..=((high - low) / step).round() as i32).map(|line| low + f64::from(line) * step);
    let points = points(periods, low / factor, high / factor);
    let older_points: Vec<Option<(f64, f64)>> = older
        .iter()
        .enumerate()
        .map(|(index, period)| Some((across(index, periods.len()), share((*period)?.figure.ratio? * factor))))
        .collect();
    let drawn = || points.iter().zip(periods).filter_map(|(point, period)| Some((*point.as_ref()?, period)));
    let last = drawn().next_back();
    let last_older =
        older_points.iter().zip(&older).filter_map(|(point, period)| Some(((*point)?, (*period)?))).next_back();
    // The two numbers at the end keep out of each other's way.
    let above = match (&last, &last_older) {
        (Some(((_, new), _)), Some(((_, old), _))) => new >= old,
        (Some(((_, new), _)), None) => *new <= 0.85,
        _ => true,
    };
    let placed = || course.markers.iter().filter_map(|marker| Some((marker, place(marker.day, periods)?)));
    let alone = placed().count() == 1;
    html! {
        @if let Some(series) = earlier {
            p class="legend" {
                span { (stroke("curve")) @if course.markers.is_empty() { "by logic " code { (frame.logic) } } @else { "as it is shown" } }
                span { (stroke("curve older")) "by logic " code { (series.logic) } ", as before" }
                span { (area()) "difference" }
            }
        }
        svg class="trend" role="img" aria-label=(format!("{title}, {noun} by {noun}; the table below has the numbers")) {
            @for line in lines {
                @let y = pc(PLOT.y(share(line)));
                line class="grid" x1=(pc(PLOT.left)) x2=(pc(PLOT.x(1.0))) y1=(y) y2=(y) {}
                text class="tick" x=(pc(PLOT.left - 2.0)) y=(y) dy="0.35em" text-anchor="end" { (format!("{line:.0}")) }
            }
            @for (anchor, index) in labels(periods) {
                @if let Some(period) = periods.get(index) {
                    text class="tick" x=(pc(PLOT.x(across(index, periods.len())))) y="97%" text-anchor=(anchor) { (period.name) }
                }
            }
            @if let Some(threshold) = threshold {
                @let y = PLOT.y(share(threshold * factor));
                line class="mark" x1=(pc(PLOT.left)) x2=(pc(PLOT.x(1.0))) y1=(pc(y)) y2=(pc(y)) {}
                text class="mark-text" x=(pc(PLOT.left + 1.0)) y=(pc(y)) dy="-0.4em" { "threshold " (threshold_text(units, threshold)) }
            }
            svg x=(pc(PLOT.left)) y=(pc(PLOT.top)) width=(pc(PLOT.width)) height=(pc(PLOT.height)) viewBox="0 0 100 100" preserveAspectRatio="none" {
                @if !older.is_empty() {
                    path class="between" d=(between(&points, &older_points)) {}
                    path class="curve older" vector-effect="non-scaling-stroke" d=(curve(&older_points)) {}
                }
                path class="curve" vector-effect="non-scaling-stroke" d=(curve(&points)) {}
            }
            @for (index, (_, x)) in placed().enumerate() {
                line class="change" x1=(pc(PLOT.x(x))) x2=(pc(PLOT.x(x))) y1=(pc(PLOT.top - 2.0)) y2=(pc(PLOT.y(0.0))) {}
                text class="change-text" x=(pc(PLOT.x(x))) y=(pc(PLOT.top - 4.0)) text-anchor=(anchor(x)) {
                    @if alone { "logic changed" } @else { (index + 1) }
                }
            }
            @for ((x, y), period) in drawn() {
                circle class=(if period.complete { "point" } else { "point cut" }) cx=(pc(PLOT.x(x))) cy=(pc(PLOT.y(y))) r=(if period.complete { "2.5" } else { "3.5" }) {}
            }
            @if let Some(((x, y), period)) = last_older.filter(|(_, old)| last.as_ref().is_none_or(|(_, new)| read(units, old) != read(units, new))) {
                text class="older-text" x=(pc(PLOT.x(x))) y=(pc(PLOT.y(y))) dy=(if above { "1.6em" } else { "-0.7em" }) text-anchor="end" { "before " (read(units, period)) }
            }
            @if let Some(((x, y), period)) = last {
                text class="end-text" x=(pc(PLOT.x(x))) y=(pc(PLOT.y(y))) dy=(if above { "-0.7em" } else { "1.6em" }) text-anchor="end" { (read(units, period)) }
            }
        }
        @if drawn().any(|(_, period)| !period.complete) {
            p class="quiet key-cut" { "A ring is a " (noun) " of which these days hold a part only." }
        }
        (changes(frame, course))
        (table(line, &older))
    }
}

/// A period's ratio, as it stands in the plot.
fn read(units: &Units, period: &Period) -> String {
    let sign = if units.is_share() { " %" } else { "" };
    format!("{}{sign}", text::ratio(units, period.figure.ratio.unwrap_or_default()))
}

fn anchor(x: f64) -> &'static str {
    match x {
        x if x < 0.15 => "start",
        x if x > 0.85 => "end",
        _ => "middle",
    }
}

fn stroke(class: &str) -> Markup {
    html! {
        svg class="stroke" viewBox="0 0 24 10" aria-hidden="true" focusable="false" { path class=(class) d="M0 5H24" {} }
    }
}

fn area() -> Markup {
    html! {
        svg class="swatch" viewBox="0 0 10 10" aria-hidden="true" focusable="false" { rect class="between" width="10" height="10" {} }
    }
}

/// Where the logic changed, in the register's words, and the way to what that comes to.
fn changes(frame: &Frame, course: &Course) -> Markup {
    let same = || html! { @if course.is_settled() { " Here both say the same." } };
    let words = |notes: &[String]| if notes.is_empty() { "what it reads changed".to_owned() } else { notes.join("; ") };
    let change = |marker: &Marker| {
        html! {
            b { "From " (text::day(marker.day)) " on" } " by logic " code { (marker.logic) } " instead of " code { (marker.before) } ": "
            (words(&marker.notes)) "." (same()) " " a href=(frame.comparison(&marker.before, &marker.logic)) { "Compare the two" } "."
        }
    };
    html! {
        @match (course.markers.as_slice(), &course.earlier) {
            ([], None) => {},
            ([], Some(series)) => p class="quiet changes" {
                "All these days were computed again. Logic " code { (frame.logic) } " instead of " code { (series.logic) } ": "
                (words(&series.notes)) "." (same()) " " a href=(frame.comparison(&series.logic, &frame.logic)) { "Compare the two" } "."
            },
            ([only], _) => p class="quiet changes" { (change(only)) },
            (several, _) => ol class="quiet changes" { @for marker in several { li { (change(marker)) } } },
        }
        @if let Some(series) = course.earlier.as_ref().filter(|series| series.days_restated > 0) {
            p class="quiet" {
                "Of " (text::count(series.days, "day")) " that both have, " (text::thousands(series.days_restated as i64))
                " were captured again since: there the curves differ by data, too."
            }
        }
    }
}

fn threshold_text(units: &Units, threshold: f64) -> String {
    if units.is_share() { text::whole_percent(threshold) } else { threshold.to_string() }
}

/// Letters that fit below a trend on a telephone.
const LETTERS: usize = 32;

/// Which periods are labelled: the first, the last, and up to three between them if their names leave room.
fn labels(periods: &[Period]) -> Vec<(&'static str, usize)> {
    let last = periods.len().saturating_sub(1);
    let spread = |parts: usize| {
        let mut indices: Vec<usize> = (0..=parts).map(|part| part * last / parts).collect();
        indices.dedup();
        indices
    };
    let length = |indices: &[usize]| {
        let names = indices.iter().filter_map(|index| periods.get(*index));
        names.map(|period| period.name.chars().count() + 1).sum::<usize>()
    };
    let most = last.clamp(1, 4);
    let indices = (1..=most).rev().map(spread).find(|indices| length(indices) <= LETTERS).unwrap_or_else(|| spread(1));
    let crowded = length(&indices) > LETTERS / 2;
    let anchor = |index: usize| match index {
        index if index == last && last > 0 => "end",
        0 if crowded && last > 0 => "start",
        _ => "middle",
    };
    indices.into_iter().map(|index| (anchor(index), index)).collect()
}

fn table(line: Line<'_>, older: &[Option<&Period>]) -> Markup {
    let Line { title, units, noun, course, .. } = line;
    let periods = course.periods.as_slice();
    let before = |index: usize| older.get(index).copied().flatten().and_then(|period| period.figure.ratio);
    html! {
        details {
            summary { "Show the " (text::count(periods.len(), noun)) " as a table" }
            div class="scroll" tabindex="0" role="region" aria-label=(format!("{title}, {noun} by {noun}")) {
                table class="lines" {
                    thead { tr {
                        th scope="col" { (text::capital(noun)) }
                        th scope="col" { "Days" }
                        th scope="col" class="number" { (text::unit(&units.numerator)) }
                        th scope="col" class="number" { "of" @if units.denominator != units.numerator { " " (text::unit(&units.denominator)) } }
                        th scope="col" class="number" { (text::sign(units)) }
                        th scope="col" class="number" { "change" }
                        @if let Some(series) = &course.earlier { th scope="col" class="number" { "by " (series.logic) } }
                    } }
                    tbody { @for (index, period) in periods.iter().enumerate() { tr {
                        th scope="row" { (period.name) @if !period.complete { " " span class="quiet" { "(part)" } } }
                        td { (text::range(Range { from: period.from, to: period.to })) }
                        td class="number" { (text::optional_quantity(period.figure.numerator, &units.numerator)) }
                        td class="number" { (text::optional_quantity(period.figure.denominator, &units.denominator)) }
                        td class="number" { (text::optional_ratio(units, period.figure.ratio)) }
                        td class="number" { (change(units, period)) }
                        @if course.earlier.is_some() { td class="number" { (text::optional_ratio(units, before(index))) } }
                    } } }
                }
            }
        }
    }
}

fn change(units: &Units, period: &Period) -> String {
    match period.change.map(|change| text::ratio(units, change)) {
        None => text::NONE.to_owned(),
        Some(change) if change.trim_start_matches('-').trim_matches(['0', '.']).is_empty() => "0.0".to_owned(),
        Some(change) if change.starts_with('-') => change.replacen('-', "−", 1),
        Some(change) => format!("+{change}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_broken_where_a_period_has_no_ratio() {
        let points = [Some((0.0, 0.0)), None, Some((0.5, 1.0)), Some((1.0, 0.5))];
        assert_eq!(curve(&points), "M0.00 100.00M50.00 0.00L100.00 50.00");
    }

    #[test]
    fn labelled_periods_are_within_the_periods_and_leave_room_for_each_other() {
        let evidence = crate::sample::four_teams("team:1");
        let register = crate::sample::register();
        let insight = register.insights().next().unwrap();
        let weeks = crate::trend::trend(insight, &evidence.group(), crate::trend::Granularity::Week);
        for count in 1..=weeks.len() {
            let labels = labels(&weeks[..count]);
            assert!(labels.len() <= 5 && labels.iter().all(|(_, index)| *index < count), "{count}");
        }
        let mut long = weeks.clone();
        long.iter_mut().for_each(|week| week.name = "Sprint of the longest name".into());
        assert_eq!(labels(&long), [("start", 0), ("end", weeks.len() - 1)]);
    }
}
