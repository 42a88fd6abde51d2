//! Jensen-Shannon distance: the square root of the mean divergence of both distributions from their average, base 2.
//!
//! JS = sqrt(½ KL(p‖M) + ½ KL(q‖M)), M = (p + q)/2 (Lin, "Divergence measures based on the Shannon entropy", 1991;
//! a metric by Endres and Schindelin, 2003). 0 for equal, 1 for disjoint distributions. Close to p = q the divergence
//! is PSI / (8 ln 2), from which its noise floor follows.

use super::{Chance, Sizes};
use std::f64::consts::LN_2;

/// Distance of pairs of proportions (p, q), all above zero.
pub fn distance(proportions: impl Iterator<Item = (f64, f64)>) -> f64 {
    let divergence: f64 = proportions
        .map(|(p, q)| {
            let middle = (p + q) / 2.0;
            0.5 * (p * (p / middle).log2() + q * (q / middle).log2())
        })
        .sum();
    divergence.max(0.0).sqrt() // rounding may leave a tiny negative number
}

/// What undrifted rows score on average.
pub fn expected(sizes: &Sizes) -> f64 {
    (sizes.variance() / (8.0 * LN_2)).sqrt() * sizes.mean_chi()
}

/// What undrifted rows exceed with the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes) -> f64 {
    (chance.chi_square(sizes.freedom()) * sizes.variance() / (8.0 * LN_2)).sqrt().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Distance, psi};
    use super::*;

    #[test]
    fn the_definition_by_hand() {
        // M = (3/8, 5/8): ½[½ lb(4/3) + ½ lb(4/5)] + ½[¼ lb(2/3) + ¾ lb(6/5)]
        let lb = f64::log2;
        let expected = 0.25 * (lb(4.0 / 3.0) + lb(0.8)) + 0.125 * lb(2.0 / 3.0) + 0.375 * lb(1.2);
        let found = distance([(0.5, 0.25), (0.5, 0.75)].into_iter());
        assert!((found - expected.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn disjoint_counts_are_nearly_one_apart() {
        let found = Distance::JensenShannon.between(&[1_000_000, 0], &[0, 1_000_000]).unwrap();
        assert!(found > 0.999 && found <= 1.0, "{found}");
    }

    #[test]
    fn close_to_equality_its_square_is_psi_over_eight_ln_two() {
        let pairs = [(0.3, 0.301), (0.7, 0.699)];
        let square = distance(pairs.into_iter()).powi(2);
        let ratio = square / (psi::psi(pairs.into_iter()) / (8.0 * LN_2));
        assert!((ratio - 1.0).abs() < 1e-4, "{ratio}");
    }
}
