//! The e-detector of one feature, as the monitor uses it.

use super::comparison::Closing;
use super::config::AlarmConfig;
use super::snapshot::EvidenceSnapshot;
use crate::detect::edetector::{EDetector, Finding, METHOD, Pane, Plan, State, bits};
use crate::detect::{Alarm, AlarmState, Change, Mark};
use crate::profile::Reference;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Evidence below which it is not worth saying what it is evidence of, in bits.
const WORDS_FROM_BITS: f64 = 1.0;

/// How much speaks for a change of a feature, and of what kind.
#[derive(Debug)]
pub struct Suspicion {
    plan: Arc<Plan>,
    detector: EDetector,
    /// Evidence at which the feature is flagged, and the length of the latest pane.
    level: f64,
    stake: f64,
}

/// A suspicion at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    detector: State,
    level: f64,
    stake: f64,
}

// === impl Suspicion ===

impl Suspicion {
    pub fn new(reference: &Reference, alarm: &AlarmConfig, features: usize) -> Suspicion {
        let delta = alarm.delta / features.max(1) as f64;
        let plan = Plan::new(&reference.bins, reference.autocorrelation_time, alarm.tolerance, delta);
        let plan = plan.with_live_time(reference.live_autocorrelation_time());
        let plan = Arc::new(plan);
        let detector = EDetector::new(Arc::clone(&plan));
        Suspicion { plan, detector, level: alarm.level(), stake: 0.0 }
    }

    pub fn stored(&self) -> Stored {
        Stored { detector: self.detector.state().clone(), level: self.level, stake: self.stake }
    }

    /// The mean of two detectors: as certain as each of them, whatever their rows had to do with each other.
    pub fn merge(&mut self, other: &Suspicion) {
        let mean = self.detector.state().mean(other.detector.state());
        if let Some(detector) = mean.and_then(|state| EDetector::resumed(Arc::clone(&self.plan), state)) {
            self.detector = detector;
        }
        self.stake = self.stake.max(other.stake);
        self.level = self.level.max(other.level);
    }

    /// Goes on with what was stored; false when that belongs to another reference.
    pub fn resume(&mut self, stored: Stored) -> bool {
        let Some(detector) = EDetector::resumed(Arc::clone(&self.plan), stored.detector) else {
            return false;
        };
        (self.detector, self.level, self.stake) = (detector, stored.level, stored.stake);
        true
    }

    pub fn update(&mut self, counts: &[u64], closing: &Closing<'_>) {
        let Closing { start, end, stake, .. } = *closing;
        self.stake = stake;
        self.detector.update(&Pane { counts, start, end, stake });
    }

    /// In the unit of the time between false alarms.
    pub fn evidence(&self) -> f64 {
        self.detector.capital()
    }

    pub fn judge(&mut self, level: f64, closing: &Closing<'_>) -> Option<Change> {
        self.level = level;
        let score = self.detector.evidence_bits();
        let before = self.detector.is_raised().then(|| self.detector.finding()).flatten();
        let state = self.detector.judge(level, closing.alarm.clear_after)?;
        let finding = match state {
            AlarmState::Raised => self.detector.finding(),
            AlarmState::Cleared => before,
        };
        let since = finding.map_or(Mark::default(), |finding| finding.onset.estimate);
        Some(Change { state, score, threshold: bits(level, self.stake), noise: 0.0, since, finding })
    }

    pub fn alarm(&self) -> Option<Alarm> {
        let finding = self.detector.finding().filter(|_| self.detector.is_raised())?;
        Some(Alarm {
            method: METHOD,
            score: self.detector.evidence_bits(),
            threshold: bits(self.level, self.stake),
            since_row: finding.onset.estimate.row,
            shape: Some(finding.shape.to_string()),
        })
    }

    /// What is to be shown; `None` before the first pane.
    pub fn snapshot(&self, detail: bool) -> Option<EvidenceSnapshot> {
        let bits_now = self.detector.evidence_bits();
        let telling = bits_now >= WORDS_FROM_BITS || self.detector.is_raised();
        let finding: Option<Finding> = telling.then(|| self.detector.finding()).flatten();
        let by_shape = || {
            let shapes = self.detector.evidence_by_shape().into_iter();
            shapes.map(|(shape, bits)| (shape.to_string(), bits)).collect()
        };
        (self.stake > 0.0).then(|| EvidenceSnapshot {
            bits: bits_now,
            threshold_bits: bits(self.level, self.stake),
            shape: finding.map(|finding| finding.shape.to_string()),
            change_row: finding.map(|finding| finding.onset.estimate.row),
            autocorrelation_time: self.detector.autocorrelation_time(),
            by_shape: detail.then(by_shape),
        })
    }
}

// === impl AlarmConfig ===

impl AlarmConfig {
    /// The time between false alarms, in rows or in seconds.
    pub fn level(&self) -> f64 {
        self.arl_ns.map_or(self.arl as f64, |nanoseconds| nanoseconds as f64 / 1e9)
    }

    /// The length of a pane in the same unit.
    pub fn stake(&self, rows: u64, seconds: f64) -> f64 {
        if self.arl_ns.is_some() { seconds.max(1e-9) } else { rows as f64 }
    }
}
