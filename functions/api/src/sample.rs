//! Evidence made by hand, for tests: rows are folded here the way a contribution promises it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::Datelike;
use chrono_tz::Tz;
use shared::{
    annotator::Register,
    contribution::{Cell, CellKey, Contribution, Extent, Measure, Person, Pointer, Scope},
    dimension::Member,
    lake::{Partition, Sha256},
    settings::LogicSettings,
    time::LocalDay,
};

use crate::{
    access,
    directory::Directory,
    evidence::{Days, Evidence, within},
    selection::{Range, Request},
};

pub const HOUR: i64 = 3_600;

/// What ships.
pub fn register() -> Arc<Register> {
    Arc::new(Register::built_in(&LogicSettings::default()).unwrap())
}

pub fn day(text: &str) -> LocalDay {
    text.parse().unwrap()
}

/// One activity. What is `None` cannot be told.
#[derive(Debug, Clone)]
pub struct Row {
    pub day: LocalDay,
    pub person: String,
    pub team: Option<String>,
    pub sprint: Option<String>,
    pub stereotype: String,
    pub seconds: i64,
    pub work: bool,
    pub automatable: Option<i64>,
    pub out: Option<i64>,
    /// Of planning, how much of it was late.
    pub late: Option<i64>,
}

/// An hour of work that nobody could automate, in sprint.
pub fn row(on: &str, person: &str, team: &str, sprint: &str, seconds: i64) -> Row {
    let given = |id: &str| (!id.is_empty()).then(|| id.to_owned());
    Row {
        day: day(on),
        person: person.into(),
        team: given(team),
        sprint: given(sprint),
        stereotype: "coding".into(),
        seconds,
        work: true,
        automatable: Some(0),
        out: Some(0),
        late: None,
    }
}

impl Row {
    pub fn automatable(mut self) -> Self {
        self.automatable = Some(self.seconds);
        self.stereotype = "manual-deployment".into();
        self
    }

    pub fn planning(mut self, late: i64) -> Self {
        self.late = Some(late);
        self
    }

    pub fn unknown(mut self) -> Self {
        self.automatable = None;
        self
    }

    pub fn leave(mut self) -> Self {
        self.work = false;
        self.stereotype = "pto".into();
        self
    }
}

fn measure(row: &Row, value: Option<i64>, reason: &str) -> Measure {
    let extent = Extent { rows: 1, seconds: row.seconds };
    let mut measure = Measure::default();
    if row.work {
        measure.population = extent;
        measure.people.insert(Person::of(&row.person));
        match value {
            Some(value) => {
                measure.sum = value;
                measure.values = 1;
                measure.covered = extent;
            }
            None => {
                measure.reasons.insert(reason.to_owned(), extent);
            }
        }
    }
    measure
}

fn cell(row: &Row, stereotype: bool, team: Option<&String>, sprint: Option<&String>) -> Cell {
    let inside = row.out.map(|out| row.seconds - out);
    let measures = [
        ("automatable_seconds", measure(row, row.automatable, "automatable_not_stated")),
        ("in_sprint_seconds", measure(row, inside, "no_mark_and_no_sprint")),
        ("out_of_sprint_seconds", measure(row, row.out, "no_mark_and_no_sprint")),
    ];
    let key = CellKey {
        stereotype: stereotype.then(|| row.stereotype.clone()),
        team: team.cloned(),
        sprint: sprint.cloned(),
    };
    let all = Extent { rows: 1, seconds: row.seconds };
    let work = if row.work { all } else { Extent::default() };
    let people = row.work.then_some(row.person.as_str()).into_iter().collect();
    let mut cell = Cell::new(key, all, work, people);
    measures.into_iter().for_each(|(name, measure)| cell.record(name, measure));
    let planned = |value: i64| row.late.map_or_else(Measure::default, |_| measure(row, Some(value), "no_sprint"));
    cell.record("planning_seconds", planned(row.seconds));
    cell.record("late_planning_seconds", planned(row.late.unwrap_or_default()));
    cell
}

/// What each scope gets of the rows, by day.
pub fn fold(rows: &[Row]) -> BTreeMap<Scope, Days> {
    let mut scopes: BTreeMap<Scope, Days> = BTreeMap::new();
    for row in rows {
        let (team, sprint) = (row.team.as_ref(), row.sprint.as_ref());
        let mut today = |scope: Scope, put_in: &dyn Fn(&mut Contribution)| {
            put_in(scopes.entry(scope).or_default().entry(row.day).or_default());
        };
        today(Scope::Organisation, &|day| day.by_stereotype.push(cell(row, true, None, None)));
        let own = |day: &mut Contribution| day.by_stereotype.push(cell(row, true, None, sprint));
        today(Scope::Person(row.person.clone()), &own);
        if let Some(team) = team {
            today(Scope::Team(team.clone()), &own);
        }
        if let Some(id) = sprint {
            let by_team = |day: &mut Contribution| day.by_stereotype.push(cell(row, true, team, None));
            today(Scope::Sprint(id.clone()), &by_team);
            today(Scope::Organisation, &|day| day.by_sprint.push(cell(row, false, team, sprint)));
        }
    }
    scopes
}

/// A sprint of `team` over local days in UTC, `end` excluded.
pub fn sprint(id: &str, team: &str, start: &str, end: &str) -> Member {
    Member {
        id: id.into(),
        name: Some(id.to_uppercase()),
        team_id: (!team.is_empty()).then(|| team.into()),
        starts_at: Some(format!("{start}T00:00:00Z").parse().unwrap()),
        ends_at: Some(format!("{end}T00:00:00Z").parse().unwrap()),
        ..Member::default()
    }
}

pub fn named(id: &str, name: &str) -> Member {
    Member { id: id.into(), name: Some(name.into()), ..Member::default() }
}

/// The evidence that a request would find if these rows and sprints were everything; `team:1 in a` is narrowed to a
/// sprint.
pub fn evidence(scope: &str, range: (&str, &str), rows: &[Row], teams: &[Member], sprints: &[Member]) -> Evidence {
    let (scope, sprint) = match scope.split_once(" in ") {
        Some((scope, sprint)) => (scope, Some(sprint.to_owned())),
        None => (scope, None),
    };
    let scope: Scope = scope.parse().unwrap();
    let range = Range { from: day(range.0), to: day(range.1) };
    let rows: Vec<Row> = rows.iter().filter(|row| range.from <= row.day && row.day < range.to).cloned().collect();
    let mut scopes = fold(&rows);
    let organisation = scope == Scope::Organisation;
    let newest = Pointer {
        partition: Partition { day: range.last(), generation: "20261102T060000Z".parse().unwrap() },
        base: Sha256::of("x"),
        total: Extent::default(),
        evidence: BTreeSet::new(),
    };
    let stereotypes = [
        named("coding", "Coding"),
        named("manual-deployment", "manual deployment"),
        named("regression", "manual regression test"),
        named("environment", "environment setup"),
        named("report", "status report"),
        named("review", "code review"),
        named("support", "customer support"),
        named("pto", "Leave"),
    ];
    Evidence {
        days: within(scopes.remove(&scope).unwrap_or_default(), sprint.as_deref()),
        request: Request { scope: scope.clone(), sprint, ..Request::default() },
        scope,
        range: Some(range),
        data_as_of: Some(newest.partition.generation.instant()),
        newest: Some(newest),
        evident: rows.iter().filter_map(|row| row.late).map(|_| "is_planning".to_owned()).collect(),
        shown: Vec::new(),
        missing: Vec::new(),
        earlier: None,
        veil: crate::access::Veil::default(),
        beside: Vec::new(),
        logic: register().logic().clone(),
        days_captured: range.days() as usize,
        directory: Arc::new(Directory::new(teams, &[], sprints, &stereotypes, Tz::UTC)),
        teams: scopes
            .into_iter()
            .filter_map(|(scope, days)| match scope {
                Scope::Team(id) if organisation => Some((id, days)),
                _ => None,
            })
            .collect(),
    }
}

/// The same as somebody sees it who is a member; `None` where it is hidden from them. `people` are who there is, with
/// their teams.
pub fn seen_by(
    member: &access::sight::Member,
    scope: &str,
    rows: &[Row],
    people: &[(&str, &str)],
    sprints: &[Member],
) -> Option<Evidence> {
    let teams: BTreeSet<&str> = people.iter().map(|(_, team)| *team).collect();
    let teams: Vec<Member> = teams.into_iter().map(|team| named(team, team)).collect();
    let in_team = |(id, team): &(&str, &str)| Member { team_id: Some((*team).to_owned()), ..named(id, id) };
    let people: Vec<Member> = people.iter().map(in_team).collect();
    let (from, to) = (rows.iter().map(|row| row.day).min()?, rows.iter().map(|row| row.day).max()?.plus(1));
    let (from, to) = (from.to_string(), to.to_string());
    let mut seen = evidence(scope, (&from, &to), rows, &teams, sprints);
    seen.directory = Arc::new(Directory::new(&teams, &people, sprints, &[], Tz::UTC));
    let over = access::Veil::over(member, &seen.scope, &seen.directory, &seen.directory);
    let mut scopes = fold(rows);
    let organisation = scopes.remove(&Scope::Organisation).unwrap_or_default();
    let by_team = scopes.into_iter().filter_map(|(scope, days)| match scope {
        Scope::Team(id) => Some((id, days)),
        _ => None,
    });
    let by_team = by_team.collect();
    seen.veil = seen.veil_among(over, &register(), &organisation, &by_team)?;
    if seen.scope == Scope::Organisation {
        seen.beside = seen.beside(&seen.veil, &register(), by_team);
    }
    Some(seen)
}

/// Four teams over 91 days in two-week sprints. Platform is the reference case: 8 people, 80 h a sprint each, 23 % of
/// them automatable.
pub fn four_teams(scope: &str) -> Evidence {
    // Per team: people, and per cent of a day's time by stereotype, with what is automatable and what out of sprint.
    type Mix = &'static [(&'static str, i64, bool, i64)];
    const PLATFORM: Mix = &[
        ("manual-deployment", 11, true, 10),
        ("regression", 6, true, 0),
        ("environment", 4, true, 50),
        ("report", 2, true, 0),
        ("coding", 52, false, 10),
        ("review", 15, false, 0),
        ("support", 10, false, 100),
    ];
    const SHOP: Mix = &[
        ("regression", 12, true, 0),
        ("coding", 66, false, 25),
        ("review", 10, false, 0),
        ("support", 12, false, 100),
    ];
    const SEARCH: Mix = &[("report", 4, true, 0), ("coding", 80, false, 5), ("review", 16, false, 0)];
    const MOBILE: Mix = &[
        ("manual-deployment", 7, true, 0),
        ("regression", 5, true, 0),
        ("coding", 70, false, 15),
        ("review", 18, false, 0),
    ];
    let teams = [
        ("1", "Platform", 8, PLATFORM),
        ("2", "Shop", 6, SHOP),
        ("3", "Search and Discovery", 5, SEARCH),
        ("4", "Mobile", 7, MOBILE),
    ];
    let (first, last) = (day("2026-08-03"), day("2026-11-02"));
    let mut sprints = Vec::new();
    let mut rows = Vec::new();
    for (id, _, people, mix) in teams {
        for number in 0..7 {
            let start = first.plus(14 * number);
            let (start, end) = (start.to_string(), start.plus(14).to_string());
            sprints.push(sprint(&format!("s{id}-{}", 41 + number), id, &start, &end));
        }
        let mut today = first;
        while today < last {
            let index = (today.0 - first.0).num_days();
            if index % 7 < 5 {
                for person in 0..people {
                    for (stereotype, share, automatable, out) in mix {
                        let seconds = 8 * HOUR * share / 100;
                        // A wave, so that weeks differ; every sprint has both of its halves.
                        let wave = if id == "1" { 0 } else { [6, 0, -4, 3, -6, 1][(index / 7 % 6) as usize] };
                        let out = seconds * (out + if *out > 0 && *out < 90 { wave } else { 0 }) / 100;
                        rows.push(Row {
                            stereotype: (*stereotype).into(),
                            automatable: Some(if *automatable { seconds } else { 0 }),
                            out: (person != 3 || index > 30).then_some(out),
                            ..row(
                                &today.to_string(),
                                &format!("{id}-{person}"),
                                id,
                                &format!("s{id}-{}", 41 + index / 14),
                                seconds,
                            )
                        });
                    }
                }
            }
            today = today.plus(1);
        }
    }
    let teams = teams.map(|(id, name, ..)| named(id, name));
    assert_eq!(first.0.weekday(), chrono::Weekday::Mon);
    evidence(scope, ("2026-08-03", "2026-11-02"), &rows, &teams, &sprints)
}

/// The last 13 weeks of a scope.
pub fn request(scope: &str) -> Request {
    Request { scope: scope.parse().unwrap(), ..Request::default() }
}
