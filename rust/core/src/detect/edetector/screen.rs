//! Is it worth doing the sums now? A glance at a few rows, many times cheaper than all the bets on them.
//!
//! Rows may be weighed whenever one likes, as long as what decides about it is the rows seen so far: whatever the
//! stopping time, a bet's factor up to it is at most one in expectation. So rows are weighed when they look
//! unusual, which is when an alarm may be near and when fresh stakes are worth having, and else only now and then. The
//! glance is no test, and promises nothing: it decides when to look, never what is seen.

use super::functions::{POLYNOMIALS, Ranks};
use crate::prefetch::prefetch;
use crate::sketch::binning::NEG_INF;
use crate::sketch::bins::Bins;
use fearless_simd::{Level, Simd, dispatch, f32x16, prelude::*, u32x16};

/// Log likelihood ratios, in nats, from which rows are unusual: of the few polynomials, and of the many cells.
const UNUSUAL_SHAPE: f32 = 5.0;
const UNUSUAL_CELL: f32 = 7.0;

/// Functions that are looked at.
const FUNCTIONS: usize = POLYNOMIALS;

/// Cells in a block.
pub const LANES: usize = 16;

pub use super::functions::WIDTH;

/// What rows usually look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Screen {
    blocks: Vec<Block>,
    /// Of the polynomials: their means, and what makes their variance 1.
    means: [f32; FUNCTIONS],
    scales: [f32; FUNCTIONS],
    /// One over the rows of the reference, which are a sample as well.
    per_row: f32,
}

/// A block of cells: their shares in the reference, and their mid-ranks, of which polynomials are computed anew. It is
/// less work than to wait for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Block {
    shares: [f32; LANES],
    ranks: [f32; LANES],
}

/// Which cells of the first block have a rank; all others have.
const RANKED: [f32; LANES] = {
    let mut ranked = [1.0; LANES];
    let mut cell = 0;
    while cell < NEG_INF {
        ranked[cell] = 0.0;
        cell += 1;
    }
    ranked
};

// === impl Screen ===

impl Screen {
    pub fn of(reference: &Bins) -> Screen {
        let total = reference.total().max(1) as f64;
        let shares: Vec<f64> = reference.cells().iter().map(|&count| count as f64 / total).collect();
        let blocks = vec![Block::default(); shares.len().div_ceil(LANES)];
        let mut screen = Screen { blocks, per_row: total.recip() as f32, ..Screen::default() };
        for (cell, &share) in shares.iter().enumerate() {
            screen.blocks[cell / LANES].shares[cell % LANES] = share as f32;
        }
        let ranks = Ranks::of(reference);
        for (function, values) in ranks.functions().iter().take(FUNCTIONS).enumerate() {
            let mean: f64 = shares.iter().zip(values).map(|(share, value)| share * value).sum();
            let square = |(share, value): (&f64, &f64)| share * (value - mean).powi(2);
            let variance: f64 = shares.iter().zip(values).map(square).sum();
            screen.means[function] = mean as f32;
            screen.scales[function] = if variance > 0.0 { variance.sqrt().recip() as f32 } else { 0.0 };
        }
        for (cell, rank) in ranks.iter().enumerate() {
            let (block, lane) = (&mut screen.blocks[cell / LANES], cell % LANES);
            block.ranks[lane] = rank as f32;
        }
        screen
    }

    /// Asks for the cache lines that it points to.
    pub fn prefetch(&self) {
        prefetch(&*self.blocks);
    }

    /// Whether either of the `counts`, of rows of which `time` are worth one independent row, differ from the reference by more than
    /// chance often explains. Without branches: it is asked often.
    pub fn is_unusual(&self, counts: [&[u32; WIDTH]; 2], time: f64) -> bool {
        let time = time as f32;
        dispatch!(Level::new(), simd => {
            let [latest, all] = self.sums(simd, counts);
            self.differs(simd, counts[0], latest, time) | self.differs(simd, counts[1], all, time)
        })
    }

    /// How many rows there are, and the sums of the polynomials less their means.
    #[inline(always)]
    fn sums<S: Simd>(&self, simd: S, counts: [&[u32; WIDTH]; 2]) -> [[f32; 1 + FUNCTIONS]; 2] {
        let of_each = |value: f32| f32x16::splat(simd, value);
        let mut sums = [[of_each(0.0); 1 + FUNCTIONS]; 2];
        let means = self.means.map(of_each);
        let counts = counts.map(|counts| counts.as_chunks::<LANES>().0);
        for (position, block) in self.blocks.iter().enumerate() {
            let u = f32x16::from_slice(simd, &block.ranks);
            let ranked = f32x16::from_slice(simd, if position == 0 { &RANKED } else { &[1.0; LANES] });
            let square = u * u;
            let values = [
                u,
                square * of_each(1.5) - of_each(0.5),
                (square * of_each(2.5) - of_each(1.5)) * u,
                (square * of_each(4.375) - of_each(3.75)) * square + of_each(0.375),
            ];
            for (sums, counts) in sums.iter_mut().zip(counts) {
                let Some(counts) = counts.get(position) else { continue };
                let counts = counted(simd, counts);
                sums[0] += counts;
                for function in 0..FUNCTIONS {
                    sums[1 + function] += (values[function] * ranked - means[function]) * counts;
                }
            }
        }
        sums.map(|sums| sum(sums.map(lanes)))
    }

    #[inline(always)]
    fn differs<S: Simd>(
        &self,
        simd: S,
        counts: &[u32; WIDTH],
        sums: [f32; 1 + FUNCTIONS],
        time: f32,
    ) -> bool {
        let [total, sums @ ..] = sums;
        // Of a difference of two samples, in rows of the first.
        let time = time * (1.0 + total * self.per_row);
        let of_each = |value: f32| f32x16::splat(simd, value);
        let (doubt, third, none) = (of_each(2.0 * UNUSUAL_CELL * time), of_each(1.0 / 3.0), of_each(0.0));
        let (counts, _) = counts.as_chunks::<LANES>();
        let mut crowded = none;
        for (block, counts) in self.blocks.iter().zip(counts) {
            // Bernstein's bound of a Poisson variable: below its likelihood ratio, and without a logarithm.
            let expected = f32x16::from_slice(simd, &block.shares) * of_each(total);
            let excess = counted(simd, counts) - expected;
            let scale = expected + excess.max(none) * third;
            crowded = crowded.max(excess * excess - doubt * scale);
        }
        let [crowded] = sum([lanes(crowded)]);
        let limit = 2.0 * UNUSUAL_SHAPE * total * time;
        let scaled = sums.into_iter().zip(self.scales).map(|(sum, scale)| sum * scale);
        scaled.fold(crowded > 0.0, |any, sum| any | (sum * sum > limit))
    }
}

#[inline(always)]
fn counted<S: Simd>(simd: S, counts: &[u32; LANES]) -> f32x16<S> {
    f32x16::float_from(u32x16::from_slice(simd, counts))
}

#[inline(always)]
fn lanes<S: Simd>(vector: f32x16<S>) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    vector.store_slice(&mut lanes);
    lanes
}

/// The sums of vectors, by halves.
#[inline(always)]
fn sum<const N: usize>(mut vectors: [[f32; LANES]; N]) -> [f32; N] {
    let mut half = LANES / 2;
    while half > 0 {
        for lanes in &mut vectors {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
        }
        half /= 2;
    }
    vectors.map(|lanes| lanes[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use std::sync::Arc;

    fn counted(values: impl Iterator<Item = f64>) -> Bins {
        let edges: Vec<f64> = (0..=16).map(|edge| f64::from(edge) / 16.0).collect();
        let mut bins = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
        bins.update(&values.collect::<Vec<_>>());
        bins
    }

    fn wide(rows: &Bins) -> [u32; WIDTH] {
        let mut wide = [0; WIDTH];
        wide.iter_mut().zip(rows.cells()).for_each(|(wide, &count)| *wide = count as u32);
        wide
    }

    /// Low discrepancy: as even as the reference.
    fn even(rows: u32) -> impl Iterator<Item = f64> {
        (0..rows).map(|row| f64::from(row) * 0.618_033_988_75 % 1.0)
    }

    #[test]
    fn rows_like_the_reference_are_not_unusual_and_others_are() {
        let screen = Screen::of(&counted(even(10_000)));
        let unusual = |rows: Bins| screen.is_unusual([&wide(&rows), &[0; WIDTH]], 1.0);
        assert!(!unusual(counted(even(100))) && !unusual(counted(even(0))));
        assert!(unusual(counted(even(100).map(|value| value * 0.7))));
        assert!(unusual(counted(even(100).map(|value| if value < 0.2 { 9.0 } else { value }))));
    }

    #[test]
    fn what_a_small_reference_may_be_wrong_by_is_not_unusual() {
        let drawn = |seed: u64, rows: u32, most: f64| {
            let mut random = Random(seed);
            counted((0..rows).map(|_| most * random.uniform()).collect::<Vec<_>>().into_iter())
        };
        let unusual = |most: f64| {
            let is_unusual = |seed: &u64| {
                let screen = Screen::of(&drawn(*seed, 1_000, 1.0));
                screen.is_unusual([&[0; WIDTH], &wide(&drawn(1_000 + seed, 4_000, most))], 1.0)
            };
            (0..200).filter(is_unusual).count()
        };
        // Many times as many would be, if the reference were all there is.
        assert!(unusual(1.0) <= 4);
        assert_eq!(unusual(0.9), 200);
    }

    #[test]
    fn rows_that_follow_each_other_must_differ_more() {
        let screen = Screen::of(&counted(even(10_000)));
        let rows = counted(even(100).map(|value| value * 0.7));
        assert!(!screen.is_unusual([&wide(&rows), &[0; WIDTH]], 50.0));
    }
}
