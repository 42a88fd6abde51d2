//! How far one profile lies from another, feature by feature.

use super::Profile;
use crate::distance::{Chance, Distances, Spread};
use crate::tensor::Direction;

/// One feature in two profiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub name: String,
    pub direction: Direction,
    /// `None` where the two cannot be compared.
    pub distances: Option<Distances>,
    /// Why they cannot.
    pub why_not: Option<&'static str>,
}

impl Profile {
    /// Every feature of either, in order of direction and name: how far it lies in `current` from what it is here. Noise is
    /// what undrifted rows exceed with the probability `chance` stands for.
    pub fn diff(&self, current: &Profile, chance: &Chance) -> Vec<Difference> {
        let mut keys: Vec<(Direction, &str)> = [self, current]
            .iter()
            .flat_map(|profile| profile.references())
            .map(|found| found.key())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|key| self.difference(current, key, chance)).collect()
    }

    fn difference(
        &self,
        current: &Profile,
        (direction, name): (Direction, &str),
        chance: &Chance,
    ) -> Difference {
        let compared = match (self.get(direction, name), current.get(direction, name)) {
            (Some(_), None) => Err("it is gone"),
            (None, _) => Err("it is new"),
            (Some(was), Some(is)) if was.bins.binning().kind() != is.bins.binning().kind() => {
                Err("its kind is another")
            }
            (Some(was), Some(is)) if was.bins.binning() != is.bins.binning() => {
                Err("its bins differ; build the other with --edges-from the first")
            }
            (Some(was), Some(is)) => {
                Distances::of(&was.bins, &is.bins, &Spread::of(was), chance).ok_or("it has no rows")
            }
        };
        let (distances, why_not) = match compared {
            Ok(distances) => (Some(distances), None),
            Err(reason) => (None, Some(reason)),
        };
        Difference { name: name.to_owned(), direction, distances, why_not }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProfileBuilder;
    use super::*;
    use crate::distance::Distance;

    const IN: Direction = Direction::Input;

    fn built(mut builder: ProfileBuilder, columns: &[(&str, &[f64])]) -> Profile {
        columns.iter().for_each(|(name, values)| builder.add_column_f64(name, IN, values).unwrap());
        builder.finish().unwrap()
    }

    #[test]
    fn the_same_edges_give_distances_with_their_noise() {
        let values: Vec<f64> = (0..1_000).map(f64::from).collect();
        let reference = built(ProfileBuilder::new("m", 16), &[("x", &values)]);
        let shifted: Vec<f64> = values.iter().map(|value| value + 200.0).collect();
        let current = built(ProfileBuilder::on(&reference), &[("x", &shifted)]);
        let found = &reference.diff(&current, &Chance::of(0.001))[0];
        let distances = found.distances.as_ref().unwrap();
        let psi = distances.get(Distance::Psi).unwrap();
        assert!(psi.value > psi.noise.unwrap() && psi.noise > psi.expected);
        assert!((distances.get(Distance::Wasserstein).unwrap().value - 200.0).abs() < 0.2);
        let same = &reference.diff(&reference, &Chance::of(0.001))[0];
        assert_eq!(same.distances.as_ref().unwrap().get(Distance::Psi).unwrap().value, 0.0);
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let a = built(ProfileBuilder::new("m", 16), &[("gone", &[1.0]), ("other", &[1.0, 2.0, 3.0])]);
        let b = built(ProfileBuilder::new("m", 16), &[("new", &[1.0]), ("other", &[1.0, 2.0, 9.0])]);
        let reasons: Vec<_> = a
            .diff(&b, &Chance::of(0.001))
            .into_iter()
            .map(|found| (found.name, found.distances.is_none(), found.why_not.unwrap()))
            .collect();
        let bins = "its bins differ; build the other with --edges-from the first";
        let expected = [("gone", "it is gone"), ("new", "it is new"), ("other", bins)];
        assert_eq!(reasons, expected.map(|(name, reason)| (name.to_owned(), true, reason)));
    }
}
