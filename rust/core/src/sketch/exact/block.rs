//! Sums of a block of values, and of their squares, in floats that hold them exactly.
//!
//! Let all values lie below 2^e, and let each be a multiple of 2^(e - 45), as a float of 24 bits is that is not smaller
//! than 2^(e - 22). Then the sum of 256 of them has at most 53 bits, and float additions do not round at all, in any
//! order. Their squares have twice as many bits; each is cut at 2^(2e - 45) by adding it to a float so large that its
//! last bit is worth that much, and both parts are added up by themselves (the error-free extraction of Demmel and
//! Nguyen, "Parallel reproducible summation", IEEE Trans. Computers 2015). Long floats are cut in three pieces of 22 bits
//! first, whose products again are exact.
//!
//! Values that are too small for this are handed back.

use crate::sketch::BLOCK;
use crate::sketch::real::Real;
use fearless_simd::{Level, dispatch};

/// Sums with independent partial results, so that the additions overlap.
const LANES: usize = 16;

/// Exponents for which no part of a sum over- or underflows.
const EXPONENTS: std::ops::RangeInclusive<i32> = -440..=450;

/// Bits of a short value, counted from the largest of its block, that a sum of 256 has room for.
const SHORT_BITS: i32 = 45;

/// Bits in each of the pieces of a long value.
const PIECE_BITS: i32 = 22;

/// What a block adds up to: whole numbers, each with the exponent of its unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// All values lie below two to this power.
    exponent: i32,
    sums: [(i64, i32); 3],
    squares: [(i64, i32); 6],
    /// Whether all of them are in use: those of long values.
    long: bool,
}

/// Floats whose sums are known how to keep exact.
pub trait Addends: Sized {
    /// By how much an exponent may be below that of the largest value of a block.
    const SPAN: i32;

    /// The sums of at most [`BLOCK`] values below 2^exponent, which are zero or at least 2^(exponent - SPAN).
    fn terms(values: &[Self], exponent: i32) -> Terms;
}

// === impl Terms ===

impl Terms {
    /// Two to which powers its bits are worth, from the lowest to the one above the highest, as sums; twice that as
    /// squares.
    pub fn bits(&self) -> (i32, i32) {
        (self.exponent - 3 * PIECE_BITS, self.exponent + 8)
    }

    pub fn sums(&self) -> &[(i64, i32)] {
        &self.sums[..if self.long { 3 } else { 1 }]
    }

    pub fn squares(&self) -> &[(i64, i32)] {
        &self.squares[..if self.long { 6 } else { 2 }]
    }
}

/// The sums of those of at most [`BLOCK`] values that are not too small, and how many are, which are put in `small`.
/// `None` when `largest`, the largest magnitude, is so large or small that no part of them can be summed so.
#[inline]
pub fn terms<R: Real>(values: &[R], largest: f64, small: &mut [R; BLOCK]) -> Option<(Terms, usize)> {
    let exponent = exponent_above(largest);
    if !EXPONENTS.contains(&exponent) {
        return None;
    }
    let least = R::nearest(power_of_two(exponent - R::SPAN));
    dispatch!(Level::new(), _simd => {
        if !has_small(values, least) {
            return Some((R::terms(values, exponent), 0));
        }
        Some(without_small(values, exponent, least, small))
    })
}

/// Whether any value that is not zero is smaller.
#[inline(always)]
fn has_small<R: Real>(values: &[R], least: R) -> bool {
    let zero = R::nearest(0.0);
    let size = |value: R| if value == zero { R::INFINITY } else { value.magnitude() };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut smallest = [R::INFINITY; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            let size = size(chunk[lane]);
            smallest[lane] = if size < smallest[lane] { size } else { smallest[lane] };
        }
    }
    smallest.iter().any(|&size| size < least) || rest.iter().any(|&value| size(value) < least)
}

fn without_small<R: Real>(values: &[R], exponent: i32, least: R, small: &mut [R; BLOCK]) -> (Terms, usize) {
    let zero = R::nearest(0.0);
    let (mut large, mut found) = ([zero; BLOCK], 0);
    for (large, &value) in large.iter_mut().zip(values) {
        if value.magnitude() >= least {
            *large = value;
        } else if value != zero && found < BLOCK {
            small[found] = value;
            found += 1;
        }
    }
    (R::terms(&large[..values.len().min(BLOCK)], exponent), found)
}

/// The smallest and the largest of the values.
#[inline]
pub fn extremes<R: Real>(values: &[R]) -> (f64, f64) {
    dispatch!(Level::new(), _simd => within(values))
}

/// The same where vectors are in use already.
#[inline(always)]
pub fn within<R: Real>(values: &[R]) -> (f64, f64) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut low = [R::INFINITY; LANES];
    let mut high = [R::NEG_INFINITY; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            low[lane] = if chunk[lane] < low[lane] { chunk[lane] } else { low[lane] };
            high[lane] = if chunk[lane] > high[lane] { chunk[lane] } else { high[lane] };
        }
    }
    let least = low.iter().chain(rest).fold(f64::INFINITY, |least, value| least.min(value.wide()));
    let most = high.iter().chain(rest).fold(f64::NEG_INFINITY, |most, value| most.max(value.wide()));
    (least, most)
}

/// The power of two above a value, or one that is out of the question.
fn exponent_above(magnitude: f64) -> i32 {
    (magnitude.to_bits() >> 52 & 0x7ff) as i32 - 1_022
}

/// Of an exponent that a normal float has.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1_023).clamp(0, 2_046) as u64) << 52)
}

/// A sum as a whole number of units.
fn in_units(sum: f64, unit: i32) -> (i64, i32) {
    ((sum * power_of_two(-unit)) as i64, unit)
}

fn total(lanes: &[f64; LANES]) -> f64 {
    lanes.iter().sum()
}

impl Addends for f32 {
    const SPAN: i32 = SHORT_BITS - 23;

    #[inline(always)]
    fn terms(values: &[f32], exponent: i32) -> Terms {
        let cut = 2 * exponent - SHORT_BITS;
        let hold = power_of_two(cut + 52);
        let (mut sum, mut high, mut low) = ([0.0; LANES], [hold; LANES], [0.0; LANES]);
        let mut add = |lane: usize, value: f32| {
            let value = f64::from(value);
            let square = value * value;
            let next = high[lane] + square;
            sum[lane] += value;
            low[lane] += square - (next - high[lane]);
            high[lane] = next;
        };
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &value) in chunk.iter().enumerate() {
                add(lane, value);
            }
        }
        for (lane, &value) in rest.iter().enumerate() {
            add(lane, value);
        }
        let mut above = [0.0; LANES];
        for lane in 0..LANES {
            above[lane] = high[lane] - hold;
        }
        let mut terms = Terms { exponent, ..Terms::default() };
        terms.sums[0] = in_units(total(&sum), exponent - SHORT_BITS);
        terms.squares[0] = in_units(total(&above), cut);
        terms.squares[1] = in_units(total(&low), 2 * (exponent - SHORT_BITS));
        terms
    }
}

impl Addends for f64 {
    const SPAN: i32 = 3 * PIECE_BITS - 52;

    #[inline(always)]
    fn terms(values: &[f64], exponent: i32) -> Terms {
        let units = [1, 2, 3].map(|pieces| exponent - pieces * PIECE_BITS);
        // Adding so large a float, and subtracting it again, rounds to the unit.
        let [first, second, _] = units.map(|unit| 1.5 * power_of_two(unit + 52));
        let (mut sums, mut squares) = ([[0.0; LANES]; 3], [[0.0; LANES]; 6]);
        let mut add = |lane: usize, value: f64| {
            let a = (value + first) - first;
            let b = ((value - a) + second) - second;
            let c = (value - a) - b;
            for (sum, piece) in sums.iter_mut().zip([a, b, c]) {
                sum[lane] += piece;
            }
            for (sum, product) in squares.iter_mut().zip([a * a, a * b, a * c, b * b, b * c, c * c]) {
                sum[lane] += product;
            }
        };
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &value) in chunk.iter().enumerate() {
                add(lane, value);
            }
        }
        for (lane, &value) in rest.iter().enumerate() {
            add(lane, value);
        }
        let mut terms = Terms { exponent, long: true, ..Terms::default() };
        for ((term, lanes), unit) in terms.sums.iter_mut().zip(&sums).zip(units) {
            *term = in_units(total(lanes), unit);
        }
        let pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
        for ((term, lanes), (one, other)) in terms.squares.iter_mut().zip(&squares).zip(pairs) {
            let (sum, unit) = in_units(total(lanes), units[one] + units[other]);
            *term = (sum, unit + i32::from(one != other)); // each product of two pieces comes twice
        }
        terms
    }
}
