//! Counting values into bins, a chunk of them at once.
//!
//! Where bounds do not fit into registers (of long floats, or without vectors of sixteen short ones), values are compared
//! with all of them: that takes no branch, no table and no load that waits for another, whatever the distribution; with
//! vectors it is faster than a binary search in memory. A count and the sum of places share one number while a block is
//! counted, so that a value costs one addition to memory; two tables take turns, because successive values often fall
//! into the same bin and an addition must wait for the one before it.

use super::{BESIDE, BINS_MAX, Binning, CELLS_MAX, FIRST, Kind, OUTSIDE_MAX, UNDER, UNSEEN};
use crate::sketch::real::{CHUNK, Real, chunks};
use fearless_simd::{Level, Simd, dispatch};

/// Bits of the sum of places in a shared number; those above them count.
const PLACES: u32 = 52;

/// Most values of a table before a count could overflow: half of a block's.
const BLOCK_MAX: usize = 2 * ((1 << (u64::BITS - PLACES)) - CHUNK);

/// Where values are counted: one counter per cell, and the sums of their places, in quanta.
#[derive(Debug)]
pub struct Tally<'a> {
    pub counts: &'a mut [u64],
    /// Distances from the lowest edge, modulo 2^64: as long as `counts` (numeric bins), or empty. Beside the bins zero.
    pub sums: &'a mut [u64],
    /// Distances of the values under and over all bins from the outermost edges.
    pub tails: &'a mut [u128; 2],
}

/// Counts with sums of places above them, in two tables.
struct Shared([[u64; CELLS_MAX + 1]; 2]);

// === impl Binning ===

impl Binning {
    /// Counts finite values into `cells`, which has [`Binning::cells`] counters, without their places.
    pub fn count<R: Real>(&self, finite: &[R], cells: &mut [u64]) {
        let mut sums = [0; CELLS_MAX];
        self.tally(finite, &mut Tally { counts: cells, sums: &mut sums, tails: &mut [0; 2] });
    }

    /// Counts finite values, and adds up their places.
    pub fn tally<R: Real>(&self, finite: &[R], into: &mut Tally<'_>) {
        let before = [UNDER, self.over()].map(|cell| into.counts.get(cell).copied());
        match (self.kind, self.bins) {
            (Kind::Category, _) | (_, 0) => into.add(UNSEEN, finite.len() as u64, 0),
            (Kind::Discrete, _) => dispatch!(Level::new(), simd => self.count_points(simd, finite, into)),
            (Kind::Numeric, _) if finite.len() < CHUNK => {
                dispatch!(Level::new(), simd => self.count_few(simd, finite, into));
            }
            (Kind::Numeric, _) => {
                for block in finite.chunks(BLOCK_MAX) {
                    dispatch!(Level::new(), simd => self.count_ranges(simd, block, into));
                }
            }
        }
        if [UNDER, self.over()].map(|cell| into.counts.get(cell).copied()) != before {
            self.add_outside(finite, into);
        }
    }

    /// How many lower ends each value has reached, and one more above the last bin.
    #[inline(always)]
    fn reached<S: Simd, R: Real>(&self, simd: S, values: &[R; CHUNK]) -> [u32; CHUNK] {
        let bins = self.bins.min(BINS_MAX);
        let bounds = R::pick((&self.short_lower, self.short_high), (&self.lower, self.high));
        R::reached(simd, values, bounds, bins)
    }

    /// Places of the values, zero beside the bins, each with a count of one above it.
    #[inline(always)]
    fn counted_places<R: Real>(&self, values: &[R; CHUNK], reached: &[u32; CHUNK]) -> [u64; CHUNK] {
        let bins = self.bins as u32;
        let mut places = [0; CHUNK];
        for lane in 0..CHUNK {
            let inside = reached[lane].wrapping_sub(1) < bins;
            let place = self.place(values[lane].wide());
            places[lane] = (1 << PLACES) | if inside { place } else { 0 };
        }
        places
    }

    #[inline(always)]
    fn count_ranges<S: Simd, R: Real>(&self, simd: S, block: &[R], into: &mut Tally<'_>) {
        let mut shared = Shared([[0; CELLS_MAX + 1]; 2]);
        chunks(
            block,
            #[inline(always)]
            |values, taken| {
                let reached = self.reached(simd, values);
                shared.add(&reached, &self.counted_places(values, &reached), taken);
            },
        );
        shared.add_to(into);
    }

    #[inline(always)]
    fn count_few<S: Simd, R: Real>(&self, simd: S, few: &[R], into: &mut Tally<'_>) {
        chunks(
            few,
            #[inline(always)]
            |values, taken| {
                let reached = self.reached(simd, values);
                let places = self.counted_places(values, &reached);
                for (reached, place) in reached.into_iter().zip(places).take(taken) {
                    into.add(UNDER + reached as usize, 1, place & ((1 << PLACES) - 1));
                }
            },
        );
    }

    #[inline(always)]
    fn count_points<S: Simd, R: Real>(&self, simd: S, finite: &[R], into: &mut Tally<'_>) {
        chunks(
            finite,
            #[inline(always)]
            |values, taken| {
                let reached = self.reached(simd, values);
                for (value, reached) in values.iter().zip(reached).take(taken) {
                    let reached = reached as usize;
                    let is_point =
                        self.lower.get(reached.wrapping_sub(1)).is_some_and(|&it| it == value.wide());
                    let is_outside = reached == 0 || reached > self.bins;
                    into.add(if is_point | is_outside { UNDER + reached } else { UNSEEN }, 1, 0);
                }
            },
        );
    }

    #[cold]
    fn add_outside<R: Real>(&self, values: &[R], into: &mut Tally<'_>) {
        let quanta = |distance: f64| u128::from(((distance * self.scale + 0.5) as u64).min(OUTSIDE_MAX));
        for value in values.iter().map(|value| value.wide()) {
            if value < self.lower[0] {
                into.tails[0] += quanta(self.lower[0] - value);
            } else if value > self.high {
                into.tails[1] += quanta(value - self.high);
            }
        }
    }
}

// A value that has reached as many ends belongs to that many cells behind "under"; behind the last bin follows "over".
const _: () = assert!(UNDER + 1 == FIRST && CELLS_MAX == BINS_MAX + BESIDE);

// === impl Tally ===

impl Tally<'_> {
    #[inline(always)]
    fn add(&mut self, cell: usize, times: u64, places: u64) {
        if let Some(count) = self.counts.get_mut(cell) {
            *count += times;
        }
        if let Some(sum) = self.sums.get_mut(cell) {
            *sum = sum.wrapping_add(places);
        }
    }
}

// === impl Shared ===

impl Shared {
    #[inline(always)]
    fn add(&mut self, reached: &[u32; CHUNK], counted: &[u64; CHUNK], taken: usize) {
        let Shared([even, odd]) = self;
        let cell = |reached: u32| (UNDER + reached as usize).min(CELLS_MAX);
        if taken < CHUNK {
            reached
                .iter()
                .zip(counted)
                .take(taken)
                .for_each(|(&reached, counted)| even[cell(reached)] += counted);
            return;
        }
        let ((reached, _), (counted, _)) = (reached.as_chunks::<2>(), counted.as_chunks::<2>());
        for (reached, counted) in reached.iter().zip(counted) {
            even[cell(reached[0])] += counted[0];
            odd[cell(reached[1])] += counted[1];
        }
    }

    #[inline(always)]
    fn add_to(&self, into: &mut Tally<'_>) {
        let Shared([even, odd]) = self;
        let mask = (1 << PLACES) - 1;
        for ((count, even), odd) in into.counts.iter_mut().zip(even).zip(odd) {
            *count += (even >> PLACES) + (odd >> PLACES);
        }
        for ((sum, even), odd) in into.sums.iter_mut().zip(even).zip(odd) {
            *sum = sum.wrapping_add((even & mask) + (odd & mask));
        }
    }
}
