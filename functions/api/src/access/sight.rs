//! What a caller may see.

use std::collections::BTreeSet;

use shared::contribution::Scope;

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
    /// Whether `team` is one of theirs.
    pub fn is_in(&self, team: &str, directory: &Directory) -> bool {
        match (&self.teams, &self.person) {
            (Some(teams), _) => teams.contains(team),
            (None, Some(person)) => directory.team_of(person) == Some(team),
            (None, None) => false,
        }
    }

    /// How few people a figure of `team` may be about. In a team of one's own that is smaller than the minimum, it is
    /// about everybody.
    pub fn minimum_of(&self, team: &str, directory: &Directory) -> usize {
        let everybody = directory.members_of(team);
        if self.is_in(team, directory) && everybody > 0 { self.minimum.min(everybody) } else { self.minimum }
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
        assert!(member(Some("ada"), None).is_in("1", &directory));
        assert!(!member(Some("ada"), None).is_in("2", &directory));
        assert!(!member(Some("ada"), Some(&["2"])).is_in("1", &directory));
        assert!(!member(None, None).is_in("1", &directory), "whoever is nobody in the source is in no team");
        assert_eq!(member(Some("ada"), None).minimum_of("1", &directory), 2, "a team of two tells them of both");
        assert_eq!(member(Some("ada"), None).minimum_of("2", &directory), 5);
        assert_eq!(member(None, Some(&["3"])).minimum_of("3", &directory), 5, "of whose people nothing is known");
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
