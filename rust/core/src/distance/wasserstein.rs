//! Wasserstein-1 distance: how far mass has to be moved to turn one distribution into the other, in the feature's unit.
//!
//! W1 = ∫ |F - G| dx (Vallender, 1974; the dual of Kantorovich and Rubinstein). Divided by the standard deviation of the
//! reference it has no unit. What is exported is the lower end of its bracket, which is exact unless the distribution
//! functions cross within a bin. The finite values count; infinities have no distance.
//!
//! For undrifted rows F(x) - G(x) is normal with the variance F(1 - F)(1/n + 1/m), so that the mean is
//! sqrt(2(1/n + 1/m)/π) ∫ sqrt(F(1 - F)) dx (del Barrio, Giné and Matrán, 1999: for a finite integral). W1 is the
//! largest of ∫ f d(F - G) over functions f of slope at most 1, none of which varies more than x itself, so it exceeds
//! its mean by no more than a normal variable with the variance Var(x)(1/n + 1/m) does (Gaussian isoperimetry).

use super::{Chance, Sizes, Spread};
use std::f64::consts::PI;

/// What undrifted rows score on average, at most.
pub fn expected(sizes: &Sizes, spread: &Spread) -> f64 {
    (2.0 * sizes.variance() / PI).sqrt() * spread.root_area
}

/// What undrifted rows exceed with at most the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes, spread: &Spread) -> f64 {
    expected(sizes, spread) + chance.normal() * spread.std * sizes.variance().sqrt()
}
