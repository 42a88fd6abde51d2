//! Distances as other libraries define them: for people who compare with numbers that one of those has printed.
//!
//! A score of one name means something else in each: evidently replaces empty bins by 0.0001, frouros by the smallest
//! float, which makes its PSI explode; evidently's Jensen-Shannon distance is in nats, nannyml's in bits. These are their
//! formulae, on bins that both sides share; where each of them puts its bins is left out. For everything else use
//! [`Distance::between`], which knows its noise.
//!
//! * evidently 0.7: `legacy/calculations/stattests`
//! * nannyml 0.13: `drift/univariate/methods.py`
//! * frouros 0.9: `detectors/data_drift/batch/distance_based`

use super::{Distance, chi_square, shares};

/// A library whose definitions can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    Evidently,
    Nannyml,
    Frouros,
}

/// Pairs of proportions (reference p, current q).
type Shares = Vec<(f64, f64)>;

// === impl Library ===

impl Library {
    pub const ALL: [Library; 3] = [Library::Evidently, Library::Nannyml, Library::Frouros];

    pub fn name(self) -> &'static str {
        match self {
            Library::Evidently => "evidently",
            Library::Nannyml => "nannyml",
            Library::Frouros => "frouros",
        }
    }

    pub fn from_name(name: &str) -> Option<Library> {
        Library::ALL.into_iter().find(|library| library.name() == name)
    }

    /// The distances that the library computes from bins.
    pub fn distances(self) -> &'static [Distance] {
        match self {
            Library::Evidently => &[
                Distance::Psi,
                Distance::KullbackLeibler,
                Distance::JensenShannon,
                Distance::Hellinger,
                Distance::TotalVariation,
            ],
            Library::Nannyml => {
                &[Distance::JensenShannon, Distance::Hellinger, Distance::LInfinity, Distance::ChiSquare]
            }
            Library::Frouros => &[
                Distance::Psi,
                Distance::KullbackLeiblerReverse,
                Distance::JensenShannon,
                Distance::Hellinger,
                Distance::TotalVariation,
            ],
        }
    }

    /// The distance of two vectors of counts over the same cells, as the library has it; infinite where it says so.
    ///
    /// `None` when the library has no such distance, or the counts have none.
    pub fn between(self, distance: Distance, reference: &[u64], current: &[u64]) -> Option<f64> {
        let pairs: Shares = shares(reference, current)?.filter(|&(p, q)| p > 0.0 || q > 0.0).collect();
        self.distances().contains(&distance).then_some(())?;
        match (self, distance) {
            (Library::Evidently, Distance::Psi) => Some(psi(&filled(&pairs, floor_of_evidently))),
            (Library::Evidently, Distance::KullbackLeibler) => {
                Some(entropy(&filled(&pairs, floor_of_evidently)))
            }
            (Library::Evidently | Library::Frouros, Distance::JensenShannon) => Some(jensen_shannon(&pairs)),
            (Library::Nannyml, Distance::JensenShannon) => {
                Some((jensen_shannon(&left_over(&pairs)).powi(2) / std::f64::consts::LN_2).sqrt())
            }
            (Library::Nannyml, Distance::Hellinger) => Some(hellinger(&left_over(&pairs))),
            (Library::Evidently, Distance::Hellinger) => {
                let overlap: f64 = pairs.iter().map(|(p, q)| (p * q).sqrt()).sum();
                Some((1.0 - overlap.clamp(0.0, 1.0)).sqrt())
            }
            (_, Distance::Hellinger) => Some(hellinger(&pairs)),
            (Library::Frouros, Distance::Psi) => Some(psi(&filled(&pairs, |_| f64::MIN_POSITIVE))),
            (Library::Frouros, Distance::KullbackLeiblerReverse) => {
                Some(pairs.iter().map(|&(p, q)| relative_entropy(q, p)).sum())
            }
            // Frouros calls it the complement of the histograms' intersection.
            (_, Distance::TotalVariation) => {
                Some(0.5 * pairs.iter().map(|(p, q)| (p - q).abs()).sum::<f64>())
            }
            (_, Distance::LInfinity) => Some(pairs.iter().map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)),
            (_, Distance::ChiSquare) => contingency(reference, current, pairs.len()),
            _ => None,
        }
    }
}

fn psi(pairs: &[(f64, f64)]) -> f64 {
    pairs.iter().map(|(p, q)| (p - q) * (p / q).ln()).sum()
}

/// `scipy.stats.entropy(p, q)`: both are made to add up to one first.
fn entropy(pairs: &[(f64, f64)]) -> f64 {
    let (all_p, all_q) = pairs.iter().fold((0.0, 0.0), |(a, b), (p, q)| (a + p, b + q));
    pairs.iter().map(|&(p, q)| relative_entropy(p / all_p, q / all_q)).sum()
}

/// `scipy.spatial.distance.jensenshannon`, in nats.
fn jensen_shannon(pairs: &[(f64, f64)]) -> f64 {
    let halves = |&(p, q): &(f64, f64)| {
        let middle = (p + q) / 2.0;
        relative_entropy(p, middle) + relative_entropy(q, middle)
    };
    (pairs.iter().map(halves).sum::<f64>() / 2.0).max(0.0).sqrt()
}

fn hellinger(pairs: &[(f64, f64)]) -> f64 {
    let squares: f64 = pairs.iter().map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum();
    squares.sqrt() / 2f64.sqrt()
}

/// `scipy.special.rel_entr`.
fn relative_entropy(p: f64, q: f64) -> f64 {
    match (p > 0.0, q > 0.0) {
        (false, _) => 0.0,
        (true, false) => f64::INFINITY,
        (true, true) => p * (p / q).ln(),
    }
}

/// What the reference does not have, in a single bin behind the others.
fn left_over(pairs: &[(f64, f64)]) -> Shares {
    let (known, new): (Shares, Shares) = pairs.iter().partition(|pair| pair.0 > 0.0);
    let rest: f64 = new.iter().map(|pair| pair.1).sum();
    known.into_iter().chain((rest > 0.0).then_some((0.0, rest))).collect()
}

/// Empty shares replaced by what `floor` makes of the smallest one that is not empty; not normalised again.
fn filled(pairs: &[(f64, f64)], floor: impl Fn(f64) -> f64) -> Shares {
    let smallest = |side: fn(&(f64, f64)) -> f64| {
        pairs.iter().map(side).filter(|&share| share > 0.0).fold(f64::INFINITY, f64::min)
    };
    let (of_p, of_q) = (floor(smallest(|pair| pair.0)), floor(smallest(|pair| pair.1)));
    let or = |share: f64, floor: f64| if share == 0.0 { floor } else { share };
    pairs.iter().map(|&(p, q)| (or(p, of_p), or(q, of_q))).collect()
}

fn floor_of_evidently(smallest: f64) -> f64 {
    if smallest <= 0.0001 { smallest / 1e6 } else { 0.0001 }
}

/// `scipy.stats.chi2_contingency` on two rows: with Yates' correction where there are two columns.
fn contingency(reference: &[u64], current: &[u64], columns: usize) -> Option<f64> {
    if columns != 2 {
        return chi_square::statistic(reference, current);
    }
    let table: Vec<[f64; 2]> = reference
        .iter()
        .zip(current)
        .filter(|&(&p, &q)| p > 0 || q > 0)
        .map(|(&p, &q)| [p as f64, q as f64])
        .collect();
    let rows = [0, 1].map(|row| table.iter().map(|column| column[row]).sum::<f64>());
    let all = rows[0] + rows[1];
    let mut statistic = 0.0;
    for column in &table {
        for row in [0, 1] {
            let expected = rows[row] * (column[0] + column[1]) / all;
            let gap = (column[row] - expected).abs();
            statistic += (gap - gap.min(0.5)).powi(2) / expected;
        }
    }
    Some(statistic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: [u64; 4] = [40, 30, 20, 10];
    const CURRENT: [u64; 4] = [10, 20, 30, 0];

    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    #[test]
    fn evidently_fills_empty_bins_and_does_not_normalise() {
        let pairs = [(0.4, 1.0 / 6.0), (0.3, 1.0 / 3.0), (0.2, 0.5), (0.1, 0.0001)];
        let expected: f64 = pairs.iter().map(|(p, q): &(f64, f64)| (p - q) * (p / q).ln()).sum();
        close(Library::Evidently.between(Distance::Psi, &REFERENCE, &CURRENT), expected);
    }

    #[test]
    fn frouros_makes_an_empty_bin_explode() {
        assert!(Library::Frouros.between(Distance::Psi, &REFERENCE, &CURRENT).unwrap() > 70.0);
        let gone = Library::Frouros.between(Distance::KullbackLeiblerReverse, &CURRENT, &REFERENCE);
        assert_eq!(gone, Some(f64::INFINITY));
    }

    #[test]
    fn the_bases_of_jensen_and_shannon_differ() {
        let apart: ([u64; 2], [u64; 2]) = ([5, 0], [0, 5]);
        close(Library::Nannyml.between(Distance::JensenShannon, &apart.0, &apart.1), 1.0);
        close(Library::Evidently.between(Distance::JensenShannon, &apart.0, &apart.1), 2f64.ln().sqrt());
    }

    #[test]
    fn two_columns_are_corrected_as_yates_did() {
        // scipy.stats.chi2_contingency([[12, 5], [6, 9]]).statistic
        close(Library::Nannyml.between(Distance::ChiSquare, &[12, 5], &[6, 9]), 1.914_223_467_164_643_6);
        let more = Library::Nannyml.between(Distance::ChiSquare, &REFERENCE, &CURRENT);
        assert_eq!(more, Distance::ChiSquare.between(&REFERENCE, &CURRENT));
    }

    #[test]
    fn a_library_has_only_its_own_distances() {
        for library in Library::ALL {
            assert_eq!(Library::from_name(library.name()), Some(library));
            for distance in Distance::ALL {
                let known = library.distances().contains(&distance);
                assert_eq!(library.between(distance, &REFERENCE, &CURRENT).is_some(), known, "{distance:?}");
                assert_eq!(library.between(distance, &[], &[]), None);
            }
        }
    }
}
