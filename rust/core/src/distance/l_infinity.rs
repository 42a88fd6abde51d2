//! L-infinity distance: the largest change of the share of any one cell. 0 to 1.
//!
//! L∞ = max |p - q|, on the proportions as they are. It has no law of its own (it depends on all shares), so no mean is
//! given; the noise floor is Boole's bound over the cells: max |p - q| exceeds z(α/2B) standard deviations of the most
//! uncertain share with a probability of at most α, plus what the skewness of rare counts adds to that quantile (first
//! term of Cornish and Fisher, 1937, for the rarest of cells).

use super::{Chance, Sizes};

/// Distance of pairs of proportions (p, q).
pub fn distance(proportions: impl Iterator<Item = (f64, f64)>) -> f64 {
    proportions.map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)
}

/// What rows drawn from the reference proportions p exceed with at most the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes, reference: impl Iterator<Item = f64>) -> f64 {
    let widest = reference.map(|p| p * (1.0 - p)).fold(0.0, f64::max);
    let each = chance.shared(2.0 * sizes.cells as f64);
    let skewness = (each.normal().powi(2) - 1.0).max(0.0) / 6.0 * sizes.variance();
    (each.normal() * (widest * sizes.variance()).sqrt() + skewness).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::Distance;

    #[test]
    fn the_definition_by_hand() {
        let found = Distance::LInfinity.between(&[2, 2, 4], &[1, 4, 5]).unwrap();
        assert!((found - 0.15).abs() < 1e-15);
    }
}
