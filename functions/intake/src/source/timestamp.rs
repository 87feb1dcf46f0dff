//! A date and a time of day, as PostgreSQL has them.

use std::{
    fmt::{self, Display, Formatter},
    ops::Range,
};

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{DateTime, Utc};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The days from 1970 to 2000, from where PostgreSQL counts.
pub(super) const YEAR_2000: i64 = 10_957;

/// What PostgreSQL writes as `2026-08-03 08:00:00.25` or, of a type with a time zone, as `2026-08-03 08:00:00.25+00`, where its
/// session is in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Since 2000, by its own clock: so PostgreSQL counts, and counted from 1970 its last ones have no room.
    pub microseconds: i64,
    /// Whether its clock is that of UTC.
    pub zoned: bool,
}

/// The years 1 to 9999.
const USUAL: Range<i64> = -730_119 * DAY..2_921_940 * DAY;

impl Timestamp {
    /// What a text says, if it is to the byte what PostgreSQL would write of a [usual](Timestamp::is_usual) one.
    pub fn read(text: &str) -> Option<Self> {
        // Most texts are ruled out by their shape.
        let [_, _, _, _, b'-', _, _, b'-', _, _, b' ', _, _, b':', _, _, b':', _, _, ..] = text.as_bytes() else {
            return None;
        };
        let (clock, zoned) = text.strip_suffix("+00").map_or((text, false), |clock| (clock, true));
        let microseconds = string_to_datetime(&Utc, clock).ok()?.timestamp_micros() - YEAR_2000 * DAY;
        let read = Self { microseconds, zoned };
        let mut written = Vec::with_capacity(text.len());
        read.write(&mut written);
        (read.is_usual() && written == text.as_bytes()).then_some(read)
    }

    /// Whether it lies in the years 1 to 9999, which are written with four digits and nothing after them.
    pub fn is_usual(self) -> bool {
        USUAL.contains(&self.microseconds)
    }

    /// The instant, if its clock is that of UTC; or else what its clock says, as if it were.
    pub fn utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.microseconds.checked_add(YEAR_2000 * DAY)?)
    }

    /// Appends the text.
    pub fn write(self, text: &mut Vec<u8>) {
        let before_christ = write_day(self.microseconds.div_euclid(DAY) + YEAR_2000, text);
        let of_day = self.microseconds.rem_euclid(DAY);
        let (second, mut fraction) = ((of_day / SECOND) as u32, of_day % SECOND);
        let [h, m, s] = [second / 3_600, second / 60 % 60, second % 60].map(two_digits);
        text.extend_from_slice(&[b' ', h[0], h[1], b':', m[0], m[1], b':', s[0], s[1]]);
        if fraction > 0 {
            text.push(b'.');
        }
        while fraction > 0 {
            fraction *= 10;
            text.push(b'0' + (fraction / SECOND) as u8);
            fraction %= SECOND;
        }
        if self.zoned {
            text.extend_from_slice(b"+00");
        }
        text.extend_from_slice(before_christ);
    }
}

/// The text of a day, which is counted from 1970.
pub fn date(day: i64) -> String {
    let mut text = Vec::new();
    let before_christ = write_day(day, &mut text);
    text.extend_from_slice(before_christ);
    String::from_utf8_lossy(&text).into_owned()
}

/// Appends a day, and returns what stands at the very end of a text with it.
fn write_day(day: i64, text: &mut Vec<u8>) -> &'static [u8] {
    let (year, month, day) = civil(day);
    // There is no year 0.
    let (counted, before_christ): (_, &[u8]) = if year > 0 { (year, b"") } else { (1 - year, b" BC") };
    let counted = counted.unsigned_abs();
    if counted > 9_999 {
        text.extend_from_slice(itoa::Buffer::new().format(counted / 10_000).as_bytes());
    }
    let [century, year, month, day] = [counted / 100 % 100, counted % 100, month, day].map(two_digits);
    text.extend_from_slice(&[century[0], century[1], year[0], year[1]]);
    text.extend_from_slice(&[b'-', month[0], month[1], b'-', day[0], day[1]]);
    before_christ
}

fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

impl Display for Timestamp {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        formatter.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Year, month and day of a day counted from 1970, in the Gregorian calendar before it was introduced, too. PostgreSQL's reach
/// further than those of chrono: from 4713 before Christ to five million after. Counted in eras of 400 years, which begin in March,
/// so that a leap day is the last of its year.
fn civil(day: i64) -> (i32, u32, u32) {
    const DAYS_OF_ERA: u32 = 146_097;
    const ERAS_BEFORE_CHRIST: u32 = 12;
    const FROM_MARCH_OF_YEAR_0: u32 = 719_468;
    let since_first = (day + i64::from(FROM_MARCH_OF_YEAR_0 + ERAS_BEFORE_CHRIST * DAYS_OF_ERA)) as u32;
    let (era, of_era) = (since_first / DAYS_OF_ERA, since_first % DAYS_OF_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    let year = (era * 400 + year_of_era + u32::from(month <= 2)) as i32 - (ERAS_BEFORE_CHRIST * 400) as i32;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_timestamp_only_if_it_is_how_postgresql_writes_it() {
        let micros = |text: &str| Timestamp::read(text).map(|at| (at.microseconds, at.zoned));
        assert_eq!(micros("2000-01-01 00:00:00+00"), Some((0, true)));
        assert_eq!(micros("2000-01-01 00:00:00.000001"), Some((1, false)));
        assert_eq!(micros("1999-12-31 23:59:59.5+00"), Some((-500_000, true)));
        assert_eq!(micros("2024-02-29 23:59:59"), Some((762_566_399_000_000, false)));
        let last = Timestamp { microseconds: 9_223_371_331_199_999_999, zoned: true };
        assert_eq!(last.to_string(), "294276-12-31 23:59:59.999999+00");
        for usual in ["0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"] {
            assert_eq!(Timestamp::read(usual).map(|at| at.to_string()).as_deref(), Some(usual));
        }
        let others = [
            "",
            "2026-08-03",
            "2026-08-03T08:00:00",
            "2026-08-03 08:00:00Z",
            "2026-08-03 08:00:00+02",
            "2026-08-03 08:00:00+00:00",
            "2026-08-03 08:00:00-00",
            "2026-08-03 08:00:00 ",
            "2026-08-03 08:00:00.50",
            "2026-08-03 08:00:00.",
            "2026-08-03 08:00:00.0",
            "2026-08-03 08:00:00.1234567",
            "2026-02-30 08:00:00",
            "2026-08-03 24:00:00",
            "2026-08-03 08:00:60",
            "0000-01-01 00:00:00",
            "20260-08-03 08:00:00",
            "2026-08-03 08:00:00 BC",
            "２026-08-03 08:00:00",
        ];
        for other in others {
            assert_eq!(Timestamp::read(other), None, "{other}");
        }
    }

    #[test]
    fn every_day_is_the_day_after_the_one_before_it() {
        // As chrono has them; 0000 is the year before 1.
        let mut day = chrono::NaiveDate::from_ymd_opt(-10, 1, 1).unwrap();
        let since_1970 = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
        for count in since_1970..since_1970 + 1_000_000 {
            let (year, month, of_month) = civil(count);
            use chrono::Datelike;
            assert_eq!((year, month, of_month), (day.year(), day.month(), day.day()));
            day = day.succ_opt().unwrap();
        }
    }
}
