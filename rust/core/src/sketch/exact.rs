//! Sums of floats without rounding: the same whatever the order and the split.
//!
//! A profile may be built in pieces, anywhere, and its hash must not depend on how; nor may what a feature has counted
//! depend on which worker counted which rows. Float additions round, so their result depends on their order; here
//! every value is an integer multiple of the smallest float, and integers add up exactly (a long accumulator: Kulisch,
//! "Computer Arithmetic and Validity", 2013). Moments are rounded once, at the end.
//!
//! Blocks of values of similar size are first added up among themselves, in floats that hold their sums exactly: see
//! [`block`].

pub(super) mod block;
mod long;
mod sum;

pub use block::Addends;
pub use sum::Sum;

use super::extent::Extent;
use super::moments::Moments;
use super::real::Real;
use super::{BLOCK, Sketch};
use block::Terms;
use long::{Digits, Long, Stretch, Window};
use serde::{Deserialize, Serialize};

/// Exponent of the smallest float: every float is a multiple of 2^-1074.
const EXPONENT: i32 = 1_074;

/// Digits of 64 bits: for 2^63 values up to 2^1024 in multiples of 2^-1074, and for their squares.
const SUM_DIGITS: usize = 34;
const SQUARE_DIGITS: usize = 67;

/// Those of a feature whose values are of similar size.
const NEAR_SUM: usize = 4;
const NEAR_SQUARES: usize = 5;

/// Additions after which digits must be carried: each adds less than 2^66 to a digit of 128 bits.
const CARRY_EVERY: u32 = 1 << 30;

/// Fewest values that are added up as a block.
const BLOCK_MIN: usize = 5;

/// Blocks that the values of a block are divided into by their size.
const ROUNDS: u32 = 3;

/// Sums of values and of their squares, and the extremes.
#[derive(Clone, Debug)]
pub struct Exact {
    count: u64,
    min: f64,
    max: f64,
    /// What was added of late; the rest lies far.
    sum: Window<NEAR_SUM>,
    squares: Window<NEAR_SQUARES>,
    pending: u32,
    far: Option<Box<Far>>,
}

/// Sums of any size.
#[derive(Clone, Debug, Default)]
struct Far {
    sum: Stretch,
    squares: Stretch,
}

/// All digits of both, carried.
struct Whole {
    sum: Long<SUM_DIGITS>,
    squares: Long<SQUARE_DIGITS>,
}

/// An [`Exact`] as a profile has it: hexadecimal numbers, in multiples of 2^-1074 and 2^-2148.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    sum: String,
    squares: String,
}

/// An [`Exact`] as a state file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    count: u64,
    min: f64,
    max: f64,
    sum: Digits,
    squares: Digits,
}

// === impl Exact ===

impl Default for Exact {
    fn default() -> Exact {
        Exact {
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: Window::at(0),
            squares: Window::at(0),
            pending: 0,
            far: None,
        }
    }
}

impl Exact {
    /// What was stored, with the count and the extremes that stand beside it. `None` when it is no such number.
    pub fn from_stored(stored: &Stored, moments: &Moments) -> Option<Exact> {
        let far = Whole { sum: Long::parse(&stored.sum)?, squares: Long::parse(&stored.squares)? };
        Some(Exact {
            count: moments.count(),
            min: moments.min().unwrap_or(f64::INFINITY),
            max: moments.max().unwrap_or(f64::NEG_INFINITY),
            far: Some(Box::new(far.kept())),
            ..Exact::default()
        })
    }

    pub fn stored(&self) -> Stored {
        let Whole { sum, squares } = self.whole();
        Stored { sum: sum.to_hex(), squares: squares.to_hex() }
    }

    /// The same bytes whatever the order and the split of the values.
    pub fn packed(&self) -> Packed {
        let Whole { sum, squares } = self.whole();
        let (sum, squares) = (sum.to_digits(), squares.to_digits());
        Packed { count: self.count, min: self.min, max: self.max, sum, squares }
    }

    /// `None` when it holds no such numbers.
    pub fn unpacked(packed: &Packed) -> Option<Exact> {
        let Packed { count, min, max, ref sum, ref squares } = *packed;
        let sound = if count == 0 { (min, max) == (f64::INFINITY, f64::NEG_INFINITY) } else { min <= max };
        let far = Whole { sum: Long::from_digits(sum)?, squares: Long::from_digits(squares)? };
        sound.then(|| Exact { count, min, max, far: Some(Box::new(far.kept())), ..Exact::default() })
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The moments, each rounded from exact sums (a sum beyond the largest float to that one).
    pub fn moments(&self) -> Moments {
        if self.count == 0 {
            return Moments::default();
        }
        let Whole { sum, squares } = self.whole();
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

    fn whole(&self) -> Whole {
        let mut far = self.far.as_deref().cloned().unwrap_or_default();
        far.sum.take(&mut self.sum.clone());
        far.squares.take(&mut self.squares.clone());
        Whole { sum: far.sum.whole(), squares: far.squares.whole() }
    }

    /// Moves the empty windows so that they hold values with the lowest bit `first`, and some larger and smaller ones.
    fn move_to(&mut self, first: usize) {
        self.sum = Window::at((first / 64).saturating_sub(1));
        self.squares = Window::at((2 * first / 64).saturating_sub(1));
    }

    /// Puts what was added of late to the rest.
    #[cold]
    fn put_away(&mut self) {
        let far = self.far.get_or_insert_default();
        far.sum.take(&mut self.sum);
        far.squares.take(&mut self.squares);
        far.sum.carry();
        far.squares.carry();
        self.pending = 0;
    }

    /// Adds at most [`BLOCK`] finite values, which reach so far.
    pub fn add_block<R: Real>(&mut self, values: &[R], extent: &Extent<R>) {
        self.count += values.len() as u64;
        // -0.0 becomes 0.0: which of two equal extremes comes first must not show.
        self.min = self.min.min(extent.min.wide() + 0.0);
        self.max = self.max.max(extent.max.wide() + 0.0);
        self.add_values(values, extent, ROUNDS);
    }

    /// Values that are too small to be added with the others are the next block, so many times, and then added one by
    /// one.
    fn add_values<R: Real>(&mut self, values: &[R], extent: &Extent<R>, rounds: u32) {
        let is_block = rounds > 0 && values.len() >= BLOCK_MIN;
        match block::exponent_above(extent.most()).filter(|_| is_block) {
            None if extent.most() == 0.0 => {}
            None => values.iter().for_each(|value| self.add(value.wide())),
            Some(exponent) if extent.least < block::least(exponent) => {
                self.add_apart(values, exponent, rounds - 1);
            }
            Some(exponent) => self.add_terms(&block::terms(values, exponent)),
        }
    }

    #[cold]
    fn add_apart<R: Real>(&mut self, values: &[R], exponent: i32, rounds: u32) {
        let mut small = [R::INFINITY; BLOCK];
        let (terms, found) = block::terms_without_small(values, exponent, &mut small);
        self.add_terms(&terms);
        let small = small.get(..found).unwrap_or_default();
        self.add_values(small, &Extent::of(small), rounds);
    }

    fn add_terms(&mut self, terms: &Terms) {
        let (low, high) = terms.bits();
        let (first, last) = ((low + EXPONENT) as usize, (high + EXPONENT) as usize);
        if !self.sum.holds(first, last) || !self.squares.holds(2 * first, 2 * last) {
            self.put_away();
            self.move_to(first);
        }
        let shift = |exponent: i32, unit: i32| (exponent + unit).max(0) as usize;
        for &(sum, exponent) in terms.sums() {
            self.sum.add(sum.unsigned_abs().into(), shift(exponent, EXPONENT), sum < 0);
        }
        for &(sum, exponent) in terms.squares() {
            self.squares.add(sum.unsigned_abs().into(), shift(exponent, 2 * EXPONENT), sum < 0);
        }
        self.added();
    }

    fn add(&mut self, value: f64) {
        let (mantissa, shift) = sum::multiple(value);
        let square = u128::from(mantissa) * u128::from(mantissa);
        if mantissa == 0 {
            return;
        }
        if self.pending == 0 {
            self.move_to(shift);
        }
        if self.sum.holds(shift, shift + 53) && self.squares.holds(2 * shift, 2 * shift + 106) {
            self.sum.add(mantissa.into(), shift, value < 0.0);
            self.squares.add(square, 2 * shift, false);
        } else {
            let far = self.far.get_or_insert_default();
            far.sum.add(mantissa.into(), shift, value < 0.0);
            far.squares.add(square, 2 * shift, false);
        }
        self.added();
    }

    fn added(&mut self) {
        self.pending += 1;
        if self.pending >= CARRY_EVERY {
            self.put_away();
        }
    }
}

impl Sketch for Exact {
    #[inline]
    fn update<R: Real>(&mut self, finite: &[R]) {
        finite.chunks(BLOCK).for_each(|block| self.add_block(block, &Extent::of(block)));
    }

    fn merge(&mut self, other: &Exact) {
        self.put_away();
        let (mut both, theirs) = (self.whole(), other.whole());
        both.sum.merge(&theirs.sum);
        both.squares.merge(&theirs.squares);
        self.far = Some(Box::new(Whole { sum: both.sum.carried(), squares: both.squares.carried() }.kept()));
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

// === impl Whole ===

impl Whole {
    /// The digits that are in use.
    fn kept(&self) -> Far {
        Far { sum: Stretch::of(&self.sum), squares: Stretch::of(&self.squares) }
    }
}

/// `value` times two to the power, also where the power alone is beyond a float.
fn scaled(value: f64, power: i32) -> f64 {
    let half = power / 2;
    value * 2f64.powi(half) * 2f64.powi(power - half)
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

    /// Values of all sizes in one block: the same bits as one after the other, short or long.
    fn agrees<R: Real>(values: &[R]) -> Result<(), TestCaseError> {
        let mut block = Exact::default();
        block.update(values);
        let mut single = Exact::default();
        values.iter().for_each(|value| single.add(value.wide()));
        prop_assert_eq!(block.packed().sum, single.packed().sum);
        prop_assert_eq!(block.packed().squares, single.packed().squares);
        Ok(())
    }

    #[test]
    fn values_that_fill_every_bit_of_a_block_are_added_exactly() {
        let nearly = |above: f64| f64::from_bits(above.to_bits() - 1);
        let tiny = f64::from_bits(1);
        for long in
            [nearly(1.0), nearly(4.0), -nearly(1.0), 1.0 / 3.0, 1.0, 0.0, f64::MAX, -f64::MAX, tiny, 1e-300]
        {
            agrees(&[long; 256]).unwrap();
            let mixed: Vec<f64> = (0..256).map(|row| long * [1.0, -1e-4, 1e-9, 0.0][row % 4]).collect();
            agrees(&mixed).unwrap();
        }
        for short in [f32::from_bits(1.0f32.to_bits() - 1), f32::MAX, -f32::MAX, f32::from_bits(1), 1.0 / 3.0]
        {
            agrees(&[short; 256]).unwrap();
            let mixed: Vec<f32> = (0..256).map(|row| short * [1.0, -1e-4, 1e-9, 0.0][row % 4]).collect();
            agrees(&mixed).unwrap();
        }
    }

    fn short() -> impl Strategy<Value = f32> {
        prop_oneof![4 => -5f32..5.0, 2 => prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL, 1 => Just(0.0)]
    }

    fn long() -> impl Strategy<Value = f64> {
        let any = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL;
        prop_oneof![4 => -5f64..5.0, 1 => any, 1 => 1e8f64..1e9, 1 => Just(0.0)]
    }

    proptest! {
        #[test]
        fn a_block_adds_up_to_its_values(short in prop::collection::vec(short(), 0..300), long in prop::collection::vec(long(), 0..300)) {
            agrees(&short)?;
            agrees(&long)?;
            let narrow: Vec<f32> = short.iter().copied().filter(|value| value.abs() < 5.0).collect();
            agrees(&narrow)?;
            let near: Vec<f64> = long.iter().copied().filter(|value| value.abs() < 5.0).collect();
            agrees(&near)?;
        }

        #[test]
        fn any_batches_in_any_order_give_the_same_bytes(
            values in prop::collection::vec(long(), 1..400), sizes in prop::collection::vec(1usize..300, 1..40), turn in 0usize..400,
        ) {
            let mut turned = values.clone();
            turned.rotate_left(turn % values.len());
            let (mut merged, mut rest) = (Exact::default(), &turned[..]);
            for size in sizes.iter().cycle() {
                let (batch, later) = rest.split_at(rest.len().min(*size));
                merged.merge(&exact(batch));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let whole = exact(&values);
            prop_assert_eq!(merged.packed(), whole.packed());
            prop_assert_eq!(Exact::unpacked(&whole.packed()).unwrap().packed(), whole.packed());
            prop_assert_eq!(merged.moments(), whole.moments());
        }

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
