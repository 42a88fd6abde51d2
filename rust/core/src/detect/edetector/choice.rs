//! What it costs that the categories with a bin were chosen by the very rows that are counted.
//!
//! The most frequent categories of a sample are more frequent in it than where it came from: of 200 equally likely ones,
//! those 63 that 2,000 rows have most often hold 42 % of them, and will hold 32 % of the next. So the share of all other
//! categories will be larger than it was, and that of each chosen one smaller, with nothing changed.
//!
//! A bound of a share holds with probability 1 - exp(-L) for categories that were named in advance. It holds for whatever
//! was chosen, if it holds for everything that might have been: there are C(n, k) ways to choose k of n categories, so L
//! grows by ln C(n, k) (the union bound; for one category of them by ln n/k). Only those near the edge could have been
//! chosen or left, within three standard errors of the last one on either side: a few where frequencies fall as they mostly
//! do, all where they are equal.

use crate::sketch::binning::Kind;
use crate::sketch::bins::Bins;

/// Standard errors within which two counts are not told apart: three of each.
const ERRORS: f64 = 6.0;

/// Categories that could have been chosen or not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Choice {
    chosen: usize,
    left: f64,
}

// === impl Choice ===

impl Choice {
    /// How the bins of a reference were chosen, whose rows have this autocorrelation time. None at all where every
    /// value has a bin, or bins are ranges.
    pub fn of(reference: &Bins, autocorrelation_time: f64) -> Choice {
        let others = reference.others() + reference.unseen();
        if reference.binning().kind() != Kind::Category || others == 0 {
            return Choice::default();
        }
        let last = reference.bins().iter().copied().min().unwrap_or(0) as f64;
        let error = ERRORS * (last * autocorrelation_time.max(1.0)).sqrt();
        let chosen = reference.bins().iter().filter(|&&count| count as f64 <= last + error).count();
        Choice { chosen, left: others as f64 / (last - error).max(1.0) }
    }

    /// Logarithm of the number of ways to choose.
    pub fn ways(&self) -> f64 {
        (1..=self.chosen).map(|chosen| (self.left / chosen as f64).ln_1p()).sum()
    }

    /// Logarithm of the number of categories of which a single one was chosen.
    pub fn each(&self) -> f64 {
        if self.chosen == 0 { 0.0 } else { (self.left / self.chosen as f64).ln_1p() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::binning::Binning;
    use std::sync::Arc;

    fn chosen(counts: &[u64], others: u64) -> Choice {
        let labels: Vec<Box<[u8]>> = (0..counts.len()).map(|label| vec![label as u8 + 1].into()).collect();
        let mut bins = Bins::new(Arc::new(Binning::category(labels.clone()).unwrap()));
        labels.iter().zip(counts).for_each(|(label, &count)| bins.add_label(label, count));
        bins.add_unseen(others);
        Choice::of(&bins, 1.0)
    }

    #[test]
    fn where_all_categories_have_a_bin_nothing_was_chosen() {
        assert_eq!(chosen(&[500, 300, 200], 0), Choice::default());
        assert_eq!((chosen(&[500], 0).ways(), chosen(&[500], 0).each()), (0.0, 0.0));
    }

    #[test]
    fn the_ways_are_those_of_choosing_among_categories_that_are_not_told_apart() {
        // 3 of 6 equal ones: C(6, 3) = 20.
        let equal = Choice { chosen: 3, left: 3.0 };
        assert!((equal.ways() - 20f64.ln()).abs() < 1e-12);
        assert!((equal.each() - 2f64.ln()).abs() < 1e-12);
        // The first two are there for certain; of the rest, 1,000 rows are at most 1,000 / (400 - 120) categories.
        let clear = chosen(&[90_000, 50_000, 400], 1_000);
        assert_eq!((clear.chosen, clear.left), (1, 1_000.0 / 280.0));
    }

    #[test]
    fn rows_that_resemble_the_row_before_tell_fewer_apart() {
        let mut bins = Bins::new(Arc::new(Binning::category(vec![(*b"a").into(), (*b"b").into()]).unwrap()));
        bins.add_label(b"a", 900);
        bins.add_label(b"b", 400);
        bins.add_unseen(300);
        assert!(Choice::of(&bins, 9.0).ways() > Choice::of(&bins, 1.0).ways());
    }
}
