//! Categories of a reference that have no bin, so that those it has never seen are told from them.
//!
//! Of each 32 bits of its hash are kept: one in a million new categories is taken for one of four thousand known ones, and
//! is found a little later for it.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// Known categories without a bin, and how many categories of all came how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Others {
    /// In order.
    hashes: Box<[u32]>,
    once: u64,
    twice: u64,
}

// === impl Others ===

impl Others {
    /// `once` and `twice` count the categories that the reference has so often, with those that have a bin.
    pub fn of<'a>(labels: impl IntoIterator<Item = &'a [u8]>, once: u64, twice: u64) -> Others {
        let mut hashes: Vec<u32> = labels.into_iter().map(hash).collect();
        hashes.sort_unstable();
        Others { hashes: hashes.into(), once, twice }
    }

    /// Whether there is none: all have a bin, or they were too many or too long to be told apart.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether the hashes are in order, as a file should have them.
    pub fn is_ordered(&self) -> bool {
        self.hashes.is_sorted()
    }

    pub fn contains(&self, label: &[u8]) -> bool {
        self.hashes.binary_search(&hash(label)).is_ok()
    }

    /// Categories that came once.
    pub fn once(&self) -> u64 {
        self.once
    }

    /// How much less is known of the share of all that never came than of a share that was counted as often as categories
    /// came once: its variance is that of once and twice the twice (Esty, Annals of Statistics 1982; Good, Biometrika 1953).
    pub fn doubt(&self) -> f64 {
        1.0 + 2.0 * self.twice as f64 / self.once.max(1) as f64
    }
}

fn hash(label: &[u8]) -> u32 {
    SipHasher24::new().hash(label) as u32
}
