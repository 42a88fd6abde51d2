//! Keyed, consistent placement of a key on a line of 2^64 buckets, and shares of that line in parts per million.
//!
//! One rule serves stickiness, shadows and sampling: a key belongs to a share when its bucket lies below the share's
//! threshold. Raising a share only adds keys and lowering it removes the last ones first (the sets are nested, as in
//! OpenTelemetry's consistent probability sampling), and every sidecar with the same salt agrees without talking.

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

/// A whole, in parts per million.
pub const WHOLE_PPM: u32 = 1_000_000;

/// Places keys on the line. Keyed by a salt, so that clients who do not know it cannot aim at a share.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    hasher: SipHasher24,
}

/// A stretch of the line: `[start, end)` out of 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    start: u128,
    end: u128,
}

// === impl Placement ===

impl Placement {
    /// `purpose` keeps placements with the same salt independent of each other.
    pub fn new(purpose: &str, salt: &str) -> Placement {
        let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(salt).finalize();
        let mut key = [0u8; 16];
        key.copy_from_slice(&digest[..16]);
        Placement { hasher: SipHasher24::new_with_key(&key) }
    }

    /// The bucket of a key.
    pub fn bucket(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }
}

// === impl Stretch ===

impl Stretch {
    /// `length_ppm` of the line, beginning `start_ppm` after its start. Any positive length holds at least one bucket.
    pub fn new(start_ppm: u32, length_ppm: u32) -> Stretch {
        let place = |ppm: u32| (u128::from(ppm) << 64) / u128::from(WHOLE_PPM);
        let start = place(start_ppm);
        Stretch { start, end: start + place(length_ppm) }
    }

    pub fn contains(self, bucket: u64) -> bool {
        let bucket = u128::from(bucket);
        self.start <= bucket && bucket < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_whole_holds_every_bucket_and_nothing_holds_none() {
        let (whole, nothing) = (Stretch::new(0, WHOLE_PPM), Stretch::new(0, 0));
        for bucket in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(whole.contains(bucket));
            assert!(!nothing.contains(bucket));
        }
    }

    #[test]
    fn the_reached_share_is_the_planned_one() {
        let placement = Placement::new("test", "salt");
        let tenth = Stretch::new(0, 100_000);
        let hits = (0..100_000u32).filter(|i| tenth.contains(placement.bucket(&i.to_le_bytes()))).count();
        // Four standard deviations of a binomial(100,000, 0.1).
        assert!((9_620..=10_380).contains(&hits), "{hits}");
    }

    proptest! {
        #[test]
        fn raising_a_share_only_adds_keys(key in any::<u64>(), low in 0..=WHOLE_PPM, high in 0..=WHOLE_PPM) {
            let (low, high) = (low.min(high), low.max(high));
            let bucket = Placement::new("test", "salt").bucket(&key.to_le_bytes());
            prop_assert!(!Stretch::new(0, low).contains(bucket) || Stretch::new(0, high).contains(bucket));
        }
    }
}
