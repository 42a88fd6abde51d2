//! What an exponential histogram has counted of late.

use super::ZERO;
use crate::prefetch::prefetch;
use crate::sketch::permute::PART;
use fearless_simd::{Simd, prelude::*, u8x64};

/// Values that are not among the cells yet: so few that two bytes a cell hold them. What came last is in the low ones
/// alone, an eighth of the cache lines that whole numbers would be.
#[repr(C)]
#[derive(Clone, Debug, PartialEq)]
pub struct Recent {
    /// Beside them, so that it lies on the line of the last one.
    low: [u8; ZERO + 1],
    values: u16,
    /// In units of [`UNIT`].
    high: [u8; ZERO + 1],
}

/// What a low byte may hold before a part is counted, and the high one takes over.
const UNIT: u8 = 1 << 7;

/// Low bytes that are looked at together.
const LANES: usize = 64;

/// So many values at most, whatever their cells.
const VALUES_MAX: usize = u8::MAX as usize * UNIT as usize;

// A part that all goes to one cell still fits.
const _: () = assert!(UNIT as usize - 1 + PART <= u8::MAX as usize);

// === impl Recent ===

impl Recent {
    /// Asks for the cache lines that most values need.
    pub fn prefetch(&self) {
        prefetch(&self.low);
    }

    /// Whether so many values may be added.
    pub fn has_room(&self, values: usize) -> bool {
        usize::from(self.values) + values <= VALUES_MAX
    }

    /// Whether low bytes must be carried before [`Recent::add_all`].
    #[inline(always)]
    pub fn is_full<S: Simd>(&self, simd: S) -> bool {
        let (whole, rest) = self.low.as_chunks::<LANES>();
        let any = whole.iter().fold(u8x64::splat(simd, 0), |any, low| any | u8x64::load_array_ref(simd, low));
        any.simd_ge(UNIT).any_true() || rest.iter().any(|&low| low >= UNIT)
    }

    /// Counts at most [`PART`] values, for which there is room, by their cells.
    #[inline]
    pub fn add_all(&mut self, found: &[u16]) {
        for &found in found {
            if let Some(cell) = self.low.get_mut(usize::from(found)) {
                *cell += 1;
            }
        }
        self.values += found.len() as u16;
    }

    /// Counts one value, for which there is room.
    pub fn add(&mut self, cell: usize) {
        if self.low[cell] >= UNIT {
            self.carry();
        }
        self.low[cell] += 1;
        self.values += 1;
    }

    /// Moves what low bytes hold beyond what they may to the high ones.
    pub fn carry(&mut self) {
        for (low, high) in self.low.iter_mut().zip(&mut self.high) {
            *high += *low / UNIT;
            *low %= UNIT;
        }
    }

    /// Adds what was counted to longer cells.
    pub fn add_to(&self, cells: &mut [u64; ZERO + 1]) {
        for ((cell, &low), &high) in cells.iter_mut().zip(&self.low).zip(&self.high) {
            *cell += u64::from(low) + u64::from(high) * u64::from(UNIT);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Recent::default();
    }
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { low: [0; ZERO + 1], values: 0, high: [0; ZERO + 1] }
    }
}
