//! Count, mean, variance, smallest and largest of a stream, in one pass.
//!
//! Blocks are summarised on their own (two passes over a few cached values, which is accurate and fast) and combined
//! by the update of Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
//! variances" (1979), so that a large mean does not swallow a small variance as the sum of squares would.

use super::Sketch;
use super::real::Real;
use fearless_simd::{Level, Simd, dispatch};
use serde::{Deserialize, Serialize};

/// Moments of the finite values seen so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    count: u64,
    sum: f64,
    mean: f64,
    /// Sum of squared deviations from the mean ("M2"); infinite where it exceeds what a float holds.
    #[serde(with = "unbounded")]
    squares: f64,
    #[serde(with = "least")]
    min: f64,
    #[serde(with = "most")]
    max: f64,
}

/// Sums with independent partial results, so that the additions overlap; the order is fixed, and so is the result.
const LANES: usize = 16;

// === impl Moments ===

impl Default for Moments {
    fn default() -> Moments {
        Moments { count: 0, sum: 0.0, mean: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Moments {
    /// Moments that were computed elsewhere: `squares` are squared deviations from the mean, added up.
    pub fn from_parts(count: u64, sum: f64, mean: f64, squares: f64, (min, max): (f64, f64)) -> Moments {
        Moments { count, sum, mean, squares, min, max }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// `None` when nothing was seen.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Standard deviation of the values as a population (divided by n, as NumPy's default); `None` when nothing was
    /// seen, or the squares exceed what a float holds.
    pub fn std(&self) -> Option<f64> {
        (self.count > 0 && self.squares.is_finite()).then(|| (self.squares / self.count as f64).sqrt())
    }

    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Summarises one block on its own.
    #[inline(always)]
    fn of<S: Simd, R: Real>(simd: S, values: &[R]) -> Moments {
        let count = values.len() as u64;
        let sum = lanes(values, |value| value);
        let mean = if sum.is_finite() {
            sum / count as f64
        } else {
            values.iter().map(|value| value.wide() / count as f64).sum()
        };
        let extent = R::extent(simd, values);
        let (min, max) = (extent.min.wide(), extent.max.wide());
        let mean = mean.clamp(min, max);
        let squares = lanes(values, |value| (value - mean) * (value - mean));
        Moments { count, sum, mean, squares, min, max }
    }

    #[inline]
    fn combine(&mut self, other: &Moments) {
        if self.count == 0 {
            return self.clone_from(other); // also where the square of the mean is beyond a float
        }
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let difference = other.mean - self.mean;
        if difference.is_finite() {
            self.squares += other.squares + difference * difference * share * self.count as f64;
            self.mean += difference * share;
        } else {
            // Means of opposite sign near the end of the range: their difference overflows, their average does not.
            self.squares = f64::INFINITY;
            self.mean = self.mean * (1.0 - share) + other.mean * share;
        }
        self.count = count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

impl Sketch for Moments {
    #[inline]
    fn update<R: Real>(&mut self, finite: &[R]) {
        if !finite.is_empty() {
            let block = dispatch!(Level::new(), simd => Moments::of(simd, finite));
            self.combine(&block);
        }
    }

    fn merge(&mut self, other: &Moments) {
        if other.count > 0 {
            self.combine(other);
        }
    }
}

#[inline(always)]
fn lanes<R: Real>(values: &[R], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut partial = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            partial[lane] += term(chunk[lane].wide());
        }
    }
    for (sum, &value) in partial.iter_mut().zip(rest) {
        *sum += term(value.wide());
    }
    partial.iter().sum()
}

/// Writes what is infinite, and so beyond JSON, as null, and reads null as `$infinity`: the bounds of nothing, and
/// squares that are too large.
macro_rules! infinity_as_null {
    ($name:ident, $infinity:expr) => {
        mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            pub fn serialize<S: Serializer>(bound: &f64, serializer: S) -> Result<S::Ok, S::Error> {
                bound.is_finite().then_some(*bound).serialize(serializer)
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
                Ok(Option::deserialize(deserializer)?.unwrap_or($infinity))
            }
        }
    };
}

infinity_as_null!(least, f64::INFINITY);
infinity_as_null!(most, f64::NEG_INFINITY);
infinity_as_null!(unbounded, f64::INFINITY);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moments(values: &[f64]) -> Moments {
        let mut result = Moments::default();
        for block in values.chunks(super::super::BLOCK) {
            result.update(block);
        }
        result
    }

    fn assert_close(a: f64, b: f64, scale: f64) {
        assert!((a - b).abs() <= 1e-12 * scale.max(1e-300), "{a} differs from {b}");
    }

    #[test]
    fn known_values_give_known_moments() {
        let seen = moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, 5.0]);
        assert_eq!((seen.count(), seen.mean(), seen.min(), seen.max()), (9, Some(5.0), Some(2.0), Some(9.0)));
        assert_close(seen.std().unwrap(), (32.0f64 / 9.0).sqrt(), 1.0);
    }

    #[test]
    fn nothing_seen_has_no_mean() {
        let seen = moments(&[]);
        assert_eq!((seen.mean(), seen.std(), seen.min(), seen.max()), (None, None, None, None));
    }

    #[test]
    fn moments_of_something_and_of_nothing_survive_json() {
        for seen in [moments(&[]), moments(&[0.1, 0.2]), moments(&[0.0, 1e300])] {
            let json = serde_json::to_string(&seen).unwrap();
            assert_eq!(serde_json::from_str::<Moments>(&json).unwrap(), seen);
        }
    }

    #[test]
    fn a_small_variance_survives_a_large_mean() {
        let values: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i % 2)).collect();
        assert_close(moments(&values).std().unwrap(), 0.5, 1e3);
    }

    #[test]
    fn the_largest_floats_do_not_turn_the_mean_into_infinity() {
        let seen = moments(&[f64::MAX, f64::MAX, f64::MAX]);
        assert_close(seen.mean().unwrap(), f64::MAX, f64::MAX);
        let mut both = moments(&[f64::MAX; 4]);
        both.merge(&moments(&[-f64::MAX; 4]));
        assert_eq!((both.mean(), both.std()), (Some(0.0), None));
    }

    proptest! {
        #[test]
        fn short_floats_have_the_moments_of_long_ones(values in prop::collection::vec(-1e6f32..1e6, 0..300)) {
            let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
            let mut narrow = Moments::default();
            values.chunks(super::super::BLOCK).for_each(|block| narrow.update(block));
            prop_assert_eq!(narrow, moments(&wide));
        }

        #[test]
        fn any_split_merges_to_the_moments_of_the_whole(
            values in prop::collection::vec(-1e6f64..1e6, 1..400), cut in 0usize..400,
        ) {
            let cut = cut.min(values.len());
            let mut merged = moments(&values[..cut]);
            merged.merge(&moments(&values[cut..]));
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            prop_assert_eq!(merged.count(), values.len() as u64);
            prop_assert!((merged.mean().unwrap() - mean).abs() < 1e-8);
            prop_assert!((merged.std().unwrap().powi(2) - variance).abs() <= 1e-9 * variance.max(1.0));
            prop_assert_eq!(merged.min().unwrap(), values.iter().copied().fold(f64::MAX, f64::min));
            prop_assert_eq!(merged.max().unwrap(), values.iter().copied().fold(f64::MIN, f64::max));
        }
    }
}
