//! The e-detector of one feature, as the monitor uses it.

use super::comparison::Closing;
use super::config::AlarmConfig;
use super::snapshot::EvidenceSnapshot;
use crate::detect::edetector::{EDetector, Finding, METHOD, Pane, Plan, State, bits};
use crate::detect::{Alarm, AlarmState, Change, Mark};
use crate::profile::Reference;
use crate::sketch::binning::CELLS_MAX;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Evidence below which it is not worth saying what it is evidence of, in bits.
const WORDS_FROM_BITS: f64 = 1.0;

/// Rows after which one looks whether evidence should be weighed before the pane is full.
pub const LOOK_ROWS: u64 = 100;

/// Rows that are weighed even if they look like any others, so that fresh stakes come in time.
const SETTLED_ROWS: u64 = 500;

/// How much speaks for a change of a feature, and of what kind.
#[derive(Clone, Debug)]
pub struct Suspicion {
    plan: Arc<Plan>,
    detector: EDetector,
    /// Evidence at which the feature is flagged, and the length of a pane.
    level: f64,
    stake: f64,
    settled: Settled,
}

/// What has been weighed of the open pane: its counts, where they end, what was paid for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Settled {
    counts: Vec<u64>,
    until: Mark,
    stake: f64,
}

/// A suspicion at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    detector: State,
    level: f64,
    stake: f64,
    settled: Settled,
}

// === impl Suspicion ===

impl Suspicion {
    pub fn new(reference: &Reference, alarm: &AlarmConfig, features: usize) -> Suspicion {
        let delta = alarm.delta / features.max(1) as f64;
        let plan = Plan::new(&reference.bins, reference.autocorrelation_time, alarm.tolerance, delta);
        let plan = plan.with_live_time(reference.live_autocorrelation_time());
        let plan = Arc::new(plan);
        let detector = EDetector::new(Arc::clone(&plan));
        let settled = Settled::default();
        Suspicion { plan, detector, level: alarm.level(), stake: 0.0, settled }
    }

    pub fn stored(&self) -> Stored {
        Stored {
            detector: self.detector.state().clone(),
            level: self.level,
            stake: self.stake,
            settled: self.settled.clone(),
        }
    }

    /// The mean of two detectors: as certain as each of them, whatever their rows had to do with each other.
    pub fn merge(&mut self, other: &Suspicion) {
        let mean = self.detector.state().mean(other.detector.state());
        if let Some(detector) = mean.and_then(|state| EDetector::resumed(Arc::clone(&self.plan), state)) {
            self.detector = detector;
        }
        self.stake = self.stake.max(other.stake);
        self.level = self.level.max(other.level);
        self.settled.merge(&other.settled);
    }

    /// Goes on with what was stored; false when that belongs to another reference.
    pub fn resume(&mut self, stored: Stored) -> bool {
        let Some(detector) = EDetector::resumed(Arc::clone(&self.plan), stored.detector) else {
            return false;
        };
        (self.detector, self.level, self.stake) = (detector, stored.level, stored.stake);
        self.settled = stored.settled;
        true
    }

    /// Weighs a pane that is full.
    pub fn update(&mut self, counts: &[u64], closing: &Closing<'_>) {
        self.stake = closing.unit;
        self.settle(counts, closing);
        self.detector.close(counts);
        self.settled.counts.clear();
    }

    /// Weighs the open pane up to now if that is `due` or its rows look unusual; whether it did. Not while an alarm
    /// stands, which is a matter of whole panes.
    pub fn look(&mut self, counts: &[u64], so_far: &Closing<'_>, due: bool) -> bool {
        if self.detector.is_raised() {
            return false;
        }
        let rows = so_far.end.row - self.start(so_far).row;
        let worthwhile = rows > 0 && (due || rows >= SETTLED_ROWS || self.is_unusual(counts));
        if worthwhile {
            self.stake = so_far.unit;
            self.settle(counts, so_far);
            self.settled.counts.clear();
            self.settled.counts.extend_from_slice(counts);
            (self.settled.until, self.settled.stake) = (so_far.end, so_far.stake);
        }
        worthwhile
    }

    fn is_unusual(&self, counts: &[u64]) -> bool {
        let mut rest = [0; CELLS_MAX];
        self.detector.is_unusual(self.settled.rest(counts, &mut rest))
    }

    /// Weighs what has not been weighed yet.
    fn settle(&mut self, counts: &[u64], closing: &Closing<'_>) {
        let mut rest = [0; CELLS_MAX];
        let (start, end) = (self.start(closing), closing.end);
        let counts = self.settled.rest(counts, &mut rest);
        let paid = if self.settled.counts.is_empty() { 0.0 } else { self.settled.stake };
        let stake = (closing.stake - paid).max(0.0);
        let rows = end.row.saturating_sub(start.row).max(1);
        // It might have been weighed after the first look.
        let before = stake * (LOOK_ROWS as f64 / rows as f64).min(1.0);
        self.detector.settle(&Pane { counts, start, end, stake }, before, self.stake);
    }

    /// Where what has not been weighed begins.
    fn start(&self, closing: &Closing<'_>) -> Mark {
        if self.settled.counts.is_empty() { closing.start } else { self.settled.until }
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
        let finding = self.detector.is_raised().then(|| self.detector.finding()).flatten()?;
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

// === impl Settled ===

impl Settled {
    /// What either has weighed of a pane that is theirs together.
    fn merge(&mut self, other: &Settled) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.until = if other.until.row > self.until.row { other.until } else { self.until };
        self.stake = self.stake.max(other.stake);
    }

    /// The counts of the open pane without those that have been weighed.
    fn rest<'a>(&self, counts: &'a [u64], rest: &'a mut [u64; CELLS_MAX]) -> &'a [u64] {
        if self.counts.is_empty() {
            return counts;
        }
        for ((rest, count), settled) in rest.iter_mut().zip(counts).zip(&self.counts) {
            *rest = count.saturating_sub(*settled);
        }
        &rest[..counts.len().min(CELLS_MAX)]
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
