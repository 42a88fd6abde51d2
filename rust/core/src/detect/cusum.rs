//! CUSUM: the sum of what values deviate from the mean by more than an allowance, on either side.
//!
//! Page: Continuous inspection schemes. Biometrika 41 (1954), pages 100-115; in the tabular form of Montgomery,
//! Introduction to statistical quality control, chapter 9. Values count in standard deviations. Mean and deviation are
//! those of the first `warm_start` values unless they are given. With both known and normal values there is a false
//! alarm in 465 values at the default threshold of 5, and in 70,000 at 10 (Siegmund's approximation).
//!
//! ```
//! use pilotfish_core::detect::cusum::Cusum;
//! use pilotfish_core::detect::sequential::{Drift, Sequential, Side, Verdict};
//!
//! let mut detector = Cusum::default();
//! let value = |row: u32| if row < 1_000 { f64::from(row % 2) } else { f64::from(2 + row % 2) };
//! let found = (0..2_000).find_map(|row| match detector.update(value(row)) {
//!     Verdict::Drift(drift) => Some((row, drift)),
//!     Verdict::Quiet | Verdict::Warning => None,
//! });
//! assert_eq!(found, Some((1_001, Drift { since: 3, side: Some(Side::Up) })));
//! ```

use super::running::Variance;
use super::sequential::{Domain, Drift, Sequential, Side, Verdict, require};
use crate::error::ConfigurationError;
use serde::Deserialize;

/// How to watch with [`Cusum`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CusumSettings {
    /// Sum from which it is a change, in standard deviations: h of the literature.
    pub threshold: f64,
    /// What a value may deviate without adding to a sum, in standard deviations: k of the literature, half of the
    /// shift that is to be found soonest.
    pub allowance: f64,
    /// Values from which mean and deviation are estimated, where they are not given.
    pub warm_start: u64,
    /// In the unit of the values.
    pub mean: Option<f64>,
    pub deviation: Option<f64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Cusum {
    settings: CusumSettings,
    /// Values since the start.
    seen: u64,
    first: Variance,
    rise: Sum,
    fall: Sum,
}

/// Deviations in one direction, and how many values have added to them since they were nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum: f64,
    values: u64,
}

// === impl CusumSettings ===

impl Default for CusumSettings {
    fn default() -> CusumSettings {
        CusumSettings { threshold: 5.0, allowance: 0.5, warm_start: 100, mean: None, deviation: None }
    }
}

// === impl Cusum ===

impl Cusum {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: CusumSettings) -> Result<Cusum, ConfigurationError> {
        let CusumSettings { threshold, allowance, warm_start, mean, deviation } = settings;
        require(threshold > 0.0, "threshold", threshold, "a number above 0")?;
        require(allowance >= 0.0, "allowance", allowance, "a number from 0 on")?;
        require(warm_start >= 2, "warm_start", warm_start, "a whole number from 2 on")?;
        if let Some(mean) = mean {
            require(mean.is_finite(), "mean", mean, "a finite number, or none to estimate it")?;
        }
        if let Some(deviation) = deviation {
            let within = deviation > 0.0 && deviation.is_finite();
            require(within, "deviation", deviation, "a finite number above 0, or none to estimate it")?;
        }
        Ok(Cusum { settings, ..Cusum::default() })
    }

    /// Mean and deviation to compare with; `None` while they are being estimated.
    fn reference(&mut self, value: f64) -> Option<(f64, f64)> {
        let CusumSettings { mean, deviation, warm_start, .. } = self.settings;
        if let Some(given) = mean.zip(deviation) {
            return Some(given);
        }
        if self.seen <= warm_start {
            self.first.update(value);
            return None;
        }
        Some((mean.unwrap_or(self.first.mean.value), deviation.unwrap_or_else(|| self.first.deviation())))
    }
}

impl Sequential for Cusum {
    fn update(&mut self, value: f64) -> Verdict {
        if !Domain::Numbers.contains(value) {
            return Verdict::Quiet;
        }
        self.seen += 1;
        let Some((mean, deviation)) = self.reference(value) else { return Verdict::Quiet };
        let Some(standard) = standardised(value - mean, deviation) else { return Verdict::Quiet };
        self.rise.add(standard - self.settings.allowance);
        self.fall.add(-standard - self.settings.allowance);
        let threshold = self.settings.threshold;
        let found =
            [(Side::Up, self.rise), (Side::Down, self.fall)].into_iter().find(|(_, s)| s.sum > threshold);
        let Some((side, sum)) = found else { return Verdict::Quiet };
        *self = Cusum { settings: self.settings.clone(), ..Cusum::default() };
        Drift::verdict(sum.values, side)
    }
}

/// A deviation in standard deviations; `None` of a constant that is what it was.
fn standardised(apart: f64, deviation: f64) -> Option<f64> {
    if apart == 0.0 {
        return (deviation > 0.0).then_some(0.0);
    }
    Some(apart / deviation)
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, deviation: f64) {
        let sum = self.sum + deviation;
        *self = if sum > 0.0 { Sum { sum, values: self.values + 1 } } else { Sum::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> CusumSettings {
        CusumSettings { mean: Some(0.0), deviation: Some(1.0), ..CusumSettings::default() }
    }

    /// Standard normal values, near enough: twelve uniform ones.
    fn noise(state: &mut u64) -> f64 {
        let mut uniform = || {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..12).map(|_| uniform()).sum::<f64>() - 6.0
    }

    #[test]
    fn false_alarms_come_as_often_as_the_literature_says() {
        let (mut detector, mut state, mut alarms) = (Cusum::new(known()).unwrap(), 1, 0u32);
        for _ in 0..465_000 {
            alarms += u32::from(detector.update(noise(&mut state)) != Verdict::Quiet);
        }
        assert!(alarms.abs_diff(1_000) < 120, "{alarms}");
    }

    #[test]
    fn the_change_is_dated_to_where_the_sum_began() {
        let mut detector = Cusum::new(known()).unwrap();
        let drift = (0..1_000).find_map(|row| match detector.update(if row < 500 { 0.1 } else { -1.5 }) {
            Verdict::Drift(drift) => Some((row + 1 - drift.since, drift.side)),
            Verdict::Quiet | Verdict::Warning => None,
        });
        assert_eq!(drift, Some((500, Some(Side::Down))));
    }

    #[test]
    fn a_constant_is_no_change_until_it_is_another() {
        let mut detector = Cusum::default();
        assert!((0..10_000).all(|_| detector.update(1e18) == Verdict::Quiet));
        assert!(matches!(detector.update(2e18), Verdict::Drift(_)));
    }
}
