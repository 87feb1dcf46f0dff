//! A figure period by period: days, ISO weeks, months or sprints.

use std::{collections::BTreeSet, str::FromStr};

use chrono::Datelike;
use serde::Serialize;
use shared::{annotator::declaration::Insight, contribution::Scope, time::LocalDay};
use utoipa::ToSchema;

use crate::{
    access::suppression::hidden_by,
    division::sprints,
    evidence::Group,
    figure::{Figure, Status},
    selection::{InvalidParameter, Range},
};

/// Weeks that are still told apart side by side; a longer range is drawn by months.
const MOST_WEEKS: i64 = 60;
/// Days that are still told apart side by side.
const MOST_DAYS: i64 = 21;

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// A local day.
    Day,
    /// An ISO week, Monday first.
    Week,
    /// A month of the calendar.
    Month,
    /// A sprint: its own rows, whichever day they are of.
    Sprint,
}

impl FromStr for Granularity {
    type Err = InvalidParameter;

    fn from_str(text: &str) -> Result<Self, InvalidParameter> {
        match text {
            "day" => Ok(Self::Day),
            "week" => Ok(Self::Week),
            "month" => Ok(Self::Month),
            "sprint" => Ok(Self::Sprint),
            _ => Err(InvalidParameter::new("granularity", "it is day, week, sprint or month.")),
        }
    }
}

impl Granularity {
    /// In a word, as a parameter and to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Sprint => "sprint",
        }
    }

    /// The one that is best read of a group where nobody asks for another.
    pub fn fitting(group: &Group) -> Self {
        let own = |team: &String| sprints(group, Some(team)).len();
        if matches!(&group.scope, Scope::Team(id) if own(id) > 1) {
            return Self::Sprint;
        }
        let days = worked(group).map_or(0, Range::days);
        match days {
            days if days <= MOST_DAYS => Self::Day,
            days if days <= MOST_WEEKS * 7 => Self::Week,
            _ => Self::Month,
        }
    }

    /// Those that a group can be asked for.
    pub fn possible(group: &Group) -> Vec<Self> {
        let mut possible = vec![Self::Day, Self::Week, Self::Month];
        // An organisation's sprints lie side by side, not one after the other.
        if matches!(group.scope, Scope::Team(_) | Scope::Person(_)) && group.has_sprints() {
            possible.push(Self::Sprint);
        }
        possible
    }
}

/// A figure over one period, as far as the range covers it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Period {
    /// `3 Aug`, `W44`, `Aug 2026` or a sprint's name; a week's has its year where the range has weeks of two.
    pub name: String,
    /// Its first day in the range.
    #[schema(value_type = String, format = Date)]
    pub from: LocalDay,
    /// The day after its last in the range.
    #[schema(value_type = String, format = Date)]
    pub to: LocalDay,
    /// Whether the range has all of it.
    pub complete: bool,
    /// The ratio less that of the period before. Where this one is not over yet, the one before counts only as many of
    /// its days; null where that one was cut at its start, and where one of them has no ratio.
    pub change: Option<f64>,
    /// The figure.
    #[serde(flatten)]
    pub figure: Figure,
}

/// The days between the first and the last with rows, both included.
fn worked(group: &Group) -> Option<Range> {
    let (first, last) = group.days.keys().next().zip(group.days.keys().next_back())?;
    Some(Range { from: *first, to: last.plus(1) })
}

/// The periods of `insight` from the first day with rows to the last; empty without rows.
pub fn trend(insight: &Insight, group: &Group, granularity: Granularity) -> Vec<Period> {
    let (Some(range), Some(worked)) = (group.range, worked(group)) else { return Vec::new() };
    match granularity {
        Granularity::Sprint => by_sprint(insight, group, range),
        _ => by_calendar(insight, group, range, worked, granularity),
    }
}

/// A figure over some of the group's days.
pub fn figure_in(insight: &Insight, group: &Group, days: Range) -> Figure {
    let days = (days.from < days.to).then(|| group.days.range(days.from..days.to));
    let cells = days.into_iter().flatten().flat_map(|(_, day)| &day.by_stereotype);
    group.figure(insight, cells)
}

fn by_calendar(insight: &Insight, group: &Group, range: Range, worked: Range, granularity: Granularity) -> Vec<Period> {
    let mut wholes = vec![period_of(worked.from, granularity)];
    while let Some(last) = wholes.last().filter(|last| last.to < worked.to) {
        wholes.push(period_of(last.to, granularity));
    }
    let year = |whole: &Range| whole.from.0.iso_week().year();
    let years = wholes.first().map(year) != wholes.last().map(year);
    let hidden = hidden_periods(insight, group, &wholes);
    let mut periods: Vec<Period> = Vec::new();
    let mut before: Option<Range> = None;
    for whole in wholes {
        let days = Range { from: whole.from.max(range.from), to: whole.to.min(range.to) };
        let is_hidden = hidden.contains(&whole.from);
        let figure = if is_hidden { Figure::hidden() } else { figure_in(insight, group, days) };
        let change = before.filter(|before| range.from <= before.from && whole.from >= range.from).and_then(|before| {
            let same = Range { from: before.from, to: before.from.plus(days.days()).min(before.to) };
            let same = if days == whole { before } else { same };
            Some(figure.ratio? - figure_in(insight, group, same).ratio?)
        });
        let name = name_of(whole.from, granularity, years);
        periods.push(Period { name, from: days.from, to: days.to, complete: days == whole, change, figure });
        // A change from what is hidden would tell it.
        before = (!is_hidden).then_some(whole);
    }
    periods
}

/// The first days of the periods that are hidden among them: together they are the figure of the range.
fn hidden_periods(insight: &Insight, group: &Group, wholes: &[Range]) -> BTreeSet<LocalDay> {
    let columns: Vec<String> = insight.ratio().columns().cloned().collect();
    let period = |day: &LocalDay| wholes.iter().rev().find(|whole| whole.from <= *day).map(|whole| whole.from);
    let keyed = group.days.iter().filter_map(|(day, adds)| Some((period(day)?, adds)));
    let keyed = keyed.flat_map(|(first, adds)| adds.by_stereotype.iter().map(move |cell| (first, cell)));
    hidden_by(keyed, &columns, group.minimum)
}

/// The whole period that `day` lies in.
fn period_of(day: LocalDay, granularity: Granularity) -> Range {
    let date = day.0;
    match granularity {
        Granularity::Day | Granularity::Sprint => Range { from: day, to: day.plus(1) },
        Granularity::Week => {
            let from = day.plus(-i64::from(date.weekday().num_days_from_monday()));
            Range { from, to: from.plus(7) }
        }
        Granularity::Month => {
            let from = day.plus(-i64::from(date.day0()));
            Range { from, to: from.plus(i64::from(date.num_days_in_month())) }
        }
    }
}

fn name_of(first: LocalDay, granularity: Granularity, with_year: bool) -> String {
    match granularity {
        Granularity::Day | Granularity::Sprint if with_year => first.0.format("%-d %b %Y").to_string(),
        Granularity::Day | Granularity::Sprint => first.0.format("%-d %b").to_string(),
        Granularity::Week if with_year => first.0.format("W%V %G").to_string(),
        Granularity::Week => first.0.format("W%V").to_string(),
        Granularity::Month => first.0.format("%b %Y").to_string(),
    }
}

fn by_sprint(insight: &Insight, group: &Group, range: Range) -> Vec<Period> {
    let team = match &group.scope {
        Scope::Team(id) => Some(id.as_str()),
        _ => None,
    };
    let mut before: Option<(Range, String)> = None;
    let mut periods = Vec::new();
    for sprint in sprints(group, team) {
        let Some(whole) = sprint.days else { continue };
        let days = Range { from: whole.from.max(range.from), to: whole.to.min(range.to) };
        let figure = sprint.figure(insight);
        let told = figure.status != Status::Hidden;
        let comparable = before.take().filter(|(before, _)| range.from <= before.from && whole.from >= range.from);
        let change = comparable.and_then(|(before, id)| {
            // A whole sprint counts all its rows, also those on days outside of it.
            let until = if sprint.complete { range.to } else { before.from.plus(days.days()) };
            Some(figure.ratio? - sprint_until(insight, group, &id, until).ratio?)
        });
        let Scope::Sprint(id) = sprint.scope else { continue };
        let Range { from, to } = days;
        periods.push(Period { name: sprint.name, from, to, complete: sprint.complete, change, figure });
        before = told.then_some((whole, id));
    }
    periods
}

/// A sprint's figure of the rows before a day.
fn sprint_until(insight: &Insight, group: &Group, sprint: &str, until: LocalDay) -> Figure {
    let days = group.days.range(..until).map(|(_, day)| day);
    let cells = days.flat_map(|day| match &group.scope {
        Scope::Organisation => &day.by_sprint,
        _ => &day.by_stereotype,
    });
    let own = |cell: &&shared::contribution::Cell| match &group.scope {
        Scope::Sprint(id) => id == sprint,
        _ => cell.key.sprint.as_deref() == Some(sprint),
    };
    group.figure(insight, cells.filter(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{HOUR, Row, evidence, register, row, sprint};

    fn of(range: (&str, &str), rows: &[Row], granularity: Granularity) -> Vec<(String, i64, bool, Option<f64>)> {
        let sprints = [sprint("a", "1", "2025-12-22", "2026-01-05"), sprint("b", "1", "2026-01-05", "2026-01-19")];
        let evidence = evidence("team:1", range, rows, &[], &sprints);
        let register = register();
        let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
        let periods = trend(insight, &evidence.group(), granularity);
        let short = |period: Period| {
            let seconds = period.figure.numerator.unwrap_or_default();
            (period.name, seconds / HOUR, period.complete, period.change)
        };
        periods.into_iter().map(short).collect()
    }

    fn rows() -> Vec<Row> {
        let spent = |day: &str, sprint: &str| {
            [row(day, "p", "1", sprint, HOUR).automatable(), row(day, "q", "1", sprint, HOUR)]
        };
        let mut rows = Vec::new();
        rows.extend(spent("2025-12-22", "a"));
        rows.extend([row("2025-12-24", "p", "1", "a", 2 * HOUR)]);
        rows.extend(spent("2025-12-30", "a"));
        rows.extend(spent("2026-01-05", "b"));
        rows
    }

    #[test]
    fn weeks_of_two_years_say_which_and_one_that_is_not_over_compares_to_date() {
        let weeks = of(("2025-12-22", "2026-01-06"), &rows(), Granularity::Week);
        let names: Vec<_> = weeks.iter().map(|week| (week.0.as_str(), week.2)).collect();
        assert_eq!(names, [("W52 2025", true), ("W01 2026", true), ("W02 2026", false)]);
        assert_eq!(weeks[1].3, Some(0.25), "one of two hours after one of four");
        // Monday alone against the Monday before, which nobody worked on.
        assert_eq!(weeks[2].3, None);
        let weeks = of(("2025-12-23", "2025-12-31"), &rows(), Granularity::Week);
        assert_eq!((weeks[0].0.as_str(), weeks[0].2), ("W52 2025", false));
        assert_eq!(weeks[1].3, None, "the week before was cut at its start");
    }

    #[test]
    fn a_sprint_that_is_not_over_compares_with_the_same_days_of_the_one_before() {
        let sprints = of(("2025-12-22", "2026-01-06"), &rows(), Granularity::Sprint);
        // Its first day: one of two hours, then and now.
        assert_eq!(sprints, [("A".into(), 2, true, None), ("B".into(), 1, false, Some(0.0))]);
        let whole = of(("2025-12-22", "2026-01-19"), &rows(), Granularity::Sprint);
        assert_eq!(whole[1].3, Some(0.5 - 2.0 / 6.0));
    }

    #[test]
    fn what_is_shown_unasked_fits_side_by_side() {
        let fitting = |days: i64, scope: &str| {
            let first = crate::sample::day("2025-01-06");
            let last = first.plus(days - 1).to_string();
            let rows = [row("2025-01-06", "p", "1", "", HOUR), row(&last, "p", "1", "", HOUR)];
            let range = ("2025-01-01", "2027-12-31");
            Granularity::fitting(&evidence(scope, range, &rows, &[], &[]).group())
        };
        for (days, granularity) in
            [(5, Granularity::Day), (22, Granularity::Week), (420, Granularity::Week), (421, Granularity::Month)]
        {
            assert_eq!(fitting(days, "org"), granularity, "{days} days");
        }
        let sprints = crate::sample::four_teams("team:1");
        assert_eq!(Granularity::fitting(&sprints.group()), Granularity::Sprint);
    }

    #[test]
    fn months_and_days_add_up_to_the_same() {
        for granularity in [Granularity::Day, Granularity::Week, Granularity::Month, Granularity::Sprint] {
            let periods = of(("2025-12-22", "2026-01-19"), &rows(), granularity);
            assert_eq!(periods.iter().map(|period| period.1).sum::<i64>(), 3, "{granularity:?}");
        }
        let months = of(("2025-12-22", "2026-01-19"), &rows(), Granularity::Month);
        assert_eq!(months.iter().map(|month| &*month.0).collect::<Vec<_>>(), ["Dec 2025", "Jan 2026"]);
        assert!(months.iter().all(|month| !month.2), "the range has neither of them whole");
    }
}
