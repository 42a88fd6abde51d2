//! The state file: what statistics survive a restart, in one checksummed, versioned block of bytes.
//!
//! ```text
//! "pilotfish-state\n" · version u32 · length u64 · SHA-256 of the body · body      (numbers little-endian)
//! ```
//!
//! The body is in postcard's format (<https://postcard.jamesmunns.com/wire-format>). Writing the file, and when, is the
//! shell's business; so is the name of the clock: monotonic times mean something only to the machine, and the boot, on
//! which they were read. On another one the pause is not known and counts as none.

mod merge;

pub use merge::StateError;

use crate::call::Nanos;
use crate::monitor::{Lost, Stored};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 16] = b"pilotfish-state\n";
const VERSION: u32 = 5;

/// Bytes in front of the body.
const HEAD: usize = MAGIC.len() + 4 + 8 + 32;

/// Everything that survives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Whose monotonic time `at` is.
    pub clock: String,
    pub at: Nanos,
    /// Alarms raised and cleared so far.
    pub raised: u64,
    pub cleared: u64,
    pub monitors: Vec<Entry>,
}

/// One model × version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub model: String,
    pub version: String,
    pub monitor: Stored,
}

/// An [`Entry`] that could not be taken up, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Empty where the whole file is lost.
    pub model: String,
    pub version: String,
    pub reason: &'static str,
    pub says: String,
}

// === impl State ===

impl State {
    /// The file's bytes.
    ///
    /// # Errors
    /// Never, with plain data; the message is postcard's.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let mut bytes = vec![0; HEAD];
        bytes = postcard::to_extend(self, bytes).map_err(|error| StateError(error.to_string()))?;
        let (head, body) = bytes.split_at_mut(HEAD);
        let fields = [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &(body.len() as u64).to_le_bytes(),
            &Sha256::digest(&*body)[..],
        ];
        head.iter_mut().zip(fields.concat()).for_each(|(byte, field)| *byte = field);
        Ok(bytes)
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Lost::Damaged`], [`Lost::Newer`] or [`Lost::Older`].
    pub fn from_bytes(bytes: &[u8]) -> Result<State, Lost> {
        let mut rest = bytes;
        let mut take = |count: usize| {
            let (field, after) = rest.split_at_checked(count).ok_or(Lost::Damaged)?;
            rest = after;
            Ok::<&[u8], Lost>(field)
        };
        if take(MAGIC.len())? != MAGIC {
            return Err(Lost::Damaged);
        }
        let version = u32::from_le_bytes(take(4)?.try_into().map_err(|_| Lost::Damaged)?);
        if version != VERSION {
            return Err(if version > VERSION { Lost::Newer } else { Lost::Older });
        }
        let length = u64::from_le_bytes(take(8)?.try_into().map_err(|_| Lost::Damaged)?);
        let checksum = take(32)?;
        if rest.len() as u64 != length || Sha256::digest(rest)[..] != *checksum {
            return Err(Lost::Damaged);
        }
        postcard::from_bytes(rest).map_err(|_| Lost::Damaged)
    }

    /// How long it has rested by `now`, if `clock` is the one it was written by.
    pub fn gap(&self, clock: &str, now: Nanos) -> Nanos {
        if self.clock == clock { now.saturating_sub(self.at) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> State {
        State { clock: "boot-1".into(), at: 70, raised: 3, cleared: 2, monitors: Vec::new() }
    }

    #[test]
    fn a_state_survives_the_round_trip() {
        assert_eq!(State::from_bytes(&state().to_bytes().unwrap()), Ok(state()));
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut bytes = state().to_bytes().unwrap();
        bytes[16] = VERSION as u8 + 1;
        assert_eq!(State::from_bytes(&bytes), Err(Lost::Newer));
        bytes[16] = VERSION as u8 - 1;
        assert_eq!(State::from_bytes(&bytes), Err(Lost::Older));
    }

    #[test]
    fn a_pause_is_known_only_on_the_same_clock() {
        assert_eq!(
            (state().gap("boot-1", 100), state().gap("boot-1", 5), state().gap("boot-2", 100)),
            (30, 0, 0)
        );
    }

    proptest! {
        #[test]
        fn no_changed_or_missing_byte_is_read(position in 0usize..80, byte: u8) {
            let whole = state().to_bytes().unwrap();
            let mut bytes = whole.clone();
            let position = position % bytes.len();
            bytes[position] = byte;
            prop_assert!(bytes == whole || State::from_bytes(&bytes).is_err());
            prop_assert_eq!(State::from_bytes(&whole[..position]), Err(Lost::Damaged));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(State::from_bytes(&bytes).is_err());
            let _ = postcard::from_bytes::<State>(&bytes);
        }
    }
}
