//! Who is behind a number: sets of people that are joined, compared and counted without copying anybody's id.
//!
//! An organisation of thousands is joined for every column of every figure, so a set holds numbers. Which number stands for
//! whom is known to this process alone and never kept anywhere: written, a set is the sorted list of its ids.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use roaring::RoaringBitmap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Everybody whom this process has come across.
#[derive(Default)]
struct Known {
    numbers: HashMap<Arc<str>, u32>,
    ids: Vec<Arc<str>>,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// One person, for as long as this process runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Person(u32);

impl Person {
    /// Whoever has this id in the source.
    pub fn of(id: &str) -> Self {
        // Whoever panicked with the lock in hand left the two lists alike, or the shorter one without its last.
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).numbers.get(id).copied();
        Self(known.unwrap_or_else(|| {
            let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
            let Known { numbers, ids } = &mut *known;
            // Somebody else may have been faster.
            *numbers.entry(id.into()).or_insert_with_key(|id| {
                ids.push(Arc::clone(id));
                (ids.len() - 1) as u32
            })
        }))
    }
}

/// A set of people.
#[derive(Clone, Default, PartialEq)]
pub struct People(RoaringBitmap);

impl Eq for People {}

impl People {
    /// Adds somebody.
    pub fn insert(&mut self, person: Person) {
        self.0.insert(person.0);
    }

    /// Adds everybody of another set.
    pub fn join(&mut self, others: &Self) {
        self.0 |= &others.0;
    }

    /// Removes everybody of another set.
    pub fn leave(&mut self, others: &Self) {
        self.0 -= &others.0;
    }

    /// Whether everybody of another set is in it.
    pub fn has_all_of(&self, others: &Self) -> bool {
        others.0.is_subset(&self.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len() as usize
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their ids, sorted.
    fn ids(&self) -> Vec<Arc<str>> {
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<Arc<str>> =
            self.0.iter().filter_map(|number| known.ids.get(number as usize).cloned()).collect();
        ids.sort_unstable();
        ids
    }
}

/// Says how many, and not who: what is printed may end in a log.
impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} people", self.len())
    }
}

impl<'a> FromIterator<&'a str> for People {
    fn from_iter<I: IntoIterator<Item = &'a str>>(ids: I) -> Self {
        Self(ids.into_iter().map(|id| Person::of(id).0).collect())
    }
}

impl<'a> FromIterator<&'a People> for People {
    fn from_iter<I: IntoIterator<Item = &'a People>>(sets: I) -> Self {
        let mut all = Self::default();
        sets.into_iter().for_each(|people| all.join(people));
        all
    }
}

impl Serialize for People {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.ids().iter().map(|id| &**id))
    }
}

impl<'de> Deserialize<'de> for People {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;

        impl<'de> de::Visitor<'de> for Ids {
            type Value = People;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of ids")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut ids: A) -> Result<People, A::Error> {
                let mut people = People::default();
                while let Some(id) = ids.next_element::<std::borrow::Cow<'de, str>>()? {
                    people.insert(Person::of(&id));
                }
                Ok(people)
            }
        }

        deserializer.deserialize_seq(Ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_as_its_sorted_ids_and_reads_back_as_itself() {
        let people: People = ["zoë", "ada", "b\"o", "ada"].into_iter().collect();
        let json = serde_json::to_string(&people).unwrap();
        assert_eq!(json, r#"["ada","b\"o","zoë"]"#);
        assert_eq!(serde_json::from_str::<People>(&json).unwrap(), people);
        assert_eq!((people.len(), format!("{people:?}")), (3, "3 people".to_owned()));
    }

    #[test]
    fn sets_are_joined_and_compared_by_who_is_in_them() {
        let of = |ids: &[&str]| ids.iter().copied().collect::<People>();
        let mut people = of(&["cy", "ada"]);
        people.join(&of(&["ada", "bo"]));
        assert_eq!(people, of(&["ada", "bo", "cy"]));
        assert!(people.has_all_of(&of(&["bo", "cy"])) && !of(&["bo"]).has_all_of(&people));
        people.leave(&of(&["bo", "dee"]));
        assert_eq!(people, of(&["ada", "cy"]));
        assert!(People::default().is_empty() && people_of_none().has_all_of(&People::default()));
    }

    fn people_of_none() -> People {
        std::iter::empty::<&str>().collect()
    }

    #[test]
    fn whoever_is_met_by_several_at_once_has_one_number() {
        let meet = || (0..200).map(|n| Person::of(&format!("met-{n}"))).collect::<Vec<_>>();
        let met: Vec<Vec<Person>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(meet)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(met.iter().all(|numbers| *numbers == met[0]));
        let people: People =
            (0..200).map(|n| format!("met-{n}")).collect::<Vec<_>>().iter().map(String::as_str).collect();
        assert_eq!(people.len(), 200);
    }
}
