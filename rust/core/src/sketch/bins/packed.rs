//! Counts put away: those of a slice of time that is over, in as few bytes as they need.
//!
//! A window keeps a hundred slices for a month, and all that ever happens to one is that it leaves a sum again. Every
//! number is written in groups of seven bits, lowest first (LEB128), so nothing is rounded and nothing overflows. A
//! slice of fewer than 2^28 rows takes at most four bytes per count, one of a few thousand rows little more than one.

use super::Bins;
use crate::sketch::binning;
use crate::sketch::groups::{Numbers, write};
use serde::{Deserialize, Serialize};

/// The counters of a [`Bins`], without its bins. Nothing counted takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed(Box<[u8]>);

// === impl Packed ===

impl Packed {
    /// All counters, and, if `with_places`, where in their bins the values lie.
    pub fn of(bins: &Bins, with_places: bool) -> Packed {
        if bins.total() == 0 {
            return Packed::default();
        }
        let mut bytes = Vec::with_capacity(4 * bins.cells().len());
        let mut write = |number: u128| write(&mut bytes, number);
        bins.cells().iter().for_each(|&count| write(count.into()));
        bins.tails.iter().for_each(|&tail| write(tail));
        if with_places {
            bins.offsets().for_each(|offset| write(offset.into()));
        }
        Packed(bytes.into())
    }

    /// Bytes it takes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Bins ===

impl Bins {
    /// Adds what was put away from the same bins.
    pub fn merge_packed(&mut self, packed: &Packed) {
        self.apply(packed, u64::wrapping_add, u64::wrapping_add, u128::wrapping_add);
    }

    /// Undoes a [`Bins::merge_packed`].
    pub fn subtract_packed(&mut self, packed: &Packed) {
        self.apply(packed, u64::saturating_sub, u64::wrapping_sub, u128::saturating_sub);
    }

    fn apply(
        &mut self,
        packed: &Packed,
        count: fn(u64, u64) -> u64,
        sum: fn(u64, u64) -> u64,
        tail: fn(u128, u128) -> u128,
    ) {
        if packed.is_empty() {
            return;
        }
        let mut numbers = Numbers::of(&packed.0);
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
        assert!(Packed::of(&counted(&[]), true).is_empty());
    }

    #[test]
    fn small_counts_take_a_byte_each() {
        let packed = Packed::of(&counted(&[0.5; 100]), false);
        assert_eq!(packed.len(), counted(&[]).cells().len() + 2);
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
        for end in 0..packed.len() {
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
