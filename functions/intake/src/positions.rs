//! On which day each activity was when everything was read last: an index of the lake by key, in the table, so that a run
//! that reads only what changed finds the day that an activity came from.
//!
//! Like all of the table it can be made again: whoever does not find it as it should be reads everything.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::AttributeValue,
};
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    telemetry::said,
    time::{Generation, LocalDay},
};

use crate::keys::Digest;

/// What is kept of a key: 48 bits, of which the first say its part. Of two keys that agree in them, among a million in one of
/// five hundred sources, one day is found for both: a row that moved then stays on its old day, too, until everything is read.
const KEPT_OF_KEY: usize = 6;
const ENTRY_BYTES: usize = KEPT_OF_KEY + 4;
/// Entries of a part, on average at most: with what chance adds, less than half of what an item may hold.
const ENTRIES: u64 = 16_384;
const MOST_PARTS: u32 = 1 << 16;
/// Requests at a time.
const AT_ONCE: usize = 8;

/// The table refused or did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the positions of the activities could not be {action}: {reason}")]
pub struct PositionsError {
    action: &'static str,
    reason: String,
}

impl PositionsError {
    fn new<E: std::error::Error + ProvideErrorMetadata + 'static>(action: &'static str, error: SdkError<E>) -> Self {
        Self { action, reason: said(&error) }
    }
}

/// The positions of all keys, in the order of the keys' digests, on disk.
pub struct Positions {
    file: BufWriter<File>,
    count: u64,
}

impl Positions {
    /// None yet.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile()?), count: 0 })
    }

    /// The next one: the day is counted from the beginning of the common era.
    pub(crate) fn add(&mut self, key: &Digest, day: i32) -> io::Result<()> {
        self.count += 1;
        self.file.write_all(&key[..KEPT_OF_KEY])?;
        self.file.write_all(&day.to_le_bytes())
    }

    /// How many parts they come in: a power of two, so that the first bits of a key say which.
    fn parts(&self) -> u32 {
        let parts = self.count.div_ceil(ENTRIES).max(1).next_power_of_two();
        u32::try_from(parts).unwrap_or(MOST_PARTS).min(MOST_PARTS)
    }

    /// Each part, and its entries.
    fn into_parts(self) -> io::Result<impl Iterator<Item = io::Result<(u32, Vec<u8>)>>> {
        let parts = self.parts();
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let mut file = BufReader::new(file);
        let mut left = self.count;
        let mut next = move || -> io::Result<Option<[u8; ENTRY_BYTES]>> {
            if left == 0 {
                return Ok(None);
            }
            left -= 1;
            let mut entry = [0; ENTRY_BYTES];
            file.read_exact(&mut entry)?;
            Ok(Some(entry))
        };
        let mut ahead = next()?;
        Ok((0..parts).map(move |part| {
            let mut entries = Vec::new();
            while let Some(entry) = ahead.filter(|entry| part_of(entry, parts) == part) {
                entries.extend_from_slice(&entry);
                ahead = next()?;
            }
            Ok((part, entries))
        }))
    }
}

/// Which of `parts` holds a key.
fn part_of(key: &[u8], parts: u32) -> u32 {
    let bits = u32::from(u16::from_be_bytes([key[0], key[1]]));
    bits * parts / MOST_PARTS
}

/// Where positions are kept.
#[derive(Debug, Clone)]
pub struct Index {
    client: Client,
    table: String,
}

impl Index {
    /// The index in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Keeps the positions that the run of `generation` found, in the place of all before. Returns in how many parts.
    pub async fn keep(&self, generation: Generation, positions: Positions) -> Result<u32, PositionsError> {
        let disk = |error: io::Error| PositionsError { action: "kept", reason: error.to_string() };
        let parts = positions.parts();
        let keep = |part: io::Result<(u32, Vec<u8>)>| async {
            let (part, entries) = part.map_err(disk)?;
            let update = self.client.update_item().table_name(&self.table).set_key(Some(key(part)));
            let update = update
                .update_expression("SET generation = :generation, entries = :entries")
                .expression_attribute_values(":generation", AttributeValue::S(generation.to_string()))
                .expression_attribute_values(":entries", AttributeValue::B(Blob::new(entries)));
            update.send().await.map(|_| ()).map_err(|error| PositionsError::new("kept", error))
        };
        let all = positions.into_parts().map_err(disk)?;
        stream::iter(all.map(keep)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(parts)
    }

    /// On which day each of `keys` was, of those that were on any, when the run of `generation` read everything and kept
    /// `parts`. `None` if that is not what the table holds.
    pub async fn find(
        &self,
        generation: Generation,
        parts: u32,
        keys: &[Digest],
    ) -> Result<Option<HashMap<Digest, LocalDay>>, PositionsError> {
        let mut of_part: BTreeMap<u32, Vec<Digest>> = BTreeMap::new();
        for key in keys {
            of_part.entry(part_of(key, parts)).or_default().push(*key);
        }
        let find = |(part, keys): (u32, Vec<Digest>)| async move {
            let get = self.client.get_item().table_name(&self.table).set_key(Some(key(part))).consistent_read(true);
            let item = get.send().await.map_err(|error| PositionsError::new("read", error))?.item.unwrap_or_default();
            let kept = item.get("generation").and_then(|value| value.as_s().ok());
            let entries = item.get("entries").and_then(|value| value.as_b().ok());
            let entries = entries.filter(|_| kept.is_some_and(|kept| *kept == generation.to_string()));
            Ok::<_, PositionsError>(entries.map(|entries| {
                let days: HashMap<&[u8], LocalDay> =
                    entries.as_ref().chunks_exact(ENTRY_BYTES).filter_map(entry).collect();
                let found = |key: Digest| Some((key, *days.get(&key[..KEPT_OF_KEY])?));
                keys.into_iter().filter_map(found).collect::<Vec<_>>()
            }))
        };
        let found: Vec<Option<Vec<(Digest, LocalDay)>>> =
            stream::iter(of_part.into_iter().map(find)).buffer_unordered(AT_ONCE).try_collect().await?;
        let found: Option<Vec<_>> = found.into_iter().collect();
        Ok(found.map(|found| found.into_iter().flatten().collect()))
    }
}

fn entry(bytes: &[u8]) -> Option<(&[u8], LocalDay)> {
    let (key, day) = bytes.split_at_checked(KEPT_OF_KEY)?;
    let day = NaiveDate::from_num_days_from_ce_opt(i32::from_le_bytes(day.try_into().ok()?))?;
    Some((key, LocalDay(day)))
}

fn key(part: u32) -> HashMap<String, AttributeValue> {
    [("pk", format!("intake#positions#{part}")), ("sk", "positions".to_owned())]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
        .into()
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;

    use super::*;
    use crate::keys::digest;

    #[test]
    fn every_key_is_in_the_part_that_is_looked_into_whatever_their_number() {
        for count in [0_u32, 1, 1_000, 40_000] {
            let mut keys: Vec<(Digest, i32)> =
                (0..count).map(|n| (digest(n.to_string()), 740_000 + n as i32)).collect();
            keys.sort_unstable();
            let mut positions = Positions::new().unwrap();
            keys.iter().for_each(|(key, day)| positions.add(key, *day).unwrap());
            let parts = positions.parts();
            assert_eq!(parts, if count == 40_000 { 4 } else { 1 });
            let kept: Vec<(u32, Vec<u8>)> = positions.into_parts().unwrap().collect::<Result<_, _>>().unwrap();
            assert_eq!(kept.len(), parts as usize);
            for (key, day) in keys.iter().step_by(97) {
                let (_, entries) = &kept[part_of(key, parts) as usize];
                assert!(entries.len() < 400_000);
                let found = entries.chunks_exact(ENTRY_BYTES).filter_map(entry).find(|(kept, _)| *kept == &key[..6]);
                assert_eq!(found.unwrap().1.0.num_days_from_ce(), *day);
            }
        }
    }
}
