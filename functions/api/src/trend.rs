//! A figure period by period: days, ISO weeks, months or sprints.

use std::{collections::BTreeSet, str::FromStr};

use chrono::Datelike;
use serde::Serialize;
use shared::{
    annotator::{Logic, declaration::Insight},
    contribution::{Cell, Contribution, Scope, Shown},
    time::LocalDay,
};
use utoipa::ToSchema;

use crate::{
    division::sprints,
    evidence::{Earlier, Evidence, Group},
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
        if !group.tells_parts() {
            return Self::Month;
        }
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

/// A figure over time, with where its logic changed and what it was before.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The figure, each day by the logic that shows it.
    pub periods: Vec<Period>,
    /// Where the logic of the figure changes.
    pub markers: Vec<Marker>,
    /// The same by an older logic, where it has the days, too.
    pub earlier: Option<Series>,
}

/// The day from which on another logic computes a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Marker {
    /// The first day of it.
    #[schema(value_type = String, format = Date)]
    pub day: LocalDay,
    /// The name of the period that the day lies in; null if none does.
    pub period: Option<String>,
    /// The logic before.
    #[schema(value_type = String, example = "1d89b1b19ef2")]
    pub before: Logic,
    /// The logic from this day on.
    #[schema(value_type = String, example = "5ee12be1dcea")]
    pub logic: Logic,
    /// What changed, in the register's words.
    pub notes: Vec<String>,
}

/// What an older logic says of the periods whose days it has, all of them.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Series {
    /// The older logic.
    #[schema(value_type = String, example = "1d89b1b19ef2")]
    pub logic: Logic,
    /// What the logic that is preferred does otherwise, in the register's words.
    pub notes: Vec<String>,
    /// How many of its days are shown by another logic.
    pub days: usize,
    /// Of those, the days that were captured again since: there the two differ by data, too.
    pub days_restated: usize,
    /// The figure.
    pub periods: Vec<Period>,
}

impl Course {
    /// The course of `insight`.
    pub fn of(insight: &Insight, evidence: &Evidence, granularity: Granularity) -> Self {
        let group = evidence.group();
        let periods = trend(insight, &group, granularity);
        Self {
            markers: markers(insight, &evidence.shown, &periods),
            earlier: evidence.earlier.as_ref().and_then(|earlier| series(insight, evidence, earlier, granularity)),
            periods,
        }
    }

    /// Whether the older logic says just the same, everywhere: then its change is none of this figure here.
    pub fn is_settled(&self) -> bool {
        let Some(series) = &self.earlier else { return self.markers.is_empty() };
        let figures = |periods: &[Period]| -> Vec<(Option<i64>, Option<i64>)> {
            periods.iter().map(|period| (period.figure.numerator, period.figure.denominator)).collect()
        };
        self.markers.iter().all(|marker| marker.before == series.logic)
            && figures(&self.periods) == figures(&series.periods)
    }

    /// Without days that nobody worked on: they are no part of a line from day to day.
    pub fn worked(mut self, granularity: Granularity) -> Self {
        if granularity == Granularity::Day {
            let series = self.earlier.iter_mut().map(|series| &mut series.periods);
            let all = std::iter::once(&mut self.periods).chain(series);
            all.for_each(|periods| periods.retain(|period| period.figure.rows != Some(0)));
        }
        self
    }
}

/// Where the logic of `insight` changes among days given in their order. A logic that computes it alike is no change.
pub fn markers(insight: &Insight, shown: &[Shown], periods: &[Period]) -> Vec<Marker> {
    let columns = || insight.ratio().columns();
    let between = |pair: &[Shown]| {
        let [before, after] = pair else { return None };
        let (old, new) = (&before.logic, &after.logic);
        if old.logic == new.logic || old.computes_alike(new, columns()) {
            return None;
        }
        let day = after.pointer.partition.day;
        let period = periods.iter().find(|period| period.from <= day && day < period.to);
        Some(Marker {
            day,
            period: period.map(|period| period.name.clone()),
            before: old.logic.clone(),
            logic: new.logic.clone(),
            notes: new.changes_since(old),
        })
    };
    shown.windows(2).filter_map(between).collect()
}

/// What an older logic says of those periods of which it has every captured day.
fn series(insight: &Insight, evidence: &Evidence, earlier: &Earlier, granularity: Granularity) -> Option<Series> {
    let group = evidence.earlier_group()?;
    let has = |day: &LocalDay| earlier.pointers.contains_key(day);
    let periods: Vec<(Period, bool)> = match granularity {
        Granularity::Sprint => {
            let range = group.range?;
            let whole = evidence.group();
            // A sprint's rows may lie on days outside of it.
            let of_sprint = |id: &str| whole.days.keys().filter(|day| has_rows_of(&whole, id, **day)).all(has);
            let periods = by_sprint(insight, &group, range).into_iter();
            periods.map(|(id, period)| (period, of_sprint(&id))).collect()
        }
        _ => {
            let captured = || evidence.shown.iter().map(|shown| shown.pointer.partition.day);
            let within = |period: &Period, day: &LocalDay| period.from <= *day && *day < period.to;
            let judged = |period: Period| {
                let all = captured().filter(|day| within(&period, day)).all(|day| has(&day));
                (period, all)
            };
            trend(insight, &group, granularity).into_iter().map(judged).collect()
        }
    };
    let mut kept: Vec<Period> = Vec::new();
    let mut whole_before = false;
    for (mut period, whole) in periods {
        if whole {
            // Part of the period before is missing.
            period.change = period.change.filter(|_| whole_before);
            kept.push(period);
        }
        whole_before = whole;
    }
    let own = |shown: &&Shown| {
        shown.logic.logic != earlier.logic.logic && earlier.pointers.contains_key(&shown.pointer.partition.day)
    };
    let restated = |shown: &&Shown| {
        let partition = earlier.pointers.get(&shown.pointer.partition.day).map(|pointer| pointer.partition);
        partition != Some(shown.pointer.partition)
    };
    let others = || evidence.shown.iter().filter(own);
    Some(Series {
        logic: earlier.logic.logic.clone(),
        notes: others().next_back().map_or_else(Vec::new, |shown| shown.logic.changes_since(&earlier.logic)),
        days: others().count(),
        days_restated: others().filter(restated).count(),
        periods: kept,
    })
    .filter(|series| !series.periods.is_empty())
}

/// The days between the first and the last with rows, both included; of a group whose days are not told all of the range.
fn worked(group: &Group) -> Option<Range> {
    if !group.tells_parts() {
        return group.range;
    }
    let (first, last) = group.days.keys().next().zip(group.days.keys().next_back())?;
    Some(Range { from: *first, to: last.plus(1) })
}

/// The periods of `insight` from the first day with rows to the last; empty without rows.
pub fn trend(insight: &Insight, group: &Group, granularity: Granularity) -> Vec<Period> {
    let (Some(range), Some(worked)) = (group.range, worked(group)) else { return Vec::new() };
    match granularity {
        Granularity::Sprint => by_sprint(insight, group, range).into_iter().map(|(_, period)| period).collect(),
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
        let is_hidden = !group.tells_parts() || hidden.contains(&whole.from);
        let figure = if is_hidden { Figure::hidden() } else { figure_in(insight, group, days) };
        let change = before.filter(|before| range.from <= before.from && whole.from >= range.from).and_then(|before| {
            let same = Range { from: before.from, to: before.from.plus(days.days()).min(before.to) };
            let same = if days == whole { before } else { same };
            // The rest of the period before follows from its first days.
            let part = |day: LocalDay, _: &Cell| (before.from <= day && day < before.to).then_some(day < same.to);
            if !group.tells_of_each(part, insight) {
                return None;
            }
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
    if wholes.iter().all(|whole| whole.days() == 1) {
        return group.hidden_days(&columns);
    }
    let period = |day: LocalDay| wholes.iter().rev().find(|whole| whole.from <= day).map(|whole| whole.from);
    group.hidden_parts_beside_days(|day, _| period(day), &columns)
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

/// Each sprint's id and its period.
fn by_sprint(insight: &Insight, group: &Group, range: Range) -> Vec<(String, Period)> {
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
            let part = |day: LocalDay, cell: &Cell| is_in(group, &id, cell).then_some(day < until);
            if !group.tells_of_each(part, insight) {
                return None;
            }
            Some(figure.ratio? - sprint_until(insight, group, &id, until).ratio?)
        });
        let Scope::Sprint(id) = sprint.scope else { continue };
        let Range { from, to } = days;
        periods.push((id.clone(), Period { name: sprint.name, from, to, complete: sprint.complete, change, figure }));
        before = told.then_some((whole, id));
    }
    periods
}

/// A sprint's figure of the rows before a day.
fn sprint_until(insight: &Insight, group: &Group, sprint: &str, until: LocalDay) -> Figure {
    let cells = group.days.range(..until).flat_map(|(_, day)| cells_of(group, sprint, day));
    group.figure(insight, cells)
}

/// A sprint's cells among those of a day.
fn cells_of<'a>(group: &'a Group, sprint: &'a str, day: &'a Contribution) -> impl Iterator<Item = &'a Cell> + Clone {
    let cells = match &group.scope {
        Scope::Organisation => &day.by_sprint,
        _ => &day.by_stereotype,
    };
    cells.iter().filter(move |cell| is_in(group, sprint, cell))
}

fn is_in(group: &Group, sprint: &str, cell: &Cell) -> bool {
    match &group.scope {
        Scope::Sprint(id) => id == sprint,
        _ => cell.key.sprint.as_deref() == Some(sprint),
    }
}

fn has_rows_of(group: &Group, sprint: &str, day: LocalDay) -> bool {
    group.days.get(&day).is_some_and(|day| cells_of(group, sprint, day).next().is_some())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::Arc,
    };

    use shared::{
        annotator::Register,
        contribution::{Extent, LogicRecord, Pointer},
        lake::{Partition, Sha256},
        settings::LogicSettings,
    };

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

    /// A logic with another judgement in `classify`, or other days of grace, which `planning` alone reads.
    fn logic(judgement: &str, grace_days: u32, at: &str) -> Arc<LogicRecord> {
        let settings = LogicSettings { grace_days, ..LogicSettings::default() };
        let text = format!("{}{judgement}", include_str!("../../annotate-classify/classification.toml"));
        let configurations = BTreeMap::from([("classify", text.as_str())]);
        let register = Register::configured(&settings, &configurations).unwrap();
        Arc::new(LogicRecord::of(&register, at.parse().unwrap()))
    }

    const SANITY: &str = "\n[stereotypes.\"sanity-test\"]\nautomatable = true\n";

    fn shown(day: LocalDay, logic: &Arc<LogicRecord>, generation: &str) -> Shown {
        let pointer = Pointer {
            partition: Partition { day, generation: generation.parse().unwrap() },
            base: Sha256::of("x"),
            total: Extent::default(),
            evidence: BTreeSet::new(),
        };
        Shown { logic: logic.clone(), pointer }
    }

    const FIRST: &str = "20260301T000000Z";

    /// Three weeks of an hour a day, shown by `old` and from the second Wednesday on by `new`; `old` has all days but
    /// the last and found half an hour automatable on each, `new` a whole one.
    fn changed(old: &Arc<LogicRecord>, new: &Arc<LogicRecord>) -> Evidence {
        let first = crate::sample::day("2026-02-02");
        let change = crate::sample::day("2026-02-11");
        let days: Vec<LocalDay> = (0..21).map(|day| first.plus(day)).collect();
        let rows = |before: i64, after: i64| -> Vec<Row> {
            let of = |day: &LocalDay| {
                let automatable = if *day < change { before } else { after };
                Row { automatable: Some(automatable), ..row(&day.to_string(), "p", "1", "", HOUR) }
            };
            days.iter().map(of).collect()
        };
        let range = ("2026-02-02", "2026-02-23");
        let own = evidence("team:1", range, &rows(HOUR / 2, HOUR), &[], &[]);
        let mut older = evidence("team:1", range, &rows(HOUR / 2, HOUR / 2), &[], &[]);
        let last = days[20];
        older.days.remove(&last);
        let by = |day: &LocalDay| if *day < change { old } else { new };
        let again = days[15];
        let generation = |day: &LocalDay| if *day == again { "20260302T000000Z" } else { FIRST };
        let has = days.iter().filter(|day| **day != last).map(|day| (*day, shown(*day, old, FIRST).pointer));
        Evidence {
            shown: days.iter().map(|day| shown(*day, by(day), generation(day))).collect(),
            earlier: Some(Earlier {
                logic: old.clone(),
                pointers: has.collect(),
                days: older.days,
                evident: BTreeSet::new(),
            }),
            ..own
        }
    }

    fn course(old: &Arc<LogicRecord>, new: &Arc<LogicRecord>, granularity: Granularity) -> Course {
        let register = register();
        let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
        Course::of(insight, &changed(old, new), granularity)
    }

    #[test]
    fn a_trend_marks_where_its_logic_changes_and_goes_on_by_the_older_one_as_far_as_that_has_every_day() {
        let (old, new) = (logic("", 1, "2026-01-01T00:00:00Z"), logic(SANITY, 1, "2026-02-01T00:00:00Z"));
        let weeks = course(&old, &new, Granularity::Week);
        let marker = Marker {
            day: crate::sample::day("2026-02-11"),
            period: Some("W07".into()),
            before: old.logic.clone(),
            logic: new.logic.clone(),
            notes: vec!["classify: its configuration changed".into()],
        };
        assert_eq!(weeks.markers, [marker]);
        let hours = |periods: &[Period]| -> Vec<(String, Option<f64>)> {
            periods.iter().map(|period| (period.name.clone(), period.figure.ratio)).collect()
        };
        let mixed = (2.0 * 0.5 + 5.0) / 7.0;
        assert_eq!(
            hours(&weeks.periods),
            [("W06".into(), Some(0.5)), ("W07".into(), Some(mixed)), ("W08".into(), Some(1.0))]
        );
        // Of the third week the older logic lacks a day, so it says nothing of it.
        let earlier = weeks.earlier.unwrap();
        assert_eq!(hours(&earlier.periods), [("W06".into(), Some(0.5)), ("W07".into(), Some(0.5))]);
        assert_eq!((&earlier.logic, earlier.days, earlier.days_restated), (&old.logic, 11, 1));
        assert_eq!(earlier.notes, ["classify: its configuration changed"]);
        let days = course(&old, &new, Granularity::Day);
        assert!(!days.is_settled());
        assert_eq!(days.earlier.unwrap().periods.len(), 20);
        assert_eq!(course(&old, &new, Granularity::Month).earlier, None, "the month lacks a day");
    }

    #[test]
    fn a_change_of_logic_that_changes_nothing_here_is_known_to_be_none() {
        let (old, new) = (logic("", 1, "2026-01-01T00:00:00Z"), logic(SANITY, 1, "2026-02-01T00:00:00Z"));
        let register = register();
        let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
        let mut evidence = changed(&old, &new);
        let last = crate::sample::day("2026-02-22");
        evidence.shown.retain(|shown| shown.pointer.partition.day != last);
        let course = |evidence: &Evidence| Course::of(insight, evidence, Granularity::Day);
        assert!(!course(&evidence).is_settled());
        evidence.days = evidence.earlier.as_ref().unwrap().days.clone();
        assert!(course(&evidence).is_settled());
        assert_eq!(course(&evidence).markers.len(), 1, "it is marked all the same");
        evidence.earlier = None;
        assert!(!course(&evidence).is_settled(), "nobody knows");
    }

    #[test]
    fn a_logic_that_computes_a_figure_alike_is_no_change_of_it() {
        let (old, new) = (logic("", 1, "2026-01-01T00:00:00Z"), logic("", 2, "2026-02-01T00:00:00Z"));
        assert_ne!(old.logic, new.logic);
        assert_eq!(course(&old, &new, Granularity::Week).markers, []);
        let register = register();
        let planning = register.insights().find(|insight| insight.id == "late-planning").unwrap();
        let notes = markers(planning, &changed(&old, &new).shown, &[]).remove(0).notes;
        assert_eq!(notes, ["planning: GRACE_DAYS is 2 instead of 1"]);
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
