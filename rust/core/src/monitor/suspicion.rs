//! The e-detector of one feature, as the monitor uses it.

use super::comparison::Closing;
use super::config::AlarmConfig;
use super::snapshot::EvidenceSnapshot;
use crate::detect::edetector::{
    EDetector, Finding, METHOD, Plan, State, bits,
    pool::Pool,
    screen::{LANES, WIDTH},
};
use crate::detect::{Alarm, AlarmState, Change, Mark};
use crate::profile::Reference;
use crate::sketch::bins::Bins;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Evidence below which it is not worth saying what it is evidence of, in bits.
const WORDS_FROM_BITS: f64 = 1.0;

/// Rows after which one looks whether what waits should be weighed; not much less than whole chunks of the counting.
pub const LOOK_ROWS: u64 = 120;

/// Rows that are weighed even if they look like any others.
const WEIGHED_ROWS: u64 = 8_000;

/// Rows that may become one segment of the history: what a date can be wrong by.
const SEGMENT_ROWS: u64 = 500;

/// How much speaks for a change of a feature, and of what kind.
#[derive(Clone, Debug)]
pub struct Suspicion {
    plan: Arc<Plan>,
    detector: EDetector,
    /// The detectors of several sidecars of which that one is the mean, until it has seen more.
    pool: Option<Box<Pool>>,
    /// Evidence at which the feature is flagged, and the length of a pane.
    level: f64,
    stake: f64,
    /// Paid for all panes that are closed.
    paid: f64,
    /// How far rows have been looked at, kept in the history, and weighed.
    seen: Counted,
    kept: Counted,
    weighed: Counted,
}

/// All that was counted up to a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counted<C = Vec<u32>> {
    /// Modulo 2^32, of which differences take no notice; filled up with zeros to whole lanes.
    cells: C,
    until: Mark,
    /// Paid until then.
    stake: f64,
}

/// The moment of a look.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Closed panes, and the open one.
    pub past: &'a Bins,
    pub open: &'a Bins,
    pub so_far: &'a Closing<'a>,
}

/// A suspicion at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    evidence: Held,
    level: f64,
    stake: f64,
    paid: f64,
    seen: Counted,
    kept: Counted,
    weighed: Counted,
}

/// Whose evidence it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Held {
    Own(State),
    Pooled(Pool),
}

// === impl Suspicion ===

impl Suspicion {
    pub fn new(reference: &Reference, alarm: &AlarmConfig, features: usize) -> Suspicion {
        let delta = alarm.delta / features.max(1) as f64;
        let plan = Plan::new(&reference.bins, reference.autocorrelation_time, alarm.tolerance, delta);
        let plan = plan.with_live_time(reference.live_autocorrelation_time());
        let plan = Arc::new(plan);
        Suspicion {
            detector: EDetector::new(Arc::clone(&plan)),
            plan,
            pool: None,
            level: alarm.level(),
            stake: 0.0,
            paid: 0.0,
            seen: Counted::default(),
            kept: Counted::default(),
            weighed: Counted::default(),
        }
    }

    pub fn stored(&self) -> Stored {
        Stored {
            evidence: self.held(),
            level: self.level,
            stake: self.stake,
            paid: self.paid,
            seen: self.seen.clone(),
            kept: self.kept.clone(),
            weighed: self.weighed.clone(),
        }
    }

    fn held(&self) -> Held {
        match &self.pool {
            Some(pool) => Held::Pooled(Pool::clone(pool)),
            None => Held::Own(self.detector.state().clone()),
        }
    }

    /// Adds what another worker, or sidecar, has gathered: as certain as each of them, whatever their rows had to do with
    /// each other.
    pub fn merge(&mut self, other: &Suspicion) {
        let mut pool = self.held().pooled();
        let mean = pool.merge(&other.held().pooled()).then(|| pool.mean());
        if let Some(detector) = mean.and_then(|state| EDetector::resumed(Arc::clone(&self.plan), state)) {
            (self.detector, self.pool) = (detector, Some(Box::new(pool)));
        }
        self.stake = self.stake.max(other.stake);
        self.level = self.level.max(other.level);
        self.paid = self.paid.max(other.paid);
        self.seen.merge(&other.seen);
        self.kept.merge(&other.kept);
        self.weighed.merge(&other.weighed);
    }

    /// Goes on with what was stored; false when that belongs to another reference.
    pub fn resume(&mut self, stored: Stored) -> bool {
        let lanes = self.plan.bets().cells().next_multiple_of(LANES);
        let [seen, rest @ ..] = [&stored.seen, &stored.kept, &stored.weighed].map(|it| it.cells.len());
        let (state, pool) = match stored.evidence {
            Held::Own(state) => (state, None),
            Held::Pooled(pool) => (pool.mean(), Some(Box::new(pool))),
        };
        let Some(detector) = EDetector::resumed(Arc::clone(&self.plan), state) else {
            return false;
        };
        if rest != [seen; 2] || !(seen == 0 || seen == lanes) {
            return false;
        }
        (self.detector, self.pool) = (detector, pool);
        (self.level, self.stake, self.paid) = (stored.level, stored.stake, stored.paid);
        (self.seen, self.kept, self.weighed) = (stored.seen, stored.kept, stored.weighed);
        true
    }

    /// Looks at what has been counted, and weighs what has not been weighed yet if that is `due` or its rows look
    /// unusual; whether it did. Not while an alarm stands, which is a matter of whole panes.
    pub fn look(&mut self, look: &Look<'_>, due: bool) -> bool {
        !self.detector.is_raised() && self.weigh(look, due)
    }

    /// The pane that is open in `look` is over.
    pub fn close(&mut self, look: &Look<'_>) {
        self.pool = None;
        let pane = look.open.cells();
        let due = self.detector.is_raised() || self.detector.learn(pane);
        self.weigh(look, due);
        self.detector.turn(pane);
        self.stake = look.so_far.unit;
        self.paid += look.so_far.stake;
    }

    fn weigh(&mut self, look: &Look<'_>, due: bool) -> bool {
        let (end, cells) = (look.so_far.end, look.open.cells().len());
        if self.seen.cells.is_empty() {
            self.begin(look);
        }
        let now = Counted { cells: look.counted(), until: end, stake: self.paid + look.so_far.stake };
        let rows = end.row.saturating_sub(self.weighed.until.row);
        if rows == 0 {
            return false;
        }
        self.pool = None;
        let waiting = now.since(&self.weighed);
        let worthwhile =
            due || rows >= WEIGHED_ROWS || self.detector.is_unusual([&now.since(&self.seen), &waiting]);
        if worthwhile {
            // Apart from what is new, and may be what has changed.
            self.keep(&self.seen.clone(), cells);
        }
        if worthwhile || end.row.saturating_sub(self.kept.until.row) >= SEGMENT_ROWS {
            self.keep(&now, cells);
        }
        if worthwhile {
            self.stake = look.so_far.unit;
            let stake = (now.stake - self.weighed.stake).max(0.0);
            // They might have been weighed after the first look.
            let before = stake * (LOOK_ROWS as f64 / rows as f64).min(1.0);
            self.detector.weigh(&waiting.map(u64::from)[..cells], (before, stake), self.stake);
            self.weighed.set(&now);
        }
        self.seen.set(&now);
        worthwhile
    }

    /// Nothing is counted before the pane that is open.
    fn begin(&mut self, look: &Look<'_>) {
        let past = Look { open: &Bins::of_counts(Arc::clone(look.open.binning())), ..*look };
        let cells = past.counted()[..look.open.cells().len().next_multiple_of(LANES)].to_vec();
        let counted = Counted { cells, until: look.so_far.start, stake: self.paid };
        (self.seen, self.kept, self.weighed) = (counted.clone(), counted.clone(), counted);
    }

    /// Keeps, in the history, what was counted until then and is not in it yet.
    fn keep<C: AsRef<[u32]>>(&mut self, counted: &Counted<C>, cells: usize) {
        if counted.until.row > self.kept.until.row {
            let counts = counted.since(&self.kept).map(u64::from);
            self.detector.keep(&counts[..cells], self.kept.until, counted.until);
            self.kept.set(counted);
        }
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
        self.pool = None;
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

// === impl Held ===

impl Held {
    fn pooled(self) -> Pool {
        match self {
            Held::Own(state) => Pool::of(state),
            Held::Pooled(pool) => pool,
        }
    }
}

// === impl Look ===

impl Look<'_> {
    /// Everything counted so far, modulo 2^32.
    fn counted(&self) -> [u32; WIDTH] {
        let mut counted = [0; WIDTH];
        let counts = self.past.cells().iter().zip(self.open.cells());
        counted.iter_mut().zip(counts).for_each(|(sum, (past, open))| *sum = past.wrapping_add(*open) as u32);
        counted
    }
}

// === impl Counted ===

impl<C: AsRef<[u32]>> Counted<C> {
    /// What has been counted since, by cell.
    fn since(&self, before: &Counted) -> [u32; WIDTH] {
        let mut rest = [0; WIDTH];
        let ((rests, _), (cells, _)) =
            (rest.as_chunks_mut::<LANES>(), self.cells.as_ref().as_chunks::<LANES>());
        let (before, _) = before.cells.as_chunks::<LANES>();
        for ((rest, cells), before) in rests.iter_mut().zip(cells).zip(before) {
            for lane in 0..LANES {
                rest[lane] = cells[lane].wrapping_sub(before[lane]);
            }
        }
        rest
    }
}

impl Counted {
    fn set<C: AsRef<[u32]>>(&mut self, to: &Counted<C>) {
        let cells = self.cells.len();
        self.cells.copy_from_slice(&to.cells.as_ref()[..cells]);
        (self.until, self.stake) = (to.until, to.stake);
    }

    /// What either has counted.
    fn merge(&mut self, other: &Counted) {
        self.cells.resize(self.cells.len().max(other.cells.len()), 0);
        self.cells.iter_mut().zip(&other.cells).for_each(|(sum, count)| *sum = sum.wrapping_add(*count));
        self.until.row += other.until.row;
        self.until.call += other.until.call;
        self.stake = self.stake.max(other.stake);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProfileBuilder;
    use crate::tensor::Direction;

    #[test]
    fn counts_of_another_reference_are_not_gone_on_with() {
        let mut builder = ProfileBuilder::new("m", 8);
        let values: Vec<f64> = (0..500).map(f64::from).collect();
        builder.add_column_f64("x", Direction::Input, &values).unwrap();
        let profile = builder.finish().unwrap();
        let mut fresh = Suspicion::new(&profile.references()[0], &AlarmConfig::default(), 1);
        assert!(fresh.resume(fresh.stored()));
        let counted = |cells| Counted { cells: vec![1; cells], ..Counted::default() };
        for (seen, kept) in [(16, 16), (16, 0), (7, 7), (1_000, 1_000)] {
            let (seen, kept) = (counted(seen), counted(kept));
            let fits = seen.cells.len() == 16 && kept.cells.len() == 16;
            let stored = Stored { weighed: kept.clone(), seen, kept, ..fresh.stored() };
            assert_eq!(fresh.resume(stored), fits);
        }
    }
}
