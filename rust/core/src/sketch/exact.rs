//! Sums of floats without rounding: the same whatever the order and the split.
//!
//! A profile may be built in pieces, anywhere, and its hash must not depend on how. Float additions round, so their
//! result depends on their order; here every value is an integer multiple of the smallest float, and integers add up
//! exactly (a long accumulator: Kulisch, "Computer Arithmetic and Validity", 2013). Moments are rounded once, at the end.

use super::Sketch;
use super::moments::Moments;
use super::real::Real;
use serde::{Deserialize, Serialize};

/// Exponent of the smallest float: every float is a multiple of 2^-1074.
const EXPONENT: i32 = 1_074;

/// Digits of 64 bits: for 2^63 values up to 2^1024 in multiples of 2^-1074, and for their squares.
const SUM_DIGITS: usize = 34;
const SQUARE_DIGITS: usize = 67;

/// Additions after which digits must be carried: each adds less than 2^64 to a digit of 128 bits.
const CARRY_EVERY: u32 = 1 << 30;

/// A whole number in digits of 64 bits, lowest first, each with room for carries.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Long<const DIGITS: usize> {
    digits: [i128; DIGITS],
}

/// Sums of values and of their squares, and the extremes.
#[derive(Clone, Debug, PartialEq)]
pub struct Exact {
    count: u64,
    sum: Box<Long<SUM_DIGITS>>,
    squares: Box<Long<SQUARE_DIGITS>>,
    pending: u32,
    min: f64,
    max: f64,
}

/// An [`Exact`] as it is stored: hexadecimal numbers, in multiples of 2^-1074 and 2^-2148.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    sum: String,
    squares: String,
}

// === impl Exact ===

impl Default for Exact {
    fn default() -> Exact {
        Exact {
            count: 0,
            sum: Box::new(Long::ZERO),
            squares: Box::new(Long::ZERO),
            pending: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Exact {
    /// What was stored, with the count and the extremes that stand beside it. `None` when it is no such number.
    pub fn from_stored(stored: &Stored, moments: &Moments) -> Option<Exact> {
        Some(Exact {
            count: moments.count(),
            sum: Box::new(Long::parse(&stored.sum)?),
            squares: Box::new(Long::parse(&stored.squares)?),
            pending: 0,
            min: moments.min().unwrap_or(f64::INFINITY),
            max: moments.max().unwrap_or(f64::NEG_INFINITY),
        })
    }

    pub fn stored(&self) -> Stored {
        Stored { sum: self.sum.carried().to_hex(), squares: self.squares.carried().to_hex() }
    }

    /// The moments, each rounded from exact sums (a sum beyond the largest float to that one).
    pub fn moments(&self) -> Moments {
        if self.count == 0 {
            return Moments::default();
        }
        let (sum, squares) = (self.sum.carried(), self.squares.carried());
        let count = self.count as f64;
        let (mean, power) = sum.rounded();
        let mean = scaled(mean / count, power - EXPONENT).clamp(self.min, self.max);
        // n Σx² - (Σx)², exactly: no cancellation, however far the mean is from zero.
        let (spread, power) = squares.times(self.count).less_square_of(&sum).rounded();
        let (total, total_power) = sum.rounded();
        Moments::from_parts(
            self.count,
            scaled(total, total_power - EXPONENT).clamp(f64::MIN, f64::MAX),
            mean,
            scaled(spread.max(0.0) / count, power - 2 * EXPONENT),
            (self.min, self.max),
        )
    }

    fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as usize;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) =
            if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        self.sum.add(u128::from(mantissa), shift, value < 0.0);
        self.squares.add(u128::from(mantissa) * u128::from(mantissa), 2 * shift, false);
        self.pending += 1;
        if self.pending >= CARRY_EVERY {
            self.carry();
        }
    }

    fn carry(&mut self) {
        *self.sum = self.sum.carried();
        *self.squares = self.squares.carried();
        self.pending = 0;
    }
}

impl Sketch for Exact {
    fn update<R: Real>(&mut self, finite: &[R]) {
        self.count += finite.len() as u64;
        for value in finite.iter().map(|value| value.wide()) {
            self.add(value);
            let value = value + 0.0; // -0.0 becomes 0.0: which of two equal extremes comes first must not show
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
    }

    fn merge(&mut self, other: &Exact) {
        self.carry();
        self.count += other.count;
        self.sum.merge(&other.sum.carried());
        self.squares.merge(&other.squares.carried());
        self.pending = 1;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// `value` times two to the power, also where the power alone is beyond a float.
fn scaled(value: f64, power: i32) -> f64 {
    let half = power / 2;
    value * 2f64.powi(half) * 2f64.powi(power - half)
}

// === impl Long ===

impl<const DIGITS: usize> Long<DIGITS> {
    const ZERO: Self = Long { digits: [0; DIGITS] };

    /// Adds `mantissa` (below 2^106) times two to the power of `shift`.
    #[inline]
    fn add(&mut self, mantissa: u128, shift: usize, negative: bool) {
        let (digit, shift) = (shift / 64, shift % 64);
        let (low, high) = ((mantissa & u128::from(u64::MAX)) << shift, (mantissa >> 64) << shift);
        let pieces = [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64];
        let sign = if negative { -1 } else { 1 };
        for (offset, piece) in [(0, pieces[0]), (1, pieces[1]), (1, pieces[2]), (2, pieces[3])] {
            if let Some(digit) = self.digits.get_mut(digit + offset) {
                *digit += sign * i128::from(piece);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.digits.iter_mut().zip(other.digits) {
            *mine += theirs;
        }
    }

    /// The same number, with all digits but the highest (which bears the sign) from 0 to 2^64 - 1.
    fn carried(&self) -> Self {
        let (mut result, mut carry) = (Self::ZERO, 0);
        for (position, &digit) in self.digits.iter().enumerate() {
            let total = digit + carry;
            let is_highest = position + 1 == DIGITS;
            result.digits[position] = if is_highest { total } else { total & i128::from(u64::MAX) };
            carry = total >> 64;
        }
        result
    }

    fn is_negative(&self) -> bool {
        self.digits[DIGITS - 1] < 0
    }

    fn negated(&self) -> Self {
        Long { digits: self.digits.map(|digit| -digit) }.carried()
    }

    /// Its absolute value. Expects carried digits.
    fn absolute(&self) -> Self {
        if self.is_negative() { self.negated() } else { self.clone() }
    }

    fn times(&self, factor: u64) -> Self {
        let (mut result, mut carry) = (Self::ZERO, 0i128);
        for (position, &digit) in self.digits.iter().enumerate() {
            let product = digit as u128 * u128::from(factor) + carry as u128;
            result.digits[position] = (product & u128::from(u64::MAX)) as i128;
            carry = (product >> 64) as i128;
        }
        result
    }

    /// Less the square of `other`. Expects carried digits.
    fn less_square_of<const FEWER: usize>(&self, other: &Long<FEWER>) -> Self {
        let (mut result, factor) = (self.clone(), other.absolute());
        for (i, &a) in factor.digits.iter().enumerate().filter(|&(_, &a)| a != 0) {
            for (j, &b) in factor.digits.iter().enumerate().filter(|&(_, &b)| b != 0) {
                let product = a as u128 * b as u128;
                for (offset, piece) in [(0, product as u64), (1, (product >> 64) as u64)] {
                    if let Some(digit) = result.digits.get_mut(i + j + offset) {
                        *digit -= i128::from(piece);
                    }
                }
            }
        }
        result.carried()
    }

    /// The number as a float times a power of two: its highest 128 bits or more. Expects carried digits.
    fn rounded(&self) -> (f64, i32) {
        let magnitude = self.absolute();
        let Some(highest) = magnitude.digits.iter().rposition(|&digit| digit != 0) else { return (0.0, 0) };
        let lowest = highest.saturating_sub(2);
        let digits = magnitude.digits[lowest..=highest].iter().rev();
        let value = digits.fold(0.0, |value, &digit| value * 2f64.powi(64) + digit as f64);
        (if self.is_negative() { -value } else { value }, lowest as i32 * 64)
    }

    /// Hexadecimal, without leading zeros. Expects carried digits.
    fn to_hex(&self) -> String {
        let sign = if self.is_negative() { "-" } else { "" };
        let digits = self.absolute().digits;
        let hex: String = digits.iter().rev().map(|digit| format!("{digit:016x}")).collect();
        match hex.trim_start_matches('0') {
            "" => "0".to_owned(),
            trimmed => format!("{sign}{trimmed}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (negative, hex) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let canonical = hex == "0" && !negative || !hex.starts_with('0');
        let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if hex.is_empty() || hex.len() > DIGITS * 16 - 1 || !canonical || !hex.as_bytes().iter().all(digit) {
            return None;
        }
        let mut result = Self::ZERO;
        for (slot, chunk) in result.digits.iter_mut().zip(hex.as_bytes().rchunks(16)) {
            *slot = i128::from(u64::from_str_radix(std::str::from_utf8(chunk).ok()?, 16).ok()?);
        }
        Some(if negative { result.negated() } else { result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(values: &[f64]) -> Exact {
        let mut exact = Exact::default();
        exact.update(values);
        exact
    }

    #[test]
    fn what_rounding_would_lose_is_kept() {
        let sum = exact(&[1e308, 1.0, -1e308, f64::from_bits(1), -f64::from_bits(1)]).moments();
        assert_eq!((sum.sum(), sum.mean()), (1.0, Some(0.2)));
    }

    #[test]
    fn a_tiny_variance_survives_a_huge_mean() {
        let values: Vec<f64> = (0..1_000).map(|i| 1.7e15 + f64::from(i % 2)).collect();
        assert_eq!(exact(&values).moments().std(), Some(0.5));
    }

    #[test]
    fn the_largest_floats_have_a_mean() {
        let moments = exact(&[f64::MAX; 3]).moments();
        assert_eq!((moments.mean(), moments.std()), (Some(f64::MAX), Some(0.0)));
        assert_eq!(exact(&[f64::MAX, -f64::MAX]).moments().mean(), Some(0.0));
    }

    #[test]
    fn nothing_seen_has_no_moments() {
        assert_eq!(exact(&[]).moments(), Moments::default());
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in ["", "-", "-0", "00", "g", "A", &"f".repeat(600)] {
            assert_eq!(Long::<SUM_DIGITS>::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_order_and_split_gives_the_same_moments(
            values in prop::collection::vec(prop_oneof![-1e6f64..1e6, prop::num::f64::NORMAL, -1e-300f64..1e-300], 1..60),
            cut in 0usize..60,
        ) {
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = exact(right);
            merged.merge(&exact(left));
            let whole = exact(&values);
            prop_assert_eq!(merged.stored(), whole.stored());
            prop_assert_eq!(merged.moments(), whole.moments());
            let stored = Exact::from_stored(&whole.stored(), &whole.moments()).unwrap();
            prop_assert_eq!(stored.moments(), whole.moments());
        }

        #[test]
        fn moments_are_those_of_the_updating_formulae(values in prop::collection::vec(-1e6f64..1e6, 1..200)) {
            let mut moments = Moments::default();
            moments.update(&values);
            let found = exact(&values).moments();
            prop_assert_eq!((found.count(), found.min(), found.max()), (moments.count(), moments.min(), moments.max()));
            prop_assert!((found.mean().unwrap() - moments.mean().unwrap()).abs() < 1e-9);
            prop_assert!((found.std().unwrap() - moments.std().unwrap()).abs() < 1e-6);
        }
    }
}
