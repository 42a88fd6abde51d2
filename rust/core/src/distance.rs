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
//! let noise = Distance::Psi.noise(&Chance::of(0.001), &Sizes::of(&reference, &pane).unwrap()).unwrap();
//! assert!(score < noise); // a hundred rows say nothing against it
//! ```

pub mod anderson_darling;
pub mod bracket;
pub mod chance;
pub mod chi_square;
pub mod compat;
pub mod cramer_von_mises;
pub mod energy;
pub mod hellinger;
pub mod jensen_shannon;
pub mod ks;
pub mod kullback_leibler;
pub mod l_infinity;
pub mod measured;
pub mod psi;
pub mod spread;
pub mod total_variation;
pub mod wasserstein;

pub use bracket::{Bracket, Brackets, FINE_BINS_MAX, Fine};
pub use chance::{Chance, Sizes};
pub use compat::Library;
pub use measured::{Distances, Measured, compared};
pub use spread::Spread;

/// The distances by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// Population stability index.
    Psi,
    /// Jensen-Shannon distance, base 2: 0 to 1.
    JensenShannon,
    /// Kolmogorov-Smirnov statistic on the edges of the bins: 0 to 1.
    Ks,
    /// Kullback-Leibler divergence of the reference from the current distribution, KL(reference‖current), in nats.
    KullbackLeibler,
    /// The same the other way round, KL(current‖reference).
    KullbackLeiblerReverse,
    /// Hellinger distance: 0 to 1.
    Hellinger,
    /// Total variation: 0 to 1.
    TotalVariation,
    /// Largest change of a cell's share: 0 to 1.
    LInfinity,
    /// Pearson's chi-square statistic.
    ChiSquare,
    /// Cramér-von Mises statistic.
    CramerVonMises,
    /// Anderson-Darling statistic.
    AndersonDarling,
    /// Wasserstein-1 distance, in the feature's unit.
    Wasserstein,
    /// Wasserstein-1 distance in standard deviations of the reference.
    WassersteinNormalized,
    /// Energy distance, in the root of the feature's unit.
    Energy,
}

/// What is added to the count of every cell, so that an empty one does not make a logarithm infinite (Krichevsky and
/// Trofimov's estimator; Jeffreys' prior).
const SMOOTHING: f64 = 0.5;

// === impl Distance ===

impl Distance {
    pub const ALL: [Distance; 14] = [
        Distance::Psi,
        Distance::JensenShannon,
        Distance::Ks,
        Distance::KullbackLeibler,
        Distance::KullbackLeiblerReverse,
        Distance::Hellinger,
        Distance::TotalVariation,
        Distance::LInfinity,
        Distance::ChiSquare,
        Distance::CramerVonMises,
        Distance::AndersonDarling,
        Distance::Wasserstein,
        Distance::WassersteinNormalized,
        Distance::Energy,
    ];

    pub fn from_name(name: &str) -> Option<Distance> {
        Distance::ALL.into_iter().find(|distance| distance.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Distance::Psi => "psi",
            Distance::JensenShannon => "jensen_shannon",
            Distance::Ks => "ks",
            Distance::KullbackLeibler => "kullback_leibler",
            Distance::KullbackLeiblerReverse => "kullback_leibler_reverse",
            Distance::Hellinger => "hellinger",
            Distance::TotalVariation => "total_variation",
            Distance::LInfinity => "l_infinity",
            Distance::ChiSquare => "chi_square",
            Distance::CramerVonMises => "cramer_von_mises",
            Distance::AndersonDarling => "anderson_darling",
            Distance::Wasserstein => "wasserstein",
            Distance::WassersteinNormalized => "wasserstein_normalized",
            Distance::Energy => "energy",
        }
    }

    /// The value that undrifted rows exceed with the probability `chance` stands for, where it depends on nothing but the
    /// sizes; [`Distances`] knows the others.
    pub fn noise(self, chance: &Chance, sizes: &Sizes) -> Option<f64> {
        match self {
            Distance::Psi => Some(psi::noise(chance, sizes)),
            Distance::JensenShannon => Some(jensen_shannon::noise(chance, sizes)),
            Distance::Ks => Some(ks::noise(chance, sizes)),
            Distance::KullbackLeibler | Distance::KullbackLeiblerReverse => {
                Some(kullback_leibler::noise(chance, sizes))
            }
            Distance::Hellinger => Some(hellinger::noise(chance, sizes)),
            Distance::ChiSquare => Some(chi_square::noise(chance, sizes)),
            Distance::CramerVonMises => Some(cramer_von_mises::noise(chance)),
            Distance::AndersonDarling => Some(anderson_darling::noise(chance)),
            Distance::TotalVariation
            | Distance::LInfinity
            | Distance::Wasserstein
            | Distance::WassersteinNormalized
            | Distance::Energy => None,
        }
    }

    /// Whether it takes the cells to be in ascending order, so that categories have none.
    pub fn needs_order(self) -> bool {
        matches!(self, Distance::Ks | Distance::CramerVonMises | Distance::AndersonDarling)
            || self.needs_places()
    }

    /// Whether counts are not enough, because it is measured in the feature's unit.
    pub fn needs_places(self) -> bool {
        matches!(self, Distance::Wasserstein | Distance::WassersteinNormalized | Distance::Energy)
    }

    /// The distance between two vectors of counts over the same cells (in ascending order of the values, where the
    /// distance needs one).
    ///
    /// `None` when their lengths differ, one of them counted nothing, or counts are not enough.
    pub fn between(self, reference: &[u64], current: &[u64]) -> Option<f64> {
        match self {
            Distance::Psi => Some(psi::psi(smoothed(reference, current)?)),
            Distance::JensenShannon => Some(jensen_shannon::distance(smoothed(reference, current)?)),
            Distance::Ks => ks::statistic(reference, current),
            Distance::KullbackLeibler => Some(kullback_leibler::divergence(smoothed(reference, current)?)),
            Distance::KullbackLeiblerReverse => {
                Some(kullback_leibler::reverse(smoothed(reference, current)?))
            }
            Distance::Hellinger => Some(hellinger::distance(smoothed(reference, current)?)),
            Distance::TotalVariation => Some(total_variation::distance(shares(reference, current)?)),
            Distance::LInfinity => Some(l_infinity::distance(shares(reference, current)?)),
            Distance::ChiSquare => chi_square::statistic(reference, current),
            Distance::CramerVonMises => cramer_von_mises::statistic(reference, current),
            Distance::AndersonDarling => anderson_darling::statistic(reference, current),
            Distance::Wasserstein | Distance::WassersteinNormalized | Distance::Energy => None,
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

/// Pairs of proportions (reference p, current q) as they are.
pub fn shares<'a>(
    reference: &'a [u64],
    current: &'a [u64],
) -> Option<impl Iterator<Item = (f64, f64)> + use<'a>> {
    let sizes = Sizes::of(reference, current)?;
    let (m, n) = (sizes.reference as f64, sizes.current as f64);
    Some(reference.iter().zip(current).map(move |(&p, &q)| (p as f64 / m, q as f64 / n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_counts() -> impl Iterator<Item = Distance> {
        Distance::ALL.into_iter().filter(|distance| !distance.needs_places())
    }

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
        for distance in of_counts() {
            assert_eq!(distance.between(&[10, 0, 30], &[10, 0, 30]), Some(0.0));
        }
    }

    #[test]
    fn cells_empty_on_both_sides_change_nothing() {
        for distance in of_counts() {
            let with = distance.between(&[10, 0, 0, 30], &[20, 0, 0, 5]);
            assert_eq!(with, distance.between(&[10, 30], &[20, 5]));
        }
    }
}
