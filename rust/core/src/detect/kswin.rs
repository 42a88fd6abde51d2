//! KSWIN: the newest values against a random part of those before, by the test of Kolmogorov and Smirnov.
//!
//! Raab, Heusinger, Schleif: Reactive soft prototype computing for concept drift streams. Neurocomputing 416 (2020),
//! pages 340-351. It tests after every value, each time at the same level: see how often it finds a change where there
//! is none before trusting it with an alarm.
//!
//! ```
//! use pilotfish_core::detect::kswin::Kswin;
//! use pilotfish_core::detect::sequential::{Sequential, Verdict};
//!
//! let mut detector = Kswin::default();
//! let value = |row: u32| if row < 1_000 { f64::from(row % 7) } else { f64::from(20 + row % 7) };
//! let found = (0..2_000).find(|&row| matches!(detector.update(value(row)), Verdict::Drift(_)));
//! assert!(found.is_some_and(|row| (1_000..1_030).contains(&row)));
//! ```

use super::mersenne::Mersenne;
use super::sequential::{Domain, Drift, Sequential, Verdict, require, require_confidence};
use crate::error::ConfigurationError;
use serde::Deserialize;
use std::collections::VecDeque;

/// Smallest distance that is a change, however many values say so.
const LEAST_DISTANCE: f64 = 0.1;

/// Longest window.
const WINDOW_MAX: usize = 10_000;

/// How to watch with [`Kswin`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KswinSettings {
    /// Level of each test.
    pub alpha: f64,
    /// Values that are kept.
    pub window_size: usize,
    /// Values on either side of a test.
    pub stat_size: usize,
    /// Of the random part; equal to that of river.
    pub seed: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Kswin {
    settings: KswinSettings,
    window: VecDeque<f64>,
    random: Mersenne,
    /// Smallest distance that is significant, in values out of `stat_size`.
    significant: usize,
}

// === impl KswinSettings ===

impl Default for KswinSettings {
    fn default() -> KswinSettings {
        KswinSettings { alpha: 0.005, window_size: 100, stat_size: 30, seed: 0 }
    }
}

// === impl Kswin ===

impl Kswin {
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(settings: KswinSettings) -> Result<Kswin, ConfigurationError> {
        let KswinSettings { alpha, window_size, stat_size, .. } = settings;
        require_confidence("alpha", alpha)?;
        let windows = format!("a whole number from 2 to {WINDOW_MAX}");
        require((2..=WINDOW_MAX).contains(&window_size), "window_size", window_size, &windows)?;
        let half = window_size / 2;
        let sizes = format!("a whole number from 1 to half of window_size ({half})");
        require((1..=half).contains(&stat_size), "stat_size", stat_size, &sizes)?;
        Ok(Kswin::checked(settings))
    }

    fn checked(settings: KswinSettings) -> Kswin {
        let size = settings.stat_size;
        let significant = (1..=size).find(|&apart| p_value(size, apart) <= settings.alpha);
        Kswin {
            window: VecDeque::with_capacity(settings.window_size),
            random: Mersenne::new(settings.seed),
            significant: significant.unwrap_or(size + 1),
            settings,
        }
    }

    /// Whether the newest values differ from a random part of the others.
    fn differs(&mut self) -> bool {
        let size = self.settings.stat_size;
        let before = self.settings.window_size - size;
        let mut newest: Vec<f64> = self.window.range(before..).copied().collect();
        let drawn = self.random.sample(before as u32, size);
        let mut drawn: Vec<f64> = drawn.into_iter().map(|place| self.window[place as usize]).collect();
        newest.sort_unstable_by(f64::total_cmp);
        drawn.sort_unstable_by(f64::total_cmp);
        let apart = apart(&drawn, &newest);
        apart >= self.significant && apart as f64 / size as f64 > LEAST_DISTANCE
    }
}

impl Default for Kswin {
    fn default() -> Kswin {
        Kswin::checked(KswinSettings::default())
    }
}

impl Sequential for Kswin {
    fn update(&mut self, value: f64) -> Verdict {
        if !Domain::Numbers.contains(value) {
            return Verdict::Quiet;
        }
        if self.window.len() == self.settings.window_size {
            self.window.pop_front();
        }
        self.window.push_back(value);
        if self.window.len() < self.settings.window_size || !self.differs() {
            return Verdict::Quiet;
        }
        self.window.clear();
        self.random = Mersenne::new(self.settings.seed);
        Drift::verdict(self.settings.stat_size as u64, None)
    }
}

/// Largest difference of the distribution functions of two sorted samples of equal size, in values.
fn apart(one: &[f64], other: &[f64]) -> usize {
    let (mut i, mut j, mut most) = (0, 0, 0);
    while i < one.len() && j < other.len() {
        let value = one[i].min(other[j]);
        i += one[i..].iter().take_while(|&&next| next <= value).count();
        j += other[j..].iter().take_while(|&&next| next <= value).count();
        most = most.max(i.abs_diff(j));
    }
    most
}

/// Probability that two samples of `n` values of one distribution lie `apart / n` apart or more.
///
/// The number of paths from (0, 0) to (n, n) that reach a distance from the diagonal, by reflection: Hodges, The
/// significance probability of the Smirnov two-sample test, Arkiv för Matematik 3 (1958), pages 469-486.
fn p_value(n: usize, apart: usize) -> f64 {
    let paths = |reflections: usize| {
        let step = reflections * apart;
        (0..apart).fold(1.0, |share, j| (n - step - j) as f64 * share / (n + step + j + 1) as f64)
    };
    let outside = (0..n / apart).rev().fold(0.0, |outside, times| {
        let reached = paths(times);
        reached * (1.0 - outside)
    });
    (2.0 * outside).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_those_of_scipy() {
        // scipy.stats.ks_2samp(range(n), range(apart, n + apart)).pvalue
        for (n, apart, expected) in [
            (30, 3, 0.9988393756362763),
            (30, 9, 0.13500350250095441),
            (30, 13, 0.006548396368058784),
            (30, 14, 0.0025300622362698397),
            (30, 30, 1.6911233892144742e-17),
            (5, 2, 0.873015873015873),
            (100, 23, 0.009878183186176536),
        ] {
            let found = p_value(n, apart);
            assert!((found / expected - 1.0).abs() < 1e-12, "{n} {apart}: {found}");
        }
    }

    #[test]
    fn the_distance_is_that_of_the_distribution_functions() {
        assert_eq!(apart(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 4.0]), 0);
        assert_eq!(apart(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]), 2);
        assert_eq!(apart(&[-0.0, 0.0, 0.0, 1.0], &[0.0, 1.0, 1.0, 1.0]), 2);
        assert_eq!(apart(&[5.0, 6.0], &[1.0, 2.0]), 2);
    }

    #[test]
    fn the_seed_decides_which_part_is_compared() {
        let first = |seed| {
            let mut detector = Kswin::new(KswinSettings { seed, ..Default::default() }).unwrap();
            let value = |row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            (0..50_000).find(|&row| detector.update(value(row * row) as f64) != Verdict::Quiet)
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
