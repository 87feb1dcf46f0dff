//! What records say as bytes, a third as long as in memory: of each cell its kind and its length, then all texts, then all bytes.
//!
//! Millions are packed and unpacked once each. A format for any type, read by what is known of types, took twice as long.

use super::{Kept, Timestamp, USUAL_TEXT, Values};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const REAL: u8 = 3;
const INTEGER: u8 = 4;
const TEXT: u8 = 5;
const BYTES: u8 = 6;
const TIMESTAMP: u8 = 7;
const TIMESTAMP_WITH_ZONE: u8 = 8;

/// What a length begins with that does not fit into the one byte that others have.
const LONG: u8 = 0xff;

fn write_length(length: usize, to: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short) if short < LONG => to.push(short),
        _ => {
            to.push(LONG);
            to.extend_from_slice(&(length as u64).to_le_bytes());
        }
    }
}

fn read_length(from: &[u8]) -> Option<(usize, &[u8])> {
    match from.split_first()? {
        (&LONG, rest) => {
            let (length, rest) = rest.split_first_chunk()?;
            Some((usize::try_from(u64::from_le_bytes(*length)).ok()?, rest))
        }
        (short, rest) => Some((usize::from(*short), rest)),
    }
}

impl Values {
    /// Appends them as [`Record::unpack`](super::Record::unpack) reads them.
    pub fn pack(&self, to: &mut Vec<u8>) {
        let of_length = |kind: u8, length: usize, to: &mut Vec<u8>| {
            to.push(kind);
            write_length(length, to);
        };
        write_length(self.cells.len(), to);
        for kept in &self.cells {
            match *kept {
                Kept::Null => to.push(NULL),
                Kept::Boolean(flag) => to.push(if flag { TRUE } else { FALSE }),
                Kept::Real(number) => {
                    to.push(REAL);
                    to.extend_from_slice(&number.to_le_bytes());
                }
                Kept::Timestamp(Timestamp { microseconds, zoned }) => {
                    to.push(if zoned { TIMESTAMP_WITH_ZONE } else { TIMESTAMP });
                    to.extend_from_slice(&microseconds.to_le_bytes());
                }
                Kept::Integer { start, end } => of_length(INTEGER, end - start, to),
                Kept::Text { start, end } => of_length(TEXT, end - start, to),
                Kept::Bytes { start, end } => of_length(BYTES, end - start, to),
            }
        }
        to.extend_from_slice(self.text.as_bytes());
        to.extend_from_slice(&self.bytes);
    }

    /// Takes what was packed, and returns what comes after it; `None` if it was damaged.
    pub(super) fn unpack<'p>(&mut self, packed: &'p [u8]) -> Option<&'p [u8]> {
        self.clear();
        // What was unusually long is not kept for ever.
        self.text.shrink_to(16 * USUAL_TEXT);
        self.bytes.shrink_to(16 * USUAL_TEXT);
        let (count, mut rest) = read_length(packed)?;
        let (mut all_text, mut all_bytes) = (0, 0);
        for _ in 0..count {
            let (kind, after) = rest.split_first()?;
            rest = after;
            self.cells.push(match *kind {
                NULL => Kept::Null,
                FALSE => Kept::Boolean(false),
                TRUE => Kept::Boolean(true),
                REAL => {
                    let (number, after) = rest.split_first_chunk()?;
                    rest = after;
                    Kept::Real(f64::from_le_bytes(*number))
                }
                kind @ (TIMESTAMP | TIMESTAMP_WITH_ZONE) => {
                    let (number, after) = rest.split_first_chunk()?;
                    rest = after;
                    let zoned = kind == TIMESTAMP_WITH_ZONE;
                    Kept::Timestamp(Timestamp { microseconds: i64::from_le_bytes(*number), zoned })
                }
                kind @ (INTEGER | TEXT | BYTES) => {
                    let (length, after) = read_length(rest)?;
                    rest = after;
                    let before = if kind == BYTES { &mut all_bytes } else { &mut all_text };
                    let (start, end) = (*before, length.checked_add(*before)?);
                    *before = end;
                    match kind {
                        INTEGER => Kept::Integer { start, end },
                        TEXT => Kept::Text { start, end },
                        _ => Kept::Bytes { start, end },
                    }
                }
                _ => return None,
            });
        }
        let (text, rest) = rest.split_at_checked(all_text)?;
        let (bytes, rest) = rest.split_at_checked(all_bytes)?;
        self.text.push_str(std::str::from_utf8(text).ok()?);
        self.bytes.extend_from_slice(bytes);
        let is_whole = |kept: &Kept| match *kept {
            Kept::Text { start, end } | Kept::Integer { start, end } => self.text.get(start..end).is_some(),
            Kept::Null | Kept::Boolean(_) | Kept::Real(_) | Kept::Timestamp(_) | Kept::Bytes { .. } => true,
        };
        self.cells.iter().all(is_whole).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::{Blanks, Cell, Record};

    #[test]
    fn a_record_comes_back_as_it_was_packed_and_not_at_all_if_that_was_damaged() {
        let long = "long, ".repeat(1_000);
        let cells = [
            Cell::Null,
            Cell::Boolean(false),
            Cell::Boolean(true),
            Cell::Integer(i64::MIN),
            Cell::Text("é"),
            Cell::Bytes(&[0xff, 0]),
            Cell::Real(-0.1),
            Cell::Timestamp(Timestamp { microseconds: -1, zoned: true }),
            Cell::Timestamp(Timestamp { microseconds: 1, zoned: false }),
            Cell::Text(""),
            Cell::Text(&long),
            Cell::Bytes(&[]),
            Cell::Integer(0),
            Cell::Text(&long[..254]),
            Cell::Text(&long[..255]),
        ];
        let columns: Arc<[String]> = (0..cells.len()).map(|column| column.to_string()).collect();
        let blanks = Blanks::default();
        let mut record = blanks.record(&columns);
        cells.iter().for_each(|cell| record.push(*cell));
        assert_eq!(record.cells().collect::<Vec<_>>(), cells);
        let mut packed = Vec::new();
        record.values().pack(&mut packed);
        let whole = packed.len();
        packed.extend_from_slice(b"after it");

        // In the memory of another one.
        blanks.take_back([Record { values: record.values.clone(), ..record.clone() }]);
        let mut again = blanks.record(&columns);
        assert_eq!(again.unpack(&packed), Some(&b"after it"[..]));
        assert_eq!(again, record);
        for cut in 0..whole {
            assert_eq!(again.unpack(&packed[..cut]), None, "{cut}");
        }
        let damaged = |at: usize, byte: u8| {
            let mut damaged = packed.clone();
            damaged[at] = byte;
            Record::new(columns.clone()).unpack(&damaged).is_some()
        };
        assert!(damaged(2, TRUE), "another flag is as good");
        assert!(!damaged(1, 7), "there is no such kind");
        assert!(!damaged(0, 0xff), "there are not so many");
        // The text of two bytes is one, and the number before it 21 digits: what follows begins amid a character.
        let (number, text) = (5, 7);
        assert_eq!((packed[number], packed[text]), (20, 2));
        let mut amid = packed.clone();
        (amid[number], amid[text]) = (21, 1);
        assert_eq!(again.unpack(&amid), None);
    }
}
