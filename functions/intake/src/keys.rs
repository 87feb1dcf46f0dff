//! Which record an activity's key belongs to, where a source gives one key to several. Memory is bounded: the keys are
//! sorted on disk, and only those that come again are kept.

use std::collections::HashMap;

use arrow::array::Array;
use chrono::Datelike;
use shared::{column::Columns, lake::Sha256};

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
/// Of several claims to one key the least wins: that of the record which the source changed last, then of the one on the earliest
/// day, then of the one that starts first; after that the content decides, so that the order of reading never does. Claims are
/// byte strings in that order.
pub struct Claims(Sorter);

/// A number, so that its bytes are in its order.
fn in_order(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
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
        let rows = &placed.rows;
        let (keys, updated) = (rows.text("activity_id")?, rows.instant("updated_at")?);
        let (started, source_rows) = (rows.instant("started_at")?, rows.text("source_row")?);
        let mut digests = Vec::with_capacity(placed.days.len());
        for (row, day) in placed.days.iter().enumerate() {
            let key = number(keys.value(row));
            let updated = if updated.is_valid(row) { updated.value(row) } else { i64::MIN };
            self.0.add(&[
                &key.to_be_bytes(),
                // The latest first.
                &in_order(!updated),
                &day.0.num_days_from_ce().to_be_bytes(),
                &in_order(started.value(row)),
                // All that is known of an activity follows from it.
                &number(source_rows.value(row)).to_be_bytes(),
            ])?;
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
        let mut owner: Option<(u128, u128)> = None;
        let mut claims = self.0.sorted()?;
        while let Some(claim) = claims.next()? {
            let Some(Claim { key, day, row }) = Claim::read(claim) else {
                return Err(SortError::new("a claim is damaged"));
            };
            match owner {
                Some((owned, owner)) if owned == key => {
                    owners.of_repeated.entry(key).or_insert(Some(owner));
                    owners.repeated += 1;
                }
                _ => {
                    positions.add(&key.to_be_bytes(), day)?;
                    owner = Some((key, row));
                }
            }
        }
        Ok((owners, positions))
    }
}

/// What is to be known of a claim, beside its place.
struct Claim {
    key: u128,
    day: i32,
    row: u128,
}

impl Claim {
    fn read(claim: &[u8]) -> Option<Self> {
        let (key, rest) = claim.split_first_chunk()?;
        let (_updated, rest) = rest.split_first_chunk::<8>()?;
        let (day, rest) = rest.split_first_chunk()?;
        let (_started, row) = rest.split_first_chunk::<8>()?;
        let (key, day) = (u128::from_be_bytes(*key), i32::from_be_bytes(*day));
        Some(Self { key, day, row: u128::from_be_bytes(row.try_into().ok()?) })
    }
}

/// Who has each key that came more than once.
pub struct Owners {
    of_repeated: HashMap<u128, Option<u128>>,
    /// Records whose key another one has.
    pub repeated: u64,
}

impl Owners {
    /// Whether more than one record has the key of this digest.
    pub fn is_repeated(&self, key: u128) -> bool {
        self.of_repeated.contains_key(&key)
    }

    /// Whether a record has its key. Of records that are equal in everything the first that asks has it.
    pub fn admit(&mut self, key: u128, source_row: &str) -> bool {
        match self.of_repeated.get_mut(&key) {
            None => true,
            Some(owner) if *owner == Some(number(source_row)) => owner.take().is_some(),
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::{activity::Activity, time::LocalDay};

    use super::*;
    use crate::placed::Placing;

    fn placed(key: &str, day: &str, updated: Option<&str>, row: &str) -> (LocalDay, Activity) {
        let started = format!("{day}T08:00:00Z").parse().unwrap();
        let mut activity = Activity::new(key, "ada", "code", started, 60);
        activity.updated_at = updated.map(|at| at.parse().unwrap());
        activity.source_row = row.to_owned();
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

    /// The rows that have their keys.
    fn kept(all: &[(LocalDay, Activity)]) -> (Vec<String>, u64) {
        let (claims, keys) = claims(all);
        let mut owners = claims.settle().unwrap().0;
        let rows = all.iter().map(|(_, activity)| &activity.source_row).zip(keys);
        let kept = rows.filter(|(row, key)| !owners.is_repeated(*key) || owners.admit(*key, row));
        (kept.map(|(row, _)| row.clone()).collect(), owners.repeated)
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
        ];
        let expected = ["alone", "changed last", "on the earliest day", "twice the same"];
        for _ in 0..all.len() {
            all.rotate_left(1);
            let (mut rows, repeated) = kept(&all);
            rows.sort();
            assert_eq!((rows.as_slice(), repeated), (expected.map(str::to_owned).as_slice(), 4));
        }
    }

    #[test]
    fn where_nothing_is_repeated_nothing_is_kept_in_memory() {
        let all: Vec<_> = (0..1_000).map(|n| placed(&n.to_string(), "2026-03-02", None, "x")).collect();
        assert!(claims(&all).0.settle().unwrap().0.of_repeated.is_empty());
        assert_eq!(kept(&all).0.len(), 1_000);
    }
}
