//! Counting values into bins, a block of them at once.
//!
//! Where bounds do not fit into registers (of long floats, or without vectors of sixteen short ones), values are compared
//! with all of them: that takes no branch, no table and no load that waits for another, whatever the distribution; with
//! vectors it is faster than a binary search in memory. A count and the sum of places share one number while a block is
//! counted, so that a value costs one addition to memory; two tables take turns, because successive values often fall
//! into the same bin and an addition must wait for the one before it.

use super::{BESIDE, BINS_MAX, Binning, CELLS_MAX, FIRST, Kind, OUTSIDE_MAX, UNDER, UNSEEN};
use crate::sketch::BLOCK;
use crate::sketch::real::{Bounds, Real};
use fearless_simd::{Level, Simd, dispatch};

/// Bits of the sum of places in a shared number; those above them count.
const PLACES: u32 = 52;

/// Fewest values for which tables are worth their own cost.
const TABLES_MIN: usize = 32;

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
            (kind, _) => {
                for block in finite.chunks(BLOCK) {
                    dispatch!(Level::new(), simd => match kind {
                        Kind::Numeric => self.count_ranges(simd, block, into),
                        _ => self.count_points(simd, block, into),
                    });
                }
            }
        }
        if [UNDER, self.over()].map(|cell| into.counts.get(cell).copied()) != before {
            self.add_outside(finite, into);
        }
    }

    /// How many lower ends each value of a block has reached, and one more above the last bin.
    #[inline(always)]
    fn reached<S: Simd, R: Real>(&self, simd: S, block: &[R]) -> [u8; BLOCK] {
        let (tree, bins) = (&self.tree, self.bins.min(BINS_MAX));
        let narrow = Bounds { lower: &self.short_lower, high: self.short_high, bins, tree };
        let wide = Bounds { lower: &self.lower, high: self.high, bins, tree };
        let mut reached = [0; BLOCK];
        R::reached(simd, block, R::pick(narrow, wide), &mut reached);
        reached
    }

    #[inline(always)]
    fn count_ranges<S: Simd, R: Real>(&self, simd: S, block: &[R], into: &mut Tally<'_>) {
        let (reached, bins) = (self.reached(simd, block), self.bins as u8);
        let place = |value: R, reached: u8| {
            let place = self.place(value.wide());
            if reached.wrapping_sub(1) < bins { place } else { 0 }
        };
        if block.len() < TABLES_MIN {
            for (&value, reached) in block.iter().zip(reached) {
                into.add(UNDER + usize::from(reached), 1, place(value, reached));
            }
            return;
        }
        let mut counted = [0; BLOCK];
        for ((counted, &value), &reached) in counted.iter_mut().zip(block).zip(&reached) {
            *counted = (1 << PLACES) | place(value, reached);
        }
        let mut shared = Shared([[0; CELLS_MAX + 1]; 2]);
        let cells = reached.map(|reached| UNDER as u8 + reached);
        shared.add(&cells[..block.len().min(BLOCK)], &counted);
        shared.add_to(into);
    }

    #[inline(always)]
    fn count_points<S: Simd, R: Real>(&self, simd: S, block: &[R], into: &mut Tally<'_>) {
        let reached = self.reached(simd, block);
        for (value, reached) in block.iter().zip(reached) {
            let reached = usize::from(reached);
            let is_point = self.lower.get(reached.wrapping_sub(1)).is_some_and(|&it| it == value.wide());
            let is_outside = reached == 0 || reached > self.bins;
            into.add(if is_point | is_outside { UNDER + reached } else { UNSEEN }, 1, 0);
        }
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
    /// Adds what is counted of at most [`BLOCK`] values to their cells.
    #[inline(always)]
    fn add(&mut self, cells: &[u8], counted: &[u64; BLOCK]) {
        let Shared([even, odd]) = self;
        let cell = |cell: u8| usize::from(cell).min(CELLS_MAX);
        let (pairs, last) = cells.as_chunks::<2>();
        let (counted, _) = counted.as_chunks::<2>();
        for (cells, counted) in pairs.iter().zip(counted) {
            even[cell(cells[0])] += counted[0];
            odd[cell(cells[1])] += counted[1];
        }
        if let (Some(&last), Some(counted)) = (last.first(), counted.get(pairs.len())) {
            even[cell(last)] += counted[0];
        }
    }

    /// A block has so few values that neither their counts nor their places overflow.
    #[inline(always)]
    fn add_to(self, into: &mut Tally<'_>) {
        let Shared([mut counted, odd]) = self;
        counted.iter_mut().zip(odd).for_each(|(counted, odd)| *counted += odd);
        for (count, counted) in into.counts.iter_mut().zip(&counted) {
            *count += counted >> PLACES;
        }
        for (sum, counted) in into.sums.iter_mut().zip(&counted) {
            *sum = sum.wrapping_add(counted & ((1 << PLACES) - 1));
        }
    }
}

const _: () = assert!(BLOCK < 1 << (u64::BITS - PLACES));
