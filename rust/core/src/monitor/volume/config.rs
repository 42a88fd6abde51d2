//! How volume is watched.

use crate::detect::edetector::terms::Terms;
use serde::{Deserialize, Serialize};

const HOUR_NS: u64 = 3_600_000_000_000;

/// Parts of a cycle.
const SLOTS: u64 = 24;

/// Intervals of a slot that make a norm, at least, and of all slots, at most.
const SLOT_INTERVALS_MIN: u64 = 32;
const LEARN_INTERVALS_MAX: u64 = 100_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeConfig {
    /// Nanoseconds over which calls are counted.
    pub interval_ns: u64,
    /// How long the norm is learned.
    pub learn_ns: u64,
    /// A cycle that traffic follows, of 24 parts with a norm each; `None` where it follows none.
    pub period_ns: Option<u64>,
    /// Mean time between false alarms, at least.
    pub arl_ns: u64,
    /// Relative entropy of the counts from those of the same part of the cycle, in nats, that is no change.
    pub tolerance: f64,
}

// === impl VolumeConfig ===

impl Default for VolumeConfig {
    fn default() -> VolumeConfig {
        VolumeConfig {
            interval_ns: HOUR_NS / 60,
            learn_ns: 7 * 24 * HOUR_NS,
            period_ns: Some(24 * HOUR_NS),
            arl_ns: 30 * 24 * HOUR_NS,
            tolerance: 0.02,
        }
    }
}

impl VolumeConfig {
    pub fn learn_intervals(&self) -> u64 {
        self.learn_ns / self.interval_ns.max(1)
    }

    pub fn slots(&self) -> usize {
        if self.period_ns.is_some() { SLOTS as usize } else { 1 }
    }

    /// The part of the cycle in which an interval lies; the first one is number 0.
    pub fn slot_of(&self, number: u64) -> usize {
        let Some(period) = self.period_ns else { return 0 };
        let intervals = (period / SLOTS / self.interval_ns.max(1)).max(1);
        (number / intervals % SLOTS) as usize
    }

    /// Whether every value makes sense.
    ///
    /// # Errors
    /// A sentence that names the value and the remedy.
    pub fn check(&self) -> Result<(), String> {
        let VolumeConfig { interval_ns, learn_ns, period_ns, arl_ns, tolerance } = *self;
        let seconds = |ns: u64| ns as f64 / 1e9;
        if interval_ns == 0 {
            return Err("volume.interval is 0; use a time such as 60s".into());
        }
        let terms = Terms { arl: seconds(arl_ns), tolerance, ..Terms::default() };
        terms.check().map_err(|error| format!("volume.{error}"))?;
        if let Some(period) = period_ns
            && (period == 0
                || !period.is_multiple_of(SLOTS * interval_ns)
                || !learn_ns.is_multiple_of(period))
        {
            return Err(format!(
                "volume.period is {} s; use a multiple of 24 intervals ({} s) of which volume.learn is a multiple in turn, \
                 or null where traffic follows no cycle",
                seconds(period),
                seconds(SLOTS * interval_ns)
            ));
        }
        let (learned, least) = (self.learn_intervals(), SLOT_INTERVALS_MIN * self.slots() as u64);
        if !(least..=LEARN_INTERVALS_MAX).contains(&learned) {
            return Err(format!(
                "volume.learn is {} s, which are {learned} intervals; use a time of {least} to {LEARN_INTERVALS_MAX} of them",
                seconds(learn_ns)
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_of_the_day_come_round_again() {
        let config = VolumeConfig::default();
        assert_eq!(config.check(), Ok(()));
        assert_eq!((config.learn_intervals(), config.slots()), (10_080, 24));
        let hours = [0, 59, 60, 1_439, 1_440].map(|number| config.slot_of(number));
        assert_eq!(hours, [0, 0, 1, 23, 0]);
        assert_eq!(VolumeConfig { period_ns: None, ..config }.slot_of(1_439), 0);
    }

    #[test]
    fn a_bad_value_is_named_with_its_remedy() {
        let config = VolumeConfig::default;
        for (broken, words) in [
            (VolumeConfig { interval_ns: 0, ..config() }, "volume.interval is 0"),
            (VolumeConfig { arl_ns: 0, ..config() }, "volume.arl is 0"),
            (VolumeConfig { tolerance: -1.0, ..config() }, "volume.tolerance is -1"),
            (VolumeConfig { period_ns: Some(25 * HOUR_NS), ..config() }, "volume.period is 90000 s"),
            (VolumeConfig { period_ns: Some(HOUR_NS / 60), ..config() }, "multiple of 24 intervals (1440 s)"),
            (VolumeConfig { period_ns: None, learn_ns: HOUR_NS / 60, ..config() }, "which are 1 intervals"),
            (VolumeConfig { learn_ns: 7_000 * 24 * HOUR_NS, ..config() }, "768 to 100000"),
        ] {
            assert!(broken.check().unwrap_err().contains(words), "{broken:?}: {:?}", broken.check());
        }
    }
}
