//! Hiding small groups, and enough beside them that the rest does not tell what is hidden.
//!
//! A whole and its parts are shown together, so what is hidden is always known as a sum: the whole less the parts that are
//! shown. That sum has to be about enough people, too, and of more than one part; else the next smallest part is hidden
//! with it. Worked through, with a minimum of 5:
//!
//! | parts, people | hidden | what the rest tells |
//! | --- | --- | --- |
//! | 8, 6, 3 | 3, then 6 | 6 + 3 people together |
//! | 8, 6, 3, 2 | 3 and 2 | 5 people together |
//! | 8 (one's own), 3 | 3; nothing else can be | the 3 alone: the whole is hidden |

use std::collections::{BTreeMap, BTreeSet};

use chrono::Datelike;
use shared::{
    contribution::{Cell, Measure, People},
    time::LocalDay,
};

use super::quorum::Quorum;

/// A part of a whole.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Who is behind it, as far as that is known.
    pub people: People,
    /// Whether there is anything in it.
    pub has_rows: bool,
    /// Who has to be behind it.
    pub quorum: Quorum,
    /// Whether it is shown whatever else is: it can be seen elsewhere.
    pub fixed: bool,
    /// Whether it is hidden for another reason.
    pub hidden: bool,
}

impl Part {
    /// The part that some cells are, with those who worked in them. Who was on leave is not known.
    pub fn of<'a>(cells: impl Iterator<Item = &'a Cell>, quorum: &Quorum) -> Self {
        let mut part = Self { quorum: quorum.clone(), ..Self::default() };
        cells.for_each(|cell| part.add(cell));
        part
    }

    fn add(&mut self, cell: &Cell) {
        self.people.join(&cell.people);
        self.has_rows |= cell.total.rows > 0;
    }

    /// Whether it has rows, and not enough people behind them.
    pub fn is_small(&self) -> bool {
        self.has_rows && !self.quorum.is_met_by(&self.people)
    }
}

/// Which parts are hidden, and whether the whole must be, because even then it would tell of too few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// For each part, in order.
    pub parts: Vec<bool>,
    /// Whether the whole has to be hidden as well.
    pub whole: bool,
}

/// Decides which of the parts of a whole are hidden, so that each part that is not has its quorum behind it, and what is
/// left of the whole has `quorum`.
pub fn hidden(parts: &[Part], quorum: &Quorum) -> Hidden {
    let mut hides: Vec<bool> = parts.iter().map(|part| part.hidden || part.is_small()).collect();
    if quorum.asks_nothing() {
        return Hidden { parts: vec![false; parts.len()], whole: false };
    }
    loop {
        let rest = parts.iter().zip(&hides).filter(|(part, hidden)| **hidden && part.has_rows).map(|(part, _)| part);
        let people: People = rest.clone().map(|part| &part.people).collect();
        let count = rest.count();
        if count == 0 || (count > 1 && quorum.is_met_by(&people)) {
            return Hidden { parts: hides, whole: false };
        }
        let shown = parts
            .iter()
            .enumerate()
            .filter(|(index, part)| part.has_rows && !part.fixed && !hides.get(*index).copied().unwrap_or_default());
        let Some((smallest, _)) = shown.min_by_key(|(_, part)| part.people.len()) else {
            // With every part hidden, what is left is the whole itself.
            let whole = parts.iter().zip(&hides).any(|(part, hidden)| part.has_rows && !hidden);
            return Hidden { parts: hides, whole };
        };
        hides[smallest] = true;
    }
}

/// Which parts are about too few people by themselves, as a group or as far as they are behind `columns`.
fn small_by<'a, K: Ord + Clone>(
    cells: impl Iterator<Item = (K, &'a Cell)> + Clone,
    columns: &[String],
    quorum: &Quorum,
) -> BTreeSet<K> {
    let mut parts: BTreeMap<K, Vec<Part>> = BTreeMap::new();
    for (key, cell) in cells {
        let parts = parts
            .entry(key)
            .or_insert_with(|| vec![Part { quorum: quorum.clone(), ..Part::default() }; columns.len() + 1]);
        for (part, column) in parts.iter_mut().zip(std::iter::once(None).chain(columns.iter().map(Some))) {
            match column {
                None => part.add(cell),
                Some(column) => {
                    let mut measure = Measure::default();
                    cell.add_to(column, &mut measure);
                    part.people.join(&measure.people);
                    part.has_rows |= measure.population.rows > 0;
                }
            }
        }
    }
    parts.into_iter().filter(|(_, parts)| parts.iter().any(Part::is_small)).map(|(key, _)| key).collect()
}

/// The days that are hidden among all days of a whole. Those of a week together have to be about enough people, too, or the
/// week could not be told: so the smallest others of it go with them.
pub fn hidden_days<'a>(
    cells: impl Iterator<Item = (LocalDay, &'a Cell)> + Clone,
    columns: &[String],
    quorum: &Quorum,
) -> BTreeSet<LocalDay> {
    let mut hidden = hidden_by(cells.clone(), columns, quorum);
    if hidden.is_empty() {
        return hidden;
    }
    let week = |day: &LocalDay| (day.0.iso_week().year(), day.0.iso_week().week());
    loop {
        let of_hidden = cells.clone().filter(|(day, _)| hidden.contains(day)).map(|(day, cell)| (week(&day), cell));
        let small = small_by(of_hidden, columns, quorum);
        let mut shown: BTreeMap<LocalDay, People> = BTreeMap::new();
        for (day, cell) in cells.clone().filter(|(day, _)| !hidden.contains(day) && small.contains(&week(day))) {
            shown.entry(day).or_default().join(&cell.people);
        }
        let smallest = |of: &(i32, u32)| {
            let days = shown.iter().filter(|(day, _)| week(day) == *of);
            days.min_by_key(|(_, people)| people.len()).map(|(day, _)| *day)
        };
        let more: Vec<LocalDay> = small.iter().filter_map(smallest).collect();
        if more.is_empty() {
            return hidden;
        }
        hidden.extend(more);
    }
}

/// Which parts of a whole are hidden, where each cell says in which part it is: first as a group of people, then as far
/// as they are behind `columns`, of a number that is shown of each part and of the whole.
pub fn hidden_by<'a, K: Ord + Clone>(
    cells: impl Iterator<Item = (K, &'a Cell)> + Clone,
    columns: &[String],
    quorum: &Quorum,
) -> BTreeSet<K> {
    if quorum.asks_nothing() {
        return BTreeSet::new();
    }
    let mut groups: BTreeMap<K, Part> = BTreeMap::new();
    for (key, cell) in cells.clone() {
        groups.entry(key).or_insert_with(|| Part { quorum: quorum.clone(), ..Part::default() }).add(cell);
    }
    hide(&mut groups, quorum);
    for column in columns {
        let mut measures: BTreeMap<K, Measure> = BTreeMap::new();
        for (key, cell) in cells.clone() {
            cell.add_to(column, measures.entry(key).or_default());
        }
        for (key, measure) in measures {
            if let Some(group) = groups.get_mut(&key) {
                (group.people, group.has_rows) = (measure.people, measure.population.rows > 0);
            }
        }
        hide(&mut groups, quorum);
    }
    groups.into_iter().filter(|(_, part)| part.hidden).map(|(key, _)| key).collect()
}

fn hide<K: Ord>(groups: &mut BTreeMap<K, Part>, quorum: &Quorum) {
    let parts: Vec<Part> = groups.values().cloned().collect();
    let hidden = hidden(&parts, quorum);
    groups.values_mut().zip(hidden.parts).for_each(|(part, hidden)| part.hidden = hidden);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of so many people of its own.
    fn part(name: &str, people: usize) -> Part {
        let people: Vec<String> = (0..people).map(|index| format!("{name}{index}")).collect();
        let people = people.iter().map(String::as_str).collect();
        Part { people, has_rows: true, quorum: Quorum::of(5), ..Part::default() }
    }

    fn of(parts: &[Part]) -> (Vec<usize>, bool) {
        let hidden = hidden(parts, &Quorum::of(5));
        let indices = hidden.parts.iter().enumerate().filter(|(_, hidden)| **hidden).map(|(index, _)| index);
        (indices.collect(), hidden.whole)
    }

    #[test]
    fn a_small_part_takes_the_next_smallest_with_it_so_that_the_rest_does_not_tell() {
        assert_eq!(of(&[part("a", 8), part("b", 6), part("c", 5)]), (vec![], false));
        assert_eq!(of(&[part("a", 8), part("b", 6), part("c", 3)]), (vec![1, 2], false));
        assert_eq!(of(&[part("a", 8), part("b", 6), part("c", 3), part("d", 2)]), (vec![2, 3], false));
        assert_eq!(of(&[part("a", 8), part("b", 6), part("c", 2), part("d", 2)]), (vec![1, 2, 3], false));
        assert_eq!(of(&[part("a", 3)]), (vec![0], false), "the part is the whole");
    }

    #[test]
    fn the_same_few_people_in_two_parts_are_still_few() {
        assert_eq!(of(&[part("a", 9), part("b", 7), part("c", 3), part("c", 3)]), (vec![1, 2, 3], false));
    }

    #[test]
    fn where_nothing_else_can_be_hidden_the_whole_is() {
        let own = |part: Part| Part { fixed: true, ..part };
        assert_eq!(of(&[own(part("a", 8)), part("b", 3)]), (vec![1], true));
        assert_eq!(of(&[own(part("a", 8)), part("b", 3), part("c", 6)]), (vec![1, 2], false));
        assert_eq!(of(&[own(part("a", 8)), part("b", 6)]), (vec![], false));
        let small = part("a", 3);
        let small = Part { quorum: Quorum::of(5).or_all_of(small.people.clone()), ..own(small) };
        assert_eq!(of(&[small, part("b", 6)]), (vec![], false), "a small team is shown to its own people");
    }

    #[test]
    fn an_empty_part_is_shown_and_hides_nothing_and_one_of_unknown_people_is_small() {
        assert_eq!(of(&[part("a", 8), Part { quorum: Quorum::of(5), ..Part::default() }]), (vec![], false));
        let leave = Part { has_rows: true, quorum: Quorum::of(5), ..Part::default() };
        assert_eq!(of(&[part("a", 8), part("b", 7), leave]), (vec![1, 2], false));
    }

    #[test]
    fn nothing_is_hidden_without_a_minimum() {
        let parts =
            [Part { quorum: Quorum::default(), ..part("a", 1) }, Part { quorum: Quorum::default(), ..part("b", 1) }];
        assert_eq!(hidden(&parts, &Quorum::default()), Hidden { parts: vec![false, false], whole: false });
    }
}
