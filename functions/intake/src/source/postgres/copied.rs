//! What PostgreSQL copies out, as cells: as text or, where types are simple, in binary.
//!
//! The formats are those of `COPY`, <https://www.postgresql.org/docs/current/sql-copy.html>; the server sends one line or tuple in a
//! message.

use std::iter;

use sqlx::{TypeInfo, postgres::PgTypeInfo};
use uuid::Uuid;

use crate::source::{
    Cell, Record, Timestamp,
    timestamp::{YEAR_2000, date},
};

/// What the values of a column are to us. PostgreSQL's types belong to columns; what JSON has a type for keeps it, and anything
/// else is PostgreSQL's text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Boolean,
    Integer,
    /// Of half the digits.
    Real,
    Double,
    Date,
    Timestamp {
        zoned: bool,
    },
    Uuid,
    Text,
    Other,
}

impl Kind {
    /// Of a column's type.
    pub(super) fn of(type_info: &PgTypeInfo) -> Self {
        match type_info.name() {
            "BOOL" => Self::Boolean,
            "INT2" | "INT4" | "INT8" => Self::Integer,
            "FLOAT4" => Self::Real,
            "FLOAT8" => Self::Double,
            "DATE" => Self::Date,
            "UUID" => Self::Uuid,
            "TIMESTAMP" => Self::Timestamp { zoned: false },
            "TIMESTAMPTZ" => Self::Timestamp { zoned: true },
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" => Self::Text,
            _ => Self::Other,
        }
    }

    /// Whether it is read as PostgreSQL sends it in binary, and not as text.
    pub(super) fn is_read_as_binary(self) -> bool {
        !matches!(self, Self::Real | Self::Other)
    }
}

/// Takes the cells of a line of a copy as text: it ends with a line feed, tabs stand between values, and `\N` is NULL.
pub(super) fn push_line(record: &mut Record, line: &[u8], kinds: &[Kind]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    for (value, kind) in line.split(|byte| *byte == b'\t').zip(kinds) {
        match value {
            b"\\N" => record.push(Cell::Null),
            _ if value.contains(&b'\\') => record.push(of_text(&unescaped(value), *kind)),
            _ => record.push(of_text(value, *kind)),
        }
    }
}

/// A value as it was before PostgreSQL copied it out, which writes a backslash before what is no text of a line.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut bytes = value.iter().copied();
    let next = || {
        Some(match bytes.next()? {
            b'\\' => match bytes.next()? {
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 0x0b,
                b'f' => 0x0c,
                b'r' => b'\r',
                itself => itself,
            },
            byte => byte,
        })
    };
    iter::from_fn(next).collect()
}

/// A value as PostgreSQL writes it.
pub(super) fn of_text(bytes: &[u8], kind: Kind) -> Cell<'_> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Cell::Bytes(bytes) };
    let typed = match kind {
        Kind::Boolean => match text {
            "t" => Some(Cell::Boolean(true)),
            "f" => Some(Cell::Boolean(false)),
            _ => None,
        },
        Kind::Integer => text.parse().ok().map(Cell::Integer),
        Kind::Real | Kind::Double => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Cell::Real),
        Kind::Date | Kind::Timestamp { .. } | Kind::Uuid | Kind::Text | Kind::Other => None,
    };
    typed.unwrap_or(Cell::Text(text))
}

/// The first version whose binary copies say what the texts do: those before may have timestamps that are no whole microseconds, and
/// write numbers with fewer digits than they have.
pub(super) const BINARY_SINCE: u32 = 120_000;

/// What a binary copy begins with, before the flags and an extension, which has a length.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Takes the cells of a message of a binary copy: a tuple, before which the first one has a header, or what ends it. Returns
/// whether it is a tuple.
///
/// # Errors
/// If it is none of these.
pub(super) fn push_tuple(record: &mut Record, message: &[u8], kinds: &[Kind]) -> Result<bool, sqlx::Error> {
    let mut push = || -> Option<bool> {
        let tuple = without_header(message)?;
        if tuple.is_empty() {
            return Some(false);
        }
        let (fields, mut rest) = tuple.split_first_chunk()?;
        match usize::try_from(i16::from_be_bytes(*fields)) {
            Ok(fields) if fields == kinds.len() => {}
            Ok(_) => return None,
            Err(_) => return rest.is_empty().then_some(false),
        }
        for kind in kinds {
            let (length, after) = rest.split_first_chunk()?;
            rest = after;
            // Only NULL has no length.
            match usize::try_from(i32::from_be_bytes(*length)) {
                Err(_) => record.push(Cell::Null),
                Ok(length) => {
                    let (value, after) = rest.split_at_checked(length)?;
                    rest = after;
                    push_binary(record, value, *kind)?;
                }
            }
        }
        rest.is_empty().then_some(true)
    };
    push().ok_or_else(|| sqlx::Error::Protocol("a binary copy is not as its format says".to_owned()))
}

fn without_header(message: &[u8]) -> Option<&[u8]> {
    let Some(header) = message.strip_prefix(SIGNATURE) else { return Some(message) };
    let (_flags, header) = header.split_first_chunk::<4>()?;
    let (extension, rest) = header.split_first_chunk()?;
    rest.get(usize::try_from(u32::from_be_bytes(*extension)).ok()?..)
}

/// Takes a cell as PostgreSQL sends it in binary, where that is simple.
fn push_binary(record: &mut Record, value: &[u8], kind: Kind) -> Option<()> {
    let mut uuid = Uuid::encode_buffer();
    let text;
    record.push(match (kind, value) {
        (Kind::Boolean, [flag]) => Cell::Boolean(*flag != 0),
        (Kind::Integer, [a, b]) => Cell::Integer(i16::from_be_bytes([*a, *b]).into()),
        (Kind::Integer, [a, b, c, d]) => Cell::Integer(i32::from_be_bytes([*a, *b, *c, *d]).into()),
        (Kind::Integer, value) => Cell::Integer(i64::from_be_bytes(value.try_into().ok()?)),
        (Kind::Double, value) => match f64::from_be_bytes(value.try_into().ok()?) {
            number if number.is_nan() => Cell::Text("NaN"),
            f64::INFINITY => Cell::Text("Infinity"),
            f64::NEG_INFINITY => Cell::Text("-Infinity"),
            number => Cell::Real(number),
        },
        (Kind::Date, value) => match i32::from_be_bytes(value.try_into().ok()?) {
            i32::MAX => Cell::Text("infinity"),
            i32::MIN => Cell::Text("-infinity"),
            since_2000 => {
                text = date(YEAR_2000 + i64::from(since_2000));
                Cell::Text(&text)
            }
        },
        (Kind::Timestamp { zoned }, value) => match i64::from_be_bytes(value.try_into().ok()?) {
            i64::MAX => Cell::Text("infinity"),
            i64::MIN => Cell::Text("-infinity"),
            microseconds => Cell::Timestamp(Timestamp { microseconds, zoned }),
        },
        (Kind::Uuid, value) => Cell::Text(Uuid::from_slice(value).ok()?.as_hyphenated().encode_lower(&mut uuid)),
        (Kind::Text, value) => of_text(value, kind),
        (Kind::Boolean | Kind::Real | Kind::Other, _) => return None,
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_was_copied_out_is_what_the_values_were() {
        let line = b"7\t1.5\tt\t\\N\t\t\\\\N\ta\\tb\\nc\\rd\\be\\ff\\vg\\\\h\t12x\t\xff\n";
        let kinds = [
            Kind::Integer,
            Kind::Real,
            Kind::Boolean,
            Kind::Integer,
            Kind::Other,
            Kind::Other,
            Kind::Other,
            Kind::Integer,
            Kind::Other,
        ];
        let mut record = Record::new(kinds.iter().map(|kind| format!("{kind:?}")).collect());
        push_line(&mut record, line, &kinds);
        let expected = [
            Cell::Integer(7),
            Cell::Real(1.5),
            Cell::Boolean(true),
            Cell::Null,
            Cell::Text(""),
            Cell::Text("\\N"),
            Cell::Text("a\tb\nc\rd\u{8}e\u{c}f\u{b}g\\h"),
            Cell::Text("12x"),
            Cell::Bytes(&[0xff]),
        ];
        assert_eq!(record.cells().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn simple_types_are_read_in_binary_and_others_as_text() {
        let binary = |name: &'static str| Kind::of(&PgTypeInfo::with_name(name)).is_read_as_binary();
        let simple = [
            "BOOL",
            "INT2",
            "INT4",
            "INT8",
            "FLOAT8",
            "DATE",
            "TIMESTAMP",
            "TIMESTAMPTZ",
            "UUID",
            "TEXT",
            "VARCHAR",
            "CHAR",
            "NAME",
            "JSON",
        ];
        assert!(simple.into_iter().all(binary));
        assert!(!["FLOAT4", "NUMERIC", "JSONB", "BYTEA", "TIME", "INTERVAL", "INT8[]", "mood"].into_iter().any(binary));
    }

    #[test]
    fn a_binary_copy_is_read_as_far_as_it_is_one() {
        let columns: Arc<[String]> = ["n", "text", "at"].map(str::to_owned).into();
        let kinds = [Kind::Integer, Kind::Text, Kind::Timestamp { zoned: true }];
        let read = |message: &[u8]| {
            let mut record = Record::new(columns.clone());
            push_tuple(&mut record, message, &kinds).ok().map(|is_record| is_record.then_some(record))
        };
        let header = [SIGNATURE, &[0; 4], &[0, 0, 0, 2], b"xx"].concat();
        let tuple =
            [&[0, 3][..], &[0, 0, 0, 2, 0xff, 0xfe], &[0, 0, 0, 1, 0xff], &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]]
                .concat();
        let at = Timestamp { microseconds: 1, zoned: true };
        let expected = [Cell::Integer(-2), Cell::Bytes(&[0xff]), Cell::Timestamp(at)];
        for message in [&tuple, &[header.as_slice(), &tuple].concat()] {
            assert_eq!(read(message).unwrap().unwrap().cells().collect::<Vec<_>>(), expected);
        }
        let end = [0xff; 2];
        for message in [&header, end.as_slice(), &[header.as_slice(), &end].concat()] {
            assert_eq!(read(message), Some(None));
        }
        let nothing = [&[0, 3][..], &[0xff; 12]].concat();
        assert!(read(&nothing).unwrap().unwrap().cells().all(|cell| cell == Cell::Null));
        for cut in 1..tuple.len() {
            assert_eq!(read(&tuple[..cut]), None, "{cut}");
        }
        assert_eq!(read(&[tuple.as_slice(), &[0]].concat()), None, "there is more");
        assert_eq!(read(&[&[0, 4], &tuple[2..]].concat()), None, "there is another column");
        assert_eq!(read(&[&end[..], &[0]].concat()), None, "there is more after the end");
        assert_eq!(read(&[&tuple[..5], &[3, 0], &tuple[6..]].concat()), None, "no number has three bytes");
    }
}
