//! Separates numbers from NaN, infinities and holes, which are counted but never enter a mean or a bin.
//!
//! One bad reading must not turn a mean into NaN for the life of the process; and how many there are is itself the
//! first sign of a broken sensor.

use super::BLOCK;
use super::extent::Extent;
use super::real::Real;
use serde::{Deserialize, Serialize};

/// How many values were not finite numbers, by what they were. The four are disjoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Specials {
    /// Absent altogether: a zero-length string, an empty tensor. (A NaN is present.)
    pub missing: u64,
    pub nan: u64,
    pub neg_inf: u64,
    pub pos_inf: u64,
}

#[inline(always)]
fn is_finite<R: Real>(value: R) -> bool {
    value.magnitude() <= R::MOST
}

/// Copies the finite ones of `values` (at most [`BLOCK`]) to `scratch` when there are others; returns them in order,
/// with the count of the others.
pub fn screen<'a, R: Real>(values: &'a [R], scratch: &'a mut [R; BLOCK]) -> (&'a [R], Specials) {
    if Extent::of(values).is_finite {
        return (values, Specials::default());
    }
    let mut specials = Specials::default();
    let mut kept = 0;
    for &value in values {
        if is_finite(value) && kept < BLOCK {
            scratch[kept] = value;
            kept += 1;
        } else {
            specials.count(value.wide());
        }
    }
    (&scratch[..kept], specials)
}

// === impl Specials ===

impl Specials {
    /// Counts one value that is not finite.
    fn count(&mut self, value: f64) {
        let counter = match value {
            f64::INFINITY => &mut self.pos_inf,
            f64::NEG_INFINITY => &mut self.neg_inf,
            _ => &mut self.nan,
        };
        *counter += 1;
    }

    /// All four together.
    pub fn total(&self) -> u64 {
        self.missing + self.nan + self.neg_inf + self.pos_inf
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Specials) {
        self.missing += other.missing;
        self.nan += other.nan;
        self.neg_inf += other.neg_inf;
        self.pos_inf += other.pos_inf;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_values_keep_their_order_and_the_others_are_counted_apart() {
        let mut scratch = [0.0; BLOCK];
        let values = [1.0, f64::NAN, -2.0, f64::INFINITY, f64::NEG_INFINITY, 3.0, f64::NAN];
        let (finite, specials) = screen(&values, &mut scratch);
        assert_eq!(finite, [1.0, -2.0, 3.0]);
        assert_eq!(specials, Specials { missing: 0, nan: 2, neg_inf: 1, pos_inf: 1 });
        assert_eq!(specials.total(), 4);
    }

    #[test]
    fn all_finite_values_are_handed_back_as_they_are() {
        let mut scratch = [0.0; BLOCK];
        let values = [f64::MAX, f64::MIN_POSITIVE, -0.0];
        assert_eq!(screen(&values, &mut scratch), (&values[..], Specials::default()));
    }
}
