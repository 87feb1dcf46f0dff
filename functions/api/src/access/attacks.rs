//! Trying to find out about few people from what a member is shown.

use std::collections::{BTreeMap, BTreeSet};

use shared::contribution::Scope;

use super::sight::Member;
use crate::{
    answer::Answer,
    division::{by_sprint_day, divisions, kinds, sprints},
    evidence::Evidence,
    figure::{Figure, Status},
    finding::findings,
    sample::{HOUR, Row, evidence, fold, register, row, seen_by, sprint},
    settings::Settings,
    trend::{Granularity, trend},
};

const MINIMUM: usize = 5;

fn member(person: &str) -> Member {
    Member { person: Some(person.to_owned()), teams: None, minimum: MINIMUM }
}

/// People called by their team and a number.
fn people(teams: &[(&str, usize)]) -> Vec<(String, String)> {
    let of = |(team, count): &(&str, usize)| {
        (0..*count).map(|n| (format!("{team}{n}"), (*team).to_owned())).collect::<Vec<_>>()
    };
    teams.iter().flat_map(of).collect()
}

fn borrowed(people: &[(String, String)]) -> Vec<(&str, &str)> {
    people.iter().map(|(person, team)| (person.as_str(), team.as_str())).collect()
}

/// An hour of everybody on each of some days.
fn worked(people: &[(String, String)], days: &[&str]) -> Vec<Row> {
    days.iter()
        .flat_map(|day| people.iter().map(|(person, team)| row(day, person, team, "", HOUR).automatable()))
        .collect()
}

fn told(evidence: &Evidence) -> Vec<String> {
    let divisions = divisions(evidence);
    divisions.iter().filter(|part| part.people().is_some()).map(|part| part.name.clone()).collect()
}

fn insight<T>(of: impl FnOnce(&shared::annotator::declaration::Insight) -> T) -> T {
    let register = register();
    of(register.insights().find(|insight| insight.id == "automatable").unwrap())
}

#[test]
fn a_small_team_and_the_next_smallest_are_hidden_however_one_asks() {
    let people = people(&[("a", 8), ("b", 6), ("c", 3)]);
    let rows = worked(&people, &["2026-01-05", "2026-01-06"]);
    let seen = |who: &str, scope: &str| seen_by(&member(who), scope, &rows, &borrowed(&people), &[]);
    assert_eq!(told(&seen("a0", "org").unwrap()), ["a"]);
    assert!(seen("a0", "team:a").is_some());
    assert!(seen("a0", "team:b").is_none() && seen("a0", "team:c").is_none(), "not by asking for them alone either");
    assert_eq!(told(&seen("nobody", "org").unwrap()), ["a"]);
    // Who is of b sees b, so the next after it has to go.
    assert_eq!(told(&seen("b0", "org").unwrap()), ["b"]);
    // Their own small team is theirs, and then nobody else is small.
    assert_eq!(told(&seen("c0", "org").unwrap()), ["a", "b", "c"]);
    let everything = Settings::default();
    let found = findings(&register(), &everything, &seen("a0", "org").unwrap());
    assert!(found.iter().all(|finding| finding.scope.to_string() == "team:a"), "{found:?}");
    // A hidden team says so, and nothing is 0.
    let seen = seen("a0", "org").unwrap();
    let hidden = divisions(&seen).into_iter().find(|part| part.name == "c").unwrap();
    let figure = insight(|insight| hidden.figure(insight));
    assert_eq!((figure.status, figure.reason.as_deref()), (Status::Hidden, Some("too_few_people")));
    let json = serde_json::to_value(&figure).unwrap();
    for field in ["numerator", "denominator", "ratio", "covered_share", "rows", "people"] {
        assert!(json[field].is_null(), "{field}: {json}");
    }
    assert_eq!(json["status"], "hidden");
    assert!(hidden.work().is_none() && insight(|insight| hidden.breakdown(insight)).is_empty());
}

#[test]
fn where_the_rest_would_tell_the_organisation_itself_is_hidden() {
    let people = people(&[("a", 8), ("c", 3)]);
    let rows = worked(&people, &["2026-01-05"]);
    let seen = |who: &str, scope: &str| seen_by(&member(who), scope, &rows, &borrowed(&people), &[]);
    assert!(seen("a0", "team:a").is_some());
    assert!(seen("a0", "org").is_none(), "all less their own team would be the three");
    assert!(seen("nobody", "org").is_some_and(|seen| told(&seen).is_empty()));
    // Rows without a team are a part, too.
    let mut rows = worked(&people[..8], &["2026-01-05"]);
    rows.push(row("2026-01-05", "freelancer", "", "", HOUR));
    assert!(seen_by(&member("a0"), "org", &rows, &borrowed(&people), &[]).is_none());
}

#[test]
fn a_small_team_sees_itself_only_where_all_of_it_is_behind_a_figure() {
    let people = people(&[("c", 3)]);
    let mut rows = worked(&people, &["2026-01-05"]);
    assert!(seen_by(&member("c0"), "team:c", &rows, &borrowed(&people), &[]).is_some());
    rows.retain(|row| row.person != "c2");
    assert!(seen_by(&member("c0"), "team:c", &rows, &borrowed(&people), &[]).is_none(), "the other one's day");
}

#[test]
fn the_last_one_in_a_team_is_not_told_what_those_did_who_left() {
    let people = people(&[("c", 4)]);
    let rows = worked(&people, &["2026-01-05"]);
    let seen = |present: usize| seen_by(&member("c0"), "team:c", &rows, &borrowed(&people[..present]), &[]);
    assert!(seen(4).is_some() && seen(2).is_some());
    assert!(seen(1).is_none(), "all of it less their own rows is what the others did");
    // Two who left count no more than two who were ill.
    let left: Vec<Row> = rows.iter().filter(|row| row.person != "c1").cloned().collect();
    assert!(seen_by(&member("c0"), "team:c", &left, &borrowed(&people[..2]), &[]).is_none());
}

#[test]
fn a_change_to_date_is_not_told_where_the_rest_of_that_week_is_of_few() {
    let people = people(&[("a", 8)]);
    // Monday everybody, on Thursday one; and the next Monday everybody.
    let mut rows = worked(&people, &["2026-01-05", "2026-01-12"]);
    let changes = |rows: &[Row]| {
        let seen = seen_by(&member("a0"), "team:a", rows, &borrowed(&people), &[]).unwrap();
        let weeks = insight(|insight| trend(insight, &seen.group(), Granularity::Week));
        weeks.iter().map(|week| (week.figure.status, week.change.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(changes(&rows), [(Status::Measured, false), (Status::Measured, true)]);
    rows.push(row("2026-01-08", "a3", "a", "", HOUR).automatable());
    assert_eq!(changes(&rows), [(Status::Measured, false), (Status::Measured, false)]);
}

#[test]
fn days_and_weeks_of_few_are_hidden_with_as_many_as_it_takes() {
    let people = people(&[("a", 8)]);
    // Monday and Tuesday everybody, on Saturday one, and the next week everybody.
    let mut rows = worked(&people, &["2026-01-05", "2026-01-06", "2026-01-12"]);
    rows.push(row("2026-01-10", "a3", "a", "", HOUR).automatable());
    let seen = seen_by(&member("a0"), "team:a", &rows, &borrowed(&people), &[]).unwrap();
    let periods = insight(|insight| trend(insight, &seen.group(), Granularity::Day));
    let shown: Vec<_> = periods.iter().filter(|day| day.figure.rows.is_some_and(|rows| rows > 0)).collect();
    let hidden: Vec<_> = periods.iter().filter(|day| day.figure.status == Status::Hidden).collect();
    assert_eq!((shown.len(), hidden.len()), (2, 2), "Saturday, and another day with it");
    assert!(hidden.iter().any(|day| day.from.to_string() == "2026-01-10"));
    for (before, after) in periods.iter().zip(&periods[1..]) {
        let involved = before.figure.status == Status::Hidden || after.figure.status == Status::Hidden;
        assert!(!involved || after.change.is_none(), "a change from or to what is hidden tells it");
    }
    let weeks = insight(|insight| trend(insight, &seen.group(), Granularity::Week));
    assert!(weeks.iter().all(|week| week.figure.status != Status::Hidden), "a week has eight");
    // That one day alone is nothing to ask for.
    let saturday: Vec<Row> = rows.iter().filter(|row| row.day.to_string() == "2026-01-10").cloned().collect();
    assert!(seen_by(&member("a0"), "team:a", &saturday, &borrowed(&people), &[]).is_none());
}

#[test]
fn whoever_is_on_call_on_a_saturday_takes_a_day_of_the_week_with_them_and_not_the_week() {
    let people = people(&[("a", 8), ("b", 8)]);
    let week = |first: u32| (first..first + 5).map(|day| format!("2026-01-{day:02}")).collect::<Vec<_>>();
    let days: Vec<String> = [5, 12, 19].into_iter().flat_map(week).collect();
    let mut rows = worked(&people, &days.iter().map(String::as_str).collect::<Vec<_>>());
    for (person, saturday) in [("a1", "2026-01-10"), ("a2", "2026-01-17"), ("a3", "2026-01-24")] {
        rows.push(row(saturday, person, "a", "", HOUR).automatable());
        rows.push(row(saturday, &person.replace('a', "b"), "b", "", HOUR).automatable());
    }
    let of_a = sprint("s", "a", "2026-01-05", "2026-01-26");
    for row in rows.iter_mut().filter(|row| row.team.as_deref() == Some("a")) {
        row.sprint = Some("s".to_owned());
    }
    for (scope, sprints_of) in [("team:a", Some("a")), ("org", None)] {
        let seen = seen_by(&member("a0"), scope, &rows, &borrowed(&people), std::slice::from_ref(&of_a)).unwrap();
        let hidden = |granularity: Granularity| {
            let periods = insight(|insight| trend(insight, &seen.group(), granularity));
            periods.iter().filter(|period| period.figure.status == Status::Hidden).count()
        };
        assert_eq!((hidden(Granularity::Day), hidden(Granularity::Week)), (6, 0), "{scope}");
        assert_eq!(sprints_told(&seen, sprints_of).len(), usize::from(scope != "org"), "{scope}");
        assert!(
            insight(|insight| trend(insight, &seen.group(), Granularity::Week))[1].change.is_some() == (scope != "org")
        );
    }
}

#[test]
fn what_is_not_among_the_teams_or_sprints_of_the_range_is_not_told_alone() {
    let people = people(&[("a", 8), ("b", 8), ("gone", 8)]);
    let rows = worked(&people, &["2026-01-05", "2026-01-06"]);
    let mut seen = evidence("team:gone", ("2026-01-05", "2026-01-07"), &rows, &[], &[]);
    seen.directory = seen_by(&member("a0"), "org", &rows, &borrowed(&people), &[]).unwrap().directory;
    let over = super::Veil::over(&member("a0"), &seen.scope, &seen.directory, &seen.directory);
    let mut scopes = fold(&rows);
    let organisation = scopes.remove(&Scope::Organisation).unwrap();
    let mut team = |id: &str| (id.to_owned(), scopes.remove(&Scope::Team(id.to_owned())).unwrap());
    let mut teams = BTreeMap::from(["a", "b", "gone"].map(&mut team));
    assert!(seen.veil_among(over.clone(), &register(), &organisation, &teams).is_some());
    teams.remove("gone");
    assert!(seen.veil_among(over, &register(), &organisation, &teams).is_none(), "it hides who is in no team");

    // Rows of a sprint that was over before the range.
    let mut rows = rows;
    for row in rows.iter_mut().filter(|row| row.person.as_str() < "a6") {
        row.sprint = Some("old".to_owned());
    }
    let told = |from: &str, to: &str| {
        let sprints = [sprint("old", "a", from, to)];
        seen_by(&member("a0"), "sprint:old", &rows, &borrowed(&people), &sprints).is_some()
    };
    assert!(!told("2025-12-01", "2025-12-08"), "the team less its sprints and less this one");
    for row in rows.iter_mut().filter(|row| row.person.starts_with('a')) {
        row.sprint = Some("old".to_owned());
    }
    let told = |from: &str, to: &str| {
        let sprints = [sprint("old", "a", from, to)];
        seen_by(&member("a0"), "sprint:old", &rows, &borrowed(&people), &sprints).is_some()
    };
    assert!(told("2026-01-05", "2026-01-12") && !told("2025-12-01", "2025-12-08"));
}

#[test]
fn neither_parts_nor_reasons_tell_what_an_insight_or_a_kind_that_is_hidden_comes_to() {
    let people = people(&[("a", 8), ("b", 8)]);
    let mut rows = worked(&people, &["2026-01-05", "2026-01-06"]);
    let waste = |rows: &[Row], scope: &str| {
        let seen = seen_by(&member("a0"), scope, rows, &borrowed(&people), &[]).unwrap();
        let register = register();
        let waste = register.insights().find(|insight| insight.id == "waste").unwrap();
        !Answer::of(&register, waste, &seen.group()).breakdown.is_empty()
    };
    assert!(waste(&rows, "org") && waste(&rows, "team:a") && !waste(&rows, "team:b"));
    for row in rows.iter_mut().filter(|row| row.person == "b1" || row.person == "b2") {
        *row = row.clone().planning(HOUR);
    }
    assert!(!waste(&rows, "org") && waste(&rows, "team:a"), "planning of two");
    rows[0] = rows[0].clone().unknown();
    let seen = seen_by(&member("a0"), "team:a", &rows, &borrowed(&people), &[]).unwrap();
    let figure = insight(|insight| seen.group().figure(insight, seen.group().cells()));
    assert_eq!((figure.status, figure.reasons.len()), (Status::Partial, 0));
    assert_eq!(figure.reason.as_deref(), Some("automatable_not_stated"));
}

#[test]
fn a_change_to_date_is_not_told_where_days_of_that_week_are_hidden() {
    let people = people(&[("a", 8)]);
    // On Tuesday one, on Thursday six, who are hidden with them.
    let mut rows = worked(&people, &["2026-01-05", "2026-01-07", "2026-01-12", "2026-01-13"]);
    rows.extend(worked(&people[..6], &["2026-01-08"]));
    rows.push(row("2026-01-06", "a3", "a", "", HOUR).automatable());
    let seen = seen_by(&member("a0"), "team:a", &rows, &borrowed(&people), &[]).unwrap();
    let weeks = insight(|insight| trend(insight, &seen.group(), Granularity::Week));
    let days = insight(|insight| trend(insight, &seen.group(), Granularity::Day));
    assert_eq!(days[0].figure.status, Status::Measured, "Monday is told, so Monday and Tuesday must not be");
    assert!(!weeks[1].complete && weeks[1].figure.status == Status::Measured && weeks[1].change.is_none());
}

#[test]
fn kinds_of_work_of_few_are_hidden_with_the_next_and_counted() {
    let people = people(&[("a", 8)]);
    let kind = |person: usize, kind: &str| Row {
        stereotype: kind.into(),
        ..row("2026-01-05", &format!("a{person}"), "a", "", HOUR).automatable()
    };
    let mut rows: Vec<Row> = (0..8).map(|person| kind(person, "deploy")).collect();
    rows.extend((0..6).map(|person| kind(person, "report")));
    rows.push(kind(7, "therapy"));
    rows.push(kind(2, "leave").leave());
    let seen = seen_by(&member("a0"), "team:a", &rows, &borrowed(&people), &[]).unwrap();
    let answer = insight(|insight| Answer::of(&register(), insight, &seen.group()));
    let shown: Vec<_> = answer.by_stereotype.iter().map(|kind| kind.stereotype.as_str()).collect();
    assert_eq!((shown, answer.hidden_kinds), (vec!["deploy"], Some(2)), "therapy, and reports with it");
    assert_eq!(answer.figure.numerator, Some(15 * HOUR), "the whole stays right");
    assert_eq!(answer.pareto.stereotypes, None);
    let (listed, hidden) = kinds(&seen.group());
    assert_eq!((listed.len(), hidden), (1, 3), "who was on leave is not known, so leave is of few");
}

#[test]
fn whoever_is_on_leave_makes_no_group_larger() {
    let people = people(&[("a", 8), ("b", 6), ("c", 7)]);
    let mut rows = worked(&people, &["2026-01-05"]);
    // Of b, only two work that day.
    for row in rows.iter_mut().filter(|row| row.team.as_deref() == Some("b") && row.person.as_str() > "b1") {
        row.work = false;
    }
    let seen = seen_by(&member("a0"), "org", &rows, &borrowed(&people), &[]).unwrap();
    assert_eq!(told(&seen), ["a"], "two of b, and c with it");
    assert!(seen_by(&member("a0"), "team:c", &rows, &borrowed(&people), &[]).is_none());
}

#[test]
fn a_guest_in_a_sprint_hides_it_where_the_rest_would_tell_of_them() {
    let people = people(&[("a", 8), ("b", 6), ("c", 7)]);
    let of_a = [sprint("s", "a", "2026-01-05", "2026-01-19"), sprint("t", "a", "2026-01-19", "2026-02-02")];
    let in_sprint = |mut row: Row, sprint: &str| {
        row.sprint = Some(sprint.to_owned());
        row
    };
    let mut rows: Vec<Row> = Vec::new();
    for (day, name) in [("2026-01-05", "s"), ("2026-01-20", "t")] {
        rows.extend(worked(&people[..8], &[day]).into_iter().map(|row| in_sprint(row, name)));
    }
    rows.extend(worked(&people[8..], &["2026-01-06"]));
    let seen = |who: &str, scope: &str, rows: &[Row]| seen_by(&member(who), scope, rows, &borrowed(&people), &of_a);
    assert!(seen("a0", "sprint:s", &rows).is_some());
    assert!(seen("b0", "sprint:s", &rows).is_none(), "a part of another team");
    let mut guest = rows.clone();
    guest.push(in_sprint(row("2026-01-07", "c0", "c", "", HOUR), "s"));
    let at_home = seen("a0", "team:a", &guest).unwrap();
    assert_eq!(sprints_told(&at_home, Some("a")), ["S", "T"]);
    assert!(
        seen("a0", "sprint:s", &guest).is_none(),
        "all of it less what the team's own page says would be the guest's"
    );
    assert!(seen("a0", "sprint:t", &guest).is_some());
    for (who, scope, team) in [("a0", "org", None), ("b0", "org", None), ("b0", "team:a", Some("a"))] {
        let seen = seen(who, scope, &rows).unwrap();
        assert!(sprints_told(&seen, team).is_empty(), "{who}, {scope}");
        assert_eq!(sprints(&seen.group(), team).len(), 2, "which of them there are is no secret");
    }
}

fn sprints_told(evidence: &Evidence, team: Option<&str>) -> Vec<String> {
    let told = |part: &crate::division::Division<'_>| {
        let figure = insight(|insight| part.figure(insight)).status != Status::Hidden;
        assert!(figure || part.people().is_none());
        figure.then(|| part.name.clone())
    };
    sprints(&evidence.group(), team).iter().filter_map(told).collect()
}

/// Deterministic and varied.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Whoever of `rows` is in the parts that are not shown must be nobody, or enough.
fn assert_rest_is_many<'a>(
    what: &str,
    rows: impl Iterator<Item = &'a Row>,
    seen: impl Fn(&Row) -> bool,
    present: &[&str],
) {
    let rest: BTreeSet<&str> = rows.filter(|row| !seen(row)).map(|row| row.person.as_str()).collect();
    assert!(rest.is_empty() || is_many(&rest, present), "{what}: the rest is of {rest:?}");
}

/// Whether they are enough, or all of two or more who are in one's own team.
fn is_many(people: &BTreeSet<&str>, present: &[&str]) -> bool {
    people.len() >= MINIMUM || (present.len() > 1 && present.iter().all(|person| people.contains(person)))
}

#[test]
fn nothing_that_is_shown_leaves_a_rest_of_few() {
    let mut dice = Dice::new(7);
    let mut compared = 0;
    for round in 0..120 {
        let sizes: Vec<(String, usize)> =
            (0..2 + dice.below(4)).map(|n| (format!("t{n}-"), 1 + dice.below(9) as usize)).collect();
        let sizes: Vec<(&str, usize)> = sizes.iter().map(|(team, size)| (team.as_str(), *size)).collect();
        let people = people(&sizes);
        let sprints: Vec<_> = sizes
            .iter()
            .flat_map(|(team, _)| {
                [("1", "2026-01-05", "2026-01-12"), ("2", "2026-01-12", "2026-01-19")]
                    .map(|(name, from, to)| sprint(&format!("{team}{name}"), team, from, to))
            })
            .collect();
        let mut rows = Vec::new();
        for (person, team) in &people {
            for _ in 0..1 + dice.below(6) {
                let day = 5 + dice.below(14);
                let own = if day < 12 { "1" } else { "2" };
                let in_sprint = if dice.below(5) == 0 { String::new() } else { format!("{team}{own}") };
                let row =
                    row(&format!("2026-01-{day:02}"), person, team, &in_sprint, HOUR * (1 + dice.below(3) as i64));
                let row = if dice.below(2) == 0 { row.automatable() } else { row };
                rows.push(Row { stereotype: format!("kind{}", dice.below(4)), ..row });
            }
        }
        let who = member(&people[dice.below(people.len() as u64) as usize].0);
        // Some have left, and nobody says any more in which team they were.
        let mut known = borrowed(&people);
        known.retain(|(person, _)| Some(*person) == who.person.as_deref() || dice.below(4) > 0);
        let seen = |scope: &str| seen_by(&who, scope, &rows, &known, &sprints);
        let own = &people.iter().find(|(person, _)| Some(person) == who.person.as_ref()).unwrap().1;
        let present = known.iter().filter(|(_, team)| team == own).map(|(person, _)| *person).collect::<Vec<_>>();
        let organisation = seen("org");
        // By asking for each team alone and for all of them.
        if organisation.is_some() {
            let shown: BTreeSet<&str> =
                sizes.iter().map(|(team, _)| *team).filter(|team| seen(&format!("team:{team}")).is_some()).collect();
            assert_rest_is_many(
                &format!("teams, {round}"),
                rows.iter(),
                |row| shown.contains(row.team.as_deref().unwrap()),
                &[],
            );
            compared += shown.len();
        }
        for scope in sizes.iter().map(|(team, _)| format!("team:{team}")).chain(["org".to_owned()]) {
            let Some(seen) = seen(&scope) else { continue };
            let of_scope = |row: &&Row| scope == "org" || scope == format!("team:{}", row.team.as_deref().unwrap());
            let present: &[&str] = if scope == format!("team:{own}") { &present } else { &[] };
            let least = if present.len() > 1 { MINIMUM.min(present.len()) } else { MINIMUM };
            let everybody = rows.iter().filter(of_scope).map(|row| row.person.as_str()).collect::<BTreeSet<_>>();
            assert!(is_many(&everybody, present), "{scope}, {round}");
            let rows = || rows.iter().filter(of_scope);
            let days = seen.group().hidden_days(&[]);
            assert_rest_is_many(&format!("days of {scope}, {round}"), rows(), |row| !days.contains(&row.day), present);
            for granularity in [Granularity::Day, Granularity::Week] {
                let periods = insight(|insight| trend(insight, &seen.group(), granularity));
                let shown = |row: &Row| {
                    let period = periods.iter().find(|period| period.from <= row.day && row.day < period.to);
                    period.is_some_and(|period| period.figure.status != Status::Hidden)
                };
                assert_rest_is_many(&format!("{granularity:?} of {scope}, {round}"), rows(), shown, present);
            }
            let answer = insight(|insight| Answer::of(&register(), insight, &seen.group()));
            let kinds: BTreeSet<&str> = answer.by_stereotype.iter().map(|kind| kind.stereotype.as_str()).collect();
            assert_rest_is_many(
                &format!("kinds of {scope}, {round}"),
                rows(),
                |row| kinds.contains(row.stereotype.as_str()),
                present,
            );
            // What is told of one's own team is known, and so is what is left of the organisation's part.
            let others = || rows().filter(|row| row.team.as_deref() != Some(own.as_str()));
            if scope == "org" {
                for (name, shown) in
                    parts_of(others(), |row: &Row| (row.stereotype.clone(), kinds.contains(row.stereotype.as_str())))
                {
                    assert!(is_many(&shown, &[]), "{name} of the others, {round}: {shown:?}");
                }
                for (day, shown) in parts_of(others(), |row: &Row| (row.day, !days.contains(&row.day))) {
                    assert!(is_many(&shown, &[]), "{day} of the others, {round}: {shown:?}");
                }
                let hidden_kind = |row: &Row| kinds.contains(row.stereotype.as_str());
                assert_rest_is_many(&format!("kinds of the others, {round}"), others(), hidden_kind, &[]);
            } else if scope != format!("team:{own}") {
                let parts = kinds.len() + rows().filter(|row| !days.contains(&row.day)).count();
                assert_eq!(parts, 0, "{scope}, {round}: parts of another team");
            }
            // Nor do shorter periods tell a part of a longer one.
            let weeks = insight(|insight| trend(insight, &seen.group(), Granularity::Week));
            for week in weeks.iter().filter(|week| week.figure.status != Status::Hidden) {
                let within = rows().filter(|row| week.from <= row.day && row.day < week.to);
                assert_rest_is_many(
                    &format!("days of a week of {scope}, {round}"),
                    within,
                    |row| !days.contains(&row.day),
                    present,
                );
            }
            if let Some(team) = scope.strip_prefix("team:") {
                let shown: BTreeSet<String> = sprints_told(&seen, Some(team)).into_iter().collect();
                let told = |row: &Row| row.sprint.as_ref().is_some_and(|sprint| shown.contains(&sprint.to_uppercase()));
                assert_rest_is_many(&format!("sprints of {scope}, {round}"), rows(), told, present);
                let days = by_sprint_day(&seen.group());
                let few = |figure: &Figure| figure.people.is_some_and(|people| people > 0 && people < least);
                assert!(!days.iter().any(|(_, day)| few(&insight(|insight| day.figure(insight)))), "{scope}, {round}");
            }
        }
    }
    assert!(compared > 100, "hardly anything was shown, so hardly anything was proved: {compared}");
}

/// The people behind each part that is shown.
fn parts_of<'a, K: Ord>(
    rows: impl Iterator<Item = &'a Row>,
    part: impl Fn(&Row) -> (K, bool),
) -> BTreeMap<K, BTreeSet<&'a str>> {
    let mut parts: BTreeMap<K, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        let (name, shown) = part(row);
        if shown {
            parts.entry(name).or_default().insert(row.person.as_str());
        }
    }
    parts
}
