//! Numbers and dates as people read them. The only place where anything is rounded.

use chrono::{DateTime, Datelike, Utc};
use shared::{
    annotator::declaration::{SECONDS, Units},
    time::LocalDay,
};

use crate::{figure::Figure, selection::Range};

/// What is read where there is no number.
pub const NONE: &str = "–";

/// A number with so many decimals, a tie rounded away from zero.
pub fn rounded(number: f64, decimals: i32) -> String {
    let scale = 10_f64.powi(decimals);
    let digits = decimals.unsigned_abs() as usize;
    format!("{:.digits$}", (number * scale).round() / scale)
}

/// Whole hours, with a comma for thousands.
pub fn hours(seconds: i64) -> String {
    thousands((seconds as f64 / 3_600.0).round() as i64)
}

/// Hours as they are quoted, with one decimal.
pub fn decimal_hours(hours: f64) -> String {
    let tenths = (hours * 10.0).round() as i64;
    format!("{}.{}", thousands(tenths / 10), (tenths % 10).abs())
}

/// Hours, minutes and seconds: exact.
pub fn clock(seconds: i64) -> String {
    format!("{}:{:02}:{:02}", thousands(seconds / 3_600), seconds / 60 % 60, seconds % 60)
}

/// A value without any rounding: durations as hours, minutes and seconds, anything else as it is.
pub fn exact(value: i64, unit: &str) -> String {
    if unit == SECONDS { clock(value) } else { thousands(value) }
}

/// What [`exact`] gives, in a word.
pub fn exact_unit(unit: &str) -> &str {
    if unit == SECONDS { "h:mm:ss" } else { unit }
}

/// So many of a unit: durations in whole hours, anything else as it is.
pub fn quantity(value: i64, unit: &str) -> String {
    if unit == SECONDS { hours(value) } else { thousands(value) }
}

/// What [`quantity`] gives, in a word.
pub fn unit(unit: &str) -> &str {
    if unit == SECONDS { "hours" } else { unit }
}

/// What a ratio is multiplied with before it is read: shares are read in per cent, durations in minutes.
pub fn factor(units: &Units) -> f64 {
    match () {
        () if units.is_share() => 100.0,
        () if lasts(units).is_some() => 1.0 / 60.0,
        () => 1.0,
    }
}

/// What follows `minutes`, where a ratio is a duration.
fn lasts(units: &Units) -> Option<&str> {
    units.reads.as_deref().filter(|_| units.numerator == SECONDS)?.strip_prefix(SECONDS)
}

/// A ratio with one decimal, without its sign or unit.
pub fn ratio(units: &Units, ratio: f64) -> String {
    rounded(ratio * factor(units), 1)
}

/// What stands after a ratio.
pub fn sign(units: &Units) -> String {
    match lasts(units) {
        _ if units.is_share() => "%".to_owned(),
        Some(per) => format!("minutes{per}"),
        None => units.reads.clone().unwrap_or_default(),
    }
}

/// A figure and what stands after it: its ratio, or its number where it is not divided by anything.
pub fn figure(units: &Units, figure: &Figure) -> (String, String) {
    match (figure.ratio, figure.numerator, figure.denominator) {
        (Some(value), ..) => (ratio(units, value), sign(units)),
        (None, Some(value), None) => (quantity(value, &units.numerator), unit(&units.numerator).to_owned()),
        _ => (NONE.to_owned(), String::new()),
    }
}

/// A ratio with its sign or unit.
pub fn reading(units: &Units, value: f64) -> String {
    // A sign does not go to the next line without its number.
    let space = if units.is_share() { '\u{a0}' } else { ' ' };
    format!("{}{space}{}", ratio(units, value), sign(units))
}

/// A ratio as it is read, or a dash where there is none.
pub fn optional_ratio(units: &Units, value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| ratio(units, value))
}

/// So many of a unit, or a dash where there are none to state.
pub fn optional_quantity(value: Option<i64>, unit: &str) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| quantity(value, unit))
}

/// A share in words that are never more than it: `a third`, `nearly a third`, `more than a third`.
pub fn share(value: f64) -> String {
    const FRACTIONS: [(f64, &str); 8] = [
        (0.1, "a tenth"),
        (0.2, "a fifth"),
        (0.25, "a quarter"),
        (1.0 / 3.0, "a third"),
        (0.4, "two fifths"),
        (0.5, "half"),
        (2.0 / 3.0, "two thirds"),
        (0.75, "three quarters"),
    ];
    // Half a point is what nobody would tell apart; three are what the words may stand for.
    const SAME: f64 = 0.005;
    const NEAR: f64 = 0.03;
    let by_distance = |a: &&(f64, &str), b: &&(f64, &str)| (value - a.0).abs().total_cmp(&(value - b.0).abs());
    match FRACTIONS.iter().min_by(by_distance) {
        Some((fraction, words)) if (value - fraction).abs() < SAME => (*words).to_owned(),
        Some((fraction, words)) if (fraction - NEAR..*fraction).contains(&value) => format!("nearly {words}"),
        Some((fraction, words)) if (*fraction..fraction + NEAR).contains(&value) => format!("more than {words}"),
        _ => whole_percent(value),
    }
}

/// With a capital first letter.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A reason code in words.
pub fn reason(code: &str) -> String {
    code.replace('_', " ")
}

/// A count, with a comma for thousands.
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "−" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in per cent with one decimal, without the sign.
pub fn percent(ratio: f64) -> String {
    rounded(ratio * 100.0, 1)
}

/// A share as whole per cent, with the sign.
pub fn whole_percent(ratio: f64) -> String {
    format!("{} %", rounded(ratio * 100.0, 0))
}

/// A share of which one knows only that it is not less, as whole per cent with the sign: never more than it is.
pub fn least_percent(ratio: f64) -> String {
    // The nearest number to a share of whole per cent may lie a little below it.
    format!("{:.0} %", (ratio * 100.0 + 1e-9).floor())
}

/// `3 Aug`.
pub fn day(day: LocalDay) -> String {
    day.0.format("%-d %b").to_string()
}

/// `Tue 3 Aug 2026`.
pub fn full_day(day: LocalDay) -> String {
    day.0.format("%a %-d %b %Y").to_string()
}

/// `3 Aug – 1 Nov 2026`, both ends included.
pub fn range(range: Range) -> String {
    let last = range.last();
    let first = if range.from.0.year() == last.0.year() {
        day(range.from)
    } else {
        range.from.0.format("%-d %b %Y").to_string()
    };
    format!("{first} – {}", last.0.format("%-d %b %Y"))
}

/// `3 Aug – 16 Aug`, both ends included, where the year is clear.
pub fn days(range: Range) -> String {
    format!("{} – {}", day(range.from), day(range.last()))
}

/// `2 Nov 2026, 06:00 UTC`.
pub fn instant(instant: DateTime<Utc>) -> String {
    instant.format("%-d %b %Y, %H:%M UTC").to_string()
}

/// `06:00`.
pub fn time(instant: DateTime<Utc>) -> String {
    instant.format("%H:%M").to_string()
}

/// `1 team`, `4 teams`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number as i64))
}

/// The same of a whole number of rows.
pub fn rows(number: i64) -> String {
    count(number.unsigned_abs() as usize, "row")
}

/// Whether a letter is not to be seen: control characters, and those that turn the direction of what follows.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(-999), "−999");
        assert_eq!(hours(529_920), "147");
        assert_eq!((clock(4_444_480), clock(59)), ("1,234:34:40".into(), "0:00:59".into()));
        assert_eq!(
            (decimal_hours(0.25), rounded(0.25, 1), rounded(12.5, 0)),
            ("0.3".into(), "0.3".into(), "13".into())
        );
        assert_eq!((decimal_hours(1_234.56), decimal_hours(0.04)), ("1,234.6".into(), "0.0".into()));
        assert_eq!((percent(0.23), percent(0.2344)), ("23.0".into(), "23.4".into()));
        assert_eq!(
            (least_percent(0.4959), least_percent(0.29), least_percent(1.0)),
            ("49 %".into(), "29 %".into(), "100 %".into())
        );
        let days = |from: &str, to: &str| range(Range { from: from.parse().unwrap(), to: to.parse().unwrap() });
        assert_eq!(days("2026-08-03", "2026-11-02"), "3 Aug – 1 Nov 2026");
        assert_eq!(days("2025-12-29", "2026-01-05"), "29 Dec 2025 – 4 Jan 2026");
    }

    #[test]
    fn a_share_in_words_is_never_another_one() {
        for (value, words) in [
            (0.2, "a fifth"),
            (0.32, "nearly a third"),
            (0.35, "more than a third"),
            (0.449, "45 %"),
            (0.03, "3 %"),
            (0.0, "0 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(share(value), words, "{value}");
        }
    }

    #[test]
    fn a_duration_is_read_in_minutes_and_a_share_in_per_cent() {
        let units = |reads: Option<&str>| Units {
            denominator: reads.map_or("seconds", |_| "gaps").to_owned(),
            reads: reads.map(ToOwned::to_owned),
            ..Units::default()
        };
        assert_eq!(reading(&units(Some("seconds a gap")), 528.38), "8.8 minutes a gap");
        assert_eq!(reading(&units(None), 0.5), "50.0\u{a0}%");
    }
}
