use maud::{Markup, html};

use super::{pc, scale};
use crate::{
    figure::{Bin, Distribution, Quantile},
    page::text,
};

/// Shades of a heatmap.
const SHADES: i64 = 5;
/// Bars of a histogram; values beyond are one bar.
const BARS: i64 = 24;
/// How much of all values the bars of one width must hold, in per cent.
const HELD: i64 = 98;
/// Where the plot lies inside a histogram, in per cent of it.
const LEFT: f64 = 9.0;
const WIDTH: f64 = 88.0;
const TOP: f64 = 14.0;
const HEIGHT: f64 = 70.0;

/// How many values of each size there are in each period: rows are periods, columns values. `unit` is what a value is
/// counted in.
pub fn heatmap(rows: &[(String, Distribution)], title: &str, unit: &str, noun: &str) -> Markup {
    let count = |spread: &Distribution, value: i64| {
        spread.bins.iter().filter(|bin| bin.from == value).map(|bin| bin.count).sum::<i64>()
    };
    let ends = |spread: &Distribution| Some((spread.bins.first()?.from, spread.bins.last()?.from));
    let ends: Vec<(i64, i64)> = rows.iter().filter_map(|(_, spread)| ends(spread)).collect();
    let low = ends.iter().map(|(low, _)| *low).min().unwrap_or_default();
    let high = ends.iter().map(|(_, high)| *high).max().unwrap_or_default();
    let most = rows.iter().flat_map(|(_, spread)| spread.bins.iter().map(|bin| bin.count)).max().unwrap_or_default();
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(title) {
            table class="heat" {
                thead {
                    tr {
                        th scope="col" { (text::capital(noun)) }
                        @for value in low..=high { th scope="col" class="number" { (value) } }
                        th scope="col" class="number" { "mean" }
                    }
                }
                tbody {
                    @for (name, spread) in rows {
                        tr {
                            th scope="row" { (name) }
                            @for value in low..=high {
                                @let count = count(spread, value);
                                td class={ "shade-" (shade(count, most)) } { (text::thousands(count)) }
                            }
                            td class="number" { (format!("{:.1}", spread.sum as f64 / spread.count.max(1) as f64)) }
                        }
                    }
                }
            }
        }
        p class="quiet" { "Columns are " (unit) "; a cell says on how many it was so many." }
    }
}

/// 0 for none, else 1 to [`SHADES`].
fn shade(count: i64, most: i64) -> i64 {
    if count <= 0 { 0 } else { 1 + (count * SHADES - 1) / most.max(1) }.min(SHADES)
}

/// A bar: where it begins and ends, in units of the axis, and how many values lie in it.
#[derive(Debug, PartialEq, Eq)]
struct Bar {
    from: i64,
    to: Option<i64>,
    count: i64,
}

/// Bins put together to bars of one width, with whatever lies beyond them in a last one.
fn bars(spread: &Distribution) -> Vec<Bar> {
    let bin = |bin: &Bin| bin.to.map(|to| to - bin.from);
    let Some(width) = spread.bins.iter().find_map(bin) else { return Vec::new() };
    let mut held = 0;
    let enough = |bin: &&Bin| {
        held += bin.count;
        held * 100 >= spread.count * HELD
    };
    let first = spread.bins.first().map_or(0, |bin| bin.from);
    let reach = spread.bins.iter().find(enough).and_then(|bin| bin.to).unwrap_or(first + width);
    let bins = (reach - first + width - 1) / width;
    let width = width * ((bins + BARS - 1) / BARS).max(1);
    let bars = (reach - first + width - 1) / width;
    let end = first + bars * width;
    let count = |from: i64, to: i64| {
        spread.bins.iter().filter(|bin| from <= bin.from && bin.from < to).map(|bin| bin.count).sum()
    };
    let bar = |index: i64| {
        let (from, to) = (first + index * width, first + (index + 1) * width);
        Bar { from, to: Some(to), count: count(from, to) }
    };
    let mut all: Vec<Bar> = (0..bars).map(bar).collect();
    let beyond = count(end, i64::MAX);
    if beyond > 0 {
        all.push(Bar { from: end, to: None, count: beyond });
    }
    all
}

/// How the values are spread, with the median and the 90th percentile. `minutes` says whether they are durations.
pub fn histogram(spread: &Distribution, title: &str, noun: &str, minutes: bool) -> Markup {
    let bars = bars(spread);
    let read = |value: i64| if minutes { text::thousands(value / 60) } else { text::thousands(value) };
    let named = |bar: &Bar| match bar.to {
        Some(to) if !minutes && to == bar.from + 1 => read(bar.from),
        Some(to) => format!("{} – {}", read(bar.from), read(to)),
        None => format!("{} and more", read(bar.from)),
    };
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or_default();
    let (_, top, step) = scale(0.0, most as f64);
    let lines = (0..=(top / step).round() as i32).map(|line| f64::from(line) * step);
    let each = WIDTH / bars.len().max(1) as f64;
    let x = |index: usize| LEFT + each * index as f64;
    let y = |count: f64| TOP + HEIGHT * (1.0 - count / top);
    let place = |quantile: &Quantile| bars.iter().rposition(|bar| bar.from <= quantile.from);
    let ticks = bars.len().div_ceil(6).max(1);
    html! {
        svg class="trend" role="img" aria-label=(format!("{title}; the table below has the numbers")) {
            @for line in lines {
                line class="grid" x1=(pc(LEFT)) x2=(pc(LEFT + WIDTH)) y1=(pc(y(line))) y2=(pc(y(line))) {}
                text class="tick" x=(pc(LEFT - 1.5)) y=(pc(y(line))) dy="0.35em" text-anchor="end" { (short(line)) }
            }
            @for (index, bar) in bars.iter().enumerate() {
                rect class=(if bar.to.is_some() { "fill-one" } else { "fill-minor" }) x=(pc(x(index) + each * 0.06)) width=(pc(each * 0.88)) y=(pc(y(bar.count as f64))) height=(pc(TOP + HEIGHT - y(bar.count as f64))) {}
                @if bar.to.is_none() {
                    text class="tick" x=(pc(x(index + 1))) y="95%" text-anchor="end" { (read(bar.from)) "+" }
                } @else if index % ticks == 0 && (index + 2 < bars.len() || bars.iter().all(|bar| bar.to.is_some())) {
                    @if minutes {
                        text class="tick" x=(pc(x(index))) y="95%" text-anchor="middle" { (read(bar.from)) }
                    } @else {
                        text class="tick" x=(pc(x(index) + each / 2.0)) y="95%" text-anchor="middle" { (read(bar.from)) }
                    }
                }
            }
            @for (index, quantile) in spread.quantiles.iter().enumerate() {
                @if let Some(bar) = place(quantile) {
                    @let at = x(bar) + each / 2.0;
                    line class="mark" x1=(pc(at)) x2=(pc(at)) y1=(pc(TOP - 4.0)) y2=(pc(TOP + HEIGHT)) {}
                    text class="mark-text" x=(pc(at)) y=(pc(TOP - 5.0)) text-anchor=(if index == 0 { "start" } else { "end" }) {
                        (quantile_name(quantile)) " " (quantile_text(quantile, minutes))
                    }
                }
            }
        }
        details {
            summary { "Show the " (text::count(bars.len(), "bar")) " as a table" }
            div class="scroll" tabindex="0" role="region" aria-label=(title) {
                table class="lines" {
                    thead { tr {
                        th scope="col" { @if minutes { "Minutes" } @else { (text::capital(noun)) } }
                        th scope="col" class="number" { "How many" }
                        th scope="col" class="number" { "%" }
                    } }
                    tbody { @for bar in &bars { tr {
                        th scope="row" { (named(bar)) }
                        td class="number" { (text::thousands(bar.count)) }
                        td class="number" { (text::percent(bar.count as f64 / spread.count.max(1) as f64)) }
                    } } }
                }
            }
        }
    }
}

fn short(count: f64) -> String {
    text::thousands(count.round() as i64)
}

fn quantile_name(quantile: &Quantile) -> &'static str {
    if quantile.q == 0.5 { "median" } else { "90 %" }
}

/// The bin that a quantile lies in, as it is read: durations as minutes.
pub fn quantile_text(quantile: &Quantile, minutes: bool) -> String {
    match quantile.to {
        _ if !minutes => text::thousands(quantile.from),
        Some(to) => format!("{}–{} min", quantile.from / 60, to / 60),
        None => format!("over {} min", quantile.from / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(bins: &[(i64, Option<i64>, i64)]) -> Distribution {
        let bins: Vec<Bin> = bins.iter().map(|(from, to, count)| Bin { from: *from, to: *to, count: *count }).collect();
        let count = bins.iter().map(|bin| bin.count).sum();
        Distribution { column: "gap_seconds".into(), count, sum: 0, bins, quantiles: Vec::new() }
    }

    #[test]
    fn bars_hold_every_value_once_and_are_few() {
        let bins: Vec<_> = (0..100).map(|minute| (60 * minute, Some(60 * minute + 60), 100 - minute)).collect();
        let spread = spread(&bins);
        let bars = bars(&spread);
        assert!(bars.len() as i64 <= BARS + 1, "{}", bars.len());
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<i64>(), spread.count);
        let widths: Vec<_> = bars.iter().filter_map(|bar| Some(bar.to? - bar.from)).collect();
        assert!(widths.iter().all(|width| *width == widths[0]));
    }

    #[test]
    fn few_values_keep_their_own_bars() {
        let bars = bars(&spread(&[(5, Some(6), 345), (6, Some(7), 805), (9, Some(10), 318)]));
        assert_eq!(
            bars.iter().map(|bar| (bar.from, bar.count)).collect::<Vec<_>>(),
            [(5, 345), (6, 805), (7, 0), (8, 0), (9, 318)]
        );
    }

    #[test]
    fn shades_go_from_nothing_to_the_most() {
        assert_eq!([0, 1, 20, 21, 99, 100].map(|count| shade(count, 100)), [0, 1, 1, 2, 5, 5]);
        assert_eq!(shade(3, 3), 5);
    }
}
