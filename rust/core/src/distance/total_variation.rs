//! Total variation: the largest difference of the probabilities of any set of cells. 0 to 1.
//!
//! TV = ½ Σ |p - q|, on the proportions as they are. For undrifted rows the differences are normal with the variance
//! p(1 - p)(1/n + 1/m) each, which gives the mean; the noise floor is an upper bound, the lower one of two:
//!
//! * TV ≤ ½ sqrt(Σ (p - q)²/p) by Cauchy and Schwarz, and that sum is chi-square (1/n + 1/m);
//! * TV is the largest of linear functions of a normal vector, none of which has a variance above (1/n + 1/m)/4, so it
//!   exceeds its mean by no more than a normal variable of that variance does (Gaussian isoperimetry: Borell, 1975;
//!   Sudakov and Tsirelson, 1974; its median is not above its mean: Kwapień, 1994).

use super::{Chance, Sizes};
use std::f64::consts::PI;

/// Total variation of pairs of proportions (p, q).
pub fn distance(proportions: impl Iterator<Item = (f64, f64)>) -> f64 {
    proportions.map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0
}

/// What rows score on average that are drawn from the reference proportions p.
pub fn expected(reference: impl Iterator<Item = f64>, sizes: &Sizes) -> f64 {
    let deviations: f64 = reference.map(|p| (p * (1.0 - p)).sqrt()).sum();
    (deviations * (sizes.variance() / (2.0 * PI)).sqrt()).min(1.0)
}

/// What undrifted rows exceed with at most the probability `chance` stands for, given their mean.
pub fn noise(chance: &Chance, sizes: &Sizes, expected: f64) -> f64 {
    let by_chi_square = (chance.chi_square(sizes.freedom()) * sizes.variance()).sqrt() / 2.0;
    let by_isoperimetry = expected + chance.normal() * sizes.variance().sqrt() / 2.0;
    by_chi_square.min(by_isoperimetry).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::Distance;
    use super::*;

    #[test]
    fn the_definition_by_hand() {
        let found = Distance::TotalVariation.between(&[2, 2, 4], &[1, 4, 5]).unwrap();
        assert!((found - 0.15).abs() < 1e-15); // ½ (.15 + .15 + 0)
    }

    #[test]
    fn two_cells_have_the_noise_of_a_single_share() {
        let sizes = Sizes { reference: 1_000, current: 1_000, cells: 2 };
        let found = noise(&Chance::of(0.001), &sizes, expected([0.5, 0.5].into_iter(), &sizes));
        assert!((found - 3.2905 * (0.25f64 * 0.002).sqrt()).abs() < 1e-4, "{found}");
    }
}
