//! Counting values into bins, a block of them at once.
//!
//! Where bounds do not fit into registers (of long floats, or without vectors of sixteen short ones), values are compared
//! with all of them: that takes no branch, no table and no load that waits for another, whatever the distribution; with
//! vectors it is faster than a binary search in memory. A count and the sum of places share one number while a block is
//! counted, so that a value costs one addition to memory; two tables take turns, because successive values often fall
//! into the same bin and an addition must wait for the one before it.

use super::{BESIDE, BINS_MAX, Binning, CELLS_MAX, FIRST, Kind, OUTSIDE_MAX, UNDER, UNSEEN};
use crate::sketch::permute::PART;
use crate::sketch::real::{Bounds, Real};
use fearless_simd::{Level, Simd, dispatch};

/// Bits of the sum of places in a shared number; those above them count.
const PLACES: u32 = 52;

/// How many lower ends a value may have reached: none to all of them, and one more above the last bin.
const REACHED: usize = BINS_MAX + 2;

/// Of values that none of the discrete ones equals, instead.
const OTHER: usize = REACHED;

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
struct Shared([[u64; REACHED + 1]; 2]);

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
        match (self.kind, self.bins()) {
            (Kind::Category, _) | (_, 0) => into.add(UNSEEN, finite.len() as u64, 0),
            (kind, _) => {
                for part in finite.chunks(PART) {
                    dispatch!(Level::new(), simd => match kind {
                        Kind::Numeric => self.count_ranges(simd, part, into),
                        _ => self.count_points(simd, part, into),
                    });
                }
            }
        }
        if [UNDER, self.over()].map(|cell| into.counts.get(cell).copied()) != before {
            self.add_outside(finite, into);
        }
    }

    fn bounds<R: Real>(&self) -> Bounds<'_, R> {
        let (tree, sorted, is_short) = (self.short.tree(), self.short.sorted(), self.short.is_exact);
        let short = sorted.get(..self.lower.len()).unwrap_or_default();
        R::pick(
            Bounds { lower: short, high: self.short.high, is_short, tree, sorted },
            Bounds { lower: &self.lower, high: self.high, is_short, tree, sorted },
        )
    }

    /// How many lower ends each value of a part has reached, and one more above the last bin.
    #[inline(always)]
    fn reached<S: Simd, R: Real>(&self, simd: S, part: &[R]) -> [u8; PART] {
        let mut reached = [0; PART];
        R::reached(simd, part, self.bounds(), &mut reached);
        reached
    }

    #[inline(always)]
    fn count_ranges<S: Simd, R: Real>(&self, simd: S, part: &[R], into: &mut Tally<'_>) {
        let (reached, bins) = (self.reached(simd, part), self.lower.len() as u8);
        let place = |value: R, reached: u8| {
            let place = self.place(value.wide());
            if reached.wrapping_sub(1) < bins { place } else { 0 }
        };
        if part.len() < TABLES_MIN {
            for (&value, reached) in part.iter().zip(reached) {
                into.add(UNDER + usize::from(reached), 1, place(value, reached));
            }
            return;
        }
        let mut counted = [0; PART];
        for ((counted, &value), &reached) in counted.iter_mut().zip(part).zip(&reached) {
            *counted = (1 << PLACES) | place(value, reached);
        }
        let mut shared = Shared([[0; REACHED + 1]; 2]);
        shared.add(&reached[..part.len().min(PART)], &counted);
        shared.add_to(into);
    }

    #[inline(always)]
    fn count_points<S: Simd, R: Real>(&self, simd: S, part: &[R], into: &mut Tally<'_>) {
        let mut reached = self.reached(simd, part);
        if !R::mark_others(simd, part, self.bounds(), OTHER as u8, &mut reached) {
            for (value, reached) in part.iter().zip(&mut reached) {
                *reached = self.point_reached(value.wide(), usize::from(*reached)) as u8;
            }
        }
        if part.len() < TABLES_MIN {
            for reached in reached.into_iter().take(part.len()).map(usize::from) {
                into.add(if reached == OTHER { UNSEEN } else { UNDER + reached }, 1, 0);
            }
            return;
        }
        let mut shared = Shared([[0; REACHED + 1]; 2]);
        shared.add(&reached[..part.len().min(PART)], &[1 << PLACES; PART]);
        shared.add_to(into);
        let [even, odd] = shared.0;
        into.add(UNSEEN, (even[OTHER] + odd[OTHER]) >> PLACES, 0);
    }

    /// How many lower ends a value has reached that equals the last of them, or is what becomes of one in 32 bits; or
    /// [`OTHER`]. What lies outside of all points has reached none, or one more than there are.
    #[inline(always)]
    fn point_reached(&self, value: f64, reached: usize) -> usize {
        let point = self.lower.get(reached.wrapping_sub(1));
        if point == Some(&value) {
            return reached;
        }
        let is_inside = point.is_some();
        self.rounded_point(value).map_or(if is_inside { OTHER } else { reached }, |point| point + 1)
    }

    #[cold]
    fn add_outside<R: Real>(&self, values: &[R], into: &mut Tally<'_>) {
        let quanta = |distance: f64| u128::from(((distance * self.scale + 0.5) as u64).min(OUTSIDE_MAX));
        for value in values.iter().map(|value| value.wide()) {
            if self.kind == Kind::Discrete && self.rounded_point(value).is_some() {
                continue; // its point is an outermost one
            }
            if value < self.low {
                into.tails[0] += quanta(self.low - value);
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
    /// Adds what is counted of at most [`PART`] values, by how many lower ends they have reached.
    #[inline(always)]
    fn add(&mut self, reached: &[u8], counted: &[u64; PART]) {
        let Shared(tables) = self;
        let (reached, last) = reached.as_chunks::<2>();
        let (counted, _) = counted.as_chunks::<2>();
        let mut add = |table: usize, reached: u8, counted: u64| {
            if let Some(number) = tables[table].get_mut(usize::from(reached)) {
                *number += counted;
            }
        };
        for (reached, counted) in reached.iter().zip(counted) {
            add(0, reached[0], counted[0]);
            add(1, reached[1], counted[1]);
        }
        if let (Some(&last), Some(counted)) = (last.first(), counted.get(reached.len())) {
            add(0, last, counted[0]);
        }
    }

    /// So few values neither let their counts nor their places overflow.
    #[inline(always)]
    fn add_to(&self, into: &mut Tally<'_>) {
        let Shared([even, odd]) = self;
        let counts = into.counts.get_mut(UNDER..).unwrap_or_default();
        for (count, (even, odd)) in counts.iter_mut().zip(even[..REACHED].iter().zip(odd)) {
            *count += (even + odd) >> PLACES;
        }
        let sums = into.sums.get_mut(UNDER..).unwrap_or_default();
        for (sum, (even, odd)) in sums.iter_mut().zip(even[..REACHED].iter().zip(odd)) {
            *sum = sum.wrapping_add((even + odd) & ((1 << PLACES) - 1));
        }
    }
}

const _: () = assert!(PART < 1 << (u64::BITS - PLACES));
