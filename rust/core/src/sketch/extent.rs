//! How far the values of a block reach: what decides whether they can be counted together.

use super::real::Real;
use fearless_simd::{Level, dispatch};

/// The smallest and the largest of some values, and the smallest magnitude of those that are not zero; infinite where there
/// are none. Anything unless all of them are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent<R> {
    pub min: R,
    pub max: R,
    pub least: R,
    pub is_finite: bool,
}

// === impl Extent ===

impl<R: Real> Extent<R> {
    #[inline]
    pub fn of(values: &[R]) -> Extent<R> {
        dispatch!(Level::new(), simd => R::extent(simd, values))
    }

    /// The largest magnitude.
    #[inline]
    pub fn most(&self) -> f64 {
        self.max.wide().max(-self.min.wide())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::BLOCK;
    use proptest::prelude::*;

    #[test]
    fn nothing_reaches_nowhere() {
        let nothing = Extent::<f32>::of(&[]);
        assert_eq!(
            (nothing.min, nothing.max, nothing.least),
            (f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY)
        );
    }

    fn agrees<R: Real>(values: &[R]) -> Result<(), TestCaseError> {
        let found = Extent::of(values);
        prop_assert_eq!(found.is_finite, values.iter().all(|value| value.wide().is_finite()));
        if found.is_finite {
            let wide = || values.iter().map(|value| value.wide());
            prop_assert_eq!(found.min.wide(), wide().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(found.max.wide(), wide().fold(f64::NEG_INFINITY, f64::max));
            let sizes = wide().map(f64::abs).filter(|&size| size > 0.0);
            prop_assert_eq!(found.least.wide(), sizes.fold(f64::INFINITY, f64::min));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn it_is_that_of_its_values(
            short in prop::collection::vec(prop_oneof![9 => -5f32..5.0, 1 => any::<f32>(), 1 => Just(0.0)], 0..BLOCK),
            long in prop::collection::vec(prop_oneof![9 => -5f64..5.0, 1 => any::<f64>(), 1 => Just(0.0)], 0..BLOCK),
        ) {
            agrees(&short)?;
            agrees(&long)?;
            agrees(&short.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>())?;
            agrees(&long.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>())?;
        }

        #[test]
        fn one_value_that_is_not_finite_is_found_wherever_it_is(
            count in 1..BLOCK, at in any::<prop::sample::Index>(), what in prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
        ) {
            let mut values = vec![1.0; count];
            values[at.index(count)] = what;
            prop_assert!(!Extent::of(&values).is_finite);
            let wide: Vec<f64> = values.iter().map(|value| value.wide()).collect();
            prop_assert!(!Extent::of(&wide).is_finite);
        }
    }
}
