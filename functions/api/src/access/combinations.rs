//! Everything that a member is told of some days is sums over rows, and adding and taking those away makes further sums. None
//! of these may be about one or two people only, nor about a few.

use std::collections::{BTreeMap, BTreeSet};

use shared::{annotator::declaration::Insight, time::LocalDay};

use super::{attacks::Dice, sight::Member};
use crate::{
    answer::Answer,
    division::{Division, by_sprint_day, divisions, sprints},
    evidence::{Evidence, Group},
    figure::Status,
    sample::{HOUR, Row, register, row, seen_by, sprint},
    trend::{Granularity, trend},
};

const MINIMUM: usize = 5;
const ROUNDS: u64 = 100;
/// Sums are added up modulo a prime: what is about few people by whole numbers is so here.
const PRIME: u64 = (1 << 31) - 1;

fn power(base: u64, exponent: u64) -> u64 {
    let half = |half: u64| half * half % PRIME;
    match exponent {
        0 => 1,
        even if even % 2 == 0 => half(power(base, even / 2)),
        odd => base * power(base, odd - 1) % PRIME,
    }
}

/// Brings rows of numbers into reduced echelon form, without those that are 0; returns the columns of their leading ones.
fn reduce(matrix: &mut Vec<Vec<u64>>) -> Vec<usize> {
    let mut leading = Vec::new();
    let columns = matrix.first().map_or(0, Vec::len);
    for column in 0..columns {
        let done = leading.len();
        let Some(pivot) = (done..matrix.len()).find(|row| matrix[*row][column] != 0) else { continue };
        matrix.swap(done, pivot);
        let inverse = power(matrix[done][column], PRIME - 2);
        matrix[done].iter_mut().for_each(|value| *value = *value * inverse % PRIME);
        let reduced = matrix[done].clone();
        for (index, row) in matrix.iter_mut().enumerate().filter(|(index, _)| *index != done) {
            let factor = row[column];
            if index != done && factor != 0 {
                row.iter_mut().zip(&reduced).for_each(|(value, of)| *value = (*value + (PRIME - factor) * of) % PRIME);
            }
        }
        leading.push(column);
    }
    matrix.truncate(leading.len());
    leading
}

/// What the sums that are told leave open: for each row how it may vary.
struct Open(Vec<Vec<u64>>);

impl Open {
    fn of(sums: &BTreeSet<BTreeSet<usize>>, rows: usize) -> Self {
        let vector = |sum: &BTreeSet<usize>| (0..rows).map(|row| u64::from(sum.contains(&row))).collect();
        let mut matrix: Vec<Vec<u64>> = sums.iter().map(vector).collect();
        let leading = reduce(&mut matrix);
        let free: Vec<usize> = (0..rows).filter(|row| !leading.contains(row)).collect();
        let mut varies = vec![vec![0; free.len()]; rows];
        for (direction, column) in free.iter().enumerate() {
            varies[*column][direction] = 1;
            for (row, values) in leading.iter().zip(&matrix) {
                varies[*row][direction] = (PRIME - values[*column]) % PRIME;
            }
        }
        Self(varies)
    }

    /// Whether some combination of the sums is about these rows and no others.
    fn is_told_of(&self, rows: &[usize]) -> bool {
        let mut varies: Vec<Vec<u64>> = rows.iter().map(|row| self.0[*row].clone()).collect();
        reduce(&mut varies).len() < rows.len()
    }
}

/// The rows that a member asks about, and who may be told apart.
struct Asked<'a> {
    who: Member,
    rows: &'a [Row],
    people: Vec<(&'a str, &'a str)>,
    sprints: &'a [shared::dimension::Member],
    own: &'a str,
    insight: &'a Insight,
}

type Sums = BTreeSet<BTreeSet<usize>>;

impl Asked<'_> {
    fn seen(&self, scope: &str) -> Option<Evidence> {
        seen_by(&self.who, scope, self.rows, &self.people, self.sprints)
    }

    /// The selections of which parts are told: the organisation and one's own team.
    fn parted(&self) -> impl Iterator<Item = (Evidence, bool)> {
        let own = (!self.own.is_empty()).then(|| self.seen(&format!("team:{}", self.own))).flatten();
        self.seen("org").map(|seen| (seen, false)).into_iter().chain(own.map(|seen| (seen, true)))
    }

    /// The rows that the insight is about and that are `wanted`.
    fn sum(&self, wanted: impl Fn(&Row) -> bool) -> BTreeSet<usize> {
        let concerns = |row: &Row| self.insight.id != "late-planning" || row.late.is_some();
        let rows = self.rows.iter().enumerate().filter(|(_, row)| concerns(row) && wanted(row));
        rows.map(|(index, _)| index).collect()
    }

    fn is_told(&self, part: &Division) -> bool {
        part.figure(self.insight).status != Status::Hidden
    }

    /// Fails if the sums tell of a few people.
    fn assert_of_many(&self, what: &str, sums: &Sums, known: &BTreeSet<usize>, dice: &mut Dice) {
        let sums: Sums = sums.iter().map(|sum| sum - known).collect();
        let open = Open::of(&sums, self.rows.len());
        let present = self.people.iter().filter(|(_, team)| *team == self.own).map(|(person, _)| *person);
        let present: BTreeSet<&str> = present.collect();
        let mut rows_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let all = self.sum(|_| true);
        for (index, row) in
            self.rows.iter().enumerate().filter(|(index, _)| all.contains(index) && !known.contains(index))
        {
            rows_of.entry(&row.person).or_default().push(index);
        }
        let of = |people: &BTreeSet<&str>| -> Vec<usize> {
            people.iter().filter_map(|person| rows_of.get(person)).flatten().copied().collect()
        };
        let everybody: Vec<&str> = rows_of.keys().copied().collect();
        let mut groups: Vec<BTreeSet<&str>> = everybody.iter().map(|person| BTreeSet::from([*person])).collect();
        for first in &everybody {
            groups.extend(
                everybody.iter().filter(|second| *second > first).map(|second| BTreeSet::from([*first, *second])),
            );
        }
        for _ in 0..100 {
            let size = 3 + dice.below(MINIMUM as u64 - 3);
            groups.push(
                (0..size)
                    .filter_map(|_| everybody.get(dice.below(everybody.len().max(1) as u64) as usize).copied())
                    .collect(),
            );
        }
        for group in groups {
            // All of one's own team may be told, however small it is.
            let is_team = present.len() > 1 && present.is_subset(&group);
            assert!(
                is_team || !open.is_told_of(&of(&group)),
                "{what} of {} tell {:?} of {group:?}, {present:?}",
                self.insight.id,
                self.who.person,
            );
        }
    }

    /// The figures of teams, sprints and the organisation.
    fn wholes(&self, teams: &[&str]) -> Sums {
        let mut sums = Sums::new();
        let is_of = |team: &str, row: &Row| row.team.as_deref().unwrap_or_default() == team;
        let is_in = |sprint: &str, row: &Row| row.sprint.as_deref() == Some(sprint);
        let told = |group: &Group| self.told(group);
        let organisation = self.seen("org");
        if let Some(seen) = &organisation {
            sums.extend(told(&seen.group()).then(|| self.sum(|_| true)));
            for team in divisions(seen).iter().filter(|team| self.is_told(team)) {
                let id = team.scope.to_string();
                sums.insert(self.sum(|row| is_of(id.trim_start_matches("team:"), row)));
            }
            for part in sprints(&seen.group(), None).iter().filter(|sprint| self.is_told(sprint)) {
                let id = part.scope.to_string();
                sums.insert(self.sum(|row| is_in(id.trim_start_matches("sprint:"), row)));
            }
            assert!(by_sprint_day(&seen.group()).iter().all(|(_, day)| !self.is_told(day)));
        }
        for team in teams {
            let Some(seen) = self.seen(&format!("team:{team}")) else { continue };
            sums.extend(told(&seen.group()).then(|| self.sum(|row| is_of(team, row))));
            for part in divisions(&seen).iter().filter(|part| self.is_told(part)) {
                let id = part.scope.to_string();
                sums.insert(self.sum(|row| is_of(team, row) && is_in(id.trim_start_matches("sprint:"), row)));
            }
        }
        for sprint in self.sprints {
            let Some(seen) = self.seen(&format!("sprint:{}", sprint.id)) else { continue };
            sums.extend(told(&seen.group()).then(|| self.sum(|row| is_in(&sprint.id, row))));
            for part in divisions(&seen).iter().filter(|part| self.is_told(part)) {
                let id = part.scope.to_string();
                sums.insert(self.sum(|row| is_in(&sprint.id, row) && is_of(id.trim_start_matches("team:"), row)));
            }
        }
        sums
    }

    /// What is told of the organisation and of one's own team by kind of work.
    fn kinds(&self) -> Sums {
        let mut sums = Sums::new();
        for (seen, own) in self.parted() {
            let is_of = |row: &Row| !own || row.team.as_deref() == Some(self.own);
            let answer = Answer::of(&register(), self.insight, &seen.group());
            sums.extend((answer.figure.status != Status::Hidden).then(|| self.sum(is_of)));
            for kind in &answer.by_stereotype {
                sums.insert(self.sum(|row| is_of(row) && row.stereotype == kind.stereotype));
            }
        }
        sums
    }

    /// What is told of one's own team by sprint. Whoever sees a row's day knows its sprint, more or less.
    fn sprints(&self) -> Sums {
        let mut sums = Sums::new();
        for (seen, _) in self.parted().filter(|(_, own)| *own) {
            let is_of = |row: &Row| row.team.as_deref() == Some(self.own);
            let answer = Answer::of(&register(), self.insight, &seen.group());
            sums.extend((answer.figure.status != Status::Hidden).then(|| self.sum(is_of)));
            for part in divisions(&seen).iter().filter(|part| self.is_told(part)) {
                let id = part.scope.to_string();
                let id = Some(id.trim_start_matches("sprint:"));
                sums.insert(self.sum(|row| is_of(row) && row.sprint.as_deref() == id));
            }
        }
        sums
    }

    /// The same by the day of the sprint.
    fn sprint_days(&self) -> Sums {
        let mut sums = Sums::new();
        for (seen, _) in self.parted().filter(|(_, own)| *own) {
            let group = seen.group();
            sums.extend(self.told(&group).then(|| self.sum(|row| row.team.as_deref() == Some(self.own))));
            for (number, _) in by_sprint_day(&group).iter().filter(|(_, day)| self.is_told(day)) {
                let is_on = |row: &Row| {
                    let sprint = row.sprint.as_ref().and_then(|id| group.directory.sprint(id)?.days);
                    sprint.is_some_and(|days| (row.day.0 - days.from.0).num_days() + 1 == *number)
                };
                sums.insert(self.sum(|row| row.team.as_deref() == Some(self.own) && is_on(row)));
            }
        }
        sums
    }

    fn told(&self, group: &Group) -> bool {
        group.figure(self.insight, group.cells()).status != Status::Hidden
    }

    /// The same by day and by longer periods, and the rows that are listed.
    fn periods(&self, longer: Granularity) -> (Sums, BTreeSet<usize>) {
        let (mut sums, mut listed) = (Sums::new(), BTreeSet::new());
        let columns: Vec<String> = self.insight.ratio().columns().cloned().collect();
        for (seen, own) in self.parted() {
            let is_of = |row: &Row| !own || row.team.as_deref() == Some(self.own);
            let group = seen.group();
            if group.figure(self.insight, group.cells()).status == Status::Hidden {
                continue;
            }
            sums.insert(self.sum(is_of));
            for granularity in [Granularity::Day, longer] {
                let mut before: Option<(LocalDay, LocalDay)> = None;
                for period in trend(self.insight, &group, granularity) {
                    let within = |row: &Row| period.from <= row.day && row.day < period.to;
                    let told = period.figure.status != Status::Hidden;
                    sums.extend(told.then(|| self.sum(|row| is_of(row) && within(row))));
                    // A change is from the first days of the period before.
                    if let Some((from, to)) = before.filter(|_| period.change.is_some() && !period.complete) {
                        let days = (period.to.0 - period.from.0).num_days();
                        let until = to.min(from.plus(days));
                        sums.insert(self.sum(|row| is_of(row) && from <= row.day && row.day < until));
                    }
                    before = Some((period.from, period.to));
                }
            }
            let hidden = group.hidden_days(&columns);
            listed.extend(self.sum(|row| is_of(row) && !hidden.contains(&row.day)));
        }
        (sums, listed)
    }
}

#[test]
fn no_combination_of_what_is_told_is_about_few_people() {
    let mut dice = Dice::new(11);
    let register = register();
    let mut compared = 0;
    for round in 0..ROUNDS {
        let sizes: Vec<(String, u64)> = (0..2 + dice.below(3)).map(|n| (format!("t{n}"), 2 + dice.below(11))).collect();
        let mut people: Vec<(String, &str)> = Vec::new();
        for (team, size) in &sizes {
            people.extend((0..*size).map(|n| (format!("{team}-{n}"), team.as_str())));
        }
        // Some are in no team.
        people.extend((0..dice.below(8)).map(|n| (format!("free-{n}"), "")));
        let teams: Vec<&str> = sizes.iter().map(|(team, _)| team.as_str()).collect();
        // Some sprints are everybody's.
        let mut sprint_list = Vec::new();
        for team in teams.iter().copied().chain([""]) {
            for (n, from, to) in [("1", "2026-01-05", "2026-01-12"), ("2", "2026-01-12", "2026-01-19")] {
                sprint_list.push(sprint(&format!("{team}s{n}"), team, from, to));
            }
        }
        let guests = dice.below(3);
        // On some days everybody is there, on others hardly anybody.
        let days: &[u64] = if round % 2 == 0 {
            &[5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 18]
        } else {
            &[5, 5, 5, 8, 10, 12, 12, 12, 18]
        };
        let mut rows = Vec::new();
        for (person, team) in &people {
            for _ in 0..1 + dice.below(4) {
                let day = days[dice.below(days.len() as u64) as usize];
                let host = if dice.below(8) < guests { teams[dice.below(teams.len() as u64) as usize] } else { team };
                let number = if day < 12 { 1 } else { 2 };
                let in_sprint = if dice.below(5) == 0 { String::new() } else { format!("{host}s{number}") };
                let row = row(&format!("2026-01-{day:02}"), person, team, &in_sprint, HOUR);
                let row = if dice.below(3) == 0 { row.planning(HOUR / 2) } else { row };
                rows.push(Row { stereotype: format!("kind{}", dice.below(4)), ..row });
            }
        }
        let known: Vec<(&str, &str)> = people.iter().map(|(person, team)| (person.as_str(), *team)).collect();
        let (who, own) = known[dice.below(known.len() as u64) as usize];
        let who = Member { person: Some(who.to_owned()), teams: None, minimum: MINIMUM };
        for insight in
            register.insights().filter(|insight| ["automatable", "late-planning"].contains(&insight.id.as_str()))
        {
            let people = known.iter().filter(|(_, team)| !team.is_empty()).copied().collect();
            let asked = Asked { who: who.clone(), rows: &rows, people, sprints: &sprint_list, own, insight };
            let none = BTreeSet::new();
            let wholes = asked.wholes(&teams);
            compared += wholes.len();
            asked.assert_of_many(&format!("{round}: wholes"), &wholes, &none, &mut dice);
            let kinds = asked.kinds();
            compared += kinds.len();
            asked.assert_of_many(&format!("{round}: kinds"), &kinds, &none, &mut dice);
            for longer in [Granularity::Week, Granularity::Month] {
                let (periods, listed) = asked.periods(longer);
                compared += periods.len();
                asked.assert_of_many(&format!("{round}: days and {longer:?}s"), &periods, &listed, &mut dice);
                asked.assert_of_many(&format!("{round}: sprints"), &asked.sprints(), &listed, &mut dice);
                asked.assert_of_many(&format!("{round}: days of the sprint"), &asked.sprint_days(), &listed, &mut dice);
            }
        }
    }
    assert!(compared > 2_000, "hardly anything was told, so hardly anything was proved: {compared}");
}

#[test]
fn the_search_for_combinations_finds_them() {
    let sums = |sums: &[&[usize]]| sums.iter().map(|sum| sum.iter().copied().collect()).collect::<Sums>();
    let all_less_two = Open::of(&sums(&[&[0, 1, 2, 3], &[0, 1, 2]]), 4);
    assert!(all_less_two.is_told_of(&[3]) && !all_less_two.is_told_of(&[0, 1]) && all_less_two.is_told_of(&[0, 1, 2]));
    // Teams {0, 1} and {2, 3}, sprints {0} with {2} and {1} with {3}: three are about nobody alone, a fourth is.
    let crossed = Open::of(&sums(&[&[0, 1], &[2, 3], &[0, 2]]), 4);
    assert!((0..4).all(|row| !crossed.is_told_of(&[row])));
    assert!(Open::of(&sums(&[&[0, 1], &[0, 2], &[1, 2]]), 3).is_told_of(&[0]), "half of the first two less the third");
}
