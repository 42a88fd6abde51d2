//! Population stability index: the customary measure of drift in credit scoring.
//!
//! PSI = Σ (q - p) ln(q / p), natural logarithm; the sum of the two Kullback-Leibler divergences. For undrifted rows
//! PSI / (1/n + 1/m) is distributed as chi-square with B - 1 degrees of freedom (Yurdakul, "Statistical Properties of
//! Population Stability Index", Western Michigan University, 2018), so its mean is (B - 1)(1/n + 1/m).

use super::{Chance, Sizes};

/// PSI of pairs of proportions (p, q), all above zero.
pub fn psi(proportions: impl Iterator<Item = (f64, f64)>) -> f64 {
    proportions.map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

/// What undrifted rows score on average.
pub fn expected(sizes: &Sizes) -> f64 {
    sizes.freedom() * sizes.variance()
}

/// What undrifted rows exceed with the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes) -> f64 {
    chance.chi_square(sizes.freedom()) * sizes.variance()
}

#[cfg(test)]
mod tests {
    use super::super::Distance;
    use super::*;

    #[test]
    fn the_definition_by_hand() {
        let score = psi([(0.5, 0.25), (0.5, 0.75)].into_iter());
        assert!((score - 0.25 * 3f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn counts_are_smoothed_by_one_half() {
        // p = (9.5, 0.5)/10 … with two cells: (9 + .5)/(9 + 1) and (0 + .5)/(9 + 1).
        let expected = psi([(0.95, 0.5), (0.05, 0.5)].into_iter());
        let score = Distance::Psi.between(&[9, 0], &[7, 7]).unwrap();
        assert!((score - expected).abs() < 1e-15);
    }

    #[test]
    fn the_noise_floor_is_that_of_the_literature() {
        // [R] 30 bins, n = 1000: a mean of 0.032 was simulated; the formula gives 0.0319 for a reference of 10,000.
        let sizes = Sizes { reference: 10_000, current: 1_000, cells: 30 };
        assert!((expected(&sizes) - 0.0319).abs() < 1e-4);
        // chi-square 99.9 % quantile with 29 degrees of freedom: 58.301.
        let noise = noise(&Chance::of(0.001), &sizes);
        assert!((noise / (58.301 * 0.0011) - 1.0).abs() < 0.005, "{noise}");
    }
}
