//! What a deployment decides about the logic: every function that annotates, folds or answers must be told the same,
//! because the values are part of the effective versions of the annotators that read them.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono_tz::Tz;
use serde::Deserialize;

/// The name of one setting, as declarations write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// [`LogicSettings::organisation_time_zone`].
    OrganisationTimeZone,
    /// [`LogicSettings::grace_days`].
    GraceDays,
    /// [`LogicSettings::long_gap_hours`].
    LongGapHours,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Setting; 3] = [Setting::OrganisationTimeZone, Setting::GraceDays, Setting::LongGapHours];

    /// The environment variable that a deployment sets it by.
    pub fn variable(self) -> &'static str {
        match self {
            Setting::OrganisationTimeZone => "ORGANISATION_TIME_ZONE",
            Setting::GraceDays => "GRACE_DAYS",
            Setting::LongGapHours => "LONG_GAP_HOURS",
        }
    }
}

/// The settings that figures depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogicSettings {
    /// Whose midnight begins the days of a sprint. `ORGANISATION_TIME_ZONE`, an IANA name; UTC.
    pub organisation_time_zone: Tz,
    /// How many local days after its first one a sprint may still be planned. `GRACE_DAYS`; 1.
    pub grace_days: u32,
    /// From this many hours on, time between activities is a break. `LONG_GAP_HOURS`; 3.
    pub long_gap_hours: u32,
}

impl Default for LogicSettings {
    fn default() -> Self {
        Self { organisation_time_zone: Tz::UTC, grace_days: 1, long_gap_hours: 3 }
    }
}

/// A setting that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {variable} is `{value}`; it must be {expected}")]
pub struct InvalidSetting {
    variable: &'static str,
    value: String,
    expected: Cow<'static, str>,
}

impl InvalidSetting {
    /// A setting that has no default and is not there.
    pub fn missing(variable: &'static str, expected: &'static str) -> Self {
        Self::of(variable, String::new(), expected)
    }

    /// A setting whose value is not what is expected of it.
    pub fn of(variable: &'static str, value: String, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { variable, value, expected: expected.into() }
    }
}

impl LogicSettings {
    /// Reads the environment; what is not set, or empty, has its default.
    ///
    /// # Errors
    /// If a variable is no zone, or no number within its bounds.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The same from any source of variables.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let default = Self::default();
        let zone = setting(&variable, "ORGANISATION_TIME_ZONE", "an IANA time zone such as Europe/Berlin", |_| true)?;
        let days = setting(&variable, "GRACE_DAYS", "a whole number of days, 0 to 14", |days| *days <= 14)?;
        let hours =
            setting(&variable, "LONG_GAP_HOURS", "a whole number of hours, 1 to 24", |hours| (1..=24).contains(hours))?;
        Ok(Self {
            organisation_time_zone: zone.unwrap_or(default.organisation_time_zone),
            grace_days: days.unwrap_or(default.grace_days),
            long_gap_hours: hours.unwrap_or(default.long_gap_hours),
        })
    }

    /// The value of one setting, as it enters a fingerprint.
    pub fn value(&self, setting: Setting) -> impl fmt::Display {
        match setting {
            Setting::OrganisationTimeZone => self.organisation_time_zone.name().to_owned(),
            Setting::GraceDays => self.grace_days.to_string(),
            Setting::LongGapHours => self.long_gap_hours.to_string(),
        }
    }
}

/// Reads one variable that may be missing.
///
/// # Errors
/// If it is set to something that cannot be parsed or is not `valid`.
pub fn setting<T: FromStr>(
    variable: impl Fn(&str) -> Option<String>,
    name: &'static str,
    expected: &'static str,
    valid: impl Fn(&T) -> bool,
) -> Result<Option<T>, InvalidSetting> {
    let Some(value) = variable(name).filter(|value| !value.trim().is_empty()) else {
        return Ok(None);
    };
    match value.trim().parse::<T>() {
        Ok(parsed) if valid(&parsed) => Ok(Some(parsed)),
        _ => Err(InvalidSetting::of(name, value, expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<LogicSettings, InvalidSetting> {
        let value = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        LogicSettings::read(value)
    }

    #[test]
    fn what_is_not_set_has_its_default_and_what_is_wrong_is_named() {
        assert_eq!(read(&[("GRACE_DAYS", " ")]), Ok(LogicSettings::default()));
        let set = read(&[("ORGANISATION_TIME_ZONE", "Asia/Kolkata"), ("GRACE_DAYS", "0"), ("LONG_GAP_HOURS", "2")]);
        let expected = LogicSettings { organisation_time_zone: Tz::Asia__Kolkata, grace_days: 0, long_gap_hours: 2 };
        assert_eq!(set, Ok(expected));
        for (name, value) in [
            ("ORGANISATION_TIME_ZONE", "Berlin"),
            ("GRACE_DAYS", "15"),
            ("GRACE_DAYS", "-1"),
            ("LONG_GAP_HOURS", "0"),
            ("LONG_GAP_HOURS", "three"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
