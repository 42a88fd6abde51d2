//! Which bucket of the exponential histogram a value belongs to, from the bits of the float.
//!
//! The index is computed at the finest scale: exponent, plus a table look-up for the mantissa; or at a coarser one, whose
//! table fits into registers. Coarser scales still are a shift to the right, because their boundaries are a subset.

use super::boundaries::FLOORS;
use crate::sketch::permute::{self, ENTRIES};
use crate::sketch::real::CHUNK;
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
pub(super) const COARSE: u32 = 4;
const COARSE_SLOT_BITS: u32 = SLOT_BITS - COARSE;

/// Floats whose buckets are found from their bits.
pub trait Bucketed: Sized {
    /// The buckets at the finest scale; of zeros, subnormal floats and the smallest normal one, anything.
    fn finest(values: &[Self; CHUNK]) -> [i32; CHUNK];

    /// The same at a scale that is coarser by [`COARSE`].
    fn coarse<S: Simd>(simd: S, values: &[Self; CHUNK]) -> [i32; CHUNK];

    /// The bucket of one value at the finest scale.
    fn finest_of(self) -> i32;

    /// Whether it is one of those.
    fn is_tiny(&self) -> bool;
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

/// One type of float. Going one float back first turns "above the lower end, up to and including the upper" into a plain
/// comparison.
macro_rules! bucketed {
    ($float:ident, $bits:ident, $mantissa_bits:literal, $bias:literal, $entries:ident, $coarse:path) => {
        impl Bucketed for $float {
            #[inline(always)]
            fn finest(values: &[$float; CHUNK]) -> [i32; CHUNK] {
                let mut octaves = [0; CHUNK];
                let mut slots = [0; CHUNK];
                let mut mantissas = [0; CHUNK];
                for lane in 0..CHUNK {
                    let before = (values[lane].to_bits() & !(1 << ($bits::BITS - 1))).wrapping_sub(1);
                    octaves[lane] = ((before >> $mantissa_bits) as i32 - $bias) << SCALE_MAX;
                    slots[lane] = before >> ($mantissa_bits - SLOT_BITS);
                    mantissas[lane] = before & ((1 << $mantissa_bits) - 1);
                }
                let mut found = [0; CHUNK];
                for lane in 0..CHUNK {
                    let bucket = ($entries[slots[lane] as usize % SLOTS] + mantissas[lane]) >> $mantissa_bits;
                    found[lane] = octaves[lane] + bucket as i32;
                }
                found
            }

            #[inline(always)]
            fn coarse<S: Simd>(simd: S, values: &[$float; CHUNK]) -> [i32; CHUNK] {
                $coarse(simd, values)
            }

            #[inline]
            fn finest_of(self) -> i32 {
                let before = (self.to_bits() & !(1 << ($bits::BITS - 1))).wrapping_sub(1);
                let entry = $entries[(before >> ($mantissa_bits - SLOT_BITS)) as usize % SLOTS];
                let bucket = (entry + (before & ((1 << $mantissa_bits) - 1))) >> $mantissa_bits;
                (((before >> $mantissa_bits) as i32 - $bias) << SCALE_MAX) + bucket as i32
            }

            #[inline(always)]
            fn is_tiny(&self) -> bool {
                self.abs() <= $float::MIN_POSITIVE
            }
        }
    };
}

bucketed!(f32, u32, 23, 127, SHORT_ENTRIES, coarse_of_short);
bucketed!(f64, u64, 52, 1023, LONG_ENTRIES, coarse_of_long);

#[inline(always)]
fn coarse_of_short<S: Simd>(simd: S, values: &[f32; CHUNK]) -> [i32; CHUNK] {
    const BITS: u32 = f32::MANTISSA_DIGITS - 1;
    const BIAS: i32 = f32::MAX_EXP - 1;
    let before = values.map(|value| value.abs().to_bits().wrapping_sub(1));
    let slots = before.map(|bits| bits >> (BITS - COARSE_SLOT_BITS));
    let entries = permute::look_up(simd, &COARSE_ENTRIES, &slots);
    let mut found = [0; CHUNK];
    for lane in 0..CHUNK {
        let octave = ((before[lane] >> BITS) as i32 - BIAS) << (SCALE_MAX - COARSE as i32);
        found[lane] = octave + ((entries[lane] + (before[lane] & ((1 << BITS) - 1))) >> BITS) as i32;
    }
    found
}

#[inline(always)]
fn coarse_of_long<S: Simd>(_: S, values: &[f64; CHUNK]) -> [i32; CHUNK] {
    f64::finest(values).map(|finest| finest >> COARSE)
}

/// Bucket at the finest scale of any magnitude above zero, subnormal ones included.
pub(super) fn index_of(magnitude: f64) -> i32 {
    if !magnitude.is_tiny() {
        return magnitude.finest_of();
    }
    let scaled = magnitude * f64::from_bits((MANTISSA_BITS as u64 + EXPONENT_BIAS + 2) << MANTISSA_BITS);
    scaled.finest_of() - ((MANTISSA_BITS as i32 + 2) << SCALE_MAX)
}
