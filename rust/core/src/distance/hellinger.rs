//! Hellinger distance: between two distributions as unit vectors of square roots. 0 to 1.
//!
//! H = sqrt(1 - Σ sqrt(p q)) (Hellinger, 1909; in this scale by Le Cam), on smoothed proportions: the root of a share that
//! happens to be empty would otherwise weigh four times what chi-square gives it. Close to p = q its square is chi-square
//! (1/n + 1/m) / 8.

use super::{Chance, Sizes};

/// Distance of pairs of proportions (p, q).
pub fn distance(proportions: impl Iterator<Item = (f64, f64)>) -> f64 {
    // The same as 1 - Σ sqrt(p q), without its cancellation.
    let square: f64 = proportions.map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum();
    (square / 2.0).min(1.0).sqrt()
}

/// What undrifted rows score on average.
pub fn expected(sizes: &Sizes) -> f64 {
    (sizes.variance() / 8.0).sqrt() * sizes.mean_chi()
}

/// What undrifted rows exceed with the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes) -> f64 {
    (chance.chi_square(sizes.freedom()) * sizes.variance() / 8.0).sqrt().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::Distance;
    use super::*;

    #[test]
    fn the_definition_by_hand() {
        let found = distance([(0.5, 0.25), (0.5, 0.75)].into_iter());
        assert!((found - (1.0 - 0.125f64.sqrt() - 0.375f64.sqrt()).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn disjoint_counts_are_nearly_one_apart() {
        let found = Distance::Hellinger.between(&[1_000_000, 0], &[0, 1_000_000]).unwrap();
        assert!(found > 0.999 && found <= 1.0, "{found}");
    }
}
