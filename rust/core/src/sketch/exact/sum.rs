//! A sum and nothing beside it, for numbers that are added up once in a while: it takes the memory of its digits.

use super::long::{Digits, Long};
use super::{EXPONENT, SUM_DIGITS, scaled};
use serde::{Deserialize, Serialize};

/// A sum of finite floats: the same bytes whatever the order and the grouping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum(Digits);

/// The whole number that a finite float is as a multiple of 2^-1074, without its sign: so many, times two to the power.
pub(super) fn multiple(value: f64) -> (u64, usize) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as usize;
    let fraction = bits & ((1 << 52) - 1);
    if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) }
}

// === impl Sum ===

impl Sum {
    /// Of one value.
    pub fn of(value: f64) -> Sum {
        let mut long = Long::<SUM_DIGITS>::ZERO;
        let (mantissa, shift) = multiple(value);
        long.add(mantissa.into(), shift, value < 0.0);
        Sum(long.carried().to_digits())
    }

    /// Adds another sum; one with more digits than a sum has counts as nothing.
    pub fn merge(&mut self, other: &Sum) {
        let mut long = self.long();
        long.merge(&other.long());
        *self = Sum(long.carried().to_digits());
    }

    /// Rounded, at most the largest float.
    pub fn value(&self) -> f64 {
        let (value, power) = self.long().rounded();
        scaled(value, power - EXPONENT).clamp(f64::MIN, f64::MAX)
    }

    fn long(&self) -> Long<SUM_DIGITS> {
        Long::from_digits(&self.0).unwrap_or(Long::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> Sum {
        values.iter().fold(Sum::default(), |mut sum, &value| {
            sum.merge(&Sum::of(value));
            sum
        })
    }

    #[test]
    fn what_cancels_leaves_the_rest() {
        assert_eq!(sum(&[1e300, 1.0, -1e300, f64::from_bits(1)]).value(), 1.0);
        assert_eq!((sum(&[]).value(), sum(&[f64::MAX, f64::MAX]).value()), (0.0, f64::MAX));
    }

    proptest! {
        #[test]
        fn a_value_is_its_own_sum(value in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO) {
            prop_assert_eq!(Sum::of(value).value(), value);
        }

        #[test]
        fn any_grouping_in_any_order_is_the_same_to_the_last_byte(
            values in prop::collection::vec(-1e280f64..1e280, 1..20), small in 0f64..1.0, cut in 0usize..20,
        ) {
            let mut values = values;
            values.push(small);
            let whole = sum(&values);
            values.reverse();
            let (left, right) = values.split_at(cut.min(values.len()));
            let (mut left, right) = (sum(left), sum(right));
            left.merge(&right);
            prop_assert_eq!(postcard::to_stdvec(&left).unwrap(), postcard::to_stdvec(&whole).unwrap());
        }
    }
}
