//! EDDM: the errors of a model come closer together than they used to.
//!
//! Baena-García, del Campo-Ávila, Fidalgo, Bifet, Gavaldà, Morales-Bueno: Early drift detection method. Fourth
//! international workshop on knowledge discovery from data streams, 2006. Takes 1 for a wrong answer and 0 for a right
//! one.
//!
//! ```
//! use pilotfish_core::detect::eddm::Eddm;
//! use pilotfish_core::detect::sequential::{Sequential, Verdict};
//!
//! let mut detector = Eddm::default();
//! let every = |row: u32| if row < 1_000 { 10 } else { 2 };
//! let wrong = |row: u32| f64::from(u8::from(row % every(row) == every(row) - 1));
//! let found = (0..3_000).find(|&row| matches!(detector.update(wrong(row)), Verdict::Drift(_)));
//! assert!(found.is_some_and(|row| (1_000..2_000).contains(&row)));
//! ```

use super::running::Variance;
use super::sequential::{Domain, Drift, Sequential, Side, Verdict, require};
use crate::error::ConfigurationError;
use serde::Deserialize;

/// How to watch with [`Eddm`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EddmSettings {
    /// Values, and errors, up to which nothing is found.
    pub warm_start: u64,
    /// Share of the largest distance between errors below which it is a warning, and a drift.
    pub alpha: f64,
    pub beta: f64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Eddm {
    settings: EddmSettings,
    state: State,
}

#[derive(Clone, Debug)]
struct State {
    seen: u64,
    errors: u64,
    /// After how many values the last error was.
    last_error: u64,
    /// Of the values from one error to the next.
    distances: Variance,
    /// The largest mean distance with two standard deviations, and after how many values that was.
    largest: f64,
    largest_at: u64,
    warning: bool,
}

// === impl EddmSettings ===

impl Default for EddmSettings {
    fn default() -> EddmSettings {
        EddmSettings { warm_start: 30, alpha: 0.95, beta: 0.9 }
    }
}

// === impl Eddm ===

impl Eddm {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: EddmSettings) -> Result<Eddm, ConfigurationError> {
        let EddmSettings { alpha, beta, .. } = settings;
        require(beta >= 0.0, "beta", beta, "a number from 0 on")?;
        require(alpha >= beta, "alpha", alpha, &format!("a number from beta ({beta}) on"))?;
        Ok(Eddm { settings, state: State::default() })
    }
}

impl Sequential for Eddm {
    fn domain(&self) -> Domain {
        Domain::Bits
    }

    fn update(&mut self, value: f64) -> Verdict {
        if !self.domain().contains(value) {
            return Verdict::Quiet;
        }
        self.state.seen += 1;
        if value == 1.0
            && let Some(level) = self.state.error(self.settings.warm_start)
        {
            if level < self.settings.beta {
                let since = self.state.seen - self.state.largest_at;
                self.state = State::default();
                return Drift::verdict(since, Side::Up);
            }
            self.state.warning = level < self.settings.alpha;
        }
        if self.state.warning { Verdict::Warning } else { Verdict::Quiet }
    }
}

// === impl State ===

impl State {
    /// Takes in an error; the distance as a share of the largest, once there is one to compare with.
    fn error(&mut self, warm_start: u64) -> Option<f64> {
        self.errors += 1;
        self.distances.update((self.seen - self.last_error) as f64);
        self.last_error = self.seen;
        if self.seen <= warm_start {
            return None;
        }
        let distance = self.distances.mean.value + 2.0 * self.distances.deviation();
        if distance > self.largest {
            (self.largest, self.largest_at) = (distance, self.seen);
            return None;
        }
        (self.errors > warm_start).then(|| distance / self.largest)
    }
}

impl Default for State {
    fn default() -> State {
        State {
            seen: 0,
            errors: 0,
            last_error: 0,
            distances: Variance::default(),
            largest: -1.0,
            largest_at: 0,
            warning: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_at_equal_distances_are_no_drift() {
        for every in [1, 2, 10] {
            let mut detector = Eddm::default();
            let wrong = |row: u32| f64::from(u8::from(row % every == every - 1));
            assert!((0..20_000).all(|row| !matches!(detector.update(wrong(row)), Verdict::Drift(_))));
        }
    }

    #[test]
    fn a_warning_stands_until_the_next_error() {
        let mut detector = Eddm::default();
        let wrong = |row: u32| {
            f64::from(u8::from(if row < 1_000 { row.is_multiple_of(20) } else { row.is_multiple_of(15) }))
        };
        let verdicts: Vec<Verdict> = (0..4_000).map(|row| detector.update(wrong(row))).collect();
        let warned = verdicts.iter().filter(|&&verdict| verdict == Verdict::Warning).count();
        assert!(warned > 15, "{warned}");
    }
}
