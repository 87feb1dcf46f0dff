//! Numbers and dates as people read them. The only place where anything is rounded.

use chrono::{DateTime, Datelike, Utc};
use shared::time::LocalDay;

use crate::selection::Range;

/// Whole hours, with a comma for thousands.
pub fn hours(seconds: i64) -> String {
    thousands((seconds as f64 / 3_600.0).round() as i64)
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
    format!("{:.1}", ratio * 100.0)
}

/// A share as whole per cent, with the sign.
pub fn whole_percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// `3 Aug`.
pub fn day(day: LocalDay) -> String {
    day.0.format("%-d %b").to_string()
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

/// `2 Nov 2026, 06:00 UTC`.
pub fn instant(instant: DateTime<Utc>) -> String {
    instant.format("%-d %b %Y, %H:%M UTC").to_string()
}

/// `1 team`, `4 teams`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(-999), "−999");
        assert_eq!(hours(529_920), "147");
        assert_eq!((percent(0.23), percent(0.2345)), ("23.0".into(), "23.4".into()));
        let days = |from: &str, to: &str| range(Range { from: from.parse().unwrap(), to: to.parse().unwrap() });
        assert_eq!(days("2026-08-03", "2026-11-02"), "3 Aug – 1 Nov 2026");
        assert_eq!(days("2025-12-29", "2026-01-05"), "29 Dec 2025 – 4 Jan 2026");
    }
}
