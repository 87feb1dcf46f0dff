//! Which record an activity's key belongs to, where a source gives one key to several. Memory is bounded: the keys are
//! sorted on disk, and only those that come again are kept.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

use serde::{Deserialize, Serialize};
use shared::lake::Sha256;

use crate::{
    days::Placed,
    positions::Positions,
    sort::{SortError, Weighed, sorted},
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

/// A record's claim to its key. Of several the least has it: the one that the source changed last, then the one on the
/// earliest day, then the one that starts first; after that the content decides, so that the order of reading never does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Claim {
    key: u128,
    updated: Reverse<i64>,
    day: i32,
    started: i64,
    row: u128,
}

const CLAIM_BYTES: usize = 16 + 8 + 4 + 8 + 16;

impl Claim {
    fn of(placed: &Placed) -> Self {
        use chrono::Datelike;
        let activity = &placed.activity;
        Self {
            key: number(&activity.activity_id),
            updated: Reverse(activity.updated_at.map_or(i64::MIN, |at| at.timestamp_micros())),
            day: placed.day.0.num_days_from_ce(),
            started: activity.started_at.timestamp_micros(),
            // All that is known of an activity follows from it.
            row: number(&activity.source_row),
        }
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.key.to_be_bytes())?;
        to.write_all(&self.updated.0.to_le_bytes())?;
        to.write_all(&self.day.to_le_bytes())?;
        to.write_all(&self.started.to_le_bytes())?;
        to.write_all(&self.row.to_be_bytes())
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        fn next<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
            let mut bytes = [0; N];
            from.read_exact(&mut bytes).map(|()| bytes)
        }
        Ok(Self {
            key: u128::from_be_bytes(next(from)?),
            updated: Reverse(i64::from_le_bytes(next(from)?)),
            day: i32::from_le_bytes(next(from)?),
            started: i64::from_le_bytes(next(from)?),
            row: u128::from_be_bytes(next(from)?),
        })
    }
}

impl Weighed for Claim {
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

/// Takes down the claims of all records, on disk.
pub struct Claims {
    file: BufWriter<File>,
    count: u64,
}

impl Claims {
    /// None yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile()?), count: 0 })
    }

    /// Takes down one.
    pub fn add(&mut self, placed: &Placed) -> io::Result<()> {
        self.count += 1;
        Claim::of(placed).write(&mut self.file)
    }

    /// Decides, and says on which day each key is.
    pub fn settle(self) -> Result<(Owners, Positions), SortError> {
        let mut file = self.file.into_inner().map_err(SortError::new)?;
        file.rewind().map_err(SortError::new)?;
        let mut file = BufReader::with_capacity(CLAIM_BYTES * 1_024, file);
        let mut failed = None;
        let claims = (0..self.count).map_while(|_| Claim::read(&mut file).map_err(|error| failed = Some(error)).ok());
        let mut owners = Owners { of_repeated: HashMap::new(), repeated: 0 };
        let mut positions = Positions::new().map_err(SortError::new)?;
        let mut owner: Option<Claim> = None;
        for claim in sorted(claims, Claim::cmp)? {
            let claim = claim?;
            match owner {
                Some(ref owner) if owner.key == claim.key => {
                    owners.of_repeated.entry(claim.key).or_insert(Some(owner.row));
                    owners.repeated += 1;
                }
                _ => {
                    positions.add(&claim.key.to_be_bytes(), claim.day).map_err(SortError::new)?;
                    owner = Some(claim);
                }
            }
        }
        match failed {
            Some(error) => Err(SortError::new(error)),
            None => Ok((owners, positions)),
        }
    }
}

/// Who has each key that came more than once.
pub struct Owners {
    of_repeated: HashMap<u128, Option<u128>>,
    /// Records whose key another one has.
    pub repeated: u64,
}

impl Owners {
    /// Whether a record has its key. Of records that are equal in everything the first that asks has it.
    pub fn admit(&mut self, activity_id: &str, source_row: &str) -> bool {
        if self.of_repeated.is_empty() {
            return true;
        }
        match self.of_repeated.get_mut(&number(activity_id)) {
            None => true,
            Some(owner) if *owner == Some(number(source_row)) => owner.take().is_some(),
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::activity::Activity;

    use super::*;

    fn placed(key: &str, day: &str, updated: Option<&str>, row: &str) -> Placed {
        let started = format!("{day}T08:00:00Z").parse().unwrap();
        let mut activity = Activity::new(key, "ada", "code", started, 60);
        activity.updated_at = updated.map(|at| at.parse().unwrap());
        activity.source_row = row.to_owned();
        Placed { day: day.parse().unwrap(), activity: Box::new(activity) }
    }

    /// The rows that have their keys.
    fn kept(all: &[Placed]) -> (Vec<String>, u64) {
        let mut claims = Claims::new().unwrap();
        all.iter().for_each(|placed| claims.add(placed).unwrap());
        let mut owners = claims.settle().unwrap().0;
        let repeated = owners.repeated;
        let kept = all.iter().filter(|placed| owners.admit(&placed.activity.activity_id, &placed.activity.source_row));
        (kept.map(|placed| placed.activity.source_row.clone()).collect(), repeated)
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
        let all: Vec<Placed> = (0..1_000).map(|n| placed(&n.to_string(), "2026-03-02", None, "x")).collect();
        let mut claims = Claims::new().unwrap();
        all.iter().for_each(|placed| claims.add(placed).unwrap());
        assert!(claims.settle().unwrap().0.of_repeated.is_empty());
        assert_eq!(kept(&all).0.len(), 1_000);
    }
}
