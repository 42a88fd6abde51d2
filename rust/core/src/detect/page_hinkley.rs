//! Page-Hinkley: a change of the mean, from the largest excursion of the cumulated deviations.
//!
//! Page: Continuous inspection schemes. Biometrika 41 (1954), pages 100-115. With the forgetting factor and the
//! two-sided form that have become customary. Values count in their own unit, so `threshold` does too.
//!
//! ```
//! use pilotfish_core::detect::page_hinkley::PageHinkley;
//! use pilotfish_core::detect::sequential::{Drift, Sequential, Side, Verdict};
//!
//! let mut detector = PageHinkley::default();
//! let value = |row: u32| if row < 1_000 { f64::from(row % 2) } else { f64::from(4 + row % 4) };
//! let found = (0..2_000).find_map(|row| match detector.update(value(row)) {
//!     Verdict::Drift(drift) => Some((row, drift)),
//!     Verdict::Quiet | Verdict::Warning => None,
//! });
//! assert_eq!(found, Some((1_010, Drift { since: 12, side: Some(Side::Up) })));
//! ```

use super::running::Mean;
use super::sequential::{Domain, Drift, Sequential, Side, Verdict, require};
use crate::error::ConfigurationError;
use serde::Deserialize;

/// How to watch with [`PageHinkley`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageHinkleySettings {
    /// Values before which no change is found.
    pub min_instances: u64,
    /// Deviation of a value from the mean that is allowed.
    pub delta: f64,
    /// Excursion from which it is a change: the paper's lambda.
    pub threshold: f64,
    /// What is left of a deviation after every value.
    pub alpha: f64,
    pub mode: Mode,
}

/// Which changes of the mean count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Up,
    Down,
    Both,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct PageHinkley {
    settings: PageHinkleySettings,
    state: State,
}

#[derive(Clone, Debug)]
struct State {
    mean: Mean,
    rise: Excursion,
    fall: Excursion,
}

/// Cumulated deviations in one direction, their extreme, and after how many values that was.
#[derive(Clone, Copy, Debug)]
struct Excursion {
    sum: f64,
    extreme: f64,
    at: u64,
}

// === impl PageHinkleySettings ===

impl Default for PageHinkleySettings {
    fn default() -> PageHinkleySettings {
        PageHinkleySettings {
            min_instances: 30,
            delta: 0.005,
            threshold: 50.0,
            alpha: 1.0 - 0.0001,
            mode: Mode::Both,
        }
    }
}

// === impl PageHinkley ===

impl PageHinkley {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: PageHinkleySettings) -> Result<PageHinkley, ConfigurationError> {
        let PageHinkleySettings { delta, threshold, alpha, .. } = settings;
        require(delta.is_finite(), "delta", delta, "a finite number")?;
        require(threshold >= 0.0, "threshold", threshold, "a number from 0 on")?;
        require(alpha > 0.0 && alpha <= 1.0, "alpha", alpha, "a number above 0 and up to 1")?;
        Ok(PageHinkley { settings, state: State::default() })
    }

    fn excursion(&self) -> Option<(Side, Excursion)> {
        let (threshold, mode) = (self.settings.threshold, self.settings.mode);
        let State { rise, fall, .. } = self.state;
        if mode != Mode::Down && rise.sum - rise.extreme > threshold {
            return Some((Side::Up, rise));
        }
        (mode != Mode::Up && fall.extreme - fall.sum > threshold).then_some((Side::Down, fall))
    }
}

impl Sequential for PageHinkley {
    fn update(&mut self, value: f64) -> Verdict {
        if !Domain::Numbers.contains(value) {
            return Verdict::Quiet;
        }
        self.state.update(value, &self.settings);
        let seen = self.state.mean.count();
        if seen < self.settings.min_instances {
            return Verdict::Quiet;
        }
        let Some((side, excursion)) = self.excursion() else { return Verdict::Quiet };
        self.state = State::default();
        Drift::verdict(seen - excursion.at, side)
    }
}

// === impl State ===

impl State {
    fn update(&mut self, value: f64, settings: &PageHinkleySettings) {
        self.mean.update(value);
        let deviation = value - self.mean.value;
        let seen = self.mean.count();
        self.rise.sum = settings.alpha * self.rise.sum + deviation - settings.delta;
        self.fall.sum = settings.alpha * self.fall.sum + deviation + settings.delta;
        if self.rise.sum < self.rise.extreme {
            self.rise = Excursion { extreme: self.rise.sum, at: seen, ..self.rise };
        }
        if self.fall.sum > self.fall.extreme {
            self.fall = Excursion { extreme: self.fall.sum, at: seen, ..self.fall };
        }
    }
}

impl Default for State {
    fn default() -> State {
        State {
            mean: Mean::default(),
            rise: Excursion { sum: 0.0, extreme: f64::INFINITY, at: 0 },
            fall: Excursion { sum: 0.0, extreme: -1.0, at: 0 }, // river begins here and not at -inf
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first alarm on 1,000 values of 0 and then `level`.
    fn alarm(mode: Mode, level: f64) -> Option<(u64, Drift)> {
        let mut detector = PageHinkley::new(PageHinkleySettings { mode, ..Default::default() }).unwrap();
        (0..3_000).find_map(|row| match detector.update(if row < 1_000 { 0.0 } else { level }) {
            Verdict::Drift(drift) => Some((row, drift)),
            Verdict::Quiet | Verdict::Warning => None,
        })
    }

    #[test]
    fn each_side_is_found_where_it_counts() {
        for (mode, level, side) in [
            (Mode::Up, 1.0, Some(Side::Up)),
            (Mode::Up, -1.0, None),
            (Mode::Down, -1.0, Some(Side::Down)),
            (Mode::Down, 1.0, None),
            (Mode::Both, -1.0, Some(Side::Down)),
        ] {
            assert_eq!(alarm(mode, level).and_then(|(_, drift)| drift.side), side, "{mode:?} {level}");
        }
    }

    #[test]
    fn the_change_is_dated_to_where_the_excursion_began() {
        let (row, drift) = alarm(Mode::Both, 1.0).unwrap();
        assert_eq!(row + 1 - drift.since, 1_000);
    }
}
