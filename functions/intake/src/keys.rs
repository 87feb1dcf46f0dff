//! Which record an activity's key belongs to, where a source gives one key to several. Memory is bounded: the keys are
//! sorted on disk, and only those that come again are kept.

use std::collections::HashMap;

use arrow::array::{Array, RecordBatch};
use chrono::Datelike;
use shared::{
    column::{Columns, NoSuchColumn},
    lake::Sha256,
    time::LocalDay,
};

use crate::{
    placed::Placed,
    positions::Positions,
    sort::{SortError, Sorter},
};

/// Half a SHA-256: enough to tell any number of texts apart, in 16 bytes each however long they are.
pub type Digest = [u8; 16];

/// Of a text.
pub fn digest(text: impl AsRef<[u8]>) -> Digest {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::of(text).bytes()[..16]);
    short
}

/// The same as a number, which sorts alike and is written to disk at once.
fn number(text: impl AsRef<[u8]>) -> u128 {
    u128::from_be_bytes(digest(text))
}

/// Bytes of claims that are sorted in memory at a time.
const SORTED_IN_MEMORY: usize = 16 * 1024 * 1024;

/// Takes down a claim to its key for each record.
///
/// Of several claims to one key the least [`Place`] wins, and of those that have the same one the record that comes first in the
/// lake: the content decides, so that the order of reading never does.
pub struct Claims(Sorter);

/// What decides between records with one key, in its order: when the source changed the record last, the latest first; the day
/// that it is on; its start.
type Place = [u8; 20];

/// A number, so that its bytes are in its order.
fn in_order(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The place of a row of a batch, on its day.
fn places(rows: &RecordBatch) -> Result<impl Fn(usize, LocalDay) -> Place + '_, NoSuchColumn> {
    let (updated, started) = (rows.instant("updated_at")?, rows.instant("started_at")?);
    Ok(move |row, day: LocalDay| {
        let updated = if updated.is_valid(row) { updated.value(row) } else { i64::MIN };
        let mut place = Place::default();
        place[..8].copy_from_slice(&in_order(!updated));
        place[8..12].copy_from_slice(&day.0.num_days_from_ce().to_be_bytes());
        place[12..].copy_from_slice(&in_order(started.value(row)));
        place
    })
}

impl Claims {
    /// None yet.
    pub fn new() -> Self {
        Self(Sorter::new(SORTED_IN_MEMORY))
    }

    /// Takes down those of what was placed. Returns the digests of the keys.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn add(&mut self, placed: &Placed) -> Result<Vec<u128>, SortError> {
        let (keys, place) = (placed.rows.text("activity_id")?, places(&placed.rows)?);
        let mut digests = Vec::with_capacity(placed.days.len());
        for (row, day) in placed.days.iter().enumerate() {
            let key = number(keys.value(row));
            self.0.add(&[&key.to_be_bytes(), &place(row, *day)])?;
            digests.push(key);
        }
        Ok(digests)
    }

    /// Decides, and says on which day each key is.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn settle(self) -> Result<(Owners, Positions), SortError> {
        let mut owners = Owners { of_repeated: HashMap::new(), repeated: 0 };
        let mut positions = Positions::new()?;
        let mut owner: Option<(u128, Place)> = None;
        let mut claims = self.0.sorted()?;
        while let Some(claim) = claims.next()? {
            let (key, place) = read(claim).ok_or_else(|| SortError::new("a claim is damaged"))?;
            match owner {
                Some((owned, owner)) if owned == key => {
                    owners.of_repeated.entry(key).or_insert(Some(owner));
                    owners.repeated += 1;
                }
                _ => {
                    let day = [place[8], place[9], place[10], place[11]];
                    positions.add(&key.to_be_bytes(), i32::from_be_bytes(day))?;
                    owner = Some((key, place));
                }
            }
        }
        Ok((owners, positions))
    }
}

/// The digest of a key, and the place of the record that claims it.
fn read(claim: &[u8]) -> Option<(u128, Place)> {
    let (key, place) = claim.split_first_chunk()?;
    Some((u128::from_be_bytes(*key), place.try_into().ok()?))
}

/// Who has each key that came more than once.
pub struct Owners {
    of_repeated: HashMap<u128, Option<Place>>,
    /// Records whose key another one has.
    pub repeated: u64,
}

impl Owners {
    /// Whether more than one record has the key of this digest.
    pub fn is_repeated(&self, key: u128) -> bool {
        self.of_repeated.contains_key(&key)
    }

    /// Whether the only row of a batch, which is on `day`, has its key. Ask in the order of the lake, and once for each: of
    /// records with the same place the first that asks has the key.
    ///
    /// # Errors
    /// If the batch lacks a column.
    pub fn admit(&mut self, key: u128, row: &RecordBatch, day: LocalDay) -> Result<bool, NoSuchColumn> {
        let place = places(row)?(0, day);
        Ok(match self.of_repeated.get_mut(&key) {
            None => true,
            Some(owner) if *owner == Some(place) => owner.take().is_some(),
            Some(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use shared::activity::{Activity, to_batch};

    use super::*;
    use crate::placed::Placing;

    fn placed<'a>(key: &'a str, day: &str, updated: Option<&str>, row: &'a str) -> (LocalDay, Activity<'a>) {
        let started = format!("{day}T08:00:00Z").parse().unwrap();
        let mut activity = Activity::new(key, "ada", "code", started, 60);
        activity.updated_at = updated.map(|at| at.parse().unwrap());
        activity.source_row = row.into();
        (day.parse().unwrap(), activity)
    }

    /// The claims of all records, and the digests of their keys.
    fn claims(all: &[(LocalDay, Activity)]) -> (Claims, Vec<u128>) {
        let (mut claims, mut placing) = (Claims::new(), Placing::default());
        for (day, activity) in all {
            placing.put(*day, activity);
        }
        let keys = claims.add(&placing.finish().unwrap()).unwrap();
        (claims, keys)
    }

    /// The rows that have their keys, which ask in an order that is theirs.
    fn kept(all: &[(LocalDay, Activity)]) -> (Vec<String>, u64) {
        let (claims, keys) = claims(all);
        let mut owners = claims.settle().unwrap().0;
        let mut rows: Vec<_> = all.iter().zip(keys).collect();
        rows.sort_by(|((_, one), _), ((_, other), _)| one.source_row.cmp(&other.source_row));
        rows.retain(|((day, row), key)| {
            let batch = to_batch(std::slice::from_ref(row)).unwrap();
            !owners.is_repeated(*key) || owners.admit(*key, &batch, *day).unwrap()
        });
        (rows.iter().map(|((_, row), _)| row.source_row.to_string()).collect(), owners.repeated)
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
        assert!(claims(&all).0.settle().unwrap().0.of_repeated.is_empty());
        assert_eq!(kept(&all).0.len(), 1_000);
    }
}
