//! Which record an activity's key belongs to, where a source gives one key to several. Memory is bounded: the keys are
//! sorted on disk, and only those that come again are kept.

use std::{
    cmp::Ordering,
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek, Write},
};

use chrono::Datelike;
use itertools::Itertools;
use shared::{activity::Activity, lake::Sha256, time::LocalDay};

use crate::{positions::Positions, sort::SortError};

/// Half a SHA-256: enough to tell any number of texts apart, in 16 bytes each however long they are.
pub type Digest = [u8; 16];

/// Of a text.
pub fn digest(text: impl AsRef<[u8]>) -> Digest {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::of(text).bytes()[..16]);
    short
}

/// Claims that are sorted in memory at a time: 8 MiB.
const SORTED_IN_MEMORY: usize = 8 * 1024 * 1024 / size_of::<Claim>();
/// Bytes that are read of a part at a time.
const BUFFER: usize = 32 * 1024;

/// Takes down a claim to its key for each record.
///
/// Of several claims to one key the least [`Place`] wins, and of those that have the same one the record that comes first in the
/// lake: the content decides, so that the order of reading never does.
#[derive(Default)]
pub struct Claims {
    held: Vec<Claim>,
    /// Sorted claims on disk.
    parts: Vec<File>,
}

/// The digest of a key, and the place of the record that claims it.
type Claim = [u8; size_of::<Digest>() + size_of::<Place>()];

/// What decides between records with one key, in its order: when the source changed the record last, the latest first; the day
/// that it is on; its start.
pub type Place = [u8; 20];

/// In the order of their bytes; the first eight of them decide, as a rule, and numbers are compared at once.
fn compare(one: &Claim, other: &Claim) -> Ordering {
    let beginning = |claim: &Claim| claim.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    beginning(one).cmp(&beginning(other)).then_with(|| one.cmp(other))
}

/// A number, so that its bytes are in its order.
pub fn in_order(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The place of an activity on this day.
pub fn place(day: LocalDay, activity: &Activity<'_>) -> Place {
    let updated = activity.updated_at.map_or(i64::MIN, |at| at.timestamp_micros());
    let mut place = Place::default();
    place[..8].copy_from_slice(&in_order(!updated));
    place[8..12].copy_from_slice(&day.0.num_days_from_ce().to_be_bytes());
    place[12..].copy_from_slice(&in_order(activity.started_at.timestamp_micros()));
    place
}

impl Claims {
    /// Takes down that a record at this place claims a key.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn add(&mut self, key: &[u8], place: &Place) -> Result<(), SortError> {
        let mut claim = [0; size_of::<Claim>()];
        let (of_key, of_place) = claim.split_at_mut(size_of::<Digest>());
        of_key.copy_from_slice(&digest(key));
        of_place.copy_from_slice(place);
        self.held.push(claim);
        if self.held.len() == SORTED_IN_MEMORY {
            self.held.sort_unstable_by(compare);
            let mut part = tempfile::tempfile()?;
            part.write_all(self.held.as_flattened())?;
            part.rewind()?;
            self.parts.push(part);
            self.held.clear();
        }
        Ok(())
    }

    /// Decides, and says on which day each key is.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn settle(self) -> Result<(Owners, Positions), SortError> {
        let mut owners = Owners { of_repeated: HashMap::new(), repeated: 0 };
        let mut positions = Positions::new()?;
        let mut owner: Option<(Digest, Place)> = None;
        for claim in self.in_order() {
            let claim = claim?;
            let (Some(&key), Some(&place)) = (claim.first_chunk(), claim.last_chunk()) else {
                return Err(SortError::new("a claim is damaged"));
            };
            match owner {
                Some((owned, owner)) if owned == key => {
                    owners.of_repeated.entry(key).or_insert(Some(owner));
                    owners.repeated += 1;
                }
                _ => {
                    let day = [place[8], place[9], place[10], place[11]];
                    positions.add(&key, i32::from_be_bytes(day))?;
                    owner = Some((key, place));
                }
            }
        }
        Ok((owners, positions))
    }

    fn in_order(mut self) -> impl Iterator<Item = io::Result<Claim>> {
        self.held.sort_unstable_by(compare);
        let on_disk = self.parts.into_iter().map(|part| {
            let mut part = BufReader::with_capacity(BUFFER, part);
            let next = move |_| {
                let mut claim = [0; size_of::<Claim>()];
                part.read_exact(&mut claim).map(|()| claim)
            };
            Box::new((0..SORTED_IN_MEMORY).map(next)) as Box<dyn Iterator<Item = io::Result<Claim>>>
        });
        let in_memory = Box::new(self.held.into_iter().map(Ok));
        // What cannot be read comes first.
        on_disk.chain([in_memory as _]).kmerge_by(|one, other| match (one, other) {
            (Ok(one), Ok(other)) => compare(one, other).is_lt(),
            (one, _) => one.is_err(),
        })
    }
}

/// Who has each key that came more than once.
pub struct Owners {
    of_repeated: HashMap<Digest, Option<Place>>,
    /// Records whose key another one has.
    pub repeated: u64,
}

impl Owners {
    /// Whether an activity on `day` has its key. Ask in the order of the lake, and once for each: of activities with the same
    /// place the first that asks has the key.
    pub fn admit(&mut self, day: LocalDay, activity: &Activity<'_>) -> bool {
        if self.of_repeated.is_empty() {
            return true;
        }
        match self.of_repeated.get_mut(&digest(&*activity.activity_id)) {
            None => true,
            Some(owner) if *owner == Some(place(day, activity)) => owner.take().is_some(),
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed<'a>(key: &'a str, day: &str, updated: Option<&str>, row: &'a str) -> (LocalDay, Activity<'a>) {
        let started = format!("{day}T08:00:00Z").parse().unwrap();
        let mut activity = Activity::new(key, "ada", "code", started, 60);
        activity.updated_at = updated.map(|at| at.parse().unwrap());
        activity.source_row = row.into();
        (day.parse().unwrap(), activity)
    }

    fn settled(all: &[(LocalDay, Activity)]) -> Owners {
        let mut claims = Claims::default();
        for (day, activity) in all {
            claims.add(activity.activity_id.as_bytes(), &place(*day, activity)).unwrap();
        }
        claims.settle().unwrap().0
    }

    /// The rows that have their keys, which ask in an order that is theirs.
    fn kept(all: &[(LocalDay, Activity)]) -> (Vec<String>, u64) {
        let mut owners = settled(all);
        let mut rows: Vec<_> = all.iter().collect();
        rows.sort_by(|(_, one), (_, other)| one.source_row.cmp(&other.source_row));
        rows.retain(|(day, row)| owners.admit(*day, row));
        (rows.iter().map(|(_, row)| row.source_row.to_string()).collect(), owners.repeated)
    }

    #[test]
    fn of_records_with_one_key_the_one_that_was_changed_last_has_it_in_whatever_order_they_are_read() {
        let (old, new) = (Some("2026-03-09T00:00:00Z"), Some("2026-03-10T00:00:00Z"));
        let mut all = vec![
            placed("1", "2026-03-02", old, "changed earlier"),
            placed("1", "2026-03-04", new, "changed last"),
            placed("1", "2026-03-01", None, "never changed"),
            placed("2", "2026-03-05", None, "on a later day"),
            placed("2", "2026-03-03", None, "on the earliest day"),
            placed("3", "2026-03-03", None, "alone"),
            placed("4", "2026-03-03", None, "twice the same"),
            placed("4", "2026-03-03", None, "twice the same"),
            placed("5", "2026-03-03", old, "the first of two that differ in nothing that decides"),
            placed("5", "2026-03-03", old, "the other"),
        ];
        let expected = [
            "alone",
            "changed last",
            "on the earliest day",
            "the first of two that differ in nothing that decides",
            "twice the same",
        ];
        for _ in 0..all.len() {
            all.rotate_left(1);
            let (mut rows, repeated) = kept(&all);
            rows.sort();
            assert_eq!((rows.as_slice(), repeated), (expected.map(str::to_owned).as_slice(), 5));
        }
    }

    #[test]
    fn where_nothing_is_repeated_nothing_is_kept_in_memory() {
        let keys: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        let all: Vec<_> = keys.iter().map(|key| placed(key, "2026-03-02", None, "x")).collect();
        assert!(settled(&all).of_repeated.is_empty());
        assert_eq!(kept(&all).0.len(), 1_000);
    }
}
