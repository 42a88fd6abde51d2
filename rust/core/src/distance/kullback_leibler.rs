//! Kullback-Leibler divergence: what it costs to take one distribution for another, in nats. It has two directions.
//!
//! KL(p‖q) = Σ p ln(p / q) (Kullback and Leibler, "On information and sufficiency", 1951), p the reference and q the
//! current proportions; the other direction, KL(q‖p), weighs with what is seen now. Their sum is PSI. Close to p = q
//! each is half of chi-square, so for undrifted rows 2 KL / (1/n + 1/m) is chi-square with B - 1 degrees of freedom.

use super::{Chance, Sizes};

/// KL(p‖q) of pairs of proportions (p, q), all above zero.
pub fn divergence(proportions: impl Iterator<Item = (f64, f64)>) -> f64 {
    proportions.map(|(p, q)| p * (p / q).ln()).sum::<f64>().max(0.0) // rounding may leave a tiny negative number
}

/// KL(q‖p) of pairs of proportions (p, q), all above zero.
pub fn reverse(proportions: impl Iterator<Item = (f64, f64)>) -> f64 {
    divergence(proportions.map(|(p, q)| (q, p)))
}

/// What undrifted rows score on average.
pub fn expected(sizes: &Sizes) -> f64 {
    sizes.freedom() * sizes.variance() / 2.0
}

/// What undrifted rows exceed with the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes) -> f64 {
    chance.chi_square(sizes.freedom()) * sizes.variance() / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::psi;
    use super::*;

    const PAIRS: [(f64, f64); 2] = [(0.5, 0.25), (0.5, 0.75)];

    #[test]
    fn the_definition_by_hand() {
        let (two, third) = (2f64.ln(), (2.0f64 / 3.0).ln());
        assert!((divergence(PAIRS.into_iter()) - 0.5 * (two + third)).abs() < 1e-15);
        assert!((reverse(PAIRS.into_iter()) + 0.25 * two + 0.75 * third).abs() < 1e-15);
    }

    #[test]
    fn both_directions_add_up_to_psi() {
        let sum = divergence(PAIRS.into_iter()) + reverse(PAIRS.into_iter());
        assert!((sum - psi::psi(PAIRS.into_iter())).abs() < 1e-15);
    }
}
