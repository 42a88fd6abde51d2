//! HDDM_W: a weighted mean of recent values has left the bound it once kept, by McDiarmid's inequality.
//!
//! Frías-Blanco, del Campo-Ávila, Ramos-Jiménez, Morales-Bueno, Ortiz-Díaz, Caballero-Mota: Online and non-parametric
//! drift detection methods based on Hoeffding's bounds. IEEE Transactions on Knowledge and Data Engineering 27 (2014),
//! pages 810-823; the W-test. Takes numbers from 0 to 1, such as a loss, or 1 for a wrong answer.
//!
//! ```
//! use pilotfish_core::detect::hddm_w::HddmW;
//! use pilotfish_core::detect::sequential::{Sequential, Verdict};
//!
//! let mut detector = HddmW::default();
//! let wrong = |row: u32| f64::from(u8::from(if row < 1_000 { row.is_multiple_of(10) } else { row.is_multiple_of(2) }));
//! let found = (0..2_000).find(|&row| matches!(detector.update(wrong(row)), Verdict::Drift(_)));
//! assert!(found.is_some_and(|row| (1_000..1_100).contains(&row)));
//! ```

use super::sequential::{Domain, Drift, Sequential, Side, Verdict, require, require_confidence};
use crate::error::ConfigurationError;
use serde::Deserialize;

/// How to watch with [`HddmW`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HddmWSettings {
    /// Probabilities below which chance is ruled out: for a drift, and for a warning.
    pub drift_confidence: f64,
    pub warning_confidence: f64,
    /// Weight of the newest value: the paper's lambda.
    pub lambda_val: f64,
    /// Whether a mean that falls is a change as well.
    pub two_sided_test: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct HddmW {
    settings: HddmWSettings,
    state: State,
}

#[derive(Clone, Debug, Default)]
struct State {
    all: Weighted,
    rise: Cut,
    fall: Cut,
}

/// The values before and after the one at which the bound was tightest.
#[derive(Clone, Debug, Default)]
struct Cut {
    bound: Option<f64>,
    before: Weighted,
    after: Weighted,
}

/// A mean of values whose weights fade.
#[derive(Clone, Debug)]
struct Weighted {
    n: u64,
    mean: f64,
    /// Sum of squared weights, on which the bound depends.
    squares: f64,
}

// === impl HddmWSettings ===

impl Default for HddmWSettings {
    fn default() -> HddmWSettings {
        HddmWSettings {
            drift_confidence: 0.001,
            warning_confidence: 0.005,
            lambda_val: 0.05,
            two_sided_test: false,
        }
    }
}

// === impl HddmW ===

impl HddmW {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: HddmWSettings) -> Result<HddmW, ConfigurationError> {
        require_confidence("drift_confidence", settings.drift_confidence)?;
        require_confidence("warning_confidence", settings.warning_confidence)?;
        let lambda = settings.lambda_val;
        require(lambda > 0.0 && lambda <= 1.0, "lambda_val", lambda, "a number above 0 and up to 1")?;
        Ok(HddmW { settings, state: State::default() })
    }

    fn found(&self, confidence: f64) -> Option<(Side, u64)> {
        let State { rise, fall, .. } = &self.state;
        if exceeds(&rise.before, &rise.after, confidence) {
            return Some((Side::Up, rise.after.n));
        }
        let fallen = self.settings.two_sided_test && exceeds(&fall.after, &fall.before, confidence);
        fallen.then_some((Side::Down, fall.after.n))
    }
}

impl Sequential for HddmW {
    fn domain(&self) -> Domain {
        Domain::Unit
    }

    fn update(&mut self, value: f64) -> Verdict {
        if !self.domain().contains(value) {
            return Verdict::Quiet;
        }
        self.state.update(value, &self.settings);
        if let Some((side, since)) = self.found(self.settings.drift_confidence) {
            self.state = State::default();
            return Drift::verdict(since, side);
        }
        let warning = self.found(self.settings.warning_confidence);
        if warning.is_some() { Verdict::Warning } else { Verdict::Quiet }
    }
}

// === impl State ===

impl State {
    fn update(&mut self, value: f64, settings: &HddmWSettings) {
        let lambda = settings.lambda_val;
        self.all.update(value, lambda);
        let margin = margin(self.all.squares, settings.drift_confidence);
        let (upper, lower) = (self.all.mean + margin, self.all.mean - margin);
        match self.rise.bound {
            Some(bound) if upper >= bound => self.rise.after.update(value, lambda),
            _ => self.rise = Cut::after(upper, &self.all),
        }
        match self.fall.bound {
            Some(bound) if lower <= bound => self.fall.after.update(value, lambda),
            _ => self.fall = Cut::after(lower, &self.all),
        }
    }
}

// === impl Cut ===

impl Cut {
    fn after(bound: f64, all: &Weighted) -> Cut {
        Cut { bound: Some(bound), before: all.clone(), after: Weighted::default() }
    }
}

// === impl Weighted ===

impl Weighted {
    fn update(&mut self, value: f64, lambda: f64) {
        // A mean of exactly 0 starts anew, as in river: after nothing but zeros, the first other value counts in full.
        self.mean = if self.mean == 0.0 { value } else { lambda * value + (1.0 - lambda) * self.mean };
        let kept = 1.0 - lambda;
        self.squares = lambda * lambda + kept * kept * self.squares;
        self.n += 1;
    }
}

impl Default for Weighted {
    fn default() -> Weighted {
        Weighted { n: 0, mean: 0.0, squares: 1.0 }
    }
}

/// Whether one mean lies above another by more than chance explains.
fn exceeds(lower: &Weighted, upper: &Weighted, confidence: f64) -> bool {
    let known = lower.n > 0 && upper.n > 0;
    known && upper.mean - lower.mean > margin(lower.squares + upper.squares, confidence)
}

fn margin(squares: f64, confidence: f64) -> f64 {
    (squares * (1.0 / confidence).ln() / 2.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_that_falls_counts_only_if_asked_for() {
        let value = |row: u32| if row < 2_000 { 0.9 } else { 0.1 };
        for two_sided_test in [false, true] {
            let mut detector = HddmW::new(HddmWSettings { two_sided_test, ..Default::default() }).unwrap();
            let side = (0..4_000).find_map(|row| match detector.update(value(row)) {
                Verdict::Drift(drift) => drift.side,
                Verdict::Quiet | Verdict::Warning => None,
            });
            assert_eq!(side, two_sided_test.then_some(Side::Down));
        }
    }
}
