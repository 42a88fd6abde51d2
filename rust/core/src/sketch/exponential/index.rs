//! Which bucket of the exponential histogram a value belongs to, from the bits of the float.
//!
//! The index is computed at the finest scale: exponent, plus a table look-up for the mantissa; or at a coarser one, whose
//! table fits into registers. Coarser scales still are a shift to the right, because their boundaries are a subset.

use super::boundaries::FLOORS;
use super::buckets::{BUCKETS, ZERO};
use crate::sketch::lanes::each;
use crate::sketch::permute::{self, ENTRIES, PART};
use fearless_simd::Simd;

/// The scale a histogram starts with: 256 buckets per doubling, 0.14 % relative error. (The SDKs start at 20; values
/// so close to each other that it would matter are told apart by the profile's bins.)
pub(super) const SCALE_MAX: i32 = 8;

pub(super) const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: u64 = 1023;

/// Twice as many linear slots as buckets per doubling, so that a slot holds at most one boundary.
const SLOT_BITS: u32 = SCALE_MAX as u32 + 1;

/// Linear slots of the mantissa.
const SLOTS: usize = 1 << SLOT_BITS;

/// How far the scale of most values falls at least: from there on a table of slots fits into two registers.
const COARSE: u32 = 4;

/// Values whose buckets are looked for together.
const LANES: usize = 16;

/// A place that is none.
const NOWHERE: u32 = u32::MAX;

/// Which cells buckets have.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// How far the scale has fallen from [`SCALE_MAX`].
    pub shift: u32,
    /// Index of the first bucket, positive and negative.
    pub base: [i32; 2],
}

// === impl Places ===

impl Places {
    /// By how much the scale is coarser than one whose ends fit into registers; `None` where it is finer.
    pub fn beyond_coarse(&self) -> Option<u32> {
        self.shift.checked_sub(COARSE)
    }
}

/// Floats whose buckets are found from their bits.
pub trait Bucketed: Sized {
    /// The cells of at most [`PART`] values; whether all have one. Subnormal floats and the smallest normal one have none.
    fn places<S: Simd>(simd: S, values: &[Self], scale: Places, places: &mut [u16; PART]) -> bool;
}

/// The lower end of a bucket of a scale that is coarser by `coarser`, among mantissas of so many bits; behind the last
/// bucket, what no mantissa reaches.
const fn end(bucket: usize, coarser: u32, mantissa_bits: u32) -> u64 {
    let finest = bucket << coarser;
    if finest < FLOORS.len() { FLOORS[finest] >> (MANTISSA_BITS - mantissa_bits) } else { 1 << mantissa_bits }
}

/// One entry per slot, of at most one lower end of a bucket: adding a mantissa of the slot carries into the bits above the
/// mantissa exactly from that end on, and those bits then hold the bucket.
const fn entries<const SLOTS: usize>(coarser: u32, mantissa_bits: u32) -> [u64; SLOTS] {
    let mut entries = [0; SLOTS];
    let mut bucket = 0;
    let mut slot = 0;
    while slot < SLOTS {
        let start = (slot as u64) << (mantissa_bits - (SLOT_BITS - coarser));
        while (bucket + 1) << coarser < FLOORS.len() && end(bucket + 1, coarser, mantissa_bits) <= start {
            bucket += 1;
        }
        let room = (1 << mantissa_bits) - end(bucket + 1, coarser, mantissa_bits);
        entries[slot] = ((bucket as u64) << mantissa_bits) + room;
        slot += 1;
    }
    entries
}

/// The same, shorter.
const fn short<const SLOTS: usize>(entries: [u64; SLOTS]) -> [u32; SLOTS] {
    let mut short = [0; SLOTS];
    let mut slot = 0;
    while slot < SLOTS {
        short[slot] = entries[slot] as u32;
        slot += 1;
    }
    short
}

const SHORT_ENTRIES: [u32; SLOTS] = short(entries(0, f32::MANTISSA_DIGITS - 1));
const LONG_ENTRIES: [u64; SLOTS] = entries(0, MANTISSA_BITS);
const COARSE_ENTRIES: [u32; ENTRIES] = short(entries(COARSE, f32::MANTISSA_DIGITS - 1));

/// Looks for the buckets of one type of float at the finest scale. Going one float back first turns "above the lower end,
/// up to and including the upper" into a plain comparison.
macro_rules! bucketed {
    ($name:ident, $float:ident, $bits:ident, $mantissa_bits:literal, $bias:literal, $entries:ident) => {
        #[inline(always)]
        fn $name(values: &[$float], scale: Places, places: &mut [u16; PART]) -> bool {
            let mut farthest = [0; LANES];
            each(
                values,
                places,
                #[inline(always)]
                |values: &[$float; LANES]| {
                    let mut octaves = [0; LANES];
                    let mut slots = [0; LANES];
                    let mut mantissas = [0; LANES];
                    for lane in 0..LANES {
                        let before = values[lane].abs().to_bits().wrapping_sub(1);
                        octaves[lane] = ((before >> $mantissa_bits) as i32 - $bias) << SCALE_MAX;
                        slots[lane] = before >> ($mantissa_bits - SLOT_BITS);
                        mantissas[lane] = before & ((1 << $mantissa_bits) - 1);
                    }
                    let mut found = [0; LANES];
                    for lane in 0..LANES {
                        let bucket =
                            ($entries[slots[lane] as usize % SLOTS] + mantissas[lane]) >> $mantissa_bits;
                        let index = (octaves[lane] + bucket as i32) >> scale.shift;
                        let (base, first) = if values[lane].is_sign_negative() {
                            (scale.base[1], BUCKETS)
                        } else {
                            (scale.base[0], 0)
                        };
                        let bucket = index.wrapping_sub(base) as u32;
                        let (place, far) = if values[lane] == 0.0 {
                            (ZERO as u32, 0)
                        } else if values[lane].abs() <= $float::MIN_POSITIVE {
                            (NOWHERE, NOWHERE)
                        } else {
                            (bucket.wrapping_add(first as u32), bucket)
                        };
                        found[lane] = place as u16;
                        farthest[lane] = if far > farthest[lane] { far } else { farthest[lane] };
                    }
                    found
                },
            );
            farthest.iter().all(|&bucket| bucket < BUCKETS as u32)
        }
    };
}

bucketed!(places_of_short, f32, u32, 23, 127, SHORT_ENTRIES);
bucketed!(places_of_long, f64, u64, 52, 1023, LONG_ENTRIES);

impl Bucketed for f32 {
    #[inline(always)]
    fn places<S: Simd>(simd: S, values: &[f32], scale: Places, places: &mut [u16; PART]) -> bool {
        permute::places(simd, values, scale, &COARSE_ENTRIES, places)
            .unwrap_or_else(|| places_of_short(values, scale, places))
    }
}

impl Bucketed for f64 {
    #[inline(always)]
    fn places<S: Simd>(_: S, values: &[f64], scale: Places, places: &mut [u16; PART]) -> bool {
        places_of_long(values, scale, places)
    }
}

/// Bucket at the finest scale of a magnitude that is no subnormal float.
fn finest_of(magnitude: f64) -> i32 {
    let before = magnitude.to_bits() - 1;
    let mantissa = before & ((1 << MANTISSA_BITS) - 1);
    let entry = LONG_ENTRIES[(before >> (MANTISSA_BITS - SLOT_BITS)) as usize % SLOTS];
    let octave = (before >> MANTISSA_BITS) as i32 - EXPONENT_BIAS as i32;
    (octave << SCALE_MAX) + ((entry + mantissa) >> MANTISSA_BITS) as i32
}

/// Bucket at the finest scale of any magnitude above zero, subnormal ones included.
pub(super) fn index_of(magnitude: f64) -> i32 {
    if magnitude > f64::MIN_POSITIVE {
        return finest_of(magnitude);
    }
    let scaled = magnitude * f64::from_bits((MANTISSA_BITS as u64 + EXPONENT_BIAS + 2) << MANTISSA_BITS);
    finest_of(scaled) - ((MANTISSA_BITS as i32 + 2) << SCALE_MAX)
}
