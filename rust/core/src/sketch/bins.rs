//! Counts on the fixed bins of a feature: the one primitive every distance and detector is computed from.
//!
//! Whole numbers only, so that merging any split of the traffic in any order gives the same bytes, and a pane that
//! leaves a window can be subtracted without a trace.

use super::binning::{self, Binning};
use super::screen::Specials;
use super::{Sketch, Subtract};
use std::sync::Arc;

/// Counters of one feature: one per bin, and one per cell beside them (see [`binning`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    binning: Arc<Binning>,
    cells: Box<[u64]>,
}

// === impl Bins ===

impl Bins {
    pub fn new(binning: Arc<Binning>) -> Bins {
        let cells = vec![0; binning.cells()].into_boxed_slice();
        Bins { binning, cells }
    }

    /// Counters as they were stored. `None` when there are not as many as the binning has cells.
    pub fn from_cells(binning: Arc<Binning>, cells: Vec<u64>) -> Option<Bins> {
        (cells.len() == binning.cells()).then(|| Bins { binning, cells: cells.into_boxed_slice() })
    }

    pub fn binning(&self) -> &Arc<Binning> {
        &self.binning
    }

    /// All counters, in the order of [`binning`].
    pub fn cells(&self) -> &[u64] {
        &self.cells
    }

    /// The counters of the bins alone.
    pub fn bins(&self) -> &[u64] {
        &self.cells[binning::FIRST..self.binning.over()]
    }

    /// How many values were counted, whatever they were.
    pub fn total(&self) -> u64 {
        self.cells.iter().sum()
    }

    pub fn under(&self) -> u64 {
        self.cells[binning::UNDER]
    }

    pub fn over(&self) -> u64 {
        self.cells[self.binning.over()]
    }

    pub fn unseen(&self) -> u64 {
        self.cells[binning::UNSEEN]
    }

    /// Values that are not finite numbers, by what they were.
    pub fn specials(&self) -> Specials {
        Specials {
            missing: self.cells[binning::MISSING],
            nan: self.cells[binning::NAN],
            neg_inf: self.cells[binning::NEG_INF],
            pos_inf: self.cells[self.binning.pos_inf()],
        }
    }

    /// Counts values that are not finite numbers.
    pub fn add_specials(&mut self, specials: &Specials) {
        self.cells[binning::MISSING] += specials.missing;
        self.cells[binning::NAN] += specials.nan;
        self.cells[binning::NEG_INF] += specials.neg_inf;
        self.cells[self.binning.pos_inf()] += specials.pos_inf;
    }

    /// Counts a category `times` times.
    pub fn add_label(&mut self, label: &[u8], times: u64) {
        self.cells[self.binning.cell_of_label(label)] += times;
    }

    /// Counts `times` categories that have no bin.
    pub fn add_unseen(&mut self, times: u64) {
        self.cells[binning::UNSEEN] += times;
    }
}

impl Sketch for Bins {
    #[inline]
    fn update(&mut self, finite: &[f64]) {
        self.binning.count(finite, &mut self.cells);
    }

    /// Both must have the same binning.
    fn merge(&mut self, other: &Bins) {
        debug_assert_eq!(self.binning, other.binning, "counts on different bins do not add up");
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            *mine += theirs;
        }
    }
}

impl Subtract for Bins {
    /// `other` must have been merged before; a count never falls below zero.
    fn subtract(&mut self, other: &Bins) {
        debug_assert_eq!(self.binning, other.binning, "counts on different bins do not add up");
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            *mine = mine.saturating_sub(*theirs);
        }
    }

    fn clear(&mut self) {
        self.cells.fill(0);
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
        assert!(Bins::from_cells(Arc::clone(empty().binning()), vec![0; 3]).is_none());
    }

    proptest! {
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
