//! Pseudonyms: what a deployment that shall not know people by name keeps of a user's id instead. Whoever has the key finds
//! a person's pseudonym; whoever does not, cannot go back.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A key has at least this many bytes; a shorter one could be guessed.
pub const MIN_KEY_BYTES: usize = 32;

/// Half an HMAC-SHA-256: enough to tell any number of people apart.
const BYTES: usize = 16;

/// The key of a deployment's pseudonyms. What it shows of itself is not the key.
#[derive(Clone)]
pub struct PseudonymKey(Hmac<Sha256>);

/// A key that is too short to be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key for pseudonyms has at least {MIN_KEY_BYTES} bytes, and this one has {0}")]
pub struct ShortKey(pub usize);

impl PseudonymKey {
    /// The key that these bytes are, without white space around them.
    ///
    /// # Errors
    /// If there are too few.
    pub fn new(bytes: &[u8]) -> Result<Self, ShortKey> {
        let bytes = bytes.trim_ascii();
        if bytes.len() < MIN_KEY_BYTES {
            return Err(ShortKey(bytes.len()));
        }
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| ShortKey(bytes.len()))
    }

    /// What tells two keys apart, and says nothing of either.
    pub fn fingerprint(&self) -> String {
        // No source gives an id with a NUL in it, so this is nobody's pseudonym.
        pseudonym(self, "\0the key itself")
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey")
    }
}

/// What stands for `user_id`: half of its HMAC-SHA-256 under `key`, as 32 hexadecimal digits. The same id and key, the same
/// pseudonym.
pub fn pseudonym(key: &PseudonymKey, user_id: &str) -> String {
    let code = key.0.clone().chain_update(user_id).finalize().into_bytes();
    hex::encode(&code[..BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_the_hmac_of_the_id_under_the_key() {
        // RFC 4231, test case 7, whose key is long enough to be one of ours.
        let key = PseudonymKey::new(&[0xaa; 131]).unwrap();
        let data = "This is a test using a larger than block-size key and a larger than block-size data. The key needs to \
                    be hashed before being used by the HMAC algorithm.";
        assert_eq!(pseudonym(&key, data), "9b09ffa71b942fcb27635fbcd5b0e944");
        let other = PseudonymKey::new(&[0xab; 131]).unwrap();
        assert_ne!(pseudonym(&other, data), pseudonym(&key, data));
        assert_ne!(other.fingerprint(), key.fingerprint());
    }

    #[test]
    fn a_key_that_can_be_guessed_is_refused_and_no_key_is_shown() {
        assert_eq!(PseudonymKey::new(&[b'x'; 31]).err(), Some(ShortKey(31)));
        // A file ends with a line break.
        let (bare, line) = ([b'x'; 32], [&[b'x'; 32][..], b"\n"].concat());
        let [bare, line] = [&bare[..], &line].map(|bytes| PseudonymKey::new(bytes).unwrap());
        assert_eq!(bare.fingerprint(), line.fingerprint());
        assert_eq!(format!("{bare:?}"), "PseudonymKey");
    }
}
