//! Counts on the fixed bins of a feature: the one primitive every distance and detector is computed from.
//!
//! Whole numbers only, so that merging any split of the traffic in any order gives the same bytes, and a pane that
//! leaves a window can be subtracted without a trace.

mod packed;

pub use packed::Packed;

use super::binning::{self, Binning, Kind, Tally};
use super::real::Real;
use super::screen::Specials;
use super::{Sketch, Subtract};
use crate::prefetch::{Depth, prefetch};
use std::sync::Arc;

/// Counters of one feature: one per bin, and one per cell beside them (see [`binning`]). Of numbers also the sum of
/// their places in each bin, in whole quanta: it pins down the area under the distribution function.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    binning: Arc<Binning>,
    /// Counts, one per cell, and behind them, of numeric bins, places added up modulo 2^64, one per cell: beside each
    /// other, because they are counted together.
    numbers: Box<[u64]>,
    /// Distances of the values under and over all bins from the outermost edges, in quanta.
    tails: [u128; 2],
}

// === impl Bins ===

impl Bins {
    pub fn new(binning: Arc<Binning>) -> Bins {
        let parts = if binning.kind() == Kind::Numeric { 2 } else { 1 };
        let numbers = vec![0; parts * binning.cells()].into();
        Bins { binning, numbers, tails: [0; 2] }
    }

    /// Counters without places, for sums of counts: they can be merged into, but not updated.
    pub fn of_counts(binning: Arc<Binning>) -> Bins {
        let numbers = vec![0; binning.cells()].into();
        Bins { binning, numbers, tails: [0; 2] }
    }

    /// Counters as they were stored, with what [`Bins::offsets`] and [`Bins::tails`] were. `None` when there are not as
    /// many as the binning has cells, or an offset is more than its count allows.
    pub fn from_cells(
        binning: Arc<Binning>,
        cells: Vec<u64>,
        offsets: &[u64],
        tails: [u128; 2],
    ) -> Option<Bins> {
        let mut bins = Bins::new(binning);
        if cells.len() != bins.cells().len() || offsets.len() != bins.measured() {
            return None;
        }
        bins.cells_mut().copy_from_slice(&cells);
        for (bin, &offset) in offsets.iter().enumerate() {
            let (base, width) = bins.place(bin);
            let count = bins.bins()[bin];
            if u128::from(offset) > u128::from(count) * u128::from(width) {
                return None;
            }
            bins.sums_mut()[binning::FIRST + bin] = offset.wrapping_add(count.wrapping_mul(base));
        }
        bins.tails = tails;
        Some(bins)
    }

    /// Asks for the cache lines that counting short floats needs.
    pub fn prefetch(&self, depth: Depth) {
        if depth == Depth::Far {
            prefetch(&*self.numbers);
            prefetch(&*self.binning);
        } else {
            self.binning.prefetch();
        }
    }

    /// How many bins have sums of places.
    fn measured(&self) -> usize {
        if self.sums().is_empty() { 0 } else { self.binning.bins() }
    }

    fn sums(&self) -> &[u64] {
        &self.numbers[self.binning.cells()..]
    }

    fn sums_mut(&mut self) -> &mut [u64] {
        &mut self.numbers[self.binning.cells()..]
    }

    fn cells_mut(&mut self) -> &mut [u64] {
        &mut self.numbers[..self.binning.cells()]
    }

    /// Place of the lower end of a bin, and how many quanta the bin is wide.
    fn place(&self, bin: usize) -> (u64, u64) {
        let (low, high) = self.binning.range(bin).unwrap_or((0.0, 0.0));
        let low = self.binning.place(low);
        (low, self.binning.place(high).wrapping_sub(low))
    }

    pub fn binning(&self) -> &Arc<Binning> {
        &self.binning
    }

    /// All counters, in the order of [`binning`].
    pub fn cells(&self) -> &[u64] {
        &self.numbers[..self.binning.cells()]
    }

    /// The counters of the bins alone.
    pub fn bins(&self) -> &[u64] {
        &self.numbers[binning::FIRST..self.binning.over()]
    }

    /// How far the values of each bin lie above its lower end, added up, in quanta; empty unless the bins are ranges.
    ///
    /// Modulo 2^64, so that they add and subtract whatever they are.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + use<'_> {
        (0..self.measured()).map(|bin| {
            let cell = binning::FIRST + bin;
            self.sums()[cell].wrapping_sub(self.numbers[cell].wrapping_mul(self.place(bin).0))
        })
    }

    /// The same where it is certain: as long as the values of a bin, times its width in quanta, are less than 2^64. That
    /// is so for 268 million values at least, for sixty-four times as many where the bins are equally wide.
    pub fn certain_offsets(&self) -> impl Iterator<Item = Option<u64>> + use<'_> {
        self.offsets().enumerate().map(|(bin, offset)| {
            let most = u128::from(self.bins()[bin]) * u128::from(self.place(bin).1);
            (most <= u128::from(u64::MAX)).then_some(offset)
        })
    }

    /// Sums of the distances of the values under and over all bins from the outermost edges, in quanta.
    pub fn tails(&self) -> [u128; 2] {
        self.tails
    }

    /// How many values were counted, whatever they were.
    pub fn total(&self) -> u64 {
        self.cells().iter().sum()
    }

    /// The same; `None` when there were more than a counter holds.
    pub fn checked_total(&self) -> Option<u64> {
        self.cells().iter().try_fold(0u64, |total, &count| total.checked_add(count))
    }

    pub fn under(&self) -> u64 {
        self.numbers[binning::UNDER]
    }

    /// Numbers above the last bin.
    pub fn over(&self) -> u64 {
        if self.binning.kind() == Kind::Category { 0 } else { self.numbers[self.binning.over()] }
    }

    /// Categories that are known and have no bin.
    pub fn others(&self) -> u64 {
        if self.binning.kind() == Kind::Category { self.numbers[self.binning.over()] } else { 0 }
    }

    /// Values between the discrete ones, and categories that are not known.
    pub fn unseen(&self) -> u64 {
        self.numbers[binning::UNSEEN]
    }

    /// Values that are not finite numbers, by what they were.
    pub fn specials(&self) -> Specials {
        Specials {
            missing: self.numbers[binning::MISSING],
            nan: self.numbers[binning::NAN],
            neg_inf: self.numbers[binning::NEG_INF],
            pos_inf: self.numbers[self.binning.pos_inf()],
        }
    }

    /// Counts values that are not finite numbers.
    pub fn add_specials(&mut self, specials: &Specials) {
        self.numbers[binning::MISSING] += specials.missing;
        self.numbers[binning::NAN] += specials.nan;
        self.numbers[binning::NEG_INF] += specials.neg_inf;
        self.numbers[self.binning.pos_inf()] += specials.pos_inf;
    }

    /// Counts a category `times` times.
    pub fn add_label(&mut self, label: &[u8], times: u64) {
        self.numbers[self.binning.cell_of_label(label)] += times;
    }

    /// Counts `times` categories that are not known.
    pub fn add_unseen(&mut self, times: u64) {
        self.numbers[binning::UNSEEN] += times;
    }
}

impl Sketch for Bins {
    fn update<R: Real>(&mut self, finite: &[R]) {
        let (counts, sums) = self.numbers.split_at_mut(self.binning.cells());
        let mut tally = Tally { counts, sums, tails: &mut self.tails };
        self.binning.tally(finite, &mut tally);
    }

    /// Both must have the same binning.
    fn merge(&mut self, other: &Bins) {
        debug_assert_eq!(self.binning, other.binning, "counts on different bins do not add up");
        for (mine, theirs) in self.cells_mut().iter_mut().zip(other.cells()) {
            *mine += theirs;
        }
        for (mine, theirs) in self.sums_mut().iter_mut().zip(other.sums()) {
            *mine = mine.wrapping_add(*theirs);
        }
        for (mine, theirs) in self.tails.iter_mut().zip(other.tails) {
            *mine += theirs;
        }
    }
}

impl Subtract for Bins {
    /// `other` must have been merged before; a count never falls below zero.
    fn subtract(&mut self, other: &Bins) {
        debug_assert_eq!(self.binning, other.binning, "counts on different bins do not add up");
        for (mine, theirs) in self.cells_mut().iter_mut().zip(other.cells()) {
            *mine = mine.saturating_sub(*theirs);
        }
        for (mine, theirs) in self.sums_mut().iter_mut().zip(other.sums()) {
            *mine = mine.wrapping_sub(*theirs);
        }
        for (mine, theirs) in self.tails.iter_mut().zip(other.tails) {
            *mine = mine.saturating_sub(theirs);
        }
    }

    fn clear(&mut self) {
        self.numbers.fill(0);
        self.tails = [0; 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty() -> Bins {
        Bins::new(Arc::new(Binning::numeric(&[-10.0, -1.0, 0.0, 2.5, 10.0]).unwrap()))
    }

    fn counted(values: &[f64]) -> Bins {
        let mut bins = empty();
        bins.update(values);
        bins
    }

    #[test]
    fn specials_have_cells_of_their_own() {
        let mut bins = counted(&[-20.0, 0.0, 20.0]);
        let specials = Specials { missing: 1, nan: 2, neg_inf: 3, pos_inf: 4 };
        bins.add_specials(&specials);
        assert_eq!(bins.specials(), specials);
        assert_eq!((bins.under(), bins.over(), bins.unseen(), bins.total()), (1, 1, 0, 13));
        assert_eq!(bins.bins(), [0, 0, 1, 0]);
    }

    #[test]
    fn stored_cells_of_another_length_are_refused() {
        let stored =
            |cells, sums: &[u64]| Bins::from_cells(Arc::clone(empty().binning()), cells, sums, [0; 2]);
        assert_eq!(stored(vec![0; 11], &[0; 4]), Some(empty()));
        assert_eq!((stored(vec![0; 3], &[0; 4]), stored(vec![0; 11], &[0; 3])), (None, None));
    }

    #[test]
    fn offsets_that_the_counts_do_not_allow_are_refused() {
        let counted = counted(&[0.0, 1.0]);
        let stored = |offset| {
            let (binning, cells) = (Arc::clone(counted.binning()), counted.cells().to_vec());
            Bins::from_cells(binning, cells, &[0, 0, offset, 0], [0; 2])
        };
        let width = (1u64 << 36) / 8; // 2.5 of 20
        assert!(counted.offsets().nth(2).unwrap().abs_diff(2 * width / 5) <= 1);
        assert!(stored(2 * width).is_some() && stored(2 * width + 1).is_none());
    }

    proptest! {
        #[test]
        fn short_floats_are_counted_as_long_ones(values in prop::collection::vec(-12f32..12.0, 0..300)) {
            let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
            let mut narrow = empty();
            narrow.update(&values);
            prop_assert_eq!(narrow, counted(&wide));
        }

        #[test]
        fn a_block_of_discrete_values_is_counted_as_one_after_the_other(
            mut points in prop::collection::vec(-20i32..20, 0..40), tenths in any::<bool>(),
            values in prop::collection::vec(prop_oneof![-22f32..22.0, (-22i8..22).prop_map(f32::from), Just(-0.0)], 0..300),
        ) {
            points.sort_unstable();
            points.dedup();
            // A tenth is no short float: the nearest one stands for it.
            let points: Vec<f64> =
                points.into_iter().map(|point| f64::from(point) / if tenths { 10.0 } else { 1.0 }).collect();
            let binning = Arc::new(Binning::discrete(&points).unwrap());
            let tenth = (!points.is_empty() && tenths).then_some(points.first().map_or(0.0, |&point| point as f32));
            let values: Vec<f32> = values.into_iter().chain(tenth).collect();
            let [mut block, mut single, mut wide] = [(); 3].map(|()| Bins::new(Arc::clone(&binning)));
            block.update(&values);
            values.iter().for_each(|&value| single.update(&[value]));
            wide.update(&values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>());
            prop_assert_eq!(&block, &single);
            prop_assert_eq!(&block, &wide);
            let short: Vec<f32> = points.iter().map(|&point| point as f32).collect();
            let known = values.iter().filter(|value| short.contains(value)).count() as u64;
            prop_assert_eq!(block.bins().iter().sum::<u64>(), known);
        }

        #[test]
        fn any_split_merges_to_the_same_counts_and_subtracting_undoes_it(
            values in prop::collection::vec(-12f64..12.0, 0..300), cut in 0usize..300,
        ) {
            let (a, b) = values.split_at(cut.min(values.len()));
            let (left, right, whole) = (counted(a), counted(b), counted(&values));
            let mut merged = left.clone();
            merged.merge(&right);
            prop_assert_eq!(&merged, &whole);
            let mut reverse = right.clone();
            reverse.merge(&left);
            prop_assert_eq!(&reverse, &whole);
            merged.subtract(&right);
            prop_assert_eq!(&merged, &left);
            merged.clear();
            prop_assert_eq!(merged, empty());
        }
    }
}
