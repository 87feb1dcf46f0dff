//! What a caller may see.

use std::collections::{BTreeMap, BTreeSet};

use shared::contribution::Scope;

use super::quorum::Quorum;
use crate::directory::Directory;

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What the pages call them.
    pub name: String,
    /// What they may see.
    pub sight: Sight,
    /// What a form of theirs has to bring along to sign them out; none where there is nothing to sign out of.
    pub form_token: Option<String>,
    /// Whether this is no real person, but the one that the local stack signs in.
    pub demo: bool,
}

/// How much somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Every figure of everybody: the role of an organisation's analysts.
    Everything,
    /// Their own rows, their teams, and groups that are large enough.
    Member(Member),
}

/// Somebody who sees their own rows, their teams, and groups that are large enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who they are in the source, under a pseudonym where the lake has those; `None` if the provider does not say.
    pub person: Option<String>,
    /// Their teams, if the provider says; else the directory does.
    pub teams: Option<BTreeSet<String>>,
    /// A group of fewer people is hidden from them.
    pub minimum: usize,
}

impl Caller {
    /// Whoever runs the program itself, with the keys to the storage: nothing is hidden from them.
    pub fn operator() -> Self {
        Self { name: "Operator".to_owned(), sight: Sight::Everything, form_token: None, demo: false }
    }

    /// Whom the local stack signs in: an analyst, or somebody of the source.
    pub fn demo(person: Option<String>, minimum: usize) -> Self {
        let (name, sight) = match person {
            None => ("an analyst, who sees everything".to_owned(), Sight::Everything),
            Some(person) => {
                let name = format!("person {person}");
                (name, Sight::Member(Member { person: Some(person), teams: None, minimum }))
            }
        };
        Self { name, sight, form_token: None, demo: true }
    }

    /// All that an answer depends on: who is signed in, and what they may see.
    pub fn identity(&self) -> String {
        format!("{self:?}")
    }
}

impl Sight {
    /// Whether nothing about `scope` has to be hidden: it is all of it their own, or they see everything.
    pub fn is_all_of(&self, scope: &Scope) -> bool {
        match (self, scope) {
            (Sight::Everything, _) => true,
            (Sight::Member(member), Scope::Person(id)) => member.person.as_ref() == Some(id),
            (Sight::Member(_), _) => false,
        }
    }

    /// Whether `scope` is a person whom it is not about, known or not.
    pub fn is_strange_to(&self, scope: &Scope) -> bool {
        matches!(scope, Scope::Person(_)) && !self.is_all_of(scope)
    }
}

impl Member {
    /// Their teams: what the provider says, or else who is in which team now.
    pub fn teams_in(&self, present: &Directory) -> BTreeSet<String> {
        match (&self.teams, &self.person) {
            (Some(teams), _) => teams.clone(),
            (None, Some(person)) => present.team_of(person).map(str::to_owned).into_iter().collect(),
            (None, None) => BTreeSet::new(),
        }
    }

    /// Who has to be behind a number about any group.
    pub fn quorum(&self) -> Quorum {
        Quorum::of(self.minimum)
    }

    /// Of each of their teams who has to be behind a number about it: in one that is smaller than the minimum, everybody
    /// who is in it now, however things were in the days that the number is about.
    pub fn quorums(&self, present: &Directory) -> BTreeMap<String, Quorum> {
        let of = |team: String| {
            let quorum = self.quorum().or_all_of(present.people_of(&team));
            (team, quorum)
        };
        self.teams_in(present).into_iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use shared::dimension::Member as Record;

    use super::*;
    use crate::sample::named;

    fn directory() -> Directory {
        let of = |id: &str, team: &str| Record { team_id: Some(team.to_owned()), ..named(id, id) };
        let people = [of("ada", "1"), of("bo", "1"), of("cy", "2")];
        Directory::new(&[named("1", "One"), named("2", "Two")], &people, &[], &[], Tz::UTC)
    }

    fn member(person: Option<&str>, teams: Option<&[&str]>) -> Member {
        let teams = teams.map(|teams| teams.iter().map(|team| (*team).to_owned()).collect());
        Member { person: person.map(str::to_owned), teams, minimum: 5 }
    }

    #[test]
    fn a_team_is_ones_own_by_the_directory_unless_the_provider_says_otherwise() {
        let directory = directory();
        let teams = |member: Member| member.teams_in(&directory).into_iter().collect::<Vec<_>>();
        assert_eq!(teams(member(Some("ada"), None)), ["1"]);
        assert_eq!(teams(member(Some("ada"), Some(&["2"]))), ["2"]);
        assert!(teams(member(None, None)).is_empty(), "whoever is nobody in the source is in no team");
    }

    #[test]
    fn a_small_team_of_ones_own_tells_of_everybody_in_it() {
        let people = |ids: &[&str]| ids.iter().copied().collect();
        let own = |member: Member, team: &str| member.quorums(&directory()).remove(team);
        let two = own(member(Some("ada"), None), "1").unwrap();
        assert!(two.is_met_by(&people(&["ada", "bo"])), "a team of two tells them of both");
        assert!(!two.is_met_by(&people(&["ada", "cy"])), "but not of one of them and somebody who left");
        assert!(own(member(Some("ada"), None), "2").is_none());
        let alone = own(member(Some("cy"), None), "2").unwrap();
        assert!(!alone.is_met_by(&people(&["cy", "left"])), "the last one is not told what the others did");
        let unknown = own(member(None, Some(&["3"])), "3").unwrap();
        assert!(!unknown.is_met_by(&people(&["ada", "bo"])), "of whose people nothing is known");
    }

    #[test]
    fn a_person_is_everything_to_themselves_and_a_stranger_to_the_others() {
        let ada = Sight::Member(member(Some("ada"), None));
        let person = |id: &str| Scope::Person(id.to_owned());
        assert!(ada.is_all_of(&person("ada")) && !ada.is_strange_to(&person("ada")));
        assert!(ada.is_strange_to(&person("bo")) && ada.is_strange_to(&person("nobody")));
        assert!(!ada.is_all_of(&Scope::Organisation) && !ada.is_strange_to(&Scope::Organisation));
        assert!(Sight::Member(member(None, None)).is_strange_to(&person("")));
        assert!(!Sight::Everything.is_strange_to(&person("bo")));
    }
}
