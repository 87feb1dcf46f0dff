//! Sorting more than fits into memory: byte strings, in their own order. What does not fit is sorted in parts, each of which is
//! spilled to the temporary disk; then the parts are merged.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

use arrow::error::ArrowError;
use shared::column::NoSuchColumn;

use crate::keys::{Digest, digest};

/// Bytes that are read of a part at a time, and written.
const BUFFER: usize = 64 * 1024;
/// How an item begins, as numbers in its order: what is compared without looking at the item, which is far away in memory. Of
/// an activity that is the day, the person, the start, and its key, if ids are short.
type Prefix = [u64; 4];
/// Bytes of an item of each part that are in memory while parts are merged. What is alike for longer comes in the order of
/// its digest.
const AHEAD: usize = 64 * 1024;

/// Sorting failed, as a rule because of the temporary disk.
#[derive(Debug, thiserror::Error)]
#[error("records could not be sorted on the temporary disk: {0}")]
pub struct SortError(String);

impl SortError {
    pub(crate) fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl From<io::Error> for SortError {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}

impl From<ArrowError> for SortError {
    fn from(error: ArrowError) -> Self {
        Self::new(error)
    }
}

impl From<NoSuchColumn> for SortError {
    fn from(error: NoSuchColumn) -> Self {
        Self::new(error)
    }
}

/// Takes byte strings in.
pub struct Sorter {
    /// How many bytes may be held in memory.
    most: usize,
    bytes: Vec<u8>,
    items: Vec<Item>,
    parts: Vec<Part>,
}

/// Sorted items on disk.
struct Part {
    file: File,
    items: usize,
}

/// Where a byte string is among those that are held, and how it begins.
#[derive(Debug, Clone, Copy)]
struct Item {
    prefix: Prefix,
    start: usize,
    end: usize,
}

impl Sorter {
    /// Holds at most so many bytes in memory; a byte string that is longer than that, too, but alone.
    pub fn new(most: usize) -> Self {
        Self { most, bytes: Vec::new(), items: Vec::new(), parts: Vec::new() }
    }

    /// Takes a byte string.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn add(&mut self, item: &[u8]) -> Result<(), SortError> {
        let length = item.len();
        let held = self.bytes.len() + self.items.len() * size_of::<Item>();
        if held + length > self.most && !self.items.is_empty() {
            self.spill()?;
        }
        // All at once: memory that nothing was written to costs nothing, and what grows is copied.
        self.bytes.reserve_exact(length.max(self.most.saturating_sub(self.bytes.len())));
        let start = self.bytes.len();
        self.bytes.extend_from_slice(item);
        self.items.push(Item { prefix: prefix(item), start, end: self.bytes.len() });
        Ok(())
    }

    fn sort(&mut self) {
        let Self { bytes, items, .. } = self;
        let order = |a: &Item, b: &Item| {
            let (one, other) = (&bytes[a.start..a.end], &bytes[b.start..b.end]);
            let order = a.prefix.cmp(&b.prefix).then_with(|| beginning(one).cmp(beginning(other)));
            order.then_with(|| digest_of_long(one).cmp(&digest_of_long(other)))
        };
        items.sort_unstable_by(order);
    }

    fn spill(&mut self) -> Result<(), SortError> {
        self.sort();
        let mut file = BufWriter::with_capacity(BUFFER, tempfile::tempfile()?);
        let items = self.items.len();
        for Item { start, end, .. } in self.items.drain(..) {
            let item = &self.bytes[start..end];
            let length = u32::try_from(item.len()).map_err(SortError::new)?;
            file.write_all(&length.to_le_bytes())?;
            if let Some(digest) = digest_of_long(item) {
                file.write_all(&digest)?;
            }
            file.write_all(item)?;
        }
        self.bytes.clear();
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.parts.push(Part { file, items });
        Ok(())
    }

    /// All of them, in order.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn sorted(mut self) -> Result<Sorted, SortError> {
        self.sort();
        let Self { bytes, items, parts, .. } = self;
        let disk = parts.into_iter().map(|Part { file, items }| Source::Disk {
            file: BufReader::with_capacity(BUFFER, file),
            items,
            rest: 0,
        });
        let memory = Source::Memory { bytes, items: items.into_iter() };
        let mut heads = BinaryHeap::new();
        for source in disk.chain([memory]) {
            let mut head = Head { item: Vec::new(), digest: None, source };
            if head.advance()? {
                heads.push(head);
            }
        }
        Ok(Sorted { heads, given: false })
    }
}

/// Where sorted items come from.
enum Source {
    Disk {
        file: BufReader<File>,
        /// How many items are still to come.
        items: usize,
        /// Bytes of the present one that were not read yet.
        rest: usize,
    },
    Memory {
        bytes: Vec<u8>,
        items: std::vec::IntoIter<Item>,
    },
}

/// The next item of a source, or how it begins.
struct Head {
    item: Vec<u8>,
    /// Of the whole item, if it is long.
    digest: Option<Digest>,
    source: Source,
}

fn prefix(item: &[u8]) -> Prefix {
    let mut prefix = Prefix::default();
    for (number, bytes) in prefix.iter_mut().zip(item.chunks(size_of::<u64>())) {
        let mut whole = [0; size_of::<u64>()];
        whole[..bytes.len()].copy_from_slice(bytes);
        *number = u64::from_be_bytes(whole);
    }
    prefix
}

fn beginning(item: &[u8]) -> &[u8] {
    &item[..item.len().min(AHEAD)]
}

fn digest_of_long(item: &[u8]) -> Option<Digest> {
    (item.len() > AHEAD).then(|| digest(item))
}

impl Head {
    /// Goes to the beginning of the next item, if there is one.
    fn advance(&mut self) -> io::Result<bool> {
        self.item.clear();
        self.item.shrink_to(AHEAD);
        match &mut self.source {
            Source::Memory { bytes, items } => {
                let Some(Item { start, end, .. }) = items.next() else { return Ok(false) };
                self.item.extend_from_slice(&bytes[start..end]);
                self.digest = digest_of_long(&self.item);
            }
            Source::Disk { items: 0, .. } => return Ok(false),
            Source::Disk { file, items, rest } => {
                let mut length = [0; size_of::<u32>()];
                file.read_exact(&mut length)?;
                let length = u32::from_le_bytes(length) as usize;
                self.digest = if length > AHEAD { Some([0; size_of::<Digest>()]) } else { None };
                if let Some(digest) = &mut self.digest {
                    file.read_exact(digest)?;
                }
                self.item.resize(length.min(AHEAD), 0);
                file.read_exact(&mut self.item)?;
                *items -= 1;
                *rest = length - self.item.len();
            }
        }
        Ok(true)
    }

    fn is_complete(&self) -> bool {
        !matches!(self.source, Source::Disk { rest: 1.., .. })
    }

    /// Reads the rest of the item.
    fn complete(&mut self) -> io::Result<()> {
        match &mut self.source {
            Source::Disk { file, rest, .. } if *rest > 0 => {
                let known = self.item.len();
                self.item.resize(known + std::mem::take(rest), 0);
                file.read_exact(&mut self.item[known..])
            }
            _ => Ok(()),
        }
    }
}

/// The least is the greatest to a heap.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        beginning(&other.item).cmp(beginning(&self.item)).then_with(|| other.digest.cmp(&self.digest))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

/// Byte strings in order.
pub struct Sorted {
    heads: BinaryHeap<Head>,
    /// Whether the least was given.
    given: bool,
}

impl Sorted {
    /// The next one, if there is one.
    ///
    /// # Errors
    /// If the temporary disk fails.
    pub fn next(&mut self) -> Result<Option<&[u8]>, SortError> {
        if let Some(mut head) = self.heads.peek_mut().filter(|_| self.given)
            && !head.advance()?
        {
            PeekMut::pop(head);
        }
        self.given = true;
        if self.heads.peek().is_some_and(|head| !head.is_complete())
            && let Some(mut head) = self.heads.peek_mut()
        {
            // Its beginning stays as it is, and so does its place.
            head.complete()?;
        }
        Ok(self.heads.peek().map(|head| head.item.as_slice()))
    }
}

/// Some byte strings.
#[derive(Default)]
pub struct Items {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Items {
    /// Takes one more.
    pub fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.ends.push(self.bytes.len());
    }

    /// Takes what `write` appends, unless it fails.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let before = self.bytes.len();
        let written = write(&mut self.bytes);
        match written {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(before),
        }
        written
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How long they are together.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// None any more; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(most: usize, items: &[Vec<u8>]) -> (Vec<Vec<u8>>, usize) {
        let mut sorter = Sorter::new(most);
        for item in items {
            sorter.add(item).unwrap();
        }
        let parts = sorter.parts.len();
        let (mut sorted, mut all) = (sorter.sorted().unwrap(), Vec::new());
        while let Some(item) = sorted.next().unwrap() {
            all.push(item.to_vec());
        }
        assert_eq!(sorted.next().unwrap(), None);
        (all, parts)
    }

    #[test]
    fn items_come_in_order_with_parts_on_disk_or_without() {
        // Some begin alike for longer than is compared first, some are the beginning of others, some are equal, one is empty.
        let item = |n: usize| {
            let scattered = n * 7_919 % 1_009;
            let long = "begins alike for long, ".repeat(n % 3);
            format!("{long}{}", "x".repeat(scattered % 40) + &(scattered % 300).to_string()).into_bytes()
        };
        let items: Vec<Vec<u8>> = (0..3_000).map(item).chain([Vec::new()]).collect();
        let mut expected = items.clone();
        expected.sort();
        for (most, some_on_disk) in [(1 << 20, false), (50_000, true), (0, true)] {
            let (all, parts) = sorted(most, &items);
            assert_eq!(all, expected);
            assert_eq!(parts > 0, some_on_disk, "{most}");
        }
        assert_eq!(sorted(0, &[]).0, Vec::<Vec<u8>>::new());
    }

    #[test]
    fn of_long_items_only_the_beginning_is_in_memory_until_they_are_given() {
        let item = |n: usize| [&[n as u8; 8], vec![n as u8 ^ 7; 3 * AHEAD + n].as_slice()].concat();
        let mut sorter = Sorter::new(0);
        (0..20).rev().for_each(|n| sorter.add(&item(n)).unwrap());
        let mut sorted = sorter.sorted().unwrap();
        for n in 0..20 {
            assert!(sorted.next().unwrap() == Some(item(n).as_slice()), "{n}");
            let held: usize = sorted.heads.iter().map(|head| head.item.capacity()).sum();
            assert!(held <= sorted.heads.len() * 2 * AHEAD + 4 * AHEAD, "{held}");
        }
        assert_eq!(sorted.next().unwrap(), None);
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_coming_however_long_items_are_alike() {
        let mut items: Vec<Vec<u8>> =
            (0..30).map(|n| [vec![7; AHEAD + 100], vec![n as u8 % 20]].concat()).chain([vec![7; AHEAD]]).collect();
        let in_order = sorted(0, &items).0;
        for most in [0, 3 * AHEAD, 1 << 30] {
            items.rotate_left(7);
            assert!(sorted(most, &items).0 == in_order, "{most}");
        }
    }

    #[test]
    fn a_part_that_was_cut_off_is_an_error() {
        for cut in [1, 4, 6, 14, 15] {
            let mut sorter = Sorter::new(0);
            (0..3_u8).for_each(|n| sorter.add(&[n; 3]).unwrap());
            let Part { file, .. } = &sorter.parts[0];
            let length = file.metadata().unwrap().len();
            assert_eq!(length, 7);
            file.set_len(length.saturating_sub(cut)).unwrap();
            let next = sorter.sorted().and_then(|mut sorted| sorted.next().map(|_| ()));
            assert!(next.is_err(), "{cut}");
        }
    }

    #[test]
    fn no_more_is_held_than_may_be_and_an_item_that_is_longer_is_held_alone() {
        let mut sorter = Sorter::new(1_000);
        for length in [300, 2_000, 10, 10, 900, 0] {
            sorter.add(&vec![7; length]).unwrap();
            assert!(sorter.bytes.len() + sorter.items.len() * size_of::<Item>() <= 1_100 || sorter.items.len() == 1);
        }
        assert_eq!(sorter.parts.len(), 3);
    }
}
