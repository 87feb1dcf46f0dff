//! What a deployment decides about its answers: from when on something is worth saying, and what an hour is worth.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    annotator::Register,
    settings::{InvalidSetting, setting},
    spelling::did_you_mean,
};
use utoipa::ToSchema;

/// How findings are chosen and priced. None of it changes a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Thresholds other than the declared ones, by insight. `FINDING_THRESHOLDS`, such as
    /// `automatable=0.05,juggling=4`.
    pub thresholds: BTreeMap<String, f64>,
    /// Nothing is said of fewer hours, per sprint or what a finding's hours are per. `FINDING_LEAST_HOURS`; 1.
    pub least_hours: f64,
    /// What an hour of work costs; without it, nothing is said in money. `HOURLY_RATE`.
    pub hourly_rate: Option<f64>,
    /// In what. `CURRENCY`, three capital letters; EUR.
    pub currency: String,
    /// Hours of a working day. `WORKING_DAY_HOURS`; 8.
    pub working_day_hours: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            thresholds: BTreeMap::new(),
            least_hours: 1.0,
            hourly_rate: None,
            currency: "EUR".to_owned(),
            working_day_hours: 8.0,
        }
    }
}

/// Time that comes back, per sprint or whatever the finding is per.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Recovery {
    /// Hours.
    pub hours: f64,
    /// The same in working days.
    pub working_days: f64,
    /// The same in money, rounded to hundredths; null where no hourly rate is set.
    pub money: Option<f64>,
}

/// Thresholds as they are written in one variable.
struct Thresholds(BTreeMap<String, f64>);

impl std::str::FromStr for Thresholds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let one = |pair: &str| {
            let (insight, threshold) = pair.split_once('=').ok_or(())?;
            let threshold: f64 = threshold.trim().parse().map_err(|_| ())?;
            (threshold.is_finite() && threshold >= 0.0).then(|| (insight.trim().to_owned(), threshold)).ok_or(())
        };
        let mut thresholds = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (insight, threshold) = one(pair)?;
            // Of two nobody knows which one is meant.
            thresholds.insert(insight, threshold).is_none().then_some(()).ok_or(())?;
        }
        Ok(Self(thresholds))
    }
}

impl Settings {
    /// Reads the environment; what is not set, or empty, has its default.
    ///
    /// # Errors
    /// If a variable is not what it should be, or has a threshold of what is no finding of `register`.
    pub fn from_env(register: &Register) -> Result<Self, InvalidSetting> {
        Self::read(register, |name| std::env::var(name).ok())
    }

    /// The same from any source of variables.
    pub fn read(register: &Register, variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let default = Self::default();
        let pairs = "insights with their thresholds, each once, such as automatable=0.05,juggling=4";
        let thresholds = setting(&variable, "FINDING_THRESHOLDS", pairs, |_: &Thresholds| true)?;
        let known: Vec<&str> =
            register.insights().filter(|insight| insight.finding.is_some()).map(|insight| &*insight.id).collect();
        let given = thresholds.iter().flat_map(|given| given.0.keys());
        if let Some(unknown) = given.into_iter().find(|id| !known.contains(&id.as_str())) {
            let expected = format!(
                "thresholds of insights that have findings; `{unknown}` is none of them{}: {}",
                did_you_mean(unknown, &known),
                known.join(", ")
            );
            let value = variable("FINDING_THRESHOLDS").unwrap_or_default();
            return Err(InvalidSetting::of("FINDING_THRESHOLDS", value, expected));
        }
        let rate = |rate: &f64| rate.is_finite() && *rate >= 0.0;
        let letters = |code: &String| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let day = |hours: &f64| *hours > 0.0 && *hours <= 24.0;
        Ok(Self {
            thresholds: thresholds.map_or(default.thresholds, |given| given.0),
            least_hours: setting(&variable, "FINDING_LEAST_HOURS", "a number of hours, such as 1 or 0.5", rate)?
                .unwrap_or(default.least_hours),
            hourly_rate: setting(&variable, "HOURLY_RATE", "an amount of money, such as 85 or 85.50", rate)?,
            currency: setting(&variable, "CURRENCY", "a currency code such as EUR", letters)?
                .unwrap_or(default.currency),
            working_day_hours: setting(&variable, "WORKING_DAY_HOURS", "a number of hours up to 24, such as 7.5", day)?
                .unwrap_or(default.working_day_hours),
        })
    }

    /// What `hours` are worth.
    pub fn recovery(&self, hours: f64) -> Recovery {
        Recovery {
            hours,
            working_days: hours / self.working_day_hours,
            money: self.hourly_rate.map(|rate| (hours * rate * 100.0).round() / 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, InvalidSetting> {
        let register = crate::sample::register();
        Settings::read(&register, |name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_set_counts_and_what_is_wrong_is_named() {
        assert_eq!(read(&[]), Ok(Settings::default()));
        let set = read(&[
            ("FINDING_THRESHOLDS", "automatable = 0.05, juggling=4,"),
            ("HOURLY_RATE", "85.50"),
            ("CURRENCY", "USD"),
            ("WORKING_DAY_HOURS", "7.6"),
            ("FINDING_LEAST_HOURS", "0.5"),
        ])
        .unwrap();
        assert_eq!((set.thresholds["automatable"], set.thresholds["juggling"]), (0.05, 4.0));
        assert_eq!(set.least_hours, 0.5);
        let misspelt = read(&[("FINDING_THRESHOLDS", "automatible=0.05")]).unwrap_err().to_string();
        assert!(misspelt.contains("did you mean `automatable`?"), "{misspelt}");
        let recovery = set.recovery(76.0);
        assert_eq!((recovery.working_days, recovery.money), (10.0, Some(6_498.0)));
        for (name, value) in [
            ("FINDING_THRESHOLDS", "automatable"),
            ("FINDING_THRESHOLDS", "automatable=much"),
            ("FINDING_THRESHOLDS", "automatable=0.1,juggling=4,automatable=0.2"),
            // It has no finding.
            ("FINDING_THRESHOLDS", "waste=0.1"),
            ("FINDING_LEAST_HOURS", "-1"),
            ("HOURLY_RATE", "-1"),
            ("HOURLY_RATE", "NaN"),
            ("CURRENCY", "euro"),
            ("WORKING_DAY_HOURS", "0"),
        ] {
            assert!(read(&[(name, value)]).unwrap_err().to_string().contains(name), "{name}={value}");
        }
    }
}
