//! HDDM_A: the mean of all values has left the bound it once kept, by Hoeffding's inequality.
//!
//! Frías-Blanco, del Campo-Ávila, Ramos-Jiménez, Morales-Bueno, Ortiz-Díaz, Caballero-Mota: Online and non-parametric
//! drift detection methods based on Hoeffding's bounds. IEEE Transactions on Knowledge and Data Engineering 27 (2014),
//! pages 810-823; the A-test. Takes numbers from 0 to 1, such as a loss, or 1 for a wrong answer.
//!
//! ```
//! use pilotfish_core::detect::hddm_a::HddmA;
//! use pilotfish_core::detect::sequential::{Sequential, Verdict};
//!
//! let mut detector = HddmA::default();
//! let wrong = |row: u32| f64::from(u8::from(if row < 1_000 { row.is_multiple_of(10) } else { row.is_multiple_of(2) }));
//! let found = (0..2_000).find(|&row| matches!(detector.update(wrong(row)), Verdict::Drift(_)));
//! assert!(found.is_some_and(|row| (1_000..1_100).contains(&row)));
//! ```

use super::running::Mean;
use super::sequential::{Domain, Drift, Sequential, Side, Verdict, require_confidence};
use crate::error::ConfigurationError;
use serde::Deserialize;

/// How to watch with [`HddmA`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HddmASettings {
    /// Probabilities below which chance is ruled out: for a drift, and for a warning.
    pub drift_confidence: f64,
    pub warning_confidence: f64,
    /// Whether a mean that falls is a change as well.
    pub two_sided_test: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct HddmA {
    settings: HddmASettings,
    /// All values.
    all: Mean,
    /// The values up to where their upper bound was lowest, and up to where their lower bound was highest.
    lowest: Mean,
    highest: Mean,
}

// === impl HddmASettings ===

impl Default for HddmASettings {
    fn default() -> HddmASettings {
        HddmASettings { drift_confidence: 0.001, warning_confidence: 0.005, two_sided_test: false }
    }
}

// === impl HddmA ===

impl HddmA {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: HddmASettings) -> Result<HddmA, ConfigurationError> {
        require_confidence("drift_confidence", settings.drift_confidence)?;
        require_confidence("warning_confidence", settings.warning_confidence)?;
        Ok(HddmA { settings, ..HddmA::default() })
    }

    /// Half the width of the interval around a mean.
    fn bound(&self, mean: &Mean) -> f64 {
        (1.0 / (2.0 * mean.n) * (1.0 / self.settings.drift_confidence).ln()).sqrt()
    }

    fn move_cuts(&mut self) {
        if self.lowest.n == 0.0 {
            self.lowest = self.all;
        }
        if self.highest.n == 0.0 {
            self.highest = self.all;
        }
        let bound = self.bound(&self.all);
        if self.lowest.value + self.bound(&self.lowest) >= self.all.value + bound {
            self.lowest = self.all;
        }
        if self.highest.value - self.bound(&self.highest) <= self.all.value - bound {
            self.highest = self.all;
        }
    }

    fn has_risen(&self, confidence: f64) -> bool {
        let cut = &self.lowest;
        cut.n < self.all.n && self.all.value - cut.value >= self.least_change(cut, confidence)
    }

    fn has_fallen(&self, confidence: f64) -> bool {
        let cut = &self.highest;
        cut.n < self.all.n && cut.value - self.all.value >= self.least_change(cut, confidence)
    }

    /// The difference between the mean before the cut and the mean of all that chance does not explain.
    fn least_change(&self, cut: &Mean, confidence: f64) -> f64 {
        let share = (self.all.n - cut.n) / cut.n * (1.0 / self.all.n);
        (share / 2.0 * (2.0 / confidence).ln()).sqrt()
    }
}

impl Sequential for HddmA {
    fn domain(&self) -> Domain {
        Domain::Unit
    }

    fn update(&mut self, value: f64) -> Verdict {
        if !self.domain().contains(value) {
            return Verdict::Quiet;
        }
        self.all.update(value);
        self.move_cuts();
        let HddmASettings { drift_confidence, warning_confidence, two_sided_test } = self.settings;
        let cut = if self.has_risen(drift_confidence) {
            Some((Side::Up, self.lowest))
        } else {
            (two_sided_test && self.has_fallen(drift_confidence)).then_some((Side::Down, self.highest))
        };
        if let Some((side, cut)) = cut {
            let since = self.all.count() - cut.count();
            *self = HddmA { settings: self.settings.clone(), ..HddmA::default() };
            return Drift::verdict(since, side);
        }
        let warns =
            self.has_risen(warning_confidence) || two_sided_test && self.has_fallen(warning_confidence);
        if warns { Verdict::Warning } else { Verdict::Quiet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_that_falls_counts_only_if_asked_for() {
        let value = |row: u32| {
            f64::from(u8::from(if row < 2_000 { row.is_multiple_of(2) } else { row.is_multiple_of(10) }))
        };
        for two_sided_test in [false, true] {
            let mut detector = HddmA::new(HddmASettings { two_sided_test, ..Default::default() }).unwrap();
            let side = (0..4_000).find_map(|row| match detector.update(value(row)) {
                Verdict::Drift(drift) => drift.side,
                Verdict::Quiet | Verdict::Warning => None,
            });
            assert_eq!(side, two_sided_test.then_some(Side::Down));
        }
    }
}
