//! DDM: the error rate of a model has risen above the lowest it ever was.
//!
//! Gama, Medas, Castillo, Rodrigues: Learning with drift detection. SBIA 2004, pages 286-295. Takes 1 for a wrong
//! answer and 0 for a right one.
//!
//! ```
//! use pilotfish_core::detect::ddm::Ddm;
//! use pilotfish_core::detect::sequential::{Sequential, Verdict};
//!
//! let mut detector = Ddm::default();
//! let wrong = |row: u32| f64::from(u8::from(if row < 1_000 { row.is_multiple_of(10) } else { row.is_multiple_of(2) }));
//! let found = (0..2_000).find(|&row| matches!(detector.update(wrong(row)), Verdict::Drift(_)));
//! assert_eq!(found, Some(1_048));
//! ```

use super::running::Mean;
use super::sequential::{Domain, Drift, Sequential, Side, Verdict, require};
use crate::error::ConfigurationError;
use serde::Deserialize;

/// How to watch with [`Ddm`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdmSettings {
    /// Values up to which nothing is found.
    pub warm_start: u64,
    /// Standard deviations above the lowest rate that are a warning, and a drift.
    pub warning_threshold: f64,
    pub drift_threshold: f64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Ddm {
    settings: DdmSettings,
    rate: Mean,
    lowest: Option<Lowest>,
}

/// The error rate and its standard deviation when their sum was lowest, and after how many values that was.
#[derive(Clone, Copy, Debug)]
struct Lowest {
    rate: f64,
    deviation: f64,
    at: u64,
}

// === impl DdmSettings ===

impl Default for DdmSettings {
    fn default() -> DdmSettings {
        DdmSettings { warm_start: 30, warning_threshold: 2.0, drift_threshold: 3.0 }
    }
}

// === impl Ddm ===

impl Ddm {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: DdmSettings) -> Result<Ddm, ConfigurationError> {
        let DdmSettings { warning_threshold, drift_threshold, .. } = settings;
        require(warning_threshold >= 0.0, "warning_threshold", warning_threshold, "a number from 0 on")?;
        require(drift_threshold >= 0.0, "drift_threshold", drift_threshold, "a number from 0 on")?;
        Ok(Ddm { settings, ..Ddm::default() })
    }
}

impl Sequential for Ddm {
    fn domain(&self) -> Domain {
        Domain::Bits
    }

    fn update(&mut self, value: f64) -> Verdict {
        if !self.domain().contains(value) {
            return Verdict::Quiet;
        }
        self.rate.update(value);
        let (rate, seen) = (self.rate.value, self.rate.count());
        let deviation = (rate * (1.0 - rate) / self.rate.n).sqrt();
        if seen <= self.settings.warm_start {
            return Verdict::Quiet;
        }
        let now = Lowest { rate, deviation, at: seen };
        let lowest =
            self.lowest.filter(|lowest| rate + deviation > lowest.rate + lowest.deviation).unwrap_or(now);
        self.lowest = Some(lowest);
        let above = |threshold: f64| rate + deviation > lowest.rate + threshold * lowest.deviation;
        if above(self.settings.drift_threshold) {
            (self.rate, self.lowest) = (Mean::default(), None);
            return Drift::verdict(seen - lowest.at, Side::Up);
        }
        if above(self.settings.warning_threshold) { Verdict::Warning } else { Verdict::Quiet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_always_right_or_always_wrong_does_not_drift() {
        for value in [0.0, 1.0] {
            let mut detector = Ddm::default();
            assert!((0..10_000).all(|_| detector.update(value) == Verdict::Quiet));
        }
    }

    #[test]
    fn a_warning_comes_before_the_drift() {
        let mut detector = Ddm::default();
        let wrong = |row: u32| {
            f64::from(u8::from(if row < 1_000 { row.is_multiple_of(10) } else { row.is_multiple_of(2) }))
        };
        let mut row = 0;
        let mut quiet_until = |verdict: fn(&Verdict) -> bool| {
            (row..2_000).find(|&next| {
                row = next + 1;
                verdict(&detector.update(wrong(next)))
            })
        };
        let warned = quiet_until(|verdict| *verdict == Verdict::Warning);
        let drifted = quiet_until(|verdict| matches!(verdict, Verdict::Drift(_)));
        assert!(Some(1_000) < warned && warned < drifted && drifted < Some(1_100), "{warned:?} {drifted:?}");
    }
}
