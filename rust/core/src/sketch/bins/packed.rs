//! Counts put away: those of a slice of time that is over, in as few bytes as they need.
//!
//! A window keeps a hundred slices for a month, and all that ever happens to one is that it leaves a sum again. Every
//! number is written in groups of seven bits, lowest first (LEB128), so nothing is rounded and nothing overflows. A
//! slice of fewer than 2^28 rows takes at most four bytes per count, one of a few thousand rows little more than one.

use super::Bins;
use crate::sketch::binning;
use crate::sketch::groups::{Numbers, length_of, write, write_word};
use serde::{Deserialize, Serialize};

/// The counters of a [`Bins`], without its bins. Nothing counted takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed(Box<[u8]>);

// === impl Packed ===

impl Packed {
    /// All counters, and, if `with_places`, where in their bins the values lie.
    pub fn of(bins: &Bins, with_places: bool) -> Packed {
        let mut bytes = Vec::with_capacity(4 * bins.cells().len());
        bins.write(with_places, &mut bytes);
        Packed(bytes.into())
    }

    /// What was [written](Bins::write).
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Packed {
    fn from(bytes: Vec<u8>) -> Packed {
        Packed(bytes.into())
    }
}

impl From<&[u8]> for Packed {
    fn from(bytes: &[u8]) -> Packed {
        Packed(bytes.into())
    }
}

// === impl Bins ===

impl Bins {
    /// All counters, and, if `with_places`, all places behind other bytes; nothing if nothing was counted.
    pub fn write(&self, with_places: bool, bytes: &mut Vec<u8>) {
        if self.total() == 0 {
            return;
        }
        self.cells().iter().for_each(|&count| write_word(bytes, count));
        self.tails.iter().for_each(|&tail| write(bytes, tail));
        if with_places {
            self.offsets().for_each(|offset| write_word(bytes, offset));
        }
    }

    /// Counters and places of what was counted since these were like `before`.
    pub fn write_since(&self, before: &Bins, bytes: &mut Vec<u8>) {
        if self.cells() == before.cells() {
            return;
        }
        let counts = self.cells().iter().zip(before.cells());
        counts.for_each(|(now, then)| write_word(bytes, now.saturating_sub(*then)));
        let tails = self.tails.iter().zip(before.tails);
        tails.for_each(|(now, then)| write(bytes, now.saturating_sub(then)));
        for bin in 0..self.measured() {
            let cell = binning::FIRST + bin;
            let count = self.cells()[cell].saturating_sub(before.cells()[cell]);
            let sum = self.sums()[cell].wrapping_sub(before.sums()[cell]);
            let (low, _) = self.binning.range(bin).unwrap_or((0.0, 0.0));
            write_word(bytes, sum.wrapping_sub(count.wrapping_mul(self.binning.place(low))));
        }
    }

    /// How many of the bytes [written](Bins::write) of the same bins are counts, and not places.
    pub fn counts_in(&self, bytes: &[u8]) -> usize {
        length_of(bytes, self.cells().len() + self.tails.len())
    }

    /// Adds what was [written](Bins::write) of the same bins.
    pub fn merge_bytes(&mut self, bytes: &[u8]) {
        self.apply(bytes, u64::wrapping_add, u64::wrapping_add, u128::wrapping_add);
    }

    /// Adds what was put away from the same bins.
    pub fn merge_packed(&mut self, packed: &Packed) {
        self.merge_bytes(&packed.0);
    }

    /// Undoes a [`Bins::merge_packed`].
    pub fn subtract_packed(&mut self, packed: &Packed) {
        self.subtract_bytes(&packed.0);
    }

    /// Undoes a [`Bins::merge_bytes`].
    pub fn subtract_bytes(&mut self, bytes: &[u8]) {
        self.apply(bytes, u64::saturating_sub, u64::wrapping_sub, u128::saturating_sub);
    }

    fn apply(
        &mut self,
        bytes: &[u8],
        count: fn(u64, u64) -> u64,
        sum: fn(u64, u64) -> u64,
        tail: fn(u128, u128) -> u128,
    ) {
        if bytes.is_empty() {
            return;
        }
        let mut numbers = Numbers::of(bytes);
        let mut counts = [0u64; binning::CELLS_MAX];
        for (mine, theirs) in self.cells_mut().iter_mut().zip(&mut counts) {
            *theirs = numbers.take() as u64;
            *mine = count(*mine, *theirs);
        }
        for mine in &mut self.tails {
            *mine = tail(*mine, numbers.take());
        }
        for bin in 0..self.measured() {
            let cell = binning::FIRST + bin;
            let place = counts[cell].wrapping_mul(self.place(bin).0);
            let mine = &mut self.sums_mut()[cell];
            *mine = sum(*mine, place.wrapping_add(numbers.take() as u64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::binning::Binning;
    use crate::sketch::screen::Specials;
    use crate::sketch::{Sketch, Subtract};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn counted(values: &[f64]) -> Bins {
        let mut bins = Bins::new(Arc::new(Binning::numeric(&[-10.0, -1.0, 0.0, 2.5, 10.0]).unwrap()));
        bins.update(values);
        bins
    }

    #[test]
    fn nothing_counted_takes_no_memory() {
        assert!(Packed::of(&counted(&[]), true).bytes().is_empty());
    }

    #[test]
    fn small_counts_take_a_byte_each() {
        let packed = Packed::of(&counted(&[0.5; 100]), false);
        assert_eq!(packed.bytes().len(), counted(&[]).cells().len() + 2);
    }

    #[test]
    fn a_billion_billion_rows_are_not_rounded() {
        let mut bins = counted(&[]);
        bins.add_specials(&Specials { missing: u64::MAX - 5, ..Specials::default() });
        let mut read = counted(&[]);
        read.merge_packed(&Packed::of(&bins, true));
        assert_eq!(read.specials().missing, u64::MAX - 5);
    }

    #[test]
    fn bytes_that_are_cut_short_or_wild_are_read_without_panic() {
        let packed = Packed::of(&counted(&[0.5, 20.0, -3.0]), true);
        for end in 0..packed.bytes().len() {
            counted(&[1.0]).merge_packed(&Packed(packed.0[..end].into()));
        }
        counted(&[1.0]).merge_packed(&Packed(vec![0xff; 300].into()));
    }

    proptest! {
        #[test]
        fn what_is_put_away_comes_back(values in prop::collection::vec(-30f64..30.0, 0..300), rest in prop::collection::vec(-30f64..30.0, 0..30)) {
            let (bins, before) = (counted(&values), counted(&rest));
            let packed = Packed::of(&bins, true);
            let mut sum = before.clone();
            sum.merge_packed(&packed);
            let mut expected = before.clone();
            expected.merge(&bins);
            prop_assert_eq!(&sum, &expected);
            sum.subtract_packed(&packed);
            prop_assert_eq!(&sum, &before);
            sum.clear();
            sum.merge_packed(&packed);
            prop_assert_eq!(sum, bins);
        }
    }
}
