//! Which of many features have changed: the e-detector Benjamini-Hochberg rule, and the mean over all features.
//!
//! The mean of e-detectors is an e-detector, however features depend on each other: it alarms for the model as a whole
//! when it reaches the level. Of F features, the k with the largest evidence are flagged when each of them holds at
//! least F/k times the level. Whenever anything is flagged the mean has reached the level; so, as long as no feature
//! has changed, the mean time until any of them is flagged is at least what the user set, for the whole model.
//! (Dandapanthula and Ramdas, "Multiple testing in multi-stream sequential change detection", arXiv 2501.04130; Wang
//! and Ramdas, "False discovery rate control with e-values", JRSS-B 2022.)

use serde::{Deserialize, Serialize};

/// What the evidence of all features adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Discovery {
    /// Evidence at which a feature is flagged; with nothing flagged, what the first one would need.
    pub level: f64,
    /// How many features are flagged.
    pub flagged: usize,
    /// Mean evidence.
    pub mean: f64,
}

/// Room for rounding where the mean is compared with the level.
const ROUNDING: f64 = 1e-9;

/// Judges the evidence of all features against the `level` that one feature alone would have to reach.
pub fn discover(evidence: &mut [f64], level: f64) -> Discovery {
    let features = evidence.len().max(1) as f64;
    let mean: f64 = evidence.iter().map(|value| value / features).sum();
    let bar = |flagged: usize| level * features / flagged as f64;
    if mean < level * (1.0 - ROUNDING) {
        return Discovery { level: bar(1), flagged: 0, mean };
    }
    evidence.sort_unstable_by(|a, b| b.total_cmp(a));
    let reached = (1..=evidence.len()).rev().find(|&flagged| evidence[flagged - 1] >= bar(flagged));
    Discovery { level: bar(reached.unwrap_or(1)), flagged: reached.unwrap_or(0), mean }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_feature_among_many_needs_as_much_more() {
        assert_eq!(discover(&mut [99.0, 0.0, 0.0, 0.0], 25.0).flagged, 0);
        let found = discover(&mut [0.0, 100.0, 0.0, 0.0], 25.0);
        assert_eq!((found.flagged, found.level, found.mean), (1, 100.0, 25.0));
    }

    #[test]
    fn several_features_help_each_other() {
        let found = discover(&mut [50.0, 0.0, 50.0, 1.0], 25.0);
        assert_eq!((found.flagged, found.level), (2, 50.0));
    }

    #[test]
    fn no_features_are_no_evidence() {
        assert_eq!(discover(&mut [], 5.0), Discovery { level: 5.0, flagged: 0, mean: 0.0 });
    }

    proptest! {
        #[test]
        fn whatever_is_flagged_the_mean_has_reached_the_level(
            mut evidence in prop::collection::vec(0f64..1e4, 1..60), level in 1f64..1e3,
        ) {
            let expected = evidence.clone();
            let found = discover(&mut evidence, level);
            if found.flagged > 0 {
                prop_assert!(found.mean >= level * (1.0 - 1e-12));
            }
            prop_assert_eq!(found.flagged, expected.iter().filter(|&&value| value >= found.level).count());
        }
    }
}
