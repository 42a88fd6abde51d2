//! ADWIN: a window that drops its past when the means of two parts of it differ too much.
//!
//! Bifet, Gavaldà: Learning from time-changing data with adaptive windowing. SDM 2007, pages 443-448. The window is an
//! exponential histogram: rows of at most `max_buckets` buckets of 1, 2, 4, ... values, so that it takes memory
//! logarithmic in its length; their variances are merged after Babcock, Datar, Motwani, O'Callaghan, PODS 2003.
//!
//! ```
//! use pilotfish_core::detect::adwin::Adwin;
//! use pilotfish_core::detect::sequential::{Drift, Sequential, Side, Verdict};
//!
//! let mut detector = Adwin::default();
//! let value = |row: u32| if row < 1_000 { f64::from(row % 2) } else { f64::from(4 + row % 4) };
//! let found = (0..2_000).find_map(|row| match detector.update(value(row)) {
//!     Verdict::Drift(drift) => Some((row, drift)),
//!     Verdict::Quiet | Verdict::Warning => None,
//! });
//! assert_eq!(found, Some((1_023, Drift { since: 32, side: Some(Side::Up) })));
//! ```

use super::sequential::{Domain, Drift, Sequential, Side, Verdict, require, require_confidence};
use crate::error::ConfigurationError;
use serde::Deserialize;
use std::collections::VecDeque;

/// How to watch with [`Adwin`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdwinSettings {
    /// Confidence of a cut: the paper's delta.
    pub delta: f64,
    /// Values between two looks for a cut.
    pub clock: u64,
    /// Buckets of a size, beyond which the two oldest are merged.
    pub max_buckets: usize,
    /// Fewest values on either side of a cut.
    pub min_window_length: u64,
    /// Values in the window up to which no cut is looked for.
    pub grace_period: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Adwin {
    settings: AdwinSettings,
    window: Window,
    /// Values since the start.
    tick: u64,
}

/// The exponential histogram.
#[derive(Clone, Debug)]
struct Window {
    /// Row `i` has buckets of `2^i` values, oldest first.
    rows: Vec<VecDeque<Bucket>>,
    width: f64,
    total: f64,
    /// Sum of squared deviations.
    variance: f64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    total: f64,
    variance: f64,
}

/// The values on one side of a cut.
#[derive(Clone, Copy, Debug)]
struct Part {
    n: f64,
    total: f64,
}

// === impl AdwinSettings ===

impl Default for AdwinSettings {
    fn default() -> AdwinSettings {
        AdwinSettings { delta: 0.002, clock: 32, max_buckets: 5, min_window_length: 5, grace_period: 10 }
    }
}

// === impl Adwin ===

impl Adwin {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: AdwinSettings) -> Result<Adwin, ConfigurationError> {
        require_confidence("delta", settings.delta)?;
        require(settings.clock > 0, "clock", settings.clock, "a whole number above 0")?;
        let buckets = settings.max_buckets;
        require((2..=1_000).contains(&buckets), "max_buckets", buckets, "a whole number from 2 to 1000")?;
        let least = settings.min_window_length;
        require(least > 0, "min_window_length", least, "a whole number above 0")?;
        Ok(Adwin { settings, window: Window::new(), tick: 0 })
    }

    /// Mean of the window; `None` before the first value.
    pub fn mean(&self) -> Option<f64> {
        (self.window.width > 0.0).then(|| self.window.total / self.window.width)
    }

    /// Drops the oldest buckets for as long as a cut is found; where the mean went at the first of them.
    fn shrink(&mut self) -> Option<Side> {
        let mut side = None;
        while let Some(found) = self.window.cut(&self.settings) {
            side = side.or(Some(found));
            self.window.drop_oldest();
        }
        side
    }
}

impl Default for Adwin {
    fn default() -> Adwin {
        Adwin { settings: AdwinSettings::default(), window: Window::new(), tick: 0 }
    }
}

impl Sequential for Adwin {
    fn update(&mut self, value: f64) -> Verdict {
        if !Domain::Numbers.contains(value) {
            return Verdict::Quiet;
        }
        self.window.add(value, self.settings.max_buckets);
        self.tick += 1;
        if !self.tick.is_multiple_of(self.settings.clock)
            || self.window.width <= self.settings.grace_period as f64
        {
            return Verdict::Quiet;
        }
        let Some(side) = self.shrink() else { return Verdict::Quiet };
        let since = self.window.width as u64;
        (self.window, self.tick) = (Window::new(), 0);
        Drift::verdict(since, side)
    }
}

// === impl Window ===

impl Window {
    fn new() -> Window {
        Window { rows: vec![VecDeque::new()], width: 0.0, total: 0.0, variance: 0.0 }
    }

    fn add(&mut self, value: f64, max_buckets: usize) {
        self.rows[0].push_back(Bucket { total: value, variance: 0.0 });
        self.width += 1.0;
        if self.width > 1.0 {
            let before = self.width - 1.0;
            let apart = value - self.total / before;
            self.variance += before * apart * apart / self.width;
        }
        self.total += value;
        self.compress(max_buckets);
    }

    /// Merges the two oldest buckets of every row that has too many into one of the next.
    fn compress(&mut self, max_buckets: usize) {
        for row in 0.. {
            if self.rows[row].len() <= max_buckets {
                return;
            }
            let Some((one, other)) = self.rows[row].pop_front().zip(self.rows[row].pop_front()) else {
                return;
            };
            if row + 1 == self.rows.len() {
                self.rows.push(VecDeque::new());
            }
            self.rows[row + 1].push_back(one.merged(other, size(row)));
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.rows.last_mut().and_then(VecDeque::pop_front) else { return };
        let n = size(self.rows.len() - 1);
        self.width -= n;
        self.total -= oldest.total;
        let apart = oldest.total / n - self.total / self.width;
        self.variance -= oldest.variance + n * self.width * apart * apart / (n + self.width);
        if self.rows.last().is_some_and(VecDeque::is_empty) && self.rows.len() > 1 {
            self.rows.pop();
        }
    }

    /// Looks between any two buckets, oldest first; where the mean went at the first cut that is significant.
    fn cut(&self, settings: &AdwinSettings) -> Option<Side> {
        let least = settings.min_window_length as f64;
        let (mut old, mut new) = (Part { n: 0.0, total: 0.0 }, Part { n: self.width, total: self.total });
        for (row, buckets) in self.rows.iter().enumerate().rev() {
            for (place, bucket) in buckets.iter().enumerate() {
                let n = size(row);
                old = Part { n: old.n + n, total: old.total + bucket.total };
                new = Part { n: new.n - n, total: new.total - bucket.total };
                if row == 0 && place + 1 == buckets.len() {
                    return None;
                }
                let fell = old.total / old.n - new.total / new.n;
                if new.n >= least && old.n >= least && fell.abs() > self.threshold(old.n, new.n, settings) {
                    return Some(if fell > 0.0 { Side::Down } else { Side::Up });
                }
            }
        }
        None
    }

    /// Difference of means from which a cut is significant: the paper's epsilon.
    fn threshold(&self, old: f64, new: f64, settings: &AdwinSettings) -> f64 {
        let least = settings.min_window_length as f64;
        let confidence = (2.0 * self.width.ln() / settings.delta).ln();
        let reciprocal = 1.0 / (old - least + 1.0) + 1.0 / (new - least + 1.0);
        let variance = self.variance / self.width;
        (2.0 * reciprocal * variance * confidence).sqrt() + 2.0 / 3.0 * confidence * reciprocal
    }
}

// === impl Bucket ===

impl Bucket {
    /// Two buckets of `n` values each as one.
    fn merged(self, other: Bucket, n: f64) -> Bucket {
        let apart = self.total / n - other.total / n;
        let between = n * n * apart * apart / (n + n);
        Bucket { total: self.total + other.total, variance: self.variance + other.variance + between }
    }
}

/// Values in a bucket of a row.
fn size(row: usize) -> f64 {
    2f64.powi(row as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_never_drifts_and_takes_logarithmic_memory() {
        let mut detector = Adwin::default();
        assert!((0..200_000).all(|_| detector.update(3.5) == Verdict::Quiet));
        assert_eq!(detector.mean(), Some(3.5));
        assert!(detector.window.rows.len() <= 17);
        assert!(detector.window.rows.iter().all(|buckets| buckets.len() <= 5));
    }

    #[test]
    fn the_window_after_a_cut_is_what_came_after_the_change() {
        let mut detector = Adwin::default();
        let level = |row: u64| if row < 5_000 { 8.0 } else { 2.0 } + (row % 3) as f64;
        let drift = (0..10_000).find_map(|row| match detector.update(level(row)) {
            Verdict::Drift(drift) => Some((row + 1 - drift.since, drift.side)),
            Verdict::Quiet | Verdict::Warning => None,
        });
        let (change, side) = drift.unwrap();
        assert!(change.abs_diff(5_000) <= 64 && side == Some(Side::Down), "{change}");
    }
}
