//! Kolmogorov-Smirnov statistic between distribution functions known at the edges of the bins.
//!
//! D = max |F - G| over the edges. It is never larger than the statistic of the values themselves, and smaller by at
//! most the share of the heaviest bin. Cells are in ascending order of what they hold.

use super::{Chance, Sizes};

/// The statistic of two vectors of counts; `None` when their lengths differ or one of them counted nothing.
pub fn statistic(reference: &[u64], current: &[u64]) -> Option<f64> {
    let sizes = Sizes::of(reference, current)?;
    let (mut below, mut gap) = ((0u64, 0u64), 0f64);
    for (p, q) in reference.iter().zip(current) {
        below = (below.0 + p, below.1 + q);
        let (f, g) = (below.0 as f64 / sizes.reference as f64, below.1 as f64 / sizes.current as f64);
        gap = gap.max((f - g).abs());
    }
    Some(gap)
}

/// What undrifted rows of a continuous feature score on average: sqrt(π/2) ln 2 · sqrt(1/n + 1/m), the mean of
/// Kolmogorov's distribution. On the edges of bins it is a little less.
pub fn expected(sizes: &Sizes) -> f64 {
    0.868_731 * sizes.variance().sqrt()
}

/// What undrifted rows exceed with at most the probability `chance` stands for: sqrt(ln(2/α)/2 · (1/n + 1/m)), from
/// the first term of Kolmogorov's series. An upper bound also for binned or discrete values.
pub fn noise(chance: &Chance, sizes: &Sizes) -> f64 {
    ((2.0 / chance.probability()).ln() / 2.0 * sizes.variance()).sqrt().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_gap_by_hand() {
        // F = .2 .5 1, G = .5 .6 1
        let found = statistic(&[2, 3, 5], &[5, 1, 4]).unwrap();
        assert!((found - 0.3).abs() < 1e-15);
    }

    #[test]
    fn the_noise_floor_is_kolmogorovs_quantile() {
        // Kolmogorov's 95 % quantile is 1.3581.
        let sizes = Sizes { reference: 200, current: 200, cells: 32 };
        let found = noise(&Chance::of(0.05), &sizes) / (2.0f64 / 200.0).sqrt();
        assert!((found - 1.3581).abs() < 1e-4, "{found}");
    }
}
