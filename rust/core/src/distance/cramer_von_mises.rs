//! Cramér-von Mises statistic: the squared difference of the distribution functions, over all values of both samples.
//!
//! T = nm/(n + m)² Σ (F(z) - G(z))², the sum over the pooled values z (Anderson, "On the distribution of the two-sample
//! Cramér-von Mises criterion", 1962). On counts, every value stands at the upper end of its bin. For undrifted rows of
//! a continuous feature the mean is (1 + 1/(n + m))/6 exactly, and T tends to Σ Z²/(πj)², whose upper tail is that of
//! its first term times √2 (Zolotarev, 1961): 1.162 at 0.1 %, where the exact value is 1.168.

use super::{Chance, Sizes};
use std::f64::consts::{PI, SQRT_2};

/// The statistic of two vectors of counts, in ascending order; `None` when their lengths differ or one counted nothing.
pub fn statistic(reference: &[u64], current: &[u64]) -> Option<f64> {
    let sizes = Sizes::of(reference, current)?;
    let (mut below, mut sum) = ((0u64, 0u64), 0.0);
    for (p, q) in reference.iter().zip(current) {
        below = (below.0 + p, below.1 + q);
        let gap = below.0 as f64 / sizes.reference as f64 - below.1 as f64 / sizes.current as f64;
        sum += (p + q) as f64 * gap * gap;
    }
    Some(sum * weight(&sizes))
}

/// nm/(n + m)².
pub fn weight(sizes: &Sizes) -> f64 {
    1.0 / (sizes.variance() * sizes.pooled())
}

/// What undrifted rows score on average.
pub fn expected(sizes: &Sizes) -> f64 {
    (1.0 + 1.0 / sizes.pooled()) / 6.0
}

/// What undrifted rows exceed with the probability `chance` stands for, up to one in a hundred: to 2 %; less for
/// binned or discrete values.
pub fn noise(chance: &Chance) -> f64 {
    (chance.shared(2.0 * SQRT_2).normal() / PI).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_by_hand() {
        // Values 1 3 | 2 4: F - G = .5 0 .5 0 at 1 2 3 4: nm/(n+m)² Σ = 4/16 · .5
        assert_eq!(statistic(&[1, 0, 1, 0], &[0, 1, 0, 1]), Some(0.125));
    }

    #[test]
    fn the_noise_floor_is_that_of_the_tables() {
        // Anderson and Darling (1952), table 1: .74346, 1.16786.
        for (probability, quantile) in [(0.01, 0.74346), (0.001, 1.16786)] {
            let found = noise(&Chance::of(probability));
            assert!((found / quantile - 1.0).abs() < 0.02, "{probability}: {found}");
        }
    }
}
