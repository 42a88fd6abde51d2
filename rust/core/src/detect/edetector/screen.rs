//! Is it worth doing the sums now? A glance at a few rows, many times cheaper than all the bets on them.
//!
//! Bets may be settled whenever one likes, as long as what decides about it is the rows seen so far: whatever the
//! stopping time, a bet's factor up to it is at most one in expectation. So rows are settled early when they look
//! unusual, which is when an alarm may be near and when fresh stakes are worth having, and else only now and then. The
//! glance is no test, and promises nothing: it decides when to look, never what is seen.

use super::directions::Polynomials;
use crate::sketch::bins::Bins;

/// Log likelihood ratios, in nats, from which rows are unusual: of the few polynomials, and of the many cells. Of looks at
/// rows that have not changed, about one in twenty.
const UNUSUAL_SHAPE: f64 = 3.0;
const UNUSUAL_CELL: f64 = 6.0;

/// Functions that are looked at.
const FUNCTIONS: usize = 4;

/// What rows usually look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Screen(Vec<Cell>);

/// A cell: its share of the reference, and the values of functions that have the mean 0 and the variance 1 there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cell {
    share: f64,
    values: [f64; FUNCTIONS],
}

// === impl Screen ===

impl Screen {
    pub fn of(reference: &Bins) -> Screen {
        let total = reference.total().max(1) as f64;
        let shares: Vec<f64> = reference.cells().iter().map(|&count| count as f64 / total).collect();
        let mut cells: Vec<Cell> = shares.iter().map(|&share| Cell { share, ..Cell::default() }).collect();
        for (function, (_, values)) in Polynomials::of(reference).iter().take(FUNCTIONS).enumerate() {
            let mean: f64 = shares.iter().zip(values).map(|(share, value)| share * value).sum();
            let square = |(share, value): (&f64, &f64)| share * (value - mean).powi(2);
            let variance: f64 = shares.iter().zip(values).map(square).sum();
            let scale = if variance > 0.0 { variance.sqrt().recip() } else { 0.0 };
            for (cell, value) in cells.iter_mut().zip(values) {
                cell.values[function] = (value - mean) * scale;
            }
        }
        Screen(cells)
    }

    /// Whether `counts`, of rows of which `time` are worth one independent row, differ from the reference by more than
    /// chance often explains. Without branches: it is asked often.
    pub fn is_unusual(&self, counts: &[u64], time: f64) -> bool {
        const THIRD: f64 = 1.0 / 3.0;
        let total = counts.iter().sum::<u64>() as f64;
        let mut sums = [0.0; FUNCTIONS];
        let mut is_crowded = false;
        for (cell, &count) in self.0.iter().zip(counts) {
            let count = count as f64;
            for (sum, value) in sums.iter_mut().zip(&cell.values) {
                *sum += value * count;
            }
            // Bernstein's bound of a Poisson variable: below its likelihood ratio, and without a logarithm.
            let expected = cell.share * total;
            let excess = count - expected;
            let scale = expected + if excess > 0.0 { THIRD * excess } else { 0.0 };
            is_crowded |= excess * excess > 2.0 * UNUSUAL_CELL * time * scale;
        }
        let limit = 2.0 * UNUSUAL_SHAPE * total * time;
        is_crowded | sums.iter().any(|sum| sum * sum > limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use std::sync::Arc;

    fn counted(values: impl Iterator<Item = f64>) -> Bins {
        let edges: Vec<f64> = (0..=16).map(|edge| f64::from(edge) / 16.0).collect();
        let mut bins = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
        bins.update(&values.collect::<Vec<_>>());
        bins
    }

    /// Low discrepancy: as even as the reference.
    fn even(rows: u32) -> impl Iterator<Item = f64> {
        (0..rows).map(|row| f64::from(row) * 0.618_033_988_75 % 1.0)
    }

    #[test]
    fn rows_like_the_reference_are_not_unusual_and_others_are() {
        let screen = Screen::of(&counted(even(10_000)));
        let unusual = |rows: Bins| screen.is_unusual(rows.cells(), 1.0);
        assert!(!unusual(counted(even(100))) && !unusual(counted(even(0))));
        assert!(unusual(counted(even(100).map(|value| value * 0.7))));
        assert!(unusual(counted(even(100).map(|value| if value < 0.2 { 9.0 } else { value }))));
    }

    #[test]
    fn rows_that_follow_each_other_must_differ_more() {
        let screen = Screen::of(&counted(even(10_000)));
        let rows = counted(even(100).map(|value| value * 0.7));
        assert!(!screen.is_unusual(rows.cells(), 50.0));
    }
}
