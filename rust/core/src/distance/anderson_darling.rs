//! Anderson-Darling statistic of two samples: Cramér-von Mises with more weight on the tails.
//!
//! A² in the midrank form for tied values (Scholz and Stephens, "K-sample Anderson-Darling tests", 1987, equation 7):
//! exact for values that are only known by their bin. It is not standardised: for undrifted rows its mean is 1, and it
//! tends to Σ Z²/(j(j + 1)), whose upper tail is that of its first term times √3 (Zolotarev, 1961): 5.93 at 0.1 %,
//! where the exact value is 5.97.

use super::{Chance, Sizes};

/// What undrifted rows score on average.
pub const EXPECTED: f64 = 1.0;

/// The statistic of two vectors of counts, in ascending order; `None` when their lengths differ or one counted nothing.
pub fn statistic(reference: &[u64], current: &[u64]) -> Option<f64> {
    let sizes = Sizes::of(reference, current)?;
    let (m, n, all) = (sizes.reference as f64, sizes.current as f64, sizes.pooled());
    let (mut below, mut sum) = ((0u64, 0u64), 0.0);
    for (&p, &q) in reference.iter().zip(current).filter(|&(&p, &q)| p > 0 || q > 0) {
        let tied = (p + q) as f64;
        let middle = |below: u64, here: u64| below as f64 + here as f64 / 2.0;
        let (f, g) = (middle(below.0, p), middle(below.1, q));
        let pooled = f + g;
        let spread = pooled * (all - pooled) - all * tied / 4.0;
        // Both samples deviate by the same amount: the counts of one follow from the other's.
        let deviation = (f * n - g * m).powi(2) * (1.0 / m + 1.0 / n);
        sum += if spread > 0.0 { tied * deviation / spread } else { 0.0 };
        below = (below.0 + p, below.1 + q);
    }
    Some(sum * (all - 1.0) / (all * all))
}

/// What undrifted rows exceed with the probability `chance` stands for, up to one in a hundred: to 2 %.
pub fn noise(chance: &Chance) -> f64 {
    chance.shared(2.0 * 3f64.sqrt()).normal().powi(2) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_floor_is_that_of_the_tables() {
        // Marsaglia and Marsaglia (2004): 3.878, 5.969.
        for (probability, quantile) in [(0.01, 3.878), (0.001, 5.969)] {
            let found = noise(&Chance::of(probability));
            assert!((found / quantile - 1.0).abs() < 0.02, "{probability}: {found}");
        }
    }

    #[test]
    fn all_values_in_one_bin_tell_nothing() {
        assert_eq!(statistic(&[0, 9, 0], &[0, 4, 0]), Some(0.0));
    }
}
