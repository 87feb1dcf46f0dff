//! Who has to be behind a number for it to be shown.

use shared::contribution::People;

/// Who has to be behind a number for it to be shown. The default shows every number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quorum {
    minimum: usize,
    /// Nobody, or everybody who is in a team.
    everybody: People,
}

impl Quorum {
    /// At least `minimum` people.
    pub fn of(minimum: usize) -> Self {
        Self { minimum, everybody: People::default() }
    }

    /// That many, or everybody in `team`. Of a team that is down to one, whatever is not their own is about those who left.
    pub fn or_all_of(self, team: People) -> Self {
        let everybody = if team.len() > 1 { team } else { People::default() };
        Self { everybody, ..self }
    }

    /// Whether it shows every number.
    pub fn asks_nothing(&self) -> bool {
        self.minimum == 0
    }

    /// Whether a number that `people` are behind is shown.
    pub fn is_met_by(&self, people: &People) -> bool {
        people.len() >= self.minimum || (!self.everybody.is_empty() && people.has_all_of(&self.everybody))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(ids: &[&str]) -> People {
        ids.iter().copied().collect()
    }

    #[test]
    fn as_many_people_as_there_are_in_a_team_are_not_yet_the_team() {
        let three = Quorum::of(5).or_all_of(people(&["ada", "bo", "cy"]));
        assert!(
            three.is_met_by(&people(&["ada", "bo", "cy"])) && three.is_met_by(&people(&["ada", "bo", "cy", "dee"]))
        );
        assert!(!three.is_met_by(&people(&["ada", "bo", "gone"])) && !three.is_met_by(&people(&["ada", "bo"])));
        assert!(three.is_met_by(&people(&["1", "2", "3", "4", "5"])));
    }

    #[test]
    fn one_is_no_team() {
        let alone = Quorum::of(5).or_all_of(people(&["ada"]));
        assert!(!alone.is_met_by(&people(&["ada"])) && !alone.is_met_by(&people(&["ada", "gone"])));
        assert!(Quorum::default().is_met_by(&People::default()) && Quorum::default().asks_nothing());
    }
}
