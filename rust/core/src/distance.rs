//! How far the counts of a pane lie from those of the reference, and how far chance alone would carry them.
//!
//! All distances work on counts over the same cells, so they are exact for what was counted. A score without its
//! noise floor misleads: the PSI of 200 undrifted rows on 30 bins exceeds the customary 0.1 four times out of five.
//! So each distance comes with the value that chance exceeds with a given, small probability.
//!
//! ```
//! use pilotfish_core::distance::{Chance, Distance, Sizes};
//!
//! let (reference, pane) = ([500, 300, 200], [40, 32, 28]);
//! let score = Distance::Psi.between(&reference, &pane).unwrap();
//! let noise = Distance::Psi.noise(&Chance::of(0.001), &Sizes::of(&reference, &pane).unwrap());
//! assert!(score < noise); // a hundred rows say nothing against it
//! ```

pub mod chance;
pub mod jensen_shannon;
pub mod ks;
pub mod psi;

pub use chance::{Chance, Sizes};

/// The distances by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// Population stability index.
    Psi,
    /// Jensen-Shannon distance, base 2: 0 to 1.
    JensenShannon,
    /// Kolmogorov-Smirnov statistic on the edges of the bins: 0 to 1.
    Ks,
}

/// What is added to the count of every cell, so that an empty one does not make a logarithm infinite (Krichevsky and
/// Trofimov's estimator; Jeffreys' prior).
const SMOOTHING: f64 = 0.5;

// === impl Distance ===

impl Distance {
    pub const ALL: [Distance; 3] = [Distance::Psi, Distance::JensenShannon, Distance::Ks];

    pub fn from_name(name: &str) -> Option<Distance> {
        Distance::ALL.into_iter().find(|distance| distance.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Distance::Psi => "psi",
            Distance::JensenShannon => "jensen_shannon",
            Distance::Ks => "ks",
        }
    }

    /// The distance between two vectors of counts over the same cells (for KS in ascending order of the values).
    ///
    /// `None` when their lengths differ or one of them counted nothing.
    pub fn between(self, reference: &[u64], current: &[u64]) -> Option<f64> {
        match self {
            Distance::Psi => Some(psi::psi(smoothed(reference, current)?)),
            Distance::JensenShannon => Some(jensen_shannon::distance(smoothed(reference, current)?)),
            Distance::Ks => ks::statistic(reference, current),
        }
    }

    /// The value that undrifted rows exceed with the probability `chance` stands for.
    pub fn noise(self, chance: &Chance, sizes: &Sizes) -> f64 {
        match self {
            Distance::Psi => psi::noise(chance, sizes),
            Distance::JensenShannon => jensen_shannon::noise(chance, sizes),
            Distance::Ks => ks::noise(chance, sizes),
        }
    }
}

/// Pairs of proportions (reference p, current q), `(count + ½) / (n + B/2)`, over the B cells that are not empty on
/// both sides: those tell nothing, and would add a bias that grows with the difference of the sample sizes.
pub fn smoothed<'a>(
    reference: &'a [u64],
    current: &'a [u64],
) -> Option<impl Iterator<Item = (f64, f64)> + use<'a>> {
    let sizes = Sizes::of(reference, current)?;
    let mass = |total: u64| total as f64 + SMOOTHING * sizes.cells as f64;
    let (m, n) = (mass(sizes.reference), mass(sizes.current));
    let cells = reference.iter().zip(current).filter(|&(&p, &q)| p > 0 || q > 0);
    Some(cells.map(move |(&p, &q)| ((p as f64 + SMOOTHING) / m, (q as f64 + SMOOTHING) / n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_distance() {
        for distance in Distance::ALL {
            assert_eq!(Distance::from_name(distance.name()), Some(distance));
        }
        assert_eq!(Distance::from_name("euclid"), None);
    }

    #[test]
    fn counts_of_different_lengths_or_of_nothing_have_no_distance() {
        for distance in Distance::ALL {
            assert_eq!(distance.between(&[1, 2], &[1, 2, 3]), None);
            assert_eq!(distance.between(&[1, 2], &[0, 0]), None);
            assert_eq!(distance.between(&[], &[]), None);
        }
    }

    #[test]
    fn equal_proportions_of_equal_samples_are_no_distance_apart() {
        for distance in Distance::ALL {
            assert_eq!(distance.between(&[10, 0, 30], &[10, 0, 30]), Some(0.0));
        }
    }

    #[test]
    fn cells_empty_on_both_sides_change_nothing() {
        for distance in Distance::ALL {
            let with = distance.between(&[10, 0, 0, 30], &[20, 0, 0, 5]);
            assert_eq!(with, distance.between(&[10, 30], &[20, 5]));
        }
    }
}
