//! Energy distance: twice the mean distance between the samples, less the mean distances within each, as a root.
//!
//! D = sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|) = sqrt(2 ∫ (F - G)² dx) (Székely and Rizzo, "Energy statistics", 2013).
//! What is exported is the lower end of its bracket. The finite values count; infinities have no distance.
//!
//! For undrifted rows E D² = (1/n + 1/m) E|X - X'|, and D² is a weighted sum of chi-squares with that mean, whose upper
//! tail (up to 21.5 %) is no heavier than that of a single one with it (Székely and Bakirov, "Extremal probabilities for
//! Gaussian quadratic forms", 2003).

use super::{Chance, Sizes, Spread};

/// What undrifted rows score on average, at most: the root of the mean square.
pub fn expected(sizes: &Sizes, spread: &Spread) -> f64 {
    (sizes.variance() * spread.mean_difference).sqrt()
}

/// What undrifted rows exceed with at most the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes, spread: &Spread) -> f64 {
    expected(sizes, spread) * chance.shared(2.0).normal()
}
