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
use crate::sketch::lanes::chunks;
use crate::sketch::real::Real;
use fearless_simd::{Level, Simd, dispatch, f32x16, f64x8, prelude::*};
use std::ops::Range;

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
    fn terms<S: Simd>(simd: S, values: &[Self], exponent: i32) -> Terms;
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

/// The sums of at most [`BLOCK`] values that are below two to the power of `exponent`, and zero or at least [`least`].
#[inline]
pub fn terms<R: Real>(values: &[R], exponent: i32) -> Terms {
    dispatch!(Level::new(), simd => R::terms(simd, values, exponent))
}

/// The same of those that are not too small, and how many are, which are put in `small`.
#[cold]
pub fn terms_without_small<R: Real>(values: &[R], exponent: i32, small: &mut [R; BLOCK]) -> (Terms, usize) {
    let (zero, least) = (R::nearest(0.0), least(exponent));
    let (mut large, mut found) = ([zero; BLOCK], 0);
    for (large, &value) in large.iter_mut().zip(values) {
        if value.magnitude() >= least {
            *large = value;
        } else if value != zero && found < BLOCK {
            small[found] = value;
            found += 1;
        }
    }
    (terms(&large[..values.len().min(BLOCK)], exponent), found)
}

/// The least value that can be added to those below two to the power of `exponent`.
#[inline]
pub fn least<R: Real>(exponent: i32) -> R {
    R::nearest(power_of_two(exponent - R::SPAN))
}

/// The power of two above a value; `None` when it is so large or small that nothing can be summed with it.
#[inline]
pub fn exponent_above(magnitude: f64) -> Option<i32> {
    let exponent = (magnitude.to_bits() >> 52 & 0x7ff) as i32 - 1_022;
    EXPONENTS.contains(&exponent).then_some(exponent)
}

/// Of an exponent that a normal float has.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1_023).clamp(0, 2_046) as u64) << 52)
}

/// A sum as a whole number of units.
fn in_units(sum: f64, unit: i32) -> (i64, i32) {
    ((sum * power_of_two(-unit)) as i64, unit)
}

/// The lanes that hold new values; zero in the others.
macro_rules! new_lanes {
    ($name:ident, $vector:ident, $float:ident, $lanes:literal) => {
        #[inline(always)]
        fn $name<S: Simd>(simd: S, chunk: &[$float; $lanes], new: Range<usize>) -> $vector<S> {
            let values = $vector::load_array_ref(simd, chunk);
            if new == (0..$lanes) {
                return values;
            }
            let lane = $vector::from_fn(simd, |lane| lane as $float);
            let is_new = lane.simd_ge(new.start as $float) & lane.simd_lt(new.end as $float);
            is_new.select(values, $vector::splat(simd, 0.0))
        }
    };
}

new_lanes!(new_of_short, f32x16, f32, 16);
new_lanes!(new_of_long, f64x8, f64, 8);

impl Addends for f32 {
    const SPAN: i32 = SHORT_BITS - 23;

    #[inline(always)]
    fn terms<S: Simd>(simd: S, values: &[f32], exponent: i32) -> Terms {
        let cut = 2 * exponent - SHORT_BITS;
        let (none, hold) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, power_of_two(cut + 52)));
        // Two partial results each: those of one half of the lanes need not wait for those of the other.
        let (mut sum, mut high, mut low) = ([none; 2], [hold; 2], [none; 2]);
        chunks(
            values,
            #[inline(always)]
            |_, chunk, new| {
                let (first, second) = new_of_short(simd, chunk, new).widen();
                for (half, values) in [first, second].into_iter().enumerate() {
                    let squares = values * values;
                    let next = high[half] + squares;
                    sum[half] += values;
                    low[half] += squares - (next - high[half]);
                    high[half] = next;
                }
            },
        );
        let above = (high[0] - hold) + (high[1] - hold);
        let mut terms = Terms { exponent, ..Terms::default() };
        terms.sums[0] = in_units((sum[0] + sum[1]).reduce_sum(), exponent - SHORT_BITS);
        terms.squares[0] = in_units(above.reduce_sum(), cut);
        terms.squares[1] = in_units((low[0] + low[1]).reduce_sum(), 2 * (exponent - SHORT_BITS));
        terms
    }
}

impl Addends for f64 {
    const SPAN: i32 = 3 * PIECE_BITS - 52;

    #[inline(always)]
    fn terms<S: Simd>(simd: S, values: &[f64], exponent: i32) -> Terms {
        let units = [1, 2, 3].map(|pieces| exponent - pieces * PIECE_BITS);
        // Adding so large a float, and subtracting it again, rounds to the unit.
        let [first, second, _] = units.map(|unit| f64x8::splat(simd, 1.5 * power_of_two(unit + 52)));
        let none = f64x8::splat(simd, 0.0);
        let (mut sums, mut squares) = ([none; 3], [none; 6]);
        chunks(
            values,
            #[inline(always)]
            |_, chunk, new| {
                let values = new_of_long(simd, chunk, new);
                let a = (values + first) - first;
                let b = ((values - a) + second) - second;
                let c = (values - a) - b;
                sums.iter_mut().zip([a, b, c]).for_each(|(sum, pieces)| *sum += pieces);
                let products = [a * a, a * b, a * c, b * b, b * c, c * c];
                squares.iter_mut().zip(products).for_each(|(sum, products)| *sum += products);
            },
        );
        let mut terms = Terms { exponent, long: true, ..Terms::default() };
        for ((term, sum), unit) in terms.sums.iter_mut().zip(sums).zip(units) {
            *term = in_units(sum.reduce_sum(), unit);
        }
        let pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
        for ((term, sum), (one, other)) in terms.squares.iter_mut().zip(squares).zip(pairs) {
            let (sum, unit) = in_units(sum.reduce_sum(), units[one] + units[other]);
            *term = (sum, unit + i32::from(one != other)); // each product of two pieces comes twice
        }
        terms
    }
}
