//! All distances of a pane from its reference, each with what chance alone would make of it.

use super::{
    Brackets, Chance, Distance, Sizes, Spread, anderson_darling, chi_square, cramer_von_mises, energy,
    hellinger, jensen_shannon, ks, kullback_leibler, l_infinity, psi, shares, total_variation, wasserstein,
};
use crate::sketch::binning::{self, Kind};
use crate::sketch::bins::Bins;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// One distance. What is not known, or not finite, is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    pub value: f64,
    /// What undrifted rows score on average, for samples of these sizes.
    pub expected: Option<f64>,
    /// What undrifted rows exceed with the probability asked for.
    pub noise: Option<f64>,
    /// Between which bounds the distance of the raw values lies for certain, where the value is that of their bins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// The distances of a pane, in the order of [`Distance::ALL`]; those that do not exist for the feature are left out.
/// Serialises as a map by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distances([Option<Measured>; Distance::ALL.len()]);

// === impl Measured ===

impl Measured {
    /// One distance of two vectors of counts over the same cells, in ascending order where it needs one. `None` when there
    /// is none, or counts are not enough.
    pub fn of_counts(
        distance: Distance,
        reference: &[u64],
        current: &[u64],
        chance: &Chance,
    ) -> Option<Measured> {
        let sizes = Sizes::of(reference, current)?;
        let mut found = Distances([None; Distance::ALL.len()]);
        if distance.needs_order() {
            found.add_of_order(reference, current, &sizes, chance);
        } else {
            found.add_of_cells(reference, current, &sizes, chance);
        }
        found.get(distance).copied()
    }
}

// === impl Distances ===

impl Distances {
    /// The distances of `current` from `reference`, which has this spread; `None` when their bins differ or one of them
    /// is empty. Noise is what undrifted rows exceed with the probability `chance` stands for.
    pub fn of(reference: &Bins, current: &Bins, spread: &Spread, chance: &Chance) -> Option<Distances> {
        let (f, g) = (compared(reference), compared(current));
        let all = Sizes::of(&f, &g)?;
        let mut found = Distances([None; Distance::ALL.len()]);
        found.add_of_cells(&f, &g, &all, chance);
        if reference.binning().kind() != Kind::Category {
            let (f, g) = (&reference.cells()[binning::NEG_INF..], &current.cells()[binning::NEG_INF..]);
            if let Some(sizes) = Sizes::of(f, g) {
                found.add_of_order(f, g, &sizes, chance);
            }
        }
        if let Some(brackets) = Brackets::of(reference, current) {
            found.add_of_places(&brackets, &finite(reference, current), spread, chance);
            found.bound(&brackets);
        }
        Some(found)
    }

    /// One of them.
    pub fn get(&self, distance: Distance) -> Option<&Measured> {
        self.0[distance as usize].as_ref()
    }

    /// Those that exist, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (Distance, &Measured)> {
        Distance::ALL.into_iter().filter_map(|distance| Some((distance, self.get(distance)?)))
    }

    fn set(&mut self, distance: Distance, value: Option<f64>, expected: Option<f64>, noise: f64) {
        let finite = |number: &f64| number.is_finite();
        self.0[distance as usize] = value.filter(finite).map(|value| Measured {
            value,
            expected: expected.filter(finite),
            noise: Some(noise).filter(finite),
            low: None,
            high: None,
        });
    }

    /// Those that look at every cell for itself.
    fn add_of_cells(&mut self, f: &[u64], g: &[u64], sizes: &Sizes, chance: &Chance) {
        let reference = || shares(f, g).into_iter().flatten().map(|(p, _)| p);
        let spread_out = total_variation::expected(reference(), sizes);
        for (distance, expected, noise) in [
            (Distance::Psi, Some(psi::expected(sizes)), psi::noise(chance, sizes)),
            (
                Distance::JensenShannon,
                Some(jensen_shannon::expected(sizes)),
                jensen_shannon::noise(chance, sizes),
            ),
            (
                Distance::KullbackLeibler,
                Some(kullback_leibler::expected(sizes)),
                kullback_leibler::noise(chance, sizes),
            ),
            (
                Distance::KullbackLeiblerReverse,
                Some(kullback_leibler::expected(sizes)),
                kullback_leibler::noise(chance, sizes),
            ),
            (Distance::Hellinger, Some(hellinger::expected(sizes)), hellinger::noise(chance, sizes)),
            (Distance::TotalVariation, Some(spread_out), total_variation::noise(chance, sizes, spread_out)),
            (Distance::LInfinity, None, l_infinity::noise(chance, sizes, reference())),
            (Distance::ChiSquare, Some(chi_square::expected(sizes)), chi_square::noise(chance, sizes)),
        ] {
            self.set(distance, distance.between(f, g), expected, noise);
        }
        if let Some(measured) = &mut self.0[Distance::ChiSquare as usize]
            && !chi_square::has_law(f, g, sizes)
        {
            (measured.expected, measured.noise) = (None, None);
        }
    }

    /// Those that follow the distribution functions.
    fn add_of_order(&mut self, f: &[u64], g: &[u64], sizes: &Sizes, chance: &Chance) {
        for (distance, expected, noise) in [
            (Distance::Ks, ks::expected(sizes), ks::noise(chance, sizes)),
            (Distance::CramerVonMises, cramer_von_mises::expected(sizes), cramer_von_mises::noise(chance)),
            (Distance::AndersonDarling, anderson_darling::EXPECTED, anderson_darling::noise(chance)),
        ] {
            self.set(distance, distance.between(f, g), Some(expected), noise);
        }
    }

    /// Those that are measured in the feature's unit.
    fn add_of_places(&mut self, brackets: &Brackets, sizes: &Sizes, spread: &Spread, chance: &Chance) {
        let low = |bracket: Option<super::Bracket>| bracket.map(|bracket| bracket.low);
        let (expected, noise) =
            (wasserstein::expected(sizes, spread), wasserstein::noise(chance, sizes, spread));
        self.set(Distance::Wasserstein, low(brackets.wasserstein), Some(expected), noise);
        let normalized = low(brackets.normalized(spread));
        let (expected, noise) = (expected / spread.std, noise / spread.std);
        self.set(Distance::WassersteinNormalized, normalized, Some(expected), noise);
        let (expected, noise) = (energy::expected(sizes, spread), energy::noise(chance, sizes, spread));
        self.set(Distance::Energy, low(brackets.energy), Some(expected), noise);
        for (distance, bracket) in [
            (Distance::Wasserstein, brackets.wasserstein),
            (Distance::WassersteinNormalized, brackets.normalized(spread)),
            (Distance::Energy, brackets.energy),
        ] {
            self.enclose(distance, bracket);
        }
    }

    fn bound(&mut self, brackets: &Brackets) {
        self.enclose(Distance::Ks, brackets.ks);
        self.enclose(Distance::CramerVonMises, brackets.cramer_von_mises);
    }

    fn enclose(&mut self, distance: Distance, bracket: Option<super::Bracket>) {
        if let (Some(measured), Some(bracket)) = (&mut self.0[distance as usize], bracket) {
            // The value knows nothing of unseen values, which the bracket allows for.
            measured.low = Some(bracket.low.min(measured.value));
            measured.high = Some(bracket.high.max(measured.value)).filter(|high| high.is_finite());
        }
    }
}

impl Serialize for Distances {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (distance, measured) in self.iter() {
            map.serialize_entry(distance.name(), measured)?;
        }
        map.end()
    }
}

/// The counts that are compared: a value that is missing is one, whether a NaN says so (an empty cell of a table of
/// numbers) or nothing does (an input that a message leaves out).
pub fn compared(bins: &Bins) -> Vec<u64> {
    let mut cells = bins.cells().to_vec();
    cells[binning::MISSING] += std::mem::take(&mut cells[binning::NAN]);
    cells
}

/// Values on both sides, of numbers the finite ones.
fn finite(reference: &Bins, current: &Bins) -> Sizes {
    let count = |bins: &Bins| {
        let beside = bins.under() + bins.over() + bins.unseen() + bins.others();
        (beside + bins.bins().iter().sum::<u64>()).max(1)
    };
    Sizes { reference: count(reference), current: count(current), cells: reference.binning().bins() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProfileBuilder;
    use crate::sketch::screen::Specials;
    use crate::tensor::Direction;

    #[test]
    fn a_missing_value_is_the_same_however_it_is_said() {
        let mut builder = ProfileBuilder::new("m", 8);
        let column: Vec<f64> = (0..100).map(|row| if row < 40 { f64::NAN } else { f64::from(row) }).collect();
        builder.add_column_f64("x", Direction::Input, &column).unwrap();
        let profile = builder.finish().unwrap();
        let reference = profile.get(Direction::Input, "x").unwrap();
        let mut left_out = reference.bins.clone();
        left_out.add_specials(&Specials { missing: 40, ..Specials::default() });
        let mut nan = reference.bins.clone();
        nan.add_specials(&Specials { nan: 40, ..Specials::default() });
        let distances =
            |bins| Distances::of(&reference.bins, bins, &Spread::of(reference), &Chance::of(0.001));
        assert_eq!(distances(&left_out), distances(&nan));
        assert!(distances(&left_out).unwrap().get(Distance::Psi).unwrap().value < 0.2);
    }
}
